"""Data inputs: which layer, which layers, or which file."""

from __future__ import annotations

from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QListWidgetItem, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.exchange import (
    layer_kind,
    lying_apart,
    misfits,
    resample_onto,
    snapshot,
    wants_objects,
)
from napari_tool_runner.tools.model import DataParameter, LayerKind
from napari_tool_runner.widgets.forms.axes_row import AxesRow
from napari_tool_runner.widgets.forms.choice_fields import CheckList
from napari_tool_runner.widgets.forms.field_base import Field, FormContext
from napari_tool_runner.widgets.forms.given import as_list, axes_told, path_of, told, with_axes
from napari_tool_runner.widgets.forms.layers import takes_time, wrong_dimensions
from napari_tool_runner.widgets.forms.node import LeafNode
from napari_tool_runner.widgets.parts.background import Task
from napari_tool_runner.widgets.parts.icons import IconButton, TextIconButton
from napari_tool_runner.widgets.parts.inputs import NarrowCombo
from napari_tool_runner.widgets.parts.layouts import filled

if TYPE_CHECKING:
    from napari_tool_runner.exchange import LoadedOutput
    from napari_tool_runner.widgets.forms.node import Node
    from napari_tool_runner.widgets.parts.messages import Button

__all__ = ["LayerField", "LayersField", "ask_for_files"]

LOAD = "Load from file…"
LOAD_FOLDER = "Load from folder…"
NONE = "(none)"


def ask_for_files(parent: QWidget, title: str, *, many: bool, folder: bool = False) -> list[Path]:
    """Ask for files with the system's dialog; an empty list when the user cancels."""
    if folder:
        names = [QFileDialog.getExistingDirectory(parent, title)]
    elif many:
        names = QFileDialog.getOpenFileNames(parent, title)[0]
    else:
        names = [QFileDialog.getOpenFileName(parent, title)[0]]
    return [Path(name) for name in names if name]


