"""The surface through noisy points: its scale, how uncertain it is, and which points make it more certain."""

from __future__ import annotations

import numpy as np
import pytest
from smooth_response import SPAN, correlation, spectral_index

pytest.importorskip("sklearn")

from hpcspike.adaptive.choice import Sampled, _Field, choose
from hpcspike.adaptive.lattice import Lattice
from hpcspike.adaptive.questions import Target, targets_of
from hpcspike.maxima import maximum
from hpcspike.spec.adaptive import Question
from hpcspike.surface import Surface, _most_probable, evenly
from hpcspike.variables import SURFACE_SCALES

VALUES = 14
LATTICE = Lattice(("tau_s", "tau_c"), (np.linspace(0.0, 1.0, VALUES),) * 2, np.array([SPAN, SPAN]))
ALL = np.arange(VALUES**2)
LEVELS = {"correlation": 0.7, "spectral_index": 0.0}


def networks(seed: int) -> dict[str, np.ndarray]:
    """Results of one network at every place of the lattice; those of a correlation scatter alike in Fisher's z."""
    random = np.random.default_rng(seed)
    tau_s, tau_c = (10.0 ** (SPAN * column) for column in LATTICE.places(ALL).T)
    z = np.arctanh(correlation(tau_s, tau_c)) + 0.04 * random.standard_normal(len(ALL))
    index = spectral_index(tau_s, tau_c) + 0.04 * random.standard_normal(len(ALL))
    return {"correlation": np.tanh(z), "spectral_index": index}


def asked(values: dict[str, np.ndarray], cells: np.ndarray, accuracy: float = 0.01) -> list[Target]:
    questions = [Question(variable=name, level=level, accuracy=accuracy) for name, level in LEVELS.items()]
    known = {name: column[cells] for name, column in values.items()}
    return [target for each in questions for target in targets_of(each, LATTICE, LATTICE.places(cells), known)]


