"""Values as Galaxy's templates see them.

``str(value)`` is what lands on the command line (sanitised); truth, comparison,
iteration and attributes follow Galaxy's own wrappers, so that ``#if $x``,
``$x == "auto"``, ``#for $i in $inputs`` and ``$image.ext`` decide as there.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from functools import total_ordering
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.tools.galaxy.datatypes import datatype, is_of_type
from napari_tool_runner.tools.galaxy.metadata import dataset_metadata, unique_values
from napari_tool_runner.tools.galaxy.options import ComputedOptions
from napari_tool_runner.tools.galaxy.parameters import Native, native
from napari_tool_runner.tools.galaxy.sanitize import safe_name
from napari_tool_runner.tools.model import (
    BooleanParameter,
    ColorParameter,
    DrillDownOption,
    DrillDownParameter,
    FloatParameter,
    IntegerParameter,
    Parameter,
    SelectParameter,
    TextParameter,
)

if TYPE_CHECKING:
    from napari_tool_runner.tools.dialect import DataCollection, DataFile
    from napari_tool_runner.tools.galaxy.rules import Rules

__all__ = [
    "CollectionValue",
    "DatasetList",
    "DatasetValue",
    "InputValue",
    "MetadataValue",
    "SelectValue",
    "Wrapper",
]

_TRUE = frozenset({"true", "yes", "on", "1"})
# what would end the template's own quotes, in identifiers that Galaxy leaves raw
_QUOTES = re.compile(r"[\'\"`$\\\n\r\0]")


class Wrapper:
    """Base of all values that know how to appear on a command line."""

    value: object = None

    def __bool__(self) -> bool:
        return bool(self.value)

    def display_text(self) -> str:
        """What a person reads for this value."""
        return str(self)

    def get_display_text(self, quote: bool = True) -> str:
        """Galaxy's method: the text that a person reads, quoted for the shell."""
        text = self.display_text()
        return shlex.quote(text) if quote else text


@total_ordering
class InputValue(Wrapper):
    """An integer, float, boolean, text, colour, hidden or directory value."""

    def __init__(self, parameter: Parameter, value: object, rules: Rules) -> None:
        self.input = parameter
        self._rules = rules
        if value is None and isinstance(parameter, TextParameter):
            inferred = native(parameter).inferred
            value = "" if parameter.optional and inferred and rules.legacy_text else None
        self.value = value

    def __str__(self) -> str:
        parameter, value = self.input, self.value
        if isinstance(parameter, BooleanParameter):
            return parameter.true_value if value else parameter.false_value
        if isinstance(parameter, ColorParameter):
            return _rgb(str(value)) if native(parameter).rgb else str(value)
        if value is None:
            return ""
        return self._rules.clean(parameter, str(value))

    def __iter__(self) -> Iterator[str]:
        return iter([str(self)])

    def __int__(self) -> int:
        return int(float(self))

    def __float__(self) -> float:
        return float(str(self))

    def __hash__(self) -> int:
        return hash(str(self))

    def __eq__(self, other: object) -> bool:
        mine, theirs = self._comparable(other)
        return mine == theirs

    def __gt__(self, other: object) -> bool:
        mine, theirs = self._comparable(other)
        return bool(mine > theirs)  # type: ignore[operator]

    def _comparable(self, other: object) -> tuple[object, object]:
        parameter = self.input
        if isinstance(parameter, BooleanParameter) and isinstance(other, str):
            if other in (parameter.true_value, parameter.false_value):
                return str(self), other
            return bool(self), other.lower() in _TRUE
        if parameter.optional and self.value is None:
            return (str(self), other) if isinstance(other, str) else (None, other)
        if isinstance(parameter, IntegerParameter):
            return int(self), other
        if isinstance(parameter, FloatParameter):
            return float(self), other
        if isinstance(parameter, BooleanParameter):
            return bool(self), other
        return str(self), other

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.__dict__.get("value"), name)


