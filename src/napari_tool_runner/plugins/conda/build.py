"""Solving and linking an environment with py-rattler, with progress and cancel.

It imports rattler, and is imported when something must be built.
"""

from __future__ import annotations

import asyncio
import json
import stat
import sys
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rattler
from rattler import exceptions as rattler_errors
from rattler.platform import Subdir

from napari_tool_runner.addresses import public_url, without_credentials
from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.errors import PreparationError
from napari_tool_runner.plugins.conda.bounds import BoundError, Writing, watched
from napari_tool_runner.plugins.conda.failures import (
    INSTALL_ERRORS,
    NETWORK_HINT,
    cause_of,
    install_error,
    solver_error,
)
from napari_tool_runner.plugins.conda.index_size import read_bounded
from napari_tool_runner.plugins.conda.orders import Limits, LinkScript, is_panic
from napari_tool_runner.plugins.conda.package_caches import archive_of, cache_of, check_archives
from napari_tool_runner.plugins.conda.package_paths import PackagePaths
from napari_tool_runner.plugins.conda.progress import InstallReporter
from napari_tool_runner.plugins.conda.records import clean_records, facts
from napari_tool_runner.plugins.process import Event, OutputLine, Progress
from napari_tool_runner.storage import replacing

if TYPE_CHECKING:
    from rattler.networking.fetch_repo_data import CacheAction

    from napari_tool_runner.plugins.conda.channels import Channels

__all__ = ["Builder", "Records"]


@dataclass(frozen=True, slots=True)
class Records:
    """The exact packages of an environment.

    Parameters
    ----------
    records : tuple
        rattler's records.
    download_size : int
        Bytes that are not in the package cache yet.
    missing : int
        Packages that are not in the package cache yet.
    """

    records: tuple[Any, ...]
    download_size: int
    missing: int

    def scripts(self, prefix: Path) -> list[LinkScript]:
        """Return the scripts that packages in `prefix` want to be run once, first things first."""
        found: list[LinkScript] = []
        for record in rattler.PackageRecord.sort_topologically(list(self.records)):
            name, version = record.name.normalized, str(record.version)
            inner = (
                f"Scripts/.{name}-post-link.bat"
                if sys.platform == "win32"
                else (f"bin/.{name}-post-link.sh")
            )
            if (prefix / inner).is_file():
                told = {"PREFIX": str(prefix), "PKG_NAME": name, "PKG_VERSION": version}
                told["PKG_BUILDNUM"] = str(record.build_number)
                found.append(LinkScript(name, prefix / inner, told))
        return found

    def packages(self) -> list[dict[str, object]]:
        """Return the packages for the record: no credentials in the addresses."""
        return facts(self.records)


