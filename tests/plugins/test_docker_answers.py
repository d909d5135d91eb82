"""What an engine may answer, and what is made of it: no engine is needed."""

from __future__ import annotations

import json
import os
import ssl
import threading
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from napari_tool_runner.errors import (
    JobCancelledError,
    PreparationError,
    RunnerError,
    RunnerExecError,
)
from napari_tool_runner.errors import RunnerUnavailableError as Unavailable
from napari_tool_runner.plugins import CancelToken, ExecContext, Mount, OutputLine, Progress
from napari_tool_runner.plugins.docker import client as clients
from napari_tool_runner.plugins.docker import containers, pull, registry, storage
from napari_tool_runner.plugins.docker import exec as execution
from napari_tool_runner.plugins.docker.client import Endpoint, Engine
from napari_tool_runner.plugins.docker.images import Image, parse_reference
from napari_tool_runner.plugins.docker.kept import SLEEPERS, WarmContainer
from napari_tool_runner.plugins.docker.pool import WarmPool
from napari_tool_runner.plugins.docker.program import Program, not_started
from napari_tool_runner.plugins.docker.spec import Spec, _covering_mounts, _links
from napari_tool_runner.plugins.docker.words import not_answered, why_no_image
from napari_tool_runner.seals import seal_of
from plugins.runner_helpers import Events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GONE = requests.exceptions.ConnectionError("reset by peer")
HERE = Endpoint("unix:///engine.sock", "the test")


def refusal(status: int, said: str) -> APIError:
    response = requests.Response()
    response.status_code = status
    return APIError("refused", response, said)


class Api:
    """Answers each call with what was given under its name (a tuple: one after the other)."""

    base_url, api_version = "http+unix://engine", "1.41"

    def __init__(self, **answers: object) -> None:
        self.answers, self.asked = answers, deque[str]()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: object, **options: object) -> object:
            self.asked.append(name)
            answer = self.answers[name]
            if isinstance(answer, tuple):
                answer, *rest = answer
                self.answers[name] = tuple(rest) or answer
            if isinstance(answer, BaseException):
                raise answer
            return answer(*args, **options) if callable(answer) else answer

        return call


def engine_of(podman: bool = False, endpoint: Endpoint = HERE, **answers: object) -> Engine:
    """Return an engine whose calls are answered so; its information is `info`."""
    info = answers.pop("info", {})
    client = SimpleNamespace(api=Api(**answers), close=lambda: None)
    client.containers = SimpleNamespace(create=client.api.create)
    engine = Engine(client, endpoint, info, podman)  # type: ignore[arg-type]
    engine.__dict__["control"] = client
    return engine


def context(folder: Path) -> ExecContext:
    return ExecContext(folder, folder, folder, cancel=CancelToken(), report=Events())


# -- finding and understanding an engine -------------------------------------------------------


def test_certificates_are_taken_as_far_as_they_are_there(tmp_path: Path) -> None:
    assert Endpoint("tcp://x:2376", "the test").tls() is False
    (tmp_path / "ca.pem").write_text("")
    found = Endpoint("tcp://x:2376", "the test", tmp_path, tls_verify=False).tls()
    assert (found.ca_cert, found.cert, found.verify) == (str(tmp_path / "ca.pem"), None, False)
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("")
    cert = Endpoint("tcp://x:2376", "the test", tmp_path).tls().cert
    assert cert == (str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))


def test_windows_has_no_such_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "sys", SimpleNamespace(platform="win32"))
    with pytest.raises(Unavailable, match=r"Windows’ paths do not allow.*WSL 2"):
        clients.connect({})


