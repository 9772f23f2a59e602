"""A trained subset in its network: currents, spread of activity, sums of weights, loss of untrained neurons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import hpcspike
from hpcspike.cli import main
from hpcspike.engine.trained import Trained
from hpcspike.errors import SpecError
from hpcspike.figures import figures_for, lesion_curves, spread_panels
from hpcspike.measures import (
    measure_lesions,
    measure_performance,
    measure_spread,
    record_currents,
    weight_sums,
    without_neurons,
)
from hpcspike.measures.altered import untrained
from hpcspike.measures.balance import CURRENTS, GROUPS, groups_of
from hpcspike.measures.lesion import lost_neurons
from hpcspike.spec.load import load
from hpcspike.spec.study import StudyRun
from hpcspike.studies.feasible import check_study
from tests.conftest import ROOT
from tests.small_networks import problem

STUDY = ROOT / "cluster" / "config" / "kim2023_spread.yaml"


@pytest.fixture(scope="module")
def trained() -> Trained:
    study = load(STUDY, size="smoke")
    return hpcspike.train(hpcspike.build_problem(study.experiment_of(StudyRun("none", 0))))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> xr.DataTree:
    """The study in its smallest size, by the command."""
    folder = tmp_path_factory.mktemp("spread")
    assert main(["study", str(STUDY), "--size", "smoke", "--out", str(folder)]) == 0
    with xr.open_datatree(folder / "study.nc", engine="h5netcdf") as found:
        return found.load()


def test_currents_are_the_parts_of_the_input(trained: Trained) -> None:
    neurons = np.array([3, 70, 0])
    found = record_currents(trained, neurons)
    assert found.time_ms.tolist() == list(range(1, 101))
    assert found.value.shape == (len(CURRENTS), 3, 100)
    excitatory, inhibitory, plastic, total = found.value
    np.testing.assert_allclose(excitatory + inhibitory + plastic, total)
    evoked, every = trained.evoke(0, 1), trained.problem.steps_per_sample // 10
    bias = trained.problem.input[neurons]
    np.testing.assert_allclose(total[:, every - 1 :: every], evoked.drive[0][neurons] + bias[:, None], atol=1e-5)
    assert (excitatory >= bias[:, None]).all()
    assert inhibitory.max() <= 0.0
    taught = np.isin(neurons, trained.problem.subset.neuron)  # type: ignore[union-attr]
    assert [bool(part.any()) for part in plastic] == taught.tolist()


def test_currents_of_synapses_with_one_decay_are_kept_apart(trained: Trained) -> None:
    study = load(STUDY, size="smoke")
    experiment = study.experiment_of(StudyRun("none", 0)).changed(
        {"synapse.static_tau_inhibitory_ms": None, "training.n_loops": 0}
    )
    one = hpcspike.train(hpcspike.build_problem(experiment))
    assert not len(one.simulation.inhibitory_drive)
    found = record_currents(one, np.array([3]))
    assert found.value[1].min() < 0.0
    start = one.evoke(0, 1).drive[0][3, 0] + one.problem.input[3]
    assert found.value[3, 0, one.problem.steps_per_sample // 10 - 1] == pytest.approx(start, abs=1e-3)


def test_spread_is_measured_in_each_group(trained: Trained) -> None:
    found, groups = measure_spread(trained, trials=2), groups_of(trained)
    assert [int(groups[name].sum()) for name in GROUPS] == [20, 40, 60]
    drive = trained.evoke(0, 2).drive.mean(axis=0)
    courses = {}
    for name, members in groups.items():
        centred = drive[members] - drive[members].mean(axis=1, keepdims=True)
        values, vectors = np.linalg.eigh(centred.T @ centred)
        courses[name] = (vectors[:, -1], vectors[:, -2], values[-1] / values.sum())
    rate = measure_performance(trained, trials=2).rate
    for place, name in enumerate(GROUPS):
        first, second, share = courses[name]
        assert found.first[place] == pytest.approx(abs(np.corrcoef(first, courses["trained"][0])[0, 1]), abs=1e-6)
        assert found.second[place] == pytest.approx(abs(np.corrcoef(second, courses["trained"][1])[0, 1]), abs=1e-6)
        assert found.share[place] == pytest.approx(share)
        assert found.rate[place] == pytest.approx(rate[groups[name]].mean())
    assert found.first[0] == pytest.approx(1.0)
    everybody = measure_spread(hpcspike.train(problem(12), hpcspike.Training(n_loops=0)), trials=1)
    assert np.isnan(everybody.first[1:]).all()


def test_sums_of_weights_are_those_of_the_rows(trained: Trained) -> None:
    neuron, before, after = weight_sums(trained)
    assert neuron.tolist() == sorted(trained.problem.subset.neuron)  # type: ignore[union-attr]
    made, border = trained.problem, trained.problem.first_inhibitory
    for weight, sums in ((made.plastic.weight, before), (trained.simulation.weight, after)):
        for place, row in enumerate(neuron):
            part = slice(made.plastic.start[row], made.plastic.start[row + 1])
            source, values = made.plastic.presynaptic[part], weight[part].astype(np.float64)
            assert sums[0, place] == pytest.approx(values[source < border].sum())
            assert sums[1, place] == pytest.approx(values[(source >= border) & (source < made.n_neurons)].sum())
    assert not np.allclose(before, after)
    np.testing.assert_allclose(weight_sums(untrained(trained))[2], before, rtol=1e-6)  # weights are float32


@pytest.mark.parametrize(("among", "count"), [("untrained_excitatory", 40), ("trained", 20), ("untrained", 100)])
def test_only_those_asked_for_are_lost(trained: Trained, among: Any, count: int) -> None:
    groups = groups_of(trained)
    candidates = {**groups, "untrained": ~groups["trained"]}[among]
    assert candidates.sum() == count
    lost = lost_neurons(trained, round(0.5 * count), draw=0, among=candidates)
    assert candidates[lost].all()
    found = measure_lesions(trained, fractions=(0.5,), draws=1, trials=1, among=among)
    assert found.n_lost.tolist() == [round(0.5 * count)]
    kept = np.setdiff1d(np.flatnonzero(groups["trained"]), lost)
    alone = measure_performance(without_neurons(trained, lost), trials=1)
    assert found.response[0, 0] == pytest.approx(alone.response[kept].mean())


def test_groups_that_are_not_there_are_refused(trained: Trained) -> None:
    whole = hpcspike.train(problem(12), hpcspike.Training(n_loops=0))
    with pytest.raises(SpecError, match="no excitatory and inhibitory neurons"):
        measure_lesions(whole, among="inhibitory")
    with pytest.raises(SpecError, match="among = untrained: this network has no such neurons"):
        measure_lesions(whole, among="untrained")
    with pytest.raises(SpecError, match="currents: this network has no excitatory"):
        record_currents(whole, np.array([0]))
    study = load(STUDY, size="smoke")
    training = {key: value for key, value in study.experiment["training"].items() if key != "subset"}
    everybody = {"path": "generated", "auxiliary_ratio": 5.0}
    sections = {"training": training, "targets": {**study.experiment["targets"], **everybody}}
    nobody = study.changed({"experiment": {**study.experiment, **sections}})
    with pytest.raises(SpecError, match=r"probes\.(spread|lesion)"):
        check_study(nobody)


def test_the_study_shows_balance_spread_and_the_loss_of_untrained_neurons(tree: xr.DataTree) -> None:
    network = tree["/penalty/0"].to_dataset()
    assert network["input_part"].dims == ("part", "example", "part_time")
    assert set(network["example"].values) <= set(network["plastic_neuron"].values)
    changes = {
        name: np.abs(tree[f"/{name}/0"]["weight_sum_after"] / tree[f"/{name}/0"]["weight_sum_before"] - 1).mean()
        for name in ("penalty", "none")
    }
    assert changes["none"] > 10 * changes["penalty"]
    drawn = figures_for(tree)
    assert {"spread", "lesion"} <= set(drawn)
    panels = spread_panels(tree).axes
    assert [axes.get_xlabel() for axes in panels[:4]].count("change of the sum of weights (%)") == 1
    labels = {text.get_text() for axes in panels for text in axes.get_xticklabels()}
    assert {"trained", "untrained\nexcitatory", "inhibitory"} <= labels
    assert lesion_curves(tree).axes[0].get_xlabel() == "share of untrained excitatory neurons lost"


def test_the_sweep_over_penalties_and_inputs_runs(tmp_path: Path) -> None:
    config, store = ROOT / "cluster" / "config" / "kim2023_sweep.yaml", tmp_path / "sweep.zarr"
    assert main(["plan", str(config), "--size", "smoke", "--store", str(store), "--create"]) == 0
    assert main(["run-batch", str(store), "--batch", "0"]) == 0
    found = hpcspike.open_sweep(store)
    assert found.sizes["point"] == 4
    assert set(found["row_sum_penalty"].values) == {0.0, 800.0}
    assert np.isfinite(found["correlation"]).all()
    assert len(set(found["correlation"].values)) == 4
