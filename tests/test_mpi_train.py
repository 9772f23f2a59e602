"""One network over MPI ranks: the same bits, in memory and in every file, on any number of ranks and threads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml

import hpcspike
from hpcspike.engine import output
from hpcspike.engine.communication import SPIKE_BUFFER
from hpcspike.engine.output import NOT_REPRODUCIBLE, chunk_shape
from hpcspike.engine.phases import PHASES
from hpcspike.progress import COMPILING
from tests.mpi_launch import ROOT, Ended, launch

pytestmark = pytest.mark.timeout(600)  # the first job compiles kernels, for one thread and for several

TRAIN = ROOT / "tests" / "mpi_train.py"
CHUNK_BYTES = 2000
"""So small that every larger variable of the networks here has several chunks."""

DOCUMENT: dict[str, Any] = {
    "name": "spread",
    "seed": 5,
    "network": {"n_neurons": 29},
    "neuron": {"bias": 2.0},
    "synapse": {"tau_syn_ms": 20.0},
    "connectivity": {"kind": "gaussian", "probability": 0.5, "sigma": 1.0, "zero_row_sum": True},
    "targets": {"kind": "sine", "duration_ms": 24.0, "n_sets": 2},
    "stimulus": {"duration_ms": 5.0},
    "protocol": {"free_run_ms": 5.0, "test_free_run_ms": 5.0},
    "trial_noise": {"standard_deviation": 0.2},
    "training": {"n_loops": 1, "update_interval_ms": 2.0},
    "measures": {"n_test_trials": 2, "n_clamped_trials": 1},
}
# every neuron fires at every step, so that no message holds the spikes of a rank
FIRING: dict[str, Any] = DOCUMENT | {
    "network": {"n_neurons": 2 * SPIKE_BUFFER + 90},
    "connectivity": {"kind": "zero", "probability": 0.1},
    "neuron": {"model": "lif", "bias": 1e4},
    "targets": {"kind": "sine", "duration_ms": 6.0},
}


def write(path: Path, document: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(document))
    return path


def tree(path: Path) -> dict[str, bytes]:
    """All files of a store but what differs from run to run."""
    variable, *attributes = NOT_REPRODUCIBLE
    files = {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}
    root = json.loads(files["zarr.json"])
    for attribute in attributes:
        del root["attributes"][attribute]
    files["zarr.json"] = json.dumps(root).encode()
    return {name: data for name, data in files.items() if not name.startswith(f"{variable}/c/")}


def assert_same_files(found: Path, expected: Path) -> None:
    ours, theirs = tree(found), tree(expected)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


def train(folder: Path, ranks: int, *lines: str, chunk_bytes: int = CHUNK_BYTES, timeout: float = 480.0) -> Ended:
    done = launch(ranks, TRAIN, chunk_bytes, *lines, folder=folder, timeout=timeout)
    assert done.code == 0, done
    return done


CASES = [(variable, threads) for variable in ("drive", "rate") for threads in (1, 2)]
RANKS = {2: CASES, 3: [("drive", 2), ("rate", 1)], 4: [("drive", 1), ("rate", 2)], 7: [("drive", 1), ("rate", 1)]}
FIRST = "2-drive-1.zarr"


FURTHER = {
    "drive": "",
    "rate": "--set protocol.start=random --set training.n_loops=3 --set training.keep=best "
    "--set measures.test_every_loops=2 --set protocol.set_order=random --set trial_noise.tau_corr_ms=0 "
    "--set trial_noise.generator=splitmix",
}
"""More to set of a case, by trained variable."""


def lines(cases: list[tuple[str, int]], name: str) -> list[str]:
    return [
        f"train spread.yaml --set training.variable={variable} {FURTHER[variable]} "
        f"--threads {threads} --out {name}-{variable}-{threads}.zarr"
        for variable, threads in cases
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where configs and stores lie."""
    path = tmp_path_factory.mktemp("ranks")
    write(path / "spread.yaml", DOCUMENT)
    write(path / "firing.yaml", FIRING)
    return path


