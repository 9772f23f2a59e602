"""What Dale's law costs: synapses that training gave up, and weights on the wrong side of zero."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hpcspike.checks import instance
from hpcspike.engine.trained import Trained
from hpcspike.rls.sign_rule import SignedRls
from hpcspike.shown import short_repr


class Signs(NamedTuple):
    """excluded (loops,): share of plastic synapses excluded by the end of each loop; flipped: of weights with the sign
    opposite to their initial one, among those that had a sign.
    """

    excluded: np.ndarray
    flipped: float

    def __repr__(self) -> str:
        return short_repr(self)


def signs(trained: Trained) -> Signs:
    """Share of excluded synapses after every loop, and of flipped weights at the end (paper, Fig 4: Dale's law).

    Without a sign rule none is excluded. All ranks must ask together.
    """
    instance("trained", trained, Trained, made_by="give what hpcspike.train returns")
    problem, world = trained.problem, trained.world
    loops = len(trained.curve["correlation"])
    updates = round(problem.duration_ms / trained.training.update_interval_ms)
    counts = np.zeros((1, loops + 3), dtype=np.int64)
    if isinstance(trained.rls, SignedRls):
        at = trained.rls.excluded_at
        counts[0, :loops] = np.cumsum(np.bincount(at[at >= 0] // updates, minlength=loops)[:loops])
    initial = np.sign(problem.plastic.weight)
    counts[0, loops:] = len(initial), np.sum(initial * trained.simulation.weight < 0), np.count_nonzero(initial)
    total = world.concatenate(counts).sum(axis=0)
    synapses, flipped, signed = total[loops:].tolist()
    return Signs(total[:loops] / max(synapses, 1), flipped / max(signed, 1))
