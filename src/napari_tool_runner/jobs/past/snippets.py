"""A past job as something to paste: Python, a command line, JSON."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from napari_tool_runner.errors import WorkspaceError
from napari_tool_runner.jobs.past.chain import chain_of
from napari_tool_runner.quoting import comment, python_value, shell_line
from napari_tool_runner.tools.formats import FORMATS, Carrier
from napari_tool_runner.tools.toolbox.entries import ships

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_tool_runner.jobs.past.chain import Step
    from napari_tool_runner.jobs.record import RecordedInput, RecordedOutput, RunRecord

__all__ = ["as_command", "as_given", "as_json", "as_python"]

_OF_PIXELS = ("any", "image", "labels")
"""Kinds whose files may tell axes; ``any``: a file was given."""


def as_given(entry: RecordedInput, place: Path | None = None) -> str | tuple[str, dict[str, str]]:
    """Return an input as a script gives it: a file, with axes where its format has none.

    `place`: where the file lies now.
    """
    path, layer = str(place or entry.path), entry.layer or {}
    stored = str(layer.get("stored", "")).lower().replace("q", "?")
    told = stored and layer.get("labels") and not _names_axes(entry)
    told = told and layer.get("kind", "any") in _OF_PIXELS  # tables tell no axes
    return (path, {"axis_labels": stored}) if told else path


def _names_axes(entry: RecordedInput) -> bool:
    return FORMATS.resolve(entry.format).carrier in (Carrier.TIFF, Carrier.ZARR)


def _as_it_lay(entry: RecordedInput, record: RunRecord) -> str | tuple[str, Mapping[str, object]]:
    """Return an input for a script, with what its file does not tell of the layer it was."""
    path, told = _given(entry, record), entry.layer or {}
    kind = told.get("kind", "any")
    if isinstance(path, tuple) or kind in ("any", "table"):
        return path
    place = entry.snapshot().geometry
    moved = any(place.translate) or place.linear is not None or place.affine is not None
    if kind in _OF_PIXELS and _names_axes(entry) and not moved:
        return path
    known = {name: value for name, value in told.items() if value not in (None, "", [], False)}
    return path, {"name": entry.label, **known}


def as_python(record: RunRecord) -> str:
    """Return a script that runs the job again, and before it the jobs that its inputs came from.

    What no known job made is read from the files that went in. The script needs nothing but
    this package; its last lines show how to reach the results.
    """
    steps = chain_of(record)
    taken_apart = [step for step in steps if step.record.slices is not None]
    head = "from napari_tool_runner import run\n" if len(taken_apart) < len(steps) else ""
    if taken_apart:  # only a prepared job knows how
        head += "from napari_tool_runner.jobs import Extent, prepare, run_job\n"
    calls = "\n".join(map(_call, steps))
    tail = f"for name, output in {steps[-1].name}.outputs.items():\n    print(name, output.path)\n"
    return f"{head}\n{calls}{tail}"


def _call(step: Step) -> str:
    """Return the lines that run one step."""
    record, extent = step.record, step.record.slices
    title = comment(f"{record.tool_name} {record.tool.version}, job {record.id}")
    lines = [title, *(comment(f"{remark} Its data of then are read.") for remark in step.remarks)]
    entries = (f"{python_value(name)}: {text}" for name, text in _arguments(step).items())
    body = "".join(f"        {entry},\n" for entry in entries)
    arguments = f"    {python_value(_tool(record))},\n" + (
        f"    values={{\n{body}    }},\n" if body else "    values={},\n"
    )
    arguments += f"    runner={python_value(record.runner.service)},\n"
    call = f"{step.name} = run(\n{arguments})\n"
    if extent is not None:
        arguments += (
            f"    extent=Extent(mode={extent.mode!r}, ndim={extent.ndim}, crop={extent.crop!r}),\n"
        )
        call = f"job = prepare(\n{arguments})\n{step.name} = run_job(job)\n"
    return "\n".join(lines) + f"\n{call}"


def _arguments(step: Step) -> dict[str, str]:
    """Return Python for each value of a step; what another step made is that step's output."""
    made: dict[str, list[str]] = {}
    record = step.record
    for number, entry in enumerate(record.inputs):
        if number in step.made:
            text = _output(entry, *step.made[number])
        else:
            text = _written(_as_it_lay(entry, record))
        made.setdefault(entry.name, []).append(text)
    data = {n: f"[{', '.join(some)}]" if len(some) > 1 else some[0] for n, some in made.items()}
    return data | {name: _written(value) for name, value in record.settable.items()}


def _output(entry: RecordedInput, step: str, output: RecordedOutput) -> str:
    """Return Python for the output of a step as it went into another one."""
    text = f"{step}.outputs[{python_value(output.name)}]"
    if output.element:
        text += f".elements[{python_value(output.element)}]"
    if (entry.layer or {}).get("kind") in (None, "any"):  # its file was given
        told = as_given(entry)
        axes = f", {python_value(told[1])}" if isinstance(told, tuple) else ""
        return f"({text}.path{axes})" if axes else f"{text}.path"
    return text


def as_command(record: RunRecord) -> str:
    """Return a command line (POSIX shell) that runs the job again.

    A job that took its layers apart has no place in ``run``: it is repeated from its
    record. So is one with a value that no command line can hold. Either names the tool: who
    pastes it sees what runs, and that is what permits it.
    """
    again = ["napari-tool-runner", "rerun", str(record.path), f"--tool={_tool(record)}"]
    if record.slices is not None:
        return shell_line(again)
    words, axes = [_tool(record)], dict[str, str]()
    for name, value in _values(record).items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, tuple):
                words.append(f"{name}={one[0]}")
                option = f"--axes={name}={one[1]['axis_labels']}"
                if axes.setdefault(name, option) != option:  # one for all of an input
                    return shell_line(again)
            elif one is not None:
                words.append(f"{name}={_word(one)}")
    try:
        options = [*axes.values(), f"--runner={record.runner.service}"]
        # of a record of others a name may look like an option
        head = [*options, "--"] if any(word.startswith("-") for word in words) else []
        tail = [] if head else options
        return shell_line(["napari-tool-runner", "run", *head, *words, *tail])
    except ValueError:
        return shell_line(again)


def as_json(record: RunRecord) -> str:
    """Return the record as JSON, indented."""
    told = json.dumps(record.to_json(), indent=2, ensure_ascii=False)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in told)


def _values(record: RunRecord) -> dict[str, object]:
    """Return data as paths, then the other parameters, flat, as far as one may set them."""
    found: dict[str, list[object]] = {}
    for entry in record.inputs:
        found.setdefault(entry.name, []).append(_given(entry, record))
    data = {name: paths if len(paths) > 1 else paths[0] for name, paths in found.items()}
    return {**data, **record.settable}


def _given(entry: RecordedInput, record: RunRecord) -> str | tuple[str, dict[str, str]]:
    """Return the file of an input, where it lies now; what is pasted, runs."""
    place = entry.locate(record.root)
    if place is None and record.root and os.path.lexists(entry.path):
        raise WorkspaceError(entry.remark(record.root), hint="Choose the data yourself.")
    return as_given(entry, place)


def _written(value: object) -> str:
    """Return Python for a value; a file and what is told of it is a tuple."""
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, tuple) and isinstance(value[-1], dict):
        return f"({', '.join(map(python_value, value))})"
    return python_value(value)


def _tool(record: RunRecord) -> str:
    """Return what names the tool: the id of a shipped tool, else its descriptor."""
    descriptor = record.tool.file
    if os.path.isfile(descriptor) and not ships(descriptor):
        return record.tool.descriptor
    return record.tool.id


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
