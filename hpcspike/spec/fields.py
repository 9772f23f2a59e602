"""Building blocks of the validated models: strict sections and quantities that carry a unit and the paper's section."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A frozen part of an experiment; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)


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
