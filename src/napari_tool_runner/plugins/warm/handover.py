"""Stands for an environment's Python: hands its call over to the process that has imported.

Any Python from 3.8 on runs it as ``python -IS``, for each call: so it imports only what is built
in or costs nothing, and no types. Where nobody takes the call, it becomes the program that it
stands for.

It lies in ``FOLDER/bin`` under the names of programs; ``FOLDER/real`` holds links of the same
names to the programs themselves.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _socket
import os
import struct
import sys

__all__ = ["SOCKET", "is_plain", "kind_of", "main", "send"]

SOCKET = "NAPARI_TOOL_RUNNER_WARM"
"""The variable that tells programs where calls are taken."""
_SEEN = 16384  # bytes that are sent at once; what tells calls apart lies in them
_WAIT = 10.0  # seconds until somebody takes the call
_KNOWN = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGXCPU"]
_PASSED_ON: list[int] = [int(getattr(_signal, one)) for one in _KNOWN if hasattr(_signal, one)]


def main() -> None:
    """Hand the call over, wait for its end, and end as it did."""
    name = os.path.basename(sys.argv[0])
    folder = os.path.dirname(os.path.dirname(os.path.abspath(sys.argv[0])))
    real = os.readlink(os.path.join(folder, "real", name))
    words, program = sys.argv[1:], real
    try:
        _forget_locale()
        if not name.startswith("python"):
            words, program = [real, *words], _interpreter(real)
        link = _ask(program, words) if is_plain(words) else None
    except (OSError, ValueError):
        link = None
    if link is None:
        os.execv(real, [real, *sys.argv[1:]])  # noqa: S606
    status = _follow(link)
    if os.WIFSIGNALED(status):
        import resource

        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number != _signal.SIGKILL:
            _signal.signal(number, _signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))


def _forget_locale() -> None:
    """Take away what Python itself sets where no locale is usable; the program does so again."""
    if "LC_CTYPE" in os.environ:
        with open("/proc/self/environ", "rb") as file:
            if b"\0LC_CTYPE=" not in b"\0" + file.read():
                del os.environ["LC_CTYPE"]


def _interpreter(script: str) -> str:
    """Return the Python of a script's first line."""
    with open(script, "rb") as file:
        return os.fsdecode(file.readline(4096)[2:].strip())


def is_plain(words: list[str], folder: str = "") -> bool:
    """Whether it is a script, a module or a text, without options of Python's own."""
    if not words or words[0] in ("-m", "-c"):
        return len(words) > 1
    path = os.path.join(folder, words[0])
    if words[0].startswith("-") or not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return b"\0" not in file.read()  # an archive; compiled


def _ask(program: str, words: list[str]) -> _socket.socket | None:
    """Return the connection on which the call was taken; None where nobody took it."""
    path = os.environb.get(SOCKET.encode(), b"")
    if not path or not program:
        return None
    link = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    link.settimeout(_WAIT)
    link.connect(path)
    numbers = [int(one) for one in os.listdir("/proc/self/fd")]
    files = {one: one for one in sorted(numbers) if _is_passed(one)}
    umask = os.umask(0o077)
    os.umask(umask)
    told = (kind_of(words), program, os.getcwdb(), path)
    pairs = [name + b"=" + value for name, value in os.environb.items()]
    send(link, told, files, umask, words, pairs)
    if link.recv(1) != b"s":
        link.close()
        return None
    link.sendall(b"g")
    link.settimeout(None)
    return link


def send(
    link: _socket.socket,
    told: tuple[bytes, str, bytes, bytes],
    files: dict[int, int],
    umask: int,
    words: list[str],
    variables: list[bytes],
) -> None:
    """Send a call.

    Parameters
    ----------
    told : tuple
        Its kind, its program, its folder, and where it tells what it has imported.
    files : dict
        The open files, by the numbers that they are to have.
    """
    ignored = [one for one in _PASSED_ON if _signal.getsignal(one) == _signal.SIG_IGN]
    limits = [[umask], ignored, sorted(os.sched_getaffinity(0)), *_limits()]
    kind, program, folder, path = told
    sections = [
        b"run",
        kind,
        os.fsencode(program),
        folder,
        path,
        " ".join(map(str, files)).encode(),
        "\n".join(" ".join(map(str, one)) for one in limits).encode(),
        b"".join(os.fsencode(one) + b"\0" for one in words),
        b"".join(one + b"\0" for one in variables),
    ]
    data = b"".join(struct.pack("=Q", len(one)) + one for one in sections)
    passed = struct.pack(f"{len(files)}i", *files.values())
    rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, passed)]
    link.sendmsg([struct.pack("=Q", len(data)) + data[:_SEEN]], rights)
    link.sendall(data[_SEEN:])


def kind_of(words: list[str], folder: str = "") -> bytes:
    """Return what calls have in common that import the same at their begin."""
    told = words[:2] if words[0] in ("-m", "-c") else words[:1]
    if len(told) == 1:
        found = os.stat(os.path.join(folder, words[0]))
        told = [*told, str(found.st_ino), str(found.st_mtime_ns), str(found.st_size)]
    kind = os.fsencode("\0".join(told))
    return kind if len(kind) < _SEEN // 2 else b""


def _is_passed(number: int) -> bool:
    try:
        # not the namespace of users that bubblewrap leaves open: its own
        inherited = os.get_inheritable(number)
        return inherited and not os.readlink(f"/proc/self/fd/{number}").startswith("user:")
    except OSError:
        return False  # that of the listing itself


def _limits() -> list[tuple[int, ...]]:
    import resource

    names = [one for one in dir(resource) if one.startswith("RLIMIT_")]
    numbers = [int(getattr(resource, one)) for one in names]
    limits = [(one, *resource.getrlimit(one)) for one in numbers]
    return [(os.getpriority(os.PRIO_PROCESS, 0),), *limits]


def _follow(link: _socket.socket) -> int:
    """Pass signals on until the end; return how it ended."""

    def pass_on(number: int, _: object) -> None:
        try:  # noqa: SIM105 (what suppresses would have to be imported)
            link.send(bytes([number]))
        except OSError:
            pass

    for number in _PASSED_ON:
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, pass_on)
    told = b""
    while len(told) < 5:
        more = link.recv(5 - len(told))
        if not more:
            return int(_signal.SIGKILL)  # what ran it was killed
        told += more
    status: int = struct.unpack("=ci", told)[1]
    return status


if __name__ == "__main__":
    main()
