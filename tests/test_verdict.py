"""What a network that did not learn is called, on the last line of training and on pages alike."""

from __future__ import annotations

import pytest

from hpcspike.measures.verdict import qualified_status
from hpcspike.report.words import FAILURES
from hpcspike.spec.experiment import Measures
from hpcspike.variables import STATUS


@pytest.mark.parametrize("status", ["sampling", "tracking", "recall"])
def test_a_failure_has_one_wording(status: str) -> None:
    scalars = {"status": STATUS.index(status), "silent_share": 0.5}
    said = qualified_status(scalars, n_neurons=10, measures=Measures())
    words, _, rest = said.partition(" (")
    assert words.startswith("limited by ")
    assert FAILURES[status].startswith(words)
    assert rest == "5 of 10 neurons silent, 50 %, below 0.1 Hz)"


def test_other_states_keep_their_names() -> None:
    scalars = {"status": STATUS.index("learned"), "silent_share": 0.0}
    assert qualified_status(scalars, n_neurons=10, measures=Measures()) == "learned"
