from __future__ import annotations

import json
from pathlib import Path

import pytest
from tools_helpers import render, written

from napari_tool_runner.errors import ConfigError
from napari_tool_runner.tools import formats, load_toolbox
from napari_tool_runner.tools.formats import (
    FormatInfo,
    find_format,
    format_info,
    known_formats,
    register_formats_file,
    split_formats,
)
from napari_tool_runner.tools.model import LayerKind


@pytest.fixture(autouse=True)
def _own_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "_formats", dict(formats._formats))


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
    info = format_info(name)
    assert find_format(name.upper()) == info
    assert (info.extension, info.kinds[0]) == (extension, kind)
    assert info.directory is (name == "imagezarr")
    assert info in known_formats()


def test_unknown_formats_get_their_name_as_extension() -> None:
    assert find_format("lsm") is None
    assert format_info("LSM") == FormatInfo("lsm", ".lsm")
    assert format_info("../../x").extension == ""
    assert format_info("a/b").extension == ""


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
    register_formats_file(path)
    assert format_info("imagetiff").extension == ".tiff"
    assert format_info("imagetiff").kinds[0] is LayerKind.IMAGE
    assert format_info("lif").kinds[0] is LayerKind.IMAGE
    assert format_info("sheet").kinds[0] is LayerKind.TABLE
    assert format_info("bioformat").extension == ""


def test_the_configs_formats_decide_the_extension_of_outputs(tmp_path: Path) -> None:
    path = tmp_path / "formats.json"
    path.write_text('{"formats": [{"name": "ours", "extension": "dat"}]}')
    load_toolbox({"formats": {"file": str(path)}}, cache_dir=tmp_path / "cache")
    tool = written(
        tmp_path, '<command>t ${o}</command><outputs><data name="o" format="ours"/></outputs>'
    )
    assert render(tool).outputs[0].path.name == "o.dat"


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"formats": [{"extension": "x"}]}', "5"])
def test_broken_formats_json(tmp_path: Path, text: str) -> None:
    path = tmp_path / "formats.json"
    with pytest.raises(ConfigError, match="cannot be read"):
        register_formats_file(path)
    path.write_text(text)
    with pytest.raises(ConfigError, match="no table of formats"):
        register_formats_file(path)
