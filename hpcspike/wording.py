"""How numbers of things are written in messages."""

from __future__ import annotations


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number of things in words: ``1 batch``, ``2 batches``; many: where ``one`` with an s is not their plural."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
