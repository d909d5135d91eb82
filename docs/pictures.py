"""Make the pictures of the documentation: ``python docs/pictures.py [FOLDER] [NAME...]``.

Each picture is a state of the real window, reached as a person reaches it, on samples
that ship. `tests/test_pictures.py` makes the same pictures and looks at them, so a
picture that can no longer be made fails the tests.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari import Viewer
    from qtpy.QtWidgets import QWidget

    from napari_tool_runner.jobs import Job, Previewed
    from napari_tool_runner.widgets.dock import ToolRunnerWidget
    from napari_tool_runner.widgets.tool_widget import ToolWidget

HERE = Path(__file__).resolve().parent
SECONDS = 120


@dataclass
class Stage:
    """The window and the dock widget that the scenes play in."""

    viewer: Viewer
    widget: ToolRunnerWidget

    def settle(self, rounds: int = 20) -> None:
        """Let layouts, the canvas and queued signals come to rest."""
        from qtpy.QtWidgets import QApplication

        for _ in range(rounds):
            QApplication.processEvents()
            time.sleep(0.005)

    def until(self, condition: Callable[[], bool]) -> None:
        """Process events until `condition` holds."""
        end = time.monotonic() + SECONDS
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError("the window did not come to the expected state")
            self.settle(1)

    def type_in(self, field: QWidget, text: str) -> None:
        """Type `text` with the keyboard."""
        from qtpy.QtTest import QTest

        field.setFocus()
        QTest.keyClicks(field, text)
        self.settle()

    def page(self, key: str, **layers: str) -> ToolWidget:
        """Open a tool's form and choose layers by name."""
        page = self.widget.open_tool(key)
        assert page is not None, f"no tool {key}"
        page.form.builder.finish()
        page.set_values({name: self.viewer.layers[layer] for name, layer in layers.items()})
        self.settle()
        return page

    def run(self, page: ToolWidget) -> Job:
        """Press Run and wait until the job and its results are there."""
        job = page.run()
        assert job is not None, "the form refused to run"
        self.until(lambda: job not in page.active_jobs)
        self.settle()
        return job

    def window(self) -> np.ndarray:
        """Return the whole window, shape (y, x, 4)."""
        self.settle()
        return self.viewer.screenshot(canvas_only=False, flash=False)

    def dock(self, widget: QWidget | None = None) -> np.ndarray:
        """Return a dock widget (the Tool Runner) alone, shape (y, x, 4)."""
        from qtpy.QtGui import QImage

        self.settle()
        image = (
            (widget or self.widget).grab().toImage().convertToFormat(QImage.Format.Format_RGBA8888)
        )
        bits = image.constBits()
        size = image.sizeInBytes()
        raw = bits.asstring(size) if hasattr(bits, "asstring") else bytes(bits[:size])
        rows = np.frombuffer(raw, np.uint8).reshape(image.height(), -1)
        return rows[:, : image.width() * 4].reshape(image.height(), image.width(), 4).copy()


# -- the scenes --------------------------------------------------------------------------


def window(stage: Stage) -> np.ndarray:
    """A sample, three tools, and the objects that they found."""
    stage.widget.open_sample("cells_2d")
    stage.run(stage.page("gaussian_filter", input="Nuclei"))
    smooth = stage.viewer.layers[-1].name
    stage.run(stage.page("threshold", input=smooth))
    mask = stage.viewer.layers[-1].name
    stage.run(stage.page("split_touching", input=mask))
    stage.viewer.reset_view()
    return stage.window()


def find(stage: Stage) -> np.ndarray:
    """The search, which forgives typing errors."""
    stage.type_in(stage.widget.finder.search, "thresold")
    return stage.dock()


def tree(stage: Stage) -> np.ndarray:
    """All tools by category."""
    stage.widget.open_sample("cells_2d")
    return stage.dock()


