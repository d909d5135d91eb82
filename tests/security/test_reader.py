"""What a stranger's descriptor evaluates: attack -> what it got (nothing, and a sentence)."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING
from unittest.mock import Mock
from xml.sax.saxutils import escape

import numpy as np
import psutil
import pytest

from napari_tool_runner.errors import (
    DescriptorError,
    JobCancelledError,
    OutputError,
    ParameterError,
    TemplateError,
    ToolRunnerError,
)
from napari_tool_runner.tools import patterns, shared_time
from napari_tool_runner.tools.binding import bind
from napari_tool_runner.tools.dialect import (
    CollectedFile,
    CollectedOutput,
    DataFile,
    JobPaths,
    RenderedCommand,
    TestOutcome,
)
from napari_tool_runner.tools.formats import FORMATS, Trait
from napari_tool_runner.tools.galaxy import judge
from napari_tool_runner.tools.isolation import rendering
from napari_tool_runner.tools.isolation.asking import Exchange, Limits
from napari_tool_runner.tools.isolation.client import Reader, Talk
from napari_tool_runner.tools.isolation.operations import command_from
from napari_tool_runner.tools.isolation.walls import missing_walls
from napari_tool_runner.tools.isolation.wire import (
    decode,
    encode,
    formats_from,
    refused,
    tell_formats,
)
from napari_tool_runner.tools.reader import dialect_of, read_tool
from support import job_paths

if TYPE_CHECKING:
    from jobs.conftest import MakeTool
    from napari_tool_runner.tools.model import InputItem, Tool

walled = pytest.mark.skipif(bool(missing_walls()), reason=missing_walls())
MARK = "NAPARI_TOOL_RUNNER_READER_TEST"


def make(
    folder: Path, code: str, *, filters: str = "", validator: str = "", test: str = ""
) -> Tool:
    """Write a container-only tool whose command evaluates `code` (Cheetah) and read it."""
    folder.mkdir(exist_ok=True)
    path = folder / "tool.xml"
    path.write_text(
        f"""<tool id="stranger" name="Stranger" version="1" profile="22.05">
        <requirements><container type="docker">busybox</container></requirements>
        <command>{escape(code)}</command>
        <inputs>
          <param name="x" type="text" value="hi">{validator}</param>
          <param name="i" type="data" format="txt" optional="true"/>
        </inputs>
        <outputs><data name="o" format="txt">{filters}</data></outputs>
        <tests><test><output name="o">
          <assert_contents>{test}</assert_contents>
        </output></test></tests>
        </tool>""",
        encoding="utf-8",
    )
    return read_tool(path)


@pytest.fixture
def paths(tmp_path: Path) -> JobPaths:
    return job_paths(tmp_path / "job")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """A reader of its own with small limits."""
    made = Reader(Limits(memory=256 * 2**20, processor=2, seconds=20, answer=2**20))
    monkeypatch.setattr(rendering, "reader", made)
    yield made
    made.close()


def fill(tool: Tool, paths: JobPaths, **values: object) -> RenderedCommand:
    return rendering.render(tool, bind(tool, values), paths, {})


def said(code: str, tmp_path: Path, paths: JobPaths) -> str:
    """Return what the Python expression `code` gave, or the exception that it met."""
    template = f"#try\n#set $found = {code}\n#except Exception as e\n#set $found = $repr($e)\n"
    return fill(make(tmp_path / "box", f"{template}#end try\necho [$found]"), paths).script


@walled
@pytest.mark.parametrize(
    "code",
    [
        "$open($secret).read()",
        "__import__('os').listdir($home)",
        "$open($home + '/new', 'w').write('x')",
        "__import__('os').truncate($secret, 0)",
        "__import__('os').remove($secret)",
        "__import__('os').rename($secret, $secret + '2')",
        "__import__('os').symlink('/etc', $home + '/link')",
        "__import__('os').chmod($secret, 511)",
        "__import__('os').utime($secret, (1, 1))",
        "__import__('os').mkdir($home + '/folder')",
        "__import__('os').link($secret, $job + '/link')",
        "$open($job + '/work/x', 'w').write('x')",
        "__import__('socket').socket()",
        "__import__('socket').socket(1)",
        "__import__('socket').create_connection(('127.0.0.1', 9))",
        "__import__('os').fork()",
        "__import__('subprocess').run(['id'])",
        "__import__('os').execv('/bin/sh', ['sh'])",
        "__import__('os').posix_spawn('/bin/true', ['true'], {})",
        "__import__('os').kill(__import__('os').getppid(), 9)",
        "__import__('os').killpg(0, 9)",
        "__import__('os').pidfd_open($pid)",
        "__import__('resource').prlimit($pid, 7, (1, 1))",
        "__import__('os').setpriority(0, $pid, 19)",
        "$open('/proc/%d/environ' % $pid, 'rb').read()",
        "$open('/proc/%d/mem' % $pid, 'rb').read(1)",
        "$open('/etc/passwd').read()",
    ],
)
def test_a_template_reaches_nothing(code: str, tmp_path: Path, paths: JobPaths) -> None:
    home = tmp_path / "home"
    home.mkdir()
    secret = home / "key"
    secret.write_text("topsecret", encoding="utf-8")
    before = secret.stat()
    names = {
        "secret": repr(str(secret)), "home": repr(str(home)), "job": repr(str(paths.root)),
        "pid": str(os.getpid()),
    }  # fmt: skip
    code = code.replace("$open", "open")
    for name, value in names.items():
        code = code.replace(f"${name}", value)
    told = said(code, tmp_path, paths)
    assert "Error" in told
    assert "topsecret" not in told
    assert "root:" not in told
    after = secret.stat()
    assert (after.st_mode, after.st_mtime, after.st_nlink) == (before.st_mode, before.st_mtime, 1)
    assert [*home.iterdir()] == [secret]
    assert [*paths.work.iterdir()] == []


def outcome_of(path: Path, tool: Tool) -> TestOutcome:
    output = CollectedOutput(tool.outputs[0], (CollectedFile(path, "txt"),))
    return TestOutcome(
        exit_code=0, stdout="said", stderr="", outputs={"o": output}, command="echo", failed=False
    )


@pytest.mark.parametrize(
    ("assertion", "told"),
    [
        ('has_text_matching expression="(a+)+$"', "processor|took longer"),
        ('has_line_matching expression="(a|a)*b"', "processor|took longer"),
        ('has_text text="aaaa"', ""),
        ('has_text text="b"', "Output"),
    ],
)
def test_what_a_test_expects_is_compared_in_the_reader(
    assertion: str, told: str, tmp_path: Path, paths: JobPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "_OF_TESTS", Limits(2**30, processor=2, seconds=30))
    tool = make(tmp_path / "box", "echo", test=f"<{assertion}/>")
    made = paths.outputs / "o.txt"
    made.write_text("a" * 60 + "!")
    try:
        problems = rendering.verify(tool, tool.tests[0], outcome_of(made, tool), paths)
    except DescriptorError as error:
        problems = [str(error)]
    assert bool(problems) is bool(told)
    assert re.search(told, " ".join(problems))


def test_the_environment_is_none_of_ours(
    tmp_path: Path, paths: JobPaths, monkeypatch: pytest.MonkeyPatch, quick: Reader
) -> None:
    monkeypatch.setenv(MARK, "token-of-the-user")
    assert "token-of-the-user" not in said("dict(__import__('os').environ)", tmp_path, paths)


def test_what_belongs_to_the_call_is_read(tmp_path: Path, paths: JobPaths) -> None:
    data = tmp_path / "elsewhere.txt"
    data.write_text("seven", encoding="utf-8")
    tool = make(
        tmp_path / "box", "echo ${open(str($i)).read()} ${open($__tool_directory__ + '/n').read()}"
    )
    (tmp_path / "box" / "n").write_text("beside", encoding="utf-8")
    assert "echo seven beside" in fill(tool, paths, i=DataFile(data, "txt", "data")).script


def test_filters_and_validators_run_there_too(tmp_path: Path, paths: JobPaths) -> None:
    here = str(tmp_path / "gone")
    harm = f"(lambda: open({here!r}, 'w'))()"
    tool = make(
        tmp_path / "box", "echo", filters=f"<filter>{harm}</filter>",
        validator=f"<validator type='expression'><![CDATA[{harm} or True]]></validator>",
    )  # fmt: skip
    with pytest.raises(Exception, match=r"check|failed"):
        fill(tool, paths)
    fill(make(tmp_path / "box", "echo", filters=f"<filter>{harm}</filter>"), paths)
    assert not os.path.exists(here)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("#while True\n#pass\n#end while", "2 s of a processor"),
        ("#set $x = 'x' * (2 ** 34)", "more memory"),
        ("#set $x = __import__('time').sleep(1000)", "took longer than 20 s"),
        ("${'x' * (4 * 2 ** 20)}", "more than 1 MB"),
        ("#set $x = __import__('os')._exit(3)", "ended before it answered"),
        ("#set $x = __import__('ctypes').string_at(0)", "ended by signal 11"),
    ],
)  # fmt: skip
def test_what_does_not_end_is_ended(
    code: str, sentence: str, tmp_path: Path, paths: JobPaths, quick: Reader
) -> None:
    tool = make(tmp_path / "box", code)
    if "20 s" in sentence:
        quick.limits = Limits(seconds=1)
        sentence = "took longer than 1 s"
    with pytest.raises(DescriptorError, match=sentence) as caught:
        fill(tool, paths)
    assert "“Stranger”" in caught.value.message
    assert caught.value.hint
    quick.limits = Limits()
    assert "echo" in fill(make(tmp_path / "box", "echo"), paths).script


def test_a_template_has_ten_seconds_from_when_it_begins(tmp_path: Path) -> None:
    usual = Limits()
    assert usual.processor < 10
    assert usual.seconds < 15
    asked = Exchange(usual, "fill it", tmp_path, refused, lambda: False)
    before = asked.deadline  # a reader that has to be started on a busy machine
    asked.begin()
    assert before - asked.deadline > 40


def test_each_question_has_its_own_time(quick: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Exchange] = []
    monkeypatch.setattr(Exchange, "begin", lambda self: begun.append(self))
    with quick.talk() as talk:
        for _ in range(2):
            talk.ask("help", {"text": "a"}, what="lay it out", path=Path("a"))
    assert len(begun) == 2


def helped(talk: Talk) -> object:
    return talk.ask("help", {"text": "a"}, what="lay it out", path=Path("a"))[0]


@pytest.fixture
def ahead(quick: Reader) -> Iterator[tuple[Talk, int]]:
    """A child that was begun before it is asked, and its number."""
    with quick.talk() as first:
        helped(first)  # so that nothing is left to import
    with quick.talk() as talk:
        talk.begin("lay it out", Path("a"))
        assert talk._open is not None
        yield talk, talk._open[1]


def test_what_was_begun_ahead_answers(ahead: tuple[Talk, int]) -> None:
    talk, child = ahead
    for _ in range(2):
        assert "a" in str(helped(talk))
        assert talk._open is not None
        assert talk._open[1] == child


def test_what_was_begun_ahead_and_ended_is_begun_anew(ahead: tuple[Talk, int]) -> None:
    talk, child = ahead
    psutil.Process(child).kill()
    assert talk._open is not None
    told, end = b"", time.monotonic() + 60
    while b'"ended"' not in told:
        assert time.monotonic() < end
        time.sleep(0.01)
        with suppress(BlockingIOError):
            told = talk._open[0].recv(9999, socket.MSG_PEEK)
    assert "a" in str(helped(talk))
    assert talk._open is not None
    assert talk._open[1] != child


def test_a_reader_that_is_gone_is_started_for_what_was_begun(
    quick: Reader, ahead: tuple[Talk, int]
) -> None:
    talk, child = ahead
    gone = psutil.Process(child)
    quick.close()
    gone.wait(60)
    assert "a" in str(helped(talk))


@pytest.mark.usefixtures("ahead")
def test_cancel_reaches_what_was_begun_ahead(quick: Reader) -> None:
    stopped = threading.Event()
    with quick.talk(stop=stopped.is_set) as talk:
        talk.begin("lay it out", Path("a"))
        assert talk._open is not None
        child = psutil.Process(talk._open[1])
        stopped.set()
        with pytest.raises(JobCancelledError):
            helped(talk)
    child.wait(30)


def test_nothing_waits_for_imports_to_begin_ahead(quick: Reader) -> None:
    with quick.talk() as talk:
        talk.begin("lay it out", Path("a"))  # its process is not started yet
        assert talk._open is None
        helped(talk)
        talk.close()
        quick.load(["colorsys"])
        talk.begin("lay it out", Path("a"))
        assert talk._open is None


def test_who_cannot_begin_ahead_asks_later(quick: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    with quick.talk() as talk:
        helped(talk)
        talk.close()
        with monkeypatch.context() as broken:
            broken.setattr(quick, "fork", Mock(side_effect=BrokenPipeError))
            talk.begin("lay it out", Path("a"))
        assert talk._open is None
        assert "a" in str(helped(talk))


def test_cancel_ends_it(tmp_path: Path, paths: JobPaths, quick: Reader) -> None:
    tool = make(tmp_path / "box", "#set $x = __import__('time').sleep(1000)")
    asked = iter([False] * 5)
    with pytest.raises(JobCancelledError):
        rendering.render(tool, bind(tool, {}), paths, {}, lambda: next(asked, True))


def test_one_call_changes_nothing_for_the_next(tmp_path: Path, paths: JobPaths) -> None:
    harm = "#set $x = setattr(__import__('json'), 'dumps', None)\necho"
    with pytest.raises(DescriptorError):
        fill(make(tmp_path / "box", harm), paths)
    assert "echo" in fill(make(tmp_path / "other", "echo"), paths).script


@pytest.mark.usefixtures("many_open", "quick")
def test_a_session_of_many_open_files_asks_it(tmp_path: Path, paths: JobPaths) -> None:
    assert "echo" in fill(make(tmp_path / "box", "echo"), paths).script


def test_two_are_answered_at_once(tmp_path: Path, paths: JobPaths) -> None:
    slow = make(tmp_path / "slow", "#set $x = __import__('time').sleep(1000)")
    stop = threading.Event()
    ended: list[BaseException] = []

    def run() -> None:
        try:
            rendering.render(slow, bind(slow, {}), paths, {}, stop.is_set)
        except JobCancelledError as error:
            ended.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert "echo" in fill(make(tmp_path / "box", "echo"), paths).script
    stop.set()
    thread.join(30)
    assert ended


@pytest.mark.parametrize(
    "change",
    [
        {"files": [["HOME/.bashrc", "evil"]]},
        {"files": [["JOB/../../x", "evil"]]},
        {"files": [["JOB", "evil"]]},
        {"outputs": [["o", "/etc/passwd", "txt", "", []]]},
        {"outputs": [["unknown", "JOB/outputs/o.txt", "txt", "", []]]},
        {"argv": []},
        {"argv": ["bash", 3]},
        {"environment": {"A": 1}},
        {"notes": "text"},
        {"version": [3]},
        {"outputs": None},
    ],
)
def test_an_answer_is_not_believed(
    change: dict[str, object], tmp_path: Path, paths: JobPaths
) -> None:
    tool = make(tmp_path / "box", "echo")
    good: dict[str, object] = {
        "argv": ["bash"], "files": [], "environment": {}, "script": "", "notes": [], "version": [],
        "outputs": [["o", "JOB/outputs/o.txt", "txt", "", []]],
    }  # fmt: skip

    def real(told: object) -> object:
        text = json.dumps(told).replace("JOB", str(paths.root)).replace("HOME", str(tmp_path))
        return json.loads(text)

    assert command_from(real(good), tool, paths).argv == ("bash",)
    with pytest.raises(ValueError, match=r"."):
        command_from(real(good | change), tool, paths)


def test_an_answer_that_is_forged_makes_no_file(tmp_path: Path, paths: JobPaths) -> None:
    victim = tmp_path / "victim"
    forged = json.dumps({"answer": {
        "argv": ["true"], "files": [[str(victim), "evil"]], "environment": {}, "script": "",
        "notes": [], "version": [], "outputs": [],
    }})  # fmt: skip
    line = repr(forged.encode() + b"\n")
    code = f"#for $n in range(3, 60)\n#try\n#set $x = __import__('os').write($n, {line})\n"
    code += "#except OSError\n#pass\n#end try\n#end for\necho"
    with pytest.raises(DescriptorError, match="outside the job"):
        fill(make(tmp_path / "box", code), paths)


def test_no_answer_is_given_for_another_tool(tmp_path: Path, paths: JobPaths) -> None:
    good = make(tmp_path / "good", "#set $x = __import__('time').sleep(2)\necho good")
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(fill(good, paths).script), daemon=True)
    fill(make(tmp_path / "box", "echo"), paths)
    thread.start()
    time.sleep(0.5)
    forged = json.dumps({"answer": {
        "argv": ["evil"], "files": [], "environment": {}, "script": "evil", "notes": [],
        "outputs": [],
    }})  # fmt: skip
    line = repr(forged.encode() + b"\n")
    code = "#for $n in range(3, 200)\n#try\n"
    code += f"#set $x = __import__('os').write($n, {line})\n#except OSError\n#pass\n#end try\n"
    with suppress(DescriptorError):
        fill(make(tmp_path / "evil", f"{code}#end for\necho"), paths)
    thread.join(60)
    assert len(found) == 1
    assert "echo good" in found[0]
    assert "evil" not in found[0]


def test_a_child_that_waits_may_be_killed(tmp_path: Path, paths: JobPaths, quick: Reader) -> None:
    tool = make(tmp_path / "box", "echo")
    fill(tool, paths)
    assert quick._process is not None
    children = Path(f"/proc/{quick._process.pid}/task/{quick._process.pid}/children")
    if not children.exists():
        pytest.skip("this system does not tell children")
    for _ in range(3):
        for pid in children.read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), 9)
        time.sleep(0.2)
        assert "echo" in fill(tool, paths).script
    quick.close()
    assert not children.exists()


def test_a_changed_descriptor_is_not_filled(tmp_path: Path, paths: JobPaths) -> None:
    tool = make(tmp_path / "box", "echo one")
    make(tmp_path / "box", "echo two")
    with pytest.raises(DescriptorError, match="has changed"):
        fill(tool, paths)


def test_a_template_that_is_wrong_is_told_as_ever(tmp_path: Path, paths: JobPaths) -> None:
    with pytest.raises(TemplateError, match="nobody") as caught:
        fill(make(tmp_path / "box", "echo\n$nobody"), paths)
    assert "$nobody" in caught.value.line


def test_a_child_waits_before_the_first_question(quick: Reader) -> None:
    """What was imported was so that nobody has to wait."""
    quick.load(["fractions"])
    assert quick._process is not None
    children = Path(f"/proc/{quick._process.pid}/task/{quick._process.pid}/children")
    if not children.exists():
        pytest.skip("this system does not tell children")
    deadline = time.monotonic() + 20
    while not children.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(children.read_text().split()) == 1


def test_a_reader_that_has_ended_imports_again(quick: Reader) -> None:
    quick.load(["fractions"])
    first = quick._process
    quick.load(["fractions"])
    assert quick._process is first
    assert first is not None
    first.kill()
    first.wait()
    quick.load(["fractions"])
    assert quick._process is not first
    assert "fractions" in quick._loaded


def test_what_is_killed_is_started_again(tmp_path: Path, paths: JobPaths, quick: Reader) -> None:
    tool = make(tmp_path / "box", "echo")
    fill(tool, paths)
    assert quick._process is not None
    quick._process.kill()
    quick._process.wait()
    assert "echo" in fill(tool, paths).script


@pytest.mark.skipif(sys.platform != "linux", reason="of Linux")
def test_a_request_that_loops_ends_with_a_reader_that_is_killed(
    tmp_path: Path, paths: JobPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = Reader(Limits(memory=256 * 2**20, processor=600, seconds=600, answer=2**20))
    monkeypatch.setattr(rendering, "reader", patient)
    fill(make(tmp_path / "box", "echo"), paths)
    process = patient._process
    assert process is not None
    looping = make(tmp_path / "loop", "#while True\n#set $x = 1\n#end while")

    def ask() -> None:
        with suppress(ToolRunnerError):
            fill(looping, paths)

    asking = threading.Thread(target=ask)
    asking.start()
    children = psutil.Process(process.pid).children()
    while not any(child.cpu_times().user > 0.5 for child in children):
        assert asking.is_alive()
        time.sleep(0.05)
        children = psutil.Process(process.pid).children()
    process.kill()
    _, alive = psutil.wait_procs(children, timeout=20)
    for child in alive:
        child.kill()
    asking.join()
    patient.close()
    assert not alive


def test_it_ends_with_its_program(tmp_path: Path) -> None:
    make(tmp_path / "box", "#set $x = __import__('time').sleep(1000)")
    code = f"""
