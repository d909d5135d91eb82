"""Values that come back, presets, and presets as files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from widget_tools import IMAGE, METHOD, REPEAT, SIGMA, tool_of

from napari_tool_runner.tools.model import FloatParameter
from napari_tool_runner.widgets.forms.preset_menu import PresetMenu
from napari_tool_runner.widgets.forms.presets import Preset, PresetError, PresetStore, plain_values

TOOL = tool_of(IMAGE, SIGMA, METHOD, REPEAT)


@pytest.fixture
def store(tmp_path) -> PresetStore:
    return PresetStore(tmp_path / "presets")


def test_layers_are_stored_by_name_and_paths_as_text(model_viewer, cells):
    layer = model_viewer.add_image(cells, name="cells")
    values = {"a": layer, "b": [layer, Path("x") / "y.tif"], "c": {"d": ("e",)}}
    assert plain_values(values) == {
        "a": "cells",
        "b": ["cells", str(Path("x") / "y.tif")],
        "c": {"d": ["e"]},
    }


def test_last_values_belong_to_a_version(store):
    store.keep_last(TOOL, {"sigma": 3})
    assert store.last(TOOL).values == {"sigma": 3}
    assert store.last(replace(TOOL, version="2.0")) is None
    assert store.names(TOOL) == []


@given(name=st.text(min_size=1, max_size=200), tool_id=st.text(min_size=1, max_size=200))
def test_any_name_is_a_file_name(tmp_path_factory, name, tool_id):
    store = PresetStore(tmp_path_factory.mktemp("presets"))
    tool = replace(TOOL, id=tool_id)
    store.save(tool, name, {"sigma": 1})
    assert store.load(tool, name).name == name
    inside = list(store.folder.rglob("*.json"))
    assert len(inside) == 1


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"values": 3}', "\x00"])
def test_what_is_no_preset_is_told(store, tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(PresetError, match="preset"):
        store.read(path)


def test_an_unwritable_place_is_told(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(PresetError, match="cannot be written"):
        PresetStore(blocked).save(TOOL, "a", {})


def test_a_preset_of_another_version_is_read_and_the_difference_told(form, store, model_viewer):
    widget = form(TOOL)
    menu = PresetMenu(TOOL, widget, store, widget)
    told: list[str] = []
    menu.told.connect(lambda text, _: told.append(text))
    menu.apply(
        Preset("old", "small", "0.9", {"sigma": 4, "gone": 1, "cond": {"method": "manual"}})
    )
    assert widget.values()["sigma"] == 4.0
    assert widget.values()["cond"]["method"] == "manual"
    assert "0.9" in told[0]
    assert "gone" in told[0]


def test_save_load_share(form, store, model_viewer, cells, tmp_path):
    layer = model_viewer.add_image(cells, name="cells")
    widget = form(TOOL)
    menu = PresetMenu(TOOL, widget, store, widget)
    widget.set_values({"sigma": 7, "filters": [{"low": 1}, {"low": 2}]})
    menu.save("my preset")
    assert store.names(TOOL) == ["my preset"]
    assert "image" not in store.load(TOOL, "my preset").values, "it is for other data, too"
    shared = tmp_path / "shared.json"
    menu.export_file(shared)
    data = json.loads(shared.read_text())
    assert "image" not in data["values"]
    assert data["tool"] == "small"
    menu.reset_action.trigger()
    assert widget.values()["sigma"] == 2.0
    menu.import_file(shared)
    assert widget.values()["sigma"] == 7.0
    assert [entry["low"] for entry in widget.values()["filters"]] == [1.0, 2.0]
    assert widget.values()["image"] is layer
    menu._fill()
    (action, *_) = menu.presets_menu.actions()
    menu.reset_action.trigger()
    action.trigger()
    assert widget.values()["sigma"] == 7.0


@pytest.mark.parametrize("there", [0.5, None])
def test_a_length_comes_back_as_what_it_was(qtbot, form, store, model_viewer, tmp_path, there):
    """From a preset, a file to share, and the last values; on a picture of another unit."""
    tool = tool_of(IMAGE, FloatParameter(name="d", default=10.0, unit="µm or px"))
    sized = {"units": ("um", "um"), "scale": (0.5, 0.5)}
    first = model_viewer.add_image(np.zeros((8, 8)), **(sized if there else {}))
    widget = form(tool)
    menu = PresetMenu(tool, widget, store, widget)
    widget.set_values({"image": first, "d": 8.0})
    menu.save("mine")
    menu.export_file(tmp_path / "shared.json")
    menu.keep_last(widget.values(), {})
    told = json.loads((tmp_path / "shared.json").read_text())["pixel_size"]
    assert told == ({axis: [0.5, "micrometer"] for axis in "YX"} if there else {})
    qtbot.waitUntil(lambda: store.last(tool) is not None, timeout=60_000)
    first.name = "gone"  # a preset names its layer
    model_viewer.layers.clear()
    other = model_viewer.add_image(np.zeros((8, 8)), **({} if there else sized))
    for fill in (
        lambda: menu.apply(store.load(tool, "mine")),
        lambda: menu.import_file(tmp_path / "shared.json"),
        menu.restore_last,
    ):
        widget.reset()
        fill()
        widget.set_values({"image": other})
        unit = "8 µm before, now 16 px" if there else "8 px before, now 4 µm"
        assert widget.row("d").message().startswith(unit)
        assert widget.values()["d"] == (16 if there else 4)


@pytest.mark.parametrize(
    "told", [3, {"X": 1}, {"X": [1]}, {"X": ["a", "um"]}, {"X": [0, "um"]}, {"X": [1e99, "um"]}]
)
def test_a_pixel_size_that_is_none_is_not_known(store, tmp_path, told):
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"values": {}, "pixel_size": told}))
    assert store.read(path).sizes is None


def test_the_values_of_a_run_come_back_with_the_names_of_then(
    qtbot, form, store, model_viewer, cells
):
    layer = model_viewer.add_image(cells, name="cells")
    widget = form(TOOL)
    menu = PresetMenu(TOOL, widget, store, widget)
    menu.keep_last({"image": layer, "sigma": 5}, {})
    layer.name = "renamed"
    qtbot.waitUntil(lambda: store.last(TOOL) is not None, timeout=60_000)
    assert store.last(TOOL).values == {"image": "cells", "sigma": 5}
    menu.restore_last()
    assert widget.values()["sigma"] == 5.0


def test_a_run_goes_on_where_its_values_cannot_be_kept(
    qtbot, form, tmp_path, model_viewer, caplog
):
    blocked = tmp_path / "file"
    blocked.write_text("")
    widget = form(TOOL)
    PresetMenu(TOOL, widget, PresetStore(blocked), widget).keep_last({"sigma": 5}, {})
    qtbot.waitUntil(lambda: "cannot be written" in caplog.text, timeout=60_000)


def test_values_from_a_script_fill_the_form(form, model_viewer):
    layer = model_viewer.add_image(np.zeros((8, 8)), name="a")
    model_viewer.add_image(np.zeros((8, 8)), name="b")
    widget = form(TOOL)
    widget.set_values({"image": "a"})
    assert widget.values()["image"] is layer
