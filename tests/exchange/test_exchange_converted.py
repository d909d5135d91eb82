"""Files of another format than a tool takes: converted without a loss, told, or refused."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from exchange_helpers import parameter
from PIL import Image

from napari_tool_runner.errors import LossyConversionError, UnsupportedLayerError
from napari_tool_runner.exchange import Exported, export, read_file, snapshot
from napari_tool_runner.sealed import content_sha256
from napari_tool_runner.tools.formats import FORMATS

RNG = np.random.default_rng(5)
PLANE = RNG.integers(0, 250, (20, 24), dtype=np.uint8)
SIZES = {"Z": (2.0, "micrometer"), "Y": (0.5, "micrometer"), "X": (0.25, "micrometer")}
SIZES["T"] = (3.0, "second")


def ome(path: Path, data: np.ndarray, axes: str) -> Path:
    told: dict[str, object] = {"axes": axes}
    for axis in set(axes) & set("ZYX"):
        told |= {f"PhysicalSize{axis}": SIZES[axis][0], f"PhysicalSize{axis}Unit": "µm"}
    if "T" in axes:
        told |= {"TimeIncrement": 3.0, "TimeIncrementUnit": "s"}
    tifffile.imwrite(path, data, ome=True, metadata=told)
    return path


def ome_zarr(path: Path, data: np.ndarray, axes: str, version: str = "0.4") -> Path:
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    group.create_array("0", data=data)
    kinds = {"T": "time", "C": "channel"}
    named = [
        {"name": axis.lower(), "type": kinds.get(axis, "space")}
        | ({"unit": SIZES[axis][1]} if axis in SIZES else {})
        for axis in axes
    ]
    scale = [SIZES.get(axis, (1.0, ""))[0] for axis in axes]
    levels = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}]
    told = [{"version": version, "axes": named, "datasets": levels}]
    both = {"version": version, "multiscales": told}
    group.attrs.update({"multiscales": told} if version == "0.4" else {"ome": both})
    return path


def converted(path: Path, *formats: str) -> Exported:
    before = content_sha256(path)
    made = export(snapshot(path), parameter(*formats), path.parent / "inputs")
    assert content_sha256(path) == before
    assert made.copied
    wanted = ", ".join(formats)
    assert f"{path.name} was converted, as the tool takes {wanted}." in made.notes
    return made


@pytest.mark.parametrize("target", ["tiff", "ome.tiff", "zarr", "ome_zarr", "ome_zarr_0.5"])
@pytest.mark.parametrize(
    ("source", "dtype", "axes"),
    [
        ("a.ome.tif", np.uint16, "ZYX"),
        ("a.ome.tif", np.float32, "YX"),
        ("a.ome.tif", np.uint8, "TYX"),
        ("a.ome.tif", np.int16, "TCZYX"),
        ("a.zarr", np.uint16, "ZYX"),
        ("a.zarr", np.float64, "TCZYX"),
        ("b.zarr", np.uint32, "CYX"),
        ("a.zarr", np.uint8, "TYX"),
    ],
)
def test_tiff_and_zarr_keep_pixels_axes_and_units(
    tmp_path: Path, source: str, dtype: type, axes: str, target: str
) -> None:
    data = RNG.integers(0, 120, (2, 3, 4, 16, 18)[-len(axes) :]).astype(dtype)
    path = tmp_path / source
    if source.endswith(".zarr"):
        ome_zarr(path, data, axes, "0.5" if source == "b.zarr" else "0.4")
    else:
        ome(path, data, axes)
    if FORMATS.accepted((target,), path.name):
        return  # it goes as it is
    made = converted(path, target)
    found = read_file(made.file.path, FORMATS[target], name="a")
    there = found.geometry
    assert there is not None
    assert there.axes == axes
    np.testing.assert_array_equal(np.asarray(found.pixels), data)
    assert found.pixels.dtype == dtype
    for axis, scale, unit in zip(axes, there.scale, there.units, strict=True):
        if axis in SIZES:
            assert (round(scale, 6), unit) == SIZES[axis], axis


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("colours", [(), (3,), (4,)])
@pytest.mark.parametrize("target", ["tiff", "ome.tiff", "png"])
def test_pictures_keep_their_depth_and_colours(
    tmp_path: Path, depth: type, colours: tuple[int, ...], target: str
) -> None:
    data = RNG.integers(0, np.iinfo(depth).max, (20, 24, *colours)).astype(depth)
    path = tmp_path / ("a.tif" if target == "png" else "a.png")
    if target == "png":
        extra = ["unassalpha"] if colours == (4,) else None
        photometric = "rgb" if colours else "minisblack"
        tifffile.imwrite(path, data, photometric=photometric, extrasamples=extra)
    else:
        import imagecodecs

        path.write_bytes(imagecodecs.png_encode(data))
    made = converted(path, target)
    found = read_file(made.file.path, FORMATS[target], name="a")
    np.testing.assert_array_equal(np.asarray(found.pixels), data)
    assert found.rgb == bool(colours)


@pytest.mark.parametrize(
    ("data", "target", "why"),
    [
        (PLANE / 7, "png", "holds float64 values"),
        (PLANE.astype(np.float32), "png", "holds float32 values"),
        (PLANE.astype(np.uint32) * 70_000, "png", "which uint16 cannot hold"),
        (PLANE.astype(np.int16) - 99, "png", "which uint16 cannot hold"),
        (PLANE.astype(np.uint16) * 100, "jpg", "which uint8 cannot hold"),
        (np.stack([PLANE] * 5), "png", "has one plane"),
    ],
)
def test_what_a_picture_cannot_hold_is_refused(
    tmp_path: Path, data: np.ndarray, target: str, why: str
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack")
    with pytest.raises((LossyConversionError, UnsupportedLayerError), match=why):
        converted(tmp_path / "a.tif", target)
    assert not list((tmp_path / "inputs").iterdir())


@pytest.mark.parametrize("target", ["zarr", "ome_zarr_0.5", "npy"])
@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.float16, bool])
def test_types_of_a_tiff_that_ome_has_not(tmp_path: Path, dtype: type, target: str) -> None:
    data = PLANE.astype(dtype) * dtype(1 if dtype in (bool, np.float16) else 2**40)
    tifffile.imwrite(tmp_path / "a.tif", data)
    found = read_file(converted(tmp_path / "a.tif", target).file.path, FORMATS[target], name="a")
    np.testing.assert_array_equal(np.asarray(found.pixels), data)


@pytest.mark.parametrize("target", ["png", "jpg", "npy", "h5"])
def test_a_pixel_size_that_is_lost_is_told(tmp_path: Path, target: str) -> None:
    pytest.importorskip("h5py")
    made = converted(ome(tmp_path / "a.ome.tif", PLANE, "YX"), target)
    assert f"{target.upper()} holds no pixel size." in made.notes
    tifffile.imwrite(tmp_path / "plain.tif", PLANE)
    assert not [n for n in converted(tmp_path / "plain.tif", target).notes if "size" in n]


def test_lossy_pictures_and_lost_transparency_are_told(tmp_path: Path) -> None:
    Image.fromarray(np.stack([PLANE] * 4, axis=-1)).save(tmp_path / "a.png")
    notes = " ".join(converted(tmp_path / "a.png", "jpg").notes)
    assert "JPEG has no transparency" in notes
    assert "changes pixel values" in notes


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def shallow_png(depth: int, rows: bytes) -> bytes:
    """Return a grey PNG of 4 columns with `depth` bits a pixel."""
    count = len(rows) * 8 // (8 + 4 * depth)
    head = struct.pack(">IIBBBBB", 4, count, depth, 0, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize("target", ["tiff", "ome.tiff", "zarr"])
def test_what_a_picture_says_beside_its_colours_is_told(tmp_path: Path, target: str) -> None:
    indices = Image.fromarray(PLANE // 25).convert("P")
    indices.putpalette([9 * n % 256 for n in range(30)])
    indices.save(tmp_path / "palette.png")
    assert "of a palette" in " ".join(converted(tmp_path / "palette.png", target).notes)
    Image.fromarray(PLANE).save(tmp_path / "clear.png", transparency=3)
    assert "are transparent" in " ".join(converted(tmp_path / "clear.png", target).notes)
    Image.fromarray(np.stack([PLANE, PLANE], axis=-1), "LA").save(tmp_path / "la.png")
    assert "how opaque it is" in " ".join(converted(tmp_path / "la.png", target).notes)
    (tmp_path / "few.png").write_bytes(shallow_png(4, b"\0\x01\x23\0\x45\xff"))
    assert "Its numbers 0 to 15 are 0 to 255" in " ".join(
        converted(tmp_path / "few.png", target).notes
    )
    indices.putpalette([n // 3 for n in range(768)])
    indices.save(tmp_path / "grey.png")
    made = converted(tmp_path / "grey.png", target)
    assert "palette" not in " ".join(made.notes)
    kept = read_file(made.file.path, FORMATS[target], name="a").pixels
    assert np.array_equal(np.asarray(kept), PLANE // 25)


@pytest.mark.parametrize("formats", [("tiff", "ome.tiff"), ("png", "tiff"), ("tif",)])
def test_what_fits_is_not_converted(tmp_path: Path, formats: tuple[str, ...]) -> None:
    path = ome(tmp_path / "a.ome.tif", PLANE, "YX")
    made = export(snapshot(path), parameter(*formats), tmp_path / "inputs")
    assert not made.copied
    assert made.file.path.read_bytes() == path.read_bytes()


CELLS = 'id,area,name\n12345678901234567890123,0.1000,"x,y"\n2,1e-7,\n3,0.12345678901234567890,b\n'


@pytest.mark.parametrize("target", ["tabular", "tsv"])
def test_cells_of_a_table_stay_as_they_are_written(tmp_path: Path, target: str) -> None:
    (tmp_path / "a.csv").write_text(CELLS)
    made = converted(tmp_path / "a.csv", target)
    assert made.file.path.read_text() == (
        "id\tarea\tname\n12345678901234567890123\t0.1000\tx,y\n2\t1e-7\t\n"
        "3\t0.12345678901234567890\tb\n"
    )
    assert made.file.metadata["columns"] == 3
    again = tmp_path / f"again.{target}"
    again.write_bytes(made.file.path.read_bytes())
    assert converted(again, "csv").file.path.read_text() == CELLS


def test_cells_stay_beside_a_column_that_is_partly_text(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,when\n1.50,2020-01-01\n123456789012345678901,2e1\n001,3e1\n")
    made = converted(path, "tabular")
    text = "id\twhen\n1.50\t2020-01-01\n123456789012345678901\t2e1\n001\t3e1\n"
    assert made.file.path.read_text() == text


@pytest.mark.parametrize("target", ["zarr", "ome_zarr"])
def test_an_image_is_not_called_labels_on_its_way(tmp_path: Path, target: str) -> None:
    """A result that copies it would open as objects."""
    path = ome(tmp_path / "a.ome.tif", PLANE, "YX")
    assert "image-label" not in zarr.open_group(converted(path, target).file.path, mode="r").attrs


def test_no_header_is_made_up(tmp_path: Path) -> None:
    (tmp_path / "a.tabular").write_text("1\t0.50\n2\t0.25\n")
    made = converted(tmp_path / "a.tabular", "csv")
    assert made.file.path.read_text() == "1,0.50\n2,0.25\n"


def test_comments_and_lines_of_units_stay(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("# by hand\nid,area\n,µm²\n1,2.50\n\n2,3.10\n")
    made = converted(tmp_path / "a.csv", "tabular")
    assert made.file.path.read_text() == "# by hand\nid\tarea\n\tµm²\n1\t2.50\n2\t3.10\n"
    assert len(made.notes) == 1


def test_tabs_within_cells_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('id,name\n1,"a\tb"\n2,"c\nd"\n3,5" disk\n')
    made = converted(tmp_path / "a.csv", "tabular")
    assert made.file.path.read_text() == 'id\tname\n1\t"a\tb"\n2\t"c\nd"\n3\t5" disk\n'
    assert any("2 rows hold a tab, a line break or a quote" in note for note in made.notes)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("id;area\n1;0,5\n2;1,25\n", "id\tarea\n1\t0.5\n2\t1.25\n"),
        ('id,area\n1,"1,234"\n2,"5,678.5"\n', "id\tarea\n1\t1234.0\n2\t5678.5\n"),
    ],
)
def test_numbers_of_other_countries_are_written_for_programs(
    tmp_path: Path, text: str, rows: str
) -> None:
    (tmp_path / "a.csv").write_text(text)
    made = converted(tmp_path / "a.csv", "tabular")
    assert made.file.path.read_text() == rows
    assert any("decimal comma" in note or "was read as" in note for note in made.notes)


def test_tables_of_other_encodings_and_excel(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("sep=;\r\nid;größe\r\n1;2.50\r\n".encode("utf-16"))
    made = converted(tmp_path / "a.csv", "tabular")
    assert made.file.path.read_text(encoding="utf-8") == "id\tgröße\n1\t2.50\n"
