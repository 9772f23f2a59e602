"""What every neuron is asked to do: the families of target functions (paper, Methods: target functions)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from hpcspike.spec.fields import GrownSection, Interval, TargetsSection, is_multiple, quantity, whole_number
from hpcspike.spec.recorded import GENERATED as GENERATED
from hpcspike.spec.recorded import NO_FILE_REMEDY as NO_FILE_REMEDY
from hpcspike.spec.recorded import RecordedTargets as RecordedTargets
from hpcspike.spec.task_targets import AutoencoderTargets as AutoencoderTargets
from hpcspike.spec.task_targets import DigitsTargets as DigitsTargets
from hpcspike.spec.task_targets import FunctionsTargets as FunctionsTargets
from hpcspike.spec.task_targets import NavigationTargets as NavigationTargets


def _ordered(interval: Interval) -> Interval:
    if interval[1] < interval[0]:
        raise ValueError("must be [low, high] with low <= high")
    return interval


def _has_length(period: Interval) -> Interval:
    if period == (0.0, 0.0):
        raise ValueError("a period of 0 ms has no frequency; choose [low, high] above 0 ms")
    return period


class GeneratedTargets(TargetsSection):
    """What target functions drawn from a family have in common."""

    random_fraction: float = quantity(
        1.0,
        ge=0,
        le=1,
        paper="Fig 3c",
        doc="Share of neurons, drawn at random, with targets of their own; all others share the target of one of them.",
    )


class SineTargets(GeneratedTargets):
    """f(t) = A sin(2 pi (t - T0) / T1) (paper, Figs 1 and 2)."""

    kind: Literal["sine"]
    amplitude: Interval = quantity((0.5, 1.5), paper="Fig 1", doc="Range of the uniform amplitude A.")
    phase_ms: Interval = quantity((0.0, 1000.0), unit="ms", paper="Fig 1", doc="Range of the uniform phase T0.")
    period_ms: Interval = quantity((300.0, 1000.0), unit="ms", paper="Fig 1", doc="Range of the uniform period T1.")

    _check = field_validator("amplitude", "phase_ms", "period_ms")(_ordered)
    _check_periods = field_validator("period_ms")(_has_length)


class SineProductTargets(GeneratedTargets):
    """f(t) = A sin(2 pi (t - T0) / T1) sin(2 pi (t - T0') / T2) (paper, Fig 3)."""

    kind: Literal["sine_product"]
    amplitude: Interval = quantity((0.5, 1.5), paper="Fig 3", doc="Range of the uniform amplitude A.")
    phases: Literal["one", "two"] = quantity(
        "two", doc="'one': both factors share T0 (the formula as printed); 'two': each factor has its own phase."
    )
    phase_ms: Interval = quantity((0.0, 1000.0), unit="ms", paper="Fig 3", doc="Range of the phase T0 if phases: one.")
    period_ms: Interval = quantity((500.0, 1000.0), unit="ms", paper="Fig 3", doc="Range of the slow period T1.")
    period_fast_ms: Interval = quantity((100.0, 500.0), unit="ms", paper="Fig 3", doc="Range of the fast period T2.")

    _check = field_validator("amplitude", "phase_ms", "period_ms", "period_fast_ms")(_ordered)
    _check_periods = field_validator("period_ms", "period_fast_ms")(_has_length)


class OrnsteinUhlenbeckTargets(GeneratedTargets):
    """tau_c df/dt = -f + noise, started from its stationary distribution (paper, Figs 3, 6, 7)."""

    kind: Literal["ou"]
    tau_corr_ms: float = quantity(100.0, unit="ms", gt=0, paper="Figs 6, 7", doc="Correlation time tau_c.")
    standard_deviation: float = quantity(
        0.5, gt=0, doc="Stationary s.d. of the targets; the paper does not state it (its noise strength is ambiguous)."
    )


class ChaoticTargets(GeneratedTargets):
    """Activity of a chaotic rate network: tau dx/dt = -x + M sqrt([x]_+)/pi (paper, Fig 3)."""

    kind: Literal["chaotic"]
    tau_ms: float = quantity(40.0, unit="ms", gt=0, paper="Fig 3", doc="Time constant of the rate units.")
    gain: float = quantity(5.0, gt=0, paper="Fig 3", doc="Gain g; a non-zero weight has s.d. g / sqrt(N p).")
    probability: float = quantity(0.3, gt=0, le=1, paper="Fig 3", doc="Connection probability of the rate network.")
    zero_row_sum: bool = quantity(True, doc="Subtract each row's mean non-zero weight, as the authors' program does.")
    transient_ms: float = quantity(1100.0, unit="ms", ge=0, doc="Discarded transient before the window.")


class InnateTargets(TargetsSection):
    """Synaptic drives that the untrained network itself produces from random initial conditions (paper, Fig 4)."""

    kind: Literal["innate"]
    duration_ms: float = quantity(2000.0, unit="ms", gt=0, paper="Fig 4", doc="Length T of the trained window.")
    transient_ms: float = quantity(
        3000.0, unit="ms", ge=0, paper="Fig 4", doc="Run from random phases and r = 0 before the drives are recorded."
    )
    cue: Literal["none", "at_start", "before_recording"] = quantity(
        "none", doc="Whether the target set's cue is given: never, before the transient, or between it and the record."
    )


FASTEST_PER_S = 200.0
"""Largest modulus of an eigenvalue of a linear system (1/s): its samples and steps of integration are 1 ms apart."""


class DrivenTargets(GrownSection, TargetsSection):
    """State of a system dx/dt = f(x) + c with random commands c, new in every trial; for learners that take input.

    The commands and systems are those of `hpcspike.learners.tasks` and, for ``linear``, of
    `hpcspike.learners.linear_systems`.
    """

    later_keys: ClassVar[tuple[str, ...]] = ("matrix", "n_states", "modulus_per_s")

    kind: Literal["driven"]
    system: Literal["oscillator", "pushed_oscillator", "bistable", "pendulum", "linear"] = quantity(
        doc="Damped oscillator driven by noise or by one push, two stable states chosen by pulses, damped pendulum, "
        "any stable linear system driven by noise."
    )
    free_ms: float | None = quantity(
        None, unit="ms", ge=0, doc="Pushed oscillator: score only what comes so long after the push; default: all."
    )
    matrix: list[list[float]] | None = quantity(
        None, unit="1/s", doc="Linear: A of dx/dt = A x + c, row by row; all its eigenvalues have negative real parts."
    )
    n_states: int | None = whole_number(
        None, ge=1, le=64, doc="Linear, instead of matrix: size J of a random stable A, another in every replicate."
    )
    modulus_per_s: Interval = quantity(
        (2.0, 15.0), unit="1/s", doc="Linear, with n_states: range of the moduli of the eigenvalues of A."
    )

    @model_validator(mode="after")
    def _one_state(self) -> DrivenTargets:
        if self.free_ms is not None and self.system != "pushed_oscillator":
            raise ValueError(
                f"targets.free_ms = {self.free_ms:g} ms is for targets.system = pushed_oscillator, whose command ends; "
                f"leave it out for {self.system}"
            )
        if self.n_sets != 1 or self.offset != "none":
            raise ValueError(
                f"targets.n_sets = {self.n_sets}, targets.offset = {self.offset}: a driven system has one state and "
                "no offset; choose n_sets: 1 and offset: none"
            )
        return self

    @model_validator(mode="after")
    def _one_matrix(self) -> DrivenTargets:
        linear, given = self.system == "linear", [key for key in self.later_keys if key in self.model_fields_set]
        low, high = self.modulus_per_s
        if given and not linear:
            raise ValueError(
                f"targets.{given[0]} is for targets.system = linear; leave it out for targets.system = {self.system}"
            )
        if linear and (self.matrix is None) == (self.n_states is None):
            raise ValueError(
                "targets.system = linear takes either targets.matrix (A in 1/s, row by row) or targets.n_states (size "
                "of a random stable A); give one of them"
            )
        if not 0 < low <= high <= FASTEST_PER_S:
            raise ValueError(
                f"targets.modulus_per_s = [{low:g}, {high:g}] per s: must be [low, high] with 0 < low <= high <= "
                f"{FASTEST_PER_S:g} per s"
            )
        if self.matrix is not None:
            _refuse_unstable(self.matrix)
        return self


def _refuse_unstable(rows: list[list[float]]) -> None:
    import numpy as np

    if not rows or len(rows) > 64 or any(len(row) != len(rows) for row in rows):
        lengths = ", ".join(str(len(row)) for row in rows) or "none"
        raise ValueError(
            f"targets.matrix has {len(rows)} rows of {lengths} numbers: must be square, of 1 to 64 rows: [[-2, -12], "
            "[12, -2]]"
        )
    eigenvalues = np.linalg.eigvals(np.array(rows, dtype=np.float64))
    if eigenvalues.real.max() >= 0:
        raise ValueError(
            f"targets.matrix has an eigenvalue with real part {eigenvalues.real.max():.3g} per s: all must be below 0, "
            "so that the state of dx/dt = A x + c stays bounded; subtract more on the diagonal"
        )
    if np.abs(eigenvalues).max() > FASTEST_PER_S:
        raise ValueError(
            f"targets.matrix has an eigenvalue of modulus {np.abs(eigenvalues).max():.4g} per s: must be at most "
            f"{FASTEST_PER_S:g} per s, for steps of 1 ms"
        )


class StoreRecallTargets(TargetsSection):
    """A bit that comes with a store command is to be kept until a recall command; new spike trains in every trial.

    The input is that of `hpcspike.learners.gradient_tasks.store_recall`; the score is the share of wrong answers.
    """

    kind: Literal["store_recall"]
    duration_ms: float = quantity(2400.0, unit="ms", gt=0, doc="Length of a trial, in whole slots.")
    slot_ms: int = whole_number(
        200, unit="ms", ge=1, doc="Length of a slot; in each a command comes with probability 1/7."
    )

    @model_validator(mode="after")
    def _whole_slots(self) -> StoreRecallTargets:
        slots = self.duration_ms / self.slot_ms
        if slots < 2 or not slots.is_integer():
            raise ValueError(
                f"targets.duration_ms = {self.duration_ms:g} ms: must be two or more slots of targets.slot_ms = "
                f"{self.slot_ms} ms"
            )
        if self.n_sets != 1 or self.offset != "none" or self.grid_ms != 1.0:
            raise ValueError(
                f"targets.n_sets = {self.n_sets}, targets.offset = {self.offset}, targets.grid_ms = {self.grid_ms:g}: "
                "store and recall has one set, no offset and a grid of 1 ms; choose n_sets: 1, offset: none, grid_ms: 1"
            )
        return self


class DelayedXorTargets(GrownSection, TargetsSection):
    """XOR of the signs of two pulses, asked for by a later cue; "none" without the second. New delays in every trial.

    The input is that of `hpcspike.learners.gradient_tasks.delayed_xor`; the score is the share of wrong answers.
    """

    later_keys: ClassVar[tuple[str, ...]] = ("curriculum_trials",)

    kind: Literal["delayed_xor"]
    duration_ms: float = quantity(600.0, unit="ms", gt=0, doc="Length of a trial.")
    longest_delay_ms: int = whole_number(
        170, unit="ms", ge=0, doc="Longest delay between pulses, and to the cue; geometric in steps of 10 ms."
    )
    null_share: float = quantity(0.2, ge=0, le=1, doc="Share of trials without the second pulse.")
    curriculum_trials: int = whole_number(
        0, ge=0, doc="Trials of training over which the longest delay grows from 0 to longest_delay_ms; 0: it does not."
    )

    @model_validator(mode="after")
    def _a_trial_holds_it(self) -> DelayedXorTargets:
        shortest = 210 + 2 * self.longest_delay_ms
        if self.duration_ms < shortest or not is_multiple(self.duration_ms, self.grid_ms):
            raise ValueError(
                f"targets.duration_ms = {self.duration_ms:g} ms: must be {shortest} ms or more for delays up to "
                f"targets.longest_delay_ms = {self.longest_delay_ms} ms, in whole steps of targets.grid_ms"
            )
        if not is_multiple(10.0, self.grid_ms) or self.n_sets != 1 or self.offset != "none":
            raise ValueError(
                f"targets.n_sets = {self.n_sets}, targets.offset = {self.offset}, targets.grid_ms = {self.grid_ms:g}: "
                "delayed XOR has one set, no offset and a grid that divides 10 ms; choose n_sets: 1, offset: none, "
                "grid_ms: 2"
            )
        return self


ANSWERED = (StoreRecallTargets, DelayedXorTargets, DigitsTargets)
"""Kinds whose score is the share of wrong answers."""

GIVEN_INPUT = (DrivenTargets, AutoencoderTargets, FunctionsTargets, NavigationTargets, *ANSWERED)
"""Kinds that are no recall: every trial has a new input, and what is wanted follows from it."""

Targets = Annotated[
    SineTargets
    | SineProductTargets
    | OrnsteinUhlenbeckTargets
    | ChaoticTargets
    | InnateTargets
    | DrivenTargets
    | StoreRecallTargets
    | DelayedXorTargets
    | DigitsTargets
    | AutoencoderTargets
    | FunctionsTargets
    | NavigationTargets
    | RecordedTargets,
    Field(discriminator="kind"),
]
