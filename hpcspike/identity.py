"""What makes two experiments the same: the content hash of their canonical form."""

from __future__ import annotations

import hashlib
import json
import os.path
from pathlib import Path
from typing import Any

from hpcspike import plugins
from hpcspike.errors import DataError
from hpcspike.neurons import identity as identity_of_model
from hpcspike.paths import local
from hpcspike.spec.experiment import Experiment, UserNeuron
from hpcspike.spec.learners import UserLearner
from hpcspike.spec.sweep import Sweep
from hpcspike.spec.targets import GENERATED, NO_FILE_REMEDY, RecordedTargets


def canonical(experiment: Experiment) -> dict[str, Any]:
    """The experiment as plain data, without its name; files and code count by content, not path."""
    document = experiment.model_dump(mode="json")
    document.pop("name")
    path = document["targets"].get("path")
    if path not in (None, GENERATED):
        document["targets"]["path"] = f"sha256:{file_digest(local(path))}"
    for one in document["targets"].get("conditions", ()):
        if isinstance(one, dict) and "path" in one:
            one["path"] = f"sha256:{file_digest(local(one['path']))}"
    if isinstance(experiment.targets, RecordedTargets) and experiment.targets.format == "NPY":
        if document["targets"]["layout"] == "unit_by_time":  # the only order before there was a choice
            document["targets"]["layout"] = None
    if isinstance(experiment.neuron, UserNeuron):
        document["neuron"] = identity_of_model(experiment.neuron, experiment.network.n_neurons)
    if isinstance(experiment.learner, UserLearner):
        document["learner"] |= _of_learner(experiment.learner.path)
    return document


def _of_learner(path: str) -> dict[str, Any]:
    """What takes the place of a user's learner in the identity of an experiment: every file of the user's."""
    files = plugins.files(path, key=plugins.LEARNER_KEY)
    own = files.get(plugins.OWN) or plugins.code_digest(plugins.find(path, key=plugins.LEARNER_KEY))
    imported = {name: digest for name, digest in files.items() if name != plugins.OWN}
    return {"path": f"{own}:{plugins.split(path)[1]}", **({"imports": imported} if imported else {})}


def experiment_hash(experiment: Experiment) -> str:
    """SHA-256 (hex) of the canonical form: the identity of a point."""
    return _digest(canonical(experiment))


def sweep_hash(sweep: Sweep) -> str:
    """SHA-256 (hex) of what a sweep computes: its experiment, axes and replicates, not how they are batched."""
    document = sweep.model_dump(mode="json", exclude={"name", "batching"})
    return _digest(document)


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file, or of every file below a folder in sorted order (zarr stores)."""
    if not os.path.exists(path):  # Path.exists raises where a folder may not be entered
        raise DataError(f"targets.path = {path}: no such file; {NO_FILE_REMEDY}")
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    try:
        for file in files:
            with open(file, "rb") as opened:
                hashlib.file_digest(opened, lambda: digest)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"targets.path = {path}: cannot be read ({reason}); check path and permissions") from None
    return digest.hexdigest()


def flat(document: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections as one, keys joined by dots: ``{"a": {"b": 1}}`` is ``{"a.b": 1}``."""
    found: dict[str, Any] = {}
    for key, value in document.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def _digest(document: Any) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
