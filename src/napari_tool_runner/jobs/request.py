"""What a run is asked to do: a tool, values as snapshots, where, and on what part of them."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING, TypeAlias, TypedDict, Unpack

from napari_tool_runner.config import Config, load_config
from napari_tool_runner.data_classes import dataclass, field, replace
from napari_tool_runner.errors import DescriptorError, ParameterError
from napari_tool_runner.exchange import (
    LayerSnapshot,
    cut,
    grid_of,
    guess_notes,
    learned,
    open_snapshot,
    refused_beside,
    sized_as,
    snapshot,
    unit_here,
    unit_word,
    with_known_axes,
)
from napari_tool_runner.jobs.first import told_first
from napari_tool_runner.jobs.makers import maker_of, told_maker
from napari_tool_runner.jobs.typed_json import to_json
from napari_tool_runner.plugins import (
    Choice,
    choose_service,
    obey_policy,
    plugin_notes,
    runnerServices,
)
from napari_tool_runner.settings import TIMEOUT
from napari_tool_runner.tools import bind, find_tool
from napari_tool_runner.tools.dialect import DataCollection, DataFile
from napari_tool_runner.tools.model import DataParameter, LayerKind, Tool
from napari_tool_runner.tools.toolbox.gate import Permit, admit, pass_gate
from napari_tool_runner.tools.tree import beside, leaves, map_data
from napari_tool_runner.tools.values import datasets
from napari_tool_runner.tools.wording import in_words

if TYPE_CHECKING:
    from napari_tool_runner.exchange import Geometry, Index
    from napari_tool_runner.jobs.extent import Extent
    from napari_tool_runner.tools.tree import BoundValues

__all__ = ["ConfigLike", "Request", "RunOptions", "ToolLike", "each_value", "make_request"]

ToolLike: TypeAlias = Tool | str | os.PathLike[str]
"""A tool, the id of one, or the path of a descriptor."""
ConfigLike: TypeAlias = Config | Mapping[str, object] | str | os.PathLike[str] | None
"""See `napari_tool_runner.config.load_config`."""


class RunOptions(TypedDict, total=False):
    """How a tool is to be run.

    Attributes
    ----------
    runner : str or None
        Runner service; without it the configuration decides, else what the tool requires.
    config : ConfigLike
    timeout : float or None
        Seconds after which the program is ended; without it the configuration's.
    kinds : mapping or None
        Output name -> layer kind, the user's overrides.
    extent : Extent or None
        The part of the data to work on.
    must_load : bool
        Whether an output that cannot be opened as a layer fails the job (True).
    must_write : bool
        Whether an output that the tool did not write fails the job (True).
    cache : bool
        Whether an earlier run may answer, and this one be kept for later ones (True).
    admitted : tuple of Tool and Permit
        What the gate answered for the tool and this configuration right before; without it it is
        asked, and may look through a folder.
    """

    runner: str | None
    config: ConfigLike
    timeout: float | None
    kinds: Mapping[str, LayerKind | str] | None
    extent: Extent | None
    must_load: bool
    must_write: bool
    cache: bool
    admitted: tuple[Tool, Permit]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Request:
    """A call of a tool, complete: nothing in it changes any more.

    Fields that are not told here are those of `RunOptions`.

    Parameters
    ----------
    values : BoundValues
        Bound values; data leaves are `LayerSnapshot`s, lists of them, or `DataFile`s.
    permit : Permit
        Why the tool may run; the gate wants it again when the job's turn has come.
    choice : Choice
        The service and why this one. Without a name it is chosen by what the tool
        requires and what works here, once the job starts.
    grid : Geometry or None
        What `extent` refers to.
    layers : mapping
        Full parameter name -> weak reference to the layer that went in.
    notes : tuple of str
        What the configuration or the call says in vain.
    """

    tool: Tool
    values: BoundValues
    config: Config
    permit: Permit
    choice: Choice
    timeout: float | None = None
    kinds: Mapping[str, LayerKind] = field(default_factory=dict)
    extent: Extent | None = None
    grid: Geometry | None = None
    layers: Mapping[str, weakref.ref[object]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    must_load: bool = True
    must_write: bool = True
    cache: bool = True

    @property
    def pieces(self) -> list[Index]:
        """The slices that are run one by one; empty when the tool runs once."""
        if self.extent is None or self.grid is None:
            return []
        shape = self.grid.shape
        return self.extent.indices(shape, self.grid.axes) if self.extent.apart(shape) else []

    @property
    def sources(self) -> dict[str, object]:
        """Full parameter name -> the layer that went in, as far as it still exists."""
        found = {name: reference() for name, reference in self.layers.items()}
        return {name: layer for name, layer in found.items() if layer is not None}

    def snapshots(self, values: BoundValues) -> Iterator[tuple[str, LayerSnapshot]]:
        """Yield full name and snapshot of every layer among `values`, in the form's order."""
        for leaf in leaves(self.tool.inputs, values):
            for entry in leaf.value if isinstance(leaf.value, list | tuple) else [leaf.value]:
                if isinstance(entry, LayerSnapshot):
                    yield leaf.name, entry

    @property
    def may_measure(self) -> bool:
        """Whether a table of what goes in may come: not where all that comes is pixels."""
        kinds = [one.kind for one in self.tool.outputs]
        return bool(self.kinds) or not all(kind is not None and kind.is_pixels for kind in kinds)

    @property
    def settings(self) -> dict[str, object]:
        """Full name -> value of what is no data, in JSON types."""
        found = leaves(self.tool.inputs, self.values)
        return {
            leaf.name: to_json(leaf.value)
            for leaf in found
            if not isinstance(leaf.parameter, DataParameter)
        }

    def words(self, settings: Mapping[str, object]) -> dict[str, tuple[str, str]]:
        """Return full name -> label, and the value of the `settings` as the form shows it."""
        geometry = told_first(snap for _, snap in self.snapshots(self.values))

        def unit_of(told: str) -> str:
            told = unit_word(told)
            return told if geometry is None else unit_here(told, geometry)

        return in_words(leaves(self.tool.inputs, self.values), settings, unit_of)

    def pass_gate(self, service: str) -> None:
        """Raise TrustError unless the tool may still be evaluated, and run with `service`."""
        pass_gate(self.tool, self.permit)
        chosen = runnerServices.service(service, self.config.runner)
        obey_policy(service, chosen, self.tool, self.permit, self.config)

    def placed_only(self) -> Request:
        """Return it without data: parameters, and where each layer lay."""
        only = _each_snapshot(self.tool, self.values, lambda snap, _: snap.placed_only())
        return replace(self, values=only)

    def with_known_axes(self) -> Request:
        """Return it with the axes that files behind layers tell; notes say what is guessed.

        Of parts nothing more is asked: it was, of the whole.
        """
        if self.grid is not None:
            return self

        def known(one: LayerSnapshot, parameter: DataParameter) -> LayerSnapshot:
            if one.image:  # of others in its file nothing more is known
                return open_snapshot(one)
            named = one.data is None and "axis_labels" in one.attributes  # of a file
            return with_known_axes(open_snapshot(one) if named else one, parameter.axes)

        def like_others(snap: LayerSnapshot, parameter: DataParameter) -> LayerSnapshot:
            if parameter.axes or not grid_of([snap], self.tool.formats):
                return snap
            better = learned(open_snapshot(snap), others)
            return better if better.remarks != snap.remarks else snap

        values = _each_snapshot(self.tool, self.values, known)
        sized = [snap for _, snap in self.snapshots(values) if snap.behind]
        if sized:
            values = _each_snapshot(self.tool, values, lambda snap, _: sized_as(snap, sized))
        others = [snap for _, snap in self.snapshots(values) if snap.geometry.labels]
        if others:
            values = _each_snapshot(self.tool, values, like_others)
        snaps = [snap for _, snap in self.snapshots(values) if snap.kind.is_pixels]
        notes = guess_notes((snap.name, snap.geometry) for snap in snaps)
        return replace(self, values=values, notes=(*self.notes, *notes))

    def with_likeness(self, *, files: bool = True) -> Request:
        """Return it; ParameterError when an image is not like another. `files`: look into them."""
        values = self.cut(self.pieces[0]) if self.pieces else self.values
        for leaf in leaves(self.tool.inputs, values):
            parameter = leaf.parameter
            if not isinstance(parameter, DataParameter) or not parameter.like:
                continue
            other = beside(values, leaf.name).get(parameter.like)
            pairs = product(*(_pictures(value, files=files) for value in (leaf.value, other)))
            for one, two in pairs:
                named = (one.name, one.geometry, two.name, two.geometry)
                if text := refused_beside(parameter, *named):
                    raise ParameterError(text, name=leaf.name)
        return self

    def cut(self, index: Index) -> BoundValues:
        """Return the values with every snapshot cut to `index` of the grid."""
        grid = self.grid
        assert grid is not None, "only what has a grid is cut"
        return _each_snapshot(self.tool, self.values, lambda snap, _: cut(snap, grid, index))


