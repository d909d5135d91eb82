"""The variables of a program: an allow-list of this computer's, and what belongs to the job.

What a user's session holds besides (keys of clouds, tokens, sockets of agents) is nobody's
business: a program gets what is named here, or in ``runner.pass_on``.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_tool_runner.plugins.process import ExecContext

__all__ = [
    "at_home",
    "check_program",
    "followed_environment",
    "host_environment",
    "path_with",
    "program_environment",
]

_NAMES = (
    # who and where
    "PATH HOME USER LOGNAME LANG LANGUAGE TZ TERM"
    # libraries, certificates, and what describes an installation
    " LD_LIBRARY_PATH DYLD_LIBRARY_PATH DYLD_FALLBACK_LIBRARY_PATH SSL_CERT_FILE SSL_CERT_DIR"
    " REQUESTS_CA_BUNDLE CURL_CA_BUNDLE JAVA_HOME R_HOME GDAL_DATA PROJ_LIB PROJ_DATA"
    " FONTCONFIG_FILE FONTCONFIG_PATH TERMINFO MPLBACKEND PYTHONHOME PYTHONPATH VIRTUAL_ENV"
    " PYTHONHASHSEED PYTHONUTF8 PYTHONIOENCODING PYTHONUNBUFFERED PYTHONDONTWRITEBYTECODE"
    # processors and GPUs
    " CUDA_HOME CUDA_PATH CUDA_VISIBLE_DEVICES CUDA_DEVICE_ORDER NVIDIA_VISIBLE_DEVICES"
    " ROCR_VISIBLE_DEVICES HIP_VISIBLE_DEVICES NUMBER_OF_PROCESSORS"
    # what programs on Windows and macOS cannot do without
    " SYSTEMROOT SYSTEMDRIVE WINDIR COMSPEC PATHEXT PROGRAMDATA PROGRAMFILES PROGRAMFILES(X86)"
    " COMMONPROGRAMFILES USERPROFILE APPDATA LOCALAPPDATA USERNAME OS __CF_USER_TEXT_ENCODING"
    # conda's own, which describe an environment
    " CONDA_PREFIX CONDA_DEFAULT_ENV CONDA_EXE CONDA_PYTHON_EXE CONDA_SHLVL CONDA_ROOT"
    " MAMBA_EXE MAMBA_ROOT_PREFIX _CE_CONDA _CE_M"
)
_KEPT = frozenset(_NAMES.split())
_KEPT_BEGINNINGS = (
    *("LC_", "OMP_", "MKL_", "OPENBLAS_", "NUMEXPR_", "NUMBA_", "GOMP_", "KMP_", "MALLOC_"),
    "PROCESSOR_",
)
_PROXIES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY"})
_CONDA = ("CONDA_", "_CE_", "MAMBA_", "_CONDA_", "PIXI_")
_PYTHON = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__")
_FOLLOWED = ("DOCKER_", "CONTAINER_", "PIXI_", "CONDA_PKGS", "CONDA_ENVS", "NAPARI_TOOL_RUNNER_")
"""What the services of others need besides, to find their engine or their environments."""


def host_environment(
    *, isolated: bool = False, network: bool = False, passed: Iterable[str] = ()
) -> dict[str, str]:
    """Return the variables of this process that a program may have.

    - ``PYTHONHOME`` and ``PYTHONPATH`` belong to this Python: LOCAL keeps them, since its
      tools run with this very Python; environments lose them.
    - conda's variables describe one environment. LOCAL keeps them when that is the
      environment of this Python (napari was started in it); otherwise they leak from a
      shell where another one was active, and go.
    - ``MPLBACKEND`` goes when it names a module of a notebook.
    - proxies go where there is no network.
    - everything else that is not on the list goes.

    Parameters
    ----------
    isolated : bool
        True for programs of another environment than this Python's.
    network : bool
        Whether the program may use the network.
    passed : iterable of str
        Further names, of ``runner.pass_on``.
    """
    conda = os.environ.get("CONDA_PREFIX")
    foreign_conda = (
        isolated or conda is None or os.path.realpath(conda) != os.path.realpath(sys.prefix)
    )
    wanted = frozenset(passed)
    kept: dict[str, str] = {}
    for name, value in os.environ.items():
        if name in wanted:
            kept[name] = value
            continue
        if not _is_harmless(name) and not (network and name.upper() in _PROXIES):
            continue
        if isolated and (name in _PYTHON or name == "VIRTUAL_ENV"):
            continue
        if foreign_conda and name.startswith(_CONDA):
            continue
        if name == "MPLBACKEND" and value.startswith("module://"):
            continue
        kept[name] = value
    return kept


def followed_environment(given: Mapping[str, str] | None) -> dict[str, str]:
    """Return what a program of somebody else's service gets.

    Such a service is installed code and may itself start an engine or conda. What it adds
    stays; what comes from this process has to be on the list.

    Parameters
    ----------
    given : mapping or None
        The variables that the service gave; None: those of this process.
    """
    return {
        name: value
        for name, value in (os.environ if given is None else given).items()
        if os.environ.get(name) != value
        or _is_harmless(name)
        or name.upper() in _PROXIES
        or name.startswith(_FOLLOWED)
    }


def _is_harmless(name: str) -> bool:
    known = name.upper() if sys.platform == "win32" else name
    return known in _KEPT or known.startswith(_KEPT_BEGINNINGS)


def program_environment(base: Mapping[str, str], context: ExecContext) -> dict[str, str]:
    """Return `base` with what belongs to the job.

    ``TMPDIR`` (``TMP``, ``TEMP``) is the job's own folder; Python programs write their
    lines at once and as UTF-8; the cpus that the job asked for are told in the usual
    variables. The context's own variables win over everything.
    """
    context.temp_dir.mkdir(parents=True, exist_ok=True)
    variables = dict(base)
    for name in ("TMPDIR", "TMP", "TEMP"):
        variables[name] = str(context.temp_dir)
    variables.setdefault("PYTHONUNBUFFERED", "1")
    variables.setdefault("PYTHONIOENCODING", "utf-8:replace")
    if context.resources.cpus is not None:
        count = str(max(1, int(context.resources.cpus)))
        for name in ("GALAXY_SLOTS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            variables[name] = count
    if context.resources.memory_bytes is not None:
        variables["GALAXY_MEMORY_MB"] = str(context.resources.memory_bytes >> 20)
    variables.update(context.environment)
    return variables


def at_home(variables: Mapping[str, str], context: ExecContext) -> dict[str, str]:
    """Return `variables` with the job's own home, which is made."""
    context.home_dir.mkdir(parents=True, exist_ok=True)
    home = {"HOME": str(context.home_dir)}
    if sys.platform == "win32":
        home["USERPROFILE"] = home["HOME"]
    return {**variables, **home}


