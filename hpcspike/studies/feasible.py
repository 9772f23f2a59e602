"""Whether a study can be carried out: asked before its first network is trained, not after hours of it."""

from __future__ import annotations

from hpcspike.errors import SpecError
from hpcspike.model.connectivity import n_excitatory
from hpcspike.runs.facts import Facts, facts_of, refuse_in_vain
from hpcspike.spec.effect import differing
from hpcspike.spec.experiment import Experiment, is_multiple
from hpcspike.spec.learners import BalancedNetwork, HuhLearner
from hpcspike.spec.study import (
    BalanceProbe,
    CancellationProbe,
    DamageProbe,
    EpisodeProbe,
    GoalsProbe,
    HeterogeneityProbe,
    LesionProbe,
    NoiseProbe,
    PerturbationProbe,
    PoissonProbe,
    Probe,
    QuasiStaticProbe,
    ShuffleProbe,
    SpreadProbe,
    Study,
    StudyRun,
    SystemProbe,
)
from hpcspike.spec.targets import ANSWERED, DrivenTargets, FunctionsTargets
from hpcspike.spec.task_targets import AutoencoderTargets, NavigationTargets

_OF_THETA_NEURONS = (QuasiStaticProbe, PerturbationProbe, HeterogeneityProbe)
_OF_EVERY_LEARNER = (DamageProbe, NoiseProbe)
_OF_BALANCED_NETWORKS = (SystemProbe, PoissonProbe, BalanceProbe)
_LINEAR = ("linear", "oscillator", "pushed_oscillator")
"""Driven systems that have a matrix."""


def check_study(study: Study) -> None:
    """Refuse a study of which a network cannot be built, or a measure cannot be taken.

    Raises
    ------
    HpcspikeError
        Naming the variant, or the probe.
    """
    experiments = {variant: study.experiment_of(StudyRun(variant, 0)) for variant in study.variants}
    varied = differing(experiments.values())
    for variant, experiment in experiments.items():
        facts, probes = facts_of(experiment), study.probes.of(variant)
        try:
            refuse_in_vain(experiment, varied=varied)
        except SpecError as error:
            raise SpecError(f"study {study.name!r}: variant {variant}: {error}") from None
        refuse_probes(probes, variant, experiment)
        if experiment.learner.kind != "rls" or "damage" in probes:  # judged as learners are, without these measures
            continue
        for name, probe in probes.items():
            reason = why_not_taken(probe, experiment, facts)
            if reason is not None:
                raise SpecError(
                    f"study {study.name!r}: probes.{name}{reason}, in variant {variant!r}; change it, or name in "
                    f"probes.{name}.variants those that are to be measured"
                )


def refuse_probes(asked: dict[str, Probe], variant: str, experiment: Experiment) -> None:
    """Refuse what a network cannot be asked because of who trains it, or of what it is trained for.

    Raises
    ------
    SpecError
        If a probe looks into networks that rls trains and another learner trains this one, or into efficient balanced
        networks and this one is none; or if scores of damage are asked of a task whose answers are right or wrong.
    """
    without = f"name the variants it is for, without {variant!r}"
    for name, probe in asked.items():
        reason = _why_not_asked(probe, experiment)
        if reason is not None:
            raise SpecError(f"probes.{name} {reason}; {without}")


