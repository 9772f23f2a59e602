"""Which results of a study are those that it asks for."""

from __future__ import annotations

import hashlib
import json

from hpcspike.identity import experiment_hash
from hpcspike.spec.study import Study, StudyRun


def run_hash(study: Study, run: StudyRun) -> str:
    """SHA-256 (hex) of what one network's results depend on: its experiment, what is probed, and what is shown."""
    asked = {name: probe.model_dump(mode="json") for name, probe in study.probes.of(run.variant).items()}
    parts = [experiment_hash(study.experiment_of(run)), asked, study.shown.model_dump(mode="json")]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
