"""Pages of HTML: whole in themselves, readable without pictures or colours, and true to the results."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
import sys
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.colors import to_hex
from synthetic import Columns, synthetic_sweep, synthetic_trained
from synthetic_study import synthetic_study

from hpcspike.cli import main
from hpcspike.commands import report
from hpcspike.errors import DataError, ResourceError
from hpcspike.figures import figures_for
from hpcspike.figures.style import STATUS_MARKERS
from hpcspike.report.captions import Caption, as_html, caption_of
from hpcspike.report.claims import page_of_claims
from hpcspike.report.drawing import pictures
from hpcspike.report.network import page_of_network, page_of_study
from hpcspike.report.networks import MOST_ROWS, _sparkline
from hpcspike.report.page import Cell, Column, number, table
from hpcspike.report.sweep import exemplary, page_of_sweep
from hpcspike.report.words import LABELS, SIGNS, ink_on
from hpcspike.studies.claims import CLAIMS, as_table
from hpcspike.studies.results import table_of
from hpcspike.studies.statements import rows
from hpcspike.variables import STATUS

ROOT = Path(__file__).resolve().parent.parent
CAPTIONS = ROOT / "cluster" / "report"


class Page(HTMLParser):
    """What a page holds, read the way a browser does."""

    VOID = frozenset({"meta", "link", "img", "br", "line", "polyline"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str]] = []
        self.headings: list[tuple[int, str]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.values: dict[str, list[list[str]]] = {}
        self.commands: list[str] = []
        self._table = ""
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        if tag not in self.VOID:
            self.open.append(tag)
        if "id" in found:
            self.ids.append(found["id"])
        self.links += [found[name] for name in ("href", "src", "action", "srcset") if name in found]
        if tag == "img":
            self.images.append(found)
        if tag in ("h1", "h2", "h3"):
            self.headings.append((int(tag[1]), ""))
        if tag == "table":
            self._table = found.get("id", "")
            self.tables[self._table], self.values[self._table] = [], []
        if tag == "tr" and self._table:
            self.tables[self._table].append([])
            self.values[self._table].append([])
        if tag == "td" and self._table:
            self.tables[self._table][-1].append("")
            self.values[self._table][-1].append(found.get("data-value", ""))
        if tag == "code" and found.get("class") == "command":
            self.commands.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag, f"{tag} closed before what it holds"
        if tag == "table":
            self._table = ""

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            level, text = self.headings[-1]
            self.headings[-1] = (level, text + data)
        if self.open and self.open[-1] == "code":
            self.commands[-1] += data
        if "td" in self.open and self._table and self.tables[self._table][-1]:
            self.tables[self._table][-1][-1] += data

    def rows_of(self, key: str) -> list[list[str]]:
        return [[cell.strip() for cell in row] for row in self.tables[key] if row]


def audited(text: str) -> Page:
    """The page, if it needs nothing from outside and can be read by everybody."""
    page = Page(text)
    assert text.startswith("<!doctype html>")
    assert '<html lang="en">' in text
    assert len(page.ids) == len(set(page.ids))
    for link in page.links:
        assert link.startswith(("#", "data:")), f"{link} lies outside the page"
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|https?://", text)
    for image in page.images:
        assert image["alt"]
        png = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"), validate=True)
        assert png.startswith(b"\x89PNG\r\n")
        assert png[-8:-4] == b"IEND"
        assert 100 < int(image["width"]) < 1400
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
    assert all(words.strip() for _, words in page.headings)
    return page


def swept(**axes: object) -> xr.Dataset:
    sweep = synthetic_sweep(**axes)  # type: ignore[arg-type]
    sweep.attrs["sweep"] = json.dumps({"name": "synthetic", "experiment": {"seed": 1}, "axes": {}})
    return sweep


@pytest.fixture(scope="module")
def sweep() -> xr.Dataset:
    return swept(
        tau_syn_ms=(5.0, 20.0, 100.0),
        tau_corr_ms=(50.0, 200.0),
        replicates=2,
        diverged=lambda p: (p["tau_syn_ms"] == 5.0) & (p["tau_corr_ms"] == 50.0),
    )


@pytest.fixture(scope="module")
def sweep_page(sweep: xr.Dataset) -> Page:
    chosen = {name: draw for name, draw in figures_for(sweep).items() if name in ("map", "training")}
    drawn = pictures(chosen, folder=None, captions=CAPTIONS, what="synthetic")
    return audited(page_of_sweep(sweep, drawn, store="results/synthetic.zarr"))


# ---- a sweep ---------------------------------------------------------------------------------------------------------


def test_dashed_lines_of_learning_curves_are_told_apart(sweep: xr.Dataset, sweep_page: Page) -> None:
    after = "Dashed across: the correlation in test trials after training, over all neurons, with plasticity off."
    assert after in page_of_sweep(sweep, [], store="s.zarr")
    tested = sweep.assign(curve_test_correlation=sweep["curve_correlation"])
    text = page_of_sweep(tested, [], store="s.zarr")
    assert f"Dashed with markers: tests while training, over all neurons, plasticity off. {after}" in text
    assert "hpcspike export s.zarr s.zip" in text


def test_every_network_has_a_row_with_its_numbers_and_its_command(sweep: xr.Dataset, sweep_page: Page) -> None:
    rows = sweep_page.rows_of("networks-table")
    assert len(rows) == sweep.sizes["point"] == 12
    values = [row for row in sweep_page.values["networks-table"] if row]
    for k, (row, value) in enumerate(zip(rows, values, strict=True)):
        one = sweep.isel(point=k)
        assert value[:4] == [str(k), str(float(one.tau_syn_ms)), str(float(one.tau_corr_ms)), str(int(one.replicate))]
        assert row[-1] == f"hpcspike show results/synthetic.zarr --point {k}"
        assert value[6] == (repr(float(one.correlation)) if np.isfinite(one.correlation) else "")
        assert row[6] == number(float(one.correlation))


def test_a_learning_curve_rises_on_the_page_as_its_correlation_does() -> None:
    picture = str(_sparkline(np.array([0.0, np.nan, 1.2, 0.5]), 0.7))
    # 100 wide with a margin of 1, 24 high with one of 2, y downwards; more than 1 is drawn as 1
    assert 'points="1.0,22.0 66.3,2.0 99.0,12.0"' in picture
    assert 'y1="8.0" y2="8.0"' in picture
    assert "0 in loop 1, 0.5" in picture
    assert "in loop 4" in picture


def test_points_are_called_by_their_rows_in_the_store(sweep: xr.Dataset) -> None:
    some = sweep.assign_coords(point=np.arange(12) + 7).isel(point=[3, 5])
    rows = audited(page_of_sweep(some, [], store="s.zarr")).rows_of("networks-table")
    assert [row[-1] for row in rows] == [f"hpcspike show s.zarr --point {k}" for k in (10, 12)]


def test_commands_on_the_page_can_be_run_where_paths_hold_spaces(sweep: xr.Dataset) -> None:
    store = "my results/a 'b'.zarr"
    text = html.unescape(page_of_sweep(sweep, [], store=store))
    commands = re.findall(r'<code class="command">(hpcspike (?:show|export) .*?)</code>', text)
    assert {shlex.split(command)[2] for command in commands} == {store}
    assert f'hpcspike.open_sweep("{store}")' in text


def test_a_cell_of_the_map_leads_to_its_networks(sweep: xr.Dataset) -> None:
    text = page_of_sweep(sweep, [], store="s.zarr")
    page = Page(text)
    found = [json.loads(choice) for choice in re.findall(r"data-choose='(.*?)'", text.replace("&#34;", '"'))]
    assert len(found) == 6
    values = [row for row in page.values["networks-table"] if row]
    for choice in found:
        assert sum(all(row[int(column)] == wanted for column, wanted in choice.items()) for row in values) == 2
    assert 'aria-label="τc = 50 ms, τs = 20 ms: mean correlation' in text


def test_sections_and_figures_stand_in_their_order(sweep_page: Page) -> None:
    assert [words for level, words in sweep_page.headings if level == 2] == [
        "What became of the networks",
        "Map of all networks",
        "Figures",
        "Best, median and worst network",
        "All networks",
        "Where the numbers come from",
    ]
    of_figures = [words for level, words in sweep_page.headings if level == 3]
    assert of_figures == ["Where the network learns", "Learning curves", "How they learned"]


def test_the_exemplary_networks_are_the_best_the_median_and_the_worst() -> None:
    values = np.array([0.3, np.nan, 0.9, 0.5, 0.1])
    assert exemplary(xr.Dataset({"correlation": ("point", values)})) == {"best": 2, "median": 0, "worst": 4}
    assert exemplary(xr.Dataset({"correlation": ("point", np.full(2, np.nan))})) == {}


def test_a_sweep_whose_networks_all_diverged_has_a_page() -> None:
    sweep = swept(tau_syn_ms=(5.0, 20.0), diverged=lambda p: p["seed"] >= 0)
    page = audited(page_of_sweep(sweep, [], store="s.zarr"))
    assert "Best, median and worst network" not in [words for _, words in page.headings]
    assert all(row[3] == "✕ diverged" for row in page.rows_of("networks-table"))


def test_a_sweep_over_text_and_with_one_value_of_each_parameter_has_a_page() -> None:
    learners = swept(further={"learner_kind": ["rls", "<b>"]}, replicates=1)
    page = audited(page_of_sweep(learners, [], store="s"))
    assert {row[1] for row in page.rows_of("networks-table")} == {"rls", "<b>"}
    assert len(audited(page_of_sweep(swept(replicates=2), [], store="s")).rows_of("networks-table")) == 2


def test_the_page_of_a_sweep_that_still_runs_says_what_is_missing() -> None:
    sweep = swept(tau_syn_ms=(5.0, 20.0), tau_corr_ms=(50.0, 200.0), replicates=2).isel(point=[0, 1, 2, 3])
    document = {
        "name": "synthetic", "experiment": {"seed": 1}, "replicates": 2,
        "axes": {"synapse.tau_syn_ms": [5.0, 20.0], "targets.tau_corr_ms": [50.0, 200.0]},
    }  # fmt: skip
    text = page_of_sweep(sweep.assign_attrs(sweep=json.dumps(document)), [], store="s.zarr")
    assert audited(text).headings[0] == (1, "Sweep synthetic: 4 of 8 networks trained")
    assert "Of its 8 networks 4 are done so far" in text
    assert "2 independent networks for every combination" in text
    assert text.count("<small>1 of 2</small>") == 2
    assert text.count('<td class="none">') == 1


def test_labels_of_errors_are_explained_where_there_are_some() -> None:
    learned = swept(tau_syn_ms=(5.0, 20.0))
    learned["status"][:] = STATUS.index("learned")
    assert LABELS not in html.unescape(page_of_sweep(learned, [], store="s.zarr"))
    learned["status"][0] = STATUS.index("sampling")
    assert LABELS in html.unescape(page_of_sweep(learned, [], store="s.zarr"))


def test_of_very_many_networks_the_first_are_shown_and_the_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpcspike.report.sweep.MOST_ROWS", 3)
    text = page_of_sweep(swept(tau_syn_ms=(5.0, 20.0)), [], store="s.zarr")
    assert len(audited(text).rows_of("networks-table")) == 3
    assert "the first 3 of 6 networks" in text
    assert MOST_ROWS >= 980  # the paper's Fig 6


def test_signs_on_pages_are_the_markers_of_the_maps() -> None:
    drawn = {"o": "○", "^": "△", "s": "□", "x": "✕", "_": "–", ".": "·", "v": "▽"}
    assert {status: drawn[marker] for status, (marker, _) in STATUS_MARKERS.items()} == SIGNS


def test_the_time_of_a_sweep_is_the_sum_over_its_networks_and_the_counts_are_of_each_kind() -> None:
    one = swept(tau_syn_ms=(5.0,), replicates=4)
    one["wall_seconds"] = ("point", [10.0, 20.5, 32.5, np.nan])
    one["status"] = one["status"].copy(
        data=[STATUS.index(name) for name in ("tracking", "learned", "tracking", "silent")]
    )
    text = html.unescape(page_of_sweep(one, [], store="s.zarr"))
    assert "took 63 s by the clock" in text
    assert re.search(r"<th[^>]*>(?:<[^>]*>)*\s*time \(s\)", text)
    assert "Of 4 networks: 1 learned (○), 2 limited by tracking error (□), 1 silent (–)." in text


def test_a_cell_of_the_map_says_the_mean_of_its_finished_networks_and_what_most_became() -> None:
    values = {(5.0, 50.0): (0.2, 0.5), (20.0, 50.0): (0.9, 0.7), (5.0, 200.0): (-0.3, -0.1), (20.0, 200.0): (0.1, 0.4)}

    def correlation(p: Columns) -> np.ndarray:
        rows = zip(p["tau_syn_ms"], p["tau_corr_ms"], p["replicate"], strict=True)
        return np.array([values[s, c][k] for s, c, k in rows])

    one = swept(tau_syn_ms=(5.0, 20.0), tau_corr_ms=(50.0, 200.0), replicates=2, correlation=correlation)
    text = html.unescape(page_of_sweep(one, [], store="s.zarr"))
    for place, mean in (
        ("τc = 50 ms, τs = 5 ms", "0.35"),
        ("τc = 50 ms, τs = 20 ms", "0.8"),
        ("τc = 200 ms, τs = 5 ms", "−0.2"),
    ):
        assert f'aria-label="{place}: mean correlation {mean}' in text
    assert "τc = 50 ms, τs = 20 ms: mean correlation 0.800, 2 networks, most of them learned" in text
    # the scale of colours reaches from the lowest mean, -0.2, to 1
    colours = {0.8: (0.8 + 0.2) / 1.2, -0.2: 0.0, 0.25: 0.45 / 1.2, 0.35: 0.55 / 1.2}
    for mean, place in colours.items():
        shade = to_hex(matplotlib.colormaps["viridis"](place))
        assert re.search(f"background:{shade};[^>]*><a [^>]*mean correlation {number(mean)}".replace("-", "."), text), (
            mean
        )
    cells = re.findall(r">\s*(−?0\.\d\d)\s*<", text)
    assert cells[:4] == ["−0.20", "0.25", "0.35", "0.80"]


# ---- networks, studies, claims ---------------------------------------------------------------------------------------


def test_a_network_has_a_page_with_its_numbers() -> None:
    trained = synthetic_trained(n_neurons=10, n_trials=2, n_loops=3, duration_ms=200)
    drawn = pictures({"training": figures_for(trained)["training"]}, folder=None, captions=CAPTIONS, what="one")
    trained.attrs["provenance"] = json.dumps({"revision": "abcdef", "host": "node7", "versions": {"numpy": "2.0"}})
    text = page_of_network(trained, drawn)
    page = audited(text)
    assert f"mean firing rate in the trained window</th><td>{number(float(trained.population_rate))} Hz" in text
    assert "node7" in text
    assert "numpy 2.0" in text
    assert len(page.images) == 1


def test_a_network_that_did_not_learn_is_put_beside_the_threshold() -> None:
    trained = synthetic_trained(n_neurons=4, n_trials=1, duration_ms=50)
    assert "that count as learned" not in page_of_network(trained, [])
    trained["correlation"], trained["status"] = ((), 0.684), ((), STATUS.index("sampling"))
    assert "limited by sampling error, 0.016 below the 0.7 that count as learned." in page_of_network(trained, [])


def test_a_study_has_a_page_with_every_variant() -> None:
    tree = synthetic_study(replicates=2, probes=())
    for node in tree.leaves:
        node.attrs["provenance"] = json.dumps({"wall_seconds": 30.0, "revision": "abcdef"})
    numbers = table_of(tree)
    page = audited(page_of_study(tree, numbers, []))
    assert [row[0] for row in page.rows_of("variants")] == [str(name) for name in numbers["variant"].values]
    # 0.9 - 0.01 replicate, and 0.02 less in the second variant: means over two replicates
    values = [row for row in page.values["variants"] if row]
    assert [float(row[1]) for row in values] == pytest.approx([0.895, 0.875])


def test_the_page_of_claims_holds_the_rows_of_the_table() -> None:
    tables = {
        path.stem: xr.load_dataset(path, engine="h5netcdf") for path in (ROOT / "results/reference").glob("fig1*.nc")
    }
    found = rows(tables)
    expected = as_table(found)
    page = audited(page_of_claims(found, {"fig1": "a study"}))
    shown = page.rows_of("claims-table")
    assert len(shown) == len(expected) > 10
    for row, (_, claim) in zip(shown, expected.iterrows(), strict=True):
        assert row[0] == f"{claim['measure']}{claim['why'] or ''}"
        assert row[1] == claim["criterion"]
        assert row[2] == number(claim["value"])
        assert row[3] == (f"{number(claim['low'])} to {number(claim['high'])}" if np.isfinite(claim["low"]) else "–")
        assert row[4] == str(claim["n"])
        assert row[5].endswith(claim["verdict"])
        assert row[6] == claim["source"]
    counts = pd.crosstab(expected["claim"], expected["verdict"])
    for row in page.rows_of("overview-table"):
        assert row[1] == CLAIMS[int(row[0])]
        assert row[2] == str(counts.loc[int(row[0])].get("holds", 0) or "–")


# ---- captions and parts ----------------------------------------------------------------------------------------------


def test_captions_begin_with_the_heading_of_their_figure() -> None:
    for path in CAPTIONS.glob("*.rst"):
        if path.stem != "workflow":
            heading, text = caption_of(CAPTIONS, path.stem)
            assert heading
            assert not heading.startswith("*")
            assert as_html(text)
    assert caption_of(CAPTIONS, "map").text.startswith("Mean correlation between target and response")
    assert caption_of(CAPTIONS, "rasters").text.startswith("**Spikes before and after training** of the same neurons")
    assert caption_of(CAPTIONS, "examples_2").heading == "Targets and responses of example neurons (2)"
    assert caption_of(CAPTIONS, "map_lsnn") == Caption(
        f"{caption_of(CAPTIONS, 'map').heading} (lsnn)", caption_of(CAPTIONS, "map").text
    )
    assert caption_of(CAPTIONS, "no_such_figure") == Caption("No such figure", "")


def test_captions_become_html_without_files_from_outside() -> None:
    assert as_html("τ\\ :sub:`s` *x*") == "<p>τ<sub>s</sub> <em>x</em></p>"
    assert as_html("") == ""
    for text in (".. include:: /etc/passwd", ".. raw:: html\n\n   <script></script>", "*open"):
        with pytest.raises(DataError, match="no reStructuredText"):
            as_html(text)


def test_without_docutils_captions_are_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docutils.core", None)
    with pytest.raises(ResourceError, match=r"hpcspike\[workflow\]"):
        as_html("text")


def test_what_a_table_shows_is_escaped_and_its_numbers_have_even_digits() -> None:
    text = table("t", [Column("a & b", number=False)], [[Cell("<script>", 'x"y')]], key="k")
    assert "<script>" not in text
    assert "a &amp; b" in text
    assert [number(x) for x in (0.1, -2.5, 12.34, 1234.5, np.nan, 0.0)] == ["0.100", "−2.50", "12.3", "1234", "–", "0"]
    assert [number(x) for x in (999.4, 999.9, 99.96, -999.6)] == ["999", "1000", "100", "−1000"]


def test_ink_has_contrast_with_what_it_stands_on() -> None:
    assert [ink_on(colour) for colour in ("#ffffff", "#000000", "#fde725", "#440154", "#009E73")] == [
        *("#000000", "#ffffff", "#000000", "#ffffff", "#000000")
    ]


# ---- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x.zarr", "--out", "page.txt"], "must end in .html"),
        (["x.zarr", "--out", "page.html", "--figures", "nowhere"], "--figures nowhere: no such folder"),
        (["x.zarr", "--out", "page.html"], "x.zarr"),
    ],
)
def test_wrong_arguments_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_exemplary_network_that_cannot_be_trained_again_does_not_cost_the_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def too_large(*_: object, **__: object) -> None:
        raise ResourceError("network.n_neurons = 9 needs about 1 TiB")

    monkeypatch.setattr("hpcspike.sweep.retraining.retrain", too_large)
    assert report._overview(Path("s.zarr"), "best", 3, None, report.Retraining(1.0, False)) == []
    assert "the best network is not shown: network.n_neurons = 9" in capsys.readouterr().err
