"""``hpcspike report``: one page of HTML about a sweep, a study or one trained network."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpcspike.commands.common import is_sweep, refuse_unwritable, write_whole
from hpcspike.errors import HpcspikeError, StoreError
from hpcspike.files import claimed
from hpcspike.verification import reading

if TYPE_CHECKING:
    import xarray as xr

    from hpcspike.report.page import Picture


@dataclass(frozen=True)
class Retraining:
    """Which networks of a sweep are trained again: those that took less than so long, and whether by a user's code."""

    below_minutes: float
    run_user_code: bool


def run(arguments: argparse.Namespace) -> int:
    """Write the page; it holds everything that it shows."""
    path = Path(arguments.out)
    if path.suffix != ".html":
        raise StoreError(f"--out {path}: must end in .html")
    if path.is_dir():
        raise StoreError(f"--out {path} is a folder; choose another path")
    refuse_unwritable(path)
    figures, captions = _folder("--figures", arguments.figures), _folder("--captions", arguments.captions)
    retraining = Retraining(below_minutes=arguments.retrain_below, run_user_code=arguments.run_user_code)
    with claimed(path), reading(Path(arguments.store)):
        page = _page(Path(arguments.store), figures, captions, retraining)
        write_whole(path, lambda unfinished: unfinished.write_text(page, encoding="utf-8"))
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


def _folder(option: str, text: str | None) -> Path | None:
    if text is not None and not Path(text).is_dir():
        raise StoreError(f"{option} {text}: no such folder; give an existing one or leave the option out")
    return None if text is None else Path(text)


def _page(store: Path, figures: Path | None, captions: Path | None, retraining: Retraining) -> str:
    import xarray as xr

    from hpcspike.commands.plot import results_at
    from hpcspike.figures import figures_for
    from hpcspike.report.drawing import pictures

    results = results_at(store)
    if "point" in results.dims and not is_sweep(store):
        raise StoreError(f"{store} was exported from a sweep; give the store of the sweep itself")
    drawn = pictures(figures_for(results), folder=figures, captions=captions, what=_name(results))
    if isinstance(results, xr.DataTree):
        from hpcspike.report.network import page_of_study
        from hpcspike.studies.results import table_of

        return page_of_study(results, table_of(results), drawn)
    if "point" not in results.dims:
        from hpcspike.report.network import page_of_network

        return page_of_network(results, drawn)
    return _page_of_sweep(store, results.load(), drawn, captions, retraining)


def _page_of_sweep(
    store: Path, sweep: xr.Dataset, drawn: list[Picture], captions: Path | None, retraining: Retraining
) -> str:
    from hpcspike.report.sweep import exemplary, page_of_sweep
    from hpcspike.sweep.records import read_records

    took = sweep["wall_seconds"].values
    chosen = {words: k for words, k in exemplary(sweep).items() if took[k] < 60.0 * retraining.below_minutes}
    overviews = [
        picture
        for words, position in chosen.items()
        for picture in _overview(store, words, int(sweep["point"][position]), captions, retraining)
    ]
    records = list(read_records(store).values())
    return page_of_sweep(sweep, drawn, store=str(store), records=records, overviews=overviews)


def _overview(store: Path, words: str, point: int, captions: Path | None, retraining: Retraining) -> list[Picture]:
    """A network trained again and drawn; none where there is no such network to be trained again."""
    from hpcspike.figures import point_overview
    from hpcspike.report.captions import as_html, caption_of
    from hpcspike.report.drawing import as_png
    from hpcspike.report.page import Picture
    from hpcspike.sweep.retraining import retrain

    try:
        network = retrain(store, point=point, run_user_code=retraining.run_user_code)
    except HpcspikeError as error:  # too little memory, or a file of targets is gone: the page is worth having without
        print(f"hpcspike: the {words} network is not shown: {error}", file=sys.stderr)
        return []
    heading = f"The {words} network, point {point}"
    alternative = f"{heading}: targets and responses, spikes, learning curve, power spectra and error split"
    caption = as_html(caption_of(captions, "point").text)
    return [Picture(f"figure-{words}", heading, alternative, as_png(point_overview(network)), caption)]


def _name(results: xr.Dataset | xr.DataTree) -> str:
    return str(results.attrs.get("study") or results.attrs.get("name", "a network"))
