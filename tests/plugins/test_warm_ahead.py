"""What napari makes of a process in a container that is another one than expected."""

from __future__ import annotations

import socket
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from napari_tool_runner.plugins.docker import ahead
from napari_tool_runner.plugins.docker.ahead import ContainerServer, Wanted
from napari_tool_runner.plugins.docker.client import Engine
from napari_tool_runner.plugins.docker.images import Image, parse_reference
from napari_tool_runner.plugins.warm.asked import Asked
from napari_tool_runner.plugins.warm.interpreter import told_by
from napari_tool_runner.plugins.warm.learned import Learned
from support import short_path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs start cold elsewhere")
PYTHON = ("/usr/bin/python3", "/usr/bin/python3.11", "7", "8", "python", "python3")
ASKED = Asked(("python",), "tool", "/job", "/work", {"HOME": "\0/home"}, ("tool",))
WANTED = Wanted(Image("sha256:123456789abcdef", parse_reference("a/b:1")), ASKED)


def engine_of(stream: Iterator[bytes]) -> Engine:
    """An engine that starts no program, and tells `stream` of one."""
    api = SimpleNamespace(
        exec_create=lambda *_, **__: {"Id": "e"}, exec_start=lambda *_, **__: stream
    )
    return Engine(SimpleNamespace(api=api), cast("ahead.Endpoint", None))


def silent(until: threading.Event) -> Iterator[bytes]:
    until.wait()
    yield b""


def start(folder: Path, *packets: bytes) -> None:
    """Start what connects and tells `packets`, then ends."""
    until = threading.Event()

    def tell() -> None:
        with (
            short_path(folder) as place,
            socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link,
        ):
            while link.connect_ex(f"{place}/control"):
                until.wait(0.01)
            for one in packets:
                link.send(one)

    thread = threading.Thread(target=tell)
    thread.start()
    try:
        ContainerServer(engine_of(silent(until)), "c", folder, WANTED)
    finally:
        until.set()
        thread.join()


def test_what_is_no_python_is_refused() -> None:
    found = told_by(PYTHON)
    assert found == (PYTHON[0], (PYTHON[1], 7, 8), PYTHON[4:])
    for words in (
        PYTHON[:4],
        PYTHON[:3],
        ("python", *PYTHON[1:]),
        ("/a b", *PYTHON[1:]),
        ("/" + "a" * 200, *PYTHON[1:]),
        (*PYTHON, "../x"),
        (*PYTHON, ".x"),
        (*PYTHON[:2], "x", *PYTHON[3:]),
    ):
        with pytest.raises(ValueError, match=r"."):
            told_by(words)


def test_one_that_tells_something_else_or_ends_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"."):
        start(tmp_path, b"I/bin\0else")
    tell = b"I" + b"\0".join(map(str.encode, ("/bin", *PYTHON)))
    with pytest.raises(OSError, match=r"."):
        start(tmp_path, tell)
    assert (tmp_path / "bin" / "python").readlink() == Path("../handover")
    assert (tmp_path / "real" / "python").readlink() == Path("/usr/bin/python")


def test_one_that_says_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "_START", 0.0)
    until = threading.Event()
    with pytest.raises(OSError, match="does not begin"):
        ContainerServer(engine_of(silent(until)), "c", tmp_path, WANTED)
    until.set()
    monkeypatch.undo()
    with pytest.raises(OSError, match=r"^last$"):
        ContainerServer(engine_of(iter([b"first\n", b"la", b"st\n"])), "c", tmp_path, WANTED)


def test_one_whose_process_is_not_seen_is_none() -> None:
    other = SimpleNamespace(getsockopt=lambda *_: struct.pack("3i", 0, 0, 0))
    with pytest.raises(OSError, match="not seen from here"):
        ahead._pid_of(cast("socket.socket", other))


def test_what_cannot_be_imported_ahead_is_left_out() -> None:
    learned = Learned()
    kinds = [learned.of("python", "tool", kind) for kind in (b"1", b"2", b"3", b"4", b"5")]
    learned.of("python", "other", b"1")
    for one in kinds[:4]:
        learned.hear("tool", one.number, "+\tab\t\n?\ta.b\t\n+\tc\t\n=\ta\tx\n-\tc\tx")
    assert learned.last("python", "tool") == kinds[1:4]
    learned.leave_out(kinds[1].number, "a")
    assert kinds[1].told == "+\tab\t\n=\ta\tx\n-\tc\tx"  # nor what comes after it
    assert kinds[2].told != kinds[1].told
