"""A store of zarr that hands out no chunk that is damaged, and no fill values in the place of one that is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from zarr.storage import LocalStore, WrapperStore

from hpcspike.sweep.integrity import Inventory

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype


class CheckedStore(WrapperStore[LocalStore]):
    """The files of a sweep's store; whoever reads through it, xarray and dask too, gets the error of `Inventory`."""

    def __init__(self, store: LocalStore, inventory: Inventory) -> None:
        super().__init__(store)
        self._inventory = inventory

    def _with_store(self, store: LocalStore) -> Self:
        return type(self)(store, self._inventory)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Content of a file, None if there is none and none is due."""
        content = await super().get(key, prototype, byte_range)
        chunk = self._inventory.chunk_at(key)
        if chunk is not None and byte_range is None:
            fault = self._inventory.fault(chunk, None if content is None else content.to_bytes())
            if fault is not None:
                raise self._inventory.damaged(fault)
        return content
