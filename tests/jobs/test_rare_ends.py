"""Jobs that end in rare ways, and what is shown of tools that cannot run here."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jobs.conftest import INVERT, MakeTool
from napari_tool_runner.config import load_config
from napari_tool_runner.errors import (
    JobCancelledError,
    ParameterError,
    TemplateError,
    ToolFailedError,
)
from napari_tool_runner.jobs import (
    Extent,
    JobState,
    dry_run,
    execution,
    job,
    prepare,
    question,
    read_record,
    run_job,
    run_test,
    run_tests,
    testing,
)
from napari_tool_runner.jobs.question import Question
from napari_tool_runner.jobs.typed_json import to_json
from napari_tool_runner.plugins import Fetch, Plan
from napari_tool_runner.tools import own_folder
from napari_tool_runner.tools.model import Tool, ToolTest
from napari_tool_runner.tools.toolbox.trust import approve, review

Config = dict[str, object]
IMAGE = np.arange(24, dtype=np.uint8).reshape(4, 6)
STACK = np.arange(3 * 4 * 6, dtype=np.uint16).reshape(3, 4, 6)


# -- jobs --------------------------------------------------------------------------------------


def test_a_bug_of_ours_ends_one_job(
    make_tool: MakeTool, config: Config, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    made = prepare(make_tool(INVERT), {"i": IMAGE}, config=config)
    assert made.elapsed == 0.0, "it has not begun"

    def broken() -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(made.run, "execute", broken)
    with (
        caplog.at_level(logging.ERROR),
        pytest.raises(ToolFailedError, match="itself broke: ZeroDivisionError: by nothing"),
    ):
        run_job(made)
    assert made.state is JobState.FAILED
    assert "Traceback" in caplog.text
    error = read_record(made.workspace.record_path).error
    assert error is not None
    assert "Please report it" in error.hint


def test_hashes_of_much_come_after_the_end(
    make_tool: MakeTool, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "_HASHED_AT_ONCE", 0)
    made = prepare(make_tool(INVERT), {"i": IMAGE}, config=config)
    run_job(made)
    told = made.record()
    assert told == json.loads(made.workspace.record_path.read_text())
    assert told["outputs"][0]["sha256"].startswith("sha256:")


SOON = """
import json, sys, time
import napari_tool_runner as ntr
from napari_tool_runner.jobs import execution, job
from napari_tool_runner.sealed import opening
job._HASHED_AT_ONCE, job._LAST_HASHES = 0, {wait}
of = execution.Workspace.sha256
def slowly(*args):
    for _ in range({steps}):
        time.sleep(0.1)
        opening.heard()
    return of(*args)
