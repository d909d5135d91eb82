"""Which image of OME metadata a file shows, and in which files its planes lie."""

from __future__ import annotations

import math
import stat
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, tostring

import tifffile
from defusedxml import ElementTree

from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.errors import OutputError
from napari_tool_runner.sealed import read_bytes
from napari_tool_runner.tools.file_types import check_pages

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["OmeImage", "ome_image", "several"]

_MOST_PLANES = 10_000_000  # of an OME-TIFF; an hour of a light sheet has a million
_MOST_METADATA = 2**28


@dataclass(frozen=True, slots=True)
class OmeImage:
    """The image that a file of OME-TIFF shows.

    Parameters
    ----------
    xml : str
        OME metadata of it alone.
    others : tuple of str
        The files beside this one that hold planes of it.
    notes, hidden : tuple of str
        As of `Facts`.
    """

    xml: str
    others: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


def ome_image(text: str, path: Path, *, alone: bool, number: int = 0) -> OmeImage:
    """Return the first image of OME metadata that has a plane in the file `path`.

    `alone`: no other file may be looked at; one that is needed raises ValueError. `number`:
    that image instead, counted from 1.

    Raises
    ------
    OutputError
        Planes lie in files that are not there, or not beside this one.
    ValueError, ParseError, DefusedXmlException
        The metadata are unusable.
    """
    root = _parsed(text.encode())
    own, binary = root.get("UUID"), root.find("{*}BinaryOnly")
    if binary is not None:
        if alone:
            raise ValueError("its OME metadata lie in another file")
        (told,) = _beside(path, [binary.get("MetadataFile", "")])
        root = _parsed(_metadata_of(path.with_name(told)))
    images = root.findall("{*}Image")
    places = [_places(image, own, path) for image in images]
    if len(images) < max(number, 1):
        raise ValueError(f"they describe {len(images) or 'no'} images")
    first = number - 1 if number else next((i for i, (here, _) in enumerate(places) if here), 0)
    for image in images[:first] + images[first + 1 :]:
        root.remove(image)
    is_here, others = places[first]
    if len(others) == 1 and not is_here and not path.with_name(Path(others[0]).name).exists():
        others = []  # the one file of an image, by another name
        for data in images[first].iterfind("{*}Pixels/{*}TiffData"):
            for where in data.findall("{*}UUID"):
                data.remove(where)
    if others and alone:
        raise ValueError("its planes lie in other files")
    most = math.prod(
        int(pixels.get(f"Size{axis}", 1))
        for pixels in images[first].iterfind("{*}Pixels")
        for axis in "ZCT"
    )
    if most > _MOST_PLANES:  # tifffile makes a list of them all
        raise ValueError("its OME metadata promise too many planes")
    xml = tostring(root, encoding="unicode")
    notes, hidden = [], []
    if others:
        hidden.append(f"its planes lie in {len(others) + is_here} files")
    if binary is not None:
        hidden.append("its OME metadata lie in another file")
    if len(images) > 1:
        notes.append(several([_size(image) for image in images], first))
    if number or first:
        hidden.append("programs would take another image")
    others = _beside(path, others)
    return OmeImage(xml, tuple(others), tuple(notes), tuple(hidden))


def several(sizes: Sequence[str], chosen: int = 0) -> str:
    """Say that a file holds images of these sizes, and which of them was opened."""
    more = ", …" if len(sizes) > 6 else ""
    which = "the first" if not chosen else f"number {chosen + 1}"
    return f"It holds {len(sizes)} images ({', '.join(sizes[:6])}{more}); {which} was opened."


def _size(image: Element) -> str:
    pixels = image.find("{*}Pixels")
    sizes = [] if pixels is None else [pixels.get(f"Size{axis}", "1") for axis in "TCZYX"]
    return " × ".join(size for size in sizes if size != "1") or "1"


def _parsed(text: bytes) -> Element:
    root = ElementTree.fromstring(text)
    assert isinstance(root, Element)
    return root


def _places(image: Element, own: str | None, path: Path) -> tuple[bool, list[str]]:
    """Say whether planes of `image` lie in the file `path`, and in which others some do.

    What names this file is taken out: nothing is looked for that is here.
    """
    is_here, others = False, dict[str, None]()
    for data in image.iterfind("{*}Pixels/{*}TiffData"):
        where = data.find("{*}UUID")
        name = "" if where is None else where.get("FileName", "")
        if where is None:
            is_here = True
        elif (own and where.text == own) or name.lower() == path.name.lower():
            data.remove(where)
            is_here = True
        else:
            others[name] = None
    return is_here, list(others)


def _beside(path: Path, names: Iterable[str]) -> list[str]:
    """Return `names` when each is a regular file in the folder of `path`.

    Raises
    ------
    OutputError
    """
    missing = []
    for name in names:
        if not name or name != Path(name).name or "\\" in name:
            raise OutputError(
                f"{path.name} is a part of an image; another part is said to be {name[:200]!r}, "
                "which is no file beside it.",
                hint="Put all files of the image into one folder; or export it as one file.",
            )
        try:
            regular = stat.S_ISREG(path.with_name(name).lstat().st_mode)
        except OSError:
            regular = False
        if not regular:
            missing.append(name[:200])
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise OutputError(
            f"{path.name} is a part of an image; other parts are not beside it: "
            f"{', '.join(missing[:3])}{more}.",
            hint="Put all files of the image into one folder; or export it as one file.",
        )
    return list(names)


def _metadata_of(path: Path) -> bytes:
    """Return the OME metadata of a companion file, or of another TIFF."""
    with path.open("rb") as file:
        if file.read(2) in (b"II", b"MM"):
            check_pages(file, path.name)
            with tifffile.TiffFile(file, _multifile=False) as tif:
                return (tif.ome_metadata or "").encode()
    return read_bytes(path, limit=_MOST_METADATA)
