"""Names of strangers that repeat a sign have no end of ways to be matched; each is soon done.

What is too slow would hold the lock of Python for hours: it is tried in a process that is ended.
"""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_tool_runner.tools.candidate import holds_macros
from napari_tool_runner.tools.toolbox.search import _length

if TYPE_CHECKING:
    from pathlib import Path

BEFORE = """
import numpy as np
from napari_tool_runner.exchange import column_title
from napari_tool_runner.exchange.columns import coordinate_columns, counting_notes, object_ids
from napari_tool_runner.exchange.columns import hints_sizes, tells_sizes, units_by_column
from napari_tool_runner.exchange.coordinates import table_kinds
from napari_tool_runner.exchange.units import canonical, dimension, is_shown
from napari_tool_runner.names import file_name, safe_name, unique_name
from napari_tool_runner.quoting import html_text, one_line
from napari_tool_runner.plugins.warm.asked import _kind
from napari_tool_runner.tools.candidate import holds_macros
from napari_tool_runner.tools.toolbox.entries import ToolEntry
from napari_tool_runner.tools.toolbox.search import SearchIndex
from napari_tool_runner.tools.toolbox.stems import fold, stem

MARKS = "\\u0315\\u0300"  # Unicode brings them in order, one by one
SIGNS = [
    " ", "_", "._", " _", "(", "([", "a(", ")", "1", "0a", "pos", "the", "cent", "_um", " um",
    "\\n", "\\t", "-", "$", "{", "<a ", "&", "\\x1b[", "s", "se",
    MARKS, "\\u0f73", " [1", "e\\u0301",
]
TEXTS = [f"{first}{sign * (60_000 // len(sign))}{last}"
         for sign in SIGNS for first in ("", "a", "axis-") for last in ("", "q", ")")]
"""
CODES = {
    "columns": """
for text in TEXTS:
    table = {text: np.arange(3.0), f"{text}y": np.arange(3.0)}
    table_kinds(table, header=True)
    counting_notes(table, coordinate_columns(table))
    object_ids(table)
    units_by_column({**table, "unit": np.array([text] * 3, object)}, {text: text}, [])
    column_title(text), tells_sizes(text), hints_sizes(text)
""",
    "names": """
for text in TEXTS:
    file_name(text), safe_name(text), unique_name(text, [text]), one_line(text), html_text(text)
    canonical(text), dimension(text), is_shown(text), fold(text), stem(text)
""",
    "macros": """
import tempfile
from pathlib import Path
from types import SimpleNamespace
path = Path(tempfile.mkdtemp()) / "a.xml"
for sign in ("<?a?>", "<!---->", "<?a?> ", " <!--?>-->", "<?"):
    path.write_text(sign * 500)
    assert not holds_macros(path)
_kind(SimpleNamespace(digest="d"), TEXTS)
""",
    "search": """
plain = dict(key="t", id="t", name="", version="", description="", categories=(), formats=(),
             edam=(), uri="", digest="", toolbox="", dialect="", requirements=(), thumbnail="",
             help="")
texts = [one_line(text) for text in TEXTS]
texts += ["".join(letter * count for letter in "segmentcells")[:300] for count in (3, 6, 24)]
box = SearchIndex([ToolEntry(**{**plain, "key": text, "name": text}) for text in texts])
for query in ("segmentcelz", "segment cells q", "s" * 300 + "z", "aaaaaaaaaaaab", *TEXTS[:9]):
    box.search(query)
""",
}


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_texts_of_strangers_are_soon_gone_through(code: str) -> None:
    subprocess.run([sys.executable, "-c", BEFORE + code], check=True, timeout=300)


@given(st.text("ab. ", max_size=40), st.text("ab", min_size=2, max_size=6))
def test_letters_are_near_each_other_as_an_expression_says_it(name: str, letters: str) -> None:
    found = re.search(r"\b" + ".{0,12}?".join(letters), name)
    assert bool(_length(name, letters)) == bool(found)


def test_the_shortest_piece_from_the_beginning_of_a_word_counts() -> None:
    assert _length("g gaussian blur", "gbl") == len("gaussian bl")
    assert _length("blur gauss", "gb") == 0
    assert _length("a" + " " * 12 + "b", "ab") == 14
    assert _length("a" + " " * 13 + "b", "ab") == 0


@pytest.mark.parametrize(
    ("text", "are"),
    [
        ("<macros/>", True),
        ("\ufeff <?xml version='1.0'?>\n<!-- a --> <!--b\n--><macros>", True),
        ("<?a?><!-- <macros> --> <macros\n", True),
        ("<!-- <macros> --><tool/>", False),
        ("<?a <macros>", False),
        ("<macrosy/>", False),
    ],
)
def test_a_file_of_macros_is_known_by_its_beginning(tmp_path: Path, text: str, are: bool) -> None:
    path = tmp_path / "a.xml"
    path.write_text(text, encoding="utf-8")
    assert holds_macros(path) == are
