"""Every test runs apart from the user's files, the network, and the other tests.

Per-user folders lie in a temporary place (also while test modules are imported),
sockets reach this computer only, and a test that leaves a process behind fails.
"""

from __future__ import annotations

import errno
import importlib.util
import io
import ipaddress
import os
import shutil
import socket
import tempfile
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from hypothesis import settings

from support import CORPUS, NO_CORPUS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker_engine import Engine, Registry

__all__ = ["CORPUS"]

settings.register_profile("ntr", deadline=None)  # a busy machine is no failure
settings.register_profile("few", deadline=None, max_examples=10)  # --hypothesis-profile few
settings.load_profile("ntr")

OWN_VARIABLES = ("NAPARI_TOOL_RUNNER_CONFIG", "NAPARI_TOOL_RUNNER_FACILITY")
USER_DIRS = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")

# marks every process that these tests start, through the environment it inherits
MARK = "NAPARI_TOOL_RUNNER_TEST_SESSION"

# started once for a whole session (engines, displays), by fixtures that end them
LONG_LIVED = (
    "Xvfb",
    "Xvnc",
    "dockerd",
    "containerd",
    "containerd-shim",
    "docker-proxy",
    "docker-registry",
    "podman",
    "conmon",
    "dbus-daemon",
)
# Python's own helpers of multiprocessing, which live as long as the interpreter
HELPERS = (
    "multiprocessing.resource_tracker",
    "multiprocessing.forkserver",
    "programs/watchdog.py",  # lives as long as the process that runs programs
)

_session_dir = Path(tempfile.mkdtemp(prefix="ntr-tests-"))


def _isolate_session() -> None:
    """Before any test module is imported: some packages read these on import."""
    for name in USER_DIRS:
        os.environ[name] = str(_session_dir / name.lower())
    os.environ["NAPARI_CONFIG"] = str(_session_dir / "napari" / "settings.yaml")
    os.environ["MPLCONFIGDIR"] = str(_session_dir / "matplotlib")
    os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
    os.environ[MARK] = uuid.uuid4().hex
    for name in (*OWN_VARIABLES, "NAPARI_TOOL_RUNNER_TOOLBOXES"):
        os.environ.pop(name, None)


def _choose_qt() -> None:
    """One binding for qtpy and pytest-qt alike; QT_API chooses, PyQt6 by default."""
    for binding in (os.environ.get("QT_API"), "pyqt6", "pyside6"):
        module = {"pyqt6": "PyQt6", "pyside6": "PySide6"}.get((binding or "").lower())
        if module and importlib.util.find_spec(module):
            os.environ["QT_API"] = os.environ["PYTEST_QT_API"] = module.lower()
            return


_isolate_session()
_choose_qt()


# -- the network -------------------------------------------------------------------

_real_connect = socket.socket.connect
_real_connect_ex = socket.socket.connect_ex


def _stays_here(sock: socket.socket, address: object) -> bool:
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple):
        return True
    host = str(address[0])
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("localhost", "")


def _guarded_connect(sock: socket.socket, address: object) -> None:
    if not _stays_here(sock, address):
        raise OSError(errno.ENETUNREACH, f"tests reach this computer only, not {address!r}")
    _real_connect(sock, address)  # type: ignore[arg-type]


def _guarded_connect_ex(sock: socket.socket, address: object) -> int:
    if not _stays_here(sock, address):
        return errno.ENETUNREACH
    return _real_connect_ex(sock, address)  # type: ignore[arg-type]


def pytest_configure(config: pytest.Config) -> None:
    socket.socket.connect = _guarded_connect  # type: ignore[method-assign, assignment]
    socket.socket.connect_ex = _guarded_connect_ex  # type: ignore[method-assign, assignment]


def pytest_unconfigure(config: pytest.Config) -> None:
    socket.socket.connect = _real_connect  # type: ignore[method-assign]
    socket.socket.connect_ex = _real_connect_ex  # type: ignore[method-assign]
    shutil.rmtree(_session_dir, ignore_errors=True)


def pytest_report_header(config: pytest.Config) -> list[str]:
    return [
        f"qt binding: {os.environ.get('QT_API', 'none installed')}",
        f"corpus: {'found' if CORPUS else 'absent, its tests are skipped'}",
    ]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[pytest.TestReport]:
    """Where a part must be (NTR_MUST_RUN names markers), its absence is a failure.

    A skip for another reason is allowed with the marker ``may_skip``.
    """
    report = yield
    must = os.environ.get("NTR_MUST_RUN", "").split()
    if (
        report.skipped
        and not hasattr(report, "wasxfail")
        and any(item.get_closest_marker(name) for name in must)
        and not item.get_closest_marker("may_skip")
    ):
        report.outcome = "failed"
        report.longrepr = f"must run here (NTR_MUST_RUN), but was skipped: {report.longrepr}"
    return report


# per cent of each room's lines and branches that the whole suite passes through
LEAST = {"tools": 95.0, "plugins": 95.0, "exchange": 95.0, "jobs": 95.0}

_told = pytest.StashKey[dict[str, float]]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[object]:
    """With ``--cov``, each room is measured; one below `LEAST` fails the run."""
    result = yield
    if session.config.getoption("cov_source", None) and not hasattr(session.config, "workerinput"):
        from coverage import Coverage

        measured = Coverage()
        measured.load()
        places = {room: f"*/napari_tool_runner/{room}/*" for room in LEAST}
        told = {room: measured.report(include=[place], file=io.StringIO())
                for room, place in places.items()}  # fmt: skip
        session.config.stash[_told] = told
        session.testsfailed += sum(share < LEAST[room] for room, share in told.items())
    return result


