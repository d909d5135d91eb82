"""Tools as commands: what stands where, only differences are touched, each opens its dock."""

from __future__ import annotations

import json

import pytest
from app_model import Application
from hypothesis import given
from hypothesis import strategies as st
from napari._app_model import get_app_model
from qtpy.QtWidgets import QApplication, QMenu
from run_tools import make_tool

from napari_tool_runner.tools.toolbox.box import Toolbox, ToolboxFolder
from napari_tool_runner.tools.toolbox.entries import ToolEntry
from napari_tool_runner.tools.toolbox.trust import approve
from napari_tool_runner.widgets import commands as module
from napari_tool_runner.widgets.commands import ToolCommands
from napari_tool_runner.widgets.menu_plan import (
    PLUGIN,
    SUBMENU,
    command_id,
    layers_menus,
    plan_menus,
)
from napari_tool_runner.widgets.tool_widget import ToolWidget

WAIT = 30_000


def entry(key: str, *categories: str, name: str = "") -> ToolEntry:
    return ToolEntry(
        key=key,
        id=key,
        name=name or key,
        version="1",
        description="",
        categories=categories,
        formats=(),
        edam=(),
        uri=f"{key}.xml",
        digest="",
        toolbox="mine",
        dialect="bioimageit",
        requirements=(),
        thumbnail="",
        help="",
    )


class Box:
    """As much of a toolbox as the commands look at."""

    def __init__(self, *entries: ToolEntry) -> None:
        self.entries = entries


@pytest.fixture
def app():
    """An application of the test's own, with one menu."""
    app = Application("ntr-test-commands")
    yield app
    Application.destroy("ntr-test-commands")


def done(commands: ToolCommands, *entries: ToolEntry) -> None:
    commands.follow(Box(*entries))
    commands.work()


def ids(app: Application, menu: str) -> list[str]:
    if menu not in app.menus:
        return []
    return [item.command.id for item in app.menus.get_menu(menu)]


# -- what stands where -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("category", "menu"),
    [
        ("Filtering", "filter"),
        ("Restoration", "filter"),
        ("Cell segmentation", "segment"),
        ("Spot-detection", "segment"),
        ("Measurement", "measure"),
        ("Registration", "register"),
        ("Tracking", "track"),
        ("Transformation", "transform"),
        ("Classification", "classify"),
        ("Visualization", "visualize"),
    ],
)
def test_categories_have_a_menu_of_napari(category, menu):
    from napari._app_model.constants import MenuId

    assert layers_menus((category,)) == (f"napari/layers/{menu}",)
    assert f"napari/layers/{menu}" in set(MenuId)


def test_an_unknown_category_is_only_in_the_plugins_menu():
    plan = plan_menus([entry("a", "Phlogiston")], parent="napari/plugins")
    assert plan.entries == {f"{SUBMENU}/Phlogiston": (command_id("a"),)}
    assert plan.submenus["napari/plugins"] == ((SUBMENU, "Tools by category"),)


def test_what_the_manifest_shows_is_not_shown_twice():
    static = {command_id("a")}
    plan = plan_menus([entry("a", "Filtering")], parent="napari/plugins", static=static)
    assert list(plan.entries) == [f"{SUBMENU}/Filtering"]


def test_many_tools_do_not_flood_a_menu_of_everybody():
    tools = [entry(f"t{number:03}", "Filtering") for number in range(300)]
    plan = plan_menus(tools, parent="napari/plugins")
    ((own, title),) = plan.submenus["napari/layers/filter"]
    assert title == "Tool Runner"
    assert "napari/layers/filter" not in plan.entries
    inner = plan.submenus[own]
    assert all(len(plan.entries[menu]) <= 40 for menu, _ in inner)
    assert sum(len(plan.entries[menu]) for menu, _ in inner) == 300


