"""Every figure of the paper at its smallest size: networks, tables, figures, and the claims measured in them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import pandas as pd
import pytest

from hpcspike.cli import main
from hpcspike.spec.load import load
from hpcspike.spec.study import Study
from hpcspike.spec.sweep import Sweep
from hpcspike.studies.headlines import HEADLINES
from hpcspike.sweep.batch import run_batch
from hpcspike.sweep.growth import ensure_store

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "cluster" / "config"


def named(kind: str) -> list[str]:
    """The list of studies or sweeps in the workflow of the paper's figures."""
    found = re.search(rf"^{kind} = \[(.*?)\]", (ROOT / "cluster" / "paper.smk").read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None
    return re.findall(r'"(\w+)"', found[1])


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("paper")


def test_the_workflow_knows_every_study_and_sweep_of_the_project() -> None:
    loaded = {path.stem: load(path, size="smoke") for path in CONFIG.glob("*.yaml") if "smoke:" in path.read_text()}
    studies = {name for name, config in loaded.items() if isinstance(config, Study)}
    of_readings = {
        "start_plane",
        "lesion",
        "alm_readings",
        "fig5_recordings",
        "kim2023_spread",
    }  # no figures of the paper
    assert studies == {*named("STUDIES"), *named("LEARNER_STUDIES"), *HEADLINES, *of_readings}
    sweeps = {name for name, config in loaded.items() if isinstance(config, Sweep)}
    assert set(named("SWEEPS")) <= sweeps


@pytest.mark.parametrize("name", named("STUDIES"))
def test_a_study_gives_its_figures(results: Path, name: str) -> None:
    folder = results / name
    assert main(["study", str(CONFIG / f"{name}.yaml"), "--size", "smoke", "--out", str(folder)]) == 0
    with matplotlib.rc_context({"savefig.dpi": 40}):
        assert main(["plot", str(folder / "study.nc"), "--out", str(folder / "figures")]) == 0
    drawn = {path.stem for path in (folder / "figures").glob("*.png")}
    assert {"examples", "curves", "performance"} <= drawn
    probes = load(CONFIG / f"{name}.yaml", size="smoke").probes  # type: ignore[union-attr]
    expected = {"quasi_static", "lesion", "shuffle", "perturbation", "recall", "heterogeneity"}
    assert {probe for probe in expected if getattr(probes, probe) is not None} <= drawn
    page = ["--figures", str(folder / "figures"), "--captions", str(ROOT / "cluster" / "report")]
    assert main(["report", str(folder / "study.nc"), *page, "--out", str(folder / "page.html")]) == 0
    assert (folder / "page.html").read_text().count("<img ") == len(drawn)


@pytest.mark.parametrize("name", named("SWEEPS"))
def test_a_sweep_gives_its_points(results: Path, name: str) -> None:
    sweep = load(CONFIG / f"{name}.yaml", size="smoke")
    assert isinstance(sweep, Sweep)
    store, _ = ensure_store(results / f"{name}.zarr", sweep)
    for batch in range(len(store.batches)):
        run_batch(results / f"{name}.zarr", batch)
    assert main(["finalize", str(results / f"{name}.zarr")]) == 0


def test_the_maps_of_fig_4_are_of_untrained_and_trained_networks(results: Path) -> None:
    store = results / "fig4_maps.zarr"
    if not store.exists():
        pytest.skip("the sweep above was not run")
    assert main(["plot", str(store), "--out", str(results / "maps")]) == 0
    assert {"map_best", "map_quasi_static"} <= {path.stem for path in (results / "maps").glob("*.png")}


def test_the_claims_are_measured_in_all_of_them(results: Path) -> None:
    """After the tests above; nothing here says that so small networks learn."""
    tables = [str(results / name / "table.nc") for name in named("STUDIES")]
    stores = [str(results / f"{name}.zarr") for name in named("SWEEPS")]
    if not all(Path(path).exists() for path in (*tables, *stores)):
        pytest.skip("the studies and sweeps above were not all run")
    assert main(["claims", *tables, *stores, "--out", str(results / "claims")]) == 0
    claims = pd.read_csv(results / "claims" / "claims.csv")
    # so small networks recall nothing that losses (claim 8) could take from them
    assert set(range(1, 14)) - {8} <= set(claims["claim"])
    page = (results / "claims" / "claims.md").read_text()
    assert "STAND-IN" in page  # Fig 5 is of made-up rates here


@pytest.mark.workflow
def test_the_workflow_runs_a_figure_and_plans_all_of_them(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "2"]
    smoke = ["--config", "size=smoke", "results=my results"]
    planned = subprocess.run(
        [*command, "-n", "figures", "claims", *smoke], cwd=tmp_path, capture_output=True, text=True, timeout=200
    )
    assert planned.returncode == 0, planned.stdout + planned.stderr
    for rule in ("figures_of_study", "page_of_study", "fig7_page", "fig7_finalize", "fig4_maps_draw", "claims"):
        assert rule in planned.stdout
    ran = subprocess.run([*command, "fig3s3", *smoke], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (tmp_path / "my results" / "fig3s3_smoke" / "figures" / "examples.png").exists()
    assert (tmp_path / "my results" / "fig3s3_smoke" / "fig3s3_smoke.html").exists()
    again = subprocess.run([*command, "fig3s3", *smoke], cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert "Nothing to be done" in again.stdout + again.stderr
