"""``hpcspike recordings``: what is understood of a file of recordings, and an experiment that trains it."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hpcspike.commands.common import keys_and_values
from hpcspike.errors import HpcspikeError, SpecError
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.recorded import FORMAT_OF_SUFFIX, GENERATED, RecordedTargets
from hpcspike.spec.sweep import Sweep
from hpcspike.spec.validation import validate_experiment
from hpcspike.spec.yaml_text import shown

_RATES = {
    "synapse": {"tau_syn_ms": 50.0},
    "connectivity": {"kind": "gaussian", "probability": 0.3, "sigma": 1.0},
    "training": {"variable": "rate", "ridge": 0.1, "update_interval_ms": 10.0, "n_loops": 20},
    "stimulus": {"duration_ms": 100.0},
    "measures": {"n_test_trials": 20},
}
"""What an experiment on recorded rates begins with, beside its targets."""
_MOST_DESCRIBED = 8
"""So many recordings of a sweep or study are described."""
_SOURCE = ("path", "variable", "task", "condition", "select_units")
"""Keys of targets that choose what is read of which file."""
_CHOOSING = tuple(f"targets.{key}" for key in _SOURCE)
"""Beginnings of the axes that choose other recordings."""
_DRIVES = {"training": {"variable": "drive", "update_interval_ms": 10.0, "n_loops": 20}}


def run(arguments: argparse.Namespace) -> int:
    """Print what was understood as comments, and a YAML that reads it; or the readings that are possible."""
    from hpcspike.model.recording_table import AmbiguousRecording

    files = [Path(file).expanduser() for file in arguments.files]
    path, given = files[0], _given_keys(arguments.keys)
    place = GENERATED if arguments.files[0] == GENERATED else str(path.absolute())
    keys = {"kind": "recorded", "path": place, **_of_several_files(files, given), **given}
    notes: list[str] = []
    if FORMAT_OF_SUFFIX.get(path.suffix.lower()) == "NWB":
        keys, notes = _with_nwb_proposal(path, keys)
    try:
        lines, document, proposed = _read_or_propose_conditions(keys)
    except AmbiguousRecording as error:
        if error.readings:
            print(f"# {path.name} can be read in {len(error.readings)} ways; say which with one of")
            for reading in error.readings:
                _print_comments([_reading(keys, reading)])
        _print_comments(notes)
        raise
    except HpcspikeError:
        _print_comments([*_understood_without_threshold(keys), *notes])
        raise
    _print_comments([*lines, *notes, *proposed])
    print(_as_yaml(document), end="")
    return 0


def _of_several_files(files: list[Path], given: dict[str, Any]) -> dict[str, Any]:
    """The conditions that several files are, one each; nothing of a single file."""
    if len(files) == 1:
        return {}
    if "conditions" in given:
        raise SpecError(
            f"--set conditions=...: {len(files)} files are conditions already, one each; leave one of them out"
        )
    stems = [file.stem for file in files]
    names = stems if len(set(stems)) == len(files) else list(map(str, files))
    return {
        "conditions": [{"name": name, "path": str(file.absolute())} for name, file in zip(names, files, strict=True)]
    }


def _read_or_propose_conditions(keys: dict[str, Any]) -> tuple[list[str], dict[str, Any], list[str]]:
    """As `_read`, with all conditions of a file if the keys choose none, and a line that says so."""
    from hpcspike.model.recording_table import AmbiguousRecording

    try:
        return *_read(keys), []
    except AmbiguousRecording as error:
        if not error.conditions or keys.get("conditions"):
            raise
        one = _option(*next(iter(error.readings[0].items())))
        words = f"proposed, since not given: conditions: {error.conditions}; for one of them alone {one}"
        return *_read({**keys, "conditions": error.conditions}), [words]


def say_what_are_recorded(experiments: Iterable[Experiment], *, label: str = "") -> None:
    """As `say_what_is_recorded` of several experiments, every recording once; of many the first ones."""
    found: dict[str, Experiment] = {}
    for experiment in experiments:
        targets = experiment.targets
        if isinstance(targets, RecordedTargets):
            read = [one.model_dump_json(include=set(_SOURCE)) for one in targets.each_condition()]
            found.setdefault("\n".join(read), experiment)
    several = _chosen_by([*found.values()])
    for experiment in [*found.values()][:_MOST_DESCRIBED]:
        say_what_is_recorded(experiment, label=label)
        for key in several:
            print(f"{' ' * len(label)}chosen by targets.{key}: {shown(getattr(experiment.targets, key))}")
    if len(found) > _MOST_DESCRIBED:
        print(f"{label}and {len(found) - _MOST_DESCRIBED} other recordings ('hpcspike recordings FILE' describes one)")


def _chosen_by(experiments: list[Experiment]) -> list[str]:
    """The keys, but for the file, in which the recordings of experiments differ."""
    return [
        key for key in (*_SOURCE[1:], "conditions")
        if len({repr(getattr(experiment.targets, key)) for experiment in experiments}) > 1
    ]  # fmt: skip


def of_each_recording(sweep: Sweep) -> Iterator[Experiment]:
    """Points of a sweep, one at least for every recording that its axes choose."""
    choosing = [key for key in sweep.axes if key == "targets" or key.startswith(_CHOOSING)]
    if not choosing:
        yield sweep.point(sweep.parameters_at(0))
        return
    if sweep.sampling is not None:
        seen: dict[str, int] = {}
        for index in range(sweep.n_points):
            parameters = sweep.parameters_at(index)
            seen.setdefault(repr([parameters[key] for key in choosing]), index)
        yield from (sweep.point(sweep.parameters_at(index)) for index in seen.values())
        return
    first, columns = sweep.parameters_at(0), sweep.columns()
    for values in itertools.product(*(columns[key] for key in choosing)):
        yield sweep.point({**first, **dict(zip(choosing, values, strict=True))})


def say_what_is_recorded(experiment: Experiment, *, label: str = "", speaks: bool = True) -> int | None:
    """Print what was understood of an experiment's recording, and on stderr what is odd about it; nothing without one.

    Parameters
    ----------
    label
        What stands before the first line; the others are indented as far.
    speaks
        Whether to print; the recording is read and checked in any case.

    Returns
    -------
    Number of neurons that the recording makes; None without one.

    Raises
    ------
    DataError
        If the recording cannot be used.
    """
    if not isinstance(experiment.targets, RecordedTargets):
        return None
    from hpcspike.model.build import recording_of
    from hpcspike.model.recording_words import understood
    from hpcspike.model.targets import n_neurons_of

    recording = recording_of(experiment)
    assert recording is not None
    lines, n_neurons = understood(experiment, recording), n_neurons_of(experiment, recording)
    if not speaks:
        return n_neurons
    label = label or "recorded: "
    for number, line in enumerate(lines):
        print(f"{label if number == 0 else ' ' * len(label)}{line}")
    sys.stdout.flush()
    for remark in recording.remarks:
        print(f"hpcspike: {Path(experiment.targets.path).name}: {remark}", file=sys.stderr, flush=True)
    return n_neurons


def _given_keys(texts: list[str]) -> dict[str, Any]:
    """The keys of ``targets`` that the command line gives, with or without the section before them."""
    given: dict[str, Any] = {}
    for key, value in keys_and_values(texts, option="--set").items():
        section, _, name = key.rpartition(".")
        if section not in ("", "targets") or name in ("kind", "path"):
            raise SpecError(f"--set {key}=...: must be a key of targets, for example unit=Hz; the file is FILE")
        given[name] = value
    return given


def _with_nwb_proposal(path: Path, keys: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The keys with those that NWB files need, and remarks on what else may be chosen."""
    from hpcspike.model.nwb_proposal import offer_of
    from hpcspike.model.recording_files import refuse_missing
    from hpcspike.model.recording_words import columns_in_words

    refuse_missing(path)
    offer = offer_of(path, keys)
    notes = []
    if offer.keys:
        notes.append(f"proposed, since not given: {', '.join(f'{key}: {value}' for key, value in offer.keys.items())}")
    if len(offer.tables) > 1:
        notes.append(f"intervals may be: {', '.join(offer.tables)}")
    if offer.times:
        notes.append(f"align may be: {', '.join(offer.times)}")
    if offer.columns:
        notes.append(f"condition may choose by: {', '.join(columns_in_words(offer.columns))}")
    return {**offer.placeholders, **keys, **offer.keys}, notes