@given(st.lists(st.tuples(st.text("ab./_", min_size=1, max_size=4), st.text(max_size=3))))
def test_every_tool_is_one_command_and_in_a_menu(rows):
    entries = [entry(key, *filter(None, [category])) for key, category in dict(rows).items()]
    plan = plan_menus(entries, parent="napari/plugins")
    assert sorted(command.key for command in plan.commands.values()) == sorted(
        one.key for one in entries
    )
    # one dot only: the palette shows what stands before the last
    assert all(name.count(".") == 1 for name in plan.commands)
    shown = [name for menu in plan.entries for name in plan.entries[menu]]
    assert set(shown) == set(plan.commands)
    reachable = {menu for inner in plan.submenus.values() for menu, _ in inner}
    assert set(plan.entries) <= reachable | {"napari/layers/filter"}


# -- following the toolboxes -----------------------------------------------------------------


def test_only_the_differences_are_touched(app):
    commands = ToolCommands(app)
    done(commands, entry("a", "Filtering"), entry("b", "Filtering"), entry("c", "Tracking"))
    assert ids(app, app.menus.COMMAND_PALETTE_ID) == [command_id(key) for key in "abc"]
    kept = app.commands[command_id("a")]
    changed: list[set[str]] = []
    app.menus.menus_changed.connect(changed.append)
    done(commands, entry("a", "Filtering"), entry("c", "Tracking"), entry("d", "Tracking"))
    assert app.commands[command_id("a")] is kept
    assert command_id("b") not in app.commands
    assert command_id("d") in app.commands
    assert ids(app, "napari/layers/filter") == [command_id("a")]
    assert ids(app, "napari/layers/track") == [command_id("c"), command_id("d")]
    touched = set().union(*changed)
    assert "napari/plugins" not in touched
    assert SUBMENU not in touched
    changed.clear()
    done(commands, entry("a", "Filtering"), entry("c", "Tracking"), entry("d", "Tracking"))
    assert changed == []


def test_a_renamed_tool_is_renamed_everywhere(app):
    commands = ToolCommands(app)
    done(commands, entry("a", "Filtering", name="Old"))
    done(commands, entry("a", "Filtering", name="New & better"))
    (item,) = app.menus.get_menu("napari/layers/filter")
    assert item.command.title == "New && better (Tool Runner)"
    (item,) = app.menus.get_menu(f"{SUBMENU}/Filtering")
    assert item.command.title == "New && better"
    assert app.commands[command_id("a")].title == "New & better (Tool Runner)"


def test_nothing_is_left_after_clear(app):
    menus, names = dict(app.menus), [name for name, _ in app.commands]
    commands = ToolCommands(app)
    done(commands, *(entry(f"t{number}", "Filtering", "New") for number in range(100)))
    assert len(app.commands) == len(names) + 100
    commands.clear()
    assert dict(app.menus) == menus
    assert [name for name, _ in app.commands] == names


def test_the_work_is_cut_into_pieces(app):
    commands = ToolCommands(app)
    commands.follow(Box(*(entry(f"t{number}", f"c{number % 40}") for number in range(2000))))
    rounds = 0
    while commands.work(0.0):
        rounds += 1
    assert rounds > 40
    assert len(commands.ids) == 2000


# -- in the real window ----------------------------------------------------------------------


@pytest.fixture
def viewer(make_napari_viewer):
    """A shown viewer; the session forgets its commands afterwards."""
    viewer = make_napari_viewer(show=True)
    yield viewer
    module.hide_tools()
    module._session.toolbox = None


def mine(tmp_path, *names: str) -> Toolbox:
    for name in names:
        make_tool(tmp_path / "box" / name, "print()", name=name)
    approve(tmp_path / "box")
    found = Toolbox([ToolboxFolder("mine", tmp_path / "box")], cache_dir=tmp_path / "cache")
    assert {*names} <= {tool.id for tool in found.values()}
    return found


def settle(qtbot) -> None:
    qtbot.waitUntil(
        lambda: module._session.timer is not None and not module._session.timer.isActive(),
        timeout=WAIT,
    )


def docks(viewer) -> list[ToolWidget]:
    return [w for w in viewer.window.dock_widgets.values() if isinstance(w, ToolWidget)]


