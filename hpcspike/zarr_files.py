"""Zarr stores of single networks that vouch for their contents: a checksum in every chunk, a digest of the metadata.

Every chunk is written, also one that holds nothing but the fill value, so that one that is not there is missing.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

DIGESTS = "hpcspike_digests"
"""Attribute of a store: SHA-256 of the metadata of all its arrays and of its other attributes."""

_METADATA = "zarr.json"
_ALL_CHUNKS: Any = {"write_empty_chunks": True}


def codecs() -> tuple[Any, ...]:
    """How chunks are packed: zstd, and a CRC-32C over what it gives."""
    from zarr.codecs import Crc32cCodec, ZstdCodec

    return ZstdCodec(), Crc32cCodec()


def create_array(group: Any, name: str, **options: Any) -> Any:
    """An array whose chunks carry checksums, and are all written; options as those of `zarr.Group.create_array`."""
    return group.create_array(name, compressors=codecs(), config=_ALL_CHUNKS, **options)


def open_array(path: Path) -> Any:
    """An array that `create_array` made, to write to it."""
    import zarr

    return zarr.open_array(path, mode="r+").with_config(_ALL_CHUNKS)  # zarr 3.1 ignores it as an argument


def seal(path: Path, attributes: Mapping[str, Any]) -> None:
    """Finish a store: attributes, the metadata of all arrays in one place, and a digest of both."""
    import zarr

    group = zarr.open_group(path, mode="r+")
    group.update_attributes(dict(attributes))
    _consolidate(group)
    digest = _digest(json.loads((path / _METADATA).read_text()))
    group = zarr.open_group(path, mode="r+", use_consolidated=False)
    group.update_attributes({DIGESTS: {"metadata": digest}})
    _consolidate(group)


def write_zarr(dataset: xr.Dataset, path: Path) -> None:
    """Write a Dataset as a store that must not exist; text of any length, which has a specification in zarr."""
    texts = {name: item for name, item in dataset.variables.items() if item.dtype.kind == "U"}
    dataset = dataset.assign({name: item.astype(object) for name, item in texts.items()})
    encoding = {str(name): {"compressors": codecs()} for name in dataset.variables}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata", category=UserWarning)
        dataset.to_zarr(path, zarr_format=3, consolidated=False, encoding=encoding, write_empty_chunks=True)
    seal(path, {})


def faults(path: Path, *, everything: bool = True) -> list[str] | None:
    """What is not as it was written, in words that begin with the array's name; None if the store has no digests.

    Parameters
    ----------
    path
        Folder of the store.
    everything
        Whether to read every chunk, or only to see that each is there.
    """
    try:
        document = json.loads((path / _METADATA).read_text())
        digest = document["attributes"][DIGESTS]["metadata"]
    except KeyError:
        return None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        return [f"{_METADATA} cannot be read ({error})"]
    if _digest(document) != digest:
        return [f"{_METADATA} is not as it was written"]
    found: list[str] = []
    for name, metadata in document["consolidated_metadata"]["metadata"].items():
        found += _metadata_faults(path / name / _METADATA, name, metadata) or _chunk_faults(
            path / name, name, metadata, everything
        )
    return found


def _metadata_faults(own: Path, name: str, metadata: dict[str, Any]) -> list[str]:
    try:
        same = json.loads(own.read_text()) == metadata
    except FileNotFoundError:
        return [f"{name}: {_METADATA} is missing"]
    except (OSError, ValueError):
        return [f"{name}: {_METADATA} cannot be read"]
    return [] if same else [f"{name}: {_METADATA} is not as it was written"]


def _chunk_faults(folder: Path, name: str, metadata: dict[str, Any], everything: bool) -> list[str]:
    found = [f"{name}: chunk {key} is missing or empty" for key in _chunk_keys(metadata) if not _holds(folder / key)]
    if not everything or found:
        return found
    import zarr

    array = zarr.open_array(folder, mode="r")
    for key, place in zip(_chunk_keys(metadata), _chunk_places(metadata), strict=True):
        try:
            array[place]
        except Exception as error:  # of whatever codec
            found.append(f"{name}: chunk {key} cannot be read ({' '.join(str(error).split())})")
    return found


def _holds(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


def _grid(metadata: dict[str, Any]) -> tuple[list[int], list[int]]:
    return metadata["shape"], metadata["chunk_grid"]["configuration"]["chunk_shape"]


def _chunk_indices(metadata: dict[str, Any]) -> Iterator[tuple[int, ...]]:
    return itertools.product(*(range(-(-size // length)) for size, length in zip(*_grid(metadata), strict=True)))


def _chunk_keys(metadata: dict[str, Any]) -> Iterator[str]:
    return ("/".join(["c", *map(str, index)]) for index in _chunk_indices(metadata))


def _chunk_places(metadata: dict[str, Any]) -> Iterator[tuple[slice, ...]]:
    lengths = _grid(metadata)[1]
    for index in _chunk_indices(metadata):
        yield tuple(slice(k * length, (k + 1) * length) for k, length in zip(index, lengths, strict=True))


def _consolidate(group: Any) -> None:
    import zarr

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata", category=UserWarning)
        zarr.consolidate_metadata(group.store, zarr_format=3)


def _digest(document: dict[str, Any]) -> str:
    attributes = {name: value for name, value in document["attributes"].items() if name != DIGESTS}
    return hashlib.sha256(json.dumps({**document, "attributes": attributes}, sort_keys=True).encode()).hexdigest()