@dataclass()
class Builder:
    """Solves and links environments from given channels.

    Parameters
    ----------
    channels : Channels
    packages, repodata : Path
        The caches.
    platform : str
        conda's name of the platform.
    limits : Limits
    offline : bool
        True: what was fetched earlier must do.
    """

    channels: Channels
    packages: Path
    repodata: Path
    platform: str
    limits: Limits = field(default_factory=Limits)
    offline: bool = False

    async def solve(
        self, specs: Sequence[str], report: Callable[[Event], None] = lambda event: None
    ) -> Records:
        """Find the packages that `specs` need.

        Raises
        ------
        PreparationError
            A spec or channel is wrong, or nothing fits; in the solver's own words.
        """
        wanted = [self._spec(spec) for spec in specs]
        cache: CacheAction = "force-cache-only" if self.offline else "cache-or-fetch"
        try:
            records = await self._solve(wanted, report, cache)
        except rattler_errors.GatewayError as error:
            if self.offline:
                raise PreparationError(
                    f"Working offline, and a channel was not read before: {cause_of(error)[0]}.",
                    hint="Take 'offline' out of the runner section of the configuration.",
                ) from error
            records = await self._solve_again(wanted, report, error)
        return await self._solution(records)

    async def from_lock(self, path: Path) -> Records | None:
        """Return the packages that a lock file names, None when it cannot be used."""
        if not path.is_file():
            return None
        try:
            lock = rattler.LockFile.from_path(path)
            found = lock.default_environment()
            platform = next(one for one in lock.platforms() if one.name == self.platform)
            records = found.conda_repodata_records_for_platform(platform) if found else None
        except (
            rattler_errors.ParseCondaLockError,
            rattler_errors.ConversionError,
            StopIteration,
            OSError,
            ValueError,
        ):
            return None
        if not records:
            return None
        for record in records:
            record.url = self._with_credentials(record.url)
        return await self._solution(records)

    def write_lock(self, solution: Records, path: Path) -> None:
        """Write the exact packages in the lock format of the rattler tools."""
        platform = rattler.LockPlatform(self.platform)
        lock = rattler.LockFile([platform])
        lock.set_channels(
            "default", [rattler.LockChannel(public_url(one.base_url)) for one in self._sources()]
        )
        for record in solution.records:
            lock.add_conda_package("default", platform, record)
        with replacing(path) as draft:
            lock.to_path(draft)
            content = draft.read_text(encoding="utf-8")
            draft.write_text(without_credentials(content), encoding="utf-8")

    async def link(self, solution: Records, prefix: Path, report: Callable[[Event], None]) -> None:
        """Download what is missing and link everything into `prefix`.

        Raises
        ------
        PreparationError
            A package cannot be fetched or written.
        OSError
        """
        # rattler's records hold the credentials of channels, until they are taken out
        prefix.mkdir(mode=0o700, parents=True, exist_ok=True)
        cache = cache_of(solution.records, self.packages)
        missing = await _missing(solution.records, cache)
        await asyncio.to_thread(check_archives, missing)
        paths = PackagePaths(solution.records, cache)

        def look(name: str) -> None:
            try:
                writing.look()
            except (BoundError, OSError) as error:  # whole by now: the next time it would pass
                paths.refuse(name, str(error))
            else:
                paths.look(name)

        # its other methods do nothing, which mypy takes for abstract
        reporter = InstallReporter(  # type: ignore[abstract]
            solution.records, solution.download_size, look, report
        )
        here = sum(map(_size_here, missing))
        known = self.limits.times * here + paths.unpacked(solution.records, missing)
        cache.mkdir(parents=True, exist_ok=True)
        writing = Writing(prefix, cache, self.limits, known, lambda: reporter.arrived)
        installing = rattler.install(
            list(solution.records),
            target_prefix=prefix,
            cache_dir=cache,
            installed_packages=[],
            client=self.client,
            platform=self._subdirs()[0],
            execute_link_scripts=False,  # run by us, in walls
            reporter=reporter,
        )
        try:
            await watched(installing, writing.look, reporter.hear)
        except INSTALL_ERRORS as error:
            if not paths.problem:
                raise install_error(error, prefix) from error
        if paths.problem:
            raise PreparationError(
                f"The packages could not be installed: {paths.problem}.",
                hint="No sound package does so: tell whoever runs the channel, and use another.",
            )
        if self.channels.private:
            clean_records(prefix)
        prefix.chmod(stat.S_IMODE(prefix.parent.stat().st_mode))

    @cached_property
    def client(self) -> Any:
        """The client for downloads: credentials, proxies, certificates, mirrors."""
        try:
            config = rattler.Config.load_from_default_locations("rattler")
        except rattler_errors.ConfigError as error:
            raise PreparationError(
                f"The configuration of the conda tools cannot be read: {error}.",
                hint="Correct or remove rattler's config.toml.",
            ) from error
        if self.channels.mirrors:
            lines = [
                f"{json.dumps(url)} = {json.dumps(list(others))}"
                for url, others in self.channels.mirrors.items()
            ]
            config = config.merge(rattler.Config.from_toml("\n".join(["[mirrors]", *lines])))
        return rattler.Client.from_config(config, user_agent="napari-tool-runner")

    def _sources(self) -> list[Any]:
        settings = (
            rattler.ChannelConfig(self.channels.alias.rstrip("/") + "/")
            if self.channels.alias
            else rattler.ChannelConfig()
        )
        try:
            return [rattler.Channel(source, settings) for source in self.channels.sources]
        except (rattler_errors.InvalidChannelError, rattler_errors.InvalidUrlError) as error:
            raise PreparationError(
                f"A channel of the tool is not valid: {error}.", hint=NETWORK_HINT
            ) from error

    def _with_credentials(self, url: str) -> str:
        """Return an address of the lock file as the channels of today give it."""
        for public, source in zip(self.channels.identity, self.channels.addresses, strict=True):
            if public != source and url.startswith(f"{public}/"):
                return source + url.removeprefix(public)
        return url

    def _subdirs(self) -> list[Any]:
        try:
            return [Subdir(self.platform), Subdir("noarch")]
        except rattler_errors.ParseSubdirError as error:
            raise PreparationError(f"conda knows no platform {self.platform!r}.") from error

    def _spec(self, spec: str) -> Any:
        try:
            return rattler.MatchSpec(self.channels.spec(spec))
        except (
            rattler_errors.InvalidMatchSpecError,
            rattler_errors.InvalidPackageNameError,
            rattler_errors.InvalidChannelError,
        ) as error:
            raise PreparationError(
                f"{spec!r} is no conda package specification: {error}.",
                hint="Correct the requirements in the tool's descriptor.",
            ) from error

    async def _solve_again(
        self, specs: Sequence[Any], report: Callable[[Event], None], error: Exception
    ) -> list[Any]:
        """Solve after a channel could not be read."""
        if "304" in str(error):
            # simple servers leave headers out that rattler wants when nothing has changed
            try:
                return await self._solve(specs, report, "no-cache")
            except rattler_errors.GatewayError as second:
                error = second
        try:
            # what was read on another day may be enough
            records = await self._solve(specs, report, "force-cache-only")
        except (rattler_errors.GatewayError, PreparationError):
            why, hint = cause_of(error)
            raise PreparationError(f"A channel cannot be read: {why}.", hint=hint) from error
        text = "A channel cannot be read now; its index of an earlier day was used."
        report(OutputLine(text, "runner"))
        return records

    async def _solve(
        self, specs: Sequence[Any], report: Callable[[Event], None], cache: CacheAction
    ) -> list[Any]:
        sources = self._sources()
        # rattler unpacks the parts of an index in memory, without a limit
        whole, parts = (
            rattler.SourceConfig(sharded_enabled=in_parts, cache_action=cache)
            for in_parts in (False, True)
        )
        named = zip(sources, self.channels.sources, strict=True)
        own = {one.base_url: parts for one, name in named if name in self.channels.own}
        gateway = rattler.Gateway(
            cache_dir=self.repodata,
            default_config=whole,
            per_channel_config=own,
            client=self.client,
        )
        await self._read(sources, gateway, report)
        report(Progress("Choosing packages"))
        options: dict[str, Any] = {
            "gateway": gateway,
            "platforms": self._subdirs(),
            "virtual_packages": rattler.VirtualPackage.detect(
                rattler.VirtualPackageOverrides.from_env()
            ),
        }
        try:
            return await rattler.solve(sources, specs, **options)
        except rattler_errors.SolverError as strict:
            if len(sources) == 1:
                raise solver_error(strict) from strict
            try:
                # conda, too, looks into the later channels when the first are not enough
                records = await rattler.solve(
                    sources, specs, channel_priority=rattler.ChannelPriority.Disabled, **options
                )
            except rattler_errors.SolverError:
                raise solver_error(strict) from strict
            report(
                OutputLine(
                    "The packages do not fit with strict channel priority; "
                    "they were taken from all channels.",
                    "runner",
                )
            )
            return records

    async def _read(
        self, sources: Sequence[Any], gateway: Any, report: Callable[[Event], None]
    ) -> None:
        """Read the indexes of all channels."""
        steps = [(source, place) for source in sources for place in self._subdirs()]
        report(Progress("Reading channels", 0, len(steps)))
        for done, (source, place) in enumerate(steps, 1):
            # nothing is called so: the index is fetched, no package is looked at
            reading = gateway.query(
                [source], [place], ["napari-tool-runner-none"], recursive=False
            )
            channel = public_url(source.base_url)
            try:
                await read_bounded(reading, self.repodata, channel, self.limits.index)
            except TimeoutError as error:
                raise rattler_errors.GatewayError(f"{channel}: timed out") from error
            except BaseException as error:
                if not is_panic(error):
                    raise
                raise rattler_errors.GatewayError(
                    f"{channel} answers what rattler breaks at, such as “304, not changed” to "
                    "who has nothing of it yet"
                ) from error
            report(Progress("Reading channels", done, len(steps)))

    async def _solution(self, records: Sequence[Any]) -> Records:
        missing = await _missing(records, cache_of(records, self.packages))
        return Records(
            tuple(records), sum(int(record.size or 0) for record in missing), len(missing)
        )


def _size_here(record: Any) -> int:
    """Return the bytes of an archive in a folder of this computer."""
    path = archive_of(record)
    return path.stat().st_size if path else 0


async def _missing(records: Sequence[Any], cache: Path) -> list[Any]:
    """Return those that must be fetched."""
    index = await rattler.PackageCache(cache).index()
    return [record for record in records if not index.contains_record(record)]