def form(stage: Stage) -> np.ndarray:
    """A form with its layers chosen."""
    stage.widget.open_sample("cells_2d")
    stage.page("threshold", input="Nuclei")
    return stage.dock()


def choices(stage: Stage) -> np.ndarray:
    """A form in Galaxy's language: a choice that shows other fields, and a repeat."""
    stage.widget.open_sample("cells_2d")
    stage.run(stage.page("threshold", input="Nuclei"))
    page = stage.page("sort_objects", labels=stage.viewer.layers[-1].name)
    page.form.set_values(
        {"split": {"how": "values", "edges": [{"edge": 200.0}, {"edge": 1000.0}]}}
    )
    page.form.builder.finish()
    return stage.dock()


def problem(stage: Stage) -> np.ndarray:
    """A form that says what is missing."""
    page = stage.page("measure_regions")
    page.run()
    return stage.dock()


def sweep(stage: Stage) -> np.ndarray:
    """Several values side by side, one of them chosen."""
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    stage.widget.open_sample("cells_2d")
    stage.run(stage.page("threshold", input="Nuclei"))
    page = stage.page("split_touching", input="Nuclei · Mask")
    QTest.mouseClick(page.run_bar.sweep_button, Qt.MouseButton.LeftButton)
    window = page.sweeps.open()
    QTest.mouseClick(window.run_button, Qt.MouseButton.LeftButton)
    stage.until(window.run_button.isEnabled)
    QTest.mouseClick(window.grid.buttons[1], Qt.MouseButton.LeftButton)
    picture = stage.dock(window)
    window.close()
    return picture


def table(stage: Stage) -> np.ndarray:
    """The areas of nuclei as a table and a histogram; the largest is chosen."""
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QPushButton

    from napari_tool_runner.widgets.results.dock import ToolTablesWidget

    stage.widget.open_sample("cells_2d")
    stage.run(stage.page("threshold", input="Nuclei"))
    stage.run(stage.page("split_touching", input="Nuclei · Mask"))
    page = stage.page("measure_regions", labels="Nuclei · Objects", image="Nuclei")
    stage.run(page)
    left = Qt.MouseButton.LeftButton
    button = next(b for b in page.findChildren(QPushButton) if b.text() == "Table")
    QTest.mouseClick(button, left)
    docked = stage.viewer.window.dock_widgets.values()
    dock = next(widget for widget in docked if isinstance(widget, ToolTablesWidget))
    stage.type_in(dock.view.filter, "area > 10")
    stage.until(lambda: dock.view.model.rowCount() < len(dock.view.rows))
    dock.view.table.sortByColumn(2, Qt.SortOrder.DescendingOrder)
    QTest.mouseClick(dock.plot_button, left)
    stage.until(lambda: dock.plots.axes is not None)
    stage.settle(60)
    canvas, box = dock.plots.canvas, dock.plots.axes.bbox
    at = QPoint(int(box.x1 - box.width * 0.06), int(canvas.height() - box.y0 - 3))
    QTest.mouseMove(canvas, at)
    QTest.mouseClick(canvas, left, pos=at)
    stage.until(lambda: len(dock.view.chosen) > 0)
    stage.settle(60)
    return stage.window()


SLOW = """
import sys, time
for step in range(1, 41):
    print(f"Slice {step}/40", flush=True)
    time.sleep(0.02 if step < 26 else 60)
"""
FAILS = """
import sys
print("reading the image", flush=True)
print("the model file cells.pt is not there", file=sys.stderr)
sys.exit(2)
"""


