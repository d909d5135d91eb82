"""The formats that a configuration adds are heard from the descriptor to the layer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

import napari_tool_runner as ntr
from napari_tool_runner.cli import main
from napari_tool_runner.errors import ToolFailedError
from napari_tool_runner.exchange import fitting_kinds, plan, snapshot
from napari_tool_runner.jobs import compare_outputs, read_record
from napari_tool_runner.tools import find_tool
from napari_tool_runner.tools.formats import FORMATS, Trait
from napari_tool_runner.tools.model import DataParameter, LayerKind

BIOIMAGEIT = """<tool id="copy" name="Copy" version="1" python_template_version="3.11">
<command>cp ${i} ${o}</command>
<inputs><param name="i" argument="i" type="data" format="labtiff" label="In"/></inputs>
<outputs><data name="o" format="labtiff" label="Out"/></outputs></tool>"""
GALAXY = """<tool id="copy" name="Copy" version="1" profile="23.0">
<command>cp '$i' '$o'</command>
<inputs><param name="i" type="data" format="labtiff" label="In"/></inputs>
<outputs><data name="o" format="labtiff" label="Out"/></outputs></tool>"""

Configured = Callable[..., dict[str, object]]


@pytest.fixture
def configured(tmp_path: Path) -> Configured:
    def make(**entry: str) -> dict[str, object]:
        path = tmp_path / f"{'-'.join(entry.values())}.json"
        path.write_text(json.dumps({"formats": [{"name": "labtiff", **entry}]}))
        return {"formats": {"file": str(path)}, "runner": {"service": "LOCAL"}}

    return make


@pytest.mark.parametrize("text", [BIOIMAGEIT, GALAXY], ids=["bioimageit", "galaxy"])
def test_two_configurations_that_disagree(
    tmp_path: Path, configured: Configured, text: str
) -> None:
    descriptor = tmp_path / "copy.xml"
    descriptor.write_text(text)
    image = np.arange(20, dtype=np.uint8).reshape(4, 5)
    tiff = configured(extension="tif", viewer="napari")
    array = configured(extension="npy", viewer="napari")
    plain = {"runner": {"service": "LOCAL"}}
    tools = [find_tool(descriptor, config=config) for config in (tiff, array, plain)]
    # loaded last, the plain one counts for itself only
    for config, tool, suffix in ((tiff, tools[0], ".tif"), (array, tools[1], ".npy")):
        (parameter,) = tool.inputs
        assert isinstance(parameter, DataParameter)
        assert parameter.kinds == (LayerKind.IMAGE, LayerKind.LABELS)
        assert not tool.notes
        for given in (descriptor, tool, tools[2]):
            result = ntr.run(given, i=image, config=config)
            output = result.outputs["o"]
            np.testing.assert_array_equal(output.data, image)
            assert output.path.suffix == suffix
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, image)
    result = ntr.run(descriptor, i=path, config=tiff)
    np.testing.assert_array_equal(result.outputs["o"].data, image)
    assert not result.record["notes"]
    # as its configuration says no such format, the third takes files only
    with pytest.raises(ToolFailedError, match="is an image layer; “In” takes files only"):
        ntr.run(tools[2], i=image, config=plain)


@pytest.mark.parametrize("text", [BIOIMAGEIT, GALAXY], ids=["bioimageit", "galaxy"])
def test_form_preview_and_run_plan_alike(
    tmp_path: Path, configured: Configured, text: str
) -> None:
    descriptor = tmp_path / "copy.xml"
    descriptor.write_text(text)
    tool = find_tool(descriptor, config=configured(extension="tif", viewer="napari"))
    (parameter,) = tool.inputs
    assert isinstance(parameter, DataParameter)
    assert fitting_kinds(parameter, tool.formats) == ("image", "labels", "shapes")
    hand = plan(snapshot(np.zeros((4, 5)), "seen"), parameter, tool.formats)
    assert (hand.kind, hand.format.name, hand.extension) == ("image", "labtiff", ".tif")
    assert hand.file(tmp_path).path == tmp_path / "seen.tif"
    assert Trait.LOSSY not in hand.format.traits


def test_what_nobody_here_writes_takes_files_only(
    tmp_path: Path, configured: Configured, capsys: pytest.CaptureFixture[str]
) -> None:
    descriptor = tmp_path / "copy.xml"
    descriptor.write_text(BIOIMAGEIT)
    settings = configured(extension="wrd", viewer="napari")
    config = tmp_path / "config.json"
    config.write_text(json.dumps(settings))
    tool = find_tool(descriptor, config=settings)
    (parameter,) = tool.inputs
    assert isinstance(parameter, DataParameter)
    assert fitting_kinds(parameter, tool.formats) == ()
    assert main(["show", str(descriptor), "--config", str(config)]) == 0
    assert "data[files only; labtiff]" in capsys.readouterr().out
    assert main(["check", str(descriptor), "--config", str(config)]) == 0
    assert "is not known" not in capsys.readouterr().out
    image, path = np.zeros((4, 5), np.uint8), tmp_path / "in.tif"
    tifffile.imwrite(path, image)
    with pytest.raises(ToolFailedError, match="“In” takes files only"):
        ntr.run(descriptor, i=image, config=settings)
    with pytest.raises(ToolFailedError, match=r"in.tif cannot be given .* Choose a file of that"):
        ntr.run(descriptor, i=path, config=settings)
    same = path.rename(tmp_path / "in.wrd")
    assert ntr.run(descriptor, i=same, config=settings).outputs["o"].path.suffix == ".wrd"


@pytest.mark.parametrize("name", ["in.foo", "in.tif"])
def test_files_go_to_an_unknown_format_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    descriptor = tmp_path / "copy.xml"
    descriptor.write_text(BIOIMAGEIT)
    assert main(["check", str(descriptor)]) == 0
    assert "“labtiff” is not known; files are passed as they are" in capsys.readouterr().out
    tifffile.imwrite(path := tmp_path / name, np.zeros((4, 5), np.uint8))
    values = [f"i={path}", "--runner", "LOCAL"]
    assert main(["run", str(descriptor), *values, "--dry-run"]) == 0
    assert f"/io/inputs/{name} " in capsys.readouterr().out
    result = ntr.run(descriptor, i=path, config={"runner": {"service": "LOCAL"}})
    assert result.outputs["o"].path.read_bytes() == path.read_bytes()


def test_an_unknown_format_beside_a_known_one() -> None:
    assert FORMATS.accepted(("tiff", "labtiff"), "a.png") is None  # written as TIFF
    assert FORMATS.accepted(("tiff", "labtiff"), "a.foo") == "labtiff"
    assert FORMATS.accepted(("tiff",), "a.foo") is None


def test_a_file_of_a_configured_extension_lends_its_place(
    tmp_path: Path, configured: Configured
) -> None:
    descriptor = tmp_path / "threshold.xml"
    program = "import sys, tifffile as t; t.imwrite(sys.argv[2], t.imread(sys.argv[1]))"
    descriptor.write_text(
        f"""<tool id="again" name="Again" version="1">
