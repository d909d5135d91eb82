"""Live previews: the newest values win, nothing is left, layers are replaced in place."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_tool_runner.config import load_config
from napari_tool_runner.jobs import (
    Extent,
    LivePreview,
    PreviewLayers,
    history,
    is_preview,
    is_quick,
    job_manager,
    live,
    reclaim,
    reclaimable,
)
from napari_tool_runner.jobs.record import JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.components import ViewerModel

    from napari_tool_runner.jobs import Previewed
    from napari_tool_runner.tools import Tool

TIMES = """
import sys, tifffile
image = tifffile.imread(sys.argv[1])
tifffile.imwrite(sys.argv[2], (image * int(sys.argv[3])).astype(image.dtype))
"""
WAITS = "import sys, time; time.sleep(60 * int(sys.argv[3]))\n" + TIMES
NUMBER = (
    '<param name="i" type="data" format="imagetiff" layer="image" label="Image"/>'
    '<param name="n" type="integer" value="2" label="Factor"/>'
)
CUBE = np.arange(4 * 20 * 24, dtype="u2").reshape(4, 20, 24)


class Watched:
    """A live preview, and what it gave."""

    def __init__(self, tool: Tool, config: object, keep: Callable[[LivePreview], None]) -> None:
        self.given: list[Previewed] = []
        self._rung = threading.Event()
        self._config = config
        self.live = LivePreview(tool, self.given.append, self._rung.set)
        keep(self.live)

    def ask(self, values: dict[str, object], extent: Extent | None = None) -> None:
        self.live.ask(values, config=self._config, extent=extent)

    def rest(self) -> Previewed:
        """Wait until nothing is wanted any more; return what was given last."""
        end = time.monotonic() + 60
        while self.live.working:
            assert self._rung.wait(end - time.monotonic()), "no end was told"
            self._rung.clear()
            self.live.look()
        return self.given[-1]


@pytest.fixture
def watch(config) -> Iterator[Callable[[Tool], Watched]]:
    kept: list[LivePreview] = []
    yield lambda tool: Watched(tool, config, kept.append)
    for one in kept:
        one.stop()


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch) -> None:
    monkeypatch.setattr(live, "_took", {})
    monkeypatch.setattr(live, "_differs", {})


@pytest.fixture
def times(make_tool) -> Tool:
    return make_tool(TIMES, inputs=NUMBER, arguments="${i} ${o} ${n}", name="times")


@pytest.fixture
def viewer() -> ViewerModel:
    components = pytest.importorskip("napari.components")
    return components.ViewerModel()


def pixels(made: Previewed) -> np.ndarray:
    assert made.job is not None
    assert made.job.shown is not None, made.error
    return np.asarray(made.job.shown.outputs["o"].data)


def test_the_newest_values_win_and_what_was_asked_between_is_never_run(times, watch, monkeypatch):
    monkeypatch.setattr(live, "QUICK", 60)  # also on a busy computer
    watched = watch(times)
    for factor in (2, 3, 4, 5):
        watched.ask({"i": CUBE, "n": factor})
    np.testing.assert_array_equal(pixels(watched.rest()), CUBE * 5)
    first, last = watched.given
    np.testing.assert_array_equal(pixels(first), CUBE * 2)
    assert last.job.number == first.job.number + 1


def test_a_run_that_is_not_quick_is_cancelled_for_the_next(make_tool, watch, monkeypatch):
    monkeypatch.setattr(live, "QUICK", 0.05)
    tool = make_tool(WAITS, inputs=NUMBER, arguments="${i} ${o} ${n}", name="waits")
    watched = watch(tool)
    watched.ask({"i": CUBE, "n": 1})
    first = watched.live._job
    watched.ask({"i": CUBE, "n": 0})
    np.testing.assert_array_equal(pixels(watched.rest()), CUBE * 0)
    assert first is not None
    assert first.state is JobState.CANCELLED
    assert len(watched.given) == 1


def test_it_stops_when_it_is_told(make_tool, watch):
    tool = make_tool(WAITS, inputs=NUMBER, arguments="${i} ${o} ${n}", name="waits")
    watched = watch(tool)
    watched.ask({"i": CUBE, "n": 1})
    job = watched.live._job
    assert job is not None
    assert job in job_manager().active  # the end of the session ends it
    watched.live.stop()
    assert job.wait(30)
    assert not watched.live.working
    assert not job.workspace.root.exists()
    assert watched.given == []


def test_nothing_is_left_or_listed(times, watch, config):
    listed = []
    job_manager().submitted.connect(listed.append)
    watched = watch(times)
    watched.ask({"i": CUBE, "n": 3})
    job, folder = watched.live._job, Path(str(config["workspace"]))
    while not job.workspace.root.exists() and not job.wait(0):
        time.sleep(0.001)
    assert list(history(folder)) == []  # nor while it runs
    made = watched.rest()
    job_manager().submitted.disconnect(listed.append)
    assert listed == []
    assert job not in job_manager().jobs
    assert job not in job_manager().active
    assert not [path for path in folder.rglob("*") if path.is_file()]
    assert list(history(folder)) == []
    np.testing.assert_array_equal(pixels(made), CUBE * 3)  # in memory


def test_what_a_killed_session_left_is_cleaned(tmp_path, config):
    for name, age in (("preview-20260101-120000-abcdef", 7200), ("preview-20260101-130000-1", 0)):
        folder = tmp_path / "jobs" / "times" / name
        folder.mkdir(parents=True)
        (folder / "log.txt").write_text("begun")
        os.utime(folder, (time.time() - age,) * 2)
    loaded = load_config(config)
    (item,) = (one for one in reclaimable(loaded) if one.kind == "job")
    assert item.name.endswith("abcdef")
    assert reclaim([item]) == []
    assert [one.name for one in folder.parent.iterdir()] == [folder.name]


def test_a_tool_that_fails_is_told(make_tool, watch):
    watched = watch(make_tool("raise SystemExit('no such thing')", inputs=NUMBER))
    watched.ask({"i": CUBE})
    made = watched.rest()
    assert "no such thing" in str(made.error)
    assert not made.job.workspace.root.exists()


def test_what_cannot_begin_is_told(times, watch):
    watched = watch(times)
    watched.ask({"i": CUBE, "n": "many"})
    assert "Factor" in str(watched.given[-1].error)
    assert not watched.live.working


def test_quick_is_what_was_seen_to_be_quick(times, watch):
    assert not is_quick(times, 10)
    watched = watch(times)
    watched.ask({"i": CUBE, "n": 3})
    watched.rest()
    live._took[times.digest] = (CUBE.size, 0.2)
    assert is_quick(times, CUBE.size)
    assert not is_quick(times, 3 * CUBE.size)


# -- its layers --------------------------------------------------------------------------


def test_layers_are_replaced_in_place_and_nothing_else_changes(times, watch, viewer):
    below = viewer.add_image(CUBE, name="below", scale=(2, 0.5, 0.5), units="um")
    above = viewer.add_image(CUBE[0], name="above")
    viewer.layers.selection = {below}
    viewer.dims.set_point(0, 4.0)
    heard: list[object] = []
    viewer.layers.selection.events.active.connect(heard.append)
    camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
    seen = camera.zoom, tuple(camera.center)
    shown, watched = PreviewLayers(viewer), watch(times)
    part = Extent("current", 2, (2, 0, 0), (None, (5, 15), (4, 20)))

    def preview(factor: int, extent: Extent = part) -> object:
        watched.ask({"i": below, "n": factor}, extent)
        made = watched.rest()
        shown.show(made.job.shown, made.job)
        return shown.layers[0]

    first = preview(3)
    assert [*viewer.layers] == [below, first, above]
    np.testing.assert_array_equal(first.data, 3 * CUBE[2:3, 5:15, 4:20])
    np.testing.assert_array_equal(first.extent.world[0], below.data_to_world((2, 5, 4)))
    assert first.units == below.units
    assert is_preview(first)
    assert not is_preview(below)
    first.opacity = 0.4

    assert preview(4) is first
    np.testing.assert_array_equal(first.data, 4 * CUBE[2:3, 5:15, 4:20])
    moved = Extent("current", 2, (1, 0, 0), (None, (0, 12), (0, 12)))
    assert preview(4, moved) is first
    np.testing.assert_array_equal(first.data, 4 * CUBE[1:2, :12, :12])
    np.testing.assert_array_equal(first.extent.world[0], below.data_to_world((1, 0, 0)))
    assert first.opacity == 0.4
    assert (camera.zoom, tuple(camera.center)) == seen
    assert viewer.dims.point[0] == 4.0
    assert viewer.layers.selection == {below}
    assert heard == []

    shown.remove()
    assert [*viewer.layers] == [below, above]
    assert viewer.layers.selection == {below}
    assert heard == []


NAMED = """
import sys, tifffile
tifffile.imwrite(
    sys.argv[2], tifffile.imread(sys.argv[1]), ome=True,
    metadata={"axes": "YX", "Channel": {"Name": ["red", "blue"][int(sys.argv[3])]}},
)
"""


def test_a_preview_of_another_channel_is_called_so(make_tool, watch, viewer):
    image = viewer.add_image(CUBE[0], name="image")
    outputs = '<data name="o" format="imagetiff" layer="image" label="Image"/>'
    tool = make_tool(NAMED, inputs=NUMBER, outputs=outputs, arguments="${i} ${o} ${n}", name="ch")
    shown, watched, names = PreviewLayers(viewer), watch(tool), []
    for number in (0, 1):
        watched.ask({"i": image, "n": number}, None)
        made = watched.rest()
        shown.show(made.job.shown, made.job)
        names += [layer.name for layer in shown.layers]
    assert names == ["image · red (preview)", "image · blue (preview)"]
    assert len(viewer.layers) == 2


POINTS = """
import sys
with open(sys.argv[2], "w") as out:
    out.write("axis-0,axis-1,brightness\\n")
    for number in range(int(sys.argv[3])):
        out.write(f"{number},{2 * number},{number / 2}\\n")
