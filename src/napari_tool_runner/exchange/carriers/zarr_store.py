"""A Zarr folder of a stranger: no links, only codecs that decode numbers, only sizes that fit.

Zarr finds codecs by the names that its metadata give, and some of them run code that lies in
the data (``pickle``). Metadata are looked at where they are read, before Zarr sees them.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.storage import LocalStore

from napari_tool_runner import sealed
from napari_tool_runner.errors import OutputError
from napari_tool_runner.exchange.files import check_fits

if TYPE_CHECKING:
    import zarr

__all__ = ["SealedStore", "check_array"]

_METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
_METADATA_BYTES = 64 * 2**20  # consolidated metadata of a plate with 10,000 fields have 20 MB
_CODECS = frozenset(
    # they decode bytes to bytes or numbers to numbers; nothing in the data is run
    {"blosc", "zstd", "lz4", "zlib", "gzip", "bz2", "lzma", "shuffle", "packbits", "pcodec"}
    | {"delta", "fixedscaleoffset", "quantize", "bitround", "astype", "zfpy", "scale_offset"}
    | {"crc32", "crc32c", "adler32", "fletcher32", "jenkins_lookup3", "cast_value"}
    | {"bytes", "endian", "transpose", "sharding_indexed", "default"}
    # text beside images, as tables have it
    | {"vlen-utf8", "vlen-bytes"}
)
_PLACES = ("compressor", "filters", "codecs", "index_codecs", "object_codec")
_MOST_BLOCKS = 10_000_000  # of one array; each is a place in a list that napari goes through


class SealedStore(LocalStore):
    """Reads a folder; with `beneath`, through no link below that folder."""

    def __init__(
        self, root: Path | str, *, read_only: bool = True, beneath: Path | None = None
    ) -> None:
        super().__init__(root, read_only=True)
        self.beneath = beneath

    def with_read_only(self, read_only: bool = False) -> Self:
        """Return the same store: nobody writes by it."""
        return type(self)(self.root, beneath=self.beneath)

    def _read(self, key: str, wanted: ByteRequest | None, prototype: BufferPrototype) -> Buffer:
        """Return bytes of a file; raises OSError, OutputError."""
        path = self.root / key
        name = key.rpartition("/")[2]
        if name in _METADATA:
            data = sealed.read_bytes(path, self.beneath, limit=_METADATA_BYTES)
            _check_metadata(data, path)
            return prototype.buffer.from_bytes(data)
        with sealed.open_file(path, self.beneath) as file:
            count = -1
            if isinstance(wanted, RangeByteRequest):
                file.seek(wanted.start)
                count = wanted.end - wanted.start
            elif isinstance(wanted, OffsetByteRequest):
                file.seek(wanted.offset)
            elif isinstance(wanted, SuffixByteRequest):
                file.seek(max(0, file.seek(0, 2) - wanted.suffix))
            return prototype.buffer.from_bytes(file.read(count))

    def get_sync(
        self,
        key: str,
        *,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """Return the bytes of `key`, None when there are none."""
        try:
            return self._read(key, byte_range, prototype or default_buffer_prototype())
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None

    async def get(
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """Return the bytes of `key`, None when there are none."""
        return await asyncio.to_thread(
            lambda: self.get_sync(key, prototype=prototype, byte_range=byte_range)
        )

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return parts of several files."""
        return [await self.get(key, prototype, wanted) for key, wanted in key_ranges]

    async def exists(self, key: str) -> bool:
        """Whether there is a file `key`."""
        if self.beneath is None:
            return await super().exists(key)
        return sealed.kind(self.root / key, self.beneath) == "file"

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names of what lies in a folder; links are passed over."""
        folder = self.root / prefix.rstrip("/") if prefix else self.root
        if self.beneath is None:
            async for name in super().list_dir(prefix):
                yield name
            return
        with suppress(FileNotFoundError):
            for path, kind in sealed.listed(folder, self.beneath).items():
                if kind in ("file", "folder"):
                    yield path.name


def _check_metadata(data: bytes, path: Path) -> None:
    """Refuse codecs that are not known to be harmless; raises OutputError."""
    try:
        told = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise OutputError(f"{path.name} of a Zarr folder cannot be read: {error}") from error
    todo: list[tuple[object, bool]] = [(told, False)]
    while todo:
        value, codecs = todo.pop()
        if isinstance(value, list):
            todo += [(entry, codecs) for entry in value]
        elif isinstance(value, Mapping):
            if codecs and ("id" in value or "name" in value):
                _check_codec(value.get("id", value.get("name")), path)
            todo += [
                (entry, key in _PLACES) for key, entry in value.items() if key != "attributes"
            ]
        elif codecs and isinstance(value, str):
            _check_codec(value, path)


def _check_codec(name: object, path: Path) -> None:
    plain = str(name).removeprefix("numcodecs.").removeprefix("imagecodecs_")
    if plain not in _CODECS and not str(name).startswith("imagecodecs_"):
        raise OutputError(
            f"{path.parent.name}/{path.name} is coded by {str(name)[:40]!r}, which is not opened: "
            "such data may run code.",
            hint="Let the tool write numbers, compressed by blosc, zstd or gzip.",
        )


def check_array(array: zarr.Array[Any], what: str = "") -> None:
    """Refuse an array (`what`, for sentences) of no numbers, or one that nobody can go through.

    Raises
    ------
    OutputError
    """
    place = Path(array.path or "Zarr")
    what = what or f"{place.name} of a Zarr folder"
    if np.dtype(array.dtype).kind not in "biufc":
        raise OutputError(f"{what} holds {array.dtype}, which is no image.")
    chunks = array.shards or array.chunks
    check_fits(math.prod(chunks) * array.dtype.itemsize, place)
    blocks = math.prod(
        -(-size // max(1, chunk)) for size, chunk in zip(array.shape, chunks, strict=True)
    )
    if blocks > _MOST_BLOCKS:
        raise OutputError(
            f"{what} is cut into {blocks} blocks, too many to be shown.",
            hint="Let the tool write larger chunks.",
        )
