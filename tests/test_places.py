"""The files that documents name: where they are looked for, and what is kept of them in results that go elsewhere."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from hpcspike.spec.places import anchor_places, keep_names_of_files

AT = "there"


def document(place: str) -> dict[str, Any]:
    """Every way to name a file, those of one experiment, of variants and of axes; ``place`` lies before each name."""
    recorded = {
        "kind": "recorded",
        "path": f"{place}rates.nc",
        "conditions": [{"name": "left", "path": f"{place}l.nc"}],
    }
    code = {"neuron": {"source": f"{place}own.py:Cell"}, "learner": {"path": f"{place}learner.py:Rule"}}
    return {
        "experiment": {"targets": recorded, **code},
        "variants": {"other": {"targets": copy.deepcopy(recorded), **copy.deepcopy(code)}, "plain": None},
        "axes": {
            "targets.path": [f"{place}a.nc", f"{place}b.nc"],
            "neuron.source": [f"{place}own.py:Cell", f"{place}own.py:Other"],
            "targets": [copy.deepcopy(recorded), {"kind": "sine"}],
        },
    }


def test_every_file_is_looked_for_beside_the_document_that_names_it() -> None:
    found, experiment = document(""), document("")["experiment"]
    anchor_places(found, Path("/somewhere") / AT)
    assert found == document(f"/somewhere/{AT}/")
    anchor_places(experiment, Path("/somewhere") / AT)
    assert experiment == document(f"/somewhere/{AT}/")["experiment"]


def test_of_every_file_its_name_can_be_kept_alone() -> None:
    found = document(f"/somewhere/{AT}/")
    keep_names_of_files(found)
    assert found == document("")


@pytest.mark.parametrize(
    "targets",
    [
        {"path": "generated"}, {"path": "s3://bucket/folder/rates.nc"}, {"path": 3}, {"path": None}, [], "a/b", None,
        {"conditions": "a/b"}, {"conditions": ["a/b", 3]},
    ],
)  # fmt: skip
@pytest.mark.parametrize("change", [lambda found: anchor_places(found, Path(AT)), keep_names_of_files])
def test_what_is_no_place_on_this_machine_stays(targets: Any, change: Any) -> None:
    found = {"targets": targets, "neuron": {"source": "package.module:Cell"}, "learner": "a/b"}
    before = copy.deepcopy(found)
    change(found)
    assert found == before
