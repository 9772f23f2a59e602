"""What a live network is asked beside test trials: the currents that balance, and what small perturbations do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr

from hpcspike.checks import choice, number, whole_number
from hpcspike.correlation import pearson
from hpcspike.engine.trained import Response
from hpcspike.engine.trial import Conditions
from hpcspike.errors import SpecError
from hpcspike.live.inputs import Span
from hpcspike.live.selection import Selection
from hpcspike.measures.balance import CURRENTS, record_currents
from hpcspike.spec.experiment import is_multiple, n_steps
from hpcspike.variables import TRAINED

if TYPE_CHECKING:
    from hpcspike.live.engine_network import EngineNetwork

Perturbation = Literal["add_spike", "delete_spike", "stimulate"]
PERTURBATIONS: tuple[Perturbation, ...] = ("add_spike", "delete_spike", "stimulate")


def currents_of(
    network: EngineNetwork, neurons: Selection, *, trials: int, first_trial: int, target_set: int
) -> xr.Dataset:
    """See `hpcspike.live.engine_network.EngineNetwork.currents`."""
    whole_number("trials", trials, least=1)
    whole_number("first_trial", first_trial)
    chosen = network.chosen(neurons, name="neurons")
    numbers = range(first_trial, first_trial + trials)
    found = [record_currents(network.trained, chosen, target_set=target_set, trial=trial) for trial in numbers]
    about = {"units": "1", "long_name": "input of a neuron by its kind; excitatory: with the external input"}
    return _labelled(
        network,
        chosen,
        {
            "current": (("part", "trial", "neuron", "time"), np.stack([one.value for one in found], axis=1), about),
            "part": ("part", list(CURRENTS), {"units": "1", "long_name": "kind of current"}),
            "trial": ("trial", np.array(numbers), TRAINED["trial"].attrs),
            "time": ("time", found[0].time_ms, TRAINED["time"].attrs),
        },
    ).assign_attrs(network.identity() | {"target_set": target_set, "plasticity": "off"})


def perturbation_map_of(
    network: EngineNetwork, kind: Perturbation, *, neurons: Selection, at_ms: float, strength: float,
    duration_ms: float, target_set: int, trial: int, beyond_ms: float,
) -> xr.Dataset:  # fmt: skip
    """See `hpcspike.live.engine_network.EngineNetwork.perturbation_map`."""
    trained, problem = network.trained, network.trained.problem
    choice("kind", kind, PERTURBATIONS)
    trained.check_set("target_set", target_set)
    whole_number("trial", trial)
    if trained.simulation.graded and kind != "stimulate":
        raise SpecError(f"kind = {kind}: units of neuron.model = tanh do not spike; choose stimulate")
    n_samples = problem.n_samples + trained.check_beyond(beyond_ms)
    span, chosen = Span.of(problem, n_samples), network.chosen(neurons, name="neurons")
    at = _step("at_ms", at_ms, span)
    length = 0
    if kind == "stimulate":
        number("strength", strength)
        length = _step("duration_ms", duration_ms, span, least=1)

    def run(conditions: Conditions | None) -> Response:
        own = {} if conditions is None else {"conditions": conditions}
        return trained.evoke(target_set, 1, first_trial=trial, beyond_ms=beyond_ms, **own)

    usual = run(None)
    recalled = _recall(network, usual, target_set)
    deviation = np.full((len(chosen), n_samples), np.nan)
    change, when = np.full(len(chosen), np.nan), np.full(len(chosen), np.nan)
    for row, neuron in enumerate(chosen.tolist()):
        step = at if kind == "stimulate" else _free_step(usual, neuron, at, taken=kind == "delete_spike")
        if step is None or step > span.after:
            continue
        other = run(_conditions(kind, neuron, step, strength, length, span))
        deviation[row] = np.sqrt(np.square(other.drive[0] - usual.drive[0]).mean(axis=0))
        change[row] = _recall(network, other, target_set) - recalled
        when[row] = step * span.step_ms
    units, after = {"units": "1"}, " after the perturbation of this neuron; NaN: there was no spike to delete"
    return _labelled(
        network,
        chosen,
        {
            "deviation": (
                ("neuron", "time"), deviation,
                units | {"long_name": f"rms difference of the drive over all neurons{after}"},
            ),
            "recall_change": (("neuron",), change, units | {"long_name": f"change of the mean correlation{after}"}),
            "perturbed_ms": (("neuron",), when, {"units": "ms", "long_name": "time of the perturbation"}),
            "time": (("time",), problem.grid_ms * np.arange(1, n_samples + 1), TRAINED["time"].attrs),
        },
    ).assign_attrs(
        network.identity() | {"perturbation": kind, "target_set": target_set, "trial": trial, "plasticity": "off"}
    )  # fmt: skip


def _step(name: str, time_ms: float, span: Span, *, least: int = 0) -> int:
    """Step of the window at which a time ends."""
    number(name, time_ms, unit="ms")
    last = span.after * span.step_ms
    if not is_multiple(time_ms, span.step_ms) or not least * span.step_ms <= time_ms < last:
        raise SpecError(
            f"{name} = {time_ms:g} ms: must be a multiple of the step of {span.step_ms:g} ms, from "
            f"{least * span.step_ms:g} to less than the {last:g} ms that are recorded"
        )
    return n_steps(time_ms, span.step_ms)


def _free_step(usual: Response, neuron: int, at: int, *, taken: bool) -> int | None:
    """The first step after step ``at`` of the window in which the neuron spikes (taken), or does not."""
    spikes = usual.spikes[0]
    own = set((spikes.step[spikes.neuron == neuron] + 1).tolist())
    if taken:
        return min((step for step in own if step > at), default=None)
    step = at + 1
    while step in own:
        step += 1
    return step


def _conditions(kind: Perturbation, neuron: int, step: int, strength: float, length: int, span: Span) -> Conditions:
    if kind == "add_spike":
        return Conditions(added=[(step, neuron)])
    if kind == "delete_spike":
        return Conditions(deleted=[(step, neuron)])
    external = np.zeros((span.steps, span.n_neurons))
    external[span.cue + step : span.cue + step + length, neuron] = strength
    return Conditions(external=external)


def _recall(network: EngineNetwork, response: Response, target_set: int) -> float:
    """Mean correlation of the neurons that have a target, in the trained window."""
    trained = network.trained
    target = trained.problem.targets[target_set]
    shown = (response.filtered if trained.training.variable == "rate" else response.drive)[0]
    return trained.mean_over_targets(pearson(shown[:, : target.shape[1]], target), target_set)


def _labelled(network: EngineNetwork, chosen: np.ndarray, variables: dict[str, object]) -> xr.Dataset:
    """A Dataset of some neurons, with what the network's labels say of them."""
    found = xr.Dataset(variables).assign_coords(neuron=("neuron", chosen, TRAINED["neuron"].attrs))
    names = [name for name in ("part", "trial", "time") if name in found]
    labels = {name: item[chosen] for name, item in network.labels.items()}
    return found.set_coords(names).assign_coords(
        {name: ("neuron", item.values, item.attrs) for name, item in labels.items()}
    )
