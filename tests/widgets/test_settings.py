"""Settings: our window, napari's Preferences and config.json say the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QDialogButtonBox
from run_tools import invert_tool
from widget_tools import opened

from napari_tool_runner.config import FACILITY_VARIABLE, changed_config, config_path, load_config
from napari_tool_runner.errors import ConfigError
from napari_tool_runner.plugins import Graphics
from napari_tool_runner.storage import user_data, write_whole
from napari_tool_runner.tools.toolbox.trust import approve
from napari_tool_runner.widgets.dock import ToolRunnerWidget
from napari_tool_runner.widgets.settings.config_hub import config_hub
from napari_tool_runner.widgets.settings.preferences import PreferencesLink, shown_values
from napari_tool_runner.widgets.settings.settings_dialog import SettingsDialog

WAIT = 30_000


def written() -> dict[str, object]:
    return json.loads(config_path().read_text(encoding="utf-8"))


def write(data: object) -> Path:
    path = config_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


@pytest.fixture
def dialog(shown):
    def make() -> SettingsDialog:
        return shown(SettingsDialog(), width=460, height=560)

    return make


def editor(box: SettingsDialog, key: str):
    return box.fields[key].editor


def press(qtbot, dialog, which=QDialogButtonBox.StandardButton.Save):
    qtbot.mouseClick(dialog.buttons.button(which), Qt.MouseButton.LeftButton)


def test_other_keys_stay_and_defaults_leave_nothing(qtbot, dialog):
    write({"runner": {"channels": ["mine"], "cpus": 2}, "user": {"name": "Ada"}, "odd": 1})
    box = dialog()
    assert editor(box, "runner.cpus").value() == 2
    editor(box, "runner.memory").setText("8G")
    editor(box, "runner.cpus").setValue(0)
    editor(box, "runner.network").setChecked(True)
    press(qtbot, box)
    assert written() == {
        "runner": {"channels": ["mine"], "memory": "8G", "network": True},
        "user": {"name": "Ada"},
        "odd": 1,
    }
    assert load_config().memory_bytes == 8 * 2**30


@pytest.mark.parametrize("before", [{}, {"process": {"xml_dirs": ["/b/0"]}}])
def test_folders_of_two_windows_are_kept(dialog, before):
    write(before)
    first, second = dialog(), dialog()
    first.add_folder(Path("/b/1"))
    first.save()
    second.add_folder(Path("/b/2"))
    second.save()
    folders = written()["process"]["xml_dirs"]
    assert sorted(folders) == [*before.get("process", {}).get("xml_dirs", []), "/b/1", "/b/2"]


def test_nothing_is_written_for_nothing(qtbot, dialog):
    press(qtbot, dialog())
    assert not config_path().exists()


def test_what_is_wrong_is_said_at_once(qtbot, dialog, tmp_path):
    box = dialog()
    qtbot.keyClicks(editor(box, "runner.memory"), "lots")
    assert box.message.text() == '“Memory” is "lots", but must be a size such as 8G.'
    save = box.buttons.button(QDialogButtonBox.StandardButton.Save)
    assert not save.isEnabled()
    editor(box, "runner.memory").setText("2G")
    assert save.isEnabled()
    (tmp_path / "file").write_text("")
    editor(box, "workspace").setText(str(tmp_path / "file"))
    assert "is a file" in box.message.text()
    assert not save.isEnabled()
    press(qtbot, box, QDialogButtonBox.StandardButton.Cancel)
    assert not config_path().exists()


def test_a_broken_file_is_told_and_kept(qtbot, dialog):
    path = write({})
    path.write_text("{ not json")
    box = dialog()
    assert "not valid JSON" in box.message.text()
    editor(box, "runner.memory").setText("2G")
    press(qtbot, box)
    assert "not valid JSON" in box.message.text()
    assert path.read_text() == "{ not json"
    assert box.isVisible()


def test_blank_folders_are_no_toolboxes(dialog, tmp_path):
    folders = [" ", "", str(tmp_path), None]
    write({"process": {"xml_dirs": folders[:3]}, "workspace": " "})
    assert dialog().folders.count() == 1
    write({"process": {"xml_dirs": folders}})
    assert "process.xml_dirs" in dialog().message.text()


def test_a_folder_is_added_reviewed_and_its_tools_appear(
    qtbot, dialog, shown, model_viewer, tmp_path
):
    invert_tool(tmp_path / "box")
    dock = shown(ToolRunnerWidget(model_viewer))
    assert "invert" not in dock.toolbox
    box = dialog()
    box.add_folder(tmp_path / "box")
    told = box.folders.item(0).text
    qtbot.waitUntil(lambda: "not approved yet" in told(), timeout=WAIT)
    box.review_button.click()
    (review,) = [w for w in QApplication.topLevelWidgets() if type(w).__name__ == "TrustDialog"]
    qtbot.waitUntil(review.approve_button.isEnabled, timeout=WAIT)
    review.approve_button.click()
    qtbot.waitUntil(lambda: told().endswith("    approved"), timeout=WAIT)
    press(qtbot, box)
    assert opened(qtbot, dock, "invert") is not None
    again = dialog()
    again.folders.setCurrentRow(0)
    again.remove_button.click()
    press(qtbot, again)
    qtbot.waitUntil(lambda: "invert" not in dock.toolbox, timeout=WAIT)
    assert dock.open_tool("invert") is None
    assert "process" not in written()


def test_an_edit_of_the_file_is_followed(qtbot, shown, model_viewer, tmp_path):
    invert_tool(tmp_path / "box")
    approve(tmp_path / "box")
    write({})
    dock = shown(ToolRunnerWidget(model_viewer))
    with qtbot.waitSignal(config_hub().changed, timeout=WAIT):
        write({"process": {"xml_dirs": [str(tmp_path / "box")]}})
    qtbot.waitUntil(lambda: "invert" in dock.toolbox, timeout=WAIT)
    with qtbot.waitSignal(config_hub().changed, timeout=WAIT):
        config_path().write_text("{")
    qtbot.waitUntil(lambda: "not valid JSON" in dock.message.text(), timeout=WAIT)
    assert "gaussian_filter" in dock.toolbox


def test_the_settings_open_from_the_dock(qtbot, shown, model_viewer):
    dock = shown(ToolRunnerWidget(model_viewer))
    dock.settings_button.click()
    (box,) = dock.findChildren(SettingsDialog)
    assert box.isVisible()
    press(qtbot, box, QDialogButtonBox.StandardButton.Cancel)


def test_the_tutorials_service_is_kept():
    write({"process": {"service": "DOCKER"}})
    made = changed_config(load_config(), {"runner.memory": "1G"})
    assert made.service == "DOCKER"
    with pytest.raises(ConfigError, match="max_parallel"):
        changed_config(load_config(), {"jobs.max_parallel": 0})
    assert written() == {"process": {"service": "DOCKER"}}


def facility(monkeypatch, tmp_path, data) -> Path:
    path = tmp_path / "share" / "facility.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(data), encoding="utf-8")
    monkeypatch.setenv(FACILITY_VARIABLE, str(path))
    return path


def test_what_the_facility_sets_is_told_and_what_it_locks_is_disabled(
    qtbot, dialog, tmp_path, monkeypatch
):
    path = facility(
        monkeypatch,
        tmp_path,
        {
            "process": {"xml_dirs": ["box"]},
            "runner": {"service": "DOCKER", "memory": "8G", "cpus": 4, "network": True},
            "locked": ["runner.service"],
        },
    )
    write({"runner": {"cpus": 2}})
    box = dialog()
    service, memory, cpus = (box.fields[f"runner.{n}"] for n in ("service", "memory", "cpus"))
    assert not service.editor.isEnabled()
    assert service.value() == "DOCKER"
    assert service.origin.text() == "locked by your facility"
    assert memory.editor.isEnabled()
    assert memory.value() == "8G"
    assert memory.origin.text() == "set by your facility; you may change it"
    assert str(path) in box.notes.text()
    assert not cpus.origin.text()
    assert str(path.parent / "box") in box.toolboxes_origin.text()
    press(qtbot, box)
    assert written() == {"runner": {"cpus": 2}}, "only what was edited"
    box = dialog()
    editor(box, "runner.network").setChecked(False)
    editor(box, "runner.memory").setText("")
    editor(box, "runner.cpus").setValue(4)
    press(qtbot, box)
    assert written() == {"runner": {"memory": "", "network": False}}
    assert load_config().memory_bytes is None
    assert load_config().network is False
    assert load_config().cpus == 4


def test_tools_of_the_facility_run_without_a_question(
    qtbot, shown, model_viewer, tmp_path, monkeypatch
):
    invert_tool(tmp_path / "mine" / "box")
    facility(monkeypatch, tmp_path, {"process": {"xml_dirs": ["box"]}})
    invert_tool(tmp_path / "share" / "box")
    page = opened(qtbot, shown(ToolRunnerWidget(model_viewer)), "invert")
    page._judge()
    assert "approved" not in page.run_bar.message.text()
    monkeypatch.delenv(FACILITY_VARIABLE)
    write({"process": {"xml_dirs": [str(tmp_path / "mine" / "box")]}})
    page = opened(qtbot, shown(ToolRunnerWidget(model_viewer)), "invert")
    qtbot.waitUntil(lambda: "not approved yet" in page.run_bar.message.text(), timeout=WAIT)


def test_slips_are_told_in_the_window(qtbot, dialog, shown, model_viewer):
    write({"runner": {"memroy": "8G"}, "odd": 1})
    box = dialog()
    assert "did you mean “runner.memory”?" in box.notes.text()
    assert "“odd”" in box.notes.text()
    dock = shown(ToolRunnerWidget(model_viewer))
    told = "did you mean “runner.memory”? (1 more in Settings)"
    qtbot.waitUntil(lambda: told in dock.message.text(), timeout=WAIT)
    with qtbot.waitSignal(config_hub().changed, timeout=WAIT):
        write({"runner": {"offline": "true"}})
    qtbot.waitUntil(lambda: "must be true or false" in dock.message.text(), timeout=WAIT)
    assert "gaussian_filter" in dock.toolbox


def test_an_edit_of_the_facilitys_file_is_followed(qtbot, tmp_path, monkeypatch):
    path = facility(monkeypatch, tmp_path, {})
    hub = config_hub()
    with qtbot.waitSignal(hub.changed, timeout=WAIT):
        path.write_text(json.dumps({"runner": {"cpus": 2}}))


def test_a_locked_service_is_the_only_choice(qtbot, shown, model_viewer, tmp_path, monkeypatch):
    facility(monkeypatch, tmp_path, {"runner": {"service": "LOCAL"}, "locked": ["runner.service"]})
    page = opened(qtbot, shown(ToolRunnerWidget(model_viewer)), "gaussian_filter")
    qtbot.waitUntil(lambda: page.services.choice == "LOCAL", timeout=WAIT)
    assert page.run_bar.where.count() == 1
    assert "facility" in page.run_bar.where.toolTip()


def test_every_setting_of_the_windows_has_one_row(dialog):
    from napari_tool_runner.widgets.settings.fields import SHOWN

    box = dialog()
    assert {*box.fields, "process.xml_dirs"} == set(SHOWN)


# -- napari's Preferences ------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path):
    """The settings object that napari makes of our manifest, in a folder of the test."""
    pytest.importorskip("napari.settings", reason="needs napari")
    generator = pytest.importorskip(
        "napari.settings._plugin_config_generator", reason="needs napari 0.9"
    )
    from npe2 import PluginManager, PluginManifest

    import napari_tool_runner

    manager = PluginManager()
    manager.register(
        PluginManifest.from_file(Path(napari_tool_runner.__file__).parent / "napari.yaml")
    )
    model = generator.plugin_configuration_generator(manager)["napari-tool-runner"]
    return lambda: model(config_path=tmp_path / "preferences.yaml")


@pytest.fixture
def link(settings, qapp):
    made: list[PreferencesLink] = []

    def make() -> PreferencesLink:
        made.append(PreferencesLink(settings(), config_hub()))
        return made[-1]

    yield make
    for one in made:
        one.deleteLater()


def test_a_change_in_the_preferences_is_written(link):
    write({"runner": {"offline": True}})
    connected = link()
    connected._settings.limits.memory = "4G"
    connected._settings.running.max_parallel = 3
    connected._settings.tools.toolbox_folders = "/a ; /b"
    assert written() == {
        "runner": {"offline": True, "memory": "4G"},
        "jobs": {"max_parallel": 3},
        "process": {"xml_dirs": ["/a", "/b"]},
    }
    connected._settings.limits.memory = ""
    assert written()["runner"] == {"offline": True}


@pytest.mark.parametrize("text", ["5", "null", "[1]", "["])
def test_a_damaged_memory_of_the_preferences_is_none(link, text):
    write({"jobs": {"max_parallel": 100}})
    write_whole(user_data() / "preferences.json", text)
    assert link()._settings.running.max_parallel == 100


def test_the_file_shows_in_the_preferences(qtbot, link):
    write({"jobs": {"max_parallel": 5}})
    connected = link()
    assert connected._settings.running.max_parallel == 5
    with qtbot.waitSignal(config_hub().changed, timeout=WAIT):
        write({"runner": {"service": "CONDA", "network": True}})
    assert connected._settings.running.max_parallel == 2
    assert connected._settings.running.service == "CONDA"
    assert connected._settings.limits.network is True
    assert connected.values() == shown_values(load_config())


def test_a_wrong_value_is_told_and_taken_back(link, monkeypatch):
    told = []
    monkeypatch.setattr("napari.utils.notifications.show_warning", told.append)
    write({"runner": {"memory": "2G"}})
    connected = link()
    connected._settings.limits.memory = "lots"
    assert "runner.memory" in told[0]
    assert connected._settings.limits.memory == "2G"
    assert written() == {"runner": {"memory": "2G"}}


def test_what_was_changed_while_nobody_listened(link, settings):
    write({"jobs": {"max_parallel": 4}})
    link()  # they agree on 4
    alone = settings()
    alone.running.max_parallel = 7
    alone.save()
    connected = link()
    assert written() == {"jobs": {"max_parallel": 7}}
    assert connected._settings.running.max_parallel == 7


def test_the_file_wins_when_only_it_changed(link, settings):
    write({"jobs": {"max_parallel": 4}})
    first = link()
    first.deleteLater()
    write({"jobs": {"max_parallel": 6}})
    connected = link()
    assert connected._settings.running.max_parallel == 6
    assert written() == {"jobs": {"max_parallel": 6}}


def test_a_locked_value_is_taken_back(link, monkeypatch, tmp_path):
    told = []
    monkeypatch.setattr("napari.utils.notifications.show_warning", told.append)
    facility(monkeypatch, tmp_path, {"runner": {"memory": "8G"}, "locked": ["runner.memory"]})
    connected = link()
    assert connected._settings.limits.memory == "8G"
    connected._settings.limits.memory = "1G"
    assert "locked by your facility" in told[0]
    assert connected._settings.limits.memory == "8G"
    assert not config_path().exists()


def test_the_card_and_the_models_are_told_and_models_removed(qtbot, tmp_path, monkeypatch):
    from napari_tool_runner.widgets.settings import computer

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    folder = tmp_path / "data" / "napari-tool-runner" / "weights" / "cellpose_3"
    folder.mkdir(parents=True)
    (folder / "cyto3").write_bytes(bytes(200_000))
    (folder.parent / "cellpose_3.fetched").write_text("[]")
    card = Graphics("nvidia", "NVIDIA H100", "580.1")
    monkeypatch.setattr(computer, "graphics", lambda: card)
    shown = computer.Computer()
    qtbot.addWidget(shown)
    qtbot.waitUntil(lambda: shown.remove_button.isEnabled(), timeout=5000)
    qtbot.waitUntil(lambda: shown.card.text() == card.text, timeout=5000)
    assert shown.models.text().endswith("kB: cellpose_3")
    shown.show()
    qtbot.mouseClick(shown.remove_button, Qt.MouseButton.LeftButton)
    assert "Delete the models of cellpose_3 (" in shown.message.text()
    assert folder.exists()
    qtbot.mouseClick(shown.message.buttons[0], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: shown.models.text() == "none", timeout=5000)
    assert not [*folder.parent.iterdir()]
    assert not shown.remove_button.isEnabled()
