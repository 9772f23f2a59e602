"""Where numbers come from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hpcspike import provenance


def test_a_record_is_plain_data_that_names_versions_machine_and_threads() -> None:
    record = provenance.collect(n_ranks=2, n_threads=3)
    assert json.loads(json.dumps(record)) == record
    assert (record["n_ranks"], record["n_threads"], record["pid"]) == (2, 3, os.getpid())
    assert record["versions"]["numpy"]
    assert record["python"] == ".".join(str(part) for part in sys.version_info[:3])


def test_the_blas_library_and_its_kind_of_core_are_named() -> None:
    import numpy as np

    assert np.ones((2, 2)) @ np.ones((2, 2)) is not None
    libraries = provenance.blas_libraries()
    assert libraries
    assert all(set(item) == {"library", "core", "threads"} for item in libraries)


def test_the_code_generation_target_follows_the_switches_of_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CPU_NAME", raising=False)
    monkeypatch.delenv("NUMBA_CPU_FEATURES", raising=False)
    native = provenance.code_generation_target()
    assert native["cpu"]
    monkeypatch.setenv("NUMBA_CPU_NAME", "generic")
    assert provenance.code_generation_target() == {"cpu": "generic", "features": ""}
    monkeypatch.setenv("NUMBA_CPU_FEATURES", "+avx,-sse4a,+avx2")
    assert provenance.code_generation_target()["features"] == "+avx,+avx2"


def test_environment_variables_that_matter_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("SECRET_TOKEN", "x")
    environment = provenance.collect()["environment"]
    assert environment["OPENBLAS_CORETYPE"] == "Haswell"
    assert "SECRET_TOKEN" not in environment


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_revision_is_the_commit_of_the_code_and_tells_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "package" / "provenance.py"
    code.parent.mkdir()
    code.write_text("1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "one")
    monkeypatch.setattr(provenance, "__file__", str(code))
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert provenance.code_revision() == commit
    code.write_text("2\n")
    assert provenance.code_revision() == f"{commit}+changes"


def test_code_inside_somebody_elses_checkout_does_not_claim_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs.py").write_text("1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "one")
    installed = tmp_path / "venv" / "provenance.py"
    installed.parent.mkdir()
    installed.write_text("1\n")
    monkeypatch.setattr(provenance, "__file__", str(installed))
    monkeypatch.setattr(provenance.importlib.metadata, "distribution", _no_distribution)
    assert provenance.code_revision() == provenance.package_version()


def test_without_git_the_version_is_the_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(provenance.importlib.metadata, "distribution", _no_distribution)
    assert provenance.code_revision() == provenance.package_version()


def _no_distribution(name: str) -> None:
    raise provenance.importlib.metadata.PackageNotFoundError(name)


def test_peak_memory_is_of_this_process_not_of_its_parent() -> None:
    ballast = np.ones(400 * 2**17)  # 400 MiB
    command = [sys.executable, "-c", "from hpcspike.provenance import peak_memory_mib as peak; print(peak())"]
    child = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert 5 < child < ballast.nbytes / 2**20 < provenance.peak_memory_mib() < 100_000
