"""A folder of a network that TrainSpikingNet.jl, or an older program of its family, trained: weights, order, targets.

Files are JLD2 or JLD, an array of one name in each; Julia's arrays are column-major, so HDF5 sees their dimensions
reversed, and its numbers of neurons and units begin with 1.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike.errors import DataError
from hpcspike.variables import TRAINED

if TYPE_CHECKING:
    import xarray as xr

FIXED = ("w0Index", "w0Weights")
"""Files of the fixed synapses."""
_LEFT_OUT = {
    **dict.fromkeys(FIXED, "fixed synapses (w0Index, w0Weights)"),
    "wpWeightFfwd": "weights from the feed-forward population", "wpWeightX": "weights from the feed-forward population",
    "ffwdRate": "rates of the feed-forward population", "rateX": "rates of the feed-forward population",
    "P": "matrices P of recursive least squares", "wpIndexOut": "plastic synapses by presynaptic neuron: as wpIndexIn",
    "wpIndexConvert": "plastic synapses by presynaptic neuron: as wpIndexIn",
    **dict.fromkeys(("nc0", "ncpIn", "ncpOut"), "numbers of synapses: those of the lists"),
}  # fmt: skip
_READ = ("p", "wpIndexIn", "wpWeightIn", "almOrd", "matchedCells", "ns", "stim", "xtotal", "utarg", "xtarg")


def read_tsn(folder: str | Path) -> xr.Dataset:
    """Read a trained network of TrainSpikingNet.jl.

    Parameters
    ----------
    folder
        Holds at least ``p`` (parameters), ``wpIndexIn`` and ``wpWeightIn`` as ``.jld2`` or ``.jld``; a file may have a
        number of loops behind its name, as ``ns_200.jld``.

    Returns
    -------
    Dataset
        ``weight``, ``presynaptic`` and ``row_start`` as the Dataset of a network here has them, so that
        `hpcspike.exchange.weights_csr` and `weight_matrix` take it. A spike adds w tau / tau_s to the drive here and
        w / tau_s there: weights are divided by the membrane time constant in ms. Where the folder has them:
        ``matched_unit`` (row of the unit that each neuron follows, -1: none), ``target`` (target_set, neuron,
        sample; total input, NaN of neurons that follow no unit), ``stimulus`` (target_set, neuron; of a time course
        its mean), ``n_spikes`` (neuron) and ``total_input`` (neuron, test_sample) of its last test.
        Attributes: ``parameters`` (JSON), ``not_carried_over`` (a line for each thing that is not here, or that has no
        place here). It is no network that runs, which `hpcspike.exchange.network_of_tsn` makes of it where the folder
        has all parts.

    Raises
    ------
    DataError
        If the folder, or one of the files that are needed, is missing or cannot be read, or they do not fit together.
    """
    import xarray as xr

    root = Path(folder).expanduser()
    if not root.is_dir():
        raise DataError(f"{root} is no folder; give the one in which TrainSpikingNet.jl keeps a network")
    files = files_in(root)
    missing = [name for name in ("p", "wpIndexIn", "wpWeightIn") if name not in files]
    if missing:
        held = ", ".join(sorted(path.name for path in files.values())) or "no .jld or .jld2 file"
        raise DataError(f"{root} has no {missing[0]}.jld or {missing[0]}.jld2 (it holds {held})")
    parameters = _parameters(files["p"])
    index, weight = (_by_neuron(files[name], name) for name in ("wpIndexIn", "wpWeightIn"))
    tau_ms, n = parameters.get("taue"), len(index)
    if tau_ms is None or tau_ms <= 0:
        raise DataError(f"{files['p']}: taue = {tau_ms}: must be the membrane time constant in ms, above 0")
    variables = _synapses(files["wpIndexIn"], index, weight, n, tau_ms) | _matching(files, n)
    variables |= _activity(files, n, variables)
    attrs = {"parameters": json.dumps(parameters), "not_carried_over": _not_carried(files, parameters)}
    return xr.Dataset(variables, coords={"neuron": ("neuron", np.arange(n), TRAINED["neuron"].attrs)}, attrs=attrs)


def files_in(root: Path) -> dict[str, Path]:
    """Name of the array -> its file; the loops behind a name are cut off, the most of them win.

    The parameters, ``p``, are in ``param.jld2`` where TrainSpikingNet.jl wrote them.
    """
    found: dict[str, tuple[int, Path]] = {}
    for path in sorted(root.iterdir()):
        if path.suffix not in (".jld", ".jld2"):
            continue
        name, _, loops = path.stem.rpartition("_")
        name, loops = (name, loops) if name and loops.isdigit() else (path.stem, "0")
        if name not in found or int(loops) > found[name][0]:
            found[name] = (int(loops), path)
    if "param" in found:
        found.setdefault("p", found.pop("param"))
    return {name: path for name, (_, path) in found.items()}


def read_array(path: Path, name: str) -> Any:
    """One array of a file as Julia orders its dimensions, or a list of arrays."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if name not in file:
                held = ", ".join(key for key in file if not key.startswith("_"))
                raise DataError(f"{path} holds no {name} (it holds {held or 'nothing'})")
            item = file[name]
            if h5py.check_ref_dtype(item.dtype) is h5py.Reference:
                return [np.asarray(file[part][()]).T for part in item[()].ravel()]
            values = item[()]
            return values if item.dtype.names else np.asarray(values).T
    except DataError:
        raise
    except Exception as error:  # damaged files raise whatever HDF5 happens to raise
        raise DataError(f"{path}: cannot be read as JLD2 ({error}); is it whole?") from None