import os, threading
from pathlib import Path
from napari_tool_runner.tools.dialect import JobPaths
from napari_tool_runner.tools.isolation import client, rendering
from napari_tool_runner.tools.reader import dialect_of, read_tool
tool = read_tool({str(tmp_path / "box")!r})
paths = JobPaths(Path({str(tmp_path / "job")!r}))
ask = threading.Thread(target=lambda: rendering.render(tool, {{}}, paths, {{}}), daemon=True)
ask.start()
while client.reader._process is None:
    pass
print(client.reader._process.pid)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100
    )
    pid = int(done.stdout)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if (Path("/proc") / str(pid) / "stat").read_text().split()[2] == "Z":
                break
            os.kill(pid, 0)
        except (ProcessLookupError, FileNotFoundError):
            break
        time.sleep(0.05)
    else:
        pytest.fail("the reader lives on")


def test_values_come_through_whole() -> None:
    values = {
        "a": [1, 2.5, None, True, "ü\udc80"], "p": Path("/x"), "t": (1, (2,)),
        "f": DataFile(Path("/i"), "tiff", "i", {"axes": "ZYX"}),
    }  # fmt: skip
    assert decode(json.loads(json.dumps(encode(values)))) == values
    with pytest.raises(TypeError):
        encode(object())
    with pytest.raises(ValueError, match="known"):
        decode({"pickle": "x"})
    for bad in ({"map": [3]}, {"map": [["a"]]}, {"map": ["ab"]}, {}, {"map": [], "path": "x"}):
        with pytest.raises(ValueError, match=r"no |known"):
            decode(bad)
    more = FORMATS.with_traits({"csv": (Trait.XYZ,)})
    again = formats_from(json.loads(json.dumps(tell_formats(more))))
    assert [*again.values()] == [*more.values()]


