"""The recipes of .github/CONTRIBUTING.md, walked: each thing is really added to a copy of the program, and used."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

GUIDE = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")

EXPERIMENT = """
name: tiny
network: {n_neurons: 12}
connectivity: {kind: gaussian, probability: 0.5}
targets: {kind: sine, duration_ms: 20}
stimulus: {duration_ms: 4}
protocol: {free_run_ms: 2, test_free_run_ms: 2}
training: {n_loops: 1, algorithm: textbook}
measures: {n_test_trials: 1, n_clamped_trials: 1, quasi_static: false}
"""


class Tree:
    """A copy of the program, to be edited; ``touched`` are the files that were."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.touched: set[str] = set()

    def add(self, file: str, text: str) -> None:
        """A new file."""
        place = self.folder / file
        assert not place.exists()
        place.write_text(text, encoding="utf-8")
        self.touched.add(file)

    def insert(self, file: str, before: str, text: str) -> None:
        """Text before the only place where another one stands."""
        place = self.folder / file
        held = place.read_text(encoding="utf-8")
        assert held.count(before) == 1, f"{file} has {before!r} {held.count(before)} times"
        place.write_text(held.replace(before, text + before), encoding="utf-8")
        self.touched.add(file)

    def program(self, *arguments: str) -> str:
        """What ``python ...`` prints, with this copy as the package."""
        environment = os.environ | {
            "PYTHONPATH": str(self.folder),
            "NUMBA_CACHE_DIR": str(self.folder / "kernels"),
            "NUMBA_OPT": "0",  # every copy compiles its kernels anew
        }
        done = subprocess.run(
            [sys.executable, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=280
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A copy of the package and its workflow."""
    ignored = shutil.ignore_patterns("__pycache__", "*.nbc", "*.nbi")
    for folder in ("hpcspike", "cluster"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    for file in ("Snakefile", "pyproject.toml"):
        shutil.copy(ROOT / file, tmp_path / file)
    (tmp_path / "tiny.yaml").write_text(EXPERIMENT, encoding="utf-8")
    return Tree(tmp_path)


def stated(what: str) -> int:
    """The number of files that the guide says a thing takes."""
    found = re.search(rf"^\| {re.escape(what)} \| (\d+) \|", GUIDE, re.MULTILINE)
    assert found is not None, f"no line of the guide says how many files {what} takes"
    return int(found[1])


def test_a_neuron_model(tree: Tree) -> None:
    tree.insert(
        "hpcspike/spec/neurons.py",
        "class TanhNeuron(Section):",
        '''class EifNeuron(Section):
    """Exponential integrate-and-fire neuron, tau dv/dt = -v + s exp((v - 1) / s) + I + u, forward Euler."""

    facts: ClassVar[ModelFacts] = ModelFacts(n_states=1, seconds_per_step=4.0e-9, seconds_with_delivery=5.0e-9)

    model: Literal["eif"]
    tau_ms: float = quantity(10.0, unit="ms", gt=0, doc="Membrane time constant; the unit of time of r.")
    step_ms: float = quantity(1.0, unit="ms", gt=0, doc="Integration step dt.")
    bias: float = quantity(0.0, doc="Constant external input I of every neuron, in units of v.")
    sharpness: float = quantity(0.2, gt=0, doc="s.")


''',
    )
    tree.insert("hpcspike/spec/neurons.py", "TanhNeuron | UserNeuron, Field", "EifNeuron | ")
    tree.add(
        "hpcspike/model/neuron_models/eif.py",
        '''"""The exponential integrate-and-fire neuron."""

import math

import numpy as np

from hpcspike.accelerate import kernel


def parameters(neuron, neurons):
    """Sharpness s (1, 1)."""
    return np.array([[neuron.sharpness]])


def initial_state(neuron, phase, neurons):
    """v at the fraction of the way from 0 to 1 that phase is of a turn."""
    return (np.mod(phase, 2.0 * np.pi) / (2.0 * np.pi))[None, :]


@kernel
def advance_eif(state, parameters, received, external, step, increment, spikes):
    """One step; arguments as `hpcspike.model.neuron_models` says, step: dt / tau."""
    v, s = state[0], parameters[0, 0]
    count = 0
    for i in range(received.shape[0]):
        v[i] += step * (external[i] + received[i] + s * math.exp((v[i] - 1.0) / s) - v[i])
        if v[i] > 2.0:
            v[i] = 0.0
            spikes[count] = i
            count += 1
    return count
''',
    )
    assert len(tree.touched) == stated("a built-in neuron model") == 2
    keys = ("--set", "neuron.model=eif", "--set", "neuron.bias=1.5", "--set", "neuron.sharpness=0.3")
    assert "MiB" in tree.program("-m", "hpcspike", "plan", "tiny.yaml", *keys)
    tree.program("-m", "hpcspike", "train", "tiny.yaml", *keys, "--out", "a.nc")
    found = tree.program("-c", "import hpcspike; print(float(hpcspike.open_network('a.nc')['population_rate']))")
    assert float(found) > 20.0  # Hz
    assert "sharpness" in tree.program("-m", "hpcspike", "schema", "experiment")


def test_a_learner(tree: Tree) -> None:
    tree.insert(
        "hpcspike/spec/learners.py",
        "class UserLearner(_Other):",
        '''class LookupLearner(_Other):
    """A table of the target, which moves towards it by a fixed share in every pass."""

    home: ClassVar[str | None] = "hpcspike.learners.lookup:LookupLearner"
    title: ClassVar[str | None] = "Table"

    kind: Literal["lookup"]
    share: float = quantity(0.5, gt=0, le=1, doc="Share of the way to the target that a pass takes.")


''',
    )
    tree.insert("hpcspike/spec/learners.py", "HuhLearner | UserLearner,", "LookupLearner | ")
    tree.add(
        "hpcspike/learners/lookup.py",
        '''"""A table in place of a network."""

import numpy as np

from hpcspike.learners.interface import Learner, Rollout, refuse_targets


class LookupLearner(Learner):
    """Moves a table towards the target by a fixed share in every pass; fires one spike."""

    supports = frozenset({"drive", "readout"})
    local = online = needs_error_current = False
    for_free = ("a clock",)

    def build(self, task, *, n_neurons, seed, replicate=0):
        self.refuse_unsupported(task)
        self.task, self.n_neurons = task, n_neurons
        self.table = np.zeros((task.n_samples, task.n_outputs))
        return self

    def advance(self, number):
        self.table += self.settings.share * (self.task.sample("train", number).target - self.table)
        return {"score_alone": 0.0, "rate_hz": 1.0, "simulated_seconds": self.task.duration_ms / 1000.0}

    def rollout(self, stimulus, *, kill=None, noise=0.0, delete_spike=None):
        refuse_targets(stimulus)
        return Rollout(self.table.copy(), np.array([1.0]), np.array([0], dtype=np.int32), self.n_neurons)

    def weights(self):
        return {"table": self.table}

    def n_trained(self):
        return self.table.size

    def state(self):
        return {"table": self.table}

    def restore(self, state):
        self.table = state["table"].copy()
''',
    )
    assert len(tree.touched) == stated("a built-in learner") == 2
    keys = ("--set", "learner={kind: lookup, passes: 3, share: 0.9}")
    assert "MiB" in tree.program("-m", "hpcspike", "plan", "tiny.yaml", *keys)
    tree.program("-m", "hpcspike", "train", "tiny.yaml", *keys, "--out", "a.zarr")
    found = tree.program(
        "-c",
        "import hpcspike; from hpcspike.figures.style import section_name\n"
        "network = hpcspike.open_network('a.zarr')\n"
        "print(float(network['correlation']), network['weights_table'].shape, section_name('lookup'))",
    )
    assert found.split("\n")[0] == "1.0 (20, 12) Table"
    assert "samples" in tree.program("-m", "hpcspike", "plot", "a.zarr", "--out", "figures")
