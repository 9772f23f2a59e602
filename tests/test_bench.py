"""The benchmark: what is fed to the engines, what is printed, and that README and guide show what was stored."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hpcspike import benchmark, machine
from hpcspike.benchmark import report, rls_bench, roofline
from hpcspike.benchmark.rls_bench import Case, OpenLoop
from hpcspike.benchmark.training_bench import TrainingCase, compare_algorithms, compare_threads
from hpcspike.cli import main
from hpcspike.errors import ResourceError, SpecError

ROOT = Path(__file__).resolve().parent.parent
STORED = ROOT / "results" / "reference" / "bench.json"


def case(**changes: Any) -> Case:
    small = {
        "n_neurons": 40, "in_degree": 11, "interval_ms": 10.0, "dtype": "float64", "rate_hz": 30.0, "n_rows": 7,
        "seconds": 0.01, "fewest_rounds": 2,
    }  # fmt: skip
    return Case(**{**small, **changes})


# ---- what the engines see --------------------------------------------------------------------------------------------


def test_open_loop_network_keeps_drive_and_events_up_to_date() -> None:
    rows = rls_bench._random_rows(case())
    dense = np.zeros((7, 40))
    weights = np.random.default_rng(0).standard_normal(77)
    network = OpenLoop(rows._replace(weight=weights), case())
    for i in range(7):
        dense[i, rows.presynaptic[rows.start[i] : rows.start[i + 1]]] = weights[rows.start[i] : rows.start[i + 1]]
    filtered = np.zeros(40)
    spikes = rls_bench._poisson_spikes(case())
    for _ in range(5):
        neurons, amounts = next(spikes)
        network.pass_interval(neurons, amounts)
        filtered *= network.interval_decay
        filtered[neurons] += amounts
        np.testing.assert_allclose(network.filtered, filtered)
        np.testing.assert_allclose(network.readout, dense @ filtered, atol=1e-12)
        for i in range(7):
            sources = rows.presynaptic[rows.start[i] : rows.start[i + 1]]
            events = network.events[rows.start[i] : rows.start[i] + network.n_events[i]]
            np.testing.assert_array_equal(sources[events], sources[np.isin(sources, neurons)])
    assert network.seen_events > 0


def test_spikes_come_at_the_rate_asked_for_and_decay_until_the_update() -> None:
    asked = case(n_neurons=2000, rate_hz=8.0)
    spikes = rls_bench._poisson_spikes(asked)
    parts = [next(spikes) for _ in range(50)]
    share = np.mean([len(neurons) for neurons, _ in parts]) / 2000
    assert share == pytest.approx(1.0 - (1.0 - 0.008) ** 10, rel=0.03)
    amounts = np.concatenate([amounts for _, amounts in parts])
    # 10 ms of Poisson spikes: mean of the sum over steps of rate * jump * decay
    decay = np.exp(-np.arange(10) / 30.0)
    assert amounts.sum() / (50 * 2000) == pytest.approx(0.008 / 3.0 * decay.sum(), rel=0.03)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_all_variants_learn_the_same_and_the_ratio_is_that_of_the_medians(dtype: str) -> None:
    measured = rls_bench.measure(case(dtype=dtype))
    assert measured["weight_difference"] < (1e-12 if dtype == "float64" else 1e-3)
    ms = measured["milliseconds"]
    assert set(ms) == set(rls_bench.VARIANTS)
    assert measured["ratio_to_blas"] == ms["textbook_blas"] / ms["blocked"]
    for name in rls_bench.VARIANTS:
        assert 0 < measured["fastest"][name] <= ms[name] <= measured["slowest"][name]
        assert measured["roofline"][name]["share"] > 0
    assert measured["updates_per_round"] % measured["capacity"] == 0
    assert measured["updates_per_round"] >= 2 * measured["capacity"]
    assert measured["events_per_row"] == pytest.approx(11 * (1.0 - 0.97**10), rel=0.3)


def test_roofline_counts_what_each_variant_has_to_move() -> None:
    # 100 inputs, updates applied by tens, never a spike; one entry and one multiply-add per second
    best = rls_bench._roofline_ms(case(n_neurons=1, in_degree=100), 10, 0.0, 8.0, 1e9)
    assert best["textbook"]["milliseconds"] == pytest.approx(1e3 * 3 * 100**2)
    assert best["textbook_blas"]["milliseconds"] == pytest.approx(1e3 * 1.5 * 100**2)
    assert best["blocked"]["milliseconds"] == pytest.approx(1e3 * (2 * 100**2 / 10 + 2 * 100))
    assert best["blocked"]["bound"] == "memory"
    slow = rls_bench._roofline_ms(case(n_neurons=1, in_degree=100), 10, 2.0, 1e30, 1.0)
    assert slow["blocked"] == {
        "milliseconds": pytest.approx(1e3 * (100**2 + 200 + 4.5 * 102)),
        "bound": "arithmetic",
    }


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_peak_kernels_do_the_work_they_are_timed_for(dtype: type) -> None:
    for n_chains, run in ((6, roofline._run_six), (10, roofline._run_ten), (16, roofline._run_sixteen)):
        values = np.arange(18, dtype=dtype)
        values[:2] = 0.5, 1.0
        run(values, 3)
        expected = np.arange(2, 18) / 8 + 1.75  # x -> x / 2 + 1, three times
        np.testing.assert_allclose(values[2 : 2 + n_chains], expected[:n_chains])
    assert 0 < roofline.peak_fma_rate(np.dtype(dtype)) < np.inf
    assert 0 < roofline.streaming_bandwidth(np.dtype(dtype), 2**16) < np.inf


def test_trainings_take_turns_and_agree() -> None:
    tiny = TrainingCase(20, "float64", 1)
    algorithms = compare_algorithms(tiny)
    seconds = algorithms["seconds_per_loop"]
    assert algorithms["ratio"] == seconds["textbook_blas"] / seconds["blocked"]
    assert algorithms["correlation"]["blocked"] == pytest.approx(algorithms["correlation"]["textbook_blas"], abs=1e-6)
    assert compare_threads(tiny, 2)["same_curves"]


# ---- which rows, and in which process --------------------------------------------------------------------------------


def test_only_so_many_rows_are_measured_as_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"seconds": 1.0, "fewest_rounds": 2}
    monkeypatch.setattr(machine, "last_cache_bytes", lambda: 2**20)
    cases = benchmark.update_cases(available_mib=1e6, **options)
    assert [(c.n_neurons, c.in_degree) for c in cases[::4]] == list(benchmark.SIZES)
    assert len(cases) == 20
    for c in cases:
        assert c.matrix_bytes() <= benchmark.MATRIX_BYTES
        assert c.n_rows == c.n_neurons or c.matrix_bytes() > 0.9 * benchmark.MATRIX_BYTES
    monkeypatch.setattr(machine, "last_cache_bytes", lambda: 2**30)
    assert {c.n_rows for c in benchmark.update_cases(available_mib=1e6, **options)} == {200, 500, 1000, 2000, 10000}
    (large,) = benchmark.update_cases(
        sizes=((2000, 600),), intervals_ms=(2.0,), dtypes=("float64",), available_mib=100.0, **options
    )
    assert 3 * large.matrix_bytes() < 70 * 2**20
    with pytest.raises(ResourceError, match="choose fewer --rows"):
        benchmark.update_cases(sizes=((2000, 600),), most_rows=2000, available_mib=1000.0, **options)
    with pytest.raises(SpecError, match="1 <= K <= N"):
        benchmark.update_cases(sizes=((5, 6),), available_mib=1000.0, **options)


@pytest.mark.parametrize("kind", ["update", "threads"])
def test_every_number_comes_from_a_process_that_was_limited_before_it_started(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}

    def run(command: list[str], *, env: dict[str, str], **_: Any) -> Any:
        seen.update(command=command, env=env)
        return SimpleNamespace(returncode=0, stdout='{"ratio": 2.0}', stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    result = benchmark.measure_apart(kind, case())
    assert result["ratio"] == 2.0
    assert result["in_degree"] == 11
    assert [seen["env"][f"{name}_NUM_THREADS"] for name in ("OPENBLAS", "OMP")] == ["1", "1"]
    assert seen["command"][:4] == [sys.executable, "-m", "hpcspike", "bench"]
    assert json.loads(seen["command"][-1])["n_rows"] == 7


def test_a_measurement_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    with pytest.raises(ResourceError, match="'update' .* failed: TypeError: .*in_degree"):
        benchmark.measure_apart("update")


# ---- the command -----------------------------------------------------------------------------------------------------


def test_command_prints_a_table_and_stores_what_it_was_made_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    path = tmp_path / "bench.json"
    options = ["--sizes", "30,8", "--intervals", "2", "--dtypes", "float32", "--rows", "20", "--seconds", "1"]
    assert main(["bench", *options, "--no-trainings", "--json", str(path)]) == 0
    printed = capsys.readouterr().out
    result = json.loads(path.read_text())
    (row,) = result["updates"]
    assert report.update_line(row) in printed
    assert "20*" in report.update_line(row)
    assert result["machine"]["blas"]["threads"] == "1"
    assert result["machine"]["blas"]["core"] in printed
    assert result["machine"]["fma_rate"]["float32"] > 0
    assert str(tmp_path) not in path.read_text()  # it may be published
    assert main(["bench", "--markdown", str(path)]) == 0
    markdown = capsys.readouterr().out
    assert f"| 30, 8 | 2 ms | {row['milliseconds']['textbook_blas']:.3g} |" in markdown


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sizes", "500"], "must be N,K"),
        (["--sizes", "5,10"], "1 <= K <= N"),
        (["--markdown", "nothing.json"], "is not what 'hpcspike bench --json PATH'"),
        (["--json", "file/bench.json"], "is a file, not a folder"),
    ],
)
def test_bad_options_are_refused_before_anything_is_measured(
    options: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    monkeypatch.setattr(benchmark, "measure_apart", lambda *_: pytest.fail("measured"))
    assert main(["bench", *options]) == 2
    assert message in capsys.readouterr().err


# ---- README ----------------------------------------------------------------------------------------------------------


def row(dtype: str, n: int, ratio: float) -> dict[str, Any]:
    ms = {"textbook_blas": ratio, "textbook": 2.5, "blocked": 1.0}
    return {
        "n_neurons": n, "in_degree": 60, "interval_ms": 2.0, "dtype": dtype, "milliseconds": ms, "ratio_to_blas": ratio
    }  # fmt: skip


def test_readme_tables_have_a_row_per_network_and_all_columns() -> None:
    result = {
        "started": "2020-01-02T03:04:05+00:00",
        "machine": {
            "processor": "X", "last_cache_bytes": 2**20, "bandwidth": 1e9, "environment": {"OPENBLAS_CORETYPE": "Y"},
            "blas": {"library": "openblas", "version": "1", "core": "Y"}, "llvm": {"cpu": "x"},
            "versions": {"numba": "0"},
        },
        "updates": [row("float64", 200, 4.0), row("float32", 200, 5.04), row("float64", 500, 6.0)],
        "trainings": [
            {"n_neurons": 500, "dtype": "float64", "ratio": 2.0, "seconds_per_loop": {"textbook_blas": 2, "blocked": 1}}
        ],
        "threads": [{"n_neurons": 500, "dtype": "float64", "ratio": 1.9, "seconds_per_loop": {"1": 1.9, "2": 1}}],
    }  # fmt: skip
    lines = report.markdown(result).splitlines()
    assert "core type Y (forced)" in lines[0]
    assert "2020-01-02" in lines[0]
    assert lines[4:6] == [
        "| 200, 60 | 2 ms | 4 | 2.5 | 1 | **2.5** | 5.04 | 2.5 | 1 | **2.5** |",
        "| 500, 60 | 2 ms | 6 | 2.5 | 1 | **2.5** |  |  |  |  |",
    ]
    tables = [line for line in lines if line.startswith("|")]
    assert {line.count("|") for line in tables[:4]} == {11}
    assert {line.count("|") for line in tables[4:]} == {5}
    assert tables[-2].endswith("| 2 | 1 | **2.0** |")
    assert tables[-1].endswith("| 1.9 | 1 | **1.90** |")


def stored_tables() -> str:
    return report.markdown(json.loads(STORED.read_text()))


def bench_block(page: Path) -> str:
    return page.read_text().split("<!-- bench -->\n")[1].split("\n<!-- /bench -->")[0].strip()


def test_performance_in_the_guide_is_what_was_stored() -> None:
    shown = bench_block(ROOT / "cluster" / "guide" / "performance.md")
    assert shown == stored_tables(), f"write the output of 'hpcspike bench --markdown {STORED.relative_to(ROOT)}' there"


def test_the_readme_shows_the_rows_of_updates_every_2_ms() -> None:
    updates = stored_tables().partition("\n\n| whole training")[0].splitlines()
    expected = [line for line in updates if "| 10 ms |" not in line]
    assert len([line for line in expected if "| 2 ms |" in line]) == 5
    assert bench_block(ROOT / "README.md").splitlines() == expected
