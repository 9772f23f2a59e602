"""Files that are whole or absent: names, locks, leftovers, permissions."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hpcspike.errors import ResourceError, StoreError
from hpcspike.files import (
    Busy,
    claim,
    claimed,
    is_unfinished,
    put_in_place,
    release,
    remove_leftovers,
    unfinished_beside,
    whole,
    write_bytes,
    write_json,
)

HOLD = """
import sys, time
from pathlib import Path
from hpcspike.files import claimed, unfinished_beside
path = Path(sys.argv[1])
with claimed(path):
    unfinished_beside(path).write_text("half")
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def another_writer(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has begun to write ``path``."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with whole(path) as unfinished:
        assert unfinished.parent == path.parent
        assert unfinished.suffix == ".txt"
        assert is_unfinished(unfinished)
        unfinished.write_text("first")
        assert not path.exists()
    assert names(path.parent) == ["a.txt"]
    with pytest.raises(KeyboardInterrupt), whole(path) as unfinished:  # noqa: PT012
        unfinished.write_text("second")
        raise KeyboardInterrupt
    assert path.read_text() == "first"
    assert names(path.parent) == ["a.txt"]


def test_folders_that_were_made_for_nothing_are_removed(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="a.txt: cannot be written .No space left on device.; nothing was left"):
        with whole(tmp_path / "new" / "folder" / "a.txt"):
            raise OSError(28, os.strerror(28))
    assert names(tmp_path) == []


def test_what_a_library_says_about_its_input_is_not_taken_for_a_failed_write(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="^Can't read data$"), whole(tmp_path / "a.txt"):
        raise OSError("Can't read data")


def test_a_path_has_one_writer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "out.nc"
    with another_writer(path) as other:
        with pytest.raises(Busy, match=rf"out.nc: process {other.pid} on .* writes it now"):
            claim(path)
        with claimed(tmp_path / "out.zarr"), claimed(tmp_path / "other.nc"):
            assert len(names(tmp_path)) == 4  # two locks of this process; the other's lock and half a file
    with claimed(path):  # the killed one let go by itself
        assert names(tmp_path) == [".out.nc.lock"]
    assert names(tmp_path) == []


def test_who_writes_a_path_may_claim_it_again(tmp_path: Path) -> None:
    path = tmp_path / "out.nc"
    with claimed(path):
        with claimed(path.parent / "." / "out.nc"), whole(path) as unfinished:
            unfinished.write_text("a")
        assert names(tmp_path) == [".out.nc.lock", "out.nc"]
    assert names(tmp_path) == ["out.nc"]


def test_a_path_with_a_link_in_it_is_the_same_path(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with another_writer(tmp_path / "real" / "a.nc"), pytest.raises(Busy):
        claim(tmp_path / "link" / "a.nc")


def test_a_run_of_the_same_process_number_is_not_stopped_by_what_a_killed_one_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)
    path = tmp_path / "net.zarr"
    left = [unfinished_beside(path) for _ in range(3)]
    assert len(set(left)) == 3
    for folder in left:
        (folder / "c").mkdir(parents=True)
    (tmp_path / ".net.zarr.lock").write_text("process 1 on elsewhere\n")
    with whole(path) as unfinished:
        (unfinished / "c").mkdir(parents=True)
    assert names(tmp_path) == ["net.zarr"]


def test_only_leftovers_of_this_path_are_removed(tmp_path: Path) -> None:
    kept = [unfinished_beside(tmp_path / name) for name in ("net1.nc", "net[1].zarr", "xnet[1].nc")]
    kept.append(tmp_path / ".net[1].nc")
    for path in (*kept, unfinished_beside(tmp_path / "net[1].nc")):
        path.touch()
    remove_leftovers(tmp_path / "net[1].nc")
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_where_there_are_no_locks_nothing_is_taken_for_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def none(*_: Any) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    other = unfinished_beside(tmp_path / "a.nc")
    other.touch()
    with whole(tmp_path / "a.nc") as unfinished:
        unfinished.touch()
    assert sorted(tmp_path.iterdir()) == sorted([other, tmp_path / "a.nc"])


@pytest.mark.parametrize("length", [200, 250, 255])
def test_long_names_can_be_written_too(tmp_path: Path, length: int) -> None:
    path, other = (tmp_path / ("a" * (length - 4) + letter + ".nc") for letter in "bc")
    assert unfinished_beside(path).name[:120] != unfinished_beside(other).name[:120]
    with whole(path) as unfinished:
        unfinished.write_text("a")
    assert names(tmp_path) == [path.name]


def test_a_name_that_is_too_long_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="cannot be written .File name too long"):
        with whole(tmp_path / ("a" * 300)) as unfinished:
            unfinished.touch()
    assert names(tmp_path) == []


def test_a_folder_that_is_a_file_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="a.nc: cannot be written"):
        claim(tmp_path / "file" / "a.nc")


def test_a_folder_does_not_take_the_place_of_one_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a").write_text("kept")
    (tmp_path / "new").mkdir()
    with pytest.raises(OSError):
        put_in_place(tmp_path / "new", tmp_path / "there")
    assert (tmp_path / "there" / "a").read_text() == "kept"


def test_small_files_are_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "folder" / "a.json"
    write_json(path, {"a": 1})

    def fail(*_: Any) -> None:
        raise OSError("disk on fire")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="on fire"):
        write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
    assert names(path.parent) == ["a.json"]


def _write_often(path: Path, letter: bytes) -> None:
    for _ in range(50):
        write_bytes(path, letter * 10_000)


def test_of_several_that_write_a_small_file_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_often, args=(path, letter)) for letter in (b"a", b"b")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert path.read_bytes() in (b"a" * 10_000, b"b" * 10_000)
    assert names(tmp_path) == ["a.json"]


def test_permissions_are_those_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_json(tmp_path / "a.json", {})
        with whole(tmp_path / "b.nc") as unfinished:
            unfinished.touch()
        with whole(tmp_path / "c.zarr") as unfinished:
            unfinished.mkdir()
    finally:
        os.umask(before)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()}
    assert modes == {"a.json": "0o640", "b.nc": "0o640", "c.zarr": "0o750"}


def test_a_killed_writer_leaves_what_the_next_one_removes(tmp_path: Path) -> None:
    path = tmp_path / "out.nc"
    with another_writer(path) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
        left = names(tmp_path)
        assert left[0] == ".out.nc.lock"
        assert is_unfinished(tmp_path / left[1])
        claim(path)
        release(path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_contents_are_on_the_disk_before_they_have_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    unfinished, path = tmp_path / "unfinished", tmp_path / "whole"
    if kind == "file":
        unfinished.write_text("a")
    else:
        (unfinished / "inner").mkdir(parents=True)
        (unfinished / "inner" / "a").write_text("a")
    order: list[tuple[str, str]] = []
    replace = os.replace
    monkeypatch.setattr("hpcspike.files._sync", lambda flushed: order.append(("flush", flushed.name)))
    monkeypatch.setattr(os, "replace", lambda *paths: order.append(("rename", paths[1].name)) or replace(*paths))
    put_in_place(unfinished, path)
    inside = {("flush", "unfinished")} | ({("flush", "a"), ("flush", "inner")} if kind == "folder" else set())
    assert set(order[:-2]) == inside
    assert order[-2:] == [("rename", "whole"), ("flush", tmp_path.name)]
    assert path.exists()
