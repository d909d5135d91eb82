"""A past job as something to paste: Python, a command line, JSON."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from napari_tool_runner.errors import WorkspaceError
from napari_tool_runner.quoting import comment, python_value, shell_line
from napari_tool_runner.tools.formats import FORMATS, Carrier
from napari_tool_runner.tools.toolbox.entries import ships

if TYPE_CHECKING:
    from pathlib import Path

    from napari_tool_runner.jobs.record import RecordedInput, RunRecord

__all__ = ["as_command", "as_given", "as_json", "as_python"]


def as_given(entry: RecordedInput, place: Path | None = None) -> str | tuple[str, dict[str, str]]:
    """Return an input as a script gives it: a file, with axes where its format has none.

    `place`: where the file lies now.
    """
    path, layer = str(place or entry.path), entry.layer or {}
    stored = str(layer.get("stored", "")).lower().replace("q", "?")
    named = FORMATS.resolve(entry.format).carrier in (Carrier.TIFF, Carrier.ZARR)
    told = stored and layer.get("labels") and not named
    return (path, {"axis_labels": stored}) if told else path


def as_python(record: RunRecord) -> str:
    """Return a script that runs the job again on the files that went in.

    The script needs nothing but this package; its last lines show how to reach the
    results.
    """
    extent = record.slices
    values = _values(record)
    entries = (f"{python_value(name)}: {_written(value)}" for name, value in values.items())
    body = "".join(f"        {entry},\n" for entry in entries)
    arguments = f"    {python_value(_tool(record))},\n" + (
        f"    values={{\n{body}    }},\n" if values else "    values={},\n"
    )
    arguments += f"    runner={python_value(record.runner.service)},\n"
    if extent is None:
        head = "from napari_tool_runner import run\n\n"
        call = f"result = run(\n{arguments})\n"
    else:  # the layers were taken apart: only a prepared job knows how
        head = "from napari_tool_runner.jobs import Extent, prepare, run_job\n\n"
        arguments += (
            f"    extent=Extent(mode={extent.mode!r}, ndim={extent.ndim}, crop={extent.crop!r}),\n"
        )
        call = f"job = prepare(\n{arguments})\nresult = run_job(job)\n"
    tail = "for name, output in result.outputs.items():\n    print(name, output.path)\n"
    title = comment(f"{record.tool_name} {record.tool.version}, job {record.id}")
    return f"{title}\n{head}{call}{tail}"


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
        place = entry.locate(record.root)
        if place is None and record.root and os.path.lexists(entry.path):  # what is pasted, runs
            raise WorkspaceError(entry.remark(record.root), hint="Choose the data yourself.")
        found.setdefault(entry.name, []).append(as_given(entry, place))
    data = {name: paths if len(paths) > 1 else paths[0] for name, paths in found.items()}
    return {**data, **record.settable}


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
