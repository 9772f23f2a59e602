"""``hpcspike status``: how far a sweep is, once or again and again; or how far a training whose state is saved."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcspike.commands.common import counted, refuse_unwritable, states_in_words
from hpcspike.engine.checkpoint_files import MANIFEST, SCHEMA, Damaged, checkpoints_in, read_manifest
from hpcspike.errors import SpecError, StoreError
from hpcspike.files import whole
from hpcspike.sweep.cost import shown_mib, shown_seconds
from hpcspike.sweep.status import Status, sweep_status
from hpcspike.sweep.store import open_store

if TYPE_CHECKING:
    from rich.table import Table

MOST_FAILURES = 10
"""Failed points that a watched table shows."""


def run(arguments: argparse.Namespace) -> int:
    """Print the state of a store, with ``--watch`` until nothing is left to do; or that of a folder of saved states."""
    saved = checkpoints_in(Path(arguments.store))
    if arguments.json and arguments.watch is not None:
        raise SpecError("--watch: --json says it once; leave one of them out")
    if saved:
        for option in ("watch", "html"):
            if getattr(arguments, option) is not None:
                raise SpecError(
                    f"--{option}: {arguments.store} holds the saved states of one training; leave the option out"
                )
        rows = _saved(saved)
        if arguments.json:
            print(json.dumps({"path": arguments.store, "kind": "training", "rows": rows}, indent=1))
        else:
            for name, text in rows:
                print(f"{name:<10} {text}")
    elif arguments.html is not None:
        _keep_page(arguments.store, Path(arguments.html), arguments.watch)
    elif arguments.json:
        state = asdict(sweep_status(arguments.store))
        print(json.dumps({"path": arguments.store, "kind": "sweep", **state}, indent=1))
    elif arguments.watch is None:
        _print(sweep_status(arguments.store))
        store = open_store(arguments.store)
        if store.sweep.adaptive is not None:
            from hpcspike.commands.plan_adaptive import print_map

            print_map(store)
    elif sys.stdout.isatty():
        _watch(arguments.store, arguments.watch)
    else:
        while not _is_over(arguments.store, _print(sweep_status(arguments.store))):
            time.sleep(arguments.watch)
    return 0


def _is_over(store: str, status: Status) -> bool:
    """Whether every point is done, and no further round of an adaptive sweep follows."""
    if status.done < status.points or status.finalized:
        return status.done == status.points
    there = open_store(store)
    if there.sweep.adaptive is None:
        return True
    from hpcspike.adaptive.rounds import next_points

    # a round may have been added meanwhile
    return there.n_points == status.points and bool(next_points(there, there.sweep)[1])


def _keep_page(store: str, page: Path, seconds: int | None) -> None:
    """Write the page of a sweep, with ``--watch`` again and again until nothing is left to do."""
    from hpcspike.report.progress import page_of_progress
    from hpcspike.sweep.reading import open_sweep

    if page.suffix != ".html":
        raise StoreError(f"--html {page}: must end in .html")
    if page.is_dir():
        raise StoreError(f"--html {page} is a folder; choose another path")
    refuse_unwritable(page)
    while True:
        status = sweep_status(store)
        again = None if seconds is None or _is_over(store, status) else seconds
        sweep = open_sweep(store, complete_only=False)
        text = page_of_progress(status, sweep, _rows(status), refresh_seconds=again)
        with whole(page) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
        print(f"{page}: {status.done} of {status.points} points", flush=True)
        if again is None:
            return
        time.sleep(again)


def _print(status: Status) -> Status:
    """Print lines of text; returns what they say."""
    for name, text in _rows(status):
        print(f"{name:<10} {text}", flush=True)
    for row, text in sorted(status.failures.items()):
        print(f"failed     point {row}: {text}")
    for batch, text in sorted(status.damaged.items()):
        print(f"damaged    batch {batch}: {text}; the same workflow, or run-batch, computes it anew")
    return status


def _watch(store: str, seconds: float) -> None:
    from rich.live import Live

    status = sweep_status(store)
    with Live(_table(status), auto_refresh=False) as live:
        while not _is_over(store, status):
            time.sleep(seconds)
            status = sweep_status(store)
            live.update(_table(status), refresh=True)


def _table(status: Status) -> Table:
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    table = Table(title=f"sweep {status.name}", show_header=False, title_justify="left")
    for name, text in _rows(status)[1:]:
        table.add_row(name, text)
    table.add_row("", ProgressBar(total=status.points, completed=status.done, width=40))
    for row, text in sorted(status.failures.items())[:MOST_FAILURES]:
        table.add_row("failed", f"point {row}: {text}", style="red")
    if len(status.failures) > MOST_FAILURES:
        table.add_row("failed", f"and {counted(len(status.failures) - MOST_FAILURES, 'more point')}", style="red")
    return table


def _rows(status: Status) -> list[tuple[str, str]]:
    counts = states_in_words(status.counts)
    rows = [
        ("sweep", f"{status.name}{' (finalized)' if status.finalized else ''}"),
        ("points", f"{status.done} of {status.points} done{f' ({counts})' if counts else ''}"),
        ("batches", f"{status.batches_done} of {status.batches} done"),
    ]
    if status.judged:
        rows.append(("judged", status.judged))
    if status.damaged:
        rows.append(("damaged", f"{counted(len(status.damaged), 'batch', 'batches')}, not counted as done"))
    if not status.vouched:
        rows.append(("unverified", "no checksums vouch for this store; 'hpcspike upgrade STORE' adds them"))
    if status.done < status.points:
        running = "nothing"
        if status.running:
            running = f"{counted(len(status.running), 'batch', 'batches')} on {counted(status.cores, 'core')}"
        rows += [("running", running), ("left", f"about {shown_seconds(status.seconds_left)} on one core")]
    if status.end is not None:
        rows.append(("end", f"about {_clock(status.end)}, if so many cores stay at it"))
    return rows


def _saved(checkpoints: list[Path]) -> list[tuple[str, str]]:
    """What the checkpoints of a training say, newest first; of the newest that can be read, also how far it is."""
    rows: list[tuple[str, str]] = []
    told = False
    for path in checkpoints:
        try:
            manifest = read_manifest(path)
            size = sum(file.stat().st_size for file in path.iterdir())
            saved = (path / MANIFEST).stat().st_mtime
        except Damaged as damage:
            rows += [("damaged", f"{path.name}: {damage}")] if path.exists() else []
            continue
        except FileNotFoundError:  # a training that runs now has removed it
            continue
        if not told and manifest["schema"] == SCHEMA:
            rows[:0] = _progress(manifest)
            told = True
        rows.append(("saved", f"{path.name}, {_clock(saved)}, {shown_mib(size / 2**20)}"))
    return rows


def _progress(manifest: dict[str, Any]) -> list[tuple[str, str]]:
    """How far a training is, by what its checkpoint says."""
    identity = manifest["identity"]
    n_neurons = identity.get("network", {}).get("n_neurons")
    size = f"{n_neurons:,} neurons" if n_neurons else "network"
    rows = [("training", f"{size}, seed {identity['seed']}" if "seed" in identity else size)]
    if "passes" in manifest:
        return [*rows, ("passes", f"{manifest['passes']} done")]
    numbers = manifest["numbers"]
    done = f"{numbers['cursor']['loop']} done"
    if "targets" in identity:  # of explicit arrays the number of target sets is not written down
        done = done.replace(" ", f" of {identity['training']['n_loops'] * identity['targets'].get('n_sets', 1)} ")
    rows.append(("loops", done))
    if numbers["diverged_loop"] >= 0:
        rows.append(("diverged", f"in loop {numbers['diverged_loop']}"))
    elif numbers["curve"]["correlation"]:
        last = numbers["curve"]["correlation"][-1]
        over = "all" if identity.get("training", {}).get("subset") is None else "the trained"
        rows.append(("last loop", f"correlation {last:.3f} over {over} neurons, plasticity on"))
    return rows


def _clock(moment: float) -> str:
    """A time of today as ``14:05``, another with its date."""
    then, now = time.localtime(moment), time.localtime()
    return time.strftime("%H:%M" if then[:3] == now[:3] else "%Y-%m-%d %H:%M", then)
