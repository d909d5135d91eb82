"""Gets more tools: a toolbox by folder, by zip, or by the name of a package; and removes it."""

from __future__ import annotations

import os
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import settings
from napari_tool_runner.config import load_config
from napari_tool_runner.errors import JobCancelledError, ToolboxError
from napari_tool_runner.jobs.offered import Offer, in_words, listed
from napari_tool_runner.names import safe_name
from napari_tool_runner.plugins import (
    CancelToken,
    ExecContext,
    Package,
    Progress,
    fetch_package,
    find_package,
)
from napari_tool_runner.quoting import one_line
from napari_tool_runner.sealed import usage
from napari_tool_runner.tools.toolbox.added import (
    About,
    Draft,
    added_toolboxes,
    git_version,
    hide,
    is_fetched,
    take_away,
)
from napari_tool_runner.tools.toolbox.box import Toolbox, ToolboxFolder
from napari_tool_runner.tools.toolbox.installed import GROUP, carried_by
from napari_tool_runner.tools.toolbox.trust import revoke
from napari_tool_runner.tools.toolbox.unpacking import unpack

if TYPE_CHECKING:
    from napari_tool_runner.config import Config
    from napari_tool_runner.jobs.request import ConfigLike
    from napari_tool_runner.plugins import Event

__all__ = ["Getting", "add_toolbox", "remove_toolbox"]

_VERSIONED = re.compile(r"(?P<name>.+?)[-_](?P<version>v?\d[\w.+]*|main|master|trunk)")


class Getting:
    """One attempt to get a toolbox, which can be cancelled.

    Parameters
    ----------
    what : str
        A folder, a zip, or the name of a package. What is a path in writing (it has a separator,
        or begins with ``.`` or ``~``, or ends with ``.zip``) is never looked for on PyPI.
    report : callable
        Gets events of progress, in the thread that works.
    """

    def __init__(
        self, what: str, config: Config, report: Callable[[Event], None] = lambda event: None
    ) -> None:
        self.what, self._config, self._report = what.strip(), config, report
        self.cancel = CancelToken()
        self._path = Path(os.path.expanduser(self.what)).absolute()

    def find(self) -> Offer | Package:
        """Return what a folder or a zip holds, or which package an index has.

        Raises
        ------
        ToolRunnerError
        """
        lock = self._config.lock_of(settings.TOOLBOXES.key)
        if lock is not None:
            raise ToolboxError(
                f"Your facility says which toolboxes there are ({lock.place}).",
                hint="Ask those who look after that file.",
            )
        path = self._path
        seps = {"/", os.sep, "\\"} & {*self.what}
        if not self.what:
            raise ToolboxError("Name a folder, a zip, or a package of PyPI.")
        if seps or self.what.startswith((".", "~")) or self.what.lower().endswith(".zip"):
            return self._folder(path) if path.is_dir() else self._zip(path)
        return self._installed() or self._look_up()

    def fetch(self, package: Package) -> Offer:
        """Download a package and look at what it carries; raises ToolRunnerError."""
        with in_words(f"{package.name} was not downloaded"), _drafting() as draft:
            work = draft.folder / "work"
            work.mkdir(0o700)
            context = ExecContext(work, work, work, cancel=self.cancel, report=self._report)
            files = fetch_package(package, self._config, context)
            self._report(Progress("Looking at its tools"))
            told = f"{package.name} {package.version}"
            content = _carried(files, draft.folder / "content", told)
            about = About("package", package.name, package.version, package.place)
            return self._offer(package.name, about, content, draft)

    def _look_up(self) -> Package:
        with in_words(f"“{self.what}” was not looked for"), _drafting() as draft:
            self._report(Progress(f"Looking for {self.what}"))
            found = find_package(self.what, self._config, draft.folder, self.cancel)
            draft.drop()
            return found

    def _installed(self) -> Offer | None:
        """Return the toolbox of a package of this Python that was hidden, None if it has none."""
        from packaging.utils import canonicalize_name

        asked = canonicalize_name(self.what)
        found = [
            one
            for one in added_toolboxes(self._config)
            if one.about.kind == "installed" and canonicalize_name(one.about.origin) == asked
        ]
        if not found:
            return None
        if found[0].shown:
            raise ToolboxError(f"The tools of {found[0].about.text}, are shown already.")
        return self._offer(found[0].name, found[0].about, found[0].folder, None)

    def _folder(self, path: Path) -> Offer:
        self._report(Progress("Looking at its tools"))
        if path in self._config.toolbox_dirs:
            raise ToolboxError(f"The folder {path} is one of your toolboxes already.")
        try:
            os.listdir(path)
        except OSError as error:
            why = error.strerror or error
            raise ToolboxError(f"The folder {path} cannot be read: {why}.") from error
        about = About("folder", str(path), git_version(path))
        return self._offer(path.name or str(path), about, path, None)

    def _zip(self, path: Path) -> Offer:
        if not path.is_file():
            raise ToolboxError(f"There is no folder and no zip {path}.", hint="Check the path.")
        with in_words(f"{path.name} was not unpacked"), _drafting() as draft:
            self._report(Progress(f"Unpacking {path.name}"))
            content = draft.folder / "content"
            content.mkdir(0o700)
            left = unpack(path, content, self._stop)
            self._report(Progress("Looking at its tools"))
            inner = [*content.iterdir()]
            if len(inner) == 1 and inner[0].is_dir():
                content = inner[0]  # as of a repository: all lies in one folder
            name = content.name if content.name != "content" else path.stem
            named = _VERSIONED.fullmatch(name)
            met = named or _VERSIONED.fullmatch(path.stem)
            about = About("zip", str(path), met["version"] if met else _newest(path))
            return self._offer(named["name"] if named else name, about, content, draft, left)

    def _offer(
        self, name: str, about: About, folder: Path, draft: Draft | None, left: Sequence[str] = ()
    ) -> Offer:
        with tempfile.TemporaryDirectory() as cache:  # an index of what may never be added
            box = Toolbox([ToolboxFolder(name, folder)], cache_dir=Path(cache))
        self._stop()
        if not box.entries:
            problems = f": {box.problems[0]}" if box.problems else "."
            can = " that can be read" if box.problems else ""
            raise ToolboxError(
                f"{about.text} holds no descriptor of a tool{can}{problems}",
                hint="What is read: descriptors of BioImageIT, Galaxy and the other languages.",
            )
        return Offer(
            safe_name(name), about, box.entries, box.problems, usage(folder).content,
            self._config, folder, tuple(left), draft,
        )  # fmt: skip

    def _stop(self) -> None:
        if self.cancel.requested:
            raise JobCancelledError("It was cancelled; nothing was added.")


