"""How numbers of things are written in messages."""

from __future__ import annotations


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number of things in words: ``1 batch``, ``2 batches``; many: where ``one`` with an s is not their plural."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def percent(share: float) -> str:
    """A share in per cent with two digits, or all of three, without its sign.

    >>> percent(0.0045), percent(0.347), percent(1.0)
    ('0.45', '35', '100')
    """
    return f"{100 * share:.2g}" if 100 * share < 99.5 else f"{100 * share:.0f}"
