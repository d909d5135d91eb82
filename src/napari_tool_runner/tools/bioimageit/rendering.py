"""Fills the command of a bioimageit tool, an argv, and finds the files that it wrote."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from napari_tool_runner.errors import OutputError, TemplateError
from napari_tool_runner.tools.bioimageit.template import (
    FIJI,
    TOOL_DIRECTORY,
    Placeholder,
    Source,
    Token,
    parse_template,
    resolve,
)
from napari_tool_runner.tools.dialect import (
    CollectedFile,
    CollectedOutput,
    DataCollection,
    DataFile,
    JobPaths,
    PlannedOutput,
    RenderedCommand,
    data_files,
)
from napari_tool_runner.tools.model import (
    BooleanParameter,
    DataOutput,
    DataParameter,
    FloatParameter,
    Parameter,
    Tool,
)
from napari_tool_runner.tools.tree import BoundValues, Leaf, leaves

if TYPE_CHECKING:
    from napari_tool_runner.tools.formats import Formats

__all__ = ["collect_outputs", "render_command"]

_Filled: TypeAlias = str | list[str] | None
"""A value as text; a list for several files; None when the value is absent."""

_OPTION = re.compile(r"--?[A-Za-z][\w.-]*")


def render_command(
    tool: Tool, values: BoundValues, paths: JobPaths, variables: Mapping[str, str]
) -> RenderedCommand:
    """Fill ``tool.command``; see `Dialect.render`.

    Raises
    ------
    TemplateError
        A placeholder means nothing, or there is no command.
    """
    tokens = parse_template(tool.command)
    if not tokens:
        raise TemplateError(f"The tool “{tool.id}” has no command to run.")
    outputs = _planned(tool, paths)
    files: dict[Path, str] = {}
    found: dict[str, tuple[Leaf | None, _Filled]] = {}
    for leaf in leaves(tool.inputs, values):
        value = leaf.value
        if tool.type == "merge" and isinstance(leaf.parameter, DataParameter):
            value = _merged(leaf.name, value, paths, files)
        found[leaf.name] = (leaf, _filled(leaf.parameter, value))
    for planned in outputs:
        found[planned.output.name] = (None, str(planned.path))
    aliases = tool.source.aliases if isinstance(tool.source, Source) else {}
    names = resolve(tokens, {**{name: name for name in found}, **aliases})
    scope = _Scope(tool, found, names, variables)
    return RenderedCommand(argv=tuple(_fill(tokens, scope)), outputs=outputs, files=files)


@dataclass(frozen=True, slots=True)
class _Scope:
    """Finds what a placeholder stands for."""

    tool: Tool
    found: Mapping[str, tuple[Leaf | None, _Filled]]
    names: Mapping[Placeholder, str | None]
    variables: Mapping[str, str]

    def value(self, place: Placeholder) -> _Filled:
        """Return the text for `place`; inputs and outputs go before the config's."""
        name = self.names[place]
        if name is not None and name in self.found:
            return self.found[name][1]
        if place.name == TOOL_DIRECTORY:
            return str(self.tool.folder) + os.sep
        if place.name == FIJI:
            fiji = self.variables.get(FIJI) or self.variables.get("fiji")
            if fiji is None:
                raise TemplateError(
                    f"The tool “{self.tool.id}” needs Fiji, and the configuration names none.",
                    line=place.text,
                    hint="Set “fiji” in config.json to Fiji's program.",
                )
            return fiji
        if place.braced and place.name in self.variables:
            return self.variables[place.name]
        hint = "Correct it in <command>"
        hint += f", or add “{place.name}” to “env” of config.json." if place.braced else "."
        raise TemplateError(
            f"{place.text} in the command of “{self.tool.id}” is no parameter or output.",
            line=place.text,
            hint=hint,
        )

    def omits_empty(self, place: Placeholder) -> bool:
        """Say whether an empty text means “no argument” (a switch that is off)."""
        leaf = self.found.get(self.names[place] or "", (None, None))[0]
        return leaf is not None and isinstance(leaf.parameter, BooleanParameter)


def _fill(tokens: Sequence[Token], scope: _Scope) -> Iterator[str]:
    """Yield the arguments. Absent values: docs/decisions/021-absent-values.md."""
    held: str | None = None  # an option such as --mask, until its value is known
    for token in tokens:
        if len(token) == 1 and isinstance(token[0], Placeholder):
            value = scope.value(token[0])
            if value is None or value == []:
                if held is not None:  # the option goes with its value
                    held = None
                    continue
                value = ""
            elif value == "" and scope.omits_empty(token[0]):
                continue
            if held is not None:
                yield held
                held = None
            if isinstance(value, list):
                yield from value
            else:
                yield value
            continue
        if held is not None:
            yield held
            held = None
        if len(token) == 1 and isinstance(token[0], str) and _OPTION.fullmatch(token[0]):
            held = token[0]
            continue
        text = _joined(token, scope)
        if text is not None:
            yield text
    if held is not None:
        yield held


def _joined(token: Token, scope: _Scope) -> str | None:
    """Return a mixed token as one argument; None for ``--option=`` without a value."""
    parts: list[str] = []
    absent = False
    for piece in token:
        if isinstance(piece, str):
            parts.append(piece)
            continue
        value = scope.value(piece)
        absent = absent or value is None
        parts.append(",".join(value) if isinstance(value, list) else value or "")
    text = "".join(parts)
    if absent and text.endswith("=") and _OPTION.fullmatch(text[:-1]):
        return None
    return text


