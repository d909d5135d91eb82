"""A run of a tool on every slice, which makes one result of all."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import sealed
from napari_tool_runner.errors import ExchangeError
from napari_tool_runner.exchange import crop, label_offsets, merge_parts
from napari_tool_runner.jobs.execution import Run
from napari_tool_runner.jobs.joins import Joins
from napari_tool_runner.jobs.record import JobState
from napari_tool_runner.jobs.request import each_value
from napari_tool_runner.jobs.workspace import make_folders, remove_scratch
from napari_tool_runner.names import real_path
from napari_tool_runner.plugins import Progress
from napari_tool_runner.tools.dialect import CollectedFile, CollectedOutput, DataFile
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    from napari_tool_runner.exchange import Index
    from napari_tool_runner.jobs.execution import ProgramCall
    from napari_tool_runner.jobs.outputs import JobOutput
    from napari_tool_runner.tools.dialect import JobPaths
    from napari_tool_runner.tools.model import DataParameter
    from napari_tool_runner.tools.tree import BoundValues

__all__ = ["SlicedRun"]


class SlicedRun(Run):
    """Runs the tool on each of ``request.pieces``: the service is prepared only once.

    Every piece has its own folders below ``io/pieces/``. Outputs of one kind become one
    file in ``outputs/`` (labels are renumbered, so that each occurs in one slice
    only); outputs that cannot be put together stay a collection.
    """

    def execute(self) -> None:
        """Run slice by slice, then put the results together."""
        request = self.request
        # the record names the whole layers: a repetition takes them apart again
        self.write_inputs(request.values, self.workspace.paths.inputs, whole=True)
        results: dict[str, list[JobOutput]] = {}
        pieces = request.pieces
        call: ProgramCall | None = None
        with ExitStack() as opened:
            for number, index in enumerate(pieces):
                phase = f"Slice {number + 1} of {len(pieces)}"
                self.context.report(Progress(phase, number, len(pieces)))
                paths = self.workspace.piece(number)
                values = self._inputs_of(index, paths)
                rendered = self.render(values, paths)
                if call is None:
                    call = opened.enter_context(self.program(values, rendered))
                call(values, rendered, paths)
                found = self.collect(values, rendered, paths)
                snaps = request.snapshots(request.cut(index))
                joins = Joins(found, snaps, self.stop_if_cancelled)
                for name, made in joins.settled().items():  # told of the whole
                    results.setdefault(name, []).append(made)
                remove_scratch(paths)
        self._enter(JobState.LOADING, "Putting the slices together")
        self.outputs = self._merged(results, len(pieces))

    def _inputs_of(self, index: Index, paths: JobPaths) -> BoundValues:
        """Write what one slice gets, then bring it to its place by renaming.

        A program of the slice before may live on and change what it sees; while we write,
        it sees nothing.
        """
        with suppress(FileNotFoundError):
            sealed.remove(paths.root, paths.top)
        make_folders(paths)
        draft = self._draft()
        values = self.write_inputs(self.request.cut(index), draft, record=False)

        def placed(name: str, parameter: DataParameter, value: object) -> object:
            if isinstance(value, DataFile) and value.path.is_relative_to(draft):
                path = paths.inputs / value.path.relative_to(draft)
                # where it leads is looked up here only, out of reach of the slice before
                self._known[path] = real_path(value.path) if value.path.is_symlink() else path
                return replace(value, path=path)
            return value

        values = each_value(self.request.tool, values, placed)
        sealed.put(draft, paths.inputs, paths.top)
        return values

    def _draft(self) -> Path:
        """Make a folder that no program sees."""
        folder = self.workspace.root / "draft"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _merged(self, results: dict[str, list[JobOutput]], count: int) -> dict[str, JobOutput]:
        offsets = {
            name: label_offsets([part.loaded for part in parts if part.loaded])
            for name, parts in results.items()
            if all(part.loaded and part.loaded.kind is LayerKind.LABELS for part in parts)
        }
        outputs: dict[str, JobOutput] = {}
        for name, parts in results.items():
            merged = None
            try:
                if len(parts) == count:
                    join, column = _joined(parts)
                    shift = offsets.get(name) or offsets.get(join)
                    merged = self._merge_one(name, parts, shift, column)
            except ExchangeError as reason:
                self.notes.append(f"“{name}” was left in slices: {reason}")
            outputs[name] = merged or self._collection(parts)
        return outputs

    def _merge_one(
        self, name: str, parts: list[JobOutput], shift: list[int] | None, column: str
    ) -> JobOutput | None:
        loaded = [part.loaded for part in parts if part.loaded is not None]
        if len(loaded) != len(parts) or len({part.kind for part in loaded}) != 1:
            return None
        request, paths, draft = self.request, self.workspace.paths, self._draft()
        extent, grid = request.extent, request.grid
        assert extent is not None, "only an extent"
        assert grid is not None, "with a grid is run in slices"
        ranges = extent.ranges(grid.shape)  # the part of the grid that the pieces cover
        starts = [start for start, _ in ranges]
        covered = crop(grid, starts, [stop - start for start, stop in ranges])
        loop = extent.loop_axes(grid.shape, grid.axes)
        first = [starts[axis] for axis in loop]
        made = merge_parts(loaded, loop, covered, draft, name, shift, first, column)
        if made is None:
            return None
        written, fmt = made
        path = paths.outputs / written.name
        sealed.put(written, path, paths.top)
        whole = replace(parts[0].output, format=fmt, kind=loaded[0].kind)
        entry = CollectedOutput(whole, (CollectedFile(path, fmt),))
        box = tuple(slice(start, stop) for start, stop in ranges)
        snaps = request.snapshots(request.cut(box))
        places = {name: snap.placed_only() for name, snap in snaps}
        return self.loader().load(entry, places, path.parent)

    def _collection(self, parts: list[JobOutput]) -> JobOutput:
        width = len(str(len(parts)))
        elements = {
            f"slice {number:0{width}d}": replace(part, layer_name=f"{part.layer_name} {number}")
            for number, part in enumerate(parts)
        }
        return self.loader().collection(parts[0].output, elements, self.workspace.pieces)


def _joined(parts: list[JobOutput]) -> tuple[str, str]:
    """Return whose objects the rows of a table are in all slices, and the column that says so."""
    joins = {(part.output.join or part.join, part.column) for part in parts if not _is_empty(part)}
    return joins.pop() if len(joins) == 1 else ("", "")


def _is_empty(part: JobOutput) -> bool:
    made = part.loaded
    return made is None or (
        made.kind is LayerKind.TABLE and not any(map(len, made.table.values()))
    )
