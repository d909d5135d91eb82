"""Datasets as Galaxy's templates see them; collections are in ``collection_values``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from galaxy.util import nice_size as galaxy_size

from napari_tool_runner.tools.galaxy.metadata import dataset_metadata, page_offsets, unique_values
from napari_tool_runner.tools.galaxy.sanitize import DEFAULT_SANITIZER, safe_name
from napari_tool_runner.tools.galaxy.wrappers import Wrapper

if TYPE_CHECKING:
    from napari_tool_runner.tools.dialect import DataFile
    from napari_tool_runner.tools.formats import Formats

__all__ = ["DatasetValue", "Keep", "file_part", "safe_identifier"]

Keep: TypeAlias = Callable[[str], str]

# what would end the template's own quotes, in identifiers that Galaxy leaves raw
_QUOTES = re.compile(r"[\'\"`$\\\n\r\0]")
# names that Windows keeps for itself, whatever their suffix
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[1-9]|lpt[1-9])(\..*)?")


class _MetadataValue:
    """``$input.metadata``: read when asked, sanitised."""

    _readable_ = True

    def __init__(
        self, dataset: DataFile | None, formats: Formats, shown: Path | None, keep: Keep | None
    ) -> None:
        self._dataset = dataset
        self._formats = formats
        self._shown = shown
        self._keep = keep
        self.cleaned = True
        self._known: dict[str, object] | None = None
        self._place: str | None = None

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
            zarr = self._formats.is_of_type(self._dataset.format, "zarr")
            return (self._shown or self._dataset.path).name if zarr else None
        if name in self._dataset.metadata:
            return self._dataset.metadata[name]
        if name == "num_unique_values":
            return unique_values(self._dataset, self._formats)
        if name == "offsets":
            return self._offsets()
        return self._load().get(name)

    def _offsets(self) -> str | None:
        """Return the path of a file that says where the pages of a TIFF begin."""
        file = self._dataset
        if self._place is None and file is not None and self._keep is not None:
            places = page_offsets(file, self._formats)
            self._place = "" if places is None else self._keep(json.dumps(places))
        return self._place or None

    def names(self) -> tuple[str, ...]:
        """Names of what is known."""
        return tuple(self._load())

    def get(self, name: str, default: object = None) -> object:
        """Return the text that templates see; `default`, as in Galaxy, only without a dataset."""
        value = self.raw(name)
        if value is None and name not in self._load():
            return None if self else default
        return self._told(name, value) if self.cleaned else value

    def element_is_set(self, name: str) -> bool:
        """Say whether the value is known."""
        return self.raw(name) is not None

    def items(self) -> Iterator[tuple[str, object]]:
        """Yield names and values."""
        return ((name, self.get(name)) for name in self._load())

    def _told(self, name: str, value: object) -> str:
        """Return what cannot end a shell's quotes; a file tells what stands in it."""
        if name == "column_types" and isinstance(value, list | tuple):
            value = ",".join(str(entry) for entry in value)
        # paths of the job stand in scripts as they are
        own = name == "store_root" or (name == "offsets" and value and value == self._place)
        return str(value) if own else DEFAULT_SANITIZER.clean(str(value))

    def plain(self) -> _MetadataValue:
        """Return what gives values as they are: for decisions, never for a script."""
        found = copy(self)
        found.cleaned = False
        return found

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
        Its element identifier, when it stands in a collection: see `safe_identifier`.
    extra_files : Path, optional
        Folder of its extra files.
    number : int
        What ``$x.id`` and ``$x.hid`` give.
    fallback : str
        Datatype of an absent dataset.
    keep : callable, optional
        Has a text written into a file of its own and returns its path.
    """

    _readable_ = True
    is_collection = False
    is_deferred = False
    dbkey = "?"
    genome_build = "?"
    info = None
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
        keep: Keep | None = None,
    ) -> None:
        self.file = file
        self.value = file
        self._formats = formats
        self.path = (shown or file.path) if file else None
        self._identifier = identifier
        self.part = ""
        self._extra_files = extra_files
        self._fallback = fallback
        self.id = self.hid = number
        self.metadata = _MetadataValue(file, formats, shown, keep)
        self.groups: set[str] = set()
        self.tags: list[str] = []

    def plain(self) -> DatasetValue:
        """Return the dataset as filters and validators see it, see `_MetadataValue.plain`."""
        found = copy(self)
        found.metadata = self.metadata.plain()
        return found

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
        return self._identifier or self.name

    display_name = created_from_basename = name

    @property
    def safe_element_identifier(self) -> str:
        """The identifier as a part of a file name, another one for each of several datasets."""
        return self.part or file_part(self.element_identifier)

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

    @property
    def size(self) -> int:
        """Size in bytes; of a folder, of everything in it."""
        path = self.file.path if self.file else None
        if path is None or not path.exists():
            return 0
        if path.is_dir():
            return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
        return path.stat().st_size

    file_size = size

    def get_size(self, nice_size: bool = False) -> int | str:
        """Size in bytes, or as a person reads it."""
        return str(galaxy_size(self.size)) if nice_size else self.size

    def has_data(self) -> bool:
        """Say whether it is not empty."""
        return self.size > 0

    def get_staging_path(self, invalid_chars: tuple[str, ...] = ("/",)) -> str:
        """Return a file name made of the identifier and the datatype."""
        text = self.element_identifier.replace("\0", "").lstrip(".")
        for char in invalid_chars:
            text = text.replace(char, "_")
        return f"{text[: 254 - len(self.ext)]}.{self.ext}"

    def serialize(
        self, invalid_chars: tuple[str, ...] = ("/",), path: str = ""
    ) -> dict[str, object]:
        """Return what ``data_style="staging_path_and_source_path"`` writes."""
        path = path or self.get_staging_path(invalid_chars)
        return {
            "element_identifier": self.element_identifier,
            "ext": self.ext,
            "staging_path": path,
            "source_path": str(self) if self else None,
            "metadata_files": self.metadata_files(path),
        }

    @property
    def all_metadata_files(self) -> list[tuple[str, str]]:
        """Extensions and paths of the files that belong to its metadata."""
        offsets = self.metadata.raw("offsets")
        return [("json", str(offsets))] if offsets else []

    def metadata_files(self, beside: str) -> list[dict[str, str]]:
        """Return where those files are, and where they belong."""
        return [
            {"staging_path": f"{beside}.{ext}", "source_path": path}
            for ext, path in self.all_metadata_files
        ]

    def __getattr__(self, name: str) -> str:
        if name.startswith("_") or self.__dict__.get("file") is not None:
            raise AttributeError(name)
        return "None"  # Galaxy's answer to whatever is asked of an absent dataset

    has_single_item = True

    @property
    def single_item(self) -> DatasetValue:
        """Itself, as of a collection that holds it alone."""
        return self

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
