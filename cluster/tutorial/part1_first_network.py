# %% [markdown]
# # Part 1: train your first network
#
# Two hundred spiking neurons, connected at random, are taught to produce two hundred different sine waves: after a
# short cue, the synaptic drive of every neuron follows a wave of its own for one second, and the only input that keeps
# it going is the spikes of the others. This is Figure 1 of Kim & Chow (2018).
#
# Takes well under a minute on one core. Run it as it is (`python cluster/tutorial/part1_first_network.py`), or open it
# as a notebook: VS Code and jupytext show every `# %%` as a cell. Figures go to `results/tutorial/`.

# %%
import os
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
# ## The experiment
# An experiment is a file. Each of its keys has a unit (the name ends in it), a range and a default; `hpcspike schema
# --table` lists them all. A key that does not exist, or a value that makes no sense, is refused before anything runs.
# `changes` lays single keys over the file; here it only sets how long to train.

# %%
CONFIG = ROOT / "cluster" / "config" / "fig1_drive.yaml"
N_LOOPS = 2 if QUICK else 20
experiment = hpcspike.load(CONFIG, changes={"training.n_loops": N_LOOPS})

print("network     ", experiment.network)
print("synapse     ", experiment.synapse)
print("connectivity", experiment.connectivity)
print("targets     ", experiment.targets)
print("training    ", experiment.training)

# %% [markdown]
# ## Train it
# `hpcspike.run` builds the network, trains it, tests it, and returns one `xarray.Dataset` with everything: targets,
# responses, spikes, weights, the learning curve, and measures. A second run with no training loops shows what the same
# network does before it has learned anything.

# %%
untrained = hpcspike.run(hpcspike.load(CONFIG, changes={"training.n_loops": 0}))
trained = hpcspike.run(experiment, progress=True)
print(trained)

# %% [markdown]
# ## Did it learn?
# `correlation` is the number to look at first: the Pearson correlation between what a neuron does and what it should
# do, averaged over neurons, in test trials. A test trial has learning switched off and starts from random phases, so
# that the network has to find its way from the cue alone. Expect almost nothing before training, and more than 0.9
# after it. Where a network of your own stays behind its learning curve here, let every training loop start from random
# phases too: `protocol: {start: random}`.

# %%
before, after = float(untrained["correlation"]), float(trained["correlation"])
print(f"correlation with the targets: {before:.2f} before training, {after:.2f} after {N_LOOPS} loops")
print(f"mean firing rate: {float(trained['population_rate']):.1f} Hz")

# %% [markdown]
# ## The learning curve
# One point per training loop: a free run, the cue, the trained second. The correlation (a) is 0.9 from the first loop
# on, because it is measured *during* training, where the weights are corrected every 2 ms; mind the axis. What counts
# is the test without plasticity, the number above. The change of the weights (c) tells more: it falls from loop to
# loop, and where it is a few per cent there is little left to learn. A single loop may fall out, as one does here; the
# next is fine.

# %%
shown(hpcspike.figures.training_curves(trained), "part1_learning_curve")

# %% [markdown]
# ## Targets and responses
# Orange is what a neuron should do, black what it does, from the best followed neuron to the worst. The response is the
# wave plus something that flickers: a synaptic drive is a sum of decaying jumps, one for every spike, and 200 neurons
# are few. That flicker is the *sampling error*. The fast wave at the bottom right comes out too small: that is the
# beginning of a *tracking error*. Part 2 is about both.

# %%
shown(hpcspike.figures.target_against_response(trained), "part1_targets")

# %% [markdown]
# ## The spikes behind it
# Follow one row: a neuron fires in stretches, and the same stretches come back in every trial, while single spikes do
# not. The population rate below hardly moves, since every neuron has a wave of its own. The shaded stretch is the cue,
# the same in all trials; initial phases differ from trial to trial.

# %%
shown(hpcspike.figures.raster(trained), "part1_raster")

# %% [markdown]
# ## The same with xarray
# The Dataset is labelled, so it answers questions without index arithmetic: pick neurons and times by name, average
# over trials, look at units. Here: how much of each neuron's error is left when its trials are averaged? If trials
# erred independently, three would leave 1 / sqrt(3) = 0.58 of it. What is left beyond that, the network does wrong
# every time.

# %%
error = trained["response"].isel(target_set=0) - trained["target"].isel(target_set=0)
single_trial = np.sqrt((error**2).mean(["trial", "time"]))
averaged = np.sqrt((error.mean("trial") ** 2).mean("time"))
remaining = float((averaged / single_trial).mean())
print(f"share of the rms error that survives averaging over {trained.sizes['trial']} trials: {remaining:.2f}")
print("unit of the drive:", trained["response"].attrs["units"], "- of time:", trained["time"].attrs["units"])

# %% [markdown]
# ## Weights
# `weights_csr` gives the weights as SciPy's sparse matrix: row `i` holds the inputs of neuron `i`. In the Dataset they
# lie row by row (`weight`, `presynaptic`, `row_start`), which is the same in three arrays. The change is as large as
# the weights themselves: what the network does after training has little to do with what it was.

# %%
weights = hpcspike.exchange.weights_csr(trained)
initial = hpcspike.exchange.weights_csr(trained, initial=True)
n = trained.sizes["neuron"]
change = float(np.linalg.norm((weights - initial).data) / np.linalg.norm(initial.data))
print(f"{weights.nnz} synapses onto {n} neurons; training moved them by {change:.0%} of their size (Frobenius norm)")

# %% [markdown]
# ## Keep it
# `hpcspike train cluster/config/fig1_drive.yaml --out first.nc` does all of this from the command line, `hpcspike plot
# first.nc --out figures` draws the figures, and `hpcspike.open_network("first.nc")` opens what it wrote.
#
# ## Try
# - `"synapse.tau_syn_ms": 100.0` in `changes`: slower synapses average over more spikes. Look at the flicker.
# - `"network.n_neurons": 400`: more neurons do the same. Compare both with the formula in part 2.
# - `"training.variable": "rate"` trains spiking rates instead of drives; targets must be positive then, see
#   `cluster/config/fig1_rate.yaml`.
# - `"seed": 2`: another network, other waves. Does the correlation stay?

# %%
trained.to_netcdf(OUT / "part1.nc", engine="h5netcdf")