# -- looking, before anybody trusted anything ----------------------------------------------

SLOW = "^(?:a|a)*[b0]"
LONG = "a" * 60


def looked_at(folder: Path, inputs: str, *, command: str = "echo", more: str = "") -> Tool:
    folder.mkdir(exist_ok=True)
    (folder / "tool.xml").write_text(
        f"""<tool id="look" name="Look" version="1" profile="22.05"><command>{command}</command>
        {more}<inputs>{inputs}</inputs><outputs><data name="o" format="txt">
        <discover_datasets pattern="{SLOW}" format="txt"/></data></outputs></tool>""",
        encoding="utf-8",
    )
    return read_tool(folder / "tool.xml")


@pytest.mark.parametrize(
    "validator",
    [
        f"<validator type='regex'>{SLOW}</validator>",
        f"<validator type='expression'>re.match({SLOW!r}, value) is None</validator>".replace(
            '"', "&quot;"
        ),
        f"<validator type='expression'>__import__('re').findall({SLOW!r}, value)</validator>",
    ],
)
def test_a_pattern_that_never_ends_accepts_nothing(validator: str, tmp_path: Path) -> None:
    tool = looked_at(tmp_path, f"<param name='x' type='text'>{validator}</param>")
    (rule,) = tool.parameters()[0].validators
    assert "takes too long" in str(rule.problem(LONG))
    with pytest.raises(ParameterError, match="takes too long"):
        bind(tool, {"x": LONG})


