"""What is said about a benchmark: the machine it ran on, a table for people, tables for the guide."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

FEATURES = ("avx2", "fma", "avx512f", "avx512vl", "sve", "neon")
"""Code generation features worth naming."""

SCHEMA = 1
Result = dict[str, Any]


def machine() -> Result:
    """Processor, libraries, code generation target, and the roofline of one thread; for a process of its own."""
    import numpy as np

    from hpcspike import provenance
    from hpcspike.benchmark.roofline import peak_fma_rate, streaming_bandwidth
    from hpcspike.machine import last_cache_bytes

    stream_bytes = 8 * last_cache_bytes()
    target = provenance.code_generation_target()
    enabled = target.get("features", "").replace("+", "").split(",")
    versions = {name: v for name, v in provenance.package_versions().items() if name in ("numpy", "numba", "scipy")}
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "last_cache_bytes": last_cache_bytes(),
        "blas": _blas_of_scipy(),
        "environment": {name: os.environ[name] for name in provenance.ENVIRONMENT if name in os.environ},
        "llvm": {"cpu": target.get("cpu", ""), "features": [name for name in FEATURES if name in enabled]},
        "versions": {"hpcspike": provenance.package_version(), "python": platform.python_version(), **versions},
        "revision": provenance.code_revision(),
        "fma_rate": {name: peak_fma_rate(np.dtype(name)) for name in ("float64", "float32")},
        "bandwidth": streaming_bandwidth(np.dtype(np.float64), stream_bytes),
        "stream_bytes": stream_bytes,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _blas_of_scipy() -> Result:
    from threadpoolctl import threadpool_info

    from hpcspike.rls import textbook_blas_kernels  # noqa: F401  (loads it)

    found = [item for item in threadpool_info() if item.get("user_api") == "blas"]
    # NumPy may have loaded a copy of its own; symv and syr come from SciPy's
    of_scipy = [item for item in found if "scipy" in "/".join(Path(item.get("filepath", "")).parts[-3:-1])] or found
    if not of_scipy:
        return {"library": "unknown", "version": "", "core": "", "threads": ""}
    item = of_scipy[0]
    return {
        "library": str(item.get("internal_api", "")),
        "version": str(item.get("version", "")),
        "core": str(item.get("architecture", "")),
        "threads": str(item.get("num_threads", "")),
    }


def machine_lines(result: Result) -> list[str]:
    """The machine in words."""
    m = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in m["versions"].items())
    forced = m["environment"].get("OPENBLAS_CORETYPE")
    blas = m["blas"]
    return [
        f"{result['started']}, load average {result['load_average'][0]:.1f}; {versions}",
        f"{m['processor']}, {m['cores']} cores, last cache {m['last_cache_bytes'] / 2**20:.0f} MiB; "
        f"BLAS: {blas['library']} {blas['version']}, core type {blas['core']}"
        f"{f' (set by OPENBLAS_CORETYPE={forced})' if forced else ''}; "
        f"numba compiles for {m['llvm']['cpu']} ({' '.join(m['llvm']['features'])})",
        f"one thread: {m['fma_rate']['float64'] / 1e9:.0f} (float64) and {m['fma_rate']['float32'] / 1e9:.0f} "
        f"(float32) billion multiply-adds per second, {m['bandwidth'] / 1e9:.0f} GB/s updating "
        f"{m['stream_bytes'] / 2**20:.0f} MiB in place",
    ]


UPDATE_LEGEND = """\
Weight updates of all N rows of K inputs on the same spikes, one thread: milliseconds per update, medians of rounds in
which the variants take turns. M: updates applied at once. Of roofline: least time by the bytes (m) or multiply-adds (a)
of that variant, over its time; the bandwidth is that of updating an array as large as all P. Differ: weights, blocked
against textbook. *: only so many rows were measured, the time is scaled to N."""

UPDATE_HEADER = (
    f"{'N':>6} {'K':>4} {'Dt':>3} {'dtype':<7} {'Hz':>4} {'rows':>6} {'M':>3} | {'BLAS':>8} {'numba':>8} "
    f"{'blocked':>8} | {'/BLAS':>6} {'/numba':>6} | {'of roofline':^17} | {'differ':>7}"
)


def update_line(row: Result) -> str:
    """One measurement of weight updates as a line below UPDATE_HEADER."""
    ms = row["milliseconds"]
    shares = " ".join(f"{100 * part['share']:3.0f}%{part['bound'][0]}" for part in row["roofline"].values())
    rows = f"{row['n_rows']}{'*' if row['n_rows'] < row['n_neurons'] else ''}"
    return (
        f"{row['n_neurons']:>6} {row['in_degree']:>4} {row['interval_ms']:>3g} {row['dtype']:<7} "
        f"{row['rate_hz']:>4g} {rows:>6} {row['capacity']:>3} | "
        f"{ms['textbook_blas']:>8.3g} {ms['textbook']:>8.3g} {ms['blocked']:>8.3g} | "
        f"{row['ratio_to_blas']:>5.1f}x {row['ratio_to_textbook']:>5.1f}x | {shares:>17} | "
        f"{row['weight_difference']:>7.0e}"
    )


TRAINING_LEGEND = """\
Whole trainings (a point of Fig 6: tau_s 30 ms, tau_c 100 ms, an update every 2 ms), one thread, all included:
median seconds per loop, loop by loop in turn."""


def training_line(row: Result) -> str:
    """One comparison of whole trainings."""
    seconds = row["seconds_per_loop"]
    return (
        f"N {row['n_neurons']:>5} {row['dtype']}: textbook BLAS {seconds['textbook_blas']:.3g} s, "
        f"blocked {seconds['blocked']:.3g} s, {row['ratio']:.1f}x"
    )


def threads_line(row: Result) -> str:
    """One comparison of numbers of threads."""
    (one, first), (several, second) = row["seconds_per_loop"].items()
    same = "same" if row["same_curves"] else "DIFFERENT"
    return (
        f"N {row['n_neurons']:>5} {row['dtype']}: blocked on {one} thread {first:.3g} s, on {several} threads "
        f"{second:.3g} s, {row['ratio']:.2f}x, {same} learning curve"
    )


def markdown(result: Result) -> str:
    """The performance tables of cluster/guide/performance.md; README.md shows some of their rows."""
    m = result["machine"]
    forced = m["environment"].get("OPENBLAS_CORETYPE")
    lines = [
        f"Milliseconds per update of the whole network on one core of: {m['processor']}, last cache "
        f"{m['last_cache_bytes'] / 2**20:.0f} MiB, {m['bandwidth'] / 1e9:.0f} GB/s. BLAS: {m['blas']['library']} "
        f"{m['blas']['version']}, core type {m['blas']['core']}{' (forced)' if forced else ''}; numba "
        f"{m['versions']['numba']} compiles for {m['llvm']['cpu']}. Firing at 8 Hz (5.5 Hz for N = 10000). Ratio: the "
        "faster of the two textbook updates (BLAS, numba) over blocked. "
        f"`hpcspike bench`, {result['started'][:10]}.",
        "",
        "| N, K | Dt | " + " | ".join(f"{dtype}: BLAS | numba | blocked | ratio" for dtype in _dtypes(result)) + " |",
        "|---|---|" + "---|---|---|---|" * len(_dtypes(result)),
    ]
    for key, rows in _by_network(result["updates"]).items():
        n, k, interval_ms = key
        cells = []
        for dtype in _dtypes(result):
            row = rows.get(dtype)
            if row is None:
                cells += [""] * 4
                continue
            ms = row["milliseconds"]
            cells += [f"{ms[name]:.3g}" for name in ("textbook_blas", "textbook", "blocked")]
            cells.append(f"**{min(ms['textbook_blas'], ms['textbook']) / ms['blocked']:.1f}**")
        lines.append(f"| {n}, {k} | {interval_ms:g} ms | " + " | ".join(cells) + " |")
    if result["trainings"] or result["threads"]:
        lines += ["", "| whole training, seconds per loop | first | second | ratio |", "|---|---|---|---|"]
    for row in result["trainings"]:
        seconds = row["seconds_per_loop"]
        what = f"N = {row['n_neurons']}, {row['dtype']}: textbook BLAS, then blocked"
        lines.append(f"| {what} | {seconds['textbook_blas']:.3g} | {seconds['blocked']:.3g} | **{row['ratio']:.1f}** |")
    for row in result["threads"]:
        (one, first), (several, second) = row["seconds_per_loop"].items()
        what = f"N = {row['n_neurons']}, {row['dtype']}: blocked on {one} thread, then on {several}"
        lines.append(f"| {what} | {first:.3g} | {second:.3g} | **{row['ratio']:.2f}** |")
    return "\n".join(lines)


def _dtypes(result: Result) -> list[str]:
    return list(dict.fromkeys(row["dtype"] for row in result["updates"]))


def _by_network(rows: list[Result]) -> dict[tuple[int, int, float], dict[str, Result]]:
    networks: dict[tuple[int, int, float], dict[str, Result]] = {}
    for row in rows:
        networks.setdefault((row["n_neurons"], row["in_degree"], row["interval_ms"]), {})[row["dtype"]] = row
    return networks
