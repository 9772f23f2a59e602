"""The map so far as text, for a terminal."""

from __future__ import annotations

import numpy as np

from hpcspike.adaptive.questions import Target
from hpcspike.adaptive.rounds import Known
from hpcspike.spec.adaptive import Question
from hpcspike.surface import INTERVAL

WIDE, HIGH = 56, 16
"""Characters of a map."""

LEGEND = {
    True: "# above, . below; + and - the same, but the 90 % interval holds the level; o a network",
    False: "0 to 9 from the least to the most that is expected; o a network",
}
"""What the characters mean, of a map with a level and of one without."""


def sketch(known: Known, target: Target, question: Question) -> list[str]:
    """Lines of text: the surface of a question over its first two axes, in the middle of the others.

    Parameters
    ----------
    known
        What is known of the sweep.
    target
        The first surface that the question is about.
    question
        What is asked.
    """
    n_axes = len(known.lattice.shape)
    high = HIGH if n_axes > 1 else 1
    across, up = (np.arange(WIDE) + 0.5) / WIDE, (np.arange(high)[::-1] + 0.5) / high
    places = np.full((high * WIDE, n_axes), 0.5)
    places[:, 0] = np.tile(across, high)
    if n_axes > 1:
        places[:, 1] = np.repeat(up, WIDE)
    mean, sd = (part.reshape(high, WIDE) for part in target.surface.mean_and_sd(places))
    level = target.level
    if level is None:
        values = target.surface.unscaled(mean)
        share = (values - values.min()) / max(float(np.ptp(values)), 1e-12)
        shown = np.clip(share * 10.0, 0.0, 9.0).astype(int).astype(str)
    else:
        sure = np.abs(mean - level) > INTERVAL * sd
        shown = np.where(mean >= level, np.where(sure, "#", "+"), np.where(sure, ".", "-"))
    there = known.places[~known.pending]
    column = np.minimum((there[:, 0] * WIDE).astype(int), WIDE - 1)
    row = np.zeros(len(there), dtype=int)
    if n_axes > 1:
        row = high - 1 - np.minimum((there[:, 1] * high).astype(int), high - 1)
    shown[row, column] = "o"
    return ["".join(line) for line in shown.tolist()]
