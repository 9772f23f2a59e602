"""``hpcspike bench``: the textbook and the fast learning engine on this machine, in numbers."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from hpcspike import benchmark
from hpcspike.commands.common import refuse_unwritable, write_whole
from hpcspike.errors import SpecError, StoreError

QUICK_SIZES = ((200, 60), (500, 150))


def run(arguments: argparse.Namespace) -> int:
    """Measure and print, or print what was measured before."""
    if arguments.one:
        kind, options = arguments.one
        print(json.dumps(benchmark.measure(kind, json.loads(options))))
        return 0
    if arguments.markdown:
        from hpcspike.benchmark.report import markdown

        print(markdown(_stored(Path(arguments.markdown))))
        return 0
    if arguments.history or arguments.add:
        _show_history(arguments)
        return 0
    path = Path(arguments.json) if arguments.json else None
    if path is not None:
        refuse_unwritable(path)
    if arguments.gradient:
        result = _measure_gradient(arguments.quick)
    else:
        result = _compare_neighbours(arguments.quick) if arguments.neighbours else _measure_all(arguments)
    if path is not None:
        write_whole(path, lambda unfinished: unfinished.write_text(json.dumps(result, indent=1) + "\n"))
        print(f"\n{path}: written")
    return 0


def _show_history(arguments: argparse.Namespace) -> None:
    from hpcspike.benchmark import history

    if not arguments.history:
        raise SpecError(f"--add {arguments.add}: must be given with --history CSV, the file it is added to")
    path = Path(arguments.history)
    if not path.exists() and not arguments.add:
        raise StoreError(f"--history {path}: no such file; begin it with --add JSON")
    rows = history.read(_text(path), source=f"--history {path}") if path.exists() else []
    if arguments.add:
        refuse_unwritable(path)
        rows = history.added(rows, _stored(Path(arguments.add), option="--add"))
        write_whole(path, lambda unfinished: unfinished.write_text(history.write(rows), encoding="utf-8"))
    print("\n".join(history.lines(rows)))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise StoreError(
            f"--history {path}: is no text file that can be read; give the CSV file of a history"
        ) from None


def _stored(path: Path, *, option: str = "--markdown") -> dict[str, Any]:
    from hpcspike.benchmark.report import SCHEMA

    try:
        result: dict[str, Any] = json.loads(path.read_text())
        if result["hpcspike_bench"] != SCHEMA:
            raise KeyError
    except (OSError, ValueError, KeyError, TypeError):
        raise StoreError(f"{option} {path}: is not what 'hpcspike bench --json PATH' of this version writes") from None
    return result


def _measure_all(arguments: argparse.Namespace) -> dict[str, Any]:
    from hpcspike import provenance
    from hpcspike.benchmark import report
    from hpcspike.sweep.cost import available_memory_mib

    quick = arguments.quick
    cases = benchmark.update_cases(
        sizes=tuple(map(size, arguments.sizes or ())) or (QUICK_SIZES if quick else benchmark.SIZES),
        intervals_ms=tuple(map(float, arguments.intervals or ())) or ((2.0,) if quick else benchmark.INTERVALS_MS),
        dtypes=tuple(arguments.dtypes or benchmark.DTYPES),
        most_rows=arguments.rows,
        seconds=arguments.seconds or (0.7 if quick else 2.0),
        fewest_rounds=3,
        available_mib=available_memory_mib(),
    )
    trainings, threaded = ([], []) if arguments.no_trainings else _training_cases(quick)
    result: dict[str, Any] = {
        "hpcspike_bench": report.SCHEMA,
        "started": provenance.now(),
        "load_average": os.getloadavg(),
        "machine": benchmark.measure_apart("machine"),
        "updates": [],
        "trainings": [],
        "threads": [],
    }
    print("\n".join(report.machine_lines(result)), end="\n\n")
    print(f"{report.UPDATE_LEGEND}\n\n{report.UPDATE_HEADER}", flush=True)
    for case in cases:
        result["updates"].append(benchmark.measure_apart("update", case))
        print(report.update_line(result["updates"][-1]), flush=True)
    if trainings:
        print(f"\n{report.TRAINING_LEGEND}", flush=True)
    for case in trainings:
        result["trainings"].append(benchmark.measure_apart("training", case))
        print(report.training_line(result["trainings"][-1]), flush=True)
    for case in threaded:
        result["threads"].append(benchmark.measure_apart("threads", case))
        print(report.threads_line(result["threads"][-1]), flush=True)
    result["finished"] = provenance.now()
    result["load_average_at_end"] = os.getloadavg()
    return result


def _begun(kind: str) -> dict[str, Any]:
    """What a result begins with; the machine is printed."""
    from hpcspike import provenance
    from hpcspike.benchmark import report

    result: dict[str, Any] = {
        kind: 1, "started": provenance.now(), "load_average": os.getloadavg(),
        "machine": benchmark.measure_apart("machine"),
    }  # fmt: skip
    print("\n".join(report.machine_lines(result)), end="\n\n", flush=True)
    return result


def _measure_gradient(quick: bool) -> dict[str, Any]:
    from hpcspike import provenance
    from hpcspike.benchmark import gradient_steps
    from hpcspike.learners.gradient import require_jax

    require_jax("lsnn")
    rounds = 1 if quick else 3
    result = _begun("hpcspike_gradient")
    print(gradient_steps.LEGEND.format(rounds=rounds), end="\n\n", flush=True)
    limited = gradient_steps.LIMITED[:1] if quick else gradient_steps.LIMITED
    rows = {
        "limits": gradient_steps.limits(limited, rounds, lambda text: print(text, flush=True)),
        "compared": gradient_steps.compare(rounds, lambda text: print(text, flush=True)),
    }
    return {**result, **rows, "finished": provenance.now()}


def _compare_neighbours(quick: bool) -> dict[str, Any]:
    from hpcspike import provenance
    from hpcspike.benchmark import neighbours

    network = neighbours.Network(n_neurons=1000, in_degree=100, duration_ms=100.0) if quick else neighbours.Network()
    rounds = 3 if quick else 5
    result = _begun("hpcspike_neighbours")
    rows = neighbours.compare(network, rounds, lambda text: print(text, flush=True))
    print(f"\n{neighbours.legend(network, rounds)}\n\n{neighbours.HEADER}")
    for row in rows:
        print(neighbours.line(row, rows[0]))
    return {**result, "neighbours": rows, "finished": provenance.now()}


def _training_cases(quick: bool) -> tuple[list[Any], list[Any]]:
    from hpcspike.benchmark.training_bench import TrainingCase
    from hpcspike.sweep.cost import check_memory

    trainings = [TrainingCase(200, "float64", 2)] if quick else [
        TrainingCase(500, "float64", 3), TrainingCase(1000, "float64", 2),
    ]  # fmt: skip
    threaded = [TrainingCase(500, "float64", 2)] if quick else [TrainingCase(1000, "float64", 3)]
    for case in (*trainings, *threaded):
        check_memory(case.experiment("textbook"))
    return trainings, threaded if (os.cpu_count() or 1) > 1 else []


def size(text: str) -> tuple[int, int]:
    """``N,K`` of the command line."""
    try:
        n, k = (int(part) for part in text.split(","))
    except ValueError:
        raise SpecError(f"--sizes {text}: must be N,K, for example 500,150") from None
    return n, k
