"""Standard output and error as they may be: without UTF-8, closed, full, or with nobody who reads."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from hpcspike.errors import ResourceError

_NOT_TAKEN = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def let_all_letters_be_printed() -> None:
    """In a locale without UTF-8 write letters that it does not have as escapes; they would be errors."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and codecs.lookup(stream.encoding).name != "utf-8":
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def printed_to_the_end() -> Iterator[None]:
    """Write what is still held back when the block ends, while an error can be told: at exit it could not.

    Raises
    ------
    ResourceError
        If it cannot be written, as on a full disk, at the end or within the block.
    BrokenPipeError
        If nobody reads it.
    """
    try:
        yield
    except SystemExit:  # of --help
        _flush()
        raise
    except OSError as error:
        if error.errno not in _NOT_TAKEN:
            raise
        _refuse(error)
    _flush()


def _flush() -> None:
    if sys.stdout is None:  # closed by whoever started this
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _refuse(error)


def _refuse(error: OSError) -> NoReturn:
    drop_output()
    raise ResourceError(f"the output could not be written ({error.strerror or error}); make room and run it again")


def drop_output() -> None:
    """Write what is printed from now on, and what is held back, nowhere."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
