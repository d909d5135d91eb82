"""Drawing rows of a list or a tree: what all of ours do alike."""

from __future__ import annotations

from qtpy.QtCore import QModelIndex, QRect, Qt
from qtpy.QtGui import QColor, QPainter, QPalette
from qtpy.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from napari_tool_runner.widgets.parts.icons import pixmap

__all__ = ["RowDelegate"]


class RowDelegate(QStyledItemDelegate):
    """A delegate that draws its rows itself, on the ground that the style draws."""

    def begin(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex, pad: int
    ) -> tuple[QColor, QRect]:
        """Draw the ground (selection, focus) and take the text's pen.

        The painter is saved: restore it in the end.

        Returns
        -------
        QColor
            The colour of the text.
        QRect
            The first line of text, `pad` pixels inside.
        """
        self.initStyleOption(option, index)
        option.text = ""
        view = self.parent()
        assert isinstance(view, QWidget)
        style = view.style()
        assert style is not None
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, option, painter, view)
        color = option.palette.color(QPalette.ColorGroup.Active, QPalette.ColorRole.Text)
        painter.save()
        painter.setPen(color)
        rect = option.rect.adjusted(pad, pad, -pad, -pad)
        return color, QRect(rect.left(), rect.top(), rect.width(), option.fontMetrics.height())

    @staticmethod
    def draw_text(painter: QPainter, rect: QRect, text: str) -> None:
        """Draw one line, elided at its right end."""
        right = Qt.TextElideMode.ElideRight
        elided = painter.fontMetrics().elidedText(text, right, rect.width())
        at = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(rect, int(at), elided)

    @staticmethod
    def draw_icon(painter: QPainter, name: str, x: int, y: int, size: int) -> None:
        """Draw an icon in the colour of the pen."""
        device = painter.device()
        ratio = device.devicePixelRatioF() if device is not None else 1.0
        painter.drawPixmap(x, y, pixmap(name, painter.pen().color().name(), size, ratio))
