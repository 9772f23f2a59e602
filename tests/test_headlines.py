"""What the papers of the other learners promise: every headline study is named, sized, and gives rows that can fail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hpcspike.cli import main
from hpcspike.intervals import geometric_interval, median_interval, share_interval
from hpcspike.spec.load import load, sizes_of
from hpcspike.spec.study import Study
from hpcspike.studies.claims import CLAIMS
from hpcspike.studies.headlines import HEADLINES, alemi, bourdoukan
from hpcspike.studies.statements import rows

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "cluster" / "config"
BALANCED = ("headlines_bourdoukan", "headlines_alemi")
"""Studies that need no extra."""


@pytest.mark.parametrize("name", HEADLINES)
def test_a_headline_is_a_named_study_in_three_sizes(name: str) -> None:
    assert set(sizes_of(CONFIG / f"{name}.yaml") or ()) == {"smoke", "laptop", "paper"}
    for size in ("laptop", "paper"):
        study = load(CONFIG / f"{name}.yaml", size=size)
        assert isinstance(study, Study)
        assert study.name == name
        assert study.replicates >= 3


def _table(study: str, **values: dict[str, list[float]]) -> xr.Dataset:
    """Variables over (variant, replicate), one trial each."""
    names = list(next(iter(values.values())))
    columns = {
        name: (("variant", "replicate", "test_trial"), np.array([of[variant] for variant in names])[..., None])
        for name, of in values.items()
    }
    n = len(next(iter(next(iter(values.values())).values())))
    return xr.Dataset(columns, {"variant": names, "replicate": np.arange(n)}, {"study": study})


@pytest.mark.parametrize(
    ("error", "matrix", "without", "verdicts"),
    [
        (0.01, 0.05, 0.9, ["holds", "undecided", "holds", "holds"]),  # all of 20 networks may be 83 % of all there are
        (0.2, 0.5, 0.1, ["does not hold"] * 4),
    ],
)
def test_rows_of_linear_systems_follow_their_numbers(
    error: float, matrix: float, without: float, verdicts: list[str]
) -> None:
    names = [*bourdoukan.SYSTEMS, bourdoukan.WITHOUT_FAST]
    spread = np.geomspace(0.9, 1.1, 10)
    scores = {name: list(spread * (without if "no-fast" in name else error)) for name in names}
    distances = {name: list(spread * matrix) for name in names}
    table = _table(bourdoukan.STUDY, test_score=scores, matrix_error=distances)
    found = [row for row in rows({bourdoukan.STUDY: table}) if row.claim == 19]
    assert [row.verdict for row in found] == verdicts
    assert [row.found.n for row in found] == [20, 20, 20, 10]


def test_networks_that_diverged_count_as_errors_without_bound() -> None:
    scores = {"planar": [0.01] * 8 + [np.nan] * 2, "spatial": [0.01] * 7 + [np.nan] * 3}
    table = _table(bourdoukan.STUDY, test_score=scores)
    median, share = [row for row in rows({bourdoukan.STUDY: table}) if row.claim == 19]
    assert (median.found.value, median.found.n) == (0.01, 20)
    assert share.found.value == 0.75
    assert share.verdict == "undecided"  # 0.51 to 0.91


def test_networks_that_only_another_variant_has_are_not_counted() -> None:
    scores = {"planar": [0.01, np.nan, 0.01], "spatial": [0.01, np.nan, np.nan]}
    table = _table(bourdoukan.STUDY, test_score=scores)
    table["wall_seconds"] = (("variant", "replicate"), np.array([[1.0, 1.0, 1.0], [1.0, 1.0, np.nan]]))
    median, share = [row for row in rows({bourdoukan.STUDY: table}) if row.claim == 19]
    assert (median.found.n, share.found.n, share.found.value) == (5, 5, 0.6)


def test_rows_of_balance_follow_their_numbers() -> None:
    def verdicts(before: float, after: float, fano: float) -> list[str]:
        names = [f"{name}_{when}" for name in ("cv_isi", "cv2_isi", "fano_factor") for when in ("before", "after")]
        values = {name: {"planar": [fano - 0.01, fano, fano + 0.01]} for name in names}
        values["ei_correlation_before"] = {"planar": [before, before + 0.01, before]}
        values["ei_correlation_after"] = {"planar": [after, after + 0.01, after]}
        found = [row for row in rows({bourdoukan.STUDY: _table(bourdoukan.STUDY, **values)}) if row.claim == 20]
        assert all(row.why for row in found if row.verdict == "does not hold" and "CV of" in row.measure)
        return [row.verdict for row in found]

    assert verdicts(-0.2, 0.9, 1.05) == ["holds"] * 8
    assert verdicts(0.8, 0.1, 2.0) == ["does not hold"] * 8


def _sizes(exponent: float, poisson: float, lost: float, noisy: float) -> xr.Dataset:
    n = np.array([8, 16, 32, 64, 128])
    names = [f"neurons-{size}" for size in n]
    spread = np.array([0.9, 1.0, 1.1])
    errors = 0.1 * (n[:, None] / 8.0) ** (2 * exponent) * spread
    dims = ("variant", "replicate")
    table = xr.Dataset(
        {
            "test_score": ((*dims, "test_trial"), errors[..., None]),
            "poisson_score": ((*dims, "test_trial"), poisson**2 * errors[..., None]),
            "population_rate": (dims, np.full((5, 3), 10.0)),
            "damage_score": ((*dims, "damage_fraction"), errors[..., None] * np.array([1.0, lost])),
            "noise_score": ((*dims, "noise_level"), np.full((5, 3, 2), [0.001, noisy])),
        },
        {"variant": names, "replicate": np.arange(3), "damage_fraction": [0.0, 0.6], "noise_level": [0.0, 1.0]},
        {"study": alemi.STUDY},
    )
    one = table["variant"] == "neurons-64"  # only its networks were probed
    return table.assign({name: table[name].where(one) for name in ("damage_score", "noise_score")})


@pytest.mark.parametrize(
    ("numbers", "verdict"), [((-0.8, 5.0, 1.0, 0.001), "holds"), ((-0.2, 0.5, 9.0, 0.5), "does not hold")]
)
def test_rows_of_sizes_damage_and_noise_follow_their_numbers(numbers: tuple[float, ...], verdict: str) -> None:
    found = [row for row in rows({alemi.STUDY: _sizes(*numbers)}) if row.claim in (21, 22)]
    assert [row.verdict for row in found] == [verdict] * 5
    assert found[0].found.value == pytest.approx(numbers[0], abs=0.02)
    assert found[1].found.value == pytest.approx(numbers[1])
    assert "N = 64" in found[3].measure


def test_every_row_is_of_a_claim_and_they_stand_in_order() -> None:
    assert list(CLAIMS) == sorted(CLAIMS)
    names = [*bourdoukan.SYSTEMS, bourdoukan.WITHOUT_FAST]
    table = _table(bourdoukan.STUDY, test_score={name: [0.1] * 3 for name in names})
    numbers = [row.claim for row in rows({bourdoukan.STUDY: table})]
    assert numbers == sorted(numbers)
    assert set(numbers) <= set(CLAIMS)


def test_the_interval_of_a_median_covers_it_and_that_of_a_share_is_exact() -> None:
    rng = np.random.default_rng(2)
    found = [median_interval(rng.exponential(size=20)) for _ in range(400)]
    assert 0.93 < np.mean([one.low <= np.log(2.0) <= one.high for one in found]) <= 0.99
    assert np.isnan(median_interval(np.arange(5.0)).low)
    assert share_interval(20, 20).low == pytest.approx(0.05 ** (1 / 20) * (0.025 / 0.05) ** (1 / 20))
    assert share_interval(0, 0).n == 0
    middle = geometric_interval(np.array([1.0, 10.0, 100.0]))
    assert middle.value == pytest.approx(10.0)
    assert middle.low < 1.0 < 100.0 < middle.high


@pytest.mark.parametrize(
    "name",
    # gradient learners are compiled anew for every network; their rows are tested in test_headline_rows.py
    [pytest.param(name, marks=() if name in BALANCED else pytest.mark.slow) for name in HEADLINES],
)
def test_a_headline_at_its_smallest_size_gives_rows_of_its_claims(tmp_path: Path, name: str) -> None:
    if name not in BALANCED:
        pytest.importorskip("jax")
    folder, out = tmp_path / name, tmp_path / "claims"
    assert main(["study", str(CONFIG / f"{name}.yaml"), "--size", "smoke", "--out", str(folder)]) == 0
    assert main(["claims", str(folder / "table.nc"), "--out", str(out)]) == 0
    found = pd.read_csv(out / "claims.csv")
    assert len(found)
    assert set(found["claim"]) <= {number for number in CLAIMS if number >= 17}
    assert set(found["source"]) == {name}


SMOKE = ["--config", "size=smoke"]
COMMAND = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "2"]


@pytest.mark.workflow
def test_the_workflow_plans_all_headlines(tmp_path: Path) -> None:
    planned = subprocess.run(
        [*COMMAND, "-n", "headlines", *SMOKE], cwd=tmp_path, capture_output=True, text=True, timeout=200
    )
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert "results/headlines/claims.md" in planned.stdout
    for name in HEADLINES:
        assert f"results/{name}_smoke/table.nc" in planned.stdout


@pytest.mark.workflow
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_workflow_runs_all_headlines(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    ran = subprocess.run([*COMMAND, "headlines", *SMOKE], cwd=tmp_path, capture_output=True, text=True, timeout=3600)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    page = (tmp_path / "results" / "headlines" / "claims.md").read_text()
    for name in HEADLINES:
        assert name in page
        assert (tmp_path / "results" / f"{name}_smoke" / f"{name}_smoke.html").exists()
