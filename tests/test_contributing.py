"""What .github/CONTRIBUTING.md says about the code is true: every file is there, and every name is in the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / ".github" / "CONTRIBUTING.md").read_text()
KNOWN_WORDS = {
    *("mpi", "workflow", "slurm", "slow", "gradient", "spikes", "typos"),  # markers, extras, arrays, programs
    *("capacity", "trace", "filtered", "rollout", "quantity", "styled", "stream", "fma", "begin", "stop"),
    *("NUMBA_DISABLE_JIT", "SCHEMA"),
}


def test_every_file_it_names_exists() -> None:
    named = set(re.findall(r"\b(?:hpcspike|cluster|tests|results)/[\w./-]*\w", TEXT))
    assert len(named) > 30
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_every_function_and_class_it_names_exists() -> None:
    """Names in code marks: functions, methods, classes and constants of the package."""
    defined: set[str] = set()
    for file in (ROOT / "hpcspike").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                defined |= {node.name, *(f"{node.name}.{item.name}" for item in node.body if hasattr(item, "name"))}
            elif isinstance(node, ast.FunctionDef):
                defined.add(node.name)
            elif isinstance(node, ast.Assign):
                defined |= {target.id for target in node.targets if isinstance(target, ast.Name)}
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                defined.add(node.target.id)
    prose = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
    named = set(re.findall(r"`([A-Za-z_]+(?:\.[a-z_]+)?)`", prose)) - KNOWN_WORDS
    named = {
        name for name in named if not re.search(r"\.(py|md|csv|json|yaml|txt|cff|toml|update_interval_ms|model)$", name)
    }
    assert {"run_own_steps", "Trainer.advance", "BlockedRls.update", "Learner", "POINT_RESULTS"} <= named
    assert sorted(named - defined) == []


def test_a_walk_names_files_and_functions_together() -> None:
    """Where it says "file: `name`", the name is defined in that file."""
    wrong = []
    for file, name in re.findall(r"`(hpcspike/[\w/]+\.py)`: `([\w.]+)`", TEXT):
        last = name.split(".")[-1]
        if not re.search(rf"^\s*(def {last}\(|class {last}\b|{last} = )", (ROOT / file).read_text(), re.MULTILINE):
            wrong.append((file, name))
    assert wrong == []