@pytest.fixture(scope="module")
def serial(folder: Path) -> Ended:
    """The same without a launcher, in ``folder``: what all others must equal."""
    return train(folder, 0, *lines(CASES, "1"), "train firing.yaml --out 1-firing.zarr")


@pytest.fixture(scope="module")
def two_ranks(folder: Path) -> Ended:
    """What two ranks write in ``folder``."""
    others = (
        "train firing.yaml --out 2-firing.zarr",
        "train spread.yaml --out two.nc",
        f"train spread.yaml --out {FIRST}",
    )
    return train(folder, 2, *lines(CASES, "2"), *others)


# ---- the same files --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("serial")
def test_threads_do_not_show_in_any_file(folder: Path) -> None:
    for variable in ("drive", "rate"):
        assert_same_files(folder / f"1-{variable}-2.zarr", folder / f"1-{variable}-1.zarr")
    drive, rate = tree(folder / "1-drive-1.zarr"), tree(folder / "1-rate-1.zarr")
    assert drive["weight/c/0"] != rate["weight/c/0"]


@pytest.mark.usefixtures("serial")
def test_the_networks_compared_spike_learn_and_have_many_chunks(folder: Path) -> None:
    for variable in ("drive", "rate"):
        with xr.open_zarr(folder / f"1-{variable}-1.zarr", chunks=None) as found:
            assert found.sizes["spike"] > 100
            assert len(set(found["spike_neuron"].values)) > 20
            assert (found["weight"] != found["weight_initial"]).mean() > 0.9
            assert np.isfinite(found["correlation"])
    files = tree(folder / "1-drive-1.zarr")
    for several in ("drive/c/1/1/2/0", "target/c/0/5/0", "weight/c/1"):
        assert several in files
    assert "spike_time/c/10" in tree(folder / "1-firing.zarr")


@pytest.mark.mpi
@pytest.mark.usefixtures("serial")
@pytest.mark.parametrize("ranks", RANKS)
def test_every_file_is_the_same_on_any_number_of_ranks(
    folder: Path, ranks: int, request: pytest.FixtureRequest
) -> None:
    if ranks == 2:
        request.getfixturevalue("two_ranks")
    else:
        train(folder, ranks, *lines(RANKS[ranks], str(ranks)))
    for variable, threads in RANKS[ranks]:
        assert_same_files(folder / f"{ranks}-{variable}-{threads}.zarr", folder / f"1-{variable}-1.zarr")


@pytest.mark.mpi
@pytest.mark.usefixtures("serial", "two_ranks")
def test_more_spikes_than_a_message_holds_all_arrive(folder: Path) -> None:
    assert_same_files(folder / "2-firing.zarr", folder / "1-firing.zarr")
    with xr.open_zarr(folder / "2-firing.zarr", chunks=None) as found:
        steps, trials = 5 + 6, 2  # cue and window
        assert found.sizes["spike"] == found.sizes["neuron"] * steps * trials


@pytest.mark.mpi
@pytest.mark.usefixtures("serial", "two_ranks")
def test_a_netcdf_file_is_written_by_one_rank_for_all(folder: Path) -> None:
    with (
        xr.open_dataset(folder / "two.nc", engine="h5netcdf") as found,
        xr.open_zarr(folder / "1-drive-1.zarr", chunks=None) as expected,
    ):
        xr.testing.assert_identical(reproducible(found.load()), reproducible(expected.load()))


# ---- what the command says -------------------------------------------------------------------------------------------


@pytest.mark.mpi
def test_only_one_rank_speaks(folder: Path, two_ranks: Ended) -> None:
    # it also says, once, where there are fewer cores than threads, and that kernels are compiled where that takes long
    also = ("hpcspike: 2 ranks of ", COMPILING)
    err = [line for line in two_ranks.err.splitlines() if not line.startswith(also)]
    assert [line.split("  ")[0] for line in err][:4] == ["loop 1/2", "loop 2/2"] * 2
    # of rate training, some of whose targets are constant, that is said once more
    said = [line for line in two_ranks.out.splitlines() if " constant: a correlation with a constant" not in line]
    trainings = len(CASES) + 2
    assert len(said) == 2 * trainings + 1
    assert said[0].startswith(f"{FIRST}: ")
    assert " s on 2 ranks (mean/longest): building the network " in said[1]
    assert said[-1] == f"{FIRST} holds this experiment already; nothing to do"
    assert [path.name for path in folder.glob(".*")] == []


