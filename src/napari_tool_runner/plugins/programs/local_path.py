"""Where the programs of this computer are looked for: in LOCAL, and in services of others."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import settings
from napari_tool_runner.plugins.programs.environment import path_with

if TYPE_CHECKING:
    from napari_tool_runner.plugins.process import ExecContext
    from napari_tool_runner.tools.model import Tool

__all__ = ["local_path", "python_folders"]


def local_path(
    tool: Tool, context: ExecContext, config: Mapping[str, object], variables: Mapping[str, str]
) -> str:
    """Return the PATH of a program of `tool`, which has `variables`: this Python stands first.

    Before it stand the folders of ``runner.path``, and for a tool with requirements the
    environment that is active, if it is not ours.
    """
    folders: list[str | Path] = [*settings.LOCAL_PATH.of(config)]
    folders += _active_environment(variables) if tool.requirements else []
    folders += python_folders(context)
    return path_with(folders, variables.get("PATH"))


def _active_environment(variables: Mapping[str, str]) -> list[Path]:
    """Return the folder of programs of the environment that is active, if it is not ours."""
    below = "Scripts" if sys.platform == "win32" else "bin"
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        prefix = variables.get(name)
        if prefix and os.path.realpath(prefix) != os.path.realpath(sys.prefix):
            return [Path(prefix) / below]
    return []


def python_folders(context: ExecContext) -> list[Path]:
    """Return the folders where ``python`` and ``python3`` are this Python."""
    if not sys.executable:
        return []
    folder = Path(sys.executable).parent
    found = [folder]
    if sys.platform == "win32":
        found.append(folder / "Scripts")
        return found
    if not all(os.access(folder / name, os.X_OK) for name in ("python", "python3")):
        # a system whose Python is called python3.11 only; a link would lose a venv
        shims = context.temp_dir / "python"
        shims.mkdir(parents=True, exist_ok=True)
        for name in ("python", "python3"):
            shim = shims / name
            shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
            shim.chmod(0o755)
        found.insert(0, shims)
    return found
