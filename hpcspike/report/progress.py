"""The page of a sweep that is running: it loads itself again until nothing is left to do."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr
from markupsafe import Markup

from hpcspike.figures.progress import progress_map
from hpcspike.report.drawing import as_png
from hpcspike.report.page import Picture, Section, facts, figures, page
from hpcspike.sweep.status import Status

MOST_FAILURES = 50


def page_of_progress(
    status: Status, sweep: xr.Dataset, rows: Sequence[tuple[str, str]], *, refresh_seconds: int | None
) -> str:
    """The page.

    Parameters
    ----------
    status
        How far the sweep is.
    sweep
        All planned points, finished or not.
    rows
        Names and words of what is known, as ``hpcspike status`` prints them.
    refresh_seconds
        After how long the page loads itself again; None: not any more.
    """
    share = status.done / max(status.points, 1)
    bar = Markup('<progress max="1" value="{:.4f}" aria-label="finished points">{:.0%}</progress>').format(share, share)
    sections = [Section("state", "How far it is", Markup("<p>{}</p>\n{}").format(bar, facts(rows)))]
    if sweep.sizes["point"]:
        words = f"{status.done} of {status.points} networks finished; cells without any are grey"
        picture = Picture(
            "map",
            "Correlation of the finished networks",
            words,
            as_png(progress_map(sweep)),
            Markup("<p>{}.</p>").format(words),
        )
        sections.append(Section("map-so-far", "The map so far", figures([picture])))
    failed = [(f"point {row}", text) for row, text in sorted(status.failures.items())[:MOST_FAILURES]]
    failed += [(f"batch {batch}", f"damaged: {text}") for batch, text in sorted(status.damaged.items())]
    if failed:
        sections.append(Section("failed", "What failed", facts(failed)))
    running = [(f"batch {batch}", who) for batch, who in sorted(status.running.items())]
    if running:
        sections.append(Section("running", "What runs", facts(running)))
    again = f"It loads itself again every {refresh_seconds} s." if refresh_seconds else "Nothing more will change."
    return page(f"Sweep {status.name}", [again], sections, refresh_seconds=refresh_seconds)
