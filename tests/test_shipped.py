"""What comes with the package beside its code: found by name, and laid out by ``hpcspike init``."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import hpcspike
from hpcspike import shipped
from hpcspike.cli import main
from hpcspike.errors import ResourceError, SpecError
from hpcspike.shipped import config_file, named_experiments, shipped_folder, taken_instead

ROOT = Path(__file__).resolve().parent.parent
NAMED = "fig1_drive"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside the checkout, where no path of it leads anywhere."""
    monkeypatch.chdir(tmp_path)


def contents(folder: Path) -> dict[str, bytes]:
    """Path -> bytes of all files below a folder, but for what Python leaves."""
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


# ---- by name ---------------------------------------------------------------------------------------------------------


def test_a_named_experiment_is_that_of_the_file() -> None:
    assert named_experiments()[NAMED] == ROOT / "cluster" / "config" / f"{NAMED}.yaml"
    assert hpcspike.load(NAMED) == hpcspike.load(ROOT / "cluster" / "config" / f"{NAMED}.yaml")
    assert hpcspike.load("fig6", size="laptop") == hpcspike.load(
        ROOT / "cluster" / "config" / "fig6.yaml", size="laptop"
    )


@pytest.mark.parametrize("place", [NAMED, f"{NAMED}.yaml", f"cluster/config/{NAMED}.yaml"])
def test_a_file_of_that_name_goes_first_and_that_is_said(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    mine = Path(place)
    mine.parent.mkdir(parents=True, exist_ok=True)
    named = named_experiments()[NAMED].read_text()
    mine.write_text(named.replace("n_neurons: 200", "n_neurons: 50"))
    assert main(["plan", NAMED]) == 0
    words, errors = capsys.readouterr()
    assert f"the file {place} is read, not the experiment of that name" in errors
    assert hpcspike.load(NAMED).network.n_neurons == 50  # type: ignore[union-attr]
    mine.write_text(named)  # as 'hpcspike init' lays it out: nothing to be said
    assert main(["plan", NAMED]) == 0
    assert "is read, not" not in capsys.readouterr().err


def test_a_folder_of_results_with_the_same_name_is_not_in_the_way() -> None:
    Path(NAMED).mkdir()
    assert config_file(Path(NAMED)) == named_experiments()[NAMED]


@pytest.mark.parametrize("text", ["folder/fig1_drive", "fig1_drive.yml", "/fig1_drive"])
def test_only_a_bare_name_is_a_name(text: str) -> None:
    assert config_file(Path(text)) == Path(text)
    with pytest.raises(SpecError, match="no such file"):
        hpcspike.load(text)


def test_a_name_that_is_none_is_refused_with_the_one_that_is_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "fig1_drvie", "--out", "net.nc"]) == 2
    assert "did you mean fig1_drive? Named are alm, " in capsys.readouterr().err


def test_a_package_without_its_files_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shipped, "__file__", str(tmp_path / "hpcspike" / "shipped.py"))
    with pytest.raises(ResourceError, match="install hpcspike from a wheel or a checkout"):
        shipped_folder()
    assert named_experiments() == {}


def test_the_copy_in_a_wheel_goes_before_what_lies_beside_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    inside = tmp_path / "hpcspike" / "_shipped"
    for folder in (tmp_path, inside):
        (folder / "cluster").mkdir(parents=True)
        (folder / "Snakefile").touch()
    monkeypatch.setattr(shipped, "__file__", str(tmp_path / "hpcspike" / "shipped.py"))
    assert shipped_folder() == inside


def test_the_wheel_holds_everything_that_is_laid_out() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {part: f"hpcspike/_shipped/{part}" for part in shipped.PARTS}.items() <= wheel["force-include"].items()


def test_both_container_recipes_install_the_same_in_the_same_base() -> None:
    texts = [(ROOT / "cluster" / "container" / name).read_text() for name in ("Dockerfile", "hpcspike.def")]
    base, extras = (
        [re.findall(pattern, text, re.IGNORECASE | re.MULTILINE) for text in texts]
        for pattern in (r"^from:? (\S+)", r"\[([a-z,]+)\]")
    )
    assert base[0] == base[1] == ["python:3.11-slim-bookworm"]
    assert extras[0] == extras[1] == ["mpi,workflow,nwb"]
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras[0][0].split(",")) <= set(known)