def test_a_negated_pattern_that_never_ends_accepts_nothing(tmp_path: Path) -> None:
    rule = f"<validator type='regex' negate='true'>{SLOW}</validator>"
    tool = looked_at(tmp_path, f"<param name='x' type='text'>{rule}</param>")
    with pytest.raises(ParameterError, match=r"“a{60}” is not accepted: the pattern .* too long"):
        bind(tool, {"x": LONG})
    assert bind(tool, {"x": "zz"})["x"] == "zz"


def test_many_patterns_share_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(shared_time, "time", SimpleNamespace(monotonic=lambda: next(clock) / 10))
    with shared_time.together(1.0):
        for _ in range(9):
            assert patterns.find("a", "xa")
        with shared_time.together(100.0), pytest.raises(patterns.SlowPatternError):
            patterns.find("a", "xa")
    assert patterns.find("a", "xa")


def test_a_pattern_that_ends_is_checked_as_before(tmp_path: Path) -> None:
    rule = "<validator type='regex' message='Letters, not %s.'>^[a-z]+$</validator>"
    tool = looked_at(tmp_path, f"<param name='x' type='text'>{rule}</param>")
    (rule_read,) = tool.parameters()[0].validators
    assert rule_read.problem("abc") is None
    assert rule_read.problem("12") == "Letters, not 12."


