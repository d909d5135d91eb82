"""``<param>`` elements of a Galaxy tool as parameters of the tool model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypedDict

from packaging.version import Version

from napari_tool_runner.errors import ParameterError
from napari_tool_runner.tools.common import (
    Notes,
    is_true,
    layer_kinds,
    like_another,
    limits,
    ndims,
    real,
    whole,
)
from napari_tool_runner.tools.galaxy.options import ComputedOptions, column_number, read_options
from napari_tool_runner.tools.galaxy.sanitize import DEFAULT_SANITIZER, Sanitizer
from napari_tool_runner.tools.galaxy.source import ANY_COLLECTION, Native
from napari_tool_runner.tools.galaxy.validators import (
    DataRule,
    ValueRule,
    accepts_empty,
    read_validators,
)
from napari_tool_runner.tools.hints import input_kinds
from napari_tool_runner.tools.model import (
    BooleanParameter,
    ColorParameter,
    DataColumnParameter,
    DataParameter,
    DirectoryParameter,
    DrillDownOption,
    DrillDownParameter,
    FileParameter,
    FloatParameter,
    HiddenParameter,
    IntegerParameter,
    LayerKind,
    Parameter,
    SelectOption,
    SelectParameter,
    TextParameter,
)

if TYPE_CHECKING:
    from galaxy.tool_util.parser.interface import InputSource
    from galaxy.util import Element

    from napari_tool_runner.tools.galaxy.source import GalaxySource

__all__ = ["read_parameter"]


def read_parameter(
    descriptor: GalaxySource, source: InputSource, where: str, notes: Notes
) -> Parameter:
    """Read a parameter; what cannot be used becomes a note and an optional text."""
    kind = (source.get("type") or "").strip()
    reader = _READERS.get(kind)
    if reader is None:
        notes.error(where, _UNUSABLE.get(kind) or f"The type “{kind}” is not known.")
        return TextParameter(
            name=source.parse_name(),
            label=source.parse_label() or source.parse_name(),
            optional=True,
        )
    return reader(_Reader(descriptor, notes), source, where)


_DISPLAYS: dict[str, Literal["radio", "checkboxes"]] = {
    "radio": "radio",
    "checkboxes": "checkboxes",
}


class _Reader:
    def __init__(self, source: GalaxySource, notes: Notes) -> None:
        self.source = source
        self.notes = notes

    def base(self, source: InputSource, where: str, *, optional: bool | None = None) -> _Shared:
        element = source.elem()
        kind = source.get("type") or ""
        data = kind in ("data", "data_collection", "hidden_data")
        sanitizer = source.parse_sanitizer_elem()
        name = source.parse_name()
        base = _Shared(
            name=name,
            label=source.parse_label() or name,
            help=source.parse_help() or "",
            argument=source.get("argument") or "",
            advanced=source.get_bool("hidden", False),
            optional=source.get_bool("optional", False) if optional is None else optional,
            validators=read_validators(source, where, self.notes, data=data),
            native=Native(
                type=kind,
                sanitizer=None if sanitizer is None else Sanitizer.from_element(sanitizer),
                separator=source.get("separator", ","),
                rgb=source.get_bool("rgb", False),
                numerical=source.get_bool("numerical", False),
                nullable=kind == "boolean" and source.get_bool("optional", False),
            ),
        )
        if element.find("conversion") is not None:
            self.notes.warning(where, "Galaxy would convert the dataset first; this is not done.")
        return base

    def integer(self, source: InputSource, where: str) -> IntegerParameter:
        return IntegerParameter(
            **self.base(source, where), **limits(source.get, whole, self.notes.at(where))
        )

    def float(self, source: InputSource, where: str) -> FloatParameter:
        return FloatParameter(
            **self.base(source, where),
            default_text=source.get("value") or "",
            **limits(source.get, real, self.notes.at(where)),
        )

    def boolean(self, source: InputSource, where: str) -> BooleanParameter:
        true_value = source.get("truevalue", "true")
        false_value = source.get("falsevalue", "false")
        if self.source.profile >= Version("23.1") and true_value == false_value:
            self.notes.warning(where, "It has the same text when checked and when not.")
        return BooleanParameter(
            **self.base(source, where),
            default=source.get_bool("checked", False),
            true_value=true_value,
            false_value=false_value,
        )

    def text(self, source: InputSource, where: str) -> TextParameter:
        base = self.base(source, where)
        explicit = source.get("optional")
        optional = base["optional"] if explicit is not None else accepts_empty(base["validators"])
        info = base["native"]
        base["optional"] = optional
        base["native"] = replace(info, inferred=optional and explicit is None)
        return TextParameter(
            **base,
            default=source.get("value") or "",
            empty=source.get("value") is not None,
            multiline=source.get_bool("area", False),
            suggestions=tuple(
                SelectOption(str(label), str(value))
                for label, value, _ in source.parse_static_options()
            ),
            # a form shows its `remark`: what happens to a text on its way to the tool
            sanitizer=(info.sanitizer or DEFAULT_SANITIZER) if self.source.sanitizes else None,
        )

    def select(self, source: InputSource, where: str) -> SelectParameter:
        multiple = source.get_bool("multiple", False)
        optional = source.parse_optional(multiple)
        base = self.base(source, where, optional=optional)
        options_element = source.elem().find("options")
        computed: ComputedOptions | None = None
        options: tuple[SelectOption, ...] = ()
        if source.get("dynamic_options"):
            self.notes.error(
                where,
                "Its choices come from Python code of a Galaxy server "
                f"({source.get('dynamic_options')}).",
            )
        elif options_element is not None:
            computed = read_options(options_element, where, self.notes, self.source.formats)
            if computed and not computed.depends_on:
                try:
                    options = computed.options({})
                except ParameterError as error:
                    self.notes.error(where, str(error))
        else:
            options = tuple(
                SelectOption(str(label), str(value or ""), bool(chosen))
                for label, value, chosen in source.parse_static_options()
            )
            if not options and not optional:
                self.notes.warning(where, "It has nothing to choose from.")
        return SelectParameter(
            **base,
            options=options,
            default=_select_default(options, multiple=multiple, optional=optional),
            multiple=multiple,
            display=_DISPLAYS.get(source.get("display") or "", ""),
            source=computed,
            sanitizer=base["native"].sanitizer,
        )

    def genome_build(self, source: InputSource, where: str) -> SelectParameter:
        self.notes.info(where, "There are no genome builds here; it stays “unspecified (?)”.")
        multiple = source.get_bool("multiple", False)
        base = self.base(source, where)
        options = (SelectOption("unspecified (?)", "?", not base["optional"]),)
        return SelectParameter(
            **base,
            options=options,
            default=_select_default(options, multiple=multiple, optional=base["optional"]),
            multiple=multiple,
        )

    def group_tag(self, source: InputSource, where: str) -> SelectParameter:
        self.notes.info(where, "Layers have no group tags; there is nothing to choose.")
        base = self.base(source, where, optional=True)
        return SelectParameter(**base, multiple=source.get_bool("multiple", False))

    def color(self, source: InputSource, where: str) -> ColorParameter:
        return ColorParameter(
            **self.base(source, where), default=(source.get("value") or "#000000").lower()
        )

    def hidden(self, source: InputSource, where: str) -> HiddenParameter:
        base = self.base(source, where)
        default = source.get("value") or ""
        nothing = base["optional"] and source.get("value") is None
        return HiddenParameter(**base, default=None if nothing else default)

    def file(self, source: InputSource, where: str) -> FileParameter:
        return FileParameter(**self.base(source, where))

    def directory(self, source: InputSource, where: str) -> DirectoryParameter:
        return DirectoryParameter(**self.base(source, where), default=source.get("value") or "")

    def data(self, source: InputSource, where: str) -> DataParameter:
        base = self.base(source, where)
        formats = tuple(name for name in source.parse_extensions() if name)
        if "data" in formats:
            formats = ()
        here = self.notes.at(where)
        declared = layer_kinds(source.get("layer") or "", here)
        known = self.source.formats
        kinds = declared or input_kinds(formats, base["name"], base["label"], formats=known)
        collection: tuple[str, ...] = ()
        if base["native"].type == "data_collection":
            given = [part.strip() for part in (source.get("collection_type") or "").split(",")]
            collection = tuple(part for part in given if part) or ANY_COLLECTION
        if source.elem().find("options") is not None and base["native"].type != "data_collection":
            self.notes.info(where, "Galaxy would offer only some datasets here; all are offered.")
        multiple = bool(collection) or source.get_bool("multiple", False)
        like, likeness = like_another(source.get)
        default = source.elem().find("default")
        if default is not None:
            places = (element.get("location") for element in default.iter())
            place = next(filter(None, places), "a dataset of its own")
            base["native"] = replace(base["native"], fetched=place)
            self.notes.info(
                where,
                f"Galaxy would fetch {place} when nothing is chosen; here you choose a dataset.",
            )
        return DataParameter(
            **base,
            formats=known.best_first(formats, kinds),
            kinds=kinds if formats or declared else (LayerKind.ANY,),
            multiple=multiple,
            minimum=None if collection else whole(source.get("min"), "min", here),
            maximum=None if collection else whole(source.get("max"), "max", here),
            ndim=ndims(source.get("ndim") or "", here),
            axes=(source.get("axes") or "").upper(),
            needs=(source.get("needs") or "").strip().upper(),
            like=like,
            likeness=likeness,
            rgb=is_true(source.get("rgb") or "true"),
            collection=collection,
        )

    def data_column(self, source: InputSource, where: str) -> DataColumnParameter:
        # who leaves out what accepts its default gets that, which no other optional one has
        optional = source.parse_optional(False) and not source.get_bool("accept_default", False)
        value = source.get("default_value") or source.get("value")
        default = "" if optional else "1"
        if value:
            default = ",".join(column_number(part) for part in value.split(","))
        return DataColumnParameter(
            **self.base(source, where, optional=optional),
            data_ref=source.get("data_ref") or "",
            multiple=source.get_bool("multiple", False),
            default=default,
        )

    def drill_down(self, source: InputSource, where: str) -> DrillDownParameter:
        if source.get("dynamic_options") or source.get("from_file"):
            subject = source.get("from_file") or source.get("dynamic_options")
            self.notes.error(where, f"Its choices come from “{subject}” of a Galaxy server.")
            options: tuple[DrillDownOption, ...] = ()
        else:
            element = source.elem().find("options")
            options = _tree(element.findall("option") if element is not None else [])
        return DrillDownParameter(
            **self.base(source, where),
            options=options,
            multiple=source.get_bool("multiple", False),
            hierarchy="recurse" if source.get("hierarchy") == "recurse" else "exact",
            default=tuple(
                one.value for option in options for one in option.walk() if one.selected
            ),
        )


class _Shared(TypedDict):
    """The arguments that all parameters share."""

    name: str
    label: str
    help: str
    argument: str
    advanced: bool
    optional: bool
    validators: tuple[ValueRule | DataRule, ...]
    native: Native


_READERS: dict[str, Callable[[_Reader, InputSource, str], Parameter]] = {
    "integer": _Reader.integer,
    "float": _Reader.float,
    "boolean": _Reader.boolean,
    "text": _Reader.text,
    "password": _Reader.text,
    "select": _Reader.select,
    "genomebuild": _Reader.genome_build,
    "group_tag": _Reader.group_tag,
    "color": _Reader.color,
    "hidden": _Reader.hidden,
    "baseurl": _Reader.hidden,
    "base_url": _Reader.hidden,
    "file": _Reader.file,
    "directory": _Reader.directory,
    "directory_uri": _Reader.directory,
    "data": _Reader.data,
    "hidden_data": _Reader.data,
    "data_collection": _Reader.data,
    "data_column": _Reader.data_column,
    "drill_down": _Reader.drill_down,
}
_UNUSABLE = {
    "ftpfile": "It takes files of a Galaxy server's FTP folder, which does not exist here.",
    "library_data": "It takes datasets of a Galaxy server's data library, which is not here.",
    "rules": "It takes rules of Galaxy's rule builder, which does not exist here.",
    "upload_dataset": "It uploads to a Galaxy server, which does not exist here.",
}


def _select_default(
    options: Sequence[SelectOption], *, multiple: bool, optional: bool
) -> str | tuple[str, ...] | None:
    chosen = [option.value for option in options if option.selected]
    if multiple:
        return tuple(chosen)
    if chosen:
        return chosen[0]
    return None if optional or not options else options[0].value


def _tree(elements: Sequence[Element]) -> tuple[DrillDownOption, ...]:
    return tuple(
        DrillDownOption(
            label=element.get("name") or element.get("value") or "",
            value=element.get("value") or "",
            selected=element.get("selected", "").lower() == "true",
            children=_tree(element.findall("option")),
        )
        for element in elements
    )
