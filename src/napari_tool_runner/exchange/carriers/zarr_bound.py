"""How much a block of a stranger's Zarr may unpack to, and where it ends."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self

import numpy as np

from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.errors import OutputError

__all__ = ["Bound", "too_large"]

_SAME_SIZE = frozenset(  # what they give grows with what they get: see `Bound._grown`
    {"shuffle", "packbits", "delta", "fixedscaleoffset", "quantize", "bitround", "astype"}
    | {"crc32", "crc32c", "adler32", "fletcher32", "jenkins_lookup3", "cast_value"}
    | {"scale_offset", "transpose"}
)
# where such a codec names a type of numbers that it changes to or from
_TYPES = ("dtype", "astype", "encode_dtype", "decode_dtype", "data_type")
_LARGEST = 32  # bytes of one number, which is complex256
_DICTIONARY = 2**28  # bytes that lzma may take to unpack; the best of its presets takes 65 MB
_SMALL = 1024  # bytes: streams of one block unpack to more than that, but for some
_STEP = 4096  # bytes of a stream that are looked at first


def too_large(what: str, most: int) -> OutputError:
    """Return the error of a block of `what` that has more than `most` bytes."""
    return OutputError(
        f"A block of {what} unpacks to more than the {most} bytes that its shape can take.",
        hint="The tool wrote a broken file, or one that means harm; it stays in the job's folder.",
    )


class _Stream(Protocol):
    """What zlib, bz2 and lzma give to unpack with."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes | memoryview, max_length: int, /) -> bytes: ...


@dataclass(frozen=True)
class Bound:
    """Unpacks what one codec packed, up to a size.

    Parameters
    ----------
    name : str
        Of the codec, as numcodecs has it.
    settings : mapping
    what : str
        The array, for sentences.
    """

    name: str
    settings: Mapping[str, Any]
    what: str

    @classmethod
    def of(cls, told: Mapping[str, Any], what: str) -> Self:
        """Return it by the codec's own description; raises OutputError."""
        name = str(told.get("id", told.get("name"))).removeprefix("numcodecs.")
        if name not in _SAME_SIZE | {"gzip", "zlib", "bz2", "lzma", "zstd", "lz4", "blosc"}:
            raise OutputError(
                f"{what} is coded by {name[:40]!r}, which is not opened: "
                "a block of it may fill the memory.",
                hint="Let the tool write numbers, compressed by blosc, zstd or gzip.",
            )
        settings = told.get("configuration", told)
        if not all(_is_number(settings[key]) for key in _TYPES if key in settings):
            raise OutputError(
                f"{what} is coded by {name!r} to something else than numbers.",
                hint="Let the tool write numbers, compressed by blosc, zstd or gzip.",
            )
        return cls(name, settings, what)

    def unpack(self, data: np.ndarray, most: int) -> bytes | None:
        """Return bytes unpacked; None when the codec itself will take no more than `most`.

        Raises
        ------
        OutputError
        """
        match self.name:
            case "gzip":
                return self._streamed(lambda: zlib.decompressobj(31), data, most)
            case "zlib":
                return self._streamed(zlib.decompressobj, data, most)
            case "bz2":
                return self._streamed(bz2.BZ2Decompressor, data, most)
            case "lzma":
                form, filters = self.settings.get("format", 1), self.settings.get("filters")
                room = None if form == lzma.FORMAT_RAW else _DICTIONARY
                return self._streamed(
                    lambda: lzma.LZMADecompressor(form, room, filters=filters), data, most
                )
            case "zstd":
                import imagecodecs

                try:
                    return bytes(imagecodecs.zstd_decode(data.tobytes(), out=most))
                except imagecodecs.ZstdError as error:
                    if "too small" in str(error):
                        raise too_large(self.what, most) from error
                    raise OutputError(f"{self.what} cannot be unpacked: {error}.") from error
            case "lz4":
                size = data[:4].tobytes()
            case "blosc":
                size, packed = data[4:8].tobytes(), data[12:16].tobytes()
                # it reads as far as the block says of itself that it goes
                if data.nbytes < 16 or int.from_bytes(packed, "little") > data.nbytes:
                    raise self._cut_off()
            case _:
                size = self._grown(data.nbytes).to_bytes(16, "little")
        if int.from_bytes(size, "little") > most:
            raise too_large(self.what, most)
        return None

    def _grown(self, size: int) -> int:
        """Return the bytes that numbers of `size` bytes have, once they are decoded."""
        if self.name == "packbits":
            return 8 * size
        before, after = "astype", "dtype"
        if self.name == "astype":
            before, after = "encode_dtype", "decode_dtype"
        if not {before, after} <= set(self.settings):
            return size
        old, new = (int(np.dtype(self.settings[one]).itemsize) for one in (before, after))
        return size // old * max(new, 8)  # scales and offsets are float64 meanwhile

    def _cut_off(self) -> OutputError:
        return OutputError(f"{self.what} cannot be unpacked: a block of it is cut off.")

    def _streamed(self, new: Callable[[], _Stream], data: np.ndarray, most: int) -> bytes:
        parts, rest, left = list[bytes](), memoryview(data.tobytes()), most
        for _ in range(64 + most // _SMALL):
            if not rest or (
                rest[0] == 0 and not np.any(np.frombuffer(rest, np.uint8))
            ):  # some fill up with zeros
                return b"".join(parts)
            stream, step = new(), _STEP
            # in growing steps: what is left behind the end of a stream is copied
            while rest and not stream.eof:
                piece = rest[:step]
                try:
                    parts.append(stream.decompress(piece, left + 1))
                except (zlib.error, lzma.LZMAError, OSError) as error:
                    raise OutputError(f"{self.what} cannot be unpacked: {error}.") from error
                left -= len(parts[-1])
                if left < 0:
                    raise too_large(self.what, most)
                rest, step = rest[len(piece) - len(stream.unused_data) :], 2 * step
            if not stream.eof:
                raise self._cut_off()
        raise OutputError(
            f"{self.what} cannot be unpacked: a block of it consists of too many streams.",
            hint="Let the tool write each block in one.",
        )


def _is_number(told: object) -> bool:
    """Whether a codec's word for a type stands for numbers of an ordinary size."""
    try:
        kind = np.dtype(told)  # type: ignore[call-overload]
    except (TypeError, ValueError, SyntaxError):
        return False
    return kind.kind in "biufc" and kind.itemsize <= _LARGEST
