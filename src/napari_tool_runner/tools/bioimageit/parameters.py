"""Parameters of the bioimageit dialect."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypedDict, TypeVar

from napari_tool_runner.tools.common import (
    is_true,
    layer_kinds,
    like_another,
    limits,
    ndims,
    real,
    whole,
)
from napari_tool_runner.tools.formats import Formats, split_formats
from napari_tool_runner.tools.hints import input_kinds
from napari_tool_runner.tools.model import (
    BooleanParameter,
    ColorParameter,
    DataParameter,
    DirectoryParameter,
    FileParameter,
    FloatParameter,
    HiddenParameter,
    IntegerParameter,
    Likeness,
    Parameter,
    SelectOption,
    SelectParameter,
    TextParameter,
)
from napari_tool_runner.tools.values import FALSE_WORDS, TRUE_WORDS

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from napari_tool_runner.tools.common import Limits, Notes

__all__ = ["parameter_name", "read_parameter"]

_ATTRIBUTES = frozenset(
    {"name", "argument", "type", "format", "label", "help", "optional", "value", "min", "max"}
    | {"multiple", "checked", "truevalue", "falsevalue", "size", "area", "display"}
    | {
        "layer",
        "ndim",
        "axes",
        "needs",
        "rgb",
        "unit",
        "step",
        "advanced",
        "applies",
        "omit",
        *Likeness,
    }  # our own
)
_PAIRS = [("true", "false"), ("True", "False"), ("TRUE", "FALSE"), ("1", "0")]
_PAIRS += [("yes", "no"), ("Yes", "No"), ("on", "off"), ("On", "Off")]
_TRUE = TRUE_WORDS - {"1"}
_FALSE = FALSE_WORDS - {"0", ""}
_Number = TypeVar("_Number", int, float)


class _Common(TypedDict):
    name: str
    label: str
    help: str
    advanced: bool
    argument: str
    for_ndim: tuple[int, ...]
    for_axes: str
    native: object


def parameter_name(element: Element) -> str:
    """Return the key of a param's value.

    `argument` goes before `name` and loses all its dashes (``--n-iter``: ``niter``),
    as BioImageIT does it; `name` loses those at its start.
    """
    argument = element.get("argument", "").strip()
    return argument.replace("-", "") or element.get("name", "").strip().lstrip("-")


def read_parameter(element: Element, notes: Notes, formats: Formats) -> Parameter | None:
    """Return the parameter that a ``<param>`` describes, None when it has no name.

    An unknown type becomes a text field when the param has a value, else an ERROR.
    """
    name = parameter_name(element)
    if not name:
        notes.warning("inputs/param", "A parameter has neither name nor argument; it is left out.")
        return None
    notes = notes.at(f"inputs/param[{name}]")
    for attribute in sorted(element.attrib.keys() - _ATTRIBUTES):
        notes.info("", f"The attribute “{attribute}” has no meaning here.")
    for child in element:
        if child.tag != "option":
            notes.warning("", f"<{child.tag}> is not part of this language; it is left out.")
    optional = is_true(element.get("optional"))
    kind = element.get("type", "").strip().lower()
    common: _Common = {
        "name": name,
        "label": element.get("label", "").strip() or name,
        "help": " ".join(element.get("help", "").split()),
        # BioImageIT hides what is optional behind “Advanced”; ``advanced=`` of ours decides
        "advanced": is_true(element.get("advanced")) if element.get("advanced") else optional,
        "argument": element.get("argument", "").strip(),
        "for_ndim": () if kind == "data" else ndims(element.get("ndim", ""), notes),
        "for_axes": "" if kind == "data" else _needs(element),
        "native": element.get("omit", "").strip().lower(),
    }
    if kind == "data":
        return _data(element, common, optional, notes, formats)
    if kind == "integer":
        return _integer(element, common, optional, notes)
    if kind in {"float", "number", "double"}:
        return _float(element, common, optional, notes)
    if kind in {"bool", "boolean"}:
        return _boolean(element, common)
    if kind == "select":
        return _select(element, common, optional, notes)
    if kind in {"string", "text", "file", "directory", "folder"}:
        return _text(element, common, kind)
    if kind in {"color", "colour"}:
        return _color(element, common, notes)
    if kind == "hidden":
        return HiddenParameter(**common, default=element.get("value", ""))
    return _unknown(element, common, kind, notes)


# -- one type each --------------------------------------------------------------------


def _data(
    element: Element, common: _Common, optional: bool, notes: Notes, known: Formats
) -> DataParameter:
    formats = split_formats(element.get("format", ""))
    for name in formats:
        if name not in known:
            notes.info("", f"The format “{name}” is not known; files are passed as they are.")
    kinds = layer_kinds(element.get("layer", ""), notes)
    like, likeness = like_another(element.get)
    return DataParameter(
        **common,
        optional=optional,
        formats=formats,
        kinds=kinds or input_kinds(formats, common["name"], common["label"], formats=known),
        multiple=is_true(element.get("multiple")),
        minimum=whole(element.get("min"), "min", notes),
        maximum=whole(element.get("max"), "max", notes),
        ndim=ndims(element.get("ndim", ""), notes),
        axes=element.get("axes", "").strip().upper(),
        needs=_needs(element),
        like=like,
        likeness=likeness,
        rgb=is_true(element.get("rgb", "true")),
    )


def _needs(element: Element) -> str:
    return element.get("needs", "").strip().upper()


def _integer(element: Element, common: _Common, optional: bool, notes: Notes) -> IntegerParameter:
    found = _without_contradictions(limits(element.get, whole, notes), notes)
    optional = optional and found["default"] is None
    return IntegerParameter(**common, optional=optional, **found)


def _float(element: Element, common: _Common, optional: bool, notes: Notes) -> FloatParameter:
    found = _without_contradictions(limits(element.get, real, notes), notes)
    given = found["default"] is not None
    return FloatParameter(
        **common,
        optional=optional and not given,
        default_text=element.get("value", "").strip() if given else "",
        **found,
    )


def _without_contradictions(found: Limits[_Number], notes: Notes) -> Limits[_Number]:
    """Leave out a limit that the default breaks."""
    default, low, high = found["default"], found["minimum"], found["maximum"]
    if default is not None and low is not None and default < low:
        notes.warning("", f"The default {default} is outside min={low}; the limit is left out.")
        found["minimum"] = None
    if default is not None and high is not None and default > high:
        notes.warning("", f"The default {default} is outside max={high}; the limit is left out.")
        found["maximum"] = None
    return found


def _boolean(element: Element, common: _Common) -> BooleanParameter:
    text = element.get("value", "").strip()
    # the words for true and false in the manner of the default
    true, false = next((pair for pair in _PAIRS if text in pair), _PAIRS[0])
    true = element.get("truevalue", true)
    false = element.get("falsevalue", false)
    if "checked" in element.attrib:
        default = is_true(element.get("checked"))
    elif text and text in {true, false}:
        default = text == true
    else:
        default = is_true(text)
    return BooleanParameter(**common, default=default, true_value=true, false_value=false)


def _select(element: Element, common: _Common, optional: bool, notes: Notes) -> Parameter:
    options: list[SelectOption] = []
    for option in element.findall("option"):
        label = " ".join("".join(option.itertext()).split())
        value = option.get("value", label)
        if not value and "value" not in option.attrib:
            notes.warning("", "An option has neither value nor text; it is left out.")
        elif any(known.value == value for known in options):
            notes.info("", f"The option “{value}” is listed twice.")
        else:
            options.append(SelectOption(label or value, value, is_true(option.get("selected"))))
    multiple = is_true(element.get("multiple"))
    if not options:
        if element.get("value"):
            notes.warning("", "This choice has no options; it is offered as text.")
            return TextParameter(**common, default=element.get("value", ""))
        notes.error("", "This choice has no options and no default.")
        return SelectParameter(**common)
    chosen = _chosen(element.get("value"), options, multiple=multiple, notes=notes)
    truth = None if multiple else _truth_values(options)
    if truth is not None:
        true, false = truth
        return BooleanParameter(
            **common, default=chosen == (true,), true_value=true, false_value=false
        )
    return SelectParameter(
        **common,
        optional=multiple and optional,
        options=tuple(options),
        default=chosen if multiple else chosen[0],
        multiple=multiple,
    )


def _chosen(
    text: str | None, options: list[SelectOption], *, multiple: bool, notes: Notes
) -> tuple[str, ...]:
    """Return the values chosen at first: ``value``, else ``selected``, else the first."""
    values = [option.value for option in options]
    wanted = (text or "").strip()
    if text is not None and wanted in values:
        return (wanted,)
    if wanted:
        parts = [part.strip() for part in wanted.split(",")] if multiple else [wanted]
        found = []
        for part in parts:
            same = [
                option.value
                for option in options
                if part.casefold() in {option.value.casefold(), option.label.casefold()}
            ]
            found += same[:1]
        if found and len(found) == len(parts):
            return tuple(found)
        notes.warning(
            "",
            f"The default “{wanted}” is not among the options; “{values[0]}” is chosen instead.",
        )
        return (values[0],)
    selected = tuple(option.value for option in options if option.selected)
    if multiple:
        return selected
    return selected[:1] or (values[0],)


def _truth_values(options: list[SelectOption]) -> tuple[str, str] | None:
    """Return (true, false) when the two options only say yes and no."""
    if len(options) != 2:
        return None
    found: dict[bool, str] = {}
    for option in options:
        label, value = option.label.strip().lower(), option.value.strip().lower()
        plain = label in _TRUE | _FALSE | {value}
        if value in _TRUE and plain:
            found[True] = option.value
        elif value in _FALSE and plain:
            found[False] = option.value
        elif value in {"0", "1"} and label in (_TRUE if value == "1" else _FALSE):
            found[value == "1"] = option.value
    return (found[True], found[False]) if len(found) == 2 else None


def _text(element: Element, common: _Common, kind: str) -> Parameter:
    default = element.get("value", "")
    words = set(re.split(r"[^a-z0-9]+", f"{common['name']} {common['label']}".lower()))
    if kind in {"directory", "folder"}:
        return DirectoryParameter(**common, default=default)
    if kind == "file":
        return FileParameter(**common, default=default)
    # the language has no type for paths; a picker helps where the name says it is one
    if kind == "string" and words & {"dir", "directory", "folder"}:
        return DirectoryParameter(**common, default=default)
    if kind == "string" and "path" in words:
        return FileParameter(**common, default=default)
    return TextParameter(**common, default=default, multiline=is_true(element.get("area")))


def _color(element: Element, common: _Common, notes: Notes) -> ColorParameter:
    value = element.get("value", "").strip()
    if value and not re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        notes.warning("", f"The default “{value}” is no colour as #rrggbb; it is black instead.")
        value = ""
    return ColorParameter(**common, default=value or "#000000")


def _unknown(element: Element, common: _Common, kind: str, notes: Notes) -> Parameter:
    what = f"The parameter type “{kind}” is not known" if kind else "The parameter has no type"
    if element.get("value") is not None:
        notes.warning("", f"{what}; it is offered as text.")
        return TextParameter(**common, default=element.get("value", ""))
    notes.error("", f"{what}, and there is no default to use.")
    return TextParameter(**common)