@pytest.hookimpl(trylast=True)  # after the table of coverage
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for room, share in terminalreporter.config.stash.get(_told, {}).items():
        fine = share >= LEAST[room]
        word = "" if fine else f": FAIL, at least {LEAST[room]:g} % is wanted"
        terminalreporter.write_line(f"coverage of {room} {share:.1f} %{word}", red=not fine)
    failed = os.environ.get("NTR_FAILED_STAGES")
    if failed:
        terminalreporter.write_sep("=", "CI stages that failed before the tests", red=True)
        terminalreporter.write_line(failed)


# -- fixtures ----------------------------------------------------------------------


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of descriptors that this repository does not hold; skips without."""
    if CORPUS is None:
        pytest.skip(NO_CORPUS)
    return CORPUS


@pytest.fixture(autouse=True)
def user_dirs(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Fresh per-user folders for this test; returns the folder that holds them."""
    base = tmp_path_factory.mktemp("user")
    for name in USER_DIRS:
        monkeypatch.setenv(name, str(base / name.removeprefix("XDG_").lower()))
    for name in OWN_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(base / "site"))
    # what the reader's process does here in tests of it stays for ever: taken back after each
    monkeypatch.setattr(tempfile, "tempdir", tempfile.gettempdir())
    return base


@pytest.fixture(autouse=True)
def no_process_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that leaves a process of its own behind (and end that process)."""
    before = set(psutil.pids())
    yield
    deadline = time.monotonic() + 5
    left = _own_processes(before)
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = _own_processes(before)
    if not left:
        return
    names = [_describe(process) for process in left]
    for process in left:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    pytest.fail(f"{request.node.nodeid} left processes behind: {'; '.join(names)}")


@pytest.fixture(autouse=True)
def cold(
    request: pytest.FixtureRequest, no_process_left: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Start programs cold, but in tests that ask for `warm` (all with NTR_WARM)."""
    from napari_tool_runner.plugins.warm import pool

    if os.environ.get("NTR_WARM"):
        request.getfixturevalue("warm")
    elif "warm" not in request.fixturenames:
        monkeypatch.setattr(pool, "interpreter_of", lambda _: None)
    yield
    pool.close()


@pytest.fixture
def warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let programs be forked from a process that has imported what they import, unless told."""
    from napari_tool_runner import settings
    from napari_tool_runner.plugins.warm import serving

    monkeypatch.setattr(settings, "WARM", replace(settings.WARM, default=True))
    monkeypatch.setattr(serving, "LEAST", 0.0)  # programs of tests import little
    monkeypatch.setattr(serving, "_PATIENCE", 9.0)  # a busy computer forks late


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Try tests of warm programs again.

    A program starts cold whenever what forks it is late or memory is short, as while other tests
    run; that is meant, and these tests want it warm.
    """
    for item in items:
        if isinstance(item, pytest.Function) and "warm" in item.fixturenames:
            item.add_marker(pytest.mark.flaky(reruns=2))


def _own_processes(before: set[int]) -> list[psutil.Process]:
    """Processes of this session, newer than `before`, that no session fixture owns.

    Children alone would not do: what a killed program started belongs to init.
    """
    mark = os.environ[MARK]
    session_wide: set[int] = set()
    found = []
    for pid in sorted(set(psutil.pids()) - before):
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            variables = process.environ()
            mine = variables.get("NAPARI_TOOL_RUNNER_RUN", "").startswith(f"{os.getpid()}-")
            if not mine and variables.get(MARK) != mark:
                continue
            command = " ".join(process.cmdline())
            if (
                process.name().startswith(LONG_LIVED)
                or any(helper in command for helper in HELPERS)
                or process.ppid() in session_wide
            ):
                session_wide.add(pid)
                continue
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        found.append(process)
    return found


def _describe(process: psutil.Process) -> str:
    try:
        return f"{process.pid} ({' '.join(process.cmdline())[:200]})"
    except psutil.NoSuchProcess:
        return f"{process.pid} (gone since)"


# -- a container engine: one for all rooms (another copy of a fixture starts another) ---


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[Engine]:
    """A running engine with a busybox image; skips where none can start."""
    import docker_engine as engines

    reason = engines.why_not() or ("" if engines.busybox() else "no static busybox (apt)")
    if reason:
        pytest.skip(f"no container engine: {reason}")
    engine = engines.start_engine()
    try:
        engines.busybox_image(engine.client)
        yield engine
    finally:
        engine.remove()


@pytest.fixture(scope="session")
def docker_python(docker_engine: Engine) -> str:
    """An image with this Python, numpy and tifffile, which takes seconds to make."""
    from docker_engine import python_image

    return python_image(docker_engine.client, "localhost/python:1", ("numpy", "tifffile"))


@pytest.fixture(scope="session")
def docker_registry() -> Iterator[Registry]:
    """A registry on loopback; skips where there is none."""
    import docker_engine as engines

    if engines.which("docker-registry") is None:
        pytest.skip("no registry: docker-registry is not installed (apt)")
    registry = engines.Registry()
    try:
        registry.start()
        yield registry
    finally:
        registry.remove()