def make_request(
    tool: ToolLike,
    values: Mapping[str, object],
    *,
    idle: bool = False,
    **options: Unpack[RunOptions],
) -> Request:
    """Bind values, take snapshots, choose the service; raises what `prepare` does.

    `idle`: keep what has no effect, see `bind`.
    """
    config = load_config(options.get("config"))
    notes = [*config.notes]
    runner, timeout = _heard(config, options.get("runner"), options.get("timeout"), notes)
    answered = options.get("admitted")
    tool, permit = answered or admit(find_tool(tool, config=config), config)
    if tool.problems:
        raise DescriptorError(
            f"“{tool.name}” cannot be run: {tool.problems[0].what}",
            path=tool.path,
            hint="See the notes of the tool (napari-tool-runner check).",
        )
    choice = _choose(tool, config, runner)
    notes += plugin_notes(runnerServices, config.runner, choice.name)
    layers: dict[str, weakref.ref[object]] = {}

    def take(name: str, parameter: DataParameter, value: object) -> object:
        for entry in value if isinstance(value, list | tuple) else [value]:
            if hasattr(entry, "as_layer_data_tuple") and hasattr(entry, "scale"):
                layers.setdefault(name, weakref.ref(entry))
        return _snapshot(name, parameter, value)

    bound = map_data(tool.inputs, bind(tool, values, idle=idle, told=notes.append), take)
    extent = options.get("extent")
    if extent is not None and not extent.trivial:
        # a file that is taken apart is looked into (lazily)
        bound = _each_snapshot(tool, bound, lambda snap, _: open_snapshot(snap))
    request = Request(
        tool=tool,
        values=bound,
        config=config,
        permit=permit,
        choice=choice,
        timeout=timeout,
        kinds={name: LayerKind(kind) for name, kind in (options.get("kinds") or {}).items()},
        extent=extent,
        layers=layers,
        notes=tuple(notes),
        must_load=options.get("must_load", True),
        must_write=options.get("must_write", True),
        cache=options.get("cache", True),
    )
    if extent is not None and not extent.trivial:
        request = _on_part(request.with_known_axes(), extent)
    return request.with_likeness(files=False)


