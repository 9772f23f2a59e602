"""Measuring the learning engines against each other: every number comes from a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hpcspike.errors import ResourceError, SpecError

if TYPE_CHECKING:
    from hpcspike.benchmark.rls_bench import Case
    from hpcspike.benchmark.training_bench import TrainingCase

SIZES = ((200, 60), (500, 150), (1000, 300), (2000, 600), (10000, 90))
"""(N, K): neurons, and plastic inputs of each."""
INTERVALS_MS = (2.0, 10.0)
DTYPES = ("float64", "float32")
MATRIX_BYTES = 384 * 2**20
"""Memory for the matrices P of one variant, or eight last caches; of a larger network fewer rows are measured."""


def measure(kind: str, options: dict[str, Any]) -> dict[str, Any]:
    """One measurement, in this process: ``machine``, ``update``, ``training`` or ``threads``."""
    if kind == "machine":
        from hpcspike.benchmark.report import machine

        return machine()
    if kind == "update":
        from hpcspike.benchmark.rls_bench import Case
        from hpcspike.benchmark.rls_bench import measure as measure_updates

        return measure_updates(Case(**options))
    from hpcspike.benchmark.training_bench import TrainingCase, compare_algorithms, compare_threads

    if kind == "training":
        return compare_algorithms(TrainingCase(**options))
    return compare_threads(TrainingCase(**options), threads=2)


def measure_apart(kind: str, case: Case | TrainingCase | None = None) -> dict[str, Any]:
    """The same in a new process whose libraries were held to one thread before they were loaded.

    The case and the load of the machine are part of what is returned.
    """
    options = {} if case is None else asdict(case)
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    load = os.getloadavg()[0]
    finished = subprocess.run(
        [sys.executable, "-m", "hpcspike", "bench", "--one", kind, json.dumps(options)],
        env={**os.environ, **limits}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if finished.returncode != 0:
        reason = (finished.stderr.strip().splitlines() or [f"exit code {finished.returncode}"])[-1]
        raise ResourceError(f"the measurement '{kind}' {json.dumps(options)} failed: {reason}")
    return {**options, **json.loads(finished.stdout), "load_average": load}


def update_cases(
    *,
    sizes: tuple[tuple[int, int], ...] = SIZES,
    intervals_ms: tuple[float, ...] = INTERVALS_MS,
    dtypes: tuple[str, ...] = DTYPES,
    most_rows: int | None = None,
    seconds: float,
    fewest_rounds: int,
    available_mib: float,
) -> list[Case]:
    """The rows of the table of weight updates, each with as many rows of the network as memory allows.

    Raises
    ------
    ResourceError
        If the rows asked for do not fit into memory.
    """
    from hpcspike.benchmark.rls_bench import VARIANTS, Case
    from hpcspike.machine import last_cache_bytes

    room = 0.7 * available_mib * 2**20 / len(VARIANTS)
    enough = max(MATRIX_BYTES, 8 * last_cache_bytes())
    cases = []
    for n, k in sizes:
        if not 1 <= k <= n:
            raise SpecError(f"--sizes {n},{k}: must be N,K with 1 <= K <= N, for example 500,150")
        for interval_ms in intervals_ms:
            for dtype in dtypes:
                rate_hz = 5.5 if n >= 10_000 else 8.0
                one = Case(n, k, interval_ms, dtype, rate_hz, 1, seconds, fewest_rounds).matrix_bytes()
                rows = min(n, most_rows or max(1, int(min(enough, room) / one)))
                if rows * one > room:
                    raise ResourceError(
                        f"{rows:,} rows of {k:,} inputs need {len(VARIANTS) * rows * one / 2**20:,.0f} MiB for the "
                        f"matrices P of {len(VARIANTS)} variants, and {available_mib:,.0f} MiB are available; "
                        "choose fewer --rows"
                    )
                cases.append(Case(n, k, interval_ms, dtype, rate_hz, rows, seconds, fewest_rounds))
    return cases