def _why_not_asked(probe: Probe, experiment: Experiment) -> str | None:
    learner, targets, kind = experiment.learner, experiment.targets, experiment.targets.kind
    if isinstance(probe, _OF_EVERY_LEARNER):
        if isinstance(targets, ANSWERED):
            return "measures correlations and squared errors, but answers of this variant are right or wrong"
        if isinstance(targets, NavigationTargets):
            return "measures correlations and squared errors, but networks of this variant look for goals"
        return None
    if isinstance(probe, EpisodeProbe):
        return None if isinstance(targets, FunctionsTargets) else f"is for targets.kind = functions, not {kind}"
    if isinstance(probe, GoalsProbe):
        return None if isinstance(targets, NavigationTargets) else f"is for targets.kind = navigation, not {kind}"
    if isinstance(probe, CancellationProbe):
        if not isinstance(learner, HuhLearner) or learner.tau_fast_ms is None:
            return "is for learner.kind = huh with fast synapses (learner.tau_fast_ms)"
        return None if isinstance(targets, AutoencoderTargets) else f"is for targets.kind = autoencoder, not {kind}"
    if isinstance(probe, _OF_BALANCED_NETWORKS):
        if not isinstance(learner, BalancedNetwork):
            return f"is for efficient balanced networks (ebn_bourdoukan, ebn_alemi), not for {learner.kind}"
        if not isinstance(targets, DrivenTargets):
            return f"is for targets.kind = driven, not for {kind}"
        if isinstance(probe, SystemProbe) and targets.system not in _LINEAR:
            return f"is for systems with a matrix ({', '.join(_LINEAR)}), not for targets.system = {targets.system}"
        if isinstance(probe, BalanceProbe) and not is_multiple(targets.duration_ms, probe.bin_ms):
            duration = f"targets.duration_ms = {targets.duration_ms:g} ms"
            return f"has bin_ms = {probe.bin_ms:g} ms, which does not divide {duration}"
        return None
    if learner.kind != "rls":
        return f"is for networks that rls trains, not for learner.kind = {learner.kind}"
    return None


def why_not_taken(probe: Probe, experiment: Experiment, facts: Facts) -> str | None:
    """What forbids to take a measure of a network, as it follows the probe's key; None if nothing does."""
    if isinstance(probe, _OF_THETA_NEURONS) and experiment.neuron.model != "theta":
        return f" needs neuron.model = theta, not {experiment.neuron.model}"
    if isinstance(probe, QuasiStaticProbe | HeterogeneityProbe) and probe.bin_ms > facts.duration_ms * (1 + 1e-9):
        return f".bin_ms = {probe.bin_ms:g} ms is longer than the window of {facts.duration_ms:g} ms"
    if isinstance(probe, QuasiStaticProbe) and not is_multiple(probe.bin_ms, experiment.targets.grid_ms):
        return f".bin_ms = {probe.bin_ms:g} ms is not a multiple of targets.grid_ms = {experiment.targets.grid_ms:g} ms"
    if isinstance(probe, PerturbationProbe):
        return _why_not_deleted(probe, experiment, facts)
    if isinstance(probe, ShuffleProbe) and facts.n_recorded == 0:
        return " needs targets.kind = recorded: it shuffles the synapses of recorded neurons"
    if isinstance(probe, SpreadProbe) and experiment.training.subset is None:
        return " needs training.subset: it compares trained neurons with those that are not"
    if isinstance(probe, LesionProbe) and probe.among not in ("all", "trained"):
        if experiment.training.subset is None and "untrained" in probe.among:
            return f".among = {probe.among}: without training.subset all neurons are trained"
        if n_excitatory(experiment.connectivity, facts.n_neurons) is None:
            return f".among = {probe.among}: connectivity.kind = {experiment.connectivity.kind} has no populations"
    if isinstance(probe, LesionProbe) and probe.among == "all":
        lost = max(probe.fractions)
        if round(lost * facts.n_neurons) >= facts.n_neurons:
            return f".fractions: {lost:g} leaves none of {facts.n_neurons} neurons"
    return None


def _why_not_deleted(probe: PerturbationProbe, experiment: Experiment, facts: Facts) -> str | None:
    step, end = experiment.neuron.step_ms, facts.duration_ms + probe.beyond_ms
    if not is_multiple(probe.delay_ms, step):
        return f".delay_ms = {probe.delay_ms:g} ms is not a multiple of neuron.step_ms = {step:g} ms"
    if probe.delay_ms >= end:
        return f".delay_ms = {probe.delay_ms:g} ms: must be below {end:g} ms, the end of window and beyond_ms"
    return None
