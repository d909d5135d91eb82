"""PNG, JPEG, BMP, GIF: only when a tool takes nothing better; others of Pillow are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence

from napari_tool_runner.errors import LossyConversionError, UnsupportedLayerError
from napari_tool_runner.exchange.blocks import TypePlan, plan_type, read
from napari_tool_runner.exchange.carriers.tiff_says import TURNED, Facts, dot_facts
from napari_tool_runner.exchange.files import check_fits
from napari_tool_runner.exchange.geometry import plain_geometry
from napari_tool_runner.exchange.model import Content, Pixels
from napari_tool_runner.sealed import open_file

__all__ = ["read_raster", "write_raster"]

_KINDS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM", "TGA", "PCX", "JPEG2000", "AVIF")
_DEEP = (b"\x10\x02", b"\x10\x04", b"\x10\x06")  # 16 bits: colours, grey or colours with alpha
_TURNED = 0x0112  # Exif: orientation
_U1, _U2 = np.dtype(np.uint8), np.dtype(np.uint16)


def write_raster(pixels: Pixels, path: Path, kind: str, *, lossy: bool = False) -> list[str]:
    """Write one 2-D image as `kind`: uint8 or uint16 as PNG; uint8 as JPEG, BMP or GIF.

    Raises
    ------
    UnsupportedLayerError
        More than two dimensions.
    LossyConversionError
        Values that the format cannot hold; labels as JPEG.
    """
    png = kind == "PNG"
    shape = tuple(pixels.array.shape)
    if pixels.geometry.ndim < 2 or set(pixels.geometry.shape[:-2]) - {1}:
        raise UnsupportedLayerError(
            f"“{pixels.name}” has {pixels.geometry.ndim} dimensions; a {kind} file has one plane.",
            hint="Run the tool on a slice, or on each slice.",
        )
    if lossy and pixels.labels:
        raise LossyConversionError(
            f"“{pixels.name}” are labels; JPEG would change their values.",
            hint="Choose a tool that takes TIFF or PNG.",
        )
    plan = plan_type(pixels.array.dtype, (_U1, _U2) if png else (_U1,))
    if plan is None and pixels.array.dtype.kind in "iu":
        plan = TypePlan(_U2 if png else _U1, checked=True)
    if 0 in shape:
        raise UnsupportedLayerError(f"“{pixels.name}” has no pixel; a {kind} file has some.")
    if plan is None:
        raise LossyConversionError(
            f"“{pixels.name}” holds {pixels.array.dtype} values, which {kind} cannot hold.",
            hint="Convert it to 8 or 16 bits yourself (rescale), then run again.",
        )
    values = plan.convert(read(pixels.array, (slice(None),) * len(shape)), pixels.name)
    values = values.reshape(shape[-3:] if pixels.rgb else shape[-2:])
    notes: list[str] = []
    if plan.note:
        notes.append(plan.note)
    if png:
        import imagecodecs  # Pillow has no 16 bits a colour

        path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(values), level=1))
    elif lossy:
        if pixels.rgb and values.shape[-1] == 4:
            values = values[..., :3]
            notes.append("JPEG has no transparency; it was left out.")
        Image.fromarray(values).save(path, "JPEG", quality=95, subsampling=0)
        notes.append("JPEG changes pixel values a little; the tool takes nothing better.")
    else:
        Image.fromarray(values).save(path, kind)
    return notes


def read_raster(path: Path, root: Path | None = None) -> Content:
    """Read a picture; several frames become the first axis."""
    frames: list[np.ndarray] = []
    facts, inks = Facts(), False
    with open_file(path, root) as file:
        head = file.read(26)
        file.seek(0)
        kind = head[24:] if head[12:16] == b"IHDR" else b""
        deep = kind in _DEEP
        Image.init()  # an older Pillow, or one built without its library, does not know each
        # no others: Pillow starts programs for some
        with Image.open(file, formats=[one for one in _KINDS if one in Image.OPEN]) as picture:
            _add_facts(picture, facts, kind[0] if kind else 0)
            inks = picture.mode == "CMYK"
            if deep:
                import imagecodecs  # Pillow would make 8 bits of them

                check_fits(picture.width * picture.height * 8, path)
                file.seek(0)
                frames.append(imagecodecs.png_decode(file.read()))
            else:
                for frame in ImageSequence.Iterator(picture):
                    frames.append(_frame(frame))
                    check_fits(2 * len(frames) * frames[0].nbytes, path)
    return _content(frames, facts, inks=inks)


def _add_facts(picture: Image.Image, facts: Facts, depth: int) -> None:
    """Add what a picture says of its pixels; Pillow tells every density in dots an inch.

    `depth`: bits of a number in the file, 0: not told.
    """
    if picture.mode == "CMYK":
        facts.notes.append("Its colours are inks (CMYK); they are its channels.")
    if picture.mode in ("P", "PA") and not _is_grey(picture):
        facts.notes.append("Its colours are of a palette; the numbers in it were left out.")
    if "transparency" in picture.info:
        facts.notes.append("Some of its colours are transparent; that was left out.")
    if picture.mode in ("LA", "La"):
        facts.notes.append("Its second channel is how opaque it is.")
    if picture.mode == "L" and depth in (2, 4):
        facts.notes.append(f"Its numbers 0 to {2**depth - 1} are 0 to 255 here, as everywhere.")
    if picture.getexif().get(_TURNED, 1) not in (0, 1):
        facts.notes.append(TURNED)
    dots = [float(dot) for dot in picture.info.get("dpi", ())]
    if len(dots) == 2 and min(dots) > 0 and np.isfinite(dots).all():
        dot_facts({"X": 1 / dots[0], "Y": 1 / dots[1]}, "inch", facts)


def _content(frames: list[np.ndarray], facts: Facts, *, inks: bool = False) -> Content:
    """Return frames as one image; inks, and grey and its transparency, are channels."""
    if len({frame.shape[2:] for frame in frames}) > 1:  # some of a GIF with transparency
        frames = [frame[..., :3] for frame in frames]
    values = frames[0] if len(frames) == 1 else np.stack(frames)
    samples = frames[0].shape[2:]
    is_rgb = samples in ((3,), (4,)) and not inks
    axes = "TYX"[len(frames) == 1 :] + ("C" if samples and not is_rgb else "")
    steps = [facts.steps.get(axis, (1.0, "pixel")) for axis in axes]
    geometry = plain_geometry(values.shape[: len(axes)], axes, steps, tuple(axes.lower()))
    return Content(
        values, geometry, calibrated=bool(facts.steps), rgb=is_rgb, notes=tuple(facts.notes)
    )


def _is_grey(picture: Image.Image) -> bool:
    """Whether the numbers of the only frame, into a palette, are the grey that they stand for."""
    palette, one = picture.getpalette() or [], getattr(picture, "n_frames", 1) == 1
    return one and palette == [n // 3 for n in range(len(palette))]


def _frame(picture: Image.Image) -> np.ndarray:
    match picture.mode:
        case "1":
            return np.array(picture.convert("L")) > 0
        case "L" | "LA" | "I" | "I;16" | "I;16B" | "F" | "RGB" | "RGBA" | "CMYK":
            values = np.array(picture)
            if picture.mode == "I" and values.size and 0 <= values.min() <= values.max() < 2**16:
                return values.astype(np.uint16)
            return values
        case "P" if _is_grey(picture):
            return np.array(picture)
        case "P" | "PA":  # with its transparencies first, or Pillow warns
            return np.array(picture.convert("RGBA").convert("RGB"))
        case "La" | "RGBa":
            return np.array(picture.convert("RGBA"))
        case _:
            return np.array(picture.convert("RGB"))
