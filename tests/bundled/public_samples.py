"""Sample images that people know, in the format in which they are public; small, pixels drawn.

What is true of each stands beside it: its axes without those of one step, and its pixel sizes
in µm (in widths of a pixel where it has no unit).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
import zarr
from PIL import Image

RNG = np.random.default_rng(11)


def drawn(*shape: int, dtype: str = "uint8", top: int = 250) -> np.ndarray:
    """Return bright blocks on a dim noise."""
    values = RNG.integers(0, top // 10, shape)
    values[..., 6:14, 8:18] += top // 2
    values[..., 20:29, 22:30] += top // 3
    return values.astype(dtype)


COLOUR = drawn(3, 40, 44).transpose(1, 2, 0).copy()
PLANE = drawn(40, 44)


# -- ImageJ -------------------------------------------------------------------------------

Kind = tuple[Callable[[Path], None], str, dict[str, float]]
UNITS = {"um": 1, "micron": 1, "\\u00B5m": 1, "nm": 1e-3, "mm": 1e3, "inch": 25400}
STEPS = {"T": 3, "C": 2, "Z": 5, "Y": 40, "X": 44, "S": 3}
NAMES = {"C": "channels", "Z": "slices", "T": "frames"}
GREY = np.repeat(np.arange(256)[:, None], 3, axis=1)
FIRE = np.stack([np.arange(256), np.arange(256) // 2, 255 - np.arange(256)], axis=1)


def ij(
    axes: str, dtype: str = "uint8", unit: str = "", pixel: float = 0, spacing: float = 0,
    said: str = "", **more: object,
) -> Kind:  # fmt: skip
    """Return a TIFF as ImageJ writes it: big endian, one description, planes one after another."""

    def write(path: Path) -> None:
        shape = [STEPS[axis] for axis in axes]
        values = drawn(*shape, dtype=dtype)
        if axes.endswith("S"):
            values = np.moveaxis(drawn(3, *shape[:-1], dtype=dtype), 0, -1).copy()
        count = np.prod([STEPS[axis] for axis in axes if axis in NAMES] or [1])
        lines = ["ImageJ=1.53t", f"images={count}", f"unit={unit}" * bool(unit)]
        lines += [f"{name}={STEPS[axis]}" for axis, name in NAMES.items() if axis in axes]
        lines += ["hyperstack=true\nmode=composite" * ("C" in axes), *said.split()]
        lines += [f"spacing={spacing}" * bool(spacing), "loop=false", ""]
        how = {"photometric": "rgb" if axes.endswith("S") else "minisblack"} | more
        if pixel:
            how |= {"resolution": (1 / pixel, 1 / pixel), "resolutionunit": "none"}
        text = "\n".join(line for line in lines if line) + "\n"
        tifffile.imwrite(path, values, byteorder=">", description=text, metadata=None, **how)

    sizes = {"X": pixel, "Y": pixel, "Z": spacing}
    return write, axes, {axis: size * UNITS[unit] for axis, size in sizes.items() if size}


def own_ij(truth: dict[str, float], resolution: tuple[float, float], **told: object) -> Kind:
    """Return what tifffile writes in the name of ImageJ, with metadata that it knows."""
    axes = str(told.get("axes", "YX"))
    truncate = bool(told.pop("truncate", False))

    def write(path: Path) -> None:
        values = drawn(*(STEPS[axis] for axis in axes), dtype="uint16")
        tifffile.imwrite(
            path, values, imagej=True, resolution=resolution, metadata=told, truncate=truncate
        )

    return write, axes, truth


def palette(path: Path, values: np.ndarray, table: np.ndarray) -> None:
    picture = Image.fromarray(values, "P")
    picture.putpalette(table.astype(np.uint8).tobytes())
    picture.save(path)


def boats(path: Path) -> None:
    """A GIF of greys, each of which it has: others lose those that are not used."""
    values = drawn(40, 44)
    values.flat[-256:] = np.arange(256)
    Image.fromarray(values).save(path)


def tiny(path: Path) -> None:
    values = np.moveaxis(drawn(3, 6, 30, 31), 0, -1)[:, :12, :14].copy()
    tifffile.imwrite(path, values, imagej=True, photometric="rgb", metadata={"axes": "ZYXS"})


def table(colours: np.ndarray) -> dict[str, object]:
    return {"photometric": "palette", "colormap": colours.T.astype(np.uint16) * 257}


_ROI = b"Iout\0\xe3\1\0" + struct.pack(">4h", 4, 5, 20, 21) + bytes(48)
_LUT = np.stack([np.arange(256), np.zeros(256), np.zeros(256)]).astype(np.uint8)
IMAGEJ: dict[str, Kind] = {
    "blobs.gif": (lambda p: palette(p, drawn(40, 44), 255 - GREY), "YXS", {}),
    "boats.gif": (boats, "YX", {}),
    "t1-head.tif": ij("ZYX", "uint16", "mm", 1, 1.5),
    "t1-uncalibrated.tif": ij("ZYX", "uint16"),
    "mitosis.tif": ij("TZCYX", "uint16", "\\u00B5m", 0.0885, 1, "finterval=0.14"),
    "confocal-series.tif": ij("ZCYX", "uint8", "micron", 0.0885, 0.5),
    "confocal-nm.tif": ij("ZCYX", "uint8", "nm", 88.5, 500),
    "hela-cells.tif": ij("CYX", "uint16", "um", 0.0885),
    "fluorescent-cells.tif": ij("CYX", "uint8", "um", 0.0885),
    "organ-of-corti.tif": ij("TCYX", "uint8", "um", 0.0885),
    "bat-cochlea.tif": ij("ZYX", photometric="miniswhite"),
    "bat-cochlea-lut.tif": ij("YX", **table(255 - GREY)),
    "fire-lut.tif": ij("YX", **table(FIRE)),
    "cell-colony.jpg": (lambda p: Image.fromarray(drawn(40, 44)).save(p), "YX", {}),
    "leaf.jpg": (lambda p: Image.fromarray(COLOUR).save(p, dpi=(300, 300)), "YXS", {}),
    "float-stack.tif": ij("ZYX", "float32", "um", 0.5, 3),
    "rgb-stack.tif": ij("ZYXS", "uint8", "um", 0.5, 3),
    "tiny-rgb-stack.tif": (tiny, "ZYXS", {}),
    "movie-of-3.tif": ij("TYX", said="finterval=0.5 fps=2"),
    "inches.tif": own_ij({"X": 25.4, "Y": 50.8}, (1000, 500), unit="inch"),
    "wide-pixels.tif": own_ij({}, (1, 2)),  # proportions, no lengths
    "pixels.tif": own_ij({}, (9e3, 9e3)),
    "overlays.tif": own_ij(
        {"X": 0.25, "Y": 0.25}, (4, 4), unit="um", ROI=_ROI, Overlays=[_ROI, _ROI]
    ),
    "composite-luts.tif": own_ij(
        {"X": 0.25, "Y": 0.25, "Z": 2}, (4, 4), axes="ZCYX", unit="um", spacing=2,
        mode="composite", LUTs=[_LUT, _LUT],
    ),
    "larger-than-4GB.tif": own_ij(  # one page is described, the others follow it
        {"X": 0.5, "Y": 0.5, "Z": 2}, (2, 2), axes="ZYX", unit="um", spacing=2, truncate=True
    ),
}  # fmt: skip


# -- OME ----------------------------------------------------------------------------------

_OME = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" {}>{}</OME>'
)


def pixels_xml(
    sizes: dict[str, int], kind: str, order: str, told: str, planes: str, channels: int = -1
) -> str:
    spans = " ".join(f'Size{a}="{sizes.get(a, 1)}"' for a in "XYZCT")
    number = sizes.get("C", 1) if channels < 0 else channels
    made = "".join(
        f'<Channel ID="Channel:0:{i}" Name="c{i}" SamplesPerPixel="1"/>' for i in range(number)
    )
    return (
        f'<Image ID="Image:0" Name="i"><Pixels ID="Pixels:0" DimensionOrder="{order}" '
        f'Type="{kind}" {spans} BigEndian="true" {told}>{made}{planes}</Pixels></Image>'
    )


SIZED = 'PhysicalSizeX="0.25" PhysicalSizeY="0.25" PhysicalSizeZ="2.0"'


def series(
    path: Path,
    t: int,
    z: int,
    c: int,
    order: str = "XYZCT",
    kind: str = "int8",
    told: str = "",
    more: str = "",
) -> None:
    """Write an OME-TIFF as Bio-Formats does; its planes in any order of axes."""
    sizes = {"T": t, "C": c, "Z": z, "Y": 40, "X": 44}
    values = drawn(t, c, z, 40, 44, dtype=kind, top=120)
    slow = order[:1:-1]  # the slowest axis first
    planes = values.transpose(*("TCZ".index(a) for a in slow), 3, 4).reshape(-1, 40, 44)
    text = _OME.format("", pixels_xml(sizes, kind, order, told, "<TiffData/>") + more)
    with tifffile.TiffWriter(path, byteorder=">") as tif:
        for i, plane in enumerate(planes):
            tif.write(plane, description=text.encode() if not i else None, metadata=None,
                      contiguous=False, photometric="minisblack")  # fmt: skip


def tubhiswt(path: Path) -> None:
    """A file for each channel and time point; each one has the metadata of all."""
    values = drawn(2, 3, 4, 40, 44, dtype="uint8", top=200)  # CTZYX
    names = {(c, t): f"tubhiswt_C{c}_TP{t}.ome.tif" for c in range(2) for t in range(3)}
    names[0, 0] = path.name
    where = "".join(
        f'<TiffData FirstC="{c}" FirstT="{t}" FirstZ="{z}" IFD="{z}" PlaneCount="1">'
        f'<UUID FileName="{name}">urn:uuid:{c}{t}</UUID></TiffData>'
        for (c, t), name in names.items()
        for z in range(4)
    )
    for (c, t), name in names.items():
        pixels = pixels_xml(
            {"X": 44, "Y": 40, "Z": 4, "C": 2, "T": 3}, "uint8", "XYZTC", SIZED, where
        )
        text = _OME.format(f'UUID="urn:uuid:{c}{t}"', pixels)
        with tifffile.TiffWriter(path.with_name(name), byteorder=">") as tif:
            for z in range(4):
                tif.write(values[c, t, z], description=text.encode() if not z else None,
                          metadata=None, contiguous=False, photometric="minisblack")  # fmt: skip


def companion(path: Path) -> None:
    """The metadata lie in a companion file; those of the TIFF are binary only."""
    values = drawn(3, 40, 44, dtype="uint16")
    names = [path.name, "z1.ome.tif", "z2.ome.tif"]
    where = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="{n}">urn:uuid:{z}</UUID>'
        "</TiffData>"
        for z, n in enumerate(names)
    )
    pixels = pixels_xml({"X": 44, "Y": 40, "Z": 3}, "uint16", "XYZCT", SIZED, where)
    path.with_name("all.companion.ome").write_text(_OME.format('UUID="urn:uuid:9"', pixels))
    for z, name in enumerate(names):
        text = _OME.format(
            f'UUID="urn:uuid:{z}"',
            '<BinaryOnly MetadataFile="all.companion.ome" UUID="urn:uuid:9"/>',
        )
        tifffile.imwrite(path.with_name(name), values[z], description=text.encode(), metadata=None)


def pyramid(path: Path) -> None:
    """Smaller levels as SubIFDs, as Bio-Formats 6 writes them."""
    values = drawn(2, 64, 80, dtype="uint16")
    with tifffile.TiffWriter(path, ome=True) as tif:
        told = {"axes": "CYX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
        tif.write(values, subifds=2, tile=(16, 16), metadata=told, photometric="minisblack")
        tif.write(values[:, ::2, ::2], subfiletype=1, tile=(16, 16), photometric="minisblack")
        tif.write(values[:, ::4, ::4], subfiletype=1, tile=(16, 16), photometric="minisblack")


def rgb_ome(path: Path) -> None:
    told = {
        "axes": "YXS",
        "PhysicalSizeX": 500,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 500,
        "PhysicalSizeYUnit": "nm",
    }
    tifffile.imwrite(
        path,
        np.moveaxis(drawn(3, 40, 44), 0, -1).copy(),
        photometric="rgb",
        metadata=told,
        ome=True,
    )


MODULO = (
    '<StructuredAnnotations xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
    "<XMLAnnotation "
    'ID="Annotation:0" Namespace="openmicroscopy.org/omero/dimension/modulo"><Value><Modulo '
    'namespace="http://www.openmicroscopy.org/Schemas/Additions/2011-09"><ModuloAlongZ '
    'Type="angle" Unit="degree" Start="0" End="45" Step="45"/></Modulo></Value></XMLAnnotation>'
    "</StructuredAnnotations>"
)
MIXED = (
    'PhysicalSizeX="250" PhysicalSizeXUnit="nm" PhysicalSizeY="250" PhysicalSizeYUnit="nm" '
    'PhysicalSizeZ="0.002" PhysicalSizeZUnit="mm"'
)
UM = {"X": 0.25, "Y": 0.25}


def made(axes: str, t: int, z: int, c: int, **how: str) -> Kind:
    truth = UM | {"Z": 2.0} if "told" in how else {}
    return lambda path: series(path, t, z, c, **how), axes, truth


OME: dict[str, Kind] = {
    "single-channel.ome.tif": made("YX", 1, 1, 1),
    "multi-channel.ome.tif": made("CYX", 1, 1, 3),
    "z-series.ome.tif": made("ZYX", 1, 5, 1),
    "time-series.ome.tif": made("TYX", 7, 1, 1),
    "multi-channel-z-series.ome.tif": made("CZYX", 1, 5, 3),
    "multi-channel-time-series.ome.tif": made("TCYX", 7, 1, 3),
    "4D-series.ome.tif": made("TZYX", 7, 5, 1),
    "multi-channel-4D-series.ome.tif": made("TCZYX", 3, 5, 2),
    "sized.ome.tif": made("TCZYX", 2, 5, 3, kind="uint8", told=SIZED),
    "nm.ome.tif": made("ZYX", 1, 5, 1, kind="uint16", told=MIXED),
    "float.ome.tif": made("CZYX", 1, 4, 2, kind="float32", told=SIZED),
    "modulo.ome.tif": made("ZYX", 1, 6, 1, told=SIZED, more=MODULO),
    "tubhiswt_C0_TP0.ome.tif": (tubhiswt, "CTZYX", UM | {"Z": 2.0}),
    "companion.ome.tif": (companion, "ZYX", UM | {"Z": 2.0}),
    "pyramid.ome.tif": (pyramid, "CYX", UM),
    "colours.ome.tif": (rgb_ome, "YXS", {"X": 0.5, "Y": 0.5}),
} | {
    f"{order}.ome.tif": made(order[::-1], 3, 4, 2, order=order, kind="uint8", told=SIZED)
    for order in ("XYZCT", "XYZTC", "XYCTZ", "XYCZT", "XYTCZ", "XYTZC")
}


# -- OME-Zarr -----------------------------------------------------------------------------


def ome_zarr(
    path: Path, version: str = "0.4", axes: str = "czyx", where: str = "", labels: bool = True
) -> None:
    """Write an image of two levels, with labels beside it."""
    sizes = {"t": 3, "c": 2, "z": 5, "y": 40, "x": 44}
    values = drawn(*(sizes[a] for a in axes), dtype="uint16")
    root = zarr.open_group(path, mode="a", zarr_format=2 if version == "0.4" else 3)

    def image(group: zarr.Group, data: np.ndarray, names: str, **more: object) -> None:
        levels = []
        for i in range(2):
            group.create_array(str(i), data=np.ascontiguousarray(data[..., :: 2**i, :: 2**i]))
            step = {"t": 1.0, "c": 1.0, "z": 2.0, "y": 0.25 * 2**i, "x": 0.25 * 2**i}
            levels.append(
                {
                    "path": str(i),
                    "coordinateTransformations": [
                        {"type": "scale", "scale": [step[a] for a in names]}
                    ],
                }
            )
        kinds = {"t": {"type": "time"}, "c": {"type": "channel"}}
        told = {
            "axes": [
                {"name": a, **kinds.get(a, {"type": "space", "unit": "micrometer"})} for a in names
            ],
            "datasets": levels,
        }
        told |= {"version": "0.4"} if version == "0.4" else {}
        said = {"multiscales": [told], **more}
        group.attrs.update(said if version == "0.4" else {"ome": {"version": "0.5", **said}})

    group = root.require_group(where) if where else root
    image(group, values, axes)
    if labels:
        found = group.require_group("labels")
        names = {"labels": ["nuclei"]}
        found.attrs.update(names if version == "0.4" else {"ome": {"version": "0.5", **names}})
        spatial = axes.replace("c", "").replace("t", "")
        pick = tuple(slice(None) if a in spatial else 0 for a in axes)
        image(
            found.require_group("nuclei"),
            (values[pick] > 99).astype(np.uint16),
            spatial,
            **{"image-label": {"version": version}},
        )


def plate(path: Path) -> None:
    root = zarr.open_group(path, mode="w", zarr_format=2)
    root.attrs["plate"] = {"wells": [{"path": "A/1"}, {"path": "A/2"}], "version": "0.4"}
    for well in ("A/1", "A/2"):
        for field in "01":
            ome_zarr(path, axes="cyx", where=f"{well}/{field}", labels=False)
        root[well].attrs["well"] = {"images": [{"path": "0"}, {"path": "1"}], "version": "0.4"}


ZARR: dict[str, Kind] = {
    "czyx.ome.zarr": (ome_zarr, "CZYX", UM | {"Z": 2.0}),
    "v3.ome.zarr": (lambda p: ome_zarr(p, "0.5"), "CZYX", UM | {"Z": 2.0}),
    "tczyx.ome.zarr": (lambda p: ome_zarr(p, axes="tczyx"), "TCZYX", UM | {"Z": 2.0}),
    "plate.ome.zarr": (plate, "CYX", UM),
}

# -- microscopes ------------------------------------------------------------------------------


def patched(path: Path, old: tuple[int, ...], new: tuple[int, ...]) -> None:
    """Change the type and number of a tag that tifffile writes as bytes only."""
    data = path.read_bytes()
    told, meant = (struct.pack("<HHI", *entry) for entry in (old, new))
    assert data.count(told) == 1
    path.write_bytes(data.replace(told, meant))


def lsm(path: Path) -> None:
    """Z, channels apart and a thumbnail after each plane, as Zeiss' LSM 510 writes them."""
    z, c = 4, 3
    info = bytearray(512)
    struct.pack_into("<Ii", info, 0, 0x00400494C, 512)
    struct.pack_into("<8i", info, 8, 44, 40, z, c, 1, 2, 16, 16)
    struct.pack_into("<6d", info, 40, 0.25e-6, 0.25e-6, 2e-6, 0, 0, 0)
    struct.pack_into("<HH", info, 88, 0, 0)  # scan type 0: x, y, z
    with tifffile.TiffWriter(path) as tif:
        for i, planes in enumerate(drawn(z, c, 40, 44, dtype="uint16")):
            tags = [(34412, 1, len(info), bytes(info), True)] if not i else []
            tif.write(planes, photometric="minisblack", planarconfig="separate",
                      extratags=tags, metadata=None, contiguous=False)  # fmt: skip
            tif.write(np.zeros((16, 16), np.uint8), subfiletype=1, metadata=None, contiguous=False)


