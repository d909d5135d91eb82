"""The variables that a program gets from this computer.

What the programs of a tool inherit from napari's process, and what not:

- ``QT_*`` and ``QML*`` go: they name the plugins of *this* Qt and crash programs that
  bring their own.
- ``PYTHONHOME``, ``PYTHONPATH`` and ``PYTHONSTARTUP`` belong to this Python: LOCAL keeps
  the first two, since its tools run with this very Python; environments lose all.
- conda's variables describe one environment. LOCAL keeps them when that is the
  environment of this Python (napari was started in it); otherwise they leak from a
  shell where another one was active, and go.
- ``MPLBACKEND`` goes when it names a module of a notebook.
- everything else stays (proxies, licences, ``LD_LIBRARY_PATH``, ``DISPLAY``…).
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_tool_runner.plugins.contract import ExecContext

__all__ = ["gpu_remark", "host_environment", "path_with", "program_environment"]

_CONDA = ("CONDA_", "_CE_", "MAMBA_", "_CONDA_", "PIXI_")
_PYTHON = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__")


def host_environment(
    host: Mapping[str, str] | None = None, *, isolated: bool = False
) -> dict[str, str]:
    """Return the variables of this process without those that hurt a program.

    Parameters
    ----------
    host : mapping, optional
        Default: the variables of this process.
    isolated : bool
        True for programs of another environment than this Python's.
    """
    host = os.environ if host is None else host
    foreign_conda = isolated or not _same_folder(host.get("CONDA_PREFIX"), sys.prefix)
    kept: dict[str, str] = {}
    for name, value in host.items():
        if name.startswith(("QT_", "QML")) or name == "PYTHONSTARTUP":
            continue
        if isolated and (name in _PYTHON or name == "VIRTUAL_ENV"):
            continue
        if foreign_conda and name.startswith(_CONDA):
            continue
        if name == "MPLBACKEND" and value.startswith("module://"):
            continue
        kept[name] = value
    return kept


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


def gpu_remark(config: Mapping[str, object]) -> str:
    """Say that a GPU is asked for where there is none; empty when all is well."""
    if not config.get("gpus"):
        return ""
    if sys.platform == "darwin":
        found = platform.machine() == "arm64"
    else:
        found = any(os.path.exists(path) for path in ("/dev/nvidia0", "/dev/kfd", "/dev/dxg"))
        found = found or shutil.which("nvidia-smi") is not None
    return "" if found else "A GPU is asked for, but none was found on this computer."


def path_with(folders: Iterable[str | Path], path: str | None) -> str:
    """Return `path` with `folders` first."""
    parts = [str(folder) for folder in folders]
    if path is None:
        path = os.defpath
    return os.pathsep.join([*parts, path] if path else parts)


def _same_folder(first: str | None, second: str) -> bool:
    return first is not None and os.path.realpath(first) == os.path.realpath(second)
