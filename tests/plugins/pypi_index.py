"""An index like PyPI on loopback, of tiny wheels that the tests make."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import threading
import time
import zipfile
from dataclasses import dataclass, field

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}"
WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n"


@dataclass
class File:
    name: str
    content: bytes
    metadata: bytes = b""
    yanked: str | bool = False
    served: bytes = field(default=b"", repr=False)
    """What is served in place of its content."""


def wheel(name, version, *, needs=(), tag="py3-none-any", files=None, python="", size=0):
    """Make a wheel whose module of its name knows the version."""
    more = "".join(f"Requires-Dist: {one}\n" for one in needs)
    more += f"Requires-Python: {python}\n" if python else ""
    told = METADATA.format(name=name, version=version, more=more).encode()
    module, info = name.replace("-", "_"), f"{name.replace('-', '_')}-{version}.dist-info"
    inside = {f"{module}.py": f"VERSION = {version!r}\n".encode(), **(files or {})}
    inside |= {f"{info}/METADATA": told, f"{info}/WHEEL": WHEEL.format(tag=tag).encode()}
    if size:
        inside[f"{module}_data.bin"] = bytes(size)
    inside[f"{info}/RECORD"] = "".join(f"{one},,\n" for one in inside).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in inside.items():
            archive.writestr(path, content)
    return File(f"{module}-{version}-{tag}.whl", buffer.getvalue(), told)


class Index:
    """Serves files; can be slow, and be stopped."""

    def __init__(self) -> None:
        self.files: dict[str, list[File]] = {}
        self.requests: list[str] = []
        self.pause = 0.0
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/simple"

    def add(self, name, *files):
        self.files.setdefault(name, []).extend(files)

    def stop(self) -> None:
        if self._thread.is_alive():
            self._http.shutdown()
            self._http.server_close()
            self._thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        owner = self.server.owner
        owner.requests.append(self.path)
        kind, _, name = self.path.strip("/").partition("/")
        files = {one.name: one for found in owner.files.values() for one in found}
        if kind == "simple" and name in owner.files:
            told = [self._told(one) for one in owner.files[name]]
            text = json.dumps({"meta": {"api-version": "1.1"}, "name": name, "files": told})
            self._send(text.encode(), "application/vnd.pypi.simple.v1+json")
        elif kind == "files" and name in files:
            self._send(files[name].served or files[name].content)
        elif name.endswith(".metadata") and name.removesuffix(".metadata") in files:
            self._send(files[name.removesuffix(".metadata")].metadata)
        else:
            self._send(b"nothing", code=404)

    do_HEAD = do_GET

    def _told(self, one):
        told = {"filename": one.name, "url": f"../../files/{one.name}", "yanked": one.yanked}
        told |= {"hashes": {"sha256": hashlib.sha256(one.content).hexdigest()}}
        told |= {"size": len(one.content), "upload-time": "2026-01-01T00:00:00Z"}
        if one.metadata:
            digest = hashlib.sha256(one.metadata).hexdigest()
            told["core-metadata"] = {"sha256": digest}
        return told

    def _send(self, content, kind="application/octet-stream", code=200):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        pause = self.server.owner.pause if "/files/" in self.path and code == 200 else 0
        try:
            for at in range(0, len(content), 65536) if self.command == "GET" else ():
                self.wfile.write(content[at : at + 65536])
                if pause:
                    time.sleep(pause)
        except (BrokenPipeError, ConnectionResetError):
            return

    def log_message(self, *args):
        pass
