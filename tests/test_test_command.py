"""``hpcspike test`` and ``hpcspike train --from``: the stored bits again, conditions, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hpcspike
from hpcspike.cli import main
from hpcspike.commands.test import compare_trials
from hpcspike.errors import SpecError
from hpcspike.live.network import write_network
from hpcspike.runs.run import train_to_store
from hpcspike.variables import ABOUT_UNITS
from tests.small_networks import experiment


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("test") / "net.zarr"
    train_to_store(experiment(neuron={"model": "theta", "bias": 0.3}), path)
    return path


def test_stored_trials_are_run_again_bit_for_bit(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", str(net), "--trials", "3"]) == 0
    out = capsys.readouterr().out
    assert "equal to the stored trials bit for bit (2 trials)" in out
    assert "20 of 20 neurons, single test trials, plasticity off" in out
    assert "Hz over all 20 neurons\n" in out
    assert main(["test", str(net), "--first-trial", "7"]) == 0
    assert "none of these trials is in the file" in capsys.readouterr().out


def test_a_difference_is_named(net: Path) -> None:
    stored = hpcspike.open_network(net).load()
    found = stored.copy(deep=True)
    found["drive"].values[0, 1, 3, 4] += 1e-16 + 1e-12
    assert compare_trials(found, stored) == (["drive"], 2)


def test_conditions_from_the_shell(net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "cue.npy", np.ones(20))
    arguments = ["--silence", "3,17", "--stimulus", str(tmp_path / "cue.npy"), "--beyond", "50", "--noise", "0.1"]
    assert main(["test", str(net), *arguments, "--out", str(tmp_path / "trials.nc")]) == 0
    out = capsys.readouterr().out
    assert "18 of 20 neurons" in out
    assert "silent: 2 of 20 neurons: 3, 17\n" in out
    found = hpcspike.open_network(tmp_path / "trials.nc")
    assert list(np.flatnonzero(found["silenced"].values)) == [3, 17]
    assert found.sizes["time"] == 250
    assert main(["test", str(net), "--silence", "0.1"]) == 0
    for wrong in (["--silence", "nobody"], ["--stimulus", "none.npy"], ["--out", "x.csv"]):
        assert main(["test", str(net), *wrong]) == 2
    capsys.readouterr()
    for option, value, unit in (("--beyond", "-5", "ms"), ("--noise", "-1", "units of the external input")):
        assert main(["test", str(net), option, value]) == 2
        words = f"{option} = {value}: must be a finite number in {unit}, at least 0"
        assert words in capsys.readouterr().err.replace("\n", " ")


def test_units_with_numbers_as_names_are_not_taken_for_neurons(
    net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = np.array(["7", "12", "901", "b", *[""] * 16])
    recorded = hpcspike.open_network(net).load().assign_coords(unit_name=("neuron", names, ABOUT_UNITS))
    path = str(tmp_path / "recorded.nc")
    write_network(recorded, Path(path))
    for ambiguous in ("7", "5,12"):
        assert main(["test", path, "--silence", ambiguous]) == 2
    assert "give unit:12 or neuron:12" in capsys.readouterr().err
    for asked, neurons in {
        "unit:7": "1 of 20 neurons: 0 (unit 7)", "neuron:7,unit:12": "2 of 20 neurons: 1 (unit 12), 7",
        "901": "1 of 20 neurons: 2 (unit 901)", "5,b": "2 of 20 neurons: 3 (unit b), 5",
    }.items():  # fmt: skip
        assert main(["test", path, "--silence", asked]) == 0
        assert f"silent: {neurons}\n" in capsys.readouterr().out
    live = hpcspike.live_network(recorded)
    assert [list(live.chosen([one])) for one in ("7", "unit:7", "neuron:7", 7)] == [[0], [0], [7], [7]]
    for wrong in ("neuron:20", "unit:5", "neuron:b"):
        with pytest.raises(SpecError, match="neuron:K with K from 0 to 19, or a recorded unit"):
            live.chosen([wrong])


def test_training_goes_on_from_the_file(net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "on.zarr")
    assert main(["train", "--from", str(net), "--loops", "1", "--out", out, "--set", "training.ridge=2"]) == 0
    said = capsys.readouterr().out
    assert "trained for 1 more loops per target set, P begun anew" in said
    assert "over 20 neurons, plasticity off, 2 test trials" in said
    assert main(["test", out]) == 0
    assert "equal to the stored trials bit for bit" in capsys.readouterr().out
    for wrong in (["--from", str(net)], [], ["--loops", "2"], ["--from", str(net), "--loops", "1", "--size", "x"]):
        assert main(["train", *wrong, "--out", str(tmp_path / "other.zarr")]) == 2
