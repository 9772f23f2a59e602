"""What a trained network became, by the named thresholds of an experiment's measures."""

from __future__ import annotations

import math

import numpy as np

from hpcspike.spec.experiment import Measures
from hpcspike.variables import STATUS


def classify(
    *,
    correlation: float,
    population_rate_hz: float,
    spectral_index: float,
    diverged: bool,
    measures: Measures,
    taught: float = math.nan,
) -> int:
    """Index into `hpcspike.variables.STATUS`.

    A network that did not diverge and is not silent is learned if its mean correlation reaches the threshold. If only
    that of responses that a teacher has started does (``taught``), recall fails: the network follows its targets, but
    the cue does not bring it there. Otherwise excess fast power means sampling error and missing fast power tracking
    error. One without a correlation, since its task is scored otherwise (answers that are right or wrong), is unjudged.
    """
    if diverged:
        return STATUS.index("diverged")
    if population_rate_hz < measures.silent_rate_hz:
        return STATUS.index("silent")
    if math.isnan(correlation):
        return STATUS.index("unjudged")
    if correlation >= measures.learned_correlation:
        return STATUS.index("learned")
    if taught >= measures.learned_correlation:
        return STATUS.index("recall")
    return STATUS.index("sampling" if spectral_index > 0 else "tracking")


def silent_share(rates_hz: np.ndarray, measures: Measures) -> float:
    """Share of the neurons (n,) that fire less than ``measures.silent_rate_hz``; NaN of units that do not spike."""
    return float((rates_hz < measures.silent_rate_hz).mean()) if np.isfinite(rates_hz).all() else math.nan
