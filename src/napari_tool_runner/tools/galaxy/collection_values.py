"""Several datasets as Galaxy's templates see them: lists and dataset collections."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from galaxy.util import filesystem_safe_string

from napari_tool_runner.names import unique_name, unique_names
from napari_tool_runner.tools.dialect import DataCollection
from napari_tool_runner.tools.galaxy.dataset_values import DatasetValue, file_part
from napari_tool_runner.tools.galaxy.sanitize import safe_name
from napari_tool_runner.tools.galaxy.wrappers import Wrapper

if TYPE_CHECKING:
    from napari_tool_runner.tools.galaxy.script import Rules

__all__ = ["EITHER", "CollectionValue", "DatasetList", "misfit", "promoted"]

EITHER = "paired_or_unpaired"
"""Galaxy's word for a pair, or one file in its place."""

_PAIR = ["forward", "reverse"]
_NAMES = {"paired": [_PAIR], EITHER: [_PAIR, ["unpaired"]]}


class DatasetList(list[DatasetValue], Wrapper):
    """The datasets of a ``multiple`` input."""

    def __init__(self, datasets: list[DatasetValue], rules: Rules) -> None:
        super().__init__(datasets)
        _settle_parts(datasets)
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
        paths = [entry.get_staging_path(invalid_chars) for entry in self]
        return [
            entry.serialize(invalid_chars, path)
            for entry, path in zip(self, _apart(self, paths), strict=True)
        ]

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
        identifier: str = "",
    ) -> None:
        self.collection = collection
        self.value = collection
        self._identifier = identifier
        self.part = ""
        self._elements = dict(elements)
        _settle_parts(self._elements.values())
        self._rules = rules

    @property
    def is_input_supplied(self) -> bool:
        """Whether there is one."""
        return self.collection is not None

    @property
    def name(self) -> str:
        """Name of the collection; inside another one, what identifies it there."""
        if self._identifier:
            return self._identifier
        return safe_name(self.collection.name) if self.collection else "None"

    @property
    def element_identifier(self) -> str:
        """Identifier in the collection around it, else the name."""
        return self.name

    @property
    def safe_element_identifier(self) -> str:
        """The identifier as a part of a file name, another one than those beside it have."""
        return self.part or file_part(self.element_identifier)

    @property
    def collection_type(self) -> str:
        """Galaxy's word for its structure (``list``, ``paired``)."""
        return self.collection.type if self.collection else ""

    def keys(self) -> list[str]:
        """Return the element identifiers."""
        return list(self._elements)

    @property
    def has_single_item(self) -> bool:
        """Whether a ``paired_or_unpaired`` collection holds one dataset alone."""
        return len(self._elements) == 1

    @property
    def single_item(self) -> DatasetValue | CollectionValue:
        """The only dataset."""
        if not self.has_single_item:
            raise AttributeError("the collection holds more than a single item")
        return next(iter(self._elements.values()))

    @property
    def all_paths(self) -> list[str]:
        """Paths of all files, nested ones too."""
        return [str(dataset) for _, dataset in self.flat()]

    @property
    def all_metadata_files(self) -> list[list[tuple[str, str]]]:
        """Those of each file, see `DatasetValue.all_metadata_files`."""
        return [dataset.all_metadata_files for _, dataset in self.flat()]

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
        paths: list[str] = []
        for identifiers, dataset in self.flat():
            parts = [self.name] if include_collection_name else []
            parts += [
                filesystem_safe_string(
                    part, max_len=254 - len(dataset.ext), invalid_chars=invalid_chars
                )
                for part in identifiers
            ]
            paths.append(f"{os.sep.join(parts)}.{dataset.ext}")
        return _apart((dataset for _, dataset in self.flat()), paths)

    def serialize(
        self, invalid_chars: tuple[str, ...] = ("/",), include_collection_name: bool = False
    ) -> list[dict[str, object]]:
        """Return what ``data_style="staging_path_and_source_path"`` writes."""
        paths = self.get_all_staging_paths(invalid_chars, include_collection_name)
        return [
            {
                "element_identifier": tuple(identifiers),
                "ext": dataset.ext,
                "staging_path": path,
                "source_path": str(dataset),
                "metadata_files": dataset.metadata_files(path),
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


def _settle_parts(entries: Iterable[DatasetValue | CollectionValue]) -> None:
    """Several stay several: what makes parts of file names may make one of two identifiers."""
    found = list(entries)
    parts = unique_names((file_part(entry.element_identifier) for entry in found), (), "_{}", 2)
    for entry, part in zip(found, parts, strict=True):
        entry.part = part


def _apart(datasets: Iterable[DatasetValue], paths: Iterable[str]) -> list[str]:
    """Return the staging paths, a number before the datatype of those that came before."""
    taken: dict[str, set[str]] = {}
    found = []
    for dataset, path in zip(datasets, paths, strict=True):
        there = taken.setdefault(dataset.ext, set())
        stem = unique_name(path.removesuffix(f".{dataset.ext}"), there, "_{}", 2)
        there.add(stem)
        found.append(f"{stem}.{dataset.ext}")
    return found


def promoted(collection: DataCollection, kinds: Sequence[str]) -> DataCollection:
    """Where pairs or single files are wanted, give a plain list single files in pairs' places."""
    wanted = f"{collection.type}:{EITHER}"
    if collection.type in kinds or wanted not in kinds:
        return collection
    elements = tuple(
        (key, DataCollection(EITHER, (("unpaired", entry),), key))
        for key, entry in collection.elements
    )
    return DataCollection(wanted, elements, collection.name)


def misfit(collection: DataCollection) -> str:
    """Return a sentence when a collection does not hold what its type says, else ''."""
    outer, _, inner = collection.type.partition(":")
    names = [key for key, _ in collection.elements]
    wanted = _NAMES.get(outer)
    if wanted and sorted(names) not in wanted:
        held = ", ".join(f"“{name}”" for name in names) or "nothing"
        choice = " or ".join(" and ".join(entry) for entry in wanted)
        return f"its type {outer} is of {choice}, and it holds {held}."
    for key, entry in collection.elements:
        kind = entry.type if isinstance(entry, DataCollection) else ""
        if kind != inner and (kind, inner) != ("paired", EITHER) and outer != "record":
            is_, asks = (
                f"a collection ({text})" if text else "a single file" for text in (kind, inner)
            )
            return f"“{key}” in it is {is_}, where its type {collection.type} asks for {asks}."
        if isinstance(entry, DataCollection) and (problem := misfit(entry)):
            return f"“{key}” in it: {problem}"
    return ""
