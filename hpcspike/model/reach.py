"""Rates that a neuron can hold: what a rate target may ask for, and how much of recorded targets lies outside."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hpcspike.model.transfer import rate_of_noisy_input
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.targets import RecordedTargets

MUCH = 0.1
"""Share of the target time out of reach above which there is a warning before training."""


class Reach(NamedTuple):
    """Lowest and highest rate that a neuron holds, in spikes per tau; no rate at all is always possible."""

    lowest: float
    highest: float

    def excludes(self, rates: np.ndarray) -> np.ndarray:
        """Which of the ``rates``, in spikes per tau, a neuron cannot hold; same shape, bool."""
        below = (rates > 0.0) & (rates < self.lowest)
        return np.asarray(below | (rates > self.highest))


def reach_of(*, smoothing: float, tau_ms: float, step_ms: float, transfer: str = "phi_2") -> Reach:
    """What a neuron can hold when its rate is trained through a transfer function, of phi_1 and phi_2 without noise.

    Parameters
    ----------
    smoothing
        c of phi_2 (``training.smoothing``).
    tau_ms, step_ms
        Membrane time constant and integration step in ms.
    transfer
        ``training.transfer``.

    Notes
    -----
    phi_2 gives the rate of the threshold input 0 as sqrt(c log 2) / pi. A lower rate asks for a negative input, at
    which a neuron without noise does not fire; phi_1 and the measured function of a noisy neuron have no such bound.
    Above, there is no more than one spike per step.
    """
    lowest = float(rate_of_noisy_input(np.zeros(1), smoothing)[0]) if transfer == "phi_2" else 0.0
    return Reach(lowest, tau_ms / step_ms)


def remark_on_reach(experiment: Experiment) -> str | None:
    """What to say before training if much of the time of recorded rates is out of reach; None if it is not.

    Raises
    ------
    DataError
        If the recording cannot be read.
    """
    from hpcspike.model.build import recording_of
    from hpcspike.model.targets import build_targets, duration_of, n_neurons_of

    recording = recording_of(experiment)
    if recording is None or experiment.training.variable != "rate":
        return None
    assert isinstance(experiment.targets, RecordedTargets)
    neuron, smoothing = experiment.neuron, experiment.training.smoothing
    targets = build_targets(
        experiment, range(len(recording.values)), n_neurons=n_neurons_of(experiment, recording),
        duration_ms=duration_of(experiment, recording), recording=recording,
    )  # fmt: skip
    transfer = experiment.training.transfer
    reach = reach_of(smoothing=smoothing, tau_ms=neuron.tau_ms, step_ms=neuron.step_ms, transfer=transfer)
    per_unit = reach.excludes(targets).mean(axis=(0, 2))  # over conditions and time
    share = float(per_unit.mean())
    if share <= MUCH:
        return None
    hz = 1000.0 / neuron.tau_ms
    mostly = int((per_unit > 0.5).sum())
    without = "" if transfer == "measured" else " without noise"
    words = (
        f"{share:.0%} of the time of the recorded targets asks for rates that a {neuron.model} neuron{without} cannot "
        f"hold ({mostly} of {len(per_unit)} units: most of the time): "
    )
    if not (targets > reach.highest).any():
        return words + (
            f"above 0 and below {hz * reach.lowest:.3g} Hz, the rate of phi_2 at threshold with training.smoothing = "
            f"{smoothing:g}, where it falls silent; a smaller training.smoothing lowers this bound "
            f"({smoothing / 10:g}: {hz * reach.lowest / np.sqrt(10.0):.3g} Hz)"
        )
    if transfer != "phi_2":
        return words + f"above {hz * reach.highest:.3g} Hz, one spike per step (a smaller neuron.step_ms raises it)"
    return words + (
        f"below {hz * reach.lowest:.3g} Hz (phi_2 at threshold; a smaller training.smoothing lowers it) or above "
        f"{hz * reach.highest:.3g} Hz, one spike per step (a smaller neuron.step_ms raises it)"
    )
