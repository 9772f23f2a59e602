# %% [markdown]
# # Part 4: one network over MPI, killed and resumed
#
# A network that is too large or too slow for one core is spread over MPI ranks. Each rank holds a block of neurons with
# all their synapses; what travels, in every step, is who has spiked. Two things can then be relied on: the numbers do
# not depend on how many ranks there were, and a run that was cut short goes on from its last saved state, on any number
# of ranks, to the same bits. This part kills a run to show it.
#
# Takes about two minutes on two idle cores. On busy ones the ranks, which wait for each other in every step, can be
# many times slower. Needs the extra `mpi` (`pip install 'hpcspike[mpi]'`); without it everything runs on one process,
# and the rest of the story is the same.

# %%
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import psutil

import hpcspike

ROOT = next(folder for folder in (Path.cwd(), *Path.cwd().parents) if (folder / "Snakefile").exists())
# for tests: a folder for what is written, where minutes become seconds and nothing is learned well
QUICK = os.environ.get("HPCSPIKE_TUTORIAL_QUICK")
OUT = Path(QUICK or ROOT / "results" / "tutorial")
OUT.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# ## A large network
# 10,000 leaky integrate-and-fire neurons in the balanced regime, 1024 fixed and 90 plastic synapses each: the benchmark
# of TrainSpikingNet.jl, with fewer loops and shorter free runs. `hpcspike plan` predicts memory and time, also for
# numbers of ranks you do not have.

# %%
CONFIG = ROOT / "cluster" / "config" / "tsn_benchmark.yaml"
SIZE, CHANGES = "n10000", {"training.n_loops": 10, "protocol.free_run_ms": 100, "targets.offset_run_ms": 1000}
if QUICK:
    short = {
        "targets.duration_ms": 20,
        "targets.offset_run_ms": 20,
        "protocol.free_run_ms": 0,
        "stimulus.duration_ms": 5,
    }
    SIZE, CHANGES = "smoke", {"training.n_loops": 10, "protocol.test_free_run_ms": 0, **short}
OPTIONS = ["--size", SIZE, *(part for key, value in CHANGES.items() for part in ("--set", f"{key}={value}"))]
HPCSPIKE = [sys.executable, "-m", "hpcspike"]  # what the command 'hpcspike' is, where it is not on the path
subprocess.run([*HPCSPIKE, "plan", CONFIG, *OPTIONS, "--ranks", "2"], check=True)

# %% [markdown]
# ## Start it on two ranks
# In a terminal:
#
#     mpiexec -n 2 hpcspike train cluster/config/tsn_benchmark.yaml --size n10000 --set training.n_loops=10 \
#         --out results/tutorial/part4.zarr --checkpoint results/tutorial/part4.checkpoint --checkpoint-every-loops 1
#
# Use the `mpiexec` that belongs to the installed MPI, the one beside this Python. Another one starts two worlds of one
# rank each, which is noticed and refused.

# %%
beside = Path(sys.prefix) / "bin" / "mpiexec"
MPIEXEC = str(beside) if beside.exists() else shutil.which("mpiexec")
RANKS = 2 if MPIEXEC and importlib.util.find_spec("mpi4py") else 1
LAUNCH = [MPIEXEC, "-n", str(RANKS)] if RANKS > 1 else []
print(f"{RANKS} rank{'s' if RANKS > 1 else ' (no MPI here)'}")

RESULT, STATES = OUT / "part4.zarr", OUT / "part4.checkpoint"
for left_over in (RESULT, STATES):
    shutil.rmtree(left_over, ignore_errors=True)
train = [*HPCSPIKE, "train", CONFIG, *OPTIONS, "--out", RESULT, "--checkpoint", STATES, "--checkpoint-every-loops", "1"]

# %% [markdown]
# ## Kill it
# When the second state has been saved, one of the ranks gets `kill -9`. It has no time to save anything. Within seconds
# the whole job ends (nobody waits for the dead), with an exit code that is not 0; no result is written. The saved
# states are whole: each is written under another name and put in place by one rename.
#
# A job that is *asked* to stop (SIGTERM, SIGUSR1, or `--time-limit MINUTES`) does better: it saves at the step it has
# reached and ends with exit code 75.
#
# What the job says is shown as it comes. The first line takes a while: the network is built, and runs untrained for a
# second of its own time. `started` sees to it that nothing goes on in the background if you interrupt this here.


