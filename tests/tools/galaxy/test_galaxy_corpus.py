"""Descriptors that other people wrote: read, bound, rendered, verified."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_tool_runner.errors import ParameterError
from napari_tool_runner.tools.binding import bind
from napari_tool_runner.tools.candidate import Candidate
from napari_tool_runner.tools.dialect import CollectedFile, CollectedOutput, JobPaths, TestOutcome
from napari_tool_runner.tools.galaxy import GalaxyDialect
from napari_tool_runner.tools.model import CollectionOutput, Tool, ToolTest
from support import CORPUS, NO_CORPUS

DIALECT = GalaxyDialect()

pytestmark = pytest.mark.skipif(CORPUS is None, reason=NO_CORPUS)


def _descriptors() -> list[Path]:
    if CORPUS is None:
        return []
    found = sorted((CORPUS / "galaxy").glob("*/*.xml"))
    return [path for path in found if "<tool " in path.read_text()]


def _tests() -> Iterator[object]:
    for path in _descriptors():
        tool = DIALECT.read(Candidate(path))
        for test in tool.tests:
            yield pytest.param(tool, test, id=f"{tool.id}-{test.index}")


@pytest.fixture(params=_descriptors(), ids=lambda path: path.parent.name)
def tool(request: pytest.FixtureRequest) -> Tool:
    return DIALECT.read(Candidate(request.param))


def test_reads_without_notes(tool: Tool) -> None:
    assert [str(note) for note in tool.notes] == []
    assert tool.inputs
    assert tool.outputs
    assert tool.tests
    assert tool.digest.startswith("sha256:")
    assert tool.help


def test_no_test_is_skipped(tool: Tool) -> None:
    assert [test.extra.get("skip") for test in tool.tests if "skip" in test.extra] == []


def _render(tool: Tool, test: ToolTest, root: Path) -> str:
    return DIALECT.render(tool, bind(tool, test.values), JobPaths(root), {}).script


@pytest.mark.parametrize(("tool", "test"), list(_tests()))
def test_renders(tool: Tool, test: ToolTest, tmp_path: Path) -> None:
    try:
        script = _render(tool, test, tmp_path)
    except ParameterError:
        # a validator refuses, as the test wants
        assert test.expect_failure
        return
    assert script.startswith("#!/bin/bash\n")
    assert "$__tool_directory__" not in script
    assert "None" not in script.replace("NoneType", "")


def _outcome(tool: Tool, test: ToolTest, folder: Path, *, spoil: bool = False) -> TestOutcome:
    """What a run would give that writes exactly the reference files."""
    raw = test.extra["galaxy"]
    outputs: dict[str, CollectedOutput] = {}
    folder.mkdir(parents=True, exist_ok=True)

    def write(
        name: str, file: str | None, attributes: dict, ids: tuple[str, ...]
    ) -> CollectedFile:
        target = folder / "_".join([name, *ids]).replace("/", "_")
        source = tool.source.test_file(file) if file else None
        if source is None:
            _write_fitting(target, attributes)
        else:
            shutil.copyfile(source, target)
        if spoil:
            target.write_bytes(b"spoilt" * 200_000)
        kind = attributes.get("ftype") or tool.output(name).format
        return CollectedFile(target, kind, "/".join(ids), {"identifiers": ids})

    for output in raw["outputs"]:
        made = write(output["name"], output["value"], output["attributes"], ())
        outputs[output["name"]] = CollectedOutput(tool.output(output["name"]), (made,))
    for collection in raw["output_collections"]:
        name = collection["name"]
        files = [
            write(name, file, attributes, (identifier,))
            for identifier, (file, attributes) in collection["element_tests"].items()
        ]
        count = int(collection["attributes"].get("count") or len(files))
        for index in range(count - len(files)):
            path = folder / f"{name}_more_{index}"
            path.write_text("")
            files.append(CollectedFile(path, "data", f"{index}", {"identifiers": (f"~{index}",)}))
        # Galaxy checks the order too; unlisted elements lie between
        files.sort(key=lambda file: file.name)
        outputs[name] = CollectedOutput(tool.output(name), tuple(files))
    text = "\n".join(_stream(raw.get("stdout")))
    errors = "\n".join(_stream(raw.get("stderr")))
    return TestOutcome(0, text, errors, outputs, "", failed=False)


def _write_fitting(target: Path, attributes: dict) -> None:
    """Write a file that meets the assertions of an output without a reference file."""
    wanted = {entry["tag"]: entry["attributes"] for entry in attributes.get("assert_list") or []}
    if any(tag.startswith("has_image") for tag in wanted):
        listed = [
            e["attributes"] for e in attributes["assert_list"] if e["tag"].endswith("n_labels")
        ]
        labels = max((int(entry["n"]) for entry in listed), default=3)
        shape = tuple(
            int(wanted.get(f"has_image_{name}", {}).get(name, default))
            for name, default in (
                ("frames", 1), ("depth", 1), ("height", 30), ("width", 30), ("channels", 1)
            )
        )  # fmt: skip
        pixels = 1.0 + np.arange(np.prod(shape)).reshape(shape) * labels // np.prod(shape)
        if "has_image_center_of_mass" in wanted:
            pytest.skip("this test describes its pixels by numbers; only a real run makes them")
        tifffile.imwrite(target, pixels, metadata={"axes": "TZYXC"}, photometric="minisblack")
        return
    size = wanted.get("has_size", {})
    text = "x" * int(size.get("value") or size.get("size") or 0)
    target.write_text(text or "\n".join(_stream(attributes.get("assert_list"))))


def _stream(assertions: list | None) -> list[str]:
    lines = []
    for entry in assertions or []:
        given = entry["attributes"]
        if entry["tag"] in ("has_line", "has_text"):
            lines.append(given.get("line") or given.get("text") or "")
        elif "expression" in given:
            lines.append(_sample(given["expression"]))
    return lines


def _sample(expression: str) -> str:
    """A text that matches one of the corpus' simple regular expressions."""
    text = re.sub(r"\(\?:([^|)]*)\|[^)]*\)", r"\1", expression)
    text = re.sub(r"\[0-9\][+*]", "1", text).removeprefix("^").removesuffix("$")
    return re.sub(r"\\(.)", r"\1", text.replace(".+", "x").replace(".*", ""))


def _accepting() -> list[object]:
    return [param for param in _tests() if not param.values[1].expect_failure]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("tool", "test"), _accepting())
def test_accepts_its_own_references(tool: Tool, test: ToolTest, tmp_path: Path) -> None:
    assert DIALECT.verify(tool, test, _outcome(tool, test, tmp_path)) == []


@pytest.mark.parametrize(("tool", "test"), _accepting())
def test_refuses_spoilt_outputs(tool: Tool, test: ToolTest, tmp_path: Path) -> None:
    problems = DIALECT.verify(tool, test, _outcome(tool, test, tmp_path, spoil=True))
    assert problems


def test_collections_are_collections(corpus: Path) -> None:
    tool = DIALECT.read(Candidate(corpus / "galaxy" / "split_image" / "split_image.xml"))
    assert isinstance(tool.output("output"), CollectionOutput)