def stk(path: Path) -> None:
    """MetaMorph's: one page, whose planes follow each other; sizes at the end of the file."""
    n = 5
    depths = b"".join(struct.pack("<6I", 2, 1, 2459000, 1000 + i, 2459000, 0) for i in range(n))
    tags = [(33628, 1, 24, bytes(24), True), (33629, 1, len(depths), depths, True)]
    planes = drawn(n, 40, 44, dtype="uint16")
    tifffile.imwrite(path, planes[0], metadata=None, extratags=tags, photometric="minisblack")
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages[0].dataoffsets[0]
        uic = tif.pages[0].tags[33628].valueoffset
    data = bytearray(path.read_bytes())
    data[offset:] = planes.tobytes()
    at = len(data)
    data += struct.pack("<2I", 1, 4) + struct.pack("<I3s", 3, b"um\\0")
    data[uic : uic + 24] = struct.pack("<6I", 4, at, 5, at, 6, at + 8)
    path.write_bytes(data)
    patched(path, (33628, 1, 24), (33628, 4, 3))
    patched(path, (33629, 1, len(depths)), (33629, 5, n))


def fluoview(path: Path) -> None:
    """Olympus' FV1000: the sizes of its axes are those of a header."""
    steps = [
        (b"X", 44, 0.25, b"um"),
        (b"Y", 40, 0.25, b"um"),
        (b"Z", 4, 2.0, b"um"),
        (b"Ch", 2, 1.0, b"Ch"),
    ]
    rows = b"".join(
        struct.pack("<16sidd64s", name, size, 0.0, step, unit) for name, size, step, unit in steps
    )
    head = struct.pack("<hB257sIiIIiI", 0, 0, b"i", 0, 0, 0, 0, 0, 0) + rows
    head += bytes(100 * (10 - len(steps))) + bytes(400)
    tags = [(34361, 1, len(head), head, True), (34362, 1, 8, bytes(8), True)]
    with tifffile.TiffWriter(path) as tif:
        for i, plane in enumerate(drawn(8, 40, 44, dtype="uint16")):
            tif.write(plane, extratags=tags if not i else [], metadata=None, contiguous=False,
                      photometric="minisblack")  # fmt: skip


