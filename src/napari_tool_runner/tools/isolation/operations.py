"""What the reader does, inside its process: each takes JSON types and returns them."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from napari_tool_runner.errors import DescriptorError, ToolRunnerError
from napari_tool_runner.tools.candidate import Candidate, join_entry, split_entry
from napari_tool_runner.tools.dialect import (
    CollectedFile,
    CollectedOutput,
    JobPaths,
    PlannedOutput,
    RenderedCommand,
    TestOutcome,
)
from napari_tool_runner.tools.isolation.wire import decode, encode, formats_from, tell_formats
from napari_tool_runner.tools.model import CollectionOutput, DataOutput, Tool
from napari_tool_runner.tools.reader import (
    choose_dialect,
    dialect_of,
    dialects,
    read_tool,
    tool_uris,
)
from napari_tool_runner.tools.toolbox.entries import bundled_folder, file_stat, made_of

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import ToolTest
    from napari_tool_runner.tools.tree import BoundValues

__all__ = [
    "WithData",
    "command_from",
    "load",
    "operation",
    "preload",
    "rst_html",
    "tell_call",
    "tell_test",
    "wanted_language",
    "warm",
]


_loaded: set[str] = set()
_modules: set[str] = set()


def preload(language: str) -> bool:
    """Import what the language needs, before anything of a stranger is touched.

    Returns whether there was anything to import.
    """
    if language in _loaded:
        return False
    _loaded.add(language)
    warm()
    return True


def load(module: str) -> bool:
    """Import what somebody will need, before anything of a stranger is touched; see `preload`."""
    if module in _modules:
        return False
    known = module in sys.modules
    _modules.add(module)
    with suppress(ImportError):
        import_module(module)
    if known and not hasattr(sys.modules[module], "warm"):
        return False
    warm()
    return True


def warm() -> None:
    """Do what reading does, with what is ours: results in a session that runs tools, else tools.

    Before the fork, so that nothing is left to import; and in each child before it is asked,
    so that it has its own copy of the memory that it writes to.
    """
    acts = [getattr(sys.modules.get(name), "warm", None) for name in sorted(_modules)]
    reading = partial(read_tool, bundled_folder() / "threshold")
    for one in [act for act in acts if callable(act)] or [reading]:
        with suppress(OSError, ToolRunnerError):  # reading says what is missing
            one()
    every = dialects if "*" in _loaded else _loaded
    for name in every:
        with suppress(ImportError, KeyError):  # reading says what is missing
            for module in dialects[name].code_needs:
                act = getattr(import_module(module), "warm", None)
                if callable(act):
                    act()


def tell_call(
    tool: Tool, values: BoundValues, paths: JobPaths, variables: Mapping[str, str]
) -> dict[str, object]:
    """Return what `_render` needs of a call."""
    return {
        **_tell_tool(tool),
        "values": encode(values),
        "paths": str(paths.root),
        "variables": dict(variables),
    }


def tell_test(tool: Tool, test: ToolTest, outcome: TestOutcome, folder: str) -> dict[str, object]:
    """Return what `_verify` needs; `folder`: where it may put something away."""
    return {
        **_tell_tool(tool),
        "test": test.index,
        "streams": [outcome.exit_code, outcome.stdout, outcome.stderr],
        "command": outcome.command,
        "failed": outcome.failed,
        "version": outcome.version,
        "outputs": [
            [name, [[str(file.path), file.format, file.name] for file in collected.files]]
            for name, collected in outcome.outputs.items()
        ],
        "folder": folder,
    }


def _tell_tool(tool: Tool) -> dict[str, object]:
    return {
        "uri": join_entry(tool.source_path, tool.entry),
        "root": tool.copy or tool.toolbox,
        "digest": tool.digest,
        "formats": tell_formats(tool.formats),
    }


def _index(of: dict[str, object]) -> list[object]:
    files = of["files"]
    assert isinstance(files, list)
    root, toolbox = Path(str(of["root"])), str(of["toolbox"])
    return [made_of(Path(str(file)), root, toolbox) for file in files]


def _look(of: dict[str, object]) -> list[object] | str:
    if wanted := wanted_language(str(of["uri"])):
        return wanted
    begun = time.monotonic()
    tool = _tool(of)
    seconds = time.monotonic() - begun
    files = map(str, dialect_of(tool).files(tool))
    return [tool.uri, [[file, *file_stat(file)] for file in files], seconds]


def _uris(of: dict[str, object]) -> list[str] | str:
    return wanted_language(str(of["uri"])) or tool_uris(Path(str(of["uri"])))


def wanted_language(uri: str) -> str:
    """Return the language of a descriptor if the reader lacks what that needs; else nothing."""
    path, _ = split_entry(uri)
    if path.is_dir():
        return ""
    dialect, _ = choose_dialect(Candidate(path))
    ready = (
        dialect is None or not dialect.code_needs or not _loaded.isdisjoint({dialect.name, "*"})
    )
    return "" if ready or dialect is None else dialect.name


def _begin(_: dict[str, object]) -> None:
    """Do nothing: walls are put up before the first request."""


def _help(of: dict[str, object]) -> str:
    return rst_html(str(of["text"]))


def rst_html(text: str) -> str:
    """Convert reStructuredText; files are not read, raw HTML is not taken over."""
    from docutils.core import publish_parts
    from docutils.utils import SystemMessage
    from docutils.writers.html4css1 import Writer

    settings = {
        "file_insertion_enabled": False, "raw_enabled": False, "doctitle_xform": False,
        "initial_header_level": 3, "embed_stylesheet": False, "report_level": 5, "halt_level": 5,
        "input_encoding": "unicode", "line_length_limit": 100_000, "math_output": "LaTeX",
        "_disable_config": True,
    }  # fmt: skip
    try:
        parts = publish_parts(text, writer=Writer(), settings_overrides=settings)
    except (SystemMessage, ValueError, RecursionError):
        return ""
    return str(parts["body"])


def _tool(of: dict[str, object]) -> Tool:
    formats = of["formats"]
    assert isinstance(formats, list)
    root = Path(str(of["root"])) if of["root"] else None
    tool = read_tool(str(of["uri"]), root=root, formats=formats_from(formats))
    if of.get("digest", tool.digest) != tool.digest:
        raise DescriptorError(
            f"{tool.path.name} has changed since it was read.",
            path=tool.path,
            hint="Reload the toolbox.",
        )
    return tool


def _render(of: dict[str, object]) -> dict[str, object]:
    values, variables = decode(of["values"]), of["variables"]
    assert isinstance(values, dict)
    assert isinstance(variables, dict)
    tool = _tool(of)
    paths = JobPaths(Path(str(of["paths"])))
    rendered = dialect_of(tool).render(tool, values, paths, variables)
    return {
        "argv": list(rendered.argv),
        "files": [[str(path), text] for path, text in rendered.files.items()],
        "environment": dict(rendered.environment),
        "script": rendered.script,
        "notes": list(rendered.notes),
        "version": list(rendered.version),
        "outputs": [_tell_output(planned) for planned in rendered.outputs],
    }


def _verify(of: dict[str, object]) -> list[str]:
    streams, told = of["streams"], of["outputs"]
    assert isinstance(streams, list)
    assert isinstance(told, list)
    tool = _tool(of)
    tempfile.tempdir = str(of["folder"])
    known = {output.name: output for output in tool.outputs}
    outputs = {
        name: CollectedOutput(
            known[name], tuple(CollectedFile(Path(path), *more) for path, *more in files)
        )
        for name, files in told
    }
    exit_code, stdout, stderr = streams
    outcome = TestOutcome(
        exit_code=exit_code,
        stdout=stdout,
        stderr=stderr,
        outputs=outputs,
        command=str(of["command"]),
        failed=bool(of["failed"]),
        version=str(of["version"]),
    )
    test = next(test for test in tool.tests if test.index == of["test"])
    return dialect_of(tool).verify(tool, test, outcome)


def _tell_output(planned: PlannedOutput) -> list[object]:
    output = planned.output
    elements, kind = [], ""
    if isinstance(output, CollectionOutput):
        elements = [[element.name, element.format] for element in output.elements]
        kind = output.collection_type
    return [output.name, str(planned.path), planned.format, kind, elements]


class WithData(NamedTuple):
    """An answer that comes with bytes."""

    told: object
    data: Sequence[memoryview]


_OPERATIONS: Mapping[str, Callable[[dict[str, object]], object]] = {
    "begin": _begin, "help": _help, "index": _index, "look": _look, "render": _render,
    "uris": _uris, "verify": _verify,
}  # fmt: skip


def operation(name: str) -> Callable[[dict[str, object]], object]:
    """Return what does it: of this room, or as ``module:function`` of the one that asks."""
    if name in _OPERATIONS:
        return _OPERATIONS[name]
    module, _, function = name.partition(":")
    found: Callable[[dict[str, object]], object] = getattr(import_module(module), function)
    return found


# -- on the side of those who asked ------------------------------------------------------


def command_from(told: object, tool: Tool, paths: JobPaths) -> RenderedCommand:
    """Return the command that the reader told of; strangers' code may have made it.

    Raises
    ------
    ValueError
        It is of another shape, names an output that `tool` lacks, or a file outside the job.
    """
    match told:
        case {
            "argv": [str(), *_] as argv,
            "files": list(files),
            "environment": dict(environment),
            "script": str(script),
            "notes": list(notes),
            "version": list(version),
            "outputs": list(outputs),
        }:
            return RenderedCommand(
                argv=_texts(argv),
                files=dict(_file(entry, paths) for entry in files),
                environment={name: _text(value) for name, value in environment.items()},
                script=script,
                notes=_texts(notes),
                version=_texts(version),
                outputs=tuple(_output(entry, tool, paths) for entry in outputs),
            )
    raise ValueError("it is no command")


def _texts(entries: Sequence[object]) -> tuple[str, ...]:
    found = tuple(entry for entry in entries if isinstance(entry, str))
    if len(found) != len(entries):
        raise ValueError("a text is none")
    return found


def _text(told: object) -> str:
    return _texts([told])[0]


def _file(told: object, paths: JobPaths) -> tuple[Path, str]:
    match told:
        case [str(name), str(text)]:
            return _inside(name, paths.root), text
    raise ValueError("a file is none")


def _inside(name: str, folder: Path) -> Path:
    path = Path(name)
    if ".." in path.parts or "\0" in name or path == folder or not path.is_relative_to(folder):
        raise ValueError(f"the file {name!r} lies outside the job's folder")
    return path


def _output(told: object, tool: Tool, paths: JobPaths) -> PlannedOutput:
    match told:
        case [str(name), str(path), str(kind), str(collection), list(elements)]:
            known = {output.name: output for output in tool.outputs}
            if name not in known:
                raise ValueError(f"the tool has no output {name!r}")
            output = known[name]
            if isinstance(output, CollectionOutput):
                inner = {element.name: element for element in output.elements}
                output = replace(
                    output,
                    elements=tuple(_element(entry, inner) for entry in elements),
                    collection_type=collection,
                    format=kind,
                )
            return PlannedOutput(output, _inside(path, paths.outputs), kind)
    raise ValueError("an output is none")


def _element(told: object, known: Mapping[str, DataOutput]) -> DataOutput:
    match told:
        case [str(name), str(kind)]:
            return replace(known.get(name, DataOutput(name=name)), format=kind)
    raise ValueError("an element is none")
