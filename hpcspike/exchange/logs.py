"""Training loops and points of sweeps, as they are finished, in TensorBoard or MLflow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hpcspike.errors import ResourceError, SpecError
from hpcspike.spec.documents import flattened
from hpcspike.spec.experiment import Experiment

if TYPE_CHECKING:
    from hpcspike.sweep.batch import PointDone

_LONGEST_PARAMETER = 500
"""Characters of a value that older MLflow servers take."""


class Log(Protocol):
    """What takes the hooks of `hpcspike.run` and of batches, and is closed at the end."""

    def on_loop(self, loop: int, row: Mapping[str, float]) -> None:
        """Take the row of the learning curve of a loop, counted from 0."""

    def on_point(self, point: PointDone) -> None:
        """Take a finished point of a sweep."""

    def close(self) -> None:
        """Write what is not written yet."""


class TensorBoardLog:
    """Write loops and points as scalars that TensorBoard shows (extra ``tensorboard``).

    Parameters
    ----------
    folder
        Where its event files go; show them with ``tensorboard --logdir FOLDER``.

    Raises
    ------
    ResourceError
        If tensorboardX is not installed.

    Examples
    --------
    >>> log = TensorBoardLog("results/tensorboard")                        # doctest: +SKIP
    >>> dataset = hpcspike.run(experiment, on_loop=log.on_loop)            # doctest: +SKIP
    >>> log.close()                                                        # doctest: +SKIP
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise _missing("TensorBoard", "tensorboardX", "tensorboard") from None
        self._writer: Any = SummaryWriter(str(folder))

    def on_loop(self, loop: int, row: Mapping[str, float]) -> None:
        """Write the row of a loop: ``loop/correlation``, ``loop/rate``, ...; steps are loops."""
        for name, value in _finite(row).items():
            self._writer.add_scalar(f"loop/{name}", value, loop)

    def on_point(self, point: PointDone) -> None:
        """Write the results of a point: ``point/correlation``, ...; steps are numbers of points."""
        for name, value in _finite(point.values).items():
            self._writer.add_scalar(f"point/{name}", value, point.row)

    def close(self) -> None:
        """Flush and close the event file."""
        self._writer.close()


class MlflowLog:
    """Write loops and points to MLflow (extra ``mlflow``): one run for a training, one for each point of a sweep.

    Parameters
    ----------
    experiment_name
        Name of the MLflow experiment, made if it is not there; where it lies is up to ``MLFLOW_TRACKING_URI``.
    experiment
        What is trained: its fields become parameters of the run of a training.

    Raises
    ------
    ResourceError
        If MLflow is not installed.
    """

    def __init__(self, experiment_name: str, *, experiment: Experiment | None = None) -> None:
        try:
            from mlflow import MlflowClient
        except ImportError:
            raise _missing("MLflow", "mlflow-skinny", "mlflow") from None
        self._client: Any = MlflowClient()
        there = self._client.get_experiment_by_name(experiment_name)
        self._id = there.experiment_id if there is not None else self._client.create_experiment(experiment_name)
        self._experiment, self._run = experiment, ""

    def on_loop(self, loop: int, row: Mapping[str, float]) -> None:
        """Write the row of a loop as metrics of the run of this training, which the first loop begins."""
        if not self._run:
            name = self._experiment.name if self._experiment is not None else "training"
            self._run = self._begun(name, self._experiment)
        for name, value in _finite(row).items():
            self._client.log_metric(self._run, f"loop_{name}", value, step=loop)

    def on_point(self, point: PointDone) -> None:
        """Write a point as a run of its own: fields of its experiment as parameters, results as metrics."""
        run = self._begun(f"point {point.row}", point.experiment)
        for name, value in _finite(point.values).items():
            self._client.log_metric(run, name, value)
        self._client.set_tag(run, "status", point.status)
        self._client.set_terminated(run)

    def close(self) -> None:
        """End the run of a training."""
        if self._run:
            self._client.set_terminated(self._run)
            self._run = ""

    def _begun(self, name: str, experiment: Experiment | None) -> str:
        run = str(self._client.create_run(self._id, run_name=name).info.run_id)
        fields = {} if experiment is None else flattened(experiment.model_dump(mode="json"))
        for key, value in fields.items():
            self._client.log_param(run, key, str(value)[:_LONGEST_PARAMETER])
        return run


def log_to(where: str, *, experiment: Experiment | None = None, part: str = "") -> Log:
    """The log that an option names.

    Parameters
    ----------
    where
        ``tensorboard:FOLDER`` or ``mlflow:EXPERIMENT``.
    experiment
        What is trained, for MLflow.
    part
        Folder below FOLDER, where several processes write.

    Raises
    ------
    SpecError
        If it names neither.
    ResourceError
        If what it needs is not installed.
    """
    kind, colon, name = where.partition(":")
    if not (colon and name and kind in ("tensorboard", "mlflow")):
        raise SpecError(f"--log {where}: must be tensorboard:FOLDER or mlflow:EXPERIMENT")
    return TensorBoardLog(Path(name, part)) if kind == "tensorboard" else MlflowLog(name, experiment=experiment)


def _missing(program: str, package: str, extra: str) -> ResourceError:
    return ResourceError(f"{program} needs {package}; install it with pip install 'hpcspike[{extra}]'")


def _finite(values: Mapping[str, Any]) -> dict[str, float]:
    """The plain numbers among them: no curves, nothing that is not there."""
    numbers = {name: float(value) for name, value in values.items() if not hasattr(value, "__len__")}
    return {name: value for name, value in numbers.items() if math.isfinite(value)}
