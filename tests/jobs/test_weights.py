"""Tools that fetch weights: where they keep them, and when they have a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import napari_tool_runner as ntr
from napari_tool_runner.jobs.weights import has_network, weights_folder
from napari_tool_runner.plugins.programs.enclosure import enclosure_problem
from napari_tool_runner.storage import user_data
from napari_tool_runner.tools.toolbox.entries import bundled_folder

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.conftest import MakeTool

Config = dict[str, object]
IMAGE = np.arange(60, dtype=np.uint8).reshape(6, 10)
KEEPS = """
import os, shutil, socket, sys
kept = os.environ["MODELS"]
assert os.environ["OTHER_MODELS"] == kept
names = [name for _, name in socket.if_nameindex()]
print("note: found", sorted(os.listdir(kept)), "network" if names != ["lo"] else "no network")
try:
    open(os.path.join(kept, "weights"), "w").close()
except OSError:
    print("note: written nowhere")
shutil.copy(sys.argv[1], sys.argv[2])
"""
FETCH = (
    '<param name="i" type="data" format="imagetiff"/>'
    '<param name="fetch" type="boolean" value="false"/>'
)
ROOT = 'network="fetch" weights="MODELS OTHER_MODELS"'


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.mark.skipif(bool(enclosure_problem()), reason=enclosure_problem())
def test_weights_are_kept_and_written_only_while_fetched(
    make_tool: MakeTool, config: Config
) -> None:
    tool = make_tool(KEEPS, inputs=FETCH, root=ROOT)
    assert not tool.notes
    assert not weights_folder(tool).exists()
    told = [
        ntr.run(tool, i=IMAGE, fetch=fetch, config=config).record["notes"]
        for fetch in (False, True, False)
    ]
    seen = ["Found []", "Found []", "Found ['weights']"]
    for notes, found, fetched in zip(told, seen, (False, True, False), strict=True):
        text = " ".join(notes)
        assert found in text
        assert ("Written nowhere" in text) is not fetched
        assert ("no network" in text) is not fetched


def test_it_may_have_the_network_only_where_that_is_ticked(make_tool: MakeTool) -> None:
    tool = make_tool(KEEPS, inputs=FETCH, root=ROOT)
    assert [has_network(tool, v) for v in ({}, {"fetch": False}, {"fetch": True})] == [
        *(False, False, True)
    ]
    always = make_tool(KEEPS, inputs=FETCH, root='network="true"')
    assert has_network(always, {"fetch": False})


def test_tools_of_one_id_do_not_share_a_folder(make_tool: MakeTool) -> None:
    shipped = ntr.read_tool(bundled_folder() / "stardist_2d")
    assert weights_folder(shipped) == user_data() / "weights" / "stardist_2d"
    other = make_tool(KEEPS, name="stardist_2d")
    assert weights_folder(other) != weights_folder(shipped)


def test_what_no_descriptor_can_ask_for(make_tool: MakeTool) -> None:
    tool = make_tool(KEEPS, inputs=FETCH, root='network="i" weights="PATH LD_PRELOAD HOME A_1"')
    assert (tool.network, tool.network_if, tool.weights) == (False, "", ("A_1",))
    assert [note.what.partition(" ")[0] for note in tool.notes] == ["network=“i”", "weights:"]
