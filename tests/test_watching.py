"""A sweep that is running, watched: as JSON, as a page that loads itself again, in logs, and told when it ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sweep_runs import planned, run, write_sweep
from sweep_stub import stub_point, sweep_document
from synthetic import synthetic_sweep

import hpcspike
from hpcspike.cli import main
from hpcspike.errors import ResourceError, SpecError
from hpcspike.exchange import MlflowLog, TensorBoardLog
from hpcspike.exchange.logs import log_to
from hpcspike.figures.progress import progress_map
from hpcspike.spec import validate_experiment
from hpcspike.sweep.batch import run_batch
from hpcspike.workflow.ending import tell_end
from hpcspike.workflow.sweeps import plan_jobs
from tests.drawn import title_of


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sweep of 12 points in 3 batches, of which the first is done."""
    monkeypatch.setattr("hpcspike.runs.point.run_point", stub_point)
    write_sweep(tmp_path, sweep_document())
    path = planned(tmp_path, sweep_document())
    run_batch(path, 0)
    return path


# ---- as JSON and as a page -------------------------------------------------------------------------------------------


def test_the_state_as_json_is_that_of_the_lines(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(store), "--json"]) == 0
    state = json.loads(capsys.readouterr().out)
    assert (state["kind"], state["points"], state["done"], state["batches_done"]) == ("sweep", 12, 4, 1)
    assert state["counts"]["learned"] == 4
    assert (state["failures"], state["finalized"], state["end"]) == ({}, False, None)


