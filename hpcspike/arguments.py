"""Arguments that several commands share, and the types of their values."""

from __future__ import annotations

import argparse
import difflib
import os
import re
from collections.abc import Sequence
from typing import NoReturn

from hpcspike.errors import SpecError

_LONGEST_CHOICE = 60

EXAMPLES = {"experiment": "fig1_drive", "sweep, study or experiment": "fig6", "study": "fig1"}
"""Kinds of files that commands read, and one of each that comes with hpcspike."""


def config_arguments(parser: argparse.ArgumentParser, kind: str, *, optional: bool = False) -> None:
    """The file that a command reads, and what may be changed in it."""
    parser.add_argument(
        "config", nargs="?" if optional else None, metavar="CONFIG",
        help=f"{kind} in YAML, or the name of one, such as {EXAMPLES[kind]}",
    )  # fmt: skip
    parser.add_argument("--size", metavar="NAME", help="entry of the file's 'sizes' section (default: its first)")
    parser.add_argument(
        "--set",
        type=as_typed,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="changes",
        help="change a key of the file, for example synapse.tau_syn_ms=30; may be given several times",
    )


def store_argument(parser: argparse.ArgumentParser) -> None:
    """The store of a sweep."""
    parser.add_argument("store", metavar="STORE", help="store of a sweep, for example results/fig6.zarr")


def threads_argument(parser: argparse.ArgumentParser) -> None:
    """Threads over neurons."""
    parser.add_argument(
        "--threads", type=positive, default=1, metavar="N", help="threads over neurons; same results (default: 1)"
    )


def log_argument(parser: argparse.ArgumentParser) -> None:
    """Where loops or points are shown while they are computed."""
    parser.add_argument(
        "--log", metavar="WHERE",
        help="write what is finished, at once, to tensorboard:FOLDER or mlflow:EXPERIMENT (extras of these names)",
    )  # fmt: skip


def checkpoint_arguments(parser: argparse.ArgumentParser) -> None:
    """Saved states and the time limit."""
    group = parser.add_argument_group(
        "checkpoints", "save the state of training and go on from it when the same command runs again"
    )
    group.add_argument(
        "--checkpoint", metavar="DIR",
        help="folder of the saved states, which stay there (default if one of the options below is given: "
        "OUT.checkpoint, removed when OUT is written)",
    )  # fmt: skip
    group.add_argument("--checkpoint-every-loops", type=positive, metavar="K", help="save after every K loops")
    group.add_argument("--checkpoint-every-minutes", type=minutes, metavar="M", help="save every M minutes")
    group.add_argument(
        "--time-limit", type=minutes, metavar="MINUTES", help="save and stop (exit code 75) before so much time is up"
    )


def as_typed(text: str) -> str:
    """KEY=VALUE in the letters that were typed, in UTF-8, also where the locale does not know them."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:  # bytes that stand for themselves
        return os.fsencode(text).decode("utf-8", errors="replace")


def minutes(text: str) -> float:
    """Minutes above 0."""
    return _amount(text, "minutes above 0")


def user_code_argument(parser: argparse._ActionsContainer) -> None:
    """Consent to run what a store names."""
    parser.add_argument(
        "--run-user-code", action="store_true",
        help="run the neuron model or learner of a user's own that the store names; look at it first",
    )  # fmt: skip


def minutes_or_0(text: str) -> float:
    """Minutes, or 0 for never."""
    return _amount(text, "minutes, or 0", or_0=True)


def mebibytes(text: str) -> float:
    """Memory above 0."""
    return _amount(text, "MiB above 0")


def _amount(text: str, words: str, *, or_0: bool = False) -> float:
    from hpcspike.spec.yaml_text import parse_value  # whose package takes a while: only where an amount is given

    try:
        value = parse_value(text)
    except SpecError as error:
        raise argparse.ArgumentTypeError(f"must be a number of {words}: {error}") from None
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or value < 0 or (value == 0 and not or_0):
        raise argparse.ArgumentTypeError(f"must be a number of {words}, not {text[:_LONGEST_CHOICE]!r}")
    return float(value)


def positive(text: str) -> int:
    """A whole number from 1."""
    return _whole(text, 1, "must be at least 1")


def count(text: str) -> int:
    """A whole number from 0."""
    return _whole(text, 0, "must be 0 or more")


def _whole(text: str, least: int, bound: str) -> int:
    # decimal digits only, of which the first may be 0, as in the names of receipts
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text[:_LONGEST_CHOICE]!r}")
    if int(text) < least:
        raise argparse.ArgumentTypeError(bound)
    return int(text)


class Parser(argparse.ArgumentParser):
    """A parser whose errors name what is likely to be meant."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end."""
        chosen = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if chosen is not None:
            close = difflib.get_close_matches(chosen[1][:_LONGEST_CHOICE], re.findall(r"[\w.-]+", chosen[2]), n=1)
            message += f"; did you mean {close[0]!r}?" if close else ""
        if re.match(r"unrecognized arguments: (.* )?=", message):
            message += "; write no spaces around =, as in --set synapse.tau_syn_ms=30"
        super().error(message)


class Version(argparse.Action):
    """Print the version, which is looked up only when asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest=argparse.SUPPRESS, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from hpcspike.provenance import package_version

        print(f"hpcspike {package_version()}")
        parser.exit()


class HelpWithFields(argparse.Action):
    """Print the help, with the table of an experiment's fields behind it."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest=argparse.SUPPRESS, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        import shutil

        from hpcspike.spec.schema import field_help

        width = shutil.get_terminal_size().columns - 2  # as argparse does
        parser.epilog = "fields of an experiment ('hpcspike schema --table' prints each on one line):\n\n" + field_help(
            width
        )
        parser.print_help()
        parser.exit()
