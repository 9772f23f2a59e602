"""Building blocks of the validated models: strict sections and quantities that carry a unit and the paper's section."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    Strict,
    model_serializer,
)

from hpcspike.shown import brief, html_table

_WRITTEN_EXACTLY = 2**53
"""Up to here every whole number is a float."""

_changed: Callable[[Any, Mapping[str, Any]], Any] | None = None


def change_by(function: Callable[[Any, Mapping[str, Any]], Any]) -> None:
    """Say what `Section.changed` does: messages about a key need to know all sections, and these this module."""
    global _changed
    _changed = function


class Section(BaseModel):
    """A frozen part of an experiment; unknown keys are refused, and so are text and true or false for numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True, strict=True)

    def changed(self, changes: Mapping[str, Any] | None = None, /, **more: Any) -> Self:
        """A validated copy in which some keys have other values.

        Parameters
        ----------
        changes, **more
            Key -> value; a key of a section in this one has dots: ``experiment.changed({"training.n_loops": 3})``. A
            whole section may be given as a mapping or as a section.

        Raises
        ------
        SpecError
            If a key is unknown, or a value cannot be; key, value and what is allowed are named.
        """
        assert _changed is not None
        copy: Self = _changed(self, {**(changes or {}), **more})
        return copy

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy; what ``update`` changes is validated, as by `changed`, for which pydantic would take anything."""
        copy = super().model_copy(deep=deep)
        return copy.changed(update) if update else copy

    def __repr__(self) -> str:
        """The keys that are not at their defaults, in one line."""
        return f"{type(self).__name__}({', '.join(self._told())})"

    def __str__(self) -> str:
        return repr(self)

    def _told(self) -> Iterator[str]:
        # sections by their choice (kind or model) and what differs from its defaults
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            chosen = name in ("kind", "model")
            if chosen or (value != field.get_default(call_default_factory=True)):
                yield f"{name}={brief(value)}"

    def _repr_html_(self) -> str:
        """The same as a table, for notebooks."""
        rows = [part.split("=", 1) for part in self._told()]
        return html_table(type(self).__name__, rows)


class GrownSection(Section):
    """A section with keys that experiments of earlier versions do not have.

    Those are left out of the dump, and so of the identity, where they are at their defaults, which must give the
    numbers of those versions.
    """

    later_keys: ClassVar[tuple[str, ...]] = ()
    """The keys that came later."""

    @model_serializer(mode="wrap")
    def _without_unused_later_keys(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = dump(self)
        fields = type(self).model_fields
        for key in self.later_keys:
            if key in document and getattr(self, key) == fields[key].get_default(call_default_factory=True):
                del document[key]
        return document


def _as_whole(value: Any) -> Any:
    """A number as the integer it is; anything else as it is, to be refused."""
    if isinstance(value, float) and value.is_integer():
        if abs(value) > _WRITTEN_EXACTLY:
            raise ValueError("a whole number above 2^53 with a point or an exponent loses digits; write all of them")
        return int(value)
    return operator.index(value) if hasattr(value, "__index__") and not isinstance(value, (bool, int)) else value


AS_WHOLE = BeforeValidator(_as_whole)
"""A whole number may be written 3, 3.0 or 3e0, up to 2^53: the values of a linspace are of that kind."""

Interval = Annotated[tuple[float, float], Strict(False)]
"""[low, high]: a list of two numbers."""


def quantity(default: Any = ..., *, unit: str = "", paper: str = "", doc: str = "", **bounds: Any) -> Any:
    """A field with its unit and the section of Kim & Chow 2018 (as numbered in the docs) it comes from.

    Parameters
    ----------
    default
        Default value; leave out for a required field.
    unit
        Physical unit, empty for pure numbers and choices.
    paper
        Section of the paper the quantity or its default comes from.
    doc
        One sentence shown by ``hpcspike schema --table`` and in the JSON schema.
    **bounds
        ``gt``, ``ge``, ``lt``, ``le`` as pydantic takes them.
    """
    extra: dict[str, Any] = {key: text for key, text in (("unit", unit), ("paper", paper)) if text}
    return Field(default, description=doc, json_schema_extra=extra, **bounds)


def whole_number(default: Any = ..., **options: Any) -> Any:
    """A `quantity` that counts: 3, 3.0 or 3e0, but neither text nor true or false."""
    field = quantity(default, **options)
    field.metadata.append(AS_WHOLE)  # behind its bounds, which would stand outside of it in an annotation
    return field


class TargetsSection(Section):
    """What all target functions have in common."""

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


FILE_NAME: dict[str, Any] = {"pattern": r"^[A-Za-z0-9][A-Za-z0-9._-]*$", "max_length": 100}
"""Bounds of a name that files and folders are called by, in any shell and with what is appended to it."""

LARGEST = 1e150
"""Numbers beyond this size are mistakes, and their squares and ranges could not be told from infinity."""

LONGEST_MS = 1e8
"""Longest stretch of simulated time in one piece: more than a day. Times of its steps are held in memory."""

_STRETCHES = ("duration_ms", "free_run_ms", "test_free_run_ms", "transient_ms", "offset_run_ms")
_PLAIN = (float, int, str, tuple, dict, list, type(None))


def why_out_of_range(section: Section, above: str = "") -> str | None:
    """What forbids a number in a section, or in one of those in it, whatever it means; None if nothing does."""
    # sweeps of a million points come through here: asking whether something is a Section is slow
    for name, value in section.__dict__.items():
        numbers = value if isinstance(value, tuple) else (value,)
        for number in numbers:
            if isinstance(number, float):
                if abs(number) > LARGEST:
                    limit = f"{LARGEST:g} in size; look for a slip in its exponent"
                    return f"{above}{name} = {number:g}: must be at most {limit}"
                if number > LONGEST_MS and name in _STRETCHES:
                    limit = f"{LONGEST_MS:g} ms, more than a day of simulated time"
                    return f"{above}{name} = {number:g} ms: must be at most {limit}"
        if not isinstance(value, _PLAIN) and isinstance(value, Section):
            reason = why_out_of_range(value, f"{above}{name}.")
            if reason is not None:
                return reason
    return None


def is_multiple(value: float, unit: float) -> bool:
    """Whether ``value`` is an integer multiple of ``unit`` (to rounding)."""
    ratio = value / unit
    if not math.isfinite(ratio):
        return False
    whole = round(ratio)
    # a tiny value would round to no step at all
    return abs(ratio - whole) < 1e-9 * max(1.0, abs(ratio)) and (whole != 0 or value == 0)


def n_steps(duration_ms: float, step_ms: float) -> int:
    """Number of steps of ``step_ms`` in ``duration_ms``."""
    return int(round(duration_ms / step_ms))
