"""Which recorded units the neurons of a Dataset follow."""

from __future__ import annotations

import re
from typing import Any

import xarray as xr

from hpcspike.variables import ABOUT_UNITS


def unit_coordinates(trained: xr.Dataset) -> dict[str, xr.DataArray]:
    """Coordinates along ``neuron`` that say something of recorded units, by name, ``unit_name`` first; none without."""
    return {
        str(name): array
        for name, array in trained.coords.items()
        if array.dims == ("neuron",) and ABOUT_UNITS.items() <= array.attrs.items()
    }


def called(one: xr.Dataset | xr.DataArray, neuron: int, *, name: str = "unit_name") -> str:
    """What a figure calls a neuron: by its recorded unit where it follows one, else by its number.

    Parameters
    ----------
    one
        Data of this neuron alone, with ``name`` as a scalar if it follows a recorded unit.
    neuron
        Its number.
    name
        Variable that holds the name of the unit; "unit" stands before it unless it begins with that.
    """
    unit = str(one[name].values) if name in one.coords or (isinstance(one, xr.Dataset) and name in one) else ""
    named = unit if re.match(r"unit(?![a-z])", unit, re.IGNORECASE) else f"unit {unit}"
    return f"{named} (neuron {neuron})" if unit else f"neuron {neuron}"


def said_of(coordinates: dict[str, xr.DataArray], neuron: int) -> dict[str, Any]:
    """What the coordinates say of one neuron, as plain values: text, or numbers where they are known."""
    found = {name: array.values[neuron].item() for name, array in coordinates.items()}
    return {name: value for name, value in found.items() if value != "" and value == value}
