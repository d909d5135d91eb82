from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_tool_runner.jobs.workspace import JobLog
from napari_tool_runner.plugins import OutputLine
from napari_tool_runner.plugins.programs.output import MAX_LINE, LineSplitter


def split(*chunks: bytes, clock=lambda: 0.0) -> list[tuple[str, bool]]:
    events = []
    splitter = LineSplitter(events.append, "stdout", clock)
    for chunk in chunks:
        splitter.feed(chunk)
    splitter.close()
    return [(event.text, event.transient) for event in events]


def final(*chunks: bytes) -> list[str]:
    return [text for text, transient in split(*chunks) if not transient]


def test_lines_end_at_newlines_only():
    assert final(b"a\nb c\x0bd\n\ne") == ["a", "b c\x0bd", "", "e"]


def test_windows_line_ends_leave_nothing_behind():
    assert final(b"a\r\nb\r", b"\nc\r\n") == ["a", "b", "c"]


def test_the_last_state_of_a_progress_bar_counts():
    assert final(b"10%\r50%\r100%\ndone\n") == ["100%", "done"]
    assert final(b"\r10%", b"\r50%", b"\r100%", b"\n") == ["100%"]
    assert final(b"10%\r", b"100%\r", b"\n") == ["100%"]
    assert final(b"10%\r", b"100%\r") == ["100%"]


def test_states_of_a_progress_bar_are_passed_on_now_and_then():
    times = iter([0.0, 0.01, 0.5])
    met = split(b"1%\r", b"2%\r", b"3%\r", b"4%\n", clock=lambda: next(times))
    assert met == [("1%", True), ("3%", True), ("4%", False)]


def test_a_character_may_be_cut_between_chunks():
    text = "µm → ✓".encode()
    assert final(*[text[i : i + 1] for i in range(len(text))]) == ["µm → ✓"]


def test_bytes_that_are_no_text_do_not_stop_the_log():
    assert final(b"a\xff\xfeb\n") == ["a\ufffd\ufffdb"]


@pytest.mark.parametrize("size", [1, 1000, 100_000])
def test_long_lines_are_capped_and_say_so(size):
    data = b"x" * 100_000 + b"\nnext\n"
    first, second = final(*[data[i : i + size] for i in range(0, len(data), size)])
    assert first == "x" * MAX_LINE + f" … ({100_000 - MAX_LINE} more characters)"
    assert second == "next"


def test_colours_and_titles_are_taken_out():
    assert final(b"\x1b[31mred\x1b[0m \x1b]0;title\x07x\n") == ["red x"]


_TEXT = st.text(st.characters(exclude_characters="\n\r\x1b\x9b", codec="utf-8"))


@given(st.lists(_TEXT), st.data())
def test_chunks_do_not_matter(lines, data):
    raw = "".join(line + "\n" for line in lines).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=5)))
    edges = [0, *cuts, len(raw)]
    chunks = [raw[a:b] for a, b in pairwise(edges)]
    assert final(*chunks) == lines


def test_a_log_holds_nothing_that_a_terminal_obeys(tmp_path: Path) -> None:
    log = JobLog(tmp_path)
    splitter = LineSplitter(log.add, "stdout")
    splitter.feed("a\x1bcb\x1b(0c\x9b2Jd\x1b]0;title\x07e\x1b[31mf\u202eg\x08h\n".encode())
    splitter.close()
    log.add(OutputLine("\x1bcforged", "runner"))
    log.close()
    for name in ("log.txt", "stdout.txt"):
        assert (tmp_path / name).read_text().splitlines()[0] == "abcdef\\u202eg\\x08h"
    assert (tmp_path / "log.txt").read_text().splitlines()[1] == "\\x1bcforged"