def test_a_filter_of_choices_that_never_ends_leaves_no_choice(tmp_path: Path) -> None:
    data = tmp_path / "table.txt"
    data.write_text(f"{LONG}\tx\n" * 1000, encoding="utf-8")
    choices = (
        f"<options from_dataset='i'><filter type='regexp' column='0' value='{SLOW}'/></options>"
    )
    tool = looked_at(
        tmp_path,
        "<param name='i' type='data' format='txt'/>"
        f"<param name='s' type='select'>{choices}</param>",
    )
    source = getattr(tool.parameters()[1], "source", None)
    assert source is not None
    with pytest.raises(ParameterError, match=r"choices cannot be told.*takes too long"):
        source.options({"i": data})


def test_a_rule_for_what_a_program_says_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "_SECONDS", 0.2)
    rules = (
        f'<stdio><regex match="{SLOW}" source="both" level="fatal" description="slow"/>'
        '<regex match="disk is full" source="stderr" level="fatal" description="no space"/>'
        '<exit_code range="1:" level="fatal"/></stdio>'
    )
    tool = looked_at(tmp_path, "", more=rules)
    verdict = dialect_of(tool).judge(tool, 0, LONG, LONG)
    assert verdict.ok
    assert any("not checked" in warning for warning in verdict.warnings)
    assert "no space" in dialect_of(tool).judge(tool, 0, "", f"{LONG} Disk is full").reason
    assert not dialect_of(tool).judge(tool, 2, LONG, "").ok


