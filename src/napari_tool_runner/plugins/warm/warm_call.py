"""A call of an environment's Python, and how a fork becomes the process that was called.

It lies beside ``server.py``, which runs it: with the standard library of any Python from 3.8 on.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import importlib
import importlib.machinery
import io
import os
import re
import signal
import socket
import struct
import sys
import types
from collections.abc import Mapping

__all__ = ["at_load"]

# variables that packages read when they are loaded
_AT_LOAD = re.compile(
    r"(PYTHON|LD_|LC_|OMP_|GOMP_|KMP_|MKL_|OPENBLAS_|BLIS_|NUMEXPR_|NUMBA_|MPL|CUDA_|NVIDIA_|ROC|HIP_"
    r"|TF_|TORCH|PYTORCH_|JAX_|XLA_|KERAS_|QT_|MALLOC_|ITK_|OPENCV_|SKLEARN_|SCIPY_|NPY_|DASK_"
    r"|JOBLIB_|LOKY_|POLARS_|RAYON_|TBB_|ARROW_|CONDA_|GLIBC_).*|LANG|LANGUAGE|TZ|VIRTUAL_ENV"
)
_MOST = 1 << 26  # bytes of a call
_FILES = 253  # that one message can bring
_NAMES = ("stdin", "stdout", "stderr")
_SECTIONS = {b"run": 8, b"learned": 2}
_MOST_TOLD = 100_000


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
        self.kind = sections[0]
        if len(sections) != _SECTIONS[self.kind]:
            raise OSError("the call is of another kind")
        if self.kind == b"learned":
            self.told = sections[1][:_MOST_TOLD]
            return
        _, program, folder, self.told, numbers, limits, words, variables = sections
        self.program, self.folder = os.fsdecode(program), os.fsdecode(folder)
        self.numbers = _numbers(numbers)
        if len(self.numbers) != len(self.files):
            raise OSError("files are missing")
        umask, ignored, processors, *rest = limits.split(b"\n")
        self.umask, self.ignored = int(umask), _numbers(ignored)
        self.processors = _numbers(processors)
        self.limits = [_numbers(line) for line in rest]
        self.words = [os.fsdecode(one) for one in words.split(b"\0")[:-1]]
        pairs = (one.partition(b"=") for one in variables.split(b"\0")[:-1])
        self.variables = {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}

    def settle(self) -> None:
        """Make this process what a fresh one would be before it looks at the script."""
        unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))  # the same in the call
        _place_files(self.files, self.numbers)
        for number, name in enumerate(_NAMES):
            stream = _stream(number, getattr(sys, name), unbuffered=unbuffered)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        os.umask(self.umask)
        for number in self.ignored:
            signal.signal(number, signal.SIG_IGN)
        _take_limits(self.limits, self.processors)
        os.chdir(self.folder)
        for name in os.environ.keys() - self.variables.keys():
            del os.environ[name]
        os.environ.update(self.variables)
        for path in [one for one, found in sys.path_importer_cache.items() if found is None]:
            del sys.path_importer_cache[path]
        if "tempfile" in sys.modules:
            setattr(sys.modules["tempfile"], "tempdir", None)  # noqa: B010
        for name in ("numpy.random", "torch"):  # one state for all forks
            if name in sys.modules:
                with contextlib.suppress(Exception):
                    sys.modules[name].seed()
        sys.executable = self.program
        if hasattr(sys, "orig_argv"):
            sys.orig_argv = [self.program, *self.words]


def run(call: Call, known: frozenset[str], places: tuple[str, ...]) -> None:
    """Run the script of `call` as Python does, and end as it does.

    Parameters
    ----------
    known : frozenset of str
        Modules that the server has.
    places : tuple of str
        Folders of what is installed: other modules from there are told at the end.
    """
    call.settle()
    main = types.ModuleType("__main__")
    main.__dict__.update(__builtins__=sys.modules["builtins"], __spec__=None)
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    sys.modules["__main__"] = main
    atexit.register(_tell_modules, call, known, places)
    safe = getattr(sys.flags, "safe_path", False)
    try:
        if call.words[0] == "-m":
            if not safe:
                sys.path.insert(0, os.getcwd())
            sys.argv = ["-m", *call.words[2:]]
            importlib.import_module("runpy")._run_module_as_main(call.words[1])
        elif call.words[0] == "-c":
            if not safe:
                sys.path.insert(0, "")
            sys.argv = ["-c", *call.words[2:]]
            main.__dict__.update(__loader__=importlib.machinery.BuiltinImporter)
            exec(compile(call.words[1], "<string>", "exec", 0, True), main.__dict__)  # noqa: S102
        else:
            _run_file(call.words, main, safe=safe)
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


def receive(link: socket.socket, size: int = 1 << 18) -> tuple[bytes, list[int]]:
    """Return a packet and the files that it brought; nothing at the end."""
    files = array.array("i")
    data, told, _, _ = link.recvmsg(size, socket.CMSG_SPACE(_FILES * files.itemsize))
    for level, kind, value in told:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            files.frombytes(value[: len(value) - len(value) % files.itemsize])
    return data, list(files)


def at_load(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that count when packages are loaded."""
    return {name: value for name, value in variables.items() if _AT_LOAD.fullmatch(name)}


def origin_of(module: types.ModuleType) -> str:
    """Return the file of a module; empty for one that has none."""
    origin = getattr(getattr(module, "__spec__", None), "origin", None)
    return origin if isinstance(origin, str) and os.path.isabs(origin) else ""


def _run_file(words: list[str], main: types.ModuleType, *, safe: bool) -> None:
    path = words[0]
    sys.argv = list(words)
    if not safe:
        sys.path.insert(0, os.path.dirname(os.path.realpath(path)))
    told = path
    if sys.version_info >= (3, 9) and not os.path.isabs(path):
        told = os.path.join(os.getcwd(), path)
    loader = importlib.machinery.SourceFileLoader("__main__", told)
    main.__dict__.update(__file__=told, __cached__=None, __loader__=loader)
    with open(path, "rb") as file:
        source = file.read()
    exec(compile(source, told, "exec", 0, True), main.__dict__)  # noqa: S102


def _tell_modules(call: Call, known: frozenset[str], places: tuple[str, ...]) -> None:
    """Tell what was imported of the installation, and was not there before."""
    own = tuple(os.path.join(one, "") for one in (sys.path[0] if sys.path else "", call.folder))
    found = []
    for name, module in list(sys.modules.items()):
        origin = origin_of(module)
        if name in known or not origin.startswith(places) or origin.startswith(own):
            continue
        if getattr(module.__spec__, "name", "") == name:
            found.append(name)
    if not found:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as link:
        link.settimeout(2)
        link.connect(os.fsdecode(call.told))
        sections = [b"learned", "\n".join(found).encode()]
        data = b"".join(struct.pack("=Q", len(one)) + one for one in sections)
        link.sendall(struct.pack("=Q", len(data)) + data)
        link.recv(1)


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


def _take_limits(limits: list[list[int]], processors: list[int]) -> None:
    with contextlib.suppress(ImportError):
        import resource

        for which, soft, hard in limits:
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(which, (soft, hard))
    if processors and sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, processors)


def _place_files(files: list[int], numbers: list[int]) -> None:
    """Give `files` their numbers, and close all others."""
    import fcntl

    top = 1 + max([*files, *numbers, *(int(one) for one in os.listdir("/proc/self/fd"))])
    held = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, top) for one in files]
    os.closerange(0, top)
    for one, number in zip(held, numbers):  # noqa: B905 (strict is of Python 3.10)
        os.dup2(one, number)
        os.close(one)


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
