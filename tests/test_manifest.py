"""The manifest: what npe2 checks, and the cross-references that it does not."""

import subprocess
import sys
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

import manifest_tools
import settings_pages
from napari_tool_runner.widgets import menu_plan

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "napari_tool_runner"

npe2 = pytest.importorskip("npe2", reason="npe2 comes with napari")


@pytest.fixture(scope="module")
def manifest():
    return npe2.PluginManifest.from_file(PACKAGE / "napari.yaml")


def _commands(manifest):
    return {command.id: command for command in manifest.contributions.commands}


def test_npe2_validates_it(manifest):
    assert manifest.name == "napari-tool-runner"
    assert manifest.display_name == "Tool Runner"
    # docks are named as napari's menu names them
    assert menu_plan.titled("Tool Tables") == f"Tool Tables ({manifest.display_name})"
    done = subprocess.run(
        [sys.executable, "-m", "npe2", "validate", str(PACKAGE / "napari.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_keys_that_npe2_knows(manifest):
    # npe2 accepts and ignores a misspelt contribution
    import yaml

    raw = yaml.safe_load((PACKAGE / "napari.yaml").read_text(encoding="utf-8"))
    assert set(raw) <= set(type(manifest).model_fields)
    known = set(type(manifest.contributions).model_fields)
    assert set(raw["contributions"]) <= known | {"configurations"}


def test_every_referenced_command_is_declared(manifest):
    commands = _commands(manifest)
    contributions = manifest.contributions
    used = {widget.command for widget in contributions.widgets}
    used |= {sample.command for sample in contributions.sample_data}
    used |= {
        item.command
        for items in contributions.menus.values()
        for item in items
        if hasattr(item, "command")
    }
    in_palette_only = [
        f"napari-tool-runner.{name}" for name in ("panel", "panel_start", "panel_show")
    ]
    assert used == set(commands) - {*in_palette_only}, "a command is missing, or nothing uses it"
    assert list(commands)[:3] == in_palette_only  # the first of those that fit is shown first
    assert all(name.startswith("napari-tool-runner.") for name in commands)


def test_menus_are_open_to_plugins(manifest):
    menus = pytest.importorskip("napari._app_model.constants._menus", reason="needs napari")
    submenus = {submenu.id for submenu in manifest.contributions.submenus or ()}
    for menu, items in manifest.contributions.menus.items():
        assert menu in submenus or menu in set(menus.MenuId.contributables()), menu
        for item in items:
            assert getattr(item, "submenu", None) in submenus | {None}


def test_python_names_can_be_imported(manifest):
    for command in _commands(manifest).values():
        module, name = command.python_name.split(":")
        assert callable(getattr(import_module(module), name)), command.python_name


def test_every_sample_of_the_package_is_offered(manifest):
    from napari_tool_runner.sample_data import SAMPLES

    assert [sample.key for sample in manifest.contributions.sample_data] == list(SAMPLES)
    names = [sample.display_name for sample in manifest.contributions.sample_data]
    assert len(set(names)) == len(names)


def test_the_bundled_tools_are_in_step():
    text = (PACKAGE / "napari.yaml").read_text(encoding="utf-8")
    assert text == manifest_tools.written(text), "run: python tests/manifest_tools.py"


def test_the_settings_are_in_step():
    text = (PACKAGE / "napari.yaml").read_text(encoding="utf-8")
    assert text == settings_pages.manifest(text), "run: python tests/settings_pages.py"


def test_the_preferences_have_a_word_for_none():
    text = (PACKAGE / "napari.yaml").read_text(encoding="utf-8")
    for title in ("Longest run (seconds, 0 = no limit)", "Processors (0 = no limit)"):
        assert f"          title: {title}\n" in text


def test_links_at_the_top_level():
    for name in ("napari.yaml", "sample_data"):
        assert (ROOT / name).resolve() == PACKAGE / name


@pytest.mark.slow
def test_wheel_has_all_that_is_no_code(tmp_path):
    pytest.importorskip("hatchling", reason="building a wheel needs hatchling")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("sample_data", "bundled_tools"):
        files = {
            f"napari_tool_runner/{path.relative_to(PACKAGE).as_posix()}"
            for path in (PACKAGE / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert files, folder
        assert files <= inside, sorted(files - inside)
    assert "napari_tool_runner/napari.yaml" in inside
    assert "napari_tool_runner/py.typed" in inside
    entry_points = next(name for name in inside if name.endswith("entry_points.txt"))
    text = zipfile.ZipFile(wheel).read(entry_points).decode()
    assert "napari-tool-runner = napari_tool_runner:napari.yaml" in text
