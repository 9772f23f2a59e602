"""Standard output and error as they may be: without UTF-8, closed, full, or with nobody who reads."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hpcspike.errors import ResourceError


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
        If it cannot be written, as on a full disk.
    BrokenPipeError
        If nobody reads it.
    """
    try:
        yield
    except SystemExit:  # of --help
        _flush()
        raise
    _flush()


def _flush() -> None:
    if sys.stdout is None:  # closed by whoever started this
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_output()
        raise ResourceError(f"what was printed could not be written ({error.strerror or error})") from None


def drop_output() -> None:
    """Write what is printed from now on, and what is held back, nowhere."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
