"""The exported JSON schema says what the models say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from sweep_stub import sweep_document

from hpcspike.spec.schema import experiment_schema, field_help, field_table, study_schema, sweep_schema

jsonschema = pytest.importorskip("jsonschema")


def is_valid(document: Any, schema: dict[str, Any]) -> bool:
    return bool(jsonschema.Draft202012Validator(schema).is_valid(document))


def test_the_schema_in_the_repository_is_the_models() -> None:
    path = Path(__file__).parent.parent / "cluster" / "config" / "sweep.schema.json"
    assert json.loads(path.read_text()) == json.loads(json.dumps(sweep_schema())), (
        "make it anew with: hpcspike schema sweep > cluster/config/sweep.schema.json"
    )


@pytest.mark.parametrize("path", sorted((Path(__file__).parent.parent / "cluster" / "config").glob("*.yaml")), ids=str)
def test_the_named_experiments_follow_the_schema(path: Path) -> None:
    document = yaml.safe_load(path.read_text())
    schema = study_schema if "variants" in document else sweep_schema if "experiment" in document else experiment_schema
    assert is_valid(document, schema())


def test_schemas_are_valid_schemas() -> None:
    for schema in (experiment_schema(), sweep_schema(), study_schema()):
        jsonschema.Draft202012Validator.check_schema(schema)


def test_the_schema_refuses_what_the_models_refuse(tiny_document: dict[str, Any]) -> None:
    assert is_valid(tiny_document, experiment_schema())
    assert is_valid(sweep_document(), sweep_schema())
    assert not is_valid({**tiny_document, "trainin": {}}, experiment_schema())
    assert not is_valid({**tiny_document, "synapse": {"tau_syn_ms": 0}}, experiment_schema())
    assert not is_valid({key: value for key, value in tiny_document.items() if key != "targets"}, experiment_schema())
    assert not is_valid(sweep_document(axes={"seed": 1}), sweep_schema())
    assert not is_valid(sweep_document(experiment={"synaps": {}}), sweep_schema())


def test_an_axis_may_give_what_the_experiment_leaves_out() -> None:
    experiment = {"targets": {"kind": "recorded"}, "training": {"variable": "rate"}}
    assert is_valid({"experiment": experiment, "axes": {"targets.path": ["a.nc"]}}, sweep_schema())


def test_the_table_lists_every_field_with_unit_and_default() -> None:
    lines = {line.split()[0]: line for line in field_table().splitlines()}
    assert lines["synapse.tau_syn_ms"].split()[1:5] == ["ms", "20", ">", "0"]
    assert "[Eq 7]" in lines["synapse.tau_syn_ms"]
    assert "required" in lines["targets.kind"]
    assert "Hz | per_tau | 1" in lines["targets.unit"]
    assert not [line for line in lines if line.count("targets.grid_ms") > 1]


def test_the_help_says_the_same_within_the_width_of_the_terminal() -> None:
    text = field_help(72)
    assert max(map(len, text.splitlines())) <= 72
    assert "synapse.tau_syn_ms\n    (in ms; default 20; > 0)\n    Decay time tau_s of plastic synapses. [Eq 7]" in text
    assert "targets.kind\n    (required; sine | " in text
    names = {line.split()[0] for line in text.splitlines() if not line.startswith(" ")}
    assert names == {line.split()[0] for line in field_table().splitlines()}
