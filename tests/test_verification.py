"""Results on disk: damage is noticed by every command, permissions are the user's, and each has one writer."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import h5py
import pytest

import hpcspike
from hpcspike.cli import main
from hpcspike.engine.checkpoint_files import checkpoints_in
from hpcspike.errors import StoreError
from hpcspike.files import claimed, is_unfinished
from hpcspike.verification import Findings, verify
from tests.test_files import another_writer
from tests.test_paths import NETWORK


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.yaml").write_text(NETWORK)
    return tmp_path


def train(out: str, *options: str) -> int:
    return main(["train", "net.yaml", "--out", out, *options])


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.write_bytes(bytes(content))


def damage(name: str) -> None:
    """Change the drives of a network."""
    if name == "net.nc":
        with h5py.File(name) as file:
            at = file["drive"].id.get_chunk_info(0).byte_offset
        flip(Path(name), at + 3000)
    else:
        chunk = next(path for path in sorted(Path(name, "drive", "c").rglob("*")) if path.is_file())
        flip(chunk, chunk.stat().st_size // 2)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("name", ["net.nc", "net.zarr"])
def test_damage_is_refused_by_every_reader(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(name) == 0
    assert verify(name) == Findings([])
    damage(name)
    assert all(fault.startswith("drive") for fault in verify(name).faults)
    with pytest.raises(StoreError, match=f"{name} is damaged: drive"):
        hpcspike.open_network(name)
    commands = ["plot {} --out new", "export {} a.nwb", "report {} --out a.html", "train net.yaml --out {}"]
    for command in (command.format(name) for command in commands):
        capsys.readouterr()
        assert main(command.split()) == 2
        assert "Traceback" not in capsys.readouterr().err
    assert not any(Path(left).exists() for left in ("a.nwb", "a.html"))


@pytest.mark.usefixtures("place")
def test_exports_and_checkpoints_vouch_for_themselves() -> None:
    assert train("net.nc", "--checkpoint", "state") == 0
    assert main(["export", "net.nc", "net.nwb"]) == 0
    for path in ("net.nc", "net.nwb", "state"):
        assert verify(path) == Findings([])
    flip(Path("net.nwb"), Path("net.nwb").stat().st_size // 2)
    assert verify("net.nwb").faults
    (block,) = checkpoints_in(Path("state"))[0].glob("block-*.bin")
    flip(block, 100)
    (fault,) = verify("state").faults
    assert fault.endswith(f"{block.name} is not as it was written")


def test_an_archive_vouches_for_its_files(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("points.csv", "1,2,3\n" * 100)
    assert verify(path) == Findings([])
    flip(path, 200)
    assert verify(path) == Findings(["points.csv is not as it was written"])


def test_what_is_nothing_of_ours_is_said_to_be_unknown(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    for name in ("a.txt", "none", "."):
        with pytest.raises(StoreError, match="no such file|not a"):
            verify(tmp_path / name)


@pytest.mark.usefixtures("place")
def test_permissions_of_all_results_are_those_of_the_umask() -> None:
    before = os.umask(0o027)
    try:
        assert train("out/net.nc") == 0
        assert train("out/net.zarr", "--checkpoint", "out/state") == 0
        for command in ("plot {} --out out/figures", "export {} out/a.nwb", "report {} --out out/a.html"):
            assert main(command.format("out/net.nc").split()) == 0
    finally:
        os.umask(before)
    modes = {path: path.stat().st_mode & 0o777 for path in Path("out").rglob("*")}
    assert len(modes) > 40
    assert {str(path): oct(mode) for path, mode in modes.items() if mode != (0o750 if path.is_dir() else 0o640)} == {}


@pytest.mark.parametrize("name", ["net.nc", "net.zarr"])
def test_a_training_is_refused_while_another_writes_its_output(
    place: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with another_writer(place / name):
        assert train(name) == 2
        said = capsys.readouterr()
        assert f"{name}: process " in said.err
        assert "writes it now" in said.err
        assert "loop" not in said.err
        assert train(f"other-{name}") == 0
    assert train(name) == 0  # the other one was killed, and what it left is gone
    assert not any(is_unfinished(path) or path.suffix == ".lock" for path in place.iterdir())


@pytest.mark.usefixtures("place")
def test_what_another_process_finished_meanwhile_is_not_trained_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("net.nc") == 0
    before = Path("net.nc").read_bytes()
    with claimed(Path("net.nc")):
        assert train("net.nc") == 0
    assert "nothing to do" in capsys.readouterr().out
    assert Path("net.nc").read_bytes() == before
