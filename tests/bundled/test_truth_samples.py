"""What scikit-image ships and samples that people know: the same numbers both ways.

By path, and as the layer that napari opens. Tools work on the middle of large images; with
NTR_WHOLE=1 (``./dev truth``) on all of each.
"""

from __future__ import annotations

import os
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import skimage
import tifffile
from napari.layers import Layer
from napari.layers._source import layer_source
from napari_builtins._skimage_data import SKIMAGE_DATA, _load_skimage_data
from PIL import Image

from bundled import public_samples
from bundled.both_ways import (
    TEN,
    cropped,
    differences,
    handed,
    numbers,
    opened,
    parameter,
    same,
    seen,
)
from napari_tool_runner.errors import LossyConversionError
from napari_tool_runner.exchange import export, snapshot, with_known_axes
from napari_tool_runner.tools.model import DataParameter
from support import CORPUS, NO_CORPUS

SIDE = 1_000_000 if os.environ.get("NTR_WHOLE") else 64
ENDINGS = {".tif", ".tiff", ".png", ".jpg", ".gif", ".bmp", ".npy"}
SHIPPED = Path(skimage.__file__).parent / "data"
FILES = [path for path in sorted(SHIPPED.iterdir()) if path.suffix in ENDINGS]
SAMPLES = public_samples.SAMPLES | public_samples.PICTURES
A_PART = {"companion.ome.tif", "moving.webp"}  # napari opens the first plane


def otherwise(path: Path, folder: Path) -> list[str]:
    """Say which tools tell apart a file and the layer that napari's own reader makes of it."""
    both = [
        cropped(handed(value, folder / name), SIDE)
        for name, value in (("file", path), ("layer", opened(path)))
    ]
    wrong = []
    for tool in TEN:
        one, other = (numbers(tool, image, folder / f"{tool}{i}") for i, image in enumerate(both))
        if one[1] != other[1] or differences(one[0], other[0]):
            wrong.append(f"{path.name}: {tool}: {one[1]!r} {other[1]!r}")
    return wrong


def test_scikit_image_ships_many() -> None:
    assert len(FILES) >= 28


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_scikit_image_ships(tmp_path: Path, path: Path) -> None:
    assert same(path, tmp_path / "whole") == ""
    assert otherwise(path, tmp_path) == []


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_that_people_know(tmp_path: Path, name: str) -> None:
    write, axes, sizes = SAMPLES[name]
    write(tmp_path / name)
    values, found, told = seen(handed(tmp_path / name, tmp_path / "truth"))
    assert values.any()
    assert found == axes
    steps = {key[-1]: told[key] for key in told if key in {f"PhysicalSize{a}" for a in "XYZ"}}
    assert steps == pytest.approx(sizes, rel=1e-4)
    if name not in A_PART:
        assert same(tmp_path / name, tmp_path / "whole") == ""
        assert otherwise(tmp_path / name, tmp_path) == []


NAMES = {"clock": "clock_motion", "colorwheel": "color", "immunohistochemistry": "ihc"}


def test_samples_that_napari_shows_are_their_files(tmp_path: Path) -> None:
    compared = 0
    for name in SKIMAGE_DATA:  # of a horse it shows a mask of the colours
        of = NAMES.get(name, name)
        path = next((one for one in FILES if one.stem == of and of != "horse"), None)
        if path is not None:
            (data, *more), *_ = _load_skimage_data(name)
            with layer_source(sample=("napari", name)):
                shown = seen(handed(Layer.create(data, *more), tmp_path / name))
            held = seen(handed(path, tmp_path / f"{name}-file"))
            assert shown[1:] == held[1:], name
            np.testing.assert_array_equal(shown[0], held[0], name)
            compared += 1
    assert compared > 15


@pytest.mark.skipif(CORPUS is None, reason=NO_CORPUS)
def test_every_image_of_a_folder(tmp_path: Path) -> None:
    assert CORPUS is not None
    paths = [p for p in sorted(CORPUS.rglob("*")) if p.suffix in ENDINGS and p.is_file()]
    paths = [p for p in paths if p.stat().st_size < (20e6 if SIDE > 64 else 2e4)]
    paths = [*{p.read_bytes(): p for p in paths}.values()]
    wrong = [said for i, p in enumerate(paths) if (said := same(p, tmp_path / str(i)))]
    wrong += [said for i, p in enumerate(paths) for said in otherwise(p, tmp_path / f"t{i}")]
    assert wrong == []


def notes(path: Path, folder: Path) -> str:
    snap = with_known_axes(snapshot(opened(path)))
    return " ".join(export(snap, parameter("gaussian_filter"), folder).notes)


def test_values_that_napari_changed_are_those_of_the_file(tmp_path: Path) -> None:
    said = notes(SHIPPED / "chessboard_RGB.png", tmp_path)
    assert "holds uint8; the tool is given the uint16 of its file" in said


def test_values_that_were_changed_since_are_told(tmp_path: Path) -> None:
    layer = opened(SHIPPED / "chessboard_RGB.png")
    layer.data[0, 0] += 1
    found = export(with_known_axes(snapshot(layer)), parameter("gaussian_filter"), tmp_path)
    assert any("holds uint8, its file uint16" in note for note in found.notes)
    assert seen(found.file.path)[0].dtype == np.uint8


def test_a_layer_that_is_a_part_of_its_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "companion.ome.tif"
    public_samples.companion(path)
    assert "is 40 × 44, its file 3 × 40 × 44 (Z, Y, X): the tool is given the layer" in notes(
        path, tmp_path / "o"
    )
    grey = np.full((40, 44, 2), 9000, np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(grey))
    assert "its file 40 × 44 × 2" in notes(tmp_path / "a.png", tmp_path / "p")


def test_frames_of_a_gif_that_differ_in_transparency(tmp_path: Path) -> None:
    frames = [
        Image.fromarray(public_samples.drawn(3, 40, 44).transpose(1, 2, 0).copy()).quantize(200)
        for _ in range(3)
    ]
    frames[0].save(
        tmp_path / "a.gif", save_all=True, append_images=frames[1:], transparency=7, disposal=2
    )
    values, axes, _ = seen(handed(tmp_path / "a.gif", tmp_path / "o"))
    assert (values.shape, axes) == ((3, 40, 44, 3), "TYXS")


@pytest.mark.parametrize("format_", ["ome.tiff", "tiff"])
def test_numbers_of_64_bits_go_alike(tmp_path: Path, format_: str) -> None:
    public_samples.PICTURES["whole.tif"][0](tmp_path / "a.tif")
    said = []
    for how, value in enumerate((tmp_path / "a.tif", opened(tmp_path / "a.tif"))):
        try:
            given = export(
                with_known_axes(snapshot(value, "a")),
                DataParameter(name="i", formats=(format_,)),
                tmp_path / str(how),
            )
            said.append(str(tifffile.imread(given.file.path).sum()))
        except LossyConversionError as error:
            said.append(error.message)
    assert said[0] == said[1]
