"""What a facility's policy allows, people cannot widen; a refusal names the policy's file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import napari_tool_runner as ntr
from napari_tool_runner.config import load_config
from napari_tool_runner.errors import ToolFailedError, TrustError
from napari_tool_runner.jobs import dry_run
from napari_tool_runner.tools import load_toolbox, read_tool
from napari_tool_runner.tools.toolbox.gate import admit
from napari_tool_runner.tools.toolbox.trust import TrustState, approve, review, trust_state
from security.test_gate import alter, box, said, say

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["box"]


@pytest.fixture
def policy(user_dirs: Path) -> Callable[..., Path]:
    """Return a function that writes the administrator's file with a policy."""

    def write(**rules: object) -> Path:
        path = user_dirs / "site" / "napari-tool-runner" / "config.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"policy": rules}))
        return path

    return write


def require(box: Path, text: str) -> None:
    """Let the tool of `box` require something."""
    descriptor = box / "say" / "say.xml"
    found = descriptor.read_text()
    needs = f"<requirements>{text}</requirements><command>"
    descriptor.write_text(found.replace("<command>", needs))


@pytest.mark.parametrize("allowed", [[], ["/elsewhere"], ["sha256:" + "0" * 64]])
def test_only_the_toolboxes_that_it_names_run(box: Path, policy, allowed: list[str]) -> None:
    path = policy(toolboxes=allowed)
    approve(box)
    assert trust_state(say()).state is TrustState.FORBIDDEN
    named = read_tool(box / "say" / "say.xml")
    for tool in (say(), named):
        for config in (None, {"policy": {"toolboxes": [str(box)]}}):
            with pytest.raises(TrustError, match=r"your facility allows.*") as refused:
                ntr.run(tool, config=config)
            assert str(path) in str(refused.value)
    assert trust_state(load_toolbox()["gaussian_filter"]).ok, "what ships runs"


def test_what_it_allows_by_its_folder_runs_without_a_question(box: Path, policy) -> None:
    policy(toolboxes=[str(box)])
    assert said(ntr.run(say())) == "approved"
    assert said(ntr.run(read_tool(box / "say" / "say.xml"))) == "approved"


def test_what_it_allows_by_its_content_runs_from_a_copy(box: Path, policy) -> None:
    policy(toolboxes=[review(box).digest])
    tool, permit = admit(say())
    assert permit.scope is TrustState.CONFIGURED
    assert tool.copy
    assert said(ntr.run(say())) == "approved"
    alter(box)
    with pytest.raises(TrustError, match="your facility allows"):
        ntr.run(say())


@pytest.mark.parametrize(
    ("rules", "needs", "runner", "words"),
    [
        ({"services": ["DOCKER"]}, "", "LOCAL", "does not allow the runner LOCAL"),
        ({"local_for_others": False}, "", "LOCAL", "tools of others to run with LOCAL"),
        ({"local_for_others": False}, "", "CONDA", "tools of others to run with LOCAL"),
        (
            {"registries": ["quay.io/biocontainers"]},
            '<container type="docker">quay.io/biocontainers-evil/x:1</container>',
            "DOCKER",
            "the registry quay.io/biocontainers-evil/x",
        ),
        (
            {"channels": ["conda-forge", "bioconda"]},
            '<package type="conda" env="e">-c evil numpy</package>',
            "CONDA",
            "the channel evil",
        ),
        (
            {"channels": ["conda-forge"]},
            '<package type="conda" env="e">-c conda-forge evil::numpy</package>',
            "CONDA",
            "the channel evil",
        ),
        (
            {"indexes": []},
            '<package type="conda" env="e" init="pip install evil">numpy</package>',
            "CONDA",
            "a line that may fetch from anywhere: pip install evil",
        ),
    ],
)
def test_what_a_tool_needs_is_held_against_it(
    box: Path, policy, rules: dict[str, object], needs: str, runner: str, words: str
) -> None:
    path = policy(**rules)
    require(box, needs)
    approve(box)
    for call in (ntr.run, dry_run):
        with pytest.raises((ToolFailedError, TrustError), match="was not run") as refused:
            call(say(), runner=runner, values={}) if call is ntr.run else call(
                say(), {}, runner=runner
            )
        assert words in str(refused.value)
        assert str(path) in str(refused.value)


@pytest.mark.parametrize("wall", ["variable", "personal", "call"])
def test_people_cannot_override_it(
    box: Path, policy, wall: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy(toolboxes=[])
    mine = tmp_path / "mine.json"
    mine.write_text(
        json.dumps({"policy": {"toolboxes": [str(box)]}, "process": {"xml_dirs": [str(box)]}})
    )
    given = None
    if wall == "variable":
        monkeypatch.setenv("NAPARI_TOOL_RUNNER_FACILITY", str(mine))
    elif wall == "personal":
        monkeypatch.setenv("NAPARI_TOOL_RUNNER_CONFIG", str(mine))
    else:
        given = mine
    with pytest.raises(TrustError, match="your facility allows"):
        ntr.run("say", config=given)
    if wall != "variable":
        vain = [note for note in load_config(given).notes if "policy" in note]
        assert vain == [
            f"“policy.toolboxes” in {mine} is not used: only a facility’s file has a policy."
        ]
