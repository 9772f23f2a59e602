"""Checkpoints on disk: whole or absent, damage is noticed, sizes are known beforehand."""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hpcspike
from hpcspike.engine import checkpoint_files
from hpcspike.engine.checkpoint import Checkpoints, checkpoint_bytes
from hpcspike.engine.checkpoint_lock import LOCK
from hpcspike.errors import Interrupted, ResourceError, SpecError, StoreError
from hpcspike.files import is_unfinished
from hpcspike.runs.point import fit_and_evaluate
from hpcspike.spec.experiment import Experiment
from tests.checkpoint_cases import TRAINING, cut_at, folders, made, outcome, uninterrupted
from tests.small_networks import experiment

# ---- damage ----------------------------------------------------------------------------------------------------------


def truncate(path: Path) -> None:
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size - 1)


def flip(path: Path, at: float = 0.7) -> None:
    data = bytearray(path.read_bytes())
    data[int(at * len(data))] ^= 1
    path.write_bytes(data)


DAMAGE: dict[str, tuple[Any, str]] = {
    "a block cut short": (lambda path: truncate(path / "block-00000.bin"), "block-00000.bin has .* bytes, not"),
    "a bit of a block": (lambda path: flip(path / "block-00000.bin"), "block-00000.bin is not as it was written"),
    "a block gone": (lambda path: (path / "block-00000.bin").unlink(), "block-00000.bin is missing"),
    "the manifest gone": (lambda path: (path / "manifest.json").unlink(), "manifest.json is missing"),
    "the manifest cut short": (lambda path: truncate(path / "manifest.json"), "manifest.json cannot be read"),
    "the manifest empty": (lambda path: (path / "manifest.json").write_text(""), "manifest.json cannot be read"),
    "a list": (lambda path: (path / "manifest.json").write_text("[]"), "manifest.json is not as it was written"),
    "everything gone": (lambda path: [file.unlink() for file in path.iterdir()], "manifest.json is missing"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    cut_at(tmp_path, 111)
    cut_at(tmp_path, 100)
    harm, message = DAMAGE[damage]
    harm(tmp_path / "checkpoint-000000000211")
    with caplog.at_level(logging.INFO), pytest.raises(Interrupted):
        # saved before the damaged one, which must not count as the newest then
        hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(tmp_path, stop_after_steps=44))
    text = caplog.text
    assert "checkpoint-000000000211 is damaged (" in text
    assert [record for record in caplog.records if record.levelno == logging.WARNING]
    assert re.search(message, text)
    assert "checkpoint-000000000111, after 111 of 450 steps" in text
    assert folders(tmp_path) == [111, 155]
    caplog.clear()
    assert outcome(hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(tmp_path))) == uninterrupted()
    assert "damaged" not in caplog.text


def test_a_damaged_checkpoint_is_replaced_by_a_whole_one_of_the_same_step(tmp_path: Path) -> None:
    cut_at(tmp_path, 100)
    cut_at(tmp_path, 50)
    before = (tmp_path / "checkpoint-000000000150" / "block-00000.bin").read_bytes()
    flip(tmp_path / "checkpoint-000000000150" / "block-00000.bin")
    cut_at(tmp_path, 50)
    assert folders(tmp_path) == [100, 150]
    assert (tmp_path / "checkpoint-000000000150" / "block-00000.bin").read_bytes() == before
    assert not list(tmp_path.glob(".writing*"))


def test_with_nothing_whole_left_training_starts_anew_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cut_at(tmp_path, 111)
    flip(tmp_path / "checkpoint-000000000111" / "block-00000.bin")
    assert outcome(hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(tmp_path))) == uninterrupted()
    assert "holds no checkpoint that is whole; training starts anew" in caplog.text


def test_no_bit_of_the_manifest_can_change_unnoticed(tmp_path: Path) -> None:
    cut_at(tmp_path, 120)
    path = tmp_path / "checkpoint-000000000120"
    whole = checkpoint_files.read_manifest(path)
    data = (path / "manifest.json").read_bytes()
    noticed = 0
    for place in range(0, len(data), 29):
        spoilt = bytearray(data)
        spoilt[place] ^= 1 << (place % 7)
        (path / "manifest.json").write_bytes(spoilt)
        try:
            # white space between the words may change
            assert checkpoint_files.read_manifest(path) == whole
        except checkpoint_files.Damaged:
            noticed += 1
    assert noticed > len(data) / 29 / 2


# ---- interrupted while it is written ---------------------------------------------------------------------------------

