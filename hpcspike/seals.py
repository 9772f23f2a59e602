"""What vouches for every byte of an HDF5 file: checksums of its blocks, written behind its end.

Readers of HDF5 look no further than the end that the file itself names. The checksums are compared before HDF5 sees the
file, since it waits for ever in some that are damaged. Whoever changes the file with HDF5 cuts them off, and it is one
that nothing vouches for.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

_BEGIN, _END = b"hpcspike", b"sealed01"
_FOOTER = struct.Struct("<8sIQ8s")  # begin, CRC-32 and length of the list before it, end
_MARK, _SPACE = b"\x89sealed by hpcspike\r\n\x1a\n", 4096  # so far apart that one bad block never takes all
_MOST_BYTES = 1 << 20  # of the checksums
_CHANGED = "the list of its checksums is not as it was written"
_LEAST_BLOCK = 512
_MOST_BLOCKS = 1 << 16
_READ_BLOCKS = 256


def seal(file: Any, extents: dict[str, list[tuple[int, int]]]) -> None:
    """Append the checksums of a file.

    Parameters
    ----------
    file
        Open for reading and writing, complete.
    extents
        Where (first byte, length) the chunks of each variable lie.
    """
    size = file.seek(0, 2)
    block = _LEAST_BLOCK * max(-(-size // (_LEAST_BLOCK * _MOST_BLOCKS)), 1)
    sums = _sums(file, size, block)
    document = {
        "size": size,
        "block": block,
        "sums": base64.b64encode(sums.tobytes()).decode(),
        "extents": {name: _merged(pieces) for name, pieces in extents.items()},
    }
    content = zlib.compress(json.dumps(document).encode())
    file.seek(size)
    file.write(_MARK + bytes(_SPACE) + content + _FOOTER.pack(_BEGIN, zlib.crc32(content), len(content), _END))


def faults(path: Path) -> list[str] | None:
    """What is not as it was written, in words that begin with the variable's name; None if the file has no seal."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        if end < _FOOTER.size:
            return None
        file.seek(end - _FOOTER.size)
        begin, checksum, length, last = _FOOTER.unpack(file.read())
        if begin != _BEGIN and last != _END:
            file.seek(max(end - _MOST_BYTES, 0))
            return [_CHANGED] if _MARK in file.read() else None
        file.seek(max(end - _FOOTER.size - min(length, end), 0))
        content = file.read()[: -_FOOTER.size]
        if (begin, last) != (_BEGIN, _END) or zlib.crc32(content) != checksum:
            return [_CHANGED]
        document = json.loads(zlib.decompress(content))
        whole = document["size"] + len(_MARK) + _SPACE + length + _FOOTER.size
        if whole != end:
            return [f"it has {end:,} bytes, not {whole:,}"]
        expected = np.frombuffer(base64.b64decode(document["sums"]), dtype="<u4")
        wrong = np.flatnonzero(_sums(file, document["size"], document["block"]) != expected)
    return _named(wrong * document["block"], document["block"], document["extents"]) if len(wrong) else []


def _sums(file: BinaryIO | Any, size: int, block: int) -> np.ndarray:
    """CRC-32 of every block."""
    sums = np.empty(-(-size // block), dtype="<u4")
    file.seek(0)
    for first in range(0, len(sums), _READ_BLOCKS):
        piece = memoryview(file.read(min(_READ_BLOCKS * block, size - first * block)))
        for k in range(-(-len(piece) // block)):
            sums[first + k] = zlib.crc32(piece[k * block : (k + 1) * block])
    return sums


def _merged(pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same bytes in as few pieces as possible."""
    merged: list[tuple[int, int]] = []
    for begin, length in sorted(pieces):
        if merged and sum(merged[-1]) == begin:
            merged[-1] = merged[-1][0], merged[-1][1] + length
        else:
            merged.append((begin, length))
    return merged


def _named(wrong: np.ndarray, block: int, extents: dict[str, list[tuple[int, int]]]) -> list[str]:
    """Whose bytes lie in some blocks."""
    found, explained = [], np.zeros(len(wrong), dtype=bool)
    for name, pieces in extents.items():
        of_it = np.zeros(len(wrong), dtype=bool)
        for begin, length in pieces:
            of_it |= (wrong < begin + length) & (wrong + block > begin)
            explained |= (wrong >= begin) & (wrong + block <= begin + length)
        if of_it.any():
            found.append(f"{name} is not as it was written")
    if not explained.all():
        found.append("its structure, text or attributes are not as they were written")
    return found
