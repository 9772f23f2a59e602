"""``hpcspike compare``: which numbers of two sweeps, or of two trained networks, differ, and by how much."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcspike.commands.common import counted, refuse_unwritable
from hpcspike.commands.plot import results_at
from hpcspike.errors import StoreError
from hpcspike.files import whole
from hpcspike.spec.yaml_text import shown
from hpcspike.verification import reading

if TYPE_CHECKING:
    import xarray as xr

DIFFERENT = 3
"""Exit code where they differ, as of ``hpcspike show``: 1 is that of a bug."""
MOST_LINES = 12


def run(arguments: argparse.Namespace) -> int:
    """Compare, say what differs, and draw it if that was asked for."""
    picture = None if arguments.out is None else Path(arguments.out)
    if picture is not None:
        _refuse(picture)
    from hpcspike.analysis.comparison import are_equal, compare

    a, b = Path(arguments.a), Path(arguments.b)
    with reading(a), reading(b):
        comparison = compare(_results(a), _results(b)).load()
    if picture is not None:
        _draw(comparison, picture, arguments.dpi)
    equal = are_equal(comparison)
    if arguments.json:
        print(json.dumps(_document(comparison, equal), indent=1))
    else:
        _print(comparison, equal, picture)
    return 0 if equal else DIFFERENT


def _results(path: Path) -> xr.Dataset:
    import xarray as xr

    results = results_at(path)
    if not isinstance(results, xr.Dataset):
        raise StoreError(f"{path} is a study; give the store of a sweep, or what 'hpcspike train' wrote")
    return results


def _refuse(picture: Path) -> None:
    if picture.suffix not in (".png", ".pdf", ".svg"):
        raise StoreError(f"--out {picture}: must end in .png, .pdf or .svg")
    if picture.is_dir():
        raise StoreError(f"--out {picture} is a folder; choose another path")
    refuse_unwritable(picture)


def _draw(comparison: xr.Dataset, picture: Path, dpi: int) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from hpcspike.figures.comparison import comparison_panels

    figure = comparison_panels(comparison)
    with whole(picture) as unfinished:
        figure.savefig(unfinished, dpi=dpi)


def _print(comparison: xr.Dataset, equal: bool, picture: Path | None) -> None:
    of_sweeps = comparison.attrs["kind"] == "sweep"
    what = "point" if of_sweeps else "variable"
    n_both = comparison.sizes[what]
    alone = [f"{comparison.attrs[f'only_in_{side}']} only in {side.upper()}" for side in "ab"]
    for field, (left, right) in list(json.loads(comparison.attrs["fields"]).items())[:MOST_LINES]:
        print(f"field      {field}: {shown(left)} in A, {shown(right)} in B")
    print(f"{what + 's':<10} {n_both:,} in both, {', '.join(alone)}")
    apart = comparison["n_different"].values > 0
    where = ""
    if of_sweeps:
        n_points = int((comparison["point_differences"] > 0).sum())
        where = f" at {n_points:,} of {counted(n_both, 'point')}"
    print(f"different  {int(apart.sum())} of {counted(len(apart), 'variable')}{where}")
    for line in _lines(comparison)[:MOST_LINES]:
        print(f"  {line}")
    if apart.sum() > MOST_LINES:
        print(f"  and {counted(int(apart.sum()) - MOST_LINES, 'more variable')}; --json has all")
    if picture is not None:
        print(f"figure     {picture}")
    print("equal" if equal else "not equal")


def _lines(comparison: xr.Dataset) -> list[str]:
    """What differs, variable by variable, most differences first."""
    lines = []
    for row in _rows(comparison):
        size = "not equally many" if row["largest"] is None else f"largest {row['largest']:+.4g} {row['unit']}".rstrip()
        at = f" at point {row['at_point']}" if row.get("at_point") is not None else ""
        lines.append(f"{row['variable']}: {row['different']:,} of {row['compared']:,} values, {size}{at}")
    return lines


def _rows(comparison: xr.Dataset) -> list[dict[str, Any]]:
    rows = []
    for k in (-comparison["n_different"]).argsort(kind="stable").values:
        one = comparison.isel(variable=k)
        if not int(one["n_different"]):
            continue
        largest = float(one["largest_difference"])
        unit = str(one["unit"].item())
        row = {
            "variable": str(one["variable"].item()),
            "unit": "" if unit == "1" else unit,
            "compared": int(one["n_compared"]),
            "different": int(one["n_different"]),
            "largest": None if largest != largest else largest,
            "rms": None if largest != largest else float(one["rms_difference"]),
        }
        if "difference" in comparison and row["largest"] is not None:
            row["at_point"] = int(comparison["point_a"].values[int(abs(one["difference"]).argmax("point").values)])
        rows.append(row)
    return rows


def _document(comparison: xr.Dataset, equal: bool) -> dict[str, Any]:
    document: dict[str, Any] = {
        "equal": equal,
        "kind": comparison.attrs["kind"],
        "fields": json.loads(comparison.attrs["fields"]),
        "only_in_a": int(comparison.attrs["only_in_a"]),
        "only_in_b": int(comparison.attrs["only_in_b"]),
        "variables": _rows(comparison),
    }
    if comparison.attrs["kind"] == "sweep":
        apart = comparison["point_differences"].values > 0
        document["points"] = comparison.sizes["point"]
        document["different_points"] = comparison["point_a"].values[apart].tolist()
    return document
