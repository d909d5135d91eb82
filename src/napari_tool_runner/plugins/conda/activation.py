"""What activating an environment does to the variables: computed once, then applied.

``conda activate`` runs shell scripts that packages bring (``etc/conda/activate.d``) and
sets variables from files. That costs from milliseconds to many seconds each time. Here
the scripts run once, when the environment is made; the difference is kept.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_tool_runner.plugins.process import Event, ExecContext, OutputLine
from napari_tool_runner.plugins.programs.environment import host_environment, path_with
from napari_tool_runner.plugins.programs.program import run_program
from napari_tool_runner.storage import read_json

__all__ = ["Activation", "activate", "run_in_prefix"]

# variables of the shell itself, and of the run in which the scripts were tried
_IGNORED = frozenset(
    {"_", "PWD", "OLDPWD", "SHLVL", "BASHOPTS", "SHELLOPTS", "NAPARI_TOOL_RUNNER_RUN"}
)

_DUMP = """
import json, os, sys
with open(sys.argv[1], "w") as file:
    json.dump(dict(os.environ), file)
"""


class Activation:
    """The difference that activation makes.

    Parameters
    ----------
    prefix : Path
    changes : mapping
        Per variable: a text; None, when it is taken out; or a pair of texts that go
        before and after the value that is there.
    """

    def __init__(self, prefix: Path, changes: Mapping[str, Any]) -> None:
        self.prefix = prefix
        self.changes = dict(changes)

    def apply(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return `variables` as they are inside the environment."""
        found = {**variables, **_plain(self.prefix, variables)}
        for name, change in self.changes.items():
            if change is None:
                found.pop(name, None)
            elif isinstance(change, str):
                found[name] = change
            else:
                before, after = change
                there = found.get(name, "")
                found[name] = f"{before}{there}{after}" if there else (before + after).strip(":;")
        return found


def activate(prefix: Path, context: ExecContext) -> Activation:
    """Run the activation scripts of `prefix` and return what they change.

    Lines that the scripts print, and their failures, go to ``context.report``.

    Raises
    ------
    JobCancelledError
    """
    start = host_environment(isolated=True)
    start.update(_plain(prefix, start))
    after = {**start, **_variables_of_files(prefix)}
    folder = prefix / "etc" / "conda" / "activate.d"
    if scripts := sorted(folder.glob("*.bat" if sys.platform == "win32" else "*.sh")):
        after = _after_scripts(scripts, after, context)
    return Activation(prefix, _difference(start, after))


def run_in_prefix(
    line: str, environment: Mapping[str, str], context: ExecContext, work_dir: Path
) -> int:
    """Run a shell line and return its exit code."""
    if sys.platform == "win32":
        args = ["cmd", "/d", "/s", "/c", line]
    else:
        args = [shutil.which("bash") or "/bin/sh", "-c", line]
    return run_program(args, replace(context, work_dir=work_dir, timeout=None), environment)


def _plain(prefix: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """Return what activation sets without any script."""
    below = ["bin"]
    if sys.platform == "win32":
        below = [".", "Library/mingw-w64/bin", "Library/usr/bin", "Library/bin", "Scripts", "bin"]
    return {
        "PATH": path_with([prefix / entry for entry in below], variables.get("PATH")),
        "CONDA_PREFIX": str(prefix),
        "CONDA_DEFAULT_ENV": str(prefix),
        "CONDA_SHLVL": "1",
        # packages in the user's home are none of the environment's
        "PYTHONNOUSERSITE": "1",
    }


def _variables_of_files(prefix: Path) -> dict[str, str]:
    """Return the variables that packages, and then the user, gave to the environment."""
    files = sorted((prefix / "etc" / "conda" / "env_vars.d").glob("*.json"))
    found: dict[str, str] = {}
    for path in [*files, prefix / "conda-meta" / "state"]:
        try:
            data = read_json(path)
        except (OSError, ValueError):
            continue
        if path.name == "state":
            data = data.get("env_vars", {}) if isinstance(data, dict) else {}
        if isinstance(data, dict):
            found.update({str(name): str(value) for name, value in data.items()})
    return found


def _after_scripts(
    scripts: Sequence[Path], base: Mapping[str, str], context: ExecContext
) -> dict[str, str]:
    """Return the variables after the scripts ran in one shell."""
    failed: list[str] = []

    def report(event: Event) -> None:
        # what scripts say is of interest only when something is wrong
        if isinstance(event, OutputLine) and not event.transient:
            failed.append(event.text)

    with tempfile.TemporaryDirectory(prefix="napari-tool-runner-") as scratch:
        dump = Path(scratch) / "variables"
        helper = Path(scratch) / "dump.py"
        helper.write_text(_DUMP, encoding="utf-8")
        if sys.platform == "win32":
            script = Path(scratch) / "activate.bat"
            lines = [f'@call "{entry}"' for entry in scripts]
            lines.append(f'@"{sys.executable}" -I -S "{helper}" "{dump}"')
            script.write_text("\r\n".join(lines), encoding="utf-8")
            line = f'"{script}"'
        else:
            lines = [f". {shlex.quote(str(entry))}" for entry in scripts]
            if sys.platform == "linux":
                lines.append(f"cat /proc/self/environ > {shlex.quote(str(dump))}")
            else:
                lines.append(shlex.join([sys.executable, "-I", "-S", str(helper), str(dump)]))
            line = "\n".join(lines)
        quiet = replace(context, report=report)
        code = run_in_prefix(line, base, quiet, Path(scratch))
        found = _read_dump(dump)
    if code or not found:
        context.say(f"The activation scripts failed (exit code {code}).")
        for text in failed[-20:]:
            context.report(OutputLine(text, "stderr"))
    return found or dict(base)


def _read_dump(path: Path) -> dict[str, str]:
    try:
        raw = path.read_bytes()
    except OSError:
        return {}
    if raw.startswith(b"{"):
        return {str(k): str(v) for k, v in json.loads(raw).items()}
    pairs = (entry.partition("=") for entry in os.fsdecode(raw).split("\0") if entry)
    return {name: value for name, _, value in pairs}


def _difference(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for name, value in after.items():
        old = before.get(name)
        if name in _IGNORED or name.startswith("BASH_FUNC_") or value == old:
            continue
        head, met, tail = value.partition(old) if old else ("", "", "")
        ends = (os.pathsep, " ", "")
        if met and head[-1:] in ends and tail[:1] in ends:
            # a list that was made longer: the value of the day goes in the middle
            changes[name] = [head, tail]
        else:
            changes[name] = value
    for name in before:
        if name not in after and name not in _IGNORED:
            changes[name] = None
    return changes
