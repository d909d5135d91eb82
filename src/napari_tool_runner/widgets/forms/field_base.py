"""What every field of a form shares, and the row that holds it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QLabel, QSizePolicy, QWidget
from superqt import QElidingLabel
from superqt.utils import signals_blocked

from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.tools.model import FloatParameter, IntegerParameter
from napari_tool_runner.widgets.forms.quantities import first_number, has_two_units, unit_of
from napari_tool_runner.widgets.parts.dragging import DragSteps
from napari_tool_runner.widgets.parts.icons import IconButton
from napari_tool_runner.widgets.parts.inputs import keep_wheel_away
from napari_tool_runner.widgets.parts.layouts import filled, plain_label
from napari_tool_runner.widgets.parts.messages import MessageBar
from napari_tool_runner.widgets.parts.texts import tooltip

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_tool_runner.tools.model import ParameterBase
    from napari_tool_runner.widgets.forms.form_model import FormModel
    from napari_tool_runner.widgets.forms.layers import LayerChooser
    from napari_tool_runner.widgets.forms.node import LeafNode, Node
    from napari_tool_runner.widgets.parts.messages import Button

__all__ = ["Field", "FieldRow", "FormContext", "OptionalField", "Steps"]

_PATIENCE = 1.0  # seconds that a window may stand still
_PAUSE = 0.3  # seconds between what one event asks for and the next event


class Steps(Protocol):
    """Opens the tools that make what an input needs."""

    def find(self, layer: object) -> tuple[Button, ...]:
        """Offer to make objects of a layer of intensities."""
        ...

    def segment(self, layer: object) -> tuple[Button, ...]:
        """Offer to make a mask of a layer of intensities."""
        ...

    def split(self, layer: object) -> tuple[Button, ...]:
        """Offer to make an object of each piece of a mask."""
        ...

    def before(self, tool: str, layer: object) -> tuple[str, tuple[Button, ...]]:
        """Say what is better done before `tool` takes a layer, and offer it."""
        ...


@dataclass(slots=True)
class FormContext:
    """What fields need from outside their own parameter.

    Parameters
    ----------
    model : FormModel
    chooser : LayerChooser
        Which layers fit an input.
    label_width : int
        Width of the column of labels, in pixels.
    steps : Steps or None
        Opens the tools that make what an input needs.
    """

    model: FormModel
    chooser: LayerChooser
    label_width: int = 120
    show_all_problems: bool = False
    steps: Steps | None = None
    _waited: float = 0
    _last: float = 0

    @contextmanager
    def waits(self) -> Iterator[None]:
        """Count the time that the window stands still for what is computed inside."""
        begun = time.monotonic()
        if begun - self._last > _PAUSE:
            self._waited = 0
        try:
            yield
        finally:
            self._last = time.monotonic()
            self._waited += self._last - begun

    def is_waiting(self) -> bool:
        """Whether this event has waited as long as a person may have to."""
        return self._waited > _PATIENCE and time.monotonic() - self._last < _PAUSE


class Field:
    """The editor of one parameter: a view of its node.

    Subclasses make `widget`, implement `show`, and call `edited` with what the
    user entered.
    """

    wide = False
    """Whether the editor wants the whole width, below its label."""
    labels_itself = False
    """Whether the editor shows the label (check boxes)."""
    hinted = Signal()
    """`hint` says something else, though the value is the same."""

    def __init__(self, node: LeafNode, context: FormContext) -> None:
        self.node = node
        self.context = context
        self.widget: QWidget = QWidget()
        self.below: QWidget | None = None
        """What belongs under the editor."""
        self.steps: Callable[[int], None] | None = None
        """Changes a number by so many steps."""
        self._editing = False

    def show(self, value: object) -> None:
        """Show `value` in the editor; must not call `edited`."""
        raise NotImplementedError

    def hint(self) -> str:
        """Return a remark to show under the field, an empty text for none."""
        return ""

    def mends(self) -> tuple[Button, ...]:
        """Return what may mend the problem that is shown."""
        return ()

    def offers(self) -> tuple[Button, ...]:
        """Return the buttons that go with `hint`."""
        return ()

    def edited(self, value: object) -> None:
        """Pass on what the user entered."""
        self._editing = True
        try:
            self.node.set(value)
        finally:
            self._editing = False

    def refresh(self) -> None:
        """Show the node's value, unless the change came from here."""
        if not self._editing:
            self.show(self.node.value)

    def focus_widget(self) -> QWidget:
        """Return the part that takes the keyboard."""
        return self.widget.focusProxy() or self.widget

    def layers_changed(self) -> None:
        """React to a change of the layer list."""

    def follow_model(self) -> None:
        """Hear of every change of the form by `other_changed`, until `release`."""
        self.context.model.changed.connect(self.other_changed)

    def other_changed(self, node: Node) -> None:
        """React to a change of another field."""

    def release(self) -> None:
        """Stop following the form; call before the widgets are deleted."""
        self.context.model.changed.disconnect(self.other_changed, missing_ok=True)


