"""How values are read from configs and from the command line: as people mean them, or not at all."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from hpcspike.commands.common import keys_and_values
from hpcspike.errors import SpecError
from hpcspike.spec import load
from hpcspike.spec.yaml_text import DEEPEST, MOST_BYTES, parse_value, parse_yaml, shown, why_ambiguous

VALUES: dict[str, Any] = {
    "20": 20, "-3": -3, "+5": 5, "0": 0, "-0.0": -0.0, "0.5": 0.5, ".5": 0.5, "5.": 5.0, "1e5": 1e5, "1e-1": 0.1,
    "1E+3": 1e3, "0e5": 0.0, "9007199254740993": 9007199254740993, "true": True, "True": True, "FALSE": False,
    "null": None, "~": None, "": None, "'020'": "020", '"yes"': "yes", "n": "n", "1-2": "1-2", "1.5.6": "1.5.6",
    "1e": "1e", "lsnn": "lsnn", "nan": "nan", "=": "=", "20 ms": "20 ms", "3 # a comment": 3, "[1e0, 2]": [1.0, 2],
    "{a: [~]}": {"a": [None]},
}  # fmt: skip


@pytest.mark.parametrize("written", VALUES)
def test_a_value_is_the_one_that_is_written_wherever_it_stands(written: str) -> None:
    wanted = VALUES[written]
    for read in (
        parse_value(written),
        parse_yaml(f"k: {written}")["k"],
        keys_and_values([f"k={written}"], option="-")["k"],
    ):
        assert read == wanted
        assert type(read) is type(wanted)
        assert repr(read) == repr(wanted)


REFUSED = {
    "020": "write 20", "010": "write 10", "-007": "write -7", "00": "write 0", "007.5": "write 7.5", "08": "write 8",
    "00.5": "write 0.5", "0x1F": "in decimals", "0o17": "in decimals", "0b11": "in decimals", "1_000": "write 1000",
    "1:40": "colons", "190:20:30": "colons", "1:30.5": "colons", "yes": "write true", "On": "write true",
    "NO": "write false", "off": "write false", "2026-11-28": "date", "2026-11-28T10:00:00Z": "date", ".nan": "finite",
    "-.Inf": "finite", "1e999": "below 1e308", "9" * 41: "at most 40 digits",
}  # fmt: skip


@pytest.mark.parametrize("written", REFUSED)
def test_what_can_be_read_in_several_ways_is_refused_with_the_key_and_the_text_as_written(
    tmp_path: Path, written: str
) -> None:
    hint = REFUSED[written]
    assert hint in str(why_ambiguous(written))
    (tmp_path / "my.yaml").write_text(f"synapse:\n  tau_syn_ms: {written}\n")
    with pytest.raises(SpecError) as caught:
        load(tmp_path / "my.yaml")
    assert str(caught.value).startswith(f"{tmp_path / 'my.yaml'}: line 2: synapse.tau_syn_ms = {written}: ")
    assert hint in str(caught.value)
    for place in (f"a: [1, {written}]", f"{{a: {{b: {written}}}}}", f"- {written}"):
        with pytest.raises(SpecError, match=re.escape(f"{written}: ")):
            parse_yaml(place)
    with pytest.raises(SpecError, match=re.escape(f"--set seed={written}: {written}: ")) as caught:
        keys_and_values([f"seed={written}"], option="--set")
    assert hint in str(caught.value)
    assert parse_yaml(f"a: '{written}'") == {"a": written}


def test_keys_are_text() -> None:
    assert parse_yaml("{100: 1, yes: 2, 010: 3, 1e3: 4}") == {"100": 1, "yes": 2, "010": 3, "1e3": 4}


def test_an_axis_may_be_given_in_powers_of_ten() -> None:
    assert parse_yaml("axes: {training.ridge: [1e-1, 1e0]}") == {"axes": {"training.ridge": [0.1, 1.0]}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\n---\nb: 2\n", "line 2: a second document begins; a file holds one"),
        ("a: !!int 3", "a = tag:yaml.org,2002:int: tags are not understood"),
        ("a: !!python/object/apply:os.system [ls]", "tags are not understood"),
        ("a: *b", r"a = \*b: nothing before it has this anchor"),
        ("a: &a [*a]", "nothing before it has this anchor"),
        ("? [a]\n: 1", "keys must be words"),
        ("a: {b: 1, b: 2}", "line 1: the key 'b' is given twice, first in line 1"),
        ("a: {<<: 3}", "what is merged must be a section"),
        ("a:\n\tb: 1", "line 2, column 1: found character '\\\\t'"),
        ("a: \x00", "the character #x0 cannot be in it"),
        ("a: [" + "[" * 5000, f"more than {DEEPEST} sections and lists in one another"),
        ("{a: " * 5000, f"more than {DEEPEST} sections and lists in one another"),
    ],
)
def test_a_text_that_cannot_be_read_is_refused_in_a_line(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        parse_yaml(text)
    assert len(str(caught.value)) < 300


def test_anchors_are_copies_and_merged_sections_give_way() -> None:
    read = parse_yaml("one: &a {x: 1, y: {z: 2}}\ntwo: *a\nthree: {<<: [*a, {x: 7, w: 8}], y: 9}\n")
    assert read == {"one": {"x": 1, "y": {"z": 2}}, "two": {"x": 1, "y": {"z": 2}}, "three": {"x": 1, "w": 8, "y": 9}}
    read["one"]["y"]["z"] = 3
    assert read["two"]["y"]["z"] == 2


def test_aliases_that_multiply_are_counted_before_they_are_copied() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join(10 * [f'*a{n - 1}'])}]" for n in range(1, 9)]
    with pytest.raises(SpecError, match="more than 2,000,000 values, with what aliases repeat"):
        parse_yaml("\n".join(lines))


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with open(tmp_path / "large", "wb") as large:
        large.truncate(MOST_BYTES + 1)
    (tmp_path / "utf16").write_text("seed: 1", encoding="utf-16")
    (tmp_path / "binary").write_bytes(bytes(range(128)))
    (tmp_path / "empty").write_text("# nothing\n")
    for name, message in {
        "fifo": "it is no regular file", ".": "it is a folder", "large": "at most 16 are possible",
        "utf16": "not text in UTF-8", "binary": "the character #x0 cannot be in it", "empty": "is empty",
        "none": "no such file", "x" * 300: "File name too long",
    }.items():  # fmt: skip
        with pytest.raises(SpecError, match=message):
            load(tmp_path / name)
    with pytest.raises(SpecError, match="it is no regular file"):
        load("/dev/zero")


def test_a_mark_of_utf_8_is_no_part_of_the_text(tmp_path: Path, tiny_document: dict[str, Any]) -> None:
    import yaml

    (tmp_path / "my.yaml").write_bytes(b"\xef\xbb\xbf" + yaml.safe_dump({"seed": 5, **tiny_document}).encode())
    assert load(tmp_path / "my.yaml").seed == tiny_document.get("seed", 5)


def test_options_that_are_given_twice_are_refused() -> None:
    with pytest.raises(SpecError, match=r"--set seed=\.\.\. is given twice"):
        keys_and_values(["seed=1", "seed=2"], option="--set")
    assert keys_and_values(["experiment_hash=0123"], option="--where", as_text={"experiment_hash"}) == {
        "experiment_hash": "0123"
    }


def test_a_long_value_is_cut_in_messages_without_being_gone_through() -> None:
    nested: Any = ["x" * 1000]
    for _ in range(60):
        nested = [nested] * 1000
    assert len(shown(nested, 60)) <= 60
    assert shown([2.0, 1.0]) == "[2.0, 1.0]"
    assert shown(list(range(9))) == "[0, 1, 2, 3, 4, 5, 6, 7, ...]"
    assert shown({"a": None}) == "{'a': None}"