def test_a_pattern_of_outputs_that_never_ends_is_a_sentence(
    tmp_path: Path, paths: JobPaths
) -> None:
    tool = looked_at(tmp_path, "")
    rendered = fill(tool, paths)
    (paths.work / LONG).write_text("x", encoding="utf-8")
    with pytest.raises(OutputError, match="takes too long"):
        dialect_of(tool).collect(tool, rendered, bind(tool, {}), paths)


@pytest.mark.parametrize(
    "inputs",
    [
        "<repeat name='r' min='100000'><param name='x' type='text'/></repeat>",
        "<repeat name='r' min='9000'><param name='x' type='text'/></repeat>",
        "<repeat name='r' default='200'><repeat name='q' min='200'>{}</repeat></repeat>".format(
            "<param name='x' type='text'/>"
        ),
        "".join(f"<param name='p{n}' type='text'/>" for n in range(4000)),
        "".join(f"<section name='s{n}'>" for n in range(60))
        + "<param name='x' type='text'/>"
        + "</section>" * 60,
    ],
)
def test_a_form_is_of_a_size_that_opens(inputs: str, tmp_path: Path) -> None:
    tool = looked_at(tmp_path, inputs)
    assert tool.problems, "it cannot run as it asks to be"
    assert _opened(tool.inputs) <= 3000
    assert all(note.what.endswith(".") or note.what for note in tool.problems)


