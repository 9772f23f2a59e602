"""The page of the papers' claims: every measured row with its value, interval, criterion and verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from hpcspike.report.origin import ORIGIN
from hpcspike.report.page import Cell, Column, Section, facts, number, numeric, page, paragraph, table
from hpcspike.studies.claims import CLAIMS, READING, Row, counts_of

VERDICTS = {"holds": ("✓", "holds"), "does not hold": ("✗", "fails"), "undecided": ("?", "open")}
"""Verdict -> its sign and its class in the style of a page: told apart by more than colour."""


def page_of_claims(found: Sequence[Row], sources: Mapping[str, str]) -> str:
    """The page.

    Parameters
    ----------
    found
        Measured rows in the order of the claims.
    sources
        Study or sweep -> one line about it.
    """
    lead = [
        "The claims of Kim & Chow, “Learning recurrent dynamics in spiking networks”, eLife 7:e37124 (2018), and from "
        "17 on those of the papers of the other learners, measured in the studies and sweeps named at the end. "
        f"{counts_of(found)}",
        READING,
    ]
    missing = [number for number in CLAIMS if number not in {row.claim for row in found}]
    sections = [
        Section("overview", "Overview", _overview(found)),
        Section("rows", "All rows", _rows(found)),
        *([Section("missing", "Not measured here", _missing(missing))] if missing else []),
        Section("sources", ORIGIN, facts(list(sources.items()))),
    ]
    return page("The papers' claims, measured", lead, sections)


def _overview(found: Sequence[Row]) -> Markup:
    columns = [Column("claim"), Column("statement", number=False), *(Column(verdict) for verdict in VERDICTS)]
    rows = []
    for claim in dict.fromkeys(row.claim for row in found):
        counts = [sum(row.claim == claim and row.verdict == verdict for row in found) for verdict in VERDICTS]
        rows.append(
            [
                Cell(str(claim), str(claim)),
                Cell(CLAIMS[claim], CLAIMS[claim]),
                *(Cell(str(count) if count else "–", str(count)) for count in counts),
            ]
        )
    return table("Rows of each claim by their verdict", columns, rows, key="overview-table")


def _rows(found: Sequence[Row]) -> Markup:
    columns = [
        Column("measured", number=False),
        Column("criterion", number=False),
        Column("value"),
        Column("95 % interval"),
        Column("n", "networks; of slopes: points"),
        Column("verdict", number=False, chosen=True),
        Column("from", "study or sweep", number=False, chosen=True),
    ]
    groups: list[tuple[int, str]] = []
    rows: list[list[Cell]] = []
    last = 0
    for row in found:
        if row.claim != last:
            groups.append((len(rows), f"{row.claim}. {CLAIMS[row.claim]}"))
            last = row.claim
        sign, style = VERDICTS[row.verdict]
        low, high = row.found.low, row.found.high
        interval = f"{number(low)} to {number(high)}" if np.isfinite(low) else "–"
        rows.append(
            [
                Cell(_with_reason(row), row.measure),
                Cell(row.criterion, row.criterion),
                numeric(row.found.value),
                Cell(interval, repr(low) if np.isfinite(low) else ""),
                Cell(str(row.found.n), str(row.found.n)),
                Cell(Markup('<span class="{}">{} {}</span>').format(style, sign, row.verdict), row.verdict),
                Cell(row.source, row.source),
            ]
        )
    return table("Measured rows", columns, rows, key="claims-table", groups=groups)


def _with_reason(row: Row) -> Markup:
    reason = Markup("<br><em>{}</em>").format(row.why) if row.why else Markup("")
    return Markup.escape(row.measure) + reason


def _missing(missing: Sequence[int]) -> Markup:
    items = Markup("\n").join(Markup("<li>{}. {}</li>").format(claim, CLAIMS[claim]) for claim in missing)
    return paragraph("The studies and sweeps at hand do not measure:") + Markup("<ul>\n{}\n</ul>").format(items)
