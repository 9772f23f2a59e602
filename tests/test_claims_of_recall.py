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


def test_both_readings_of_a_start_stand_beside_each_other() -> None:
    values = np.stack([0.9 + JITTER, 0.5 + JITTER])
    table = study(
        "start",
        {
            "correlation": (("variant", "replicate"), values),
            "diverged_loop": (("variant", "replicate"), np.full((2, 3), -1)),
        },
        ["fig4-random", "fig4-running"],
    )
    found = list(claims_of_recall.dale_from_random_states({"start": table}))
    assert [row.verdict for row in found] == ["holds", "does not hold", "holds"]
    assert [round(row.found.value, 6) for row in found] == [0.9, 0.5, 0.4]
    assert {row.claim for row in found} == {11}
    assert not list(claims_of_recall.own_patterns_from_random_states({"start": table}))


def test_a_loss_is_judged_by_mean_tail_and_share() -> None:
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
    assert len(found) == 8
    falls = [row for measure, row in found.items() if measure.startswith("fall")]
    assert [row.found.value for row in falls] == pytest.approx([0.08, 0.21, 0.74])
    assert [row.verdict for row in falls] == ["does not hold", "does not hold", "holds"]
    shares = [row.verdict for measure, row in found.items() if measure.startswith("share")]
    assert shares == ["holds", "does not hold", "holds"]
    assert [row.verdict for m, row in found.items() if m.startswith("correlation")] == ["holds", "does not hold"]
    # where they are, those of the same targets that may fail to recall are left out
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
    assert not list(claims_of_recall.parts_of_the_errors({"errors": sweep.drop_vars("weight_norm")}))


def test_a_reason_follows_what_does_not_hold_and_nothing_else() -> None:
    lost = Row(
        8, "fall of the correlation when 5% of the neurons are lost, periodic", "fig3", "", Interval(1, 0, 2, 3), ""
    )
    assert explained(lost).why == ""
    failed = explained(Row(lost.claim, lost.measure, lost.source, "", lost.found, "does not hold"))
    assert failed.why.startswith("A mean over all neurons")
    assert f"| | *{failed.why}* |" in as_markdown([failed], {})
    assert all(why.endswith(".") and "\n" not in why for _, _, why in REASONS)


def test_every_reference_row_that_does_not_hold_has_a_reason() -> None:
    numbers = pd.read_csv(REFERENCE / "claims.csv")
    failed = numbers[numbers["verdict"] == "does not hold"]
    assert len(failed) > 0
    assert failed["why"].notna().all()
    assert numbers.loc[numbers["verdict"] != "does not hold", "why"].isna().all()