class _DataField(Field):
    """What one-layer and many-layer fields share."""

    def __init__(self, node: LeafNode, context: FormContext) -> None:
        super().__init__(node, context)
        assert isinstance(node.parameter, DataParameter)
        self.parameter = node.parameter
        self._files: dict[Path, object] = {}  # with what is told of each
        self._seen: dict[str, str] = {}
        self.axes = self.below = AxesRow(
            self.parameter.label or self.parameter.name, context.label_width, self.parameter.axes
        )
        self.axes.named.connect(self._name_axes)
        self.follow_model()

    def _show_axes(self, value: object) -> None:
        """Show what the axes are taken for; those of other inputs may tell it."""
        inputs = [leaf for leaf in self.context.model.leaves() if leaf.is_data]
        others = [one for leaf in inputs if leaf is not self.node for one in as_list(leaf.value)]
        self.axes.show_values(as_list(value), others)

    def other_changed(self, node: Node) -> None:
        """Look whether another input tells more of the axes, or less."""
        if node is not self.node and isinstance(node, LeafNode) and node.is_data:
            self._show_axes(self.node.value)
            self.hinted.emit()

    def release(self) -> None:
        """Stop following the form and the layers."""
        self.axes.release()
        super().release()

    def _misfit(self, value: object) -> str:
        """Return why a value hardly fits; of what must be read, as soon as it was looked at."""
        if not (wants_objects(self.parameter) and takes_time(value)):
            return self.context.chooser.hardly_fits(self.parameter, value)
        try:
            snap = snapshot(value)
        except ToolRunnerError:  # gone: the run says so
            return ""
        if snap.key not in self._seen:
            self._seen[snap.key] = ""
            parameter, formats = self.parameter, self.context.model.tool.formats

            def answered(found: list[str]) -> None:
                self._seen[snap.key] = " ".join(found)
                self.hinted.emit()

            look = Task(lambda: misfits(snap, None, parameter, formats), self.axes)
            look.done.connect(answered)
            look.start()
        return self._seen[snap.key]

    def _before(self, value: object) -> tuple[str, tuple[Button, ...]]:
        """Say what is better done with a layer before, and offer it."""
        if not _is_pixels(value):
            return "", ()
        chooser = self.context.chooser
        text, other = chooser.since(self.node)
        if not text:
            text, other = chooser.whence(self.parameter, value)
        if other is not None:
            return text, ((f"Take “{told(other)[0]}”", lambda: self._take(other)),)
        if text or self.context.steps is None:
            return text, ()
        return self.context.steps.before(self.context.model.tool.id, value)

    def _take(self, layer: object) -> None:
        """Choose a layer, as if a person had."""
        self.edited([layer] if self.parameter.multiple else layer)
        self.show(self.node.value)

    def _grid(self) -> object:
        """Return the layer in whose pixels the tool works, when another input has it."""
        for leaf in self.context.model.leaves():
            for value in as_list(leaf.value) if leaf.is_data else ():
                if _is_pixels(value):
                    return None if leaf is self.node else value
        return None

    def _apart(self, value: object) -> tuple[str, bool]:
        """Say when a layer's pixels do not lie on those of `_grid`; whether that can be mended."""
        grid = self._grid()
        if grid is None or grid is value or not _is_pixels(value):
            return "", False
        one, other = snapshot(value), snapshot(grid)
        if refused := self._seen.get(one.key + other.key):
            return refused, False
        found = lying_apart(one, None, other, self.context.model.tool.formats, advice=False)
        return " ".join(found), bool(found)

    def _resample(self, layer: object) -> None:
        """Choose `layer` as it is in the pixels of the other input, once that is computed."""
        one, other = snapshot(layer), snapshot(self._grid())

        def answered(made: LoadedOutput) -> None:
            new = self.context.chooser.source.add(made)
            values = [new if value is layer else value for value in as_list(self.node.value)]
            self.node.set(values if self.parameter.multiple else values[0])
            self.show(self.node.value)

        def failed(error: ToolRunnerError) -> None:
            self._seen[one.key + other.key] = str(error)
            self.hinted.emit()

        task = Task(lambda: resample_onto(one, other), self.axes)
        task.done.connect(answered)
        task.failed.connect(failed)
        task.start()

    @property
    def dialog_title(self) -> str:
        """Title of the file dialog."""
        return f"File for “{self.parameter.label or self.parameter.name}”"

    def _entries(self) -> list[object]:
        """Return the layers that fit, then the files that were loaded here."""
        return [*self.context.chooser.candidates(self.parameter), *self._files.values()]

    def _name_axes(self, labels: tuple[str, ...] | None) -> None:
        """Tell the names that axes were given with what is chosen; none: automatic."""
        values = as_list(self.node.value)
        if labels is not None:
            values = [one if path_of(one) is None else with_axes(one, labels) for one in values]
            self.node.set(values if self.parameter.multiple else values[0])
        self.context.chooser.judge()
        self.node.recheck()  # layers have the names themselves

    def _resolve(self, entry: object) -> object:
        """Return the layer or path that a stored name means."""
        if isinstance(entry, str):
            layer = self.context.chooser.named(self.parameter, entry)
            if layer is not None:
                return layer
        path = path_of(entry)
        if path is not None:
            entry = self._files[path] = with_axes(entry, axes_told(entry))
        return entry

    def layers_changed(self) -> None:
        """Fill the list again."""
        self.show(self.node.value)

    def hint(self) -> str:
        """Say when the chosen layer is hardly what the tool is for, or of other dimensions."""
        for value in as_list(self.node.value):
            if text := wrong_dimensions(self.parameter, value):
                return text
            if text := self._misfit(value) or self._apart(value)[0] or self._before(value)[0]:
                return text
        empty = self.context.steps is not None and self.context.chooser.unsegmented(self.node)
        return "No objects are open yet: make them of an image." if empty else ""

    def offers(self) -> tuple[Button, ...]:
        """Offer to make objects of intensities, or what mends how a layer lies."""
        steps, chosen = self.context.steps, as_list(self.node.value)
        if steps is not None and wants_objects(self.parameter):
            layers = [v for v in chosen if self._misfit(v)]
            if layers := layers or self.context.chooser.unsegmented(self.node):
                of_labels = layer_kind(layers[0]) is LayerKind.LABELS
                if of_labels:
                    return steps.split(layers[0])
                takes_masks = LayerKind.IMAGE in self.parameter.kinds
                return (steps.segment if takes_masks else steps.find)(layers[0])
        return self.mends() or (self._before(chosen[0])[1] if chosen else ())

    def mends(self) -> tuple[Button, ...]:
        """Offer to bring an image onto another's pixels."""
        lying = [v for v in as_list(self.node.value) if self._apart(v)[1]]
        if not lying:
            return ()
        label = f"Resample onto “{told(self._grid())[0]}”"
        return ((label, lambda: self._resample(lying[0])),)


def _is_pixels(value: object) -> bool:
    return path_of(value) is None and layer_kind(value).is_pixels