class OptionalField(Field):
    """Wraps a field with a check box: unchecked means "not set" (None)."""

    def __init__(self, inner: Field) -> None:
        super().__init__(inner.node, inner.context)
        self.inner = inner
        self.wide, self.below = inner.wide, inner.below
        inner.hinted.connect(self.hinted.emit)
        self.widget = QWidget()
        self.box = QCheckBox()
        self.box.setToolTip(tooltip("Set this value. Unchecked: the tool decides."))
        self.box.setAccessibleName(f"Set {inner.node.parameter.label or inner.node.name}")
        filled(QHBoxLayout(self.widget), self.box, (inner.widget, 1), spacing=4)
        self._last: object = None
        self.widget.setFocusProxy(self.box)
        self.box.toggled.connect(self._toggled)
        self.show(self.node.value)

    def show(self, value: object) -> None:
        """Show `value`; None unchecks the box and keeps the last number visible."""
        given = value is not None
        with signals_blocked(self.box):
            self.box.setChecked(given)
        self.inner.widget.setEnabled(given)
        if given:
            self._last = value
        self.inner.show(value)

    def forget(self) -> None:
        """Keep no number for when the box is checked: it was in another unit."""
        self._last = None

    def hint(self) -> str:
        """Return the inner field's remark."""
        return self.inner.hint()

    def release(self) -> None:
        """Release the inner field too."""
        self.inner.release()
        super().release()

    def refresh(self) -> None:
        """Show the node's value, unless the inner editor is being typed into."""
        if self.inner._editing:
            if self.node.value is not None:
                self._last = self.node.value
            return
        super().refresh()

    def _toggled(self, checked: bool) -> None:
        self.inner.widget.setEnabled(checked)
        if not checked:
            self.edited(None)
            self.inner.show(None)
            return
        value = self._last if self._last is not None else self._first_value()
        self.edited(value)
        self.inner.show(value)
        self.inner.focus_widget().setFocus()

    def _first_value(self) -> object:
        parameter = self.node.parameter
        default = getattr(parameter, "default", None)
        if default is not None or not isinstance(parameter, IntegerParameter | FloatParameter):
            return default
        return first_number(parameter, self.context.model)


