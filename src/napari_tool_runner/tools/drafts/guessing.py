"""What the arguments of a script are for: which are images, which files it writes."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from napari_tool_runner.errors import DescriptorError
from napari_tool_runner.names import safe_name, unique_name
from napari_tool_runner.quoting import visible_text
from napari_tool_runner.tools.drafts.meaning import Sense, begins, means, words_of
from napari_tool_runner.tools.drafts.sketch import Role, Sketch, SketchedArgument

__all__ = ["Guess", "sketches_of"]

_SUFFIXES = {
    ".csv": "csv", ".tsv": "tsv", ".txt": "txt", ".json": "json", ".tif": "imagetiff",
    ".tiff": "imagetiff", ".png": "png",
}  # fmt: skip
_FILES: frozenset[Sense] = frozenset({"in", "out", "file", "image", "labels", "table"})
_DATA: frozenset[Sense] = frozenset({"image", "labels", "table"})
_NO_VALUE = "it takes no value"  # says the probe of what is counted or is a constant
_MOST = 200
_MOST_CHOICES = 1000
_LONGEST = 5000
_FEW = 4
_FEW_LETTERS = 40
_LARGEST = {"integer": 2**53, "float": sys.float_info.max}


class Guess(NamedTuple):
    """Tools to be described, and what of the script could not be taken over, or was guessed."""

    sketches: tuple[Sketch, ...]
    notes: tuple[str, ...]


class _Told(NamedTuple):
    """An argument as the probe tells it, every part of the type that it should have."""

    name: str
    flags: tuple[str, ...]
    help: str
    required: bool
    default: object
    kind: str
    on: str
    off: str
    choices: tuple[str, ...]
    nargs: object
    minimum: float | None
    maximum: float | None
    repeated: bool
    unknown: str
    mode: str
    folder: bool
    metavar: str
    there: bool


def sketches_of(told: object, name: str, script: Path) -> Guess:
    """Return a sketch for each command of a script, from what the probe wrote.

    Parameters
    ----------
    told : object
        Parsed JSON, which the script may have written itself.
    name : str
        What the tool is to be called.
    script : Path
        Where it lies; only its name is told. A default that is no file there is to be written.

    Raises
    ------
    DescriptorError
        It is of another shape.
    """
    notes: list[str] = []
    try:
        if not isinstance(told, dict):
            raise TypeError("it is no object")
        if "failed" in told:
            raise _stopped(_mapping(told["failed"]), script.name)
        commands = [_mapping(one) for one in _list(told["commands"])[:_MOST]]
        taken: list[str] = []
        found = tuple(_sketch(one, name, script, notes, taken) for one in commands)
        if not found:
            raise ValueError("it names no command")
    except (KeyError, TypeError, ValueError) as error:
        raise DescriptorError(
            f"What {script.name} tells of its options is of no use: {error}.",
            hint="Make a blank tool and describe the options by hand.",
        ) from error
    return Guess(found, tuple(dict.fromkeys(notes)))


def _stopped(told: Mapping[str, object], script: str) -> DescriptorError:
    """Return what stopped a script before it read its options, with what to do."""
    kind, said, file = str(told["kind"]), _text(told["said"]), _text(told["file"]) or script
    ended = "" if said.endswith((".", "?", "!")) else "."
    place = f"line {_text(told['line'])} of {file}" if told["line"] else file
    blank = "or make a blank tool and describe its options by hand"
    match kind:
        case "syntax":
            python = f"Python {_text(told['version'])}"
            words = f"{python} cannot read {place}: {said}{ended}"
            hint = f"Mend it, name another Python that reads it as its packages, {blank}."
        case "module":
            words = f"The module “{said}”, which {place} imports, is not there."
            hint = f"Name the packages that it needs, {blank}."
        case "error":
            words = f"{script} stopped before it read its options, at {place}: {said}{ended}"
            hint = f"Let it read its options first, {blank}."
        case "ended":
            words = f"{script} ended before argparse, click or typer read its options"
            words += f": {said}{ended}" if said else "."
            hint = f"Let one of them read its options, {blank}."
        case _:
            words = f"{script} has no parser of argparse, click or typer that could be asked."
            hint = "Make a blank tool and describe its options by hand."
    return DescriptorError(words, hint=hint)


def _sketch(
    told: Mapping[str, object], name: str, script: Path, notes: list[str], ids: list[str]
) -> Sketch:
    words = _words_of(told["words"])
    taken: list[str] = []
    before, after = (
        tuple(
            argument
            for one in _list(told[part])[:_MOST]
            for argument in _arguments(_argument(_mapping(one), script.parent), taken, notes)
        )
        for part in ("before", "arguments")
    )
    for group in _list(told["exclusive"]):
        names = ", ".join(_words_of(group))
        notes.append(
            f"Of {names} the script takes only one at a time; the form does not know that."
        )
    if not any(one.role == "output" for one in (*before, *after)):
        notes.append(
            "No argument looks like a file that the script writes: add the outputs by hand."
        )
    text = _text(told["help"]).strip()
    title = " ".join((_text(name), *words))
    ids.append(unique_name(safe_name(title.lower().replace(" ", "_")), ids, "_{}", 2))
    return Sketch(
        id=ids[-1],
        name=title[:1].upper() + title[1:].replace("_", " "),
        script=script.name,
        description=text.split("\n", 1)[0].strip(),
        help=text,
        words=words,
        before=before,
        # options that take several values would swallow what stands in its place behind them
        arguments=tuple(sorted(after, key=lambda one: one.flag != "")),
    )


# -- one argument --------------------------------------------------------------------------


def _arguments(told: _Told, taken: list[str], notes: list[str]) -> Iterator[SketchedArgument]:
    flag = next((one for one in told.flags if one.startswith("--")), "") or "".join(told.flags[:1])
    shown = flag or told.name
    name = unique_name(re.sub(r"\W", "_", told.name.lstrip("-")) or "value", taken, "_{}", 2)
    taken.append(name)
    if told.unknown:
        notes.append(f"{shown}: {told.unknown}.")
    if told.unknown == _NO_VALUE:
        return
    if told.kind == "boolean" and (told.on or told.off):
        first, words = str(bool(told.default)), _help(told.help)
        yield SketchedArgument(name, "switch", flag, words, first, on=told.on, off=told.off)
        return
    if len(told.choices) > _MOST_CHOICES:
        notes.append(f"{shown} has {len(told.choices)} choices; the form takes any text.")
        told = told._replace(choices=(), kind="text")
    role, form, layer = _role(told, shown, notes)
    if told.repeated:
        notes.append(f"{shown} may be given several times; the form gives it once.")
    many = told.nargs in ("+", "*") or (isinstance(told.nargs, int) and told.nargs < 0)
    if many and role != "data":
        notes.append(f"{shown} takes several values; the form gives one.")
    count = told.nargs if isinstance(told.nargs, int) and 1 < told.nargs <= _FEW else 1
    if not _can_be_shown(told):
        held = told.default if isinstance(told.default, list) else [told.default]
        words = ", ".join(map(_text, held))[:_FEW_LETTERS]
        told = told._replace(default=None)
        if not told.required and count == 1:
            notes.append(f"{shown}: while its field is empty, the script takes its own {words}.")
    if count > 1 and told.default is None and not told.required:
        notes.append(
            f"{shown} takes {count} values or none, which a form cannot say; it is left out."
        )
        return
    defaults = list(told.default) if isinstance(told.default, list) else [told.default]
    for part in range(count):
        default = defaults[part] if part < len(defaults) else None
        yield SketchedArgument(
            name=name if count == 1 else f"{name}_{part + 1}",
            role=role,
            flag=flag,
            help=_help(told.help),
            default=None if default is None or role in ("data", "output") else str(default),
            required=told.required or (not flag and told.nargs not in ("?", "*")),
            choices=told.choices,
            minimum=told.minimum,
            maximum=told.maximum,
            format=form,
            layer=layer,
            multiple=many and role == "data",
            part=part,
        )


def _can_be_shown(told: _Told) -> bool:
    """Whether a field of numbers can show the default: none shows nan, inf, or what is huge."""
    if told.kind not in ("integer", "float"):
        return True
    values = told.default if isinstance(told.default, list) else [told.default]
    return all(
        one is None
        or (
            isinstance(one, int | float)
            and abs(one) <= _LARGEST[told.kind]
            and (told.kind == "float" or one == int(one))
        )
        for one in values
    )


def _role(told: _Told, shown: str, notes: list[str]) -> tuple[Role, str, str]:
    """Return what an argument is for, and the format and layer of data."""
    named = means(words_of(told.name, *told.flags, told.metavar))
    fileish = told.kind in ("path", "file", "call") or (told.kind == "text" and not told.choices)
    out = _comes_out(told, named)
    if fileish and (told.folder or "folder" in named):
        if out:
            notes.append(
                f"{shown} is a folder that the script writes into: say which files it makes."
            )
        return "folder", "", ""
    _, noun = begins(told.help)
    said = bool(noun & _DATA) and bool(_format_in(told.help)) and "no file" not in named
    known = told.kind in ("path", "file") or bool(named & _FILES) or said
    if fileish and known:
        form, layer = _format(told, named, noun)
        what = f"{form}, {layer}" if layer else form
        notes.append(
            f"{shown} is taken for a file that {'comes out' if out else 'goes in'} ({what})."
        )
        return ("output" if out else "data"), form, layer
    kinds: dict[str, Role] = {"integer": "integer", "float": "float", "choice": "choice"}
    return kinds.get(told.kind, "text"), "", ""


def _comes_out(told: _Told, named: frozenset[Sense]) -> bool:
    """Whether the script writes the file: the first that tells it decides."""
    if told.mode:  # a file that the script gets opened
        return "r" not in told.mode
    if named & {"in", "out"}:
        return "out" in named
    for word in begins(told.help)[0]:
        if verbs := means([word]) & {"reads", "writes"}:
            return "writes" in verbs
    if PurePath(str(told.default or "")).suffix.lower() in _SUFFIXES:
        return not told.there
    return bool(told.flags) and "table" in named


def _format(told: _Told, named: frozenset[Sense], noun: frozenset[Sense]) -> tuple[str, str]:
    suffixes = (PurePath(str(one or "")).suffix.lower() for one in (told.default, told.metavar))
    ends = (end for end in _SUFFIXES if end in told.help.lower().split())
    found = (_SUFFIXES[one] for one in (*ends, *suffixes) if one in _SUFFIXES)
    form = next(found, "") or _format_in(told.help)
    senses = named if named & {*_DATA, "objects", "figures"} else noun
    if form in ("csv", "tsv") or (not form and senses & {"table", "figures"}):
        return form or "csv", "table"
    if form in ("json", "txt"):
        return form, ""
    labels = senses & {"labels", "objects"} or "labels" in noun
    return form or "imagetiff", "labels" if labels else "image"


def _format_in(text: str) -> str:
    """Return the format that a help names, as in *Image (TIFF)*."""
    words = (_SUFFIXES.get(f".{word}", "") for word in words_of(text))
    return next((form for form in words if form not in ("", "txt", "json")), "")


def _help(text: str) -> str:
    """Return a help in one line, without what argparse would fill in and the field shows."""
    # each start looks at letters that no other start does: the time grows as the text
    filled = r"(?<!\W)\W*default\W*%\(\w+\)[sdrfg]\W?|%\(\w+\)[sdrfg]"
    plain = re.sub(filled, "", text, flags=re.I)
    words = r"required|mandatory|optional"
    shown = rf"[(\[] ?(?:{words}) ?[)\]]|\A ?(?:{words})(?: ?[:.;,-] ?|\Z)"
    plain = re.sub(shown, "", " ".join(plain.replace("%%", "%").split()), flags=re.I)
    return " ".join(plain.split()).rstrip(" ,;:")


# -- types ---------------------------------------------------------------------------------


def _list(told: object) -> Sequence[object]:
    if not isinstance(told, list):
        raise TypeError("a list is none")
    return told


def _mapping(told: object) -> Mapping[str, object]:
    if not isinstance(told, dict):
        raise TypeError("an object is none")
    return told


def _text(told: object) -> str:
    """Return a text without what no descriptor can hold; the end of a long one is cut."""
    return visible_text(str(told)[:_LONGEST])


def _words_of(told: object) -> tuple[str, ...]:
    return tuple(map(_text, _list(told)))


def _number(told: object) -> float | None:
    if told is None or isinstance(told, int | float):
        held = told is not None and abs(told) <= sys.float_info.max
        return told if held else None  # beyond that there is no limit
    raise TypeError("a number is none")


def _default(told: object) -> object:
    if isinstance(told, list):
        return [_default(one) for one in told[:_MOST]]
    return _text(told) if isinstance(told, str) else told


def _argument(told: Mapping[str, object], folder: Path) -> _Told:
    default = _default(told["default"])
    return _Told(
        name=_text(told["name"]),
        flags=_words_of(told["flags"]),
        help=_text(told["help"]),
        required=bool(told["required"]),
        default=default,
        kind=str(told["kind"]),
        on=_text(told["on"]),
        off=_text(told["off"]),
        choices=_words_of(told["choices"] or []),
        nargs=told["nargs"],
        minimum=_number(told["minimum"]),
        maximum=_number(told["maximum"]),
        repeated=bool(told["repeated"]),
        unknown=_text(told["unknown"]),
        mode=str(told["mode"]),
        folder=bool(told["folder"]),
        metavar=_text(told.get("metavar") or ""),
        there=isinstance(default, str) and os.path.lexists(folder / default),
    )
