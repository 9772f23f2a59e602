"""``hpcspike study``: train and probe the networks of a study, one after another or one of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hpcspike.commands.common import counted, load_config, output_folder, write_whole
from hpcspike.errors import SpecError
from hpcspike.files import claimed
from hpcspike.hdf5_files import write_netcdf
from hpcspike.spec.study import Study, StudyRun
from hpcspike.studies.feasible import check_study
from hpcspike.sweep.cost import check_memory

if TYPE_CHECKING:
    import xarray as xr

    from hpcspike.spec.experiment import Experiment


def run(arguments: argparse.Namespace) -> int:
    """Train what is missing; when nothing is, write the tree of all networks and their table."""
    study = load_config(arguments)
    if not isinstance(study, Study):
        raise SpecError(f"{arguments.config} is not a study (it has no 'variants'); see 'hpcspike plan' or 'train'")
    folder = output_folder(arguments.out or f"results/{study.name}")
    if not arguments.collect:
        check_study(study)
    if arguments.only is not None:
        _train(study, _run_named(study, arguments.only), folder, arguments.threads)
        return 0
    if not arguments.collect:
        for one in study.runs:
            _train(study, one, folder, arguments.threads)
    _collect(study, folder)
    return 0


def _run_named(study: Study, label: str) -> StudyRun:
    known = {one.label: one for one in study.runs}
    if label not in known:
        raise SpecError(
            f"--only {label}: must be VARIANT_REPLICATE with a variant and one of its replicates, counted from 0; "
            f"there are {', '.join(f'{study.repetitions(variant)} of {variant}' for variant in study.variants)}"
        )
    return known[label]


def _train(study: Study, one: StudyRun, folder: Path, threads: int) -> None:
    from hpcspike.studies.results import is_done, run_path

    path = run_path(folder, one)
    if is_done(folder, study, one):
        print(f"{path} is there already")
        return
    with claimed(path):
        _train_into(path, study, one, threads)


def _train_into(path: Path, study: Study, one: StudyRun, threads: int) -> None:
    from hpcspike.studies.run import run_of_study

    check_memory(study.experiment_of(one))
    dataset = run_of_study(study, one, threads=threads, progress=True)
    write_netcdf(dataset, path, encoding=_packed(dataset))
    found = _correlation(dataset, study.experiment_of(one))
    if "test_wrong" in dataset:
        found = f"{100.0 * float(dataset['test_wrong'].mean()):.1f} % of the answers wrong"
    if "test_goals" in dataset:
        found = f"{float(dataset['test_goals'].mean()):.1f} goals per s"
    print(f"{path}: {found}, population rate {float(dataset['population_rate']):.1f} Hz over all neurons", flush=True)


def _correlation(dataset: xr.Dataset, experiment: Experiment) -> str:
    """The correlation that is judged, and over whom it is."""
    from hpcspike.measures.verdict import judged_over, scalars_of

    scalars = scalars_of(dataset)
    name = judged_over(scalars)
    over = "all neurons" if experiment.training.subset is None else "the trained neurons"
    if name == "correlation_recorded":
        over = "the recorded units"
    elif dataset.attrs["trained_variable"] not in ("drive", "rate"):
        over = "all outputs"
    return f"correlation {scalars[name]:.3f} over {over}"


def _packed(dataset: object) -> dict[str, dict[str, object]]:
    names = ("response_after", "response_before", "response_during", "target", "predicted_drive")
    return {name: {"zlib": True, "dtype": "float32"} for name in names if name in dataset}  # type: ignore[operator]


def _collect(study: Study, folder: Path) -> None:
    from hpcspike.studies.results import collect, table_of

    tree = collect(folder, study)
    path = folder / "study.nc"
    write_netcdf(tree, path)
    table = table_of(tree)
    write_netcdf(table, folder / "table.nc")
    scalars = table[[name for name, item in table.data_vars.items() if item.dims == ("variant", "replicate")]]
    units = {name: str(item.attrs.get("units", "1")) for name, item in scalars.data_vars.items()}
    headings = {name: f"{name} [{unit}]" for name, unit in units.items() if unit not in ("", "1")}
    write_whole(folder / "table.csv", scalars.to_dataframe().rename(columns=headings).to_csv)
    print(f"{path}: {counted(len(study.runs), 'network')}; numbers in {folder / 'table.csv'}")
