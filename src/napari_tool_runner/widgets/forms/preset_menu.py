"""The menu of a form: reset, the user's presets, and presets as files to share."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QInputDialog, QMenu, QWidget

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.jobs import allowed_values
from napari_tool_runner.names import safe_name
from napari_tool_runner.quoting import some_paths
from napari_tool_runner.tools.named import named_paths
from napari_tool_runner.widgets.forms.presets import Preset, PresetStore, plain_values
from napari_tool_runner.widgets.parts.background import to_the_end
from napari_tool_runner.widgets.parts.layouts import menu_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari_tool_runner.tools.model import LayerKind, Tool
    from napari_tool_runner.widgets.forms.form import FormWidget
    from napari_tool_runner.widgets.parts.messages import Button

__all__ = ["PresetMenu"]


class PresetMenu(QMenu):
    """Reset all, and presets. Further entries may be added by others (`addAction`)."""

    told = Signal(str, object)
    """Something worth saying in the page's message line, and the buttons for it."""

    def __init__(self, tool: Tool, form: FormWidget, store: PresetStore, parent: QWidget) -> None:
        super().__init__(parent)
        self._tool = tool
        self._form = form
        self._store = store
        self.reset_action = menu_entry(self, "Reset all fields", self._reset)
        self.addSeparator()
        self.presets_menu = QMenu("Presets", self)
        self.addMenu(self.presets_menu)
        self.save_action = menu_entry(self, "Save as preset…", self._ask_name)
        self.import_action = menu_entry(self, "Load preset file…", self._ask_import)
        self.export_action = menu_entry(self, "Save preset file…", self._ask_export)
        self.presets_menu.aboutToShow.connect(self._fill)
        self.aboutToShow.connect(self._fill)

    def apply(self, preset: Preset, *, of_others: bool = False) -> None:
        """Fill the form with `preset` and say what did not fit.

        `of_others`: files that it names are filled in by a button only.
        """
        found = named_paths(self._tool.inputs, preset.values) if of_others else {}
        named = {name: paths for name, (_, paths) in found.items() if paths}
        values = allowed_values(self._tool, preset.values, named)
        unknown = self._form.bring(values, preset.sizes)
        self._form.outputs.set_kinds(preset.kinds)
        parts = [f"Preset “{preset.name}” loaded.", preset.remark(self._tool)]
        if unknown:
            parts.append(f"Without a place here: {some_paths(unknown)}.")
        buttons: list[Button] = []
        if named:
            paths = [*dict.fromkeys(path for some in named.values() for path in some)]
            parts.append(f"Left out, since it names files of yours: {some_paths(paths)}.")
            buttons.append(("Fill them in", lambda: self.apply(preset)))
        self.told.emit(" ".join(part for part in parts if part), buttons)

    def save(self, name: str) -> None:
        """Keep the form's values under `name`, but its data: a preset is for other data, too."""
        values = self._form.without_data(self._form.values())
        given = values, self._form.outputs.kinds(), self._form.units.sizes
        self._try(lambda: self._store.save(self._tool, name, *given), f"Preset “{name}” saved.")

    def import_file(self, path: Path) -> None:
        """Fill the form from a preset file."""
        self._try(lambda: self.apply(self._store.read(path), of_others=True))

    def export_file(self, path: Path) -> None:
        """Write the form's values as a preset file."""
        values = self._form.without_data(self._form.values())
        kinds, sizes = self._form.outputs.kinds(), self._form.units.sizes
        preset = Preset.of(self._tool, path.stem, values, kinds, sizes)
        self._try(lambda: self._store.write(path, preset), f"Preset written to {path.name}.")

    def restore_last(self) -> None:
        """Fill the form with what was run last, but its data."""
        last = self._store.last(self._tool)
        if last is not None:
            self._form.bring(self._form.without_data(last.values), last.sizes)
            self._form.outputs.set_kinds(last.kinds)
            self._form.outputs.set_switches(last.switches)

    def keep_last(self, values: Mapping[str, object], kinds: Mapping[str, LayerKind]) -> None:
        """Remember what is run now; the run goes on where that cannot be written."""
        switches = self._form.outputs.switches()
        plain = plain_values(values)  # names of layers as they are now
        sizes = self._form.units.sizes
        kept = partial(self._store.keep_last, self._tool, plain, dict(kinds), switches, sizes)
        to_the_end(kept, "the values of a run")

    def _try(self, act: Callable[[], None], said: str = "") -> None:
        try:
            act()
        except ToolRunnerError as error:
            said = str(error)
        if said:
            self.told.emit(said, [])

    def _fill(self) -> None:
        self.presets_menu.clear()
        names = self._store.names(self._tool)
        self.presets_menu.setEnabled(bool(names))
        if not names:
            return
        remove = QMenu("Delete", self.presets_menu)
        for name in names:
            menu_entry(self.presets_menu, name, partial(self._load, name))
            menu_entry(remove, name, partial(self._store.remove, self._tool, name))
        self.presets_menu.addSeparator()
        self.presets_menu.addMenu(remove)

    def _load(self, name: str) -> None:
        self._try(lambda: self.apply(self._store.load(self._tool, name)))

    def _reset(self) -> None:
        self._form.reset()
        self.told.emit("All fields are back at their defaults.", [])

    def _ask_name(self) -> None:
        name, accepted = QInputDialog.getText(self, "Save as preset", "Name of the preset:")
        if accepted and name.strip():
            self.save(name.strip())

    def _ask_import(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Load preset file", "", "Presets (*.json)")
        if name:
            self.import_file(Path(name))

    def _ask_export(self) -> None:
        start = f"{safe_name(self._tool.name)}.json"
        name, _ = QFileDialog.getSaveFileName(self, "Save preset file", start, "Presets (*.json)")
        if name:
            self.export_file(Path(name))
