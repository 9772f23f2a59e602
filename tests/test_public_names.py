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


def test_importing_the_package_loads_nothing_else_at_all(root: Path) -> None:
    program = "import sys; before = set(sys.modules); import hpcspike; print(sorted(set(sys.modules) - before))"
    found = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "['__future__', 'hpcspike']"


def test_no_public_function_of_a_package_has_the_name_of_a_module_in_it() -> None:
    for package in (hpcspike.measures, hpcspike.analysis, hpcspike.exchange):
        folder = Path(str(package.__file__)).parent
        modules = {file.stem for file in folder.glob("*.py")}
        assert modules & set(package.__all__) == set()
        assert all(callable(getattr(package, name)) for name in package.__all__)
