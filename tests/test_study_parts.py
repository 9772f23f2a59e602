"""Values over the replicates of a study's variant: shorter curves, and networks that lack a value."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_hex

from hpcspike.figures.study_curves import study_curves
from hpcspike.figures.study_damage import phase_deviation
from hpcspike.figures.study_parts import collected
from hpcspike.figures.style import BLUE
from tests.synthetic_study import synthetic_study


def test_the_curve_of_a_network_that_diverged_ends_early_beside_the_others() -> None:
    tree = synthetic_study(["drive"], replicates=3, diverged=[("drive", 1)], probes=())
    curves = collected(tree, "drive", "curve_correlation")
    assert np.isfinite(curves).sum(axis=1).tolist() == [6, 2, 6]
    assert collected(tree, "drive", "correlation").shape == (3,)
    assert collected(tree, "drive", "nothing").shape == (0,)
    correlation = study_curves(tree).axes[0]
    mean = np.asarray(correlation.lines[-1].get_ydata())
    assert np.isfinite(mean).all()
    np.testing.assert_allclose(mean[3:], curves[[0, 2], 3:].mean(axis=0))


def test_a_network_without_a_spike_to_delete_has_no_part_in_the_mean() -> None:
    tree = synthetic_study(["drive"], replicates=3, probes=("perturbation",))
    tree["/drive/1"]["phase_deviation_after"][:] = np.nan
    (strong,) = (
        line for line in phase_deviation(tree).axes[0].lines
        if line.get_linewidth() > 1.5 and to_hex(line.get_color()) == to_hex(BLUE)
    )  # fmt: skip
    values = collected(tree, "drive", "phase_deviation_after")
    np.testing.assert_allclose(np.asarray(strong.get_ydata()), values[[0, 2]].mean(axis=0))