def _read(keys: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """What was understood, and the experiment: its document, which reads the file."""
    from hpcspike.model.build import recording_of
    from hpcspike.model.recording_words import columns_in_words, understood

    document = {"targets": keys, **(_DRIVES if keys.get("holds") == "drive" else _RATES)}
    experiment = validate_experiment(document, source="hpcspike recordings")
    recording = recording_of(experiment)
    assert recording is not None
    assert recording.table is not None
    lines = understood(experiment, recording)
    lines += [f"remark: {remark}" for remark in recording.remarks]
    if recording.table.attributes:
        lines.append(f"of its units the file says: {', '.join(columns_in_words(dict(recording.table.attributes)))}")
    return lines, document


def _reading(keys: dict[str, Any], reading: dict[str, Any]) -> str:
    """One way to read the file, in a line: the option that chooses it, and what it makes of the file."""
    from hpcspike.model.recording_table import AmbiguousRecording

    options = " ".join(_option(key, value) for key, value in reading.items())
    try:
        lines, _, _ = _read_or_propose_conditions({"min_rate_hz": 0.0, **keys, **reading})
    except AmbiguousRecording as error:
        return f"  {options}: another key is needed then: {_finding(error)}"
    except HpcspikeError as error:
        return f"  {options}: {_finding(error)}"
    number, units = lines[0].partition(",")[0], next(line for line in lines if " units x " in line).partition("): ")[2]
    rates = next((line.strip() for line in lines if line.strip().startswith(("their rates", "drives"))), "")
    several = f"{number} of " if number.endswith("conditions") else ""
    return f"  {options}: {several}{units}; {rates}"


def _option(key: str, value: Any) -> str:
    if isinstance(value, dict):
        pairs = ", ".join(f"{name}: {one}" for name, one in value.items())
        return f"--set '{key}={{{pairs}}}'"
    return f"--set {key}={value}"


def _finding(error: HpcspikeError) -> str:
    """An error's words without the path of the file."""
    return str(error).splitlines()[0].rpartition("targets.path = ")[2].partition(": ")[2] or str(error)


def _understood_without_threshold(keys: dict[str, Any]) -> list[str]:
    """What can be understood where only the rates are too low for ``targets.min_rate_hz``; empty if it is not that."""
    try:
        return _read({**keys, "min_rate_hz": 0.0, "n_units": None})[0]
    except HpcspikeError:
        return []


def _print_comments(lines: list[str]) -> None:
    for line in lines:
        print(f"# {line}")
    sys.stdout.flush()


def _as_yaml(document: dict[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