@pytest.mark.parametrize(
    ("info", "error", "words"),
    [
        (GONE, requests.exceptions.ConnectionError, "reset by peer"),
        ({"OSType": "windows"}, Unavailable, "Linux containers"),
    ],
)
def test_an_engine_that_is_of_no_use_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, info: object, error: type[Exception], words: str
) -> None:
    closed: list[str] = []
    api = Api(info=info, version={})
    client = SimpleNamespace(
        api=api, info=api.info, version=api.version, close=lambda: closed.append("closed")
    )
    monkeypatch.setattr(clients, "_client", lambda *_: client)
    with pytest.raises(error, match=words):
        clients._open(HERE)
    assert closed == ["closed"]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ({"host": {"security": {"rootless": True, "selinuxEnabled": True}}},
         ["name=rootless", "name=selinux"]),
        ({"host": {"security": {"rootless": False}}}, []),
        ({"host": None}, []),
    ],
)  # fmt: skip
def test_what_podman_says_of_its_walls(answer: object, found: list[str]) -> None:
    told = SimpleNamespace(json=lambda: answer)
    assert clients._podman_security(SimpleNamespace(api=Api(get=told))) == found
    assert clients._podman_security(SimpleNamespace(api=Api(get=GONE))) == []


def test_a_socket_that_may_not_be_looked_at_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_: Path) -> bool:
        raise PermissionError

    monkeypatch.setattr(Path, "exists", denied)
    assert clients._may_exist(Path("/root/docker.sock"))


def test_why_an_engine_cannot_be_used() -> None:
    distrust = clients._explain(HERE, DockerException(ssl.SSLError("self-signed")))
    assert "do not trust each other" in str(distrust)
    assert "DOCKER_CERT_PATH" in str(distrust)
    assert "cannot be used: odd" in str(clients._explain(HERE, DockerException("odd")))


@pytest.mark.parametrize(
    ("here", "words"),
    [({"podman"}, "podman.socket"), ({"dockerd"}, "Start Docker"), (set(), "Install Docker")],
)
def test_what_to_do_depends_on_what_is_installed(
    monkeypatch: pytest.MonkeyPatch, here: set[str], words: str
) -> None:
    monkeypatch.setattr(clients.shutil, "which", lambda name: name if name in here else None)
    assert words in clients._install()


# -- containers --------------------------------------------------------------------------------

SPEC = Spec("sha256:1", (), "1000:1000")


@pytest.mark.parametrize(
    ("info", "podman", "changes"),
    [
        ({}, False, {"healthcheck": {"test": ["NONE"]}}),
        ({"SecurityOptions": ["name=selinux"]}, True,
         {"security_opt": ["no-new-privileges", "label=disable"]}),
        ({"SecurityOptions": ["name=userns"]}, False, {"userns_mode": "host"}),
        ({"SecurityOptions": ["name=userns"]}, True, {"userns_mode": None}),
    ],
)  # fmt: skip
def test_walls_of_the_engine_let_the_job_through(
    info: object, podman: bool, changes: dict[str, object]
) -> None:
    asked: dict[str, object] = {}
    create = lambda **options: asked.update(options) or SimpleNamespace(id="c1")  # noqa: E731
    engine = engine_of(podman=podman, info=info, create=create)
    spec = Spec("sha256:1", (), "1000:1000", platform="linux/arm64")
    assert containers.create(engine, spec, ["sleep"], init=True) == "c1"
    assert {name: asked.get(name) for name in changes} == changes
    assert asked["platform"] == "linux/arm64"
    assert asked["cap_drop"] == ["ALL"]


def test_a_container_that_the_engine_does_not_make() -> None:
    engine = engine_of(create=refusal(500, "no such device"))
    with pytest.raises(PreparationError, match="no such device"):
        containers.create(engine, SPEC, ["sleep"], init=True)


def test_whose_a_container_is(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = containers._labels("mine")
    assert containers._owner(mine) == "own"
    assert containers._owner({**mine, f"{containers.LABEL}.host": "elsewhere"}) == "in use"
    assert containers._owner({**mine, f"{containers.LABEL}.user": "-1"}) == "in use"
    other = {**mine, f"{containers.LABEL}.pid": "1"}
    assert containers._owner(other) == "left behind", "another process has its number now"

    def denied(_: int) -> str:
        raise psutil.AccessDenied

    monkeypatch.setattr(containers, "_started", denied)
    assert containers._owner(other) == "in use", "whoever may not look leaves it alone"


def test_a_computer_without_numbered_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: str) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(containers.os, "readlink", gone)
    assert containers._host() == (containers.platform.node() or containers.sockets.gethostname())