KILLED = """
import os, shutil, signal, sys
from pathlib import Path
import hpcspike
from hpcspike.engine import checkpoint_files
from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.errors import Interrupted
from tests.checkpoint_cases import TRAINING, made

def train(folder):
    try:
        hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(folder, every_loops=1, stop_after_steps=20))
    except Interrupted:
        pass

def die_at(module, name, call):
    original, count = getattr(module, name), 0
    def counted(*arguments, **options):
        nonlocal count
        count += 1
        if count == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)
    setattr(module, name, counted)

points = [(os, "fsync", k) for k in (1, 2, 3, 4)] + [(os, "replace", k) for k in (1, 2)]
points += [(os, "rename", 1), (shutil, "rmtree", 1), (checkpoint_files.np, "cumsum", 3)]
for number, point in enumerate(points):
    folder = Path(sys.argv[1]) / str(number)
    for _ in range(2):
        train(folder)
    child = os.fork()
    if child == 0:
        die_at(*point)
        train(folder)
        os._exit(0)
    print(point[1], os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_killed_while_writing_the_one_before_is_whole(
    tmp_path: Path, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], cwd=root, env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert [line.split()[1] for line in lines] == ["-9"] * 9
    left = [sorted(path.name for path in (tmp_path / str(k)).iterdir() if path.name != LOCK) for k in range(9)]
    # killed in the middle of a block, before the manifest, after it, and before the rename: nothing has changed
    assert {tuple(found[-2:]) for found in left[:3]} == {("checkpoint-000000000020", "checkpoint-000000000040")}
    assert all(is_unfinished(Path(found[0])) for found in left[:3])
    assert sum("checkpoint-000000000060" in found for found in left) >= 2  # after the rename it is there
    for k in range(9):
        folder = tmp_path / str(k)
        assert folders(folder)[-1] in (40, 60)
        assert outcome(hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(folder))) == uninterrupted()
        assert "damaged" not in caplog.text
        assert not list(folder.glob(".writing*"))


def test_a_full_disk_ends_training_and_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_at(tmp_path, 50)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_files, "write_manifest", full)
        with pytest.raises(
            ResourceError, match=r"cannot be written \(No space left on device\); the checkpoints before"
        ):
            hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(tmp_path, stop_after_steps=50))
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-000000000050"]
    assert outcome(hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(tmp_path))) == uninterrupted()


def test_a_disk_that_is_too_small_is_refused_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=10_000))
    with pytest.raises(ResourceError, match=r"2 of which are kept while one more is written, do not fit: 1e-05 GB"):
        hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(tmp_path), on_loop=lambda loop, row: seen.append(loop))
    assert seen == []


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="is a file: checkpoints need a folder"):
        hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(tmp_path / "file"))
    with pytest.raises(StoreError, match=r"checkpoints cannot be written \(Not a directory\); choose another path"):
        hpcspike.train(made(), TRAINING, checkpoints=Checkpoints(tmp_path / "file" / "state"))


# ---- files and sizes -------------------------------------------------------------------------------------------------


@given(row_bytes=st.lists(st.integers(0, 30_000_000), max_size=30))
def test_pieces_cover_all_rows_once_and_are_not_large(row_bytes: list[int]) -> None:
    found = list(checkpoint_files.pieces(np.array(row_bytes, dtype=np.int64)))
    assert [row for low, high in found for row in range(low, high)] == list(range(len(row_bytes)))
    for low, high in found:
        assert high == low + 1 or sum(row_bytes[low:high]) <= 16 << 20


BALANCED = {"kind": "balanced", "static_in_degree": 20, "plastic_in_degree": 15}
SIZED: dict[str, dict[str, Any]] = {
    "blocked": {},
    "float32": {"training": {"dtype": "float32", "n_loops": 2}},
    "late weights": {"synapse": {"weight_acts": "at_spikes"}, "connectivity": {"kind": "zero", "probability": 0.3}},
    "textbook": {"training": {"algorithm": "textbook", "n_loops": 2}},
    "balanced": {"neuron": {"model": "lif"}, "connectivity": BALANCED, "training": {"dtype": "float32"}},
}


def sized(kind: str) -> Experiment:
    return experiment(**{"network": {"n_neurons": 90}, "targets": {"kind": "sine", "duration_ms": 20.0}, **SIZED[kind]})


@pytest.mark.parametrize("kind", SIZED)
def test_the_size_is_known_beforehand(kind: str, tmp_path: Path) -> None:
    exp = sized(kind)
    largest = 0
    for updates in range(1, 10):
        # free run and cue take 20 steps each, an update interval 2
        steps = 42 if updates == 1 else 2
        with pytest.raises(Interrupted):
            fit_and_evaluate(exp, checkpoints=Checkpoints(tmp_path, stop_after_steps=steps, keep=1))
        (path,) = checkpoint_files.checkpoints_in(tmp_path)
        size = sum(file.stat().st_size for file in path.iterdir())
        assert checkpoint_bytes(exp, updates=updates) == pytest.approx(size, rel=0.1)
        largest = max(largest, size)
    # 9 updates leave at most as many in waiting as there is room for
    assert largest < 1.02 * checkpoint_bytes(exp)


def test_the_size_of_recorded_targets_needs_the_number_of_neurons() -> None:
    targets = {"kind": "recorded", "path": "rates.nc", "unit": "Hz"}
    exp = experiment(network={}, targets=targets, training={"variable": "rate"})
    with pytest.raises(SpecError, match=r"network.n_neurons is missing"):
        checkpoint_bytes(exp)
    assert checkpoint_bytes(exp, n_neurons=200) > checkpoint_bytes(exp, n_neurons=100) > 0