def metaseries(path: Path) -> None:
    """A plane of MetaMorph as TIFF: its size stands in the description."""
    props = {"spatial-calibration-state": "on", "spatial-calibration-x": "0.25",
             "spatial-calibration-y": "0.25", "spatial-calibration-units": "um"}  # fmt: skip
    kinds = dict.fromkeys(props, "float") | {
        "spatial-calibration-state": "bool",
        "spatial-calibration-units": "string",
    }
    told = "".join(
        f'<prop id="{key}" type="{kinds[key]}" value="{value}"/>' for key, value in props.items()
    )
    text = f"<MetaData><PlaneInfo>{told}</PlaneInfo></MetaData>"
    tifffile.imwrite(
        path, drawn(40, 44, dtype="uint16"), description=text, software="MetaSeries", metadata=None
    )


MAKERS: dict[str, Kind] = {
    "cells.lsm": (lsm, "ZCYX", UM | {"Z": 2.0}),
    "cells.stk": (stk, "ZYX", UM | {"Z": 2.0}),
    "fluoview.tif": (fluoview, "CZYX", UM | {"Z": 2.0}),
    "metaseries.tif": (metaseries, "YX", UM),
}


SAMPLES = IMAGEJ | OME | ZARR | MAKERS


# -- pictures and bare arrays -----------------------------------------------------------------


