"""The filters on options that are computed: rows in, rows out, within a limit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.errors import ParameterError
from napari_tool_runner.tools.common import is_true
from napari_tool_runner.tools.dialect import DataFile, data_files
from napari_tool_runner.tools.galaxy.metadata import dataset_metadata
from napari_tool_runner.tools.patterns import SlowPatternError, match_each
from napari_tool_runner.tools.shared_time import together

if TYPE_CHECKING:
    from napari_tool_runner.tools.formats import Formats

__all__ = ["KINDS", "Filter", "Row", "filtered", "find"]

_MOST_CELLS = 1_000_000  # that all filters of a list look at and make: a form waits for them

Row = list[str]


@dataclass(frozen=True, slots=True)
class Filter:
    """One ``<filter>``: its type, and what else it says."""

    kind: str
    attributes: tuple[tuple[str, str], ...]

    def get(self, name: str, default: str = "") -> str:
        """Return an attribute; `default` where it is missing or empty."""
        return dict(self.attributes).get(name) or default

    def flag(self, name: str, default: bool) -> bool:
        """Return an attribute that says yes or no."""
        return is_true(self.get(name, str(default)))


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


class _Filtering:
    """One filter at work on the rows that came so far."""

    def __init__(
        self,
        entry: Filter,
        columns: Mapping[str, int],
        formats: Formats,
        values: Mapping[str, object],
        left: int,
    ) -> None:
        self.entry, self.columns, self.formats = entry, columns, formats
        self.values, self.left = values, left
        self.index = self.column(entry.get("column"))
        self.keep = entry.flag("keep", True)

    def column(self, spec: str) -> int:
        """Return the index of a column that is given by name or number."""
        if re.fullmatch(r"\d{1,9}", spec):
            return int(spec)
        return self.columns.get(spec, -1)

    def paid(self, rows: Iterable[Row]) -> list[Row]:
        kept: list[Row] = []
        for row in rows:
            self.pay(len(row))
            kept.append(row)
        return kept

    def pay(self, cells: int) -> None:
        """Raise where more is looked at or made than a form waits for."""
        self.left -= 1 + cells
        if self.left < 0:
            raise ParameterError(
                "The choices cannot be told: their filters make too many of them.",
                hint="Tell the author of the descriptor.",
            )

    def parts(self, rows: list[Row], separator: str) -> Iterator[tuple[Row, int, str]]:
        """Yield each part of the cells of the columns that are split, with its row and column."""
        columns = [self.column(spec) for spec in self.entry.get("column").split(",")]
        for row in rows:
            for index in columns:
                cell = _cell(row, index)
                self.pay(len(cell) // 64)
                for part in cell.split(separator):
                    self.pay(0)
                    yield row, index, part

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
        wanted = {*_texts(self.value())}
        if chain:
            found = (self.attribute(file, chain) for file in data_files(self.value()))
            wanted = {str(attribute) for attribute in found if attribute is not None}
        return [row for row in rows if self.keep is (_cell(row, self.index) in wanted)]

    def data_meta(self, rows: list[Row]) -> list[Row]:
        entry = self.entry
        known = self.metadata("ref")
        found = dict.fromkeys(text for value in known for text in _texts(value))
        if not found:
            return rows
        if not entry.get("column"):
            return rows + self.paid([value, value] for value in found)
        if not entry.flag("multiple", False):
            return [row for row in rows if _cell(row, self.index) in found]
        separator = entry.get("separator", ",")
        return [row for row in rows if found.keys() <= {*_cell(row, self.index).split(separator)}]

    def unique_value(self, rows: list[Row]) -> list[Row]:
        found: dict[str, Row] = {}
        for row in rows:
            found.setdefault(_cell(row, self.index), row)
        return list(found.values())

    def multiple_splitter(self, rows: list[Row]) -> list[Row]:
        return self.paid(
            [*row[:index], part, *row[index + 1 :]]
            for row, index, part in self.parts(rows, self.entry.get("separator", ","))
        )

    def attribute_value_splitter(self, rows: list[Row]) -> list[Row]:
        inner = self.entry.get("name_val_separator") or None
        found: dict[str, Row] = {}
        for row, index, pair in self.parts(rows, self.entry.get("pair_separator", ",")):
            parts = pair.split(inner, 2)
            if len(parts) == 2 and parts[0] not in found:
                self.pay(len(row))
                found[parts[0]] = [*row[:index], parts[0], *row[index:]]
        return list(found.values())

    def add_value(self, rows: list[Row]) -> list[Row]:
        row = [""] * (max(self.columns.values(), default=0) + 1)
        row[self.columns.get("name", 0)] = self.entry.get("name") or self.entry.get("value")
        row[self.columns.get("value", 0)] = self.entry.get("value")
        self.pay(len(row))
        told = self.entry.get("index")
        index = int(told) if re.fullmatch(r"-?\d{1,9}", told) else len(rows)
        return [*rows[:index], row, *rows[index:]]

    def remove_value(self, rows: list[Row]) -> list[Row]:
        if self.entry.get("value"):
            wanted = {self.entry.get("value")}
        elif self.entry.get("ref"):
            value = self.value()
            wanted = {
                str(entry) for entry in (value if isinstance(value, list | tuple) else [value])
            }
        else:
            wanted = {str(value) for value in self.metadata("meta_ref")}
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


KINDS = frozenset(_FILTERS)
"""The types of filters that are known."""


def filtered(
    filters: Iterable[Filter],
    rows: list[Row],
    columns: Mapping[str, int],
    formats: Formats,
    values: Mapping[str, object],
) -> list[Row]:
    """Return what `filters` make of `rows`.

    Raises
    ------
    ParameterError
        They make more rows, or take more time, than a form waits for.
    """
    left = _MOST_CELLS
    with together():
        for entry in filters:
            filtering = _Filtering(entry, columns, formats, values, left)
            filtering.pay(len(rows))
            rows = _FILTERS[entry.kind](filtering, rows)
            left = filtering.left
    return rows


def _texts(value: object) -> list[str]:
    """Return the entries of a value as texts; None has none, nor has a list of it."""
    entries = value if isinstance(value, list | tuple) else [value]
    return [str(entry) for entry in entries if entry is not None]


def _cell(row: Row, index: int) -> str:
    return row[index] if 0 <= index < len(row) else ""
