"""A call of an environment's Python, and how a fork becomes the process that was called.

It lies beside ``server.py``, which runs it: with the standard library of any Python from 3.8 on.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import fcntl
import importlib
import io
import os
import resource
import signal
import socket
import stat
import struct
import sys
import time
import types
from collections.abc import Mapping
from importlib.machinery import BuiltinImporter, SourceFileLoader

from warm_imports import Ahead, forget_others, forget_temporary  # type: ignore[import-not-found]
from warm_leading import Leading  # type: ignore[import-not-found]
from warm_spare import written_pages  # type: ignore[import-not-found]

# what differs from call to call and is read by no package
_PASSING = ("PWD", "OLDPWD", "SHLVL", "_", "NAPARI_TOOL_RUNNER_WARM", "NAPARI_TOOL_RUNNER_RUN")
_MOST = 1 << 26  # bytes of a call
_FILES = 253  # that one message can bring
_SECTIONS = 9
_NAMES = ("stdin", "stdout", "stderr")


class Call:
    """What the hand-over program told: words, variables, folder, open files, limits.

    Raises
    ------
    OSError, ValueError
        It is not one: whoever wrote it is a program of others.
    """

    def __init__(self, connection: socket.socket) -> None:
        head, self.files = receive(connection, 8)
        (size,) = struct.unpack("=Q", head + _read(connection, 8 - len(head)))
        if size > _MOST:
            raise OSError("the call is too long")
        data = _read(connection, size)
        sections = []
        while data:
            (length,) = struct.unpack_from("=Q", data)
            sections.append(data[8 : 8 + length])
            data = data[8 + length :]
        if len(sections) != _SECTIONS or sections[0] != b"run":
            raise OSError("the call is of another kind")
        _, self.kind, program, folder, self.told, numbers, limits, words, variables = sections
        self.program, self.folder = os.fsdecode(program), os.fsdecode(folder)
        self.numbers = _numbers(numbers)
        if len(self.numbers) != len(self.files):
            raise OSError("files are missing")
        umask, ignored, *rest = limits.split(b"\n")
        self.umask, self.ignored = int(umask), _numbers(ignored)
        self.limits = [_numbers(line) for line in rest]
        self.words = [os.fsdecode(one) for one in words.split(b"\0")[:-1]]
        pairs = (one.partition(b"=") for one in variables.split(b"\0")[:-1])
        self.variables = {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}

    def at_import(self, root: str, stands_for: str) -> dict[str, str]:
        """Return the variables as packages may read them, with another folder for the job's."""
        told = self.lasting(self.variables)
        return {name: value.replace(root, stands_for) for name, value in told.items()}

    @staticmethod
    def lasting(variables: Mapping[str, str]) -> dict[str, str]:
        """Return the variables that packages may read."""
        return {name: value for name, value in variables.items() if name not in _PASSING}

    def is_as_told(self) -> bool:
        """Whether its file is, seen from here, the one that the caller saw."""
        if self.words[0] in ("-m", "-c") or not self.kind:
            return True
        try:
            found = os.stat(os.path.join(self.folder, self.words[0]))
        except OSError:
            return False
        told = (found.st_ino, found.st_mtime_ns, found.st_size)
        return self.kind.split(b"\0")[1:] == [b"%d" % one for one in told]

    def first_place(self) -> str:
        """Return where modules are looked for first; empty when nowhere besides."""
        if getattr(sys.flags, "safe_path", False):
            return ""
        if self.words[0] in ("-m", "-c"):
            return self.folder
        return os.path.dirname(os.path.realpath(os.path.join(self.folder, self.words[0])))

    def has_usual_streams(self) -> bool:
        """Whether the standard files are of the kinds that Python began with."""
        given = dict(zip(self.numbers, self.files))  # noqa: B905 (strict is of Python 3.10)
        return all(_kind(given.get(number, -1)) == _KINDS[number] for number in range(3))

    def settle(self, ahead: Ahead, root: str, begun: frozenset[str]) -> None:
        """Make this process what a fresh one would be before it looks at the script."""
        _place_files(self.files, self.numbers)
        _settle_streams()
        os.umask(self.umask)
        for number in self.ignored:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, signal.SIG_IGN)
        os.chdir(self.folder)
        for name in os.environ.keys() - self.variables.keys():
            del os.environ[name]
        os.environ.update(self.variables)
        with contextlib.suppress(KeyError):
            found = sys.modules["posix"].environ
            found.clear()
            found.update({os.fsencode(one): os.fsencode(v) for one, v in self.variables.items()})
        for name, value in ahead.variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        for path in [one for one, found in sys.path_importer_cache.items() if found is None]:
            del sys.path_importer_cache[path]
        ahead.relocate(root)
        ahead.runs = True
        _draw_anew()
        if not ahead.files:
            forget_others(begun)
        sys.executable = self.program
        if hasattr(sys, "orig_argv"):
            sys.orig_argv = [self.program, *self.words]


