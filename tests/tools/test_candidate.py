from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools_helpers import DESCRIPTORS

from napari_tool_runner.cli import main
from napari_tool_runner.errors import DescriptorError, UnsafeDescriptorError
from napari_tool_runner.tools import read_tool
from napari_tool_runner.tools.candidate import (
    MAX_BYTES,
    Candidate,
    load_xml,
    parse_yaml,
    split_entry,
)


@pytest.mark.parametrize("name", ["doctype.xml", "bomb.xml", "external.xml"])
def test_document_types_and_entities_are_refused(name: str) -> None:
    with pytest.raises(UnsafeDescriptorError, match="document type or an entity") as caught:
        read_tool(DESCRIPTORS / "trouble" / name)
    assert caught.value.path == DESCRIPTORS / "trouble" / name
    assert "DOCTYPE" in caught.value.hint


def test_hidden_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "t.xml"
    text = (
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE tool [<!ENTITY a "b">]><tool>&a;</tool>'
    )
    path.write_bytes(text.encode("utf-16"))
    with pytest.raises(UnsafeDescriptorError):
        load_xml(path)


def test_malformed_names_the_place() -> None:
    with pytest.raises(DescriptorError, match=r"malformed\.xml, line 2, column 25: mismatched"):
        read_tool(DESCRIPTORS / "trouble" / "malformed.xml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no element found"),
        (b"\x00\x01\x02", "line 1"),
        (b'<?xml version="1.0" encoding="klingon"?><tool/>', "klingon|unknown encoding"),
        ('<?xml version="1.0" encoding="utf-8"?><tool name="é"/>'.encode("latin-1"), "line 1"),
        (b"<tool>", "no element found"),
    ],
)
def test_no_xml(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "t.xml"
    path.write_bytes(content)
    with pytest.raises(DescriptorError, match=message) as caught:
        load_xml(path)
    assert not isinstance(caught.value, UnsafeDescriptorError)


def test_encodings_that_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "t.xml"
    path.write_bytes('<?xml version="1.0" encoding="latin-1"?><tool name="é"/>'.encode("latin-1"))
    assert load_xml(path).get("name") == "é"
    path.write_bytes(b"\xef\xbb\xbf<tool name='bom'/>")
    assert load_xml(path).get("name") == "bom"


def test_sizes_are_limited(tmp_path: Path) -> None:
    path = tmp_path / "t.xml"
    path.write_bytes(b"<tool>" + b" " * MAX_BYTES + b"</tool>")
    with pytest.raises(UnsafeDescriptorError, match="larger than 8 MB"):
        load_xml(path)
    path.write_bytes(b"<a>" * 100_000)
    with pytest.raises(UnsafeDescriptorError, match="deep"):
        load_xml(path)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DescriptorError, match="There is no file"):
        load_xml(tmp_path / "absent.xml")
    fifo = tmp_path / "fifo.xml"
    os.mkfifo(fifo)
    with pytest.raises(DescriptorError, match="is not a file"):
        load_xml(fifo)
    with pytest.raises(DescriptorError, match="is not a file"):
        load_xml(tmp_path)


@pytest.mark.skipif(os.getuid() == 0, reason="root reads everything")
def test_permissions(tmp_path: Path) -> None:
    path = tmp_path / "t.xml"
    path.write_text("<tool/>")
    path.chmod(0)
    with pytest.raises(DescriptorError, match="cannot be read"):
        load_xml(path)


def test_another_root() -> None:
    with pytest.raises(DescriptorError, match="its root is <workflow>"):
        read_tool(DESCRIPTORS / "trouble" / "other_root.xml")


# -- JSON, YAML, programs ---------------------------------------------------------------

BOMB = "a0: &a0 [lol]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 7)
)


def test_the_views_of_a_file(tmp_path: Path) -> None:
    text = tmp_path / "t.json"
    text.write_text('{"a": [1, {"b": null}]}')
    candidate = Candidate(text)
    assert candidate.json == candidate.yaml == {"a": [1, {"b": None}]}
    assert (candidate.xml, candidate.problem, candidate.executable) == (None, None, False)
    text.unlink()
    assert candidate.head == candidate.data  # read once
    assert "There is no file" in str(Candidate(text).problem)


