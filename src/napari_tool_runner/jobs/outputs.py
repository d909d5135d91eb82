"""What a tool made: files collected, opened as layers to be, named."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import exchange
from napari_tool_runner.data_classes import dataclass, field, replace
from napari_tool_runner.errors import (
    ExchangeError,
    OutputError,
    UnsupportedLayerError,
    WorkspaceError,
)
from napari_tool_runner.exchange import load
from napari_tool_runner.jobs.record import METADATA_KEY, RecordedOutput
from napari_tool_runner.names import count_text
from napari_tool_runner.quoting import one_line
from napari_tool_runner.tools.dialect import CollectedFile
from napari_tool_runner.tools.formats import FORMATS, Formats
from napari_tool_runner.tools.hints import are_numbered
from napari_tool_runner.tools.model import CollectionOutput, LayerKind
from napari_tool_runner.tools.wording import label_of

if TYPE_CHECKING:
    from napari_tool_runner.exchange import (
        Counted,
        LayerData,
        LayerSnapshot,
        LoadedOutput,
        ReadFile,
    )
    from napari_tool_runner.jobs.request import Request
    from napari_tool_runner.tools.dialect import CollectedOutput, DataFile
    from napari_tool_runner.tools.model import DataOutput, Output, Tool

__all__ = ["JobOutput", "JobResult", "OutputLoader", "named_after"]

SEPARATOR = " · "
_NOTES = 5  # different ones told of the files of one output
_SHOWN = 20  # outputs in a text of a result
_GENERIC = frozenset(
    {"o", "out", "output", "result", "image", "img"}
    | {"outputimage", "ouputimage", "outputfile", "outputdata"}
)
"""Labels, as letters and digits, that say nothing."""


@dataclass(frozen=True, slots=True, repr=False)
class JobOutput:
    """One output of a job that succeeded.

    Parameters
    ----------
    name : str
        Name of the output in the descriptor (of the element, inside a collection).
    path : Path
        The file, or the folder of a collection's files.
    format : str
        Name of the format in the tool's dialect.
    layer_name : str
        What a layer of it would be called.
    loaded : LoadedOutput or None
        None for a collection (see `elements`) and for what no viewer can show.
    elements : mapping
        Identifier -> element, for collections.
    kind : LayerKind or None
        As what it was opened, when `loaded` was let go (`closed`).
    lenders : mapping
        Full parameter name -> the place of what went in, without its data.
    join, column : str
        The input or output whose objects the rows of this table are, and the column of their
        numbers, where that is known from the numbers (`joins`).
    numbers : tuple of int
        Of the objects of the rows, where no column has them.
    counted : Counted or None
        How many objects it holds, where that was counted.
    """

    name: str
    path: Path
    format: str
    layer_name: str
    output: Output
    loaded: LoadedOutput | None = None
    elements: Mapping[str, JobOutput] = field(default_factory=dict)
    metadata: Mapping[str, object] = field(default_factory=dict)
    kind: LayerKind | None = None
    lenders: Mapping[str, LayerSnapshot] = field(default_factory=dict)
    join: str = ""
    column: str = ""
    numbers: tuple[int, ...] = ()
    counted: Counted | None = None

    def closed(self) -> JobOutput:
        """Return it without its data: no array, no mapped file."""
        elements = {name: part.closed() for name, part in self.elements.items()}
        kind = self.kind if self.loaded is None else self.loaded.kind
        return replace(self, loaded=None, elements=elements, kind=kind)

    def opened(self, tool: Tool, root: Path, read: ReadFile) -> JobOutput:
        """Return it with its data, read again below `root` by `read`.

        Raises
        ------
        WorkspaceError
            They are gone.
        """
        elements = {name: part.opened(tool, root, read) for name, part in self.elements.items()}
        if self.kind is None or self.loaded is not None:
            return replace(self, elements=elements)
        file = CollectedFile(self.path, self.format, name=self.name)
        try:
            loaded = load(
                file, self.output, tool, inputs=self.lenders, kind=self.kind, root=root, read=read
            )
        except ExchangeError as error:
            raise WorkspaceError(
                f"The result “{self.layer_name}” cannot be opened again: {error}",
                hint="Its file is gone or was changed; run the tool again.",
            ) from error
        return replace(self, loaded=loaded)

    def recorded(self, name: str, element: str, sha256: str | None) -> RecordedOutput:
        """Return its entry in the run record, as `element` of the output `name`."""
        facts = (self.path, self.format, self.layer_type, self.layer_name, sha256)
        found = self.counted
        objects = None if found is None or found.unnumbered else found.count
        more = self.join, self.column, objects, label_of(self.output)
        return RecordedOutput(name, element, *facts, *more)

    def files(self) -> dict[str, JobOutput]:
        """Return element -> its file; of what is no collection itself, under ``""``."""
        return dict(self.elements) or {"": self}

    @property
    def layer_type(self) -> str:
        """``image``, ``labels``, … ``table``; ``collection``; or ``file``."""
        if self.elements:
            return "collection"
        kind = self.kind if self.loaded is None else self.loaded.kind
        return "file" if kind is None else kind.value

    @property
    def data(self) -> object:
        """Array (memory-mapped or lazy), coordinates, or a table as a pandas ``DataFrame``."""
        columns = self.columns
        if columns is not None:
            from pandas import DataFrame  # slow to import; who looks at no table needs it not

            return DataFrame(columns)
        return self.loaded.data if self.loaded else None

    @property
    def columns(self) -> Mapping[str, object] | None:
        """Name -> values of the columns of a table; None for anything else."""
        if self.loaded is None or self.loaded.kind is not LayerKind.TABLE:
            return None
        assert isinstance(self.loaded.data, Mapping)
        return self.loaded.data

    def __repr__(self) -> str:
        """Return one line: what it is, how large, what a layer of it is called, and where."""
        return self._told(str(self.path))

    def _told(self, place: str) -> str:
        name = one_line(self.layer_name, 60)
        return f"<{self.layer_type} “{name}”: {self._extent()}, {place}>"

    def _extent(self) -> str:
        if self.elements:
            return f"{len(self.elements)} elements"
        if (columns := self.columns) is not None:
            rows = max((len(one) for one in columns.values() if isinstance(one, Sized)), default=0)
            return f"{count_text(rows, 'row')} × {count_text(len(columns), 'column')}"
        shape, dtype = (getattr(self.data, name, None) for name in ("shape", "dtype"))
        if shape is None:
            return self.format or "file"
        return f"{' × '.join(map(str, shape))} {dtype or ''}".rstrip()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was decided or lost while loading, in sentences."""
        return self.loaded.notes if self.loaded else ()

    def as_layer_data_tuple(self) -> LayerData:
        """Return napari's ``(data, attributes, type)``, named and with provenance.

        Raises
        ------
        ValueError
            For collections and for files that are no layer.
        """
        if self.loaded is None:
            raise ValueError(f"Output “{self.name}” is a {self.layer_type}, not a layer.")
        data, attributes, kind = self.loaded.as_layer_data_tuple()
        given = attributes.get("metadata")
        metadata = dict(given) if isinstance(given, Mapping) else {}
        metadata[METADATA_KEY] = dict(self.metadata)
        return data, {**attributes, "name": self.layer_name, "metadata": metadata}, kind


