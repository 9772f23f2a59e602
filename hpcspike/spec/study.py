"""A study: variants of one experiment, independent replicates, and what is probed in every trained network."""

from __future__ import annotations

import copy
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from hpcspike.errors import SpecError
from hpcspike.spec.documents import merged
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.fields import AS_WHOLE, FILE_NAME, GrownSection, Section, quantity, whole_number
from hpcspike.spec.validation import validate_experiment

Share = Annotated[float, Field(ge=0, le=1)]
NAME = r"^[A-Za-z0-9][A-Za-z0-9.-]*$"
Repetitions = Annotated[int, Field(ge=1, le=10_000), AS_WHOLE]


class Probe(Section):
    """A measure taken of every trained network, or of those of some variants."""

    variants: list[str] | None = quantity(None, doc="Variants in which it is taken; default: all.")


class QuasiStaticProbe(Probe):
    """Quasi-static prediction of drives and rates (paper Eqs 1, 2)."""

    trials: int = whole_number(40, ge=1, le=100_000, paper="Fig 3b", doc="Trials of which rates are averages.")
    bin_ms: float = quantity(50.0, unit="ms", gt=0, paper="Fig 3b", doc="Length of the bins of the rates.")


Among = Literal["all", "trained", "untrained", "excitatory", "inhibitory", "untrained_excitatory"]
"""Of whom a share is lost."""


class LesionProbe(GrownSection, Probe):
    """Performance after all synapses of some neurons are removed (paper, Fig 3d)."""

    later_keys: ClassVar[tuple[str, ...]] = ("among",)

    fractions: list[Share] = quantity(
        [0.0, 0.05, 0.1, 0.4], min_length=1, paper="Fig 3d", doc="Shares of neurons lost."
    )
    draws: int = whole_number(3, ge=1, le=1000, doc="Random choices of the lost neurons.")
    among: Among = quantity(
        "all", doc="Of whom a share is lost; 'untrained' are those without a target (training.subset)."
    )


class ShuffleProbe(Probe):
    """Performance after synapses among recorded neurons are shuffled (paper, Fig 5f)."""

    fractions: list[Share] = quantity([0.0, 0.25, 0.5, 0.75, 1.0], min_length=1, doc="Shares of synapses shuffled.")
    draws: int = whole_number(10, ge=1, le=1000, paper="Fig 5f", doc="Random shuffles.")
    trials: int = whole_number(10, ge=1, le=1000, doc="Test trials after each shuffle.")


class PerturbationProbe(Probe):
    """Phase deviation after one spike is deleted (paper, Fig 4 c, f, g)."""

    delay_ms: float = quantity(200.0, unit="ms", ge=0, paper="Fig 4", doc="When a spike is deleted, after the cue.")
    repeats: int = whole_number(5, ge=1, le=1000, doc="Trials in each of which one spike is deleted.")
    beyond_ms: float = quantity(1000.0, unit="ms", ge=0, doc="Time shown after the trained window.")


class SpectrumProbe(Probe):
    """Eigenvalues of the weights before and after training (paper, Fig 4h)."""


class HeterogeneityProbe(Probe):
    """Rank of the targets' rates against N and the number of quasi-static bins (paper, Methods)."""

    bin_ms: float = quantity(50.0, unit="ms", gt=0, doc="Length of a quasi-static bin.")


class RecallProbe(Probe):
    """Recall of every target set after every other one (paper, Fig 2)."""

    trials: int = whole_number(3, ge=1, le=1000, doc="Trials from random initial conditions.")


class SignsProbe(Probe):
    """Flipped weights and excluded synapses under a sign rule (paper, Fig 4)."""


class SpreadProbe(Probe):
    """Currents, spread of activity and sums of weights of a trained subset, before and after training."""

    trials: int = whole_number(10, ge=1, le=1000, doc="Test trials that activity is averaged over.")


