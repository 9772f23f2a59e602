"""Identities of what is there already: they name results on disks, and must not move."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from hpcspike.identity import experiment_hash, sweep_hash
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.load import load, validate_study, validate_sweep
from hpcspike.spec.study import Study
from hpcspike.spec.sweep import Sweep
from hpcspike.studies.identity import run_hash

ROOT = Path(__file__).parent.parent
PINNED = json.loads((ROOT / "tests" / "identities.json").read_text())
"""File, and size if it has several -> what `identity_of` says of it."""


def identity_of(config: Experiment | Sweep | Study) -> str:
    """The hash of an experiment; of a sweep over its own and some of its points', of a study over its networks'."""
    if isinstance(config, Experiment):
        return experiment_hash(config)
    if isinstance(config, Study):
        parts = [run_hash(config, run) for run in config.runs]
    else:
        n = config.n_points
        points = [config.point(config.parameters_at(index)) for index in sorted({0, n // 3, n // 2, n - 1})]
        parts = [sweep_hash(config), *map(experiment_hash, points)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def without_recording(file: str, size: str) -> dict[str, Any] | None:
    """What takes the place of a recording that is not here: its path alone, as what it holds counts, too."""
    for end, key in {
        "/alm.yaml": "targets.path",
        "/alm_readings.yaml": "experiment.targets.path",
        "/fig5_recordings.yaml": "experiment.targets.path",
    }.items():
        if file.endswith(end):
            return {key: "generated"}
    if "/kim2023" not in file or size == "smoke":
        return None
    changes = {"path": "generated", "variable": None, "conditions": [{"name": "right"}, {"name": "left"}]}
    section = "targets" if file.endswith("/kim2023.yaml") else "experiment.targets"
    return {f"{section}.{key}": value for key, value in changes.items()}


def identity_of_result(attributes: dict[str, Any]) -> str:
    """`identity_of` what a table is of, by its attributes; a recording that it names need not be here."""
    document = json.loads(attributes["sweep" if "sweep" in attributes else "document"])
    targets = document["experiment"].get("targets", {})
    if targets.get("kind") == "recorded":
        targets["path"] = "generated"
    return identity_of((validate_sweep if "sweep" in attributes else validate_study)(document))


@pytest.mark.parametrize("name", [name for name in PINNED if not name.endswith(".nc")])
def test_a_config_means_what_it_always_meant(name: str) -> None:
    file, _, size = name.partition(" ")
    assert identity_of(load(ROOT / file, size=size or None, changes=without_recording(file, size))) == PINNED[name]


@pytest.mark.parametrize("name", [name for name in PINNED if name.endswith(".nc")])
def test_a_result_is_still_that_of_its_experiments(name: str) -> None:
    import h5netcdf

    with h5netcdf.File(ROOT / name) as file:
        attributes = dict(file.attrs)
    assert identity_of_result(attributes) == PINNED[name]
    targets = json.loads(attributes.get("sweep") or attributes["document"])["experiment"].get("targets", {})
    assert not Path(targets.get("path", "")).is_absolute()  # a place on one machine


def test_every_config_and_result_has_a_pinned_identity() -> None:
    files = {name.partition(" ")[0] for name in PINNED}
    there = [*(ROOT / "cluster" / "config").glob("*.yaml"), *(ROOT / "results" / "reference").rglob("*.nc")]
    assert {str(file.relative_to(ROOT)) for file in there} <= files