execution.Workspace.sha256 = slowly
ntr.run(sys.argv[1], config=json.loads(sys.argv[2]))
"""


@pytest.mark.parametrize(("wait", "steps", "known"), [(60, 3, True), (0.1, 3000, False)])
def test_who_exits_soon_keeps_the_hashes(
    wait: float, steps: int, known: bool, make_tool: MakeTool, config: Config
) -> None:
    """In the record of a script that ends with its call; what takes long is told to be missing."""
    tool = make_tool(
        "import sys; open(sys.argv[1], 'w').write('a')",
        inputs="",
        outputs='<data name="o" format="txt"/>',
        arguments="${o}",
    )
    script = SOON.format(wait=wait, steps=steps)
    subprocess.run(
        [sys.executable, "-c", script, str(tool.path), json.dumps(config)], check=True, timeout=60
    )
    path = next(Path(str(config["workspace"])).glob("*/*/record.json"))
    record = read_record(path)
    assert (record.outputs[0].sha256 is not None) is known
    assert any("A content hash is missing" in note for note in record.notes) is not known


def test_a_cancel_between_two_steps_counts(make_tool: MakeTool, config: Config) -> None:
    made = prepare(make_tool(INVERT), {"i": IMAGE}, config=config)
    made.run.context.cancel.cancel()
    with pytest.raises(JobCancelledError, match="“Invert” was cancelled"):
        made.enter(JobState.RUNNING, "Running")


PLANES = """
import sys, numpy as np, tifffile
image = tifffile.imread(sys.argv[1])
tifffile.imwrite(sys.argv[2], np.zeros((3, int(image.min()) % 5 + 2), np.uint8))
"""


def test_results_that_do_not_fit_together_stay_in_slices(
    make_tool: MakeTool, config: Config
) -> None:
    made = prepare(make_tool(PLANES), {"i": STACK}, config=config, extent=Extent("each"))
    result = run_job(made)
    output = result.outputs["o"]
    assert [name.startswith("slice ") for name in output.files()] == [True] * 3
    assert any("was left in slices: The slices gave" in note for note in made.run.notes)


TEXTS = """
import sys
open(sys.argv[2], "w").write("a text")
"""


def test_texts_of_slices_stay_apart(make_tool: MakeTool, config: Config) -> None:
    tool = make_tool(TEXTS, outputs='<data name="o" format="txt"/>', name="texts")
    made = prepare(tool, {"i": STACK}, config=config, extent=Extent("each"))
    assert len(run_job(made).outputs["o"].files()) == 3


def test_what_a_tool_is_shown_of_its_folder_is_asked_once(
    make_tool: MakeTool, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Tool] = []

    def places(tool: Tool) -> tuple[list[Path], str]:
        asked.append(tool)
        return own_folder.tool_places(tool)

    monkeypatch.setattr(execution, "tool_places", places)
    made = prepare(make_tool(INVERT), {"i": STACK}, config=config, extent=Extent("each"))
    run_job(made)
    assert len(asked) == 1
    assert made.tool.folder in {mount.path for mount in made.run.context.mounts}


def test_one_dataset_is_not_two(make_tool: MakeTool, config: Config) -> None:
    with pytest.raises(ParameterError, match="takes one dataset, not 2"):
        prepare(make_tool(INVERT), {"i": [IMAGE, IMAGE]}, config=config)


# -- looking first -----------------------------------------------------------------------------


def test_a_dry_run_tells_what_it_would_fetch(make_tool: MakeTool, config: Config) -> None:
    shown = dry_run(make_tool(INVERT), {"i": IMAGE}, config=config)
    fetches = (Fetch("an image", 12_000_000), Fetch("packages", None))
    plan = Plan(fetches, ("The disk is full.",), ("A remark.",))
    rendered = replace(shown.rendered, files={Path("/job/n.csv"): "1,2\n"})
    lines = replace(shown, plan=plan, rendered=rendered).as_text().splitlines()
    assert lines[1:5] == [
        "# in the way: The disk is full.",
        "# will fetch an image (12 MB)",
        "# will fetch packages (size unknown)",
        "# A remark.",
    ]
    assert lines[lines.index("# file /job/n.csv") + 1] == "1,2"
    told = shown.as_dict()
    assert (told["runner"], told["argv"]) == ("LOCAL", list(shown.rendered.argv))
    assert told["outputs"]["o"]["format"] == "imagetiff"  # type: ignore[index]
    with pytest.raises(TemplateError, match="nul character"):
        replace(shown.rendered, argv=("a\0b",))
    assert to_json({"a": (1, "b", None)}) == {"a": [1, "b", None]}


# -- tests of tools ----------------------------------------------------------------------------


def outcome(tool: Tool, test: ToolTest, config: Config) -> tuple[str, str]:
    found = run_test(tool, test, config=load_config(config))
    return found.status, found.message


def test_tests_that_cannot_be_run_say_why(
    make_tool: MakeTool, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker = '<container type="docker">x/y:1</container>'
    tool = make_tool(INVERT)
    missing = ToolTest(index=1, values={})
    assert outcome(tool, replace(missing, extra={"skip": "no licence"}), config) == (
        "skip",
        "no licence",
    )
    assert outcome(tool, missing, config)[0] == "error"
    assert outcome(tool, replace(missing, expect_failure=True), config) == ("pass", "")
    given = replace(missing, values={"i": IMAGE})
    away = {**config, "runner": {"service": "DOCKER", "host": "unix:///nowhere.sock"}}
    status, message = outcome(make_tool(INVERT, requirements=docker, name="away"), given, away)
    assert (status, "nowhere.sock" in message) == ("skip", True)
    no_command = make_tool(INVERT, arguments="${nothing}", name="odd")
    assert outcome(no_command, given, config)[0] == "error"
    assert outcome(no_command, replace(given, expect_failure=True), config) == ("pass", "")
    status, message = outcome(tool, replace(given, expect_failure=True), config)
    assert (status, "expects a failure" in message) == ("fail", True)
    assert list(run_tests(tool)) == []

    def cancelled(_: object) -> None:
        raise JobCancelledError("Stopped.")

    monkeypatch.setattr(testing, "run_job", cancelled)
    assert outcome(tool, given, config) == ("error", "Stopped.")


# -- the question ------------------------------------------------------------------------------


@pytest.fixture
def box(make_tool: MakeTool, tmp_path: Path) -> Path:
    for name in ("first", "second"):
        make_tool(INVERT, name=name)
    return tmp_path / "tools"


def asked(box: Path) -> Question:
    return Question(review(box), load_config({}))


def test_a_change_shows_as_far_as_it_can_be_read(box: Path) -> None:
    approve(box)
    (box / "first" / "first.py").write_text(INVERT + "print('more')\n")
    (box / "second" / "second.py").write_bytes(b"\0binary")
    shown = asked(box).difference()
    assert "+print('more')" in shown
    assert "    (no text)" in shown


def test_a_change_in_a_long_text_is_found_without_comparing_all(
    box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(question, "_MOST_COMPARED", 20)
    monkeypatch.setattr(question, "difflib", None)  # it is quadratic
    script = box / "first" / "first.py"
    lines = [f"line {n}" for n in range(30)]
    script.write_text("\n".join(lines))
    approve(box)
    script.write_text("\n".join([*lines[:10], "new", *lines[12:]]))
    shown = asked(box).difference()
    assert shown.splitlines()[-4:] == [
        "    @@ -11,2 +11,1 @@", "    -line 10", "    -line 11", "    +new",
    ]  # fmt: skip
    script.write_text("\n".join([*lines, "line 29", "line 29"]))
    assert asked(box).difference().splitlines()[-3:] == [
        "    @@ -31,0 +31,2 @@", "    +line 29", "    +line 29",
    ]  # fmt: skip


def test_much_that_changed_is_cut(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(question, "_MOST_DIFFERENT", 3)
    approve(box)
    for name in ("first", "second"):
        (box / name / f"{name}.py").write_text("changed\n" * 9)
    shown = asked(box).difference()
    assert "… and more: compare " in shown
    assert "second.py" not in shown.partition("… and more")[0]


def test_long_scripts_and_many_tools_are_cut(box: Path) -> None:
    (box / "first" / "first.py").write_text("line\n" * 2000)
    (box / "second" / "second.py").write_bytes(b"\0" * 5)
    one = asked(box)
    shown = one.as_text(1)
    assert "more lines: " in shown
    assert shown.endswith("… and 1 more tool; --show shows them all")
    assert "second.py: no text, 5 B" in one.as_text()


def test_what_cannot_run_here_is_shown_all_the_same(make_tool: MakeTool, tmp_path: Path) -> None:
    wrong = '<container type="docker">NOT an image!</container>'
    make_tool(INVERT, name="odd", requirements=wrong, root='network="true"')
    for name in "abcdefghijkl":
        (tmp_path / "tools" / "odd" / name).mkdir()
        (tmp_path / "tools" / "odd" / name / "odd.py").write_text("1")
    config = load_config({"runner": {"service": "DOCKER"}})
    shown = Question(review(tmp_path / "tools"), config).as_text()
    assert "runs with: it cannot run here: " in shown
    assert "requires: " in shown
    assert "NOT an image!" in shown
    assert "also named: " in shown
