"""How a setting of the table is shown and edited: the same for our dialog and napari's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from napari_tool_runner.config import Config
from napari_tool_runner.setting_types import PATH, PATHS
from napari_tool_runner.settings import TABLE, Setting
from napari_tool_runner.widgets.parts.icons import IconButton
from napari_tool_runner.widgets.parts.inputs import NarrowCombo
from napari_tool_runner.widgets.parts.layouts import filled, plain_label
from napari_tool_runner.widgets.parts.texts import tooltip
from napari_tool_runner.widgets.running.run_bar import AUTOMATIC

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_tool_runner.setting_types import Field

__all__ = ["SHOWN", "SettingField", "shown_value", "stored_value"]

SHOWN: dict[str, tuple[Setting[object], Field]] = {
    key: (setting, setting.field) for key, setting in TABLE.items() if setting.field is not None
}
"""The settings that windows show, with how."""


def shown_value(setting: Setting[object], config: Config) -> object:
    """Return what a window shows: a flag, a number (0 for none), or text; raises ConfigError.

    Of settings that add up over the layers, what this layer says.
    """
    locked = config.lock_of(setting.key) is not None
    found = config.own(setting) if setting.joined and not locked else config.value(setting)
    if setting.type.json == "number":
        return float(found) if isinstance(found, int | float) else 0.0
    if setting.type.json != "string":
        return found
    if isinstance(found, tuple):
        return "; ".join(str(entry) for entry in found)
    if setting.type is PATH:
        return "" if found is None else str(found)
    said = config.said(setting.key)
    return "" if said is None else str(said)


def stored_value(setting: Setting[object], shown: object, below: Config) -> object:
    """Return what config.json holds for a shown value; None: what is below says the same.

    Parameters
    ----------
    below : Config
        The layers below the one that is edited.
    """
    if isinstance(shown, str) and setting.type is PATHS:
        return [part.strip() for part in shown.split(";") if part.strip()] or None
    if isinstance(shown, str):
        shown = shown.strip()
    if shown == shown_value(setting, below):
        return None
    return int(shown) if isinstance(shown, float) and shown == int(shown) else shown


def _origin(key: str, config: Config) -> str:
    """Return where a value comes from, when it is not the user's own file."""
    if config.lock_of(key) is not None:
        return "locked by your facility"
    holder = config.holder(key)
    from_facility = holder is not None and holder.name == "facility"
    return "set by your facility; you may change it" if from_facility else ""


class _Number(QDoubleSpinBox):
    """Shows whole numbers without decimals."""

    def textFromValue(self, value: float) -> str:
        return self.locale().toString(value, "g", 10)


class SettingField(QWidget):
    """One setting: its editor, and a line that says where its value comes from.

    Parameters
    ----------
    key : str
        One of `SHOWN`.
    names : sequence of str
        For a choice: what there is.
    """

    changed = Signal()

    def __init__(
        self, key: str, config: Config, names: Sequence[str] = (), parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setting, self.look = SHOWN[key]
        self._below = config.below or Config()
        self.editor, self._value, show = self._make(names)
        self.editor.setToolTip(tooltip(self.look.hint))
        row = filled(QHBoxLayout(), (self.editor, 1))
        free = config.lock_of(key) is None
        self.editor.setEnabled(free)  # why it is not stays readable
        if self.setting.type is PATH:
            browse = IconButton("folder", f"Choose: {self.look.label}")
            browse.clicked.connect(self._ask_folder)
            browse.setEnabled(free)
            row.addWidget(browse)
        self.origin = plain_label(_origin(key, config), wrap=True, shrinks=True)
        self.origin.setVisible(bool(self.origin.text()))
        filled(QVBoxLayout(self), row, self.origin, spacing=1)
        show(shown_value(self.setting, config))
        self._then = self.value()

    def value(self) -> object:
        """Return what the editor shows."""
        return self._value()

    def stored(self) -> object:
        """Return what config.json is to hold; None: nothing."""
        return stored_value(self.setting, self.value(), self._below)

    @property
    def edited(self) -> bool:
        """Whether it shows another value than in the beginning."""
        return self.value() != self._then

    def _make(
        self, names: Sequence[str]
    ) -> tuple[QWidget, Callable[[], object], Callable[[object], None]]:
        """Return the editor, what reads it, and what fills it."""
        kind, look = self.setting.type, self.look
        if kind.json == "boolean":
            check = QCheckBox(look.none)
            check.toggled.connect(self.changed)
            return check, check.isChecked, lambda value: check.setChecked(bool(value))
        if kind.json in ("integer", "number"):
            spin = _Number()
            spin.setDecimals(0 if kind.json == "integer" else 2)
            spin.setRange(int(kind.least), int(kind.most))
            spin.setSuffix(f" {look.unit}" if look.unit else "")
            spin.setSpecialValueText(look.none)
            spin.valueChanged.connect(self.changed)
            return spin, spin.value, lambda value: spin.setValue(float(str(value)))
        if names:
            combo = NarrowCombo()
            combo.addItems([AUTOMATIC, *names])
            combo.currentIndexChanged.connect(self.changed)
            return (
                combo,
                lambda: "" if combo.currentIndex() <= 0 else combo.currentText(),
                lambda value: combo.setCurrentText(str(value or AUTOMATIC)),
            )
        line = QLineEdit()
        line.setPlaceholderText(look.none)
        line.textChanged.connect(self.changed)
        return line, line.text, lambda value: line.setText(str(value))

    def _ask_folder(self) -> None:
        assert isinstance(self.editor, QLineEdit)
        name = QFileDialog.getExistingDirectory(self, self.look.label, self.editor.text())
        if name:
            self.editor.setText(str(Path(name)))
