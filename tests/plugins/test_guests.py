"""Services of others on our base class: whatever they answer or raise is told as theirs."""

from __future__ import annotations

import os
import textwrap
import threading
import time

import pytest

import napari_tool_runner as ntr
from napari_tool_runner.errors import RunnerError
from napari_tool_runner.plugins import availability, check_all, runnerServices
from napari_tool_runner.plugins.contract import Availability, Place, Plan
from napari_tool_runner.plugins.foreign import loading
from napari_tool_runner.tools import read_tool

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the tool is a shell script")

HEAD = """
import subprocess
import threading
import time
from contextlib import contextmanager
from napari_tool_runner.plugins import RunnerService
from napari_tool_runner.plugins.contract import Availability, Place, Plan
from napari_tool_runner.plugins.runners_factory import ServiceBuilder, runnerServices
"""
GUEST = (
    HEAD
    + """
class GuestRunnerService(RunnerService):
    service_name = "GUEST"

    def exec(self, process, args):
        return runnerServices.get("LOCAL", **self.config).exec(process, args)

    {more}

runnerServices.register_builder("GUEST", ServiceBuilder(__name__, "GuestRunnerService"))
"""
)
SESSION = (
    HEAD
    + """
class Held:
    def __init__(self, local):
        self.local = local

    def exec(self, args):
        {exec}
        return self.local.exec(args)


class GuestRunnerService(RunnerService):
    service_name = "GUEST"

    @contextmanager
    def session(self, process):
        {before}
        with runnerServices.service("LOCAL", self.config).session(process) as local:
            {gives}
        {after}


runnerServices.register_builder("GUEST", ServiceBuilder(__name__, "GuestRunnerService"))
"""
)


@pytest.fixture
def guest(tmp_path):
    """Writes the plugin GUEST; gives the ``runner`` section that has it."""
    folder = tmp_path / "plugins"
    folder.mkdir()

    def write(text: str, **words: str) -> dict[str, object]:
        made = text.format(**words)
        (folder / "runner_guest.py").write_text(textwrap.dedent(made), encoding="utf-8")
        return {"plugin_dirs": [str(folder)], "service": "GUEST"}

    yield write
    for thread in threading.enumerate():  # what a test left behind
        if thread.name == "plugin":
            thread.join(10)


def run(tool, image, section):
    return ntr.run(tool, input=image, config={"runner": section})


@pytest.mark.parametrize(
    ("answer", "ok", "told"),
    [
        ("True", True, ""),
        ("False", False, ""),
        ("(False, 'no queue')", False, "no queue"),
        ("dict(ok=True, message='fine')", True, "fine"),
        ("Availability(True, 'yes')", True, "yes"),
        ("None", False, "GUEST cannot say whether it works: its check answered None"),
        ("'works'", False, "GUEST cannot say whether it works: its check answered 'works'"),
        ("Availability('no')", False, "GUEST cannot say whether it works: its check answered"),
        ("1", False, "GUEST cannot say whether it works: its check answered 1"),
        ("[]", False, "answered a list"),
        ("self.nothing", False, "GUEST cannot say whether it works: AttributeError"),
        ("exit(3)", False, "GUEST cannot say whether it works: SystemExit: 3"),
    ],
)
def test_what_a_check_answers(guest, bare, image, answer, ok, told):
    section = guest(GUEST, more=f"def check(self): return {answer}")
    found = dict(check_all(section))
    assert found["LOCAL"].ok
    assert type(found["GUEST"]) is Availability
    assert found["GUEST"].ok is ok
    assert told in found["GUEST"].message
    assert run(bare, image, section).record["exit_code"] == 0  # a run asks it nothing


def test_a_check_that_does_not_end_is_waited_for_once(guest, bare, image, monkeypatch):
    monkeypatch.setattr(loading, "LIMIT", 0.3)
    begun = time.monotonic()
    section = guest(GUEST, more="def check(self): time.sleep(4)")
    for _ in range(10):
        found = dict(check_all(section))
        assert (
            "GUEST cannot say whether it works: it does not come to an end"
            in found["GUEST"].message
        )
        assert found["LOCAL"].ok
    assert time.monotonic() - begun < 4
    assert run(bare, image, section).record["exit_code"] == 0


QUESTIONS = ("supports", "plan", "place")


@pytest.mark.parametrize(
    "does", ["return True", "return None", "return 'x'", "return {}", "1 / 0"]
)
@pytest.mark.parametrize("question", QUESTIONS)
def test_what_other_questions_answer(guest, bare, question, does):
    section = guest(GUEST, more=f"def {question}(self, tool): {does}")
    tool, service = read_tool(bare), runnerServices.service("GUEST", section)
    if question == "supports" and "True" in does:
        assert service.supports(tool) == Availability(True)
        return
    with pytest.raises(RunnerError, match=rf"GUEST cannot .*({question} answered|division)") as e:
        getattr(service, question)(tool)
    assert "\n" not in str(e.value)
    if question == "supports":
        assert not availability("GUEST", section, tool=tool).ok


