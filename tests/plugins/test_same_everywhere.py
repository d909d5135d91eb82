"""One tool on this computer, in a conda environment and in a container: the same layers.

The program is the same file each time. It is called from a form, a script and the
command line; pixels and the part of the record that does not name time and place agree.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import docker_engine as engines
import numpy as np
import pytest
import tifffile

import napari_tool_runner as ntr
from napari_tool_runner.cli import main
from napari_tool_runner.jobs import JobManager, read_record
from plugins import conda_channel

if TYPE_CHECKING:
    import docker

pytestmark = [pytest.mark.conda, pytest.mark.docker, pytest.mark.slow]

# only the standard library: the same program fits into any environment
PROGRAM = '''#!/usr/bin/env python3
"""Invert the bytes of an uncompressed TIFF: invert-tiff INPUT OUTPUT OFFSET."""
import struct, sys

data = bytearray(open(sys.argv[1], "rb").read())
offset = int(sys.argv[3])
order = "<" if data[:2] == b"II" else ">"
(place,) = struct.unpack_from(order + "I", data, 4)
while place:
    (count,) = struct.unpack_from(order + "H", data, place)
    tags = {}
    for i in range(count):
        tag, kind, n, _ = struct.unpack_from(order + "HHII", data, place + 2 + 12 * i)
        code = {3: "H", 4: "I"}.get(kind)
        if code and tag in (273, 279):
            at = place + 2 + 12 * i + 8
            if n * struct.calcsize(code) > 4:
                (at,) = struct.unpack_from(order + "I", data, at)
            tags[tag] = struct.unpack_from(f"{order}{n}{code}", data, at)
    for start, size in zip(tags[273], tags[279]):
        for at in range(start, start + size):
            data[at] = (255 - data[at] + offset) % 256
    (place,) = struct.unpack_from(order + "I", data, place + 2 + 12 * count)
open(sys.argv[2], "wb").write(data)
print("python", sys.version_info[0], "from", sys.prefix)
'''
IMAGE = "localhost/invert-tiff:1"
REQUIREMENTS = {
    "LOCAL": "",
    "CONDA": '<package type="conda" env="invert">invert-tiff=1.0</package>',
    "DOCKER": f'<container type="docker">{IMAGE}</container>',
}
LAYER = {"scale": (0.5, 0.25), "translate": (3.0, 4.0), "units": ("um", "um"), "name": "cells"}


@pytest.fixture(scope="module")
def channel_with_program(tmp_path_factory: pytest.TempPathFactory, python_channel: Path) -> Path:
    stage = tmp_path_factory.mktemp("stage")
    conda_channel._write(stage / "bin" / "invert-tiff", PROGRAM, 0o755)
    conda_channel._assemble(python_channel, stage, "invert-tiff", "1.0", depends=["python"])
    conda_channel.index(python_channel)
    return python_channel


@pytest.fixture(scope="module")
def image(docker_engine: engines.Engine, docker_python: str) -> str:
    return _with_program(docker_engine.client, docker_python)


def _with_program(client: docker.DockerClient, base: str) -> str:
    container = client.containers.create(base, entrypoint=["sh", "-c", "true"])
    try:
        tree = engines.Tree().file(
            "bin/invert-tiff",
            PROGRAM.replace("#!/usr/bin/env python3", "#!/opt/python/bin/python3").encode(),
            0o755,
        )
        container.put_archive("/", tree.tar())
        container.commit("localhost/invert-tiff", "1")
    finally:
        container.remove(force=True)
    return IMAGE


@pytest.fixture(scope="module")
def config(
    tmp_path_factory: pytest.TempPathFactory,
    docker_engine: engines.Engine,
    channel_with_program: Path,
    image: str,
) -> dict[str, object]:
    root = tmp_path_factory.mktemp("same everywhere")
    programs = root / "programs"
    programs.mkdir()
    conda_channel._write(programs / "invert-tiff", PROGRAM, 0o755)
    return {
        "workspace": str(root / "jobs"),
        "runner": {
            "path": [str(programs)],
            "channels": [channel_with_program.as_uri()],
            "environments_dir": str(root / "envs"),
            "host": docker_engine.host,
        },
    }


@pytest.fixture(params=list(REQUIREMENTS))
def service(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def descriptor(tmp_path: Path, service: str) -> Path:
    path = tmp_path / "invert.xml"
    path.write_text(
        f'<tool id="invert" name="Invert" version="1.0">'
        f"<requirements>{REQUIREMENTS[service]}</requirements>"
        "<command>invert-tiff ${i} ${o} ${n}</command><inputs>"
        '<param name="i" type="data" format="imagetiff" layer="image" label="Image"/>'
        '<param name="n" type="integer" value="1" min="0" max="9" label="Offset"/></inputs>'
        '<outputs><data name="o" format="imagetiff" layer="image"/></outputs></tool>'
    )
    return path


PIXELS = np.random.default_rng(1).integers(0, 255, (40, 50), np.uint8)
WANTED = (255 - PIXELS.astype(int) + 1) % 256


def _check_attributes(attributes: dict[str, object]) -> None:
    np.testing.assert_allclose(attributes["scale"], LAYER["scale"])
    np.testing.assert_allclose(attributes["translate"], LAYER["translate"])


def _facts(record: dict[str, object]) -> dict[str, object]:
    """The part of a record that names neither time nor place."""
    (given,), (made,) = record["inputs"], record["outputs"]  # type: ignore[misc]
    runner = record["runner"]
    assert isinstance(runner, dict)
    return {
        "tool": record["tool"],
        "parameters": record["parameters"],
        "service": runner["service"],
        "image": runner.get("image"),
        "environment": (runner.get("environment") or {}).get("digest"),
        "exit_code": record["exit_code"],
        "state": record["state"],
        "input": (given["name"], given["format"]),
        "output": (made["name"], made["format"], made["layer_type"]),
        "argv": [Path(word).name for word in record["command"]["argv"]],  # type: ignore[index]
    }


def test_script_and_command_line_agree(
    service: str,
    descriptor: Path,
    config: dict[str, object],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from_script = ntr.run(descriptor, config=config, i=(PIXELS, LAYER, "image"))
    record = from_script.record
    assert record["runner"]["service"] == service  # type: ignore[index]
    data, attributes, kind = from_script.outputs["o"].as_layer_data_tuple()
    assert kind == "image"
    np.testing.assert_array_equal(np.asarray(data), WANTED)
    _check_attributes(attributes)
    # the command line gets the very file that the script's job wrote
    (given,) = record["inputs"]  # type: ignore[misc]
    settings = tmp_path / "config.json"
    settings.write_text(json.dumps(config))
    file = from_script.workspace / given["path"]
    call = ["run", str(descriptor), f"i={file}", "--config", str(settings), "--json"]
    assert main(call) == 0
    told = json.loads(capsys.readouterr().out)
    made = tifffile.imread(told["outputs"]["o"]["path"])
    np.testing.assert_array_equal(made, WANTED)
    entry = read_record(Path(told["record"]))
    assert _facts(entry.to_json()) == _facts(record)
    assert Path(told["outputs"]["o"]["path"]).stat().st_uid == Path(told["record"]).stat().st_uid


def test_all_services_agree(
    config: dict[str, object], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    pixels = {}
    for name, requirement in REQUIREMENTS.items():
        folder = tmp_path / name
        folder.mkdir()
        path = folder / "invert.xml"
        path.write_text(
            f'<tool id="invert" name="Invert" version="1.0"><requirements>{requirement}'
            "</requirements><command>invert-tiff ${i} ${o} ${n}</command><inputs>"
            '<param name="i" type="data" format="imagetiff"/>'
            '<param name="n" type="integer" value="1"/></inputs>'
            '<outputs><data name="o" format="imagetiff"/></outputs></tool>'
        )
        result = ntr.run(path, config=config, i=(PIXELS, LAYER, "image"))
        assert result.record["runner"]["service"] == name  # type: ignore[index]
        pixels[name] = np.asarray(result.outputs["o"].data)
        prefix = result.log.read_text().split(" from ")[-1].split("\n")[0]
        assert (prefix == sys.prefix) is (name == "LOCAL"), prefix
    for name in ("CONDA", "DOCKER"):
        np.testing.assert_array_equal(pixels[name], pixels["LOCAL"])
    np.testing.assert_array_equal(pixels["LOCAL"], WANTED)


@pytest.mark.viewer
def test_the_form_agrees(
    service: str,
    descriptor: Path,
    config: dict[str, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot,
) -> None:
    napari = pytest.importorskip("napari")
    from napari_tool_runner.widgets import ToolWidget

    settings = tmp_path / "config.json"
    settings.write_text(json.dumps(config))
    monkeypatch.setenv("NAPARI_TOOL_RUNNER_CONFIG", str(settings))
    viewer = napari.components.ViewerModel()
    viewer.add_image(PIXELS, **LAYER)
    page = ToolWidget(ntr.read_tool(descriptor), viewer, manager=JobManager())
    qtbot.addWidget(page)
    with qtbot.waitSignal(page.job_finished, timeout=120_000):
        job = page.run()
    assert job is not None
    assert job.error is None, job.error
    assert job.runner == service
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=10_000)
    layer = viewer.layers[-1]
    np.testing.assert_array_equal(layer.data, WANTED)
    np.testing.assert_allclose(layer.scale, LAYER["scale"])
    np.testing.assert_allclose(layer.translate, LAYER["translate"])
    same = ntr.run(descriptor, config=config, i=(PIXELS, LAYER, "image"))
    assert _facts(job.record()) == _facts(same.record)
