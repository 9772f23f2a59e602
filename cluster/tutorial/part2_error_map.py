# %% [markdown]
# # Part 2: map where networks learn, and why they fail elsewhere
#
# Whether a network can follow its targets depends on two times: how long a synapse remembers a spike (`tau_syn_ms`) and
# how long a target remembers itself (`tau_corr_ms`). Here the workflow trains one network for each of 32 pairs, and
# xarray reads the map from what it wrote. This is Figure 6 of Kim & Chow (2018) in small.
#
# Takes one or two minutes on two cores. Needs the extra `workflow` (`pip install 'hpcspike[workflow]'`).

# %%
import os
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import hpcspike

ROOT = next(folder for folder in (Path.cwd(), *Path.cwd().parents) if (folder / "Snakefile").exists())
# for tests: a folder for what is written, where minutes become seconds and nothing is learned well
QUICK = os.environ.get("HPCSPIKE_TUTORIAL_QUICK")
OUT = Path(QUICK or ROOT / "results" / "tutorial")
OUT.mkdir(parents=True, exist_ok=True)
plt.switch_backend(plt.get_backend())  # loaded now, so that notebooks show figures


def shown(figure, name):
    """Save a figure and hand it on, so that a notebook shows it."""
    figure.savefig(OUT / f"{name}.png", dpi=150)
    return figure


# %% [markdown]
# ## The sweep
# A sweep is an experiment with axes: every key of the experiment can become one. `cluster/tutorial/map.yaml` varies
# two, and leaves all else alone. `hpcspike plan` says what it will cost before anything runs.

# %%
CONFIG = ROOT / "cluster" / "tutorial" / "map.yaml"
SIZE = "quick" if QUICK else "full"
print(CONFIG.read_text())
STORE = OUT / "map.zarr"
subprocess.run([sys.executable, "-m", "hpcspike", "plan", CONFIG, "--size", SIZE, "--store", STORE], check=True)

# %% [markdown]
# ## Run it
# In a terminal, in the folder of the repository, this would be
#
#     snakemake --cores 2 --config sweep=cluster/tutorial/map.yaml networks=[] results=results/tutorial
#
# The points are dealt to batches, the batches run side by side, and every finished point is on disk at once. Interrupt
# it and start it again: it goes on where it was. When it is done, the same command does nothing. On a cluster the same
# command gets a profile (`cluster/guide/sweeps.md`).

# %%
settings = [f"sweep={CONFIG}", f"size={SIZE}", "networks=[]", f"results={OUT}"]
command = [sys.executable, "-m", "snakemake", "finalize" if QUICK else "all", "-s", ROOT / "Snakefile"]
options = ["--directory", OUT, "--cores", "2", "--quiet", "rules", "--config", *settings]
subprocess.run([*command, *options], check=True)

# %% [markdown]
# ## Open it
# All points are in one Dataset with the dimension `point`; parameters are coordinates, so they select. Opening is lazy:
# a sweep of a million points opens in a second, and numbers are read when they are used.

# %%
sweep = hpcspike.open_sweep(STORE)
print(sweep)

one = sweep.isel(point=0)
print(
    f"tau_s {float(one.tau_syn_ms):g} ms, tau_c {float(one.tau_corr_ms):g} ms: correlation {float(one.correlation):.2f}"
)

# %% [markdown]
# ## The map
# `analysis.performance` puts the points on their grid and averages replicates. Read the table along a row: there is a
# best synaptic time, neither the shortest nor the longest. Slower targets (lower rows) have it later, and reach more.

# %%
table = hpcspike.analysis.performance(sweep)["performance"].load()  # tau_syn_ms x tau_corr_ms
print(table.to_pandas().T.round(2))
best = table.idxmax("tau_syn_ms")
for tau_corr_ms, tau_syn_ms in zip(best.tau_corr_ms.values, best.values, strict=True):
    print(f"targets of {tau_corr_ms:g} ms are followed best with synapses of {tau_syn_ms:g} ms")

