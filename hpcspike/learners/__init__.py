"""Learners of wanted dynamics in recurrent spiking networks, behind one interface.

A learner of one's own takes part in the same way: derive from `hpcspike.learners.interface.Learner` and name it in the
experiment,

.. code-block:: yaml

    learner: { kind: user, path: "my_package.my_module:MyLearner", settings: { passes: 20 } }

The module is imported when the learner is made, with the folder in which hpcspike was started on the import path. Its
class is called with ``settings`` as a plain mapping.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcspike.errors import SpecError

if TYPE_CHECKING:
    from hpcspike.learners.interface import Learner

LEARNERS = {
    "rls": "hpcspike.learners.rls:RlsLearner",
    "ebn_bourdoukan": "hpcspike.learners.ebn_bourdoukan:BourdoukanLearner",
    "ebn_alemi": "hpcspike.learners.ebn_alemi:AlemiLearner",
    "lsnn": "hpcspike.learners.lsnn:LsnnLearner",
    "huh": "hpcspike.learners.huh:HuhLearner",
}
"""Name -> where the class is; nothing of it is imported before it is asked for."""


def learner_class(name: str) -> type[Learner]:
    """The class of a learner, by its name or the import path ``package.module:Class`` of a user's own.

    Raises
    ------
    SpecError
        If there is none by this name, or what the path names is not a learner.
    """
    from hpcspike.learners.interface import Learner

    if name not in LEARNERS and ":" not in name:
        raise SpecError(
            f"learner {name!r} is unknown: must be one of {', '.join(LEARNERS)}, or the import path "
            "'package.module:Class' of a learner of your own"
        )
    module_name, _, class_name = LEARNERS.get(name, name).partition(":")
    try:
        found = getattr(_module(module_name), class_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise
        raise SpecError(
            f"learner {name!r}: there is no module {error.name!r}; install it, or start hpcspike in the folder that "
            "holds it"
        ) from None
    except AttributeError:
        raise SpecError(f"learner {name!r}: module {module_name!r} has no class {class_name!r}") from None
    if not (isinstance(found, type) and issubclass(found, Learner)):
        raise SpecError(f"learner {name!r}: must be a class derived from hpcspike.learners.interface.Learner")
    return found


def make_learner(name: str, settings: Any = None) -> Learner:
    """A learner with its settings (a section of an experiment; None: the defaults)."""
    return learner_class(name)(settings)


def _module(name: str) -> Any:
    # a console script has its own folder on the path, not the one it was started in
    here = str(Path.cwd())
    if name.startswith("hpcspike.") or here in sys.path or "" in sys.path:
        return importlib.import_module(name)
    sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(here)
