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

    def replace(self, file: str, old: str, new: str) -> None:
        """Another text in the only place where one stands."""
        self.insert(file, old, "\0")
        place = self.folder / file
        place.write_text(place.read_text(encoding="utf-8").replace(f"\0{old}", new), encoding="utf-8")

    def taken(self) -> int:
        """How many files were edited since this was asked last."""
        number = len(self.touched)
        self.touched.clear()
        return number

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
    (tmp_path / "results").mkdir()
    for file in ("Snakefile", "pyproject.toml", "results/README.md"):
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


def test_all_the_rest(tree: Tree) -> None:
    """A target kind, a measure of every point, a probe, a figure and a command, and what they make in one study."""
    _add_target_kind(tree)
    assert tree.taken() == stated("a target kind")
    _add_measure(tree)
    assert tree.taken() == stated("a measure of every point")
    _add_variable(tree)
    assert tree.taken() == stated("a result variable")
    _add_probe(tree)
    assert tree.taken() == stated("a probe") <= 5
    _add_figure(tree)
    assert tree.taken() == stated("a figure")
    _add_command(tree)
    assert tree.taken() == stated("a command")

    keys = "experiment: {" + ", ".join(EXPERIMENT.strip().splitlines()[1:]).replace("kind: sine", "kind: square") + "}"
    (tree.folder / "study.yaml").write_text(
        f"name: walk\n{keys}\nvariants: {{all: {{}}}}\nprobes: {{peak: {{above_hz: 0.0}}}}\nshown: {{loops: []}}\n"
    )
    tree.program("-m", "hpcspike", "study", "study.yaml", "--out", "walk")
    found = tree.program(
        "-c",
        "import csv; row = next(csv.DictReader(open('walk/table.csv'))); print(float(row['peak_rate [Hz]']))\n"
        "print(float(row['share_above']))",
    )
    highest, share = map(float, found.split())
    assert highest > 0.0
    assert 0.0 < share <= 1.0
    train = ("-m", "hpcspike", "train", "tiny.yaml", "--set", "targets={kind: square, duration_ms: 20}")
    tree.program(*train, "--out", "a.nc")
    assert tree.program("-m", "hpcspike", "size", "a.nc").strip() == "12 neurons"
    assert "rates" in tree.program("-m", "hpcspike", "plot", "a.nc", "--out", "figures")
    assert any((tree.folder / "figures").glob("*rates.png"))
    found = tree.program(
        "-c",
        "import hpcspike, numpy as np; network = hpcspike.open_network('a.nc')\n"
        "print(np.unique(np.abs(network['target'].values)).tolist(), float(network['peak_rate']) > 0)",
    )
    assert found.strip() == "[0.5] True"


def _add_target_kind(tree: Tree) -> None:
    tree.insert(
        "hpcspike/spec/targets.py",
        "class OrnsteinUhlenbeckTargets(",
        '''class SquareTargets(GeneratedTargets):
    """A square wave of one period, each neuron at a phase of its own."""

    kind: Literal["square"]
    amplitude: float = quantity(0.5, gt=0, doc="Size of both values.")
    period_ms: float = quantity(10.0, unit="ms", gt=0, doc="Period.")


''',
    )
    tree.insert("hpcspike/spec/targets.py", "    | SineProductTargets\n", "    | SquareTargets\n")
    tree.insert("hpcspike/model/targets.py", "    SineTargets,\n)", "    SquareTargets,\n")
    tree.insert(
        "hpcspike/model/targets.py",
        "        elif isinstance(family, SineTargets):",
        """        elif isinstance(family, SquareTargets):
            shift = [stream(*key, "targets", i, target_set).uniform(0.0, family.period_ms) for i in owners]
            turns = (times - np.array(shift)[:, None]) / family.period_ms
            drive = np.where(np.mod(turns, 1.0) < 0.5, family.amplitude, -family.amplitude)
""",
    )


def _add_measure(tree: Tree) -> None:
    """Its function, its name, and its place in `evaluate`; the variable is a step of its own."""
    tree.add(
        "hpcspike/measures/peak.py",
        '''"""The busiest neurons."""

import numpy as np


def highest_rate(rate_hz):
    """Rate in Hz of the busiest neuron of rates (sets, n)."""
    return float(np.max(rate_hz))


def share_above(rate_hz, above_hz):
    """Share of the neurons whose rate is above ``above_hz``."""
    return float(np.mean(rate_hz > above_hz))
''',
    )
    tree.insert("hpcspike/measures/__init__.py", '    "eigenvalues": "weight', '    "highest_rate": "peak",\n')
    tree.insert(
        "hpcspike/measures/evaluation.py",
        "from hpcspike.measures.quasi_static import",
        "from hpcspike.measures.peak import highest_rate\n",
    )
    tree.insert(
        "hpcspike/measures/evaluation.py",
        '        "silent_share": silent_share(',
        '        "peak_rate": highest_rate(whole["rate_hz"]),\n',
    )