# -- a pool of warm containers -------------------------------------------------------------------


def warm_of(engine: Engine, spec: Spec = SPEC) -> WarmContainer:
    return WarmContainer("c1", engine, spec, SLEEPERS[0], processes=2)


@pytest.mark.parametrize(
    ("top", "empty"),
    [({"Processes": [1, 2]}, True), ({"Processes": [1, 2, 3]}, False), (GONE, False)],
)
def test_a_container_is_empty_when_the_engine_says_so(top: object, empty: bool) -> None:
    assert warm_of(engine_of(top=top)).is_empty() is empty


def test_a_sleeper_that_ended_late_is_not_tried_again() -> None:
    pool, engine = WarmPool(), engine_of(remove_container=None)
    warm = warm_of(engine)
    pool.gone(warm)
    assert pool._sleepers == {SPEC.image: tuple(SLEEPERS[1:])}
    warm.proven = True
    pool._sleepers.clear()
    pool.gone(warm)
    assert pool._sleepers == {}, "its programs ran: the sleeper is none to blame"


def test_what_is_left_running_ends_with_its_container() -> None:
    pool = WarmPool()
    engine = engine_of(top={"Processes": [1, 2, 3]}, remove_container=None)
    warm = warm_of(engine)
    pool._tidy(warm)
    assert "remove_container" not in engine.client.api.asked, "another job has it"
    pool._idle.append(warm)
    pool._tidy(warm)
    assert pool._idle == []
    assert "remove_container" in engine.client.api.asked


def test_an_engine_without_an_init_program() -> None:
    pool, engine = WarmPool(), engine_of(start=None, remove_container=None)
    made: list[bool] = []

    def make(init: bool) -> str:
        made.append(init)
        if init:
            raise PreparationError('exec: "docker-init": executable file not found in $PATH')
        return "c1"

    assert pool.make(engine, make, ("sleep",)) == "c1"
    assert pool.make(engine, make, ("sleep",)) == "c1"
    assert made == [True, False, False], "it is asked for once"


def test_an_engine_that_leaves_while_a_container_is_tied() -> None:
    made = SimpleNamespace(id="c1")
    engine = engine_of(create=made, attach_socket=GONE, remove_container=None)
    with pytest.raises(PreparationError):
        WarmPool().acquire(engine, SPEC)
    assert engine.client.api.asked[-1] == "remove_container"


def test_a_place_for_jobs_that_cannot_be_made(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    spec = Spec("sha256:1", (), "1:1", jobs=blocked / "tool" / "jobs")
    with pytest.raises(PreparationError, match="cannot be made beside"):
        WarmPool().acquire(engine_of(), spec)


# -- programs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("chdir to cwd: no such file", "The working folder of prog cannot be entered"),
        ("exec format error", "another kind of processor than this computer’s (linux/amd64)"),
        ("permission denied", "may not be executed"),
        ("no such file or directory", "The image has no program prog"),
        ("init: open /proc/sys/x: no such file or directory", "prog could not be started"),
        ("something odd", "prog could not be started. The engine said: something odd"),
    ],
)
def test_why_a_program_did_not_start(said: str, words: str) -> None:
    assert words in str(not_started(engine_of(info={"Architecture": "x86_64"}), "prog", said))


def program(**answers: object) -> Program:
    return Program(engine_of(**answers), "c1", "prog")


STATE = {"State": {"Running": False}, "HostConfig": {"Memory": 32_000_000}}


@pytest.mark.parametrize(
    ("code", "answers", "words"),
    [
        (137, {"inspect_container": STATE, "events": []}, "was killed.*its limit is 32 MB"),
        (137, {"inspect_container": GONE, "events": GONE}, "stopped answering"),
        (137, {"inspect_container": NotFound("no"), "events": GONE}, "was removed"),
        (None, {"inspect_container": {**STATE, "State": {"Running": True}}, "events": []},
         "stopped answering"),
        (None, {"inspect_container": STATE, "events": []}, "stopped from outside"),
    ],
)  # fmt: skip
def test_what_ended_a_program(code: int | None, answers: dict[str, object], words: str) -> None:
    with pytest.raises(RunnerExecError, match=words):
        program(**answers).judge(code, 0.0, "", print)


