"""The one table of settings: what config.json may say.

The reader (`napari_tool_runner.config` and the runner services), the Settings dialog,
napari's Preferences, the tables of ``docs/config.md`` and the notes about unknown keys
all come from it: a new setting is one more entry here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.errors import ConfigError
from napari_tool_runner.setting_types import (
    FLAG,
    MIRRORS,
    PATH,
    PATHS,
    SERVICE,
    SIZE,
    TEXT,
    TEXT_MAP,
    TEXTS,
    VARIABLES,
    Field,
    Type,
    both,
    is_blank,
    merged,
    number,
    whole,
)

__all__ = ["OWN_SERVICES", "TABLE", "TIMEOUT", "Setting", "did_you_mean"]

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Setting(Generic[T_co]):
    """One setting.

    Parameters
    ----------
    key : str
        Where it stands in config.json: ``runner.memory`` or ``workspace``.
    type : Type
    default : object
        Its value when nothing is said.
    meaning : str
        A line of the documentation (Markdown).
    otherwise : str
        The default in words; without it the default itself is told.
    services : str
        Which runner services hear it; empty: those of no service, or all.
    joined : callable, optional
        Joins the value of a higher and of a lower layer, where they add up; without it
        the higher one counts.
    field : Field, optional
        How windows show it; without one they do not.
    """

    key: str
    type: Type[T_co]
    default: T_co
    meaning: str
    otherwise: str = ""
    services: str = ""
    joined: Callable[[T_co, T_co], T_co] | None = None
    field: Field | None = None

    def read(self, value: object, base: Path | None = None, place: str = "") -> T_co:
        """Return what `value` of the JSON means; the default for None and blank text.

        Parameters
        ----------
        base : Path, optional
            Where relative paths start (default: the current folder).
        place : str
            What it was read from, for the message.

        Raises
        ------
        ConfigError
            The value cannot be that; names key, value, and what is accepted.
        """
        if value is None or is_blank(value):
            return self.default
        try:
            return self.type.read(value, base or Path.cwd())
        except (TypeError, ValueError, LookupError, OverflowError, RuntimeError):
            raise wrong_value(self.key, value, self.type.accepted, place) from None

    def of(self, section: Mapping[str, object]) -> T_co:
        """Return its value in a section (``runner``) that a service got; raises ConfigError."""
        return self.read(section.get(self.key.rpartition(".")[2]))


OWN_SERVICES = ("LOCAL", "CONDA", "UV", "DOCKER", "CONDA_DOCKER")
"""The runner services of this package, each of ``plugins/runner_NAME.py`` without ``_``."""


def wrong_value(key: str, value: object, accepted: str, place: str = "") -> ConfigError:
    """Return the error for a value that `key` cannot have."""
    shown = json.dumps(value, ensure_ascii=False, default=str)  # in the words of the file
    return ConfigError(
        f"“{key}” in {place or 'the configuration'} is "
        f"{shown if len(shown) < 100 else shown[:99] + '…'}, but must be {accepted}.",
        hint="Correct it and try again.",
    )


# fmt: off
# tools

TOOLBOXES: Setting[tuple[Path, ...]] = Setting(
    "process.xml_dirs", PATHS, (),
    "folders of toolboxes; the tools that ship are always there, too", "none", joined=both,
    field=Field("tools.toolbox_folders", "Toolboxes",
                "Folders with tools besides those that ship, separated by “;”."),
)
CATEGORIES: Setting[tuple[Path, ...]] = Setting(
    "process.categories", PATHS, (),
    "one or several `toolboxes.json` files with the categories", "none", joined=both,
)
PROCESS_SERVICE: Setting[str | None] = Setting(
    "process.service", SERVICE, None,
    "the runner (the tutorial's way), when there is no `runner` section, or it names no service "
    "and this one is a plugin's", " ",
)
PROCESS_PLUGIN_DIRS: Setting[tuple[Path, ...]] = Setting(
    "process.plugin_dirs", PATHS, (), "as `runner.plugin_dirs`; both count", "none", joined=both,
)
FORMATS_FILE: Setting[Path | None] = Setting(
    "formats.file", PATH, None,
    "`formats.json`: more formats that descriptors name, their extension and viewer", "built in",
)
ENV: Setting[dict[str, str]] = Setting(
    "env", VARIABLES, {},
    'list of `{"name", "value"}`: `${NAME}` in commands. Of a secret (by its name, or with '
    '`"secret": true`) commands get a file only: `${NAME_FILE}`', "none",
    joined=merged,
)
FIJI = Setting("fiji", TEXT, "", "the ImageJ program: `$__fiji__` in commands", "none")
LOCKED: Setting[tuple[str, ...]] = Setting(
    "locked", TEXTS, (),
    "in a facility's file: keys (or sections) that nobody else may set", "none",
)

# what a facility allows; heard in a facility's file only

TOOLBOXES_ALLOWED: Setting[tuple[str, ...] | None] = Setting(
    "policy.toolboxes", TEXTS, None, "in a facility's file: folders of tools, and contents "
    "(`sha256:…`), that run without a question; no others run", "all that users approve")
SERVICES_ALLOWED: Setting[tuple[str, ...] | None] = Setting(
    "policy.services", TEXTS, None, "in a facility's file: runner services", "all")
LOCAL_FOR_OTHERS = Setting(
    "policy.local_for_others", FLAG, True,
    "in a facility's file: whether tools that are neither its own nor ship may run with LOCAL")
REGISTRIES_ALLOWED: Setting[tuple[str, ...] | None] = Setting(
    "policy.registries", TEXTS, None,
    "in a facility's file: registries, also with a namespace (`quay.io/biocontainers`)", "all")
CHANNELS_ALLOWED: Setting[tuple[str, ...] | None] = Setting(
    "policy.channels", TEXTS, None, "in a facility's file: channels of conda packages; a "
    "`conda_dir`, whose environments are used as they are, counts as one", "all")
INDEXES_ALLOWED: Setting[tuple[str, ...] | None] = Setting(
    "policy.indexes", TEXTS, None, "in a facility's file: indexes of other packages; a "
    "descriptor's own lines for making its environment are then refused", "all")

# where a tool runs

RUNNER_SERVICE: Setting[str | None] = Setting(
    "runner.service", SERVICE, None,
    f"{', '.join(f'`{name}`' for name in OWN_SERVICES)}, or a name that a plugin registered",
    "chosen for each tool by its requirements and by what this computer has; the choice and "
    "why are told",
    field=Field("running.service", "Where tools run",
                "LOCAL, CONDA, UV, DOCKER or CONDA_DOCKER; empty to choose for each tool."),
)
PLUGIN_DIRS: Setting[tuple[Path, ...]] = Setting(
    "runner.plugin_dirs", PATHS, (), "folders whose `runner_*.py` files are loaded", "none",
    joined=both,
)
CPUS: Setting[float | None] = Setting(
    "runner.cpus", number(most=4096), None,
    "processors a job may use; other services tell the tool (`GALAXY_SLOTS`)", "no limit",
    "DOCKER",
    field=Field("limits.cpus", "Processors", "How many a job may use; 0 for no limit.",
                "no limit"),
)
MEMORY: Setting[int | None] = Setting(
    "runner.memory", SIZE, None,
    'memory a job may use: bytes, or `"8G"`; other services tell the tool (`GALAXY_MEMORY_MB`)',
    "no limit", "DOCKER",
    field=Field("limits.memory", "Memory", "Such as 8G; empty for no limit.",
                "no limit; such as 8G"),
)
GPUS = Setting(
    "runner.gpus", whole(-1, words={"all": -1}), 0,
    'how many GPUs a job gets; `-1` or `"all"`: all', services="DOCKER",
)
GRACE: Setting[float] = Setting(
    "runner.grace", number(most=86_400), 3.0,
    "seconds between the polite request to stop and the end by force", services="all",
)
LOCAL_PATH: Setting[tuple[Path, ...]] = Setting(
    "runner.path", PATHS, (), "folders put first on the program's `PATH`", "none", "LOCAL",
    joined=both,
)
PASS_ON: Setting[tuple[str, ...]] = Setting(
    "runner.pass_on", TEXTS, (),
    "names of your variables that programs get, too: of licences, say", "none", "LOCAL, CONDA, UV",
)
ENCLOSE = Setting(
    "runner.enclose", FLAG, True,
    "whether programs see their job and its inputs only, where bubblewrap makes that possible",
    services="LOCAL, CONDA, UV",
)
WARM = Setting(
    "runner.warm", FLAG, False,
    "whether programs in Python start with imports done, on Linux (on trial)",
    services="LOCAL, CONDA, UV, DOCKER",
)
CHANNELS: Setting[tuple[str, ...]] = Setting(
    "runner.channels", TEXTS, ("conda-forge", "bioconda"),
    "channels to search when the descriptor names none (after those that it names): names, "
    "URLs, folders",
    services="CONDA",
)
CHANNEL_ALIAS = Setting(
    "runner.channel_alias", TEXT, "", "address in front of a channel's bare name",
    "conda's own", "CONDA",
)
CHANNEL_MIRRORS: Setting[dict[str, tuple[str, ...]]] = Setting(
    "runner.mirrors", MIRRORS, {},
    '`{"conda-forge": "https://…"}`: a channel\'s name or URL, and the address (or list of '
    "addresses) to use instead",
    "none", "CONDA",
)
PLATFORM = Setting(
    "runner.platform", TEXT, "",
    "`linux-64`, `linux/amd64`, …: for another platform than this computer's",
    "this computer's", "CONDA, DOCKER",
)
OFFLINE = Setting(
    "runner.offline", FLAG, False, "never touch the network; only what is here is used",
    services="CONDA, UV",
)
ENVIRONMENTS_DIR: Setting[Path | None] = Setting(
    "runner.environments_dir", PATH, None, "where environments are kept",
    "the user's data folder", "CONDA, UV",
)
TORCH_INDEX = Setting(
    "runner.torch_index", TEXT, "",
    "index (address, folder) of PyTorch for tools that leave its build open", "PyTorch's", "UV",
)
CONDA_DIR: Setting[Path | None] = Setting(
    "runner.conda_dir", PATH, None,
    "a conda installation; an environment of the descriptor's name in its `envs` is used as "
    "it is",
    "none", "CONDA",
)
HOST = Setting(
    "runner.host", TEXT, "", "the engine, as in `DOCKER_HOST`",
    "`DOCKER_HOST`, the docker context, the usual sockets", "DOCKER",
)
NETWORK = Setting(
    "runner.network", FLAG, False,
    "whether programs in containers or in an enclosure may use the network; tools that say that "
    "they need it always may",
    services="LOCAL, CONDA, UV, DOCKER",
    field=Field("limits.network", "Network", "Whether programs may use the network.",
                "Programs may use the network"),
)
NETWORK_MODE = Setting(
    "runner.network_mode", TEXT, "", "which network, where they may: `host`, `bridge`, a name",
    "the engine's default", "DOCKER",
)
IDLE_TIMEOUT: Setting[float] = Setting(
    "runner.idle_timeout", number(most=1_000_000), 600,
    "seconds after which an idle warm container is removed", services="DOCKER",
)
MAX_CONTAINERS = Setting(
    "runner.max_containers", whole(), 8, "how many warm containers are kept", services="DOCKER"
)
ENTRYPOINT = Setting(
    "runner.entrypoint", FLAG, False, "start programs through the image's entry point",
    services="DOCKER",
)
PIDS = Setting(
    "runner.pids", whole(), 4096, "how many processes a container may have", services="DOCKER"
)
SHM_SIZE = Setting(
    "runner.shm_size", SIZE, 2**30, 'shared memory: bytes, or `"2G"`', "1 GiB", "DOCKER"
)
TMPFS: Setting[dict[str, str]] = Setting(
    "runner.tmpfs", TEXT_MAP, {}, '`{"/scratch": "size=4g"}`: folders in memory', "none", "DOCKER",
)
BIOCONTAINERS = Setting(
    "runner.biocontainers", TEXT, "",
    "registry and namespace of the images for Galaxy's package requirements",
    "BioContainers", "DOCKER",
)

# jobs

WORKSPACE: Setting[Path | None] = Setting(
    "workspace", PATH, None, "folder in which the folders of jobs are made",
    "`jobs` in the user's data folder",
    field=Field("running.workspace", "Folder for jobs",
                "Where inputs, results and records of jobs are kept; empty for the default."),
)
MAX_PARALLEL = Setting(
    "jobs.max_parallel", whole(1, most=1024), 2, "how many jobs run at once",
    field=Field("running.max_parallel", "Jobs at once", "Further jobs wait in the queue."),
)
TIMEOUT: Setting[float] = Setting(
    "jobs.timeout", number(), 0, "seconds after which a program is ended; 0: never",
    field=Field("running.timeout", "Longest run",
                "A program that takes longer is ended; 0 for no limit.", "no limit", "s"),
)
KEEP_DAYS: Setting[float] = Setting(
    "jobs.keep_days", number(most=365_000), 30,
    "age at which `clean` offers finished jobs for removal"
)
DISK = Setting(
    "jobs.disk", SIZE, 20 * 2**30,
    'what the files of jobs may take: bytes, or `"20G"`; above it those of the oldest go that no '
    "layer shows, while records and logs stay", "20 GiB",
)
CACHE = Setting(
    "jobs.cache", FLAG, True,
    "whether a run that was made before is answered by its result, when nothing that its program "
    "can read has changed",
    field=Field("running.cache", "Results of earlier runs",
                "A run that was made before, with nothing changed, is answered at once.",
                "Repeated runs are answered by earlier results"),
)
CACHE_SIZE: Setting[int | None] = Setting(
    "jobs.cache_size", SIZE, 5 * 2**30,
    'what the results of earlier runs may take on the disk: bytes, or `"5G"`; those that were not '
    "asked for longest go first", "5 GiB",
)
UNCACHED: Setting[tuple[str, ...]] = Setting(
    "jobs.uncached", TEXTS, (),
    "ids of tools that are always run, as they make another result each time", "none",
)
USER_NAME = Setting("user.name", TEXT, "", "written into records", "empty")
# fmt: on

TABLE: Mapping[str, Setting[object]] = {
    entry.key: entry for entry in list(vars().values()) if isinstance(entry, Setting)
}
"""Key -> setting, in the order of the documentation."""

ALIASES: Mapping[str, str] = {
    PROCESS_SERVICE.key: RUNNER_SERVICE.key,
    PROCESS_PLUGIN_DIRS.key: PLUGIN_DIRS.key,
}
"""The tutorial's keys of ``process``, and ours that mean the same."""