def _parameters(path: Path) -> dict[str, float | int]:
    """The record of parameters, names without the underscore that JLD appends."""
    record = read_array(path, "p")
    if not getattr(record, "dtype", np.dtype(float)).names:
        raise DataError(f"{path}: p is no record of parameters")
    return {name.rstrip("_"): record[name].item() for name in record.dtype.names if record.dtype[name].kind in "iuf"}


def _by_neuron(path: Path, name: str) -> list[np.ndarray]:
    """Inputs of every neuron: of a matrix (post, input), or of a vector of vectors."""
    values = read_array(path, name)
    if isinstance(values, list):
        return [np.atleast_1d(row) for row in values]
    if values.ndim != 2:
        raise DataError(
            f"{path}: {name} has {values.ndim} dimension(s): must be (neuron, input), or a vector of vectors"
        )
    return list(values)


def _synapses(path: Path, index: list[np.ndarray], weight: list[np.ndarray], n: int, tau_ms: float) -> dict[str, Any]:
    if [len(row) for row in index] != [len(row) for row in weight]:
        raise DataError(f"{path.parent}: wpIndexIn and wpWeightIn do not have the same size")
    # 0 fills up the rows of a matrix
    kept = [row.astype(np.int64) > 0 for row in index]
    presynaptic = np.concatenate([row[here].astype(np.int64) - 1 for row, here in zip(index, kept, strict=True)])
    if len(presynaptic) and presynaptic.max() >= n:
        raise DataError(f"{path}: names neuron {presynaptic.max() + 1}, but has {n} rows, one per neuron")
    values = np.concatenate([row[here] for row, here in zip(weight, kept, strict=True)]) / tau_ms
    start = np.concatenate([[0], np.cumsum([int(here.sum()) for here in kept])])
    columns = {"weight": values, "presynaptic": presynaptic.astype(np.int32), "row_start": start}
    return {name: (TRAINED[name].dims, column, TRAINED[name].attrs) for name, column in columns.items()}


def _matching(files: dict[str, Path], n: int) -> dict[str, Any]:
    """Which unit every neuron follows: neuron matchedCells[k] follows unit almOrd[k]."""
    if "almOrd" not in files or "matchedCells" not in files:
        return {}
    unit, neuron = (np.ravel(read_array(files[name], name)).astype(np.int64) - 1 for name in ("almOrd", "matchedCells"))
    fits = len(unit) == len(neuron) > 0 and neuron.min() >= 0 and neuron.max() < n and unit.min() >= 0
    if not fits or len(np.unique(neuron)) < len(neuron):
        raise DataError(
            f"{files['matchedCells']}: must name one of {n} neurons, none of them twice, for each of the {len(unit)} "
            f"units of almOrd; it holds {len(neuron)}"
        )
    kinds, counts = np.unique(unit, return_counts=True)
    if len(kinds) < len(unit):
        raise DataError(
            f"{files['almOrd']}: names unit {kinds[counts > 1][0] + 1} {counts[counts > 1][0]} times: must name every "
            "unit once, or several neurons follow one unit"
        )
    matched = np.full(n, -1, dtype=np.int32)
    matched[neuron] = unit
    return {"matched_unit": (("neuron",), matched, TRAINED["matched_unit"].attrs)}


