"""Inputs of a Galaxy tool: its containers, and what lies in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_tool_runner.tools.binding import MAX_ENTRIES
from napari_tool_runner.tools.common import whole
from napari_tool_runner.tools.galaxy.parameters import read_parameter
from napari_tool_runner.tools.model import (
    BooleanParameter,
    Case,
    Conditional,
    HiddenParameter,
    InputItem,
    Parameter,
    Repeat,
    Section,
    SelectOption,
    SelectParameter,
    TextParameter,
)
from napari_tool_runner.tools.values import FALSE_WORDS, TRUE_WORDS

if TYPE_CHECKING:
    from galaxy.tool_util.parser.interface import InputSource, PageSource

    from napari_tool_runner.tools.common import Notes
    from napari_tool_runner.tools.galaxy.source import GalaxySource

__all__ = ["read_inputs"]


def read_inputs(source: GalaxySource, notes: Notes) -> tuple[InputItem, ...]:
    """Read the ``<inputs>`` of a descriptor; what is not understood becomes a note."""
    reader = _Reader(source, notes)
    pages = source.tool.parse_input_pages()
    items: list[InputItem] = []
    for page in pages.page_sources:
        items += reader.page(page, "inputs")
    return tuple(items)


class _Reader:
    def __init__(self, source: GalaxySource, notes: Notes) -> None:
        self.notes = notes
        self.descriptor = source

    def page(self, page: PageSource, where: str) -> list[InputItem]:
        items: list[InputItem] = []
        for source in page.parse_input_sources():
            tag = source.parse_input_type()
            if not isinstance(tag, str):
                continue  # a comment or a processing instruction
            item = self.item(source, tag, where)
            if item is None:
                continue
            if any(other.name == item.name for other in items):
                self.notes.warning(
                    f"{where}/{item.name}", "This name occurs twice; the first counts."
                )
                continue
            items.append(item)
        return items

    def item(self, source: InputSource, tag: str, where: str) -> InputItem | None:
        readers: dict[str, Callable[[InputSource, str], InputItem | None]] = {
            "param": self.param,
            "conditional": self.conditional,
            "section": self.section,
            "repeat": self.repeat,
        }
        if tag in ("display", "page"):
            return None
        reader = readers.get(tag)
        if reader is None:
            tell = self.notes.error if tag == "upload_dataset" else self.notes.warning
            tell(f"{where}/{tag}", f"<{tag}> is no input that is known here.")
            return None
        name = source.get("name") or source.get("argument") or "?"
        place = f"{where}/{tag}[{name}]"
        try:
            return reader(source, place)
        except (ValueError, TypeError, AssertionError, KeyError) as error:
            self.notes.error(place, f"It cannot be read: {error}")
            return None

    def param(self, source: InputSource, where: str) -> Parameter:
        return read_parameter(self.descriptor, source, where, self.notes)

    def section(self, source: InputSource, where: str) -> Section:
        name = source.parse_name()
        return Section(
            name=name,
            items=tuple(self.page(source.parse_nested_inputs_source(), where)),
            label=source.get("title") or name,
            help=source.parse_help() or "",
            expanded=source.get_bool("expanded", False),
        )

    def repeat(self, source: InputSource, where: str) -> Repeat:
        name = source.parse_name()
        here = self.notes.at(where)
        minimum = whole(source.get("min"), "min", here) or 0
        default = whole(source.get("default"), "default", here) or 0
        if max(minimum, default) > MAX_ENTRIES:
            raise ValueError(f"it is given {max(minimum, default)} times")
        return Repeat(
            name=name,
            items=tuple(self.page(source.parse_nested_inputs_source(), where)),
            label=source.get("title") or name,
            help=source.parse_help() or "",
            minimum=minimum,
            maximum=whole(source.get("max"), "max", here),
            default=max(minimum, default),
        )

    def conditional(self, source: InputSource, where: str) -> Conditional | None:
        name = source.parse_name()
        if source.get("value_from"):
            self.notes.error(where, "Its choice is made by code of a Galaxy server.")
            return None
        test_source = source.parse_test_input_source()
        test = self.param(test_source, f"{where}/param[{test_source.parse_name()}]")
        if isinstance(test, HiddenParameter | TextParameter):
            # a constant or a free text that decides: its cases are its choices
            values = [str(value) for value, _ in source.parse_when_input_sources()]
            test = SelectParameter(
                name=test.name,
                label=test.label,
                options=tuple(SelectOption(value, value) for value in values),
                default=test.default if test.default in values else next(iter(values), None),
                native=test.native,
            )
        if not isinstance(test, SelectParameter | BooleanParameter):
            self.notes.error(where, "Its first parameter must be a select or a boolean.")
            return None
        if isinstance(test, BooleanParameter):
            legal = list(dict.fromkeys([test.true_value, test.false_value]))
        else:
            legal = [option.value for option in test.options]
        cases: dict[str, Case] = {}
        for value, page in source.parse_when_input_sources():
            text = _case_value(test, str(value))
            items = tuple(self.page(page, f"{where}/when[{value}]"))
            if legal and text not in legal:
                self.notes.info(
                    f"{where}/when[{value}]",
                    f"“{test.name}” never has this value, so this case is never shown.",
                )
            if text in cases:
                self.notes.warning(
                    f"{where}/when[{value}]",
                    "There was a case of this value before; as in Galaxy, that one is shown.",
                )
            cases.setdefault(text, Case(text, items))
        for value in legal:
            cases.setdefault(value, Case(value))
        return Conditional(
            name=name,
            test=test,
            cases=tuple(cases.values()),
            label=source.get("label") or test.label,
            help=source.parse_help() or "",
        )


def _case_value(test: SelectParameter | BooleanParameter, value: str) -> str:
    """A boolean's case may be written ``true`` whatever its texts are."""
    if isinstance(test, BooleanParameter) and value not in (test.true_value, test.false_value):
        low = value.strip().lower()
        if low in TRUE_WORDS:
            return test.true_value
        if low in FALSE_WORDS:
            return test.false_value
    return value
