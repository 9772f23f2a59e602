"""What became of a trained network, in words that say over which neurons and trials, and what a correlation hides."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hpcspike.measures.recorded import ASKED_ABOVE_HZ, SILENT_BELOW_HZ
from hpcspike.spec.experiment import Measures
from hpcspike.variables import STATUS
from hpcspike.wording import counted, percent

if TYPE_CHECKING:
    import xarray as xr

Scalars = Mapping[str, float | int]

ENDINGS = "training_ended"
"""Attribute of a network's Dataset with what tests while training have decided, if they have: lines of text."""

LIMITED = {
    "sampling": "limited by sampling error",
    "tracking": "limited by tracking error",
    "recall": "limited by recall",
}
"""What a network that did not learn is called, by its status; other states by their own name."""


def verdict(
    scalars: Scalars,
    *,
    n_neurons: int,
    n_sets: int = 1,
    measures: Measures | None = None,
    n_outputs: int | None = None,
    n_with_targets: int | None = None,
) -> str:
    """One line: what the network became, its correlation with the neurons and trials it is over, and its rate.

    Parameters
    ----------
    scalars
        Measures by the names of `hpcspike.variables.POINT_RESULTS`; those of recorded units may be missing.
    n_neurons, n_sets
        Number of neurons N and of target sets.
    measures
        How the network was judged: test trials and thresholds; default: those of the spec.
    n_outputs
        Components of the target that are read out of the network; None if every neuron has its own.
    n_with_targets
        Neurons that have targets, where the others have none; None: all.

    Returns
    -------
    str
        Of recorded targets the correlation is that of the recorded units, with that of the auxiliary neurons beside it.
    """
    measures = measures or Measures()
    parts = [
        qualified_status(scalars, n_neurons=n_neurons, measures=measures),
        *correlation_over(scalars, n_neurons, n_outputs, n_with_targets),
    ]
    if math.isfinite(_value(scalars, "correlation")):
        of_each = "" if n_sets == 1 else f" of each of {n_sets} target sets"
        parts += ["plasticity off", f"{counted(measures.n_test_trials, 'test trial')}{of_each}"]
        judged_ones = n_outputs or (n_neurons if n_with_targets is None else n_with_targets)
        parts += _interval(scalars, judged_ones * n_sets, "neurons" if n_outputs is None else "outputs")
    if math.isfinite(_value(scalars, "population_rate")):
        over = "" if n_with_targets is None else f" over all {counted(n_neurons, 'neuron')}"
        parts.append(f"population rate {_value(scalars, 'population_rate'):.3g} Hz{over}")
    return ", ".join(parts)


def verdict_of(trained: xr.Dataset) -> str:
    """`verdict` of the Dataset of one trained network."""
    return verdict(scalars_of(trained), n_neurons=trained.sizes["neuron"], n_sets=trained.sizes["target_set"],
                   measures=measures_of(trained), n_outputs=trained.sizes.get("output"),
                   n_with_targets=n_with_targets_of(trained))  # fmt: skip


def remarks_of(trained: xr.Dataset) -> list[str]:
    """`remarks` of the Dataset of one trained network, constant targets, and the rates of neurons without a target."""
    found = [*trained.attrs.get(ENDINGS, "").splitlines(), *remarks(scalars_of(trained))]
    if "target" in trained:
        target = trained["target"]
        n_recorded = int(trained.get("n_recorded", 0))
        if n_recorded:
            target = target.isel(neuron=slice(n_recorded))
        found += remark_on_constant(*count_constant(target.values), recorded=bool(n_recorded))
    if n_with_targets_of(trained) is not None and "neuron_rate" in trained:
        has = np.isfinite(trained["neuron_correlation"].values).any(axis=0)
        rate = trained["neuron_rate"].mean("target_set").values
        found.append(
            f"rates of the {has.sum()} trained neurons: {rate[has].mean():.3g} Hz; of the {(~has).sum()} others, which "
            f"have no targets: {rate[~has].mean():.3g} Hz"
        )
    return found