<command>python -c '{program}' ${{i}} ${{o}}</command>
<inputs><param name="i" type="data" format="imagetiff" label="In"/></inputs>
<outputs><data name="o" format="imagetiff" label="Out" layer="image"/></outputs></tool>"""
    )
    image = tmp_path / "a.mytif"
    sizes = {"axes": "YX", "PhysicalSizeY": 0.25, "PhysicalSizeX": 0.5}
    with image.open("wb") as stream:
        tifffile.imwrite(stream, np.zeros((8, 9), np.uint8), ome=True, metadata=sizes)
    config = configured(name="imagetiff", extension="mytif", viewer="napari")
    _, attributes, _ = (
        ntr.run(descriptor, i=image, config=config).outputs["o"].as_layer_data_tuple()
    )
    assert tuple(attributes["scale"]) == (0.25, 0.5)


@pytest.mark.parametrize("text", [BIOIMAGEIT, GALAXY], ids=["bioimageit", "galaxy"])
def test_delivered_results_keep_the_configured_extension(
    tmp_path: Path, configured: Configured, text: str
) -> None:
    """One tool's results go into the next call, from a batch as well."""
    (tmp_path / "copy.xml").write_text(text)
    (tmp_path / "a.scan.bin").write_bytes(b"\1")
    path = tmp_path / "config.json"
    path.write_text(json.dumps(configured(extension="scan.bin", viewer="none")))
    out = tmp_path / "out"
    options = ["--config", str(path), "--output-dir", str(out)]
    tool = str(tmp_path / "copy.xml")
    assert main(["run", tool, f"i={tmp_path}/a.scan.bin", *options]) == 0
    assert main(["run", tool, f"i={out}/o.scan.bin", *options]) == 1  # it would replace its input
    second = [*options[:-1], str(tmp_path / "second")]
    assert main(["run", tool, f"i={out}/o.scan.bin", *second]) == 0
    assert main(["batch", tool, f"i={tmp_path}/*.bin", *options]) == 0
    assert sorted(file.name for file in out.iterdir()) == ["a_o.scan.bin", "o.scan.bin"]


def test_results_of_a_configured_format_are_compared(tmp_path: Path) -> None:
    """Where a configuration says that a known format is another, its results are that."""
    (tmp_path / "copy.xml").write_text(GALAXY.replace("labtiff", "npy"))
    (tmp_path / "f.json").write_text('[{"name": "npy", "extension": "tif"}]')
    config = {"formats": {"file": str(tmp_path / "f.json")}, "runner": {"service": "LOCAL"}}
    results = []
    for value in (1, 2):
        tifffile.imwrite(tmp_path / "a.tif", np.full((4, 5), value, np.uint8))
        results.append(ntr.run(tmp_path / "copy.xml", i=tmp_path / "a.tif", config=config))
    record = read_record(results[0].workspace / "record.json")
    assert compare_outputs(record, results[1]) == ["“Out”: 20 of 20 pixels differ"]
