"""Learners of wanted dynamics in recurrent spiking networks, behind one interface.

A learner of one's own takes part in the same way: derive from `hpcspike.learners.interface.Learner` and name it in the
experiment,

.. code-block:: yaml

    learner: { kind: user, path: "my_package.my_module:MyLearner", settings: { passes: 20 } }

``path`` is a module that Python finds, with the folder in which hpcspike was started on the import path, or a file with
a path from the YAML file, ``my_learner.py:MyLearner``. The class is called with ``settings`` as a plain mapping. See
`hpcspike.plugins` for the code that belongs to the identity of an experiment.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hpcspike import plugins
from hpcspike.errors import SpecError
from hpcspike.plugins import LEARNER_KEY
from hpcspike.spec.learners import LEARNERS as SECTIONS

if TYPE_CHECKING:
    from hpcspike.learners.interface import Learner

LEARNERS: dict[str, str] = {kind: section.home for kind, section in SECTIONS.items() if section.home is not None}
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
    if name in LEARNERS:
        module, _, class_name = LEARNERS[name].partition(":")
        found = getattr(importlib.import_module(module), class_name)
    else:
        found = plugins.find(name, key=LEARNER_KEY)
    if not (isinstance(found, type) and issubclass(found, Learner)):
        raise SpecError(f"{LEARNER_KEY} = {name}: must be a class derived from hpcspike.learners.interface.Learner")
    return found


def make_learner(name: str, settings: Any = None) -> Learner:
    """A learner with its settings (a section of an experiment; None: the defaults)."""
    return learner_class(name)(settings)
