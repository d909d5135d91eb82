"""What a TIFF says of its pixels: axes, pixel sizes, colours, and in which files they lie."""

from __future__ import annotations

import math
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, tostring

import numpy as np
import tifffile
from defusedxml import DefusedXmlException, ElementTree

from napari_tool_runner.errors import OutputError
from napari_tool_runner.exchange.units import canonical, conversion
from napari_tool_runner.sealed import read_bytes
from napari_tool_runner.tools.file_types import check_pages

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["TURNED", "Facts", "OmeImage", "dot_facts", "ome_image"]

_MOST_PLANES = 10_000_000  # of an OME-TIFF; an hour of a light sheet has a million
_MOST_METADATA = 2**28
_TAG_UNITS = {2: "inch", 3: "centimeter", 4: "millimeter", 5: "micrometer"}
_DPI = (1, 72, 96, 150, 200, 300, 400, 600, 1200)
_SCANNERS = 5000
_NO_CURVE = 20  # of ImageJ's calibrations of values
TURNED = "It says that it is to be shown turned; its pixels are as they lie."
_RGB, _YCC = tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR
_MAKERS = {
    *["lsm", "stk", "fluoview", "sis", "micromanager", "mmstack", "ndtiff", "scanimage", "nih"]
}
_TOLD: dict[int, str] = {
    tifffile.PHOTOMETRIC.SEPARATED: "Its colours are inks (CMYK); they are its channels.",
    tifffile.PHOTOMETRIC.CIELAB: "Its colours are L*a*b*; they are its channels.",
    tifffile.PHOTOMETRIC.PALETTE: "Its colour table was left out; the layer has the indices.",
    tifffile.PHOTOMETRIC.MINISWHITE: "It shows small numbers bright; they are as in the file.",
}


@dataclass(slots=True)
class Facts:
    """What a TIFF says of its pixels.

    Parameters
    ----------
    declared : bool
        It names its axes.
    steps : dict of str to (float, str)
        Axis -> size of a step and its unit.
    hidden : list of str
        What programs that read TIFF may not find in it, or take for something else.
    """

    declared: bool = False
    steps: dict[str, tuple[float, str]] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    rgb: bool = False
    notes: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)

    def add(self, tif: tifffile.TiffFile, index: int = 0) -> None:
        """Add what an image of `tif` says."""
        series = tif.series[index]
        page = series.keyframe
        photometric = page.photometric
        decoded = photometric == _YCC and "JP" in tifffile.COMPRESSION(page.compression).name
        self.rgb = page.samplesperpixel > 1 and (photometric == _RGB or decoded)
        if tif.is_ome and tif.ome_metadata:
            self.declared = True
            _ome_facts(tif.ome_metadata, self)
        elif tif.is_imagej and tif.imagej_metadata:
            self.declared = True
            _imagej_facts(tif, self)
        else:
            shaped = (tif.shaped_metadata or [{}])[0]
            self.declared = bool(shaped.get("axes")) or series.kind in _MAKERS
            self.steps = _sizes(shaped) or _maker_steps(tif)
            if not self.steps:
                _tag_facts(page, self)
        plain = tif.is_ome and all(
            unit in ("micrometer", "second") for _, unit in self.steps.values()
        )
        if self.steps and not plain:
            told = "OME" if tif.is_ome else "ImageJ" if tif.is_imagej else "TIFF"
            units = dict.fromkeys(unit for _, unit in self.steps.values())
            self.hidden.append(
                f"the size of its pixels is told as {told} does, in {', '.join(units)}"
            )
        if len(tif.series) > 1:
            sizes = [" × ".join(map(str, one.shape)) for one in tif.series]
            self.notes.append(_several(sizes, index))
        if len(getattr(series, "levels", ())) > 1:
            self.notes.append("It is a pyramid; its full resolution was opened.")
        self.notes += [_TOLD[photometric]] if photometric in _TOLD else []
        if page.tags.valueof("Orientation", 1) not in (0, 1):
            self.notes.append(TURNED)
            self.hidden.append("some programs would turn it")