def test_an_exit_code_is_the_programs_own() -> None:
    told = Events()
    ended = program(inspect_container=STATE, events=[{"status": "oom"}])
    assert ended.judge(3, 0.0, "", told) == 3
    assert told.lines("runner") == ["Something that it started was ended: out of memory."]
    assert program().judge(0, 0.0, "", told) == 0
    with pytest.raises(RunnerExecError, match="has no program prog"):
        program(info={}).judge(127, 0.0, "exec: prog: not found", told)


def test_an_engine_that_does_not_listen_is_not_asked_to_end() -> None:
    assert program(kill=None).ask_to_end()
    assert not program(kill=GONE).ask_to_end()


@pytest.mark.parametrize(
    ("answer", "patient", "found"),
    [
        (requests.exceptions.Timeout(), True, (True, None)),
        (requests.exceptions.Timeout(), False, "stopped answering"),
        (NotFound("gone"), True, (False, None)),
        (refusal(500, "odd"), True, "cannot say what became of prog"),
        (GONE, True, "stopped answering while prog ran"),
    ],
)
def test_how_a_program_stands(answer: object, patient: bool, found: object) -> None:
    asked = program(inspect_container=answer)
    if isinstance(found, str):
        with pytest.raises(RunnerExecError, match=found):
            execution._state(asked, patient=patient)
    else:
        assert execution._state(asked, patient=patient) == found


def test_what_was_said_before_the_connection_broke_is_kept(tmp_path: Path) -> None:
    told = context(tmp_path)

    def stream():
        yield b"half a ", None
        yield b"line\n", b"and an error\n"
        raise GONE

    reader = execution._Reader(stream(), told)
    assert reader.finished.wait(10)
    assert told.report.lines() == ["half a line"]  # type: ignore[attr-defined]
    assert told.report.lines("stderr") == ["and an error"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("answers", "error", "words"),
    [
        ({"exec_create": GONE}, execution.ContainerGoneError, "has ended"),
        ({"exec_create": {"Id": "e"}, "exec_start": refusal(409, "paused")},
         execution.ContainerGoneError, "has ended"),
        ({"exec_create": {"Id": "e"}, "exec_start": refusal(400, "prog: no such file")},
         RunnerExecError, "has no program prog"),
        ({"exec_create": {"Id": "e"}, "exec_start": GONE}, RunnerExecError, "stopped answering"),
    ],
)  # fmt: skip
def test_a_program_that_does_not_start_in_a_warm_container(
    tmp_path: Path, answers: dict[str, object], error: type[Exception], words: str
) -> None:
    warm = warm_of(engine_of(**answers))
    with pytest.raises(error, match=words) as caught:
        execution.run_in(WarmPool(), warm, ["prog"], context(tmp_path), {})
    assert type(caught.value) is error
    assert not warm.proven


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"attach": GONE}, "stopped answering while prog ran"),
        ({"attach": iter(()), "start": refusal(404, "exec: prog: executable file not found")},
         "The image has no program prog"),
        ({"attach": iter(()), "start": refusal(500, "no space left on device")}, "The disk"),
    ],
)  # fmt: skip
def test_a_program_that_does_not_start_alone(
    tmp_path: Path, answers: dict[str, object], words: str
) -> None:
    engine = engine_of(create=SimpleNamespace(id="c1"), remove_container=None, **answers)
    with pytest.raises(RunnerExecError, match=words):
        execution.run_alone(WarmPool(), engine, SPEC, ["prog"], context(tmp_path), {})
    assert engine.client.api.asked[-1] == "remove_container", "nothing is left"


