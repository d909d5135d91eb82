"""How a job was made, as facts; two runs, and two results, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_tool_runner.data_classes import dataclass, replace
from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.exchange import same_data
from napari_tool_runner.plugins import WARM
from napari_tool_runner.sealed import content_sha256
from napari_tool_runner.storage import short_digest

if TYPE_CHECKING:
    from pathlib import Path

    from napari_tool_runner.jobs.outputs import JobOutput, JobResult
    from napari_tool_runner.jobs.record import RecordedOutput, RunRecord
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
    name : str
        By what it is known in any run, where `what` is only what a person reads of it.
    """

    section: str
    what: str
    text: str
    key: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact that is not the same in two runs.

    Parameters
    ----------
    section, what : str
        Of the `Fact`; both names of it where two tools have other words for it.
    first, second : str
        What it was in either run; a dash where a run has no such fact.
    """

    section: str
    what: str
    first: str
    second: str


def facts_of(record: RunRecord) -> list[Fact]:
    """Return what the record says about how its results were made."""
    facts: list[Fact] = []
    names = dict[str, int]()

    def called(name: str) -> str:
        label = record.label(name)
        names[label] = count = names.get(label, 0) + 1
        return label if count == 1 else f"{label} ({count})"

    def add(section: str, what: str, value: object, key: object = None, name: str = "") -> None:
        if value not in (None, ""):
            same = str(value) if key is None else str(key)
            facts.append(Fact(section, what, str(value), same, name))

    tool, runner, times = record.tool, record.runner, record.times
    add("Run", "State", record.state.word)
    add("Run", "Message", record.message or record.answered, record.message)
    add("Run", "Hint", record.error.hint if record.error else "")
    add("Run", "Exit code", record.exit_code)
    add("Run", "Part of the data", record.extent.words if record.extent else "")
    for one in record.inputs:
        add("Inputs", called(one.name), one.label, one.sha256 or one.label, one.name)
    for name, value in record.parameters.items():
        number = isinstance(value, int | float)  # in which unit, too
        same = record.value(name) if number else ""
        add("Parameters", called(name), record.value(name), f"{value!r} {same}", name)
    for made in record.outputs:
        text = f"{made.layer_name} ({made.layer_type})"
        add("Outputs", made.in_words, text, made.sha256 or text, made.title)
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

    Data is compared by its content hash, so a copy of a file is the same data. Parameters of the
    same name are one, whatever either tool calls them; so are those that are called the same.
    """
    # a record of before has no words for its parameters: the labels of the other one, no units
    words = first.words or second.words
    if not (first.words and second.words):
        words = {name: (label, "") for name, (label, _) in words.items()}
        first, second = replace(first, words=words), replace(second, words=words)
    pair = first, second
    one, two = (
        {(fact.section, fact.name or fact.what): fact for fact in facts_of(record) if fact.key}
        for record in pair
    )
    for place in [place for place in two if place not in one]:
        called = place[0], two[place].what
        rest = (other for other in one if other not in two)
        same = next((other for other in rest if (other[0], one[other].what) == called), place)
        two[same] = two.pop(place)
    found: list[Difference] = []
    for place in [*one, *(place for place in two if place not in one)]:
        facts = one.get(place), two.get(place)
        there = [fact for fact in facts if fact is not None]
        if len(there) == 2 and len({fact.key for fact in there}) == 1:
            continue
        # the same words for other data: tell it by the hash
        hashed = len(there) == 2 and len({fact.text for fact in there}) == 1
        told = [
            _ABSENT
            if fact is None
            else f"{fact.text} ({_short(fact.key)})"
            if hashed
            else fact.text
            for fact in facts
        ]
        what = " / ".join(dict.fromkeys(fact.what for fact in there))
        found.append(Difference(place[0], what, *told))
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
        f"“{told.in_words}” was made then, but not now."
        for key, told in old.items()
        if key not in new
    ]
    fresh = (part.recorded(*key, None) for key, part in new.items() if key not in old)
    differences += [f"“{made.in_words}” is new." for made in fresh]
    for key in old.keys() & new.keys():
        told = old[key]
        if content_sha256(new[key].path, result.workspace) != told.sha256:
            sentence = _difference(told, told.locate(record.root), new[key], result.formats)
            if sentence:
                differences.append(sentence)
    return differences


def _difference(
    told: RecordedOutput, before: Path | None, now: JobOutput, formats: Formats
) -> str:
    title = told.in_words
    if before is None:
        return f"“{title}” has other bytes than then, and the old file is gone."
    if now.loaded is None:
        return f"“{title}” has other bytes than then."
    try:
        problem = same_data(before, now.path, now.format, formats)
    except (ToolRunnerError, OSError, ValueError) as error:
        return f"“{title}” cannot be compared: {error}"
    return f"“{title}”: {problem}" if problem else ""