def test_a_program_is_only_looked_at(tmp_path: Path) -> None:
    program = tmp_path / "program"
    with program.open("wb") as stream:
        stream.write(b"#!/bin/sh\nexit 1\n")
        stream.truncate(MAX_BYTES * 4)
    program.chmod(0o755)
    candidate = Candidate(program)
    assert candidate.executable
    assert candidate.head.startswith(b"#!/bin/sh")
    assert (candidate.xml, candidate.json, candidate.yaml) == (None, None, None)
    assert candidate.problem is None
    with pytest.raises(UnsafeDescriptorError, match="larger than 8 MB"):
        _ = candidate.data


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.json", "[" * 100_000, "nests"),
        ("t.json", "[" * 300 + "]" * 300, "nests more than 200 deep"),
        ("t.json", '{"a": ', "line 1"),
        ("t.json", "9" * 10_000, "no JSON"),
        ("t.yaml", "[" * 100_000, "nest"),
        ("t.yml", BOMB, "aliases"),
        ("t.yml", BOMB.replace("[lol]", "[]"), "aliases"),
        ("t.yml", BOMB.replace("[lol]", "{}"), "aliases"),
        ("t.yml", "a: &a\n  - *a", "aliases"),
        ("t.yml", "[" + "[]," * 400_000 + "]", "more than 500,000 values"),
        ("t.yml", "a: !!int x", "“x” is no number"),
        ("t.yml", "a: !!bool x", "no valid YAML"),
        ("t.yml", "a: [", "no valid YAML"),
        ("t.yml", "a: \x07", "no valid YAML"),
    ],
)
def test_broken_and_unsafe_files_are_refused(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    candidate = Candidate(path)
    assert message in str(candidate.problem)
    assert candidate.json is None
    with pytest.raises(DescriptorError, match=message):
        read_tool(path)


def test_few_aliases_stand_for_what_they_name(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text("a: &a [1, {b: 2}]\nc: *a\nd: {e: *a}\n")
    same = [1, {"b": 2}]
    assert Candidate(path).yaml == {"a": same, "c": same, "d": {"e": same}}


def test_yaml_holds_what_json_holds(tmp_path: Path) -> None:
    """Dates that are none and numbers to base 60 fail, or take quadratic time."""
    path, digits = tmp_path / "t.yaml", "9" * 101
    path.write_text(
        "[!!timestamp x, 2024-99-99, !!binary ü, !!set {a}, {<<: {a: 1}}, 1:00:00, 010, 0x1f,"
        f" 0o17, -.inf, 1e3, .5, yes, ~, {digits}, 0x{digits}]"
    )
    assert Candidate(path).yaml == [
        *(None, "2024-99-99", None, None, {"<<": {"a": 1}}, "1:00:00", 10, 31, 15),
        *(float("-inf"), 1000.0, 0.5, True, None, digits, f"0x{digits}"),
    ]


@given(st.text("[]{}!&*:,-?'\"|>#%@`~<= \n\t01eEx._aüintfloaspmr", max_size=60).map(str.encode))
def test_any_yaml_is_read_or_refused(data: bytes) -> None:
    with suppress(DescriptorError):
        json.dumps(parse_yaml(data, Path("t.yml")), skipkeys=True)


def test_tags_of_programs_are_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.cwl"
    path.write_text(
        "a: !!python/name:os.system ''\nb: !!python/object/apply:os.system [x]\nc: 1\n"
    )
    assert Candidate(path).yaml == {"a": None, "b": None, "c": 1}


def test_one_of_several_tools(tmp_path: Path) -> None:
    path = tmp_path / "a#b.json"
    assert split_entry(f"{tmp_path / 'a.json'}#b") == (tmp_path / "a.json", "b")
    assert split_entry(path) == (tmp_path / "a", "b.json")
    path.touch()
    assert split_entry(path) == (path, "")
    assert split_entry(f"{path}#c") == (path, "c")
    assert split_entry("x#y/z.xml") == (Path("x#y/z.xml"), "")


def test_a_file_in_no_known_language_is_told_so(tmp_path: Path) -> None:
    for name, text in (("a.txt", "hello"), ("a.json", "{}"), ("a.yml", "a: 1"), ("a", "")):
        (tmp_path / name).write_text(text)
        with pytest.raises(
            DescriptorError, match="no descriptor language that is known"
        ) as caught:
            read_tool(tmp_path / name)
        assert caught.value.message.endswith("(BioImageIT, Galaxy).")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.xml", b"hello"),
        ("a.xml", b""),
        ("a.json", b"hello"),
        ("a.xml", b"\x7fELF\0\x01\xff<tool"),
    ],
)
def test_what_does_not_begin_as_its_name_says(
    tmp_path: Path, name: str, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    for verb in ("check", "show", "run"):
        assert main([verb, str(path)]) == 1
        said = capsys.readouterr()
        told = said.out + said.err
        assert f"{path} is written in no descriptor language" in told
        assert "(BioImageIT, Galaxy)." in told
        assert "line" not in told
    with pytest.raises(DescriptorError, match="no descriptor"):
        read_tool(tmp_path)


@pytest.mark.parametrize("text", ["\ufeff<tool", "\n <tool><a></tool>", "<tool id='a>"])
def test_what_begins_like_xml_keeps_the_place(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.xml"
    path.write_text(text, encoding="utf-8")
    for ref in (path, tmp_path):
        with pytest.raises(DescriptorError, match=r"a\.xml, line \d, column \d+: "):
            read_tool(ref)
    path.write_text(text, encoding="utf-16")
    with pytest.raises(DescriptorError, match=r"a\.xml, line \d, column \d+: "):
        read_tool(path)