def adaptively(values: dict[str, np.ndarray], budget: int) -> np.ndarray:
    """Cells that are chosen from the lattice, round by round, each from all results before it."""
    cells = LATTICE.spread(12)[:12]
    for number in range(1, 100):
        count = min(max(len(cells) // 5, 6), budget - len(cells))
        if count <= 0:
            return cells
        there = Sampled(cells, np.zeros_like(cells), np.zeros(len(cells), dtype=bool))
        found = choose(
            asked(values, cells),
            LATTICE,
            there,
            count=count,
            replicates=1,
            seconds=lambda at: np.ones(len(at)),
            number=number,
        )
        cells = np.concatenate([cells, [cell for cell, _ in found]])
    raise AssertionError("it does not end")


def crossings(surface: Surface, level: float, axis: int) -> np.ndarray:
    """(lines,) first place, in decades along an axis, at which a surface has a level; NaN where it has not."""
    along, rows = np.linspace(0.0, 1.0, 201), LATTICE.units[0]
    found = np.full(len(rows), np.nan)
    for row, other in enumerate(rows):
        places = np.full((len(along), 2), other)
        places[:, axis] = along
        off = surface.mean(places) - surface.scaled(np.array(level))
        (where,) = np.nonzero((off[1:] >= 0) != (off[:-1] >= 0))
        if len(where):
            k = int(where[0])
            found[row] = SPAN * (along[k] + (along[1] - along[0]) * off[k] / (off[k] - off[k + 1]))
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_a_third_of_a_grid_finds_its_lines_along_both_axes(seed: int) -> None:
    """Within 0.05 decades, wherever the grid itself knows them that well."""
    values = networks(seed)
    cells = adaptively(values, int(0.35 * len(ALL)))
    assert len(np.unique(cells)) == len(cells) == 68
    for name, level in LEVELS.items():
        whole, part = (
            Surface(LATTICE.places(some), values[name][some], scale=SURFACE_SCALES.get(name, ""))
            for some in (ALL, cells)
        )
        for axis in (0, 1):
            ours, theirs = crossings(part, level, axis), crossings(whole, level, axis)
            truth = theirs[np.isfinite(theirs)]
            assert len(truth) >= 6
            apart = np.abs(ours - theirs)[1:-1]  # at the ends a line leaves the ranges
            assert np.nanquantile(apart, 0.9) < 0.05, (name, axis, apart)


def test_correlations_are_smoothed_in_fishers_z() -> None:
    values = networks(3)["correlation"]
    surface = Surface(LATTICE.places(ALL), values, scale="fisher")
    fine = evenly(400, 2)
    assert np.abs(surface.expected(fine)).max() < 1.0
    np.testing.assert_allclose(surface.unscaled(surface.mean(fine)), surface.expected(fine))
    assert 0.02 < np.sqrt(surface.noise) < 0.08  # 0.04 in z was put in
    step = 1e-6
    slope = (surface.unscaled(np.array(0.5 + step)) - surface.unscaled(np.array(0.5 - step))) / (2 * step)
    assert surface.per_scaled(np.array(0.5)) == pytest.approx(slope, rel=1e-6)
    assert surface.scaled(np.array(0.7)) == np.arctanh(0.7)


def test_errors_are_smoothed_in_their_logarithm() -> None:
    """They cover orders of magnitude; theories, which are products of powers, come out as they are."""
    cells = LATTICE.spread(40)

    def theory(places: np.ndarray) -> np.ndarray:
        return 10.0 ** (SPAN * (places[:, 0] - places[:, 1])) / (4.0 * np.pi)

    surface = Surface(LATTICE.places(cells), theory(LATTICE.places(cells)), scale="log")
    fine = evenly(100, 2)
    np.testing.assert_allclose(surface.expected(fine), theory(fine), rtol=0.05)
    assert surface.per_scaled(np.log(2.0)) == pytest.approx(2.0)
    plain = Surface(LATTICE.places(cells), LATTICE.places(cells)[:, 0], scale="log")  # 0 is among them
    assert plain.scaled(np.array(0.5)) == 0.5


def test_scores_that_reach_one_are_no_correlations() -> None:
    """The share of right answers may be 1, whose z is infinite."""
    values = np.where(LATTICE.places(ALL)[:, 0] > 0.5, 1.0, 0.2)
    surface = Surface(LATTICE.places(ALL), values, scale="fisher")
    assert surface.scaled(np.array(0.7)) == 0.7
    assert np.isfinite(surface.expected(evenly(50, 2))).all()


def test_further_points_count_without_their_values() -> None:
    values = networks(4)["spectral_index"]
    cells = LATTICE.spread(40)
    surface = Surface(LATTICE.places(cells), values[cells])
    more, fine = LATTICE.places(np.array([3, 77, 77, 150])), evenly(60, 2)
    reach = surface.reach(more)
    _, before = surface.mean_and_sd(fine)
    after = np.sqrt(reach.variance(fine))
    assert (after <= before * (1.0 + 1e-9)).all()
    assert after.min() < 0.9 * before.max()
    one_by_one = surface.reach(more[:2]).extended(more[2:], surface.noise / surface._scale**2)
    np.testing.assert_allclose(one_by_one.variance(fine), reach.variance(fine), rtol=1e-9)


def test_many_further_points_count_as_small_neighbourhoods() -> None:
    values = networks(4)["spectral_index"]
    cells = LATTICE.spread(40)
    surface = Surface(LATTICE.places(cells), values[cells])
    more, fine = evenly(300, 2), evenly(60, 2)
    each = surface.reach(more)
    together = Surface(LATTICE.places(cells), values[cells], held=100).reach(more)
    assert len(each._points) == 340
    assert len(together._points) <= 140
    apart = together.variance(fine) / each.variance(fine)
    assert np.median(apart) < 1.5
    assert apart.min() > 0.9  # nowhere does it look much more certain than it is


def test_picks_change_all_covariances_as_points_do() -> None:
    """The quick updates of a round against the uncertainties computed anew with the picks as points."""
    values = networks(5)
    cells = LATTICE.spread(30)
    targets, candidates = asked(values, cells), LATTICE.places(ALL)
    pending = LATTICE.places(np.array([20, 90]))
    field = _Field(targets, candidates, pending)
    field.keep(ALL[50:])
    picks = [3, 60, 60, 110]
    for pick in picks:
        field.take(pick)
    anew = _Field(targets, candidates, np.concatenate([pending, candidates[50:][picks]]))
    for part, other, target in zip(field._parts, anew._parts, targets, strict=True):
        # shares count of what was uncertain before the picks
        scale = (target.weights @ target.surface.reach(pending).variance(target.references)) / (
            target.weights
            @ target.surface.reach(np.concatenate([pending, candidates[50:][picks]])).variance(target.references)
        )
        np.testing.assert_allclose(part.gain() * scale, other.gain()[50:], rtol=1e-6, atol=1e-12)


def test_a_line_is_asked_for_along_every_axis() -> None:
    """Where a level line turns back it is nearly parallel to an axis, and most uncertain along this."""
    places = LATTICE.places(ALL)
    values = (places[:, 0] - 0.3) + 2.0 * (places[:, 1] - 0.5) ** 2
    (target,) = targets_of(
        Question(variable="spectral_index", level=0.0, accuracy=0.05), LATTICE, places, {"spectral_index": values}
    )
    at_the_turn = np.abs(target.references[:, 1] - 0.5) < 0.05
    further = np.abs(np.abs(target.references[:, 1] - 0.5) - 0.25) < 0.05
    assert target.weights[at_the_turn].max() > 2.0 * target.weights[further].max()


def test_one_network_that_fails_does_not_move_the_line() -> None:
    """Beside the place, the mean of four networks would be pulled below the level; the median is not."""
    random = np.random.default_rng(6)
    along = np.repeat(np.linspace(0.0, 1.0, 12), 4)
    z = 2.0 - 2.0 * along + 0.05 * random.standard_normal(48)
    values = np.tanh(z)
    values[22] = 0.05  # of the four at 5 / 11, whose z is 1.09
    fine = np.linspace(0.0, 1.0, 201)[:, None]
    truth = 0.5 * (2.0 - np.arctanh(0.7))

    def crossing(**options: bool) -> tuple[float, Surface]:
        surface = Surface(along[:, None], values, scale="fisher", **options)
        below = np.flatnonzero(surface.expected(fine) < 0.7)
        return float(fine[below[0], 0]), surface

    ours, surface = crossing()
    assert abs(ours - truth) < 0.02
    pulled, normal = crossing(heavy_tails=False)
    assert abs(pulled - truth) > 2.0 * abs(ours - truth)
    assert surface.noise < 0.25 * normal.noise
    spoilt = surface.mean_and_sd(along[[22]][:, None])[1][0]
    beside = surface.mean_and_sd(along[[26]][:, None])[1][0]
    assert spoilt > beside  # three networks, where the others are four


def test_where_most_networks_fail_the_surface_falls() -> None:
    """Heavy tails leave the majority its say: networks that learn at a place where most fail are the exceptions."""
    random = np.random.default_rng(7)
    along = np.repeat(np.linspace(0.0, 1.0, 12), 5)
    learns = np.arange(60) % 5 < np.where(along < 0.5, 4, 1)
    z = np.where(learns, 1.5, 0.2) + 0.05 * random.standard_normal(60)
    surface = Surface(along[:, None], np.tanh(z), scale="fisher")
    ends = surface.expected(np.array([[0.1], [0.9]]))
    assert ends[0] > 0.85
    assert ends[1] < 0.3


def test_normal_noise_is_taken_as_by_a_normal_distribution() -> None:
    values, cells = networks(8)["spectral_index"], LATTICE.spread(80)
    ours, normal = (Surface(LATTICE.places(cells), values[cells], heavy_tails=heavy) for heavy in (True, False))
    (mean, sd), (other, its_sd) = (surface.mean_and_sd(evenly(100, 2)) for surface in (ours, normal))
    assert np.sqrt(np.mean((mean - other) ** 2)) < 0.05
    assert 0.7 < np.median(sd / its_sd) < 1.3


def test_short_length_scales_need_evidence() -> None:
    """Where values say nothing, lengths below the whole range grow to it at least, and all else stays."""
    start, bounds = np.log([1.0, 0.2, 3.0, 0.01]), np.log([[0.05, 100.0], [0.08, 8.0], [0.08, 8.0], [1e-5, 1.0]])
    found, _ = _most_probable(lambda theta: (0.0, np.zeros(4)), start, bounds, lengths=slice(1, 3))
    np.testing.assert_allclose(np.exp(found[[0, 2, 3]]), [1.0, 3.0, 0.01], rtol=1e-3)
    assert 0.999 < np.exp(found[1]) <= 8.0


@pytest.mark.parametrize("n_axes", [1, 2])
def test_the_largest_of_two_maxima_is_found_with_its_interval(n_axes: int) -> None:
    random = np.random.default_rng(9)
    places = random.random((40 * n_axes**2, 2))

    def hills(at: np.ndarray) -> np.ndarray:
        far = (at[:, 1] - 0.3) ** 2 if n_axes == 2 else 0.0
        return 0.6 * np.exp(-((at[:, 0] - 0.2) ** 2 + far) / 0.02) + np.exp(-((at[:, 0] - 0.75) ** 2 + far) / 0.02)

    surface = Surface(places, hills(places) + 0.02 * random.standard_normal(len(places)))
    found = maximum(surface, np.full(2, 0.5), list(range(n_axes)), n_draws=200, seed=1)
    low, high = np.quantile(found.tops, [0.05, 0.95], axis=0)
    truth = np.array([0.75, 0.3])[:n_axes]
    assert (np.abs(found.best - truth) < 0.05).all()
    assert (low <= found.best).all()
    assert (found.best <= high).all()
    assert (high - low < 0.2).all()
    assert found.share.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("top", [(1.0, 0.5), (0.0, 0.3)])
def test_a_maximum_over_several_axes_is_found_at_the_ends_too(top: tuple[float, float]) -> None:
    random = np.random.default_rng(10)
    places = random.random((60, 2))
    values = -np.abs(places[:, 0] - top[0]) - (places[:, 1] - top[1]) ** 2 + 0.02 * random.standard_normal(60)
    found = maximum(Surface(places, values), np.zeros(2), [0, 1], n_draws=200, seed=1)
    low, high = np.quantile(found.tops, [0.05, 0.95], axis=0)
    assert found.best[0] == top[0]
    assert (np.abs(found.best - top) < 0.1).all()
    assert (low <= top).all()
    assert (high >= top).all()
