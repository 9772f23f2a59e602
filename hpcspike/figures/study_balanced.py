"""Efficient balanced networks: the systems that they run, their balance, and what noise and a rate code cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from matplotlib.lines import Line2D

from hpcspike.figures.study_learners import NMSE, is_error, over_trials
from hpcspike.figures.study_parts import Variants, collected, colours_of, experiment_of, networks, required
from hpcspike.figures.style import (
    BLUE,
    CORRELATION,
    GREY,
    MARKERS,
    VERMILION,
    legend_below,
    log_axis,
    new_figure,
    panel_letters,
    remark,
    say_if_empty,
    styled,
)
from hpcspike.intervals import geometric_interval, mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def systems_learned(tree: xr.DataTree, *, variants: Variants = None) -> Figure:
    """The linear systems that networks run: eigenvalues of A, and errors in tests against the error of A.

    Left: eigenvalues of every wanted A (open) and, tied to them, of the A that is decoded from the network (filled).
    Right: a dot per network, median over its test trials.

    Parameters
    ----------
    tree
        Networks of a study with the probe ``system``.
    variants
        Those shown; default: all.
    """
    shown = required(tree, "system_matrix", variants=variants)
    colours = colours_of(shown)
    figure = new_figure(7.6, 3.7)
    left, right = figure.subplots(1, 2, width_ratios=[1.2, 1.0])
    errors, distances = [np.empty(0)], [np.empty(0)]
    for k, variant in enumerate(shown):
        colour, marker = colours[variant], MARKERS[k % len(MARKERS)]
        found = [one for one in networks(tree, variant) if "system_matrix" in one]
        for one in found:
            wanted, decoded = (_spectrum(one[name].values) for name in ("system_matrix", "decoded_matrix"))
            for a, b in zip(wanted, decoded, strict=True):
                left.plot([a.real, b.real], [a.imag, b.imag], color=colour, lw=0.7, alpha=0.7)
            left.plot(wanted.real, wanted.imag, ls="", marker=marker, ms=5, mfc="white", color=colour)
            left.plot(decoded.real, decoded.imag, ls="", marker=marker, ms=3, color=colour)
        distance = np.array([float(one["matrix_error"]) for one in found])
        error = over_trials(np.stack([one["test_score"].values for one in found]), True)
        right.plot(distance, error, ls="", marker=marker, ms=4.5, color=colour)
        errors.append(error)
        distances.append(distance)
    for axes, which, values in ((right, "y", np.concatenate(errors)), (right, "x", np.concatenate(distances))):
        known = values[np.isfinite(values) & (values > 0)]
        if len(known):
            log_axis(axes, which, np.geomspace(known.min() / 1.3, known.max() * 1.3, 30))
    left.axvline(0.0, color=GREY, lw=0.6, ls=":")
    left.set(xlabel="real part of eigenvalue of A (1/s)", ylabel="imaginary part (1/s)")
    right.set(xlabel="error of decoded A over norm of A", ylabel=NMSE)
    handles = [Line2D([], [], ls="", color=colours[v], marker=MARKERS[k % len(MARKERS)], label=v)
               for k, v in enumerate(shown)]  # fmt: skip
    handles += [
        Line2D([], [], ls="", marker="o", ms=5, color=GREY, mfc="white", label="wanted"),
        Line2D([], [], ls="", marker="o", ms=3, color=GREY, label="decoded from the network"),
    ]
    legend_below(figure, handles, ncols=4)
    panel_letters([left, right])
    return figure


def _spectrum(matrix: np.ndarray) -> np.ndarray:
    """Eigenvalues without the rows and columns of components that other variants have, by imaginary, then real part."""
    known = np.isfinite(matrix).any(axis=1)
    values = np.linalg.eigvals(matrix[np.ix_(known, known)])
    return values[np.lexsort((values.real, values.imag.round(9)))]


@styled
def noise_curves(tree: xr.DataTree, *, variants: Variants = None) -> Figure:
    """Score in tests with more and more noise on the voltages: every network faint, their mean with its 95 % interval.

    Errors are medians over trials and geometric means over networks, on a logarithmic axis; correlations are means.

    Parameters
    ----------
    tree
        Networks of a study with the probe ``noise``.
    variants
        Those shown; default: all.
    """
    shown = required(tree, "noise_score", variants=variants)
    colours = colours_of(shown)
    kinds = [names for error in (True, False) if (names := [v for v in shown if is_error(tree, v) == error])]
    figure = new_figure(1.0 + 3.8 * len(kinds), 3.5 + 0.2 * (-(-len(shown) // 3)))
    panels = list(np.atleast_1d(figure.subplots(1, len(kinds))))
    for axes, names in zip(panels, kinds, strict=True):
        error = is_error(tree, names[0])
        every = [np.empty(0)]
        for variant in names:
            level = next(one["noise_level"].values for one in networks(tree, variant) if "noise_level" in one)
            found = over_trials(collected(tree, variant, "noise_score"), error)
            places = np.arange(len(level))  # levels are few and 0 is one of them: evenly spaced
            axes.plot(places, found.T, color=colours[variant], lw=0.5, alpha=0.4)
            between = [(geometric_interval if error else mean_interval)(column) for column in found.T]
            middle, low, high = np.array([one[:3] for one in between]).T
            every.extend([found.ravel(), low, high])
            bars = np.nan_to_num([middle - low, high - middle])
            marker = MARKERS[shown.index(variant) % len(MARKERS)]
            axes.errorbar(places, middle, yerr=bars, color=colours[variant], marker=marker, ms=5, elinewidth=1.0)
            axes.set_xticks(places, [f"{one:g}" for one in level])
        values = np.concatenate(every)
        known = values[np.isfinite(values) & (values > 0)]
        if error and len(known):
            log_axis(axes, "y", np.geomspace(known.min() / 1.5, known.max() * 1.5, 30))
        axes.set_xlabel("noise on voltages\n" + r"(distance to threshold / $\sqrt{\mathrm{s}}$)")
        axes.set_ylabel(NMSE if error else CORRELATION)
        say_if_empty(axes)
        if not len(known):
            remark(axes, "no network has a score")
    handles = [Line2D([], [], color=colours[v], marker=MARKERS[k % len(MARKERS)], label=v) for k, v in enumerate(shown)]
    legend_below(figure, handles, ncols=3)
    panel_letters(panels)
    return figure


@styled
def rate_code(tree: xr.DataTree, *, variants: Variants = None) -> Figure:
    """Error of networks of several sizes (filled), and that of Poisson spikes of their rates, same decoder (open).

    A dot per network, median over test trials, over the number of neurons; lines: geometric means. The dotted line
    falls as 1 / N from the first Poisson error: the squared error of any code whose spikes are independent.

    Parameters
    ----------
    tree
        Networks of a study with the probe ``poisson``.
    variants
        Those shown; default: all.
    """
    shown = required(tree, "poisson_score", variants=variants)
    figure = new_figure(4.8, 4.0)
    axes = figure.subplots()
    sizes = np.array([experiment_of(networks(tree, variant)[0])["network"]["n_neurons"] for variant in shown])
    order = np.argsort(sizes, kind="stable")
    sizes, every = sizes[order], [np.empty(0)]
    for name, face, colour in (("poisson_score", "white", GREY), ("test_score", BLUE, BLUE)):
        found = [over_trials(collected(tree, shown[k], name), True) for k in order]
        for n, values in zip(sizes, found, strict=True):
            axes.plot(np.full(len(values), n), values, ls="", marker="o", ms=4.5, mfc=face, color=colour)
        middle = np.array([geometric_interval(values).value for values in found])
        axes.plot(sizes, middle, color=colour, lw=1.4)
        if name == "poisson_score":
            axes.plot(sizes, middle[0] * sizes[0] / sizes, color=GREY, lw=0.7, ls=":")
        every += found
    known = np.concatenate(every)
    known = known[np.isfinite(known) & (known > 0)]
    if len(known):
        log_axis(axes, "y", np.geomspace(known.min() / 1.5, known.max() * 1.5, 30))
    log_axis(axes, "x", sizes)
    axes.set_xlim(sizes[0] / 1.3, sizes[-1] * 1.3)
    axes.set(xlabel="neurons", ylabel=NMSE)
    handles = [
        Line2D([], [], color=BLUE, marker="o", ms=4.5, label="network"),
        Line2D([], [], color=GREY, marker="o", ms=4.5, mfc="white", label="Poisson spikes of its rates"),
    ]
    legend_below(figure, handles, ncols=2)
    return figure


STATISTICS = {"ei_correlation": "E and I", "cv_isi": "CV", "cv2_isi": "CV2", "fano_factor": "Fano"}


@styled
def balance(tree: xr.DataTree, *, variants: Variants = None) -> Figure:
    """Excitation and inhibition of one neuron in a trial after training, and statistics of repeated trials.

    Left: both currents over the threshold, low-passed by the leak of the voltage, of the first network. Right: a dot
    per network, before (open) and after training (filled): correlation in time of both currents, irregularity of
    intervals (CV, CV2), variability of counts (Fano factor). Dotted: 1, that of Poisson spikes.

    Parameters
    ----------
    tree
        Networks of a study with the probe ``balance``.
    variants
        Those shown; default: all.
    """
    shown = required(tree, "ei_correlation_after", variants=variants)
    figure = new_figure(7.6, 3.6)
    left, right = figure.subplots(1, 2, width_ratios=[1.4, 1.0])
    first = next((one for one in networks(tree, shown[0]) if "excitation" in one), None)
    if first is None:
        remark(left, "the currents are not in this file")
    else:
        time = first["current_time"].values
        for name, colour, words in (("excitation", VERMILION, "excitation"), ("inhibition", BLUE, "inhibition")):
            left.plot(time, first[name].values[-1], color=colour, lw=0.9, label=words)
        left.set_xlim(0.0, time[-1])
        left.legend(loc="best")
    left.set(xlabel="time (ms)", ylabel="input over threshold")
    colours = colours_of(shown)
    for k, variant in enumerate(shown):
        for when, shift, face in (("before", -0.17, "white"), ("after", 0.17, colours[variant])):
            for x, name in enumerate(STATISTICS):
                values = collected(tree, variant, f"{name}_{when}")
                place = np.full(len(values), x + shift + 0.06 * (k - (len(shown) - 1) / 2))
                right.plot(
                    place, values, ls="", marker=MARKERS[k % len(MARKERS)], ms=4, color=colours[variant], mfc=face
                )
    right.axhline(1.0, color=GREY, lw=0.6, ls=":")
    right.set_xticks(range(len(STATISTICS)), list(STATISTICS.values()))
    right.set(xlim=(-0.6, len(STATISTICS) - 0.4), ylabel="correlation, or ratio")
    handles = [
        Line2D([], [], ls="", marker="o", color=GREY, mfc="white", label="before training"),
        Line2D([], [], ls="", marker="o", color=GREY, label="after training"),
    ]
    if len(shown) > 1:
        handles += [Line2D([], [], ls="", marker=MARKERS[k % len(MARKERS)], color=colours[v], label=v)
                    for k, v in enumerate(shown)]  # fmt: skip
    legend_below(figure, handles, ncols=4)
    panel_letters([left, right])
    return figure
