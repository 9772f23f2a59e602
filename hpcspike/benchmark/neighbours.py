"""One balanced network without learning here, in NEST and in Brian2: one thread each, in processes of their own."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcspike.errors import ResourceError

if TYPE_CHECKING:
    from hpcspike.spec.experiment import Experiment

PROGRAMS = Path(__file__).resolve().parent / "neighbour_programs"
NEIGHBOURS = {"NEST": ("nest", "HPCSPIKE_NEST_PYTHON"), "Brian2": ("brian2", "HPCSPIKE_BRIAN2_PYTHON")}
"""The module of each simulator, and the variable of the environment that names a Python which has it."""
GRADIENT = {
    "snnTorch": ("snntorch", "HPCSPIKE_SNNTORCH_PYTHON"), "Norse": ("norse", "HPCSPIKE_NORSE_PYTHON"),
}  # fmt: skip
"""The same for what trains spiking networks by gradients (`hpcspike.benchmark.gradient_steps`)."""
INSTALL = {"NEST": "nest-simulator", "Brian2": "brian2", "snnTorch": "snntorch", "Norse": "norse"}
"""What pip calls them."""


@dataclass(frozen=True)
class Network:
    """The network of ``tsn_benchmark``: two populations of n_neurons / 2 leaky integrate-and-fire neurons.

    Every neuron has ``in_degree`` inputs from each population; times in ms; weights to and from e (excitatory) and i
    (inhibitory) neurons and inputs in units of the threshold. A stretch lasts ``duration_ms``, after ``warm_up_ms``.
    """

    n_neurons: int = 10_000
    in_degree: int = 512
    seed: int = 1
    step_ms: float = 0.1
    tau_ms: float = 10.0
    tau_syn_ms: float = 3.0
    refractory_ms: float = 0.1
    weight_ee: float = 0.0132583
    weight_ie: float = 0.0883883
    weight_ei: float = -0.0662913
    weight_ii: float = -0.0883883
    input_e: float = 2.7152900
    input_i: float = 1.8101934
    warm_up_ms: float = 200.0
    duration_ms: float = 1000.0

    def experiment(self) -> Experiment:
        """The same for hpcspike, which also has one plastic input from each population: it cannot do without."""
        from hpcspike.spec.experiment import Experiment

        return Experiment.model_validate(
            {
                "name": "neighbours",
                "seed": self.seed,
                "network": {"n_neurons": self.n_neurons},
                "neuron": {
                    "model": "lif", "tau_ms": self.tau_ms, "step_ms": self.step_ms, "threshold": 1.0, "reset": 0.0,
                    "refractory_ms": self.refractory_ms,
                },
                "synapse": {"tau_syn_ms": 150.0, "static_tau_syn_ms": self.tau_syn_ms},
                "connectivity": {
                    "kind": "balanced", "excitatory_fraction": 0.5, "static_in_degree": self.in_degree,
                    "static_ee": self.weight_ee, "static_ie": self.weight_ie, "static_ei": self.weight_ei,
                    "static_ii": self.weight_ii, "plastic_in_degree": 1, "plastic_excitatory": 1e-6,
                    "plastic_inhibitory": -1e-6, "input_excitatory": self.input_e, "input_inhibitory": self.input_i,
                },
                "targets": {"kind": "sine", "duration_ms": 100.0},
            }
        )  # fmt: skip


class Player:
    """A simulator that has built the network and waits for its turn."""

    def __init__(self, name: str, python: str, program: str, network: dict[str, Any]) -> None:
        self.name = name
        one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
        environment = {**os.environ, **one}
        if python == sys.executable:
            environment["PYTHONPATH"] = os.pathsep.join([str(PROGRAMS.parents[2]), os.environ.get("PYTHONPATH", "")])
        else:  # what is found beside hpcspike is not for another Python
            environment.pop("PYTHONPATH", None)
        self._process = subprocess.Popen(
            [python, str(PROGRAMS / program), json.dumps(network)],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        built = self._answer()
        self.version, self.synapses = str(built["version"]), int(built["synapses"])

    def turn(self) -> dict[str, Any]:
        """Simulate one stretch: spikes, wall_seconds, and processor_seconds where they are known."""
        assert self._process.stdin is not None
        try:
            print("go", file=self._process.stdin, flush=True)
        except BrokenPipeError:
            pass  # the answer says why
        return self._answer()

    def leave(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = "begin"
        while line and not line.startswith("{"):  # what a simulator prints by itself is no answer
            line = self._process.stdout.readline()
        if not line:
            said = self._process.communicate()[1].strip().splitlines() or [f"exit code {self._process.returncode}"]
            raise ResourceError(f"{self.name} failed: {said[-1]}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def python_with(name: str) -> str | None:
    """A Python that has a neighbour: the one its variable names, or this one; None if neither has it."""
    module, variable = (NEIGHBOURS | GRADIENT)[name]
    for python in dict.fromkeys((os.environ.get(variable) or sys.executable, sys.executable)):
        code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
        try:
            found = subprocess.run([python, "-c", code], capture_output=True, check=False, cwd=PROGRAMS.parents[2])
        except OSError as error:
            raise ResourceError(
                f"{variable} = {python}: cannot be run ({error.strerror}); it must be the path of a Python that has "
                f"{module}"
            ) from None
        if found.returncode == 0:
            return python
    return None


def how_to_install(name: str) -> str:
    """What to do where a neighbour is missing."""
    return (
        f"{name} is left out: not installed. python -m venv ENV && ENV/bin/pip install {INSTALL[name]}, then "
        f"{(NEIGHBOURS | GRADIENT)[name][1]}=ENV/bin/python"
    )


def compare(network: Network, rounds: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Let everybody who is installed take turns; one row for each, seconds per simulated second as medians.

    Raises
    ------
    ResourceError
        If a simulator that is installed fails.
    """
    settings, players = asdict(network), []
    pythons = {name: python_with(name) for name in NEIGHBOURS}
    for name, python in pythons.items():
        if python is None:
            say(how_to_install(name))
    try:
        for dtype in ("float64", "float32"):
            players.append(Player("hpcspike", sys.executable, "hpcspike_network.py", {**settings, "dtype": dtype}))
        for name, python in pythons.items():
            if python is not None:
                players.append(Player(name, python, f"{NEIGHBOURS[name][0]}_network.py", settings))
        turns: list[list[dict[str, Any]]] = [[] for _ in players]
        for _ in range(rounds):
            for player, found in zip(players, turns, strict=True):
                found.append(player.turn())
    finally:
        for player in players:
            player.leave()
    return [_row(player, found, network) for player, found in zip(players, turns, strict=True)]