def test_a_program_outlives_its_output(tmp_path: Path) -> None:
    """The stream may end first: then the engine is asked until the program has ended."""
    running, ended = ({"State": {"Running": on, "ExitCode": 7}, "HostConfig": {}}
                      for on in (True, False))  # fmt: skip
    engine = engine_of(
        create=SimpleNamespace(id="c1"), attach=iter(()), start=None, remove_container=None,
        inspect_container=(running, running, ended), events=[],
    )  # fmt: skip
    assert execution.run_alone(WarmPool(), engine, SPEC, ["prog"], context(tmp_path), {}) == 7


# -- images ------------------------------------------------------------------------------------

REFERENCE = parse_reference("quay.io/lab/tool:1")


def image(platform: str = "linux/arm64") -> Image:
    return Image("sha256:1", REFERENCE, platform=platform, config={"Cmd": ["run", 1]})


def test_an_image_says_for_whom_it_is_made() -> None:
    assert image().command == ["run", "1"]
    assert image().emulation_remark("linux/arm64/v8") == ""
    assert image("").emulation_remark("linux/amd64") == ""
    assert "made for linux/arm64, this computer is linux/amd64" in image().emulation_remark(
        "linux/amd64"
    )


LAYERS = {"a": 3, "b": 2}


class Answer:
    """The stream of a pull."""

    def __init__(
        self, *lines: object, status: int = 200, text: str = "", broken: Exception | None = None
    ) -> None:
        self.status_code, self.reason = status, "Bad Gateway"
        self.raw = SimpleNamespace(read=lambda most, **_: text.encode()[:most])
        self.lines, self.broken = lines, broken

    def iter_content(self, _: int):
        yield from (line if isinstance(line, bytes) else f"{json.dumps(line)}\n".encode()
                    for line in self.lines)  # fmt: skip
        if self.broken is not None:
            raise self.broken

    def close(self) -> None:
        """Nothing to close."""

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@pytest.fixture
def no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object) -> object:
        raise registry.RegistryError("nobody there")

    monkeypatch.setattr(pull, "ask_manifest", silent)
    monkeypatch.setattr(pull.docker.auth, "get_config_header", lambda *_: "")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (GONE, "went away while it pulled the image quay.io/lab/tool:1"),
        (refusal(500, "odd words"), "odd words"),
        (Answer(broken=GONE), "went away while it pulled"),
        (Answer(b"no json"), "went away while it pulled"),
        (Answer(status=502), "Bad Gateway"),
        (Answer(b"", {"id": "l1", "status": "Pull complete"}), "but does not have it now"),
    ],
)
@pytest.mark.usefixtures("no_registry")
def test_a_pull_that_brings_nothing(tmp_path: Path, answer: object, words: str) -> None:
    asked: list[dict[str, str]] = []

    def post(_: str, params: dict[str, str], **__: object) -> object:
        asked.append(params)
        if isinstance(answer, Exception):
            raise answer
        return answer

    engine = engine_of(post=post, reload_config=None, inspect_image=ImageNotFound("no"))
    engine.client.images = SimpleNamespace(get=engine.client.api.inspect_image)
    with pytest.raises(PreparationError, match=words):
        pull.ensure_image(engine, REFERENCE, context(tmp_path), "linux/arm64")
    assert asked[0]["platform"] == "linux/arm64"


FILLED = "denied: " + "A" * 3_000_000


@pytest.mark.parametrize(
    "answer",
    [
        refusal(500, FILLED),
        Answer(b'{"error": "%s"}\n' % FILLED[:900_000].encode()),
        Answer(*(b"denied: " + bytes(2**16) for _ in range(99))),
        Answer(status=400, text=json.dumps({"message": FILLED})),
        Answer(status=400, text=FILLED),
    ],
    ids=["refusal", "event", "endless line", "message", "text"],
)
@pytest.mark.usefixtures("no_registry")
def test_what_a_registry_says_has_an_end(tmp_path: Path, answer: object) -> None:
    engine = engine_of(
        post=answer if isinstance(answer, Exception) else lambda *_, **__: answer,
        reload_config=None,
        inspect_image=ImageNotFound("no"),
    )
    with pytest.raises(PreparationError, match="denied") as failed:
        pull.ensure_image(engine, REFERENCE, context(tmp_path))
    assert len(str(failed.value)) < 3000