def _on_part(request: Request, extent: Extent) -> Request:
    """Return `request` with the grid that `extent` refers to; a single part is cut out."""
    for _, snap in request.snapshots(request.values):
        if snap.kind.is_pixels and snap.data is not None:
            request = replace(request, grid=snap.geometry)
            pieces = extent.indices(snap.geometry.shape, snap.geometry.axes)
            apart = extent.apart(snap.geometry.shape)
            return request if apart else replace(request, values=request.cut(pieces[0]))
    return request


def each_value(
    tool: Tool, values: BoundValues, convert: Callable[[str, DataParameter, object], object]
) -> BoundValues:
    """Convert each data value among `values`, also those in lists, one by one."""

    def every(name: str, parameter: DataParameter, value: object) -> object:
        if isinstance(value, list | tuple):
            return [convert(name, parameter, entry) for entry in value]
        return convert(name, parameter, value)

    return map_data(tool.inputs, values, every)


def _each_snapshot(
    tool: Tool, values: BoundValues, convert: Callable[[LayerSnapshot, DataParameter], object]
) -> BoundValues:
    """Convert each layer, array, table and file among `values`."""
    return each_value(
        tool,
        values,
        lambda _, parameter, x: convert(x, parameter) if isinstance(x, LayerSnapshot) else x,
    )


def _pictures(value: object, *, files: bool) -> list[LayerSnapshot]:
    """Return what has pixels of what an input is given."""
    given = value if isinstance(value, list | tuple) else [value]
    snaps = [one for one in given if isinstance(one, LayerSnapshot)]
    found = map(open_snapshot, snaps) if files else snaps
    return [one for one in found if one.kind.is_pixels and one.data is not None]


def _heard(
    config: Config, runner: str | None, timeout: float | None, notes: list[str]
) -> tuple[str | None, float | None]:
    """Return what the call may say besides the configuration; note the rest."""
    if runner is not None and config.lock_of("runner.service") and runner != config.service:
        notes.append(f"The runner {runner} is not used: your facility has locked the choice.")
        runner = None
    if timeout is not None and config.lock_of("jobs.timeout"):
        notes.append("The time limit of the call is not used: your facility has locked it.")
        timeout = None
    if timeout is not None:
        TIMEOUT.read(float(timeout), place="this call")
    return runner, timeout


def _choose(tool: Tool, config: Config, runner: str | None) -> Choice:
    name = runner or config.service
    if name is None:
        # asking an engine may take its time: that is the job's, not the caller's
        return Choice("", "") if tool.requirements else choose_service(tool, config.runner)
    runnerServices.get(name, **config.runner)  # an unknown name is told now, not in the job
    return Choice(name, "as asked" if runner else "as the configuration says")


def _snapshot(name: str, parameter: DataParameter, value: object) -> object:
    if isinstance(value, DataFile | DataCollection):
        return value
    if parameter.collection and isinstance(value, Mapping):
        # identifiers and what they stand for: {"forward": …, "reverse": …}
        return [replace(_take(entry, str(key)), name=str(key)) for key, entry in value.items()]
    if parameter.multiple:
        return [
            entry if isinstance(entry, DataFile) else _take(entry, f"{name}_{index}")
            for index, entry in enumerate(datasets(value))
        ]
    if isinstance(value, list):
        raise ParameterError(
            f"“{name}” takes one dataset, not {len(value)}.",
            name=name,
            hint="Give one layer, array or path.",
        )
    return _take(value, name)


def _take(value: object, name: str) -> LayerSnapshot:
    # what has a name of its own keeps it; a bare array is called as its parameter
    bare = hasattr(value, "dtype") and not hasattr(value, "as_layer_data_tuple")
    snap, maker = snapshot(value, name if bare else ""), maker_of(value)
    if not maker and told_maker(value):  # changed since: neither that result nor its file
        snap = replace(snap, source="layer")
    return replace(snap, made_by=maker)