def _add_variable(tree: Tree) -> None:
    words = "mean rate of the busiest neuron in the trained window"
    tree.insert(
        "hpcspike/variables.py",
        '    "population_rate": Variable(("point",)',
        f'    "peak_rate": Variable(("point",), "float64", "Hz", "{words}"),\n',
    )
    held = (tree.folder / "hpcspike" / "sweep" / "layout.py").read_text(encoding="utf-8")
    schema = re.search(r"^SCHEMA = (\d+)$", held, re.MULTILINE)
    assert schema is not None
    tree.replace("hpcspike/sweep/layout.py", f"\nSCHEMA = {schema[1]}\n", f"\nSCHEMA = {int(schema[1]) + 1}\n")
    tree.insert("results/README.md", "| `population_rate` |", f"| `peak_rate` | point | float64 | Hz | {words} |\n")


def _add_probe(tree: Tree) -> None:
    """A section, the function that takes the measure, and the variable it fills."""
    tree.insert(
        "hpcspike/spec/study.py",
        "class DamageProbe(Probe):",
        '''class PeakProbe(Probe):
    """Share of neurons above a rate."""

    above_hz: float = quantity(5.0, unit="Hz", ge=0, doc="Rate from which a neuron counts.")


''',
    )
    tree.insert("hpcspike/spec/study.py", "    signs: SignsProbe | None = None", "    peak: PeakProbe | None = None\n")
    tree.insert(
        "hpcspike/studies/probes.py",
        "PROBES: dict[",
        """def _peak(networks: Networks, probe: sections.PeakProbe) -> Arrays:
    from hpcspike.measures.peak import share_above

    trained = networks.trained
    spikes = trained.evoke(0, 1).spikes[0]
    counts = np.bincount(spikes.neuron[spikes.step >= 0], minlength=trained.problem.n_neurons)
    return {"share_above": ((), share_above(1000.0 * counts / trained.problem.duration_ms, probe.above_hz))}


""",
    )
    tree.insert("hpcspike/studies/probes.py", '    "signs": _signs,', '    "peak": _peak,\n')
    tree.insert(
        "hpcspike/variables.py",
        '    "sign_flips": Variable((),',
        '    "share_above": Variable((), "float64", "1", "share of the neurons above a rate"),\n',
    )


def _add_figure(tree: Tree) -> None:
    tree.add(
        "hpcspike/figures/rates.py",
        '''"""Rates of neurons."""

import numpy as np

from hpcspike.figures.style import new_figure, styled


@styled
def rate_histogram(trained):
    """Histogram of the number of spikes of every neuron."""
    figure = new_figure(3.0, 2.5)
    axes = figure.subplots()
    axes.hist(np.bincount(trained["spike_neuron"].values, minlength=trained.sizes["neuron"]))
    axes.set_xlabel("spikes")
    axes.set_ylabel("neurons")
    return figure
''',
    )
    tree.add("cluster/report/rates.rst", "**Rates.** Spikes per neuron in all recorded test trials.\n")
    tree.insert(
        "hpcspike/figures/__init__.py",
        "from hpcspike.figures.recorded import",
        "from hpcspike.figures.rates import rate_histogram\n",
    )
    tree.insert("hpcspike/figures/__init__.py", '    "raster",\n', '    "rate_histogram",\n')
    tree.insert(
        "hpcspike/figures/available.py",
        "from hpcspike.figures.recorded import",
        "from hpcspike.figures.rates import rate_histogram\n",
    )
    tree.insert(
        "hpcspike/figures/available.py",
        '    if "curve_correlation" in trained and trained',
        '    if "spike_neuron" in trained:\n        figures["rates"] = partial(rate_histogram, trained)\n',
    )


def _add_command(tree: Tree) -> None:
    tree.insert(
        "hpcspike/cli.py",
        "def _schema(commands: _Commands)",
        """def _size(commands: _Commands) -> None:
    parser = commands.add_parser("size", help="print the number of neurons of a network")
    parser.set_defaults(module="size")
    parser.add_argument("store", metavar="STORE", help="Dataset of one network")


""",
    )
    tree.replace("hpcspike/cli.py", "_bench, _schema):", "_bench, _size, _schema):")
    tree.add(
        "hpcspike/commands/size.py",
        '''"""``hpcspike size``: how large a network is."""

from hpcspike.sweep.reading import open_network


def run(arguments):
    """Print the number of neurons."""
    print(open_network(arguments.store).sizes["neuron"], "neurons")
    return 0
''',
    )
    tree.insert(
        "cluster/MISTAKES.md",
        "| rates that no neuron can reach |",
        "| no such network | `hpcspike size net.nc` | `hpcspike: error: .../net.nc: no such file` | train it |\n",
    )
