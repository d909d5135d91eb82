"""Making an environment: solve, link, activate once, run the tool's own commands."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import stat
from collections.abc import Mapping
from contextlib import suppress
from email.parser import BytesHeaderParser
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import sealed, settings
from napari_tool_runner.data_classes import dataclass, field, replace
from napari_tool_runner.errors import JobCancelledError, OutputError, PreparationError
from napari_tool_runner.plugins.conda import apart
from napari_tool_runner.plugins.conda.activation import (
    Activation,
    activate,
    own_room,
    run_in_prefix,
)
from napari_tool_runner.plugins.conda.channels import Channels, resolve_channels
from napari_tool_runner.plugins.conda.files import files_of
from napari_tool_runner.plugins.conda.orders import (
    Limits,
    LinkScript,
    Order,
    Solution,
    packages_text,
)
from napari_tool_runner.plugins.conda.spec import (
    CondaSpec,
    conda_platform,
    environment_key,
    read_spec,
)
from napari_tool_runner.plugins.contract import Fetch, Plan
from napari_tool_runner.plugins.environment_service import Solved, made, room_for
from napari_tool_runner.plugins.preflight import preflight_cancel
from napari_tool_runner.plugins.process import ExecContext, Mount, Progress
from napari_tool_runner.plugins.programs.enclosure import is_enclosing
from napari_tool_runner.plugins.programs.environment import host_environment
from napari_tool_runner.plugins.uv.indexes import pip_files

if TYPE_CHECKING:
    from napari_tool_runner.plugins.environments import Environment, EnvironmentStore
    from napari_tool_runner.tools.model import Tool

__all__ = ["EnvironmentMaker", "Wanted", "wanted_environment"]

LIMITS = Limits()
_METADATA = 2**20  # bytes of what a package says of itself


@dataclass(frozen=True, slots=True)
class Wanted:
    """The environment of a tool, with the configuration applied."""

    spec: CondaSpec
    channels: Channels
    platform: str
    key: str
    store: EnvironmentStore
    config: Mapping[str, object] = field(repr=False)
    """The ``runner`` section."""
    offline: bool = False


def wanted_environment(
    tool: Tool, config: Mapping[str, object], store: EnvironmentStore
) -> Wanted | None:
    """Return the environment that `tool` needs, None when it requires no packages.

    Raises
    ------
    PreparationError, ConfigError
        The requirement, or a key of the configuration, is wrong.
    """
    spec = read_spec(tool)
    if spec is None:
        return None
    channels = resolve_channels(spec, config)
    platform = conda_platform(settings.PLATFORM.of(config))
    key = environment_key(spec, channels.identity, platform)
    return Wanted(
        spec, channels, platform, key, store, config, offline=settings.OFFLINE.of(config)
    )


class EnvironmentMaker:
    """Makes environments; remembers for a while what a pre-flight has solved."""

    def __init__(self) -> None:
        self._solved: Solved[Solution] = Solved()

    def make(self, tool: Tool, wanted: Wanted, context: ExecContext) -> Environment:
        """Return the environment, made now unless somebody else was faster.

        Raises
        ------
        PreparationError, JobCancelledError
        """

        def fill(prefix: Path) -> Environment:
            return self._finish(wanted, prefix, self._link(wanted, prefix, context), context)

        return made(tool, wanted, context, fill)

    def plan(self, wanted: Wanted) -> Plan:
        """Solve the environment and say what would be downloaded; it may take a while.

        Raises
        ------
        PreparationError, JobCancelledError
        """
        recent = self._solved.of(wanted)
        if recent is not None:
            return _plan(wanted, recent)

        with wanted.store.filling():
            solution = apart.carry_out(_order(wanted), preflight_cancel())
        self._solved.note(wanted, solution)
        return _plan(wanted, solution)

    def _link(self, wanted: Wanted, prefix: Path, context: ExecContext) -> Solution:
        """Solve and link; what is half written when that fails is removed."""
        recent = self._solved.of(wanted)
        order = replace(_order(wanted), prefix=prefix, earlier=recent.lock if recent else "")
        try:
            with wanted.store.filling():
                return apart.carry_out(
                    order, context.cancel, context.report, partial(self._solved.forget, wanted)
                )
        except BaseException:
            with suppress(PreparationError):  # the next attempt does it
                wanted.store.new_prefix(wanted.key)
            raise

    def _finish(
        self, wanted: Wanted, prefix: Path, solution: Solution, context: ExecContext
    ) -> Environment:
        """Activate, run the tool's commands, and declare the environment complete."""
        context.report(Progress("Activating the environment"))
        activation = activate(prefix, context, wanted.config)
        if solution.scripts or wanted.spec.commands:
            _made_its_own(prefix)
            for script in solution.scripts:
                _run_link_script(script, activation, context, wanted.config)
            for line in wanted.spec.commands:
                _run_command(line, activation, context, wanted.config)
            _unmarked(prefix)
            activation = activate(prefix, context, wanted.config)  # they may have added scripts
        if context.cancel.requested:
            raise JobCancelledError("The job was cancelled while its environment was made.")
        return wanted.store.complete(
            wanted.key,
            prefix,
            {
                "specs": wanted.spec.specs,
                "channels": wanted.channels.identity,
                "platform": wanted.platform,
                "commands": wanted.spec.commands,
                "packages": solution.packages,
                "pip": _pip_packages(prefix) if wanted.spec.commands else [],
                "activation": activation.changes,
            },
        )