class SelectValue(Wrapper):
    """A select, drill-down, data column or genome build."""

    def __init__(
        self, parameter: Parameter, value: object, rules: Rules, values: Mapping[str, object]
    ) -> None:
        self.input = parameter
        self._rules = rules
        self._values = values
        if getattr(parameter, "multiple", False):
            value = _as_list(value)
        elif isinstance(parameter, DrillDownParameter):
            value = _as_list(value) or None
        self.value = value if value != "" or isinstance(parameter, SelectParameter) else None
        self.fields = _Fields(self)

    def __str__(self) -> str:
        if self.value is None or self.value == []:
            return "None"
        parameter = self.input
        chosen = self.value if isinstance(self.value, list) else [self.value]
        if isinstance(parameter, DrillDownParameter) and parameter.hierarchy == "recurse":
            leaves = [leaf for entry in chosen for leaf in _below(parameter.options, str(entry))]
            chosen = list(dict.fromkeys(leaves))
        separator = native(parameter).separator
        if isinstance(parameter, DrillDownParameter):
            return self._rules.clean(parameter, separator.join(str(entry) for entry in chosen))
        return separator.join(self._rules.clean(parameter, str(entry)) for entry in chosen)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            if other == "" and (self.value is None or self.value == []):
                return True
            return str(self) == other
        if isinstance(other, SelectValue | InputValue):
            return str(self) == str(other)
        return self is other

    def __hash__(self) -> int:
        return hash(str(self))

    def __add__(self, other: object) -> str:
        return f"{self}{other}"

    def __iter__(self) -> Iterator[str]:
        if not isinstance(self.value, list):
            raise TypeError(f"“{self.input.name}” takes one choice; it cannot be iterated")
        return iter([str(entry) for entry in self.value])

    def __len__(self) -> int:
        return len(self.value) if isinstance(self.value, list) else len(str(self))

    def __bool__(self) -> bool:
        return bool(self.value)

    @property
    def value_label(self) -> str:
        """What a person reads for the chosen value."""
        return self.display_text()

    def display_text(self) -> str:
        """What a person reads for the chosen values, one a line."""
        chosen = _as_list(self.value)
        labels: list[str] = []
        if isinstance(self.input, SelectParameter) and self.input.source is None:
            labels = [option.label for option in self.input.options if option.value in chosen]
        elif isinstance(self.input, DrillDownParameter):
            labels = [_label(self.input.options, entry) or entry for entry in chosen]
        else:
            labels = chosen
        return "\n".join(labels) or "Nothing selected."

    def __getattr__(self, name: str) -> object:
        if name.startswith("_") or "input" not in self.__dict__:
            raise AttributeError(name)
        info: Native = native(self.input)
        if name == "separator":
            return info.separator
        return getattr(self.input, name)


class _Fields:
    """``$select.fields.column``: what the chosen rows hold in a column."""

    def __init__(self, select: SelectValue) -> None:
        self._select = select

    def __getattr__(self, name: str) -> str:
        select = self.__dict__["_select"]
        source = getattr(select.input, "source", None)
        chosen = _as_list(select.value)
        separator = native(select.input).separator
        if isinstance(source, ComputedOptions):
            cells = [
                cell for entry in chosen for cell in source.fields(select._values, entry, name)
            ]
            return separator.join(cells)
        if name == "value":
            return separator.join(chosen)
        if name == "name":
            return separator.join(select.display_text().split("\n"))
        raise AttributeError(f"the choices of “{select.input.name}” have no field “{name}”")


# -- datasets ------------------------------------------------------------------------


