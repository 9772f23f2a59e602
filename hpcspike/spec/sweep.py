"""A sweep: one experiment, axes over any of its fields, and independent replicates."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from typing import Any, Union

from pydantic import field_validator, model_validator

from hpcspike.errors import SpecError
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.fields import Section, quantity


class Linspace(Section):
    """``linspace: [start, stop, count]``"""

    linspace: tuple[float, float, int]
    round_to: float | None = quantity(None, gt=0, doc="Round every value to a multiple of this.")

    def values(self) -> list[float]:
        start, stop, count = self.linspace
        return _rounded([start + (stop - start) * k / max(count - 1, 1) for k in range(count)], self.round_to)


class Logspace(Section):
    """``logspace: [first value, last value, count]``, evenly spaced in the logarithm."""

    logspace: tuple[float, float, int]
    round_to: float | None = quantity(None, gt=0, doc="Round every value to a multiple of this.")

    @model_validator(mode="after")
    def _positive(self) -> "Logspace":
        if min(self.logspace[:2]) <= 0:
            raise ValueError("logspace needs positive first and last values")
        return self

    def values(self) -> list[float]:
        first, last, count = self.logspace
        return _rounded([first * (last / first) ** (k / max(count - 1, 1)) for k in range(count)], self.round_to)


def _rounded(values: list[float], unit: float | None) -> list[float]:
    # twelve digits keep 0.1 + 0.2 style noise out of names and hashes
    if unit is None:
        return [float(f"{value:.12g}") for value in values]
    return list(dict.fromkeys(float(f"{max(round(value / unit), 1) * unit:.12g}") for value in values))


Axis = Union[list[Any], Linspace, Logspace]


class Batching(Section):
    """How points are grouped into jobs."""

    minutes: float = quantity(5.0, unit="min", gt=0, doc="Predicted length of a batch.")
    max_points: int = quantity(500, ge=1, le=100_000, doc="Most points in a batch.")


class Sweep(Section):
    """Every combination of the axes' values, repeated ``replicates`` times."""

    name: str = quantity("sweep", doc="Name used in files and figures.")
    experiment: dict[str, Any] = quantity(doc="The experiment that the axes vary.")
    axes: dict[str, Axis] = quantity({}, doc="Dotted field name -> list of values, linspace or logspace.")
    replicates: int = quantity(1, ge=1, le=1_000_000, doc="Independent repetitions of every combination.")
    batching: Batching = quantity(Batching(), doc="How points are grouped into jobs.")

    @field_validator("axes")
    @classmethod
    def _not_empty(cls, axes: dict[str, Axis]) -> dict[str, Axis]:
        for key, axis in axes.items():
            if not axis_values(axis):
                raise ValueError(f"{key} has no values, so the sweep has zero points; give at least one value")
        return axes

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

    def parameters(self) -> Iterator[dict[str, Any]]:
        """The swept values of every point (dotted names), replicates innermost."""
        keys = [*self.axes, "replicate"]
        columns = [*(axis_values(axis) for axis in self.axes.values()), range(self.replicates)]
        for combination in itertools.product(*columns):
            yield dict(zip(keys, combination, strict=True))

    def point(self, parameters: dict[str, Any]) -> Experiment:
        """The validated experiment of one point."""
        from hpcspike.spec.load import validate_experiment

        document = copy.deepcopy(self.experiment)
        document.setdefault("name", self.name)
        for dotted, value in parameters.items():
            set_dotted(document, dotted, value)
        return validate_experiment(document, source=f"sweep {self.name!r}, point {parameters}")


def axis_values(axis: Axis) -> list[Any]:
    """The values of one axis."""
    return list(axis) if isinstance(axis, list) else axis.values()


def set_dotted(document: dict[str, Any], dotted: str, value: Any) -> None:
    """Set ``document["a"]["b"] = value`` for ``dotted = "a.b"``, making sections as needed."""
    *sections, key = dotted.split(".")
    for section in sections:
        document = document.setdefault(section, {})
        if not isinstance(document, dict):
            raise SpecError(f"{dotted}: {section} is not a section of the experiment")
    document[key] = value
