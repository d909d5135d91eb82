"""Whether programs can be enclosed is tried once, and again when anything has changed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from napari_tool_runner.errors import RunnerExecError
from napari_tool_runner.plugins.process import Mount
from napari_tool_runner.plugins.programs import trial
from napari_tool_runner.plugins.programs.enclosed import Enclosure
from napari_tool_runner.plugins.programs.enclosure import enclosure_problem
from napari_tool_runner.plugins.runner_local import LocalRunnerService
from plugins.runner_helpers import make_process

pytestmark = pytest.mark.skipif(bool(enclosure_problem()), reason=enclosure_problem())


@pytest.fixture
def tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The programs that were tried in walls, by sessions that begin with an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    programs: list[str] = []
    start = Enclosure.start

    def started(walls: Enclosure, args: list[str], *more: object) -> object:
        programs.append(Path(args[0]).name)
        return start(walls, args, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(Enclosure, "start", started)
    enclosure_problem.cache_clear()
    yield programs
    enclosure_problem.cache_clear()


def in_another_session() -> str:
    enclosure_problem.cache_clear()
    return enclosure_problem()


def use_broken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "bwrap"
    program.write_text("#!/bin/sh\necho bwrap: forbidden >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: str(program))


def test_what_worked_is_not_tried_again(tried: list[str]) -> None:
    assert [in_another_session() for _ in range(3)] == ["", "", ""]
    assert len(tried) == 1


def test_it_is_tried_again_where_bubblewrap_is_another(
    tried: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_another_session()
    use_broken(tmp_path, monkeypatch)
    assert "does not work here" in in_another_session()
    assert "does not work here" in in_another_session(), "that is never remembered"
    assert len(tried) == 3


@pytest.mark.parametrize("fact", ["boot_mark", "_SPACES", "_SAYS"])
def test_it_is_tried_again_on_another_system(
    tried: list[str], monkeypatch: pytest.MonkeyPatch, fact: str
) -> None:
    in_another_session()
    other = {"boot_mark": lambda: "later", "_SPACES": ("user",), "_SAYS": ("/proc/version",)}
    monkeypatch.setattr(trial, fact, other[fact])
    assert in_another_session() == ""
    assert len(tried) == 2


def test_where_it_has_ceased_to_work_a_program_fails_and_does_not_run_outside(
    tried: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_broken(tmp_path, monkeypatch)
    trial.remember()  # as if it had worked then
    assert in_another_session() == ""
    process, _ = make_process(tmp_path / "job")
    process.context.root = tmp_path / "job"
    process.context.mounts = [Mount(tmp_path / "job", read_only=False)]
    with pytest.raises(RunnerExecError, match=r"in its enclosure: forbidden"):
        LocalRunnerService().exec(process, ["touch", str(tmp_path / "job" / "ran")])
    assert not (tmp_path / "job" / "ran").exists()
    assert "does not work here: bwrap: forbidden" in enclosure_problem(), "it is tried again"


@pytest.mark.parametrize("text", ["", "[]", '{"passed": "yes"}'])
def test_a_damaged_memory_says_nothing(tried: list[str], text: str) -> None:
    in_another_session()
    trial._place().write_text(text)
    assert in_another_session() == ""
    assert len(tried) == 2


def test_where_nothing_can_be_kept_it_is_tried_each_time(
    tried: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(trial, "_place", lambda: tmp_path / "file" / "enclosure.json")
    assert [in_another_session(), in_another_session()] == ["", ""]
    trial.forget()
    assert len(tried) == 2