class LayerField(_DataField):
    """A combo box of the layers that fit, with "Load from file…" as its last entry."""

    def __init__(self, node: LeafNode, context: FormContext) -> None:
        super().__init__(node, context)
        self.combo = NarrowCombo()
        self.widget = self.combo
        self._values: list[object] = []
        self.combo.activated.connect(self._activated)
        self.show(node.value)

    def show(self, value: object) -> None:
        """Select `value`, which may be a layer, a layer's name or a path."""
        resolved = self._resolve(value)
        if not _same(resolved, value):
            self.node.set(resolved)
            value = resolved
        entries: list[object] = [None] if self.parameter.optional else []
        entries += self._entries()
        index = next((i for i, entry in enumerate(entries) if _is(entry, value)), -1)
        with signals_blocked(self.combo):
            self.combo.clear()
            for position, entry in enumerate(entries):
                title, tip = (NONE, "") if entry is None else told(entry)
                self.combo.addItem(title)
                self.combo.setItemData(position, tip, Qt.ItemDataRole.ToolTipRole)
            if entries:
                self.combo.insertSeparator(self.combo.count())
            self.combo.addItem(LOAD)
            if self.context.chooser.takes(self.parameter).folders:
                self.combo.addItem(LOAD_FOLDER)
            self.combo.setPlaceholderText(self._empty_text() if not entries else "")
            self.combo.setCurrentIndex(index)
        self._values = entries
        self._show_axes(value)
        self.combo.setToolTip("" if value is None else told(value)[1])

    def _empty_text(self) -> str:
        """Say what is missing when nothing can be chosen."""
        kinds = self.context.chooser.takes(self.parameter).kinds
        if not kinds:
            return "no file"
        named = [kind.value for kind in kinds[:2] if kind is not LayerKind.ANY]
        return f"no {' or '.join(named)} layer open" if named else "no layer open"

    def _activated(self, index: int) -> None:
        if index < len(self._values):
            self.edited(self._values[index])
        else:
            folder = self.combo.itemText(index) == LOAD_FOLDER
            paths = ask_for_files(self.combo, self.dialog_title, many=False, folder=folder)
            if paths:
                self.edited(self._resolve(paths[0]))
        self.show(self.node.value)
        self.context.chooser.rejoin(self.node)
        self.context.chooser.judge()


class LayersField(_DataField):
    """A list of layers and files with check boxes."""

    wide = True

    def __init__(self, node: LeafNode, context: FormContext) -> None:
        super().__init__(node, context)
        self.widget = QWidget()
        self.list = CheckList()
        self.count = QLabel()
        self.add_files = TextIconButton("file", "Add files…")
        self.none = IconButton("cross", "Uncheck all")
        row = filled(QHBoxLayout(), (self.count, 1), self.add_files, self.none)
        filled(QVBoxLayout(self.widget), self.list, row, spacing=2)
        self.widget.setFocusProxy(self.list)
        self._values: list[object] = []
        self.list.itemChanged.connect(self._item_changed)
        self.add_files.clicked.connect(self._ask)
        self.none.clicked.connect(self._uncheck)
        self.show(node.value)

    def show(self, value: object) -> None:
        """Check what is in `value`; names and paths are resolved."""
        given = as_list(value)
        resolved = [self._resolve(entry) for entry in given]
        if not all(map(_same, resolved, given)):
            self.node.set(resolved)
        self._values = self._entries()
        self.list.fill(map(told, self._values))
        self.list.check(any(_is(one, other) for other in resolved) for one in self._values)
        self._show_count()

    def _show_count(self) -> None:
        number = len(as_list(self.node.value))
        self._show_axes(self.node.value)
        self.count.setText(f"{number} chosen")
        self.none.setEnabled(number > 0)

    def _changed(self, values: list[object]) -> None:
        self.edited(values or None)
        self._show_count()
        self.context.chooser.judge()

    def _item_changed(self, _: QListWidgetItem) -> None:
        self._changed(list(compress(self._values, self.list.checked())))

    def _ask(self) -> None:
        paths = ask_for_files(self.widget, self.dialog_title, many=True)
        if paths:
            self._changed([*as_list(self.node.value), *(self._resolve(p) for p in paths)])
            self.show(self.node.value)

    def _uncheck(self) -> None:
        self._changed([])
        self.show(None)


def _same(one: object, other: object) -> bool:
    """Whether a value is the one that it was made of; layers are not compared."""
    return one is other or (path_of(one) is not None and one == other)


def _is(one: object, other: object) -> bool:
    if (path := path_of(one)) is not None:
        return path == path_of(other)
    return one is other
