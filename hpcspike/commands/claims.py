"""``hpcspike claims``: the results at hand against the claims of the papers."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcspike.commands.common import finished_points, output_folder, write_whole
from hpcspike.errors import StoreError
from hpcspike.hdf5_files import write_netcdf
from hpcspike.spec.places import keep_names_of_files
from hpcspike.verification import refuse_if_damaged, vouched

if TYPE_CHECKING:
    import xarray as xr

    from hpcspike.spec.study import Study
    from hpcspike.spec.sweep import Sweep

SIZES = ("_smoke", "_laptop", "_paper")
"""Endings of the names of sweeps and studies that are sizes of the same one."""


def run(arguments: argparse.Namespace) -> int:
    """Write the page, the table, and the numbers behind them."""
    folder = output_folder(arguments.out)
    tables: dict[str, xr.Dataset] = {}
    for text in arguments.results:
        table = _table(text)
        name = base_name(table)
        if name in tables:
            raise StoreError(f"{text}: the results of {name!r} were given twice")
        tables[name] = table
    from hpcspike.report.claims import page_of_claims
    from hpcspike.studies.claims import as_markdown, as_table, counts_of
    from hpcspike.studies.statements import rows

    found = rows(tables)
    sources = {name: _source(table) for name, table in sorted(tables.items())}
    for name, table in tables.items():
        table.encoding.pop("unlimited_dims", None)
        if (document := _document_of(table)) != json.loads(table.attrs.get(_kept_in(table), "{}")):
            table.attrs[_kept_in(table)] = json.dumps(document)
        write_netcdf(table, folder / f"{name}.nc", compress=True)
    write_whole(folder / "claims.csv", lambda path: as_table(found).to_csv(path, index=False, float_format="%.6g"))
    write_whole(folder / "claims.md", lambda path: path.write_text(as_markdown(found, sources), encoding="utf-8"))
    page = page_of_claims(found, sources)
    write_whole(folder / "claims.html", lambda path: path.write_text(page, encoding="utf-8"))
    print(f"{folder / 'claims.md'}: {counts_of(found)}")
    return 0


def base_name(table: xr.Dataset) -> str:
    """Name of a study or sweep without the ending of its size."""
    name = str(table.attrs.get("study") or table.attrs["name"])
    return next((name.removesuffix(size) for size in SIZES if name.endswith(size)), name)


def _table(text: str) -> xr.Dataset:
    import xarray as xr

    path = Path(text)
    if path.is_dir():
        return finished_points(text, provenance=True).load()
    try:
        table = xr.load_dataset(path, engine="h5netcdf")
    except Exception:  # whatever it is, it is not ours
        table = xr.Dataset()
    if "study" in table.attrs or ("name" in table.attrs and "point" in table.dims):
        return vouched(table, path)
    refuse_if_damaged(path)
    raise StoreError(
        f"{path} is neither the table of a study (table.nc) nor the store of a sweep; see 'hpcspike study' and "
        "'hpcspike run-batch'"
    )


def _source(table: xr.Dataset) -> str:
    """What a table is of, what it lacks, how long it took, and which revisions of the code made it."""
    asked = _asked_for(table)
    if "study" in table.attrs:
        what = f"study, {table.sizes['variant']} variants, {int(table['wall_seconds'].count())} networks"
        there = {str(one): int(table["wall_seconds"].sel(variant=one).count()) for one in table["variant"].values}
        lacking: dict[str, list[str]] = {}
        for one, wanted in asked.items():
            if (count := there.get(one, 0)) < wanted:
                lacking.setdefault(f"{count} of {wanted} networks of", []).append(one)
        if lacking:
            each = (f"{words} {', '.join(names)}" for words, names in lacking.items())
            what += f" ({'; '.join(each)})"
    else:
        n_points = table.sizes["point"]
        what = (
            f"sweep, {n_points} of {asked['']} points" if asked.get("", 0) > n_points else f"sweep, {n_points} points"
        )
    minutes = float(table["wall_seconds"].sum()) / 60.0
    revisions = sorted({str(text)[:10] for text in table[_revision(table)].values.ravel() if str(text)})
    if "stand_in" in table.attrs:
        what += ", of a generated STAND-IN for recordings"
    elif (recorded := _recording_of(table)) is not None:
        what += f", of the recordings in {recorded}"
    return f"{what}, {minutes:.1f} min by the clock, revision {', '.join(revisions)}"


def _recording_of(table: xr.Dataset) -> str | None:
    """Name of the file of recorded rates that a table's networks were trained on; None if on none."""
    targets = _document_of(table).get("experiment", {}).get("targets", {})
    return str(targets["path"]) if targets.get("kind") == "recorded" else None


def _kept_in(table: xr.Dataset) -> str:
    """The attribute that holds the document of a table's study or sweep."""
    return "document" if "study" in table.attrs else "sweep"


def _document_of(table: xr.Dataset) -> dict[str, Any]:
    """What a table's study or sweep was asked for, files by their names alone; nothing if it does not say."""
    document: dict[str, Any] = json.loads(table.attrs.get(_kept_in(table), "{}"))
    keep_names_of_files(document)
    return document


def _asked_for(table: xr.Dataset) -> dict[str, int]:
    """Variant -> how many networks were asked for; of a sweep ``''`` -> how many points. Nothing if none says.

    By the table's own document or, if they are more, by the named experiment of the same settings in one of its sizes.
    """
    from hpcspike.shipped import named_experiments
    from hpcspike.spec.load import load, sizes_of
    from hpcspike.spec.study import Study
    from hpcspike.spec.sweep import Sweep

    kind = Study if "study" in table.attrs else Sweep
    try:
        own = kind.model_validate(_document_of(table))
    except ValueError:  # none, or that of a version that named its settings otherwise
        return {}
    path = named_experiments().get(base_name(table))
    sizes: list[str | None] = [] if path is None else [*sizes_of(path)] or [None]
    same = (load(path, size=size) for size in sizes) if path is not None else ()
    named = [one for one in same if isinstance(one, kind) and _settings(one) == _settings(own)][:1]
    asked: dict[str, int] = {}
    for one in (own, *named):
        if isinstance(one, Study):
            counts = {variant: one.repetitions(variant) for variant in one.variants}
        else:
            counts = {"": one.n_points}
        asked |= {key: max(count, asked.get(key, 0)) for key, count in counts.items()}
    return asked


def _settings(plan: Study | Sweep) -> Any:
    """What all networks of a study or sweep share, files by their names alone."""
    document = plan.model_dump(mode="json", by_alias=True)
    keep_names_of_files(document)
    return document["experiment"]


def _revision(table: xr.Dataset) -> str:
    return next(name for name in map(str, table.data_vars) if "revision" in name)
