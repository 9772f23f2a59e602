"""The pages of one trained network and of a study: figures, numbers, and where all of it comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from hpcspike.analysis.recorded import over_recorded
from hpcspike.analysis.unit_table import recorded_units, set_names_of
from hpcspike.intervals import correlation_interval, mean_interval
from hpcspike.measures.verdict import remarks_of, verdict_of
from hpcspike.report.origin import ORIGIN, origin
from hpcspike.report.page import Cell, Column, Picture, Section, facts, figures, number, page, paragraph, table
from hpcspike.report.words import FAILURES, LABELLED, LABELS, became, meaning, unit_of
from hpcspike.spec.experiment import Measures
from hpcspike.sweep.cost import shown_seconds
from hpcspike.variables import BINNED_RESULTS, POINT_RESULTS

if TYPE_CHECKING:
    import xarray as xr

MEASURES = (
    "correlation",
    "correlation_trial_mean",
    "correlation_phi",
    "correlation_auxiliary",
    "population_rate",
    "target_rate_recorded",
    "rms_error_recorded",
    "n_silent_recorded",
    "unreachable_share_recorded",
    "silent_share",
    "spectral_index",
    "sampling_error",
    "tracking_error",
    "quasi_static_correlation",
    "sign_flips",
    "spectral_radius_before",
    "spectral_radius_after",
)
"""Numbers of the variants of a study that its page shows, where it has them."""


def page_of_network(trained: xr.Dataset, pictures: Sequence[Picture]) -> str:
    """The page of one trained network, as ``hpcspike train`` writes it."""
    experiment = json.loads(trained.attrs["experiment"])
    name = str(trained.attrs.get("name", "network"))
    status = became(int(trained["status"])) if "status" in trained else ""
    sentence = (
        f"One network of {trained.sizes['neuron']} neurons, of which every one was trained on a target of its own by "
        f"recursive least squares ({trained.attrs.get('trained_variable', 'drive')} training), and tested from random "
        "initial conditions."
    )
    lead = [sentence, *_stand_in(trained)]
    if "correlation" in trained and status:
        outcome = f"{FAILURES.get(status, status)}{_below_threshold(trained, experiment)}"
        lead.append(f"In single test trials: {verdict_of(trained)}. What it became: {outcome}.")
        lead += [f"{words[:1].upper()}{words[1:]}." for words in remarks_of(trained)]
    explained = paragraph(LABELS) if status in LABELLED else Markup()
    if int(trained.get("n_recorded", 0)):
        explained += paragraph(
            "Numbers that do not name recorded units are over all neurons with targets, recorded and auxiliary ones "
            "together."
        )
    record = json.loads(trained.attrs.get("provenance", "{}"))
    sections = [
        *([Section("figures", "Figures", figures(pictures))] if pictures else []),
        Section("numbers", "Numbers", explained + facts(list(_scalars(trained)))),
        *_units(trained),
        Section("origin", ORIGIN, _origin([record], experiment, {"seed": experiment.get("seed")})),
    ]
    return page(f"Network {name}", lead, sections)


def _units(trained: xr.Dataset) -> list[Section]:
    """A table of the recorded units; none of networks without, or of drives."""
    if "neuron_target_rate" not in trained or not int(trained.get("n_recorded", 0)):
        return []
    found = recorded_units(trained).load()
    names = set_names_of(found)
    columns = [Column("unit", number=False), *([Column("condition", number=False)] if len(names) > 1 else [])]
    columns += [Column(_heading(array), meaning(array)) for array in found.data_vars.values()]
    rows = []
    for unit in range(found.sizes["neuron"]):
        for target_set, name in enumerate(names):
            unit_name = (
                str(found["unit_name"].values[unit]) if "unit_name" in found else str(found["neuron"].values[unit])
            )
            cells = [Cell(unit_name, unit_name), *([Cell(name, name)] if len(names) > 1 else [])]
            values = (float(array.values[target_set, unit]) for array in found.data_vars.values())
            rows.append([*cells, *(Cell(number(value), repr(value)) for value in values)])
    constant = int(np.isnan(found["correlation_100ms"]).sum()) if "correlation_100ms" in found else 0
    zero = [name for name in found if "ceiling" in str(name) and bool((found[name] == 0).any())]
    trials = "the data's own single trials" if "data_ceiling_100ms" in found else "single trials of the model"
    text = f"Average over all test trials against the data, plasticity off. Ceilings: from split halves of {trials}"
    text += "; 0: the halves do not agree." if zero else "."
    if constant:
        text += f" A dash: the data do not vary there ({constant} of {len(rows)} rows); nothing correlates with them."
    return [Section("units", "Recorded units", paragraph(text) + table("Recorded units", columns, rows, key="units"))]


def _below_threshold(trained: xr.Dataset, experiment: dict[str, Any]) -> str:
    """How far below the threshold of learning a network stayed; empty if it reached it."""
    threshold = Measures.model_validate(experiment.get("measures", {})).learned_correlation
    missing = threshold - float(over_recorded(trained)["correlation"])
    return f", {number(missing, 2)} below the {threshold:g} that count as learned" if missing > 0 else ""


def _scalars(trained: xr.Dataset) -> Iterator[tuple[str, str]]:
    for name, variable in (POINT_RESULTS | BINNED_RESULTS).items():
        if name not in trained or trained[name].dims or variable.dims != ("point",):
            continue
        value = float(trained[name])
        if name == "status":
            yield meaning(trained[name]), FAILURES.get(became(int(value)), became(int(value)))
        elif np.isfinite(value) and not (name == "diverged_loop" and value < 0):
            yield meaning(trained[name]), f"{number(value)}{unit_of(trained[name])}"


def page_of_study(tree: xr.DataTree, numbers: xr.Dataset, pictures: Sequence[Picture]) -> str:
    """The page of a study.

    Parameters
    ----------
    tree
        As ``hpcspike study`` writes it.
    numbers
        The table of its numbers over (variant, replicate).
    pictures
        Its figures.
    """
    document = json.loads(tree.attrs["document"])
    variants = [str(name) for name in numbers["variant"].values]
    lead = [
        f"{len(variants)} variants of a network, {int(numbers['wall_seconds'].count())} networks in all, the "
        "repetitions of a variant independent of each other, probed after training: " + ", ".join(variants) + ".",
        *_stand_in(tree),
    ]
    records = [json.loads(node.attrs["provenance"]) for node in tree.leaves if "provenance" in node.attrs]
    seconds = shown_seconds(float(np.nansum(numbers["wall_seconds"].values)))
    more = {
        "seed": document.get("experiment", {}).get("seed", 1), "networks": len(records),
        "wall time, summed over the networks": seconds,
    }  # fmt: skip
    sections = [
        *([Section("figures", "Figures", figures(pictures))] if pictures else []),
        Section("numbers", "Numbers", _variants(over_recorded(numbers), variants)),
        Section("origin", ORIGIN, _origin(records, document, more)),
    ]
    return page(f"Study {tree.attrs['study']}", lead, sections)


def _variants(numbers: xr.Dataset, variants: list[str]) -> Markup:
    shown = [name for name in MEASURES if name in numbers and np.isfinite(numbers[name].values).any()]
    columns = [Column("variant", number=False)]
    columns += [Column(_heading(numbers[name]), meaning(numbers[name])) for name in shown]
    rows = []
    for variant in variants:
        cells = [Cell(variant, variant)]
        for name in shown:
            column = numbers[name].sel(variant=variant)
            others = [dim for dim in column.dims if dim != "replicate"]
            values = np.asarray(column.mean(others).values, dtype=np.float64)
            cells.append(_interval(values, correlation="correlation" in name))
        rows.append(cells)
    text = "Mean over the repetitions with its 95 % interval (Student's t; of correlations cut to −1 to 1) below; a "
    text += "dash where a variant has no value."
    if "judged" in numbers.attrs:
        text += f" Correlations, spectral index and population rate are over the {numbers.attrs['judged']} alone."
    return paragraph(text) + table("Variants", columns, rows, key="variants")


def _heading(array: xr.DataArray) -> str:
    return str(array.name).replace("_", " ") + (f" ({unit_of(array).strip()})" if unit_of(array) else "")


def _interval(values: np.ndarray, *, correlation: bool) -> Cell:
    found = correlation_interval(values) if correlation else mean_interval(values)
    if not found.n:
        return Cell("–", "")
    shown = Markup("{}").format(number(found.value))
    if np.isfinite(found.low):
        shown += Markup("<br><small>{} to {}</small>").format(number(found.low), number(found.high))
    return Cell(shown, repr(found.value))


def _origin(records: Sequence[dict[str, Any]], document: Any, more: dict[str, Any]) -> Markup:
    known = [(name, str(value)) for name, value in more.items() if value is not None]
    return origin(records, more=known, document=document)


def _stand_in(what: xr.Dataset | xr.DataTree) -> list[str]:
    words = what.attrs.get("stand_in")
    return [f"The data that it follows are a {words}."] if words else []
