"""The errors a user can meet; every message names the key, the value, what is allowed and what to do next."""

from __future__ import annotations


class HpcspikeError(Exception):
    """Base of all errors that hpcspike raises on purpose; the command line prints the message and exits with 2."""

    exit_code = 2


class SpecError(HpcspikeError):
    """An experiment or sweep file says something that cannot be run."""


class DataError(HpcspikeError):
    """An input file (recorded rates, explicit arrays) is unreadable or inconsistent."""


class StoreError(HpcspikeError):
    """A results store or output path is missing, foreign, or belongs to another sweep."""


class DamagedStoreError(StoreError):
    """Bytes of a store are not those that were written, or are gone; the message says which, and what to do."""


class ResourceError(HpcspikeError):
    """The machine cannot hold or do what was asked (memory, disk, optional package)."""


class Interrupted(HpcspikeError):
    """Training stopped before its end, as asked, and saved its state: the same command goes on from there."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: try again


INTERRUPTED = {
    "run_batch": "interrupted; finished points are kept, the same command computes the others",
    "study": "interrupted; finished networks are kept, the same command trains the others",
    "status": "interrupted; only the watching, not the sweep",
}
"""What is true when Ctrl-C ends a command that has no better words itself."""