def count_constant(targets: np.ndarray) -> np.ndarray:
    """How many of the targets (..., samples) are constant, and how many there are (not NaN): (2,) integers."""
    range_of = np.ptp(targets, axis=-1)
    return np.array([(range_of == 0).sum(), np.isfinite(range_of).sum()])


def remark_on_constant(n_constant: int, n_targets: int, *, recorded: bool = False) -> list[str]:
    """That a correlation with a constant target counts as 0, if any that is judged is one; otherwise nothing."""
    if not n_constant:
        return []
    are, targets = "is" if n_constant == 1 else "are", counted(n_targets, "recorded target" if recorded else "target")
    return [
        f"{n_constant} of {targets} {are} constant: a correlation with a constant has no value, "
        "and counts as 0 in the mean"
    ]


def n_with_targets_of(trained: xr.Dataset) -> int | None:
    """`n_with_targets` of the Dataset of one trained network; None, too, if its targets are those of readouts."""
    found = trained.get("neuron_correlation")
    return None if found is None or "neuron" not in found.dims else n_with_targets(found.values)


def n_with_targets(correlation: np.ndarray) -> int | None:
    """How many neurons have targets, if others have none: those whose correlation (sets, n) is known; None: all."""
    known = int(np.isfinite(correlation).any(axis=0).sum())
    return None if known in (0, correlation.shape[1]) else known


def scalars_of(trained: xr.Dataset) -> dict[str, float]:
    """The numbers of a network's Dataset that stand for the whole network."""
    numbers = (item for item in trained.data_vars.values() if not item.dims and item.dtype.kind in "iuf")
    return {str(item.name): float(item) for item in numbers}


def measures_of(trained: xr.Dataset) -> Measures:
    """How the network of a Dataset was judged, by the experiment that it carries."""
    return Measures.model_validate(json.loads(trained.attrs.get("experiment", "{}")).get("measures", {}))


def qualified_status(scalars: Scalars, *, n_neurons: int, measures: Measures) -> str:
    """What the network became, with the number of its silent neurons if there are any."""
    status = STATUS[int(scalars["status"])]
    share, words = _value(scalars, "silent_share"), LIMITED.get(status, status)
    if status in ("silent", "diverged") or not share > 0:
        return words
    count = round(share * n_neurons)
    silent = f"{count} of {counted(n_neurons, 'neuron')} silent, {percent(share)} %"
    return f"{words} ({silent}, below {measures.silent_rate_hz:g} Hz)"


def remarks(scalars: Scalars) -> list[str]:
    """What a correlation with recorded rates does not show, one line each; nothing of other targets."""
    n_recorded = int(scalars.get("n_recorded", 0))
    data = _value(scalars, "target_rate_recorded")
    if not n_recorded or not math.isfinite(data):
        return []
    silent, unreachable = (_value(scalars, name) for name in ("n_silent_recorded", "unreachable_share_recorded"))
    model, error = (_value(scalars, name) for name in ("rate_recorded", "rms_error_recorded"))
    return [
        f"rates of the recorded units: {model:.3g} Hz in the model, {data:.3g} Hz in the data, "
        f"rms error of the average over test trials {error:.3g} Hz",
        f"silent: {silent:.0f} of {counted(n_recorded, 'recorded unit')} (below {SILENT_BELOW_HZ:g} Hz in the model, "
        f"above {ASKED_ABOVE_HZ:g} Hz in the data); {percent(unreachable)} % of the target time asks for rates that a "
        "neuron without noise cannot hold",
    ]