"""
POINTS_OUT = '<data name="o" format="tablecsv" layer="points" reference="i" label="Spots"/>'


def test_points_are_replaced_with_their_features(make_tool, watch, viewer):
    image = viewer.add_image(CUBE[0], name="image")
    tool = make_tool(
        POINTS, inputs=NUMBER, outputs=POINTS_OUT, arguments="${i} ${o} ${n}", name="spots"
    )
    shown, watched = PreviewLayers(viewer), watch(tool)
    found = []
    for count in (3, 5, 2):
        watched.ask({"i": image, "n": count}, Extent(crop=((2, 12), (4, 14))))
        made = watched.rest()
        assert made.error is None
        shown.show(made.job.shown, made.job)
        found.append(shown.layers[0])
        world = [found[-1].data_to_world(point) for point in found[-1].data]
        np.testing.assert_array_equal(world, [(n + 2, 2 * n + 4) for n in range(count)])
        assert [*found[-1].features["brightness"]] == [number / 2 for number in range(count)]
    assert found[0] is found[1] is found[2]


def test_a_layer_that_somebody_deleted_is_missed(times, watch, viewer):
    image = viewer.add_image(CUBE, name="image")
    shown, watched = PreviewLayers(viewer), watch(times)
    watched.ask({"i": image, "n": 2})
    made = watched.rest()
    shown.show(made.job.shown, made.job)
    assert not shown.removed_by_hand()
    viewer.layers.remove(shown.layers[0])
    assert shown.removed_by_hand()
    shown.remove()
    assert [*viewer.layers] == [image]


# -- what a run would make otherwise -----------------------------------------------------

MEAN = """
import sys, tifffile
image = tifffile.imread(sys.argv[1])
tifffile.imwrite(sys.argv[2], (image > image.mean()).astype("u1"))
"""
STEPS = np.add.outer(np.arange(160) ** 2, np.arange(160)).astype("u2")
MIDDLE = Extent(crop=((8, 152), (8, 152)))
LOOKS_FURTHER = "looks at more"


@pytest.mark.parametrize("kind", ["image", "labels"])
def test_a_statistic_of_the_whole_is_noticed_and_known_from_then_on(
    make_tool, watch, monkeypatch, kind
):
    monkeypatch.setattr(live, "QUICK", 60)
    output = f'<data name="o" format="imagetiff" layer="{kind}" label="Bright"/>'
    watched = watch(make_tool(MEAN, inputs=NUMBER, outputs=output, name="mean"))
    watched.ask({"i": STEPS}, MIDDLE)
    told = watched.rest()
    first, again = watched.given
    assert first.notes == ()
    assert LOOKS_FURTHER in told.notes[0]
    assert again.job is first.job  # the same is shown
    assert pixels(told).shape == (144, 144)
    watched.ask({"i": STEPS, "n": 5}, MIDDLE)
    assert LOOKS_FURTHER in watched.rest().notes[0]
    assert len(watched.given) == 3
    watched.ask({"i": STEPS, "n": 5})  # all of it
    assert watched.rest().notes == ()


@pytest.mark.parametrize(
    "extent",
    [MIDDLE, Extent("current", 2, (1, 0, 0), (None, (8, 152), (8, 152)))],
    ids=["whole", "slice"],
)
def test_a_tool_whose_part_is_a_part_says_nothing(times, watch, monkeypatch, extent):
    monkeypatch.setattr(live, "QUICK", 60)
    watched = watch(times)
    image = STEPS if extent is MIDDLE else np.stack([STEPS, STEPS[::-1]])
    watched.ask({"i": image, "n": 1}, extent)
    assert watched.rest().notes == ()
    assert [*live._differs.values()] == [False]
    assert len(watched.given) == 1


def test_a_value_that_comes_while_it_is_measured_is_shown_next(times, watch, monkeypatch):
    monkeypatch.setattr(live, "QUICK", 60)
    watched = watch(times)
    watched.ask({"i": STEPS, "n": 1}, MIDDLE)
    job = watched.live._job
    assert job is not None
    job.wait()
    watched.live.look()
    assert watched.live._probed is not None
    watched.ask({"i": STEPS, "n": 2}, MIDDLE)
    np.testing.assert_array_equal(pixels(watched.rest()), 2 * STEPS[8:152, 8:152])
    assert [*live._differs.values()] == [False]  # and is not measured again
    assert len(watched.given) == 2


def test_what_a_descriptor_says_is_not_measured(make_tool, watch):
    watched = watch(make_tool(MEAN, inputs=NUMBER, root='local="false"', name="mean"))
    watched.ask({"i": STEPS}, MIDDLE)
    assert LOOKS_FURTHER in watched.rest().notes[0]
    assert live._differs == {}


def test_another_image_that_is_not_cut_alike_is_told(make_tool, watch):
    two = NUMBER + '<param name="b" type="data" format="imagetiff" layer="image" label="Other"/>'
    watched = watch(make_tool(TIMES, inputs=two, arguments="${i} ${o} ${n} ${b}", name="two"))
    watched.ask({"i": STEPS, "b": (STEPS[:50, :50], {"name": "small"}, "image")}, MIDDLE)
    made = watched.rest()
    assert any("“small” is of another size" in note for note in made.notes)


@pytest.mark.parametrize("limit", ["_MOST", "_MOST_BLOCKS"])
def test_what_is_too_large_is_not_taken_into_memory(times, watch, monkeypatch, limit):
    monkeypatch.setattr(live, limit, 0)
    watched = watch(times)
    watched.ask({"i": CUBE, "n": 2})
    assert "too large for a preview" in str(watched.rest().error)
