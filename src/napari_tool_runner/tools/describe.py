"""A tool as text for a terminal and as JSON for other programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from napari_tool_runner.tools.model import (
    BooleanParameter,
    CollectionOutput,
    Conditional,
    ContainerRequirement,
    DataOutput,
    DataParameter,
    FloatParameter,
    InputItem,
    IntegerParameter,
    Output,
    Parameter,
    ParameterBase,
    PythonRequirement,
    Repeat,
    Requirement,
    SelectParameter,
)
from napari_tool_runner.tools.values import EMPTY_IS_ABSENT

if TYPE_CHECKING:
    from napari_tool_runner.tools.formats import Formats
    from napari_tool_runner.tools.model import Tool

__all__ = ["describe_json", "describe_text"]

_PRIVATE = frozenset({"source", "sanitizer", "validators", "native", "facts"})
_NO_FACTS: dict[str, object] = {
    "change_format": [], "auto_format": False, "discover": [], "default_identifier_source": "",
}  # fmt: skip


def describe_json(tool: Tool) -> dict[str, object]:
    """Return `tool` in JSON types: its form, outputs, requirements, tests and notes."""

    def told(*names: str) -> dict[str, object]:
        return {name: _json(getattr(tool, name)) for name in names}

    return {
        **told("id", "name", "version", "description", "dialect"),
        "descriptor": tool.uri,
        **told("digest", "type", "categories", "inputs", "outputs"),
        "requirements": [_requirement_text(entry) for entry in tool.requirements],
        "tests": len(tool.tests),
        **told("help", "help_format", "citations", "links", "edam", "notes"),
        "runnable": not tool.problems,
    }


def describe_text(tool: Tool) -> str:
    """Return the form of `tool` as text, one parameter a line."""
    head = f"{tool.id}  {tool.name} {tool.version}".rstrip()
    lines = [head, f"  {tool.description}"] if tool.description else [head]
    if tool.categories:
        lines.append(f"  categories: {', '.join(tool.categories)}")
    for entry in tool.requirements:
        lines.append(f"  needs: {_requirement_text(entry)}")
    lines.append("inputs:")
    lines += [f"  {line}" for line in _item_lines(tool.inputs, "", tool.formats)] or ["  (none)"]
    lines.append("outputs:")
    lines += [f"  {_output_line(output)}" for output in tool.outputs] or ["  (none)"]
    if tool.notes:
        lines.append("notes:")
        lines += [f"  {note}" for note in tool.notes]
    return "\n".join(lines)


def _requirement_text(entry: Requirement) -> str:
    """Return a requirement in one phrase."""
    if isinstance(entry, ContainerRequirement):
        return f"{entry.type} image {entry.image}"
    if isinstance(entry, PythonRequirement):
        return f"PyPI {entry.asked}".rstrip()
    return f"conda {entry.asked}"


def _item_lines(items: Sequence[InputItem], prefix: str, known: Formats) -> Iterator[str]:
    for item in items:
        name = prefix + item.name
        if isinstance(item, ParameterBase):
            yield _parameter_line(item, name, known)
        elif isinstance(item, Conditional):
            yield _parameter_line(item.test, f"{name}|{item.test.name}", known)
            for case in item.cases:
                inner = list(_item_lines(case.items, name + "|", known))
                if inner:
                    yield f"  when {item.test.name} = {case.value}:"
                    yield from (f"    {line}" for line in inner)
        elif isinstance(item, Repeat):
            most = "" if item.maximum is None else f"..{item.maximum}"
            yield f"{name}_0, {name}_1, …  repeated {item.minimum}{most} times: {item.label}"
            yield from (f"  {line}" for line in _item_lines(item.items, name + "_0|", known))
        else:
            yield from _item_lines(item.items, name + "|", known)


def _may_be_left_out(parameter: Parameter) -> bool:
    """Whether a parameter needs no value: its program takes its own then, or none."""
    absent = parameter.native == EMPTY_IS_ABSENT
    return parameter.optional or absent or isinstance(parameter, BooleanParameter)


def _parameter_line(parameter: Parameter, name: str, known: Formats) -> str:
    parts = [f"{name}  {_type_text(parameter, known)}"]
    default = getattr(parameter, "default", None)
    if default not in (None, "", ()):
        parts.append(f"= {default}")
    elif not _may_be_left_out(parameter):
        parts.append("(required)")
    label = parameter.label
    if label and label != parameter.name:
        parts.append(f" {label}")
    if parameter.applies:
        parts.append(f"(only with {'; '.join(map(str, parameter.applies))})")
    return " ".join(parts)


def _type_text(parameter: Parameter, known: Formats) -> str:
    if isinstance(parameter, DataParameter):
        layers = bool(known.best_by_kind(parameter.formats))
        kinds = "/".join(kind.value for kind in parameter.kinds) if layers else "files only"
        formats = ",".join(parameter.formats)
        many = " several" if parameter.multiple else ""
        return f"data[{kinds}; {formats}]{many}" if formats else f"data[{kinds}]{many}"
    if isinstance(parameter, SelectParameter):
        many = " several of" if parameter.multiple else ""
        return f"select{many}[{'|'.join(option.value for option in parameter.options)}]"
    if isinstance(parameter, IntegerParameter | FloatParameter):
        low, high = parameter.minimum, parameter.maximum
        ends = ["" if end is None else str(end) for end in (low, high)]
        limits = f"[{'..'.join(ends)}]" if any(ends) else ""
        return f"{parameter.type}{limits}{' ' + parameter.unit if parameter.unit else ''}"
    return parameter.type


def _output_line(output: Output) -> str:
    kind = output.kind.value if output.kind else "?"
    what = "collection of " if isinstance(output, CollectionOutput) else ""
    label = f"  {output.label}" if output.label and output.label != output.name else ""
    return f"{output.name}  {what}{kind} ({output.format or 'any'}){label}"


def _plain(value: object) -> dict[str, object]:
    """Return a dataclass as JSON types; what a form is made of says its type, too."""
    kind = getattr(value, "type", "") if hasattr(value, "repeats") else ""
    names = [entry.name for entry in fields(value)]  # type: ignore[arg-type]
    told = {name: _json(getattr(value, name)) for name in names if name not in _PRIVATE}
    if isinstance(value, DataOutput):
        told |= {**_NO_FACTS, **value.facts}
    return {"type": kind, **told} if kind else told


def _json(value: object) -> object:
    if isinstance(value, tuple | list):
        return [_json(entry) for entry in value]
    if hasattr(value, "__dataclass_fields__"):
        return _plain(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)
