"""A past job as something to paste: Python, a command line, JSON."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from napari_tool_runner.jobs.extent import Extent
from napari_tool_runner.tools.toolbox.box import bundled_folder

if TYPE_CHECKING:
    from napari_tool_runner.jobs.past.history import HistoryEntry

__all__ = ["as_command", "as_json", "as_python"]


def as_python(entry: HistoryEntry) -> str:
    """Return a script that runs the job again on the files that went in.

    The script needs nothing but this package; its last lines show how to reach the
    results.
    """
    extent = _each(entry)
    values = _values(entry)
    body = "".join(f"        {name!r}: {_literal(value)},\n" for name, value in values.items())
    arguments = f"    {_tool(entry)!r},\n" + (
        f"    values={{\n{body}    }},\n" if values else "    values={},\n"
    )
    arguments += f"    runner={_service(entry)!r},\n"
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
    return f"# {entry.tool_name} {_version(entry)}, job {entry.id}\n{head}{call}{tail}"


def as_command(entry: HistoryEntry) -> str:
    """Return a command line (POSIX shell) that runs the job again.

    A job that took its layers apart has no place in ``run``: it is repeated from its
    record.
    """
    if _each(entry) is not None:
        return shlex.join(["napari-tool-runner", "rerun", str(entry.folder / "record.json")])
    words = ["napari-tool-runner", "run", _tool(entry)]
    for name, value in _values(entry).items():
        many = value if isinstance(value, list) else [value]
        words += [f"{name}={_word(one)}" for one in many if one is not None]
    return shlex.join([*words, "--runner", _service(entry)])


def as_json(entry: HistoryEntry) -> str:
    """Return the record as it is on disk, indented."""
    return json.dumps(entry.record, indent=2, ensure_ascii=False)


def _values(entry: HistoryEntry) -> dict[str, object]:
    """Return data as paths, then the other parameters, flat, as far as one may set them."""
    hidden = cast("Sequence[str]", entry.record.get("hidden", []))
    found: dict[str, object] = {}
    for told in cast("list[Mapping[str, object]]", entry.record.get("inputs", [])):
        name = str(told["name"])
        path = str(entry.locate(told) or entry.folder / str(told["path"]))
        present = found.get(name)
        if present is None:
            found[name] = path
        else:
            found[name] = [*(present if isinstance(present, list) else [present]), path]
    return found | {name: v for name, v in entry.parameters.items() if name not in hidden}


def _tool(entry: HistoryEntry) -> str:
    """Return what names the tool: the id of a shipped tool, else its descriptor."""
    told = cast("Mapping[str, str]", entry.record["tool"])
    descriptor = Path(told.get("descriptor", ""))
    if descriptor.is_file() and not descriptor.is_relative_to(bundled_folder()):
        return str(descriptor)
    return told["id"]


def _version(entry: HistoryEntry) -> str:
    return str(cast("Mapping[str, str]", entry.record["tool"]).get("version", ""))


def _service(entry: HistoryEntry) -> str:
    return str(cast("Mapping[str, object]", entry.record["runner"])["service"])


def _each(entry: HistoryEntry) -> Extent | None:
    told = cast("Mapping[str, object] | None", entry.record.get("extent"))
    extent = Extent.from_record(told) if told else None
    return extent if extent is not None and extent.mode == "each" else None


def _literal(value: object) -> str:
    """Return Python for a JSON value; what Python has no literal for is made from text."""
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return f"float({str(value)!r})"
    if isinstance(value, list):
        return f"[{', '.join(_literal(one) for one in value)}]"
    return repr(value)


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
