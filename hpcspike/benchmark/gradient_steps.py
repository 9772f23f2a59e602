"""Seconds of forward and backward passes of the gradient learners, beside the flop limit, snnTorch and Norse."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from hpcspike.benchmark.neighbours import GRADIENT, Player, how_to_install, python_with

HERE = "gradient_here.py"


@dataclass(frozen=True)
class Case:
    """A network with readouts, and a batch of trials whose inputs are 1 in 5 % of the steps, else 0.

    model ``lsnn`` has leaky neurons, ``n_adaptive`` of them adaptive; ``huh`` theta neurons with graded synapses;
    ``peak`` is no network but the product of two matrices with ``n_neurons`` rows. With delays, ``by_synapses`` says
    whether lists of synapses are gone through or one product is made for every delay.
    """

    model: Literal["lsnn", "huh", "peak"]
    n_neurons: int
    batch: int = 32
    n_adaptive: int = 0
    n_delays: int = 1
    by_synapses: bool = True
    connectivity: float = 1.0
    steps: int = 1000
    n_inputs: int = 81
    n_outputs: int = 10
    seed: int = 1

    @property
    def multiply_adds(self) -> tuple[int, int]:
        """Of the products of matrices alone: forward, and forward and backward.

        Back through a product is one for its weights and one for what entered it; nothing asks for that of the inputs.
        """
        onto, readout = self.n_inputs + self.n_neurons, self.n_neurons * self.n_outputs
        forward = onto * self.n_neurons + readout
        backward = onto * self.n_neurons + self.n_neurons**2 + 2 * readout
        return tuple(self.steps * self.batch * one for one in (forward, forward + backward))  # type: ignore[return-value]


LEGEND = """\
1000 steps of a batch, 81 inputs, 10 readouts, single precision, one thread: seconds of computation forward, and forward
and backward ("both"), medians of {rounds} turns. Limit: what the multiply-adds of the products alone take at the rate
G of a product of two matrices with 2048 rows (10^9 multiply-adds per second; by JAX or NumPy, whichever is faster),
measured in turns with it."""

PEAK = Case("peak", 2048)
LIMITED = (
    *(Case("lsnn", n, batch, n_adaptive=n // 2) for n in (60, 220) for batch in (32, 256)),
    *(Case("huh", 80, batch) for batch in (32, 256)),
)
"""Those that are held against the limit."""

COMPARED = (Case("lsnn", 220), Case("lsnn", 220, n_adaptive=100))
"""Those that snnTorch (leaky ones only) and Norse run too."""

DELAYED = tuple(
    Case("lsnn", 220, n_adaptive=100, n_delays=10, connectivity=0.12, by_synapses=by_synapses)
    for by_synapses in (False, True)
)
"""Those with delays, as they were computed before there were lists of synapses and as they are."""


def limits(cases: Iterable[Case], rounds: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Every case in turns with the peak of a product: seconds, and how many times the flop limit they are."""
    rows = []
    for case in cases:
        peak, found = in_turns([("peak", PEAK, HERE, sys.executable), ("here", case, HERE, sys.executable)], rounds)
        per_second = max(peak["jax"], peak["numpy"])
        limit = [number / per_second for number in case.multiply_adds]
        row = {**asdict(case), **found, "peak": per_second, "limit_forward": limit[0], "limit_both": limit[1]}
        row |= {f"peak_{name}": peak[name] for name in ("jax", "numpy")}
        rows.append(row)
        say(limit_line(row))
    return rows


def compare(rounds: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """The networks of `COMPARED` here, in snnTorch and in Norse, in turns.

    Raises
    ------
    ResourceError
        If a program that is installed fails.
    """
    players = [("here", case, HERE, sys.executable) for case in (*COMPARED, *DELAYED)]
    for name, (module, _) in GRADIENT.items():
        python = python_with(name)
        if python is None:
            say(how_to_install(name))
        else:
            cases = COMPARED if name == "Norse" else COMPARED[:1]
            players += [(name, case, f"{module}_gradient.py", python) for case in cases]
    found = in_turns(players, rounds)
    rows = [{"program": name, **asdict(case), **one} for (name, case, *_), one in zip(players, found, strict=True)]
    for row in rows:
        say(compared_line(row))
    return rows


def in_turns(players: Iterable[tuple[str, Case, str, str]], rounds: int) -> list[dict[str, Any]]:
    """Of every (name, case, program, Python) the version and the medians of what it says in its turns."""
    playing: list[Player] = []
    try:
        for name, case, program, python in players:
            playing.append(Player(name, python, program, asdict(case)))
        turns = [[player.turn() for player in playing] for _ in range(rounds)]
    finally:
        for player in playing:
            player.leave()
    return [
        {"version": player.version, **_summary(own)}
        for player, own in zip(playing, zip(*turns, strict=True), strict=True)
    ]


def _summary(turns: Sequence[dict[str, float]]) -> dict[str, float]:
    """Medians, and the shortest and the longest time there and back."""
    found = {key: statistics.median(turn[key] for turn in turns) for key in turns[0]}
    if "both" in found:
        both = [turn["both"] for turn in turns]
        found |= {"shortest_both": min(both), "longest_both": max(both)}
    return found


def limit_line(row: dict[str, Any]) -> str:
    """A case beside its limit as a line."""
    return (
        f"{row['model']:<5} N {row['n_neurons']:>4} batch {row['batch']:>4}: forward {row['forward']:.3f} s "
        f"({row['forward'] / row['limit_forward']:.1f} x limit), both {row['both']:.3f} s "
        f"({row['both'] / row['limit_both']:.1f} x limit of {row['limit_both']:.3f} s at {row['peak'] / 1e9:.1f} G/s), "
        f"{1000 * row['share']:.0f} spikes in 1000 steps"
    )


def compared_line(row: dict[str, Any]) -> str:
    """A program as a line."""
    delays = ""
    if row["n_delays"] > 1:
        how = "lists of synapses" if row["by_synapses"] else "a product for each"
        delays = f", {row['n_delays']} delays by {how}, {row['connectivity']:.0%} of the connections"
    return (
        f"{row['program']}, {row['version']}, {row['n_adaptive']} of {row['n_neurons']} adaptive{delays}: forward "
        f"{row['forward']:.3f} s, both {row['both']:.3f} s ({row['shortest_both']:.3f} to {row['longest_both']:.3f}), "
        f"{1000 * row['share']:.0f} spikes in 1000 steps"
    )