def _ome_facts(text: str, facts: Facts) -> None:
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, DefusedXmlException) as error:
        facts.notes.append(f"Its OME metadata cannot be read ({error}).")
        return
    pixels = root.find("{*}Image/{*}Pixels")
    if pixels is None:
        return
    facts.steps = _sizes(pixels.attrib)
    if len(lacking := {"X", "Y"} - {*facts.steps}) == 1:
        facts.notes.append(f"It does not tell the size of its pixels along {lacking.pop()}.")
    names = tuple(c.get("Name", "") for c in pixels.findall("{*}Channel"))
    facts.channels = names if all(names) else ()


def _sizes(told: Mapping[str, object]) -> dict[str, tuple[float, str]]:
    """Return the steps that are told in the words of OME."""
    tags = {axis: (f"PhysicalSize{axis}", "µm") for axis in "XYZ"} | {"T": ("TimeIncrement", "s")}
    return {
        axis: (_number(told[tag]), canonical(str(told.get(f"{tag}Unit", usual))))
        for axis, (tag, usual) in tags.items()
        if _number(told.get(tag))
    }


def _imagej_facts(tif: tifffile.TiffFile, facts: Facts) -> None:
    metadata, page = tif.imagej_metadata or {}, tif.series[0].keyframe
    unit, depth = canonical(metadata.get("unit")), abs(_number(metadata.get("spacing")))
    if unit == "pixel" and "unit" not in metadata:
        _tag_facts(page, facts)
        unit = next((unit for _, unit in facts.steps.values()), unit)
        # a spacing is in the unit of the tags, which is a centimetre or an inch
        depth *= conversion(_TAG_UNITS.get(page.tags.valueof("ResolutionUnit"), ""), unit)
    elif unit != "pixel":
        facts.steps = _resolution(page, unit)
    if unit != "pixel":
        if depth:
            facts.steps["Z"] = (depth, unit)
        for axis in "YZ":  # else that of x
            if axis in facts.steps and f"{axis.lower()}unit" in metadata:
                facts.steps[axis] = (
                    facts.steps[axis][0],
                    canonical(metadata[f"{axis.lower()}unit"]),
                )
    else:
        told = {"Z": (depth, unit)} if depth and "Z" in tif.series[0].axes else {}
        _ratio_facts(_resolution(page, unit) | told, facts)
    if _number(metadata.get("finterval")):
        facts.steps["T"] = (float(metadata["finterval"]), canonical(metadata.get("tunit", "s")))
    facts.notes += _calibrated(metadata)
    labels = metadata.get("Labels")
    if isinstance(labels, list) and len(labels) == metadata.get("channels"):
        facts.channels = tuple(str(label) for label in labels)


def _calibrated(metadata: Mapping[str, object]) -> list[str]:
    """Say that ImageJ would show other values than those of the file, where it would."""
    line = _number(metadata.get("cf")) == 0
    start, slope = (_number(metadata.get(key)) for key in ("c0", "c1"))
    if "cf" not in metadata or metadata["cf"] == _NO_CURVE or (line and (start, slope) == (0, 1)):
        return []
    how = f"{start:g} + {slope:g} × value" if line else "along a curve"
    unit = str(metadata.get("vunit", ""))[:40]
    as_what = f" as “{unit}”" if unit else ""
    return [f"ImageJ shows its values calibrated{as_what} ({how}); they are as in the file."]


def _maker_steps(tif: tifffile.TiffFile) -> dict[str, tuple[float, str]]:
    """Return the steps that microscopes tell in words of their own."""
    told: dict[str, tuple[object, object]] = {}
    if lsm := tif.lsm_metadata:
        told = {axis: (lsm.get(f"VoxelSize{axis}"), "meter") for axis in "XYZ"}
        told["T"] = (lsm.get("TimeIntervall"), "second")
    elif stk := tif.stk_metadata:
        unit, depths = stk.get("CalibrationUnits"), np.unique(stk.get("ZDistance", ()))
        told = {axis: (stk.get(f"{axis}Calibration"), unit) for axis in "XY"}
        told["Z"] = (depths[0] if len(depths) == 1 else 0, unit)
    elif fluoview := tif.fluoview_metadata:
        letters = tifffile.TIFF.MM_DIMENSIONS
        rows = fluoview.get("Dimensions", ())
        told = {letters.get(row[0].upper(), ""): (row[3], row[4]) for row in rows}
    elif metaseries := tif.metaseries_metadata:
        plane = metaseries.get("PlaneInfo", {})
        unit = plane.get("spatial-calibration-units")
        told = {axis: (plane.get(f"spatial-calibration-{axis.lower()}"), unit) for axis in "XY"}
    elif sem := tif.sem_metadata:
        _, size, unit = sem.get("ap_image_pixel_size", ("", 0, ""))
        told = dict.fromkeys("XY", (size, unit))
    elif (fei := tif.fei_metadata) and isinstance(scan := fei.get("Scan"), dict):
        told = {"X": (scan.get("PixelWidth"), "meter"), "Y": (scan.get("PixelHeight"), "meter")}
    elif sis := tif.sis_metadata:
        told = {axis: (sis.get(f"pixelsize{axis.lower()}"), "meter") for axis in "XY"}
    sizes = {axis: (_number(size), canonical(unit)) for axis, (size, unit) in told.items()}
    return {axis: step for axis, step in sizes.items() if step[0] > 0 and step[1] != "pixel"}


