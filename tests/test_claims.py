"""The claims of the papers: intervals, verdicts, and the page that is made of tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hpcspike.cli import main
from hpcspike.commands.claims import _source
from hpcspike.intervals import Interval, correlation_interval, mean_interval, slope_interval
from hpcspike.studies.claims import CLAIMS, Row, above, as_markdown, as_table, below, counts_of, covers
from hpcspike.studies.claims_in_studies import loops_to_learn
from hpcspike.studies.statements import rows
from tests.synthetic import synthetic_sweep

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "results" / "reference"


def test_the_interval_of_a_mean_is_students() -> None:
    found = mean_interval(np.array([1.0, 2.0, 3.0, np.nan]))
    assert found.value == 2.0
    assert found.n == 3
    assert found.high - found.value == pytest.approx(4.30265 / np.sqrt(3), rel=1e-5)  # t(0.975, 2) s / sqrt(n)
    assert mean_interval(np.array([5.0])) == Interval(
        5.0, pytest.approx(np.nan, nan_ok=True), pytest.approx(np.nan, nan_ok=True), 1
    )  # type: ignore[arg-type]
    assert mean_interval(np.empty(0)).n == 0


def test_the_interval_of_correlations_ends_where_they_do() -> None:
    values = np.array([0.9, 0.9, 0.2])
    whole, found = mean_interval(values), correlation_interval(values)
    assert whole.high > 1.0
    assert found == (whole.value, whole.low, 1.0, 3)
    assert correlation_interval(-values).low == -1.0
    assert np.isnan(correlation_interval(values[:1]).high)
    row = next(row for row in rows({"fig1": fig1_table(0.999, 0.75)}) if row.claim == 1)
    assert row.found.high <= 1.0


def test_slopes_are_recovered_and_their_intervals_cover() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(200, 2))
    covered = 0
    for _ in range(200):
        y = 1.0 + x @ [2.0, -1.0] + rng.normal(size=200)
        first, second = slope_interval(x, y)
        covered += (first.low <= 2.0 <= first.high) + (second.low <= -1.0 <= second.high)
    assert 0.91 < covered / 400 < 0.985
    assert np.isnan(slope_interval(np.arange(2.0), np.arange(2.0))[0].value)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (Interval(0.9, 0.8, 1.0, 5), "holds"),
        (Interval(0.5, 0.4, 0.6, 5), "does not hold"),
        (Interval(0.7, 0.6, 0.8, 5), "undecided"),
        (Interval(0.9, np.nan, np.nan, 1), "holds"),
        (Interval(np.nan, np.nan, np.nan, 0), "undecided"),
    ],
)
def test_a_verdict_is_that_of_the_interval(found: Interval, verdict: str) -> None:
    assert above(found, 0.7) == verdict
    mirrored = Interval(-found.value, -found.high, -found.low, found.n)
    assert below(mirrored, -0.7) == verdict


def test_a_value_is_covered_only_if_its_whole_interval_is() -> None:
    assert covers(Interval(-0.5, -0.55, -0.45, 9), -0.5, 0.1) == "holds"
    assert covers(Interval(-0.5, -0.65, -0.35, 9), -0.5, 0.1) == "undecided"
    assert covers(Interval(-0.1, -0.2, 0.0, 9), -0.5, 0.1) == "does not hold"


def test_loops_to_learn_counts_from_one() -> None:
    curves = np.array([[0.9] * 10, [0.0] * 4 + [0.9] * 6])
    assert loops_to_learn(curves).tolist() == [1.0, 5.0]


def test_networks_that_learn_nothing_or_diverge_need_no_number_of_loops() -> None:
    curves = np.array([[0.1, 0.5, 0.9, 0.9, 0.9, 0.9, 0.9, np.nan], [0.2, 0.3, *[np.nan] * 6], [-0.1] * 7 + [np.nan]])
    found = loops_to_learn(curves)  # the last column is there for another variant, with more loops
    assert found[0] == 3.0
    assert np.isnan(found[1:]).all()
    assert np.isnan(loops_to_learn(np.full((2, 3), np.nan))).all()


def fig1_table(drive: float, rate: float) -> xr.Dataset:
    values = np.array([[drive, drive + 0.01, drive - 0.01], [rate, rate + 0.01, rate - 0.01]])
    slow, fast = np.linspace(0.0, 1.0, 20), np.ones(20)
    curves = np.stack([np.tile(fast * drive, (3, 1)), np.tile(slow * rate, (3, 1))])
    dims = ("variant", "replicate")
    return xr.Dataset(
        {
            "correlation": (dims, values),
            "correlation_trial_mean": (dims, values),
            "curve_correlation": ((*dims, "loop"), curves),
            "curve_weight_change": ((*dims, "loop"), np.ones_like(curves)),
            "wall_seconds": (dims, np.ones((2, 3))),
            "code_revision": (dims, np.full((2, 3), "abc")),
        },
        coords={"variant": ["drive", "rate"], "replicate": [0, 1, 2]},
        attrs={"study": "fig1_smoke", "document": '{"replicates": 3}'},
    )


def test_the_rows_of_a_table_follow_its_numbers() -> None:
    good = {row.measure: row.verdict for row in rows({"fig1": fig1_table(0.95, 0.75)}) if row.claim == 1}
    assert set(good.values()) == {"holds"}
    bad = {row.measure: row.verdict for row in rows({"fig1": fig1_table(0.95, 0.3)}) if row.claim == 1}
    assert sorted(bad.values()) == ["does not hold", "holds"]
    loops = next(row for row in rows({"fig1": fig1_table(0.95, 0.75)}) if "loops to 90 %" in row.measure)
    assert loops.claim == 5
    assert loops.found.value > 5


def test_a_network_that_diverged_has_not_learned() -> None:
    table = fig1_table(0.95, 0.75)
    table["correlation"][0, :2] = np.nan
    table["diverged_loop"] = (("variant", "replicate"), np.array([[0, 3, -1], [-1, -1, -1]], dtype=np.int32))
    drive = next(row for row in rows({"fig1": table}) if row.claim == 1)
    assert drive.found.n == 3
    assert drive.found.value == pytest.approx(0.94 / 3)
    assert drive.verdict == "undecided"


def test_studies_without_some_of_their_variants_give_the_rows_they_can() -> None:
    table = fig1_table(0.95, 0.75)
    assert {row.claim for row in rows({"fig1": table.sel(variant=["drive"])})} == {1}
    cortex = table[["correlation"]].rename(correlation="correlation_trial_mean_recorded")
    cortex = cortex.assign_coords(variant=["ratio-0", "ratio-2"])
    assert {row.measure.split(" auxiliary")[0][-1] for row in rows({"fig5": cortex}) if "minus" in row.measure} == {"2"}
    lesion = table[["correlation"]].expand_dims(lesion_fraction=[0.05, 0.4]).rename(correlation="lesion_correlation")
    assert not [row for row in rows({"fig3": lesion}) if row.claim == 8]


def test_a_collapse_is_judged_by_the_interval_of_redrawn_networks() -> None:
    def collapsed(p):
        return 1 / (1 + (p["tau_syn_ms"] / p["tau_corr_ms"]) ** 2)

    axes = {"tau_syn_ms": tuple(30.0 * 2.0**k for k in range(4)), "tau_corr_ms": (30.0, 60.0, 120.0, 240.0)}
    sweep = synthetic_sweep(**axes, correlation=collapsed, noise=0.05)
    scaled, alone = (row for row in rows({"map_lif": sweep}) if "left out" in row.measure)
    assert scaled.found.low < scaled.found.value < scaled.found.high < 0.25 < alone.found.low
    assert (scaled.verdict, alone.verdict) == ("holds", "holds")
    assert scaled.found.n == sweep.sizes["point"]
    noisy = synthetic_sweep(**axes, correlation=collapsed, noise=0.25)
    assert next(row for row in rows({"map_lif": noisy}) if "left out" in row.measure).verdict == "undecided"
    # without a tau_s of the regime there is nothing to say
    fast = synthetic_sweep(tau_syn_ms=(2.0, 5.0), tau_corr_ms=(30.0, 60.0))
    assert not [row for row in rows({"map_lif": fast}) if "left out" in row.measure]


def test_the_page_names_what_is_missing_and_every_row() -> None:
    found = rows({"fig1": fig1_table(0.95, 0.75)})
    page = as_markdown(found, {"fig1": "a study"})
    assert page.count("| holds |") == [row.verdict for row in found].count("holds")
    assert "Not measured here: claims 2, 3, 4" in page
    assert f"\n{counts_of(found)}\n" in page
    assert as_table(found)["claim"].tolist() == [row.claim for row in found]


def test_rows_without_an_interval_are_counted() -> None:
    def row(low: float, verdict: str) -> Row:
        return Row(8, "a measure", "a study", "above 0", Interval(1.0, low, low + 1.0, 3), verdict)

    found = [row(0.5, "holds"), row(np.nan, "holds"), row(np.nan, "does not hold"), row(-0.5, "undecided")]
    assert counts_of(found) == (
        "Of 4 rows 2 hold, 1 do not and 1 are undecided; 2 have no interval and are judged by their value alone."
    )


def test_the_command_writes_a_page_and_copies_that_give_it_again(tmp_path: Path) -> None:
    fig1_table(0.95, 0.75).to_netcdf(tmp_path / "table.nc", engine="h5netcdf")
    assert main(["claims", str(tmp_path / "table.nc"), "--out", str(tmp_path / "a")]) == 0
    assert main(["claims", str(tmp_path / "a" / "fig1.nc"), "--out", str(tmp_path / "b")]) == 0
    assert (tmp_path / "a" / "claims.md").read_text() == (tmp_path / "b" / "claims.md").read_text()
    assert len(pd.read_csv(tmp_path / "a" / "claims.csv")) > 2


def test_copies_name_recordings_without_their_place(tmp_path: Path) -> None:
    table = fig1_table(0.95, 0.75)
    targets = {"kind": "recorded", "path": str(tmp_path / "session.nc")}
    table.attrs["document"] = json.dumps(
        {"name": "fig1", "experiment": {"targets": targets}, "variants": {"drive": {}}}
    )
    table.to_netcdf(tmp_path / "table.nc", engine="h5netcdf")
    assert main(["claims", str(tmp_path / "table.nc"), "--out", str(tmp_path / "a")]) == 0
    copied = xr.load_dataset(tmp_path / "a" / "fig1.nc", engine="h5netcdf").attrs["document"]
    assert json.loads(copied)["experiment"]["targets"] == {"kind": "recorded", "path": "session.nc"}
    assert "of the recordings in session.nc, " in (tmp_path / "a" / "claims.md").read_text()


def test_networks_and_points_that_were_asked_for_and_are_missing_are_named() -> None:
    table = xr.load_dataset(REFERENCE / "fig3s1.nc", engine="h5netcdf")  # three networks of each of three amplitudes
    assert _source(table).startswith("study, 3 variants, 9 networks, ")
    assert " min by the clock, revision " in _source(table)
    document = json.loads(table.attrs["document"])
    more = document | {"replicates_of": {"amplitude-0.05": 7}, "variants": {**document["variants"], "another": {}}}
    of_more = table.assign_attrs(document=json.dumps(more))
    lacking = "(3 of 7 networks of amplitude-0.05; 0 of 3 networks of another), "
    assert _source(of_more).startswith(f"study, 3 variants, 9 networks {lacking}")
    # the table's own document asks for two networks, and the named experiment with the same settings for three
    fewer = table.sel(replicate=[0, 1]).assign_attrs(document=json.dumps(document | {"replicates": 2}))
    assert "6 networks (2 of 3 networks of amplitude-0.1, amplitude-0.05, amplitude-0.01), " in _source(fewer)
    other = document | {"replicates": 2, "experiment": document["experiment"] | {"network": {"n_neurons": 7}}}
    assert "6 networks, " in _source(fewer.assign_attrs(document=json.dumps(other)))
    sweep = xr.load_dataset(REFERENCE / "map_lif.nc", engine="h5netcdf")
    assert _source(sweep).startswith("sweep, 48 points, ")
    assert _source(sweep.isel(point=slice(40))).startswith("sweep, 40 of 48 points, ")


def test_other_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other.nc").write_text("no")
    assert main(["claims", str(tmp_path / "other.nc"), "--out", str(tmp_path / "a")]) == 2
    assert "neither the table of a study" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_the_reference_page_is_what_its_numbers_say(tmp_path: Path) -> None:
    """results/reference/claims.md is generated: from the numbers beside it comes the same page."""
    tables = sorted(map(str, REFERENCE.glob("*.nc")))
    assert tables
    assert main(["claims", *tables, "--out", str(tmp_path)]) == 0
    assert (tmp_path / "claims.md").read_text() == (REFERENCE / "claims.md").read_text()
    numbers = pd.read_csv(REFERENCE / "claims.csv")
    assert set(numbers["claim"]) >= set(range(1, 14)) & set(CLAIMS)
