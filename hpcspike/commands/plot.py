"""``hpcspike plot``: the figures of a sweep or of one trained network."""

from __future__ import annotations

import argparse
from pathlib import Path

from hpcspike.commands.common import finished_points, is_sweep, output_folder, trained_network, whole


def run(arguments: argparse.Namespace) -> int:
    """Draw every figure as PNG."""
    folder = output_folder(arguments.out)
    results = finished_points(arguments.store) if is_sweep(Path(arguments.store)) else trained_network(arguments.store)
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from hpcspike.figures import figures_for

    figures = figures_for(results)
    for name, draw in figures.items():
        figure = draw()
        with whole(folder / f"{name}.png") as unfinished:
            figure.savefig(unfinished, dpi=arguments.dpi)
        pyplot.close(figure)
    print(f"{folder}: {', '.join(figures)}")
    return 0
