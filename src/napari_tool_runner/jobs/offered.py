"""A toolbox that can be added: what it holds, whose place it takes; and the list that names it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import settings
from napari_tool_runner.config import changed_config, save_config, toolbox_texts
from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.errors import ToolboxError, ToolRunnerError, is_full
from napari_tool_runner.names import count_text, safe_name, size_text
from napari_tool_runner.quoting import one_line
from napari_tool_runner.tools.reader import dialects
from napari_tool_runner.tools.toolbox.added import (
    About,
    AddedToolbox,
    Draft,
    added_toolboxes,
    fetched_folder,
    hide,
)
from napari_tool_runner.tools.toolbox.approved import look

if TYPE_CHECKING:
    from napari_tool_runner.config import Config
    from napari_tool_runner.tools.toolbox.entries import ToolEntry
    from napari_tool_runner.tools.toolbox.index import Problem

__all__ = ["Offer", "in_words", "listed"]

_NEEDS = {"conda": "packages of conda", "pip": "packages of PyPI"}
_CONTAINER = "a container"


@dataclass(frozen=True, slots=True)
class Offer:
    """A toolbox that can be looked at, and added. Nothing of it has run, nor will by that.

    Parameters
    ----------
    name : str
        What it would be called.
    entries, problems : tuple
        Its tools, and what of it cannot be used.
    size : int
        Bytes of its files.
    left_out : tuple of str
        What of an archive was not unpacked.
    """

    name: str
    about: About
    entries: tuple[ToolEntry, ...]
    problems: tuple[Problem, ...]
    size: int
    config: Config = field(repr=False)
    folder: Path
    left_out: tuple[str, ...] = ()
    draft: Draft | None = field(default=None, repr=False)

    def before(self, name: str = "") -> AddedToolbox | None:
        """Return the toolbox whose place it would take, None when there is none."""
        if self.draft is None:
            return None
        place = fetched_folder(safe_name(name or self.name))
        return next((one for one in added_toolboxes(self.config) if one.folder == place), None)

    def difference(self, before: AddedToolbox) -> str:
        """Return what it would change in the toolbox whose place it takes."""
        try:
            marks = [
                {file: entry.mark for file, entry in look(folder).items()}
                for folder in (before.folder, self.folder)
            ]
        except OSError as error:
            return f"What changes is not known: {error.strerror or error}."
        old, new = marks
        counts = {
            "changed": sum(old[one] != new[one] for one in old.keys() & new.keys()),
            "new": len(new.keys() - old.keys()),
            "gone": len(old.keys() - new.keys()),
        }
        told = [f"{count_text(count, 'file')} {how}" for how, count in counts.items() if count]
        return f"{', '.join(told)}." if told else "Its files are the same."

    def lines(self) -> list[str]:
        """Return what is in it, in lines."""
        kinds = Counter(dialects[entry.dialect].label for entry in self.entries)
        languages = ", ".join(f"{label} ({count})" for label, count in kinds.most_common())
        needs = Counter(map(_need, self.entries))
        told = ", ".join(f"{need} ({count})" for need, count in needs.most_common())
        lines = [
            f"{count_text(len(self.entries), 'tool')}, {size_text(self.size)}",
            f"Written in the language of {languages}",
            f"They need: {told}",
        ]
        if self.problems:
            lines.append(
                f"{count_text(len(self.problems), 'file')} of it cannot be used: "
                f"{one_line(str(self.problems[0]), 200)}"
            )
        if self.left_out:
            names = ", ".join(one_line(name, 60) for name in self.left_out[:3])
            lines.append(f"Left out (links, or no names for files): {names}")
        return lines

    def add(self, name: str = "") -> AddedToolbox:
        """Add it under a name; what it replaces is there until then.

        Raises
        ------
        ToolboxError, ConfigError
            It cannot be kept, or the configuration not be written.
        """
        name, folder = safe_name(name or self.name), self.folder
        with in_words(f"“{name}” was not added"):
            if self.about.kind == "installed":
                hide(self.about.origin, False)
            else:
                if self.draft is not None:
                    folder = self.draft.put(folder, name, self.about)
                    self.drop()
                listed(folder, self.config)
        return AddedToolbox(self.name if self.draft is None else name, folder, self.about)

    def drop(self) -> None:
        """Let go what was fetched for it."""
        if self.draft is not None:
            self.draft.drop()


def listed(folder: Path, config: Config, *, out: bool = False) -> None:
    """Write a folder into the list of toolboxes, or take it out; raises ToolRunnerError."""
    key = settings.TOOLBOXES.key
    texts = dict(zip(config.own(settings.TOOLBOXES), toolbox_texts(config), strict=True))
    if out == (folder in texts):
        kept = [text for path, text in texts.items() if path != folder]
        kept += [] if out else [str(folder)]
        save_config(changed_config(config, {key: kept or None}))
    elif out:
        raise ToolboxError(
            f"{folder} is named by your facility.", hint="Ask those who look after it."
        )


def _need(entry: ToolEntry) -> str:
    if not entry.requirements:
        return "nothing"
    kinds = dict.fromkeys(_NEEDS.get(kind, _CONTAINER) for kind in entry.requirements)
    return " or ".join(kinds)


@contextmanager
def in_words(what: str) -> Iterator[None]:
    """Say in a sentence what the disk refuses."""
    try:
        yield
    except ToolRunnerError:
        raise
    except OSError as error:
        why = "the disk is full" if is_full(error) else error.strerror or error
        hint = "Free some room, then try again." if is_full(error) else ""
        raise ToolboxError(f"{what}: {why}.", hint=hint) from error
