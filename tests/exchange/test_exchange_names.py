"""Names of files and layers, for any text."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from napari_tool_runner.names import free_path, safe_name, unique_name
from napari_tool_runner.names import unique_names as layer_names


@given(st.text())
@example("../../etc/passwd")
@example("-rf *")
@example("CON.txt")
@example("$(touch x)`y`")
@example("a" * 500)
@example("….,")
def test_safe_names_are_safe(name):
    safe = safe_name(name)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,80}", safe)
    assert safe_name(safe) == safe
    assert safe.split(".")[0].lower() not in ("con", "nul", "com1")


def test_safe_names_keep_what_can_be_kept():
    assert safe_name("Nuclei (488) é.v2") == "Nuclei_488_e.v2"
    assert safe_name("µ") == "data" or safe_name("µ").isascii()


@given(st.lists(st.text(max_size=6), max_size=8), st.lists(st.text(max_size=6), max_size=8))
def test_layer_names_are_unique_and_near(wanted, existing):
    names = layer_names(wanted, existing)
    assert len(names) == len(wanted)
    assert len(set(names)) == len(names)
    assert not set(names) & set(existing)
    for name, want in zip(names, wanted, strict=True):
        assert name == want or " [" in name


def test_numbers_go_on():
    assert unique_name("a [2]", {"a [2]"}) == "a [3]"
    assert unique_name("a", {"a", "a [1]"}) == "a [2]"


@given(names=st.lists(st.text(max_size=8), max_size=6))
def test_files_never_collide(names, tmp_path_factory):
    folder: Path = tmp_path_factory.mktemp("files")
    paths = []
    for name in names:
        path = free_path(folder, name, ".ome.tif")
        path.touch(exist_ok=False)
        paths.append(path)
    assert len({path.name.lower() for path in paths}) == len(names)
    assert all(path.parent == folder for path in paths)


def test_extensions_are_not_doubled(tmp_path):
    assert free_path(tmp_path, "a.ome.tif", ".ome.tif").name == "a.ome.tif"
    assert free_path(tmp_path, "a.tif", ".tiff").name == "a.tif.tiff"
