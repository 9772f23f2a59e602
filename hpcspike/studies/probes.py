"""The probes of a study: from a section of its file to named arrays, by the functions of `hpcspike.measures`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hpcspike.engine.trained import Trained
from hpcspike.errors import SpecError
from hpcspike.spec import study as sections
from hpcspike.spec.connectivity import DaleConnectivity
from hpcspike.spec.experiment import Experiment

Arrays = dict[str, tuple[tuple[str, ...], Any]]
"""Name -> dimensions and values, for names of `hpcspike.variables.STUDY`."""


class Networks(NamedTuple):
    """What a probe looks at: a network, the same before training, what it was made from, and the example neurons."""

    trained: Trained
    untrained: Trained
    experiment: Experiment
    examples: np.ndarray


def _recall(networks: Networks, probe: sections.RecallProbe) -> Arrays:
    from hpcspike.measures.successive_recall import recall

    found = recall(networks.trained, trials=probe.trials)
    sets = np.arange(networks.trained.problem.n_sets)
    return {
        "target_set": (("target_set",), sets),
        "preceding_set": (("preceding_set",), sets),
        "recall_correlation": (("target_set", "preceding_set"), found.cued),
        "recall_confusion": (("target_set", "preceding_set"), found.confused),
    }


def _quasi_static(networks: Networks, probe: sections.QuasiStaticProbe) -> Arrays:
    from hpcspike.measures.quasi_static import predict_quasi_static

    trained, examples = networks.trained, networks.examples
    n_sets = trained.problem.n_sets
    found = [predict_quasi_static(trained, stimulus=s, trials=probe.trials, bin_ms=probe.bin_ms) for s in range(n_sets)]
    before = predict_quasi_static(networks.untrained, trials=min(probe.trials, 3), bin_ms=probe.bin_ms)

    def mean(name: str) -> float:
        return float(np.mean([getattr(one, name).mean() for one in found]))

    def courses(name: str) -> np.ndarray:
        return np.stack([getattr(one, name)[examples] for one in found])

    bins = found[0].rate.shape[-1]
    return {
        "quasi_static_drive_correlation": ((), mean("correlation_drive")),
        "quasi_static_rate_correlation": ((), mean("correlation_rate_of_drive")),
        "quasi_static_drive_correlation_before": ((), float(before.correlation_drive.mean())),
        "target_set": (("target_set",), np.arange(n_sets)),
        "predicted_drive": (("target_set", "example", "target_time"), courses("predicted_drive")),
        "rate_time": (("rate_time",), probe.bin_ms * (np.arange(bins) + 0.5)),
        "binned_rate": (("target_set", "example", "rate_time"), courses("rate")),
        "predicted_rate": (("target_set", "example", "rate_time"), courses("rate_of_drive")),
    }


def _lesion(networks: Networks, probe: sections.LesionProbe) -> Arrays:
    from hpcspike.measures.lesion import measure_lesions

    found = measure_lesions(networks.trained, fractions=probe.fractions, draws=probe.draws, among=probe.among)
    return {
        "lesion_fraction": (("lesion_fraction",), np.array(probe.fractions)),
        "draw": (("draw",), np.arange(probe.draws)),
        "lesion_correlation": (("lesion_fraction", "draw"), found.response),
        "lesion_worst_decile": (("lesion_fraction", "draw"), found.worst_decile),
        "lesion_share_followed": (("lesion_fraction", "draw"), found.share_followed),
    }


def _shuffle(networks: Networks, probe: sections.ShuffleProbe) -> Arrays:
    from hpcspike.measures.shuffle import measure_shuffles

    problem = networks.trained.problem
    if not problem.n_recorded:
        raise SpecError("probes.shuffle needs targets.kind = recorded: it shuffles the synapses of recorded neurons")
    found = measure_shuffles(
        networks.trained, n_recorded=problem.n_recorded, fractions=probe.fractions, draws=probe.draws,
        trials=probe.trials,
    )  # fmt: skip
    return {
        "shuffle_fraction": (("shuffle_fraction",), np.array(probe.fractions)),
        "draw": (("draw",), np.arange(probe.draws)),
        "shuffle_correlation": (("shuffle_fraction", "draw"), found.trial_mean),
        "shuffle_correlation_phi": (("shuffle_fraction", "draw"), found.rate_of_drive),
    }


def _perturbation(networks: Networks, probe: sections.PerturbationProbe) -> Arrays:
    from hpcspike.measures.perturbation import delete_spike

    arrays: Arrays = {}
    for when, network in (("before", networks.untrained), ("after", networks.trained)):
        found = delete_spike(network, repeats=probe.repeats, delay_ms=probe.delay_ms, beyond_ms=probe.beyond_ms)
        known = found.neuron >= 0
        mean = found.deviation[known].mean(axis=0) if known.any() else np.full(len(found.time_ms), np.nan)
        arrays["deviation_time"] = (("deviation_time",), found.time_ms)
        arrays[f"phase_deviation_{when}"] = (("deviation_time",), mean)
    return arrays


def _spectrum(networks: Networks, probe: sections.SpectrumProbe) -> Arrays:
    from hpcspike.measures.weight_eigenvalues import dale_divisor, eigenvalues

    connectivity = networks.experiment.connectivity
    divisor = dale_divisor(connectivity) if isinstance(connectivity, DaleConnectivity) else 1.0
    found = eigenvalues(networks.trained, divisor=divisor)
    arrays: Arrays = {"eigenvalue": (("eigenvalue",), np.arange(len(found.after)))}
    for when, values, radius in zip(("before", "after"), (found.before, found.after), found.radii, strict=True):
        arrays[f"eigenvalue_real_{when}"] = (("eigenvalue",), values.real)
        arrays[f"eigenvalue_imag_{when}"] = (("eigenvalue",), values.imag)
        arrays[f"spectral_radius_{when}"] = ((), radius)
    return arrays


def _heterogeneity(networks: Networks, probe: sections.HeterogeneityProbe) -> Arrays:
    from hpcspike.measures.heterogeneity import measure_heterogeneity

    found = measure_heterogeneity(networks.trained, bin_ms=probe.bin_ms)
    known = np.isfinite(found.residual)
    return {
        "rank": ((), found.rank),
        "full_rank": ((), min(found.n_neurons, found.n_bins)),
        "effective_rank": ((), found.effective_rank),
        "best_fit_residual": ((), float(found.residual[known].mean()) if known.any() else np.nan),
    }


def _signs(networks: Networks, probe: sections.SignsProbe) -> Arrays:
    from hpcspike.measures.kept_signs import signs

    found = signs(networks.trained)
    return {
        "sign_flips": ((), found.flipped),
        "excluded_share": (("loop",), found.excluded),
    }


def _spread(networks: Networks, probe: sections.SpreadProbe) -> Arrays:
    from hpcspike.measures.balance import CURRENTS, GROUPS, measure_spread, record_currents, weight_sums

    currents = record_currents(networks.trained, networks.examples)
    neuron, before, after = weight_sums(networks.trained)
    arrays: Arrays = {
        "part": (("part",), np.array(CURRENTS)),
        "part_time": (("part_time",), currents.time_ms),
        "input_part": (("part", "example", "part_time"), currents.value),
        "group": (("group",), np.array(GROUPS)),
        "side": (("side",), np.array(["excitatory", "inhibitory"])),
        "plastic_neuron": (("plastic_neuron",), neuron),
        "weight_sum_before": (("side", "plastic_neuron"), before),
        "weight_sum_after": (("side", "plastic_neuron"), after),
    }
    for when, network in (("before", networks.untrained), ("after", networks.trained)):
        found = measure_spread(network, trials=probe.trials)
        for name, values in zip(("rate", "first", "second", "share"), found, strict=True):
            arrays[f"group_{name}_{when}"] = (("group",), values)
    return arrays


PROBES: dict[str, Callable[[Networks, Any], Arrays]] = {
    "quasi_static": _quasi_static,
    "lesion": _lesion,
    "shuffle": _shuffle,
    "perturbation": _perturbation,
    "spectrum": _spectrum,
    "heterogeneity": _heterogeneity,
    "recall": _recall,
    "signs": _signs,
    "spread": _spread,
}
"""Name in the ``probes`` section -> what takes the measure."""
