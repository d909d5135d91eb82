"""Datasets as Galaxy's templates see them; collections are in ``collection_values``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.tools.galaxy.metadata import dataset_metadata, unique_values
from napari_tool_runner.tools.galaxy.sanitize import clean_all, safe_name
from napari_tool_runner.tools.galaxy.wrappers import Wrapper

if TYPE_CHECKING:
    from napari_tool_runner.tools.dialect import DataFile
    from napari_tool_runner.tools.formats import Formats

__all__ = ["DatasetValue", "file_part", "safe_identifier"]

# what would end the template's own quotes, in identifiers that Galaxy leaves raw
_QUOTES = re.compile(r"[\'\"`$\\\n\r\0]")
# names that Windows keeps for itself, whatever their suffix
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[1-9]|lpt[1-9])(\..*)?")


class _MetadataValue:
    """``$input.metadata``: read when asked, sanitised."""

    _readable_ = True

    def __init__(self, dataset: DataFile | None, formats: Formats, shown: Path | None) -> None:
        self._dataset = dataset
        self._formats = formats
        self._shown = shown
        self._known: dict[str, object] | None = None

    def _load(self) -> dict[str, object]:
        if self._known is None:
            file = self._dataset
            self._known = dataset_metadata(file, self._formats) if file else {}
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
            return unique_values(self._dataset, self._formats)
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
        """Return what cannot end a shell's quotes; a file tells what stands in it."""
        if name == "store_root":
            return value  # a path of the job, which stands in scripts as it is
        if name == "column_types" and isinstance(value, list | tuple):
            value = ",".join(str(entry) for entry in value)
        return clean_all(value)

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
    formats : Formats
        Those of the tool.
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
        formats: Formats,
        *,
        shown: Path | None = None,
        identifier: str = "",
        extra_files: Path | None = None,
        number: int = 0,
        fallback: str = "data",
    ) -> None:
        self.file = file
        self.value = file
        self._formats = formats
        self.path = (shown or file.path) if file else None
        self._identifier = identifier
        self._extra_files = extra_files
        self._fallback = fallback
        self.id = self.hid = number
        self.metadata = _MetadataValue(file, formats, shown)
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

    def get_file_name(self) -> str:
        """Path of the file."""
        return str(self)

    file_name = property(get_file_name)

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
        return safe_identifier(self._identifier) or self.name

    display_name = name

    @property
    def safe_element_identifier(self) -> str:
        """The identifier as a part of a file name."""
        return file_part(self.element_identifier)

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
        return _DatatypeValue(self.ext, self._formats)

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
        if self._formats.is_of_type(self.file.format, "zarr"):
            return str(self.path.parent)
        if self._formats.canonical(self.file.format).directory:
            return str(self.path)
        return str(self.path.with_name(f"{self.path.name}_files"))

    files_path = extra_files_path

    def extra_files_path_exists(self) -> bool:
        """Say whether there are extra files."""
        return Path(self.extra_files_path).is_dir()

    def is_of_type(self, *names: object) -> bool:
        """Say whether the datatype is one of `names`, or a child of one."""
        return self._formats.is_of_type(self.ext, *[str(name) for name in names])

    def get_size(self, nice_size: bool = False) -> int:
        """Size in bytes; of a folder, of everything in it."""
        if self.file is None or not self.file.path.exists():
            return 0
        if self.file.path.is_dir():
            return sum(p.stat().st_size for p in self.file.path.rglob("*") if p.is_file())
        return self.file.path.stat().st_size

    size = file_size = property(get_size)

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
            "element_identifier": self.element_identifier,
            "ext": self.ext,
            "staging_path": self.get_staging_path(invalid_chars),
            "source_path": str(self),
            "metadata_files": [],
        }

    def display_text(self) -> str:
        """Name of the dataset."""
        return self.name


class _DatatypeValue:
    def __init__(self, name: str, formats: Formats) -> None:
        self.file_ext = name
        self._formats = formats

    def is_of_type(self, *names: object) -> bool:
        return self._formats.is_of_type(self.file_ext, *[str(name) for name in names])

    def __str__(self) -> str:
        return self.file_ext


def safe_identifier(text: str) -> str:
    """Return an identifier without what would end a template's own quotes."""
    return _QUOTES.sub("_", text)


def file_part(text: str) -> str:
    """Galaxy's portable part of a file name: letters, digits, ``. _ -``; never hidden."""
    part = re.sub(r"[^A-Za-z0-9._-]", "_", text).lstrip(".-").rstrip(".")
    return f"_{part}" if _RESERVED.fullmatch(part) else part or "_"
