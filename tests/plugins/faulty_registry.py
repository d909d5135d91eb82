"""A proxy before a registry that breaks what passes: cuts, damages, slows, refuses."""

from __future__ import annotations

import base64
import http.client
import http.server
import socket
import struct
import threading
import time
from typing import Literal

Fault = Literal["none", "cut", "damage", "slow", "error", "login", "hang"]
LOGIN = ("who", "secret words")


class FaultyRegistry:
    """Forwards to `upstream` (``host:port``); `fault` may be changed at any time.

    Large blobs only are cut (in the middle), damaged, slowed (1/50 every 0.1 s), hung (in the
    middle, until `release`) or answered with 500; ``login`` wants `LOGIN` for everything.
    """

    def __init__(self, upstream: str) -> None:
        self.fault: Fault = "none"
        self.asked: list[str] = []
        self.half_sent = threading.Event()
        self.released = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                outer.asked.append(self.path)
                if outer.fault == "login" and not self._known():
                    return self._answer(401, {"WWW-Authenticate": 'Basic realm="x"'})
                names = [name for name in self.headers if name.lower() not in ("host", "accept")]
                headers = {name: self.headers[name] for name in names}
                # docker sends several of these
                headers["Accept"] = ", ".join(self.headers.get_all("Accept") or ["*/*"])
                connection = http.client.HTTPConnection(upstream, timeout=20)
                connection.request(self.command, self.path, headers=headers)
                response = connection.getresponse()
                body = response.read()
                if "/blobs/" in self.path and len(body) > 20_000:
                    return self._blob(response, body)
                return self._pass(response, body)

            do_HEAD = do_GET

            def _known(self) -> bool:
                word = base64.b64encode(":".join(LOGIN).encode()).decode()
                return self.headers.get("Authorization") == f"Basic {word}"

            def _answer(self, status: int, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": "0"}.items():
                    self.send_header(name, value)
                self.end_headers()

            def _pass(self, response: http.client.HTTPResponse, body: bytes) -> None:
                self._headers(response)
                if self.command != "HEAD":
                    self.wfile.write(body)

            def _headers(self, response: http.client.HTTPResponse) -> None:
                self.send_response(response.status)
                for name, value in response.getheaders():
                    if name.lower() not in ("transfer-encoding", "connection"):
                        self.send_header(name, value)
                self.end_headers()

            def _blob(self, response: http.client.HTTPResponse, body: bytes) -> None:
                fault, half = outer.fault, len(body) // 2
                if fault == "error":
                    return self._answer(500, {})
                if fault == "damage":
                    body = body[:half] + bytes([body[half] ^ 255]) + body[half + 1 :]
                if fault in ("none", "damage", "login"):
                    return self._pass(response, body)
                self._headers(response)
                if fault == "slow":
                    step = max(1, len(body) // 50)
                    for start in range(0, len(body), step):
                        self.wfile.write(body[start : start + step])
                        time.sleep(0.1)
                        outer.half_sent.set()
                    return None
                self.wfile.write(body[:half])
                self.wfile.flush()
                outer.half_sent.set()
                if fault == "hang":
                    outer.released.wait(60)
                # a reset, not an orderly end
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.close_connection = True
                self.connection.close()
                return None

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Clients that hang up are what is tested."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.address = f"localhost:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def release(self) -> None:
        """End what hangs."""
        self.released.set()

    def close(self) -> None:
        """Stop."""
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