def _row(player: Player, turns: list[dict[str, Any]], network: Network) -> dict[str, Any]:
    simulated = network.duration_ms / 1000.0
    wall = [turn["wall_seconds"] / simulated for turn in turns]
    processor = [turn["processor_seconds"] / simulated for turn in turns if turn["processor_seconds"] is not None]
    spikes = statistics.median(turn["spikes"] for turn in turns)
    seconds = statistics.median(processor or wall)
    return {
        "simulator": player.name, "version": player.version, "synapses": player.synapses, "spikes": spikes,
        "rate_hz": spikes / network.n_neurons / simulated, "wall_seconds": statistics.median(wall),
        "shortest_wall_seconds": min(wall), "longest_wall_seconds": max(wall),
        "processor_seconds": statistics.median(processor) if processor else None,
        "events_per_second": spikes / simulated * player.synapses / network.n_neurons / seconds,
    }  # fmt: skip


LEGEND = """\
The balanced network of tsn_benchmark without learning ({n:,} neurons, {k:,} fixed inputs each, steps of {step:g} ms),
one thread each, in turns: seconds per simulated second, medians of {rounds} turns after {warm:g} ms of warm-up (in
brackets the shortest and the longest). Processor: seconds of computation, which other load of the machine touches less;
events (synaptic ones, per second) are by them, or by wall seconds where they are not known."""

HEADER = (
    f"{'simulator':<28} {'wall s':>8} {'(from - to)':>17} {'processor s':>12} | {'spikes':>8} {'Hz':>5} | "
    f"{'events/s':>9} | {'times':>6}"
)


def legend(network: Network, rounds: int) -> str:
    """What the table below it shows."""
    return LEGEND.format(
        n=network.n_neurons, k=2 * network.in_degree, step=network.step_ms, rounds=rounds, warm=network.warm_up_ms
    )


def line(row: dict[str, Any], first: dict[str, Any]) -> str:
    """One simulator as a line below HEADER; times: how many times as long as the first row."""
    clock = "processor_seconds" if row["processor_seconds"] and first["processor_seconds"] else "wall_seconds"
    processor = "-" if row["processor_seconds"] is None else f"{row['processor_seconds']:.3g}"
    spread = f"({row['shortest_wall_seconds']:.3g} - {row['longest_wall_seconds']:.3g})"
    return (
        f"{row['simulator'] + ' ' + row['version']:<28} {row['wall_seconds']:>8.3g} {spread:>17} {processor:>12} | "
        f"{row['spikes']:>8.0f} {row['rate_hz']:>5.1f} | {row['events_per_second']:>9.2g} | "
        f"{row[clock] / first[clock]:>5.1f}x"
    )
