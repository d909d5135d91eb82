"""Galaxy tools in explicit containers: the script runs with the shell that is there."""

from __future__ import annotations

from pathlib import Path

import docker_engine as engines
import numpy as np
import pytest

import napari_tool_runner as ntr
from napari_tool_runner.plugins import runnerServices

pytestmark = pytest.mark.docker


def test_an_image_without_bash(docker_engine: engines.Engine, tmp_path: Path) -> None:
    path = tmp_path / "count.xml"
    path.write_text(
        '<tool id="count" name="Count" version="1" profile="23.0"><requirements>'
        f'<container type="docker">{engines.BUSYBOX}</container></requirements>'
        "<command><![CDATA[ wc -c < '$i' > '$o' && echo '$text' >> '$o' ]]></command>"
        '<inputs><param name="i" type="data" format="tiff"/>'
        '<param name="text" type="text" value="it is"/></inputs>'
        '<outputs><data name="o" format="txt"/></outputs></tool>'
    )
    config = {"workspace": str(tmp_path / "jobs"), "runner": {"host": docker_engine.host}}
    try:
        result = ntr.run(path, config=config, i=np.zeros((20, 30), np.uint8))
    finally:
        runnerServices.service("DOCKER").close()  # other tests count containers
    assert result.record["runner"]["service"] == "DOCKER"
    size, text = result.outputs["o"].path.read_text().splitlines()
    assert int(size) > 600
    assert text == "it is"
