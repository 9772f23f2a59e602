"""What a store says of its points: as the grid says it, or nothing if a point may have changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweep_stub import sweep_document

from hpcspike.spec import validate_sweep
from hpcspike.sweep.grid import build_grid
from hpcspike.sweep.growth import ensure_store
from hpcspike.sweep.held import points_in, points_of

RATES = "time_ms,u1,u2\n0,6,9\n100,7,12\n"


def test_a_store_says_of_its_points_what_the_grid_says(tmp_path: Path) -> None:
    for number, batching in enumerate(({"max_points": 2}, {"mpi_minutes": 1e-4, "mpi_ranks": 3})):
        sweep = validate_sweep(sweep_document(batching=batching))
        store, _ = ensure_store(tmp_path / f"{number}.zarr", sweep)
        found, wanted = points_in(store, sweep), points_of(build_grid(sweep))
        assert found is not None
        assert found.identity == wanted.identity
        assert found.n_points == sweep.n_points == wanted.n_points
        np.testing.assert_array_equal(found.seconds, wanted.seconds)
        assert found.memory_mib == pytest.approx(wanted.memory_mib, abs=0.5)  # the store rounds to MiB


@pytest.mark.parametrize(
    "changes", [{"replicates": 3}, {"axes": {"synapse.tau_syn_ms": [5, 21, 100], "targets.tau_corr_ms": [50, 100]}}]
)
def test_a_store_says_nothing_of_another_sweep(tmp_path: Path, changes: dict[str, Any]) -> None:
    store, _ = ensure_store(tmp_path / "s.zarr", validate_sweep(sweep_document()))
    assert points_in(store, validate_sweep(sweep_document(**changes))) is None


def test_a_store_says_nothing_once_a_recording_of_one_of_its_points_has_changed(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one.csv", "two.csv", "three.csv")]
    for number, file in enumerate(files):
        file.write_text(RATES.replace("6", str(6 + number)))
    experiment = {
        "targets": {"kind": "recorded", "path": str(files[0]), "unit": "Hz"},
        "training": {"variable": "rate"},
    }
    axes = {"seed": [1, 2], "targets.path": [str(file) for file in files], "training.ridge": [0.5, 1]}
    sweep = validate_sweep({"name": "of_files", "experiment": experiment, "axes": axes, "replicates": 2})
    store, _ = ensure_store(tmp_path / "s.zarr", sweep)
    assert points_in(store, sweep) is not None
    files[1].write_text(RATES.replace("9", "10"))
    assert points_in(store, sweep) is None


def test_a_sweep_without_axes_has_points_too(tmp_path: Path) -> None:
    sweep = validate_sweep(sweep_document(axes={}))
    store, _ = ensure_store(tmp_path / "s.zarr", sweep)
    assert points_in(store, sweep) is not None
