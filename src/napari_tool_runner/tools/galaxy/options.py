"""Options that are read from a dataset, and the filters on them.

``<options from_dataset="table">`` and lists that only filters build are computed
here. Options from reference data of a Galaxy server (``from_file``,
``from_data_table``, ``from_url``) cannot be: the reader notes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.tools.dialect import DataCollection, data_files
from napari_tool_runner.tools.galaxy.option_filters import KINDS, Filter, Row, filtered, find
from napari_tool_runner.tools.model import SelectOption
from napari_tool_runner.tools.patterns import problem_of

if TYPE_CHECKING:
    from galaxy.util import Element

    from napari_tool_runner.tools.common import Notes
    from napari_tool_runner.tools.formats import Formats

__all__ = ["MAX_COLUMN", "ComputedOptions", "column_number", "read_options"]

_MEGABYTE = 1 << 20
MAX_COLUMN = 10_000


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
    filters: tuple[Filter, ...] = ()

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
        return filtered(self.filters, rows, dict(self.columns), self.formats, values)

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
        if kind not in KINDS:
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
            Filter(kind, tuple((str(key), str(value)) for key, value in entry.attrib.items()))
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


def _files(value: object) -> Iterator[Path]:
    """Yield the files of a value: paths, layers that have one, datasets."""
    for entry in value if isinstance(value, list | tuple) else (value,):
        if isinstance(entry, DataCollection):
            yield from (file.path for file in entry.files())
            continue
        path = Path(entry) if isinstance(entry, str | Path) else getattr(entry, "path", None)
        if isinstance(path, Path) and path.is_file():
            yield path
