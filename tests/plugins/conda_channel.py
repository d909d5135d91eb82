"""A real conda channel on disk, built by the tests: no network and no conda needed.

Packages are written with py-rattler-build and indexed with py-rattler:

- ``demo-tool`` 1.0 and 2.0: a shell program, with activation scripts;
- ``needs-new``: cannot be solved (it wants a ``demo-tool`` that does not exist);
- ``broken``: its archive was changed after it was indexed;
- ``large``: some megabytes that cannot be compressed, for progress and cancel;
- ``python`` (`add_python`): the running interpreter, with its standard library.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

LARGE_SIZE = 6_000_000


def build_channel(folder: Path) -> Path:
    """Build the channel (without Python) in `folder` and return it."""
    (folder / "noarch").mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        stage = Path(scratch)
        for version in ("1.0", "2.0"):
            _demo_tool(folder, stage / version, version)
        empty = stage / "empty"
        _write(empty / "share" / "needs-new.txt", "x")
        _assemble(folder, empty, "needs-new", "1.0", depends=["demo-tool >=99"])
        for name, size in (("broken", 200_000), ("large", LARGE_SIZE)):
            files = stage / name
            (files / "share").mkdir(parents=True)
            (files / "share" / f"{name}.bin").write_bytes(os.urandom(size))
            _assemble(folder, files, name, "1.0")
    index(folder)
    (broken,) = folder.glob("*/broken-1.0-*")
    data = bytearray(broken.read_bytes())
    data[len(data) // 2] ^= 255
    broken.write_bytes(data)
    return folder


def add_python(folder: Path) -> str:
    """Add the running interpreter to the channel; return its version.

    Raises
    ------
    RuntimeError
        The interpreter cannot be moved (it is linked to a library, and there is no
        patchelf to say where that goes).
    """
    version = ".".join(str(part) for part in sys.version_info[:3])
    short = f"python{sys.version_info.major}.{sys.version_info.minor}"
    base = Path(sys.base_prefix)
    library = Path(sysconfig.get_path("stdlib", vars={"installed_base": str(base)}))
    with tempfile.TemporaryDirectory() as scratch:
        stage = Path(scratch)
        (stage / "bin").mkdir()
        (stage / "lib").mkdir()
        program = stage / "bin" / short
        shutil.copy2(os.path.realpath(sys.executable), program)
        for name in ("python", "python3"):
            (stage / "bin" / name).symlink_to(short)
        shared = list(base.glob("lib/libpython3*.so*"))
        for entry in shared:
            shutil.copy2(entry, stage / "lib" / entry.name, follow_symlinks=False)
        if shared:
            patchelf = shutil.which("patchelf")
            if patchelf is None:
                raise RuntimeError("this Python is linked to libpython, and patchelf is missing")
            subprocess.run([patchelf, "--set-rpath", "$ORIGIN/../lib", program], check=True)
        left_out = shutil.ignore_patterns(
            "site-packages", "dist-packages", "__pycache__", "test", "tests", "idlelib",
            "tkinter", "turtledemo", "lib2to3", "config-*", "ensurepip", "pydoc_data",
        )  # fmt: skip
        shutil.copytree(library, stage / "lib" / short, symlinks=True, ignore=left_out)
        _write(stage / "lib" / short / "site-packages" / "README.txt", "")
        _assemble(folder, stage, "python", version, detect_prefix=False)
    index(folder)
    return version


def index(folder: Path) -> None:
    """Write the channel's repodata anew."""
    from rattler.index import index_fs

    asyncio.run(index_fs(folder))


def platform() -> str:
    """Return conda's name of this platform."""
    from rattler.platform import Subdir

    return str(Subdir.current())


def _demo_tool(folder: Path, stage: Path, version: str) -> None:
    _write(
        stage / "bin" / "demo-tool",
        f'#!/bin/sh\necho "demo-tool {version}"\necho "prefix=$CONDA_PREFIX"\n'
        'echo "var=$DEMO_VAR"\nfor a in "$@"; do echo "arg=$a"; done\n'
        'exit "${DEMO_EXIT:-0}"\n',
        0o755,
    )
    _write(
        stage / "etc" / "conda" / "activate.d" / "demo.sh",
        'export DEMO_VAR="activated in $CONDA_PREFIX"\n'
        'export DEMO_LIST="${DEMO_LIST:+$DEMO_LIST:}demo"\n',
    )
    _assemble(folder, stage, "demo-tool", version, depends=["__unix"])


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def _assemble(folder: Path, files: Path, name: str, version: str, **options: object) -> None:
    from rattler_build import assemble_package

    with tempfile.TemporaryDirectory() as scratch:
        made = assemble_package(
            name=name,
            version=version,
            target_platform=platform(),
            build_string="0",
            output_dir=Path(scratch),
            files_dir=files,
            compression_level=1,
            **options,
        )
        target = folder / platform()
        target.mkdir(exist_ok=True)
        shutil.move(made.path, target / Path(made.path).name)


if __name__ == "__main__":
    place = build_channel(Path(sys.argv[-1]))
    if "--python" in sys.argv:
        add_python(place)
    os._exit(0)  # rattler's threads may break the end of an interpreter (seen: SIGSEGV)
