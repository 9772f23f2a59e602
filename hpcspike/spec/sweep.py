"""A sweep: one experiment, axes over any of its fields, and independent replicates."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar

from pydantic import field_validator, model_validator

from hpcspike.spec.adaptive import MOST_AXES, Adaptive
from hpcspike.spec.axes import Axis, axis_values, first_repeated, is_logarithmic, is_numeric
from hpcspike.spec.documents import set_dotted
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.fields import FILE_NAME, GrownSection, Section, quantity, whole_number
from hpcspike.spec.sampling import Sampling, combinations
from hpcspike.spec.validation import validate_experiment
from hpcspike.spec.yaml_text import shown, shown_text

MAX_POINTS = 1_000_000
"""Most points of one sweep: what can still be validated and planned within a minute."""

_MOST_SHOWN = 12
"""Most parameters in a message."""

SCATTERED = ("random", "latin_hypercube")
"""Designs whose points lie anywhere between the ends of the axes."""

_MOST_PLACES = 10**15
"""Most combinations that an adaptive sweep may choose from."""


class Batching(Section):
    """How points are grouped into jobs."""

    minutes: float = quantity(5.0, unit="min", gt=0, doc="Predicted length of a batch; a longer point is alone in one.")
    max_points: int = whole_number(500, ge=1, le=100_000, doc="Most points in a batch.")
    mpi_minutes: float | None = quantity(
        None, unit="min", gt=0, doc="Points predicted to take longer on one core are computed by MPI ranks."
    )
    mpi_ranks: int = whole_number(2, ge=1, le=100_000, doc="MPI ranks of such a point.")


class Sweep(GrownSection):
    """Every combination of the axes' values, or those that a design or an adaptive sweep takes, with replicates."""

    later_keys: ClassVar[tuple[str, ...]] = ("sampling", "adaptive")

    name: str = quantity("sweep", doc="Name used in files and figures.", **FILE_NAME)
    experiment: dict[str, Any] = quantity(doc="The experiment that the axes vary.")
    axes: dict[str, Axis] = quantity({}, doc="Dotted field name -> list of values, linspace, logspace, or a range.")
    replicates: int = whole_number(1, ge=1, le=MAX_POINTS, doc="Independent repetitions of every combination.")
    sampling: Sampling | None = quantity(None, doc="Combinations of the axes' values to take; default: all of them.")
    adaptive: Adaptive | None = quantity(None, doc="What to resolve by choosing points round by round.")
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
        if self.adaptive is not None:
            self._refuse_what_cannot_adapt(self.adaptive)
        elif self.n_points > MAX_POINTS:
            shape = " x ".join(f"{length} {shown_text(key)}" for key, length in [*self.shape.items()][-_MOST_SHOWN:])
            raise ValueError(f"the sweep has {self.n_points:,} points ({shape}); at most {MAX_POINTS:,} are possible")
        return self

    def _refuse_what_cannot_adapt(self, adaptive: Adaptive) -> None:
        if self.sampling is not None:
            raise ValueError("sampling and adaptive exclude each other: both choose the points; leave one out")
        if not 1 <= len(self.axes) <= MOST_AXES:
            raise ValueError(f"an adaptive sweep has 1 to {MOST_AXES} axes, not {len(self.axes)}")
        for key, axis in self.axes.items():
            values = axis_values(axis)
            if not is_numeric(values) or len(values) < 2 or values != sorted(values):
                raise ValueError(
                    f"axes.{key}: an adaptive sweep needs at least two numbers in ascending order, or a range as "
                    "{log: [1, 500], resolution: 0.02}"
                )
        for question in adaptive.resolve:
            for key in question.maximum_axes:
                if key not in self.axes:
                    raise ValueError(
                        f"adaptive.resolve: maximum_over = {shown(key)}: must be one of the axes {', '.join(self.axes)}"
                    )
        if self.batching.mpi_minutes is not None:
            raise ValueError(
                "batching.mpi_minutes: points of an adaptive sweep are computed by one process each; leave it out, or "
                "compute those that need MPI ranks in a sweep over a list of values"
            )
        if self.n_points > _MOST_PLACES:
            raise ValueError(f"the ranges have {self.n_points:,} combinations; give coarser resolutions")

    @cached_property
    def design(self) -> Any:
        """(combinations, axes) positions along the axes that a design takes; None if all combinations are taken."""
        if self.sampling is None:
            return None
        return combinations(self.sampling, {key: axis_values(axis) for key, axis in self.axes.items()})

    @property
    def shape(self) -> dict[str, int]:
        """Number of values along every axis, or of combinations of a design; replicates last."""
        if self.sampling is not None:
            return {"combination": len(self.design), "replicate": self.replicates}
        return {**{key: len(axis_values(axis)) for key, axis in self.axes.items()}, "replicate": self.replicates}

    @property
    def n_points(self) -> int:
        """Number of trainings; of an adaptive sweep, of those that it chooses from."""
        return math.prod(self.shape.values())

    @property
    def is_scattered(self) -> bool:
        """Whether points lie anywhere between the ends of the axes, and not on a grid."""
        return self.adaptive is not None or (self.sampling is not None and self.sampling.kind in SCATTERED)

    def _told(self) -> Iterator[str]:
        yield f"name={self.name!r}"
        yield f"points={self.n_points} = {' x '.join(f'{length} {key}' for key, length in self.shape.items())}"
        yield from (part for part in super()._told() if part.startswith("experiment="))

    def columns(self) -> dict[str, Sequence[Any]]:
        """The values along every axis (dotted names), replicates last."""
        return {**self._values, "replicate": range(self.replicates)}

    @cached_property
    def _values(self) -> dict[str, list[Any]]:
        return {key: axis_values(axis) for key, axis in self.axes.items()}

    @property
    def logarithmic(self) -> dict[str, bool]:
        """Of every numeric axis, whether distances along it are told in decades."""
        return {key: is_logarithmic(axis) for key, axis in self.axes.items() if is_numeric(self._values[key])}

    def parameters(self) -> Iterator[dict[str, Any]]:
        """The swept values of every point (dotted names), replicates innermost."""
        columns = self.columns()
        if self.sampling is not None:
            for index in range(self.n_points):
                yield self.parameters_at(index)
            return
        for combination in itertools.product(*columns.values()):
            yield dict(zip(columns, combination, strict=True))

    def parameters_at(self, index: int) -> dict[str, Any]:
        """The swept values of one point, by its position in :meth:`parameters`."""
        found: dict[str, Any] = {}
        columns = self.columns()
        if self.sampling is not None:
            combination, replicate = divmod(index, self.replicates)
            chosen = zip(self._values.items(), self.design[combination], strict=True)
            return {**{key: values[position] for (key, values), position in chosen}, "replicate": replicate}
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


def shown_point(parameters: dict[str, Any]) -> str:
    """The parameters of a point for a message, the first of them where there are many."""
    pairs = [f"{shown_text(key)} = {shown(value)}" for key, value in itertools.islice(parameters.items(), _MOST_SHOWN)]
    return ", ".join([*pairs, "..."] if len(parameters) > _MOST_SHOWN else pairs)
