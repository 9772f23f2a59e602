"""A user's own code: what belongs to its identity, and that a store never runs any of it unasked."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import hpcspike
from hpcspike import neurons, plugins
from hpcspike.cli import main
from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.errors import DataError, Interrupted, SpecError, StoreError
from hpcspike.identity import canonical, experiment_hash
from hpcspike.spec.experiment import Experiment, UserNeuron
from hpcspike.spec.load import load
from hpcspike.spec.sweep import Sweep
from hpcspike.sweep.batch import run_batch
from hpcspike.sweep.growth import ensure_store
from hpcspike.workflow.sweeps import plan_jobs
from tests.mpi_launch import ROOT

STEP = """
def step(state, parameters, drive, external, step_ms):
    tau, threshold = parameters
    state[0] += step_ms / tau * (drive + external - state[0])
    if state[0] > threshold:
        state[0] = 0.0
        return True
    return False
"""
MODEL = """
import numpy as np
from hpcspike.neurons import NeuronModel
from {module} import step

def start(phase, parameters):
    return np.stack([phase / 7.0 * parameters["threshold"]])

leaky = NeuronModel(step=step, parameters={{"tau": 10.0, "threshold": {threshold}}}, initial_state=start)
"""
TINY: dict[str, Any] = {
    "network": {"n_neurons": 12},
    "connectivity": {"kind": "gaussian", "probability": 0.5},
    "targets": {"kind": "sine", "duration_ms": 20.0},
    "stimulus": {"duration_ms": 5.0},
    "protocol": {"free_run_ms": 5.0, "test_free_run_ms": 5.0},
    "training": {"n_loops": 1},
    "measures": {"n_test_trials": 1, "n_clamped_trials": 1},
}


NUMBER = itertools.count()


def write(folder: Path, *, threshold: str = "0.2", step: str = STEP, name: str | None = None, **files: str) -> Path:
    """A YAML file whose neuron model lies in ``model.py``, and its step function in a neighbour of that file."""
    folder.mkdir(parents=True, exist_ok=True)
    module = f"step_{next(NUMBER)}" if name is None else name  # Python keeps one module of a name
    (folder / "model.py").write_text(MODEL.format(module=module, threshold=threshold))
    (folder / f"{module}.py").write_text(step)
    for other, text in files.items():
        (folder / f"{other}.py").write_text(text)
    neuron = {"model": "user", "source": "model.py:leaky", "bias": 0.5}
    (folder / "own.yaml").write_text(yaml.safe_dump({"neuron": neuron, **TINY}))
    return folder / "own.yaml"


def experiment(folder: Path, **changes: str) -> Experiment:
    loaded = load(write(folder, **changes))
    assert isinstance(loaded, Experiment)
    return loaded


def section(folder: Path, **changes: str) -> dict[str, Any]:
    """The neuron in the identity, without the names of modules, which differ from folder to folder."""
    found: dict[str, Any] = canonical(experiment(folder, **changes))["neuron"]
    source = found.pop("source")
    return {**found, "named": source.rpartition(":")[2], "imports": list(found.get("imports", {}).values())}


def test_a_parameter_defined_beside_the_step_function_changes_the_identity(tmp_path: Path) -> None:
    first, second = section(tmp_path / "a"), section(tmp_path / "b", threshold="0.6")
    assert first["parameters"] == {"tau": 10.0, "threshold": 0.2}
    assert second["parameters"] == {"tau": 10.0, "threshold": 0.6}
    assert first["imports"] == second["imports"]


def test_an_imported_file_changes_the_identity_and_its_import_of_another_too(tmp_path: Path) -> None:
    plain = section(tmp_path / "a")
    assert len(plain["imports"]) == 1
    changed = section(tmp_path / "b", step=STEP + "\n# another comment\n")
    assert changed["imports"] != plain["imports"]
    through = {"step": "from far_step import step\n", "far_step": STEP}
    assert len(section(tmp_path / "c", **through)["imports"]) == 2


def test_imports_inside_functions_and_by_a_written_name_count(tmp_path: Path) -> None:
    step = "import importlib\nfar = importlib.import_module('far_written')\nstep = far.step\n"
    late = STEP + "\ndef never():\n    import late_import\n"
    found = section(tmp_path / "d", step=step, far_written=late, late_import="x = 1\n")
    assert len(found["imports"]) == 3
    assert "late_import" not in sys.modules


def test_packages_with_relative_imports_count_with_their_init_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "fancy_neurons"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "model.py").write_text(MODEL.format(module=".steps", threshold="0.2"))
    (package / "steps.py").write_text("from . import constants\n" + STEP)
    (package / "constants.py").write_text("ONE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = plugins.files("fancy_neurons.model:leaky", key="neuron.source")
    assert list(found) == ["fancy_neurons", "fancy_neurons.constants", "fancy_neurons.steps", "file"]


def test_installed_packages_and_the_standard_library_do_not_count(tmp_path: Path) -> None:
    names = {"step": "import json, scipy, yaml, hpcspike.measures\n" + STEP}
    assert len(section(tmp_path / "e", **names)["imports"]) == 1


def test_identical_code_elsewhere_is_the_same_experiment(tmp_path: Path) -> None:
    for folder in ("one/f", "two/f"):
        write(tmp_path / folder, name="step_of_both")
    program = (
        "import sys; from hpcspike.spec import load; from hpcspike.identity import experiment_hash; "
        "print(experiment_hash(load(sys.argv[1])))"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / folder / "own.yaml")],
            capture_output=True, text=True, check=True, cwd=ROOT,
        ).stdout
        for folder in ("one/f", "two/f")
    }  # fmt: skip
    assert len(hashes) == 1


def test_neighbours_of_one_name_in_two_folders_are_refused(tmp_path: Path) -> None:
    for folder, module in (("g", "shared_name"), ("h", "shared_name")):
        write(tmp_path / folder, name=module)
    plugins.find(f"{tmp_path}/g/model.py:leaky", key="neuron.source")
    with pytest.raises(SpecError, match=r"imports 'shared_name', of which Python has another one already \(.*/g/"):
        plugins.find(f"{tmp_path}/h/model.py:leaky", key="neuron.source")


def test_parameters_count_as_the_neurons_have_them(tmp_path: Path) -> None:
    def parameters(folder: str, threshold: str, n: int | None = 12) -> Any:
        found = experiment(tmp_path / folder, threshold=threshold)
        return neurons.identity(found.neuron, n)["parameters"]["threshold"]  # type: ignore[arg-type]

    halves, thirds = "lambda i: 0.2 + i / 2", "lambda i: 0.2 + i / 3"
    assert parameters("i", halves) == parameters("j", "lambda i: 0.2 + 0.5 * i") != parameters("k", thirds)
    assert parameters("i", halves) != parameters("i", halves, n=11)
    assert parameters("i", halves, n=None) != parameters("k", thirds, n=None)  # by code where N is not known


def test_given_and_default_parameters_of_one_value_are_one_experiment(tmp_path: Path) -> None:
    plain = experiment(tmp_path / "l")
    given = plain.changed(**{"neuron.parameters": {"threshold": 0.2}})
    other = plain.changed(**{"neuron.parameters": {"threshold": 0.3}})
    assert experiment_hash(given) == experiment_hash(plain) != experiment_hash(other)


def test_numbers_that_the_step_function_takes_from_outside_count(tmp_path: Path) -> None:
    step = "import os\nGAIN = float(os.environ['GAIN_OF_TEST'])\n" + STEP.replace(
        "step_ms / tau", "GAIN * step_ms / tau"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAIN_OF_TEST", "1.5")
        assert section(tmp_path / "m", step=step)["constants"] == {"GAIN": 1.5}


def test_a_model_without_a_file_counts_by_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    import types

    def source_of(threshold: str) -> str:
        module = types.ModuleType("notebook_of_test")  # as the cells of a notebook are
        exec(STEP.replace("threshold:", f"{threshold}:") + MODEL.format(module="json", threshold=1.0).replace(
            "from json import step", ""), module.__dict__)  # fmt: skip
        monkeypatch.setitem(sys.modules, "notebook_of_test", module)
        found = neurons.identity(UserNeuron(model="user", source="notebook_of_test:leaky"), 3)
        return str(found["source"])

    assert source_of("threshold") == source_of("threshold") != source_of("2 * threshold")


def test_identities_of_experiments_without_user_code_are_as_ever() -> None:
    plain = Experiment.model_validate(TINY)
    assert set(canonical(plain)["neuron"]) == {"model", "tau_ms", "step_ms", "bias"}
    assert experiment_hash(plain) == "573ae1b8d746dfc1a8b999b8ef6f0fc789e1323cb0b27d34f017c905716f427c"


def test_a_checkpoint_of_another_model_is_refused_by_the_name_of_the_parameter(tmp_path: Path) -> None:
    first = experiment(tmp_path / "n" / "same")
    with pytest.raises(Interrupted):
        hpcspike.train(hpcspike.build_problem(first), checkpoints=Checkpoints(tmp_path / "saved", stop_after_steps=12))
    (tmp_path / "o").mkdir()
    second = experiment(tmp_path / "o" / "other", threshold="0.6")
    with pytest.raises(StoreError, match=r"neuron.parameters.threshold is 0.2 there and 0.6 here"):
        hpcspike.train(hpcspike.build_problem(second), checkpoints=Checkpoints(tmp_path / "saved"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nothing.py:leaky", "nothing.py:leaky: no such file; paths start at the folder of the YAML file"),
        ("no.such:leaky", "no.such:leaky: no module 'no' is found; install it"),
        ("json:leaky", "json:leaky: json has no 'leaky'"),
        ("leaky", "leaky: must be package.module:name or path/file.py:name"),
    ],
)
@pytest.mark.parametrize("key", ["neuron.source", "learner.path"])
def test_what_is_not_there_is_refused_by_key_and_source(source: str, message: str, key: str) -> None:
    with pytest.raises(SpecError, match=f"^{key} = {message}"):
        plugins.find(source, key=key)


@pytest.mark.parametrize("text", ["import sys; sys.exit(3)", "raise ValueError('x')", "1 +"])
def test_a_file_that_cannot_be_run_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "broken.py").write_text(text)
    with pytest.raises(
        SpecError, match="neuron.source = .*broken.py:leaky: running .* fails: (SystemExit|ValueError|SyntaxError)"
    ):
        plugins.find(f"{tmp_path}/broken.py:leaky", key="neuron.source")
    assert not any("broken_" in name for name in sys.modules)


HOSTILE = """
import numpy as np
from pathlib import Path
from hpcspike.learners.interface import Learner
from hpcspike.neurons import NeuronModel
(Path(__file__).parent / "was_run").touch()
{step}
leaky = NeuronModel(
    step=step, parameters={{"tau": 10.0, "threshold": 0.2}}, initial_state=lambda phase, p: phase[None, :] / 7.0
)
class Mine(Learner):
    pass
