"""A sweep: one experiment, axes over any of its fields, and independent replicates."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Discriminator, Field, Strict, Tag, field_validator, model_validator

from hpcspike.spec.documents import set_dotted
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.fields import AS_WHOLE, FILE_NAME, Section, quantity, whole_number
from hpcspike.spec.validation import validate_experiment
from hpcspike.spec.yaml_text import shown, shown_text

MAX_POINTS = 1_000_000
"""Most points of one sweep: what can still be validated and planned within a minute."""

_MOST_SHOWN = 12
"""Most parameters in a message."""

Count = Annotated[int, Field(ge=1, le=MAX_POINTS), AS_WHOLE]


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


def _rounded(values: list[float], unit: float | None, smallest: float | None = None) -> list[float]:
    # twelve digits keep 0.1 + 0.2 style noise out of names and hashes
    if unit is not None:
        values = [round(value / unit) * unit for value in values]
    if smallest is not None:
        values = [max(value, smallest) for value in values]
    values = [float(f"{value:.12g}") for value in values]
    return values if unit is None else list(dict.fromkeys(values))


def axis_kind(value: Any) -> str | None:
    """The way an axis is written: ``list``, ``linspace``, ``logspace``, or None if it is none of them."""
    if isinstance(value, (list, tuple)):
        return "list"
    for kind, model in (("linspace", Linspace), ("logspace", Logspace)):
        if isinstance(value, model) or (isinstance(value, dict) and kind in value):
            return kind
    return None


Axis = Annotated[
    Annotated[list[Any], Tag("list")] | Annotated[Linspace, Tag("linspace")] | Annotated[Logspace, Tag("logspace")],
    Discriminator(
        axis_kind,
        custom_error_type="axis",
        custom_error_message="must be a list of values, {linspace: [first, last, count]} or "
        "{logspace: [first, last, count]}",
    ),
]


class Batching(Section):
    """How points are grouped into jobs."""

    minutes: float = quantity(5.0, unit="min", gt=0, doc="Predicted length of a batch; a longer point is alone in one.")
    max_points: int = whole_number(500, ge=1, le=100_000, doc="Most points in a batch.")
    mpi_minutes: float | None = quantity(
        None, unit="min", gt=0, doc="Points predicted to take longer on one core are computed by MPI ranks."
    )
    mpi_ranks: int = whole_number(2, ge=1, le=100_000, doc="MPI ranks of such a point.")


class Sweep(Section):
    """Every combination of the axes' values, repeated ``replicates`` times."""

    name: str = quantity("sweep", doc="Name used in files and figures.", **FILE_NAME)
    experiment: dict[str, Any] = quantity(doc="The experiment that the axes vary.")
    axes: dict[str, Axis] = quantity({}, doc="Dotted field name -> list of values, linspace or logspace.")
    replicates: int = whole_number(1, ge=1, le=MAX_POINTS, doc="Independent repetitions of every combination.")
    batching: Batching = quantity(Batching(), doc="How points are grouped into jobs.")

    @field_validator("axes")
    @classmethod
    def _distinct_values(cls, axes: dict[str, Axis]) -> dict[str, Axis]:
        for key, axis in axes.items():
            if key in {"replicate", "name"}:
                instead = {"replicate": "use 'replicates: <count>' instead", "name": "a name is not part of a point"}
                raise ValueError(f"{key} cannot be an axis; {instead[key]}")
            values = axis_values(axis)
            if not values:
                raise ValueError(f"{key} has no values, so the sweep has zero points; give at least one value")
            repeated = first_repeated(values)
            if repeated is not None:
                raise ValueError(f"{key} has the value {shown(repeated)} twice; give every value once")
        return axes

    @model_validator(mode="after")
    def _feasible(self) -> Sweep:
        if self.n_points > MAX_POINTS:
            shape = " x ".join(f"{length} {shown_text(key)}" for key, length in [*self.shape.items()][-_MOST_SHOWN:])
            raise ValueError(f"the sweep has {self.n_points:,} points ({shape}); at most {MAX_POINTS:,} are possible")
        return self

    @property
    def shape(self) -> dict[str, int]:
        """Number of values along every axis, replicates last."""
        return {**{key: len(axis_values(axis)) for key, axis in self.axes.items()}, "replicate": self.replicates}

    @property
    def n_points(self) -> int:
        """Number of trainings."""
        count = 1
        for length in self.shape.values():
            count *= length
        return count

    def _told(self) -> Iterator[str]:
        yield f"name={self.name!r}"
        yield f"points={self.n_points} = {' x '.join(f'{length} {key}' for key, length in self.shape.items())}"
        yield from (part for part in super()._told() if part.startswith("experiment="))

    def columns(self) -> dict[str, Sequence[Any]]:
        """The values along every axis (dotted names), replicates last."""
        return {**{key: axis_values(axis) for key, axis in self.axes.items()}, "replicate": range(self.replicates)}

    def parameters(self) -> Iterator[dict[str, Any]]:
        """The swept values of every point (dotted names), replicates innermost."""
        columns = self.columns()
        for combination in itertools.product(*columns.values()):
            yield dict(zip(columns, combination, strict=True))

    def parameters_at(self, index: int) -> dict[str, Any]:
        """The swept values of one point, by its position in :meth:`parameters`."""
        found: dict[str, Any] = {}
        columns = self.columns()
        for key in reversed(columns):
            index, position = divmod(index, len(columns[key]))
            found[key] = columns[key][position]
        return {key: found[key] for key in columns}

    def point(self, parameters: dict[str, Any]) -> Experiment:
        """The validated experiment of one point."""
        document = copy.deepcopy(self.experiment)
        document.setdefault("name", self.name)
        for dotted, value in parameters.items():
            set_dotted(document, dotted, value)
        return validate_experiment(document, source=f"point {shown_point(parameters)}")


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


def shown_point(parameters: dict[str, Any]) -> str:
    """The parameters of a point for a message, the first of them where there are many."""
    pairs = [f"{shown_text(key)} = {shown(value)}" for key, value in itertools.islice(parameters.items(), _MOST_SHOWN)]
    return ", ".join([*pairs, "..."] if len(parameters) > _MOST_SHOWN else pairs)