def picture(values: np.ndarray, mode: str = "", **how: object) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        made = Image.fromarray(values)
        (made.convert(mode) if mode else made).save(path, **how)

    return write


def deep(path: Path) -> None:
    path.write_bytes(imagecodecs.png_encode(COLOUR.astype(np.uint16) * 200))


def moving(path: Path) -> None:
    frames = [Image.fromarray(plane) for plane in drawn(3, 40, 44)]
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)


PICTURES: dict[str, Kind] = {
    "cmyk.jpg": (picture(COLOUR, "CMYK"), "CYX", {}),
    "cmyk.tif": (picture(COLOUR, "CMYK"), "CYX", {}),
    "transparent.png": (picture(COLOUR, "P", transparency=5), "YXS", {}),
    "transparencies.png": (picture(COLOUR, "P", transparency=bytes(range(200))), "YXS", {}),
    "transparent.gif": (
        lambda p: Image.fromarray(COLOUR).quantize(200).save(p, transparency=7),
        "YXS",
        {},
    ),
    "deep.png": (deep, "YXS", {}),
    "grey.pgm": (picture(PLANE), "YX", {}),
    "deep.pgm": (picture(PLANE.astype(np.uint16) * 200), "YX", {}),
    "mask.pbm": (picture(PLANE > 99), "YX", {}),
    "lossless.webp": (picture(COLOUR, lossless=True), "YXS", {}),
    "alpha.webp": (picture(np.dstack([COLOUR, PLANE]), lossless=True), "YXS", {}),
    "moving.webp": (moving, "TYXS", {}),
    "grey.jp2": (picture(PLANE), "YX", {}),
    "array.npy": (lambda p: np.save(p, drawn(5, 40, 44)), "ZYX", {}),
    "colours.npy": (lambda p: np.save(p, COLOUR), "YXS", {}),
    "fractions.npy": (lambda p: np.save(p, COLOUR / 255), "YXS", {}),
    "tiny-colours.npy": (lambda p: np.save(p, np.repeat(COLOUR[5:13, 5:14], 1, 0)), "ZYX", {}),
    "stack-of-colours.npy": (lambda p: np.save(p, np.stack([COLOUR] * 5)), "ZYXS", {}),
    "array-of-colours.tif": (
        lambda p: tifffile.imwrite(p, COLOUR.astype(np.uint16), photometric="minisblack"),
        "YXS",
        {},
    ),
    "colours.zarr": (lambda p: zarr.save_array(p, COLOUR, zarr_format=2), "YXS", {}),
    "whole.tif": (lambda p: tifffile.imwrite(p, PLANE.astype(np.uint64) << 40), "YX", {}),
} | {
    f"colours.{ending}": (picture(COLOUR), "YXS", {})
    for ending in ("bmp", "png", "jpg", "webp", "ppm", "tga", "pcx", "jp2", "avif")
    if f".{ending}" in Image.registered_extensions()
}
