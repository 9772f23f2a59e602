"""Variables of the environment that libraries read when they are loaded: set, or refused, before any is."""

from __future__ import annotations

import os

from hpcspike.errors import ResourceError

_TRAINING = ("train", "run_batch", "show", "study", "report")


def prepare_environment(module: str) -> None:
    """Set what a command needs; module: where it lives below ``hpcspike.commands``.

    Raises
    ------
    ResourceError
        If a variable has a value with which a library cannot be loaded.
    """
    os.environ["MPLBACKEND"] = "Agg"  # figures are files; what a notebook has set may not even be there
    threads = os.environ.get("NUMBA_NUM_THREADS")
    if threads is not None and not (threads.isdecimal() and int(threads) > 0):
        raise ResourceError(f"NUMBA_NUM_THREADS = {threads}: must be a whole number of at least 1; correct or unset it")
    if module in _TRAINING:
        # before MPI is spoken to, which takes numpy, which takes as many threads as it finds cores
        use_one_thread_per_library()


def use_one_thread_per_library() -> None:
    """Keep BLAS and OpenMP to one thread, before they are loaded: threads go over neurons here. What is set stays."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
