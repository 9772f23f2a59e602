"""Equations of the paper are tagged on the lines that compute them: ``grep -rn "Eq 12" hpcspike`` answers."""

from __future__ import annotations

import io
import re
import tokenize
from collections import defaultdict
from pathlib import Path

from tests.conftest import ROOT

PACKAGE = ROOT / "hpcspike"
ENGINES = {"rls/reference.py", "rls/blocked_kernels.py", "rls/textbook_kernels.py", "rls/textbook_blas_kernels.py"}
COMPILED = ENGINES - {"rls/reference.py"}
STARTS = {"rls/penalties.py"}

COMPUTED = {
    1: {"measures/quasi_static.py"},
    2: {"measures/quasi_static.py"},
    3: {"measures/theory.py"},
    5: {"model/neuron_models/theta.py"},
    6: {"engine/step_kernels.py", "engine/delivery_kernels.py"},
    7: {"engine/training_kernels.py"},
    8: {"engine/simulation.py", "engine/delivery_kernels.py", *COMPILED},
    10: {"engine/trainer.py", "engine/stretch_kernels.py"},
    11: {*ENGINES, *STARTS},
    12: ENGINES,
    13: {"model/transfer.py"},
    14: {"model/transfer.py", "engine/training_kernels.py"},
    16: {"engine/training_kernels.py", *ENGINES},
    17: {"engine/training_kernels.py"},
    18: {*ENGINES, *STARTS},
    19: ENGINES,
    47: {"measures/quasi_static.py"},
}
"""Equation -> the files with a line that computes it."""

NOT_COMPUTED = {
    4: "simulated in its theta form, Eq 5",
    9: "a cost that is minimised, not evaluated",
    15: "a cost that is minimised, not evaluated",
    **dict.fromkeys(range(20, 39), "derivation of Eqs 10-12 and 16-19"),
    **dict.fromkeys(range(39, 47), "derivation of Eqs 1, 2 and 13"),
    **dict.fromkeys(range(48, 61), "derivation of Eq 3"),
}
"""Equation -> why no line computes it."""

FORM = re.compile(r"# Eq \d+(, Eq \d+)*(: \S.*)?")


def tags(source: str) -> tuple[dict[int, list[int]], list[str]]:
    """Equation -> lines of code with its tag; and comments that name equations otherwise or beside no code."""
    found: dict[int, list[int]] = defaultdict(list)
    wrong = []
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and re.search(r"\bEqs?\b", token.string):
            if FORM.fullmatch(token.string) and token.start[0] in code:
                for number in re.findall(r"Eq (\d+)", token.string.partition(":")[0]):
                    found[int(number)].append(token.start[0])
            else:
                wrong.append(token.string)
        elif token.type in (tokenize.NAME, tokenize.OP, tokenize.NUMBER):
            code.add(token.start[0])
    return found, wrong


def all_tags() -> dict[str, tuple[dict[int, list[int]], list[str]]]:
    return {
        str(file.relative_to(PACKAGE)): tags(file.read_text(encoding="utf-8")) for file in sorted(PACKAGE.rglob("*.py"))
    }


def test_every_equation_of_the_paper_is_computed_or_it_is_said_why_not() -> None:
    assert sorted([*COMPUTED, *NOT_COMPUTED]) == list(range(1, 61))


def test_every_computed_equation_is_tagged_where_it_is_computed() -> None:
    where: dict[int, set[str]] = defaultdict(set)
    for file, (found, _) in all_tags().items():
        for number in found:
            where[number].add(file)
    assert dict(where) == COMPUTED


def test_tags_have_one_form_and_stand_beside_code() -> None:
    assert {file: wrong for file, (_, wrong) in all_tags().items() if wrong} == {}


def test_another_form_of_a_tag_is_seen() -> None:
    assert tags("x = 1  # Eq 5, Eq 6: words\n") == ({5: [1], 6: [1]}, [])
    for text in ("# Eq 5\nx = 1\n", "x = 1  # Eqs 5-6\n", "x = 1  # as Eq 5 has it\n", "x = 1  # Eq. 5\n"):
        found, wrong = tags(text)
        assert found == {}
        assert len(wrong) == 1


def test_the_guide_says_how_to_find_an_equation() -> None:
    assert 'grep -rn "Eq 12" hpcspike' in (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
    lines = [
        line for file in PACKAGE.rglob("*.py") for line in Path(file).read_text().splitlines() if "# Eq 12" in line
    ]
    assert all("+" in line for line in lines)  # w + e P r
    assert len(lines) == len(ENGINES)
