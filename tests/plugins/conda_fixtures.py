"""Fixtures with a real conda channel, on disk and on loopback."""

from __future__ import annotations

import asyncio
import functools
import http.server
import io
import json
import re
import shutil
import threading
import time
from pathlib import Path

import pytest

from plugins import conda_channel


@pytest.fixture(scope="session")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is a conda channel; tests do not change it."""
    pytest.importorskip("rattler_build", reason="py-rattler-build is not installed")
    return conda_channel.build_channel(tmp_path_factory.mktemp("channel") / "chan")


@pytest.fixture(scope="session")
def python_channel(tmp_path_factory: pytest.TempPathFactory, channel: Path) -> Path:
    """The same, with the running Python in it."""
    folder = tmp_path_factory.mktemp("python-channel") / "chan"
    shutil.copytree(channel, folder)
    try:
        conda_channel.add_python(folder)
    except RuntimeError as error:
        pytest.skip(str(error))
    return folder


class ChannelServer:
    """Serves a channel on loopback; can be slow, ask for a password, and be stopped."""

    def __init__(self, folder: Path) -> None:
        self.requests: list[str] = []
        self.authorizations: list[str] = []
        self.chunk_pause = 0.0
        self.password = ""
        self.unchanged = False
        """Whether it answers that nothing has changed, also to who has nothing yet."""
        self.below = re.compile("$^")
        """What comes before the channel in the addresses of its files."""
        handler = functools.partial(_Handler, directory=str(folder))
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.owner = self
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        owner = self.server.owner
        owner.requests.append(self.path)
        given = self.headers.get("Authorization", "")
        owner.authorizations.append(given)
        if owner.unchanged:  # of the index as a whole; there is none in parts
            self.send_response(404 if self.path.endswith(".msgpack.zst") else 304)
            self.end_headers()
            return
        if owner.password and given != owner.password:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="test"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.path = owner.below.sub("", self.path)
        super().do_GET()

    def end_headers(self):
        # nothing stays fresh: every reading of the index asks again
        self.send_header("Cache-Control", "max-age=0")
        super().end_headers()

    def copyfile(self, source, outputfile):
        pause = self.server.owner.chunk_pause
        try:
            while data := source.read(64 * 1024):
                outputfile.write(data)
                if pause:
                    time.sleep(pause)
        except (BrokenPipeError, ConnectionResetError):
            return

    def log_message(self, *args):
        pass


@pytest.fixture
def server(channel: Path):
    served = ChannelServer(channel)
    yield served
    served.stop()


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have environments made by a loop of this process, where coverage sees what is done."""
    from napari_tool_runner.plugins.conda import apart, worker
    from napari_tool_runner.plugins.conda.orders import Order
    from napari_tool_runner.tools.isolation.wire import to_line

    def carry_out(order, cancel, report=lambda event: None, stale=lambda: None):
        told = []
        sent = Order.of(json.loads(to_line(order.told())))
        told.append(asyncio.run(worker.carry_out(sent, told.append)))
        lines = io.BytesIO(b"".join(map(to_line, told)))
        return apart._answer(lines, order, None, report, stale)

    monkeypatch.setattr(apart, "carry_out", carry_out)
