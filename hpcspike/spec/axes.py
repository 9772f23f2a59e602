"""The axes of a sweep: lists of values, evenly spaced values, and ranges that points are chosen from."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Discriminator, Field, Strict, Tag, model_validator

from hpcspike.spec.fields import AS_WHOLE, Section, quantity

MOST_VALUES = 1_000_000
"""Most values of an axis."""

MOST_STEPS = 10_000
"""Most steps that a range is divided into."""

Count = Annotated[int, Field(ge=1, le=MOST_VALUES), AS_WHOLE]


class _Spaced(Section):
    PLACES: ClassVar[tuple[str, ...]] = ("first", "last", "count")


class Linspace(_Spaced):
    """``linspace: [first value, last value, count]``, evenly spaced."""

    linspace: Annotated[tuple[float, float, Count], Strict(False)]
    round_to: float | None = quantity(None, gt=0, doc="Round every value to a multiple of this.")

    def values(self) -> list[float]:
        first, last, count = self.linspace
        return _rounded([first + (last - first) * k / max(count - 1, 1) for k in range(count)], self.round_to)


class Logspace(_Spaced):
    """``logspace: [first value, last value, count]``, evenly spaced in the logarithm."""

    logspace: Annotated[tuple[float, float, Count], Strict(False)]
    round_to: float | None = quantity(None, gt=0, doc="Round every value to a multiple of this, at least to this.")

    @model_validator(mode="after")
    def _positive(self) -> Logspace:
        if min(self.logspace[:2]) <= 0:
            raise ValueError("logspace needs a first and a last value above 0")
        return self

    def values(self) -> list[float]:
        first, last, count = self.logspace
        values = [first * (last / first) ** (k / max(count - 1, 1)) for k in range(count)]
        return _rounded(values, self.round_to, smallest=self.round_to)


class _Range(Section):
    """A range that points are chosen from, divided finely: what a design or an adaptive sweep draws on."""

    PLACES: ClassVar[tuple[str, ...]] = ("first", "last")


class LogRange(_Range):
    """``log: [first value, last value]``, divided evenly in the logarithm."""

    log: Annotated[tuple[float, float], Strict(False)]
    resolution: float = quantity(unit="decades", gt=0, doc="Most decades between neighbouring values.")
    round_to: float | None = quantity(None, gt=0, doc="Round every value to a multiple of this, at least to this.")

    @model_validator(mode="after")
    def _positive(self) -> LogRange:
        if not 0 < self.log[0] < self.log[1]:
            raise ValueError("log needs a first value above 0 and a last value above the first")
        _refuse_too_fine(math.log10(self.log[1] / self.log[0]) / self.resolution)
        _refuse_too_coarse(self.values(), self.round_to)
        return self

    def values(self) -> list[float]:
        first, last = self.log
        steps = _steps(math.log10(last / first) / self.resolution)
        values = [first * (last / first) ** (k / steps) for k in range(steps + 1)]
        return _inside(_rounded(values, self.round_to, smallest=self.round_to), self.log, self.round_to)


class LinearRange(_Range):
    """``linear: [first value, last value]``, divided evenly."""

    linear: Annotated[tuple[float, float], Strict(False)]
    resolution: float = quantity(gt=0, doc="Largest distance between neighbouring values, in the parameter's unit.")
    round_to: float | None = quantity(None, gt=0, doc="Round every value to a multiple of this.")

    @model_validator(mode="after")
    def _ascending(self) -> LinearRange:
        if not self.linear[0] < self.linear[1]:
            raise ValueError("linear needs a last value above the first")
        _refuse_too_fine((self.linear[1] - self.linear[0]) / self.resolution)
        _refuse_too_coarse(self.values(), self.round_to)
        return self

    def values(self) -> list[float]:
        first, last = self.linear
        steps = _steps((last - first) / self.resolution)
        values = _rounded([first + (last - first) * k / steps for k in range(steps + 1)], self.round_to)
        return _inside(values, self.linear, self.round_to)


def _refuse_too_coarse(values: list[float], unit: float | None) -> None:
    if unit is not None and len(values) < 2:
        raise ValueError(f"round_to = {unit:g} leaves {len(values)} values in the range; give a smaller one, or none")


def _inside(values: list[float], ends: tuple[float, float], unit: float | None) -> list[float]:
    """Values of a range without those that were rounded out of it."""
    return values if unit is None else [value for value in values if ends[0] <= value <= ends[1]]


def _steps(length: float) -> int:
    """Steps of a range that is so many resolutions long; one at least."""
    return max(1, math.ceil(length - 1e-9))


def _refuse_too_fine(steps: float) -> None:
    if steps > MOST_STEPS:
        raise ValueError(f"resolution divides the range into {steps:,.0f} steps; at most {MOST_STEPS:,} are possible")


def _rounded(values: list[float], unit: float | None, smallest: float | None = None) -> list[float]:
    # twelve digits keep 0.1 + 0.2 style noise out of names and hashes
    if unit is not None:
        values = [round(value / unit) * unit for value in values]
    if smallest is not None:
        values = [max(value, smallest) for value in values]
    values = [float(f"{value:.12g}") for value in values]
    return values if unit is None else list(dict.fromkeys(values))


FORMS: dict[str, type[Linspace | Logspace | LogRange | LinearRange]] = {
    "linspace": Linspace,
    "logspace": Logspace,
    "log": LogRange,
    "linear": LinearRange,
}
"""Key that an axis is written with, if it is no list -> its section."""


def axis_kind(value: Any) -> str | None:
    """The way an axis is written: ``list`` or one of `FORMS`; None if it is none of them."""
    if isinstance(value, (list, tuple)):
        return "list"
    for kind, model in FORMS.items():
        if isinstance(value, model) or (isinstance(value, dict) and kind in value):
            return kind
    return None


Axis = Annotated[
    Annotated[list[Any], Tag("list")]
    | Annotated[Linspace, Tag("linspace")]
    | Annotated[Logspace, Tag("logspace")]
    | Annotated[LogRange, Tag("log")]
    | Annotated[LinearRange, Tag("linear")],
    Discriminator(
        axis_kind,
        custom_error_type="axis",
        custom_error_message="must be a list of values, {linspace: [first, last, count]}, "
        "{logspace: [first, last, count]}, {log: [first, last], resolution: DECADES} or "
        "{linear: [first, last], resolution: STEP}",
    ),
]


def is_numeric(values: Sequence[Any]) -> bool:
    """Whether all values of an axis are numbers."""
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def is_logarithmic(axis: Axis) -> bool:
    """Whether distances along an axis are told in decades; of a list by its values.

    >>> is_logarithmic([2.0, 5.0, 10.0, 20.0, 50.0]), is_logarithmic([0.0, 1.0, 2.0]), is_logarithmic([100, 200, 300])
    (True, False, False)
    """
    if not isinstance(axis, list):
        return isinstance(axis, (Logspace, LogRange))
    values = sorted(float(value) for value in axis)
    if len(values) < 3 or values[0] <= 0:
        return False
    return _unevenness([math.log(value) for value in values]) < _unevenness(values)


def _unevenness(values: list[float]) -> float:
    steps = [after - before for before, after in itertools.pairwise(values)]
    mean = sum(steps) / len(steps)
    return sum((step - mean) ** 2 for step in steps) / mean**2


def axis_values(axis: Axis) -> list[Any]:
    """The values of one axis."""
    return list(axis) if isinstance(axis, list) else axis.values()


def first_repeated(values: Sequence[Any]) -> Any:
    """The first value that occurs a second time (1 and 1.0 are the same, 1 and True are not), or None."""
    seen: set[str] = set()
    for value in values:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        key = repr(float(value)) if number else json.dumps(value, sort_keys=True, default=str)
        if key in seen:
            return value
        seen.add(key)
    return None
