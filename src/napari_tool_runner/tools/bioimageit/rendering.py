"""The command of BioImageIT: tokens first, then values inside tokens; an argv in the end.

The template is split as a POSIX shell would split it, while it still holds the
placeholders. A value is put inside the token where its placeholder stands, so it can
neither become two arguments nor reach a shell, whatever characters it has.
"""

from __future__ import annotations

import csv
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from napari_tool_runner._lazy import compiled
from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.errors import TemplateError
from napari_tool_runner.tools.dialect import (
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
    ParameterBase,
    Tool,
)
from napari_tool_runner.tools.tree import BoundValues, Leaf, leaves
from napari_tool_runner.tools.values import EMPTY_IS_ABSENT, default_value

__all__ = [
    "FIJI",
    "TOLD",
    "TOOL_DIRECTORY",
    "Placeholder",
    "Source",
    "Token",
    "parse_template",
    "render_command",
    "resolve",
    "shell_syntax",
]

_Filled: TypeAlias = str | list[str] | None
"""A value as text; a list for several files; None when the value is absent."""

TOOL_DIRECTORY = "__tool_directory__"
FIJI = "__fiji__"
TOLD = (".sizes", ".axes", ".layer")
"""After the name of a data input: how large its pixels are (see `sizes_in_words`), which axes
coordinates have, which kind of layer it was; nothing where nobody says."""

# the two special names end where their own text ends: $__tool_directory__script.py
_PLACEHOLDER = compiled(
    rf"\$(?:(?P<special>{TOOL_DIRECTORY}|{FIJI})"
    r"|\{(?P<braced>[^{}$]*)\}"
    r"|(?P<bare>[A-Za-z_]\w*))"
)
_ESCAPED = compiled(r"\\\$(?=[{A-Za-z_])")
_CONTINUATION = compiled(r"\\\r?\n")
_QUOTED = compiled(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"|\\.", re.S)
_OPERATOR = compiled(
    r"(?:^|\s)(&&|\|\|?|;|&|\d?>{1,2}(?:&\d)?|<{1,2}|&>)(?=\s|$)|(\$\(|`)|(;)(?=\s)"
)
_OPTION = compiled(r"--?[A-Za-z][\w.-]*")


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A place for a value. `name` is what stands inside, `text` the whole of it."""

    name: str
    text: str
    braced: bool = True


@dataclass(frozen=True, slots=True)
class Source:
    """What the dialect keeps with a tool.

    `aliases`: what a placeholder may say -> the name of the input or output.
    """

    aliases: Mapping[str, str] = field(default_factory=dict)


Token: TypeAlias = tuple[str | Placeholder, ...]


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
    # a program may want each of its options: what has no effect is given with its default
    usual = {one.name: default_value(one) for one in tool.inputs if isinstance(one, ParameterBase)}
    for leaf in leaves(tool.inputs, usual | values):
        value = leaf.value
        if tool.type == "merge" and isinstance(leaf.parameter, DataParameter):
            value = _merged(leaf.name, value, paths, files)
        found[leaf.name] = (leaf, _filled(leaf.parameter, value))
        if isinstance(leaf.parameter, DataParameter):
            metadata = value.metadata if isinstance(value, DataFile) else {}
            for what in TOLD:
                said = str(metadata.get(what.removeprefix(".")) or "")
                found[f"{leaf.name}{what}"] = (None, said or None)
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
    if value is None or (value == "" and parameter.native == EMPTY_IS_ABSENT):
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


def parse_template(text: str) -> tuple[Token, ...]:
    r"""Split a command template into tokens of literal text and placeholders.

    ``${x}``, ``$x``, ``${-x}``, also inside quotes, are placeholders; ``\${x}`` is
    the text ``${x}``. Line ends separate tokens.

    Raises
    ------
    TemplateError
        A quotation is not closed.
    """
    mark = next(chr(code) for code in range(0xE000, 0xF8FF) if chr(code) not in text)
    plain = _ESCAPED.sub(mark, _CONTINUATION.sub(" ", text))
    try:
        words = shlex.split(plain)
    except ValueError as error:
        raise TemplateError(
            f"The command of the tool cannot be split into arguments: {error}.",
            line=text.strip(),
            hint="Close the quotation in <command>.",
        ) from error
    return tuple(tuple(_pieces(word, mark)) for word in words)


def resolve(
    tokens: tuple[Token, ...], aliases: Mapping[str, str]
) -> dict[Placeholder, str | None]:
    """Return every placeholder of `tokens`, in order, and the input or output that it means."""
    found: dict[Placeholder, str | None] = {}
    for place in (piece for token in tokens for piece in token if isinstance(piece, Placeholder)):
        forms = (place.name, place.name.lstrip("-"), place.name.replace("-", ""))
        found[place] = next((aliases[form] for form in forms if form in aliases), None)
    return found


def shell_syntax(text: str) -> str:
    """Return the first piece of shell syntax outside quotes (``&&``, ``|``), or ``''``."""
    bare = _QUOTED.sub("q", _CONTINUATION.sub(" ", text))
    found = _OPERATOR.search(bare)
    return next((group for group in found.groups() if group), "") if found else ""


def _pieces(word: str, mark: str) -> Iterator[str | Placeholder]:
    end = 0
    for match in _PLACEHOLDER.finditer(word):
        if match.start() > end:
            yield word[end : match.start()].replace(mark, "$")
        name = match["special"] or match["bare"]
        braced = name is None
        yield Placeholder(
            (match["braced"] if name is None else name).strip(), match[0], braced=braced
        )
        end = match.end()
    if end < len(word) or not word:
        yield word[end:].replace(mark, "$")