@dataclass(frozen=True, slots=True, weakref_slot=True, repr=False)
class JobResult:
    """What a successful job gives.

    Parameters
    ----------
    outputs : mapping
        Output name -> `JobOutput`, in the order of the descriptor; outputs that this
        call did not make (filters) are absent.
    log : Path
        The log file.
    workspace : Path
        The job's folder. Outputs are mapped from it: do not delete it while in use.
    formats : Formats
        Those of the tool.
    originals : tuple of str
        The user's own files that it was made of.
    """

    outputs: Mapping[str, JobOutput]
    log: Path
    workspace: Path
    job_id: str
    read_record: Callable[[], dict[str, object]]
    formats: Formats = FORMATS
    originals: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return a line for the job and one for each output, without the job's folder."""
        names, told, top = list(self.outputs), list[str](), f"{self.workspace}{os.sep}"
        for name in names[:_SHOWN]:
            output = self.outputs[name]
            place = str(output.path).removeprefix(top)
            told.append(f"  {one_line(name, 40)}: {output._told(place)}")
        if len(names) > _SHOWN:
            told.append(f"  … and {len(names) - _SHOWN} more")
        return "\n".join([f"<result of job {self.job_id}, {self.workspace}>", *told])

    @property
    def record(self) -> dict[str, object]:
        """The run record, exactly as on disk (waits for pending content hashes)."""
        return self.read_record()

    def layers(self) -> list[LayerData]:
        """Return every output that is a layer or table, collections unfolded."""
        found: list[LayerData] = []
        for output in self.outputs.values():
            for entry in output.files().values():
                if entry.loaded is not None and not entry.output.hidden:
                    found.append(entry.as_layer_data_tuple())
        return found


