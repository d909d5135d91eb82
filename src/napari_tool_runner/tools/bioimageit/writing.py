"""Writes a descriptor in BioImageIT's language, from a sketch of the tool."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from napari_tool_runner.tools.values import EMPTY_IS_ABSENT

if TYPE_CHECKING:
    from napari_tool_runner.tools.drafts.sketch import Role, Sketch, SketchedArgument

__all__ = ["draft"]

_TYPES: dict[Role, str] = {
    "data": "data", "integer": "integer", "float": "number", "text": "string",
    "choice": "select", "switch": "bool", "folder": "directory",
}  # fmt: skip
_NONE = "(not given)"


def draft(sketch: Sketch) -> str:
    """Return the text of a descriptor."""
    tool = Element("tool", id=sketch.id, name=sketch.name, version="0.1.0")
    SubElement(tool, "description").text = sketch.description or f"Runs {sketch.script}"
    if sketch.conda or sketch.image:
        needs = SubElement(tool, "requirements")
        if sketch.image:
            SubElement(needs, "container", type="docker").text = sketch.image
        else:
            SubElement(needs, "package", type="conda").text = sketch.conda
    lines = [f"python '$__tool_directory__{sketch.script}'", *_command(sketch)]
    SubElement(tool, "command").text = "\n    " + "\n      ".join(lines) + "\n  "
    inputs, outputs = SubElement(tool, "inputs"), SubElement(tool, "outputs")
    images = (one.name for one in sketch.every if one.role == "data" and one.layer != "table")
    reference = next(images, "")
    for one in sketch.every:
        if one.role == "output":
            data = SubElement(outputs, "data", name=one.name, format=one.format)
            if one.layer:
                data.set("layer", one.layer)
            if reference and one.layer in ("image", "labels"):
                data.set("reference", reference)
            data.set("label", _label(one.name))
        else:
            _param(inputs, one)
    SubElement(tool, "help").text = sketch.help or sketch.description
    ElementTree.indent(tool, "  ")
    return ElementTree.tostring(tool, encoding="unicode") + "\n"


def _command(sketch: Sketch) -> Iterator[str]:
    yield from map(_argument, sketch.before)
    yield from map(quote, sketch.words)
    yield from map(_argument, sketch.arguments)


def _argument(one: SketchedArgument) -> str:
    place = f"${{{one.name}}}"
    if one.role == "switch" or not one.flag or one.part:
        return place
    apart = one.multiple or not one.flag.startswith("--") or one.name.endswith("_1")
    return f"{quote(one.flag)} {place}" if apart else f"{quote(one.flag)}={place}"


def _param(inputs: Element, one: SketchedArgument) -> None:
    param = SubElement(inputs, "param", name=one.name, type=_TYPES[one.role])
    without = not one.required and one.default is None
    if one.role == "data":
        param.set("format", one.format)
        if one.layer:
            param.set("layer", one.layer)
        if one.multiple:
            param.set("multiple", "true")
    elif one.role == "switch":
        param.set("checked", (one.default or "").lower())
        param.set("truevalue", one.on)
        param.set("falsevalue", one.off)
    elif one.default is not None:
        param.set("value", one.default)
    for attribute, number in (("min", one.minimum), ("max", one.maximum)):
        if number is not None and one.role in ("integer", "float"):
            param.set(attribute, f"{number:.15g}")
    if without and one.role in ("data", "integer", "float"):
        param.set("optional", "true")
        param.set("advanced", "false")
    elif without and one.role in ("text", "choice", "folder"):
        param.set("omit", EMPTY_IS_ABSENT)
    param.set("label", _label(one.name))
    if one.help:
        param.set("help", one.help)
    if one.role == "choice":
        if without:
            SubElement(param, "option", value="").text = _NONE
        for value in one.choices:
            SubElement(param, "option", value=value).text = value


def _label(name: str) -> str:
    text = name.replace("_", " ").strip()
    return text[:1].upper() + text[1:]
