"""What the workflow must know of a study before its first job."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from hpcspike.errors import SpecError
from hpcspike.spec.load import load
from hpcspike.spec.study import Study
from hpcspike.studies.feasible import check_study
from hpcspike.studies.identity import run_hash
from hpcspike.sweep.cost import predict

PROBE_MINUTES = 5
"""Time to ask for beside training: probes, figures' trials, and compiling."""


@dataclass(frozen=True)
class StudyJobs:
    """The jobs of one study, by the label of each network.

    Attributes
    ----------
    name, config
        Its name, which is that of the folder of its results, and its file.
    identities
        Change when what is trained, probed or shown does.
    memory_mb, minutes
        What to ask for.
    """

    name: str
    config: str
    identities: dict[str, str]
    memory_mb: dict[str, int]
    minutes: dict[str, int]


def plan_study(config: str | Path, *, size: str | None = None) -> StudyJobs:
    """The jobs of a study.

    Raises
    ------
    SpecError
        If the config is wrong, or is not a study.
    """
    study = load(config, size=size)
    if not isinstance(study, Study):
        raise SpecError(f"{config} is not a study: it has no 'variants'")
    check_study(study)
    costs = {run.label: predict(study.experiment_of(run)) for run in study.runs}
    return StudyJobs(
        name=study.name,
        config=str(config),
        identities={run.label: run_hash(study, run) for run in study.runs},
        memory_mb={label: math.ceil(1.5 * cost.memory_mib + 500) for label, cost in costs.items()},
        minutes={label: PROBE_MINUTES + math.ceil(3.0 * cost.seconds / 60.0) for label, cost in costs.items()},
    )
