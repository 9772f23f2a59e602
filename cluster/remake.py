"""Make all reference results again, at one revision of the code: ``python cluster/remake.py`` says what it will cost.

``python cluster/remake.py --start`` does it, into ``results/remade`` (or ``--out``); called again it goes on where it
was stopped, and refuses another revision than that of its first call, or files that differ from it; ``--workers 2``
makes two of them at a time, and ``--only fig1 fig3`` some of them, in this order. It ends with
``OUT/claims``: the tables of all studies and sweeps and the page of the claims, to be copied to ``results/reference``;
what was not made is as it was there.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from hpcspike import provenance
from hpcspike.arguments import positive
from hpcspike.cli import main as hpcspike
from hpcspike.errors import HpcspikeError, StoreError
from hpcspike.files import write_json
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.load import load, sizes_of
from hpcspike.spec.recorded import RecordedTargets
from hpcspike.spec.study import Study, StudyRun
from hpcspike.spec.sweep import Sweep
from hpcspike.sweep.cost import SECONDS_TO_START, predict, shown_seconds
from hpcspike.sweep.grid import build_grid

ROOT = Path(__file__).resolve().parent.parent
LAPTOP = "laptop"
"""The size that is made, where a file has sizes."""


@dataclass(frozen=True)
class Part:
    """A study or sweep of the reference results: its file, its size if it has any, and its predicted seconds."""

    config: Path
    size: str | None
    networks: int
    seconds: float

    @property
    def is_study(self) -> bool:
        """Whether it is a study; otherwise a sweep."""
        return isinstance(load(self.config, size=self.size), Study)


def parts(reference: Path, configs: Path) -> list[Part]:
    """What has a table in the reference results, cheapest first; not what is trained on recordings that are missing."""
    found = []
    for table in sorted(reference.glob("*.nc")):
        config = configs / f"{table.stem}.yaml"
        size = LAPTOP if LAPTOP in (sizes_of(config) or ()) else None
        plan = load(config, size=size)
        targets = _first_experiment(plan).targets
        if isinstance(targets, RecordedTargets) and not (targets.is_stand_in or Path(targets.path).exists()):
            print(f"{table.stem}: {targets.path} is not here, so its table stays as it is")
            continue
        if isinstance(plan, Study):
            costs = {variant: predict(plan.experiment_of(StudyRun(variant, 0))).seconds for variant in plan.variants}
            seconds = sum(plan.repetitions(variant) * (cost + SECONDS_TO_START) for variant, cost in costs.items())
            networks = len(plan.runs)
        else:
            assert isinstance(plan, Sweep)
            grid = build_grid(plan)
            seconds, networks = float(grid.seconds.sum()), grid.n_points
        found.append(Part(config, size, networks, seconds))
    return sorted(found, key=lambda part: part.seconds)


def _first_experiment(plan: Experiment | Study | Sweep) -> Experiment:
    if isinstance(plan, Study):
        return plan.experiment_of(plan.runs[0])
    return plan.point(next(plan.parameters())) if isinstance(plan, Sweep) else plan


def hold_revision(out: Path, revision: str) -> None:
    """Keep the revision of the first call; a StoreError if this one is of another, or of files without a revision.

    Raises
    ------
    StoreError
        If results of several revisions would be mixed.
    """
    if not re.fullmatch(r"[0-9a-f]{40}", revision):  # a version alone, or a commit with changes
        raise StoreError(f"the code is at revision {revision}: commit what was changed, so that results can name it")
    note = out / "revision.json"
    if not note.exists():
        write_json(note, {"revision": revision})
        return
    there = str(json.loads(note.read_text(encoding="utf-8"))["revision"])
    if there != revision:
        raise StoreError(
            f"{out} was begun at revision {there}, this is {revision}: check that one out to go on, or choose another "
            "folder with --out"
        )


def make(part: Part, out: Path) -> Path:
    """Run a study or sweep as far as it is not done; returns what the claims are read from."""
    options = [] if part.size is None else ["--size", part.size]
    name = load(part.config, size=part.size).name
    if part.is_study:
        folder = out / name
        _run(["study", str(part.config), *options, "--out", str(folder)])
        return folder / "table.nc"
    store = out / f"{name}.zarr"
    _run(["plan", str(part.config), *options, "--create", "--store", str(store)])
    from hpcspike.sweep.store import open_store

    for batch in range(len(open_store(store).batches)):
        _run(["run-batch", str(store), "--batch", str(batch)])
    return store


def make_all(planned: Sequence[Part], out: Path, workers: int) -> dict[Path, Path]:
    """Config -> what its claims are read from; made in the order of ``planned``."""
    if workers == 1:
        return {part.config: make(part, out) for part in planned}
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        making = {part.config: pool.submit(make, part, out) for part in planned}
    return {config: made.result() for config, made in making.items()}


def chosen(planned: list[Part], only: Sequence[str] | None, workers: int) -> list[Part]:
    """The parts with the names ``only``, in this order, or all; several processes begin with what takes longest.

    Raises
    ------
    StoreError
        If there is no such part.
    """
    if only is None:
        return planned if workers == 1 else planned[::-1]
    by_name = {part.config.stem: part for part in planned}
    unknown = [name for name in only if name not in by_name]
    if unknown:
        raise StoreError(f"--only {unknown[0]}: there is no such table; the names are {', '.join(sorted(by_name))}")
    return [by_name[name] for name in dict.fromkeys(only)]


def _run(arguments: list[str]) -> None:
    code = hpcspike(arguments)
    if code:
        raise SystemExit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Say the cost, and with ``--start`` make everything."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--start", action="store_true", help="do it; without this only the cost is said")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "remade", help="folder of the results")
    parser.add_argument("--reference", type=Path, default=ROOT / "results" / "reference", help="tables to be made")
    parser.add_argument("--configs", type=Path, default=ROOT / "cluster" / "config", help="their studies and sweeps")
    parser.add_argument("--workers", type=positive, default=1, help="how many are made at a time (default: 1)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="make these, in this order (default: all)")
    given = parser.parse_args(arguments)
    try:
        planned = chosen(parts(given.reference, given.configs), given.only, given.workers)
        for part in planned:
            size = "" if part.size is None else f" ({part.size})"
            print(f"{part.config.stem + size:32} {part.networks:5} networks  about {shown_seconds(part.seconds)}")
        total, networks = sum(part.seconds for part in planned), sum(part.networks for part in planned)
        print(f"{'all':32} {networks:5} networks  about {shown_seconds(total)} on one core, and what the probes take")
        if not given.start:
            print("nothing was started; add --start")
            return 0
        hold_revision(given.out, provenance.code_revision())
        made = make_all(planned, given.out, given.workers)
        there = sorted(given.reference.glob("*.nc"))
        tables = [made.get(given.configs / f"{table.stem}.yaml", table) for table in there]
        _run(["claims", *map(str, tables), "--out", str(given.out / "claims")])
    except HpcspikeError as error:
        print(f"remake: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
