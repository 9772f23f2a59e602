"""Claims with loops from random states, of loss, and of the parts of the errors, with planted numbers; reasons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hpcspike.intervals import Interval
from hpcspike.studies import claims_of_recall
from hpcspike.studies.claims import Row, as_markdown
from hpcspike.studies.reasons import REASONS, explained
from hpcspike.studies.statements import rows
from tests.synthetic import synthetic_sweep

REFERENCE = Path(__file__).parent.parent / "results" / "reference"
JITTER = np.array([-0.01, 0.0, 0.01])


def study(name: str, variables: dict[str, tuple[tuple[str, ...], np.ndarray]], variants: list[str]) -> xr.Dataset:
    return xr.Dataset(variables, coords={"variant": variants, "replicate": [0, 1, 2]}, attrs={"study": name})


def test_what_random_starts_gain_is_counted_network_by_network() -> None:
    apart = np.array([0.5, 0.7, 0.3])  # of networks: the gain of each is 0.2 to within 0.01
    values = {"drive": apart, "drive-random-starts": apart + 0.2 + JITTER, "rate": apart}
    table = study(
        "fig1",
        {
            "correlation": (("variant", "replicate"), np.stack(list(values.values()))),
            "diverged_loop": (("variant", "replicate"), np.full((3, 3), -1)),
        },
        list(values),
    )
    (row,) = claims_of_recall.gain_from_random_starts({"fig1": table}, 1)
    assert row.measure.startswith("correlation of drive and sine target, drive: ")
    assert (row.found.value, row.verdict, row.claim) == (pytest.approx(0.2), "holds", 1)
    assert not list(claims_of_recall.gain_from_random_starts({"fig1": table}, 11))


def test_a_loss_is_judged_by_mean_and_share_with_the_tail_beside_it() -> None:
    fractions = [0.0, 0.05, 0.1, 0.4]
    dims = ("variant", "replicate", "lesion_fraction", "draw")

    def planted(values: list[float]) -> tuple[tuple[str, ...], np.ndarray]:
        return dims, np.array(values)[None, None, :, None] + JITTER[None, :, None, None] + np.zeros((1, 3, 4, 2))

    table = study(
        "lesion",
        {
            "lesion_correlation": planted([0.86, 0.78, 0.65, 0.12]),
            "lesion_share_followed": planted([1.0, 0.8, 0.3, 0.0]),
            "lesion_worst_decile": planted([0.75, 0.6, 0.4, -0.1]),
        },
        ["periodic"],
    ).assign_coords(lesion_fraction=fractions)
    found = {row.measure: row for row in claims_of_recall.loss_of_those_who_recall({"lesion": table})}
    assert len(found) == 6
    falls = [row for measure, row in found.items() if measure.startswith("fall")]
    assert [row.found.value for row in falls] == pytest.approx([0.08, 0.21, 0.74])
    assert falls[1].measure.endswith("random starts (share of neurons above 0.7: 0.30)")
    assert [row.verdict for row in falls] == ["does not hold", "does not hold", "holds"]
    shares = [row.verdict for measure, row in found.items() if measure.startswith("share")]
    assert shares == ["holds", "does not hold", "holds"]
    assert [m.rpartition(" ")[2] for m in found if m.startswith("share")] == ["0.60)", "0.40)", "-0.10)"]
    # where they are, those that may fail to recall are left out
    assert all("random starts" in row.measure for row in rows({"lesion": table, "fig3": table}) if row.claim == 8)


def test_the_parts_of_the_errors_have_their_exponents() -> None:
    sweep = synthetic_sweep(tau_syn_ms=(5.0, 10.0, 20.0, 30.0, 100.0), n_neurons=(100, 200, 400), replicates=2)
    tau, n = sweep["tau_syn_ms"], sweep["n_neurons"]
    norm, curve = 0.5 * tau**0.4 * n**-0.1, np.sqrt(tau / (tau + 100.0))
    for name, values in {
        "weight_norm": norm, "lag_theory": curve, "lag_error": norm * curve**1.1,
        "sampling_error": norm * tau**-0.7, "sampling_formula": norm * tau**-0.7 / 1.05,
    }.items():  # fmt: skip
        sweep[name][:] = values.values
    found = list(claims_of_recall.parts_of_the_errors({"errors": sweep}))
    assert [round(row.found.value, 3) for row in found] == [1.05, -0.7, 0.4, -0.1, 1.1]
    assert [row.verdict for row in found] == ["holds", "holds", "holds", "does not hold", "holds"]
    sines = synthetic_sweep(n_neurons=(80, 160, 320), replicates=2)
    sines["weight_norm"][:] = sines["n_neurons"].values ** -0.45
    (low_rank,) = (
        r for r in claims_of_recall.parts_of_the_errors({"errors": sweep, "errors_sine": sines}) if "sines" in r.measure
    )
    assert (low_rank.found.value, low_rank.verdict) == (pytest.approx(-0.45), "holds")
    assert not list(claims_of_recall.parts_of_the_errors({"errors": sweep.drop_vars("weight_norm")}))


def test_what_rates_gain_is_counted_in_averages_over_trials_with_single_trials_beside_it() -> None:
    base, dims = np.array([0.5, 0.7, 0.3]), ("variant", "replicate")
    table = study(
        "fig1",
        {
            "correlation": (dims, np.stack([base, base + 0.2 + JITTER])),
            "correlation_trial_mean": (dims, np.stack([base, base + 0.1 + JITTER])),
            "diverged_loop": (dims, np.full((2, 3), -1)),
        },
        ["rate", "rate-random-starts"],
    )
    (row,) = claims_of_recall.gain_from_random_starts({"fig1": table}, 1)
    assert row.found.value == pytest.approx(0.1)
    assert row.measure.startswith("correlation of trial-averaged filtered spikes and rate target, rate: ")
    assert row.measure.endswith("(single trials 0.20, 0.18 to 0.22)")


def test_a_reason_follows_what_does_not_hold_and_nothing_else() -> None:
    def lost(share: str, verdict: str = "does not hold") -> Row:
        measure = f"fall of the correlation when 10% of the neurons are lost, periodic{share}"
        return explained(Row(8, measure, "fig3", "", Interval(1, 0, 2, 3), verdict))

    assert lost(" (share of neurons above 0.7: 0.73)", "holds").why == ""
    failed = lost(" (share of neurons above 0.7: 0.73)")
    assert failed.why.startswith("A mean over all neurons")
    assert "more than half" in failed.why
    assert lost(" (share of neurons above 0.7: 0.24)").why.startswith("Most neurons no longer follow")
    assert lost("").why.startswith("The loss of so many neurons")  # a table that does not say
    assert f"| | *{failed.why}* |" in as_markdown([failed], {})
    assert all(why.endswith(".") and "\n" not in why for _, _, why in REASONS)


def test_every_reference_row_that_does_not_hold_has_a_reason() -> None:
    numbers = pd.read_csv(REFERENCE / "claims.csv")
    failed = numbers[numbers["verdict"] == "does not hold"]
    assert len(failed) > 0
    assert failed["why"].notna().all()
    assert numbers.loc[numbers["verdict"] == "holds", "why"].isna().all()