def add_toolbox(
    what: str | os.PathLike[str],
    *,
    name: str = "",
    replace: bool = False,
    config: ConfigLike = None,
) -> Path:
    """Add a toolbox and return its folder; its tools do not run before they are approved.

    Parameters
    ----------
    what : str or path
        A folder, a zip (also of a git repository), or the name of a package of PyPI that carries
        descriptors (``cell-tools`` or ``cell-tools==1.2``), which is downloaded.
    name : str
        What it is called; default: as the folder, the zip or the package.
    replace : bool
        Whether it may take the place of one that is called so.
    config : path, mapping or None
        As `load_toolbox` takes it; a file that it names is written.

    Raises
    ------
    ToolboxError, PreparationError, ConfigError, TrustError
        It cannot be had, or holds no tools; nothing was changed.
    """
    getting = Getting(os.fspath(what), load_config(config))
    found = getting.find()
    offer = getting.fetch(found) if isinstance(found, Package) else found
    try:
        before = offer.before(name)
        if before is not None and not replace:
            raise ToolboxError(
                f"There is a toolbox “{before.name}” already ({before.about.text}).",
                hint="Say that it is to be replaced, or give the new one another name.",
            )
        return offer.add(name).folder
    finally:
        offer.drop()


def remove_toolbox(name: str, config: Config) -> str:
    """Take a toolbox away; return what became of it.

    Parameters
    ----------
    name : str
        Its name, or its folder.

    Raises
    ------
    ToolboxError, ConfigError, TrustError
    """
    place = Path(os.path.expanduser(name)).absolute()
    known = added_toolboxes(config)
    found = [one for one in known if one.folder == place] or [o for o in known if o.name == name]
    if len(found) != 1:
        places = ", ".join(str(one.folder) for one in found)
        hint = f"Name its folder: {places}." if found else "“toolbox list” shows those there are."
        count = "several toolboxes" if found else "no toolbox that was added"
        raise ToolboxError(f"There is {count} called “{one_line(name)}”.", hint=hint)
    one = found[0]
    with in_words(f"“{one.name}” was not removed"):
        if one.about.kind == "installed":
            hide(one.about.origin, True)
            return (
                f"The tools of {one.about.origin} are not shown any more. The package stays "
                f"installed: pip uninstall {one.about.origin} takes it away."
            )
        if one.folder in config.toolbox_dirs:
            listed(one.folder, config, out=True)
        if not is_fetched(one.folder):
            return f"{one.folder} is no toolbox of yours any more; its files stay."
        revoke(one.folder)
        take_away(one.folder)
        return f"“{one.name}” was removed, with its files."


def _carried(files: Path, content: Path, told: str) -> Path:
    """Return a folder of what a package carries: its one toolbox, or its several side by side."""
    found = carried_by(files)
    if not found:
        raise ToolboxError(
            f"{told} carries no tools: it names no folder of descriptors in the entry-point "
            f"group “{GROUP}”.",
            hint="Its author can add that: see “Publish a toolbox” in the documentation.",
        )
    if len(found) == 1:
        found[0].path.rename(content)
        return content
    content.mkdir(0o700)
    for one in found:
        with suppress(FileNotFoundError):  # it lay in another, and is there
            one.path.rename(content / safe_name(one.entry))
    return content


def _newest(archive: Path) -> str:
    with zipfile.ZipFile(archive) as opened:
        dates = [info.date_time for info in opened.infolist()]
    return "of {:04}-{:02}-{:02}".format(*max(dates)[:3]) if dates else ""


@contextmanager
def _drafting() -> Iterator[Draft]:
    """Give a draft, which goes when something goes wrong."""
    draft = Draft()
    try:
        yield draft
    except BaseException:
        draft.drop()
        raise