class DamageProbe(Probe):
    """Score of a learner on its own when neurons are silent in tests, or one spike is deleted; for every learner."""

    fractions: list[Share] = quantity(
        [0.0, 0.05, 0.1, 0.2, 0.4], min_length=1, doc="Shares of neurons that are silent."
    )
    trials: int = whole_number(3, ge=1, le=1000, doc="Test trials with each of them, and with the deleted spike.")


class NoiseProbe(Probe):
    """Score of a learner on its own with more and more noise on its voltages; for every learner."""

    levels: list[Annotated[float, Field(ge=0, le=100)]] = quantity(
        [0.0, 0.1, 0.3, 1.0],
        min_length=1,
        doc="White noise, in distances from rest (or reset) to threshold per square root of a second; new in every "
        "trial.",
    )
    trials: int = whole_number(3, ge=1, le=1000, doc="Test trials with each of them.")


class EpisodeProbe(Probe):
    """Error in every tenth of a trial, and that of linear regression on the examples so far; for functions."""

    trials: int = whole_number(20, ge=1, le=10_000, doc="Test trials, each with a function of its own.")


class GoalsProbe(Probe):
    """Time to the first goal of a trial, the second and so on, before and after training; for navigation."""

    trials: int = whole_number(200, ge=1, le=100_000, doc="Test trials, each with a goal of its own.")


class SystemProbe(Probe):
    """The matrix A of dx/dt = A x + c that an efficient balanced network runs, beside the wanted one."""

    trials: int = whole_number(5, ge=1, le=1000, doc="Test trials from which it is decoded.")


class CancellationProbe(Probe):
    """How far fast currents cancel external ones, and fast weights are those that would; for huh with fast synapses."""

    trials: int = whole_number(5, ge=1, le=1000, doc="Test trials in which currents are compared.")


class PoissonProbe(Probe):
    """Error of independent Poisson spikes of the same rates through the decoder of an efficient balanced network."""


class BalanceProbe(Probe):
    """Balance of currents and variability of spikes of an efficient balanced network, before and after training."""

    trials: int = whole_number(20, ge=2, le=1000, doc="Trials of one input, each with noise of its own.")
    noise: float = quantity(
        0.3, ge=0, le=100, doc="White noise on voltages in them, in the units of levels of the probe noise."
    )
    bin_ms: float = quantity(100.0, unit="ms", gt=0, doc="Width of the bins of the Fano factor; divides the trial.")


class Probes(Section):
    """What is measured in the trained networks beside their performance; nothing if left out."""

    quasi_static: QuasiStaticProbe | None = None
    lesion: LesionProbe | None = None
    shuffle: ShuffleProbe | None = None
    perturbation: PerturbationProbe | None = None
    spectrum: SpectrumProbe | None = None
    heterogeneity: HeterogeneityProbe | None = None
    recall: RecallProbe | None = None
    signs: SignsProbe | None = None
    damage: DamageProbe | None = None
    noise: NoiseProbe | None = None
    episode: EpisodeProbe | None = None
    goals: GoalsProbe | None = None
    cancellation: CancellationProbe | None = None
    system: SystemProbe | None = None
    poisson: PoissonProbe | None = None
    balance: BalanceProbe | None = None
    spread: SpreadProbe | None = None

    def of(self, variant: str) -> dict[str, Probe]:
        """The probes of one variant by name."""
        asked = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: p for name, p in asked.items() if p is not None and variant in (p.variants or [variant])}


class Shown(Section):
    """Whose time courses are kept for figures, of the first replicate."""

    neurons: int = whole_number(10, ge=1, le=10_000, paper="Fig 1b", doc="Example neurons, evenly spread over all.")
    raster_neurons: int = whole_number(100, ge=0, le=100_000, paper="Fig 1b", doc="Neurons whose spikes are kept.")
    trials: int = whole_number(3, ge=1, le=1000, doc="Test trials kept.")
    before: bool = quantity(True, doc="Also show the network before training.")
    loops: list[Annotated[int, Field(ge=1), AS_WHOLE]] = quantity(
        [], doc="Training loops (1 is the first) in which the response is shown while weights change."
    )
    beyond_ms: float = quantity(0.0, unit="ms", ge=0, doc="Time shown after the trained window.")


