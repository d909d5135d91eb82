"""Outputs and the result of a job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.jobs.record import METADATA_KEY

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import LayerData, LoadedOutput
    from napari_tool_runner.tools.model import Output

__all__ = ["JobOutput", "JobResult"]


@dataclass(frozen=True, slots=True)
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
    """

    name: str
    path: Path
    format: str
    layer_name: str
    output: Output
    loaded: LoadedOutput | None = None
    elements: Mapping[str, JobOutput] = field(default_factory=dict)
    metadata: Mapping[str, object] = field(default_factory=dict)

    def files(self) -> dict[str, JobOutput]:
        """Return element -> its file; of what is no collection itself, under ``""``."""
        return dict(self.elements) or {"": self}

    @property
    def layer_type(self) -> str:
        """``image``, ``labels``, … ``table``; ``collection``; or ``file``."""
        if self.elements:
            return "collection"
        return "file" if self.loaded is None else self.loaded.kind.value

    @property
    def data(self) -> object:
        """Array (memory-mapped or lazy), coordinates, or a table's columns."""
        return self.loaded.data if self.loaded else None

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


@dataclass(frozen=True, slots=True)
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
    """

    outputs: Mapping[str, JobOutput]
    log: Path
    workspace: Path
    job_id: str
    read_record: Callable[[], dict[str, object]] = field(repr=False)

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
