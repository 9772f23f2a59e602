"""From the axes of a sweep to its validated points and the coordinates that name them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hpcspike.errors import SpecError
from hpcspike.identity import experiment_hash
from hpcspike.runs.facts import facts_of, refuse_in_vain
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.sweep import Sweep, shown_point
from hpcspike.sweep.cost import Cost, predict
from hpcspike.variables import POINT_PARAMETERS, POINT_PROVENANCE, POINT_RESULTS, TESTED_RESULTS, Variable

STANDARD_FIELDS = {
    "tau_syn_ms": "synapse.tau_syn_ms",
    "tau_corr_ms": "targets.tau_corr_ms",
    "duration_ms": "targets.duration_ms",
    "n_neurons": "network.n_neurons",
    "replicate": "replicate",
    "seed": "seed",
}
"""Field behind each of POINT_PARAMETERS."""
OF_RECORDING = ("n_neurons", "duration_ms")
"""Those that an experiment may leave to its recording."""


@dataclass(frozen=True)
class Coordinate:
    """One parameter of every point, with the registry entry it is stored under."""

    values: np.ndarray
    variable: Variable


@dataclass(frozen=True)
class Grid:
    """The points of a sweep in the order of :meth:`Sweep.parameters`, replicates innermost; or those chosen of them.

    Attributes
    ----------
    positions
        (points,) position of every point in :meth:`Sweep.parameters`.
    hashes
        Identity of every point.
    coordinates
        Parameters by the name they are stored under.
    seconds, memory_mib
        (points,) predicted wall time on one core in s, and peak memory in MiB.
    n_loops
        Longest learning curve of all points.
    """

    sweep: Sweep
    positions: np.ndarray
    hashes: list[str]
    coordinates: dict[str, Coordinate]
    seconds: np.ndarray
    memory_mib: np.ndarray
    n_loops: int

    @property
    def n_points(self) -> int:
        """Number of trainings."""
        return len(self.hashes)

    @property
    def identity(self) -> str:
        """SHA-256 (hex) over the identities of the points: what a store must hold to belong to this sweep.

        Unlike the hash of the sweep's text it follows the content of input files and not their path.
        """
        return hashlib.sha256("\n".join(self.hashes).encode()).hexdigest()


def build_grid(sweep: Sweep, positions: Sequence[int] | None = None) -> Grid:
    """Validate every point of a sweep, or those at some positions only.

    Raises
    ------
    SpecError
        If a combination of values cannot be run, or two points are the same experiment.
    """
    names = coordinate_names(list(sweep.axes))
    fields = {**STANDARD_FIELDS, **{name: dotted for dotted, name in names.items()}}
    raw: dict[str, list[Any]] = {name: [] for name in fields}
    hashes: list[str] = []
    costs: list[Cost] = []
    n_loops = 0
    varied = [key for key, values in sweep.columns().items() if len(values) > 1]
    # only what the planner needs is kept: the experiments of 10^6 points would take gigabytes
    points = sweep.parameters() if positions is None else map(sweep.parameters_at, positions)
    for parameters in points:
        experiment = sweep.point(parameters)
        hashes.append(experiment_hash(experiment))
        costs.append(predict(experiment))
        try:
            refuse_in_vain(experiment, varied=varied)
        except SpecError as error:
            raise SpecError(f"point {shown_point(parameters)}: {error}") from None
        n_loops = max(n_loops, experiment.training.n_loops * experiment.targets.n_sets)
        for name, dotted in fields.items():
            value = _value(experiment, dotted)
            if value is None and name in OF_RECORDING:
                value = getattr(facts_of(experiment), name)
            raw[name].append(value)
    chosen = np.arange(len(hashes)) if positions is None else np.array(positions, dtype=np.int64)
    _refuse_equal_points(sweep, hashes, chosen)
    for dotted, name in names.items():
        if any(isinstance(value, float) for value in sweep.columns()[dotted]):  # also where none was chosen
            raw[name] = [float(value) if type(value) is int else value for value in raw[name]]
    return Grid(
        sweep=sweep,
        positions=chosen,
        hashes=hashes,
        coordinates={name: _coordinate(name, dotted, raw[name], experiment) for name, dotted in fields.items()},
        seconds=np.array([cost.seconds for cost in costs]),
        memory_mib=np.array([cost.memory_mib for cost in costs]),
        n_loops=n_loops,
    )


def coordinate_names(axes: list[str]) -> dict[str, str]:
    """Name of the coordinate of every swept field: the last part of its path where that is unambiguous.

    >>> coordinate_names(["synapse.tau_syn_ms", "stimulus.duration_ms"])
    {'synapse.tau_syn_ms': 'tau_syn_ms', 'stimulus.duration_ms': 'stimulus_duration_ms'}
    """
    standard = {dotted: name for name, dotted in STANDARD_FIELDS.items()}
    reserved = {*STANDARD_FIELDS, *POINT_RESULTS, *TESTED_RESULTS, *POINT_PROVENANCE, *PLANNED, "point", "loop"}
    last = {dotted: dotted.rpartition(".")[2] for dotted in axes}
    names = {}
    for dotted, name in last.items():
        unique = sum(other == name for other in last.values()) == 1 and name not in reserved
        names[dotted] = standard.get(dotted) or (name if unique else dotted.replace(".", "_"))
    return names


PLANNED = {
    "grid_index": Variable(("point",), "int64", "1", "position in the sweep's grid, replicates innermost", fill=-1),
    "generation": Variable(("point",), "int32", "1", "how often the sweep had grown when the point was planned", -1),
    "batch": Variable(("point",), "int32", "1", "batch that computes the point, -1 in a row without one", -1),
    "predicted_seconds": Variable(("point",), "float64", "s", "wall time predicted when the point was planned"),
    "experiment_hash": Variable(("point",), "str", "1", "SHA-256 of the experiment, identity of the point", fill=""),
}
"""Coordinates along ``point`` that the planner writes beside the parameters."""


def _refuse_equal_points(sweep: Sweep, hashes: list[str], positions: np.ndarray) -> None:
    seen: dict[str, int] = {}
    for index, key in enumerate(hashes):
        if seen.setdefault(key, index) != index:
            first, again = (shown_point(sweep.parameters_at(int(positions[place]))) for place in (seen[key], index))
            raise SpecError(
                f"sweep {sweep.name!r}: points {first} and {again} are the same experiment; leave out the axis that "
                "makes no difference"
            )


def _coordinate(name: str, dotted: str, raw: list[Any], example: Experiment) -> Coordinate:
    if name in POINT_PARAMETERS:
        variable = POINT_PARAMETERS[name]
        values = [variable.fill if value is None else value for value in raw]
        return Coordinate(np.array(values, dtype=variable.dtype), variable)
    field = _field(example, dotted)
    extra = field.json_schema_extra if field is not None and isinstance(field.json_schema_extra, dict) else {}
    units = str(extra.get("unit", "1"))
    long_name = (field.description or name).rstrip(".") if field is not None else name
    column, dtype = _column(raw)
    return Coordinate(column, Variable(("point",), dtype, units, long_name, fill=_fill(dtype)))


def _column(raw: list[Any]) -> tuple[np.ndarray, str]:
    """Values as one array; what is neither number nor text becomes its JSON text."""
    kinds = {type(value) for value in raw}
    if kinds <= {bool}:
        return np.array(raw, dtype="bool"), "bool"
    if kinds <= {int}:
        return np.array(raw, dtype="int64"), "int64"
    if kinds <= {int, float, type(None)}:
        return np.array([np.nan if value is None else value for value in raw], dtype="float64"), "float64"
    return np.array([value if isinstance(value, str) else _json(value) for value in raw], dtype=object), "str"


def _json(value: Any) -> str:
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return json.dumps(plain, sort_keys=True)


def _fill(dtype: str) -> Any:
    return {"bool": False, "int64": 0, "float64": float("nan"), "str": ""}[dtype]


def _value(experiment: Experiment, dotted: str) -> Any:
    """A field of an experiment, None where this experiment has no such field."""
    value: Any = experiment
    for part in dotted.split("."):
        value = getattr(value, part, None)
    return value


def _field(experiment: Experiment, dotted: str) -> FieldInfo | None:
    *sections, last = dotted.split(".")
    section: Any = experiment
    for part in sections:
        section = getattr(section, part, None)
    return type(section).model_fields.get(last) if isinstance(section, BaseModel) else None
