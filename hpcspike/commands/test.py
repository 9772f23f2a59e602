"""``hpcspike test``: trials of a trained network; ``hpcspike train --from``: further training of it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike.commands.common import free_network_path, keys_and_values
from hpcspike.commands.show import DIFFERENT
from hpcspike.errors import DataError, SpecError
from hpcspike.launcher import refuse_ranks

if TYPE_CHECKING:
    import xarray as xr

COMPARED = ("drive", "response", "initial_state", "spike_time", "spike_neuron", "spike_set")
"""Variables of test trials that are compared with the stored ones."""


def run(arguments: argparse.Namespace) -> int:
    """Run the trials, say how they went, and write them if that was asked for.

    Returns
    -------
    int
        `DIFFERENT` if trials as they are stored have other bits.
    """
    from hpcspike.live.network import write_network
    from hpcspike.live.opening import live_network
    from hpcspike.sweep.reading import open_network

    path = None if arguments.out is None else free_network_path(arguments.out)
    stored = open_network(arguments.store)
    network = live_network(stored, run_user_code=arguments.run_user_code)
    conditions: dict[str, Any] = {"silence": _silent(arguments.silence), "stimulus": _stimulus(arguments.stimulus)}
    conditions |= {"seed": arguments.seed, "beyond_ms": arguments.beyond, "noise": arguments.noise}
    found = network.test(arguments.trials, first_trial=arguments.first_trial, **conditions)
    if path is not None:
        write_network(found, path)
        print(f"{path}: {arguments.trials} test trials of each of {found.sizes['target_set']} target sets")
    over = found["correlation"].attrs["over"]
    print(f"correlation {float(found['correlation']):.3f} ({over}), {float(found['population_rate']):.2f} Hz")
    if any(value not in (None, 0.0) for name, value in conditions.items() if name != "stimulus") or arguments.stimulus:
        return 0
    differing, compared = compare_trials(found, stored)
    if not compared:
        print("none of these trials is in the file")
    elif differing:
        print(f"other than the stored trials: {', '.join(differing)}")
    else:
        print(f"equal to the stored trials bit for bit ({compared} trials)")
    return DIFFERENT if differing else 0


def compare_trials(found: xr.Dataset, stored: xr.Dataset) -> tuple[list[str], int]:
    """Variables whose bits differ in the trials that both hold, and the number of these trials."""
    common = [int(k) for k in found["trial"].values if k in stored["trial"].values] if "trial" in stored else []
    if not common:
        return [], 0
    differing = []
    for name in COMPARED:
        if name not in found or name not in stored:
            continue
        if name.startswith("spike_"):
            here, there = (one[name].values[np.isin(one["spike_trial"].values, common)] for one in (found, stored))
        else:
            here, there = (one[name].sel(trial=common).values for one in (found, stored))
        if not np.array_equal(here, there, equal_nan=True):
            differing.append(name)
    return differing, len(common)


def go_on(arguments: argparse.Namespace) -> int:
    """Train a stored network on, write it, and say with which matrices P."""
    refuse_ranks("train --from")
    from hpcspike.live.network import write_network
    from hpcspike.live.opening import live_network

    if arguments.config is not None:
        raise SpecError(f"{arguments.config} and --from {arguments.source}: give one of them")
    if arguments.loops is None:
        raise SpecError("--from needs --loops K, the number of further training loops")
    if arguments.checkpoint is not None or arguments.time_limit is not None or arguments.size is not None:
        raise SpecError("--from takes --set, --loops and --states; leave checkpoints, --time-limit and --size out")
    path = free_network_path(arguments.out)
    network = live_network(arguments.source, run_user_code=arguments.run_user_code)
    settings = keys_and_values(arguments.changes, option="--set")
    longer = network.train(
        arguments.loops, settings=settings or None, states=arguments.states, threads=arguments.threads, progress=True
    )
    found = longer.dataset()
    write_network(found, path)
    print(f"{path}: {longer.changes[-1]}; correlation {float(found['correlation']):.3f} in test trials, plasticity off")
    return 0


def _silent(text: str | None) -> Any:
    """Numbers, a share, or names, as the shell has them."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if all(part.isdigit() for part in parts):
        return [int(part) for part in parts]
    try:
        return float(text)
    except ValueError:
        return parts


def _stimulus(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return np.load(text, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"--stimulus {text}: must be a number or a .npy file of numbers ({error})") from None
