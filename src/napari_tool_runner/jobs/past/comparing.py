"""How a job was made, as facts; two runs, and two results, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.exchange import same_data
from napari_tool_runner.plugins import WARM
from napari_tool_runner.sealed import content_sha256
from napari_tool_runner.storage import short_digest

if TYPE_CHECKING:
    from pathlib import Path

    from napari_tool_runner.jobs.outputs import JobOutput, JobResult
    from napari_tool_runner.jobs.record import RunRecord
    from napari_tool_runner.tools.formats import Formats

__all__ = ["Difference", "Fact", "compare_outputs", "compare_runs", "facts_of"]

_ABSENT = "–"


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that the record says.

    Parameters
    ----------
    section : str
        ``Run``, ``Inputs``, ``Parameters``, ``Outputs``, ``Notes``, ``Tool`` or ``Where``.
    what, text : str
        Its name, and the words for it.
    key : str
        What decides whether it is the same in two runs (a content hash); empty: it is
        different in any two runs, and not compared.
    """

    section: str
    what: str
    text: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact that is not the same in two runs.

    Parameters
    ----------
    section, what : str
        Of the `Fact`.
    first, second : str
        What it was in either run; a dash where a run has no such fact.
    """

    section: str
    what: str
    first: str
    second: str


def facts_of(record: RunRecord, words: RunRecord | None = None) -> list[Fact]:
    """Return what the record says about how its results were made.

    `words`: the record that says what parameters are called, another one to compare both.
    """
    facts: list[Fact] = []
    label, names = (words or record).label, dict[str, int]()

    def called(name: str) -> str:
        names[label(name)] = count = names.get(label(name), 0) + 1
        return label(name) if count == 1 else f"{label(name)} ({count})"

    def add(section: str, what: str, value: object, key: object = None) -> None:
        if value not in (None, ""):
            facts.append(Fact(section, what, str(value), str(value) if key is None else str(key)))

    tool, runner, times = record.tool, record.runner, record.times
    add("Run", "State", record.state.word)
    add("Run", "Message", record.message or record.answered, record.message)
    add("Run", "Hint", record.error.hint if record.error else "")
    add("Run", "Exit code", record.exit_code)
    add("Run", "Part of the data", record.extent.mode if record.extent else "")
    for one in record.inputs:
        add("Inputs", called(one.name), one.label, one.sha256 or one.label)
    for name, value in record.parameters.items():
        chosen = record.words.get(name, ("", ""))[1]
        told = chosen or ("not set" if value is None else value)
        add("Parameters", called(name), told, repr(value))
    for made in record.outputs:
        text = f"{made.layer_name} ({made.layer_type})"
        add("Outputs", made.title, text, made.sha256 or text)
    for note in record.notes:
        add("Notes", "", note, "")
    add("Tool", "Tool", record.tool_name, tool.id)
    add("Tool", "Version", tool.version)
    add("Tool", "Descriptor", tool.descriptor, tool.digest or None)
    add("Where", "Runner", f"{runner.service} ({runner.reason})", runner.service)
    for name, value in runner.provenance.items():
        if isinstance(value, str | int | float):
            # how it was started changes nothing
            add("Where", name.replace("_", " "), value, *([""] if name == WARM else []))
        elif value:  # a list of packages: too long to be read, not to be compared
            add("Where", name.replace("_", " "), "recorded", short_digest(repr(value)))
    started = times.created.astimezone() if times.created else None
    add("Where", "Started", f"{started:%Y-%m-%d %H:%M:%S}" if started else "", "")
    add("Where", "Duration", f"{times.seconds:.2f} s")
    add("Where", "Computer", record.host.name)
    add("Where", "napari-tool-runner", record.host.napari_tool_runner)
    add("Where", "Command", " ".join(record.command.argv), "")
    add("Where", "Folder", record.folder, "")
    return facts


def compare_runs(first: RunRecord, second: RunRecord) -> list[Difference]:
    """Return every fact that differs, in the order of the record.

    Data is compared by its content hash, so a copy of a file is the same data.
    """
    words = first if first.words else second
    one, two = (
        {(fact.section, fact.what): fact for fact in facts_of(record, words) if fact.key}
        for record in (first, second)
    )
    found: list[Difference] = []
    for place in [*one, *(place for place in two if place not in one)]:
        a, b = one.get(place), two.get(place)
        if a is not None and b is not None:
            if a.key == b.key:
                continue
            same = a.text == b.text  # the same words for other data: tell it by the hash
            told = [f"{f.text} ({_short(f.key)})" if same else f.text for f in (a, b)]
        else:
            told = [_ABSENT if fact is None else fact.text for fact in (a, b)]
        found.append(Difference(*place, *told))
    return found


def _short(key: str) -> str:
    return key.removeprefix("sha256:")[:8]


def compare_outputs(record: RunRecord, result: JobResult) -> list[str]:
    """Say in sentences how `result` differs from what `record` tells; empty: equal.

    Equal bytes are equal; otherwise pixels and table cells are compared.
    """
    old = {(told.name, told.element): told for told in record.outputs}
    new = {
        (name, element): part
        for name, output in result.outputs.items()
        for element, part in output.files().items()
    }
    differences = [
        f"“{told.title}” was made then, but not now."
        for key, told in old.items()
        if key not in new
    ]
    differences += [f"“{'/'.join(filter(None, key))}” is new." for key in new if key not in old]
    for key in old.keys() & new.keys():
        told = old[key]
        if content_sha256(new[key].path, result.workspace) != told.sha256:
            sentence = _difference(told.title, told.locate(record.root), new[key], result.formats)
            if sentence:
                differences.append(sentence)
    return differences


def _difference(title: str, before: Path | None, now: JobOutput, formats: Formats) -> str:
    if before is None:
        return f"“{title}” has other bytes than then, and the old file is gone."
    if now.loaded is None:
        return f"“{title}” has other bytes than then."
    try:
        problem = same_data(before, now.path, now.format, formats)
    except (ToolRunnerError, OSError, ValueError) as error:
        return f"“{title}” cannot be compared: {error}"
    return f"“{title}”: {problem}" if problem else ""
