"""Small texts: tooltips, labels; and where they go: the clipboard, a program."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Literal

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices, QGuiApplication

from napari_tool_runner.names import unique_names
from napari_tool_runner.quoting import html_text, one_line

__all__ = [
    "GET_MORE",
    "copy_text",
    "notice",
    "notify",
    "open_path",
    "option_labels",
    "short",
    "shown",
    "tooltip",
]

GET_MORE = "Get more tools…"
"""The button, wherever it stands."""
_LONGEST = 5000
_SHORT = 60


def shown(text: str) -> str:
    """Return as much of a text as is laid out at once: that of a stranger may have no end."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def short(name: str) -> str:
    """Return a name that a stranger gave as one short line: a tooltip has the whole."""
    return one_line(name, _SHORT)


@lru_cache(maxsize=1024)
def tooltip(*parts: str) -> str:
    """Return a tooltip of the given paragraphs, safe against ``<`` and over-long lines.

    napari turns every tooltip into rich text, so what is not escaped disappears.
    """
    paragraphs = [
        "<br>".join(
            html_text(line)
            for raw in shown(part).strip().splitlines()
            for line in (textwrap.wrap(raw, 70) or [""])
        )
        for part in parts
        if part.strip()
    ]
    return "<qt>" + "<br><br>".join(paragraphs) + "</qt>" if paragraphs else ""


def notify(text: str, severity: Literal["info", "warning", "error"] = "info") -> None:
    """Tell `text` by napari's own notifications; raises ImportError without napari."""
    from napari.utils import notifications

    shows = {
        "info": notifications.show_info,
        "warning": notifications.show_warning,
        "error": notifications.show_error,
    }
    shows[severity](notice(text))


def notice(text: str) -> str:
    """Return a text for napari's notifications, in which nothing is taken for rich text.

    Qt asks for files that a text of a stranger names: ``<img src=…>``. A joiner without width
    makes no tag of what follows ``<``, and no sign of what follows ``&``.
    """
    return re.sub("([<&])", "\\1\N{WORD JOINER}", shown(text))


def option_labels(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return ``(label, value)`` pairs whose labels are unique.

    Two options with one label would become one entry of a combo box.
    """
    counts = Counter(label for label, _ in pairs)
    clear = (label if counts[label] == 1 else f"{label} ({value})" for label, value in pairs)
    names = unique_names(clear, numbered=" ({})", first=2)
    return [(name, value) for name, (_, value) in zip(names, pairs, strict=True)]


def open_path(path: Path) -> bool:
    """Open a file or folder with the program that the system has for it."""
    return bool(QDesktopServices.openUrl(QUrl.fromLocalFile(str(path))))


def copy_text(text: str) -> None:
    """Put `text` into the clipboard."""
    clipboard = QGuiApplication.clipboard()
    if clipboard is not None:
        clipboard.setText(text)