class StudyRun(NamedTuple):
    """One trained network of a study."""

    variant: str
    replicate: int

    @property
    def label(self) -> str:
        """What it is called in files."""
        return f"{self.variant}_{self.replicate}"


class Study(Section):
    """Trained networks of several variants, each repeated several times, probed and kept for figures."""

    name: str = quantity("study", doc="Name used in files and figures.", **FILE_NAME)
    experiment: dict[str, Any] = quantity(doc="What the variants have in common.")
    variants: dict[Annotated[str, Field(pattern=NAME, max_length=100)], dict[str, Any]] = quantity(
        min_length=1, doc="Name -> sections laid over the experiment."
    )
    replicates: int = whole_number(1, ge=1, le=10_000, doc="Independent repetitions of every variant.")
    replicates_of: dict[str, Repetitions] = quantity(
        {}, doc="Variant -> its repetitions in place of replicates, as where networks differ much."
    )
    probes: Probes = quantity(Probes(), doc="What is measured beside the performance.")
    shown: Shown = quantity(Shown(), doc="Time courses kept for figures.")

    @field_validator("variants", mode="before")
    @classmethod
    def _nothing_changed(cls, variants: Any) -> Any:
        # 'name:' alone is a variant that changes nothing
        if not isinstance(variants, dict):
            return variants
        return {key: {} if value is None else value for key, value in variants.items()}

    @model_validator(mode="after")
    def _probes_know_their_variants(self) -> Study:
        for name in Probes.model_fields:
            probe = getattr(self.probes, name)
            for variant in (probe.variants or []) if probe else []:
                if variant not in self.variants:
                    raise ValueError(f"probes.{name}.variants: {variant!r} is none of {', '.join(self.variants)}")
        return self

    @model_validator(mode="after")
    def _repetitions_are_of_variants(self) -> Study:
        for variant in self.replicates_of:
            if variant not in self.variants:
                raise ValueError(f"replicates_of: {variant!r} is none of {', '.join(self.variants)}")
        return self

    def repetitions(self, variant: str) -> int:
        """How many networks of a variant there are."""
        return self.replicates_of.get(variant, self.replicates)

    @property
    def runs(self) -> list[StudyRun]:
        """All networks, variant by variant."""
        return [StudyRun(one, replicate) for one in self.variants for replicate in range(self.repetitions(one))]

    def experiment_of(self, run: StudyRun) -> Experiment:
        """The validated experiment of one network."""
        if run.variant not in self.variants:
            raise SpecError(f"variant {run.variant!r} is unknown; choose one of {', '.join(self.variants)}")
        if not 0 <= run.replicate < self.repetitions(run.variant):
            last = self.repetitions(run.variant) - 1
            raise SpecError(f"replicate {run.replicate} of {run.variant} does not exist; choose 0 to {last}")
        base = copy.deepcopy(self.experiment)
        overlay = self.variants[run.variant]
        for section in ("neuron", "connectivity", "targets"):
            _let_kind_replace(base, overlay, section)
        document = merged(base, overlay)
        document |= {"name": f"{self.name}-{run.label}", "replicate": run.replicate}
        return validate_experiment(document, source=f"variant {run.variant}")


def _let_kind_replace(base: dict[str, Any], overlay: dict[str, Any], section: str) -> None:
    """Of a section whose kind the overlay changes, only the overlay counts."""
    ours, theirs = base.get(section), overlay.get(section)
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in ("kind", "model"):
            if key in theirs and theirs[key] != ours.get(key):
                del base[section]
                return