@pytest.mark.viewer
def test_bundled_tools_are_commands_before_anything_of_ours_is_used(qtbot, viewer):
    app = get_app_model()
    name = command_id("gaussian_filter")
    assert name in ids(app, app.menus.COMMAND_PALETTE_ID)
    assert name in ids(app, "napari/layers/filter")
    app.commands.execute_command(name).result()
    # they are read for the first time
    qtbot.waitUntil(lambda: len(docks(viewer)) > 0, timeout=WAIT)
    (page,) = docks(viewer)
    assert page.tool.id == "gaussian_filter"
    assert page.viewer is viewer


@pytest.mark.viewer
def test_several_tools_each_in_a_dock_of_its_own(qtbot, viewer, tmp_path):
    module.show_tools(mine(tmp_path, "one", "two"))
    settle(qtbot)
    app = get_app_model()
    for key in ("one", "two", "one"):
        app.commands.execute_command(command_id(key)).result()
        QApplication.processEvents()
    assert [page.tool.id for page in docks(viewer)] == ["one", "two"]
    first, second = docks(viewer)
    QApplication.processEvents()
    # one above the other's tab
    assert not first.visibleRegion().isEmpty()
    assert second.visibleRegion().isEmpty()
    first.parent().destroyOnClose()
    app.commands.execute_command(command_id("one")).result()
    assert sorted(page.tool.id for page in docks(viewer)) == ["one", "two"]


@pytest.mark.viewer
def test_opening_the_dock_widget_brings_the_tools_of_all_toolboxes(
    qtbot, viewer, tmp_path, monkeypatch
):
    mine(tmp_path, "one")
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"process": {"xml_dirs": [str(tmp_path / "box")]}}))
    monkeypatch.setenv("NAPARI_TOOL_RUNNER_CONFIG", str(config))
    app = get_app_model()
    assert command_id("one") not in app.commands
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Tool Runner")
    qtbot.waitUntil(lambda: "one" in widget.toolbox, timeout=WAIT)
    settle(qtbot)
    assert command_id("one") in ids(app, app.menus.COMMAND_PALETTE_ID)
    assert command_id("threshold") in ids(app, f"{SUBMENU}/Segmentation")
    # an added and a removed descriptor
    mine(tmp_path, "two")
    (tmp_path / "box" / "one" / "one.xml").unlink()
    widget.reload_button.click()
    qtbot.waitUntil(lambda: "two" in widget.toolbox, timeout=WAIT)
    settle(qtbot)
    assert command_id("two") in app.commands
    assert command_id("one") not in app.commands


@pytest.mark.viewer
def test_a_tool_that_is_gone_is_told(viewer, tmp_path):
    from napari.utils.notifications import notification_manager

    module.show_tools(mine(tmp_path, "one"))
    before = len(notification_manager.records)
    assert module.open_tool("two") is None
    assert "no longer" in notification_manager.records[before].message


@pytest.mark.viewer
def test_two_windows_share_commands_and_have_docks_of_their_own(
    qtbot, viewer, make_napari_viewer, tmp_path
):
    module.show_tools(mine(tmp_path, "one"))
    settle(qtbot)
    other = make_napari_viewer(show=True)
    first, second = module.open_tool("one", viewer), module.open_tool("one", other)
    assert first is not second
    assert docks(viewer) == [first]
    assert docks(other) == [second]
    menu = other.window.plugins_menu.findChild(QMenu, f"{SUBMENU}/Other")
    assert [action.text() for action in menu.actions()] == ["One"]
    other.close()
    assert module.open_tool("one", viewer) is first


@pytest.mark.viewer
def test_disabling_the_plugin_takes_its_entries_away(qtbot, viewer, tmp_path):
    from npe2 import PluginManager

    context = PluginManager().get_context("some-plugin")
    module.on_activate(context)
    module.show_tools(mine(tmp_path, "one"))
    settle(qtbot)
    app = get_app_model()
    assert command_id("one") in app.commands
    context._dispose()
    assert command_id("one") not in app.commands
    assert SUBMENU not in app.menus
    assert command_id("gaussian_filter") in app.commands  # the manifest's are napari's to take