def run(
    call: Call,
    ahead: Ahead,
    root: str,
    places: tuple[str, ...],
    number: int,
    begun: frozenset[str],
) -> None:
    """Run the script of `call` as Python does, and end as it does.

    Parameters
    ----------
    root : str
        The job's own folder.
    places : tuple of str
        Folders of what is installed.
    number : int
        Under which modules, or pages that were written, are told at the end; 0: they are not.
    begun : frozenset of str
        The modules that Python has by itself.
    """
    first = call.first_place()
    own = tuple(os.path.join(one, "") for one in {first or call.folder, call.folder})
    call.settle(ahead, root, begun)
    main = types.ModuleType("__main__")
    main.__dict__.update(__builtins__=sys.modules["builtins"], __spec__=None)
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    sys.modules.update(dict.fromkeys(ahead.asked.aliases, main))
    if first:
        sys.path.insert(0, "" if call.words[0] == "-c" else first)
    if number and ahead.files:
        atexit.register(_tell_written, call, number)
    elif number:
        leading = Leading(places, own, call.words[1] if call.words[0] == "-c" else "")
        sys.meta_path.insert(0, leading)
        atexit.register(_tell_modules, call, number, leading)
    try:
        if call.words[0] == "-m":
            sys.argv = ["-m", *call.words[2:]]
            importlib.import_module("runpy")._run_module_as_main(call.words[1])
        elif call.words[0] == "-c":
            sys.argv = ["-c", *call.words[2:]]
            main.__dict__.update(__loader__=BuiltinImporter)
            exec(compile(call.words[1], "<string>", "exec", 0, True), main.__dict__)  # noqa: S102
        else:
            _run_file(call.words, main)
    except SystemExit:
        raise
    except BaseException as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        error.__traceback__ = trace
        sys.last_type, sys.last_value, sys.last_traceback = type(error), error, trace
        if sys.version_info >= (3, 12):
            sys.last_exc = error
        sys.excepthook(type(error), error, trace)
        sys.excepthook = lambda *_: None  # it was told, and Python ends as it does
        raise


def own_limits() -> list[list[int]]:
    """Return the limits of this process, as a call tells its own."""
    limits = [sorted(os.sched_getaffinity(0)), [os.getpriority(os.PRIO_PROCESS, 0)]]
    for name in dir(resource):
        if name.startswith("RLIMIT_"):
            which = getattr(resource, name)
            limits.append([which, *resource.getrlimit(which)])
    return limits


def receive(link: socket.socket, size: int = 1 << 18) -> tuple[bytes, list[int]]:
    """Return a packet and the files that it brought; nothing at the end."""
    files = array.array("i")
    data, told, _, _ = link.recvmsg(size, socket.CMSG_SPACE(_FILES * files.itemsize))
    for level, kind, value in told:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            files.frombytes(value[: len(value) - len(value) % files.itemsize])
    return data, list(files)


def _run_file(words: list[str], main: types.ModuleType) -> None:
    path = words[0]
    sys.argv = list(words)
    told = path
    if sys.version_info >= (3, 9) and not os.path.isabs(path):
        told = os.path.join(os.getcwd(), path)
    loader = SourceFileLoader("__main__", told)
    main.__dict__.update(__file__=told, __cached__=None, __loader__=loader)
    with open(path, "rb") as file:
        source = file.read()
    del file  # `sys.exit` keeps what is held here, and a file has an end
    exec(compile(source, told, "exec", 0, True), main.__dict__)  # noqa: S102


