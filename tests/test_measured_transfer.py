"""The measured transfer function: what it is, how it is kept, and what rate training makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

import hpcspike
from hpcspike.analysis import neuron_correlation
from hpcspike.engine.trainer import Trainer
from hpcspike.engine.training_kernels import rate_error
from hpcspike.errors import DataError, SpecError
from hpcspike.figures.available import figures_for
from hpcspike.figures.transfer import transfer_curves
from hpcspike.identity import experiment_hash
from hpcspike.model import measured_transfer
from hpcspike.model.build import build_problem
from hpcspike.model.measured_transfer import Curve, curve_of, measure
from hpcspike.model.rate_law import kinds_of, law_of_table, packed, rate_law, table_of
from hpcspike.model.rate_law_kinds import LEAST_INPUT, MEASURED
from hpcspike.model.reach import reach_of
from hpcspike.model.transfer import best_smoothing, rate_of_constant_input, rate_of_noisy_input
from hpcspike.spec.experiment import IzhikevichNeuron, LifNeuron, Neuron, ThetaNeuron, Training, TrialNoise, UserNeuron
from hpcspike.sweep.cost import transfer_to_measure
from tests.small_networks import experiment
from tests.test_stretch import assert_equal_bits, by_single_intervals, in_one_piece

LIF = LifNeuron(model="lif")
NOISE = TrialNoise(standard_deviation=0.2)
USER = UserNeuron(model="user", source="tests.adaptive_neurons:adaptive", bias=1.0)
RATE = {"variable": "rate", "transfer": "measured", "n_loops": 2}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Less is counted, and curves are kept in a folder of this test."""
    monkeypatch.setattr(measured_transfer, "COPIES", 16)
    monkeypatch.setattr(measured_transfer, "COUNTED_MS", 1000.0)
    monkeypatch.setattr(measured_transfer, "folder_of", lambda compiled: tmp_path)
    monkeypatch.setattr(measured_transfer, "_known", {})
    return tmp_path