def _own_tool(stage: Stage, name: str, label: str, program: str) -> ToolWidget:
    """Open a tool that is no part of any toolbox."""
    from napari_tool_runner.tools import read_tool
    from napari_tool_runner.widgets.tool_widget import ToolWidget

    folder = Path(os.environ["XDG_DATA_HOME"]) / "tools" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "program.py").write_text(textwrap.dedent(program), encoding="utf-8")
    descriptor = folder / f"{name}.xml"
    descriptor.write_text(
        f"""<tool id="{name}" name="{label}" version="2.1">
          <description>A tool of your own</description>
          <command>python '$__tool_directory__/program.py' ${{input}}</command>
          <inputs><param name="input" type="data" format="imagetiff" layer="image" label="Image"/>
          </inputs></tool>""",
        encoding="utf-8",
    )
    page = ToolWidget(read_tool(descriptor), stage.viewer)
    stage.widget.stack.addWidget(page)
    stage.widget.stack.setCurrentWidget(page)
    page.form.builder.finish()
    stage.settle()
    return page


def running(stage: Stage) -> np.ndarray:
    """A tool at work: phase, progress, time, and the live log."""
    stage.widget.open_sample("cells_2d")
    page = _own_tool(stage, "restore", "Restore", SLOW)
    job = page.run()
    assert job is not None
    stage.until(lambda: any("26/40" in line for line in job.log.tail(100)))
    page._show_log(job)
    stage.settle(60)
    try:
        return stage.dock()
    finally:
        page.cancel()
        stage.until(lambda: job not in page.active_jobs)


def failed(stage: Stage) -> np.ndarray:
    """A tool that failed: one sentence, what to do, and the log."""
    stage.widget.open_sample("cells_2d")
    page = _own_tool(stage, "segment", "Segment", FAILS)
    stage.run(page)
    stage.settle(60)
    return stage.dock()


def history(stage: Stage) -> np.ndarray:
    """All jobs, one of them chosen."""
    stage.widget.open_sample("cells_2d")
    stage.run(stage.page("gaussian_filter", input="Nuclei"))
    stage.run(stage.page("threshold", input=stage.viewer.layers[-1].name))
    stage.run(_own_tool(stage, "segment", "Segment", FAILS))
    _dock, panel = stage.viewer.window.add_plugin_dock_widget("napari-tool-runner", "Tool History")
    stage.until(lambda: panel.filter.rowCount() >= 3)
    panel.view.setCurrentIndex(panel.filter.index(1, 0))
    stage.settle(60)
    return stage.dock(panel)


def light(stage: Stage) -> np.ndarray:
    """Spots found as points, with the light theme: rings in the colour of their strength."""
    stage.viewer.theme = "light"
    stage.widget.open_sample("spots_2d")
    stage.run(stage.page("detect_spots", input=stage.viewer.layers[-1].name))
    stage.viewer.reset_view()
    return stage.window()


def more_tools(stage: Stage) -> np.ndarray:
    """A zip of tools was looked at: what it holds, and the question whether to add it."""
    import contextlib
    import shutil

    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    from napari_tool_runner.tools.toolbox.entries import bundled_folder

    place = Path(os.environ["XDG_DATA_HOME"]) / "zips"
    for name in ("detect_spots", "count_points", "spotiflow_spots", "galaxy_sort_objects"):
        shutil.copytree(bundled_folder() / name, place / "spot-tools-1.2" / name)
    shutil.make_archive(str(place / "spot-tools-1.2"), "zip", place, "spot-tools-1.2")
    dialog = stage.widget.authors.get_more()
    stage.type_in(dialog.what, "spot-tools-1.2.zip")
    with contextlib.chdir(place):
        QTest.mouseClick(dialog.look_button, Qt.MouseButton.LeftButton)
    stage.until(lambda: len(dialog.message.buttons) > 0)
    stage.settle(60)
    picture = stage.dock(dialog)
    dialog.reject()
    stage.settle()
    return picture


def _live(page: ToolWidget, on: bool) -> None:
    """Click Live where it is not `on` yet: on a quick computer it switches itself on."""
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    if page.live_bar.on != on:
        QTest.mouseClick(page.live_bar.switch, Qt.MouseButton.LeftButton, pos=QPoint(8, 8))