@pytest.mark.usefixtures("no_registry")
def test_cancel_does_not_wait_for_a_registry(tmp_path: Path) -> None:
    asked, answers, closed = threading.Event(), threading.Event(), threading.Event()
    late = Answer()
    late.close = closed.set  # type: ignore[method-assign]

    def post(*_: object, **__: object) -> Answer:
        asked.set()
        assert answers.wait(20)
        return late

    engine = engine_of(post=post, reload_config=None, inspect_image=ImageNotFound("no"))
    told = context(tmp_path)
    ahead = threading.Thread(target=lambda: (asked.wait(20), told.cancel.cancel()))
    ahead.start()
    with pytest.raises(JobCancelledError, match="while the image"):
        pull.ensure_image(engine, REFERENCE, told)
    assert not answers.is_set()
    answers.set()
    ahead.join()
    assert closed.wait(20), "what is answered too late is closed, which ends the pull"


@pytest.mark.parametrize(
    ("answer_after", "totals"), [(0, {5, None}), (3, {5, None}), (None, {3, 5, None})]
)
def test_a_total_is_that_of_all_layers_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer_after: int | None, totals: set[object]
) -> None:
    """Engines list layers while they fetch the first, and say nothing of a small one's bytes."""
    heard = threading.Event()

    def slow(*_: object) -> registry.Manifest:
        assert heard.wait(20)
        if answer_after is None:
            raise registry.RegistryError("nobody there")
        return registry.Manifest({f"sha256:{name * 12}0": size for name, size in LAYERS.items()})

    def lines(_: int) -> Iterator[bytes]:
        for at, (name, status, detail) in enumerate(events):
            if at == (answer_after or 0):
                heard.set()
                for thread in threading.enumerate():
                    if thread.name == "docker-sizes":
                        thread.join()
            yield (
                json.dumps({"id": name * 12, "status": status, "progressDetail": detail}).encode()
                + b"\n"
            )

    events: list[tuple[str, str, dict[str, int]]] = [
        ("a", "Pulling fs layer", {}),
        ("a", "Downloading", {"current": 1, "total": 3}),
        ("a", "Downloading", {"current": 2, "total": 3}),
        ("b", "Pulling fs layer", {}),
        *((("b", "Downloading", {"current": 1, "total": 2}),) if answer_after is None else ()),
        ("b", "Download complete", {}),
        ("a", "Download complete", {}),
        ("a", "Pull complete", {}),
        ("b", "Pull complete", {}),
    ]
    monkeypatch.setattr(pull, "ask_manifest", slow)
    monkeypatch.setattr(pull, "_REPORT_EVERY", -1.0)
    monkeypatch.setattr(pull.docker.auth, "get_config_header", lambda *_: "")
    answer = Answer()
    monkeypatch.setattr(answer, "iter_content", lines)
    told = context(tmp_path)
    pull._Pull(engine_of(post=answer, reload_config=None), REFERENCE, told, None).run()
    progress = [event for event in told.report.all if isinstance(event, Progress)]
    assert {event.total for event in progress} == totals
    done = [event.done for event in progress]
    assert (done, done[-1]) == (sorted(done), 5)


@pytest.mark.usefixtures("no_registry")
def test_an_image_for_another_platform_is_pulled_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = [image("linux/amd64"), image("linux/arm64")]
    monkeypatch.setattr(pull, "find_image", lambda *_: here.pop(0))
    engine = engine_of(post=Answer(), reload_config=None)
    found = pull.ensure_image(engine, REFERENCE, context(tmp_path), "linux/arm64/v8")
    assert (found.platform, here) == ("linux/arm64", [])


