"""What activating an environment does to the variables: computed once, then applied.

``conda activate`` runs shell scripts that packages bring (``etc/conda/activate.d``) and
sets variables from files. That costs from milliseconds to many seconds each time. Here
the scripts run once, when the environment is made; the difference is kept.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_tool_runner import sealed
from napari_tool_runner.errors import OutputError
from napari_tool_runner.plugins.process import Event, ExecContext, Mount, OutputLine
from napari_tool_runner.plugins.programs.enclosure import enclosure_of
from napari_tool_runner.plugins.programs.environment import (
    at_home,
    host_environment,
    path_with,
    program_environment,
)
from napari_tool_runner.plugins.programs.program import run_program
from napari_tool_runner.quoting import variable_problem
from napari_tool_runner.storage import parse_json

__all__ = ["Activation", "activate", "own_room", "run_in_prefix"]

_MOST = 2**22  # bytes of variables

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


def activate(prefix: Path, context: ExecContext, config: Mapping[str, object]) -> Activation:
    """Run the activation scripts of `prefix` and return what they change.

    They run as a job's program does: enclosed where that is possible, and they change no file
    of the environment. Lines that they print, and failures, go to ``context.report``.

    Parameters
    ----------
    config : mapping
        The ``runner`` section.

    Raises
    ------
    JobCancelledError, JobTimeoutError
    """
    start = host_environment(isolated=True)
    start.update(_plain(prefix, start))
    after = {**start, **_variables_of_files(prefix, context)}
    folder = prefix / "etc" / "conda" / "activate.d"
    if scripts := sorted(folder.glob("*.bat" if sys.platform == "win32" else "*.sh")):
        after = _after_scripts(prefix, scripts, after, context, config)
    return Activation(prefix, _difference(start, after))


@contextmanager
def own_room(context: ExecContext) -> Iterator[ExecContext]:
    """Give what makes an environment a home and temporary folder, which end with it.

    It makes the environment for all jobs: variables and files of this one are not for it.
    """
    context.temp_dir.mkdir(parents=True, exist_ok=True)
    room = Path(tempfile.mkdtemp(prefix="making-", dir=context.temp_dir))
    own = replace(
        context, temp_dir=room / "tmp", home_dir=room / "home", work_dir=room, environment={},
        mounts=(Mount(room, read_only=False),), named=(), timeout=None,
    )  # fmt: skip
    own.temp_dir.mkdir()
    own.home_dir.mkdir()
    try:
        yield own
    finally:
        with suppress(OSError, OutputError):  # deleted with the job at last
            sealed.remove(room, context.temp_dir)


def run_in_prefix(
    line: str,
    variables: Mapping[str, str],
    room: ExecContext,
    config: Mapping[str, object],
    prefix: Path,
    shown: Iterable[Path] = (),
) -> int:
    """Run a shell line in an `own_room`, enclosed where that is possible; return its exit code.

    It sees `prefix` and `shown`, and writes to its mounts only.
    """
    if sys.platform == "win32":
        args = ["cmd", "/d", "/s", "/c", line]
    else:
        system = os.pathsep.join(("/bin", "/usr/bin"))
        args = [shutil.which("bash", path=system) or shutil.which("bash") or "/bin/sh", "-c", line]
    room = replace(room, root=room.root or prefix)
    enclosure = enclosure_of(room, config, [prefix, *shown])
    return run_program(args, room, _with_room(variables, room), enclosure=enclosure)


def _with_room(variables: Mapping[str, str], room: ExecContext) -> dict[str, str]:
    return program_environment(at_home(variables, room), room)


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


def _variables_of_files(prefix: Path, context: ExecContext) -> dict[str, str]:
    """Return the variables that packages, and then the user, gave to the environment."""
    files = sorted((prefix / "etc" / "conda" / "env_vars.d").glob("*.json"))
    found: dict[str, str] = {}
    for path in [*files, prefix / "conda-meta" / "state"]:
        try:
            data = parse_json(sealed.read_bytes(path, prefix, limit=_MOST))
        except (OSError, ValueError, OutputError):
            continue
        if path.name == "state":
            data = data.get("env_vars", {}) if isinstance(data, dict) else {}
        if isinstance(data, dict):
            found.update({str(name): str(value) for name, value in data.items()})
    return _usable(found, context)


def _usable(variables: Mapping[str, str], context: ExecContext) -> dict[str, str]:
    """Return those that a program can be given; of the others is told."""
    problems = {name: variable_problem(name, value) for name, value in variables.items()}
    for problem in filter(None, problems.values()):
        context.say(f"A variable of the environment is left out: {problem}.")
    return {name: value for name, value in variables.items() if not problems[name]}


def _after_scripts(
    prefix: Path,
    scripts: Sequence[Path],
    base: Mapping[str, str],
    context: ExecContext,
    config: Mapping[str, object],
) -> dict[str, str]:
    """Return the variables after the scripts ran in one shell."""
    failed: list[str] = []

    def report(event: Event) -> None:
        # what scripts say is of interest only when something is wrong
        if isinstance(event, OutputLine) and not event.transient:
            failed.append(event.text)

    with own_room(replace(context, report=report)) as room:
        dump, helper = room.work_dir / "variables", room.work_dir / "dump.py"
        helper.write_text(_DUMP, encoding="utf-8")
        if sys.platform == "win32":
            script = room.work_dir / "activate.bat"
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
        before = _with_room(base, room)
        room = replace(room, timeout=context.timeout)  # they begin the program of this job
        code = run_in_prefix(line, base, room, config, prefix)
        found = _usable(_read_dump(dump, room.work_dir), context)
    if code or not found:
        context.say(f"The activation scripts failed (exit code {code}).")
        for text in failed[-20:]:
            context.report(OutputLine(text, "stderr"))
    if not found:
        return dict(base)
    # what is so because of the room is none of theirs
    kept = {name: value for name, value in base.items() if name in found}
    return kept | {name: value for name, value in found.items() if before.get(name) != value}


def _read_dump(path: Path, room: Path) -> dict[str, str]:
    try:
        raw = sealed.read_bytes(path, room, limit=_MOST)
        if raw.startswith(b"{"):
            told = parse_json(raw)
            return {k: str(v) for k, v in told.items()} if isinstance(told, dict) else {}
    except (OSError, ValueError, OutputError):
        return {}
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