"""


def hostile_store(folder: Path, *, finished: bool, learner: bool = False) -> Path:
    """A store that names code, which writes a file when it is run; all done but for the code's own file."""
    (folder / "hostile.py").write_text(HOSTILE.format(step=STEP))
    named = {"learner": {"kind": "user", "path": "hostile.py:Mine"}} if learner else {}
    neuron = {} if learner else {"neuron": {"model": "user", "source": "hostile.py:leaky", "bias": 0.5}}
    document = {"name": "sent", "replicates": 2, "experiment": {**TINY, **neuron, **named}}
    document["axes"] = {"synapse.tau_syn_ms": [10.0, 20.0]}
    (folder / "sent.yaml").write_text(yaml.safe_dump(document))
    sweep = load(folder / "sent.yaml")
    assert isinstance(sweep, Sweep)
    store = folder / "sent.zarr"
    ensure_store(store, sweep)
    if finished:
        run_batch(store, 0, run_user_code=True)
    assert (folder / "was_run").exists()
    (folder / "was_run").unlink()
    return store


VERBS = """
import contextlib, io, json, sys
import hpcspike
from hpcspike.cli import main
store, out, config = sys.argv[1:]
def python(call):
    try:
        call()
    except hpcspike.HpcspikeError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0
def verb(*arguments):
    return lambda: main([str(a) for a in arguments])
verbs = {
    "status": verb("status", store), "finalize": verb("finalize", store),
    "analyse": verb("analyse", store, "--out", out + "/tables"), "plot": verb("plot", store, "--out", out + "/figures"),
    "report": verb("report", store, "--out", out + "/page.html", "--retrain-below", 10),
    "export": verb("export", store, out + "/points.nc"),
    "plan another": verb("plan", config, "--store", store),
    "add another": verb("plan", config, "--store", store, "--create"),
    "show": verb("show", store, "--point", 0, "--out", out + "/point.png"),
    "run-batch": verb("run-batch", store, "--batch", 0),
    "open_sweep": lambda: python(lambda: hpcspike.open_sweep(store, complete_only=False, provenance=True).load()),
    "retrain": lambda: python(lambda: hpcspike.retrain(store, point=0)),
}
found = {}
for name, work in verbs.items():
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(io.StringIO()):
        code = work()
    found[name] = (code, said.getvalue())
print(json.dumps(found))
"""


