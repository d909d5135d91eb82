"""Every test of every bundled descriptor, run without the package's own machinery."""

from __future__ import annotations

import ast
import csv
import json
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile
import yaml

from bundled import direct

TESTS = [
    pytest.param(path, number, id=f"{path.stem}-{number + 1}")
    for path in direct.descriptors()
    for number in range(len(direct.tests_of(path)))
]
ALL = [*direct.descriptors(), *direct.descriptors(apart=True)]
SHARED = (
    "read_image",
    "pixel_sizes",
    "read_objects",
    "pitch",
    "parts",
    "tell_missing",
    "is_bright",
    "tell_brightness",
    "tell_sizes",
    "tell_touching",
    "filled",
    "exact",
    "real",
    "typed",
    "smoothed",
    "way",
    "read_mask",
    "write_image",
    "space",
    "spectrum",
    "displacement",
    "compact",
    "threshold",
    "fill",
    "split",
    "necks",
    "joined",
    "unpacked",
    "published",
    "model_of",
)


def _rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def _same_table(made, reference):
    made, reference = _rows(made), _rows(reference)
    assert made[0] == reference[0]
    assert len(made) == len(reference)
    numbers = [np.array(rows[1:], float) for rows in (made, reference)]
    np.testing.assert_allclose(*numbers, rtol=1e-3, atol=1e-3)


def _same_polygons(made, reference):
    made, reference = (json.loads(p.read_text(encoding="utf-8")) for p in (made, reference))
    assert len(made["features"]) == len(reference["features"])
    for one, other in zip(made["features"], reference["features"], strict=True):
        assert one["properties"] == other["properties"]
        (line,), (expected,) = (f["geometry"]["coordinates"] for f in (one, other))
        assert line[0] == line[-1]
        np.testing.assert_allclose(line, expected, atol=1e-3)


def _same_mesh(made, reference):
    made, reference = (p.read_text(encoding="ascii").split() for p in (made, reference))
    end = reference.index("end_header") + 1
    assert made[:end] == reference[:end]
    np.testing.assert_allclose(
        np.array(made[end:], float), np.array(reference[end:], float), atol=1e-2
    )


def _same_image(made, reference):
    with tifffile.TiffFile(made) as one, tifffile.TiffFile(reference) as other:
        assert one.is_ome
        assert one.series[0].axes == other.series[0].axes
        made, reference = one.series[0].asarray(), other.series[0].asarray()
    assert made.dtype == reference.dtype
    assert made.shape == reference.shape
    difference = np.abs(made.astype(float) - reference.astype(float))
    assert difference.mean() <= 1e-3 * max(np.ptp(reference), 1)


SAME = {".tif": _same_image, ".csv": _same_table, ".geojson": _same_polygons, ".ply": _same_mesh}


@pytest.mark.parametrize(("path", "number"), TESTS)
def test_script_gives_the_reference(path, number, tmp_path):
    test = direct.tests_of(path)[number]
    made = direct.run_test(path, test, tmp_path)
    assert made.process.returncode == 0, made.process.stderr
    expected = test.findall("output")
    assert expected
    for output in expected:
        reference = path.parent / "test-data" / output.get("file")
        SAME[reference.suffix](made.outputs[output.get("name")], reference)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_descriptor_is_complete(path):
    root = ElementTree.parse(path).getroot()
    assert root.get("id") == path.stem == path.parent.name
    assert path.with_suffix(".py").is_file()
    assert (path.parent / ".shed.yml").is_file()
    assert (path.parent / "thumbnail.png").read_bytes().startswith(b"\x89PNG")
    # the weights of Cellpose, also of an untrained one, are too large to ship
    assert root.findall("tests/test") or path.stem in {"cellpose_3", "cellpose_sam"}
    assert root.findtext("description", "…")[-1] not in ".…", "it would look cut"
    assert len(root.findtext("help", "").split()) > 20, "a person needs more help than that"
    for param in root.findall("inputs/param"):
        assert param.get("label"), param.get("name")
        assert param.get("help", "").endswith("."), param.get("name")
        if param.get("type") == "data":
            # a model is a file, and no layer
            assert param.get("layer") or param.get("name") == "file"
        if param.get("type") in {"integer", "float"}:
            assert param.get("value") or param.get("optional") == "true", param.get("name")
    for data in root.findall("outputs/data"):
        # what is rescaled stays what it was, an image or labels; a package says what it gives
        told = path.stem in {"rescale", "bioimageio_model"}
        assert data.get("layer") or told, data.get("name")
    names = {param.get("name") for param in root.findall("inputs/param")}
    outputs = {data.get("name") for data in root.findall("outputs/data")}
    for data in root.findall("outputs/data"):
        assert data.get("reference", next(iter(names))) in names
        assert data.get("join", next(iter(names))) in names | outputs
    for test in root.findall("tests/test"):
        for given in test.findall("param"):
            assert given.get("name") in names
        used = {given.get("value") for given in test.findall("param")}
        used |= {output.get("file") for output in test.findall("output")}
        present = {file.name for file in (path.parent / "test-data").iterdir()}
        assert {name for name in used if "." in name and not name[0].isdigit()} <= present


@pytest.mark.parametrize("path", direct.descriptors(), ids=lambda path: path.stem)
def test_unreadable_input_is_one_sentence(path, tmp_path):
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"this is no image")
    root = ElementTree.parse(path).getroot()
    data = [p.get("name") for p in root.findall("inputs/param") if p.get("type") == "data"]
    made = direct.run(path, dict.fromkeys(data, broken), tmp_path)
    assert made.process.returncode == 1
    assert "Traceback" not in made.process.stderr
    assert "broken.tif" in made.process.stderr


def test_copies_of_the_shared_functions_are_the_same():
    # a tool is a folder that stands alone, so these few lines are in every script
    for name in SHARED:
        sources = {}
        for path in ALL:
            text = path.with_suffix(".py").read_text(encoding="utf-8")
            for node in ast.parse(text).body:
                if isinstance(node, ast.FunctionDef) and node.name == name:
                    sources.setdefault(ast.get_source_segment(text, node), []).append(path.stem)
        assert len(sources) == 1, (name, list(sources.values()))


def test_the_pictures_stay_small():
    files = [path.parent / "thumbnail.png" for path in ALL]
    assert len(files) == len(ALL)
    assert sum(file.stat().st_size for file in files) < 300_000


def test_every_category_has_its_place_in_the_tree():
    rows = json.loads((direct.TOOLS / "toolboxes.json").read_text(encoding="utf-8"))["categories"]
    listed = [row["name"] for row in rows]
    used = set()
    for path in ALL:
        used |= set(yaml.safe_load((path.parent / ".shed.yml").read_text())["categories"])
    assert set(listed) == used
    assert len(set(listed)) == len(listed)
