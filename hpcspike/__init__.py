"""Train recurrent spiking networks by recursive least squares, at scale (Kim & Chow, eLife 2018).

The public names are loaded when they are first used, so that ``import hpcspike`` costs nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing has it, whose import takes longer than all of this package's

if TYPE_CHECKING:
    from typing import Any

    from hpcspike import analysis as analysis
    from hpcspike import exchange as exchange
    from hpcspike import figures as figures
    from hpcspike import measures as measures
    from hpcspike.engine.distribute import build_problem as build_problem
    from hpcspike.engine.trained import Response as Response
    from hpcspike.engine.trained import Trained as Trained
    from hpcspike.engine.training import train as train
    from hpcspike.errors import HpcspikeError as HpcspikeError
    from hpcspike.live.network import Network as Network
    from hpcspike.live.opening import live_network as live_network
    from hpcspike.model.problem import Problem as Problem
    from hpcspike.runs.run import run as run
    from hpcspike.spec.experiment import Experiment as Experiment
    from hpcspike.spec.experiment import Training as Training
    from hpcspike.spec.load import load as load
    from hpcspike.spec.sweep import Sweep as Sweep
    from hpcspike.sweep.reading import open_network as open_network
    from hpcspike.sweep.reading import open_sweep as open_sweep
    from hpcspike.sweep.retraining import retrain as retrain

_HOMES = {
    "Experiment": "hpcspike.spec.experiment",
    "HpcspikeError": "hpcspike.errors",
    "Network": "hpcspike.live.network",
    "Problem": "hpcspike.model.problem",
    "Response": "hpcspike.engine.trained",
    "Sweep": "hpcspike.spec.sweep",
    "Trained": "hpcspike.engine.trained",
    "Training": "hpcspike.spec.experiment",
    "build_problem": "hpcspike.engine.distribute",
    "live_network": "hpcspike.live.opening",
    "load": "hpcspike.spec.load",
    "open_network": "hpcspike.sweep.reading",
    "open_sweep": "hpcspike.sweep.reading",
    "retrain": "hpcspike.sweep.retraining",
    "run": "hpcspike.runs.run",
    "train": "hpcspike.engine.training",
}
_SUBPACKAGES = ("analysis", "exchange", "figures", "measures")

__all__ = ["__version__", *sorted(_HOMES), *_SUBPACKAGES]


def __getattr__(name: str) -> Any:
    import importlib

    if name == "__version__":
        return importlib.import_module("hpcspike.version").package_version()
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _SUBPACKAGES:
        return importlib.import_module(f"hpcspike.{name}")
    raise AttributeError(f"module 'hpcspike' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