class MetadataValue:
    """``$input.metadata``: read when asked, sanitised."""

    _readable_ = True

    def __init__(self, dataset: DataFile | None, shown: Path | None = None) -> None:
        self._dataset = dataset
        self._shown = shown
        self._known: dict[str, object] | None = None

    def _load(self) -> dict[str, object]:
        if self._known is None:
            self._known = dataset_metadata(self._dataset) if self._dataset else {}
        return self._known

    def raw(self, name: str) -> object:
        """Return the value as it is, None when it is not known."""
        if self._dataset is None:
            return None
        if name == "store_root":
            return (self._shown or self._dataset.path).name
        if name in self._dataset.metadata:
            return self._dataset.metadata[name]
        if name == "num_unique_values":
            return unique_values(self._dataset)
        return self._load().get(name)

    def names(self) -> tuple[str, ...]:
        """Names of what is known."""
        return tuple(self._load())

    def get(self, name: str, default: object = None) -> object:
        """Return the value as templates see it, `default` when it is not known."""
        value = self.raw(name)
        return default if value is None else self._present(name, value)

    def element_is_set(self, name: str) -> bool:
        """Say whether the value is known."""
        return self.raw(name) is not None

    def items(self) -> Iterator[tuple[str, object]]:
        """Yield names and values."""
        return ((name, self.get(name)) for name in self._load())

    def _present(self, name: str, value: object) -> object:
        if isinstance(value, list | tuple):
            return (
                ",".join(str(entry) for entry in value) if name == "column_types" else list(value)
            )
        if isinstance(value, str) and name not in ("store_root", "delimiter"):
            return safe_name(value)
        return value

    def __getattr__(self, name: str) -> object:
        if name.startswith("_"):
            raise AttributeError(name)
        return self.get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._load())

    def __bool__(self) -> bool:
        return self._dataset is not None


class DatasetValue(Wrapper):
    """A dataset that was given, is written, or (``file=None``) is absent.

    Parameters
    ----------
    file : DataFile or None
    shown : Path, optional
        The path that templates see, when the file's own cannot stand in a shell
        script (quotes, spaces).
    identifier : str
        Its element identifier, when it stands in a collection.
    extra_files : Path, optional
        Folder of its extra files.
    number : int
        What ``$x.id`` and ``$x.hid`` give.
    fallback : str
        Datatype of an absent dataset.
    """

    _readable_ = True
    is_collection = False
    is_deferred = False
    dbkey = "?"
    info = ""
    state = "ok"
    deleted = False
    visible = True

    def __init__(
        self,
        file: DataFile | None,
        *,
        shown: Path | None = None,
        identifier: str = "",
        extra_files: Path | None = None,
        number: int = 0,
        fallback: str = "data",
    ) -> None:
        self.file = file
        self.value = file
        self.path = (shown or file.path) if file else None
        self._identifier = identifier
        self._extra_files = extra_files
        self._fallback = fallback
        self.id = self.hid = number
        self.metadata = MetadataValue(file, shown)
        self.groups: set[str] = set()
        self.tags: list[str] = []

    def __str__(self) -> str:
        return str(self.path) if self.path else "None"

    def __bool__(self) -> bool:
        return self.file is not None

    def __hash__(self) -> int:
        return hash(str(self))

    def __eq__(self, other: object) -> bool:
        # Galaxy compares identity; text is what templates mean
        return other is self or (isinstance(other, str) and str(self) == other)

    @property
    def file_name(self) -> str:
        """Path of the file."""
        return str(self)

    def get_file_name(self) -> str:
        """Path of the file."""
        return str(self)

    @property
    def ext(self) -> str:
        """Datatype."""
        return self.file.format if self.file else self._fallback

    extension = ext
    file_ext = ext

    @property
    def name(self) -> str:
        """Name that the user gave, sanitised."""
        return safe_name(self.file.name) if self.file else "None"

    @property
    def element_identifier(self) -> str:
        """Identifier in its collection, else the name."""
        return _QUOTES.sub("_", self._identifier) if self._identifier else self.name

    display_name = name

    @property
    def name_and_ext(self) -> str:
        """Identifier and datatype, as a file name."""
        return f"{self.element_identifier}.{self.ext}"

    @property
    def dataset(self) -> DatasetValue:
        """Itself: templates reach through it to ``.dataset.file_name``."""
        return self

    @property
    def datatype(self) -> _DatatypeValue:
        """Its datatype."""
        return _DatatypeValue(self.ext)

    @property
    def extra_files_path(self) -> str:
        """Folder of the extra files; for a zarr store, the folder that holds it."""
        if self._extra_files is not None:
            return str(self._extra_files)
        if self.file is None or self.path is None:
            return "None"
        given = self.file.metadata.get("extra_files_path")
        if given:
            return str(given)
        if is_of_type(self.file.format, "zarr"):
            return str(self.path.parent)
        if datatype(self.file.format).directory:
            return str(self.path)
        return str(self.path.with_name(f"{self.path.name}_files"))

    @property
    def files_path(self) -> str:
        """Older name of `extra_files_path`."""
        return self.extra_files_path

    def extra_files_path_exists(self) -> bool:
        """Say whether there are extra files."""
        return Path(self.extra_files_path).is_dir()

    def is_of_type(self, *names: object) -> bool:
        """Say whether the datatype is one of `names`, or a child of one."""
        return is_of_type(self.ext, *[str(name) for name in names])

    def get_size(self, nice_size: bool = False) -> int:
        """Size in bytes; of a folder, of everything in it."""
        if self.file is None or not self.file.path.exists():
            return 0
        if self.file.path.is_dir():
            return sum(p.stat().st_size for p in self.file.path.rglob("*") if p.is_file())
        return self.file.path.stat().st_size

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self.get_size()

    file_size = size

    def has_data(self) -> bool:
        """Say whether it is not empty."""
        return self.get_size() > 0

    def get_staging_path(self, invalid_chars: tuple[str, ...] = ("/",)) -> str:
        """Return a file name made of the identifier and the datatype."""
        text = self.element_identifier.replace("\0", "").lstrip(".")
        for char in invalid_chars:
            text = text.replace(char, "_")
        return f"{text[: 254 - len(self.ext)]}.{self.ext}"

    def serialize(self, invalid_chars: tuple[str, ...] = ("/",)) -> dict[str, object]:
        """Return what ``data_style="staging_path_and_source_path"`` writes."""
        if self.file is None:
            return {}
        return {
            "element_identifier": [self.element_identifier],
            "ext": self.ext,
            "staging_path": self.get_staging_path(invalid_chars),
            "source_path": str(self),
            "metadata_files": [],
        }

    def display_text(self) -> str:
        """Name of the dataset."""
        return self.name