def every_verb(store: Path, folder: Path) -> dict[str, tuple[int, str]]:
    (folder / "out").mkdir()
    (folder / "mine.yaml").write_text(yaml.safe_dump({"name": "mine", "experiment": TINY}))
    arguments = [str(store), str(folder / "out"), str(folder / "mine.yaml")]
    ended = subprocess.run(
        [sys.executable, "-c", VERBS, *arguments], capture_output=True, text=True, check=True, cwd=ROOT
    )
    found: dict[str, tuple[int, str]] = json.loads(ended.stdout.splitlines()[-1])
    return found


def test_no_verb_runs_code_of_a_finished_store_unasked(tmp_path: Path) -> None:
    store = hostile_store(tmp_path, finished=True)
    found = every_verb(store, tmp_path)
    assert not (tmp_path / "was_run").exists()
    codes = {name: code for name, (code, _) in found.items()}
    refused = {"add another", "show", "retrain"}  # all points are there already: run-batch has nothing to run
    assert codes == {name: 2 if name in refused else 0 for name in codes}
    for name in ("show", "retrain", "report"):
        assert f"neuron.source = {tmp_path / 'hostile.py'}:leaky (the file {tmp_path / 'hostile.py'})" in found[name][1]
        assert "--run-user-code (in Python run_user_code=True)" in found[name][1]


