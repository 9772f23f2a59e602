"""kill -9 on the command line, for every learner: the same command goes on to the bits of an uninterrupted run."""

from __future__ import annotations

from pathlib import Path

import pytest
import xarray as xr
import yaml

import hpcspike
from hpcspike.cli import main
from tests.mpi_launch import ROOT, ended, started
from tests.test_one_road import asked, needs_jax, without_times

KILLED = ROOT / "tests" / "killed_program.py"
TRAIN = ("train", "road.yaml", "--checkpoint-every-loops", "1", "--out")

LEARNERS = [
    pytest.param("rls", 0),
    pytest.param("rls", 1, marks=[pytest.mark.mpi, pytest.mark.slow]),
    pytest.param("rls", 2, marks=pytest.mark.mpi),
    pytest.param("bourdoukan", 0, marks=pytest.mark.slow),  # alemi is the sibling of what is slow here
    pytest.param("alemi", 0),
    pytest.param("lsnn", 0, marks=[needs_jax, pytest.mark.slow]),
    pytest.param("huh", 0, marks=[needs_jax, pytest.mark.slow]),
]


@pytest.mark.parametrize(("name", "ranks"), LEARNERS)
def test_a_killed_training_goes_on_to_the_same_bits(
    name: str, ranks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pynwb")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "road.yaml").write_text(yaml.safe_dump(asked(name).model_dump(mode="json")))
    with started(ranks, KILLED, 3, *TRAIN, "a.zarr", folder=tmp_path) as killed:
        end = ended(killed)
    assert end.code != 0, end
    assert "3/3" not in end.out + end.err  # it died before it could say so
    assert not (tmp_path / "a.zarr").exists()
    assert (tmp_path / "a.zarr.checkpoint").is_dir()

    if ranks < 2:
        assert main([*TRAIN, "a.zarr"]) == 0
        said = capsys.readouterr().err
    else:
        with started(ranks, "-m", "hpcspike", *TRAIN, "a.zarr", folder=tmp_path) as again:
            end = ended(again)
        assert end.code == 0, end
        said = end.err
    assert "3/" in said
    assert "1/" not in said.replace("1/s", "")  # two loops or passes were saved
    assert not (tmp_path / "a.zarr.checkpoint").exists()
    assert main([*TRAIN, "b.zarr"]) == 0
    resumed, uninterrupted = (hpcspike.open_network(tmp_path / f"{name}.zarr") for name in "ab")
    xr.testing.assert_equal(without_times(resumed), without_times(uninterrupted))

    assert main(["export", "a.zarr", "a.nwb"]) == 0
    assert (tmp_path / "a.nwb").stat().st_size > 0
    assert main(["plot", "a.zarr", "--out", "figures"]) == 0
    assert {"samples.png", "raster.png", "training.png"} <= {path.name for path in (tmp_path / "figures").iterdir()}
