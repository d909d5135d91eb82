"""Help of tools as HTML that may come from anybody: no scripts, nothing from the network.

The result is shown by a QTextBrowser, which knows neither scripts nor forms; what is
left to take out is what would be fetched, and links that are no web addresses.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from qtpy.QtGui import QTextDocument

from napari_tool_runner.errors import DescriptorError
from napari_tool_runner.tools.isolation.looking import help_of

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Citation, Tool

__all__ = ["bibtex", "doi_of", "help_html", "safe_html", "safe_link", "shortened"]

_SCHEMES = ("http", "https", "mailto")
_DOI = re.compile(r"10\.\d{4,9}/\S+")
_DROPPED = re.compile(
    r"<(script|style|iframe|object|embed|form|svg|math)\b.*?(</\1\s*>|$)",
    re.DOTALL | re.IGNORECASE,
)
_VOID = re.compile(
    r"</?(link|meta|base|input|button|script|style|iframe|video|audio)\b[^>]*(?:>|\Z)", re.I
)
_IMAGE = re.compile(r"<img\b[^>]*(?:>|\Z)", re.IGNORECASE)
_ALT = re.compile(r"\balt\s*=\s*(\"([^\"]*)\"|'([^']*)')", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"\s(on\w+|style|srcset|background)\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s>]+)", re.I
)
_HREF = re.compile(r"\bhref\s*=\s*(\"([^\"]*)\"|'([^']*)'|([^\s>]+))", re.IGNORECASE)
_AS_WRITTEN = "<i>The help is shown as it is written</i>"
_MOST = 100_000
_MOST_ROWS = 1500
_DEEPEST, _DEEPEST_TABLE = 40, 3
_LONG_WORD = re.compile(r"\S{200}")
_VAST_WORD = re.compile(r"(?<![^\s<>])[^\s<>]{3000}")  # from its beginning: else quadratic
_ROW = re.compile(r"<(?:li|tr|dt)\b", re.IGNORECASE)
_NESTING = re.compile(r"<(/?)(table|ul|ol|dl|blockquote|div)\b", re.IGNORECASE)
_WILD = re.compile(
    r"(?:[>*+-][ \t]*){20}|^[ \t]{60}", re.MULTILINE
)  # Markdown that nests without end


def help_html(tool: Tool) -> str:
    """Return the help of `tool` as safe HTML, empty when it has none.

    Converting what a stranger wrote may take seconds: call it in the background. What would
    take long to convert or to lay out is shown as it is written, and says so.
    """
    text = tool.help.strip()
    if not text:
        return ""
    if tool.help_format == "url":
        link = safe_link(text)
        shown = shortened(text)
        return f'<p><a href="{html.escape(link)}">{shown}</a></p>' if link else f"<p>{shown}</p>"
    made, why = "", "it is too long or nested too deeply to be laid out"
    if tool.help_format == "rst" and len(text) < _MOST:
        try:
            made = safe_html(help_of(tool))
        except DescriptorError as error:
            why = error.message.rstrip(".")
    elif tool.help_format == "markdown" and _is_tame(text):
        document = QTextDocument()
        features = QTextDocument.MarkdownFeature
        document.setMarkdown(text, features.MarkdownDialectGitHub | features.MarkdownNoHTML)
        body = document.toHtml().partition("<body")[2].rpartition("</body>")[0]
        made = safe_html(body.partition(">")[2])
    if tool.help_format == "plain" or not _is_light(made):
        paragraphs = re.split(r"\n\s*\n", shortened(text, _MOST))
        told = (
            "" if tool.help_format == "plain" and len(text) <= _MOST else f"{_AS_WRITTEN}: {why}."
        )
        made = "".join(f"<p>{paragraph}</p>" for paragraph in [*paragraphs, told] if paragraph)
    return made


def shortened(text: str, most: int = 5000) -> str:
    """Return the beginning of `text` as HTML that shows it as it is; long words may be broken."""
    cut = text if len(text) <= most else f"{text[:most]}…"
    return html.escape(_LONG_WORD.sub("\\g<0>\u200b", cut), quote=True)


def _is_tame(text: str) -> bool:
    """Whether Qt reads Markdown at once."""
    return len(text) < _MOST and text.count("\n") < _MOST_ROWS and not _WILD.search(text)


def _is_light(made: str) -> bool:
    """Whether Qt lays HTML out at once: the time that it takes is not linear."""
    if not 0 < len(made) < 4 * _MOST or len(_ROW.findall(made)) > _MOST_ROWS:
        return False
    depth = tables = 0
    for mark in _NESTING.finditer(made):
        step = -1 if mark[1] else 1
        depth += step
        tables += step * (mark[2].lower() == "table")
        if depth > _DEEPEST or tables > _DEEPEST_TABLE:
            return False
    return _VAST_WORD.search(made) is None


def safe_html(text: str) -> str:
    """Return `text` without what acts, what is fetched, and links to anything but the web.

    An image becomes its description in brackets.
    """
    text = _DROPPED.sub("", text)
    text = _VOID.sub("", text)
    text = _IMAGE.sub(_described, text)
    text = _ATTRIBUTE.sub("", text)
    return _HREF.sub(_linked, text)


def safe_link(address: str) -> str:
    """Return a web address as it is, an empty text for everything else."""
    address = html.unescape(address).strip()
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    return address if parts.scheme.lower() in _SCHEMES else ""


def doi_of(text: str) -> str:
    """Return the bare DOI in ``doi:10.1/x`` or ``https://doi.org/10.1/x``."""
    found = _DOI.search(text.strip())
    return found[0].rstrip(".,;") if found else ""


def bibtex(citation: Citation) -> str:
    """Return a BibTeX entry; of a DOI a minimal one, without asking the network."""
    text = citation.text.strip()
    if citation.type == "bibtex":
        return text
    doi = doi_of(text) or text
    key = "doi_" + re.sub(r"\W+", "_", doi).strip("_")
    return f"@misc{{{key},\n  doi = {{{doi}}},\n  url = {{https://doi.org/{doi}}}\n}}"


def _described(found: re.Match[str]) -> str:
    alt = _ALT.search(found[0])
    words = (alt[2] or alt[3] or "") if alt else ""
    return f"[{words or 'picture'}]"


def _linked(found: re.Match[str]) -> str:
    address = found[2] or found[3] or found[4] or ""
    if address.startswith("#"):
        return f'href="{address}"'
    link = safe_link(address)
    return f'href="{html.escape(link)}"' if link else ""
