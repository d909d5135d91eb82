"""Results into a viewer: layers are added, never replaced, and remember their making.

The viewer is known by its methods (``layers``, ``add_image`` …), so nothing here
imports napari.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, cast

from napari_tool_runner.errors import ParameterError
from napari_tool_runner.exchange import features_for
from napari_tool_runner.tools.model import DataParameter, LayerKind, Tool
from napari_tool_runner.tools.values import bind, map_data

if TYPE_CHECKING:
    from napari_tool_runner.jobs.job import Job
    from napari_tool_runner.jobs.model import JobOutput, JobResult

__all__ = ["AddedResult", "LayerListLike", "ViewerLike", "add_result", "named_layers"]


class LayerLike(Protocol):
    """What is asked of a layer."""

    name: str
    metadata: dict[str, object]


class LayerListLike(Protocol):
    """What is asked of a layer list."""

    def __iter__(self) -> Iterator[LayerLike]: ...

    def __contains__(self, layer: object) -> bool: ...

    def __getitem__(self, name: str) -> LayerLike: ...

    def __len__(self) -> int: ...

    def index(self, layer: object) -> int:
        """Place of a layer, 0 at the bottom."""
        ...

    def move(self, source: int, target: int) -> object:
        """Move a layer."""
        ...


class ViewerLike(Protocol):
    """What is asked of a viewer (napari.Viewer, napari.components.ViewerModel)."""

    @property
    def layers(self) -> LayerListLike:
        """The layer list."""
        ...


@dataclass(slots=True)
class AddedResult:
    """What a result became in a viewer.

    Parameters
    ----------
    layers : list
        The new layers, bottom first.
    tables : dict
        Output name -> columns, of the tables that belong to no layer.
    joined : dict
        Output name -> the layer whose ``features`` took the table.
    """

    layers: list[object] = field(default_factory=list)
    tables: dict[str, Mapping[str, object]] = field(default_factory=dict)
    joined: dict[str, object] = field(default_factory=dict)


def add_result(viewer: ViewerLike, result: JobResult, job: Job | None = None) -> AddedResult:
    """Add the outputs of `result` to `viewer`, above the job's first input layer.

    Without `job` (a result of the past) they go on top. Call it on the thread that owns
    the viewer. Nothing of the user's is replaced,
    hidden or removed; napari makes the names unique. A table joins the labels or
    points that its descriptor names (``join=``): columns are added to ``features``,
    existing ones stay.
    """
    added = AddedResult()
    made: dict[str, LayerLike] = {}
    tables: list[JobOutput] = []
    for name, output in result.outputs.items():
        for entry in output.elements.values() or [output]:
            if entry.loaded is None or entry.output.hidden:
                continue
            if entry.loaded.kind is LayerKind.TABLE:
                tables.append(entry)
                continue
            layer = _add(viewer, entry)
            made.setdefault(name, layer)
            added.layers.append(layer)
    sources = job.sources if job is not None else {}
    _lift(viewer, added.layers, sources)
    for table in tables:
        columns = cast("Mapping[str, object]", table.data)
        target = _join_target(table, made, sources, viewer)
        if target is not None and _join(target, columns):
            added.joined[table.name] = target
        else:
            added.tables[table.layer_name] = columns
    return added


def named_layers(
    viewer: ViewerLike, tool: Tool, values: Mapping[str, object]
) -> Mapping[str, object]:
    """Replace names of layers among the data values of `tool` by the layers.

    Raises
    ------
    ParameterError
        A data value is text, but neither a layer of that name nor a file.
    """
    from pathlib import Path

    def look_up(name: str, value: object) -> object:
        if not isinstance(value, str):
            return value
        if any(layer.name == value for layer in viewer.layers):
            return viewer.layers[value]
        if Path(value).exists():
            return value
        known = ", ".join(f"“{layer.name}”" for layer in viewer.layers) or "none"
        raise ParameterError(
            f"“{name}”: there is no layer (and no file) called “{value}”.",
            name=name,
            hint=f"The layers are: {known}.",
        )

    def convert(name: str, parameter: DataParameter, value: object) -> object:
        if isinstance(value, list | tuple) and parameter.multiple:
            return [look_up(name, entry) for entry in value]
        return look_up(name, value)

    return map_data(tool.inputs, bind(tool, values), convert)


def _add(viewer: ViewerLike, output: JobOutput) -> LayerLike:
    data, attributes, kind = output.as_layer_data_tuple()
    add = cast("Callable[..., LayerLike]", getattr(viewer, f"add_{kind}"))
    return add(data, **attributes)


def _lift(viewer: ViewerLike, layers: list[object], sources: Mapping[str, object]) -> None:
    """Move new layers directly above the input, where a person looks for them."""
    source = next((s for s in sources.values() if s in viewer.layers), None)
    if source is None:
        return
    place = viewer.layers.index(source) + 1
    for offset, layer in enumerate(layers):
        at = viewer.layers.index(layer)
        if at != place + offset:
            viewer.layers.move(at, place + offset)


def _join_target(
    table: JobOutput,
    made: Mapping[str, LayerLike],
    sources: Mapping[str, object],
    viewer: ViewerLike,
) -> LayerLike | None:
    name = table.output.join
    if not name:
        return None
    if name in made:
        return made[name]
    layer = sources.get(name)
    # a layer that was deleted meanwhile takes nothing; the table is shown instead
    return cast("LayerLike", layer) if layer is not None and layer in viewer.layers else None


def _join(layer: LayerLike, columns: Mapping[str, object]) -> bool:
    joined = features_for(layer, columns)
    if joined is None:
        return False
    layer.features = joined  # type: ignore[attr-defined]
    return True
