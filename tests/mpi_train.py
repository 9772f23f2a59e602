"""A program for MPI ranks: ``hpcspike train`` several times in one process, with chunks so small that there are many.

usage: mpi_train.py CHUNK_BYTES COMMAND...    each command line in one argument
"""

import shlex
import sys

from hpcspike.cli import main
from hpcspike.engine import output

if __name__ == "__main__":
    output.CHUNK_BYTES = int(sys.argv[1])
    for line in sys.argv[2:]:
        code = main(shlex.split(line))
        if code:
            sys.exit(code)
