"""Where a surface is largest along some of its axes: the best place, and where else it may lie."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpcspike.surface import Surface, evenly

_ALONG_ONE, _ALONG_SEVERAL = 65, 200
"""Places at which a surface is looked at, over one axis and over several: closer than its shortest length scale."""

_LOOKS = 3
"""Everywhere, then in the box that holds the maxima found, then once more."""


@dataclass(frozen=True)
class Maximum:
    """The largest of the values that are expected, and those of surfaces that the points allow.

    Attributes
    ----------
    best
        (along,) its place in the unit cube.
    tops
        (draws, along) maxima of the drawn surfaces.
    value, error
        Scaled value that is expected there, and its standard error.
    looked_at, share
        (n, axes) places, and (n,) the share of the drawn surfaces whose maximum lies there.
    """

    best: np.ndarray
    tops: np.ndarray
    value: float
    error: float
    looked_at: np.ndarray
    share: np.ndarray


def maximum(surface: Surface, place: np.ndarray, along: Sequence[int], *, n_draws: int, seed: int) -> Maximum:
    """Where a surface is largest along some axes, for fixed values of the others.

    It is looked for everywhere at once, so that the largest of several is found, then at as many places in the box that
    holds the maxima of all draws, and again: places lie much closer than the interval is wide.

    Parameters
    ----------
    surface
        Through the networks.
    place
        (axes,) where the other axes are fixed, in the unit cube.
    along
        Axes along which the maximum is looked for.
    n_draws, seed
        Surfaces that are drawn.
    """
    low, high = np.zeros(len(along)), np.ones(len(along))
    count = _ALONG_ONE if len(along) == 1 else _ALONG_SEVERAL
    inside = np.linspace(0.0, 1.0, count)[:, None] if len(along) == 1 else _to_the_ends(count, len(along))
    for _ in range(_LOOKS):
        unit = np.where(inside == 1.0, high, low + (high - low) * inside)
        looked_at = np.repeat(place[None], count, axis=0)
        looked_at[:, list(along)] = unit
        mean = surface.mean(looked_at)
        best = int(mean.argmax())
        top = surface.draws(looked_at, n_draws, seed=seed).argmax(axis=1)
        found, margin = np.append(unit[top], unit[best : best + 1], axis=0), (high - low) * count ** (-1.0 / len(along))
        low, high = np.maximum(found.min(axis=0) - margin, 0.0), np.minimum(found.max(axis=0) + margin, 1.0)
    _, error = surface.mean_and_sd(looked_at[best : best + 1])
    share = np.bincount(top, minlength=count) / n_draws
    return Maximum(unit[best], unit[top], float(mean[best]), float(error[0]), looked_at, share)


def _to_the_ends(count: int, n_axes: int) -> np.ndarray:
    """(count, axes) places that fill the unit cube evenly, its corners, edges and faces included."""
    corners = np.array(list(itertools.product((0.0, 1.0), repeat=n_axes)))
    stretch = 1.0 / (1.0 - count ** (-1.0 / n_axes))
    return np.concatenate([corners, np.clip(0.5 + stretch * (evenly(count - len(corners), n_axes) - 0.5), 0.0, 1.0)])
