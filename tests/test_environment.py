"""Odd environments: locales, pipes, notebooks' variables, threads, lost terminals, launchers that are gone."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hpcspike.engine import stopping
from hpcspike.engine.stopping import Signals, heeded

PROGRAM = [sys.executable, "-m", "hpcspike"]


@pytest.fixture
def folder(tmp_path: Path, tiny_document: dict[str, Any]) -> Path:
    """A folder with network.yaml, whose name has letters beyond ASCII."""
    tiny_document["name"] = "réseau"
    (tmp_path / "network.yaml").write_text(yaml.safe_dump(tiny_document, allow_unicode=True), encoding="utf-8")
    return tmp_path


def run(folder: Path, *arguments: str, **variables: str | None) -> subprocess.CompletedProcess[str]:
    """Run the program; a variable that is None is not set."""
    changed = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables}
    environment = {name: value for name, value in changed.items() if value is not None}
    return subprocess.run(
        [*PROGRAM, *arguments], cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8",
        errors="replace", timeout=240, check=False,
    )  # fmt: skip


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": None}


@pytest.mark.parametrize("variables", [ASCII, {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}])
def test_a_locale_without_utf8_ends_nothing(folder: Path, variables: dict[str, str | None]) -> None:
    refused = run(folder, "train", "network.yaml", "--out", "net.nc", "--set", "synapse.tau_µs=2", **variables)
    assert (refused.returncode, refused.stderr.count("unknown key")) == (2, 1), refused
    printed = run(folder, "schema", "--table", **variables)
    assert printed.returncode == 0, printed
    assert "Traceback" not in printed.stderr


def test_files_are_in_utf8_whatever_the_locale(folder: Path) -> None:
    import xarray as xr

    done = run(folder, "train", "network.yaml", "--out", "net.nc", **ASCII)
    assert done.returncode == 0, done
    with xr.open_dataset(folder / "net.nc") as network:
        assert network.attrs["name"] == "réseau"
    figures = run(folder, "plot", "net.nc", "--out", "figures", MPLBACKEND="module://no.such_backend", **ASCII)
    assert figures.returncode == 0, figures
    assert list((folder / "figures").glob("*.png"))


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["schema"], ["plan", "network.yaml"]])
def test_a_reader_who_leaves_is_no_error(folder: Path, arguments: list[str]) -> None:
    program = subprocess.Popen(
        [*PROGRAM, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": ""},
    )  # fmt: skip
    assert program.stdout is not None
    assert program.stderr is not None
    program.stdout.close()
    said = program.stderr.read()
    program.stderr.close()
    assert said == ""
    # argparse itself says nothing of what does not fit into the buffer
    assert program.wait(timeout=120) in ((0, 141) if "--help" in arguments else (141,))


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_is_closed_or_full(folder: Path, unbuffered: str) -> None:
    program = f"{sys.executable} -m hpcspike plan network.yaml"
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": unbuffered}
    closed, full = (
        subprocess.run(
            ["sh", "-c", f"{program} {where}"], cwd=folder, env=variables, capture_output=True, text=True, check=False
        )
        for where in (">&-", ">/dev/full")
    )
    assert (closed.returncode, closed.stderr) == (0, "")
    assert (full.returncode, full.stderr) == (
        2,
        "hpcspike: error: the output could not be written (No space left on device); make room and run it again\n",
    )


@pytest.mark.parametrize(
    "variables",
    [
        {"HOME": None, "TERM": None},
        {"HOME": "/nonexistent", "TMPDIR": "/nonexistent"},
        {"OMP_NUM_THREADS": "many"},
        {"PMI_RANK": "0", "PMI_FD": "99"},
        {"PMIX_RANK": "0", "PMIX_NAMESPACE": "gone", "PMIX_SERVER_URI41": "gone;tcp4://127.0.0.1:1"},
        {"PMI_SIZE": "2", "PMI_RANK": "0", "PMI_FD": "99", "HPCSPIKE_ALONE": "1"},
    ],
)
def test_a_training_does_not_depend_on(folder: Path, variables: dict[str, str | None]) -> None:
    done = run(folder, "train", "network.yaml", "--out", "net.nc", **variables)
    assert done.returncode == 0, done
    assert "Traceback" not in done.stderr
    assert (folder / "net.nc").exists()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"NUMBA_DISABLE_JIT": "1"}, "NUMBA_DISABLE_JIT is set"),
        ({"PMI_SIZE": "2", "PMI_RANK": "0", "PMI_FD": "99"}, "PMI_FD = 99 and PMI_SIZE = 2 say that mpiexec started"),
        ({"NUMBA_NUM_THREADS": "0"}, "NUMBA_NUM_THREADS = 0: must be"),
        ({"NUMBA_NUM_THREADS": "many"}, "NUMBA_NUM_THREADS = many: must be"),
    ],
)
def test_what_cannot_work_is_refused_by_name(folder: Path, variables: dict[str, str | None], message: str) -> None:
    done = run(folder, "train", "network.yaml", "--out", "net.nc", "--threads", "2", **variables)
    assert done.returncode == 2, done
    assert done.stderr.startswith(f"hpcspike: error: {message}"), done
    assert not (folder / "net.nc").exists()


# ---- lost terminals --------------------------------------------------------------------------------------------------


@pytest.fixture
def hangup() -> Iterator[Callable[[Any], None]]:
    """Sets what SIGHUP does, and sets it back at the end."""
    before = signal.getsignal(signal.SIGHUP)
    yield lambda handler: signal.signal(signal.SIGHUP, handler)
    signal.signal(signal.SIGHUP, before)


def test_sighup_counts_unless_it_is_ignored(hangup: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "leave_lost_terminal", lambda number: None)
    hangup(signal.SIG_DFL)
    assert heeded() == [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP]
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGHUP)
        assert signals.received == signal.SIGHUP
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
    hangup(signal.SIG_IGN)
    assert heeded() == [signal.SIGTERM, signal.SIGUSR1]
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGHUP)
        assert signals.received == 0
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_a_lost_terminal_saves_the_state(folder: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        os.chdir(folder)
        os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
        more = ["--set", "training.n_loops=100000", "--checkpoint", "states"]
        os.execv(sys.executable, [*PROGRAM, "train", "network.yaml", "--out", "net.nc", *more])
    said = b""
    while b"correlation" not in said:
        said += os.read(terminal, 4096)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 75
    assert [path for path in (folder / "states").rglob("*") if path.is_file() and path.stat().st_size > 1000]
