"""What a figure that was drawn shows: its panels, and the words of its titles without their lines."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure


def panels(figure: Figure) -> list[Axes]:
    """Its panels, without color bars and those that hold words alone."""
    return [axes for axes in figure.axes if axes.axison and axes.get_label() != "<colorbar>"]


def title_of(axes: Axes) -> str:
    """The title of a panel on one line: where it is broken depends on its width and on the fonts of the machine."""
    return " ".join(axes.get_title(loc="left").split())


def heading_of(figure: Figure) -> str:
    """The title over all panels on one line."""
    return " ".join(figure.get_suptitle().split())


def foot_of(figure: Figure) -> str:
    """The remark below all panels on one line."""
    return " ".join(figure.get_supxlabel().split())
