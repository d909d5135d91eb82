"""Whatever stands in a record.json, every verb of the past ends in results or a sentence."""

from __future__ import annotations

import copy
import io
import json
import shutil
import string
from contextlib import redirect_stderr, redirect_stdout, suppress
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import napari_tool_runner as ntr
from jobs.conftest import INVERT
from napari_tool_runner.cli import main
from napari_tool_runner.config import load_config
from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.jobs import (
    compare_outputs,
    facts_of,
    history,
    recorded_form,
    recorded_result,
    recorded_tool,
    rerun,
    run_job,
)
from napari_tool_runner.jobs.past.history import ended_jobs
from napari_tool_runner.jobs.past.scan import row_of

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.conftest import MakeTool

EXAMPLES = 50


def nested(depth: int) -> object:
    value: object = {}
    for _ in range(depth):
        value = [value]
    return value


words = st.text(string.ascii_letters + "ü漢 #|~$'\n\x1b\0\ud800", max_size=8)
odd = st.sampled_from(
    [
        nested(190), nested(900), "x" * 10_000, "/" + "x" * 10_000, 10**400, float("nan"), -1,
        2**70, float("inf"), "0001-01-01T00:00:00", "9999-12-31T23:59:59+00:00",
        "2026-11-25T21:00:00", "1", "", "~nosuch/x", "..", "/dev/zero", "inputs", "image",
        "table", "each", "running", [1],
    ]
)  # fmt: skip
values = odd | st.recursive(
    st.none() | st.booleans() | st.integers() | words | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=4,
)


def places(value: object, here: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """The place of every value in a JSON value."""
    pairs = value.items() if isinstance(value, dict) else ()
    pairs = enumerate(value) if isinstance(value, list) else pairs
    return [here, *(place for key, inner in pairs for place in places(inner, (*here, key)))]


def changed(whole: object, place: tuple[object, ...], value: object, drop: bool) -> object:
    if not place:
        return value
    whole = inner = copy.deepcopy(whole)
    for key in place[:-1]:
        inner = inner[key]  # type: ignore[index]
    if drop:
        del inner[place[-1]]  # type: ignore[attr-defined]
    else:
        inner[place[-1]] = value  # type: ignore[index]
    return whole


def test_any_record(make_tool: MakeTool, config: dict[str, object], tmp_path: Path) -> None:
    pytest.importorskip("rocrate")
    number = '<param name="n" type="integer" value="3"/>'
    inputs = f'<param name="i" type="data" format="imagetiff"/>{number}'
    result = ntr.run(make_tool(INVERT, inputs=inputs), i=np.eye(4, dtype=np.uint8), config=config)
    told, where = result.record, result.workspace / "record.json"
    told["extent"] = {"mode": "each", "ndim": 2, "position": [0], "crop": [[0, 4], None]}
    everywhere = places(told)
    settings_file = tmp_path / "config.json"
    settings_file.write_text(json.dumps(config))
    own = load_config(config)
    target = tmp_path / "crate"

    def call(*words: str) -> None:
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        with redirect_stdout(out), redirect_stderr(io.StringIO()) as said:
            status = main([words[0], "--config", str(settings_file), *words[1:]])
            out.flush()
        assert status == 0 or said.getvalue().startswith("error: ")

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(
            st.tuples(st.sampled_from(everywhere), values, st.booleans()), min_size=1, max_size=2
        )
    )
    def check(changes: list[tuple[tuple[object, ...], object, bool]]) -> None:
        mutated: object = told
        for place, value, drop in changes:
            with suppress(KeyError, IndexError, TypeError):  # the first change took its place
                mutated = changed(mutated, place, value, drop)
        where.write_text(json.dumps(mutated))
        call("history")
        call("history", "--json")
        for form in ("command", "python", "json"):
            call("history", str(where), "--as", form)
        call("export", str(where), "--to", str(target))
        shutil.rmtree(target, ignore_errors=True)
        ended_jobs(own.workspaces, 1)
        for record in history(own.workspaces):
            row_of(record)
            facts_of(record)
            with suppress(ToolRunnerError):
                recorded_result(record, own)
            with suppress(ToolRunnerError):
                recorded_form(record, recorded_tool(record, own))
            with suppress(ToolRunnerError):
                rerun(record, own)

    check()
    where.write_text(json.dumps(told))
    (record,) = history(own.workspaces)
    assert compare_outputs(record, run_job(rerun(record, own)[0])) == []
