"""Finding a tool, by mouse and by keyboard alone."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import pytest
from qtpy.QtCore import QModelIndex, Qt
from qtpy.QtGui import QImage

from napari_tool_runner.tools import load_toolbox
from napari_tool_runner.tools.toolbox.box import Toolbox, ToolboxFolder
from napari_tool_runner.tools.toolbox.entries import bundled_folder, picture_in
from napari_tool_runner.tools.toolbox.trust import approve
from napari_tool_runner.widgets.finding.badges import BadgeLookup, needs_of
from napari_tool_runner.widgets.finding.favourites import Favourites
from napari_tool_runner.widgets.finding.finder import ToolFinder
from napari_tool_runner.widgets.finding.tool_delegate import _picture
from napari_tool_runner.widgets.finding.tool_tree import Grouping, Role, ToolTreeModel

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d494844520000000100000001080200000090"
    "7753de0000000c49444154789c63f8cfc000000301010018dd8db00000000049454e44ae426082"
)


@pytest.fixture
def toolbox() -> Toolbox:
    return load_toolbox({})


@pytest.fixture
def finder(shown, toolbox, tmp_path) -> ToolFinder:
    return shown(ToolFinder(toolbox, Favourites(tmp_path / "favourites.json")))


def names(model: ToolTreeModel) -> list[str]:
    return [entry.name for entry in model.tools()]


def groups(model: ToolTreeModel) -> list[str]:
    return [model.index(row, 0).data().rsplit(" (", 1)[0] for row in range(model.rowCount())]


def many_tools(folder: Path, count: int) -> Toolbox:
    for number in range(count):
        place = folder / f"tool{number}"
        place.mkdir(parents=True)
        (place / "tool.xml").write_text(
            f'<tool id="t{number}" name="Tool number {number}" version="1">'
            f"<description>Does thing {number % 7}</description>"
            "<command>true</command><inputs/><outputs/></tool>"
        )
    return Toolbox([ToolboxFolder("many", folder)], cache_dir=folder.parent / "cache")


def test_the_model_keeps_qts_rules(qtmodeltester, toolbox):
    model = ToolTreeModel()
    model.show_groups(toolbox, starred=["threshold"])
    qtmodeltester.check(model, force_py=True)


def test_every_tool_is_in_the_tree(finder, toolbox):
    assert set(names(finder.model)) == {entry.name for entry in toolbox.entries}


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("gauss", "gaussian_filter"),
        ("gausian", "gaussian_filter"),
        ("watershed", "split_touching"),
    ],
)
def test_typing_finds_the_best_first(qtbot, finder, typed, found):
    qtbot.keyClicks(finder.search, typed)
    assert finder.model.tools()[0].key == found
    assert "best first" in finder.count.text()


def test_search_enter_opens_the_first(qtbot, finder):
    qtbot.keyClicks(finder.search, "threshold")
    with qtbot.waitSignal(finder.chosen) as opened:
        qtbot.keyClick(finder.search, Qt.Key.Key_Return)
    assert opened.args == ["threshold"]


def test_down_goes_into_the_tree_and_enter_opens(qtbot, finder):
    qtbot.keyClicks(finder.search, "label")
    qtbot.keyClick(finder.search, Qt.Key.Key_Down)
    assert finder.window().focusWidget() is finder.tree
    qtbot.keyClick(finder.tree, Qt.Key.Key_Down)
    second = finder.model.tools()[1].key
    with qtbot.waitSignal(finder.chosen) as opened:
        qtbot.keyClick(finder.tree, Qt.Key.Key_Return)
    assert opened.args == [second]


def test_up_from_the_first_row_goes_back_to_the_search(qtbot, finder):
    qtbot.keyClicks(finder.search, "label")
    qtbot.keyClick(finder.search, Qt.Key.Key_Down)
    qtbot.keyClick(finder.tree, Qt.Key.Key_Up)
    assert finder.window().focusWidget() is finder.search


def test_enter_opens_and_closes_a_group(qtbot, finder):
    finder.tree.setFocus()
    finder.tree.setCurrentIndex(finder.model.index(0, 0))
    open_before = finder.tree.isExpanded(finder.model.index(0, 0))
    qtbot.keyClick(finder.tree, Qt.Key.Key_Return)
    assert finder.tree.isExpanded(finder.model.index(0, 0)) is not open_before


def test_where_no_tool_fits_all_words_the_nearest_stand_there(qtbot, finder):
    qtbot.keyClicks(finder.search, "xyzzy label")
    assert finder.count.text() == "No tool fits all the words. Nearest:"
    assert "abel" in finder.model.entry(finder.tree.currentIndex()).name


def test_escape_clears_the_search(qtbot, finder, toolbox):
    qtbot.keyClicks(finder.search, "xyzzy")
    assert finder.count.text() == "No tool has these words. Choose:"
    qtbot.keyClick(finder.search, Qt.Key.Key_Escape)
    assert len(finder.model.tools()) >= len(toolbox)


def test_words_that_nobody_knows_lead_to_what_is_spelt_so_the_categories_and_toolboxes(
    qtbot, finder, toolbox
):
    qtbot.keyClicks(finder.search, "tresholdign")
    first, *others = groups(finder.model)
    assert first.startswith("Did you mean “threshold”")
    assert finder.model.entry(finder.tree.currentIndex()).id == "threshold"
    assert others == [category.name for category in toolbox.categories]
    assert not any(finder.tree.isExpanded(finder.model.index(n, 0)) for n in (1, 2))
    assert "Other toolboxes" in finder.message.label.text()
    with qtbot.waitSignal(finder.toolboxes_asked):
        finder.message.buttons[0].click()
    finder.search.setText("qqqq")
    assert groups(finder.model) == others
    finder.search.clear()
    assert not finder.message.label.text()
    assert finder.tree.verticalScrollBar().value() == 0


def test_what_napari_does_itself_is_told_beside_the_categories(qtbot, finder, toolbox):
    qtbot.keyClicks(finder.search, "nd2")
    assert finder.count.text() == "No tool is needed for this."
    assert "Open File" in finder.message.label.text()
    assert groups(finder.model) == [category.name for category in toolbox.categories]
    finder.search.setText("histogram")  # a table has it: how to get there is told with it
    assert "choose Plot" in finder.message.label.text()
    finder.search.setText("blur")
    assert not finder.message.label.text()


def test_a_click_opens_a_tool(qtbot, finder):
    index = finder.model.first_tool()
    finder.tree.scrollTo(index)
    with qtbot.waitSignal(finder.chosen) as opened:
        qtbot.mouseClick(
            finder.tree.viewport(),
            Qt.MouseButton.LeftButton,
            pos=finder.tree.visualRect(index).center(),
        )
    assert opened.args == [finder.model.entry(index).key]


def test_stars_and_recent_tools_come_first_and_are_remembered(finder, toolbox, tmp_path):
    menu = finder.menu_for(toolbox.entry("threshold"))
    next(action for action in menu.actions() if action.text() == "Star").trigger()
    finder._favourites.used("project")
    finder.refresh()
    assert groups(finder.model)[:2] == ["Starred", "Recent"]
    assert finder.model.index(0, 0, finder.model.index(0, 0)).data(Role.STARRED)
    again = Favourites(tmp_path / "favourites.json")
    assert again.starred == ("threshold",)
    assert again.recent == ("project",)
    menu = finder.menu_for(toolbox.entry("threshold"))
    next(action for action in menu.actions() if action.text() == "Remove star").trigger()
    assert groups(finder.model)[0] == "Recent"


def test_a_damaged_list_of_stars_is_no_harm(tmp_path):
    path = tmp_path / "favourites.json"
    path.write_text("{broken")
    favourites = Favourites(path)
    assert favourites.starred == ()
    favourites.toggle_star("a")
    assert Favourites(path).starred == ("a",)


def test_by_toolbox(finder, tmp_path):
    box = many_tools(tmp_path / "box", 3)
    both = Toolbox(
        [ToolboxFolder("bundled", bundled_folder()), *box.folders], cache_dir=tmp_path / "cache"
    )
    finder.set_toolbox(both)
    finder.grouping.setCurrentIndex(finder.grouping.findData(Grouping.TOOLBOX))
    finder.refresh()
    assert groups(finder.model) == ["Shipped with the plugin", "many"]


def test_badges_say_what_a_tool_needs(toolbox):
    entry = toolbox.entry("threshold")
    assert needs_of(entry) == ()
    assert needs_of(entry._replace(requirements=("conda",))) == ("conda",)
    assert needs_of(entry._replace(requirements=("docker", "singularity"))) == ("container",)


def test_files_that_could_not_be_read_are_told(qtbot, finder, tmp_path):
    box = tmp_path / "box"
    box.mkdir()
    (box / "broken.xml").write_text("<tool id='x'")
    finder.set_toolbox(Toolbox([ToolboxFolder("box", box)], cache_dir=tmp_path / "cache"))
    assert "1 file" in finder.message.text()
    with qtbot.waitSignal(finder.problems_asked):
        finder.message.buttons[0].click()


def test_thumbnails_are_drawn(qtbot, shown, tmp_path):
    box = many_tools(tmp_path / "box", 1)
    (tmp_path / "box" / "tool0" / "thumbnail.png").write_bytes(PNG)
    box = Toolbox(box.folders, cache_dir=tmp_path / "cache2")
    assert box.entry("t0").thumbnail
    finder = shown(ToolFinder(box, Favourites(tmp_path / "f.json")))
    index = finder.model.first_tool()
    assert finder.tree.visualRect(index).height() >= 30
    assert not finder.grab().isNull()


def test_two_thousand_tools(qtbot, shown, tmp_path):
    box = many_tools(tmp_path / "box", 2000)
    finder = shown(ToolFinder(box, Favourites(tmp_path / "f.json")))
    assert finder.search.placeholderText() == "Search 2,000 tools"
    # closed groups: only what is seen is drawn
    assert not finder.tree.isExpanded(finder.model.index(0, 0))
    qtbot.keyClicks(finder.search, "number 1234")
    assert finder.model.tools()[0].key == "t1234"
    assert finder.model.rowCount(QModelIndex()) <= 200


@pytest.mark.parametrize("name", ["thumbnail.svg", "thumbnail.png"])
def test_a_drawing_is_no_thumbnail(qtbot, tmp_path, name):
    """Thirty levels of two uses each would be drawn 2^30 times, before anybody trusts the tool."""
    uses = "".join(
        f'<g id="a{n}"><use href="#a{n - 1}"/><use href="#a{n - 1}"/></g>' for n in range(1, 31)
    )
    (tmp_path / name).write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="9" height="9"><g id="a0"><rect width="1" height="1"/></g>{uses}'
        '<use href="#a30"/></svg>'
    )
    assert _picture(str(tmp_path / name)).isNull()


def test_badges_say_whether_it_is_there_already(qtbot, tmp_path):
    """A service written for the test answers; the tool is read by the thread."""
    from napari_tool_runner.plugins import runnerServices
    from napari_tool_runner.plugins.contract import Availability, RunnerService

    class Service(RunnerService):
        service_name = "CONDA"

        def supports(self, tool):
            return Availability(True)

        def is_ready(self, tool):
            return tool.id == "ready"

        def plan(self, tool):
            raise AssertionError("solved, though nobody opened it")

    for name in ("ready", "later"):
        (tmp_path / "box" / name).mkdir(parents=True)
        (tmp_path / "box" / name / "tool.xml").write_text(
            f'<tool id="{name}" name="{name}" version="1"><requirements>'
            '<package type="conda" env="x">-c conda-forge numpy</package></requirements>'
            "<command>true</command><inputs/><outputs/></tool>"
        )
    box = Toolbox([ToolboxFolder("box", tmp_path / "box")], cache_dir=tmp_path / "cache")
    before = runnerServices._builders.get("CONDA")
    runnerServices.register_builder("CONDA", lambda **_: Service())
    lookup = BadgeLookup(box)
    try:
        assert lookup.badges(box.entry("ready")) == ("conda",)
        qtbot.waitUntil(lambda: lookup._task is None, timeout=20_000)
        assert lookup.badges(box.entry("ready")) == ("conda",)  # nobody was asked: no consent
        approve(tmp_path / "box")
        lookup.forget(box)
        for key in ("ready", "later"):
            assert lookup.badges(box.entry(key))[0].startswith("conda")
        qtbot.waitUntil(lambda: lookup.badges(box.entry("later")) == ("conda ↓",), timeout=20_000)
        qtbot.waitUntil(lambda: lookup.badges(box.entry("ready")) == ("conda ✓",), timeout=20_000)
        assert "fetched" in lookup.words(box.entry("later"))
    finally:
        runnerServices.register_builder("CONDA", before)
        lookup.stop()


def test_a_picture_that_unpacks_to_a_wall_is_no_thumbnail(qtbot, tmp_path):
    rows = zlib.compress((b"\0" + bytes(1000)) * 8000)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 8000, 8000, 1, 0, 0, 0, 0)), (b"IDAT", rows)]
    written = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in [*parts, (b"IEND", b"")]
    ]
    path = tmp_path / "thumbnail.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(written))
    assert _picture(str(path)).isNull()


@pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX")
@pytest.mark.timeout(30)
def test_a_thumbnail_that_became_a_link_or_a_pipe_is_not_opened(qtbot, tmp_path):
    image = QImage(8, 8, QImage.Format.Format_RGB32)
    image.fill(0)
    assert image.save(str(tmp_path / "private.png"))
    folder = tmp_path / "box"
    folder.mkdir()
    assert image.save(str(folder / "kept.png"))
    (folder / "to.png").symlink_to("kept.png")
    assert picture_in(folder, "to.png") == str(folder / "kept.png")
    assert not _picture(picture_in(folder, "to.png")).isNull()
    outs = ("../private.png", str(tmp_path / "private.png"), "sub/../../private.png", "a\0b")
    assert not any(picture_in(folder, name) for name in outs)
    (folder / "link.png").symlink_to("../private.png")
    os.mkfifo(folder / "pipe.png")
    with (folder / "hollow.png").open("wb") as file:
        file.truncate(2**34)
    for name in ("link.png", "pipe.png", "hollow.png"):
        assert _picture(str(folder / name)).isNull()