class FieldRow(QWidget):
    """Label, editor, reset arrow, and a line for what is wrong.

    Parameters
    ----------
    field : Field
    context : FormContext
    """

    def __init__(self, field: Field, context: FormContext, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.field = field
        self.node = field.node
        self.context = context
        self._message: MessageBar | None = None
        self._reset: IconButton | None = None
        self._idle = False
        self._unit: QElidingLabel | None = None
        parameter: ParameterBase = self.node.parameter
        text = parameter.label or parameter.name
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 1, 0, 1)
        self._grid.setHorizontalSpacing(6)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(1, 1)
        self._grid.setColumnMinimumWidth(3, 20)
        help_text = tooltip(
            text, parameter.help, f"({parameter.argument})" if parameter.argument else ""
        )
        self.setToolTip(help_text)
        editor = field.widget
        unit = unit_of(parameter, context.model)
        focus = field.focus_widget()
        focus.setAccessibleName(f"{text} ({unit})" if unit else text)
        if parameter.help:
            focus.setAccessibleDescription(parameter.help)
        self.label: QLabel | None = None
        if field.labels_itself:
            self._grid.addWidget(editor, 0, 0, 1, 3)
        else:
            self.label = plain_label(text, wrap=True)
            self.label.setBuddy(focus)
            if field.steps is not None:
                DragSteps(self.label, field.steps)
            width = self.label.fontMetrics().horizontalAdvance(text)
            # a label of more than two lines beside its field is hard to read
            above = field.wide or width > 1.8 * context.label_width
            if not above:
                self.label.setFixedWidth(context.label_width)
            row, first = (1, 0) if above else (0, 1)
            self._grid.addWidget(self.label, 0, 0, 1, 3 if above else 1)
            self._grid.addWidget(editor, row, first, 1, (2 if unit else 3) - first)
            if unit:
                told = QElidingLabel(unit)
                told.setTextFormat(Qt.TextFormat.PlainText)
                self._grid.addWidget(told, row, 2)
                self._unit = told
                self._show_whole_unit()
            if field.below is not None:
                self._grid.addWidget(field.below, 3, 0, 1, 3)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        if has_two_units(parameter):
            context.model.changed.connect(self.show_unit)
        self.node.changed.connect(self.refresh)
        field.hinted.connect(self._show_state)
        keep_wheel_away(editor)
        self._show_state()

    def release(self) -> None:
        """Stop following the node; call before the row is deleted."""
        self.context.model.changed.disconnect(self.show_unit, missing_ok=True)
        self.node.changed.disconnect(self.refresh, missing_ok=True)
        self.field.hinted.disconnect(self._show_state, missing_ok=True)
        self.field.release()

    def refresh(self) -> None:
        """Show the node's value and what is wrong with it."""
        self.field.refresh()
        self._show_state()

    def show_unit(self) -> None:
        """Show the unit that holds for the layer that is chosen now."""
        parameter = self.node.parameter
        unit = unit_of(parameter, self.context.model)
        if self._unit is not None and self._unit.text() != unit:
            self._unit.setText(unit)
            self._show_whole_unit()
            name = f"{parameter.label or parameter.name} ({unit})"
            self.field.focus_widget().setAccessibleName(name)
            if isinstance(self.field, OptionalField):
                self.field.forget()

    def _show_whole_unit(self) -> None:
        """Keep room for a short unit; beside it stands what sets the value back."""
        if self._unit is not None:
            wide = self._unit.fontMetrics().horizontalAdvance(self._unit.text()) + 2
            self._unit.setMinimumWidth(wide if wide <= self.context.label_width * 2 // 3 else 24)

    def message(self) -> str:
        """Return the sentence under the field, an empty text when there is none."""
        return self._message.text() if self._message and not self._message.isHidden() else ""

    def _show_state(self) -> None:
        if self._idle is not self.node.idle:
            self._idle = self.node.idle
            self.setHidden(self._idle)
        problem = self.node.problem or ""
        show = bool(problem) and (self.node.chosen or self.context.show_all_problems)
        self._say(problem if show else self.field.hint() or self.node.said, show)
        self._offer_reset(not self.node.is_default)

    def _say(self, text: str, is_problem: bool) -> None:
        if not text and self._message is None:
            return
        if self._message is None:
            self._message = MessageBar(stays=True)
            self._grid.addWidget(self._message, 2, 0, 1, 3)
        offers = self.field.mends() if is_problem else self.field.offers()
        self._message.say(text, "problem" if is_problem else "info", offers)
        described = f"{text} {self.node.parameter.help}".strip()
        self.field.focus_widget().setAccessibleDescription(described)

    def _offer_reset(self, offer: bool) -> None:
        if self._reset is None and offer:
            label = self.node.parameter.label or self.node.parameter.name
            self._reset = IconButton("reset", f"Set “{label}” back to its default")
            self._reset.setFixedSize(20, 20)
            self._reset.clicked.connect(self.node.reset)
            self._grid.addWidget(self._reset, 0, 3, Qt.AlignmentFlag.AlignTop)
        if self._reset is not None:
            self._reset.setVisible(offer)