def steps_of(curve: Curve, n: int = 2000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Drives from below the first knot to beyond the last, with rates and slopes there."""
    law = packed(MEASURED, np.zeros(1), [curve])
    span = curve.knots[-1] - curve.knots[0]
    x = np.linspace(curve.knots[0] - 0.3 * span, curve.knots[-1] + 0.1 * span, n)
    zero = np.zeros((1, n))
    return x, law.of(x[None], zero)[0], law.slope_of(x[None], zero)[0]


# ---- the curve -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "neuron",
    [ThetaNeuron(), LIF, IzhikevichNeuron(model="izhikevich", drive_gain=10.0), USER],
    ids=lambda neuron: neuron.model,
)
def test_a_measured_curve_is_monotone_smooth_and_has_its_own_slope(neuron: Neuron) -> None:
    curve = measure(neuron, NOISE, 0, 0.0)
    assert (np.diff(curve.knots) > 0).all()
    assert (np.diff(curve.rate) > 0).all()
    assert 0.0005 < curve.rate[0] * neuron.tau_ms / 10.0 < 0.01
    assert curve.rate[-1] > 1.5
    x, rate, slope = steps_of(curve)
    assert (np.diff(rate) > 0).all()
    assert (rate > 0).all()
    law, span = packed(MEASURED, np.zeros(1), [curve]), curve.knots[-1] - curve.knots[0]
    h = 1e-6 * span
    above, below = (law.of((x + side)[None], np.zeros((1, len(x))))[0] for side in (h, -h))
    np.testing.assert_allclose(slope, (above - below) / (2 * h), rtol=2e-3, atol=1e-6 * slope.max())
    # no jumps of the slope at knots
    eps = 1e-9 * span
    sides = [law.slope_of((curve.knots + side)[None], np.zeros((1, len(curve.knots))))[0] for side in (-eps, eps)]
    np.testing.assert_allclose(sides[0], sides[1], rtol=1e-3)


def test_theta_neurons_come_near_phi_1_with_little_noise_and_near_a_phi_2_with_more() -> None:
    curve = curve_of(ThetaNeuron(), TrialNoise(standard_deviation=0.2), 0, 0.0)
    x, rate, _ = steps_of(curve)
    high = (x > 0.5) & (x < 5.0)
    np.testing.assert_allclose(rate[high], rate_of_constant_input(x[high]), rtol=0.02)
    near = curve.knots < 5.0
    c = best_smoothing(curve.knots[near], curve.rate[near])
    assert 0.03 < c < 0.055
    np.testing.assert_allclose(rate_of_noisy_input(x[high], c), rate[high], rtol=0.02)
    assert best_smoothing(x[high], rate_of_noisy_input(x[high], 0.3)) == pytest.approx(0.3, rel=1e-3)


def test_leaky_neurons_have_the_rate_that_a_plain_simulation_gives() -> None:
    curve = curve_of(LIF, NOISE, 0, 0.0)
    law = packed(MEASURED, np.zeros(1), [curve])
    rng, a = np.random.default_rng(0), np.exp(-0.1)
    for drive in (0.75, 1.0, 1.4):
        v, eta, spikes = rng.random(1000), rng.standard_normal(1000), 0
        for step in range(1200):
            v += 0.1 * (drive + 0.2 * eta - v)
            fired = v > 1.0
            v[fired] = 0.0
            spikes += int(fired.sum()) if step >= 200 else 0
            eta = a * eta + np.sqrt(1 - a * a) * rng.standard_normal(1000)
        per_tau = spikes / 1000 / 100.0
        assert law.of(np.array([[drive]]), np.zeros((1, 1)))[0, 0] == pytest.approx(per_tau, rel=0.05)


@pytest.mark.usefixtures("quick")
def test_the_curve_depends_on_noise_and_parameters_and_on_nothing_else() -> None:
    base = curve_of(LIF, NOISE, 0, 0.0)
    np.testing.assert_array_equal(measure(LIF, NOISE, 0, 0.0).rate, base.rate)
    same = measured_transfer.identity(LifNeuron(model="lif", bias=0.3), TrialNoise(standard_deviation=0.2), 7, 0.0)
    assert same == measured_transfer.identity(LIF, NOISE, 0, 0.0)
    assert same == measured_transfer.identity(LIF, TrialNoise(standard_deviation=0.2, phase="test_only"), 0, 0.0)
    others = {
        measured_transfer.identity(LIF, TrialNoise(standard_deviation=0.3), 0, 0.0),
        measured_transfer.identity(LIF, TrialNoise(standard_deviation=0.2, tau_corr_ms=0.0), 0, 0.0),
        measured_transfer.identity(LifNeuron(model="lif", refractory_ms=2.0), NOISE, 0, 0.0),
        measured_transfer.identity(LifNeuron(model="lif", step_ms=0.5), NOISE, 0, 0.0),
        measured_transfer.identity(ThetaNeuron(), NOISE, 0, 0.0),
        measured_transfer.identity(USER, NOISE, 0, 1.0),
        measured_transfer.identity(USER, NOISE, 1, 1.0),
    }
    assert len(others | {same}) == 8


def test_neurons_with_the_same_parameters_share_a_curve() -> None:
    examples, like = kinds_of(IzhikevichNeuron(model="izhikevich", cell_types=("FS", "RS", "FS")), 7, NOISE)
    assert examples == [0, 1]
    assert like.tolist() == [0, 1, 0, 0, 1, 0, 0]
    examples, like = kinds_of(USER, 5, NOISE)  # its jump is 0.05 (neuron mod 3)
    assert examples == [0, 1, 2]
    assert like.tolist() == [0, 1, 2, 0, 1]
    assert kinds_of(LIF, 3, NOISE)[0] == [0]
    unequal = TrialNoise(standard_deviation=0.2, neuron_factors=(1.0, 0.5, 1.0))
    examples, like = kinds_of(LIF, 3, unequal)
    assert examples == [0, 1]
    assert like.tolist() == [0, 1, 0]
    assert unequal.of_neuron(1) == TrialNoise(standard_deviation=0.1)


# ---- kept on disk ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "none"])
def test_a_kept_curve_is_read_and_a_damaged_one_measured_again(
    quick: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    first = curve_of(LIF, NOISE, 0, 0.0)
    (file,) = quick.glob("transfer.*.json")
    whole = file.read_bytes()
    broken = {"cut": whole[:-9], "flipped": whole.replace(b"1", b"2", 1), "empty": b"", "none": whole}[damage]
    file.write_bytes(broken)
    monkeypatch.setattr(measured_transfer, "_known", {})
    measured = []
    monkeypatch.setattr(measured_transfer, "measure", lambda *given: measured.append(1) or measure(*given))
    again = curve_of(LIF, NOISE, 0, 0.0)
    assert len(measured) == (damage != "none")
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert file.read_bytes() == whole


def test_where_nothing_can_be_kept_it_is_measured(quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (quick / "file").write_text("")
    for folder in (None, quick / "file"):
        monkeypatch.setattr(measured_transfer, "folder_of", lambda compiled, folder=folder: folder)
        monkeypatch.setattr(measured_transfer, "_known", {})
        assert len(curve_of(LIF, NOISE, 0, 0.0).knots) > 5


def test_plan_knows_what_there_is_to_measure(quick: Path) -> None:
    rates = experiment(neuron={"model": "izhikevich", "drive_gain": 10.0}, trial_noise=NOISE, training=RATE)
    curves, seconds = transfer_to_measure(rates)
    assert curves == 5
    assert seconds > 0
    curve_of(rates.neuron, NOISE, 3, 0.0)
    assert transfer_to_measure(rates)[0] == 4
    assert transfer_to_measure(experiment()) == (0, 0.0)
    assert list(quick.glob("transfer.*.json"))


# ---- training --------------------------------------------------------------------------------------------------------


def test_the_kernel_of_rate_training_takes_the_law() -> None:
    neuron = LifNeuron(model="lif", drive_gain=2.0)
    training = Training.model_validate(RATE)
    law = rate_law(training, neuron, NOISE, n_neurons=9, neurons=range(4, 9))
    drive, external = np.linspace(-0.5, 1.5, 5), np.linspace(0.3, -0.2, 5)
    error, gain = np.empty(5), np.empty(5)
    rate_error(drive, external, np.full(5, 0.1), law, error, gain)
    assert law.external_gain == 0.5  # tau dv/dt = -v + I + 2 u
    np.testing.assert_array_equal(error, 0.1 - law.of(drive[:, None], external[:, None])[:, 0])
    np.testing.assert_array_equal(gain, law.slope_of(drive[:, None], external[:, None])[:, 0])
    rate_error(np.full(5, np.nan), external, np.zeros(5), law, error, gain)
    assert np.isnan(error).all()


def test_phi_1_is_trained_with_a_bounded_slope() -> None:
    law = rate_law(Training(variable="rate", transfer="phi_1"), ThetaNeuron(), NOISE, n_neurons=4, neurons=range(4))
    x = np.array([-0.5, 1e-12, 0.25, 4.0])
    error, gain = np.empty(4), np.empty(4)
    rate_error(x, np.zeros(4), np.zeros(4), law, error, gain)
    np.testing.assert_allclose(-error, rate_of_constant_input(x), rtol=1e-14)
    np.testing.assert_allclose(gain, [0.0, 1 / (2 * np.pi * np.sqrt(LEAST_INPUT)), 1 / np.pi, 1 / (4 * np.pi)])
    assert reach_of(smoothing=0.1, tau_ms=10.0, step_ms=1.0, transfer="phi_1").lowest == 0.0


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("threads", [1, 2])
def test_training_through_a_measured_curve_gives_the_same_bits_in_pieces_and_threads(threads: int) -> None:
    tiny = experiment(
        neuron={"model": "lif", "bias": 0.8},
        trial_noise={"standard_deviation": 0.3},
        frozen_noise={"standard_deviation": 0.1},
        training={**RATE, "update_interval_ms": 2.0},
    )
    seen: list[np.ndarray] = []

    def by_sevens() -> Trainer:
        seen.clear()
        trainer = Trainer(build_problem(tiny), tiny.training, on_update=lambda one: seen.append(one._input_now()))
        while not trainer.finished:
            trainer.advance(7)
        return trainer

    assert_equal_bits(by_single_intervals(build_problem(tiny), tiny.training, threads), by_sevens())
    assert_equal_bits(in_one_piece(build_problem(tiny), tiny.training, threads), by_sevens())
    problem = build_problem(tiny)
    assert problem.noise is not None
    # what the curve is a mean over is not in its argument; what is the same in every loop is
    np.testing.assert_array_equal(seen[0], problem.input + problem.noise[20 + 1])


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("neuron", "noise", "amplitude"),
    [
        ({"model": "lif", "bias": 0.8}, 0.2, 1.0),
        ({"model": "izhikevich", "bias": 3.0, "drive_gain": 10.0}, 2.0, 10.0),
        ({"model": "user", "source": "tests.adaptive_neurons:adaptive", "bias": 0.8}, 0.2, 1.0),
    ],
    ids=["lif", "izhikevich", "user"],
)
def test_rates_of_other_neurons_than_theta_are_learned(neuron: dict[str, Any], noise: float, amplitude: float) -> None:
    rates = experiment(
        network={"n_neurons": 60},
        neuron=neuron,
        trial_noise={"standard_deviation": noise},
        stimulus={"amplitude": amplitude, "duration_ms": 50.0},
        protocol={"free_run_ms": 50.0, "test_free_run_ms": 50.0, "start": "random"},
        targets={"kind": "sine", "duration_ms": 300.0, "period_ms": [150.0, 300.0]},
        training={**RATE, "n_loops": 15, "ridge": 0.1},
        measures={"n_test_trials": 10},
    )
    trained = hpcspike.run(rates)
    untrained = hpcspike.run(rates.changed({"training.n_loops": 0}))
    assert float(trained["correlation_phi"]) > 0.2
    assert float(trained["correlation_phi"]) > float(untrained["correlation_phi"]) + 0.1
    found = neuron_correlation(trained)["correlation_rate_of_drive"]
    assert float(found.mean()) == pytest.approx(float(trained["correlation_phi"]), abs=1e-9)
    curves = len(dict.fromkeys(trained["transfer_curve"].values))
    assert trained["transfer_input"].sizes["curve"] == curves == {"lif": 1, "izhikevich": 5, "user": 3}[neuron["model"]]
    drawn = figures_for(trained)["transfer"]()
    assert len(drawn.axes[0].get_lines()) == 2 * curves
    with pytest.raises(DataError, match="no measured transfer function"):
        transfer_curves(trained.drop_vars("transfer_input"))


@pytest.mark.usefixtures("quick")
def test_a_dataset_gives_back_the_law_it_holds() -> None:
    neuron = IzhikevichNeuron(model="izhikevich", drive_gain=10.0)
    law = rate_law(Training.model_validate(RATE), neuron, NOISE, n_neurons=7, neurons=range(7))
    again = law_of_table(table_of(law, tau_ms=neuron.tau_ms), law.curve, neuron=neuron)
    x = np.linspace(-2.0, 4.0, 70).reshape(7, 10)
    np.testing.assert_allclose(again.of(x, x), law.of(x, x), rtol=1e-13)
    np.testing.assert_allclose(again.slope_of(x, x), law.slope_of(x, x), rtol=1e-12)


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"training": {"transfer": "measured"}}, "has no effect with training.variable = drive"),
        ({"training": {"transfer": "phi_1"}}, "training.transfer = phi_1 has no effect"),
        ({"training": RATE}, r"measured needs trial_noise\.standard_deviation > 0"),
        (
            {"training": RATE, "trial_noise": {**NOISE.model_dump(), "neuron_factors": [1.0, 0.0, 1.0]}},
            r"trial_noise\.neuron_factors is 0 for neuron 1: training\.transfer = measured needs factors > 0",
        ),
        (
            {"training": {"variable": "rate"}, "neuron": {"model": "lif"}},
            "phi_2 is the transfer function of theta neurons; choose training.transfer: measured",
        ),
        ({"training": RATE, "neuron": {"model": "tanh"}, "trial_noise": NOISE}, "needs neurons that spike"),
        (
            {"training": RATE, "neuron": USER, "trial_noise": NOISE, "frozen_noise": {"standard_deviation": 0.1}},
            r"frozen_noise\.standard_deviation > 0 gives neurons other inputs",
        ),
    ],
)
def test_what_has_no_transfer_function_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        experiment(**changes)


@pytest.mark.usefixtures("quick")
def test_neurons_that_do_not_fire_or_do_nothing_else_are_refused() -> None:
    for name, said in (("mute", "do not fire at any drive up to"), ("clock", "Hz whatever their drive")):
        neuron = UserNeuron(model="user", source=f"tests.adaptive_neurons:{name}")
        with pytest.raises(SpecError, match=said):
            measure(neuron, NOISE, 0, 0.0)


def test_an_experiment_without_it_is_the_one_it_was() -> None:
    rates = experiment(training={"variable": "rate"})
    assert experiment_hash(rates) == experiment_hash(rates.changed({"training.transfer": "phi_2"}))
    assert experiment_hash(rates) != experiment_hash(rates.changed({"training.transfer": "phi_1"}))