def _tell_modules(call: Call, number: int, leading: Leading) -> None:
    """Tell what was imported at the begin of the program."""
    _tell(call, b"learned", number, leading.told())


def _tell_written(call: Call, number: int) -> None:
    """Tell which pages of its memory the program has written to."""
    with contextlib.suppress(OSError):
        _tell(call, b"written", number, written_pages())


def _tell(call: Call, what: bytes, number: int, told: str) -> None:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as link:
        link.settimeout(2)
        link.connect(os.fsdecode(call.told))
        text = told.encode("utf-8", "surrogateescape")
        sections = [what, str(number).encode(), text]
        data = b"".join(struct.pack("=Q", len(one)) + one for one in sections)
        link.sendall(struct.pack("=Q", len(data)) + data)
        link.recv(1)


def _draw_anew() -> None:
    """Let each fork have chance, times and temporary files of its own."""
    for name in ("numpy.random", "torch"):  # `random` does it by itself
        if name in sys.modules:
            with contextlib.suppress(Exception):
                sys.modules[name].seed()
    if "tempfile" in sys.modules:
        forget_temporary()
    if "threading" in sys.modules:
        main = sys.modules["threading"].main_thread()
        main._stderr = sys.stderr
        with contextlib.suppress(AttributeError):
            main._set_native_id()
    if "logging" in sys.modules:
        begun = sys.modules["logging"]._startTime
        now = time.time_ns() if isinstance(begun, int) else time.time()
        sys.modules["logging"]._startTime = now  # type: ignore[attr-defined]
    if "multiprocessing.process" in sys.modules:
        with contextlib.suppress(AttributeError):
            sys.modules["multiprocessing.process"].current_process().authkey = os.urandom(32)


def _read(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        more = connection.recv(min(size - len(data), 1 << 20))
        if not more:
            raise OSError("the call broke off")
        data += more
    return bytes(data)


def _numbers(text: bytes) -> list[int]:
    return [int(one) for one in text.split()]


def _place_files(files: list[int], numbers: list[int]) -> None:
    """Give `files` their numbers, and close all others."""
    top = 1 + max([*files, *numbers, *(int(one) for one in os.listdir("/proc/self/fd"))])
    held = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, top) for one in files]
    os.closerange(0, top)
    for one, number in zip(held, numbers):  # noqa: B905 (strict is of Python 3.10)
        os.dup2(one, number)
        os.close(one)


def _kind(file: int) -> tuple[int, bool] | None:
    """Return of which kind an open file is; None for a closed one."""
    try:
        return stat.S_IFMT(os.fstat(file).st_mode), os.isatty(file)
    except OSError:
        return None


_KINDS = tuple(_kind(number) for number in range(3))


def _settle_streams() -> None:
    """Make streams of files that are of another kind than those that Python began with."""
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))  # the same in the call
    for number, name in enumerate(_NAMES):
        if _kind(number) != _KINDS[number]:
            stream = _stream(number, getattr(sys, name), unbuffered=unbuffered)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def _stream(number: int, like: io.TextIOWrapper, *, unbuffered: bool) -> io.TextIOWrapper | None:
    """Return the stream that Python makes of a standard file; None for a closed one."""
    try:
        os.fstat(number)
    except OSError:
        return None
    writes = number > 0
    raw = io.FileIO(number, "wb" if writes else "rb", closefd=False)
    raw.name = f"<{_NAMES[number]}>"
    inner: io.FileIO | io.BufferedReader | io.BufferedWriter = raw
    if not writes:
        inner = io.BufferedReader(raw)
    elif not unbuffered:
        inner = io.BufferedWriter(raw)
    stream = io.TextIOWrapper(
        inner,
        encoding=like.encoding,
        errors=like.errors,
        newline="\n",
        line_buffering=not unbuffered and (number == 2 or raw.isatty()),
        write_through=unbuffered,
    )
    setattr(stream, "mode", "w" if writes else "r")  # noqa: B010 (its type has none)
    return stream
