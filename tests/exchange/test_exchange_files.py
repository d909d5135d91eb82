"""Files of the user for tools that take another format, and files that cannot be handed over."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from exchange_helpers import GALAXY, parameter
from napari.layers import Image, Labels, Points

from napari_tool_runner.errors import ExchangeError, UnsupportedLayerError
from napari_tool_runner.exchange import export, plan, snapshot
from napari_tool_runner.exchange.files import place_file, whole_file
from napari_tool_runner.tools.model import LayerKind


def geojson(path: Path, *geometries: tuple[str, object]) -> Path:
    features = [
        {
            "type": "Feature",
            "geometry": {"type": kind, "coordinates": where},
            "properties": {"n": number},
        }
        for number, (kind, where) in enumerate(geometries)
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_a_table_becomes_what_the_tool_takes(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n,word\n1,x\n2,y\n")
    written = export(snapshot(tmp_path / "a.csv"), parameter("tsv"), tmp_path / "in")
    assert written.file.path.read_text() == "n\tword\n1\tx\n2\ty\n"
    assert any("a.csv was converted" in note for note in written.notes)


def test_points_of_a_file_become_a_table(tmp_path: Path) -> None:
    path = geojson(tmp_path / "a.geojson", ("Point", [1, 2]), ("Point", [3, 4]))
    wanted = parameter("tablecsv", kinds=(LayerKind.POINTS,))
    written = export(snapshot(path), wanted, tmp_path / "in")
    header, *rows = written.file.path.read_text().splitlines()
    assert header.split(",") == ["index", "axis-0", "axis-1", "n"]
    assert [[float(cell) for cell in row.split(",")] for row in rows] == [
        [0, 2, 1, 0],
        [1, 4, 3, 1],
    ]


def test_a_mesh_becomes_another(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    written = export(snapshot(tmp_path / "a.obj"), parameter("ply"), tmp_path / "in")
    head = written.file.path.read_bytes()
    assert head.startswith(b"ply\n")
    assert b"element vertex 3" in head
    assert b"element face 1" in head


def test_a_file_without_a_shape_is_refused(tmp_path: Path) -> None:
    path = geojson(tmp_path / "empty.geojson")
    wanted = parameter("tablecsv", kinds=(LayerKind.POINTS,))
    with pytest.raises(UnsupportedLayerError, match=r"empty\.geojson holds no shape"):
        export(snapshot(path), wanted, tmp_path / "in")


@pytest.mark.parametrize(
    ("name", "formats", "hint"),
    [
        ("a.tif", ("png",), "Save it anew"),  # the reason is told
        ("a.unknown", ("png",), "Open it in napari"),
        ("a.tif", ("fasta",), "Choose a file of that format"),
    ],
)
def test_a_file_that_cannot_be_converted(
    tmp_path: Path, name: str, formats: tuple[str, ...], hint: str
) -> None:
    (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(UnsupportedLayerError, match=f"{name} cannot be") as error:
        export(snapshot(tmp_path / name), parameter(*formats), tmp_path / "in")
    assert hint in error.value.hint


def test_a_file_that_went_away(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((3, 4), "uint8"))
    snap = snapshot(path)
    path.unlink()
    with pytest.raises(ExchangeError, match="no longer there"):
        export(snap, parameter("tiff"), tmp_path / "in")


def test_labels_are_asked_for(tmp_path: Path) -> None:
    wanted = parameter("tiff", kinds=(LayerKind.LABELS,))
    with pytest.raises(UnsupportedLayerError, match="holds float64; “Input” takes labels"):
        export(snapshot(Image(np.zeros((3, 4)), name="x")), wanted, tmp_path / "in")
    with pytest.raises(UnsupportedLayerError, match="holds colours"):
        export(snapshot(Image(np.zeros((3, 4, 3), "u1"), rgb=True)), wanted, tmp_path / "in")
    data = np.arange(12, dtype="uint16").reshape(3, 4)
    for number, layer in enumerate((Image(data), Labels(data))):
        written = export(snapshot(layer), wanted, tmp_path / f"in{number}")
        np.testing.assert_array_equal(tifffile.imread(written.file.path), data)


def test_a_number_is_one_number(tmp_path: Path) -> None:
    written = export(snapshot(2.5), parameter("numbercsv"), tmp_path / "in")
    assert float(written.file.path.read_text()) == 2.5
    with pytest.raises(UnsupportedLayerError, match="takes one number; there are 3"):
        export(snapshot({"a": [1, 2, 3]}), parameter("numbercsv"), tmp_path / "in")
    with pytest.raises(UnsupportedLayerError, match="column"):
        export(snapshot({"a": [1], "b": [2]}), parameter("numbercsv"), tmp_path / "in")


def test_points_are_no_image(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedLayerError, match="is a points layer; “Input” takes image"):
        export(snapshot(Points(np.zeros((2, 2)), name="p")), parameter("png"), tmp_path / "in")


# -- placing and cleaning ------------------------------------------------------------


def test_a_folder_is_placed_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "from" / "deep").mkdir(parents=True)
    (tmp_path / "from" / "a").write_text("1")
    (tmp_path / "from" / "deep" / "b").write_text("2")
    place_file(tmp_path / "from", tmp_path / "to")
    assert (tmp_path / "to" / "a").read_text() == "1"
    assert (tmp_path / "to" / "deep" / "b").read_text() == "2"
    assert not (tmp_path / "to").is_symlink()


@pytest.mark.parametrize("there", ["nothing", "taken"])
def test_what_cannot_be_placed_is_told(tmp_path: Path, there: str) -> None:
    source = tmp_path / "from"
    if there == "taken":
        source.mkdir()
        (tmp_path / "to").mkdir()
    with pytest.raises(ExchangeError, match="from cannot be handed to the tool") as error:
        place_file(source, tmp_path / "to")
    assert error.value.hint


@pytest.mark.parametrize("kind", ["file", "movie", "folder"])
@pytest.mark.parametrize("reason", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_half_a_file_is_removed(tmp_path: Path, kind: str, reason: BaseException) -> None:
    path = tmp_path / "half.txt"
    others = tmp_path / "other.txt"
    others.write_text("stays")

    def write() -> None:
        with whole_file(path, "cells"):
            if kind == "folder":
                path.mkdir()
                (path / "chunk").write_text("x")
            else:
                path.write_text("x")
                if kind == "movie":
                    (tmp_path / "half_t0000.tif").write_text("x")
            raise reason

    expected = ExchangeError if isinstance(reason, OSError) else KeyboardInterrupt
    told = "“cells” could not be written" if isinstance(reason, OSError) else ""
    with pytest.raises(expected, match=told):
        write()
    assert list(tmp_path.iterdir()) == [others]


@pytest.mark.parametrize(
    ("name", "text", "formats", "given"),
    [
        ("a.txt", "a\tb\n1\t2\n", ("tabular",), "tabular"),
        ("a.txt", "a title\na\tb\n1\t2\n", ("tabular",), "tabular"),
        ("a.txt", "a\tb\n1\t2\n", ("txt",), "tabular"),
        ("a.txt", "a\tb\n1\t2\n", ("csv",), "csv"),
        ("a.txt", "a\tb\n1\t2\n", ("data",), "tabular"),
        ("a.txt", "some words\n", ("txt",), "txt"),
        ("a.txt", "some words\n", ("tabular",), ""),
        ("a.txt", "a\tb\n1\n1\t2\t3\n", ("tabular",), ""),
        ("a.txt", "", ("tabular",), ""),
    ],
)
def test_a_text_is_what_stands_in_it_to_galaxy(tmp_path, name, text, formats, given):
    (tmp_path / name).write_text(text)
    snap = snapshot(tmp_path / name)
    if not given:
        with pytest.raises(UnsupportedLayerError, match="takes tabular; by its content it is txt"):
            plan(snap, parameter(*formats), GALAXY)
        return
    made = export(snap, parameter(*formats), tmp_path / "in", formats=GALAXY)
    assert made.file.format == given
    wanted = text.replace("\t", ",") if given == "csv" else text
    assert made.file.path.read_text() == wanted


def test_a_text_is_by_its_name_to_others(tmp_path):
    (tmp_path / "a.txt").write_text("a\tb\n1\t2\n")
    with pytest.raises(UnsupportedLayerError):
        plan(snapshot(tmp_path / "a.txt"), parameter("tsv"))
