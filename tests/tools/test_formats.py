from __future__ import annotations

import json
from pathlib import Path

import pytest
from tools_helpers import render, written

from napari_tool_runner.config import load_config
from napari_tool_runner.errors import ConfigError
from napari_tool_runner.tools import find_tool, load_toolbox
from napari_tool_runner.tools.formats import FORMATS, Format, read_formats_file, split_formats
from napari_tool_runner.tools.model import LayerKind


@pytest.mark.parametrize(
    ("name", "extension", "kind"),
    [
        ("imagetiff", ".tif", LayerKind.IMAGE),
        ("movietxt", ".txt", LayerKind.IMAGE),
        ("tablecsv", ".csv", LayerKind.TABLE),
        ("arraycsv", ".csv", LayerKind.TABLE),
        ("numbercsv", ".csv", LayerKind.TABLE),
        ("trackmatemodel", ".xml", LayerKind.TRACKS),
        ("imagezarr", ".zarr", LayerKind.IMAGE),
        ("raw", "", LayerKind.ANY),
        ("json", ".json", LayerKind.ANY),
        ("geojson", ".geojson", LayerKind.SHAPES),
    ],
)
def test_known(name: str, extension: str, kind: LayerKind) -> None:
    info = FORMATS.resolve(name)
    assert FORMATS.get(name.upper()) == info
    assert (info.extension, info.kinds[0]) == (extension, kind)
    assert info.directory is (name == "imagezarr")
    assert info in FORMATS.values()


def test_unknown_formats_get_their_name_as_extension() -> None:
    assert FORMATS.get("own") is None
    assert FORMATS.resolve("OWN") == Format("own", ".own")
    assert FORMATS.resolve("../../x").extension == ""
    assert FORMATS.resolve("a/b").extension == ""


def test_lists() -> None:
    assert split_formats(" imagetiff, PNG tif ") == ("imagetiff", "png", "tif")
    assert split_formats("") == ()


def test_formats_json_adds_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "formats.json"
    rows = [
        {"name": "imagetiff", "extension": "tiff", "reader": "imagetiff", "viewer": "napari"},
        {"name": "lif", "extension": "lif", "reader": "none", "viewer": "napari"},
        {"name": "sheet", "extension": "xlsx", "viewer": "table"},
        {"name": "bioformat", "extension": "any", "viewer": "none"},
    ]
    path.write_text(json.dumps({"formats": rows}))
    known = FORMATS.extended(read_formats_file(path))
    assert known.resolve("imagetiff").extension == ".tiff"
    assert known.resolve("imagetiff").kinds[0] is LayerKind.IMAGE
    assert known.resolve("lif").kinds[0] is LayerKind.IMAGE
    assert known.resolve("sheet").kinds[0] is LayerKind.TABLE
    assert known.resolve("bioformat").extension == ""
    # written as files of that extension are, whatever the name says
    assert known["imagetiff"].carrier is FORMATS["tiff"].carrier
    path.write_text('[{"name": "imagetiff", "extension": "npy"}]')
    assert FORMATS.extended(read_formats_file(path))["imagetiff"].carrier is FORMATS["npy"].carrier


def test_the_configs_formats_decide_the_extension_of_outputs(tmp_path: Path) -> None:
    path = tmp_path / "formats.json"
    path.write_text('{"formats": [{"name": "ours", "extension": "dat"}]}')
    config = {"formats": {"file": str(path)}}
    tool = written(
        tmp_path, '<command>t ${o}</command><outputs><data name="o" format="ours"/></outputs>'
    )
    assert render(tool).outputs[0].path.name == "o.ours"
    for ref in (tool, tool.uri):
        assert render(find_tool(ref, config=config)).outputs[0].path.name == "o.dat"
    assert render(find_tool(tool)).outputs[0].path.name == "o.ours"
    box = load_toolbox(
        config | {"process": {"xml_dirs": [str(tmp_path)]}}, cache_dir=tmp_path / "cache"
    )
    assert render(box["t"]).outputs[0].path.name == "o.dat"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        "{}",
        '{"formats": [{"extension": "x"}]}',
        "5",
        '[{"name": 5}]',
        '[{"name": "a", "extension": ["x"]}]',
        '[{"name": "a", "viewer": 1}]',
    ],
)
def test_broken_formats_json(tmp_path: Path, text: str) -> None:
    path = tmp_path / "formats.json"
    with pytest.raises(ConfigError, match="cannot be read"):
        read_formats_file(path)
    path.write_text(text)
    with pytest.raises(ConfigError, match="no table of formats"):
        read_formats_file(path)


