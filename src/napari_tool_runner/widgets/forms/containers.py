"""Sections, conditionals and repeats: what holds the rows of a form.

Nothing is built before it can be seen: a collapsed section, a case that is not chosen
and rows far below the visible part wait until they are needed or nobody types.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from napari_tool_runner.widgets.forms.field_base import FieldRow, FormContext
from napari_tool_runner.widgets.forms.fields import make_field
from napari_tool_runner.widgets.forms.form_model import (
    ConditionalNode,
    RepeatEntry,
    RepeatNode,
    SectionNode,
)
from napari_tool_runner.widgets.forms.node import LeafNode, Node
from napari_tool_runner.widgets.parts.folding import Folding, Indented
from napari_tool_runner.widgets.parts.icons import IconButton, TextIconButton
from napari_tool_runner.widgets.parts.layouts import filled, plain_label
from napari_tool_runner.widgets.parts.messages import MessageLabel
from napari_tool_runner.widgets.parts.texts import tooltip

if TYPE_CHECKING:
    from napari_tool_runner.widgets.parts.background import IdleWork

__all__ = ["Collapsible", "ConditionalBox", "RepeatBox", "RowsView"]


class RowsView(QWidget):
    """The rows of several nodes, one under the other; advanced ones at the end.

    Parameters
    ----------
    nodes : sequence of Node
    context : FormContext
    builder : IdleWork
    data_first : bool
        Data inputs come before the other parameters (the top of a form).
    split_advanced : bool
        Advanced parameters go to a closed part at the end.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        context: FormContext,
        builder: IdleWork,
        *,
        data_first: bool = False,
        split_advanced: bool = True,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._context = context
        self._builder = builder
        self._rows: dict[int, QWidget] = {}
        self._layout = filled(QVBoxLayout(self), spacing=3)
        shown = [node for node in nodes if not node.hidden]
        advanced = [node for node in shown if split_advanced and node.advanced]
        plain = [node for node in shown if node not in advanced]
        if data_first:
            plain.sort(key=lambda node: not node.is_data)
        self._nodes = plain
        self._advanced: Collapsible | None = None
        builder.add([self._maker(node) for node in plain], first=not data_first)
        if advanced:
            builder.add([lambda: self._add_advanced(advanced)], first=False)

    def reveal(self, leaf: LeafNode) -> FieldRow | None:
        """Build and open what is needed to see `leaf`; returns its row."""
        for node in self._nodes:
            if node.holds(leaf):
                if id(node) not in self._rows:
                    self._builder.finish()
                return _reveal_in(self._rows[id(node)], leaf, self._builder)
        if self._advanced is None:
            self._builder.finish()
        if self._advanced is not None and any(n.holds(leaf) for n in self._advanced.nodes):
            return _reveal_in(self._advanced, leaf, self._builder)
        return None

    def field_rows(self) -> list[FieldRow]:
        """Return every field row below, in the order of the form."""
        return self.findChildren(FieldRow)

    def release(self) -> None:
        """Stop following the nodes; call before the view is deleted."""
        for row in self.findChildren(FieldRow):
            row.release()
        for view in (self, *self.findChildren(RowsView)):
            for node in view._advanced.nodes if view._advanced is not None else ():
                node.changed.disconnect(view._count_advanced, missing_ok=True)

    def _maker(self, node: Node) -> Callable[[], None]:
        def make() -> None:
            row = make_row(node, self._context, self._builder)
            self._rows[id(node)] = row
            self._layout.addWidget(row)

        return make

    def _add_advanced(self, nodes: list[Node]) -> None:
        box = Collapsible("Advanced", nodes, self._context, self._builder, split_advanced=False)
        self._advanced = box
        self._layout.addWidget(box)
        for node in nodes:
            node.changed.connect(self._count_advanced)
        self._count_advanced()

    def _count_advanced(self) -> None:
        """Say how many are inside; without any that has an effect there is no such part."""
        box = self._advanced
        if box is not None:
            number = sum(not node.idle for node in box.nodes)
            box.set_title(f"Advanced ({number})")
            box.setHidden(not number)


def make_row(node: Node, context: FormContext, builder: IdleWork) -> QWidget:
    """Return the widget of one node; one odd parameter never kills the form."""
    if isinstance(node, SectionNode):
        section = node.section
        return Collapsible(
            section.label or section.name,
            node.children,
            context,
            builder,
            help_text=section.help,
            expanded=section.expanded,
        )
    if isinstance(node, ConditionalNode):
        return ConditionalBox(node, context, builder)
    if isinstance(node, RepeatNode):
        return RepeatBox(node, context, builder)
    assert isinstance(node, LeafNode)
    try:
        return FieldRow(make_field(node, context), context)
    except (TypeError, ValueError, KeyError) as error:
        # shown in the form, and its default is still sent
        label = MessageLabel()
        name = node.parameter.label or node.parameter.name
        label.say(f"“{name}” cannot be shown ({error}); its default is used.", "problem")
        return label


class Collapsible(Folding):
    """A part of the form that opens; its rows are built when it first does."""

    def __init__(
        self,
        title: str,
        nodes: Sequence[Node],
        context: FormContext,
        builder: IdleWork,
        *,
        help_text: str = "",
        expanded: bool = False,
        split_advanced: bool = True,
    ) -> None:
        self.nodes = tuple(nodes)
        self._context = context
        self._builder = builder
        self._split_advanced = split_advanced
        super().__init__(title, help_text)
        if expanded:
            self.set_expanded(True)

    def content(self) -> RowsView:
        """Return the rows, built on demand."""
        rows = super().content()
        assert isinstance(rows, RowsView)
        return rows

    def make_content(self) -> QWidget:
        """Return the rows; those below are built when the window is idle."""
        return RowsView(
            self.nodes, self._context, self._builder, split_advanced=self._split_advanced
        )

    def opened(self) -> None:
        """Build what is seen first."""
        self._builder.work()