# %%
@contextmanager
def started(command: list) -> Iterator[subprocess.Popen]:
    """A job whose output can be read line by line; nothing of it outlives the block, however that ends."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    job = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield job
    finally:
        if job.poll() is None:
            for process in psutil.Process(job.pid).children(recursive=True):  # ranks, wherever they were put
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            with suppress(ProcessLookupError):
                os.killpg(job.pid, signal.SIGKILL)
        job.stdout.close()
        job.wait()
        signal.signal(signal.SIGTERM, before)


def saved_states() -> list[str]:
    return sorted(path.name for path in STATES.glob("checkpoint-*"))


with started([*LAUNCH, *train]) as job:
    for line in job.stdout:
        print("   ", line, end="", flush=True)
        if len(saved_states()) >= 2:
            break
    else:
        raise SystemExit(f"the job ended by itself with exit code {job.wait()}; see above")
    victims = [process for process in psutil.Process(job.pid).children(recursive=True) if "python" in process.name()]
    (victims[-1] if victims else job).kill()
    print(f"kill -9 of {victims[-1].pid if victims else job.pid}")
    job.stdout.read()  # until nobody is left who could say something
    killed_code = job.wait()
print(f"exit code {killed_code}; saved: {', '.join(saved_states())}; result there: {RESULT.exists()}")

# %% [markdown]
# ## Go on
# The same command. Here on one process instead of two ranks, because it does not matter: states are kept neuron by
# neuron, not rank by rank. The first loop it shows is the one after the last saved state.

# %%
said = []
with started(train) as job:
    for line in job.stdout:
        print("   ", line, end="", flush=True)
        said.append(line)
    if job.wait() != 0:
        raise SystemExit(f"it ended with exit code {job.returncode}; see above")

# %% [markdown]
# ## Is it the same?
# The comparison is with a run that nobody disturbed, on one process from beginning to end. Not "close": every bit of
# every weight, drive and spike. This is what makes a result that took a week on 64 ranks something that can be checked.

# %%
resumed = hpcspike.open_network(RESULT)
undisturbed = hpcspike.run(hpcspike.load(CONFIG, size=SIZE, changes=CHANGES), progress=True)
same = {
    name: np.array_equal(resumed[name].values, undisturbed[name].values, equal_nan=undisturbed[name].dtype.kind == "f")
    for name in ("weight", "drive", "response", "spike_time", "spike_neuron", "curve_correlation")
}
print(same)

# %% [markdown]
# ## The curve
# Full dots are the loops before the kill that were saved and not computed again, open ones those after it. All lie on
# the curve of the undisturbed run. It has only begun to rise: the benchmark trains for 100 loops.

# %%
kept = resumed.sizes["loop"] - sum(line.startswith("loop ") for line in said)
parts = {f"saved on {RANKS} rank{'s'[: RANKS - 1]}": slice(kept), "after the kill, one process": slice(kept, None)}
figure, axes = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
curve = undisturbed["curve_correlation"]
axes.plot(curve["loop"] + 1, curve, color="grey", label="undisturbed, one process")
for (label, part), face in zip(parts.items(), ("C0", "white"), strict=True):
    loops = resumed["curve_correlation"].isel(loop=part)
    axes.plot(loops["loop"] + 1, loops, "o", color="C0", markerfacecolor=face, label=label)
axes.xaxis.get_major_locator().set_params(integer=True)
axes.set_xlabel("training loop")
axes.set_ylabel("mean correlation with target")
axes.legend(frameon=False)
figure.savefig(OUT / "part4_resumed.png", dpi=150)

# %% [markdown]
# ## On a cluster
# Under SLURM it is `srun --mpi=pmi2 -n R hpcspike train ...`, with `--time-limit` a little below the job's; exit code
# 75 means "run me again". `cluster/guide/mpi.md` has the rest.
