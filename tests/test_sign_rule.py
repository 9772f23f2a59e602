"""Dale's law in training: no sign ever flips, excluded synapses rest, and all engines agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hpcspike
from hpcspike.engine.trainer import Trainer
from hpcspike.errors import SpecError
from hpcspike.measures.kept_signs import signs
from hpcspike.rls import make_rls, reference
from hpcspike.rls.sign_rule import SignedRls
from hpcspike.spec import validate_experiment
from hpcspike.spec.experiment import Synapse, Training
from tests.rls_harness import Harness
from tests.small_networks import experiment, problem
from tests.test_checkpoint import attributes, bits, in_state, reach, reload, spoil

LOOP_STEPS = 30 + 20 + 100
RULES = [
    {"sign_rule": "exclude"},
    {"sign_rule": "exclude", "sign_covariance": "deleted"},
    {"sign_rule": "exclude", "sign_covariance": "conditioned"},
    {"sign_rule": "exclude", "sign_increments": "withheld"},
    {"sign_rule": "reject", "sign_at_zero": "flip"},
]
IDS = ["kept", "deleted", "conditioned", "withheld", "reject"]
ENGINES = ["blocked", "textbook", "textbook_blas"]
BOLD = 0.1
"""A ridge with which many weights would flip."""


def training(rule: dict[str, Any], **changes: Any) -> Training:
    return Training(**{"n_loops": 2, "ridge": BOLD, "update_interval_ms": 2.0, **rule, **changes})


def signed(harness: Harness, rule: Training, **options: Any) -> SignedRls:
    """The engine that a training asks for, of the rows of a harness."""

    class Given:
        plastic, feed_forward, n_rows, synapse = harness.rows, None, len(harness.rows.start) - 1, Synapse()

    made = make_rls(Given(), rule, mean_in_degree=8, **options)  # type: ignore[arg-type]
    assert isinstance(made, SignedRls)
    return made


# ---- every update ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=IDS)
@pytest.mark.parametrize("engine", ["blocked", "textbook"])
@pytest.mark.parametrize(
    "changes",
    [{"seed": 1}, {"seed": 2, "dtype": "float32"}, {"seed": 3, "variable": "rate"}, {"seed": 4, "late": True}],
    ids=["drive", "float32", "rate", "late weights"],
)
def test_no_sign_ever_flips_and_excluded_synapses_never_change(
    rule: dict[str, Any], engine: str, changes: dict[str, Any]
) -> None:
    changes = dict(changes)
    synapse = Synapse(weight_acts="at_spikes") if changes.pop("late", False) else Synapse()
    made = problem(20, seed=changes.pop("seed"), synapse=synapse, fixed=0.2)
    if changes.get("variable") == "rate":
        made.targets = 0.3 * np.abs(made.targets)
    trainer = Trainer(made, training(rule, algorithm=engine, **changes))
    live, rls = trainer.simulation, trainer.rls
    assert isinstance(rls, SignedRls)
    sign = np.sign(made.plastic.weight)
    single = live.weight.dtype == np.float32
    checked, changed = 0, 0
    weight, excluded = live.weight.copy(), rls.excluded
    while not trainer.finished:
        updates = rls.updates
        trainer.advance(7)
        if rls.updates == updates:
            np.testing.assert_array_equal(live.weight, weight)
            continue
        checked += 1
        side = sign * live.weight
        assert (side > 0).all() if rule.get("sign_at_zero") == "flip" else (side >= 0).all()
        assert rls.excluded[excluded].all()
        # an excluded synapse, also one that has just become so, keeps its weight to the bit
        np.testing.assert_array_equal(live.weight[rls.excluded], weight[rls.excluded])
        changed += (live.weight != weight).sum()
        if trainer.cursor.stage == 2:
            expected = np.zeros(20)
            row = np.repeat(np.arange(20), made.in_degree)
            np.add.at(expected, row, live.weight.astype(np.float64) * live.filtered[made.plastic.presynaptic])
            np.testing.assert_allclose(live.readout, expected, atol=1e-4 if single else 1e-10)
        weight, excluded = live.weight.copy(), rls.excluded
    assert checked == 100
    assert changed > 1000
    if rule["sign_rule"] == "exclude":
        assert 3 < excluded.sum() < len(excluded)
    else:
        assert not excluded.any()


@pytest.mark.parametrize("engine", ENGINES)
def test_without_the_rule_signs_flip(engine: str) -> None:
    made = problem(20, seed=1)
    trained = hpcspike.train(made, training({}, algorithm=engine))
    assert signs(trained).flipped > 0.1
    np.testing.assert_array_equal(signs(trained).excluded, [0.0, 0.0])


# ---- against the definition ------------------------------------------------------------------------------------------


def by_definition(
    harness: Harness, row: int, weights: np.ndarray, p: np.ndarray, error: float, gain: float, rule: Training,
    out: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """One update of one row in plain numpy; ``out`` (K,) says which inputs are excluded and is changed."""
    first, last = harness.rows.start[row : row + 2]
    sign = np.sign(harness.rows.weight[first:last])
    q = harness.live.filtered[harness.sources[row]]
    after, p = reference.update(weights, p, q, error, gain)
    flips = ~out & ((after * sign < 0) | ((after == 0) & (sign != 0) & (rule.sign_at_zero == "flip")))
    result = np.where(flips | out, weights, after)
    if rule.sign_increments == "withheld" and flips.any():
        result = weights
    if rule.sign_rule == "exclude":
        out |= flips
        for x in np.flatnonzero(flips):
            if rule.sign_covariance == "conditioned":
                p = p - np.outer(p[:, x], p[x]) / p[x, x]
            if rule.sign_covariance != "kept":
                p = p.copy()
                p[x] = p[:, x] = 0.0
    return result, p


def follow(harness: Harness, rls: SignedRls, rule: Training, *, updates: int, window: int, gains: bool) -> int:
    """Update an engine and the definition side by side; returns how many synapses were excluded."""
    n = len(harness.sources)
    bounds = harness.rows.start
    weights = [harness.rows.weight[bounds[i] : bounds[i + 1]].copy() for i in range(n)]
    matrices = [np.eye(len(w)) / rule.ridge for w in weights]
    out = [np.zeros(len(w), dtype=bool) for w in weights]
    for step in range(updates):
        if step % window == 0:
            rls.begin_window()
            harness.live.filtered += 0.05 * harness.rng.random(len(harness.live.filtered))
        harness.pass_time(0.9, 0.1, jump=0.5)
        target = 2.0 * harness.rng.standard_normal(n)
        gain = harness.rng.uniform(0.2, 1.0, n) if gains else np.ones(n)
        for i in range(n):
            q = harness.live.filtered[harness.sources[i]]
            error = target[i] - weights[i] @ q
            weights[i], matrices[i] = by_definition(harness, i, weights[i], matrices[i], error, gain[i], rule, out[i])
        rls.update(harness.live, target - harness.live.readout, gain)  # type: ignore[arg-type]
        found = harness.live.readout.copy()
        harness.restore_drive()
        np.testing.assert_allclose(found, harness.live.readout, atol=1e-9)
    assert rls.updates == updates
    for i in range(n):
        row = slice(bounds[i], bounds[i + 1])
        np.testing.assert_array_equal(rls.excluded[row], out[i])
        np.testing.assert_allclose(harness.live.weight[row], weights[i], atol=1e-8)
        np.testing.assert_allclose(
            rls.covariance(i), matrices[i], atol=1e-8 * max(np.abs(matrices[i]).max(initial=1), 1)
        )
    return int(rls.excluded.sum())


@pytest.mark.parametrize("rule", RULES, ids=IDS)
@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=6)
@given(window=st.integers(1, 40), gains=st.booleans(), seed=st.integers(0, 500))
def test_every_engine_follows_the_definition(
    rule: dict[str, Any], engine: str, window: int, gains: bool, seed: int
) -> None:
    harness = Harness([0, 1, 7, 20, 33], 40, seed=seed)
    chosen = training(rule, algorithm=engine, ridge=1.0)
    excluded = follow(harness, signed(harness, chosen), chosen, updates=40, window=window, gains=gains)
    assert excluded > 10 or rule["sign_rule"] == "reject"


def test_a_conditioned_matrix_is_that_of_the_inputs_that_remain() -> None:
    chosen = training({"sign_rule": "exclude", "sign_covariance": "conditioned"}, ridge=0.7)
    harness = Harness([9], 20, seed=4)
    rls = signed(harness, chosen)
    regressors = []
    for _ in range(30):
        harness.pass_time(0.9, 0.2, jump=0.5)
        regressors.append(harness.live.filtered[harness.sources[0]])
        rls.update(harness.live, 2.0 * harness.rng.standard_normal(1) - harness.live.readout, np.ones(1))  # type: ignore[arg-type]
        harness.restore_drive()
    free = np.flatnonzero(~rls.excluded)
    assert 0 < len(free) < 9
    inputs = np.array(regressors)[:, free]
    expected = np.linalg.inv(inputs.T @ inputs + 0.7 * np.eye(len(free)))
    np.testing.assert_allclose(rls.covariance(0)[np.ix_(free, free)], expected, rtol=1e-9, atol=1e-12)


def test_a_weight_that_lands_on_zero_flips_only_if_that_is_asked_for() -> None:
    for at_zero, expected in (("allowed", 0.0), ("flip", 1.0)):
        harness = Harness([1], 2, seed=0)
        harness.rows.weight[:] = harness.live.weight[:] = 1.0
        harness.live.filtered[:] = 1.0
        harness.restore_drive()
        rls = signed(
            harness, training({"sign_rule": "exclude", "sign_at_zero": at_zero}, ridge=1.0, algorithm="textbook")
        )
        # P q = 1, so that the weight changes by half of the error
        rls.update(harness.live, np.array([-2.0]), np.ones(1))  # type: ignore[arg-type]
        assert harness.live.weight[0] == expected
        assert rls.excluded[0] == (at_zero == "flip")


def test_a_synapse_that_starts_at_zero_may_take_any_sign() -> None:
    harness = Harness([1, 1], 2, seed=0)
    harness.rows.weight[:] = harness.live.weight[:] = 0.0
    harness.live.filtered[:] = 1.0
    harness.restore_drive()
    rls = signed(harness, training({"sign_rule": "exclude", "sign_at_zero": "flip"}, algorithm="textbook"))
    for error in ([0.0, 0.0], [1.0, -1.0], [-4.0, 4.0]):  # nor does staying at 0 count
        rls.update(harness.live, np.array(error), np.ones(2))  # type: ignore[arg-type]
    assert not rls.excluded.any()
    assert (np.sign(harness.live.weight) == [-1.0, 1.0]).all()


def test_an_excluded_synapse_stays_out_of_a_matrix_that_is_started_anew() -> None:
    # a ridge that float32 cannot carry: rows are restarted
    rule = training({"sign_rule": "exclude", "sign_covariance": "deleted"}, ridge=1e-9, dtype="float32", n_loops=3)
    trainer = Trainer(problem(20, seed=1), rule)
    while not trainer.finished:
        trainer.advance()
    rls = trainer.rls
    assert isinstance(rls, SignedRls)
    health = rls.engine.health()  # type: ignore[attr-defined]
    np.testing.assert_allclose(health.ridge, 1e-9 * 10.0**health.restarts, rtol=1e-12)
    restarted = np.flatnonzero(health.restarts)
    start = trainer.problem.plastic.start
    seen = 0
    for row in map(int, restarted):
        out = rls.excluded[start[row] : start[row + 1]]
        matrix = rls.covariance(row)
        assert not matrix[out].any()
        assert not matrix[:, out].any()
        assert (np.diag(matrix)[~out] > 0).all()
        seen += int(out.any())
    assert seen > 0


# ---- threads, checkpoints --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("engine", "rule"), [("blocked", RULES[1]), ("textbook", RULES[2])])
def test_threads_do_not_change_a_bit(engine: str, rule: dict[str, Any]) -> None:
    first, *others = (
        hpcspike.train(problem(20, seed=1), training(rule, algorithm=engine), threads=threads) for threads in (1, 3)
    )
    for other in others:
        np.testing.assert_array_equal(other.simulation.weight, first.simulation.weight)
        np.testing.assert_array_equal(other.simulation.drive, first.simulation.drive)
        np.testing.assert_array_equal(other.rls.excluded_at, first.rls.excluded_at)  # type: ignore[attr-defined]
        for row in range(20):
            np.testing.assert_array_equal(other.rls.covariance(row), first.rls.covariance(row))


@pytest.mark.parametrize("rule", RULES[:3], ids=IDS[:3])
@pytest.mark.parametrize("engine", ["blocked", "textbook"])
def test_training_cut_anywhere_goes_on_bit_for_bit(rule: dict[str, Any], engine: str, tmp_path: Path) -> None:
    chosen = training(rule, algorithm=engine)
    whole, cut = Trainer(problem(16, seed=1), chosen), Trainer(problem(16, seed=1), chosen)
    for steps in (40, 51, 54, 67, 70, 101, LOOP_STEPS, LOOP_STEPS + 58):
        reach(cut, steps)
        cut = reload(cut, tmp_path)
        reach(whole, steps)
        assert bits(cut) == bits(whole), steps
    for trainer in (cut, whole):
        reach(trainer, 2 * LOOP_STEPS)
    assert bits(cut, covariance=True) == bits(whole, covariance=True)
    assert isinstance(cut.rls, SignedRls)
    assert cut.rls.excluded.any()
    assert cut.rls.updates == 100


def test_no_state_is_forgotten() -> None:
    trainer = Trainer(problem(16, seed=1), training(RULES[1]))
    reach(trainer, 54)
    rls = trainer.rls
    assert isinstance(rls, SignedRls)
    things: list[Any] = [rls, rls.engine]
    for thing in things:
        names = set(attributes(thing))
        assert not thing.REBUILT & thing.SCRATCH
        assert names - thing.REBUILT - thing.SCRATCH == in_state(thing)


def test_scratch_arrays_may_hold_anything() -> None:
    clean, spoilt = (Trainer(problem(16, seed=1), training(RULES[1])) for _ in range(2))
    for trainer in (clean, spoilt):
        reach(trainer, 67)
    spoil(spoilt)
    for trainer in (clean, spoilt):
        reach(trainer, 2 * LOOP_STEPS)
    assert bits(spoilt, covariance=True) == bits(clean, covariance=True)


# ---- what is said of it ----------------------------------------------------------------------------------------------


def test_shares_of_excluded_synapses_after_every_loop() -> None:
    trained = hpcspike.train(problem(20, seed=1), training(RULES[0], n_loops=3))
    rls = trained.rls
    assert isinstance(rls, SignedRls)
    rls.excluded_at[:] = -1
    rls.excluded_at[[3, 5, 7, 9, 11, 2]] = [0, 49, 50, 99, 149, 1]
    n = len(rls.excluded_at)
    initial, weight = trained.problem.plastic.weight, trained.simulation.weight
    initial[:4] = 0.0  # had no sign
    weight[:] = initial
    weight[:7] = [1.0, -1.0, 2.0, 0.0, *-initial[4:7]]
    found = signs(trained)
    np.testing.assert_allclose(found.excluded, [3 / n, 5 / n, 6 / n])
    assert found.flipped == pytest.approx(3 / (n - 4))


def test_shares_of_excluded_synapses_only_grow() -> None:
    trained = hpcspike.train(problem(20, seed=1), training(RULES[0], n_loops=3))
    found = signs(trained)
    rls = trained.rls
    assert isinstance(rls, SignedRls)
    expected = [((rls.excluded_at >= 0) & (rls.excluded_at < 50 * (loop + 1))).mean() for loop in range(3)]
    np.testing.assert_allclose(found.excluded, expected)
    assert 0 < expected[0] < expected[2]
    assert found.flipped == 0.0


def test_the_rule_is_part_of_an_experiment_and_off_by_default() -> None:
    assert experiment().training.sign_rule == "none"
    chosen = experiment(training={"n_loops": 1, "sign_rule": "exclude"})
    trained = hpcspike.train(hpcspike.build_problem(chosen), chosen.training)
    assert isinstance(trained.rls, SignedRls)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"connectivity": {"kind": "zero"}, "training": {"sign_rule": "exclude"}},
            "training.sign_rule = exclude keeps the signs of initial weights, but connectivity.kind = zero has none",
        ),
        (
            {"training": {"sign_rule": "reject", "sign_covariance": "deleted"}},
            "training.sign_covariance = deleted is about excluded synapses, but training.sign_rule = reject excludes",
        ),
        ({"training": {"sign_rule": "always"}}, "training.sign_rule = 'always': must be 'none', 'exclude' or 'reject'"),
    ],
)
def test_rules_that_mean_nothing_are_refused(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        validate_experiment(experiment().model_dump(mode="json") | sections)
    assert message in str(caught.value)
