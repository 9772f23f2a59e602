"""Targets from recordings: the file, how it is to be read, and what stands beside its units (paper, Fig 5)."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, ValidationError, ValidationInfo, WithJsonSchema, model_validator

from hpcspike.spec.fields import GrownSection, Interval, Section, TargetsSection, is_multiple, quantity, whole_number
from hpcspike.spec.recorded_conditions import MOST_CONDITIONS, Conditions, keys_of, name_of

GENERATED = "generated"
"""Path of recorded targets that are no file: a stand-in is generated."""
NO_FILE_REMEDY = (
    "give the path of a recording (relative paths start at the YAML file), or take the made-up stand-in with "
    f"targets.path: {GENERATED}, on the command line --set targets.path={GENERATED}"
)
"""What to do about a path of recorded targets at which there is nothing."""
NWB_BIN_MS = 20.0
"""Length of the bins in which spikes of an NWB file are counted, if the experiment gives none."""
NWB_TRIALS = "trials"
"""Table of an NWB file that holds the trials, if the experiment names none."""

FORMAT_OF_SUFFIX = {
    ".nc": "netCDF", ".nc4": "netCDF", ".zarr": "zarr", ".csv": "CSV", ".tsv": "TSV", ".npy": "NPY", ".npz": "NPZ",
    ".mat": "MATLAB", ".nwb": "NWB", ".jld2": "JLD2", ".jld": "JLD2",
}  # fmt: skip
"""Formats of recordings by the (lower-case) suffix of their files."""

_LABELLED, _TEXT, _ARRAYS = ("netCDF", "zarr"), ("CSV", "TSV"), ("NPY", "NPZ", "MATLAB", "JLD2")
_FORMATS_OF_KEY: dict[str, tuple[str, ...]] = {
    "variable": (*_LABELLED, "NPZ", "MATLAB", "JLD2"),
    "unit": (*_LABELLED, *_TEXT, *_ARRAYS),
    "sample_ms": (*_LABELLED, *_TEXT, *_ARRAYS),
    "time_unit": (*_LABELLED, *_TEXT, "NPZ", "MATLAB"),
    "decimal": _TEXT,
    "layout": _ARRAYS,
    "task": ("JLD2", "NPY", "NPZ", "MATLAB"),
    "align": ("NWB",),
    "window_ms": ("NWB",),
    "bin_ms": ("NWB",),
    "smoothing_ms": ("NWB",),
    "intervals": ("NWB",),
    "condition": ("NWB", *_LABELLED, *_TEXT),
    "select_units": ("NWB", *_LABELLED, "NPZ", "MATLAB"),
}


def _plain_values(choice: dict[str, Any], field: ValidationInfo) -> dict[str, Any]:
    for column, wanted in choice.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        if not values or not all(isinstance(one, (str, bool, int, float)) for one in values):
            raise ValueError(
                f"targets.{field.field_name}.{column} = {wanted!r}: must be a text, a number, true or false, or "
                "a list of those such as [left, right]"
            )
    return choice


_SCALAR = {"anyOf": [{"type": kind} for kind in ("string", "boolean", "integer", "number")]}
_VALUES = {"anyOf": [*_SCALAR["anyOf"], {"type": "array", "items": _SCALAR, "minItems": 1}]}
Choice = Annotated[
    dict[str, Any],
    AfterValidator(_plain_values),
    WithJsonSchema({"type": "object", "additionalProperties": _VALUES}),
]
"""Columns and the values they may have: one or a list."""


class InputOfRate(Section):
    """The input at which a leaky integrate-and-fire neuron with white noise has a rate (Ricciardi 1977)."""

    sigma: float = quantity(
        0.31,
        gt=0,
        doc="Strength sigma of the white noise, in units of v: tau dv/dt = mu - v + sigma sqrt(tau) xi. Where the "
        "network's own fluctuations are the noise: what they come to.",
    )
    lowest_rate_hz: float = quantity(0.1, unit="Hz", gt=0, doc="Lower rates have the input of this one.")
    floor: Literal["all", "only_zero"] = quantity(
        "all", doc="'only_zero': rates between 0 and lowest_rate_hz keep their own input, as in published targets."
    )
    step_correction: bool = quantity(
        False, doc="Correct for threshold crossings between steps, which a neuron with white noise of its own misses."
    )


class RecordedTargets(GrownSection, TargetsSection):
    """Rates or drives read from a file, with auxiliary neurons beside them (paper, Fig 5)."""

    later_keys: ClassVar[tuple[str, ...]] = (
        "time_unit", "decimal", "start_ms", "intervals", "select_units", "conditions", "input_of_rate",
        "includes_input",
    )  # fmt: skip

    kind: Literal["recorded"]
    path: str = quantity(
        doc="netCDF, zarr, CSV, TSV, NPY, NPZ, MATLAB (.mat) or JLD2 file of units over time, or NWB file with spike "
        "times and trials; relative paths start at the YAML file. 'generated': no file, a stand-in keyed by the seed "
        "(rates of 5 to 30 Hz in 4600 ms)."
    )
    variable: str | None = quantity(
        None, doc="Name of the array in a netCDF, zarr, NPZ, MATLAB or JLD2 file; default: the only one that fits."
    )
    holds: Literal["rate", "drive"] = quantity("rate", doc="What the file holds.")
    unit: Literal["Hz", "kHz", "per_tau", "1"] | None = quantity(
        None, doc="Unit of the file's values; default: its 'units' attribute. Rates: Hz, kHz or per_tau; drives: 1."
    )
    sample_ms: float | None = quantity(
        None, unit="ms", gt=0, doc="Sampling interval of a file without a time axis (NPY, NPZ, MATLAB, JLD2)."
    )
    time_unit: Literal["ms", "s"] | None = quantity(
        None, doc="Unit of the file's time axis, where the file does not say it."
    )
    decimal: Literal["point", "comma"] | None = quantity(
        None, doc="CSV, TSV: decimal mark; default: the comma where only it makes sense of the numbers, else the point."
    )
    layout: Literal["time_by_unit", "unit_by_time"] | None = quantity(
        None,
        doc="NPY, NPZ, MATLAB, JLD2: order of the dimensions as the language that wrote the file (Python, MATLAB, "
        "Julia) shows them; required unless only one is possible.",
    )
    task: int | None = whole_number(
        None,
        ge=1,
        doc="Arrays with a third dimension: which of its places, counted from 1. The tasks of a JLD2 file; the last "
        "dimension in MATLAB, the first of NPY and NPZ.",
    )
    align: str | None = quantity(None, doc="NWB: column of the trials whose time counts as 0; required.")
    window_ms: Interval | None = quantity(
        None, unit="ms", doc="NWB: begin and end of the rates around that time; required."
    )
    bin_ms: float | None = quantity(None, unit="ms", gt=0, doc="NWB: bins in which spikes are counted; default: 20 ms.")
    smoothing_ms: float | None = quantity(
        None, unit="ms", ge=0, doc="NWB: s.d. of the Gaussian that smooths the rates; default: they are not smoothed."
    )
    intervals: str | None = quantity(None, doc="NWB: table of intervals that are the trials; default: trials.")
    condition: Choice = quantity(
        {},
        doc="NWB: only trials with these values, column: value or list of values; default: all trials. netCDF, zarr: "
        "one value of every dimension beside unit and time, dimension: value. CSV, TSV: only rows with this value, "
        "column: value.",
    )
    conditions: Conditions = quantity(
        [],
        max_length=MOST_CONDITIONS,
        doc="Several conditions in one network, each a target set with a cue of its own: a list of {name, path, "
        "variable, task, condition}, the keys in which they differ. A text or number stands for condition: {condition: "
        "it} or, of arrays, for the variable or task. Empty: one condition, as the other keys say.",
    )
    select_units: Choice = quantity(
        {},
        doc="NWB, netCDF, zarr, NPZ, MATLAB: only units with these values, column: value or list of values, for "
        "example quality: good; default: all units.",
    )
    input_of_rate: InputOfRate | None = quantity(
        None, doc="Train the drive at which integrate-and-fire neurons have the rates of the file; default: do not."
    )
    includes_input: bool | None = quantity(
        None, doc="Whether recorded drives are the total input, the constant external one included; default: not."
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
    start_ms: float | None = quantity(
        None, unit="ms", doc="Begin of the window on the file's own time axis; default: its first sample."
    )
    duration_ms: float | None = quantity(  # type: ignore[assignment]
        None, unit="ms", gt=0, doc="Length of the window; default: up to the end of the recording."
    )

    @property
    def holds_total_input(self) -> bool:
        """Whether what is followed is a total input, from which the constant external one is to be taken off."""
        return bool(self.includes_input) or self.input_of_rate is not None

    @property
    def is_stand_in(self) -> bool:
        """Whether the rates are made up."""
        return self.path == GENERATED

    @property
    def format(self) -> str | None:
        """The format that the suffix of the path stands for; None: of a stand-in or an unknown kind."""
        return None if self.is_stand_in else FORMAT_OF_SUFFIX.get(PurePath(self.path).suffix.lower())

    @property
    def condition_names(self) -> tuple[str, ...]:
        """Names of the conditions; none of a single one."""
        return tuple(name_of(item) for item in self.conditions)

    def each_condition(self) -> list[RecordedTargets]:
        """What is read for each condition: these targets with its keys, and no further conditions."""
        if not self.conditions:
            return [self]
        given = {name: getattr(self, name) for name in self.model_fields_set - {"conditions", "n_sets"}}
        return [
            type(self).model_validate({**given, **keys_of(item, self.format, self.condition)})
            for item in self.conditions
        ]

    @model_validator(mode="before")
    @classmethod
    def _a_set_per_condition(cls, document: Any) -> Any:
        conditions = document.get("conditions") if isinstance(document, dict) else None
        if not isinstance(conditions, list) or not conditions or "n_sets" in document:
            return document
        return {**document, "n_sets": len(conditions)}

    @model_validator(mode="after")
    def _says_what_its_source_needs(self) -> RecordedTargets:
        source = "stand-in" if self.is_stand_in else self.format
        if source is None:  # refused when it is read, where known formats are named
            return self
        given = [
            key
            for key, formats in _FORMATS_OF_KEY.items()
            if source not in formats and getattr(self, key) not in (None, {})
        ]
        if given:
            keys = ", ".join(f"targets.{key}" for key in given)
            has, them = ("has", "it") if len(given) == 1 else ("have", "them")
            article = "an" if source[0] == "N" else "a"
            words = source if self.is_stand_in else f"{source} file"
            raise ValueError(
                f"{keys} {has} no effect: targets.path = {self.path} is {article} {words}; leave {them} out "
                f"(targets.{given[0]} is for {', '.join(_FORMATS_OF_KEY[given[0]])})"
            )
        if (source == "NWB" or self.is_stand_in) and self.holds != "rate":
            raise ValueError(
                f"targets.holds = {self.holds}: targets.path = {self.path} gives rates; choose holds: rate"
            )
        if source == "NWB":
            self._check_window()
        return self

    @model_validator(mode="after")
    def _conditions_differ(self) -> RecordedTargets:
        if self.n_sets != max(1, len(self.conditions)):
            raise ValueError(
                f"targets.n_sets = {self.n_sets}, but targets.conditions names {len(self.conditions)}: recorded "
                "targets have one set per condition; leave n_sets out"
                if self.conditions
                else f"targets.n_sets = {self.n_sets}: recorded targets have one set per condition; leave it out, and "
                "name the conditions in targets.conditions ('hpcspike recordings FILE' shows those of a file)"
            )
        if len(self.conditions) == 1:
            raise ValueError(
                "targets.conditions names one condition: name two or more, or leave it out and choose one with "
                "targets.condition, targets.task, targets.variable or targets.path"
            )
        for place, item in enumerate(self.conditions):
            task = keys_of(item, self.format, self.condition).get("task")
            if task is not None and task < 1:
                key = f"targets.conditions[{place}]" + (".task" if isinstance(item, dict) else "")
                raise ValueError(f"{key} = {task}: must be 1 or more: places in an array are counted from 1")
        seen: dict[str, RecordedTargets] = {}
        try:
            each = self.each_condition()
        except ValidationError as error:
            raise ValueError(f"targets.conditions: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
        for name, one in zip(self.condition_names, each, strict=True) if self.conditions else ():
            twin = next((other for other, read in seen.items() if read == one and not self.is_stand_in), None)
            if twin is not None or name in seen:
                raise ValueError(
                    f"targets.conditions: {name!r} "
                    + (f"is read like {twin!r}" if twin is not None else "is the name of two conditions")
                    + "; let conditions differ in path, variable, task or condition, and give each a name of its own"
                )
            seen[name] = one
        return self

    def _check_window(self) -> None:
        for key, example in (("align", "go_time"), ("window_ms", "[-2600, 2000]")):
            if getattr(self, key) is None:
                raise ValueError(
                    f"targets.{key} is missing, which NWB files need; give for example {key}: {example} "
                    f"('hpcspike recordings {self.path}' proposes one)"
                )
        assert self.window_ms is not None
        length, bin_ms = self.window_ms[1] - self.window_ms[0], NWB_BIN_MS if self.bin_ms is None else self.bin_ms
        if length < 2 * bin_ms or not is_multiple(length, bin_ms):
            raise ValueError(
                f"targets.window_ms = [{self.window_ms[0]:g}, {self.window_ms[1]:g}] ms must be a whole number, at "
                f"least 2, of bins of {bin_ms:g} ms"
            )
