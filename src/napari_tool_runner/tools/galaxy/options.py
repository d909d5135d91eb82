"""Options that are read from a dataset, and the filters on them.

``<options from_dataset="table">`` and lists that only filters build are computed
here. Options from reference data of a Galaxy server (``from_file``,
``from_data_table``, ``from_url``) cannot be: the reader notes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.errors import ParameterError
from napari_tool_runner.tools.common import is_true
from napari_tool_runner.tools.dialect import DataCollection, DataFile, data_files
from napari_tool_runner.tools.galaxy.metadata import dataset_metadata
from napari_tool_runner.tools.model import SelectOption
from napari_tool_runner.tools.patterns import SlowPatternError, match_each, problem_of

if TYPE_CHECKING:
    from galaxy.util import Element

    from napari_tool_runner.tools.common import Notes
    from napari_tool_runner.tools.formats import Formats

__all__ = ["MAX_COLUMN", "ComputedOptions", "column_number", "find", "read_options"]

_MEGABYTE = 1 << 20
MAX_COLUMN = 10_000

Row = list[str]


@dataclass(frozen=True, slots=True)
class _Filter:
    kind: str
    attributes: tuple[tuple[str, str], ...]

    def get(self, name: str, default: str = "") -> str:
        return dict(self.attributes).get(name) or default

    def flag(self, name: str, default: bool) -> bool:
        return is_true(self.get(name, str(default)))


@dataclass(frozen=True, slots=True)
class ComputedOptions:
    """Options of a select, as rows of a table (``OptionsSource``).

    Parameters
    ----------
    depends_on : tuple of str
        Names of the inputs whose values matter, as they stand beside the select.
    dataset : str
        The input whose file is read; empty: rows come from filters alone.
    columns : mapping as tuple
        Column name -> 0-based index (``name``, ``value``, others).
    separator, startswith : str
        How lines are split, and with what a line must begin.
    formats : Formats
        Those of the tool.
    """

    depends_on: tuple[str, ...]
    formats: Formats = field(repr=False)
    dataset: str = ""
    columns: tuple[tuple[str, int], ...] = (("name", 0), ("value", 0))
    separator: str = "\t"
    startswith: str = ""
    filters: tuple[_Filter, ...] = ()

    def options(self, values: Mapping[str, object]) -> tuple[SelectOption, ...]:
        """Return the options for the present values (nested, bound)."""
        options: dict[str, SelectOption] = {}
        for label, value in self._pairs(values):
            options.setdefault(value, SelectOption(label, value))
        return tuple(options.values())

    def legal(self, values: Mapping[str, object], chosen: Sequence[str]) -> tuple[str, ...]:
        """Return the values of what is `chosen`, which may be what a person reads for them.

        Where a dataset is not there yet, nothing is known of its choices.

        Raises
        ------
        ValueError
            What is chosen is none of the options.
        """
        pairs = self._pairs(values)
        known, by_label = dict.fromkeys(value for _, value in pairs), dict(pairs)
        found = [entry if entry in known else by_label.get(entry, entry) for entry in chosen]
        wrong = [entry for entry in found if entry not in known]
        files = [file for name in self.depends_on for file in data_files(find(values, name))]
        if wrong and all(file.path.exists() for file in files):
            among = ", ".join(repr(entry[:40]) for entry in list(known)[:10])
            there = f"they are {among}" if among else "there is none"
            raise ValueError(f"{wrong[0][:40]!r} is not among its choices; {there}.")
        return tuple(found)

    def _pairs(self, values: Mapping[str, object]) -> list[tuple[str, str]]:
        """Return what a person reads and what the program gets, of each row."""
        columns = dict(self.columns)
        name, value = columns.get("name", columns.get("value", 0)), columns.get("value", 0)
        rows = self.rows(values)
        return [(row[name], row[value]) for row in rows if max(name, value) < len(row)]

    def fields(self, values: Mapping[str, object], chosen: str, column: str) -> list[str]:
        """Return what the rows of the option `chosen` hold in `column`."""
        columns = dict(self.columns)
        if column not in columns:
            raise AttributeError(f"the options have no column “{column}”")
        index, key = columns[column], columns.get("value", 0)
        return [
            row[index]
            for row in self.rows(values)
            if len(row) > max(index, key) and row[key] == chosen
        ]

    def rows(self, values: Mapping[str, object]) -> list[Row]:
        """Return the rows that the filters leave."""
        rows: list[Row] = []
        for path in _files(find(values, self.dataset)) if self.dataset else ():
            rows += self._read(path)
        for entry in self.filters:
            rows = _FILTERS[entry.kind](_Filtering(self, entry, values), rows)
        return rows

    def column(self, spec: str) -> int:
        """Return the index of a column that is given by name or number."""
        return dict(self.columns).get(spec, -1) if not spec.isdecimal() else int(spec)

    def _read(self, path: Path) -> Iterator[Row]:
        largest = max((index for _, index in self.columns), default=0)
        try:
            with path.open(encoding="utf-8", errors="replace") as stream:
                text = stream.read(_MEGABYTE)
        except OSError:
            return
        for line in text.split("\n"):  # as a file has them: no other character ends one
            if not line or line.startswith("#"):
                continue
            if self.startswith and not line.startswith(self.startswith):
                continue
            fields = line.split(self.separator)
            if largest < len(fields):
                yield fields


def column_number(text: str) -> str:
    """Return the number of a column, which may be written ``c2``."""
    text = text.strip()
    return text[1:] if text[:1] in "cC" and text[1:].isdecimal() else text


def read_options(
    element: Element, where: str, notes: Notes, formats: Formats
) -> ComputedOptions | None:
    """Read an ``<options>`` element; None (and a note) when it needs a Galaxy server."""
    for attribute, subject in (
        ("from_data_table", "the reference data table"),
        ("from_file", "the reference data file"),
        ("from_url", "the web address"),
        ("from_parameter", "the server's own object"),
    ):
        name = element.get(attribute)
        if name:
            notes.error(
                f"{where}/options",
                f"The choices come from {subject} “{name}” of a Galaxy server, "
                "which does not exist here.",
            )
            return None
    columns: dict[str, int] = {}
    for column in element.findall("column"):
        index = column.get("index", "0")
        columns[column.get("name", "value")] = (
            min(int(index), MAX_COLUMN) if index.isdecimal() else 0
        )
    if columns:
        columns.setdefault("name", columns.get("value", 0))
        columns.setdefault("value", columns["name"])
    else:
        columns = {"name": 0, "value": 0}
    filters = []
    for entry in element.findall("filter"):
        kind = (entry.get("type") or "").strip()
        if kind not in _FILTERS:
            notes.warning(
                f"{where}/options/filter[{kind}]",
                f"The filter “{kind}” is not known; it is left out.",
            )
            continue
        problem = problem_of(entry.get("value", "") if kind == "regexp" else "")
        if problem:
            notes.warning(
                f"{where}/options/filter[{kind}]",
                f"Its pattern is not valid: {problem}. The filter is left out.",
            )
            continue
        filters.append(
            _Filter(kind, tuple((str(key), str(value)) for key, value in entry.attrib.items()))
        )
    dataset = element.get("from_dataset") or ""
    names = [dataset, *(f.get("ref") or f.get("meta_ref") for f in filters)]
    return ComputedOptions(
        depends_on=tuple(dict.fromkeys(name for name in names if name)),
        formats=formats,
        dataset=dataset,
        columns=tuple(columns.items()),
        separator=(element.get("separator") or "\t").replace("\\t", "\t"),
        startswith=element.get("startswith") or "",
        filters=tuple(filters),
    )


# -- values --------------------------------------------------------------------------


def find(values: Mapping[str, object], name: str) -> object:
    """Find the value called `name`: at its full place, else anywhere in the tree."""
    place: object = values
    for part in name.split("|"):
        if not isinstance(place, Mapping) or part not in place:
            return _search(values, name.rsplit("|", 1)[-1])
        place = place[part]
    return place


def _search(values: object, name: str) -> object:
    if isinstance(values, Mapping):
        if name in values:
            return values[name]
        values = list(values.values())
    if isinstance(values, list):
        for entry in values:
            found = _search(entry, name)
            if found is not None:
                return found
    return None


def _files(value: object) -> Iterator[Path]:
    """Yield the files of a value: paths, layers that have one, datasets."""
    for entry in value if isinstance(value, list | tuple) else (value,):
        if isinstance(entry, DataCollection):
            yield from (file.path for file in entry.files())
            continue
        path = Path(entry) if isinstance(entry, str | Path) else getattr(entry, "path", None)
        if isinstance(path, Path) and path.is_file():
            yield path


# -- filters -------------------------------------------------------------------------


class _Filtering:
    """One filter at work on the rows that came so far."""

    def __init__(
        self, source: ComputedOptions, entry: _Filter, values: Mapping[str, object]
    ) -> None:
        self.formats = source.formats
        self.columns = dict(source.columns)
        self.column = source.column
        self.index = source.column(entry.get("column"))
        self.keep = entry.flag("keep", True)
        self.entry = entry
        self.values = values

    def value(self, attribute: str = "ref") -> object:
        return find(self.values, self.entry.get(attribute))

    def metadata(self, attribute: str) -> list[object]:
        key, files = self.entry.get("key"), data_files(self.value(attribute))
        return [dataset_metadata(file, self.formats).get(key) for file in files]

    def attribute(self, file: DataFile, chain: Sequence[str]) -> object:
        if chain[0] == "metadata" and len(chain) > 1:
            return dataset_metadata(file, self.formats).get(chain[1])
        return {"ext": file.format, "extension": file.format, "name": file.name}.get(chain[0])

    def static_value(self, rows: list[Row]) -> list[Row]:
        wanted = self.entry.get("value")
        return [row for row in rows if self.keep is (_cell(row, self.index) == wanted)]

    def regexp(self, rows: list[Row]) -> list[Row]:
        cells = (_cell(row, self.index) for row in rows)
        try:
            found = match_each(self.entry.get("value"), cells)
        except SlowPatternError as error:
            raise ParameterError(
                f"The choices cannot be told: {error}.", hint="Tell the author of the descriptor."
            ) from error
        return [row for row, hit in zip(rows, found, strict=True) if self.keep is hit]

    def param_value(self, rows: list[Row]) -> list[Row]:
        chain = [part for part in self.entry.get("ref_attribute").split(".") if part]
        wanted = _texts(self.value())
        if chain:
            found = (self.attribute(file, chain) for file in data_files(self.value()))
            wanted = [str(attribute) for attribute in found if attribute is not None]
        return [row for row in rows if self.keep is (_cell(row, self.index) in wanted)]

    def data_meta(self, rows: list[Row]) -> list[Row]:
        entry = self.entry
        known = self.metadata("ref")
        found = list(dict.fromkeys(text for value in known for text in _texts(value)))
        if not found:
            return rows
        if not entry.get("column"):
            return rows + [[value, value] for value in found]
        if not entry.flag("multiple", False):
            return [row for row in rows if _cell(row, self.index) in found]
        separator = entry.get("separator", ",")
        return [row for row in rows if {*found} <= {*_cell(row, self.index).split(separator)}]

    def unique_value(self, rows: list[Row]) -> list[Row]:
        found: dict[str, Row] = {}
        for row in rows:
            found.setdefault(_cell(row, self.index), row)
        return list(found.values())

    def multiple_splitter(self, rows: list[Row]) -> list[Row]:
        return [
            [*row[:index], part, *row[index + 1 :]]
            for row in rows
            for index in map(self.column, self.entry.get("column").split(","))
            for part in _cell(row, index).split(self.entry.get("separator", ","))
        ]

    def attribute_value_splitter(self, rows: list[Row]) -> list[Row]:
        pairs = self.entry.get("pair_separator", ",")
        inner = self.entry.get("name_val_separator") or None
        found: dict[str, Row] = {}
        for row in rows:
            for index in map(self.column, self.entry.get("column").split(",")):
                for pair in _cell(row, index).split(pairs):
                    parts = pair.split(inner)
                    if len(parts) == 2:
                        found.setdefault(parts[0], [*row[:index], parts[0], *row[index:]])
        return list(found.values())

    def add_value(self, rows: list[Row]) -> list[Row]:
        row = [""] * (max(self.columns.values(), default=0) + 1)
        row[self.columns.get("name", 0)] = self.entry.get("name") or self.entry.get("value")
        row[self.columns.get("value", 0)] = self.entry.get("value")
        index = self.entry.get("index")
        result = list(rows)
        result.insert(int(index) if index.removeprefix("-").isdecimal() else len(result), row)
        return result

    def remove_value(self, rows: list[Row]) -> list[Row]:
        if self.entry.get("value"):
            wanted = [self.entry.get("value")]
        elif self.entry.get("ref"):
            value = self.value()
            wanted = [
                str(entry) for entry in (value if isinstance(value, list | tuple) else [value])
            ]
        else:
            wanted = [str(value) for value in self.metadata("meta_ref")]
        index = self.columns.get("value", 1)
        return [row for row in rows if _cell(row, index) not in wanted]

    def sort_by(self, rows: list[Row]) -> list[Row]:
        backwards = self.entry.flag("reverse_sort_order", False)
        return sorted(rows, key=lambda row: _cell(row, self.index), reverse=backwards)


_FILTERS: dict[str, Callable[[_Filtering, list[Row]], list[Row]]] = {
    method.__name__: method
    for method in (
        _Filtering.static_value, _Filtering.regexp, _Filtering.param_value, _Filtering.data_meta,
        _Filtering.unique_value, _Filtering.multiple_splitter, _Filtering.add_value,
        _Filtering.attribute_value_splitter, _Filtering.remove_value, _Filtering.sort_by,
    )
}  # fmt: skip


def _texts(value: object) -> list[str]:
    """Return the entries of a value as texts; None has none, nor has a list of it."""
    entries = value if isinstance(value, list | tuple) else [value]
    return [str(entry) for entry in entries if entry is not None]


def _cell(row: Row, index: int) -> str:
    return row[index] if 0 <= index < len(row) else ""