shown(hpcspike.figures.performance_map(sweep), "part2_map")

# %%
shown(hpcspike.figures.inverted_u_curves(sweep), "part2_inverted_u")

# %% [markdown]
# ## Two ways to fail
# *Fast synapses*: a drive is the sum of few, short jumps, and flickers around the target. This is the sampling error;
# it falls as 1 / sqrt(N tau_s / tau), like any average over independent samples.
#
# *Slow synapses*: the drive cannot turn as fast as the target does. This is the tracking error; it grows as tau_s / (4
# pi tau_c).
#
# The *spectral index* tells them apart without knowing the theory: the response has more fast power than the target
# (positive: it flickers), or less (negative: it lags). Panel c measures both errors directly, by clamping the neurons
# to the target; the dashed scales of the theory say how errors grow, not how large they are. `status` names the kind,
# point by point.

# %%
errors = hpcspike.analysis.error_types(sweep).load()
print(errors["spectral_index"].to_pandas().T.round(2))
index_fast, index_slow = (float(errors["spectral_index"].isel(tau_syn_ms=k).mean()) for k in (0, -1))
print(f"spectral index, all targets: {index_fast:+.2f} with the fastest synapses, {index_slow:+.2f} with the slowest")

shown(hpcspike.figures.error_kinds(sweep), "part2_error_kinds")

# %% [markdown]
# ## Your own question, in a few lines
# Does the theory say where the regimes meet? The two scales are equal at tau_s* = (4 pi tau_c sqrt(tau / N))^(2/3). In
# the sweep they meet where the spectral index changes its sign; `analysis.crossings` finds it between the grid's
# values. Both grow with tau_c, and are within a factor of two; but in this small network the measured one grows more
# slowly than tau_c to the 2/3. The best synapses are slower than either: the correlation forgives lagging more easily
# than noise.

# %%
tau_ms, n_neurons = 10.0, int(sweep.n_neurons[0])
theory = (4 * np.pi * table.tau_corr_ms * np.sqrt(tau_ms / n_neurons)) ** (2 / 3)
crossing = hpcspike.analysis.crossings(sweep)
for tau_corr_ms, tau_syn_ms in zip(crossing.tau_corr_ms, crossing.tau_syn_ms, strict=True):
    print(f"tau_c {tau_corr_ms:g} ms: flicker and lag balance at tau_s {tau_syn_ms:.0f} ms")

figure, axes = plt.subplots(figsize=(5.0, 3.8), layout="constrained")
axes.loglog(crossing.tau_corr_ms, crossing.tau_syn_ms, "o", label="spectral index changes sign")
axes.loglog(best.tau_corr_ms, best, "s", mfc="none", label="largest correlation on the grid")
axes.loglog(theory.tau_corr_ms, theory, "-", color="grey", label="errors of equal size (Eq 3)")
axes.set_xlabel(r"$\tau_c$ of the targets (ms)")
axes.set_ylabel(r"$\tau_s$ (ms)")
for axis, values in ((axes.xaxis, table.tau_corr_ms.values), (axes.yaxis, (10, 20, 50, 100))):
    axis.set_ticks(values, [f"{value:g}" for value in values])
    axis.set_ticks([], minor=True)
axes.legend(frameon=False)
figure.savefig(OUT / "part2_best_synapses.png", dpi=150)

# %% [markdown]
# ## Go on
# - Ask for more: set `replicates: 3` in the file, or add values to an axis, and run the same command. What is there
#   stays; only new points are computed.
# - `sweep.to_dataframe()` gives the table of points to pandas, `hpcspike export STORE out.zip` to everybody else.
# - `hpcspike show results/tutorial/map.zarr --where synapse.tau_syn_ms=5 targets.tau_corr_ms=100` trains one point
#   again and draws it; so does `--point K` with its number in `sweep.point`.
# - `hpcspike status results/tutorial/map.zarr --watch` in a second terminal, while it runs.
# - `cluster/config/fig6.yaml` with `size=laptop`: the paper's network, half an hour.