def test_the_page_loads_itself_again_until_all_is_done(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.html"
    pages = []

    def rest(seconds: float) -> None:
        assert seconds == 2
        pages.append(page.read_text())
        run_batch(store, len(pages))

    monkeypatch.setattr("hpcspike.commands.status.time", SimpleNamespace(sleep=rest))
    assert main(["status", str(store), "--html", str(page), "--watch", "2"]) == 0
    assert ["4 of 12" in text for text in pages] == [True, False]
    assert all('<meta http-equiv="refresh" content="2">' in text for text in pages)
    last = page.read_text()
    assert "12 of 12 networks finished" in last
    assert 'http-equiv="refresh"' not in last
    assert capsys.readouterr().out.splitlines() == [f"{page}: {done} of 12 points" for done in (4, 8, 12)]


def test_a_page_written_once_does_not_promise_more(store: Path, tmp_path: Path) -> None:
    assert main(["status", str(store), "--html", str(tmp_path / "page.html")]) == 0
    assert 'http-equiv="refresh"' not in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--html", "page.txt"], "--html page.txt: must end in .html"),
        (["--json", "--watch"], "--watch: --json says it once; leave one of them out"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    store: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", str(store), *options]) == 2
    assert words in capsys.readouterr().err


def test_cells_of_the_map_are_means_over_what_is_finished() -> None:
    sweep = synthetic_sweep(
        tau_syn_ms=(5.0, 20.0, 80.0), tau_corr_ms=(50.0, 100.0), replicates=2,
        unfinished=lambda p: (p["tau_syn_ms"] == 80.0) | ((p["tau_corr_ms"] == 100.0) & (p["replicate"] == 1)),
    )  # fmt: skip
    axes = progress_map(sweep).axes[0]
    (mesh,) = axes.collections
    drawn = np.ma.masked_invalid(np.asarray(mesh.get_array())).reshape(2, 3)
    for row, tau_corr in enumerate((50.0, 100.0)):
        for column, tau_syn in enumerate((5.0, 20.0)):
            chosen = (sweep.tau_corr_ms == tau_corr) & (sweep.tau_syn_ms == tau_syn) & (sweep.done == 1)
            assert drawn[row, column] == pytest.approx(float(sweep.correlation.where(chosen).mean()))
    assert drawn.mask[:, 2].all()
    assert sorted(text.get_text() for text in axes.texts) == ["0/2", "0/2", "1/2", "1/2"]
    assert title_of(axes) == "6 of 12 networks finished"


@pytest.mark.parametrize("axes", [{}, {"n_neurons": (100, 200, 300)}])
def test_sweeps_of_one_or_no_parameter_are_drawn(axes: dict[str, Any]) -> None:
    assert len(progress_map(synthetic_sweep(**axes)).axes) == 2


# ---- logs ------------------------------------------------------------------------------------------------------------


class Noted:
    """A stand-in for both programs: it notes what it is told."""

    def __init__(self, *given: Any) -> None:
        self.given, self.calls = given, []

    def __getattr__(self, name: str) -> Any:
        def called(*arguments: Any, **keywords: Any) -> Any:
            self.calls.append((name, *arguments, *keywords.values()))
            runs = sum(call[0] == "create_run" for call in self.calls)
            return {"create_run": SimpleNamespace(info=SimpleNamespace(run_id=f"run {runs}"))}.get(name)

        return called


def noting(monkeypatch: pytest.MonkeyPatch, module: str, name: str) -> list[Noted]:
    made: list[Noted] = []

    def make(*given: Any) -> Noted:
        made.append(Noted(*given))
        return made[-1]

    stand_in = ModuleType(module)
    setattr(stand_in, name, make)
    monkeypatch.setitem(sys.modules, module, stand_in)
    return made


def test_loops_go_to_tensorboard_as_they_are_done(
    monkeypatch: pytest.MonkeyPatch, tiny_document: dict[str, Any], tmp_path: Path
) -> None:
    made = noting(monkeypatch, "tensorboardX", "SummaryWriter")
    log = TensorBoardLog(tmp_path / "tb")
    network = hpcspike.run(validate_experiment(tiny_document), on_loop=log.on_loop)
    log.close()
    (writer,) = made
    assert writer.given == (str(tmp_path / "tb"),)
    wanted = [
        ("add_scalar", "loop/correlation", float(v), k) for k, v in enumerate(network["curve_correlation"].values)
    ]
    assert [call for call in writer.calls if call[1:2] == ("loop/correlation",)] == wanted
    assert writer.calls[-1] == ("close",)


def test_points_of_a_batch_go_to_a_log_of_its_own(store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = noting(monkeypatch, "tensorboardX", "SummaryWriter")
    assert main(["run-batch", str(store), "--batch", "1", "--log", f"tensorboard:{tmp_path / 'tb'}"]) == 0
    (writer,) = made
    assert writer.given == (str(tmp_path / "tb" / "batch-0001"),)
    sweep = hpcspike.open_sweep(store)
    for row in (4, 5, 6, 7):
        value = float(sweep["correlation"].sel(point=row)) if "point" in sweep.indexes else None
        calls = [call for call in writer.calls if call[:2] == ("add_scalar", "point/correlation") and call[3] == row]
        assert len(calls) == 1
        assert value is None or calls[0][2] == value


def test_every_point_is_a_run_of_mlflow_with_its_fields(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = noting(monkeypatch, "mlflow", "MlflowClient")
    assert main(["run-batch", str(store), "--batch", "2", "--log", "mlflow:mine"]) == 0
    (client,) = made
    calls = client.calls
    assert ("get_experiment_by_name", "mine") in calls
    assert [call[2] for call in calls if call[0] == "create_run"] == [f"point {row}" for row in (8, 9, 10, 11)]
    assert ("log_param", "run 1", "network.n_neurons", "20") in calls
    assert sum(call[0] == "log_metric" and call[2] == "correlation" for call in calls) == 4
    assert [call[1] for call in calls if call[0] == "set_terminated"] == [f"run {k}" for k in (1, 2, 3, 4)]


def test_a_training_is_one_run_of_mlflow(monkeypatch: pytest.MonkeyPatch, tiny_document: dict[str, Any]) -> None:
    made = noting(monkeypatch, "mlflow", "MlflowClient")
    experiment = validate_experiment(tiny_document)
    log = MlflowLog("mine", experiment=experiment)
    log.on_loop(0, {"correlation": 0.5, "seconds": float("nan")})
    log.on_loop(1, {"correlation": 0.6})
    log.close()
    log.close()
    calls = made[0].calls
    metrics = [call for call in calls if call[0] == "log_metric"]
    assert metrics == [
        ("log_metric", "run 1", "loop_correlation", 0.5, 0),
        ("log_metric", "run 1", "loop_correlation", 0.6, 1),
    ]
    assert [call for call in calls if call[0] == "set_terminated"] == [("set_terminated", "run 1")]


def test_the_real_tensorboard_reads_what_is_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason="needs the extra tensorboard")
    log = TensorBoardLog(tmp_path)
    log.on_loop(3, {"correlation": 0.25})
    log.close()
    (file,) = tmp_path.iterdir()
    from tensorboardX.proto.event_pb2 import Event

    data, events = file.read_bytes(), []
    while data:  # length, checksum, record, checksum
        length = int.from_bytes(data[:8], "little")
        events.append(Event.FromString(data[12 : 12 + length]))
        data = data[16 + length :]
    scalars = [(event.step, value.tag, value.simple_value) for event in events for value in event.summary.value]
    assert scalars == [(3, "loop/correlation", 0.25)]


def test_the_real_mlflow_keeps_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs the extra mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'ml.db'}")
    log = MlflowLog("mine")
    log.on_loop(0, {"correlation": 0.25})
    log.close()
    client = mlflow.MlflowClient()
    (found,) = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"loop_correlation": 0.25})


