"""Predicted cost of learners other than rls: what it grows with, and what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hpcspike.errors import ResourceError
from hpcspike.learners.embedding import fourier_embedding
from hpcspike.learners.tasks import recall_task
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.load import load, validate_experiment
from hpcspike.spec.sweep import Sweep
from hpcspike.sweep.cost import check_memory, predict
from hpcspike.sweep.grid import build_grid
from hpcspike.sweep.learner_cost import n_states


def experiment(learner: dict[str, Any], n: int = 200, **targets: Any) -> Experiment:
    asked = {"kind": "ou", "duration_ms": 1000.0, **targets}
    cue = 50.0 if asked["kind"] == "ou" else 0.0
    return validate_experiment(
        {"network": {"n_neurons": n}, "targets": asked, "stimulus": {"duration_ms": cue}, "learner": learner}
    )


def driven(system: str, duration_ms: float) -> dict[str, Any]:
    return {"kind": "driven", "system": system, "duration_ms": duration_ms}


CONFIG = Path(__file__).resolve().parent.parent / "cluster" / "config"
ALEMI: dict[str, Any] = {"kind": "ebn_alemi"}
BOURDOUKAN = {"kind": "ebn_bourdoukan"}
LSNN = {"kind": "lsnn", "n_readouts": 8}
HUH = {"kind": "huh", "n_readouts": 8}


@pytest.mark.parametrize(
    ("less", "more"),
    [
        (experiment(ALEMI), experiment({**ALEMI, "passes": 200})),
        (experiment(ALEMI), experiment({**ALEMI, "basis": "tanh"})),
        (experiment(ALEMI), experiment({**ALEMI, "bandwidth_hz": 16.0})),
        (experiment(ALEMI), experiment(ALEMI, duration_ms=2000.0)),
        (experiment(ALEMI), experiment({**ALEMI, "step_ms": 0.05})),
        (experiment(ALEMI), experiment(BOURDOUKAN)),
        (experiment(BOURDOUKAN), experiment({**BOURDOUKAN, "fast_passes": 140})),
        (experiment(LSNN), experiment({**LSNN, "batch": 8})),
        (experiment(LSNN), experiment({**LSNN, "steps_per_pass": 20})),
        (experiment(HUH), experiment({**HUH, "passes": 200})),
        (experiment(HUH, n=100), experiment(HUH)),
    ],
)
def test_more_work_is_predicted_to_take_longer(less: Experiment, more: Experiment) -> None:
    assert predict(more).seconds > 1.1 * predict(less).seconds


def test_larger_balanced_networks_take_finer_steps_and_cost_accordingly() -> None:
    # from 250 neurons on the number of steps grows with N too
    small, large = (predict(experiment(ALEMI, n=n)).seconds for n in (500, 1000))
    assert 3.5 < large / small < 4.5


def test_the_state_is_counted_as_it_is_built() -> None:
    for duration in (250.0, 1000.0, 2000.0):
        recall = experiment(ALEMI, n=5, duration_ms=duration)
        target = recall_task(recall).sample("train", 0).target
        built = fourier_embedding(target, grid_ms=1.0, bandwidth_hz=8.0).teacher.n_states
        assert n_states(recall) == built
    assert n_states(experiment(ALEMI, **driven("bistable", 100.0))) == 1


def delayed(**learner: Any) -> Experiment:
    asked = {"kind": "lsnn", "steps_per_pass": 1, "batch": 32, "n_delays": 10, **learner}
    return experiment(asked, n=220, kind="store_recall", duration_ms=840.0, slot_ms=84)


# CPU seconds of training on one core of a server CPU (2025), other programs beside it
MEASURED: list[tuple[Experiment, float]] = [
    (experiment(ALEMI, n=500), 22.7),
    (experiment({**ALEMI, "step_ms": 0.1}, n=500), 12.3),
    (experiment({**BOURDOUKAN, "fast_passes": 140}, n=200), 15.6),
    (experiment({**ALEMI, "passes": 100, "voltage_noise": 0.01}, n=64, **driven("pushed_oscillator", 1500.0)), 3.0),
    (
        experiment({**ALEMI, "passes": 40, "basis": "tanh", "voltage_noise": 0.01}, n=50, **driven("bistable", 1e4)),
        9.0,
    ),
    (experiment({**ALEMI, "passes": 60}, n=100, **driven("pendulum", 3000.0)), 4.6),
    # 6 to 8 s until the first result, then a time per step of Adam
    (experiment({**LSNN, "passes": 40}, n=200, duration_ms=500.0), 6.0 + 400 * 0.025),
    (experiment({**LSNN, "passes": 40}, n=500, duration_ms=500.0), 7.8 + 400 * 0.192),
    (experiment({**HUH, "passes": 40}, n=200, duration_ms=500.0), 6.4 + 400 * 0.150),
    (experiment({**HUH, "passes": 40}, n=500, duration_ms=500.0), 7.8 + 400 * 0.516),
    (
        experiment(
            {"kind": "lsnn", "passes": 155, "steps_per_pass": 1, "batch": 128},
            n=20,
            kind="store_recall",
            duration_ms=2400.0,
        ),
        152.0,
    ),
    (
        experiment(
            {"kind": "lsnn", "passes": 80, "steps_per_pass": 20, "batch": 64, "step_ms": 5.0},
            n=60,
            kind="navigation",
            duration_ms=500.0,
        ),
        11.0 + 80 * 1.15,
    ),
    # ten delays: CPU seconds per step of the optimiser, all connections at 70 Hz and 12 % of them at 20 Hz
    (delayed(passes=200), 5.0 + 200 * 0.73),
    (delayed(passes=200, connectivity=0.12), 5.0 + 200 * 0.28),
    (load(CONFIG / "mnist.yaml", changes={"learner.passes": 10}), 14.0 + 100 * 6.3),  # on two busy cores
]


@pytest.mark.parametrize(("experiment", "measured"), MEASURED)
def test_predictions_are_within_a_factor_of_two_of_what_was_measured(experiment: Experiment, measured: float) -> None:
    assert measured / 2 < predict(experiment).seconds < 2 * measured


def test_the_points_of_a_sweep_over_learners_are_priced_one_by_one() -> None:
    sweep = load(CONFIG / "learners.yaml", size="smoke")
    assert isinstance(sweep, Sweep)
    grid = build_grid(sweep)
    found: dict[str, set[float]] = {}
    for index, seconds in enumerate(grid.seconds):
        found.setdefault(sweep.parameters_at(index)["learner"]["kind"], set()).add(round(float(seconds), 6))
    assert len(found) == 3
    assert len(set.union(*found.values())) == 6  # three learners, two lengths


def test_a_batch_that_does_not_fit_is_refused_with_what_helps() -> None:
    huge = experiment({**LSNN, "batch": 60_000})
    with pytest.raises(ResourceError, match="learner.kind = lsnn, but 4.0 GiB are available; .* smaller learner.batch"):
        check_memory(huge, available_mib=4096.0)
