"""Paths that users give: the home folder, addresses, and what cannot be a path, in every command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
import xarray as xr
import yaml

import hpcspike
from hpcspike.cli import main
from hpcspike.errors import StoreError
from hpcspike.identity import experiment_hash
from hpcspike.paths import expanded, is_address, local, path_to_write
from hpcspike.zarr_files import DIGESTS

NETWORK = """\
name: tiny
network: {n_neurons: 20}
connectivity: {kind: gaussian, probability: 0.4}
targets: {kind: sine, duration_ms: 60.0}
training: {n_loops: 1}
protocol: {free_run_ms: 10.0}
measures: {n_test_trials: 1}
"""

# every command with a path that it writes (OUT), and with one that it reads (IN)
WRITING = [
    "train net.yaml --out OUT.nc",
    "train net.yaml --out OUT.zarr",
    "train net.yaml --out a.nc --checkpoint OUT",
    "plan sweep.yaml --create --store OUT.zarr",
    "plan sweep.yaml --create --store s.zarr --receipt OUT.json",
    "run-batch OUT.zarr --batch 0",
    "run-batch s.zarr --batch 0 --keep-states OUT",
    "finalize OUT.zarr",
    "analyse s.zarr --out OUT",
    "show s.zarr --point 0 --out OUT.png",
    "show s.zarr --point 0 --out a.png --dataset OUT.nc",
    "export s.zarr OUT.nc",
    "export s.zarr OUT.zip",
    "export net.nc OUT.nwb",
    "study study.yaml --out OUT",
    "claims table.nc --out OUT",
    "plot net.nc --out OUT",
    "report net.nc --out OUT.html",
    "bench --quick --json OUT.json",
    "bench --history OUT.csv --add bench.json",
]
READING = [
    "train IN.yaml --out a.nc",
    "plan IN.yaml",
    "study IN.yaml",
    "status IN.zarr",
    "analyse IN.zarr --out new",
    "show IN.zarr --point 0",
    "show s.zarr --point 0 --states IN",
    "export IN.zarr a.nc",
    "claims IN.nc --out new",
    "plot IN.nc --out new",
    "report IN.nc --out a.html",
    "report net.nc --out a.html --figures IN",
    "report net.nc --out a.html --captions IN",
    "bench --markdown IN.json",
    "bench --history h.csv --add IN.json",
]
BAD = ["n" * 300, "file/below", "circle/below", "broken", "pipe", "n" * 5000]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.yaml").write_text(NETWORK)
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to("circle")
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def refused(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said of a command that ends with 2 before it has written anything."""
    before = names(Path())
    capsys.readouterr()
    assert main(command.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("hpcspike: error: ")
    assert error.count("\n") == 1
    assert names(Path()) == before
    return error


def _prepare(command: str, token: str, bad: str) -> str:
    """The command with a bad path in the place of ``token``; what is to lie there is made."""
    suffix = command.partition(token)[2].partition(" ")[0]
    path = Path(f"{bad}{suffix}")
    if bad == "broken":
        path.symlink_to("nowhere")
    if bad == "pipe":
        os.mkfifo(path)
    return command.replace(f"{token}{suffix}", str(path))


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("command", WRITING)
def test_nothing_is_written_to_what_cannot_be_a_path(
    command: str, bad: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refused(_prepare(command, "OUT", bad), capsys)
    assert bad[:200] in error


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("bad", [bad for bad in BAD if bad != "pipe"])
@pytest.mark.parametrize("command", READING)
def test_what_cannot_be_a_path_is_not_read(command: str, bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(_prepare(command, "IN", bad), capsys)
    assert bad[:200] in error


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("command", WRITING)
def test_nothing_is_written_to_an_address(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    suffix = command.partition("OUT")[2].partition(" ")[0]
    error = refused(command.replace("OUT", "s3://bucket/x"), capsys)
    assert f"s3://bucket/x{suffix}: results are written to folders of this machine" in error


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("path", ["/dev/null", "/dev/full"])
def test_devices_are_not_written_to(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is neither a file nor a folder" in refused(f"plot net.nc --out {path}", capsys)


# ---- the home folder -------------------------------------------------------------------------------------------------


@pytest.fixture
def home(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (place / "home").mkdir()
    monkeypatch.setenv("HOME", str(place / "home"))
    (place / "~").mkdir()
    return place / "home"


def test_a_tilde_is_the_home_folder_in_every_command(home: Path) -> None:
    (home / "net.yaml").write_text(NETWORK)
    assert main(["train", "~/net.yaml", "--out=~/t/a.nc", "--checkpoint=~/state"]) == 0
    assert main(["plot", "~/t/a.nc", "--out=~/figures"]) == 0
    assert main(["export", "~/t/a.nc", "~/a.nwb"]) == 0
    assert main(["train", "~/net.yaml", "--out=~/t/a.nc"]) == 0  # there already
    found = {path.name for path in home.iterdir() if path.name[0] != "."}
    assert found == {
        "net.yaml",
        "t",
        "state",
        "figures",
        "a.nwb",
    }
    assert [path.name for path in (home / "t").iterdir()] == ["a.nc"]
    assert list(Path("~").iterdir()) == []
    assert hpcspike.open_network("~/t/a.nc").sizes["neuron"] == 20


def test_a_tilde_in_yaml_is_the_home_folder(home: Path) -> None:
    (home / "rates.csv").write_text("a,b\n1,2\n3,4\n")
    document = yaml.safe_load(NETWORK)
    document["targets"] = {"kind": "recorded", "path": "~/rates.csv", "holds": "drive"}
    Path("net.yaml").write_text(yaml.safe_dump(document))
    assert hpcspike.load("net.yaml").targets.path == str(home / "rates.csv")  # type: ignore[union-attr]


def test_the_home_of_nobody_is_refused(place: Path) -> None:
    with pytest.raises(StoreError, match="--out ~nobody-of-this-name/a.nc: there is no such home folder"):
        path_to_write("~nobody-of-this-name/a.nc", "--out")


def test_an_empty_path_is_refused() -> None:
    with pytest.raises(StoreError, match="--out: is empty"):
        expanded("", "--out")


# ---- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://bucket/x", True),
        ("memory://x", True),
        ("simplecache::s3://bucket/x", True),
        ("https://host/x.nc", True),
        ("results/fig6.zarr", False),
        ("/a/b:c", False),
        ("a:b", False),
        ("~/x", False),
        (Path("s3:/x"), False),
    ],
)
def test_addresses_are_told_from_paths(text: Any, expected: bool) -> None:
    assert is_address(text) is expected


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    yield system
    system.rm("/", recursive=True)


@pytest.mark.parametrize("name", ["net.nc", "net.zarr"])
def test_a_network_is_read_from_an_address(place: Path, memory: Any, name: str) -> None:
    assert main(["train", "net.yaml", "--out", name]) == 0
    memory.put(name, f"/lab/{name}", recursive=True)
    here = hpcspike.open_network(name).load()
    for address in (f"memory://lab/{name}", (place / name).as_uri()):
        xr.testing.assert_identical(hpcspike.open_network(address).load(), here)
    assert DIGESTS not in here.attrs
    assert main(["plot", f"memory://lab/{name}", "--out", "figures"]) == 0
    assert any(Path("figures").iterdir())


@pytest.mark.usefixtures("place", "memory")
def test_an_address_of_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "RESULT" not in refused("plot memory://lab/none.nc --out new", capsys)
    with pytest.raises(StoreError, match="memory://lab/none.zarr: there is nothing"):
        hpcspike.open_sweep("memory://lab/none.zarr")
    with pytest.raises(StoreError, match="nosuch://x: cannot be read .Protocol not known: nosuch"):
        local("nosuch://x")


@pytest.mark.usefixtures("place")
def test_a_recording_is_read_from_an_address(memory: Any) -> None:
    memory.pipe("/lab/rates.csv", b"a,b\n" + b"1.5,20.0\n2.5,30.0\n" * 20)
    document = yaml.safe_load(NETWORK)
    document["targets"] = {"kind": "recorded", "path": "memory://lab/rates.csv", "holds": "drive"}
    Path("net.yaml").write_text(yaml.safe_dump(document))
    from_address = hpcspike.load("net.yaml")
    Path("rates.csv").write_bytes(memory.cat("/lab/rates.csv"))
    document["targets"]["path"] = "rates.csv"
    Path("net.yaml").write_text(yaml.safe_dump(document))
    assert experiment_hash(from_address) == experiment_hash(hpcspike.load("net.yaml"))
