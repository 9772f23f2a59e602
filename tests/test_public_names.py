"""The public names of the package: all there, and costing nothing until they are used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import hpcspike


def test_every_public_name_is_there() -> None:
    for name in hpcspike.__all__:
        assert getattr(hpcspike, name) is not None
        assert name in dir(hpcspike)


def test_names_that_are_not_there_are_named() -> None:
    with pytest.raises(AttributeError, match="'hpcspike' has no attribute 'trian'"):
        hpcspike.trian  # noqa: B018


def test_importing_the_package_loads_none_of_its_libraries(root: Path) -> None:
    heavy = ["numpy", "numba", "xarray", "zarr", "dask", "scipy", "pandas", "matplotlib", "pydantic"]
    program = f"import sys, hpcspike; print([name for name in {heavy!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