def judged_points(columns: Mapping[str, np.ndarray], *, n_test_trials: int | None) -> str:
    """Over what finished points of a sweep are judged, and what their correlation does not show.

    Parameters
    ----------
    columns
        (points,) each, by the names of `hpcspike.variables.POINT_RESULTS`: status, silent_share,
        those of recorded units.
    n_test_trials
        Number of test trials; None if points differ in it.
    """
    trials = "" if n_test_trials is None else f", {counted(n_test_trials, 'test trial')}"
    learned = columns["status"] == STATUS.index("learned")
    silent = int((learned & (columns.get("silent_share", np.zeros(len(learned))) > 0)).sum())
    ending = f"; {silent} of {counted(int(learned.sum()), 'learned network')} with silent neurons" if silent else ""
    if not np.any(columns.get("n_recorded", 0)):
        return f"over all neurons, plasticity off{trials}{ending}"
    mean = {name: _known_mean(columns[name]) for name in columns}
    auxiliary = mean["correlation_auxiliary"]
    beside = f" (auxiliary neurons {auxiliary:.3g})" if math.isfinite(auxiliary) else ""
    rates = ""
    if math.isfinite(mean["target_rate_recorded"]):
        rates = (
            f"; rates {mean['rate_recorded']:.3g} Hz in the model, {mean['target_rate_recorded']:.3g} Hz in the data, "
            f"{mean['n_silent_recorded']:.3g} of {mean['n_recorded']:.3g} units silent"
        )
    value = mean["correlation_recorded"]
    over = f"over recorded units: correlation {value:.3g}{beside}, plasticity off{trials}"
    return f"{over}, means of {counted(len(learned), 'network')}{rates}{ending}"


def _known_mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def judged_over(scalars: Scalars) -> str:
    """The name of the correlation that decides what a network became."""
    return "correlation_recorded" if int(scalars.get("n_recorded", 0)) else "correlation"


def judged(scalars: Scalars) -> str:
    """The correlation that decides what a network became, in few words, and the share of silent neurons if any are."""
    name, share = judged_over(scalars), _value(scalars, "silent_share")
    over = " over recorded units" if name == "correlation_recorded" else ""
    silent = f", {percent(share)} % of the neurons silent" if share > 0 else ""
    return f"correlation {_value(scalars, name):.3f}{over}{silent}"


def correlation_over(
    scalars: Scalars, n_neurons: int, n_outputs: int | None = None, n_with_targets: int | None = None
) -> list[str]:
    """The correlation that is judged, with the neurons it is over and those beside them; none if there is none."""
    value = _value(scalars, judged_over(scalars))
    if not math.isfinite(value):
        return []
    n_recorded = int(scalars.get("n_recorded", 0))
    if n_outputs is not None:
        return [f"correlation {value:.3g} over {counted(n_outputs, 'output')}"]
    if not n_recorded:
        trained = "" if n_with_targets is None else f"the {n_with_targets} trained of "
        return [f"correlation {value:.3g} over {trained}{counted(n_neurons, 'neuron')}"]
    others = n_neurons - n_recorded
    auxiliary = _value(scalars, "correlation_auxiliary")
    beside = f" ({auxiliary:.3g} over {counted(others, 'auxiliary one')})" if others else ""
    return [f"correlation {value:.3g} over {counted(n_recorded, 'recorded unit')}{beside}"]


def _interval(scalars: Scalars, n_values: int, over: str) -> list[str]:
    """The 95 % interval over the neurons (or outputs) that are judged."""
    from hpcspike.intervals import cut_to_correlations, interval_from

    name = judged_over(scalars)
    n = int(scalars.get("n_recorded", 0)) or n_values
    sd = _value(scalars, f"{name}_sd")
    if n < 2 or not math.isfinite(sd):
        return []
    # stored is the s.d. that divides by n
    found = cut_to_correlations(interval_from(_value(scalars, name), sd * math.sqrt(n / (n - 1)), n))
    return [f"95 % interval {found.low:.3g} to {found.high:.3g} over {'units' if 'recorded' in name else over}"]


def _value(scalars: Scalars, name: str) -> float:
    return float(scalars.get(name, math.nan))
