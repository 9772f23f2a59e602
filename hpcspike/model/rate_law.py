"""What rate training takes for the rate of a neuron: phi_1, phi_2, or the measured curve of each kind of neuron."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from hpcspike.model.measured_transfer import Curve, curve_of
from hpcspike.model.neurons import parameters
from hpcspike.model.rate_law_kinds import MEASURED, PHI_1, PHI_2
from hpcspike.model.transfer import rate_of_constant_input, rate_of_noisy_input
from hpcspike.model.transfer_kernels import on_curves
from hpcspike.spec.experiment import Neuron, Training, TrialNoise, UserNeuron


class RateLaw(NamedTuple):
    """Transfer functions of a block of neurons as kernels take them.

    kind: PHI_1, PHI_2 or MEASURED; smoothing: c of phi_2; external_gain: what the external input I counts in units of
    the drive u; curve (n,): which curve each neuron has; start (curves + 1,): where each begins in knots, rate and
    slope; tail (curves,): see `hpcspike.model.measured_transfer.Curve`.
    """

    kind: int
    smoothing: float
    external_gain: float
    curve: np.ndarray
    start: np.ndarray
    knots: np.ndarray
    rate: np.ndarray
    slope: np.ndarray
    tail: np.ndarray

    def of(self, drive: np.ndarray, external: np.ndarray) -> np.ndarray:
        """Rates in spikes per tau at drives u and external inputs I, (n, samples) each."""
        if self.kind == PHI_1:
            return rate_of_constant_input(drive + external)
        if self.kind == PHI_2:
            return rate_of_noisy_input(drive + external, self.smoothing)
        return self._measured(drive, external)[0]

    def slope_of(self, drive: np.ndarray, external: np.ndarray) -> np.ndarray:
        """Derivatives of a measured law by the drive; arguments as `of`."""
        return self._measured(drive, external)[1]

    def _measured(self, drive: np.ndarray, external: np.ndarray) -> np.ndarray:
        x = np.ascontiguousarray(drive + self.external_gain * external)
        found = np.empty((2, *x.shape))
        on_curves(x, self.curve, self.start, self.knots, self.rate, self.slope, self.tail, found[0], found[1])
        return found

    def curves(self) -> list[Curve]:
        """The tabulated curves; none but of a measured law."""
        parts = zip(self.start[:-1], self.start[1:], self.tail, strict=True)
        return [Curve(self.knots[a:b], self.rate[a:b], self.slope[a:b], float(tail)) for a, b, tail in parts]


def rate_law(
    training: Training,
    neuron: Neuron,
    noise: TrialNoise,
    *,
    n_neurons: int,
    neurons: range,
    together: Callable[[Callable[[], list[Curve]]], list[Curve]] = lambda work: work(),
) -> RateLaw:
    """The law by which ``neurons`` of a network are trained.

    Parameters
    ----------
    training, neuron, noise
        Sections of an experiment.
    n_neurons, neurons
        Size of the network, and the neurons of this block.
    together
        Runs what measures curves on one rank and gives all ranks its result; default: this process alone.

    Raises
    ------
    SpecError
        If the transfer function is to be measured, and the neurons have none that can be trained.
    """
    law = {"phi_1": PHI_1, "phi_2": PHI_2, "measured": MEASURED}[training.transfer]
    if law != MEASURED:
        return packed(law, np.zeros(len(neurons), dtype=np.int32), [], smoothing=training.smoothing)
    examples, curve = kinds_of(neuron, n_neurons, noise)
    external = bias_of(neuron)
    found = together(lambda: [curve_of(neuron, noise.of_neuron(index), index, external) for index in examples])
    return packed(law, curve[neurons.start : neurons.stop], found, external_gain=external_gain(neuron))


def packed(
    kind: int, curve: np.ndarray, curves: list[Curve], *, smoothing: float = 1.0, external_gain: float = 1.0
) -> RateLaw:
    """A law from its curves, of which ``curve`` (n,) names that of each neuron."""
    none = [np.empty(0)]
    start = np.cumsum([0, *(len(one.knots) for one in curves)])
    knots, rate, slope = (
        np.concatenate(none + [getattr(one, name) for one in curves]) for name in ("knots", "rate", "slope")
    )
    tail = np.array([one.tail for one in curves], dtype=np.float64)
    return RateLaw(
        kind, smoothing, external_gain, np.ascontiguousarray(curve, np.int32), start, knots, rate, slope, tail
    )


def kinds_of(neuron: Neuron, n_neurons: int, noise: TrialNoise) -> tuple[list[int], np.ndarray]:
    """Neurons with other parameters or noise, one of each kind, and which of them each neuron is like, (N,) int32."""
    columns = parameters(neuron, range(n_neurons))
    if noise.neuron_factors is not None:
        columns = np.vstack([np.broadcast_to(columns, (len(columns), n_neurons)), noise.neuron_factors])
    if columns.size == 0 or columns.shape[1] == 1:
        return [0], np.zeros(n_neurons, dtype=np.int32)
    _, first, like = np.unique(columns, axis=1, return_index=True, return_inverse=True)
    order = np.argsort(first)  # by their first neuron, and not by their numbers
    place = np.empty(len(first), dtype=np.int32)
    place[order] = np.arange(len(first))
    return first[order].tolist(), place[like.ravel()]


def bias_of(neuron: Neuron) -> float:
    """The external input that curves are measured at: 0, or that of a user's neurons, which may take it in any way."""
    return neuron.bias if isinstance(neuron, UserNeuron) else 0.0


def external_gain(neuron: Neuron) -> float:
    """External input I in units of the drive u of a measured curve: the neurons' equations have I + gain u."""
    if isinstance(neuron, UserNeuron):
        return 0.0
    return 1.0 / getattr(neuron, "drive_gain", 1.0)


def table_of(law: RateLaw, *, tau_ms: float) -> dict[str, np.ndarray]:
    """The curves of a measured law as variables of a Dataset (`hpcspike.variables.TRANSFER`), rates in Hz."""
    curves, hz = law.curves(), 1000.0 / tau_ms
    longest = max(len(one.knots) for one in curves)
    table = np.full((3, len(curves), longest), np.nan)
    for row, one in enumerate(curves):
        table[:, row, : len(one.knots)] = one.knots, hz * one.rate, hz * one.slope
    names = ("transfer_input", "transfer_rate", "transfer_slope")
    return {**dict(zip(names, table, strict=True)), "transfer_tail": law.tail}


def law_of_table(table: Mapping[str, np.ndarray], curve: np.ndarray, *, neuron: Neuron) -> RateLaw:
    """The law that `table_of` was made of, of neurons on these curves (n,)."""
    hz = 1000.0 / neuron.tau_ms
    curves = []
    for knots, rate, slope, tail in zip(
        *(table[name] for name in ("transfer_input", "transfer_rate", "transfer_slope", "transfer_tail")), strict=True
    ):
        there = np.isfinite(knots)
        curves.append(Curve(knots[there], rate[there] / hz, slope[there] / hz, float(tail)))
    return packed(MEASURED, curve, curves, external_gain=external_gain(neuron))
