# %% [markdown]
# # Part 3: train recorded rates
#
# Targets need not be invented. Figure 5 of Kim & Chow (2018) takes the trial-averaged rates of neurons recorded in
# mouse motor cortex, and trains as many model neurons to spike at these rates, among twice as many auxiliary neurons
# whose rates are random.
#
# Takes about a minute on one core. You need no recordings: `path: generated` makes up rates that look like those of a
# delayed-response task. **They are a stand-in and prove nothing about a brain;** every result and figure says so.

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
# `cluster/config/alm.yaml` at its size `paper` is the paper's; here two seconds long, with the stand-in. What is
# trained is the *rate*: filtered spikes in Hz, not the drive. For N neurons N targets are needed, so the recorded units
# come first and auxiliary neurons, on rates derived from an Ornstein-Uhlenbeck process, fill up the network.

# %%
CONFIG = ROOT / "cluster" / "config" / "alm.yaml"
FULL = {"targets.duration_ms": 2000.0}
SMALL = {"targets.n_units": 12, "targets.duration_ms": 400.0, "training.n_loops": 2, "measures.n_test_trials": 3}
changes = {"targets.path": "generated", **(SMALL if QUICK else FULL)}
experiment = hpcspike.load(CONFIG, size="paper", changes=changes)
print(experiment.targets)

# %% [markdown]
# ## Train it
# Rates are harder than drives: a neuron at 10 Hz says something 20 times in these two seconds, and what it does between
# two spikes is nobody's business. So look at averages over many trials, as one does with recordings.

# %%
trained = hpcspike.run(experiment, progress=True)
print("data:", trained.attrs["stand_in"])
recorded = trained.isel(neuron=np.flatnonzero(trained["recorded"].values))
print(f"{recorded.sizes['neuron']} units of data among {trained.sizes['neuron']} neurons")

# %% [markdown]
# ## Data beside model
# The upper panels are the whole data set and the whole model, unit by unit in the order of their peaks: the same bands,
# but the model is at zero where the data are merely low. Its neurons have no noise of their own: below threshold they
# are silent, and they cannot fire now and then at 3 Hz. Panel c shows single units, the best and the worst among them.
# Panel d has three correlations that mean three things: of trial-averaged spikes (what an experimenter compares), of
# single trials, and of phi(u + I), the rate that the neuron's drive stands for. The learning rule acts on phi, and phi
# is nearly right; what is lost is lost between the drive and the spikes.

# %%
units = hpcspike.analysis.neuron_correlation(recorded).isel(target_set=0).load()
averaged, single = (float(units[f"correlation_{kind}"].mean()) for kind in ("trial_averaged", "single_trial"))
print(f"correlation with the data: {averaged:.2f} for trial averages, {single:.2f} for single trials")
shown(hpcspike.figures.data_beside_model(trained), "part3_data_beside_model")

# %% [markdown]
# ## How many trials does it take?
# The average over k trials approaches the rate that the network really has; the rest of the way to 1 is what it does
# wrong every time. The numbers say which of the two limits you: here few trials are enough, and more would not help.
# The trials are cut into groups of k, and the groups' correlations averaged, so that the first and the last number are
# those of above: single trials, and the average over all of them.

# %%
n_trials = recorded.sizes["trial"]
averages_over = {}
for k in [k for k in (1, 2, 3, 5, 10, 20) if n_trials % k == 0]:
    groups = recorded["response"].coarsen(trial=k).mean()
    correlation = hpcspike.analysis.neuron_correlation(recorded[["target"]].assign(response=groups))
    averages_over[k] = float(correlation["correlation_single_trial"].mean())
    print(f"average over {k:>2} of {n_trials} trials: {averages_over[k]:.2f}")

# %% [markdown]
# ## Your own recordings
# Give rates as netCDF or zarr with units on the array (`Hz`) and on the time axis (`ms` or `s`), as CSV, NPY or NWB:
# `cluster/guide/recordings.md` has the table. Here the stand-in is written to a file, as yours would be, and
# read back; the window is then what the file covers, in whole update intervals. A file without units, or with gaps, is
# refused with a message that says what to do.

# %%
target = recorded["target"].isel(target_set=0)
rates = target.transpose("neuron", "time").clip(min=0).drop_vars(["neuron", "target_set", "recorded"], errors="ignore")
rates.attrs = {"units": "Hz", "long_name": "made-up rates, see part 3 of the tutorial"}
rates.to_dataset(name="rate").to_netcdf(OUT / "my_recording.nc", engine="h5netcdf")

own_changes = {**changes, "targets.path": str(OUT / "my_recording.nc"), "targets.duration_ms": None}
own = hpcspike.load(CONFIG, size="paper", changes=own_changes)
problem = hpcspike.build_problem(own)
print(f"read back: {problem.targets.shape[1]} neurons x {problem.n_samples} samples every {problem.grid_ms:g} ms")

# %% [markdown]
# ## Try
# - `"synapse.tau_syn_ms": 20.0` or `100.0`: which suits rates that change within 200 ms?
# - `"targets.auxiliary_ratio": 0.5`: the auxiliary neurons are a reservoir. How few will do?
# - `hpcspike plot` draws raster and error panels for such a network, too.