# ---- laid out --------------------------------------------------------------------------------------------------------


def test_init_lays_out_the_same_files() -> None:
    assert main(["init", "mine"]) == 0
    assert contents(Path("mine/cluster")) == contents(ROOT / "cluster")
    assert Path("mine/Snakefile").read_bytes() == (ROOT / "Snakefile").read_bytes()
    assert {path.name for path in Path("mine").iterdir()} == {*shipped.PARTS}
    assert [path.name for path in Path().iterdir()] == ["mine"]


def test_an_empty_folder_is_filled_and_what_is_read_only_can_be_changed_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = tmp_path / "installed" / "hpcspike"
    (source / "_shipped" / "cluster").mkdir(parents=True)
    for name in ("Snakefile", "cluster/README.md"):
        (source / "_shipped" / name).touch(mode=0o444)
    monkeypatch.setattr(shipped, "__file__", str(source / "shipped.py"))
    Path("mine").mkdir()
    assert main(["init", "mine"]) == 0
    assert [oct(path.stat().st_mode & 0o600) for path in (Path("mine/Snakefile"), Path("mine/cluster/README.md"))] == [
        "0o600"
    ] * 2


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("full", "DIR full is not empty, and nothing is ever overwritten; choose a new folder"),
        ("file", "DIR file exists and is not a folder; choose another name"),
        (".", "DIR . is the folder you are in; give the name of a new one"),
    ],
)
def test_init_overwrites_nothing(
    folder: str, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if folder == ".":
        Path("empty").mkdir()
        monkeypatch.chdir("empty")
    else:
        Path("full").mkdir()
        Path("full/mine.txt").write_text("mine")
        Path("file").touch()
    before = contents(Path())
    assert main(["init", folder]) == 2
    assert words in capsys.readouterr().err
    assert contents(Path()) == before


def test_what_stops_half_way_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hpcspike.commands import init

    def full(file: Path, copy: Path) -> None:
        if file.name != "Snakefile":
            raise OSError(28, "No space left on device")
        copy.parent.mkdir()
        copy.touch()

    monkeypatch.setattr(init, "_copy", full)
    assert main(["init", "mine"]) == 2
    assert "mine: cannot be written (No space left on device); nothing was left behind" in capsys.readouterr().err
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("example", ["alm", "mpi"])
def test_an_example_names_a_sweep_that_is_laid_out(example: str) -> None:
    assert main(["init", "mine", "--example", example]) == 0
    settings = yaml.safe_load(Path("mine/workflow.yaml").read_text())
    assert settings == {"sweep": f"cluster/config/{example}_sweep.yaml"}
    assert Path("mine", settings["sweep"]).is_file()


@pytest.mark.workflow
def test_an_example_is_what_the_workflow_does_there() -> None:
    pytest.importorskip("snakemake", reason="needs the extra workflow")
    assert main(["init", "mine", "--example", "mpi"]) == 0
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--dry-run", "--config", "size=smoke"]
    done = subprocess.run(command, cwd="mine", capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "results/mpi_sweep_smoke.zarr.receipts/plan.json" in done.stdout + done.stderr
    assert "rule mpi_batch:" in done.stdout + done.stderr


def test_the_code_alone_reads_files_and_says_that_names_are_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hpcspike").mkdir()
    monkeypatch.setattr("hpcspike.shipped.__file__", str(tmp_path / "hpcspike" / "shipped.py"))
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("{}")
    Path("bare").write_text("{}")
    for name in ("mine.yaml", "bare"):
        assert config_file(Path(name)) == Path(name)
        assert taken_instead(Path(name)) is None
    assert config_file(Path("mine")) == Path("mine.yaml")
    with pytest.raises(ResourceError, match="the named experiments are not there"):
        config_file(Path("fig1_drive"))
