"""Looking at descriptors that nobody approved: attack -> what it got, and how long it took."""

from __future__ import annotations

import os
import re
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from qtpy.QtWidgets import QApplication, QTextBrowser

import napari_tool_runner as ntr
from napari_tool_runner import tools
from napari_tool_runner.cli import main
from napari_tool_runner.errors import DescriptorError
from napari_tool_runner.tools import checker
from napari_tool_runner.tools.isolation import looking
from napari_tool_runner.tools.isolation.client import reader
from napari_tool_runner.tools.isolation.walls import missing_walls
from napari_tool_runner.tools.model import Citation, Tool
from napari_tool_runner.tools.reader import named_files
from napari_tool_runner.tools.toolbox import index
from napari_tool_runner.tools.toolbox.box import Toolbox, ToolboxFolder
from napari_tool_runner.tools.toolbox.entries import Made, bundled_folder
from napari_tool_runner.widgets.help_text import _VAST_WORD, _is_light, help_html
from napari_tool_runner.widgets.tool_page import page_html

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

CORPUS = Path(os.environ.get("NTR_CORPUS", bundled_folder()))
LANGUAGE = """
from napari_tool_runner.tools.dialect import Dialect
from napari_tool_runner.tools.model import Tool

class Codes(Dialect):
    name, label, patterns = "codes", "Codes", ("*.codes",)
    def score(self, candidate):
        return 10 if candidate.path.suffix == ".codes" else 0
    def read(self, candidate, entry="", *, root=None):
        scope = {"path": candidate.path}
        exec(candidate.data.decode(), scope)
        return Tool(id=candidate.path.stem, name=str(scope.get("name", "Name")),
                    description=str(scope.get("description", "")),
                    uri=str(candidate.path), dialect="codes", digest=candidate.digest)
    def render(self, tool, values, paths, variables): ...
    def collect(self, tool, rendered, values, paths): ...
    def verify(self, tool, test, outcome): ...

DIALECT = Codes()
"""
GOOD = '<tool id="{0}" name="Good {0}" version="1"><command>echo</command></tool>'


