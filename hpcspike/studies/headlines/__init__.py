"""What the papers of the other learners promise, measured: one named study and one module of statements for each.

To add one: its study in ``cluster/config/headlines_NAME.yaml`` with the sizes smoke, laptop and paper, a module here,
and its entry in `HEADLINES`. What is claimed is in `hpcspike.studies.claims.CLAIMS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hpcspike.studies.claim_tables import Tables
from hpcspike.studies.claims import Row
from hpcspike.studies.headlines import alemi, bourdoukan, digits, functions, huh, memory, navigation

HEADLINES: dict[str, Callable[[Tables], Iterator[Row]]] = {
    "headlines_bourdoukan": bourdoukan.statements,
    "headlines_alemi": alemi.statements,
    "headlines_code": huh.code,
    "headlines_xor": huh.delayed_xor,
    "headlines_digits": digits.statements,
    "headlines_functions": functions.statements,
    "headlines_navigation": navigation.statements,
    "headlines_eprop": memory.statements,
}
"""Name of the study -> the rows that its table allows; the workflow's rule ``headlines`` runs them all."""
