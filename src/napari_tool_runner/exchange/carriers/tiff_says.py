"""What a TIFF says of its pixels: axes, pixel sizes, colours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from defusedxml import DefusedXmlException, ElementTree

from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.exchange.carriers.ome_files import several
from napari_tool_runner.exchange.units import canonical, conversion, is_length

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["OTHER_VALUES", "TURNED", "Facts", "dot_facts"]

_TAG_UNITS = {2: "inch", 3: "centimeter", 4: "millimeter", 5: "micrometer"}
_DPI = (1, 72, 96, 150, 200, 300, 400, 600, 1200)
_SCANNERS = 5000
_APERIO = re.compile(r"\AAperio .*\|\s*MPP\s*=\s*([0-9.]+)", re.DOTALL)
_NO_CURVE = 20  # of ImageJ's calibrations of values
OTHER_VALUES = "ImageJ shows its values calibrated"  # how a note on them begins
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
            self.steps = _sizes(shaped) or _maker_steps(tif, page)
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
            self.notes.append(several(sizes, index))
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
    _complete(facts)
    names = tuple(c.get("Name", "") for c in pixels.findall("{*}Channel"))
    facts.channels = names if all(names) else ()


def _complete(facts: Facts) -> None:
    """Leave out sizes that are no lengths beside others that are, and tell what then lacks."""
    lengths = {axis for axis, (_, unit) in facts.steps.items() if is_length(unit)}
    if not lengths:
        return
    for axis in {*"XYZ"} & {*facts.steps} - lengths:
        del facts.steps[axis]
    match sorted({"X", "Y"} - lengths):
        case [axis]:
            facts.steps[axis] = facts.steps["Y" if axis == "X" else "X"]
            lacks = f"It does not tell the size of its pixels along {axis}"
            facts.notes.append(f"{lacks}: they are taken for squares.")
            facts.hidden.append(f"the size of its pixels along {axis} is not told")
        case ["X", "Y"]:
            depth = facts.steps.pop("Z")[0]
            lacks = "It does not tell the size of its pixels along X and Y"
            facts.notes.append(f"{lacks}: that slices are {depth:g} deep is left out.")
            facts.hidden.append("the depth of its slices is told alone")


def _sizes(told: Mapping[str, object]) -> dict[str, tuple[float, str]]:
    """Return the steps that are told in the words of OME."""
    tags = {axis: (f"PhysicalSize{axis}", "µm") for axis in "XYZ"} | {"T": ("TimeIncrement", "s")}
    return {
        axis: (_number(told[tag]), canonical(str(told.get(f"{tag}Unit", usual))))
        for axis, (tag, usual) in tags.items()
        if _number(told.get(tag)) > 0
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
    return [f"{OTHER_VALUES}{as_what} ({how}); they are as in the file."]


def _maker_steps(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> dict[str, tuple[float, str]]:
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
        unknown = ("", 0, "")
        _, size, unit = sem.get("ap_image_pixel_size", sem.get("ap_pixel_size", unknown))
        told = dict.fromkeys("XY", (size, unit))
    elif (fei := tif.fei_metadata) and isinstance(scan := fei.get("Scan"), dict):
        told = {"X": (scan.get("PixelWidth"), "meter"), "Y": (scan.get("PixelHeight"), "meter")}
    elif sis := tif.sis_metadata:
        told = {axis: (sis.get(f"pixelsize{axis.lower()}"), "meter") for axis in "XY"}
    elif isinstance(manager := page.tags.valueof("MicroManagerMetadata"), dict):
        told = dict.fromkeys("XY", (manager.get("PixelSizeUm"), "micrometer"))
    elif page.index == 0 and (wide := _APERIO.search(page.description)):  # not of thumbnails
        told = dict.fromkeys("XY", (wide[1], "micrometer"))
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
