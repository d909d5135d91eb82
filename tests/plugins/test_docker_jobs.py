"""Whole jobs: the same tool gives the same pixels through LOCAL and DOCKER."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

import napari_tool_runner as ntr
from napari_tool_runner.exchange import files
from napari_tool_runner.plugins.runners_factory import runnerServices
from support import until_kept

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docker_engine import Engine

pytestmark = pytest.mark.docker

IMAGE = "localhost/python:1"
DESCRIPTOR = """<tool id="flip" name="Flip" version="1">
  <requirements>{requirement}</requirements>
  <command>python '$__tool_directory__/flip.py' ${{input}} ${{output}}</command>
  <inputs><param name="input" type="data" format="imagetiff" layer="image"/></inputs>
  <outputs><data name="output" format="imagetiff" layer="image" reference="input"/></outputs>
</tool>
"""
PROGRAM = """import os, sys
import tifffile

image = tifffile.imread(sys.argv[1])
print("inside" if os.path.exists("/.dockerenv") else "outside")
tifffile.imwrite(sys.argv[2], image[::-1] // 2)
"""


@pytest.fixture(scope="module")
def config(docker_engine: Engine, docker_python: str) -> Iterator[dict[str, object]]:
    assert docker_python == IMAGE
    yield {"runner": {"host": docker_engine.host}}
    service = runnerServices.get("DOCKER", host=docker_engine.host)
    service.close()  # type: ignore[attr-defined]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A toolbox with the tool, with and without a container, in a place with a space."""
    folder = tmp_path / "tool box"
    folder.mkdir()
    container = f'<container type="docker">{IMAGE}</container>'
    (folder / "docker.xml").write_text(DESCRIPTOR.format(requirement=container))
    (folder / "local.xml").write_text(DESCRIPTOR.format(requirement=""))
    (folder / "flip.py").write_text(PROGRAM)
    return folder


def test_the_same_pixels_and_place(folder: Path, config: dict[str, object]) -> None:
    image = np.random.default_rng(1).integers(0, 60000, (40, 30)).astype(np.uint16)
    layer = (image, {"scale": (0.5, 0.25), "name": "cells"}, "image")
    results = {
        name: ntr.run(ntr.read_tool(folder / f"{name}.xml"), input=layer, config=config)
        for name in ("local", "docker")
    }
    where = {name: result.record["runner"]["service"] for name, result in results.items()}
    assert where == {"local": "LOCAL", "docker": "DOCKER"}
    assert "inside" in results["docker"].log.read_text()
    tuples = [result.outputs["output"].as_layer_data_tuple() for result in results.values()]
    (first, first_attributes, first_kind), (second, second_attributes, second_kind) = tuples
    np.testing.assert_array_equal(np.asarray(first), image[::-1] // 2)
    np.testing.assert_array_equal(np.asarray(first), np.asarray(second))
    assert first_kind == second_kind
    assert tuple(first_attributes["scale"]) == tuple(second_attributes["scale"]) == (0.5, 0.25)
    assert results["docker"].record["runner"]["image_id"].startswith("sha256:")


def test_an_earlier_run_answers_in_the_same_image(folder: Path, config: dict[str, object]) -> None:
    image = np.arange(12, dtype=np.uint16).reshape(3, 4)
    runs = []
    for _ in range(2):
        runs.append(ntr.run(ntr.read_tool(folder / "docker.xml"), input=image, config=config))
        until_kept()
    first, again = runs
    assert again.record["earlier"] == first.job_id
    assert again.record["runner"]["image_id"] == first.record["runner"]["image_id"]
    np.testing.assert_array_equal(np.asarray(again.outputs["output"].data), image[::-1] // 2)


@pytest.mark.parametrize("linked", [True, False], ids=["large", "small"])
def test_a_file_is_passed_as_it_is_and_cannot_be_changed(
    folder: Path,
    config: dict[str, object],
    tmp_path: Path,
    linked: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if linked:  # small files are copied, so that the container can stay; here all are large
        monkeypatch.setattr(files, "OWN", 0)
    image = np.arange(600, dtype=np.uint16).reshape(20, 30)
    source = tmp_path / "original data.tif"
    tifffile.imwrite(source, image)
    before = source.stat()
    tool = ntr.read_tool(folder / "docker.xml")
    for _ in range(2):
        result = ntr.run(tool, input=source, config=config)
        np.testing.assert_array_equal(np.asarray(result.outputs["output"].data), image[::-1] // 2)
    assert source.stat().st_mtime_ns == before.st_mtime_ns
    # a tool that changes its input in place cannot reach the original
    (folder / "flip.py").write_text(
        PROGRAM.replace("image = ", "open(sys.argv[1], 'r+b').write(b'MM')\nimage = ")
    )
    with pytest.raises(ntr.ToolFailedError) as raised:
        ntr.run(tool, input=source, config=config)
    refused = "Read-only file system" in "\n".join(raised.value.log_tail)
    assert refused is linked
    np.testing.assert_array_equal(tifffile.imread(source), image)
