"""Rows of the headline studies of gradient learners follow their numbers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xarray as xr

from hpcspike.figures.study_episode import errors_within_trials
from hpcspike.studies.headlines import digits, functions, huh, memory, navigation
from hpcspike.studies.statements import rows
from tests.test_figures import assert_inside_and_apart, drawn

SPREAD = np.array([0.9, 1.0, 1.1])


def _table(study: str, variable: str, values: dict[str, float], dim: str = "test_trial") -> xr.Dataset:
    """A variable over (variant, replicate, dim) of three networks per variant."""
    numbers = np.stack([np.repeat((SPREAD * value)[:, None], 2, axis=1) for value in values.values()])
    coordinates = {"variant": list(values), "replicate": np.arange(3)}
    return xr.Dataset({variable: (("variant", "replicate", dim), numbers)}, coordinates, {"study": study})


def _verdicts(table: xr.Dataset) -> list[tuple[int, str]]:
    return [(row.claim, row.verdict) for row in rows({table.attrs["study"]: table})]


HOLDS, FAILS = "holds", "does not hold"


@pytest.mark.parametrize(
    ("study", "variable", "values", "wanted"),
    [
        (huh.CODE, "test_score", {"fast": 0.01, "slow": 0.5}, [(17, HOLDS), (17, HOLDS)]),
        (huh.CODE, "test_score", {"fast": 0.1, "slow": 0.1}, [(17, FAILS), (17, FAILS)]),
        (huh.SHORT, "test_wrong", {"slow": 0.05, "fast": 0.5}, [(18, HOLDS)]),
        (huh.XOR, "test_wrong", {"delay-500": 0.05, "delay-1000": 0.5}, [(18, HOLDS), (18, FAILS)]),
        (memory.BEFORE, "test_wrong", {"lsnn": 0.03, "lif": 0.3}, [(23, HOLDS), (23, HOLDS)]),
        (memory.BEFORE, "test_wrong", {"lsnn": 0.1, "lif": 0.1}, [(23, FAILS), (23, FAILS)]),
    ],
)
def test_medians_are_held_against_their_bounds(study: str, variable: str, values: Any, wanted: Any) -> None:
    assert _verdicts(_table(study, variable, values)) == wanted


@pytest.mark.parametrize(
    ("wrong", "wanted"),
    [
        ({"lsnn": 0.1, "lif": 0.5, "lstm": 0.08}, [HOLDS] * 5),
        ({"lsnn": 0.4, "lif": 0.4, "lstm": 0.1}, [HOLDS] * 3 + [FAILS] * 2),
        ({"lsnn": 0.4, "lif": 0.7}, [HOLDS] * 3),
    ],
)
def test_accuracies_of_digits_are_compared(wrong: dict[str, float], wanted: list[str]) -> None:
    found = _verdicts(_table(digits.STUDY, "test_wrong", wrong))
    assert [verdict for _, verdict in found] == wanted
    assert {claim for claim, _ in found} == {23}


@pytest.mark.parametrize(("currents", "weights", "wanted"), [(-0.9, 0.9, HOLDS), (-0.3, 0.06, FAILS)])
def test_what_fast_synapses_do_is_held_against_its_bounds(currents: float, weights: float, wanted: str) -> None:
    table = _table(huh.CODE, "test_score", {"fast": 0.01})
    narrow = 1.0 + 0.1 * (SPREAD - 1.0)
    table["current_cancellation"] = (("variant", "replicate"), currents * narrow[None])
    table["weight_cancellation"] = (("variant", "replicate"), weights * narrow[None])
    assert _verdicts(table) == [(17, HOLDS), (17, wanted), (17, wanted)]


@pytest.mark.parametrize(("last", "words"), [(0.10, "still fall"), (0.15, "do not fall any more")])
def test_a_task_that_is_not_learned_says_whether_errors_still_fell(last: float, words: str) -> None:
    table = _table(huh.XOR, "test_wrong", {"delay-500": 0.05, "delay-1000": 0.5})
    curve = np.concatenate([np.full(400, 0.3), np.full(300, 0.16), np.full(100, last), np.full(200, np.nan)])
    table["curve_wrong"] = (("variant", "replicate", "loop"), np.broadcast_to(curve, (2, 3, 1000)))
    short, long = rows({huh.XOR: table})
    assert short.why == ""
    assert long.why == (
        f"Errors {words} where training ends: {100 * last:.0f} % of the answers are wrong in the last 100 of its 800 "
        "passes, 16 % in the 100 after its middle."
    )


def test_an_lstm_that_learned_nothing_does_not_drive_the_comparison() -> None:
    table = _table(digits.STUDY, "test_wrong", {"lsnn": 0.5, "lif": 0.9, "lstm": 0.5})
    table["test_wrong"][2, 0] = 0.999
    (found,) = (row for row in rows({digits.STUDY: table}) if "that of an LSTM" in row.measure)
    right = 1.0 - table["test_wrong"].values
    assert found.found.value == pytest.approx(right[0].mean() - 0.9 * right[2].mean())
    assert found.verdict == "undecided"


def test_learning_within_a_trial_is_measured_on_its_last_quarter() -> None:
    parts = np.linspace(1.0, 0.1, 10)
    errors = np.stack([SPREAD[:, None] * parts, SPREAD[:, None] * np.ones(10)])
    numbers = {"episode_error": errors, "regression_error": np.full_like(errors, 0.5)}
    columns = {name: (("variant", "replicate", "episode_part"), values) for name, values in numbers.items()}
    coordinates = {"variant": ["lsnn", "lif"], "replicate": np.arange(3)}
    table = xr.Dataset(columns, coordinates, {"study": functions.STUDY})
    assert _verdicts(table) == [(24, HOLDS)] * 3
    table["episode_error"] = table["episode_error"][::-1].drop_vars("variant").assign_coords(variant=["lsnn", "lif"])
    assert _verdicts(table) == [(24, FAILS)] * 3


@pytest.mark.parametrize(("second_ms", "wanted"), [(100.0, HOLDS), (250.0, FAILS)])
def test_the_first_goal_is_held_against_the_second(second_ms: float, wanted: str) -> None:
    """Before training and in leaky networks the two take equally long (holds), or the second half as long (fails)."""
    control_ms, before = (300.0, 3.0) if wanted == HOLDS else (150.0, 20.0)
    table = _table(navigation.STUDY, "test_goals", {"lsnn": 8.0, "lif": 6.0})
    table["untrained_goals"] = before * xr.ones_like(table["test_goals"])
    dims = ("variant", "replicate", "goal_number")
    after, untrained = np.full((2, 3, 5), 900.0), np.full((2, 3, 5), control_ms)
    after[0, :, 1], after[1, :, 1] = second_ms, control_ms
    table["goal_time_after"], table["goal_time_before"] = (dims, after), (dims, untrained)
    table["goal_time_anew_after"] = table["goal_time_anew_before"] = (dims[:2], np.full((2, 3), 300.0))
    # of three networks no share is told from 2/3, whatever they do
    assert _verdicts(table) == [(25, "undecided"), (25, HOLDS)] + [(25, wanted)] * 3
    share = next(row for row in rows({navigation.STUDY: table}) if row.measure.startswith("share"))
    assert share.found.value == float(wanted == HOLDS)
    factor = 300.0 / second_ms
    assert share.why.startswith(f"The factors are {factor:.2f} to {factor:.2f}. With the first goals")
    table["curve_goals"] = (("variant", "replicate", "loop"), np.arange(2 * 3 * 20.0).reshape(2, 3, 20) / 10)
    rising = next(row for row in rows({navigation.STUDY: table}) if row.measure.startswith("share"))
    assert rising.why.endswith(
        "Goals per second were 3.4 in the 8 passes after the middle of training, and 3.5 in its last 8."
    )
    many = xr.concat([table] * 4, "replicate").assign_coords(replicate=np.arange(12))
    assert _verdicts(many)[0] == (25, wanted)
    # where there are more adaptive networks than leaky ones, those that are not there count for nothing
    fewer = many.assign(wall_seconds=xr.ones_like(many["test_goals"].isel(test_trial=0)))
    fewer["wall_seconds"][1, 2:] = np.nan
    assert [row.found.n for row in rows({navigation.STUDY: fewer})] == [12, 12, 12, 2, 12]
    table["goal_time_after"][0, :, 1] = np.inf
    assert _verdicts(table)[1] == (25, FAILS)


def test_iterations_to_learn_are_counted_where_the_average_is_below_5_percent() -> None:
    curves = np.full((3, 100), 0.5)
    curves[0, 30:] = 0.0
    curves[1, 60:] = np.nan
    curves[2, 40:80] = 0.0
    # 18 of the last 20 at 0 and two at 0.5 are 5 %, not below it
    np.testing.assert_array_equal(memory.iterations_to_learn(curves), [30 + 19, np.inf, 40 + 19])


@pytest.mark.parametrize(("learned_at", "wanted"), [(60, HOLDS), (170, FAILS)])
def test_e_prop_may_take_three_times_as_long(learned_at: int, wanted: str) -> None:
    curves = np.full((2, 3, 200), 0.5)
    curves[0, :, 30:] = 0.0
    curves[1, :, learned_at:] = 0.0
    table = _table(memory.STUDY, "test_wrong", {"bptt": 0.01, "symmetric": 0.02})
    table["curve_wrong"] = (("variant", "replicate", "loop"), curves)
    assert _verdicts(table) == [(26, HOLDS), (26, wanted)]


def test_errors_within_trials_are_drawn_beside_those_of_linear_regression() -> None:
    rng = np.random.default_rng(1)
    nodes = {
        f"/{variant}/{number}": xr.Dataset(
            {
                "episode_error": ("episode_part", np.linspace(1.0, end, 10) * rng.uniform(0.8, 1.2, 10)),
                "regression_error": ("episode_part", np.linspace(0.9, 0.3, 10)),
            }
        )
        for variant, end in (("lsnn", 0.1), ("lif", 0.6))
        for number in range(3)
    }
    tree = xr.DataTree.from_dict(nodes)
    tree.attrs["document"] = json.dumps({"variants": {"lsnn": {}, "lif": {}}})
    figure = drawn(errors_within_trials(tree))
    assert_inside_and_apart(figure)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert sorted(labels) == ["lif", "linear regression", "lsnn"]
