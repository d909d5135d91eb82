"""A Zarr folder of a stranger: no links, only codecs that decode numbers, only sizes that fit.

Zarr finds codecs by the names that its metadata give, and some of them run code that lies in
the data (``pickle``). Metadata are looked at where they are read, before Zarr sees them.
Blocks are decoded in napari's own process: none unpacks to more than its shape holds.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from zarr.abc.codec import ArrayArrayCodec, BytesBytesCodec, Codec
from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.codecs import BytesCodec, ShardingCodec
from zarr.codecs._v2 import V2Codec
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.core.codec_pipeline import BatchedCodecPipeline
from zarr.storage import LocalStore

from napari_tool_runner import sealed
from napari_tool_runner.data_classes import dataclass, replace
from napari_tool_runner.errors import OutputError
from napari_tool_runner.exchange.carriers.zarr_bound import Bound, too_large
from napari_tool_runner.exchange.files import check_fits

if TYPE_CHECKING:
    import zarr
    from zarr.abc.numcodec import Numcodec
    from zarr.core.array_spec import ArraySpec

__all__ = ["SealedStore", "bound_blocks", "check_array"]

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
_SLACK = 2**16  # of headers and checksums
_WIDEST = 16  # bytes of the widest number that a filter may have been given
_MOST_BLOCKS = 10_000_000  # of one array; each is a place in a list that napari goes through
_MOST_SMALL = 4096  # blocks along two axes, as of a plane, that have less than so many bytes:
_SMALL = 2**14


class SealedStore(LocalStore):
    """Reads a folder; with `beneath`, through no link below that folder."""

    def __init__(
        self, root: Path | str, *, read_only: bool = True, beneath: Path | None = None
    ) -> None:
        super().__init__(root, read_only=True)
        self.beneath = beneath
        self.largest = 0  # bytes that a file of blocks may have, once `bound_blocks` knows

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
            start, end = 0, file.seek(0, 2)
            if isinstance(wanted, RangeByteRequest):
                start, end = wanted.start, min(end, wanted.end)
            elif isinstance(wanted, OffsetByteRequest):
                start = wanted.offset
            elif isinstance(wanted, SuffixByteRequest):
                start = max(0, end - wanted.suffix)
            if self.largest and end - start > self.largest:
                raise too_large(f"{key} of {self.root.name}", self.largest)
            file.seek(start)
            return prototype.buffer.from_bytes(file.read(max(0, end - start)))

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
    each = [-(-size // max(1, one)) for size, one in zip(array.shape, array.chunks, strict=True)]
    blocks, small = math.prod(each), math.prod(array.chunks) * array.dtype.itemsize < _SMALL
    plane = math.prod(sorted(each)[-2:]) if sum(one > 1 for one in each) > 1 else 1
    if blocks > _MOST_BLOCKS or (small and plane > _MOST_SMALL):
        raise OutputError(
            f"{what} is cut into {blocks} blocks, too many to be shown.",
            hint="Let the tool write larger chunks.",
        )


# -- blocks ------------------------------------------------------------------------------


def bound_blocks(array: zarr.Array[Any]) -> None:
    """Have no block of a stranger's array unpack to more than its shape holds.

    Raises
    ------
    OutputError
        It is coded by something that cannot be told how much to unpack at most.
    """
    store = array.store
    if not isinstance(store, SealedStore) or store.beneath is None:
        return
    what = "/".join(filter(None, (store.root.name, array.path)))
    pipeline = array.async_array.codec_pipeline
    if not isinstance(pipeline, BatchedCodecPipeline):
        raise OutputError(f"{what} is to be decoded by a plugin of Zarr, which has no bound.")
    whole, inner = (math.prod(shape) for shape in (array.shards or array.chunks, array.chunks))
    filters = next((codec.filters for codec in pipeline if isinstance(codec, V2Codec)), None)
    changed = bool(filters) or any(isinstance(codec, ArrayArrayCodec) for codec in pipeline)
    most = _room(whole, _WIDEST if changed else array.dtype.itemsize)
    # of a shard, the index has 16 bytes for each inner block
    store.largest = max(store.largest, most + most // 8 + 16 * (whole // max(1, inner)))
    bounded = pipeline.from_codecs([_bounded(codec, what, most) for codec in pipeline])
    object.__setattr__(array.async_array, "codec_pipeline", bounded)  # the one place they run from


def _room(elements: int, itemsize: int) -> int:
    return elements * itemsize + _SLACK


def _bounded(codec: Codec, what: str, most: int) -> Codec:
    """Return a codec that does the same and stops at `most` bytes, or at those of its block."""
    if isinstance(codec, V2Codec):
        chain = [
            None if part is None else _BoundedPart(part, Bound.of(part.get_config(), what), most)
            for part in (codec.compressor, *(codec.filters or ()))
        ]
        first, *others = cast("list[Any]", chain)  # Zarr asks them only to decode
        return V2Codec(filters=tuple(others), compressor=first)
    if isinstance(codec, ShardingCodec):
        parts = tuple(_bounded(part, what, most) for part in codec.codecs)
        index = tuple(_bounded(part, what, most) for part in codec.index_codecs)
        return replace(codec, codecs=parts, index_codecs=index)
    if isinstance(codec, BytesCodec):
        return codec
    bound = Bound.of(codec.to_dict(), what)
    if not isinstance(codec, BytesBytesCodec):
        return codec  # it gives arrays of the block's shape
    return _BoundedBytes(codec, bound)


@dataclass(frozen=True)
class _BoundedPart:
    """A compressor or filter of Zarr 2; only decodes, as only that is asked of it."""

    inner: Numcodec
    bound: Bound
    most: int

    def decode(self, data: Any, out: object = None) -> Any:
        """Return `data` decoded."""
        plain = np.asarray(data).reshape(-1, order="A")
        unpacked = self.bound.unpack(plain.view(np.uint8), self.most)
        return self.inner.decode(data) if unpacked is None else unpacked


@dataclass(frozen=True)
class _BoundedBytes(BytesBytesCodec):
    """A compressor of Zarr 3; only decodes."""

    inner: BytesBytesCodec
    bound: Bound
    is_fixed_size: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the description of the codec."""
        return dict(self.inner.to_dict())

    def evolve_from_array_spec(self, array_spec: ArraySpec) -> Self:
        """Return it for blocks of `array_spec`."""
        return replace(self, inner=self.inner.evolve_from_array_spec(array_spec))

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Return the bytes of a packed block."""
        return int(self.inner.compute_encoded_size(input_byte_length, chunk_spec))

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer:
        elements = math.prod(chunk_spec.shape)
        most = _room(elements, chunk_spec.dtype.to_native_dtype().itemsize)
        data = chunk_data.as_numpy_array()
        unpacked = await asyncio.to_thread(self.bound.unpack, data, most)
        if unpacked is None:
            return await self.inner._decode_single(chunk_data, chunk_spec)
        return chunk_spec.prototype.buffer.from_bytes(unpacked)