@pytest.mark.parametrize("where", ["", "tensorboard", "tensorboard:", "wandb:mine", ":x"])
def test_what_names_no_log_is_refused(where: str) -> None:
    with pytest.raises(SpecError, match="must be tensorboard:FOLDER or mlflow:EXPERIMENT"):
        log_to(where)


@pytest.mark.parametrize(("where", "module"), [("tensorboard:x", "tensorboardX"), ("mlflow:x", "mlflow")])
def test_what_is_not_installed_is_said(where: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ResourceError, match=r"install it with pip install 'hpcspike\["):
        log_to(where)


# ---- the end, and equal needs ----------------------------------------------------------------------------------------


def test_the_end_is_told_with_the_state_of_the_sweep(store: Path, tmp_path: Path) -> None:
    jobs = plan_jobs(tmp_path / "sweep.yaml", results=store.parent)
    told = tmp_path / "told.txt"
    tell_end(f"(echo $HPCSPIKE_OUTCOME $HPCSPIKE_SWEEP $HPCSPIKE_STORE; cat) > {told}", jobs, outcome="failed")
    first, _, rest = told.read_text().partition("\n")
    assert first == f"failed little {store}"
    assert (json.loads(rest)["outcome"], json.loads(rest)["done"]) == ("failed", 4)


def test_a_command_that_fails_at_the_end_is_said_and_no_more(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = plan_jobs(tmp_path / "sweep.yaml", results=store.parent)
    tell_end("exit 7", jobs, outcome="done")
    assert "at_end: Command 'exit 7' returned non-zero exit status 7" in capsys.readouterr().err
    tell_end("", jobs, outcome="done")
    assert capsys.readouterr() == ("", "")


def test_equal_needs_are_those_of_the_largest_batch_and_grow_with_each_try(tmp_path: Path) -> None:
    document = sweep_document(axes={"network.n_neurons": [30, 3000]}, replicates=1, batching={"max_points": 1})
    config = write_sweep(tmp_path, document)
    own, equal = (plan_jobs(config, results=tmp_path, equal_needs=equal) for equal in (False, True))
    assert own.memory(0) > own.memory(1)  # the largest goes first
    assert equal.memory(0) == equal.memory(1) == own.memory(0)
    assert equal.minutes(0) == equal.minutes(1) == own.minutes(0)
    assert equal.memory(0, attempt=2) > equal.memory(0)


@pytest.mark.workflow
def test_the_workflow_logs_and_tells_its_end(tmp_path: Path) -> None:
    pytest.importorskip("snakemake", reason="needs the extra workflow")
    pytest.importorskip("tensorboardX", reason="needs the extra tensorboard")
    document = sweep_document(axes={"network.n_neurons": [20]}, replicates=1)
    write_sweep(tmp_path, document)
    (tmp_path / "workflow.yaml").write_text("at_end: cat > told.json\nlog: tensorboard:tb\n")
    code, output = run(tmp_path, "results/little.zarr.receipts/finalized.json")
    assert code == 0, output
    assert json.loads((tmp_path / "told.json").read_text())["outcome"] == "done"
    assert len(list((tmp_path / "tb" / "batch-0000").iterdir())) == 1