@pytest.mark.mpi
@pytest.mark.usefixtures("two_ranks")
def test_a_result_says_how_it_came_about(folder: Path) -> None:
    with xr.open_zarr(folder / FIRST, chunks=None) as found:
        record = json.loads(found.attrs["provenance"])
    assert (record["n_ranks"], len(record["hosts"]), len(record["peak_memory_mib"])) == (2, 2, 2)
    assert record["mpi"].startswith(("MPICH", "Open MPI"))
    assert record["n_llvm_targets"] == 1
    mean, longest = record["phase_seconds"], record["phase_seconds_longest"]
    assert list(mean) == list(longest) == list(PHASES)
    assert all(0 < mean[name] <= longest[name] for name in PHASES)
    assert sum(mean.values()) < record["wall_seconds"]


def test_times_without_ranks_leave_out_the_exchange(serial: Ended) -> None:
    times = serial.out.splitlines()[1]
    assert "ranks" not in times
    assert "exchange" not in times
    assert ", weight updates " in times


# ---- in memory -------------------------------------------------------------------------------------------------------


def reproducible(dataset: xr.Dataset) -> xr.Dataset:
    variable, *attributes = NOT_REPRODUCIBLE
    kept = {k: v for k, v in dataset.attrs.items() if k not in attributes}
    return dataset.drop_vars(variable).drop_attrs(deep=False).assign_attrs(kept)


@pytest.mark.usefixtures("serial")
def test_a_store_opens_as_what_run_returns(folder: Path) -> None:
    experiment = hpcspike.load(folder / "spread.yaml")
    with xr.open_zarr(folder / "1-drive-1.zarr", chunks=None) as found:
        expected = hpcspike.run(experiment)
        xr.testing.assert_identical(reproducible(found.load()), reproducible(expected))
        assert set(found.coords) == set(expected.coords)


RUN = """
import hpcspike
from hpcspike.engine.communication import connect
dataset = hpcspike.run(hpcspike.load("spread.yaml"))
dataset.to_netcdf(f"rank{connect().rank}.nc", engine="h5netcdf")
"""


@pytest.mark.mpi
@pytest.mark.usefixtures("serial")
def test_run_under_a_launcher_gives_every_rank_the_whole(folder: Path) -> None:
    done = launch(3, "-m", "mpi4py", "-c", RUN, folder=folder)
    assert done.code == 0, done
    with xr.open_zarr(folder / "1-drive-1.zarr", chunks=None) as expected:
        for rank in range(3):
            with xr.open_dataset(folder / f"rank{rank}.nc", engine="h5netcdf") as found:
                xr.testing.assert_identical(reproducible(found.load()), reproducible(expected.load()))


# ---- chunks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "axis", "single", "expected"),
    [
        ((2, 20, 1000, 500), 2, 2, (1, 1, 250, 500)),  # 4 kB a row: 1 MB hold 250
        ((2, 20, 1001, 500), 2, 2, (1, 1, 201, 500)),  # as even as can be
        ((1_000_001,), 0, 0, (111_112,)),
        ((2, 3), 1, 0, (2, 3)),
        ((0,), 0, 0, (1,)),
        ((4, 10, 10**6), 1, 0, (4, 1, 10**6)),  # a row larger than a chunk stays whole
        ((7,), None, 0, (7,)),
        ((), None, 0, ()),
    ],
)
def test_chunks_are_even_and_not_too_large(
    monkeypatch: pytest.MonkeyPatch, shape: Any, axis: Any, single: int, expected: Any
) -> None:
    monkeypatch.setattr(output, "CHUNK_BYTES", 1_000_000)
    assert chunk_shape(shape, 8, axis=axis, single=single) == expected