@pytest.mark.parametrize("learner", [False, True])
def test_no_verb_runs_code_of_an_unfinished_store_unasked(tmp_path: Path, learner: bool) -> None:
    store = hostile_store(tmp_path, finished=False, learner=learner)
    found = every_verb(store, tmp_path)
    assert not (tmp_path / "was_run").exists()
    key = f"learner.path = {tmp_path}/hostile.py:Mine" if learner else f"neuron.source = {tmp_path}/hostile.py:leaky"
    for name in ("show", "retrain", "run-batch"):
        assert found[name][0] == 2
        assert key in found[name][1]


def test_with_the_flag_a_stores_code_is_run_if_it_is_what_was_planned(tmp_path: Path) -> None:
    store = hostile_store(tmp_path, finished=False)
    assert main(["run-batch", str(store), "--batch", "0", "--run-user-code"]) == 0
    network = hpcspike.retrain(store, point=0, run_user_code=True)
    assert network.attrs["comparison"].startswith("equal to the sweep bit for bit")
    arguments = ["show", str(store), "--point", "1", "--out", str(tmp_path / "one.png"), "--run-user-code"]
    assert main(arguments) == 0
    (tmp_path / "hostile.py").write_text(HOSTILE.format(step=STEP).replace("0.2}", "0.4}"))
    for name in [name for name in sys.modules if "hostile" in name]:
        del sys.modules[name]
    with pytest.raises(
        StoreError, match=r"point 0 is no longer the experiment.*hostile.py:leaky, a file that it imports"
    ):
        hpcspike.retrain(store, point=0, run_user_code=True)
    assert main(arguments) == 2


