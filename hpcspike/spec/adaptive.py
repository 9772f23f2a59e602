"""What an adaptive sweep shall resolve, how well, and what that may cost."""

from __future__ import annotations

from pydantic import field_validator, model_validator

from hpcspike.spec.fields import Section, quantity, whole_number
from hpcspike.spec.yaml_text import shown
from hpcspike.variables import POINT_RESULTS

MOST_AXES = 4
"""Most axes of an adaptive sweep: a smooth surface over more of them needs too many points."""

FIRST_PER_AXIS = 6
"""Points for every axis that are spread evenly before any is chosen."""


class Question(Section):
    """One thing to resolve: where a variable has a level, where it is largest, or the variable itself."""

    variable: str = quantity(doc="Result of every point, such as correlation; 'status': where it changes.")
    level: float | None = quantity(None, doc="Resolve where the variable has this value.")
    maximum_over: str | list[str] | None = quantity(
        None,
        doc="Axis, or axes, along which the place of the variable's maximum is resolved, for all values of the others.",
    )
    accuracy: float = quantity(
        0.05,
        gt=0,
        doc="Half width of the 90 % interval that is enough: of a place, in decades along logarithmic axes and in "
        "shares of the range along others; of the variable itself, in its unit.",
    )

    @field_validator("variable")
    @classmethod
    def _known(cls, variable: str) -> str:
        known = [name for name, item in POINT_RESULTS.items() if item.dims == ("point",)]
        if variable not in known:
            raise ValueError(f"is no result of a point; choose from {', '.join(known)}")
        return variable

    @model_validator(mode="after")
    def _one_way(self) -> Question:
        if self.level is not None and self.maximum_over is not None:
            raise ValueError("level and maximum_over exclude each other; write two entries")
        if self.maximum_over == [] or len(set(self.maximum_axes)) < len(self.maximum_axes):
            raise ValueError("maximum_over names an axis, or several, each of them once")
        if self.variable == "status" and (self.level is not None or self.maximum_over is not None):
            raise ValueError("variable = status is resolved where it changes; leave level and maximum_over out")
        return self

    @property
    def maximum_axes(self) -> list[str]:
        """The axes along which a maximum is resolved; none if something else is."""
        return [self.maximum_over] if isinstance(self.maximum_over, str) else list(self.maximum_over or [])

    def is_same(self, other: Question) -> bool:
        """Whether the same is resolved, in whatever order its axes stand."""
        axes = sorted(self.maximum_axes)
        same_maximum = bool(axes) and axes == sorted(other.maximum_axes) and self.variable == other.variable
        return same_maximum or self.words == other.words

    @property
    def words(self) -> str:
        """What is resolved, for messages and figures."""
        if self.variable == "status":
            return "changes of status"
        if self.level is not None:
            return f"{self.variable} = {self.level:g}"
        if self.maximum_over is not None:
            return f"maximum of {self.variable} over {' and '.join(self.maximum_axes)}"
        return self.variable


class Budget(Section):
    """What an adaptive sweep may cost; it ends earlier when everything is as accurate as asked."""

    points: int | None = whole_number(None, ge=4, le=1_000_000, doc="Most trainings.")
    minutes: float | None = quantity(
        None, unit="min", gt=0, doc="Most predicted time of all trainings together, on one core."
    )

    @model_validator(mode="after")
    def _some(self) -> Budget:
        if self.points is None and self.minutes is None:
            raise ValueError("give points, minutes or both")
        return self


class Adaptive(Section):
    """Points chosen where they tell most, round by round."""

    resolve: list[Question] = quantity(doc="What to resolve, one entry each.")
    budget: Budget = quantity(doc="What it may cost.")
    first: int | None = whole_number(
        None,
        ge=4,
        le=100_000,
        doc=f"Points that are spread evenly before any is chosen; default: {FIRST_PER_AXIS} for every axis.",
    )
    points_per_round: int | None = whole_number(
        None, ge=1, le=1000, doc="Points of every further round; default: a quarter of those there are, at least 6."
    )
    ahead: int = whole_number(
        1,
        ge=0,
        le=3,
        doc="Rounds that are computed while the next is chosen, so that no worker waits; 0: the next is chosen when "
        "all points are there.",
    )

    @field_validator("resolve")
    @classmethod
    def _distinct(cls, resolve: list[Question]) -> list[Question]:
        if not resolve:
            raise ValueError("names nothing; give at least one variable")
        for number, question in enumerate(resolve):
            if any(question.is_same(other) for other in resolve[:number]):
                raise ValueError(f"names {shown(question.words)} twice")
        return resolve

    def first_round(self, n_axes: int) -> int:
        """Points that are spread evenly before any is chosen."""
        wanted = FIRST_PER_AXIS * n_axes if self.first is None else self.first
        return wanted if self.budget.points is None else min(wanted, self.budget.points)

    def next_round(self, n_points: int) -> int:
        """Points of a round that follows on so many."""
        wanted = max(n_points // 4, 6) if self.points_per_round is None else self.points_per_round
        return wanted if self.budget.points is None else min(wanted, self.budget.points - n_points)