@pytest.mark.parametrize(
    ("here", "made_for", "problems", "remarks"),
    [
        (None, registry.Manifest({"a": 5}, ("linux/s390x",), ""),
         ["made for linux/s390x, this computer is linux/amd64"], []),
        (image(), None, [], ["is here (0 ", "made for linux/arm64"]),
    ],
)  # fmt: skip
def test_the_preflight_of_an_image_for_others(
    monkeypatch: pytest.MonkeyPatch,
    here: Image | None,
    made_for: object,
    problems: list[str],
    remarks: list[str],
) -> None:
    monkeypatch.setattr(pull, "find_image", lambda *_: here)
    monkeypatch.setattr(pull, "ask_manifest", lambda *_: made_for)
    # an engine elsewhere: nothing is known of its disk
    engine = engine_of(endpoint=Endpoint("tcp://far:2375", "the test"))
    plan = pull.plan_image(engine, REFERENCE, {})
    for words, told in ((problems, plan.problems), (remarks, plan.remarks)):
        assert len(words) == len(told)
        assert all(one in text for one, text in zip(words, told, strict=True))


def test_only_some_of_many_platforms_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    many = registry.Manifest({}, tuple(f"linux/a{number}" for number in range(50_000)), "")
    monkeypatch.setattr(pull, "find_image", lambda *_: None)
    monkeypatch.setattr(pull, "ask_manifest", lambda *_: many)
    engine = engine_of(endpoint=Endpoint("tcp://far:2375", "the test"))
    (problem,) = pull.plan_image(engine, REFERENCE, {}).problems
    assert "linux/a0, linux/a1, " in problem
    assert "and 49992 more" in problem


@pytest.mark.parametrize(
    ("error", "words"),
    [(refusal(400, "invalid reference format"), "refused what it was asked. It said: invalid"),
     (GONE, "went away while it was asked")],
)  # fmt: skip
def test_a_refusal_is_no_loss_of_the_engine(error: Exception, words: str) -> None:
    assert words in str(not_answered(error))


def test_what_was_removed_by_hand_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of(info={"ID": "e1"}, containers=[], remove_image=(ImageNotFound("no"), GONE))
    for number in ("1", "2"):
        storage.note_image("e1", f"quay.io/lab/tool:{number}", "sha256:1")
    gone = lambda _, reference: None if reference.version == "1" else image()  # noqa: E731
    monkeypatch.setattr(storage, "find_image", gone)
    (offered,) = storage.stored_things(engine, ())
    assert offered.name == "quay.io/lab/tool:2"
    offered.remove()  # somebody was faster
    assert storage.stored_things(engine, ()) == []
    storage.note_image("e1", "quay.io/lab/tool:2", "sha256:1")
    (again,) = storage.stored_things(engine, ())
    with pytest.raises(RunnerError, match="does not answer"):
        again.remove()
    assert storage.stored_things(engine, ()), "it is still offered"


def test_an_image_that_somebody_gave_the_name_of_ours_is_not_offered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage.note_image("e1", "quay.io/lab/tool:1", "sha256:other")
    monkeypatch.setattr(storage, "find_image", lambda *_: image())
    assert storage.stored_things(engine_of(info={"ID": "e1"}, containers=[]), ()) == []


def left_behind(name: str) -> dict[str, str]:
    """Labels of a container of ours whose session is dead."""
    labels = {**containers._labels(name), f"{containers.LABEL}.pid": "1"}
    return {**labels, f"{containers.LABEL}.seal": seal_of(containers._sealed(name, labels))}


def test_a_container_that_the_engine_keeps() -> None:
    left = {"Id": "c1", "Names": ["/left"], "SizeRw": 7, "Labels": left_behind("left")}
    engine = engine_of(containers=[left], remove_container=GONE)
    (offered,) = storage.stored_things(engine, ())
    assert (offered.kind, offered.name, offered.size) == ("container", "left", 7)
    with pytest.raises(RunnerError, match="does not remove left"):
        offered.remove()
    assert storage.stored_things(engine, {"c1"}) == [], "a job runs in it"


