"""Two runs side by side: what they had in common, and what differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from napari_tool_runner.jobs.past.history import HistoryEntry

__all__ = ["Difference", "compare_runs"]

_ABSENT = "–"


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact that is not the same in two runs.

    Parameters
    ----------
    section : str
        ``Tool``, ``Run``, ``Parameters``, ``Inputs`` or ``Outputs``.
    what : str
        Name of the fact.
    first, second : str
        What it was in either run; a dash where a run has no such fact.
    """

    section: str
    what: str
    first: str
    second: str


def compare_runs(first: HistoryEntry, second: HistoryEntry) -> list[Difference]:
    """Return every fact that differs, in the order of the record.

    Data is compared by its content hash, so a copy of a file is the same data.
    """
    found: list[Difference] = []
    one, two = _facts(first), _facts(second)
    for section, what in [*one, *(key for key in two if key not in one)]:
        a, b = one.get((section, what)), two.get((section, what))
        if a == b:
            continue
        said = [_ABSENT if fact is None else fact[0] for fact in (a, b)]
        if said[0] == said[1]:  # the same words for other data: tell it by the hash
            said = [f"{text} ({_short(fact)})" for text, fact in zip(said, (a, b), strict=True)]
        found.append(Difference(section, what, said[0], said[1]))
    return found


_Fact = tuple[str, object]
"""The words for a fact, and what decides whether it is the same."""


def _facts(entry: HistoryEntry) -> dict[tuple[str, str], _Fact]:
    record = entry.record
    tool, runner = _part(record, "tool"), _part(record, "runner")
    host = _part(record, "host")
    facts: dict[tuple[str, str], _Fact] = {}

    def add(section: str, what: str, value: object, decides: object = None) -> None:
        if value not in (None, ""):
            facts[section, what] = (str(value), str(value) if decides is None else decides)

    add("Tool", "Tool", entry.tool_name, tool.get("id"))
    add("Tool", "Version", tool.get("version"))
    add("Tool", "Descriptor", tool.get("descriptor"), tool.get("digest"))
    add("Run", "State", entry.state)
    add("Run", "Duration", f"{entry.seconds:.2f} s")
    for name, value in runner.items():
        if name != "reason":
            add("Run", "Runner" if name == "service" else name.replace("_", " "), value)
    add("Run", "Exit code", record.get("exit_code"))
    add("Run", "Message", entry.message)
    add("Run", "Part of the data", _part(record, "extent").get("mode"))
    add("Run", "Computer", host.get("name"))
    add("Run", "napari-tool-runner", host.get("napari_tool_runner"))
    for name, value in entry.parameters.items():
        add("Parameters", name, "not set" if value is None else value, repr(value))
    for section, key in (("Inputs", "inputs"), ("Outputs", "outputs")):
        counts: dict[str, int] = {}
        for told in cast("list[dict[str, object]]", record.get(key, [])):
            name = "/".join(str(told[k]) for k in ("name", "element") if told.get(k))
            counts[name] = counts.get(name, 0) + 1
            what = name if counts[name] == 1 else f"{name} ({counts[name]})"
            label = told.get("label") or told.get("layer_name") or told.get("path")
            add(section, what, label, told.get("sha256") or label)
    return facts


def _part(record: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = record.get(key)
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _short(fact: _Fact | None) -> str:
    return str(fact[1] if fact else "").removeprefix("sha256:")[:8]
