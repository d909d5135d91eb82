"""Texts of others stay texts: read back by Python and by a shell, they are what they were."""

from __future__ import annotations

import ast
import math
import subprocess

import pytest

from napari_tool_runner.quoting import (
    comment,
    html_text,
    one_line,
    python_value,
    shell_line,
    shell_word,
    visible_text,
)

ODD = [
    "",
    "plain",
    "it's",
    'a "b" $c `d` \\',
    "a\x1b[201~; rm x",
    "\r\n",
    "end\x07",
    "\u202ex",
    "é 日",
]


@pytest.mark.parametrize("text", [*ODD, "\x1b\x07two", "a\udcffb\x1b"])
def test_a_word_reaches_a_program_unchanged(text: str) -> None:
    word = shell_word(text)
    assert not {"\x1b", "\x07", "\u202e", "\r"} & set(word), "a terminal would obey it"
    done = subprocess.run(["sh", "-c", f"printf '%s|' {word}"], capture_output=True, check=True)
    assert done.stdout == text.encode("utf-8", "surrogateescape") + b"|"


def test_words_become_a_line() -> None:
    assert shell_word("plain") == "plain"
    assert shell_word("") == "''"
    assert shell_line(["a b", "c"]) == "'a b' c"
    assert shell_word("a b\x1b[c") == "'a b'\"$(printf '\\033')\"'[c'"
    assert shell_word("\x1b") == "\"$(printf '\\033')\""
    with pytest.raises(ValueError, match="nul character is no part"):
        shell_line(["a", "b\0"])


VALUES = [None, True, 3, -1.5, "é", ["a", [1]], {"k": [None, "v"]}, *ODD]


@pytest.mark.parametrize("value", VALUES)
def test_a_value_is_read_back_by_python(value: object) -> None:
    text = python_value(value)
    assert ast.literal_eval(text) == value
    assert not {"\x1b", "\x07", "\u202e", "\r"} & set(text)


def test_values_that_python_has_no_literal_for() -> None:
    assert python_value(("a", 1)) == "['a', 1]"
    assert python_value(math.inf) == "float('inf')"
    assert python_value(-math.inf) == "float('-inf')"
    assert python_value(math.nan) == "float('nan')"
    assert python_value({1: "a", "b": 2}) == "{'1': 'a', 'b': 2}"
    assert python_value("é") == "'é'"
    assert python_value("é\x1b") == "'\\xe9\\x1b'"


def test_a_line_is_one_and_not_too_long() -> None:
    assert one_line("a\n b\t\x1bc") == "a b \\x1bc"
    assert one_line("é") == "é"
    assert one_line("x" * 300) == "x" * 300
    assert one_line("x" * 301) == "x" * 299 + "…"
    assert one_line("abc", most=2) == "a…"
    assert comment("x\nimport os") == "# x import os"


def test_lines_stay_visible() -> None:
    assert visible_text("a\n\tb\x1b\u202e\udc80") == "a\n\tb\\x1b\\u202e\\udc80"
    assert html_text("<b>'\"&") == "&lt;b&gt;&#x27;&quot;&amp;"
