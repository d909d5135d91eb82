"""Kinds of image files that people have: what a tool is handed for each, by path."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from exchange_helpers import parameter
from PIL import Image

from bundled import inside, public_samples
from napari_tool_runner.errors import UnsupportedLayerError
from napari_tool_runner.exchange import Exported, export, open_snapshot, snapshot
from napari_tool_runner.exchange.carriers.tiff_says import Facts

RNG = np.random.default_rng(7)
STACK = RNG.integers(1, 4000, (3, 20, 24)).astype(np.uint16)
_OME = '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{}">{}</OME>'


def handed(path: Path) -> Exported:
    return export(snapshot(path), parameter("imagetiff"), path.parent / "inputs")


def alone(exported: Exported) -> np.ndarray:
    """Return what a program finds in the file, with nothing beside it."""
    with tifffile.TiffFile(exported.file.path, _multifile=False) as tif:
        return tif.series[0].asarray()


def sizes(exported: Exported) -> dict[str, object]:
    with tifffile.TiffFile(exported.file.path) as tif:
        pixels = tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]["Pixels"]
    return {key: value for key, value in pixels.items() if key.startswith(("Phys", "TimeI"))}


def identity(number: int) -> str:
    return f"urn:uuid:{uuid.UUID(int=number + 1)}"


def described(number: int, name: str, count: int, *, where: bool = True) -> str:
    """Return OME metadata of an image with a plane in each of `count` files."""
    told = '<UUID FileName="{1}">{0}</UUID>' if where else ""
    planes = "".join(
        f'<TiffData FirstZ="{i}" IFD="0" PlaneCount="1">'
        f"{told.format(identity(10 * number + i), name.format(i))}</TiffData>"
        for i in range(count)
    )
    return (
        f'<Image ID="Image:{number}"><Pixels ID="Pixels:{number}" DimensionOrder="XYZCT" '
        f'Type="uint16" SizeX="24" SizeY="20" SizeZ="{count}" SizeC="1" SizeT="1" '
        'PhysicalSizeX="200" PhysicalSizeXUnit="nm" PhysicalSizeY="200" PhysicalSizeYUnit="nm">'
        f'<Channel ID="Channel:{number}:0" SamplesPerPixel="1"/>{planes}</Pixels></Image>'
    )


def several(folder: Path, metadata: str, name: str = "z{}.ome.tif", first: int = 0) -> Path:
    for i, plane in enumerate(STACK):
        text = _OME.format(identity(first + i), metadata)
        tifffile.imwrite(folder / name.format(i), plane, description=text, metadata=None)
    return folder / name.format(0)


def test_planes_in_several_files_come_in_one(tmp_path: Path) -> None:
    path = several(tmp_path, described(0, "z{}.ome.tif", 3))
    found = handed(path)
    np.testing.assert_array_equal(alone(found), STACK)
    assert any("its planes lie in 3 files" in note for note in found.notes)
    assert sizes(found)["PhysicalSizeX"] == 0.2
    np.testing.assert_array_equal(alone(handed(tmp_path / "z2.ome.tif")), STACK)


def test_metadata_in_another_file(tmp_path: Path) -> None:
    whole = _OME.format(identity(99), described(0, "z{}.ome.tif", 3))
    (tmp_path / "all.companion.ome").write_text(whole)
    binary = f'<BinaryOnly MetadataFile="all.companion.ome" UUID="{identity(99)}"/>'
    path = several(tmp_path, binary)
    np.testing.assert_array_equal(alone(handed(path)), STACK)
    (tmp_path / "all.companion.ome").unlink()
    with pytest.raises(UnsupportedLayerError, match=r"not beside it: all\.companion\.ome"):
        handed(path)


def test_the_image_of_a_file_is_that_with_a_plane_in_it(tmp_path: Path) -> None:
    both = described(0, "a{}.ome.tif", 3) + described(1, "b{}.ome.tif", 3)
    path = several(tmp_path, both, "b{}.ome.tif", first=10)
    found = handed(path)  # those of the other position are not needed
    np.testing.assert_array_equal(alone(found), STACK)
    assert any("holds 2 images" in n and "number 2 was opened" in n for n in found.notes)


@pytest.mark.parametrize(
    ("name", "words"),
    [("gone{}.tif", r"gone0\.tif, gone1\.tif"), ("../z{}.tif", "no file beside it"),
     ("/etc/z{}.tif", "no file beside it"), ("c:\\\\z{}.tif", "no file beside it")],
)  # fmt: skip
def test_planes_that_are_not_there_are_told(tmp_path: Path, name: str, words: str) -> None:
    metadata = described(5, name, 3)
    with pytest.raises(UnsupportedLayerError, match=words):
        handed(several(tmp_path, metadata))


def test_a_part_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    path = several(tmp_path, described(0, "z{}.ome.tif", 3))
    (tmp_path / "z1.ome.tif").rename(tmp_path / "real.tif")
    (tmp_path / "z1.ome.tif").symlink_to(tmp_path / "real.tif")
    with pytest.raises(UnsupportedLayerError, match=r"z1\.ome\.tif"):
        handed(path)


def test_a_part_of_another_size(tmp_path: Path) -> None:
    path = several(tmp_path, described(0, "z{}.ome.tif", 3))
    tifffile.imwrite(tmp_path / "z2.ome.tif", STACK[0, :10])
    with pytest.raises(UnsupportedLayerError, match="differ in size or type"):
        handed(path)


def test_one_file_by_another_name(tmp_path: Path) -> None:
    metadata = _OME.format("", described(0, "old.ome.tif", 1)).replace(' UUID=""', "")
    tifffile.imwrite(tmp_path / "new.ome.tif", STACK[0], description=metadata, metadata=None)
    np.testing.assert_array_equal(alone(handed(tmp_path / "new.ome.tif")), STACK[0])


def test_fewer_planes_than_promised_are_no_zeros(tmp_path: Path) -> None:
    path = tmp_path / "short.ome.tif"
    metadata = described(0, "", 9, where=False).replace(
        ' IFD="0" PlaneCount="1"', ' PlaneCount="1"'
    )
    for i in range(9):
        metadata = metadata.replace(f'FirstZ="{i}"', f'FirstZ="{i}" IFD="{i}"')
    with tifffile.TiffWriter(path) as tif:
        for i, plane in enumerate(STACK):
            text = _OME.format(identity(0), metadata) if i == 0 else None
            tif.write(plane, description=text, metadata=None, contiguous=False)
    found = handed(path)
    np.testing.assert_array_equal(alone(found), STACK)
    assert any("more planes than there are" in note for note in found.notes)


def test_several_images_are_told(tmp_path: Path) -> None:
    path = tmp_path / "positions.ome.tif"
    with tifffile.TiffWriter(path) as tif:
        tif.write(STACK, metadata={"axes": "ZYX"})
        tif.write(STACK[0, :9], metadata={"axes": "YX"})
    found = handed(path)
    assert not found.copied
    (note,) = found.notes
    assert note.startswith("positions.ome.tif: It holds 2 images (3 × 20 × 24, 9 × 24)")


def test_one_of_several_images_is_chosen_by_its_number(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as tif:
        tif.write(STACK, metadata={"axes": "ZYX"})
        tif.write(
            STACK[0, :9], metadata={"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
        )
    with tifffile.TiffWriter(tmp_path / "b.tif") as tif:
        tif.write(STACK, photometric="minisblack")
        tif.write(STACK[0, :9], photometric="minisblack", compression="lzw")
    for name in ("a.ome.tif", "b.tif"):
        first, second = (handed(tmp_path / f"{name}{mark}") for mark in ("#1", "#2"))
        np.testing.assert_array_equal(alone(first), STACK)
        np.testing.assert_array_equal(alone(second), STACK[0, :9])
        assert any("number 2 was opened" in note for note in second.notes)
        with pytest.raises(UnsupportedLayerError, match=r"no image number 3: it holds 2"):
            handed(tmp_path / f"{name}#3")
    assert sizes(handed(tmp_path / "a.ome.tif#2"))["PhysicalSizeX"] == 0.5
    snap = open_snapshot(snapshot(tmp_path / "a.ome.tif#2"))
    assert snap.geometry.shape == (9, 24)
    assert "number 2 was opened" in snap.remarks[0]
    (tmp_path / "b.tif").rename(tmp_path / "b.tif#2")  # a file may be called so
    np.testing.assert_array_equal(alone(handed(tmp_path / "b.tif#2")), STACK)
    Image.fromarray(GREY).save(tmp_path / "c.png")
    with pytest.raises(UnsupportedLayerError, match="in TIFF only"):
        handed(tmp_path / "c.png#2")


def test_an_image_inside_of_a_plate_by_its_path(tmp_path: Path) -> None:
    public_samples.plate(tmp_path / "p.ome.zarr")
    found = handed(tmp_path / "p.ome.zarr" / "A" / "2" / "1")
    want = zarr.open_array(tmp_path / "p.ome.zarr" / "A" / "2" / "1" / "0", mode="r")[...]
    np.testing.assert_array_equal(alone(found), want)


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("um", 1.0), ("micron", 1.0), ("\\u00B5m", 1.0), ("nm", 1e-3), ("mm", 1e3), ("cm", 1e4),
     ("inch", 25400.0)],
)  # fmt: skip
def test_sizes_that_imagej_tells_are_told_as_ome_does(
    tmp_path: Path, unit: str, factor: float
) -> None:
    path = tmp_path / "a.tif"
    told = {"axes": "ZYX", "spacing": 3.0, "unit": unit}
    tifffile.imwrite(path, STACK, imagej=True, resolution=(4, 2), metadata=told)
    found = handed(path)
    assert sizes(found) == {
        "PhysicalSizeX": pytest.approx(0.25 * factor), "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": pytest.approx(0.5 * factor), "PhysicalSizeYUnit": "µm",
        "PhysicalSizeZ": pytest.approx(3.0 * factor), "PhysicalSizeZUnit": "µm",
    }  # fmt: skip
    np.testing.assert_array_equal(alone(found), STACK)


def test_units_of_each_axis_become_one(tmp_path: Path) -> None:
    told = {"axes": "ZYX", "PhysicalSizeX": 200.0, "PhysicalSizeXUnit": "nm",
            "PhysicalSizeY": 0.2, "PhysicalSizeZ": 0.001, "PhysicalSizeZUnit": "mm"}  # fmt: skip
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK, metadata=told)
    layer = (STACK, {"scale": (1e-3, 0.2, 200), "units": ("mm", "um", "nm")}, "image")
    for found in (
        handed(tmp_path / "a.ome.tif"),
        export(snapshot(layer), parameter("imagetiff"), tmp_path / "inputs"),
    ):
        assert {k: v for k, v in sizes(found).items() if k[-1] in "XYZ"} == {
            "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.2, "PhysicalSizeZ": 1.0,
        }  # fmt: skip


@pytest.mark.parametrize("unit", ["µm", None])
def test_what_programs_find_stays_as_it_is(tmp_path: Path, unit: str | None) -> None:
    told = (
        {}
        if unit is None
        else {f"PhysicalSize{x}": 0.2 for x in "XY"} | {"PhysicalSizeXUnit": unit}
    )
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK, metadata={"axes": "ZYX", **told})
    found = handed(tmp_path / "a.ome.tif")
    assert not found.copied
    assert not found.notes


# -- what people's files hold --------------------------------------------------------------

GREY = RNG.integers(0, 255, (40, 50)).astype(np.uint8)
DEEP = RNG.integers(0, 60000, (40, 50)).astype(np.uint16)
REAL = RNG.random((40, 50)).astype(np.float32)
COLOUR = RNG.integers(0, 255, (40, 50, 3)).astype(np.uint8)
SMOOTH = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
SMOOTH_COLOUR = np.stack([SMOOTH, SMOOTH[::-1], SMOOTH.T], axis=-1)
PALETTE = Image.fromarray(COLOUR).convert("P")


def tiff(values: np.ndarray, **how: object) -> Callable[[Path], None]:
    return lambda path: tifffile.imwrite(path, values, **how)


def picture(values: np.ndarray | Image.Image, **how: object) -> Callable[[Path], None]:
    made = Image.fromarray(values) if isinstance(values, np.ndarray) else values
    return lambda path: made.save(path, **how)


def pyramid(path: Path) -> None:
    with tifffile.TiffWriter(path) as tif:
        tif.write(SMOOTH, subifds=1, tile=(16, 16), photometric="minisblack")
        tif.write(SMOOTH[::2, ::2], subfiletype=1, tile=(16, 16))


def turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(SMOOTH).save(path, exif=exif, quality=100)


_packed = {
    f"{name}{predictor or ''}.tif": (
        tiff(DEEP, compression=name, photometric="minisblack", predictor=predictor), DEEP, "YX"
    )
    for name, predictor in [
        ("lzw", None), ("lzw", 2), ("zlib", 2), ("zstd", None), ("lerc", None),
        ("packbits", None), ("lzma", None), ("jpeg2000", None), ("jpegxl", None),
    ]
}  # fmt: skip
_planes = {"photometric": "rgb", "planarconfig": "separate"}
_two = {"photometric": "minisblack", "extrasamples": ["unassalpha"]}
_inks = np.dstack([COLOUR, GREY])
KINDS: dict[str, tuple[Callable[[Path], None], np.ndarray, str]] = _packed | {
    "big-endian.tif": (tiff(DEEP, byteorder=">"), DEEP, "YX"),
    "bigtiff.tif": (tiff(DEEP, bigtiff=True), DEEP, "YX"),
    "tiles.tif": (tiff(DEEP, tile=(16, 16), compression="lzw"), DEEP, "YX"),
    "predicted-floats.tif": (tiff(REAL, compression="zlib", predictor=True), REAL, "YX"),
    "float16.tif": (tiff(REAL.astype(np.float16)), REAL.astype(np.float16), "YX"),
    "mask.tif": (tiff(GREY > 99), GREY > 99, "YX"),
    "one-bit.tif": (picture(Image.fromarray(GREY > 99)), GREY > 99, "YX"),
    "fax.tif": (picture(Image.fromarray(GREY > 99), compression="group4"), GREY > 99, "YX"),
    "int8.tif": (tiff(GREY.astype(np.int8)), GREY.astype(np.int8), "YX"),
    "int64.tif": (tiff(DEEP.astype(np.int64) << 40), DEEP.astype(np.int64) << 40, "YX"),
    "colour.tif": (tiff(COLOUR, photometric="rgb"), COLOUR, "YXS"),
    "planes.tif": (tiff(COLOUR.transpose(2, 0, 1), **_planes), COLOUR, "YXS"),
    "colour-alpha.tif": (
        tiff(_inks, photometric="rgb", extrasamples=["unassalpha"]), _inks, "YXS"
    ),
    "grey-alpha.tif": (tiff(COLOUR[..., :2], **_two), COLOUR[..., :2].transpose(2, 0, 1), "CYX"),
    "five.tif": (
        tiff(np.dstack([COLOUR, COLOUR[..., :2]]), photometric="minisblack",
             planarconfig="contig"),
        np.dstack([COLOUR, COLOUR[..., :2]]).transpose(2, 0, 1), "CYX",
    ),
    "inks.tif": (tiff(_inks, photometric="separated"), _inks.transpose(2, 0, 1), "CYX"),
    "jpeg.tif": (tiff(SMOOTH, compression="jpeg", compressionargs={"level": 100}), SMOOTH, "YX"),
    "ycbcr.tif": (picture(SMOOTH_COLOUR, compression="jpeg"), SMOOTH_COLOUR, "YXS"),
    "white-is-0.tif": (tiff(GREY, photometric="miniswhite"), GREY, "YX"),
    "palette.tif": (picture(PALETTE), np.asarray(PALETTE), "YX"),
    "palette.png": (picture(PALETTE), np.asarray(PALETTE.convert("RGB")), "YXS"),
    "palette.gif": (picture(PALETTE), np.asarray(PALETTE.convert("RGB")), "YXS"),
    "pyramid.tif": (pyramid, SMOOTH, "YX"),
    "pages.tif": (
        lambda path: Image.fromarray(GREY).save(
            path, save_all=True, append_images=[Image.fromarray(GREY[::-1])]
        ),
        np.stack([GREY, GREY[::-1]]), "ZYX",
    ),
    "deep.png": (picture(DEEP), DEEP, "YX"),
    "deep-colour.png": (
        lambda path: path.write_bytes(imagecodecs.png_encode(COLOUR.astype(np.uint16) * 200)),
        COLOUR.astype(np.uint16) * 200, "YXS",
    ),
    "grey-alpha.png": (
        picture(Image.fromarray(GREY).convert("LA")), np.stack([GREY, GREY * 0 + 255]), "CYX",
    ),
    "deep-grey-alpha.png": (
        lambda path: path.write_bytes(imagecodecs.png_encode(np.dstack([DEEP, DEEP[::-1]]))),
        np.stack([DEEP, DEEP[::-1]]), "CYX",
    ),
    "mask.png": (picture(Image.fromarray(GREY > 99)), GREY > 99, "YX"),
    "turned.jpg": (turned, SMOOTH, "YX"),
    "moving.png": (
        lambda path: Image.fromarray(GREY).save(
            path, save_all=True, append_images=[Image.fromarray(GREY[::-1])]
        ),
        np.stack([GREY, GREY[::-1]]), "TYX",
    ),
    "really-png.tif": (lambda path: Image.fromarray(GREY).save(path, "PNG"), GREY, "YX"),
    "really-tiff.png": (lambda path: tifffile.imwrite(path, GREY), GREY, "YX"),
}  # fmt: skip
_LOSSY = {"jpeg.tif": 3, "ycbcr.tif": 40, "turned.jpg": 3}


@pytest.mark.parametrize("name", KINDS)
def test_a_tool_gets_what_the_file_holds(tmp_path: Path, name: str) -> None:
    write, want, axes = KINDS[name]
    write(tmp_path / name)
    if name == "fax.tif" and tifffile.COMPRESSION.CCITT_T6 not in tifffile.TIFF.DECOMPRESSORS:
        with pytest.raises(UnsupportedLayerError, match=r"CCITT_T6.* not supported\. "):
            handed(tmp_path / name)
        return
    found = handed(tmp_path / name)
    values, letters, _ = inside.script("gaussian_filter").read_image(str(found.file.path))
    assert (values.shape, letters) == (want.shape, axes)
    assert np.abs(values.astype(float) - want).max() <= _LOSSY.get(name, 0)
    said = {"palette.tif": "colour table", "turned.jpg": "turned", "inks.tif": "inks",
            "white-is-0.tif": "bright", "pyramid.tif": "full resolution",
            "really-png.tif": "is PNG", "really-tiff.png": "is TIFF"}  # fmt: skip
    assert said.get(name, "") in " ".join(found.notes)


def cut(write: Callable[[Path], None], size: int) -> Callable[[Path], None]:
    def shorter(path: Path) -> None:
        write(path)
        path.write_bytes(path.read_bytes()[:size])

    return shorter


@pytest.mark.filterwarnings("ignore:.*zero-size")
@pytest.mark.parametrize(
    ("name", "write", "words"),
    [("a.tif", tiff(DEEP[:0]), "a.tif has no pixels"),
     ("a.tif", Path.touch, "a.tif is empty"), ("a.png", Path.touch, "a.png cannot be read"),
     ("a.tif", cut(tiff(DEEP), 3000), "is truncated"),
     ("a.tif", cut(tiff(DEEP, compression="lzw"), 1500), "is truncated"),
     ("a.png", cut(picture(COLOUR), 2000), "truncated"),
     ("a.jpg", cut(picture(SMOOTH_COLOUR), 700), "truncated"),
     ("a.gif", cut(picture(PALETTE), 900), "truncated")],
)  # fmt: skip
def test_what_is_damaged_is_told(
    tmp_path: Path, name: str, write: Callable[[Path], None], words: str
) -> None:
    write(tmp_path / name)
    with pytest.raises(UnsupportedLayerError, match=words) as told:
        handed(tmp_path / name)
    assert "log of the job" not in told.value.hint


@pytest.mark.parametrize("name", ["a.png", "deep.png", "a.jpg", "a.bmp"])
def test_dots_of_pictures_are_taken_as_those_of_tiff_are(tmp_path: Path, name: str) -> None:
    path, values = tmp_path / name, np.full((20, 24), 90, np.uint8)
    picture = Image.fromarray(values.astype(np.uint16) if "deep" in name else values)
    for dots, told in (((50800, 25400), True), ((300, 300), False), ((72, 72), False)):
        picture.save(path, dpi=dots)
        found = handed(path)
        assert [sizes(found).get(f"PhysicalSize{axis}") for axis in "XY"] == (
            pytest.approx([0.5, 1.0], rel=1e-4) if told else [None, None]
        )
        said = [note for note in found.notes if "dots an inch" in note]
        assert ["It tells 300 dots" in note for note in said] == [True] * (dots == (300, 300))


def test_colours_of_sixteen_bits_tell_their_dots(tmp_path: Path) -> None:
    """Pillow cannot write them: the density lies in a chunk before the pixels."""
    import struct
    import zlib

    values = RNG.integers(0, 2**16, (20, 24, 3)).astype(np.uint16)
    png = imagecodecs.png_encode(values)
    body = b"pHYs" + struct.pack(">IIB", 2_000_000, 2_000_000, 1)
    chunk = struct.pack(">I", 9) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "a.png").write_bytes(png[:33] + chunk + png[33:])
    found = handed(tmp_path / "a.png")
    assert sizes(found)["PhysicalSizeX"] == pytest.approx(0.5)
    np.testing.assert_array_equal(alone(found), values)


@pytest.mark.parametrize("how", [1, 3, 6])
def test_a_tiff_that_is_to_be_shown_turned_is_told(tmp_path: Path, how: int) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK[0], extratags=[(274, "H", 1, how, True)])
    found = handed(path)
    np.testing.assert_array_equal(alone(found), STACK[0])
    assert [("turned" in note) for note in found.notes].count(True) == (how != 1)
    with tifffile.TiffFile(found.file.path) as tif:  # no program turns what it gets
        assert tif.pages[0].tags.valueof("Orientation", 1) == 1


def _ascii(tag: int, text: str) -> tuple[int, str, int, str, bool]:
    return tag, "s", len(text) + 1, text, True


def _zeiss(*names: str) -> str:
    kinds = {"AP_PIXEL_SIZE": "Pixel Size = 250.0 nm", "AP_IMAGE_PIXEL_SIZE": "Image = 400.0 nm"}
    return "\r\n" * 3 + "".join(f"{name}\r\n{kinds[name]}\r\n" for name in names)


_SLIDE = "Aperio Image Library v10.0.51\n24x20 [0,0 24x20] (256x256) JPEG|AppMag = 20|MPP = {}"
_MAKERS: dict[str, tuple[dict[str, object], float]] = {
    "a slide": ({"description": _SLIDE.format("0.2500")}, 0.25),
    "a slide without a size": ({"description": _SLIDE.format("0")}, 0),
    "another program's MPP": ({"description": "Mine |MPP = 0.25"}, 0),
    "Micro-Manager": ({"extratags": [_ascii(51123, '{"PixelSizeUm": 0.25}')]}, 0.25),
    "Micro-Manager, not calibrated": ({"extratags": [_ascii(51123, '{"PixelSizeUm": 0}')]}, 0),
    "Zeiss": ({"extratags": [_ascii(34118, _zeiss("AP_PIXEL_SIZE"))]}, 0.25),
    "Zeiss, both": (
        {"extratags": [_ascii(34118, _zeiss("AP_PIXEL_SIZE", "AP_IMAGE_PIXEL_SIZE"))]},
        0.4,
    ),
}


@pytest.mark.parametrize("maker", _MAKERS)
def test_sizes_in_words_of_makers_are_read(tmp_path: Path, maker: str) -> None:
    given, wide = _MAKERS[maker]
    tifffile.imwrite(tmp_path / "a.tif", STACK[0], metadata=None, **given)
    facts = Facts()
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        facts.add(tif)
    micro = {"nanometer": 1e-3, "micrometer": 1}
    found = [size * micro[unit] for size, unit in facts.steps.values()]
    assert found == pytest.approx([wide, wide] if wide else [])


def test_the_size_of_a_slide_is_not_that_of_its_thumbnail(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for plane, tile in ((STACK[0], (16, 16)), (STACK[1, :10, :12], None)):
            file.write(plane, tile=tile, description=_SLIDE.format("0.25"), metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        facts = [Facts(), Facts()]
        for index, one in enumerate(facts):
            one.add(tif, index)
    assert [one.steps.get("X", (0,))[0] for one in facts] == [0.25, 0]
