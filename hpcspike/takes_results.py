"""What figures, analyses and exports ask of the results they are given, before and while they read them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import xarray as xr

from hpcspike.checks import number, shown, whole_number
from hpcspike.errors import DataError, SpecError

P = ParamSpec("P")
R = TypeVar("R")

_SWEEP = "the Dataset of a sweep, as hpcspike.open_sweep(STORE) returns it"
_NETWORK = "the Dataset of one trained network, as hpcspike.run and hpcspike.open_network(PATH) return it"
_STUDY = "the tree of a study, as xarray.open_datatree('results/NAME/study.nc') returns it"
KINDS: dict[str, tuple[type, tuple[str, ...], str]] = {
    "sweep": (xr.Dataset, ("point",), _SWEEP),
    "trained": (xr.Dataset, ("neuron",), _NETWORK),
    "tree": (xr.DataTree, (), _STUDY),
}
"""Name of a function's first parameter -> its class, the dimensions it must have, and where one comes from."""


def takes_results(function: Callable[P, R]) -> Callable[P, R]:
    """Refuse a first argument that is something else than its name in `KINDS` says, and other arguments by their types.

    What is found missing while the function reads its results is a `DataError` too.

    Raises
    ------
    DataError
        If the results are of another kind, or lack a variable.
    SpecError
        If a number is no number, or no such neuron, trial or target set is there.
    """
    signature = inspect.signature(function)
    first = next(iter(signature.parameters))
    if first not in KINDS:
        return function

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        given = signature.bind(*args, **kwargs).arguments
        results: Any = given[first]
        _refuse_another_kind(first, results)
        for name, value in given.items():
            if name != first:
                _refuse_another_type(signature.parameters[name], value, results)
        try:
            return function(*args, **kwargs)
        except KeyError as error:
            raise DataError(f"{first} has no {_missing(error)}: it must be {KINDS[first][2]}") from error

    return wrapped


def refuse_other_sweeps(name: str, sweeps: Any) -> None:
    """A `DataError` unless the argument is the Dataset of a sweep, or a list of some."""
    several = sweeps if isinstance(sweeps, (list, tuple)) else [sweeps]
    if not several:
        raise DataError(f"{name} is empty: must be {_SWEEP}, or a list of some")
    for sweep in several:
        if not (isinstance(sweep, xr.Dataset) and "point" in sweep.dims):
            raise DataError(f"{name} = {_in_words(sweep)}: must be {_SWEEP}, or a list of some")


def refuse_other_results(name: str, results: Any) -> None:
    """A `DataError` unless the argument is one of `KINDS`, whichever."""
    if not isinstance(results, (xr.Dataset, xr.DataTree)):
        raise DataError(f"{name} = {_in_words(results)}: must be {_SWEEP}; or {_NETWORK}; or {_STUDY}")


def _refuse_another_kind(name: str, results: Any) -> None:
    kind, dimensions, words = KINDS[name]
    matches = isinstance(results, kind)
    if not matches:
        raise DataError(f"{name} = {_in_words(results)}: must be {words}")
    lacking = [dimension for dimension in dimensions if dimension not in results.dims]
    if lacking:
        raise DataError(f"{name} has no dimension {lacking[0]!r}: it must be {words}")


def _refuse_another_type(parameter: inspect.Parameter, value: Any, results: Any) -> None:
    name, annotation = parameter.name, str(parameter.annotation)
    if value is None and (parameter.default is None or "None" in annotation):
        return
    if annotation == "int":
        sizes = results.sizes if isinstance(results, xr.Dataset) else {}
        whole_number(
            name, value, least=int(name in ("n_neurons", "n_trials")), most=sizes[name] - 1 if name in sizes else None
        )
    elif annotation in ("float", "float | None"):
        number(name, value, above=0.0 if name.endswith("_ms") else None)
    elif annotation == "bool" and not isinstance(value, bool):
        raise SpecError(f"{name} = {shown(value)}: must be True or False")
    elif annotation in ("str", "str | None") and not isinstance(value, str):
        raise SpecError(f"{name} = {shown(value)}: must be text")
    elif annotation.startswith("Selection") and not isinstance(value, Mapping):
        raise SpecError(f"{name} = {shown(value)}: must map parameters to values, as {{'n_neurons': 500}}")
    elif annotation.startswith(("Variants", "Sequence[str]")) and (
        isinstance(value, (str, bytes)) or not _are_all_text(value)
    ):
        raise SpecError(f"{name} = {shown(value)}: must be a list of names")


def _are_all_text(values: Any) -> bool:
    try:
        return all(isinstance(value, str) for value in values)
    except TypeError:
        return False


def _missing(error: KeyError) -> str:
    text = str(error.args[0]) if error.args else "such variable"
    return text.split("No variable named ")[1].split(".")[0] if "No variable named " in text else repr(text)


def _in_words(results: Any) -> str:
    # a Dataset's own representation is a page
    kinds = (xr.Dataset, xr.DataTree, xr.DataArray)
    return f"a {type(results).__name__}" if isinstance(results, kinds) else shown(results)
