"""All about a tool: help, what it needs, how to cite it, where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QSize, QUrl, Signal
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFrame, QHBoxLayout, QTextBrowser, QVBoxLayout, QWidget

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.exchange import open_snapshot, snapshot
from napari_tool_runner.quoting import shell_line
from napari_tool_runner.tools.dialect import DataFile
from napari_tool_runner.tools.model import (
    ContainerRequirement,
    DataParameter,
    LayerKind,
    PythonRequirement,
    Severity,
)
from napari_tool_runner.tools.toolbox.entries import ships
from napari_tool_runner.tools.tree import leaves, map_data
from napari_tool_runner.widgets.forms.given import as_list, axes_told, path_of
from napari_tool_runner.widgets.help_text import bibtex, doi_of, help_html, safe_link
from napari_tool_runner.widgets.help_text import shortened as _e
from napari_tool_runner.widgets.parts.background import Task
from napari_tool_runner.widgets.parts.icons import IconButton, TextIconButton, Themed, text_color
from napari_tool_runner.widgets.parts.layouts import filled
from napari_tool_runner.widgets.parts.messages import MessageBar
from napari_tool_runner.widgets.parts.texts import copy_text, open_path
from napari_tool_runner.widgets.running.readier import GET_READY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel

    from napari_tool_runner.tools.model import Requirement, Tool
    from napari_tool_runner.widgets.forms.form import FormWidget
    from napari_tool_runner.widgets.running.readier import Readier

__all__ = ["ToolPage", "command_line", "load_sample", "page_html"]

_COPY = "copy:"
_MOST = 100


def page_html(tool: Tool, needs: Sequence[str] = (), about: str | None = None) -> str:
    """Return the page of `tool`.

    Parameters
    ----------
    needs : sequence of str
        Sentences on what a run would fetch.
    about : str, optional
        Its help as HTML, when that was made before.
    """
    parts: list[str] = []
    if tool.description:
        parts.append(f"<p><b>{_e(tool.description)}</b></p>")
    about = help_html(tool) if about is None else about
    parts.append(about or "<p><i>The descriptor has no help.</i></p>")
    lines = [_requirement(one) for one in tool.requirements[:_MOST]]
    needed = "".join(f"<li>{line}</li>" for line in lines) or "<li>nothing but its own files</li>"
    parts += ["<h3>What it needs</h3>", f"<ul>{needed}</ul>"]
    parts += [f"<p>{_e(sentence)}</p>" for sentence in needs]
    if tool.citations:
        parts.append("<h3>How to cite it</h3>")
        for number, citation in enumerate(tool.citations[:_MOST]):
            entry = bibtex(citation)
            doi = doi_of(citation.text) if citation.type == "doi" else ""
            link = f'<a href="https://doi.org/{_e(doi)}">doi.org/{_e(doi)}</a> · ' if doi else ""
            copy = f'<a href="{_COPY}{number}">Copy BibTeX</a>'
            parts.append(f"<p>{link}{copy}</p><pre>{_e(entry)}</pre>")
    links = [(link.label or link.url, safe_link(link.url)) for link in tool.links[:_MOST]]
    if links:
        items = "".join(
            f'<li><a href="{_e(url)}">{_e(label)}</a></li>' if url else f"<li>{_e(label)}</li>"
            for label, url in links
        )
        parts += ["<h3>Links</h3>", f"<ul>{items}</ul>"]
    parts += ["<h3>About</h3>", f"<table cellpadding='1'>{_facts(tool)}</table>"]
    if tool.notes:
        words = {Severity.ERROR: "Cannot run: ", Severity.WARNING: "Mind: "}
        notes = "".join(
            f"<li>{_e(words.get(n.severity, '') + n.what)}</li>" for n in tool.notes[:_MOST]
        )
        parts += ["<h3>Notes on the descriptor</h3>", f"<ul>{notes}</ul>"]
    return "".join(parts)


def _facts(tool: Tool) -> str:
    tests = len(tool.tests)
    facts = {
        "Version": tool.version,
        "Id": tool.id,
        "Categories": ", ".join(tool.categories),
        "Authors": ", ".join(tool.authors),
        "License": tool.license,
        "EDAM": ", ".join(tool.edam),
        "Language": tool.dialect,
        "Tests": f"{tests} in the descriptor" if tests else "none in the descriptor",
        "Descriptor": tool.uri,
    }
    return "".join(
        f"<tr><td>{name}&nbsp;&nbsp;</td><td>{_e(value)}</td></tr>"
        for name, value in facts.items()
        if value
    )


def _requirement(one: Requirement) -> str:
    if isinstance(one, ContainerRequirement):
        return f"the container image <code>{_e(one.image)}</code>"
    if isinstance(one, PythonRequirement):
        told = f", as {_e(one.source)} says" if one.source else ""
        return f"from PyPI <code>{_e(one.asked or 'nothing but Python')}</code>{told}"
    what = one.text or " ".join(part for part in (one.name, one.version) if part)
    return f"the conda package <code>{_e(what)}</code>"


def command_line(tool: Tool, values: Mapping[str, object]) -> str:
    """Return the command that runs `tool` on the values of a form.

    A layer that is no file is written as its name in capitals, to be replaced.
    """
    words = ["napari-tool-runner", "run", tool.id if ships(tool) else tool.uri]
    axes: dict[str, str] = {}
    for leaf in leaves(tool.inputs, values):
        for value in as_list(leaf.value):
            if value is None:
                continue
            if isinstance(leaf.parameter, DataParameter):
                text = _file_of(value)
                if told := axes_told(value):
                    axes[leaf.name] = ",".join(told)
            else:
                text = str(value).lower() if isinstance(value, bool) else str(value)
            words.append(f"{leaf.name}={text}".replace("\0", ""))  # of which no program hears
    return shell_line([*words, *(f"--axes={name}={told}" for name, told in axes.items())])


def _file_of(value: object) -> str:
    if (file := path_of(value)) is not None:
        return str(file)
    path = getattr(getattr(value, "source", None), "path", None)
    if path and Path(path).exists():
        return str(path)
    name = "".join(c if c.isalnum() else "_" for c in str(getattr(value, "name", "data")))
    return f"{name.upper()}.tif"


def load_sample(tool: Tool, viewer: ViewerModel, form: FormWidget) -> list[object]:
    """Fill the form with the first test of `tool`, its data as layers of `viewer`.

    Raises
    ------
    ToolRunnerError
        There is no test, or its data cannot be read.
    """
    test = next((test for test in tool.tests if not test.expect_failure), None)
    if test is None:
        raise ToolRunnerError(
            f"“{tool.name}” has no test, so there is no sample of its own.",
            hint="Open a sample image from the list of tools.",
        )
    added: dict[str, object] = {}

    def layer(value: object, parameter: DataParameter) -> object:
        path = str(value.path if isinstance(value, DataFile) else value)
        if path not in added:
            added[path] = _add(viewer, Path(path), form.chooser.takes(parameter).kinds)
        return added[path]

    def convert(name: str, parameter: DataParameter, value: object) -> object:
        many = value if isinstance(value, list | tuple) else [value]
        made = [layer(one, parameter) for one in many]
        return made if parameter.multiple else made[0]

    form.reset()
    # a test gives only what is not the default
    given = [item for item in tool.inputs if item.name in test.values]
    form.set_values(map_data(given, test.values, convert))
    return list(added.values())


def _add(viewer: ViewerModel, path: Path, kinds: Sequence[LayerKind]) -> object:
    """Add a file as the kind of layer that the input prefers."""
    if not path.exists():
        raise ToolRunnerError(f"The sample {path} is not there.", hint="Reinstall the toolbox.")
    snap = open_snapshot(snapshot(path))
    pixels = [kind for kind in kinds if kind.is_pixels]
    type_of = getattr(getattr(snap.data, "dtype", None), "kind", "")
    if not pixels or not type_of or not snap.kind.is_pixels:
        return path  # a table or another file: the form takes the path
    labels = pixels[0] is LayerKind.LABELS and type_of in "iub" and not snap.rgb
    attributes: dict[str, object] = {"name": path.stem}
    if len(snap.geometry.scale) == snap.geometry.ndim:
        attributes["scale"] = snap.geometry.scale
    if len(snap.geometry.labels) == snap.geometry.ndim:  # the tool may need one of them
        attributes["axis_labels"] = snap.geometry.labels
    if labels:
        return viewer.add_labels(np.asarray(snap.data).astype(int), **attributes)
    return viewer.add_image(snap.data, rgb=snap.rgb, **attributes)


class _Browser(QTextBrowser):
    """Loads nothing: neither from the network nor from the disk."""

    def loadResource(self, kind: int, name: QUrl) -> object:
        return None


class ToolPage(Themed, QWidget):
    """What stands behind the "?" of a tool's header.

    Parameters
    ----------
    form : FormWidget
        Its values are what "Copy command line" copies.
    readier : Readier, optional
        Knows what a run would fetch, and fetches it ahead.
    """

    sample_loaded = Signal()
    """The form is filled with the tool's own sample."""

    def __init__(
        self,
        tool: Tool,
        form: FormWidget,
        viewer: ViewerModel | None = None,
        readier: Readier | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.tool = tool
        self._readier = readier
        self._form = form
        self._viewer = viewer
        self._color = ""
        self._about = "<p><i>The help is laid out…</i></p>"
        self.sample_button = TextIconButton("picture", "Load sample")
        self.sample_button.setToolTip("Fill the form with the data of the tool's own test")
        self.sample_button.setEnabled(viewer is not None and bool(tool.tests))
        self.sample_button.clicked.connect(self.load_sample)
        self.command_button = TextIconButton("copy", "Copy command")
        self.command_button.setToolTip("Copy the command line that does what the form says")
        self.command_button.clicked.connect(self.copy_command)
        self.descriptor_button = IconButton("file", "Open the descriptor")
        self.descriptor_button.clicked.connect(self.open_descriptor)
        self.ready_button = TextIconButton("download", GET_READY)
        self.ready_button.setToolTip(
            "Download now what the first run would fetch, and the model that the form names"
        )
        self.ready_button.hide()
        if readier is not None:
            self.ready_button.clicked.connect(readier.ask)
            readier.changed.connect(self._offer)
        self.message = MessageBar()
        self.text = _Browser()
        self.text.setOpenLinks(False)
        self.text.setFrameShape(QFrame.Shape.NoFrame)
        self.text.setAccessibleName(f"About {tool.name}")
        self.text.anchorClicked.connect(self.follow_link)
        buttons = (self.sample_button, 1), (self.command_button, 1), self.descriptor_button
        row = filled(QHBoxLayout(), *buttons, spacing=4)
        parts = row, self.ready_button, self.message, (self.text, 1)
        filled(QVBoxLayout(self), *parts, margins=(6, 2, 6, 2), spacing=4)
        strange = tool.help_format == "rst" and not ships(tool)
        if strange and tool.help.strip():
            task = Task(partial(help_html, tool), self)
            task.done.connect(self._show_help)
            task.start()
        else:
            self._about = help_html(tool)
        self.refresh()
        if readier is not None:
            readier.lookup.found.connect(self.refresh)

    def _show_help(self, about: str) -> None:
        self._about = about
        self.refresh()

    def refresh(self) -> None:
        """Show what is known now."""
        bar, document = self.text.verticalScrollBar(), self.text.document()
        assert bar is not None
        assert document is not None
        place = bar.value()
        # Qt's own blue cannot be read on a dark ground
        color = self._color = text_color(self.text).name()
        document.setDefaultStyleSheet(
            f"a {{color: {color}; text-decoration: underline}} pre {{white-space: pre-wrap}}"
        )
        self.text.setHtml(page_html(self.tool, self._needs(), self._about))
        bar.setValue(place)
        self._offer()

    def _offer(self) -> None:
        """Offer to fetch what is missing."""
        if self._readier is not None:
            self.ready_button.setVisible(self._readier.can_help())
            self.ready_button.setEnabled(not self._readier.is_busy)

    def follow_theme(self) -> None:
        """Show links in another colour."""
        if text_color(self.text).name() != self._color:
            self.refresh()

    def _needs(self) -> list[str]:
        if self._readier is None:
            return []
        services = self._readier.lookup.services
        if not services.choice:
            return ["Looking what a run would need…"]
        reason = services.reason.removeprefix(f"{services.choice}, ")
        said = [f"It would run on {services.choice}, {reason}"]
        blocked = services.blocked(None)
        if blocked:
            return [*said, blocked]
        told, plan = services.remark(None), services.plans.get(services.choice)
        if plan is None or plan.fetches:
            return [*said, told]
        return [*said, told or "Everything is here; nothing has to be fetched.", *plan.remarks]

    def copy_command(self) -> None:
        """Copy the command line of the form's values."""
        copy_text(command_line(self.tool, self._form.values()))
        self.message.say("Copied the command line.", "done")

    def open_descriptor(self) -> None:
        """Open the descriptor with the system's program."""
        if not self.tool.path.exists():
            self.message.say(f"The descriptor is gone ({self.tool.uri}).", "failed")
        elif not open_path(self.tool.path):
            self.message.say(f"The system has no program for {self.tool.uri}.", "problem")

    def load_sample(self) -> None:
        """Add the data of the tool's first test and fill the form."""
        if self._viewer is None:
            return
        try:
            load_sample(self.tool, self._viewer, self._form)
        except ToolRunnerError as error:
            self.message.say(str(error), "failed")
            return
        self.message.say("")
        self.sample_loaded.emit()

    def follow_link(self, url: QUrl) -> None:
        """Open a web address in the browser; copy a citation."""
        text = url.toString()
        if text.startswith(_COPY):
            number = int(text.removeprefix(_COPY))
            copy_text(bibtex(self.tool.citations[number]))
            self.message.say("Copied the BibTeX entry.", "done")
        elif text.startswith("#"):
            self.text.scrollToAnchor(text.removeprefix("#"))
        elif safe_link(text):
            QDesktopServices.openUrl(url)

    def sizeHint(self) -> QSize:
        """Return a modest size."""
        return QSize(300, 320)