@dataclass(frozen=True, slots=True)
class OutputLoader:
    """Opens the outputs of a run as layers to be.

    Parameters
    ----------
    first : str
        What results are named after: the first input; empty when there is none.
    summary : mapping
        What layers carry in their metadata (`RunRecord.summary`).
    note : callable
        Takes sentences on what was decided or lost.
    root : Path
        The folder of the program that made them, see `sealed`.
    read : callable
        Reads a file, see `ReadApart`.
    """

    request: Request
    first: str
    summary: Mapping[str, object]
    note: Callable[[str], None]
    root: Path
    read: ReadFile

    def load(
        self, entry: CollectedOutput, lenders: Mapping[str, LayerSnapshot], folder: Path
    ) -> JobOutput:
        """Open the files of an output.

        Parameters
        ----------
        lenders : mapping
            Full parameter name -> where what went in lies, which the result takes.
        folder : Path
            Where a collection without files is.
        """
        output = entry.output
        if not isinstance(output, CollectionOutput) and len(entry.files) == 1:
            one = self._load_file(entry.files[0], output, lenders)
            self._tell(output, [one])
            return one
        named = {file.name or str(index): file for index, file in enumerate(entry.files)}
        elements = {
            name: self._load_file(file, output, lenders, name) for name, file in named.items()
        }
        self._tell(output, elements.values())
        place = next((file.path.parent for file in entry.files), folder)
        return self.collection(output, elements, place)

    def collection(
        self, output: Output, elements: Mapping[str, JobOutput], folder: Path
    ) -> JobOutput:
        """Return `elements` as one output."""
        return JobOutput(
            output.name,
            folder,
            output.format,
            self.name(output),
            output,
            elements=elements,
            metadata={**self.summary, "output": output.name, "element": ""},
        )

    def name(self, output: DataOutput, element: str = "", channel: str = "") -> str:
        """Return ``<first input> · <what it is>``, or the tool's name without inputs.

        A label that says nothing (“Output image”) gives way to the name that the file gives its
        only channel, else to the tool's name; a label that is still a template
        (``${tool.name} on ${on_string}``) to the output's name.
        """
        label = label_of(output)
        if "".join(c for c in label.lower() if c.isalnum()) in _GENERIC:
            label = channel or self.request.tool.name
        return SEPARATOR.join(part for part in (self.first, label, element) if part)

    def _tell(self, output: Output, files: Iterable[JobOutput]) -> None:
        """Say what was decided or lost, once for all files of which it is the same."""
        told, name = Counter(note for file in files for note in file.notes), label_of(output)
        for note, count in told.most_common(_NOTES):
            self.note(f"{name}: {note}" + f" ({count_text(count, 'file')})" * (count > 1))
        if (more := told.total() - sum(n for _, n in told.most_common(_NOTES))) > 0:
            self.note(f"{name}: other notes like these, of files: {more}.")

    def _load_file(
        self,
        file: CollectedFile,
        output: DataOutput,
        lenders: Mapping[str, LayerSnapshot],
        element: str = "",
    ) -> JobOutput:
        request, loaded = self.request, None
        try:
            kind = request.kinds.get(output.name)
            loaded = load(
                file,
                output,
                request.tool,
                inputs=lenders,
                kind=kind,
                root=self.root,
                read=self.read,
            )
        except UnsupportedLayerError as reason:  # what no viewer can show is still a result
            self.note(str(reason))
        except OutputError as reason:
            if request.must_load:
                raise
            self.note(str(reason))
        if loaded is not None and loaded.kind is LayerKind.ANY:  # text, an archive, …
            loaded = None
        return JobOutput(
            element or output.name,
            file.path,
            file.format,
            self.name(output, element, _channel(loaded)),
            output,
            loaded=loaded,
            lenders=lenders,
            metadata={**self.summary, "output": output.name, "element": element},
            counted=None
            if loaded is None
            else exchange.counted(loaded, numbered=are_numbered(output.label)),
        )


def _channel(loaded: LoadedOutput | None) -> str:
    """Return what the file of a result calls its only channel; nothing where it has several."""
    metadata = {} if loaded is None else loaded.attributes.get("metadata", {})
    names = metadata.get("channel_names", ()) if isinstance(metadata, Mapping) else ()
    return str(names[0]) if isinstance(names, Sequence) and len(names) == 1 else ""


def named_after(file: DataFile, snap: LayerSnapshot | None) -> str:
    """Return what results of an input are named after.

    Of an input that is itself a result only the beginning counts: names do not pile up.
    """
    metadata = snap.attributes.get("metadata") if snap is not None else None
    made_by_us = isinstance(metadata, Mapping) and METADATA_KEY in metadata
    return file.name.split(SEPARATOR)[0] if made_by_us else file.name