@pytest.fixture
def codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A toolbox whose descriptors are code of their (badly made) language."""
    place = tmp_path / "languages" / "codes"
    place.mkdir(parents=True)
    (place / "dialect.py").write_text(LANGUAGE, encoding="utf-8")
    monkeypatch.setattr(tools, "__path__", [*tools.__path__, str(tmp_path / "languages")])
    monkeypatch.setattr(looking, "_LIMITS", replace(looking._LIMITS, processor=2, seconds=5))
    looking._memory.cache_clear()
    folder = tmp_path / "box"
    folder.mkdir()
    yield folder
    looking._memory.cache_clear()
    reader.close()


def box_of(folder: Path) -> Toolbox:
    return Toolbox([ToolboxFolder("box", folder)], cache_dir=folder.parent / "cache")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("while True: pass", "of a processor|took longer"),  # on a busy machine
        ("x = 'x' * 2**34", "MemoryError"),
        ("import time; time.sleep(1000)", "took longer"),
        ("import os; os._exit(3)", "ended before it answered"),
        ("import ctypes; ctypes.string_at(0)", "signal 11"),
        ("description = 'x' * 17_000_000", "more than 16 MB"),
        ("raise RecursionError", "Recursion"),
        ("def f(): f()\nf()", "recursion"),
    ],
)
def test_a_descriptor_that_does_harm_is_a_problem_beside_the_good_ones(
    code: str, sentence: str, codes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "c"):
        (codes / f"{name}.xml").write_text(GOOD.format(name))
    (codes / "b.codes").write_text(code)
    # what is looked at nowhere in this process cannot keep its window waiting
    monkeypatch.setattr(index, "made_of", lambda *_: pytest.fail("it was looked at here"))
    box = box_of(codes)
    assert [*box] == ["a", "c"]
    (problem,) = box.problems
    assert problem.path.name == "b.codes"
    assert re.search(sentence, problem.message)
    assert box["a"].name == "Good a"


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("while True: pass", "of a processor|took longer"),  # on a busy machine
        ("x = 'x' * 2**34", "more memory"),
        ("import os; os._exit(3)", "ended before it answered"),
    ],
)
def test_a_tool_that_does_harm_when_it_is_opened_is_a_sentence(
    code: str, sentence: str, codes: Path
) -> None:
    mark = codes.parent / "mark"
    outline = "    def outline(self, candidate, entry, root):\n"
    outline += "        from napari_tool_runner.tools.dialect import Outline\n"
    outline += "        return Outline(id='b', name='B')\n"
    language = codes.parent / "languages" / "codes" / "dialect.py"
    language.write_text(LANGUAGE.replace("    def render", f"{outline}    def render"))
    (codes / "b.codes").write_text(f"open({str(mark)!r}, 'a').close() if 0 else None\n{code}")
    box = box_of(codes)
    assert [*box] == ["b"]
    assert not box.is_quick("b")
    for _ in range(2):
        with pytest.raises(DescriptorError, match=sentence) as caught:
            box["b"]
        assert caught.value.hint
    assert not box.is_quick("b")


HARM = [
    ("while True: pass", "of a processor|took longer"),  # on a busy machine
    ("x = 'x' * 2**34", "more memory|MemoryError"),
    ("import os; os._exit(3)", "ended before it answered"),
    ("def f(): f()\nf()", "recursion"),
]


@pytest.mark.parametrize(("code", "sentence"), HARM)
def test_a_harmful_descriptor_named_by_its_path_is_a_sentence(
    code: str, sentence: str, codes: Path
) -> None:
    path = codes / "b.codes"
    path.write_text(code)
    with pytest.raises(DescriptorError, match=sentence):
        ntr.read_tool(path)


@pytest.mark.parametrize("act", [tools.find_tool, ntr.run, ntr.submit])
def test_whatever_reads_a_path_reads_it_apart(act: Callable[[str], object], codes: Path) -> None:
    path = codes / "b.codes"
    path.write_text("import os; os._exit(3)")
    for named in (path, codes):
        with pytest.raises(DescriptorError, match="ended before it answered"):
            act(str(named))


@pytest.mark.parametrize(("code", "sentence"), HARM)
@pytest.mark.parametrize("verb", ["check", "show", "test"])
def test_a_harmful_descriptor_is_a_sentence_of_the_command(
    verb: str, code: str, sentence: str, codes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = codes / "b.codes"
    path.write_text(code)
    assert main([verb, str(path)]) == 1
    told = capsys.readouterr()
    assert re.search(sentence, told.out + told.err)


def test_what_is_checked_is_read_in_the_reader(codes: Path) -> None:
    (codes / "a.codes").write_text("import os; name = os.getpid()")
    (codes / "b.codes").write_text("while True: pass")
    (codes / "c.xml").write_text(GOOD.format("c"))
    (codes / "d.xml").write_text("<other/>")
    checked = tools.check_paths([codes], variables={})
    assert [one.path.name for one in checked] == ["a.codes", "b.codes", "c.xml"]
    names = [one.tool.name if one.tool else "" for one in checked]
    assert names[0].isdigit()
    assert names[0] != str(os.getpid())
    assert names[1:] == ["", "Good c"]
    assert [one.usable for one in checked] == [True, False, True]


@pytest.mark.timeout(60)
def test_checking_a_folder_of_harmful_descriptors_takes_a_minute_at_most(
    codes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checker, "_PATIENCE", 0.5)
    for number in range(50):
        (codes / f"{number:02}.codes").write_text("while True: pass")
    checked = tools.check_paths([codes], variables={})
    assert len(checked) == 50
    assert "others here took too long" in checked[-1].notes[0].what


@pytest.mark.parametrize(
    "told", [None, "x", [3], [["/etc/passwd", None, []]], [["{}", [1], []]], [["{}", None, [[]]]]]
)
def test_what_the_reader_tells_of_a_path_is_not_believed(
    told: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.xml"
    path.write_text(GOOD.format("a"))
    if isinstance(told, list) and isinstance(told[0], list):
        told = [[str(told[0][0]).format(path), *told[0][1:]]]
    monkeypatch.setattr(looking.reader, "ask", lambda *args, **more: told)
    (checked,) = tools.check_paths([path], variables={})
    assert not checked.usable
    assert "what is no report" in checked.notes[0].what
    with pytest.raises(DescriptorError, match="what is no answer"):
        ntr.read_tool(path)


def test_a_path_is_read_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    (tmp_path / "real.xml").write_text(GOOD.format("a"))
    (folder / "a.xml").symlink_to(tmp_path / "real.xml")
    assert ntr.read_tool(folder).uri == str(folder / "a.xml")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ntr.read_tool("~/one/a.xml").id == "a"
    monkeypatch.chdir(folder)
    assert ntr.read_tool("a.xml").id == "a"
    (folder / "b.xml").write_text(GOOD.format("b"))
    with pytest.raises(DescriptorError, match=r"several descriptors: a\.xml, b\.xml"):
        ntr.read_tool(folder)
    with pytest.raises(DescriptorError, match="There is no file") as caught:
        ntr.read_tool(tmp_path / "absent.xml")
    assert caught.value.hint


@pytest.mark.skipif(bool(missing_walls()), reason=missing_walls())
@pytest.mark.parametrize(
    "code",
    [
        "open('SECRET').read()",
        "__import__('socket').socket()",
        "__import__('os').fork()",
        "open('SECRET', 'w')",
        "open(str(path) + '.new', 'w').write('x')",
        "__import__('subprocess').run(['id'])",
    ],
)
def test_a_reader_that_is_broken_into_reaches_nothing(code: str, codes: Path) -> None:
    secret = codes.parent / "secret"
    secret.write_text("secret-text")
    code = code.replace("SECRET", str(secret))
    (codes / "b.codes").write_text(
        f"try:\n    name = {code}\nexcept Exception as e:\n    name = e"
    )
    (entry,) = box_of(codes).entries
    assert "secret-text" not in entry.name
    assert any(word in entry.name for word in ("denied", "permitted", "too large")), entry.name
    assert secret.read_text() == "secret-text"
    assert [one.name for one in codes.iterdir()] == ["b.codes"]


@pytest.mark.timeout(150)
def test_many_harmful_descriptors_take_a_minute_at_most(
    codes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "_PATIENCE", 3.0)
    for number in range(300):
        (codes / f"{number}.codes").write_text("while True: pass")
    box = box_of(codes)
    assert len(box.problems) == 300
    assert "took too long" in box.problems[150].message
    monkeypatch.setattr(looking.reader, "ask", lambda *_, **__: pytest.fail("looked at again"))
    assert len(box_of(codes).problems) == 300, "what is known is not looked at again"


@pytest.mark.parametrize(
    "told",
    [
        None, [], [[]], [[[], [], "", 3]], [[[], [3], ""]], [[[[1] * 16], [], ""]],
        [[[["k"] * 16], [], ""]], [[[], []]], [[["text"], [], ""]], [[[], [], ""]] * 2,
    ],
)  # fmt: skip
def test_an_index_is_not_believed(
    told: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking.reader, "ask", lambda *args, **more: told)
    path = tmp_path / "a.xml"
    found = looking.entries_of([path], tmp_path, "box")
    assert found[path].entries == ()
    assert "what is no index" in found[path].problem


@pytest.mark.parametrize("field", ["uri", "thumbnail", "toolbox", "name", "formats"])
def test_an_entry_of_another_place_is_not_believed(
    field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.xml"
    path.write_text(GOOD.format("a"))
    (entry,) = index.made_of(path, tmp_path, "box").entries
    told = [[list(entry)], [], ""]
    monkeypatch.setattr(looking.reader, "ask", lambda *args, **more: [told])

    def listed(one: object) -> object:
        return list(one) if isinstance(one, tuple) else one

    told[0] = [[listed(one) for one in entry]]
    assert looking.entries_of([path], tmp_path, "box")[path] == Made((entry,), (), "")
    bad = entry._asdict() | {field: ["x"] if field == "name" else "/etc/passwd"}
    told[0] = [[listed(one) for one in bad.values()]]
    assert looking.entries_of([path], tmp_path, "box")[path].problem


def test_the_reader_reads_what_we_read(tmp_path: Path) -> None:
    here, _ = index.index_folder(CORPUS, "x", cache_dir=tmp_path / "a")
    there, problems = index.index_folder(CORPUS, "x", cache_dir=tmp_path / "b", strange=True)
    assert here == there
    assert not problems


def test_what_came_through_is_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "box"
    folder.mkdir()
    macros = "<macros><import>m.xml</import></macros><expand macro='m'/>"
    (folder / "m.xml").write_text("<macros><xml name='m'><help>one</help></xml></macros>")
    text = (
        GOOD.format("a")
        .replace("<command>", f"{macros}<command>")
        .replace('version="1"', 'version="1" profile="22.05"')
    )
    (folder / "a.xml").write_text(text)
    asked: list[str] = []
    ask = reader.ask

    def spy(operation: str, *args: object, **more: object) -> object:
        asked.append(operation)
        return ask(operation, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(looking.reader, "ask", spy)
    assert box_of(folder)["a"].help == "one"
    assert asked == ["index", "look"]
    looking._memory.cache_clear()  # another session
    again = box_of(folder)
    assert again.is_quick("a")
    assert again["a"].help == "one"
    assert asked == ["index", "look"]
    (folder / "m.xml").write_text("<macros><xml name='m'><help>other</help></xml></macros>")
    assert not box_of(folder).is_quick("a")
    assert box_of(folder)["a"].help == "other"
    assert asked == ["index", "look", "index", "look"]
    folder = folder.rename(tmp_path / "moved")
    assert not box_of(folder).is_quick("a")


def test_shipped_tools_never_come_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(looking.reader, "ask", None)
    box = Toolbox([ToolboxFolder("bundled", bundled_folder())], cache_dir=tmp_path)
    assert all(box.is_quick(key) for key in box)
    assert box["gaussian_filter"]


@pytest.mark.timeout(90)
def test_odd_files_of_a_toolbox_keep_nobody_waiting(tmp_path: Path) -> None:
    folder = tmp_path / "box"
    folder.mkdir()
    (folder / "good.xml").write_text(GOOD.format("good"))
    os.mkfifo(folder / "pipe.xml")
    (folder / "zero.xml").symlink_to("/dev/zero")
    with (folder / "sparse.xml").open("wb") as file:
        file.truncate(2**40)
    os.mkfifo(folder / "toolboxes.json")
    os.mkfifo(folder / ".shed.yml")
    os.mkfifo(folder / "thumbnail.png")
    os.mkfifo(folder / "README.md")
    (folder / "test-data").mkdir()
    os.mkfifo(folder / "test-data" / "x.tif")
    os.mkfifo(folder / "macros.part")
    (folder / "imports.xml").write_text(
        "<tool id='i' name='I'><macros><import>macros.part</import></macros>"
        "<command>x</command></tool>"
    )
    (folder / "line\nbreak.xml").write_text(GOOD.format("line"))
    for name, code in (("utf16", "utf-16"), ("bom", "utf-8-sig")):
        text = f'<?xml version="1.0" encoding="{code.removesuffix("-sig")}"?>' + GOOD.format(name)
        (folder / f"{name}.xml").write_text(text, encoding=code)
    (folder / "utf7.xml").write_text('<?xml version="1.0" encoding="utf-7"?><tool/>')
    (folder / "boms.xml").write_bytes(b"\xef\xbb\xbf" * 2_000_000)
    box = box_of(folder)
    assert box.categories is not None
    assert box.search_entries("good")
    assert {"good", "line", "utf16", "bom"} <= {*box}
    told = {problem.path.name: problem.message for problem in box.problems}
    assert "larger than" in told["sparse.xml"]
    assert "link out of" in told["zero.xml"]
    assert "not a file" in told["imports.xml"]
    assert folder / "good.xml" in named_files(folder, deep=True)


def test_a_deep_folder_is_no_error(tmp_path: Path) -> None:
    folder = tmp_path / "box"
    folder.mkdir()
    (folder / "good.xml").write_text(GOOD.format("good"))
    here = os.open(folder, os.O_RDONLY)
    for _ in range(4000):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    try:
        assert [*box_of(folder)] == ["good"]
        assert named_files(folder, deep=True) == [folder / "good.xml"]
    finally:  # pytest could not delete it, and would end without its summary
        subprocess.run(["rm", "-rf", folder / "d"], check=True)


@pytest.mark.timeout(60)
def test_a_folder_of_many_files_is_listed_soon(tmp_path: Path) -> None:
    folder = tmp_path / "box"
    folder.mkdir()
    for number in range(20_000):
        (folder / f"{number}.txt").touch()
    (folder / "good.xml").write_text(GOOD.format("good"))
    assert [*box_of(folder)] == ["good"]


def test_a_box_that_does_not_look_holds_what_is_remembered(tmp_path: Path) -> None:
    folder, cache = tmp_path / "box", tmp_path / "cache"
    folder.mkdir()
    (folder / "good.xml").write_text(textwrap.dedent(GOOD.format("good")))
    box = Toolbox([ToolboxFolder("box", folder)], cache_dir=cache, look=False)
    assert not box
    assert box.refresh()
    assert [*box] == ["good"]
    (folder / "good.xml").unlink()
    again = Toolbox([ToolboxFolder("box", folder)], cache_dir=cache, look=False)
    assert [*again] == ["good"]
    assert again.refresh()
    assert not again


# -- help -------------------------------------------------------------------------------------

WILD = {
    "rst, a line of marks": ("rst", "*a " * 20_000),
    "rst, many lines": ("rst", "* item\n\n" * 8_000),
    "rst, links": ("rst", "`a <x>`__ " * 6_000),
    "rst, nested lists": ("rst", "\n".join("  " * n + "* a\n" for n in range(300))),
    "rst, nested quotes": ("rst", "\n".join(" " * n + "a\n" for n in range(300))),
    "rst, substitutions": ("rst", ".. |a| replace:: |b|\n.. |b| replace:: |a|\n\n|a|"),
    "rst, a long table": ("rst", "===== =====\n" + "a     b\n" * 5000 + "===== ====="),
    "rst, links to nowhere": ("rst", "ax_ " * 24_000),
    "rst, roles": ("rst", ":a:`b` " * 14_000),
    "rst, letters that combine": ("rst", ("a" + "\u0301" * 50 + " ") * 1900),
    "rst, raw": ("rst", ".. raw:: html\n   :file: /etc/passwd\n\n.. include:: /etc/passwd\n"),
    "markdown, nested lists": ("markdown", "- " * 10_000 + "a"),
    "markdown, nested quotes": ("markdown", "> " * 10_000 + "a"),
    "markdown, deep lists": ("markdown", "\n".join("  " * n + "- a" for n in range(1000))),
    "markdown, many rows": ("markdown", "- a\n" * 20_000),
    "markdown, a long word": ("markdown", "a" * 90_000),
    "markdown, emphasis": ("markdown", "*a_" * 30_000),
    "markdown, brackets": ("markdown", "[" * 50_000),
    "markdown, letters that combine": ("markdown", ("a" + "\u0301" * 50 + " ") * 1900),
    "plain, letters that combine": ("plain", "a" + "\u0301" * 1_000_000),
    "plain, a long word": ("plain", "a" * 1_000_000),
    "plain, long": ("plain", "word\n\n" * 500_000),
    "url": ("url", "https://x.org/" + "a" * 1_000_000),
}  # fmt: skip


@pytest.mark.timeout(20)  # begun anew at each letter it takes minutes, and nobody else works
def test_words_just_short_of_vast_keep_no_thread_busy() -> None:
    long = "\u0301" * 2990
    assert _VAST_WORD.search(f"{long} " * 1300) is None
    assert not _is_light(f"<p>{long} {long * 2}</p>")


@pytest.mark.parametrize("name", [*WILD])
def test_help_is_laid_out_soon_or_shown_as_it_is_written(name: str, qtbot: QtBot) -> None:
    kind, text = WILD[name]
    tool = Tool(
        id="a", name="A", help=text, help_format=kind, uri="/nowhere/a.xml",  # type: ignore[arg-type]
        description="b" * 100_000, categories=("c " * 10_000,) * 100,
        citations=(Citation("bibtex", "d" * 100_000),) * 1000,
    )  # fmt: skip
    about = help_html(tool)
    assert "root:" not in about
    browser = QTextBrowser()
    qtbot.addWidget(browser)
    browser.resize(300, 400)
    browser.show()
    browser.setHtml(page_html(tool, (), about))
    QApplication.processEvents()
    # laid out on the thread of the window: 0.1 s for as much as this
    assert browser.document().blockCount() < 20_000
    assert browser.document().characterCount() < 700_000
    assert about


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_to_itself_is_told_beside_the_good_tools(tmp_path: Path) -> None:
    box = tmp_path / "box"
    (box / "below").mkdir(parents=True)
    (box / "good.xml").write_text(GOOD.format("a"))
    (box / "below" / "good.xml").write_text(GOOD.format("b"))
    (box / "loop").symlink_to("loop")
    (box / "below" / "loop.xml").symlink_to("loop.xml")
    for _ in range(2):  # also when the index comes from the cache
        entries, problems = index.index_folder(box, "x", cache_dir=tmp_path / "cache")
        assert {one.id for one in entries} == {"a", "b"}
        assert {one.path for one in problems} == {box / "loop", box / "below" / "loop.xml"}
        assert all("left out" in one.message for one in problems)


@pytest.mark.parametrize("part", ["<icon src='loop'/>", "<macros><import>loop</import></macros>"])
def test_a_link_to_itself_is_no_way_to_anywhere(part: str, tmp_path: Path) -> None:
    """`Path.resolve` raises RuntimeError for it, in some versions of Python."""
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "a.xml").write_text(GOOD.format("a").replace("<command>", f"{part}<command>"))
    box = box_of(tmp_path)
    if "icon" in part:
        assert box["a"].thumbnail == ""
    else:
        assert "loop" in str([one.message for one in box.problems if one.path.name == "a.xml"])
