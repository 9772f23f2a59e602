"""What cluster/guide/after_training.md shows works: its script in two processes, and the arguments in its tables."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.small_networks import experiment

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "cluster" / "guide" / "after_training.md").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("after")
    document = experiment(
        neuron={"model": "theta", "bias": 0.3}, targets={"kind": "sine", "duration_ms": 100.0}
    ).model_dump(mode="json")
    (path / "network.yaml").write_text(yaml.safe_dump(document))
    return path


def test_the_script_of_fifteen_lines_runs_in_two_processes(folder: Path) -> None:
    _, script, *_ = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    lines = [line for line in script.splitlines() if line.strip()]
    assert len(lines) <= 15
    begin = next(k for k, line in enumerate(lines) if "live_network(" in line)
    imports = [line for line in lines if line.startswith(("import", "from"))]
    printed = ""
    for part in (lines[:begin], [*imports, *lines[begin:]]):
        done = subprocess.run(
            [sys.executable, "-c", "\n".join(part)], cwd=folder, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        printed += done.stdout
    assert "18 of 20 neurons" in printed
    assert "target set 1 added and trained alone for 5 loops" in printed
    assert (folder / "both.png").stat().st_size > 10_000


def test_every_keyword_of_the_tables_is_one() -> None:
    import inspect

    from hpcspike.live.engine_network import EngineNetwork

    known: dict[str, Any] = {name: getattr(EngineNetwork, name) for name in ("test", "train", "learn")}
    for name, arguments in re.findall(r"net\.(test|train|learn)\(([^`\n]*)\)", PAGE):
        for keyword in re.findall(r"(\w+)=", arguments):
            assert keyword in inspect.signature(known[name]).parameters, (name, keyword)
    for keyword in ("stimulus", "silence", "clamp", "noise", "delete_spike", "add_spike"):
        assert f"{keyword}=" in PAGE
        assert keyword in inspect.signature(known["test"]).parameters