def test_where_a_registry_is() -> None:
    info = {"IndexServerAddress": "https://index.example/v1/",
            "RegistryConfig": {"IndexConfigs": {"plain:5000": {"Secure": False}}}}  # fmt: skip
    engine = engine_of(info=info)
    assert registry._address(engine, "docker.io") == "https://index.example"
    assert registry._address(engine, "plain:5000") == "http://plain:5000"
    assert registry._address(engine, "quay.io") == "https://quay.io"
    assert registry._address(engine, "127.0.0.1:5000") == "http://127.0.0.1:5000"


def test_a_secure_registry_sends_nobody_over_the_open_network() -> None:
    session = registry._Session(engine_of(), REFERENCE)
    session.http.get = pytest.fail  # type: ignore[method-assign]
    session._authorize('Bearer realm="http://tokens.example/",service="s"')
    assert session.authorization == ""


# -- what a container sees -----------------------------------------------------------------------


def test_a_folder_to_write_into_is_made(tmp_path: Path) -> None:
    wanted = Mount(tmp_path / "a" / "b", read_only=False)
    assert _covering_mounts([wanted]) == (wanted,)
    assert wanted.path.is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(PreparationError, match="cannot be made: Not a directory"):
        _covering_mounts([Mount(tmp_path / "file" / "b", read_only=False)])


def test_a_linked_folder_shows_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    for name in ("a", "b"):
        (tmp_path / "real" / name).touch()
    os.link(tmp_path / "real" / "b", tmp_path / "hard")
    (tmp_path / "link").symlink_to("real")
    assert _links(tmp_path / "link") == (True, {tmp_path / "real"})
    assert _links(tmp_path / "real") == (True, set())


def test_an_event_of_another_kind_is_passed_on(tmp_path: Path) -> None:
    told = context(tmp_path)
    reader = execution._Reader(iter([(b"OCI runtime exec failed: no prog\n", None)]), told)
    assert reader.finished.wait(10)
    assert reader.never_ran == "OCI runtime exec failed: no prog"
    assert told.report.all == [OutputLine(reader.never_ran, "stdout")]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            "dial tcp: lookup reg.example on 127.0.0.11:53: no such host",
            "is not known to the network here",
        ),
        ("dial tcp: lookup reg.example on 10.0.0.2:53: server misbehaving", "is not known to"),
        ("dial tcp 192.0.2.1:443: connect: connection refused", "takes no connections"),
        (
            "proxyconnect tcp: dial tcp 192.0.2.9:3128: connect: connection refused",
            "cannot be reached: the proxy of the engine, 192.0.2.9:3128, takes no connections",
        ),
        ("x509: certificate signed by unknown authority", "shows a certificate that is not"),
        ("dial tcp 192.0.2.1:443: i/o timeout", "does not answer in time"),
        ("dial tcp 192.0.2.1:443: connect: network is unreachable", "cannot be reached from this"),
        ("unexpected end: EOF", "cannot be reached"),
        (
            'Get "https://reg.example/v2/": Proxy Authentication Required',
            "cannot be reached: the proxy of the engine wants a name and a password",
        ),
        (
            'Get "https://reg.example/v2/": Forbidden',
            "cannot be reached: the proxy of the engine does not let it through",
        ),
        (
            "proxyconnect tcp: EOF",
            "cannot be reached: the proxy of the engine closes the connection",
        ),
    ],
)
def test_a_registry_that_cannot_be_reached_is_one_sentence(said: str, why: str) -> None:
    sentence, hint = why_no_image(said)
    names = {"image": "reg.example/a/b:1", "registry": "reg.example", "platform": "linux/amd64"}
    told = sentence.format(**names, said=said)
    assert told.startswith(
        f"The registry reg.example, which has the image reg.example/a/b:1, {why}"
    )
    assert said not in told
    assert told.count(". ") == 0
    assert hint == "Check the network (and the engine’s proxy), then try again."


def test_what_we_have_no_words_for_is_told_in_the_engines() -> None:
    sentence, _ = why_no_image("something {odd}")
    told = sentence.format(image="a:1", registry="r", platform="p", said="something {odd}")
    assert told == "The image a:1 cannot be pulled. The engine said: something {odd}"
