"""``python -m hpcspike`` is the same as ``hpcspike``."""

import sys

from hpcspike.cli import main

if __name__ == "__main__":
    sys.exit(main())