def live(stage: Stage) -> np.ndarray:
    """Sigma is dragged with the mouse, and the image follows: four moments of one movement."""
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    stage.widget.open_sample("cells_2d")
    page = stage.page("gaussian_filter", input="Nuclei")
    page.form.set_values({"sigma": 0.5})
    camera = getattr(stage.viewer, "scene", stage.viewer).camera
    camera.zoom *= 3
    button, made = Qt.MouseButton.LeftButton, list[object]()
    _live(page, False)
    page.live_bar.previewed.connect(lambda: made.append(page.form.values()))
    _live(page, True)
    label = page.form.row("sigma").label
    at = QPoint(2, label.height() // 2)
    QTest.mousePress(label, button, pos=at)
    moments = []
    for wanted in (0.5, 1.5, 4.0, 9.0):
        while page.form.values()["sigma"] < wanted:
            at += QPoint(2, 0)
            QTest.mouseMove(label, at)
            stage.settle(1)
        stage.until(lambda: bool(made) and made[-1] == page.form.values())
        moments.append(stage.window()[::2, ::2])
    QTest.mouseRelease(label, button, pos=at)
    return np.vstack([np.hstack(moments[:2]), np.hstack(moments[2:])])


def film(stage: Stage) -> np.ndarray:
    """Sigma is dragged with the mouse: what was seen, and how long after its value was chosen.

    Above as programs start by default, below with imports done (`runner.warm`).
    """
    stage.widget.open_sample("cells_2d")
    page = stage.page("gaussian_filter", input="Nuclei")
    camera = getattr(stage.viewer, "scene", stage.viewer).camera
    camera.zoom *= 2
    stage.settle(60)
    rows = []
    for warm in (False, True):
        configure({"runner": {"service": "LOCAL", "warm": warm}})
        frames = _dragged(stage, page)
        rows.append(np.hstack([frame.picture("warm" if warm else "cold") for frame in frames]))
    return np.vstack(rows)


@dataclass
class Frame:
    """What was seen of the canvas, and how long after the value was chosen."""

    canvas: np.ndarray
    sigma: float
    seconds: float

    def picture(self, how: str, side: int = 232, foot: int = 26) -> np.ndarray:
        """Return its middle above a line that says what it is, shape (y, x, 3)."""
        from PIL import Image, ImageDraw

        top, left = ((size - side) // 2 for size in self.canvas.shape[:2])
        shown = Image.new("RGB", (side + 4, side + foot))
        shown.paste(Image.fromarray(self.canvas[top : top + side, left : left + side, :3]), (2, 0))
        said = f"sigma {self.sigma:.1f}, {how}: {self.seconds * 1000:.0f} ms"
        ImageDraw.Draw(shown).text((8, side + 4), said, fill="white", font_size=15)
        return np.asarray(shown)


def _dragged(stage: Stage, page: ToolWidget, count: int = 6) -> list[Frame]:
    """Drag sigma from 0.5 to 8 as a hand does; returns frames at equal steps of what was seen.

    Raises
    ------
    AssertionError
        The preview went away in between, or selection or camera are not as they were.
    """
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    viewer, button, label = stage.viewer, Qt.MouseButton.LeftButton, page.form.row("sigma").label
    camera = getattr(viewer, "scene", viewer).camera
    frames, chosen = list[Frame](), dict[object, float]()

    def seen(made: Previewed) -> None:
        assert made.job is not None, made.error
        sigma = made.job.values["sigma"]
        canvas = viewer.screenshot(canvas_only=True, flash=False)
        frames.append(Frame(canvas, float(sigma), time.monotonic() - chosen[sigma]))

    def note() -> None:
        chosen.setdefault(page.form.values()["sigma"], time.monotonic())

    _live(page, False)
    page.form.changed.connect(note)
    page.form.set_values({"sigma": 0.5})
    note()
    page.live_bar.previewed.connect(seen)
    before = [*viewer.layers]
    _live(page, True)
    stage.until(lambda: len(frames) > 0)
    stage.settle(400)  # what is imported is learned
    state = {*viewer.layers.selection}, camera.zoom, camera.center
    (preview,) = [layer for layer in viewer.layers if layer not in before]
    frames.clear()
    at = QPoint(2, label.height() // 2)
    QTest.mousePress(label, button, pos=at)
    while page.form.values()["sigma"] < 8:
        at += QPoint(2, 0)
        QTest.mouseMove(label, at)
        stage.settle(8)
        assert preview in viewer.layers, "the preview flickers"
        assert ({*viewer.layers.selection}, camera.zoom, camera.center) == state
    stage.until(lambda: bool(frames) and frames[-1].sigma == page.form.values()["sigma"])
    QTest.mouseRelease(label, button, pos=at)
    page.form.changed.disconnect(note)
    page.live_bar.previewed.disconnect(seen)
    _live(page, False)
    stage.settle()
    return [frames[round(one)] for one in np.linspace(0, len(frames) - 1, count)]


def configure(config: dict[str, object]) -> None:
    """Let jobs run so from now on."""
    place = Path(os.environ["XDG_CONFIG_HOME"]) / "napari-tool-runner" / "config.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(config), encoding="utf-8")


SCENES: dict[str, Callable[[Stage], np.ndarray]] = {
    scene.__name__: scene
    for scene in (
        window,
        find,
        tree,
        form,
        choices,
        problem,
        sweep,
        table,
        running,
        failed,
        history,
        light,
        more_tools,
        live,
        film,
    )
}


HEIGHTS = {
    "find": 520,
    "form": 520,
    "choices": 620,
    "history": 760,
    "problem": 520,
    "running": 620,
    "failed": 620,
}

# -- the machinery -----------------------------------------------------------------------


def play(name: str) -> np.ndarray:
    """Play a scene in a new window; returns the picture, uint8, shape (y, x, 3)."""
    import napari
    from napari.settings import get_settings

    from napari_tool_runner.widgets.dock import ToolRunnerWidget

    get_settings().appearance.theme = "dark"
    viewer = napari.Viewer(title="napari-tool-runner")
    try:
        viewer.window.resize(1400, HEIGHTS.get(name, 880))
        _dock, widget = viewer.window.add_plugin_dock_widget("napari-tool-runner", "Tool Runner")
        assert isinstance(widget, ToolRunnerWidget)
        stage = Stage(viewer, widget)
        stage.settle()
        return np.ascontiguousarray(SCENES[name](stage)[..., :3])
    finally:
        viewer.close()


def save(picture: np.ndarray, path: Path) -> None:
    """Write a small PNG (256 colours are plenty for a window)."""
    from PIL import Image

    Image.fromarray(picture).quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


@contextmanager
def own_surroundings() -> Iterator[None]:
    """Keep away from the user's settings and history; make a screen if there is none."""
    with tempfile.TemporaryDirectory(prefix="ntr-pictures-") as folder:
        for name in ("CONFIG", "DATA", "CACHE", "STATE"):
            os.environ[f"XDG_{name}_HOME"] = f"{folder}/{name.lower()}"
        os.environ["NAPARI_CONFIG"] = f"{folder}/napari.yaml"
        os.environ.pop("NAPARI_TOOL_RUNNER_CONFIG", None)
        if os.environ.get("DISPLAY") or not sys.platform.startswith("linux"):
            yield
            return
        from pyvirtualdisplay import Display

        with Display(backend="xvfb", size=(1600, 1000), color_depth=24):
            yield


def main(arguments: list[str]) -> int:
    """Make all pictures, or those that are named, in a folder (default: docs/pictures)."""
    names = [name for name in arguments if name in SCENES]
    others = [name for name in arguments if name not in SCENES]
    folder = Path(others[0]) if others else HERE / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    with own_surroundings():
        for name in names or SCENES:
            path = folder / f"{name}.png"
            save(play(name), path)
            print(f"{path}: {path.stat().st_size // 1000} kB", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
