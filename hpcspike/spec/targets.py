"""What every neuron is asked to do: the families of target functions (paper, Methods: target functions)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from hpcspike.spec.fields import Interval, Section, is_multiple, quantity, whole_number

GENERATED = "generated"
"""Path of recorded targets that are no file: a stand-in is generated."""
NO_FILE_REMEDY = (
    "give the path of a recording (relative paths start at the YAML file), or take the made-up stand-in with "
    f"targets.path: {GENERATED}, on the command line --set targets.path={GENERATED}"
)
"""What to do about a path of recorded targets at which there is nothing."""
NWB_BIN_MS = 20.0
"""Length of the bins in which spikes of an NWB file are counted, if the experiment gives none."""


def _ordered(interval: Interval) -> Interval:
    if interval[1] < interval[0]:
        raise ValueError("must be [low, high] with low <= high")
    return interval


def _has_length(period: Interval) -> Interval:
    if period == (0.0, 0.0):
        raise ValueError("a period of 0 ms has no frequency; choose [low, high] above 0 ms")
    return period


class _Targets(Section):
    duration_ms: float = quantity(1000.0, unit="ms", gt=0, paper="Methods", doc="Length T of the trained window.")
    n_sets: int = whole_number(
        1, ge=1, le=64, paper="Fig 2", doc="Number of target sets, each cued by its own stimulus."
    )
    grid_ms: float = quantity(
        1.0, unit="ms", gt=0, doc="Sampling interval of the targets and of the recorded responses."
    )
    offset: Literal["none", "mean_drive"] = quantity(
        "none", doc="'mean_drive': add each neuron's mean drive in an untrained run with silent plastic synapses."
    )
    offset_run_ms: float = quantity(
        2000.0, unit="ms", gt=0, doc="Length of that untrained run, the second half of which is averaged."
    )


class GeneratedTargets(_Targets):
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


class InnateTargets(_Targets):
    """Synaptic drives that the untrained network itself produces from random initial conditions (paper, Fig 4)."""

    kind: Literal["innate"]
    duration_ms: float = quantity(2000.0, unit="ms", gt=0, paper="Fig 4", doc="Length T of the trained window.")
    transient_ms: float = quantity(
        3000.0, unit="ms", ge=0, paper="Fig 4", doc="Run from random phases and r = 0 before the drives are recorded."
    )
    cue: Literal["none", "at_start", "before_recording"] = quantity(
        "none", doc="Whether the target set's cue is given: never, before the transient, or between it and the record."
    )


class DrivenTargets(_Targets):
    """State of a system dx/dt = f(x) + c with random commands c, new in every trial; for learners that take input.

    The commands and systems are those of `hpcspike.learners.tasks`.
    """

    kind: Literal["driven"]
    system: Literal["oscillator", "pushed_oscillator", "bistable", "pendulum"] = quantity(
        doc="Damped oscillator driven by noise or by one push, two stable states chosen by pulses, damped pendulum."
    )
    free_ms: float | None = quantity(
        None, unit="ms", ge=0, doc="Pushed oscillator: score only what comes so long after the push; default: all."
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


class StoreRecallTargets(_Targets):
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


class DelayedXorTargets(_Targets):
    """XOR of the signs of two pulses, asked for by a later cue; "none" without the second. New delays in every trial.

    The input is that of `hpcspike.learners.gradient_tasks.delayed_xor`; the score is the share of wrong answers.
    """

    kind: Literal["delayed_xor"]
    duration_ms: float = quantity(600.0, unit="ms", gt=0, doc="Length of a trial.")
    longest_delay_ms: int = whole_number(
        170, unit="ms", ge=0, doc="Longest delay between pulses, and to the cue; geometric in steps of 10 ms."
    )
    null_share: float = quantity(0.2, ge=0, le=1, doc="Share of trials without the second pulse.")

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


class RecordedTargets(_Targets):
    """Rates or drives read from a file, with auxiliary neurons beside them (paper, Fig 5)."""

    kind: Literal["recorded"]
    path: str = quantity(
        doc="netCDF, zarr, CSV, NPY or JLD2 file, unit x time, or NWB file with spike times and trials; relative paths "
        "start at the YAML file. 'generated': no file, a stand-in keyed by the seed (rates of 5 to 30 Hz in 4600 ms)."
    )
    variable: str | None = quantity(
        None, doc="Name of the array in a netCDF, zarr or JLD2 file; default: the only one that fits."
    )
    holds: Literal["rate", "drive"] = quantity("rate", doc="What the file holds.")
    unit: Literal["Hz", "per_tau", "1"] | None = quantity(
        None, doc="Unit of the file's values; default: its 'units' attribute. Rates: Hz or per_tau; drives: 1."
    )
    sample_ms: float | None = quantity(
        None, unit="ms", gt=0, doc="Sampling interval of a file without a time axis (NPY, JLD2)."
    )
    layout: Literal["time_by_unit", "unit_by_time"] | None = quantity(
        None, doc="JLD2: dimensions in the order in which Julia shows them; default: time_by_unit."
    )
    task: int | None = whole_number(None, ge=1, doc="JLD2: which of several tasks, counted from 1 as in Julia.")
    align: str | None = quantity(None, doc="NWB: column of the trials whose time counts as 0; required.")
    window_ms: Interval | None = quantity(
        None, unit="ms", doc="NWB: begin and end of the rates around that time; required."
    )
    bin_ms: float | None = quantity(None, unit="ms", gt=0, doc="NWB: bins in which spikes are counted; default: 20 ms.")
    smoothing_ms: float | None = quantity(
        None, unit="ms", ge=0, doc="NWB: s.d. of the Gaussian that smooths the rates; default: they are not smoothed."
    )
    condition: dict[str, str | bool | int | float] = quantity(
        {}, doc="NWB: only trials with these values, column: value; default: all trials."
    )
    min_rate_hz: float = quantity(5.0, unit="Hz", ge=0, paper="Fig 5", doc="Keep units with a mean rate above this.")
    n_units: int | None = whole_number(
        None, ge=1, paper="Fig 5", doc="Number of units kept, the first ones (paper: 227); null: all."
    )
    auxiliary_ratio: float = quantity(
        2.0, ge=0, le=100, paper="Fig 5", doc="N_aux / N_cor: auxiliary neurons per recorded one."
    )
    auxiliary_tau_corr_ms: float = quantity(
        800.0, unit="ms", gt=0, paper="Fig 5", doc="Correlation time of the auxiliary OU processes."
    )
    auxiliary_standard_deviation: float = quantity(
        0.632, gt=0, doc="Stationary s.d. of the auxiliary OU drives (s = 0.1 in the program's convention)."
    )
    duration_ms: float | None = quantity(  # type: ignore[assignment]
        None, unit="ms", gt=0, doc="Length of the window; default: the whole recording."
    )

    @property
    def is_stand_in(self) -> bool:
        """Whether the rates are made up."""
        return self.path == GENERATED

    @model_validator(mode="after")
    def _says_what_its_source_needs(self) -> RecordedTargets:
        nwb = self.path.lower().endswith(".nwb")
        julia = self.path.lower().endswith((".jld2", ".jld"))
        of_nwb = ("align", "window_ms", "bin_ms", "smoothing_ms", "condition")
        of_tables, of_julia = ("variable", "unit", "sample_ms"), ("layout", "task")
        useless = (
            *(() if nwb else of_nwb), *(of_tables if nwb or self.is_stand_in else ()), *(() if julia else of_julia),
        )  # fmt: skip
        given = [key for key in useless if getattr(self, key) not in (None, {})]
        if given:
            keys = ", ".join(f"targets.{key}" for key in given)
            formats = ("an NWB file", "a JLD2 file")
            needed = " or ".join(
                name for name, its in zip(formats, (of_nwb, of_julia), strict=True) if {*its} & {*given}
            )
            has, them = ("has", "it") if len(given) == 1 else ("have", "them")
            raise ValueError(
                f"{keys} {has} no effect: targets.path = {self.path} is "
                + ("an NWB file" if nwb else "a stand-in" if self.is_stand_in else f"not {needed}")
                + f"; leave {them} out"
            )
        if (nwb or self.is_stand_in) and self.holds != "rate":
            raise ValueError(
                f"targets.holds = {self.holds}: targets.path = {self.path} gives rates; choose holds: rate"
            )
        if nwb:
            self._check_window()
        return self

    def _check_window(self) -> None:
        for key, example in (("align", "go_time"), ("window_ms", "[-2600, 2000]")):
            if getattr(self, key) is None:
                raise ValueError(f"targets.{key} is missing, which NWB files need; give for example {key}: {example}")
        assert self.window_ms is not None
        length, bin_ms = self.window_ms[1] - self.window_ms[0], NWB_BIN_MS if self.bin_ms is None else self.bin_ms
        if length < 2 * bin_ms or not is_multiple(length, bin_ms):
            raise ValueError(
                f"targets.window_ms = [{self.window_ms[0]:g}, {self.window_ms[1]:g}] ms must be a whole number, at "
                f"least 2, of bins of {bin_ms:g} ms"
            )


ANSWERED = (StoreRecallTargets, DelayedXorTargets)
"""Kinds whose score is the share of wrong answers."""

Targets = Annotated[
    SineTargets
    | SineProductTargets
    | OrnsteinUhlenbeckTargets
    | ChaoticTargets
    | InnateTargets
    | DrivenTargets
    | StoreRecallTargets
    | DelayedXorTargets
    | RecordedTargets,
    Field(discriminator="kind"),
]
