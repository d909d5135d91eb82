"""Inputs without the usual surprises, in a form that is narrow and scrolls.

Qt's own number boxes round to two decimals, stop at 32 bits, refuse keys at the limits and
have no empty state. In `NumberBox` the text is what counts: every digit is kept, any size is
allowed; the form says what is wrong with it.
"""

from __future__ import annotations

import math
from decimal import Decimal, InvalidOperation

from qtpy.QtCore import QEvent, QObject, QSize, Qt, Signal
from qtpy.QtGui import QHelpEvent, QPaintEvent, QValidator
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QToolTip,
    QWidget,
)

from napari_tool_runner.widgets.parts.texts import tooltip

__all__ = ["NarrowCombo", "NumberBox", "finish_typing", "keep_narrow", "keep_wheel_away"]


def number_text(value: object) -> str:
    """Return a number with all its digits, an empty text for None."""
    if value is None:
        return ""
    if isinstance(value, float):
        if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
            return f"{value:.1f}"
        return repr(value)
    return str(value)


class NumberBox(QAbstractSpinBox):
    """A text line with arrows.

    Parameters
    ----------
    whole : bool
        Whole numbers only (arrows step by whole numbers).
    minimum, maximum : number or None
        Where the arrows stop. Typed numbers may lie outside; the form objects.
    step : number or None
        What one arrow press adds; None: a tenth of the number's magnitude.
    """

    edited = Signal(str)

    def __init__(
        self,
        *,
        whole: bool,
        minimum: float | None = None,
        maximum: float | None = None,
        step: float | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._whole = whole
        self._minimum = Decimal("-inf" if minimum is None else str(minimum))
        self._maximum = Decimal("inf" if maximum is None else str(maximum))
        self._step = None if step is None else Decimal(str(step))
        line = self.lineEdit()
        assert line is not None
        self._line = line
        line.textEdited.connect(self._emit)
        self.setMinimumWidth(60)

    def raw_text(self) -> str:
        """Return the text with a decimal comma read as a point."""
        text = self._line.text().strip()
        if text.count(",") == 1 and "." not in text and not self._whole:
            text = text.replace(",", ".")
        return text

    def show_value(self, value: object) -> None:
        """Show a number (or the text that was typed instead of one)."""
        text = value if isinstance(value, str) else number_text(value)
        if not self._means(value) and self._line.text() != text:
            self._line.setText(text)

    def set_placeholder(self, text: str) -> None:
        """Set what an empty field says."""
        self._line.setPlaceholderText(text)

    def validate(self, text: str | None, position: int) -> tuple[QValidator.State, str, int]:
        """Accept every key: the form explains what is wrong."""
        return QValidator.State.Acceptable, text or "", position

    def stepBy(self, steps: int) -> None:
        """Step from the present number; from nothing, start at the nearest limit or 0."""
        present = self._decimal()
        new = Decimal(0) if present is None else present + self._step_at(present, steps) * steps
        new = min(max(new, self._minimum), self._maximum)
        self._line.setText(str(int(new)) if self._whole else number_text(float(new)))
        self._emit()

    def stepEnabled(self) -> QAbstractSpinBox.StepEnabledFlag:
        """Say which arrows work."""
        flags = QAbstractSpinBox.StepEnabledFlag.StepNone
        try:
            present = self._decimal()
        except RuntimeError:  # PySide asks once more while the line is being deleted
            return flags
        if present is None or present > self._minimum:
            flags |= QAbstractSpinBox.StepEnabledFlag.StepDownEnabled
        if present is None or present < self._maximum:
            flags |= QAbstractSpinBox.StepEnabledFlag.StepUpEnabled
        return flags

    def sizeHint(self) -> QSize:
        """Return a width for about ten digits, so that a form stays narrow."""
        hint = super().sizeHint()
        return QSize(self.fontMetrics().averageCharWidth() * 10 + 40, hint.height())

    def minimumSizeHint(self) -> QSize:
        """Return a small width: the field may shrink with the dock."""
        return QSize(60, super().minimumSizeHint().height())

    def _emit(self) -> None:
        self.edited.emit(self.raw_text())

    def _means(self, value: object) -> bool:
        """Whether the text already stands for `value` (then the typing is left alone)."""
        text = self.raw_text()
        if isinstance(value, str) or value is None:
            return text == (value or "")
        try:
            return (int(text) if self._whole else float(text)) == value
        except ValueError:
            return False

    def _decimal(self) -> Decimal | None:
        try:
            number = Decimal(self.raw_text())
        except InvalidOperation:
            return None
        return number if number.is_finite() else None

    def _step_at(self, present: Decimal, direction: int) -> Decimal:
        if self._step is not None and self._step > 0:
            return self._step
        if present == 0:
            return Decimal(1) if self._whole else Decimal("0.1")
        exponent = present.adjusted()
        # going towards zero from 1.0 the next step is 0.1, not 0.0
        if abs(present) == Decimal(10) ** exponent and (present > 0) != (direction > 0):
            exponent -= 1
        size = Decimal(10) ** (exponent - 1)
        return max(Decimal(1), size) if self._whole else size


class _WheelGuard(QObject):
    """Lets the wheel scroll the form instead of changing a field it passes over."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if (
            event is not None
            and event.type() == QEvent.Type.Wheel
            and isinstance(watched, QWidget)
            and not watched.hasFocus()
        ):
            event.ignore()
            return True
        return False


_guards: list[_WheelGuard] = []


def keep_narrow(combo: QComboBox) -> None:
    """Let `combo` shrink with the dock: long entries are cut, never widen the window."""
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(8)
    combo.setMinimumWidth(70)


class NarrowCombo(QComboBox):
    """Shrinks with the dock; what is cut ends in an ellipsis and has a tooltip."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        keep_narrow(self)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the present entry, as far as there is room."""
        painter, option = QStylePainter(self), QStyleOptionComboBox()
        self.initStyleOption(option)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        option.currentText = self._shortened()
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)

    def event(self, event: QEvent | None) -> bool:
        """Show all of an entry that is cut, unless there is more to say."""
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            text = self.toolTip() or (
                tooltip(self.currentText()) if self._shortened() != self.currentText() else ""
            )
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return super().event(event)

    def _shortened(self) -> str:
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        style = self.style()
        assert style is not None
        field = style.subControlRect(
            QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, self
        )
        icon = 0 if option.currentIcon.isNull() else option.iconSize.width() + 4
        room = field.width() - icon - 4
        mode = Qt.TextElideMode.ElideRight
        return option.fontMetrics.elidedText(option.currentText, mode, room)


def finish_typing(within: QWidget) -> None:
    """Let what is being typed below `within` count: leave the field, and come back."""
    focus = QApplication.focusWidget()
    if focus is not None and within.isAncestorOf(focus):
        focus.clearFocus()
        focus.setFocus()


def keep_wheel_away(widget: QWidget) -> None:
    """Make spin boxes and combo boxes in `widget` react to the wheel only with focus."""
    if not _guards:
        _guards.append(_WheelGuard())
    for target in (widget, *widget.findChildren(QWidget)):
        if isinstance(target, QAbstractSpinBox | QComboBox):
            target.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            target.installEventFilter(_guards[0])