def path_with(folders: Iterable[str | Path], path: str | None) -> str:
    """Return `path` with `folders` first."""
    parts = [str(folder) for folder in folders]
    if path is None:
        path = os.defpath
    return os.pathsep.join([*parts, path] if path else parts)


def check_program(name: str, work_dir: Path, environment: Mapping[str, str]) -> None:
    """Raise what starting a program would have raised: bubblewrap tells no such things apart."""
    if not work_dir.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    where = shutil.which(name, path=environment.get("PATH", os.defpath))
    if os.sep in name and where is None and os.path.exists(work_dir / name):
        where = str(work_dir / name)
        if not os.access(where, os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    if where is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    try:
        head = _beginning_of(where)
    except PermissionError:
        if not stat.S_ISREG(os.stat(where).st_mode):
            raise
        return  # it may be executed, but not read
    if head.startswith(b"#!"):
        words = head[2:].split(b"\n")[0].split()
        if words and not os.path.isfile(words[0]):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    elif head.isascii() and b"\0" not in head:
        raise OSError(errno.ENOEXEC, os.strerror(errno.ENOEXEC))


def _beginning_of(path: str) -> bytes:
    """Return the first bytes of a regular file; nothing else can be executed, or ends."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return os.read(descriptor, 256)
    finally:
        os.close(descriptor)