class ConditionalBox(QWidget):
    """The choice of a conditional, and the rows of the case it selects."""

    def __init__(self, node: ConditionalNode, context: FormContext, builder: IdleWork) -> None:
        super().__init__()
        self.node = node
        self._context = _narrower(context)
        self._builder = builder
        self._cases: dict[str, tuple[Indented, RowsView]] = {}
        self.test_row = make_row(node.test, context, builder)
        self._layout = filled(QVBoxLayout(self), self.test_row, spacing=3)
        node.test.changed.connect(self._show_case)
        self._show_case()

    def case_view(self) -> RowsView | None:
        """Return the rows of the active case."""
        case = self._cases.get(self.node.active or "")
        return None if case is None else case[1]

    def reveal(self, leaf: LeafNode) -> FieldRow | None:
        """Build what is needed to see `leaf`."""
        if leaf is self.node.test:
            return self.test_row if isinstance(self.test_row, FieldRow) else None
        view = self.case_view()
        return None if view is None else view.reveal(leaf)

    def _show_case(self) -> None:
        key = self.node.active
        if key is not None and key not in self._cases and self.node.children:
            view = RowsView(self.node.children, self._context, self._builder)
            holder = Indented(view)
            self._cases[key] = (holder, view)
            self._builder.work_a_little()
            self._layout.addWidget(holder)
        for value, (holder, _) in self._cases.items():
            holder.setVisible(value == key)


class RepeatBox(QWidget):
    """A list of groups with buttons to add and remove."""

    def __init__(self, node: RepeatNode, context: FormContext, builder: IdleWork) -> None:
        super().__init__()
        self.node = node
        self._context = _narrower(context)
        self._builder = builder
        self._boxes: dict[int, _EntryBox] = {}
        repeat = node.repeat
        self._singular = (repeat.label or repeat.name).strip()
        title = plain_label(self._singular, wrap=True)
        title.setToolTip(tooltip(self._singular, repeat.help))
        self._list = filled(QVBoxLayout(), spacing=4)
        self.add_button = TextIconButton("plus", f"Add {self._singular}")
        self.add_button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.add_button.clicked.connect(self._add)
        parts = title, self._list, self.add_button
        filled(QVBoxLayout(self), *parts, margins=(0, 2, 0, 2), spacing=3)
        node.changed.connect(self._sync)
        self._sync()

    def boxes(self) -> list[_EntryBox]:
        """Return the boxes of the entries in their order."""
        return [self._boxes[id(entry)] for entry in self.node.entries if id(entry) in self._boxes]

    def reveal(self, leaf: LeafNode) -> FieldRow | None:
        """Build what is needed to see `leaf`."""
        for box in self.boxes():
            if any(leaf is one for one in box.entry.leaves()):
                self._builder.finish()
                return box.view.reveal(leaf)
        return None

    def _add(self) -> None:
        entry = self.node.add()
        if entry is not None:
            self._builder.work()
            rows = self._boxes[id(entry)].view.field_rows()
            if rows:
                rows[0].field.focus_widget().setFocus()

    def _sync(self) -> None:
        present = {id(entry) for entry in self.node.entries}
        for key in [key for key in self._boxes if key not in present]:
            box = self._boxes.pop(key)
            box.view.release()
            self._list.removeWidget(box)
            box.setParent(None)
            box.deleteLater()
        for entry in self.node.entries:
            if id(entry) not in self._boxes:
                box = _EntryBox(entry, self._singular, self._context, self._builder)
                box.remove_button.clicked.connect(
                    lambda _=False, entry=entry: self.node.remove(entry)
                )
                self._boxes[id(entry)] = box
                self._list.addWidget(box)
        repeat, can_add = self.node.repeat, self.node.can_add
        for number, box in enumerate(self.boxes(), start=1):
            box.show_number(number, self.node.can_remove, repeat.minimum)
        self.add_button.setEnabled(can_add)
        self.add_button.setToolTip("" if can_add else f"At most {repeat.maximum} are allowed.")


class _EntryBox(QWidget):
    """One entry of a repeat."""

    def __init__(
        self, entry: RepeatEntry, title: str, context: FormContext, builder: IdleWork
    ) -> None:
        super().__init__()
        self.entry = entry
        self._name = title
        self._title = plain_label(title)
        self.remove_button = IconButton("cross", f"Remove this {title}")
        self.view = RowsView(entry.children, context, builder)
        head = filled(QHBoxLayout(), (self._title, 1), self.remove_button)
        filled(QVBoxLayout(self), head, Indented(self.view), spacing=2)

    def show_number(self, number: int, removable: bool, minimum: int) -> None:
        """Show which entry it is and whether it may go."""
        self._title.setText(f"{number}. {self._name}")
        self.remove_button.setEnabled(removable)
        self.remove_button.setToolTip(
            tooltip(
                f"Remove {number}. {self._name}"
                if removable
                else f"At least {minimum} are needed."
            )
        )


def _narrower(context: FormContext) -> FormContext:
    """Return a context for indented rows: their labels give way to the indent."""
    return replace(context, label_width=max(60, context.label_width - 12))


def _reveal_in(row: QWidget, leaf: LeafNode, builder: IdleWork) -> FieldRow | None:
    if isinstance(row, FieldRow):
        return row
    if isinstance(row, Collapsible):
        row.set_expanded(True)
        builder.finish()
        return row.content().reveal(leaf)
    if isinstance(row, ConditionalBox | RepeatBox):
        return row.reveal(leaf)
    return None
