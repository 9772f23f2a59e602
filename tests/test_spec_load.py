"""What a person reads when a config says something that cannot be run."""

from __future__ import annotations

import copy
import hashlib
import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import yaml
from pydantic import BaseModel, ValidationError
from sweep_stub import sweep_document

from hpcspike import identity
from hpcspike.errors import DataError, SpecError
from hpcspike.identity import canonical, experiment_hash
from hpcspike.model.build import build_problem
from hpcspike.spec import Experiment, Sweep, load, validate_experiment, validate_sweep
from hpcspike.spec.documents import set_dotted
from hpcspike.spec.study import Study


def changed(document: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A copy with ``section__key`` set."""
    document = copy.deepcopy(document)
    for key, value in changes.items():
        set_dotted(document, key.replace("__", "."), value)
    return document


@pytest.fixture
def document(tiny_document: dict[str, Any]) -> dict[str, Any]:
    return tiny_document


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"synapse__tau_sin_ms": 5}, "synapse.tau_sin_ms: unknown key; did you mean 'tau_syn_ms'?"),
        ({"trainin": {}}, "trainin: unknown key; did you mean 'training'?"),
        ({"synapse__tau_syn_ms": 0}, "synapse.tau_syn_ms = 0: must be greater than 0 ms"),
        ({"synapse__tau_syn_ms": -3.5}, "synapse.tau_syn_ms = -3.5: must be greater than 0 ms"),
        ({"neuron__step_ms": 50.0}, "neuron.step_ms = 50 ms is larger than synapse.tau_syn_ms = 20 ms"),
        (
            {"training__update_interval_ms": 2.5},
            "update_interval_ms = 2.5 ms is not a multiple of neuron.step_ms = 1 ms",
        ),
        ({"network__n_neurons": 1}, "network.n_neurons = 1: must be greater than or equal to 2"),
        ({"network__n_neurons": None}, "network.n_neurons is missing"),
        ({"connectivity__probability": 0}, "connectivity.probability = 0: must be greater than 0"),
        ({"connectivity__probability": 1.01}, "connectivity.probability = 1.01: must be less than or equal to 1"),
        ({"targets__duration_ms": 1.0}, "targets.duration_ms = 1 ms is shorter than one update interval of 2 ms"),
        (
            {"neuron": {"model": "lif", "by_neuron": {"threshold": {"excitatory": 1.0}}}},
            "neuron.by_neuron.threshold = {'excitatory': 1.0}: must be N numbers",
        ),
        (
            {"training__subset": {"match": "rates"}},
            "training.subset.match = 'rates': must be 'rate' or 'order', or a list",
        ),
        ({"training__subset": {"match": [1, -2]}}, "my.yaml: training.subset.match.1 = -2: must be greater than"),
        (
            {"targets__kind": "sinus"},
            "targets.kind = 'sinus': must be one of sine, sine_product, ou, chaotic, innate, driven, "
            "store_recall, delayed_xor, digits, autoencoder, functions, navigation, recorded",
        ),
        ({"targets": {"duration_ms": 100}}, "targets.kind is missing: must be one of sine,"),
        ({"neuron__model": "hh"}, "neuron.model = 'hh': must be one of theta, lif, izhikevich, glif, tanh, user"),
        ({"targets": 7}, "targets = 7: must be a section, that is a mapping of keys to values"),
        ({"network": [1]}, "network = [1]: must be a section"),
        ({"training__n_loops": 2.5}, "training.n_loops = 2.5: must be a whole number"),
        ({"name": "two\nlines"}, "name = two\\nlines: must be one line of printable text"),
        ({"name": "x" * 251}, "must have at most 250 characters, not 251"),
        ({"training__variable": "spikes"}, "training.variable = 'spikes': must be 'drive' or 'rate'"),
        ({"synapse__tau_syn_ms": float("nan")}, "synapse.tau_syn_ms = nan: must be a finite number ms"),
        ({"targets__amplitude": [2.0, 1.0]}, "targets.amplitude = [2.0, 1.0]: must be [low, high] with low <= high"),
    ],
)
def test_a_wrong_experiment_is_refused_in_one_line(
    document: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError) as caught:
        validate_experiment(changed(document, **changes), source="my.yaml")
    assert str(caught.value).startswith("my.yaml: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"synapse.tau_syn_ms": 5}, "axes.synapse.tau_syn_ms = 5: must be a list of values, {linspace:"),
        ({"synapse.tau_syn_ms": {"logspce": [1, 2, 3]}}, "must be a list of values, {linspace:"),
        ({"synapse.tau_syn_ms": {"linspace": [1, 2]}}, "axes.synapse.tau_syn_ms.linspace.count: missing"),
        ({"synapse.tau_syn_ms": {"linspace": [1, 2, "x"]}}, "axes.synapse.tau_syn_ms.linspace.count = 'x'"),
        ({"synapse.tau_syn_ms": {"logspace": [0, 2, 3]}}, "logspace needs a first and a last value above 0"),
        ({"synapse.tau_syn_ms": {"linspace": [1, 2, 3], "round": 1}}, "unknown key; did you mean 'round_to'?"),
        ({"synapse.tau_syn_ms": []}, "synapse.tau_syn_ms has no values, so the sweep has zero points"),
        ({"synapse.tau_syn_ms": {"linspace": [1, 2, 0]}}, "linspace.count = 0: must be greater than or equal to 1"),
        ({"synapse.tau_syn_ms": [5, 5.0]}, "synapse.tau_syn_ms has the value 5.0 twice"),
        ({"synapse.tau_sin_ms": [5]}, "synapse.tau_sin_ms: unknown key; did you mean 'tau_syn_ms'?"),
        ({"synapse.tau_syn_ms": [-1.0]}, "synapse.tau_syn_ms = -1.0: must be greater than 0 ms"),
        ({"network.n_neurons": {"linspace": [100, 101, 3]}}, None),
        ({"replicate": [0, 1]}, "replicate cannot be an axis; use 'replicates: <count>' instead"),
        ({"name": ["a", "b"]}, "name cannot be an axis"),
        ({"network.n_neurons.x": [5]}, "n_neurons is not a section of the experiment"),
        ([1, 2], "axes = [1, 2]: must be a section"),
    ],
)
def test_a_wrong_axis_is_refused_in_one_line(axes: Any, message: str | None) -> None:
    if message is None:  # only the second value is wrong: found when the points are planned
        assert validate_sweep(sweep_document(axes=axes)).n_points == 6
        return
    with pytest.raises(SpecError) as caught:
        validate_sweep(sweep_document(axes=axes), source="my.yaml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"replicates": 0}, "replicates = 0: must be greater than or equal to 1"),
        ({"replicate": 2}, "replicate: unknown key; did you mean 'replicates'?"),
        ({"batching": {"minute": 2}}, "batching.minute: unknown key; did you mean 'minutes'?"),
        ({"replicates": 500_000}, "the sweep has 3,000,000 points"),
        ({"name": "x" * 101}, "name = 'xxxxxxxxxx"),
        ({"name": "x" * 101}, "must have at most 100 characters, not 101"),
        ({"name": "a\n"}, "name = 'a\\n': must be letters"),
        ({"name": "-rf"}, "name = '-rf': must be letters"),
        ({"name": "../escape"}, "name = '../escape': must be letters, digits, '.', '_' and '-'"),
    ],
)
def test_a_wrong_sweep_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match="^my.yaml: ") as caught:
        validate_sweep(sweep_document(**changes), source="my.yaml")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("n_neurons", "did you mean 'network.n_neurons' or 'feed_forward.n_neurons'?"),
        ("n_nuerons", "did you mean 'network.n_neurons' or 'feed_forward.n_neurons'?"),
        ("tau_syn_ms", "did you mean 'synapse.tau_syn_ms' or 'synapse.by_neuron.tau_syn_ms' or 'learner.tau_syn_ms'?"),
        ("connectivity.n_neurons", "did you mean 'network.n_neurons' or 'feed_forward.n_neurons'?"),
        ("synapse.tau_ms", "did you mean 'tau_syn_ms' or 'neuron.tau_ms' or "),
        ("netwrok", "did you mean 'network'?"),
    ],
)
def test_a_key_in_the_wrong_place_is_told_its_place(
    tmp_path: Path, document: dict[str, Any], key: str, hint: str
) -> None:
    path = write(tmp_path / "network.yaml", document)
    with pytest.raises(SpecError, match=rf"{re.escape(key)}: unknown key; {re.escape(hint)}"):
        load(path, changes={key: 20})
    within = write(tmp_path / "sweep.yaml", {"experiment": document})
    with pytest.raises(SpecError, match=rf"{re.escape(key)}: unknown key; {re.escape(hint)}"):
        load(within, changes={f"experiment.{key}": 20})
    if not key.startswith("synapse"):
        return
    with pytest.raises(SpecError, match="synapse: unknown key; did you mean 'experiment.synapse'"):
        load(within, changes={key: 20})


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("lambda", "'training.ridge'"), ("N", "'network.n_neurons'"), ("dt", "'neuron.step_ms'"),
        ("p", "'connectivity.probability'"), ("tau_s", "'synapse.tau_syn_ms'"), ("tau_c", "'targets.tau_corr_ms'"),
        ("T", "'targets.duration_ms'"), ("sigma", "'connectivity.sigma'"),
        ("g", "'connectivity.inhibition' or 'targets.gain'"), ("training.lambda", "'training.ridge'"),
    ],
)  # fmt: skip
def test_a_symbol_of_the_paper_is_told_its_key(tmp_path: Path, document: dict[str, Any], key: str, meant: str) -> None:
    path = write(tmp_path / "network.yaml", document)
    symbol = key.rpartition(".")[2]
    with pytest.raises(SpecError, match=rf"{key}: unknown key; {symbol} of the paper is {meant}\."):
        load(path, changes={key: 1})
    within = write(tmp_path / "sweep.yaml", {"experiment": document, "axes": {key: [1]}})
    with pytest.raises(SpecError, match=rf"{key}: unknown key; {symbol} of the paper is {meant}\."):
        load(within)


def test_messages_are_bounded_however_long_a_key_or_many_the_mistakes(document: dict[str, Any]) -> None:
    many = {f"{'k' * 100_000}{number}": 1 for number in range(100)}
    with pytest.raises(SpecError) as caught:
        validate_experiment({**document, **many})
    assert len(str(caught.value)) < 20_000
    assert "and more: 100 in all; mend these first" in str(caught.value)
    with pytest.raises(SpecError) as caught:
        validate_sweep({"experiment": document, "axes": {key: [1] for key in many}})
    assert len(str(caught.value)) < 20_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"synapse__tau_syn_ms": "20"}, "synapse.tau_syn_ms = '20': must be a number in ms, without quotes"),
        ({"synapse__tau_syn_ms": "20 ms"}, "= '20 ms': must be a number in ms, written without the unit"),
        ({"synapse__tau_syn_ms": True}, "synapse.tau_syn_ms = True: must be a number in ms"),
        ({"synapse__tau_syn_ms": 10**400}, "must be a number in ms"),
        ({"network__n_neurons": "20"}, "network.n_neurons = '20': must be a whole number, without quotes"),
        ({"network__n_neurons": True}, "network.n_neurons = True: must be a whole number"),
        ({"network__n_neurons": 20.5}, "network.n_neurons = 20.5: must be a whole number"),
        ({"network__n_neurons": 10**400}, "must be less than or equal to 100000000"),
        ({"measures__quasi_static": 1}, "measures.quasi_static = 1: must be true or false"),
        ({"measures__quasi_static": "true"}, "measures.quasi_static = 'true': must be true or false"),
        ({"targets__amplitude": [True, 2.0]}, "targets.amplitude.0 = True: must be a number"),
        ({"name": 5}, "name = 5: must be a valid string"),
    ],
)
def test_values_of_another_kind_are_not_taken_for_numbers(
    document: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        validate_experiment(changed(document, **changes))


def test_a_whole_number_may_be_written_as_any_number_and_come_from_any_library(document: dict[str, Any]) -> None:
    for number in (24, 24.0, 2.4e1, np.int64(24), np.float64(24)):
        found = validate_experiment(changed(document, network__n_neurons=number)).network.n_neurons
        assert found == 24
        assert type(found) is int


def test_every_count_of_every_section_is_a_whole_number_of_that_kind() -> None:
    waiting: list[type[BaseModel]] = [Experiment, Sweep, Study]
    seen: set[type[BaseModel]] = set()
    counts = 0
    while waiting:
        section = waiting.pop()
        if section in seen:
            continue
        seen.add(section)
        assert section.model_config.get("strict") is True
        for name, field in section.model_fields.items():
            waiting += models_in(field.annotation)
            if field.annotation in (int, int | None):
                counts += 1
                try:
                    section.model_validate({name: 3.0})
                except ValidationError as error:
                    kinds = {entry["type"] for entry in error.errors() if entry["loc"] == (name,)}
                    assert not kinds & {"int_type", "float_type"}, name
    assert counts > 20


def models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


REPEATED = """
network: {n_neurons: 30}
synapse:
  tau_syn_ms: 20.0
  weight_acts: at_once
  tau_syn_ms: 40.0
"""
INHERITED = """
network: &small {n_neurons: 30}
targets: {kind: sine}
connectivity: {kind: gaussian}
sizes:
  one: {network: {<<: *small, n_neurons: 40}}
"""


def test_a_key_that_is_given_twice_is_refused_with_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "network.yaml"
    path.write_text(REPEATED)
    words = f"{path}: line 6: the key 'tau_syn_ms' is given twice, first in line 4; leave one of them out"
    with pytest.raises(SpecError, match=f"^{re.escape(words)}$"):
        load(path)


def test_a_key_that_takes_the_place_of_an_inherited_one_is_none_given_twice(tmp_path: Path) -> None:
    path = tmp_path / "network.yaml"
    path.write_text(INHERITED)
    read = load(path)
    assert isinstance(read, Experiment)
    assert read.network.n_neurons == 40


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol.free_run_ms": 1e300}, "protocol.free_run_ms = 1e+300: must be at most 1e+150"),
        ({"protocol.free_run_ms": 1e12}, "protocol.free_run_ms = 1e+12 ms: must be at most 1e+08 ms"),
        ({"stimulus.amplitude": 1e308}, "stimulus.amplitude = 1e+308: must be at most 1e+150"),
        ({"targets.phase_ms": [-1e308, 1e308]}, "targets.phase_ms = -1e+308: must be at most 1e+150"),
    ],
)
def test_numbers_that_no_machine_can_use_are_refused(
    tmp_path: Path, document: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        load(write(tmp_path / "network.yaml", document), changes=changes)


def write(path: Path, document: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def test_a_file_with_the_key_experiment_is_a_sweep(tmp_path: Path, document: dict[str, Any]) -> None:
    assert isinstance(load(write(tmp_path / "a.yaml", document)), Experiment)
    assert isinstance(load(write(tmp_path / "b.yaml", sweep_document())), Sweep)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file"),
        ("a: [1", "not valid YAML"),
        ("- 1\n- 2\n", "must hold a mapping"),
        ("", "is empty; it must hold a mapping"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_a_file_that_is_no_config_is_refused(tmp_path: Path, text: str | bytes | None, message: str) -> None:
    path = tmp_path / "my.yaml"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SpecError, match=message):
        load(path)


def test_sizes_replace_keys_section_by_section_and_axes_as_a_whole(tmp_path: Path) -> None:
    sizes = {
        "small": {"experiment": {"training": {"n_loops": 1}}, "axes": {"seed": [1, 2]}},
        "as_is": None,
    }
    path = write(tmp_path / "my.yaml", sweep_document(sizes=sizes))
    small, default, as_is = load(path, size="small"), load(path), load(path, size="as_is")
    assert default == small
    assert list(small.axes) == ["seed"]
    assert small.point({}).training.n_loops == 1
    assert small.point({}).network.n_neurons == 20
    assert list(as_is.axes) == ["synapse.tau_syn_ms", "targets.tau_corr_ms"]
    with pytest.raises(SpecError, match="size 'big' is unknown; choose one of small, as_is"):
        load(path, size="big")


def test_a_size_whose_name_is_a_number_is_found(tmp_path: Path, document: dict[str, Any]) -> None:
    path = write(tmp_path / "my.yaml", {**document, "sizes": {100: {"seed": 5}, 1000: None}})
    assert load(path).seed == load(path, size="100").seed == 5
    with pytest.raises(SpecError, match="size '7' is unknown; choose one of 100, 1000"):
        load(path, size="7")


def test_a_size_that_is_no_section_is_refused(tmp_path: Path, document: dict[str, Any]) -> None:
    path = write(tmp_path / "my.yaml", {**document, "sizes": {"small": "tiny"}})
    with pytest.raises(SpecError, match="sizes.small = 'tiny': must be a section"):
        load(path)


def test_a_config_is_read_as_utf_8_whatever_the_locale(
    tmp_path: Path, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my.yaml").write_bytes(yaml.safe_dump({**document, "name": "größer"}, allow_unicode=True).encode())
    monkeypatch.setattr("io.text_encoding", lambda encoding, level=2: encoding or "latin-1")
    assert load(tmp_path / "my.yaml").name == "größer"


def test_a_size_needs_a_sizes_section(tmp_path: Path, document: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="no 'sizes' section"):
        load(write(tmp_path / "my.yaml", document), size="smoke")


def test_changes_are_laid_over_the_file_last(tmp_path: Path, document: dict[str, Any]) -> None:
    path = write(tmp_path / "my.yaml", {**document, "sizes": {"a": {"synapse": {"tau_syn_ms": 7.0}}}})
    assert load(path).synapse.tau_syn_ms == 7.0
    assert load(path, changes={"synapse.tau_syn_ms": 9}).synapse.tau_syn_ms == 9.0
    with pytest.raises(SpecError, match="did you mean 'tau_syn_ms'"):
        load(path, changes={"synapse.tau_syn": 9})


def test_paths_of_recordings_start_at_the_file(tmp_path: Path) -> None:
    targets = {"kind": "recorded", "path": "rates.nc"}
    experiment = {"targets": targets, "training": {"variable": "rate"}}
    folder = tmp_path / "configs"
    folder.mkdir()
    assert load(write(folder / "a.yaml", experiment)).targets.path == str(folder / "rates.nc")
    axes = {"targets.path": ["a.nc", "../b.nc"]}
    sweep = load(write(folder / "b.yaml", {"experiment": experiment, "axes": axes}))
    assert sweep.axes["targets.path"] == [str(folder / "a.nc"), str(tmp_path / "b.nc")]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training__update_interval_ms": 1e-10}, "training.update_interval_ms = 1e-10 ms is not a multiple of neuron"),
        ({"targets__grid_ms": 1e-10}, "targets.grid_ms = 1e-10 ms is not a multiple of neuron.step_ms"),
        (  # whole steps of the grid of 1 ms, but half an update at the end
            {"targets__duration_ms": 101.0},
            "targets.duration_ms = 101 ms is not a multiple of training.update_interval_ms = 2 ms",
        ),
        (
            {"neuron__step_ms": 1e-5, "training__update_interval_ms": 1e-5, "targets__grid_ms": 1e-5}
            | {"targets__duration_ms": 1e305},
            "targets.duration_ms = 1e+305: must be at most 1e+150 in size",
        ),
        ({"targets": {"kind": "sine", "period_ms": [0, 0]}}, "targets.period_ms = [0, 0]: a period of 0 ms has no"),
        (
            {"targets": {"kind": "sine_product", "period_fast_ms": [0, 0]}},
            "targets.period_fast_ms = [0, 0]: a period of 0 ms",
        ),
        (
            {"neuron__model": "lif", "measures__quasi_static": True},
            "measures.quasi_static = true needs neuron.model = theta, not lif",
        ),
    ],
)
def test_what_would_fail_or_make_no_sense_later_is_refused_at_once(
    document: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError) as caught:
        validate_experiment(changed(document, **changes))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("connectivity", "message"),
    [
        ({"kind": "balanced", "static_in_degree": 3}, "connectivity.static_in_degree = 3 does not fit: the smaller"),
        (  # of two excitatory and three inhibitory neurons
            {"kind": "balanced", "static_in_degree": 2},
            "connectivity.static_in_degree = 2 does not fit: the smaller population has 2 neurons, so at most 1",
        ),
        ({"kind": "dale", "probability": 1.0}, "connectivity.probability = 1 asks for 4 excitatory inputs"),
    ],
)
def test_populations_too_small_for_their_inputs_are_refused_also_if_a_recording_decides_the_size(
    connectivity: dict[str, Any], message: str
) -> None:
    targets = {"kind": "recorded", "path": "generated", "n_units": 5, "auxiliary_ratio": 0, "duration_ms": 40}
    document = {"targets": targets, "connectivity": connectivity, "training": {"variable": "rate"}}
    with pytest.raises(SpecError) as caught:
        build_problem(validate_experiment(document))
    assert str(caught.value).startswith(message)
    assert str(caught.value).endswith("(5 recorded units make 5 neurons)")


def test_a_recording_that_cannot_be_read_is_refused_when_it_is_identified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rates.npy").write_bytes(b"anything")
    document = {"targets": {"kind": "recorded", "path": str(tmp_path / "rates.npy")}, "training": {"variable": "rate"}}
    recorded = validate_experiment(document)
    assert canonical(recorded)["targets"]["path"] == f"sha256:{hashlib.sha256(b'anything').hexdigest()}"

    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(identity, "open", refuse, raising=False)
    with pytest.raises(DataError, match=r"rates.npy: cannot be read \(Permission denied\); check path and permissions"):
        experiment_hash(recorded)


def test_a_changed_copy_that_cannot_be_says_what_was_changed(document: dict[str, Any]) -> None:
    document = changed(document, training__patience=5, measures__test_every_loops=1)
    experiment = validate_experiment(document)
    said = (
        r"^with measures.test_every_loops = null: training.patience = 5 goes by tests in training, but there are none"
    )
    with pytest.raises(SpecError, match=said):
        experiment.changed({"measures.test_every_loops": None})
    several = {f"training.{key}": value for key, value in {"ridge": 2.0, "n_loops": 4, "keep": "best"}.items()}
    with pytest.raises(
        SpecError, match=r"^with training.ridge = 2.0, training.n_loops = 4, training.keep = 'best' and 1 m"
    ):
        experiment.changed({**several, "measures.test_every_loops": None})
