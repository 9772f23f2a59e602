"""What parameters and results are called in figures and on pages: words, symbol and unit, each in one place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from hpcspike.variables import POINT_PARAMETERS


class Name(NamedTuple):
    """Words for an axis, the paper's symbol (``tau_s``; empty: none), and whether the symbol does in a legend."""

    words: str
    symbol: str = ""
    well_known: bool = False


NAMES = {
    "tau_syn_ms": Name("synaptic decay time", "tau_s", well_known=True),
    "tau_corr_ms": Name("correlation time of targets", "tau_c", well_known=True),
    "duration_ms": Name("length of the window", "T", well_known=True),
    "n_neurons": Name("number of neurons", "N", well_known=True),
    "n_loops": Name("training loops"),
    "n_sets": Name("target sets"),
    "n_readouts": Name("readouts"),
    "n_units": Name("recorded units"),
    "n_test_trials": Name("test trials"),
    "static_tau_syn_ms": Name("decay time of fixed synapses"),
    "ridge": Name("ridge", "lambda"),
    "row_sum_penalty": Name("penalty on row sums", "mu"),
    "feed_forward_ridge": Name("feed-forward ridge", "lambda_FF"),
    "plastic_in_degree": Name("plastic inputs per population", "L"),
    "update_interval_ms": Name("interval between updates", "Delta_t"),
    "smoothing": Name("smoothing of the transfer function", "c"),
    "probability": Name("connection probability", "p"),
    "sigma": Name("weight scale", "sigma"),
    "gain": Name("gain of the rate network", "g"),
    "coupling": Name("excitatory strength", "J"),
    "inhibition": Name("inhibition over excitation", "g"),
    "inhibitory_fraction": Name("share of inhibitory neurons", "f"),
    "excitatory_fraction": Name("share of excitatory neurons", "f"),
    "random_fraction": Name("share of neurons with targets of their own"),
    "auxiliary_ratio": Name("auxiliary neurons per recorded neuron"),
    "auxiliary_tau_corr_ms": Name("correlation time of auxiliary targets"),
    "auxiliary_standard_deviation": Name("s.d. of auxiliary targets"),
    "amplitude": Name("amplitude"),
    "targets_amplitude": Name("amplitude of the targets"),
    "stimulus_amplitude": Name("amplitude of the cue"),
    "stimulus_duration_ms": Name("length of the cue"),
    "standard_deviation": Name("standard deviation"),
    "targets_standard_deviation": Name("s.d. of the targets"),
    "frozen_noise_standard_deviation": Name("s.d. of the frozen noise"),
    "frozen_noise_tau_corr_ms": Name("correlation time of the frozen noise"),
    "bias": Name("constant current", "I_0"),
    "step_ms": Name("integration step", "dt"),
    "tau_ms": Name("time constant of the rate units"),
    "tau_adaptation_ms": Name("time constant of adaptation"),
    "tau_readout_ms": Name("time constant of readouts"),
    "tau_fast_ms": Name("time constant of fast synapses"),
    "refractory_ms": Name("refractory period"),
    "drive_gain": Name("factor of the drive"),
    "learning_rate": Name("learning rate"),
    "passes": Name("passes over the training trials"),
    "beta": Name("rise of adaptive thresholds", "beta"),
    "min_rate_hz": Name("least mean rate of a unit"),
    "fast_time_ms": Name("cut-off time of fast power"),
    "free_run_ms": Name("free run before a cue"),
}
"""Parameters by the name of their column; of others `name_of` makes words of the key."""

_GREEK = {
    "tau": "τ", "lambda": "λ", "sigma": "σ", "beta": "β", "Delta": "Δ", "eps": "ε", "phi": "φ", "mu": "μ",
}  # fmt: skip
_ENDINGS = {"_per_s": "1/s", "_ms": "ms", "_hz": "Hz", "_mv": "mV"}


def name_of(key: str) -> Name:
    """Name of a parameter by its column or its dotted key; words made of the key where `NAMES` has none.

    >>> name_of("tau_syn_ms").words, name_of("targets.random_fraction").words, name_of("feedback_last_per_s").words
    ('synaptic decay time', 'share of neurons with targets of their own', 'feedback last')
    """
    last = key.rpartition(".")[2]
    found = next((NAMES[one] for one in (key, key.replace(".", "_"), last) if one in NAMES), None)
    if found is not None:
        return found
    ending = next((ending for ending in _ENDINGS if last.endswith(ending)), "")
    return Name(re.sub(r"^n ", "number of ", last.removesuffix(ending).replace("_", " ")))


def units_of(key: str, attrs: Mapping[str, Any] | None = None) -> str:
    """Unit of a parameter: of the registry, of its attributes, or that in which its key ends; empty: a pure number.

    >>> units_of("tau_syn_ms"), units_of("rate", {"units": "Hz"}), units_of("n_loops"), units_of("settle_ms")
    ('ms', 'Hz', '', 'ms')
    """
    known = POINT_PARAMETERS.get(key)
    found = known.units if known is not None else str((attrs or {}).get("units", ""))
    if found in ("", "1"):
        found = next((unit for ending, unit in _ENDINGS.items() if key.endswith(ending)), "") if known is None else ""
    return found


def letters(symbol: str) -> str:
    """A symbol as it is spoken and searched.

    >>> letters("tau_s"), letters("N"), letters("Delta_t")
    ('τs', 'N', 'Δt')
    """
    head, low = _parts(symbol)
    return head + low


def html(symbol: str) -> str:
    """A symbol as HTML.

    >>> html("tau_s"), html("N")
    ('τ<sub>s</sub>', 'N')
    """
    head, low = _parts(symbol)
    return head + (f"<sub>{low}</sub>" if low and not symbol.startswith("Delta") else low)


def tex(symbol: str) -> str:
    """A symbol as matplotlib sets it, in italics.

    >>> tex("tau_s"), tex("N"), tex("Delta_t")
    ('$\\\\tau_s$', '$N$', '$\\\\Delta t$')
    """
    head, _, low = symbol.partition("_")
    head = f"\\{head}" if head in _GREEK else head
    low = f"{{{low}}}" if len(low) > 1 else low
    return f"${head} {low}$" if symbol.startswith("Delta") else f"${head}_{low}$" if low else f"${head}$"


def _parts(symbol: str) -> tuple[str, str]:
    head, _, low = symbol.partition("_")
    return _GREEK.get(head, head), low
