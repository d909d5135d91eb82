"""What is told of the rows that are shown: specks, giants, what is cut, what has no unit."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import QSizePolicy, QWidget
from superqt import QFlowLayout

from napari_tool_runner.exchange import edge_words, giant_words, pixel_column, speck_words
from napari_tool_runner.names import count_text
from napari_tool_runner.widgets.parts.layouts import plain_label
from napari_tool_runner.widgets.results.filtering import NOT_CUT
from napari_tool_runner.widgets.results.measures import Specks, cut_in, giants_of, specks_of
from napari_tool_runner.widgets.results.remark import Remark

if TYPE_CHECKING:
    import numpy as np
    from qtpy.QtGui import QResizeEvent

    from napari_tool_runner.widgets.results.rows import Rows

__all__ = ["Remarks"]

_SPLIT = "“Split touching objects” takes them apart, or the brush of their layer."
_EDGE = "A part of them lies beyond the image: leave them out of averages of sizes."
_REMOVE = "“Remove objects by size” takes them out of the image."


class Remarks(QWidget):
    """How many rows there are, and what is told of them, on as many lines as it takes."""

    picked = Signal(object)
    """Rows are to be chosen; carries them."""
    added = Signal(str)
    """Rows are to be left out; carries a term of the filter."""
    dropped = Signal(str)
    """They are to be shown again; carries that term."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.count = plain_label()
        self._widest = ""
        self.specks, self.giants, self.cut, self.unsized = (Remark() for _ in range(4))
        row = QFlowLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setHorizontalSpacing(12)
        row.setVerticalSpacing(2)
        for part in (self.count, self.specks, self.giants, self.cut, self.unsized):
            row.addWidget(part)
            row.setAlignment(part, Qt.AlignmentFlag.AlignVCenter)
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Let each line have as much room as there is now."""
        super().resizeEvent(event)
        self._keep_room(self.count.text())  # in a window it has another font
        for part in self.findChildren(Remark):
            part.updateGeometry()

    def minimumSizeHint(self) -> QSize:
        """Return the height of what is told, in the width that there is."""
        layout = self.layout()
        assert layout is not None
        return QSize(80, layout.heightForWidth(max(80, self.width())))

    def tell(self, rows: Rows, shown: np.ndarray, filtered: str) -> None:
        """Say what is known of the rows `shown`, which a filter leaves."""
        self.count.setMinimumHeight(self.cut.button.sizeHint().height())  # as what stands beside
        self._tell_specks(rows, shown, filtered)
        self._tell_giants(rows, shown)
        self._tell_cut(rows, shown, filtered)

    def say_count(self, text: str, widest: str) -> None:
        """Say how many rows there are, in the room of the `widest` text: nothing moves then."""
        self._widest = widest
        self._keep_room(text)

    def _keep_room(self, text: str) -> None:
        self.count.setText(self._widest)
        self.count.setMinimumWidth(self.count.sizeHint().width())
        self.count.setText(text)

    def _tell_specks(self, rows: Rows, shown: np.ndarray, filtered: str) -> None:
        """Say how much of what is counted is hardly an object, or that it is left out."""
        found = specks_of(rows.frame, shown) if rows.layers else Specks()
        if found.number:
            leave = "Leave them out", partial(self.added.emit, found.filter)
            self.specks.say(speck_words(found.number, found.least), _REMOVE, leave)
        elif found.hidden and found.filter in filtered:
            specks = count_text(found.hidden, "speck")
            text = f"Left out: {specks} of less than {found.least:,} pixels."
            show = "Show them", partial(self.dropped.emit, found.filter)
            self.specks.say(text, _REMOVE, show)
        else:
            self.specks.say("")

    def _tell_giants(self, rows: Rows, shown: np.ndarray) -> None:
        """Say which objects are so large that they may be several in one."""
        frame = rows.frame if rows.layers else rows.frame.iloc[:, :0]
        found = giants_of(frame, shown)
        count = len(found.rows)
        text = giant_words(count, found.largest, found.middle) if count else ""
        show = "Show it" if count == 1 else "Show them"
        self.giants.say(text, _SPLIT, (show, partial(self.picked.emit, found.rows)))

    def _tell_cut(self, rows: Rows, shown: np.ndarray, filtered: str) -> None:
        """Say which objects touch the edge, where sizes are told, or that they are left out."""
        cut = cut_in(rows) if pixel_column(rows.frame) else None
        if cut is None or not cut.any():
            self.cut.say("")
            return
        found, it = shown[cut[shown]], "it" if int(cut.sum()) == 1 else "them"
        if len(found):
            show = f"Show {it}", partial(self.picked.emit, found)
            leave = f"Leave {it} out", partial(self.added.emit, NOT_CUT)
            self.cut.say(edge_words(len(found)), _EDGE, show, leave)
        elif NOT_CUT in filtered:
            count = int(cut.sum())
            told = count_text(count, "object that touches", "objects that touch")
            show = f"Show {it}", partial(self.dropped.emit, NOT_CUT)
            self.cut.say(f"Left out: {told} the edge.", _EDGE, show)
        else:
            self.cut.say("")
