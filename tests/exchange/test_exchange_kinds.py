"""Kinds of image files that people have: what a tool is handed for each, by path."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest
import tifffile
from exchange_helpers import parameter

from napari_tool_runner.errors import UnsupportedLayerError
from napari_tool_runner.exchange import Exported, export, snapshot

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


def image(number: int, name: str, count: int, *, where: bool = True) -> str:
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
    path = several(tmp_path, image(0, "z{}.ome.tif", 3))
    found = handed(path)
    np.testing.assert_array_equal(alone(found), STACK)
    assert any("its planes lie in 3 files" in note for note in found.notes)
    assert sizes(found)["PhysicalSizeX"] == 0.2
    np.testing.assert_array_equal(alone(handed(tmp_path / "z2.ome.tif")), STACK)


def test_metadata_in_another_file(tmp_path: Path) -> None:
    whole = _OME.format(identity(99), image(0, "z{}.ome.tif", 3))
    (tmp_path / "all.companion.ome").write_text(whole)
    binary = f'<BinaryOnly MetadataFile="all.companion.ome" UUID="{identity(99)}"/>'
    path = several(tmp_path, binary)
    np.testing.assert_array_equal(alone(handed(path)), STACK)
    (tmp_path / "all.companion.ome").unlink()
    with pytest.raises(UnsupportedLayerError, match=r"not beside it: all\.companion\.ome"):
        handed(path)


def test_the_image_of_a_file_is_that_with_a_plane_in_it(tmp_path: Path) -> None:
    both = image(0, "a{}.ome.tif", 3) + image(1, "b{}.ome.tif", 3)
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
    metadata = image(5, name, 3)
    with pytest.raises(UnsupportedLayerError, match=words):
        handed(several(tmp_path, metadata))


def test_a_part_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    path = several(tmp_path, image(0, "z{}.ome.tif", 3))
    (tmp_path / "z1.ome.tif").rename(tmp_path / "real.tif")
    (tmp_path / "z1.ome.tif").symlink_to(tmp_path / "real.tif")
    with pytest.raises(UnsupportedLayerError, match=r"z1\.ome\.tif"):
        handed(path)


def test_a_part_of_another_size(tmp_path: Path) -> None:
    path = several(tmp_path, image(0, "z{}.ome.tif", 3))
    tifffile.imwrite(tmp_path / "z2.ome.tif", STACK[0, :10])
    with pytest.raises(UnsupportedLayerError, match="differ in size or type"):
        handed(path)


def test_one_file_by_another_name(tmp_path: Path) -> None:
    metadata = _OME.format("", image(0, "old.ome.tif", 1)).replace(' UUID=""', "")
    tifffile.imwrite(tmp_path / "new.ome.tif", STACK[0], description=metadata, metadata=None)
    np.testing.assert_array_equal(alone(handed(tmp_path / "new.ome.tif")), STACK[0])


def test_fewer_planes_than_promised_are_no_zeros(tmp_path: Path) -> None:
    path = tmp_path / "short.ome.tif"
    metadata = image(0, "", 9, where=False).replace(' IFD="0" PlaneCount="1"', ' PlaneCount="1"')
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
    told = {} if unit is None else {"PhysicalSizeX": 0.2, "PhysicalSizeXUnit": unit}
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK, metadata={"axes": "ZYX", **told})
    found = handed(tmp_path / "a.ome.tif")
    assert not found.copied
    assert not found.notes
