"""The tutorial runs as it stands: in small here, in full (with what it promises to reach) as slow tests."""

from __future__ import annotations

import re
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import psutil
import pytest
from mpi_launch import environment

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "cluster" / "tutorial"
PARTS = sorted(FOLDER.glob("part*.py"))
FIGURES = {"part1": 3, "part2": 4, "part3": 1, "part4": 1}

Play = Callable[[str], dict[str, Any]]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Play:
    """Runs a part in this process, in small, and returns its variables; its programs find the checkout."""
    import matplotlib.pyplot as plt

    matplotlib.use("Agg")
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HPCSPIKE_TUTORIAL_QUICK", str(tmp_path))
    for name, value in environment().items():
        monkeypatch.setenv(name, value)

    def run(part: str) -> dict[str, Any]:
        (path,) = FOLDER.glob(f"{part}_*.py")
        try:
            names = runpy.run_path(str(path))
        finally:
            plt.close("all")
        figures = list(Path(names["OUT"]).glob(f"{part}_*.png"))
        assert len(figures) == FIGURES[part]
        assert all(figure.stat().st_size > 5000 for figure in figures)
        return names

    return run


def test_there_are_four_parts_in_percent_format_each_with_its_switch() -> None:
    assert [path.name[:5] for path in PARTS] == list(FIGURES)
    for path in PARTS:
        text = path.read_text()
        assert text.startswith("# %% [markdown]\n# # Part ")
        cells = re.split(r"^# %%", text, flags=re.MULTILINE)[1:]
        assert sum(cell.startswith(" [markdown]") for cell in cells) >= 6
        # cells of prose hold nothing but comments, so that both ways of reading it see the same
        for cell in cells:
            lines = cell.splitlines()[1:]
            assert not cell.startswith(" [markdown]") or all(line.startswith("#") or not line for line in lines)
        assert 'os.environ.get("HPCSPIKE_TUTORIAL_QUICK")' in text


def test_the_tutorial_uses_public_names_only() -> None:
    import hpcspike

    for path in PARTS:
        text = path.read_text()
        assert re.findall(r"^(?:from hpcspike|import hpcspike\.).*", text, re.MULTILINE) == []
        for name in re.findall(r"\bhpcspike\.([a-z_]\w*)(?=[.(])", re.sub(r"^#.*", "", text, flags=re.MULTILINE)):
            assert name in hpcspike.__all__, (path.name, name)


def test_part_1_trains_a_network(play: Play) -> None:
    names = play("part1")
    assert names["trained"].sizes["loop"] == 2
    assert abs(names["before"]) < 0.1 < names["after"] < 1
    assert 0 < names["remaining"] < 1
    assert names["change"] > 0
    assert names["weights"].shape == (200, 200)


@pytest.mark.workflow
def test_part_2_maps_the_errors_with_the_workflow(play: Play, capfd: pytest.CaptureFixture[str]) -> None:
    names = play("part2")
    said = capfd.readouterr()
    assert "redundant" not in said.err  # Snakemake's word about paths with './'
    assert f"store      {names['OUT'] / 'map.zarr'} (not made yet" in said.out  # where the sweep then is
    assert names["table"].shape == (3, 2)
    assert np.isfinite(names["table"]).all()
    assert names["index_fast"] > names["index_slow"]


def test_part_3_trains_the_stand_in_and_says_that_it_is_one(play: Play) -> None:
    names = play("part3")
    assert names["trained"].attrs["stand_in"] == "generated stand-in, not recorded"
    assert (names["recorded"].sizes["neuron"], names["trained"].sizes["neuron"]) == (12, 36)
    assert names["problem"].targets.shape[1] == 36
    assert np.isfinite([names["averaged"], names["single"]]).all()
    # one kind of number throughout: it begins with single trials and ends with the average over all
    averages = names["averages_over"]
    assert averages[1] == pytest.approx(names["single"], abs=1e-12)
    assert averages[names["n_trials"]] == pytest.approx(names["averaged"], abs=1e-12)


@pytest.mark.mpi
def test_part_4_kills_a_run_and_goes_on_to_the_same_bits(play: Play) -> None:
    check_part_4(play("part4"))


@pytest.mark.mpi
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_part_4_leaves_nothing_running_when_it_is_interrupted(tmp_path: Path, number: signal.Signals) -> None:
    (path,) = FOLDER.glob("part4_*.py")
    variables = environment(HPCSPIKE_TUTORIAL_QUICK=str(tmp_path), MPLBACKEND="Agg", PYTHONUNBUFFERED="1")
    tutorial = subprocess.Popen(
        [sys.executable, str(path)], cwd=ROOT, env=variables, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    job: list[psutil.Process] = []
    try:
        assert tutorial.stdout is not None
        for line in tutorial.stdout:
            if "loop 1/" in line:  # shown as it comes: the job is at work
                job = psutil.Process(tutorial.pid).children(recursive=True)
                tutorial.send_signal(number)
                break
        _, err = tutorial.communicate(timeout=60.0)
        assert "KeyboardInterrupt" in err
        assert len(job) >= 3  # the launcher and two ranks
        assert not psutil.wait_procs(job, timeout=10.0)[1]
    finally:
        for process in (*job, tutorial):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        tutorial.communicate()


def check_part_4(names: dict[str, Any]) -> None:
    assert names["RANKS"] == 2
    assert names["killed_code"] != 0
    said = "".join(names["said"])
    assert "loop 1/" not in said
    assert "loop 10/10" in said
    assert 2 <= names["kept"] < 10
    assert set(names["same"].values()) == {True}


# ---- at full size ----------------------------------------------------------------------------------------------------


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, play: Play) -> Play:
    """Runs a part at full size, in a copy of the folders it looks for, so that results/ stays as it is."""
    for name in ("Snakefile", "cluster", "hpcspike"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.delenv("HPCSPIKE_TUTORIAL_QUICK")
    monkeypatch.chdir(tmp_path)
    return play


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_part_1_reaches_what_it_promises(full: Play) -> None:
    assert full("part1")["after"] > 0.9


@pytest.mark.slow
@pytest.mark.workflow
@pytest.mark.timeout(1800)
def test_part_2_shows_both_regimes(full: Play) -> None:
    names = full("part2")
    assert names["index_fast"] > 0.5
    assert names["index_slow"] < -0.5
    best = names["table"].max("tau_syn_ms")
    assert (best.diff("tau_corr_ms") > 0).all()
    assert float(best.max()) > 0.8
    assert (np.diff(names["crossing"].tau_syn_ms) > 0).all()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_part_3_reaches_what_it_promises(full: Play) -> None:
    names = full("part3")
    assert 0.4 < names["single"] < names["averaged"]
    assert names["averaged"] > 0.65


@pytest.mark.slow
@pytest.mark.mpi
@pytest.mark.timeout(1800)
def test_part_4_ends_with_the_same_bits_at_full_size(full: Play) -> None:
    check_part_4(full("part4"))
