"""``hpcspike claims``: the results at hand against the claims of the papers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hpcspike.commands.common import finished_points, output_folder, write_whole
from hpcspike.errors import StoreError
from hpcspike.hdf5_files import write_netcdf
from hpcspike.verification import refuse_if_damaged, vouched

if TYPE_CHECKING:
    import xarray as xr

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
    from hpcspike.studies.claims import as_markdown, as_table
    from hpcspike.studies.statements import rows

    found = rows(tables)
    sources = {name: _source(table) for name, table in sorted(tables.items())}
    for name, table in tables.items():
        table.encoding.pop("unlimited_dims", None)
        write_netcdf(table, folder / f"{name}.nc", compress=True)
    write_whole(folder / "claims.csv", lambda path: as_table(found).to_csv(path, index=False, float_format="%.6g"))
    write_whole(folder / "claims.md", lambda path: path.write_text(as_markdown(found, sources), encoding="utf-8"))
    page = page_of_claims(found, sources)
    write_whole(folder / "claims.html", lambda path: path.write_text(page, encoding="utf-8"))
    verdicts = [row.verdict for row in found]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts))
    print(f"{folder / 'claims.md'}: {len(found)} rows: {counts or 'none'}")
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
    """What a table is of, how long it took, and which revisions of the code made it."""
    if "study" in table.attrs:
        what = f"study, {table.sizes['variant']} variants, {int(table['wall_seconds'].count())} networks"
    else:
        what = f"sweep, {table.sizes['point']} points"
    minutes = float(table["wall_seconds"].sum()) / 60.0
    revisions = sorted({str(text)[:10] for text in table[_revision(table)].values.ravel() if str(text)})
    if "stand_in" in table.attrs:
        what += ", of a generated STAND-IN for recordings"
    return f"{what}, {minutes:.1f} min of computation, revision {', '.join(revisions)}"


def _revision(table: xr.Dataset) -> str:
    return next(name for name in map(str, table.data_vars) if "revision" in name)
