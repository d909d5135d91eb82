"""Compiles the modules of an environment once, whichever environment has them next.

Its programs cannot write there, and would compile at each start. What was compiled is put
beside the unpacked wheel in uv's cache, from which uv links it into the next environment.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.plugins.process import Progress
from napari_tool_runner.plugins.programs.environment import host_environment
from napari_tool_runner.plugins.programs.program import run_program
from napari_tool_runner.plugins.uv.lock import Wheel, unpacked_in

if TYPE_CHECKING:
    from napari_tool_runner.plugins.process import ExecContext
    from napari_tool_runner.plugins.uv.spec import Wanted

__all__ = ["base_of", "compile_modules", "programs_of"]

_COMPILE = ("-I", "-S", "-m", "compileall", "-q", "-j", "0", "-x", r"[\\/]tests?[\\/]")


def programs_of(prefix: Path) -> Path:
    """Return the folder of an environment in which its programs lie."""
    return prefix / ("Scripts" if os.name == "nt" else "bin")


def base_of(prefix: Path) -> tuple[Path | None, str]:
    """Return the folder with the Python that an environment was made with, and its version."""
    told: dict[str, str] = {}
    with suppress(OSError, UnicodeDecodeError):
        for line in (prefix / "pyvenv.cfg").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition("=")
            told[name.strip()] = value.strip()
    home = told.get("home")
    return Path(home) if home else None, told.get("version_info", "")


def compile_modules(
    wanted: Wanted, prefix: Path, wheels: Sequence[Wheel], context: ExecContext
) -> None:
    """Compile what no environment before this one had.

    Nothing of a package is run: not its Python starts, in which packages may run code, but the
    one that it was made with, without any packages.
    """
    cache, series = wanted.store.uv_cache, wanted.python.series
    marks = cache / "compiled"
    # a cache that the user chose is left as it is
    unpacked = {} if "UV_CACHE_DIR" in wanted.indexes.variables else unpacked_in(cache, wheels)
    new = {one: marks / f"{series}-{place.name}" for one, place in unpacked.items()}
    new = {one: mark for one, mark in new.items() if not mark.exists()}
    if len(unpacked) == len(wheels) and not new:
        return
    base, _ = base_of(prefix)
    names = ("python3", "python", "python.exe")
    python = next((base / name for name in names if base and (base / name).exists()), None)
    if python is None:
        return
    context.report(Progress("Compiling modules"))
    quiet = replace(context, report=lambda event: None, timeout=None)
    variables = host_environment(isolated=True)
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    run_program([str(python), *_COMPILE, str(prefix)], quiet, variables)
    packages = prefix / ("Lib" if os.name == "nt" else f"lib/python{series}") / "site-packages"
    tag = f"cpython-{series.replace('.', '')}"
    with suppress(OSError):  # the next environment compiles again
        for one, mark in new.items():
            _keep(packages, unpacked[one], tag)
            mark.parent.mkdir(exist_ok=True)
            mark.touch()


def _keep(packages: Path, unpacked: Path, tag: str) -> None:
    """Link what was compiled of a wheel to where that is unpacked."""
    for folder, _, files in os.walk(unpacked):
        inner = packages / os.path.relpath(folder, unpacked)
        for name in files:
            made = inner / "__pycache__" / f"{name.removesuffix('.py')}.{tag}.pyc"
            if name.endswith(".py") and made.is_file():
                kept = Path(folder, "__pycache__", made.name)
                kept.parent.mkdir(exist_ok=True)
                with suppress(FileExistsError):
                    os.link(made, kept)
