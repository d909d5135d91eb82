"""Secrets of the configuration: a program gets them in a file of its job, nobody else sees them.

A command line can be read by everybody on a computer, and is recorded; so no secret is put
into one; what a program prints, and what is told of it, has the name of a secret in its place.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING
from urllib.parse import quote

from napari_tool_runner import sealed
from napari_tool_runner.errors import OutputError, TemplateError
from napari_tool_runner.jobs.typed_json import as_object
from napari_tool_runner.plugins import OutputLine, recover
from napari_tool_runner.processes import process_mark
from napari_tool_runner.seals import is_sealed, seal_of
from napari_tool_runner.setting_types import Secret
from napari_tool_runner.storage import Kept, user_data

if TYPE_CHECKING:
    from napari_tool_runner.plugins import Event
    from napari_tool_runner.tools.dialect import JobPaths, RenderedCommand

__all__ = ["Secrets", "forget_left", "is_ours", "with_seal"]

_log = logging.getLogger(__name__)
_FOLDER = "secrets"
_FILE = "_FILE"
_LINE = 8
"""Characters that a line of a longer secret has at least: the others are met everywhere."""

_CUT = re.compile(r" … \(\d+ more characters\)$")  # of a long line, the beginning is kept


def with_seal(told: Mapping[str, object], folder: Path) -> dict[str, object]:
    """Return a record of a job in `folder` with the mark that this installation wrote it there."""
    seal = seal_of(_content(told, folder))
    return {**told, "seal": seal} if seal else dict(told)


def is_ours(told: Mapping[str, object], folder: Path) -> bool:
    """Whether this installation wrote a record, as it is, in that folder."""
    plain = {name: value for name, value in told.items() if name != "seal"}
    return is_sealed(_content(plain, folder), told.get("seal"))


def _content(told: Mapping[str, object], folder: Path) -> str:
    return json.dumps([os.path.realpath(folder), told], sort_keys=True)


class Secrets:
    """Those of `variables` (``env`` in the configuration) that are secrets."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        forget_left()
        self._variables = variables
        self._secrets = {n: v for n, v in variables.items() if isinstance(v, Secret) and v}
        # what a template gets: it is code, and could hide a value that it knows
        self._stand_ins = {name: token_hex(16) for name in self._secrets}
        shown = {
            text: f"‹{n}›" for n, value in self._secrets.items() for text in _spelled(str(value))
        }
        self._shown = sorted(shown.items(), key=lambda one: -len(one[0]))

    def variables(self, paths: JobPaths) -> Mapping[str, str]:
        """Return what a command may name: for each secret also ``NAME_FILE``."""
        files = {name + _FILE: str(_place(paths, name)) for name in self._secrets}
        return {**self._variables, **self._stand_ins, **files}

    def check(self, rendered: RenderedCommand) -> None:
        """Raise TemplateError when a secret stands in a command line."""
        told = [*rendered.argv, rendered.script, *rendered.environment.values()]
        told += rendered.files.values()
        for name, value in self._secrets.items():
            if any(value in text or self._stand_ins[name] in text for text in told):
                raise TemplateError(
                    f"The command of the tool names the secret “{name}” of the configuration; "
                    "everybody on this computer could read it there, and it would be recorded.",
                    hint=f"Let the tool read it from a file: ${{{name}{_FILE}}} in its command.",
                )

    def named(self, rendered: RenderedCommand, paths: JobPaths) -> list[str]:
        """Return the names of the secrets whose files the command names."""
        texts = (*rendered.argv, rendered.script)
        places = {name: str(_place(paths, name)) for name in self._secrets}
        return [name for name, place in places.items() if any(place in text for text in texts)]

    def write(self, rendered: RenderedCommand, paths: JobPaths) -> None:
        """Write the files of the secrets that the command names; raises OSError."""
        named = self.named(rendered, paths)
        if not named:
            return
        with _written().changing() as told:  # before they are there: we may be killed
            told[str(paths.temp / _FOLDER)] = [str(paths.top), _session()]
            # others take a folder that is not there for one that is over
            sealed.make_folder(paths.temp / _FOLDER, paths.top)
        for name in named:
            place = _place(paths, name)
            sealed.write(place, self._secrets[name], paths.top)
            os.chmod(place, 0o600)

    def hide(self, text: str) -> str:
        """Return `text` with the name of a secret where its value stands, whole or cut off."""
        for value, name in self._shown:
            text = text.replace(value, name)
        cut = _CUT.search(text) if self._shown else None
        if cut is None:
            return text
        head = text[: cut.start()]
        for value, name in self._shown:
            size = next((n for n in range(len(value), 3, -1) if head.endswith(value[:n])), 0)
            head = f"{head[:-size]}{name}" if size else head
        return head + cut[0]

    def hidden(self, told: Mapping[str, object]) -> dict[str, object]:
        """Return what is told, in JSON types, without the values of secrets."""
        return as_object(self._hidden(told))

    def _hidden(self, told: object) -> object:
        if isinstance(told, str):
            return self.hide(told)
        if isinstance(told, Mapping):
            return {key: self._hidden(value) for key, value in told.items()}
        return [self._hidden(one) for one in told] if isinstance(told, list | tuple) else told

    def hiding(self, report: Callable[[Event], None]) -> Callable[[Event], None]:
        """Return what passes events on to `report` without the values of secrets."""
        if not self._shown:
            return report

        def passed(event: Event) -> None:
            if isinstance(event, OutputLine):
                report(replace(event, text=self.hide(event.text)))
            else:
                report(replace(event, phase=self.hide(event.phase)))

        return passed


