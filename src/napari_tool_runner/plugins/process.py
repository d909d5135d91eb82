"""`Process`: what a runner service gets, a Tool bound to the values of one job.

Offers what bioimageit_core's own ``Tool`` offers, so that services written for it
find what they read (attribute and method names from its public contract).
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_tool_runner.plugins.contract import Event, ExecContext, OutputLine
from napari_tool_runner.tools.model import (
    BooleanParameter,
    ContainerRequirement,
    PackageRequirement,
    SelectParameter,
    Tool,
)
from napari_tool_runner.tools.tree import leaves

if TYPE_CHECKING:
    from napari_tool_runner.tools.dialect import PlannedOutput
    from napari_tool_runner.tools.tree import BoundValues

__all__ = ["Process", "ProcessParameter", "SelectInfo", "as_process", "context_of"]


@dataclass(slots=True)
class SelectInfo:
    """Choices as two parallel lists: what a person reads, what the program gets."""

    names: list[str]
    values: list[str]

    def size(self) -> int:
        """Number of choices."""
        return len(self.names)


@dataclass(slots=True)
class ProcessParameter:
    """One input, parameter or output. Data values are absolute paths, as text."""

    name: str
    description: str
    value: str
    type: str
    is_data: bool
    io: Literal["param", "input", "output"]
    default_value: str = ""
    select_info: SelectInfo | None = None
    is_advanced: bool = False
    help: str = ""


class Process:
    """A `Tool` with the values of one job.

    Parameters
    ----------
    tool : Tool
    values : mapping, optional
        Bound values whose data leaves are `DataFile`s.
    outputs : sequence of PlannedOutput
    context : ExecContext, optional
        What our own services read; foreign services may ignore it.
    job_id : int
        Number of the job in this session, as bioimageit_core gives it.
    """

    def __init__(
        self,
        tool: Tool,
        values: BoundValues | None = None,
        outputs: Sequence[PlannedOutput] = (),
        context: ExecContext | None = None,
        job_id: int = 0,
    ) -> None:
        self.tool = tool
        self.context = context
        self.job_id = job_id
        self.id = tool.id
        self.name = tool.name
        self.version = tool.version
        self.description = tool.description
        self.command = tool.command
        self.help = tool.help
        self.categories = list(tool.categories)
        self.uri = tool.uri
        self.type = tool.type
        self.requirements = [_requirement(entry) for entry in tool.requirements]
        self.inputs: list[ProcessParameter] = []
        self.outputs: list[ProcessParameter] = []
        self.tests = list(tool.tests)
        self.data_paths: tuple[Path, ...] = ()
        """Files and folders of all data inputs, those of lists and collections, too."""
        self.bind(values or {}, outputs)

    def bind(self, values: BoundValues, outputs: Sequence[PlannedOutput]) -> None:
        """Take other values and outputs: the next slice of the same job."""
        self.data_paths = tuple(
            path for leaf in leaves(self.tool.inputs, values) for path in _data_paths(leaf.value)
        )
        self.inputs = [
            _input(leaf.name, leaf.parameter, leaf.value)
            for leaf in leaves(self.tool.inputs, values)
        ]
        self.outputs = [
            ProcessParameter(
                name=planned.output.name,
                description=planned.output.label,
                value=str(planned.path),
                type=planned.format,
                is_data=True,
                io="output",
            )
            for planned in outputs
        ]

    def fullname(self) -> str:
        """Return ``name_vVERSION``."""
        return f"{self.name}_v{self.version}"

    def is_param(self, name: str) -> bool:
        """Say whether an input or parameter is called `name`."""
        return any(entry.name == name for entry in self.inputs)

    def container(self) -> dict[str, str] | None:
        """Return the first container requirement, None if there is none."""
        for entry in self.requirements:
            if entry["origin"] == "container":
                return entry
        return None

    def param_size(self) -> int:
        """Number of parameters that are no data."""
        return sum(entry.io == "param" for entry in self.inputs)

    def inputs_size(self) -> int:
        """Number of data inputs."""
        return sum(entry.io == "input" for entry in self.inputs)

    def outputs_size(self) -> int:
        """Number of outputs."""
        return len(self.outputs)


def as_process(process: Process | Tool) -> Process:
    """Return `process`; a bare tool, as the tutorial's annotations name it, is wrapped."""
    return Process(process) if isinstance(process, Tool) else process


def context_of(process: Process) -> ExecContext:
    """Return the job's context; a process made by hand gets one.

    Its program works in the current folder, with temporary folders of its own, and its
    lines go where this program's go.
    """
    if process.context is None:
        folder = Path(tempfile.mkdtemp(prefix="napari-tool-runner-"))
        process.context = ExecContext(
            Path.cwd(), folder / "tmp", folder / "home", report=_write_line
        )
    return process.context


def _write_line(event: Event) -> None:
    if isinstance(event, OutputLine) and not event.transient:
        stream = sys.stdout if event.stream == "stdout" else sys.stderr
        stream.write(f"{event.text}\n")


def _data_paths(value: object) -> Iterator[Path]:
    from napari_tool_runner.tools.dialect import DataCollection, DataFile

    if isinstance(value, DataFile):
        yield value.path
    elif isinstance(value, DataCollection):
        for _, element in value.elements:
            yield from _data_paths(element)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _data_paths(entry)


def _requirement(entry: PackageRequirement | ContainerRequirement) -> dict[str, str]:
    if isinstance(entry, ContainerRequirement):
        return {"origin": "container", "type": entry.type, "uri": entry.image}
    spec = entry.text or (f"{entry.name}={entry.version}" if entry.version else entry.name)
    found = {"origin": "package", "type": entry.type, "package": spec, "init": entry.init}
    if entry.env:
        found["env"] = entry.env
    return found


def _input(name: str, parameter: object, value: object) -> ProcessParameter:
    from napari_tool_runner.tools.dialect import DataFile
    from napari_tool_runner.tools.model import DataParameter, ParameterBase

    assert isinstance(parameter, ParameterBase)
    is_data = isinstance(parameter, DataParameter)
    default = getattr(parameter, "default", None)
    info = None
    if isinstance(parameter, SelectParameter):
        info = SelectInfo(
            [option.label for option in parameter.options],
            [option.value for option in parameter.options],
        )
    if isinstance(value, DataFile):
        text = str(value.path)
        kind = value.format
    else:
        text = _text(parameter, value)
        kind = parameter.type
    return ProcessParameter(
        name=name,
        description=parameter.label,
        value=text,
        type=kind,
        is_data=is_data,
        io="input" if is_data else "param",
        default_value=_text(parameter, default),
        select_info=info,
        is_advanced=parameter.advanced,
        help=parameter.help,
    )


def _text(parameter: object, value: object) -> str:
    if value is None:
        return ""
    if isinstance(parameter, BooleanParameter) and isinstance(value, bool):
        return parameter.true_value if value else parameter.false_value
    if isinstance(value, tuple | list):
        return ",".join(str(getattr(entry, "path", entry)) for entry in value)
    if isinstance(value, Mapping):
        return ",".join(f"{key}={entry}" for key, entry in value.items())
    return str(value)
