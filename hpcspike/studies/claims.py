"""The claims of the papers as measured rows: what is claimed, how it is measured, what was found, whether it holds.

Every row states its criterion; a row whose interval straddles the bound is undecided, and one without an interval is
judged by its value alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

from hpcspike.intervals import Interval

if TYPE_CHECKING:
    import pandas as pd

CLAIMS = {
    1: "Every neuron of a recurrent spiking network can be trained on its own pattern, without separate outputs",
    2: "Learning needs heterogeneous targets, fast synapses and many neurons",
    3: "The initial weights are irrelevant; zero weights will do",
    4: "After training the quasi-static equations hold",
    5: "Training the drive is tightly controlled; training the rate needs more loops",
    6: "tau_s and N trade off: eps_track ~ tau_s / tau_c, eps_sample ~ 1 / sqrt(N tau_s)",
    7: "Capacity grows with N, performance falls with T",
    8: "Losing 5 % of the neurons does no harm, 10 % a little, 40 % destroys the patterns",
    9: "Learning survives population rates down to 1.5 Hz",
    10: "Leaky integrate-and-fire, Izhikevich and tanh units learn too; rate units more efficiently",
    11: "Innate trajectories of an E-I network are stabilised in the window with all signs kept; eigenvalues shrink",
    12: "Cortical rates: synapses among cortical neurons matter, and two auxiliary neurons per neuron are needed",
    13: "Identical targets can be learned with strong frozen noise",
    14: "Beyond the paper: the two errors balance at tau_s = a tau_c^(2/3) N^(-1/3), as its scaling implies",
    15: "Beyond the paper: capacity is linear in the number of neurons, or in the in-degree p N",
    16: "Beyond the paper: the law holds for rates and for other neurons in the same (tau_s, tau_c) plane",
    17: "Huh & Sejnowski 2018: fast interactions within milliseconds code an input efficiently",
    18: "Huh & Sejnowski 2018: gradient descent finds memories of about a second (delayed XOR)",
    19: "Bourdoukan & Deneve 2015: networks learn arbitrary linear dynamical systems by local rules",
    20: "Bourdoukan & Deneve 2015: excitation and inhibition are balanced, spikes are as variable as Poisson processes",
    21: "Alemi et al. 2018: nonlinear systems are learned with few neurons and few spikes",
    22: "Alemi et al. 2018: trained networks are extremely robust to noise and to the loss of neurons",
    23: "Bellec et al. 2018: networks with adaptive neurons have a long short-term memory, and come near LSTM networks",
    24: "Bellec et al. 2018: they learn to learn functions",
    25: "Bellec et al. 2018: they learn to find goals",
    26: "Bellec et al. 2020: e-prop, a local online rule, comes near backpropagation through time",
}
"""What is claimed: 1 to 13 by Kim & Chow 2018 (section 6.1 of its specification), 14 to 16 follow from it; from 17 on
by the papers of the other learners, measured in the studies of `hpcspike.studies.headlines`."""


@dataclass(frozen=True)
class Row:
    """One measured statement.

    Attributes
    ----------
    claim
        Number of the claim in `CLAIMS`.
    measure, source
        What was measured, in which study or sweep.
    criterion
        When it holds.
    found
        The value with its interval.
    verdict
        ``holds``, ``does not hold`` or ``undecided``.
    why
        One sentence on what it fails by, if it does not hold (`hpcspike.studies.reasons`, or who measured it), or on
        why nothing can be said. Of a row that holds there is none.
    """

    claim: int
    measure: str
    source: str
    criterion: str
    found: Interval
    verdict: str
    why: str = ""


def above(found: Interval, bound: float) -> str:
    """Verdict on a value that should lie above a bound, by its interval (by the value itself if it has none)."""
    low, high = (found.low, found.high) if np.isfinite(found.low) else (found.value, found.value)
    if not np.isfinite(found.value):
        return "undecided"
    return "holds" if low > bound else "does not hold" if high < bound else "undecided"


def below(found: Interval, bound: float) -> str:
    """Verdict on a value that should lie below a bound."""
    return above(Interval(-found.value, -found.high, -found.low, found.n), -bound)


def covers(found: Interval, value: float, tolerance: float) -> str:
    """Verdict on a value that should be ``value`` to within ``tolerance``, by where its interval lies."""
    low, high = (found.low, found.high) if np.isfinite(found.low) else (found.value, found.value)
    if not np.isfinite(found.value):
        return "undecided"
    if low >= value - tolerance and high <= value + tolerance:
        return "holds"
    return "does not hold" if high < value - tolerance or low > value + tolerance else "undecided"


READING = (
    "Values are means or slopes over independent networks with 95 % confidence intervals, those of correlations cut to "
    "[-1, 1]; n counts networks (of slopes: points). Errors of curves left out have the interval that redrawn networks "
    "give (bootstrap), medians that of ordered values, ratios and errors over several sizes that of geometric means, "
    "differences of networks that are not paired that of Welch. A row is undecided when its interval straddles the "
    "bound of its criterion. The best of several networks, medians of fewer than six and errors in cells left out have "
    "no interval: these rows are judged by their value alone. Studies have more networks of variants whose "
    "intervals were near a bound (replicates_of in their files), which makes these intervals a little too narrow. "
    "Rates are judged by averages over trials, since the spikes of one trial follow a rate by about 0.7 at most; rows "
    "whose table has no such averages say that they are of single trials. Slopes and curves are read only where some "
    "network has learned."
)
"""How a page of claims is to be read."""


def counts_of(found: Sequence[Row]) -> str:
    """How many rows hold, do not, and are undecided, and how many are judged without an interval, as a sentence."""
    holds, fails, undecided = (
        sum(row.verdict == verdict for row in found) for verdict in ("holds", "does not hold", "undecided")
    )
    bare = sum(not np.isfinite(row.found.low) for row in found)
    return (
        f"Of {len(found)} rows {holds} hold, {fails} do not and {undecided} are undecided; {bare} have no interval and "
        "are judged by their value alone."
    )


def as_table(found: list[Row]) -> pd.DataFrame:
    """The rows as a table: claim, statement, measure, source, criterion, value, low, high, n, verdict, why."""
    import pandas as pd

    records = [
        {
            "claim": row.claim, "statement": CLAIMS[row.claim], "measure": row.measure, "source": row.source,
            "criterion": row.criterion, "value": row.found.value, "low": row.found.low, "high": row.found.high,
            "n": row.found.n, "verdict": row.verdict, "why": row.why,
        }
        for row in found
    ]  # fmt: skip
    return pd.DataFrame(records)


def as_markdown(found: list[Row], sources: Mapping[str, str]) -> str:
    """The rows as a page; sources: study or sweep -> one line about it (size, networks, revision)."""
    lines = [
        "# The papers' claims, measured",
        "",
        *wrap(
            "Kim & Chow (eLife 2018), and from 17 on the papers of the other learners. This page is generated by "
            f"`hpcspike claims`: its values, intervals and verdicts are computed from the tables below. {READING}",
            width=105,
        ),
        "",
        counts_of(found),
        "",
        "| claim | measured | criterion | value | 95 % interval | n | verdict | from |",
        "|---|---|---|---|---|---|---|---|",
    ]
    last = 0
    for row in found:
        if row.claim != last:
            lines.append(f"| **{row.claim}. {CLAIMS[row.claim]}** | | | | | | | |")
            last = row.claim
        interval = f"{_shown(row.found.low)} to {_shown(row.found.high)}" if np.isfinite(row.found.low) else ""
        lines.append(
            f"| | {row.measure} | {row.criterion} | {_shown(row.found.value)} | {interval} | {row.found.n} | "
            f"{row.verdict} | {row.source} |"
        )
        if row.why:
            lines.append(f"| | *{row.why}* | | | | | | |")
    missing = [number for number in CLAIMS if number not in {row.claim for row in found}]
    if missing:
        lines += ["", f"Not measured here: claims {', '.join(map(str, missing))}."]
    lines += [
        "",
        "Minutes are those of the clock, summed over networks; other programs may have run beside them.",
        "",
        "| study or sweep | what it was |",
        "|---|---|",
        *(f"| {name} | {text} |" for name, text in sources.items()),
    ]
    return "\n".join(lines) + "\n"


def _shown(value: float) -> str:
    return "" if not np.isfinite(value) else f"{value:.3g}"
