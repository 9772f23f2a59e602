"""A study that cannot be carried out is refused before its first network is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from hpcspike.commands.plan import check_study
from hpcspike.errors import SpecError
from hpcspike.runs.facts import Facts
from hpcspike.spec import load
from hpcspike.spec.load import validate_study
from hpcspike.studies import feasible
from tests.test_identity import without_recording

ROOT = Path(__file__).resolve().parent.parent
EXPERIMENT = {
    "network": {"n_neurons": 12},
    "targets": {"kind": "sine", "duration_ms": 100.0, "grid_ms": 2.0},
    "training": {"n_loops": 1},
}


def study_of(probes: dict[str, Any], **variant: Any) -> Any:
    return validate_study({"experiment": EXPERIMENT, "variants": {"plain": None, "other": variant}, "probes": probes})


@pytest.mark.parametrize(
    ("probes", "variant", "message"),
    [
        ({"quasi_static": {}}, {"neuron": {"model": "lif"}}, "probes.quasi_static needs neuron.model = theta, not lif"),
        ({"perturbation": {}}, {"neuron": {"model": "lif"}}, "probes.perturbation needs neuron.model = theta"),
        ({"heterogeneity": {}}, {"neuron": {"model": "tanh"}}, "probes.heterogeneity needs neuron.model = theta"),
        (
            {"quasi_static": {"bin_ms": 102.0}},
            {},
            "probes.quasi_static.bin_ms = 102 ms is longer than the window",
        ),
        ({"heterogeneity": {"bin_ms": 101.0}}, {}, "probes.heterogeneity.bin_ms = 101 ms is longer than the window"),
        ({"quasi_static": {"bin_ms": 5.0}}, {}, "bin_ms = 5 ms is not a multiple of targets.grid_ms = 2 ms"),
        ({"perturbation": {"delay_ms": 1.5}}, {}, "delay_ms = 1.5 ms is not a multiple of neuron.step_ms = 1 ms"),
        ({"perturbation": {"delay_ms": 100.0, "beyond_ms": 0.0}}, {}, "delay_ms = 100 ms: must be below 100 ms"),
        ({"shuffle": {}}, {}, "probes.shuffle needs targets.kind = recorded"),
        ({"lesion": {"fractions": [0.1, 0.97]}}, {}, "probes.lesion.fractions: 0.97 leaves none of 12 neurons"),
    ],
)
def test_a_measure_that_cannot_be_taken_is_said_first(
    probes: dict[str, Any], variant: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError) as caught:
        check_study(study_of(probes, **variant))
    assert message in str(caught.value)
    assert f"in variant {'other' if variant else 'plain'!r}" in str(caught.value)


def test_measures_at_their_bounds_are_taken() -> None:
    probes = {
        "quasi_static": {"bin_ms": 100.0}, "heterogeneity": {"bin_ms": 100.0}, "lesion": {"fractions": [0.95]},
        "perturbation": {"delay_ms": 99.0, "beyond_ms": 0.0},
    }  # fmt: skip
    check_study(study_of(probes))


def test_a_probe_of_other_variants_asks_nothing_of_this_one() -> None:
    probes = {"quasi_static": {"bin_ms": 50.0, "variants": ["plain"]}}
    check_study(study_of(probes, neuron={"model": "lif"}))


def test_every_network_is_looked_at_before_the_first_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hpcspike.cli import main

    lost = {"targets": {"kind": "recorded", "path": "lost.csv"}, "training": {"variable": "rate"}}
    document = {"experiment": {**EXPERIMENT}, "variants": {"plain": None, "lost": lost}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(document))
    monkeypatch.chdir(tmp_path)
    assert main(["study", "study.yaml", "--out", "out"]) == 2
    assert "lost.csv: no such file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "file", [file for file in sorted((ROOT / "cluster" / "config").glob("*.yaml")) if "\nvariants:" in file.read_text()]
)
def test_the_studies_that_come_with_the_program_can_be_carried_out(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if file.name.startswith(("learners", "headlines")):  # which need not be installed
        monkeypatch.setattr(feasible, "facts_of", lambda experiment: Facts(100, 1000.0))
    check_study(load(file, changes=without_recording(str(file), "")))
