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

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Citation, Tool

__all__ = ["bibtex", "doi_of", "help_html", "safe_html", "safe_link"]

_SCHEMES = ("http", "https", "mailto")
_DOI = re.compile(r"10\.\d{4,9}/\S+")
_BODY = re.compile(r"<body[^>]*>(.*)</body>", re.DOTALL | re.IGNORECASE)
_DROPPED = re.compile(
    r"<(script|style|iframe|object|embed|form|svg|math)\b.*?(</\1\s*>|$)",
    re.DOTALL | re.IGNORECASE,
)
_VOID = re.compile(
    r"</?(link|meta|base|input|button|script|style|iframe|video|audio)\b[^>]*>", re.I
)
_IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
_ALT = re.compile(r"\balt\s*=\s*(\"([^\"]*)\"|'([^']*)')", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"\s(on\w+|style|srcset|background)\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s>]+)", re.I
)
_HREF = re.compile(r"\bhref\s*=\s*(\"([^\"]*)\"|'([^']*)'|([^\s>]+))", re.IGNORECASE)


def help_html(tool: Tool) -> str:
    """Return the help of `tool` as safe HTML; empty when it has none."""
    text = tool.help.strip()
    if not text:
        return ""
    if tool.help_format == "url":
        link = safe_link(text)
        shown = html.escape(text)
        return f'<p><a href="{html.escape(link)}">{shown}</a></p>' if link else f"<p>{shown}</p>"
    if tool.help_format == "rst":
        return safe_html(_rst(text))
    if tool.help_format == "markdown":
        document = QTextDocument()
        features = QTextDocument.MarkdownFeature
        document.setMarkdown(text, features.MarkdownDialectGitHub | features.MarkdownNoHTML)
        found = _BODY.search(document.toHtml())
        return safe_html(found[1] if found else "")
    paragraphs = re.split(r"\n\s*\n", html.escape(text, quote=False))
    return "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)


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


def _rst(text: str) -> str:
    """Convert reStructuredText; files are not read, raw HTML is not taken over."""
    from docutils.core import publish_parts
    from docutils.utils import SystemMessage
    from docutils.writers.html4css1 import Writer

    settings = {
        "file_insertion_enabled": False,
        "raw_enabled": False,
        "doctitle_xform": False,
        "initial_header_level": 3,
        "embed_stylesheet": False,
        "report_level": 5,
        "halt_level": 5,
        "input_encoding": "unicode",
        "line_length_limit": 100_000,
        "math_output": "LaTeX",
        "_disable_config": True,
    }
    try:
        parts = publish_parts(text, writer=Writer(), settings_overrides=settings)
    except (SystemMessage, ValueError, RecursionError):
        return f"<pre>{html.escape(text)}</pre>"
    return str(parts["body"])


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