def _ratio_facts(steps: dict[str, tuple[float, str]], facts: Facts) -> None:
    """Take steps without a unit as how many pixels wide each is, and say so."""
    wide = steps.get("X", (1.0, ""))[0]
    ratios = {axis: (float(f"{size / wide:.12g}"), unit) for axis, (size, unit) in steps.items()}
    if any(size != 1 for size, _ in ratios.values()):
        facts.steps = ratios
        said = [f"{s:.4g} pixel widths along {a}" for a, (s, _) in ratios.items() if s != 1]
        ours = "It tells proportions only"
        facts.notes = [note for note in facts.notes if not note.startswith(ours)]
        facts.notes.append(f"{ours}: a step is taken for {' and '.join(said)}.")


def _resolution(page: tifffile.TiffPage, unit: str) -> dict[str, tuple[float, str]]:
    """Return the steps of the tags, which tell pixels per `unit`."""
    told = {axis: page.tags.valueof(f"{axis}Resolution") for axis in "XY"}
    return {
        axis: (value[1] / value[0], unit)
        for axis, value in told.items()
        if isinstance(value, tuple) and len(value) == 2 and value[0] and value[1]
    }


def _tag_facts(page: tifffile.TiffPage, facts: Facts) -> None:
    unit = _TAG_UNITS.get(page.tags.valueof("ResolutionUnit"), "pixel")
    dot_facts({axis: size for axis, (size, _) in _resolution(page, unit).items()}, unit, facts)


def dot_facts(sizes: Mapping[str, float], unit: str, facts: Facts) -> None:
    """Add the sizes of pixels that tags tell, unless they tell how large a page is printed.

    ImageJ takes 72 dots an inch for no calibration; cameras and programs write others so.
    Scanners end at 4800 an inch, and coarser inches are no measure of what was imaged.
    """
    factor = conversion(unit, "micrometer")  # nobody calls pixel sizes in inches
    dots = [25400 / (size * factor) for size in sizes.values()]

    def usual(known: Sequence[int]) -> bool:
        return all(any(abs(value - dpi) < 0.5 for dpi in known) for value in dots)

    coarse = unit == "inch" and min(dots, default=0.0) <= _SCANNERS
    if unit != "pixel" and not coarse and not (unit == "centimeter" and usual(_DPI)):
        facts.steps = {axis: (size * factor, "micrometer") for axis, size in sizes.items()}
        return
    _ratio_facts({axis: (size, "pixel") for axis, size in sizes.items()}, facts)
    if unit != "pixel" and not usual(_DPI[:3]):
        said = f"It tells {dots[0]:.4g} dots an inch, as prints and cameras do"
        facts.notes.append(f"{said}: not taken for the size of its pixels.")


def _number(value: object) -> float:
    """Return a finite number, 0 for anything else."""
    try:
        number = float(str(value))
    except (TypeError, ValueError):
        return 0.0
    return number if np.isfinite(number) else 0.0


# -- images of several files -------------------------------------------------------------


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
        notes.append(_several([_size(image) for image in images], first))
    if number or first:
        hidden.append("programs would take another image")
    others = _beside(path, others)
    return OmeImage(xml, tuple(others), tuple(notes), tuple(hidden))


def _several(sizes: Sequence[str], chosen: int = 0) -> str:
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