def _opened(items: tuple[InputItem, ...]) -> int:
    found = 0
    for item in items:
        times = max(getattr(item, "minimum", 0) or 0, getattr(item, "default", 0) or 0, 1)
        inside = getattr(item, "inside", None)
        found += times * sum(map(_opened, inside)) if inside is not None else 1
    return found


def test_choices_are_cut(tmp_path: Path) -> None:
    options = "".join(f"<option value='{n}'>{n}</option>" for n in range(30_000))
    tool = looked_at(tmp_path, f"<param name='s' type='select'>{options}</param>")
    assert len(getattr(tool.parameters()[0], "options", ())) == 20_000
    assert any("30,000 choices" in note.what for note in tool.notes)
    assert not tool.problems


# -- a thread that hangs --------------------------------------------------------------------


def test_a_cancelled_job_that_hangs_gives_up_its_turn(
    make_tool: MakeTool, config: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_tool_runner.jobs import JobManager, manager

    hangs, second = threading.Event(), threading.Event()
    begun = threading.Event()

    def execute(job: object) -> None:
        if begun.is_set():
            second.set()
            return
        begun.set()
        hangs.wait(60)

    monkeypatch.setattr(manager, "execute", execute)
    monkeypatch.setattr(manager, "_HANGS_SECONDS", 0.1)
    one = JobManager(max_parallel=1)
    tool = make_tool("")
    image = np.zeros((2, 2), np.uint8)
    first = one.submit(tool, {"i": image}, config=config)
    assert begun.wait(30)
    one.submit(tool, {"i": image}, config=config)
    assert not second.wait(0.3), "only one at a time"
    first.cancel()
    assert second.wait(30), "the next one waits for ever"
    hangs.set()


def test_closing_waits_once_for_all_jobs_that_hang(
    make_tool: MakeTool, config: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_tool_runner.jobs import Job, JobManager, manager

    waited: list[float] = []

    def wait(job: Job, timeout: float | None = None) -> bool:
        waited.append(timeout or 0.0)
        time.sleep(timeout or 0.0)
        return False

    hangs = threading.Event()
    monkeypatch.setattr(manager, "execute", lambda job: hangs.wait(60))
    monkeypatch.setattr(Job, "wait", wait)
    one = JobManager(max_parallel=3)
    tool = make_tool("")
    for _ in range(3):
        one.submit(tool, {"i": np.zeros((2, 2), np.uint8)}, config=config)
    one.shutdown(0.2)
    hangs.set()
    assert waited[1:] == [0.0, 0.0]
