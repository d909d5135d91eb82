from __future__ import annotations

import os
from pathlib import Path

import pytest
from tools_helpers import DESCRIPTORS

from napari_tool_runner.errors import DescriptorError, UnsafeDescriptorError
from napari_tool_runner.tools import read_tool
from napari_tool_runner.tools.xml import MAX_BYTES, load_xml


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