def _spelled(value: str) -> Iterator[str]:
    """Yield how a secret stands in what is printed: plain, quoted, and line by line."""
    lines = [line.strip() for line in value.splitlines()]
    for text in (value, value.strip(), *(one for one in lines if len(one) >= _LINE)):
        yield from (text, repr(text)[1:-1], json.dumps(text)[1:-1], quote(text), quote(text, ""))


def _place(paths: JobPaths, name: str) -> Path:
    return paths.temp / _FOLDER / name


def _written() -> Kept:
    """Folder with files of secrets -> what its program sees, and the session that wrote them."""
    return Kept(user_data() / "secrets.json")


def _session(pid: int | None = None) -> str:
    pid = os.getpid() if pid is None else pid
    return f"{platform.node()} {pid} {process_mark(pid)}"


def forget_left() -> None:
    """Delete the secrets of jobs whose session was killed."""
    kept = _written()
    try:
        if not any(_is_over(*row) for row in kept.read().items()):
            return
        with kept.changing() as told:
            for folder, entry in list(told.items()):
                if _is_over(folder, entry) and _delete(Path(folder), entry):
                    del told[folder]
    except (OSError, ValueError) as error:
        _log.warning("Files of secrets that a session left cannot be looked for: %s", error)


def _is_over(folder: str, entry: object) -> bool:
    match entry:
        case [str(_), str(session)]:
            host, _, rest = session.partition(" ")
            number = rest.partition(" ")[0]
            if host != platform.node() or not number.isdigit():
                return False  # of another computer, which looks itself
            return _session(int(number)) != session or not os.path.exists(folder)
    return folder != "version"


def _delete(folder: Path, entry: object) -> bool:
    """Delete what a dead session wrote; whether it is gone."""
    match entry:
        case [str(top), str(_)] if folder.name == _FOLDER and folder.is_relative_to(top):
            if os.path.islink(top):  # a slot of a container has it
                recover(Path(top).parents[2])
            try:
                sealed.remove(folder, Path(top))
            except FileNotFoundError:
                pass
            except OutputError as error:  # the program put something else there
                _log.warning("The secrets in %s are not deleted: %s", folder, error)
            except OSError as error:
                _log.warning("The secrets in %s are not deleted yet: %s", folder, error)
                return False
    return True