def test_show_ends_with_3_where_the_numbers_are_not_those_of_the_sweep(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import zarr

    sweep = Sweep.model_validate({"name": "plain", "experiment": TINY})
    store = tmp_path / "plain.zarr"
    ensure_store(store, sweep)
    run_batch(store, 0)
    arguments = ["show", str(store), "--out", str(tmp_path / "plain.png")]
    assert main(arguments) == 0
    array = zarr.open_group(store, mode="r+")["correlation"]
    array[0] = array[0] + 0.125  # type: ignore[index, operator]
    assert main(arguments) == 3
    assert "differs from the sweep in 1 of" in capsys.readouterr().out


def test_the_workflow_consents_for_the_sweep_it_is_given_and_starts_anew_when_its_code_changes(tmp_path: Path) -> None:
    jobs = {}
    for folder, threshold in (("p", "0.2"), ("q", "0.5")):
        config = write(tmp_path / folder, threshold=threshold)
        document = {"name": "own", "experiment": yaml.safe_load(config.read_text())}
        (tmp_path / folder / "sweep.yaml").write_text(yaml.safe_dump(document))
        jobs[folder] = plan_jobs(tmp_path / folder / "sweep.yaml", results=tmp_path)
    assert jobs["p"].runs_user_code
    assert jobs["p"].identity != jobs["q"].identity
    (tmp_path / "plain.yaml").write_text(yaml.safe_dump({"name": "plain", "experiment": TINY}))
    assert not plan_jobs(tmp_path / "plain.yaml", results=tmp_path).runs_user_code


@pytest.mark.parametrize(
    "axes",
    [
        {"neuron": [{"model": "lif"}, {"model": "user", "source": "json:a"}]},
        {"neuron.source": ["json:a"]},
    ],
)
def test_code_named_by_an_axis_is_found(axes: dict[str, Any]) -> None:
    sweep = Sweep.model_validate({"experiment": TINY, "axes": axes})
    assert plugins.sources_in(sweep) == [("neuron.source", "json:a")]


def test_a_recording_whose_chunks_are_pickles_is_not_read(tmp_path: Path) -> None:
    import numcodecs
    import zarr

    group = zarr.open_group(tmp_path / "sent.zarr", mode="w", zarr_format=2)
    for name, values in (("rates", np.ones((3, 40))), ("time", np.arange(40.0)), ("unit", np.arange(3))):
        coded = {"filters": [numcodecs.Pickle()], "compressors": None} if name == "rates" else {}
        array = group.create_array(name, shape=values.shape, dtype=values.dtype, **coded)  # type: ignore[arg-type]
        array.attrs["_ARRAY_DIMENSIONS"] = ["unit", "time"] if name == "rates" else [name]
        if name != "rates":
            array[:] = values
    targets = {"kind": "recorded", "path": str(tmp_path / "sent.zarr"), "variable": "rates", "holds": "rate"}
    document = {**TINY, "network": {}, "targets": targets, "training": {"variable": "rate"}}
    with pytest.raises(DataError, match="pickle"):
        hpcspike.build_problem(Experiment.model_validate(document))
    assert "pickle" in numcodecs.registry.codec_registry
