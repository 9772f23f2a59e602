"""What every neuron is asked to do: the families of target functions (paper, Methods: target functions)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from hpcspike.spec.fields import Section, is_multiple, quantity

Interval = tuple[float, float]

GENERATED = "generated"
"""Path of recorded targets that are no file: a stand-in is generated."""
NWB_BIN_MS = 20.0
"""Length of the bins in which spikes of an NWB file are counted, if the experiment gives none."""


def _ordered(interval: Interval) -> Interval:
    if interval[1] < interval[0]:
        raise ValueError("must be [low, high] with low <= high")
    return interval


class _Targets(Section):
    duration_ms: float = quantity(1000.0, unit="ms", gt=0, paper="Methods", doc="Length T of the trained window.")
    n_sets: int = quantity(1, ge=1, le=64, paper="Fig 2", doc="Number of target sets, each cued by its own stimulus.")
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


class RecordedTargets(_Targets):
    """Rates or drives read from a file, with auxiliary neurons beside them (paper, Fig 5)."""

    kind: Literal["recorded"]
    path: str = quantity(
        doc="netCDF, zarr, CSV or NPY file, unit x time, or NWB file with spike times and trials; relative paths start "
        "at the YAML file. 'generated': no file, a stand-in keyed by the seed (rates of 5 to 30 Hz in 4600 ms)."
    )
    variable: str | None = quantity(None, doc="Name of the array in a netCDF or zarr file; default: the only 2-D one.")
    holds: Literal["rate", "drive"] = quantity("rate", doc="What the file holds.")
    unit: Literal["Hz", "per_tau", "1"] | None = quantity(
        None, doc="Unit of the file's values; default: its 'units' attribute. Rates: Hz or per_tau; drives: 1."
    )
    sample_ms: float | None = quantity(
        None, unit="ms", gt=0, doc="Sampling interval of a file without a time axis (NPY)."
    )
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
    n_units: int | None = quantity(227, ge=1, paper="Fig 5", doc="Number of units kept (the first ones); null: all.")
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
        of_nwb = ("align", "window_ms", "bin_ms", "smoothing_ms", "condition")
        of_tables = ("variable", "unit", "sample_ms")
        useless = (*(() if nwb else of_nwb), *(of_tables if nwb or self.is_stand_in else ()))
        for key in useless:
            if getattr(self, key) not in (None, {}):
                raise ValueError(
                    f"targets.{key} has no effect: targets.path = {self.path} is "
                    + ("an NWB file" if nwb else "a stand-in" if self.is_stand_in else "not an NWB file")
                    + "; leave it out"
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


Targets = Annotated[
    SineTargets | SineProductTargets | OrnsteinUhlenbeckTargets | ChaoticTargets | InnateTargets | RecordedTargets,
    Field(discriminator="kind"),
]
