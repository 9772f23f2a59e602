"""``hpcspike plot``: the figures of a sweep."""

from __future__ import annotations

import argparse

from hpcspike.commands.common import finished_points, output_folder, whole


def run(arguments: argparse.Namespace) -> int:
    """Draw every figure as PNG."""
    folder = output_folder(arguments.out)
    sweep = finished_points(arguments.store)
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from hpcspike.figures import figures_for

    figures = figures_for(sweep)
    for name, draw in figures.items():
        figure = draw()
        with whole(folder / f"{name}.png") as unfinished:
            figure.savefig(unfinished, dpi=arguments.dpi)
        pyplot.close(figure)
    print(f"{folder}: {', '.join(figures)}")
    return 0