def _activity(files: dict[str, Path], n: int, known: dict[str, Any]) -> dict[str, Any]:
    """Targets, cues, and what the last test gave."""
    found: dict[str, Any] = {}
    target = _targets(files, n, known)
    if target is not None:
        about = {"units": "1", "long_name": "target: total input"}
        found["target"] = (("target_set", "neuron", "sample"), target, about)
    if "stim" in files:
        cues = _cues(files["stim"], n)
        if target is not None and len(cues) != len(target):
            raise DataError(
                f"{files['stim']}: {len(cues)} condition(s), but the targets have {len(target)}: must be as many"
            )
        found["stimulus"] = (("target_set", "neuron"), cues, TRAINED["stimulus"].attrs)
    if "ns" in files:
        about = {"units": "1", "long_name": "spikes in the last test"}
        counts = np.ravel(read_array(files["ns"], "ns"))
        if len(counts) != n:
            raise DataError(f"{files['ns']}: {len(counts)} counts of spikes: must be one for each of {n} neurons")
        found["n_spikes"] = (("neuron",), counts, about)
    if "xtotal" in files:
        about = {"units": "1", "long_name": "total synaptic input in the last test, threshold 1"}
        total = np.asarray(read_array(files["xtotal"], "xtotal"))
        if total.ndim != 2 or total.shape[1] != n:
            raise DataError(f"{files['xtotal']}: xtotal has the size {total.shape}: must be (time, {n} neurons)")
        found["total_input"] = (("neuron", "test_sample"), total.T, about)
    return found


def _cues(path: Path, n: int) -> np.ndarray:
    """(conditions, n): a vector of vectors, or a matrix whose columns are neurons; of a time course its mean."""
    values = read_array(path, "stim")
    each = values if isinstance(values, list) else [np.asarray(values)]
    if len({one.shape for one in each}) != 1:
        raise DataError(f"{path}: the cues have the sizes {', '.join(str(one.shape) for one in each)}: must be equal")
    found = []
    for one in each:
        rows = one[None] if one.ndim == 1 else one  # (time, neuron) or (time, neuron, condition)
        if rows.ndim not in (2, 3) or rows.shape[1] != n:
            raise DataError(
                f"{path}: a cue has the size {one.shape}: must be ({n} neurons), (time, {n} neurons) or (time, {n} "
                "neurons, condition)"
            )
        found.append(rows.mean(axis=0).reshape(n, -1).T)
    return np.concatenate(found)


def _has_time(path: Path) -> bool:
    values = read_array(path, "stim")
    return bool(np.ndim(values[0] if isinstance(values, list) else values) > 1)


def target_name(files: dict[str, Path]) -> str:
    """Name of the array that holds the targets; empty if there is none."""
    return next((name for name in ("utarg", "xtarg") if name in files), "")


def _targets(files: dict[str, Path], n: int, known: dict[str, Any]) -> np.ndarray | None:
    """(sets, n, samples): ``utarg`` (time, neuron, task), or ``xtarg``, a vector of (time, unit) by unit."""
    name = target_name(files)
    if not name:
        return None
    values = read_array(files[name], name)
    sizes = {np.shape(one) for one in values} if isinstance(values, list) else {np.shape(values)}
    if len(sizes) != 1 or len(next(iter(sizes))) not in ((2,) if isinstance(values, list) else (2, 3)):
        words = ", ".join(map(str, sorted(sizes))) or "nothing"
        raise DataError(
            f"{files[name]}: {name} has the size {words}: must be (time, unit), (time, unit, condition), or a vector "
            "of (time, unit) of equal size"
        )
    sets = np.stack(values, axis=-1) if isinstance(values, list) else np.asarray(values)
    sets = sets[..., None] if sets.ndim == 2 else sets
    by_row = np.moveaxis(sets, (2, 1, 0), (0, 1, 2)).astype(float)
    if by_row.shape[1] == n:
        return by_row
    matched = known["matched_unit"][1] if "matched_unit" in known else np.zeros(0, np.int32)
    if not len(matched):
        raise DataError(
            f"{files[name]}: {by_row.shape[1]} units, and no matchedCells that says which neurons follow them"
        )
    if matched.max() >= by_row.shape[1]:
        raise DataError(
            f"{files['almOrd']}: names unit {matched.max() + 1}, but {files[name].name} holds the targets of "
            f"{by_row.shape[1]} units"
        )
    return np.where((matched >= 0)[None, :, None], by_row[:, np.maximum(matched, 0)], np.nan)


def _not_carried(files: dict[str, Path], parameters: dict[str, float | int]) -> str:
    """A line for each thing that is not in the Dataset."""
    here = [f"{words}: in {files[name].name}, not read" for name, words in _LEFT_OUT.items() if name in files]
    if "stim" in files and _has_time(files["stim"]):
        here.append(f"time course of the cues: their means over it ({files['stim'].name})")
    if "w0Index" not in files:
        here.append("fixed synapses: not in the folder; they were drawn from the state of Julia's random numbers")
    if parameters.get("Lffwd") and not {"wpWeightFfwd", "wpWeightX"} & set(files):
        here.append(f"feed-forward population of {parameters['Lffwd']:g} neurons: not in the folder")
    if not {"utarg", "xtarg"} & set(files):
        here.append("targets: not in the folder")
    here += [f"{path.name}: not known" for name, path in files.items() if name not in {*_READ, *_LEFT_OUT}]
    return "\n".join(dict.fromkeys(here))
