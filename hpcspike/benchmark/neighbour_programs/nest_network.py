"""The balanced network in NEST: exact integration of the neurons, synapses with a weight each."""

from __future__ import annotations

import nest  # type: ignore[import-not-found]
from turns import asked_for, take_turns  # type: ignore[import-not-found]

network = asked_for()
nest.set_verbosity("M_ERROR")
nest.SetKernelStatus({"resolution": network["step_ms"], "local_num_threads": 1, "rng_seed": network["seed"]})
# C_m = tau_m: currents in pA are what u and I are here
shared = {
    "C_m": network["tau_ms"], "tau_m": network["tau_ms"], "E_L": 0.0, "V_reset": 0.0, "V_th": 1.0,
    "t_ref": network["refractory_ms"],
    "tau_syn_ex": network["tau_syn_ms"], "tau_syn_in": network["tau_syn_ms"],
}  # fmt: skip
half = network["n_neurons"] // 2
populations = {
    name: nest.Create("iaf_psc_exp", half, {**shared, "I_e": network[f"input_{name}"]}) for name in ("e", "i")
}
for cells in populations.values():
    cells.V_m = nest.random.uniform(0.0, 1.0)
for post, cells in populations.items():
    for pre, sources in populations.items():
        nest.Connect(
            sources, cells, {"rule": "fixed_indegree", "indegree": network["in_degree"]},
            {
                "synapse_model": "static_synapse", "delay": network["step_ms"],
                "weight": network[f"weight_{post}{pre}"] * network["tau_ms"] / network["tau_syn_ms"],
            },
        )  # fmt: skip
nest.Prepare()
nest.Run(network["warm_up_ms"])


def simulate() -> dict[str, float]:
    """One stretch; the spikes of all neurons are counted by the kernel itself."""
    nest.Run(network["duration_ms"])
    return {"spikes": nest.GetKernelStatus("local_spike_counter")}  # those of the last run


take_turns(nest.__version__, nest.GetKernelStatus("num_connections"), simulate)