FOR_EVERY_SERVICE: frozenset[str] = frozenset(
    {"runner.cpus", "runner.memory", "runner.gpus", "runner.network"}
)
"""Keys of ``runner`` that mean the same to services of others."""

_IGNORED = frozenset(
    {"metadata", "apps", "install_dir", "log_dir", "user.mail"}
    | {"process.tools", "runner.working_dir", "runner.token"}
)
SECTIONS = frozenset(key.partition(".")[0] for key in TABLE if "." in key)
_NEAR = 0.7


def is_ignored(key: str) -> bool:
    """Whether `key` is one of BioImageIT's that this package does not need."""
    return key in _IGNORED or key.partition(".")[0] in _IGNORED


def did_you_mean(key: str) -> str:
    """Return the known key that an unknown one is nearest to, empty when none is near."""
    from rapidfuzz.distance import OSA

    likeness = OSA.normalized_similarity
    wanted = key.lower().replace("-", "_")
    section, _, name = wanted.rpartition(".")
    candidates: Iterable[str] = [*TABLE, *(() if section else SECTIONS)]
    best, score = "", _NEAR
    for candidate in candidates:
        its_section, _, its_name = candidate.rpartition(".")
        if section == its_section:
            found = likeness(name.replace("_", ""), its_name.replace("_", ""))
        else:  # the right name in the wrong place, or a slip in the section
            found = max(likeness(wanted, candidate), likeness(name, its_name) - 0.15)
        if found > score:
            best, score = candidate, found
    return best
