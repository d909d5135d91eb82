from __future__ import annotations

from pathlib import Path

import pytest
from tools_helpers import DESCRIPTORS, notes, written

from napari_tool_runner.errors import DescriptorError, UnknownToolError
from napari_tool_runner.tools import dialect_of, dialects, find_tool, read_tool
from napari_tool_runner.tools.candidate import Candidate, load_xml
from napari_tool_runner.tools.reader import choose_dialect
from support import CORPUS, NO_CORPUS


def chosen(candidate: Candidate) -> tuple[str, bool]:
    dialect, sure = choose_dialect(candidate)
    assert dialect is not None
    return dialect.name, sure


def test_the_languages() -> None:
    assert list(dialects) == ["bioimageit", "galaxy"]
    assert dialects["bioimageit"].name == "bioimageit"
    with pytest.raises(KeyError):
        dialects["cwl"]


@pytest.mark.parametrize("path", sorted(DESCRIPTORS.rglob("*.xml")), ids=lambda path: path.name)
def test_own_descriptors_are_bioimageit(path: Path) -> None:
    try:
        element = load_xml(path)
    except DescriptorError:
        return
    if element.tag == "tool":
        assert chosen(Candidate(path))[0] == "bioimageit"


@pytest.mark.skipif(CORPUS is None, reason=NO_CORPUS)
def test_published_descriptors_are_galaxy() -> None:
    assert CORPUS is not None
    candidates = [Candidate(path) for path in (CORPUS / "galaxy").glob("*/*.xml")]
    found = [chosen(one) for one in candidates if one.xml is not None and one.xml.tag == "tool"]
    assert len(found) > 20
    assert set(found) == {("galaxy", True)}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('<tool id="a" profile="22.05"><command>a</command></tool>', ("galaxy", True)),
        ('<tool id="a"><macros/><command>a</command></tool>', ("galaxy", True)),
        ('<tool id="a"><command>#if $x\na\n#end if</command></tool>', ("galaxy", True)),
        ('<tool id="a"><command>a $x.ext</command></tool>', ("galaxy", True)),
        (
            (
                '<tool id="a"><requirements><requirement>b</requirement></requirements>'
                "<command>a '$x' &gt; '$y'</command></tool>"
            ),
            ("galaxy", True),
        ),
        # nothing that tells: the language whose commands never meet a shell
        ('<tool id="a"><command>a ${x}</command></tool>', ("bioimageit", True)),
        (
            (
                '<tool id="a"><requirements><container type="docker">b</container></requirements>'
                "<command>a</command></tool>"
            ),
            ("bioimageit", True),
        ),
        (
            (
                '<tool id="a"><requirements><package type="conda">b</package></requirements>'
                "<command>a $x</command></tool>"
            ),
            ("bioimageit", True),
        ),
        # marks of both
        (
            (
                '<tool id="a"><requirements><requirement>b</requirement></requirements><command>a'
                '</command><inputs><param name="x" type="number"/></inputs></tool>'
            ),
            ("bioimageit", True),
        ),
        (
            '<tool id="a" python_template_version="3.5"><command>a</command><stdio/></tool>',
            ("galaxy", False),
        ),
    ],
)
def test_choice_of_the_language(body: str, expected: tuple[str, bool]) -> None:
    assert chosen(Candidate("tool.xml", body.encode())) == expected


def test_a_guess_is_told(tmp_path: Path) -> None:
    sure = written(tmp_path, "<command>a</command>", head='<tool id="a">')
    assert sure.notes == ()
    head = '<tool id="a" python_template_version="3.5">'
    guess = written(tmp_path, "<command>a</command><xrefs/><edam_topics/>", head=head)
    assert guess.dialect == "bioimageit"
    assert "guessed" in notes(guess)[-1]


def test_dialect_of_a_tool() -> None:
    path = DESCRIPTORS / "count.xml"
    assert dialects["bioimageit"].score(Candidate(path)) > 0
    other = Candidate(DESCRIPTORS / "trouble" / "other_root.xml")
    assert [dialect.score(other) for dialect in dialects.values()] == [0, 0]
    assert dialect_of(read_tool(DESCRIPTORS / "count.xml")) is dialects["bioimageit"]


def test_folders(tmp_path: Path) -> None:
    with pytest.raises(DescriptorError, match="holds no descriptor"):
        read_tool(tmp_path)
    (tmp_path / "macros.xml").write_text("<macros/>")
    tool = tmp_path / "b.xml"
    tool.write_text('<tool id="b"><command>b</command></tool>')
    assert read_tool(tmp_path).id == "b"
    assert read_tool(str(tmp_path)).uri == str(tool)
    (tmp_path / "c.xml").write_text('<tool id="c"><command>c</command></tool>')
    with pytest.raises(DescriptorError, match=r"several descriptors: b\.xml, c\.xml"):
        read_tool(tmp_path)


def test_a_folder_with_only_a_broken_file_says_what_is_broken(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<tool>")
    with pytest.raises(DescriptorError, match="line 1"):
        read_tool(tmp_path)


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b.xml").write_text('<tool id="b"><command>b</command></tool>')
    monkeypatch.chdir(tmp_path)
    assert read_tool("b.xml").uri == str(tmp_path / "b.xml")


def test_a_name_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(
        '<tool id="a" name="A&#10;error: disk full" version="1&#10;2"><command>x</command></tool>'
    )
    tool = read_tool(tmp_path / "a.xml")
    assert (tool.name, tool.version) == ("A error: disk full", "1 2")
    with pytest.raises(UnknownToolError, match="There is no tool"):
        find_tool("b" * 5000)
