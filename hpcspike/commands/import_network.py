"""``hpcspike import``: a network that another program trained, as one that runs here."""

from __future__ import annotations

import argparse

from hpcspike.commands.common import counted, free_network_path


def run(arguments: argparse.Namespace) -> int:
    """Write the network, and say what could not be carried over."""
    from hpcspike.exchange import network_of_tsn
    from hpcspike.live.network import write_network

    path = free_network_path(arguments.out)
    network = network_of_tsn(
        arguments.folder, includes_input=None if arguments.targets is None else arguments.targets == "total",
        test_trials=arguments.trials,
    )  # fmt: skip
    write_network(network, path)
    sizes = network.sizes
    synapses = f"{sizes['synapse']:,} plastic and {sizes['fixed_synapse']:,} fixed synapses"
    parts = (synapses, counted(sizes["target_set"], "target set"), counted(sizes["trial"], "test trial"))
    print(f"{path}: {sizes['neuron']:,} lif neurons, {', '.join(parts)}")
    for line in network.attrs["not_carried_over"].splitlines():
        print(f"not carried over: {line}")
    return 0
