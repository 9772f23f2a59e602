"""``hpcspike test``: trials of a trained network; ``hpcspike train --from``: further training of it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike.checks import number
from hpcspike.commands.common import free_network_path, keys_and_values
from hpcspike.commands.show import DIFFERENT
from hpcspike.errors import DataError, SpecError
from hpcspike.launcher import refuse_ranks
from hpcspike.wording import counted

if TYPE_CHECKING:
    import xarray as xr

    from hpcspike.live.network import Network

COMPARED = ("drive", "response", "initial_state", "spike_time", "spike_neuron", "spike_set")
"""Variables of test trials that are compared with the stored ones."""
_MOST_SHOWN = 10
"""So many silent neurons are listed."""


def run(arguments: argparse.Namespace) -> int:
    """Run the trials, say how they went, and write them if that was asked for.

    Returns
    -------
    int
        `DIFFERENT` if trials as they are stored have other bits.
    """
    from hpcspike.live.network import write_network
    from hpcspike.live.opening import live_network
    from hpcspike.spec.yaml_text import parse_value
    from hpcspike.sweep.reading import open_network

    beyond_ms = number("--beyond", parse_value(arguments.beyond), least=0.0, unit="ms")
    noise = number("--noise", parse_value(arguments.noise), least=0.0, unit="units of the external input")
    path = None if arguments.out is None else free_network_path(arguments.out)
    stored = open_network(arguments.store)
    network = live_network(stored, run_user_code=arguments.run_user_code)
    silent = _silent(arguments.silence, network)
    conditions: dict[str, Any] = {"silence": silent, "stimulus": _stimulus(arguments.stimulus)}
    conditions |= {"seed": arguments.seed, "beyond_ms": beyond_ms, "noise": noise}
    found = network.test(arguments.trials, first_trial=arguments.first_trial, **conditions)
    if path is not None:
        write_network(found, path)
        print(f"{path}: {arguments.trials} test trials of each of {found.sizes['target_set']} target sets")
    over = found["correlation"].attrs["over"]
    rate = f"{float(found['population_rate']):.2f} Hz over all {counted(network.n_neurons, 'neuron')}"
    print(f"correlation {float(found['correlation']):.3f} ({over}), population rate {rate}")
    if silent is not None:
        print(f"silent: {_who(np.flatnonzero(found['silenced'].values), network)}")
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
    from hpcspike.measures.verdict import remarks_of, verdict_of

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
    print(f"{path}: {longer.changes[-1]}; {verdict_of(found)}")
    for words in remarks_of(found):
        print(words)
    return 0


def _silent(text: str | None, network: Network) -> Any:
    """Numbers, a share, or names, as the shell has them."""
    if text is None:
        return None
    from hpcspike.live.selection import units_in

    units = set(units_in(network.labels).tolist())
    parts: list[str | int] = []
    for part in (one.strip() for one in text.split(",")):
        of_neuron = part.isdecimal() and (part not in units or int(part) < network.n_neurons)
        if of_neuron and part in units:
            raise SpecError(
                f"--silence {text}: {part} is the number of a neuron and the name of a recorded unit; give unit:{part} "
                f"or neuron:{part}"
            )
        parts.append(int(part) if of_neuron else part)
    if len(parts) > 1 or parts[0] in units:
        return parts
    try:
        return parts if isinstance(parts[0], int) else float(parts[0])
    except ValueError:
        return parts


def _who(neurons: np.ndarray, network: Network) -> str:
    """Neurons by number, with the names of recorded units; of many the first ones."""
    from hpcspike.live.selection import units_in

    units = units_in(network.labels)
    named = [f"{k} (unit {units[k]})" if len(units) and units[k] else str(k) for k in neurons[:_MOST_SHOWN].tolist()]
    more = ", ..." if len(neurons) > len(named) else ""
    return f"{len(neurons)} of {counted(network.n_neurons, 'neuron')}: {', '.join(named)}{more}"


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
