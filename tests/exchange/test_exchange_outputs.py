"""What an output becomes, and what is said of those that are not as declared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from exchange_helpers import collected, make_tool
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_tool_runner.errors import OutputError
from napari_tool_runner.exchange import LoadedOutput, load, snapshot
from napari_tool_runner.exchange.carriers import read_file
from napari_tool_runner.tools.formats import FORMATS
from napari_tool_runner.tools.model import DataOutput, LayerKind
from support import CORPUS, NO_CORPUS

RNG = np.random.default_rng(4)
NOISE = RNG.integers(0, 60_000, (64, 64)).astype("u2")
BLOBS = np.zeros((64, 64), "u2")
for number in range(1, 9):
    BLOBS[number * 7 : number * 7 + 5, 10:40] = number * 100


def loaded(
    tmp_path: Path,
    data: np.ndarray,
    *,
    name: str = "o",
    label: str = "",
    kind: LayerKind | None = None,
    override: LayerKind | None = None,
    fmt: str = "tiff",
    **tool: object,
) -> LoadedOutput:
    path = tmp_path / "o.tiff"
    tifffile.imwrite(path, data, photometric="rgb" if data.shape[-1] == 3 else "minisblack")
    output = DataOutput(name=name, label=label, format=fmt, kind=kind)
    return load(collected(path, fmt), output, make_tool(**tool), inputs={}, kind=override)


@pytest.mark.parametrize(
    ("data", "label", "tool", "expected"),
    [
        (NOISE, "", {}, "image"),
        (NOISE, "Label map", {}, "labels"),
        (NOISE, "Masked image", {}, "image"),
        (BLOBS, "Denoised image", {"categories": ("Segmentation",)}, "image"),
        (BLOBS, "Output image", {"categories": ("Segmentation",)}, "labels"),
        (BLOBS, "Output image", {"name": "Watershed"}, "labels"),
        (BLOBS, "Output image", {}, "image"),
        (BLOBS.astype("i4"), "Output image", {}, "labels"),
        (BLOBS > 0, "Output image", {}, "labels"),
        ((BLOBS > 0) * np.uint8(255), "Output image", {}, "labels"),
        (np.full((9, 9), 5, "u1"), "Output image", {}, "image"),
        (NOISE / 7, "Probability of labels", {}, "image"),
        (NOISE / 7, "Labels", {}, "image"),
        (BLOBS.astype("f4"), "Labels", {}, "labels"),
        (BLOBS.astype("f4"), "Output image", {}, "image"),
        (np.stack([BLOBS] * 3, -1).astype("u1"), "Label overlay", {}, "image"),
    ],
)
def test_the_kind_is_told_by_hints_then_data(tmp_path, data, label, tool, expected):
    result = loaded(tmp_path, data, label=label, **tool)
    assert result.kind == expected
    Layer.create(*result.as_layer_data_tuple())


def test_the_person_has_the_last_word(tmp_path):
    assert loaded(tmp_path, BLOBS, kind=LayerKind.LABELS, override=LayerKind.IMAGE).kind == "image"
    assert loaded(tmp_path, NOISE, override=LayerKind.LABELS).kind == "labels"


def test_whole_floats_become_labels_with_a_word(tmp_path):
    result = loaded(tmp_path, BLOBS.astype("f8"), kind=LayerKind.LABELS)
    assert result.data.dtype == np.uint16
    np.testing.assert_array_equal(result.data, BLOBS)
    assert any("whole numbers" in note for note in result.notes)


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf, 1e300])
def test_fractions_are_no_labels(tmp_path, value):
    data = BLOBS.astype("f8")
    data[0, 0] = value
    with pytest.raises(OutputError, match="labels"):
        loaded(tmp_path, data, kind=LayerKind.LABELS)


def test_colours_are_no_labels(tmp_path):
    with pytest.raises(OutputError, match="declared as labels"):
        loaded(tmp_path, np.zeros((9, 9, 3), "u1"), kind=LayerKind.LABELS)


def test_an_image_is_no_table(tmp_path):
    with pytest.raises(OutputError, match="declared as points"):
        loaded(tmp_path, NOISE, kind=LayerKind.POINTS)


def test_names_say_output_and_tool(tmp_path):
    assert loaded(tmp_path, NOISE, label="Smooth").attributes["name"] == "Smooth [Copy]"
    galaxy = loaded(tmp_path, NOISE, name="out", label="${tool.name} on ${on_string}")
    assert galaxy.attributes["name"] == "out [Copy]"


def test_planar_rgb_and_other_samples(tmp_path):
    path = tmp_path / "o.tif"
    data = RNG.integers(0, 255, (3, 20, 30)).astype("u1")
    tifffile.imwrite(path, data, photometric="rgb", planarconfig="separate")
    result = load(collected(path, "tiff"), DataOutput(name="o"), make_tool(), inputs={})
    assert result.attributes["rgb"] is True
    np.testing.assert_array_equal(np.asarray(result.data), np.moveaxis(data, 0, -1))
    tifffile.imwrite(
        path, np.zeros((20, 30, 2), "u1"), photometric="minisblack", planarconfig="contig"
    )
    result = load(
        collected(path, "tiff"), DataOutput(name="o", kind=LayerKind.IMAGE), make_tool(), inputs={}
    )
    assert result.attributes["rgb"] is False
    assert result.data.shape == (20, 30, 2)
    assert result.attributes["axis_labels"] == ("y", "x", "c")


# -- not as declared ---------------------------------------------------------------


def trouble(path: Path, fmt: str = "tiff") -> OutputError:
    output = DataOutput(name="o", label="Result", format=fmt)
    with pytest.raises(OutputError) as caught:
        load(collected(path, fmt), output, make_tool(), inputs={})
    assert "“Result” of Copy" in caught.value.message
    return caught.value


def test_missing_and_empty(tmp_path):
    assert "not written" in str(trouble(tmp_path / "none.tif"))
    (tmp_path / "empty.tif").touch()
    assert "is empty" in str(trouble(tmp_path / "empty.tif"))
    (tmp_path / "empty.zarr").mkdir()
    assert "is empty" in str(trouble(tmp_path / "empty.zarr", "zarr"))


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("keep", [0.999, 0.5, 0.02])
def test_truncated_tiff(tmp_path, compression, keep):
    path = tmp_path / "t.tif"
    tifffile.imwrite(
        path, RNG.integers(0, 60_000, (6, 64, 64)).astype("u2"), compression=compression
    )
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    assert "t.tif" in str(trouble(path))


def test_an_image_in_one_piece_is_found_without_its_pages(tmp_path, monkeypatch):
    path = tmp_path / "t.tif"
    tifffile.imwrite(path, np.zeros((300, 8, 8), "u2"), metadata={"axes": "TYX"})
    looked: list[int] = []
    frame = tifffile.tifffile.TiffFrame.__init__

    def counted(self, *args, **more):
        looked.append(1)
        frame(self, *args, **more)

    monkeypatch.setattr(tifffile.tifffile.TiffFrame, "__init__", counted)
    assert read_file(path, FORMATS["tiff"], name="o", root=tmp_path).pixels.shape == (300, 8, 8)
    assert len(looked) < 10, "tifffile itself looks at the second"


def test_damaged_compressed_tiff(tmp_path):
    path = tmp_path / "t.tif"
    tifffile.imwrite(path, RNG.integers(0, 9, (64, 64)).astype("u2"), compression="zlib")
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages[0].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[offset : offset + 64] = bytes(64)
    path.write_bytes(content)
    assert "cannot be read" in str(trouble(path))


def test_text_instead_of_an_image(tmp_path):
    path = tmp_path / "t.tif"
    path.write_text("Error: no licence found\n")
    assert "is no TIFF file" in str(trouble(path))


def test_another_picture_than_declared(tmp_path):
    from PIL import Image as Picture

    Picture.fromarray(np.zeros((9, 9), "u1")).save(tmp_path / "o.dat", "PNG")
    error = trouble(tmp_path / "o.dat", "tiff")
    assert "declared as tiff" in str(error)
    assert "is PNG" in str(error)
    assert error.hint


def test_an_image_instead_of_a_table(tmp_path):
    tifffile.imwrite(tmp_path / "o.csv", NOISE)
    assert "is TIFF" in str(trouble(tmp_path / "o.csv", "csv"))


@pytest.mark.parametrize("fmt", ["txt", "html", "zip", "json", "pdf"])
def test_what_is_no_layer_is_a_file(tmp_path, fmt):
    path = tmp_path / f"o.{fmt}"
    path.write_text("words")
    result = load(collected(path, fmt), DataOutput(name="o"), make_tool(), inputs={})
    assert result.kind is LayerKind.ANY
    assert result.data == path


@pytest.mark.parametrize("fmt", ["auto", "data", "", "unheardof"])
def test_formats_that_say_nothing_are_found_out(tmp_path, fmt):
    tifffile.imwrite(tmp_path / "o.dat", NOISE)
    result = load(collected(tmp_path / "o.dat", fmt), DataOutput(name="o"), make_tool(), inputs={})
    np.testing.assert_array_equal(np.asarray(result.data), NOISE)


def test_entities_in_ome_metadata_are_not_expanded(tmp_path):
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa">]><OME><Image><Pixels>&a;</Pixels></Image></OME>'
    path = tmp_path / "o.ome.tif"
    tifffile.imwrite(path, NOISE, description=f'<?xml version="1.0"?>{bomb}', metadata=None)
    result = load(
        collected(path, "tiff"), DataOutput(name="o", kind=LayerKind.IMAGE), make_tool(), inputs={}
    )
    np.testing.assert_array_equal(np.asarray(result.data), NOISE)


# -- real outputs ------------------------------------------------------------------


def corpus_files() -> list[Path]:
    if CORPUS is None:
        return []
    wanted = (".tiff", ".tif", ".png", ".jpg", ".tsv", ".tabular", ".geojson")
    return sorted(p for p in CORPUS.rglob("test-data/**/*") if p.suffix in wanted and p.is_file())


@pytest.mark.skipif(CORPUS is None, reason=NO_CORPUS)
def test_every_file_of_the_corpus_opens(tmp_path):
    inputs = {"image": snapshot(Image(np.zeros((16, 16)), scale=(2, 2)))}
    failed = {}
    for path in corpus_files():
        fmt = path.suffix[1:]
        try:
            result = load(collected(path, fmt), DataOutput(name="o"), make_tool(), inputs=inputs)
            if result.kind is not LayerKind.TABLE:
                Layer.create(*result.as_layer_data_tuple())
        except OutputError as error:
            failed[path.name] = str(error)
    assert failed == {}


@pytest.mark.parametrize(
    ("shape", "given", "planar", "rgb"),
    [
        ((3, 20, 30), (3, 20, 30), True, False),  # as a plain writer marks a stack of three
        ((4, 20, 30), (4, 20, 30), True, False),
        ((2, 3, 20, 30), (2, 3, 20, 30), True, False),
        ((3, 20, 30), (5, 20, 30), True, True),
        ((3, 20, 30), (20, 30), True, True),
        ((20, 30, 3), (3, 20, 30), False, True),  # a picture that somebody painted
    ],
)
def test_planes_are_a_colour_when_no_such_stack_went_in(tmp_path, shape, given, planar, rgb):
    data = RNG.integers(0, 255, shape).astype("u1")
    path = tmp_path / "o.tiff"
    options = {"planarconfig": "separate"} if planar else {}
    tifffile.imwrite(path, data, photometric="rgb", **options)
    place = {"scale": (2.0,) * len(given)}
    image = snapshot((np.zeros(given, "u1"), place, "image"), "i")
    output = DataOutput(name="o", format="tiff")
    result = load(collected(path, "tiff"), output, make_tool(), inputs={"i": image})
    assert result.attributes["rgb"] is rgb
    if not rgb:
        np.testing.assert_array_equal(np.asarray(result.data), data)
        assert result.attributes["scale"] == place["scale"]
    Layer.create(*result.as_layer_data_tuple())


def test_a_surface_does_not_move_the_slider_off_the_slices(tmp_path):
    box = np.array([[z, y, x] for z in (-0.5, 2.5) for y in (1, 3.5) for x in (-0.5, 3)])
    faces = "".join(f"f {a} {b} {c}\n" for a, b, c in [(1, 2, 3), (5, 6, 7), (4, 5, 8)])
    rows = "".join(f"v {z} {y} {x}\n" for z, y, x in box)
    (tmp_path / "o.obj").write_text(rows + faces)
    viewer = ViewerModel()
    image = viewer.add_labels(np.ones((4, 8, 8), np.uint8), scale=(2, 0.5, 0.5))
    before = viewer.dims.range
    output = DataOutput(name="o", format="obj")
    inputs = {"i": snapshot(image)}
    loaded = load(collected(tmp_path / "o.obj", "obj"), output, make_tool(), inputs=inputs)
    viewer.add_layer(Layer.create(*loaded.as_layer_data_tuple()))
    for axis, old in zip(viewer.dims.range, before, strict=True):
        assert axis.step == old.step
        assert axis.start % axis.step == 0
    vertices, triangles, *_ = viewer.layers[1].data
    np.testing.assert_array_equal(vertices[: len(box)], box)
    assert triangles.max() < len(box)


def test_labels_that_a_float_does_not_hold_are_told(tmp_path):
    tifffile.imwrite(tmp_path / "o.tif", np.full((4, 4), 2**24, np.float32))
    loaded = loaded_labels(tmp_path)
    assert "may have been rounded" in " ".join(loaded.notes)
    tifffile.imwrite(tmp_path / "o.tif", np.full((4, 4), 2**24, np.float64))
    assert "rounded" not in " ".join(loaded_labels(tmp_path).notes)


def loaded_labels(tmp_path):
    output = DataOutput(name="o", format="imagetiff", kind=LayerKind.LABELS)
    return load(collected(tmp_path / "o.tif", "imagetiff"), output, make_tool(), inputs={})


@pytest.mark.parametrize(
    ("data", "label", "expected"),
    [
        (BLOBS, "Output image", "labels"),
        (BLOBS, "Distances", "image"),
        (NOISE, "Output image", "image"),
        (NOISE / 7, "Output image", "image"),
    ],
)
def test_whole_numbers_of_objects_that_went_in_are_objects(tmp_path, data, label, expected):
    tifffile.imwrite(tmp_path / "o.tiff", data)
    output = DataOutput(name="o", label=label, format="tiff", reference="i")
    inputs = {"i": snapshot(Labels(BLOBS))}
    file = collected(tmp_path / "o.tiff", "tiff")
    assert load(file, output, make_tool(), inputs=inputs).kind == expected
    as_image = load(file, output, make_tool(), inputs=inputs, kind=LayerKind.IMAGE)
    assert as_image.kind == "image"


@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
def test_corners_without_a_place_are_left_out_with_a_word(tmp_path, bad):
    head = "ply\nformat ascii 1.0\nelement vertex 5\n"
    head += "".join(f"property double {name}\n" for name in ("x", "y", "z", "value"))
    head += "element face 2\nproperty list uchar int vertex_indices\nend_header\n"
    rows = f"{bad} 0 0 9\n0 0 0 1\n1 0 0 2\n0 1 0 3\n0 0 1 4\n3 0 1 2\n3 2 3 4\n"
    (tmp_path / "o.ply").write_text(head + rows)
    output = DataOutput(name="o", format="ply")
    result = load(collected(tmp_path / "o.ply", "ply"), output, make_tool(), inputs={})
    vertices, faces, values = result.data
    assert np.isfinite(vertices).all()
    assert faces.tolist() == [[1, 2, 3]]
    assert values.tolist() == [1, 2, 3, 4]
    assert any("left out: 1 of 5; triangles that had them: 1." in note for note in result.notes)
