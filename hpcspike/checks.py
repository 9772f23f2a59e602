"""What functions of the Python surface ask of their arguments: every error names argument, value and rule."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from hpcspike.errors import DataError, SpecError

LONGEST_SHOWN = 60
"""Characters of a value that a message shows."""


def shown(value: Any) -> str:
    """A value in a message: arrays by their shape, everything else in short."""
    if isinstance(value, np.ndarray) and value.ndim:
        return f"an array of shape {value.shape}"
    text = " ".join(repr(value).split())
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]} ..."


def whole_number(name: str, value: Any, *, least: int = 0, most: int | None = None, of: str = "") -> int:
    """The argument as an int.

    Parameters
    ----------
    name, value
        The argument.
    least, most
        Smallest and largest value.
    of
        What it counts or numbers, for the message.

    Raises
    ------
    SpecError
        If it is no whole number in this range; True and 1.0 are none.
    """
    try:
        number = -1 if isinstance(value, (bool, np.bool_)) else operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, (bool, np.bool_)) or number < least or (most is not None and number > most):
        span = f" of at least {least}" if most is None else f", {least} to {most}" if most > least else f", {least}"
        raise SpecError(f"{name} = {shown(value)}: must be a whole number{span}{f' ({of})' if of else ''}")
    return number


def number(
    name: str,
    value: Any,
    *,
    least: float = -math.inf,
    above: float | None = None,
    most: float = math.inf,
    unit: str = "",
) -> float:
    """The argument as a finite float, at least ``least``, greater than ``above``, at most ``most``.

    Raises
    ------
    SpecError
        If it is none.
    """
    try:
        if isinstance(value, (str, bytes, bool, np.bool_)):
            raise TypeError
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    low = found > above if above is not None else found >= least
    if not (math.isfinite(found) and low and found <= most):
        rules = [f"above {above:g}" if above is not None else f"at least {least:g}" if least > -math.inf else ""]
        rules += [f"at most {most:g}" if most < math.inf else ""]
        words = "".join(f", {rule}" for rule in rules if rule)
        raise SpecError(f"{name} = {shown(value)}: must be a finite number{f' in {unit}' if unit else ''}{words}")
    return found


def neuron_numbers(name: str, values: Any, n_neurons: int | None = None) -> np.ndarray:
    """The argument as the numbers of neurons, (n,), which may be none.

    Raises
    ------
    SpecError
        If they are no whole numbers from 0, or there are no such neurons.
    """
    found = np.asarray(values)
    is_whole = found.ndim == 1 and (found.dtype.kind in "iu" or not found.size)
    last = np.iinfo(np.int64).max if n_neurons is None else n_neurons - 1
    if not is_whole or (found.size and not (0 <= found.min() and found.max() <= last)):
        span = "from 0" if n_neurons is None else f"0 to {last}"
        raise SpecError(f"{name} = {shown(values)}: must be a list of numbers of neurons, {span}")
    return found.astype(np.int64)


def choice(name: str, value: Any, choices: Iterable[str]) -> str:
    """The argument, which must be one of some words.

    Raises
    ------
    SpecError
        If it is another one.
    """
    words = list(choices)
    if not isinstance(value, str) or value not in words:
        raise SpecError(f"{name} = {shown(value)}: must be one of {', '.join(words)}")
    return value


def instance(name: str, value: Any, kind: type | tuple[type, ...], *, made_by: str) -> None:
    """Require an object of the package's own.

    Raises
    ------
    TypeError
        If the argument is something else; it says what makes one.
    """
    if not isinstance(value, kind):
        words = " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
        raise TypeError(f"{name} is {shown(value)}, but must be a {words}: {made_by}")


def path(name: str, value: Any) -> Path:
    """The argument as a path.

    Raises
    ------
    TypeError
        If it is neither text nor a `pathlib.Path`.
    """
    if not isinstance(value, (str, os.PathLike)) or not value:
        raise TypeError(f"{name} = {shown(value)}: must be a path, as text or pathlib.Path")
    return Path(value)


def function(name: str, value: Any) -> None:
    """Require something that can be called.

    Raises
    ------
    TypeError
        If it cannot.
    """
    if not callable(value):
        raise TypeError(f"{name} = {shown(value)}: must be a function")


def array(name: str, values: Any, *, shape: tuple[int | None, ...], axes: str, finite: bool = True) -> np.ndarray:
    """The argument as an array of float64.

    Parameters
    ----------
    name, values
        The argument.
    shape
        Its shape, None for any length but 0.
    axes
        The axes in words, for the message.
    finite
        Whether NaN and infinite entries are refused.

    Raises
    ------
    DataError
        If it is not made of numbers, has another shape, or holds what it may not.
    """
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{name} = {shown(values)}: must be numbers, {axes}") from None
    fits = found.ndim == len(shape) and all(
        n > 0 if want is None else n == want for n, want in zip(found.shape, shape, strict=True)
    )
    if not fits:
        raise DataError(f"{name} has shape {found.shape}: must be {axes}")
    if finite and not np.isfinite(found).all():
        raise DataError(f"{name} holds NaN or infinite values: every entry must be a finite number")
    return found