# -- values as text ------------------------------------------------------------------


def _filled(parameter: Parameter, value: object) -> _Filled:
    if value is None:
        return None
    if isinstance(value, DataFile):
        return str(value.path)
    if isinstance(parameter, DataParameter) and isinstance(value, DataCollection | list | tuple):
        return [str(file.path) for file in data_files(value)]
    if isinstance(parameter, BooleanParameter):
        return parameter.true_value if value else parameter.false_value
    if isinstance(parameter, FloatParameter) and isinstance(value, float):
        return _float(parameter, value)
    if isinstance(value, tuple | list):
        return ",".join(str(entry) for entry in value)
    return str(value)


def _float(parameter: FloatParameter, value: float) -> str:
    if parameter.default_text and value == parameter.default:
        return parameter.default_text
    # a program whose default is “3” may read whole numbers only
    whole = re.fullmatch(r"[+-]?\d+", parameter.default_text)
    if whole and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return repr(value)


# -- ``type="merge"``: all numbers of many datasets in one file -----------------------


def _merged(name: str, value: object, paths: JobPaths, files: dict[Path, str]) -> object:
    """Return one `DataFile` for `value`; several files become one line of numbers.

    The new file is added to `files`, to be written before the start. One file passes
    unchanged.

    Raises
    ------
    TemplateError
        A file holds no number.
    """
    given = data_files(value)
    if len(given) < 2:
        return given[0] if given else value
    numbers = [text for file in given for text in _numbers(file.path)]
    path = paths.work / f"{name}.csv"
    files[path] = ",".join(numbers) + "\n"
    return DataFile(path, "arraycsv", name)


def _numbers(path: Path) -> list[str]:
    found = []
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            for row in csv.reader(stream):
                found += [cell.strip() for cell in row if _is_number(cell)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TemplateError(f"The numbers of {path} cannot be read: {error}.") from error
    if not found:
        raise TemplateError(
            f"{path} holds no number to merge.", hint="Give a file with one number in it."
        )
    return found


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


# -- outputs -------------------------------------------------------------------------


def _planned(tool: Tool, paths: JobPaths) -> tuple[PlannedOutput, ...]:
    planned: list[PlannedOutput] = []
    taken: set[str] = set()
    for output in tool.outputs:
        extension = tool.formats.resolve(output.format).extension if output.format else ""
        extension = extension or _extension_of_tests(tool, output)
        # no separator, no leading dash or dot: the name comes from the descriptor
        stem = re.sub(r"[^\w.-]+", "_", output.name).strip(".-") or "output"
        name, count = stem + extension, 2
        while name.casefold() in taken:
            name, count = f"{stem}_{count}{extension}", count + 1
        taken.add(name.casefold())
        planned.append(PlannedOutput(output, paths.outputs / name, output.format))
    return tuple(planned)


def _extension_of_tests(tool: Tool, output: DataOutput) -> str:
    """Return the extension that the tests write for an output whose format has none."""
    for test in tool.tests:
        for expected in test.outputs:
            match = re.fullmatch(r"[^.]+((?:\.[A-Za-z]\w{0,9}){1,2})", expected.value)
            if expected.name == output.name and match:
                return match[1]
    return ""


def collect_outputs(
    rendered: RenderedCommand, paths: JobPaths, formats: Formats
) -> list[CollectedOutput]:
    """Return the outputs that exist; see `Dialect.collect`.

    Raises
    ------
    OutputError
        An output is a link out of the job's folder, or its ``from_work_dir`` is.
    """
    found = []
    for planned in rendered.outputs:
        path = _find(planned, paths, formats)
        if path is not None:
            file = CollectedFile(path, planned.format, planned.output.name)
            found.append(CollectedOutput(planned.output, (file,)))
    return found


def _find(planned: PlannedOutput, paths: JobPaths, formats: Formats) -> Path | None:
    candidates = [planned.path]
    if planned.output.from_work_dir:
        candidates.insert(0, paths.work / planned.output.from_work_dir)
    # tools that choose the extension themselves: o.tiff for o.tif, o.png for raw o
    if planned.format:
        entry = formats.resolve(planned.format)
        stem = planned.path.name.removesuffix(entry.extension)
        others = [e for parent in entry.parents for e in formats[parent].extensions]
        candidates += [planned.path.with_name(stem + alias) for alias in (*entry.aliases, *others)]
    found = [path for path in candidates if path.exists() or path.is_symlink()]
    if not found and not planned.path.suffix:
        named = list(planned.path.parent.glob(f"{escape(planned.path.name)}.*"))
        found = named if len(named) == 1 else []
    return _inside(found[0], planned, paths) if found else None


def _inside(path: Path, planned: PlannedOutput, paths: JobPaths) -> Path | None:
    """Return `path` when it exists and really lies in the job's folder."""
    try:
        real = path.resolve(strict=True)
    except FileNotFoundError:
        return None  # a link to nothing: the output is missing
    except (OSError, RuntimeError) as error:  # a circle of links
        raise OutputError(
            f"The output “{planned.output.name}” cannot be opened: {error}.",
            hint="The tool must write a plain file there.",
        ) from error
    if not real.is_relative_to(paths.root.resolve()):
        raise OutputError(
            f"The output “{planned.output.name}” is a link to {real}, outside the job's folder.",
            hint="It was not opened; the tool must write its own file.",
        )
    return path