# ---- exchange --------------------------------------------------------------------------------------------------------

EXCHANGE = f"""
import numpy as np
from hpcspike.engine.communication import connect
from hpcspike.engine.exchange_kernels import exchange_spikes
world = connect()
exchange = world.exchange()
full = {SPIKE_BUFFER}
rng = np.random.default_rng(0)
cases = [[0, 0, 0], [full, full, full], [full + 1, 0, full], [0, 2 * full, 2 * full + 1], [500, 1, 0], [1, 1, 500]]
cases += [list(rng.integers(0, 3 * full, 3)) for _ in range(30)]
block = 600
for counts in cases:
    spiking = [np.sort(rng.choice(block, n, replace=False)) for n in counts]
    mine = np.zeros(block, np.int32)
    mine[:counts[world.rank]] = spiking[world.rank]
    everyone = np.full(3 * block, -1, np.int32)
    total = exchange_spikes(block * world.rank, mine, counts[world.rank], everyone, *exchange)
    expected = np.concatenate([block * rank + neurons for rank, neurons in enumerate(spiking)])
    assert total == len(expected), (counts, total)
    np.testing.assert_array_equal(everyone[:total], expected, err_msg=str(counts))
    assert (everyone[total:] == -1).all()
assert exchange.seconds[0] > 0
assert exchange.seconds is world.phases.exchanging
print("all equal")
"""


@pytest.mark.mpi
def test_the_exchange_joins_spikes_as_plain_numpy_does(tmp_path: Path) -> None:
    done = launch(3, "-m", "mpi4py", "-c", EXCHANGE, folder=tmp_path)
    assert (done.code, done.out.count("all equal")) == (0, 3), done


# ---- memory ----------------------------------------------------------------------------------------------------------

MEMORY = """
import json, sys, tracemalloc
from pathlib import Path
from hpcspike.engine.communication import connect
from hpcspike.runs.run import train_to_store
from hpcspike.spec import validate_experiment
world = connect()
documents = json.loads(Path("memory.json").read_text())
peaks = []
for number, document in enumerate(documents):
    if number > 0:  # the first is there to import and to compile
        tracemalloc.start()
    train_to_store(validate_experiment(document), Path(f"{world.size}-{number}.zarr"), world=world)
    peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
Path(f"peaks-{world.size}-{world.rank}.json").write_text(json.dumps(peaks))
"""


@pytest.mark.mpi
def test_memory_of_a_rank_falls_as_their_number_grows_and_none_holds_a_square(tmp_path: Path) -> None:
    short = DOCUMENT | {"targets": {"kind": "sine", "duration_ms": 4.0}, "measures": {"n_test_trials": 1}}
    del short["trial_noise"]  # is drawn for many steps at once
    dense = short | {"network": {"n_neurons": 240}, "connectivity": {"kind": "gaussian", "probability": 0.3}}
    size = 2000
    sparse = short | {"network": {"n_neurons": size}, "connectivity": {"kind": "zero", "probability": 0.004}}
    (tmp_path / "memory.json").write_text(json.dumps([short, dense, sparse]))
    peaks = {}
    for ranks in (0, 4):
        done = launch(ranks, "-m", "mpi4py", "-c", MEMORY, folder=tmp_path, timeout=120)
        assert done.code == 0, done
        files = sorted(tmp_path.glob(f"peaks-{ranks or 1}-*.json"))
        assert len(files) == (ranks or 1)
        peaks[ranks] = np.array([json.loads(file.read_text()) for file in files])
    # P of all neurons fills the memory of the dense network
    assert peaks[0][0, 1] > 240 * 65**2 * 8
    assert peaks[4][:, 1].max() < 0.33 * peaks[0][0, 1]
    # not even one byte per pair of neurons
    assert peaks[4][:, 2].max() < size**2
    assert peaks[4][:, 2].max() < 0.5 * peaks[0][0, 2]