class _DatatypeValue:
    def __init__(self, name: str) -> None:
        self.file_ext = name

    def is_of_type(self, *names: object) -> bool:
        return is_of_type(self.file_ext, *[str(name) for name in names])

    def __str__(self) -> str:
        return self.file_ext


class DatasetList(list[DatasetValue], Wrapper):
    """The datasets of a ``multiple`` input."""

    def __init__(self, datasets: list[DatasetValue], rules: Rules) -> None:
        super().__init__(datasets)
        self.value = datasets
        self._rules = rules

    def __str__(self) -> str:
        return ",".join(str(entry) for entry in self)

    def paths_as_file(self, sep: str = "\n") -> str:
        """Return the path of a file that lists the paths."""
        return self._rules.write(sep.join(str(entry) for entry in self))

    def __bool__(self) -> bool:
        return any(self)

    is_collection = False

    def serialize(self, invalid_chars: tuple[str, ...] = ("/",)) -> list[dict[str, object]]:
        """Return what each dataset's `serialize` does."""
        return [entry.serialize(invalid_chars) for entry in self]

    def get_datasets_for_group(self, group: str) -> list[DatasetValue]:
        """Layers have no group tags."""
        return []


class CollectionValue(Wrapper):
    """A dataset collection: by name, by index, or iterated."""

    is_collection = True

    def __init__(
        self,
        collection: DataCollection | None,
        elements: Mapping[str, DatasetValue | CollectionValue],
        rules: Rules,
    ) -> None:
        self.collection = collection
        self.value = collection
        self._elements = dict(elements)
        self._rules = rules

    @property
    def is_input_supplied(self) -> bool:
        """Whether there is one."""
        return self.collection is not None

    @property
    def name(self) -> str:
        """Name of the collection."""
        return safe_name(self.collection.name) if self.collection else "None"

    element_identifier = name

    @property
    def collection_type(self) -> str:
        """Galaxy's word for its structure (``list``, ``paired``)."""
        return self.collection.type if self.collection else ""

    def keys(self) -> list[str]:
        """Return the element identifiers."""
        return list(self._elements)

    @property
    def all_paths(self) -> list[str]:
        """Paths of all files, nested ones too."""
        return [str(dataset) for _, dataset in self.flat()]

    def flat(self) -> Iterator[tuple[list[str], DatasetValue]]:
        """Yield identifiers and datasets, depth first."""
        for key, entry in self._elements.items():
            if isinstance(entry, CollectionValue):
                for inner, dataset in entry.flat():
                    yield [key, *inner], dataset
            else:
                yield [key], entry

    def get_all_staging_paths(
        self, invalid_chars: tuple[str, ...] = ("/",), include_collection_name: bool = False
    ) -> list[str]:
        """Return file names made of identifiers and datatypes."""
        paths = []
        for identifiers, dataset in self.flat():
            parts = [self.name] if include_collection_name else []
            for part in identifiers:
                text = part.lstrip(".")
                for char in invalid_chars:
                    text = text.replace(char, "_")
                parts.append(text)
            paths.append(f"{os.sep.join(parts)}.{dataset.ext}")
        return paths

    def serialize(
        self, invalid_chars: tuple[str, ...] = ("/",), include_collection_name: bool = False
    ) -> list[dict[str, object]]:
        """Return what ``data_style="staging_path_and_source_path"`` writes."""
        paths = self.get_all_staging_paths(invalid_chars, include_collection_name)
        return [
            {
                "element_identifier": identifiers,
                "ext": dataset.ext,
                "staging_path": path,
                "source_path": str(dataset),
                "metadata_files": [],
            }
            for path, (identifiers, dataset) in zip(paths, self.flat(), strict=True)
        ]

    def paths_as_file(self, sep: str = "\n") -> str:
        """Return the path of a file that lists the paths of all elements."""
        return self._rules.write(sep.join(self.all_paths))

    def __getitem__(self, key: object) -> DatasetValue | CollectionValue | None:
        if self.collection is None:
            return None
        if isinstance(key, int):
            return list(self._elements.values())[key]
        return self._elements[str(key)]

    def __getattr__(self, name: str) -> DatasetValue | CollectionValue | None:
        elements = self.__dict__.get("_elements")
        if elements is None or name.startswith("__"):
            raise AttributeError(name)
        if self.__dict__.get("collection") is None:
            return None
        if name not in elements:
            raise AttributeError(f"the collection has no element “{name}”")
        found: DatasetValue | CollectionValue = elements[name]
        return found

    def __iter__(self) -> Iterator[DatasetValue | CollectionValue]:
        return iter(self._elements.values())

    def __len__(self) -> int:
        return len(self._elements)

    def __bool__(self) -> bool:
        return bool(self._elements)

    def __str__(self) -> str:
        return ",".join(self.all_paths) if self.collection else "None"


# -- small helpers -------------------------------------------------------------------


def _rgb(text: str) -> str:
    digits = text.lstrip("#")
    return str(tuple(int(digits[index : index + 2], 16) for index in (0, 2, 4)))


def _as_list(value: object) -> list[str]:
    if value is None or value == "":
        return []
    if isinstance(value, list | tuple):
        return [str(entry) for entry in value]
    return str(value).split(",")


def _below(options: tuple[DrillDownOption, ...], value: str) -> list[str]:
    """The leaves below the option `value`; itself when it is a leaf or unknown."""

    def find(entries: tuple[DrillDownOption, ...]) -> DrillDownOption | None:
        for entry in entries:
            if entry.value == value:
                return entry
            found = find(entry.children)
            if found is not None:
                return found
        return None

    def leaves(entry: DrillDownOption) -> list[str]:
        if not entry.children:
            return [entry.value]
        return [leaf for child in entry.children for leaf in leaves(child)]

    found = find(options)
    return leaves(found) if found else [value]


def _label(options: tuple[DrillDownOption, ...], value: str) -> str:
    for option in options:
        if option.value == value:
            return option.label
        found = _label(option.children, value)
        if found:
            return found
    return ""
