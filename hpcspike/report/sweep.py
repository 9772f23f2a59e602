"""The page of a sweep: its map, figures, every network with its learning curve, and where all of it comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from hpcspike.analysis.cells import parameters, varying
from hpcspike.analysis.recorded import over_recorded
from hpcspike.analysis.scattered import plan_of
from hpcspike.figures.loops import exemplary_curves, smoothing_of
from hpcspike.notation import NAMES
from hpcspike.report.drawing import as_png
from hpcspike.report.networks import MOST_ROWS, SECTION, export_command, networks_table, point_numbers, show_command
from hpcspike.report.origin import ORIGIN, origin
from hpcspike.report.page import Picture, Section, command, figures, number, page, paragraph, part
from hpcspike.report.planes import plane_tables, wanted_networks
from hpcspike.report.words import FAILURES, LABELLED, LABELS, SIGNS, became, span, status_colours, written
from hpcspike.spec.experiment import Measures
from hpcspike.sweep.cost import shown_seconds
from hpcspike.variables import STATUS

if TYPE_CHECKING:
    import xarray as xr


def page_of_sweep(
    sweep: xr.Dataset,
    pictures: Sequence[Picture],
    *,
    store: str,
    records: Sequence[Mapping[str, Any]] = (),
    overviews: Sequence[Picture] = (),
) -> str:
    """The page of a sweep.

    Parameters
    ----------
    sweep
        Finished points, as ``open_sweep`` gives them; the coordinate ``point`` holds their rows in the store.
    pictures
        Its figures.
    store
        Path of the store, for the commands on the page.
    records
        Provenance of the processes that computed it.
    overviews
        Pictures of the exemplary networks, trained again.
    """
    sweep = over_recorded(sweep.load())
    document = json.loads(sweep.attrs["sweep"])
    threshold = Measures.model_validate(document["experiment"].get("measures", {})).learned_correlation
    chosen, planes = exemplary(sweep), plane_tables(sweep)
    three = _examples(sweep, chosen, store, overviews) if chosen else Markup()
    sections = [
        Section("outcome", "What became of the networks", _outcome(sweep, store)),
        *([Section("map", "Map of all networks", planes)] if planes else []),
        *([Section("figures", "Figures", figures(pictures))] if pictures else []),
        *([Section("examples", "Best, median and worst network", three)] if three else []),
        Section(SECTION, "All networks", _networks(sweep, threshold, store)),
        Section("origin", ORIGIN, _origin(sweep, document, records)),
    ]
    done, planned = sweep.sizes["point"], _planned(sweep)
    counted = f"{done} trained networks" if done == planned else f"{done} of {planned} networks trained"
    return page(f"Sweep {sweep.attrs['name']}: {counted}", _lead(sweep), sections)


def _planned(sweep: xr.Dataset) -> int:
    """Networks that the sweep asks for, at least those that there are."""
    plan = plan_of(sweep)
    return max(sweep.sizes["point"], 0 if plan is None else plan.n_points)


def exemplary(sweep: xr.Dataset) -> dict[str, int]:
    """Positions of the networks of the highest, the median (the lower of two) and the lowest correlation."""
    correlation = over_recorded(sweep)["correlation"].values
    order = np.argsort(correlation, kind="stable")[: int(np.isfinite(correlation).sum())]
    if not len(order):
        return {}
    return {"best": int(order[-1]), "median": int(order[(len(order) - 1) // 2]), "worst": int(order[0])}


def _lead(sweep: xr.Dataset) -> list[str | Markup]:
    columns, counts = parameters(sweep), varying(sweep)
    axes = Markup(" and ").join(span(sweep[name], np.unique(columns[name])) for name in counts)
    fixed = Markup(", ").join(
        written(sweep[name], columns[name][0])
        for name, called in NAMES.items()
        if called.well_known and name in columns and name not in counts and np.isfinite(columns[name]).all()
    )
    cells = len({tuple(row) for row in zip(*(columns[name] for name in counts), strict=True)}) if counts else 1
    each = sweep.sizes["point"] // cells if sweep.sizes["point"] % cells == 0 else sweep.sizes["point"] / cells
    part = _planned(sweep) > sweep.sizes["point"]
    each = wanted_networks(sweep) if part else each
    lead: list[str | Markup] = [
        Markup("A spiking network {} trained at every point of a grid over {}{}: {} for every combination.").format(
            "is" if part else "was",
            axes or "nothing",
            Markup(", with {}").format(fixed) if fixed else "",
            "one network" if each == 1 else f"{each:.3g} independent networks",
        ),  # fmt: skip
        "Each was then tested from random initial conditions. Performance is the Pearson correlation between target "
        f"and evoked response in the trained window, averaged over {sweep.attrs.get('judged', 'neurons')} and single "
        "test trials, with plasticity off.",
    ]
    if part:
        lead.insert(
            1, f"Of its {_planned(sweep)} networks {sweep.sizes['point']} are done so far; this page shows these."
        )
    if "stand_in" in sweep.attrs:
        lead.append(f"The targets are a {sweep.attrs['stand_in']}.")
    return lead


def _outcome(sweep: xr.Dataset, store: str) -> Markup:
    status = sweep["status"].values
    parts = []
    for code, name in enumerate(STATUS):
        count = int((status == code).sum())
        if count:
            colour, ink = status_colours(name)
            words = FAILURES.get(name, name)
            parts.append({"count": count, "word": words, "sign": SIGNS[name], "colour": colour, "ink": ink})
    named = ", ".join(f"{part['count']} {part['word']} ({part['sign']})" for part in parts)
    seconds = float(np.nansum(sweep["wall_seconds"].values)) if "wall_seconds" in sweep else np.nan
    took = (
        f" Training and testing them took {shown_seconds(seconds)} by the clock, summed over the networks (wall time: "
        "where other programs shared the cores, more than the cores computed)."
    )
    took = took if np.isfinite(seconds) else ""
    qualified = _with_silent_neurons(sweep)
    return Markup().join(
        [
            part("shares", parts=parts),
            paragraph(f"Of {len(status)} networks: {named}.{qualified}{took}"),
            paragraph(
                Markup("In Python: {}. As files to share: {}.").format(
                    command(f"hpcspike.open_sweep({json.dumps(store, ensure_ascii=False)})"),
                    command(export_command(store)),
                )
            ),
        ]
    )


def _with_silent_neurons(sweep: xr.Dataset) -> str:
    """How many of the networks that learned have silent neurons; empty if none has."""
    if "silent_share" not in sweep:
        return ""
    shares = sweep["silent_share"].values[sweep["status"].values == STATUS.index("learned")]
    with_silent = shares[shares > 0]
    if not len(with_silent):
        return ""
    return (
        f" {len(with_silent)} of those that learned have neurons that are silent in the test trials, up to "
        f"{100 * with_silent.max():.3g} % of their neurons."
    )


def _labelled(sweep: xr.Dataset) -> bool:
    """Whether a network has a label that tells the kinds of error apart."""
    return bool(np.isin(sweep["status"].values, [STATUS.index(name) for name in LABELLED]).any())


def _examples(sweep: xr.Dataset, chosen: dict[str, int], store: str, overviews: Sequence[Picture]) -> Markup:
    rows, number_of = [], point_numbers(sweep)
    for words, position in chosen.items():
        one = sweep.isel(point=position)
        at = Markup(", ").join(written(sweep[name], one[name].values[()]) for name in varying(sweep))
        rows.append(
            Markup("<li><strong>{}</strong>, point {}: {}, replicate {}; correlation {}, {}.<br>{}</li>").format(
                words.capitalize(),
                number_of[position],
                at,
                int(one["replicate"]),
                number(float(one["correlation"])),
                FAILURES.get(became(int(one["status"])), became(int(one["status"]))),
                command(show_command(store, number_of[position])),
            )  # fmt: skip
        )
    listed = Markup("<ul>\n{}\n</ul>\n").format(Markup("\n").join(rows))
    if "curve_correlation" not in sweep or not sweep.sizes.get("loop", 0):
        return listed + figures(overviews)
    drawn = Picture(
        "figure-exemplary",
        "How they learned",
        "Learning curves of three networks. " + _curves_in_words(sweep, chosen),
        as_png(exemplary_curves(sweep, chosen)),
        paragraph(_explained(sweep)),
    )
    return listed + figures([drawn, *overviews])


def _explained(sweep: xr.Dataset) -> str:
    """What the solid and dashed lines of the learning curves are, and over which neurons."""
    judged = sweep.attrs.get("judged")
    over = "all neurons" if judged is None else f"the {judged} alone"
    words = (
        "Correlation of target and response, population rate, and relative change of the weights in every training "
        "loop, over all neurons, with plasticity on. "
    )
    if "curve_test_correlation" in sweep and bool(sweep["curve_test_correlation"].notnull().any()):
        smoothing = smoothing_of(sweep)
        mean = f", of the moving mean over {smoothing:g} ms" if smoothing else ""
        words += f"Dashed with markers: tests while training, over all neurons, plasticity off{mean}. "
    return f"{words}Dashed across: the correlation in test trials after training, over {over}, with plasticity off."


def _curves_in_words(sweep: xr.Dataset, chosen: dict[str, int]) -> str:
    parts = []
    for words, position in chosen.items():
        curve = sweep["curve_correlation"].values[position]
        known = curve[np.isfinite(curve)]
        if len(known):
            parts.append(f"{words}: correlation {number(known[0])} in the first, {number(known[-1])} in the last loop")
    return "; ".join(parts)


def _networks(sweep: xr.Dataset, threshold: float, store: str) -> Markup:
    n_points = sweep.sizes["point"]
    text = Markup(
        "Every row is one trained network. Learning curve: correlation in every training loop, on a scale from 0 to 1, "
        "dotted at {:g}. A heading sorts by its column. The command trains a network again and draws target, response, "
        "spikes, errors and spectrum."
    ).format(threshold)
    if n_points > MOST_ROWS:
        text += Markup(" Here are the first {} of {} networks; all of them: {}.").format(
            MOST_ROWS, n_points, command(export_command(store))
        )
    labels = paragraph(LABELS) if _labelled(sweep) else Markup()
    return (
        paragraph(text) + labels + networks_table(sweep.isel(point=slice(MOST_ROWS)), threshold=threshold, store=store)
    )


def _origin(sweep: xr.Dataset, document: Any, records: Sequence[Mapping[str, Any]]) -> Markup:
    seeds = [str(seed) for seed in np.unique(sweep["seed"].values)]
    memory = sweep["peak_memory"].values if "peak_memory" in sweep else np.full(1, np.nan)
    more = {
        "seed of all random streams": ", ".join(seeds[:6]) + (", ..." if len(seeds) > 6 else ""),
        "sweep (SHA-256)": str(sweep.attrs.get("sweep_hash", "")),
        "processes": str(len(records)) if records else "",
        "peak memory of a process": f"{np.nanmax(memory):.0f} MiB" if np.isfinite(memory).any() else "",
    }
    text = Markup(
        "To run it again, save the configuration below as sweep.yaml and call {}. Random numbers are keyed by seed, "
        "replicate, purpose, neuron and trial: on the same kind of processor the same bits come out."
    ).format(command("snakemake --cores all --config sweep=sweep.yaml"))
    return paragraph(text) + origin(records, more=[row for row in more.items() if row[1]], document=document)