def _order(wanted: Wanted) -> Order:
    store, channels = wanted.store, wanted.channels
    # rattler notes there where an index came from
    repodata = store.private_repodata() if channels.private else store.repodata
    lock = store.lock_file(wanted.key)
    return Order(
        channels, store.packages, repodata, wanted.platform, wanted.offline,
        tuple(wanted.spec.specs), lock, LIMITS,
    )  # fmt: skip


def _made_its_own(prefix: Path) -> None:
    """Take the files of `prefix` from the cache of packages, which other environments share.

    What runs in it now may change them.
    """
    for entry in files_of(prefix):
        path = Path(entry.path)
        facts = path.lstat()
        if stat.S_ISREG(facts.st_mode) and facts.st_nlink > 1:
            draft = path.with_name(f".own-{secrets.token_hex(4)}")
            with path.open("rb") as source, draft.open("wb") as target:
                sealed.copy_bytes(source, target)
            shutil.copystat(path, draft)
            draft.replace(path)


def _unmarked(prefix: Path) -> None:
    """Take the mark from programs that others would run as this user."""
    for entry in files_of(prefix, whole=True):
        mode = os.lstat(entry.path).st_mode
        if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
            os.chmod(entry.path, stat.S_IMODE(mode) & 0o777)


def _run_link_script(
    script: LinkScript, activation: Activation, context: ExecContext, config: Mapping[str, object]
) -> None:
    """Run what a package wants to be run once; it may what a job of the tool may."""
    context.report(Progress("Running scripts of packages"))
    context.say(f"Running the link script of the package {script.package}.")
    prefix = activation.prefix
    variables = activation.apply(host_environment(isolated=True, network=context.network))
    with own_room(context) as room:
        room = replace(
            room, work_dir=prefix, mounts=(*room.mounts, Mount(prefix, read_only=False))
        )
        line = f". {shlex.quote(str(script.path))}" if os.name == "posix" else f'"{script.path}"'
        code = run_in_prefix(line, {**variables, **script.variables}, room, config, prefix)
    if code:
        hint = "The log says why."
        if is_enclosing(config):
            network = "" if context.network else ", and has no network"
            hint += f" It sees the environment and nothing else of yours{network}."
        raise PreparationError(
            f"The link script of the package {script.package} failed with exit code {code}.",
            hint=hint,
        )


def _run_command(
    line: str, activation: Activation, context: ExecContext, config: Mapping[str, object]
) -> None:
    """Run a command of the descriptor inside the new environment; it has the network."""
    context.report(Progress("Running the tool's set-up command"))
    context.say(f"$ {line}")
    prefix = activation.prefix
    # which index it may ask, and which file is shown, says the user, never what packages set
    own = {name: told for name, told in os.environ.items() if name.startswith("PIP_")}
    variables = activation.apply(host_environment(isolated=True, network=True)) | own
    shown = [path for path in pip_files() if path.is_file()]
    variables.update(PIP_USER="0", PIP_REQUIRE_VIRTUALENV="0", PIP_DISABLE_PIP_VERSION_CHECK="1")
    if shown:
        variables["PIP_CONFIG_FILE"] = str(shown[0])
    with own_room(context) as room:
        mounts = (*room.mounts, Mount(prefix, read_only=False))
        room = replace(room, work_dir=prefix, mounts=mounts, network=True)
        code = run_in_prefix(line, variables, room, config, prefix, shown)
    if code:
        raise PreparationError(
            f"The set-up command of the tool failed with exit code {code}: {line}.",
            hint="The log says why; it is run again at the next try.",
        )


def _pip_packages(prefix: Path) -> list[str]:
    """Return ``name==version`` of what was added with pip; conda knows nothing of it."""
    found: set[str] = set()
    for folder in [*prefix.glob("lib/python3*/site-packages"), prefix / "Lib" / "site-packages"]:
        for entry in folder.glob("*.dist-info"):
            with suppress(OSError, OutputError):  # what a line of set-up left there
                by = sealed.read_bytes(entry / "INSTALLER", prefix, limit=100)
                told = sealed.read_bytes(entry / "METADATA", prefix, limit=_METADATA)
                if by.strip() == b"pip":
                    facts = BytesHeaderParser().parsebytes(told)
                    found.add(f"{facts['Name']}=={facts['Version']}")
    return sorted(found)


def _plan(wanted: Wanted, solution: Solution) -> Plan:
    count = packages_text(len(solution.packages), "conda ")
    what = f"{count} into the environment {wanted.key}"
    if not solution.missing:
        what += ", downloaded before"
    # archive and unpacked files together take about five times the archive
    problems, room = room_for(5 * solution.download_size, wanted.store.folder)
    told = tuple(filter(None, (room, solution.remark)))
    return Plan((Fetch(what, solution.download_size),), problems, told)
