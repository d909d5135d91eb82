"""How a tool looks in the tree: name, one line of description, badges, a star."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QBuffer, QModelIndex, QRect, QRectF, QSize, Qt
from qtpy.QtGui import QFontMetrics, QImageReader, QPainter, QPen, QPixmap

from napari_tool_runner import sealed
from napari_tool_runner.errors import OutputError
from napari_tool_runner.widgets.finding.tool_tree import Role, ToolTreeModel
from napari_tool_runner.widgets.parts.row_delegate import RowDelegate

if TYPE_CHECKING:
    from qtpy.QtWidgets import QStyleOptionViewItem

    from napari_tool_runner.tools.toolbox.entries import ToolEntry

__all__ = ["ToolDelegate"]

_PAD = 3
_PICTURE = 30
_MOST_BYTES = 2**24
_MOST = 2_000_000  # pixels: decoded in 15 ms, while the tree is drawn
_PIXELS = frozenset({b"png", b"jpeg", b"gif", b"bmp", b"webp"})


def _entry(index: QModelIndex) -> ToolEntry | None:
    """Return the tool at `index`; not as data, where PySide6 turns it into a list."""
    model = index.model()
    return model.entry(index) if isinstance(model, ToolTreeModel) else None


@lru_cache(maxsize=256)
def _picture(path: str) -> QPixmap:
    """Return a thumbnail, a null pixmap when it cannot be read, or is a link or pipe by now.

    Pixels only, and not too many, by what its first bytes say: a drawing (SVG) of a stranger, or
    a picture that unpacks to a wall, may take for ever, before anybody trusts it.
    """
    try:
        data = sealed.read_bytes(Path(path), Path(path).parent, limit=_MOST_BYTES)
    except (OSError, OutputError):
        return QPixmap()
    kept = QBuffer()
    kept.setData(data)
    reader = QImageReader(kept)
    reader.setDecideFormatFromContent(True)
    if reader.format().data() not in _PIXELS:  # even the size of a drawing may take for ever
        return QPixmap()
    size = reader.size()
    if not 0 < size.width() * size.height() <= _MOST:
        return QPixmap()
    image = QPixmap.fromImage(reader.read())
    if image.isNull():
        return image
    return image.scaled(
        _PICTURE,
        _PICTURE,
        Qt.AspectRatioMode.KeepAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )


class ToolDelegate(RowDelegate):
    """Two lines for a tool, one for a group."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        """Return the height; the width is the view's."""
        entry = _entry(index)
        line = option.fontMetrics.height()
        if entry is None:
            return QSize(80, line + 2 * _PAD)
        lines = 2 if entry.description else 1
        height = lines * line + 2 * _PAD
        return QSize(80, max(height, _PICTURE + 2) if entry.thumbnail else height)

    def paint(
        self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Draw a tool in two lines; groups as the style draws them."""
        assert painter is not None
        entry = _entry(index)
        if entry is None:
            super().paint(painter, option, index)
            return
        color, line = self.begin(painter, option, index, _PAD)
        if entry.thumbnail:
            image = _picture(entry.thumbnail)
            if not image.isNull():
                painter.drawPixmap(line.left(), line.top(), image)
                line.setLeft(line.left() + _PICTURE + 6)
        metrics = option.fontMetrics
        right = line.right()
        if index.data(Role.STARRED):
            right -= 14
            self.draw_icon(painter, "starred", right + 1, line.top() + 1, 12)
            right -= 3
        for badge in reversed(index.data(Role.BADGES) or ()):
            right = self._badge(painter, badge, right, line)
        name = QRect(line.left(), line.top(), right - line.left(), line.height())
        self.draw_text(painter, name, entry.name)
        if entry.description:
            color.setAlphaF(0.65)
            painter.setPen(color)
            self.draw_text(painter, line.translated(0, metrics.height()), entry.description)
        painter.restore()

    def _badge(self, painter: QPainter, text: str, right: int, line: QRect) -> int:
        """Draw a framed word that ends at `right`; return where the next may end."""
        font = painter.font()
        small = painter.font()
        small.setPointSizeF(max(6.0, font.pointSizeF() * 0.8))
        painter.setFont(small)
        width = QFontMetrics(small).horizontalAdvance(text) + 8
        box = QRectF(right - width, line.top() + 1.5, width, line.height() - 3)
        pen = painter.pen()
        color = pen.color()
        color.setAlphaF(0.6)
        painter.setPen(QPen(color))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.drawRoundedRect(box, 3, 3)
        painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), text)
        painter.setPen(pen)
        painter.setFont(font)
        return int(right - width - 4)
