"""One editor per type of parameter, and the function that picks it.

Qt's and magicgui's widgets where they do; where they lose digits, empty values or
duplicate labels, our own stand in.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QIcon, QMouseEvent, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QColorDialog,
    QCompleter,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSizePolicy,
    QTextEdit,
    QToolButton,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_tool_runner.tools.model import (
    BooleanParameter,
    ColorParameter,
    DataColumnParameter,
    DataParameter,
    DirectoryParameter,
    DrillDownParameter,
    FileParameter,
    FloatParameter,
    IntegerParameter,
    Parameter,
    SelectParameter,
    TextParameter,
)
from napari_tool_runner.widgets.forms.choice_fields import (
    DrillDownField,
    ManyField,
    RadioField,
    SelectField,
)
from napari_tool_runner.widgets.forms.column_field import ColumnField
from napari_tool_runner.widgets.forms.field_base import Field, FormContext, OptionalField
from napari_tool_runner.widgets.forms.layers_field import LayerField, LayersField, ask_for_files
from napari_tool_runner.widgets.parts.icons import IconButton
from napari_tool_runner.widgets.parts.inputs import NumberBox
from napari_tool_runner.widgets.parts.layouts import filled

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_tool_runner.widgets.forms.node import LeafNode

__all__ = ["make_field"]

NOT_SET = "not set"


def make_field(node: LeafNode, context: FormContext) -> Field:
    """Return the editor for the parameter of `node`.

    Raises
    ------
    TypeError
        For a parameter that has no editor (hidden ones are not shown).
    """
    parameter = node.parameter
    if isinstance(parameter, DataParameter):
        return (LayersField if parameter.multiple else LayerField)(node, context)
    if isinstance(parameter, IntegerParameter | FloatParameter | ColorParameter):
        kind = ColorField if isinstance(parameter, ColorParameter) else NumberField
        field = kind(node, context)
        return OptionalField(field) if parameter.optional else field
    if isinstance(parameter, BooleanParameter):
        return BooleanField(node, context)
    if isinstance(parameter, SelectParameter):
        if parameter.multiple:
            return ManyField(node, context)
        radio = parameter.display == "radio" and len(parameter.options) <= 6
        return (RadioField if radio and parameter.source is None else SelectField)(node, context)
    if isinstance(parameter, TextParameter):
        return (MultilineField if parameter.multiline else TextField)(node, context)
    if isinstance(parameter, FileParameter | DirectoryParameter):
        return PathField(node, context)
    if isinstance(parameter, DataColumnParameter):
        return ColumnField(node, context)
    if isinstance(parameter, DrillDownParameter):
        return DrillDownField(node, context)
    raise TypeError(f"A parameter of type {parameter.type!r} has no field.")


class NumberField(Field):
    """A number with arrows, all digits, no hidden limits."""

    def __init__(self, node: LeafNode, context: FormContext) -> None:
        super().__init__(node, context)
        parameter = node.parameter
        assert isinstance(parameter, IntegerParameter | FloatParameter)
        self.box = NumberBox(
            whole=isinstance(parameter, IntegerParameter),
            minimum=parameter.minimum,
            maximum=parameter.maximum,
            step=parameter.step,
        )
        self.widget = self.box
        self.steps = self.box.stepBy
        if parameter.optional:
            self.box.set_placeholder("–")  # beside the unit there is no room for words
        self.box.edited.connect(lambda text: self.edited(text or None))
        self.show(node.value)

    def show(self, value: object) -> None:
        """Show a number, or the text that was typed instead."""
        self.box.show_value(value)


class _ClickLabel(QLabel):
    clicked = Signal()

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        super().mouseReleaseEvent(event)
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self.clicked.emit()


class BooleanField(Field):
    """A check box with its label behind it; long labels wrap."""

    labels_itself = True

    def __init__(self, node: LeafNode, context: FormContext) -> None:
        super().__init__(node, context)
        self.box = QCheckBox()
        label = _ClickLabel(node.parameter.label or node.parameter.name)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setWordWrap(True)
        label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        label.clicked.connect(self.box.click)
        self.widget = QWidget()
        row = filled(QHBoxLayout(self.widget), self.box, (label, 1), spacing=0)
        row.setAlignment(self.box, Qt.AlignmentFlag.AlignTop)
        self.widget.setFocusProxy(self.box)
        self.show(node.value)
        self.box.toggled.connect(self.edited)

    def show(self, value: object) -> None:
        """Check or uncheck."""
        with signals_blocked(self.box):
            self.box.setChecked(bool(value))


class TextField(Field):
    """One line of text; suggestions complete it."""

    def __init__(self, node: LeafNode, context: FormContext) -> None:
        super().__init__(node, context)
        parameter = node.parameter
        self.line = QLineEdit()
        self.line.setMinimumWidth(60)
        self.widget = self.line
        if parameter.optional:
            self.line.setPlaceholderText(NOT_SET)
        if isinstance(parameter, TextParameter) and parameter.suggestions:
            completer = QCompleter([option.value for option in parameter.suggestions], self.line)
            completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
            completer.setFilterMode(Qt.MatchFlag.MatchContains)
            self.line.setCompleter(completer)
            completer.activated.connect(self._text_edited)
        self.show(node.value)
        self.line.textEdited.connect(self._text_edited)

    def show(self, value: object) -> None:
        """Show a text."""
        text = "" if value is None else str(value)
        if self.line.text() != text:
            self.line.setText(text)

    def _beside(self, button: QToolButton, ask: Callable[[], None], *, first: bool) -> None:
        """Put a button beside the line that asks for the value."""
        self.widget = QWidget()
        row = filled(QHBoxLayout(self.widget), (self.line, 1), spacing=4 if first else 2)
        row.insertWidget(0 if first else 1, button)
        self.widget.setFocusProxy(self.line)
        button.clicked.connect(ask)

    def _text_edited(self, text: str) -> None:
        self.edited(_or_nothing(text, self.node.parameter))


class MultilineField(Field):
    """Several lines of text."""

    wide = True

    def __init__(self, node: LeafNode, context: FormContext) -> None:
        super().__init__(node, context)
        self.area = QTextEdit()
        self.area.setTabChangesFocus(True)
        self.area.setAcceptRichText(False)
        self.area.setFixedHeight(self.area.fontMetrics().height() * 4 + 12)
        self.widget = self.area
        self.show(node.value)
        self.area.textChanged.connect(self._text_edited)

    def show(self, value: object) -> None:
        """Show a text."""
        text = "" if value is None else str(value)
        if self.area.toPlainText() != text:
            with signals_blocked(self.area):
                self.area.setPlainText(text)

    def _text_edited(self) -> None:
        self.edited(_or_nothing(self.area.toPlainText(), self.node.parameter))


def _or_nothing(text: str, parameter: Parameter) -> str | None:
    """Return what a line holds: of an empty one nothing, where that is not a text itself."""
    is_text = text or not parameter.optional or getattr(parameter, "empty", False)
    return text if is_text else None


class PathField(TextField):
    """A path and a button that asks for one. Empty is empty, never ``.``."""

    def __init__(self, node: LeafNode, context: FormContext) -> None:
        super().__init__(node, context)
        self._folder = isinstance(node.parameter, DirectoryParameter)
        what = "folder" if self._folder else "file"
        if not node.parameter.optional:
            self.line.setPlaceholderText(f"no {what}")
        self.browse = IconButton(what, f"Choose a {what}…")
        self._beside(self.browse, self._ask, first=False)

    def hint(self) -> str:
        """Say when there is nothing at that path."""
        text = self.line.text().strip()
        if not text:
            return ""
        path = Path(os.path.expanduser(text))
        if self._folder:
            return "" if os.path.isdir(path) else "There is no such folder."
        return "" if os.path.exists(path) else "There is no such file."

    def _ask(self) -> None:
        label = self.node.parameter.label or self.node.parameter.name
        paths = ask_for_files(self.widget, f"Choose “{label}”", many=False, folder=self._folder)
        if paths:
            self.line.setText(str(paths[0]))
            self.edited(str(paths[0]))


class ColorField(TextField):
    """A colour as text, with a swatch that opens the colour dialog."""

    def __init__(self, node: LeafNode, context: FormContext) -> None:
        self.swatch = QToolButton()
        self.swatch.setToolTip("Choose a colour…")
        self.swatch.setAccessibleName("Choose a colour")
        super().__init__(node, context)
        self._beside(self.swatch, self._ask, first=True)

    def show(self, value: object) -> None:
        """Show a colour."""
        super().show(value)
        self._paint(self.line.text())

    def _paint(self, text: str) -> None:
        image = QPixmap(16, 16)
        color = QColor(text)
        image.fill(color if color.isValid() else Qt.GlobalColor.transparent)
        self.swatch.setIcon(QIcon(image))

    def _text_edited(self, text: str) -> None:
        self._paint(text)
        self.edited(text or None)

    def _ask(self) -> None:
        color = QColorDialog.getColor(QColor(self.line.text()), self.widget)
        if color.isValid():
            self.line.setText(color.name())
            self._text_edited(color.name())