def test_slips_in_formats_json_are_notes(tmp_path: Path) -> None:
    path = tmp_path / "formats.json"
    rows: list[object] = [
        {"name": "labtiff", "extention": "tif", "viewer": "napri"},
        {"name": "lif", "extension": "lif", "reader": "none", "viewer": "napari"},
    ]
    path.write_text(json.dumps({"formats": rows}))
    config = load_config({"formats": {"file": str(path)}})
    assert [note.replace(str(path), "FILE") for note in config.notes] == [
        "“extention” of the format “labtiff” in FILE is not known and not used.",
        "The “extension” of the format “labtiff” in FILE is missing: its files have none.",
        "The viewer “napri” of the format “labtiff” in FILE is not known: napari, table or none.",
    ]
    for text in ("", "5", "[1]", json.dumps(rows[1:])):  # what is wrong is told when it is read
        path.write_text(text)
        assert load_config({"formats": {"file": str(path)}}).notes == ()


# -- where three tables disagreed --------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "extension", "kinds"),
    [
        # Galaxy's own name for it; a plain .tsv is a tsv
        ("tabular", ".tabular", "table points tracks shapes vectors"),
        ("tsv", ".tsv", "table points tracks shapes vectors"),
        ("csv", ".csv", "table points tracks shapes vectors"),
        # eight bits without loss: labels fit, as in PNG
        ("bmp", ".bmp", "image labels"),
        # its palette comes back as colours
        ("gif", ".gif", "image"),
        # frames are TIFF files
        ("movietxt", ".txt", "image labels"),
        # read, never written
        ("trackmatemodel", ".xml", "tracks"),
        # text that may be a table; nothing is written as it
        ("txt", ".txt", "any table"),
        # an image.tif says nothing of OME
        ("ome.tiff", ".ome.tiff", "image labels"),
    ],
)
def test_one_answer_for_every_format(name: str, extension: str, kinds: str) -> None:
    entry = FORMATS[name]
    assert (entry.extension, " ".join(entry.kinds)) == (extension, kinds)


def test_what_is_written_as_what() -> None:
    def written(*names: str) -> set[str]:
        return {
            kind.value
            for name in names
            for kind in LayerKind
            if FORMATS[name].rank(kind) is not None
        }

    assert written("bmp", "movietxt", "png") == {"image", "labels"}
    assert written("gif", "jpg") == {"image"}
    assert written("trackmatemodel", "txt", "nrrd", "parquet") == set()


@pytest.mark.parametrize(
    ("names", "file", "accepted"),
    [
        ("tiff", "a.ome.tif", "tiff"),
        ("ome.tiff", "a.tif", None),
        ("txt", "a.csv", "csv"),  # a table is text
        ("csv", "a.txt", None),
        ("binary,tiff", "a.png", "png"),
        ("", "a.lif", "lif"),
        ("raw", "a.own", "own"),
        ("own", "A.OWN", "own"),
        ("ome_zarr", "a.zarr", "ome_zarr"),
        ("imagetiff", "a.TIF", "imagetiff"),
        ("geojson", "a.json", "geojson"),
        ("json", "a.geojson", "geojson"),
    ],
)
def test_files_are_accepted_by_extension_and_kin(
    names: str, file: str, accepted: str | None
) -> None:
    assert FORMATS.accepted(split_formats(names), file) == accepted


def test_one_extension_of_several_formats() -> None:
    first = {f: FORMATS.of_file(f)[0].name for f in ("a.tif", "a.csv", "a.xml", "a.json", "a.txt")}
    assert first == {
        "a.tif": "tif", "a.csv": "csv", "a.xml": "xml", "a.json": "json", "a.txt": "txt",
    }  # fmt: skip
    assert FORMATS.of_file("noname") == []