def test_lists_and_single_texts_are_what_they_can_only_mean(guest, bare):
    more = "def plan(self, tool): return Plan(problems='no queue', remarks=['a', 'b'])"
    tool = read_tool(bare)
    service = runnerServices.service("GUEST", guest(GUEST, more=more))
    assert service.plan(tool) == Plan(problems=("no queue",), remarks=("a", "b"))
    assert service.place(tool) == Place("GUEST")
    more = "def plan(self, tool): return Plan(fetches=['an image'])"
    service = runnerServices.service("GUEST", guest(GUEST, more=more))
    with pytest.raises(RunnerError, match="answered a Plan"):
        service.plan(tool)


@pytest.mark.parametrize("answer", [True, False, None])
def test_whether_all_is_here_is_told_or_not_known(guest, bare, answer):
    section = guest(GUEST, more=f"def is_ready(self, tool): return {answer}")
    assert runnerServices.service("GUEST", section).is_ready(read_tool(bare)) is answer


def test_a_word_does_not_say_whether_all_is_here(guest, bare):
    section = guest(GUEST, more="def is_ready(self, tool): return 'yes'")
    with pytest.raises(RunnerError, match="is_ready answered 'yes'"):
        runnerServices.service("GUEST", section).is_ready(read_tool(bare))


@pytest.mark.parametrize("kind", ["__init__", "configure"])
def test_a_builder_of_ours_with_a_class_of_others_is_called_apart(guest, bare, image, kind):
    more = f"def {kind}(self, *config): raise SystemExit('no licence')"
    section = guest(GUEST, more=more)
    assert "no licence" in dict(check_all(section))["GUEST"].message
    with pytest.raises(ntr.ToolRunnerError, match="GUEST could not be made: SystemExit: no lic"):
        run(bare, image, section)


SESSIONS = [
    ("before", "raise ConnectionRefusedError('host down')", "prepared: ConnectionRefusedError"),
    ("before", "raise SystemExit(2)", "be prepared: SystemExit: 2"),
    ("before", "return", "be prepared: RuntimeError"),
    ("gives", "yield None", "be prepared: its session gave None, which has no exec"),
    ("gives", "yield", "be prepared: its session gave None, which has no exec"),
    ("gives", "yield Held(local); yield 1", "end its session: RuntimeError"),
    ("after", "raise OSError('could not fetch')", "end its session: OSError: could not fetch"),
    ("exec", "raise TimeoutError('node gone')", "run the program: TimeoutError: node gone"),
    ("exec", "raise RuntimeError('node gone')", "run the program: RuntimeError: node gone"),
    ("exec", "open('/no/such/file')", "run the program: FileNotFoundError"),
    ("exec", "return 'x'", "GUEST gave 'x' in place of the exit code"),
    ("exec", "return True", "GUEST gave True in place of the exit code"),
]


@pytest.mark.parametrize(("where", "does", "told"), SESSIONS)
def test_what_a_session_does(guest, bare, image, where, does, told):
    words = {"before": "pass", "gives": "yield Held(local)", "after": "pass", "exec": "pass"}
    section = guest(SESSION, **{**words, where: does})
    with pytest.raises(ntr.ToolFailedError) as caught:
        run(bare, image, section)
    assert "runner service GUEST" in str(caught.value)
    assert told in str(caught.value)
    for wrong in ("itself broke", "The job's folder"):
        assert wrong not in str(caught.value)


@pytest.mark.parametrize("session", ["None", "5", "contextmanager", "iter([1])"])
def test_what_is_no_session(guest, bare, image, session):
    section = guest(GUEST, more=f"def session(self, process): return {session}")
    with pytest.raises(ntr.ToolFailedError, match="GUEST could not be prepared: TypeError"):
        run(bare, image, section)


@pytest.mark.parametrize("does", ["return 'x'", "raise OSError('no queue')", "return 2.5"])
def test_what_three_calls_answer(guest, bare, image, does):
    section = guest(GUEST, more=f"def exec(self, process, args): {does}")
    with pytest.raises(ntr.ToolFailedError, match=r"GUEST (gave|could not run)") as caught:
        run(bare, image, section)
    assert "itself broke" not in str(caught.value)


def test_who_does_not_say_how_a_program_ended_is_told(guest, bare, image):
    words = {"before": "pass", "gives": "yield Held(local)", "after": "pass"}
    section = guest(SESSION, **words, exec="self.local.exec(args); return")
    assert "GUEST does not say how the program ended" in run(bare, image, section).log.read_text()


def test_what_went_wrong_first_is_the_reason(guest, bare, image):
    words = {"before": "pass", "gives": "yield Held(local)", "exec": "raise OSError('first')"}
    text = SESSION.replace(
        "            {gives}",
        "            try: {gives}\n            finally: raise OSError('second')",
    )
    section = guest(text, **words, after="pass")
    with pytest.raises(ntr.ToolFailedError, match="run the program: OSError: first") as caught:
        run(bare, image, section)
    assert any("second" in line for line in caught.value.log_tail)


def test_an_error_about_a_file_of_the_jobs_folder_is_the_folders(guest, bare, image):
    section = guest(
        GUEST, more="def set_up(self, process): open(process.context.work_dir / 'none' / 'x')"
    )
    with pytest.raises(ntr.ToolFailedError, match=r"The job's folder .* cannot be used: No such"):
        run(bare, image, section)
