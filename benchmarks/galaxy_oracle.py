"""Real Galaxy as the judge: what it makes of every ``<test>``, and what we make of it.

``./dev galaxy [FOLDER OR DESCRIPTOR…]`` (without any: the corpus). Command line, configfiles,
environment, and which outputs there are in which format are compared, text by
text; of expression tools, which have no command, what they compute. Exit 1 when one differs.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.tools import read_tool
from napari_tool_runner.tools.binding import bind
from napari_tool_runner.tools.dialect import JobPaths
from napari_tool_runner.tools.galaxy import GalaxyDialect
from napari_tool_runner.tools.galaxy.output_plan import element_path
from napari_tool_runner.tools.model import CollectionOutput, Tool, ToolTest

Row = dict[str, object]

HERE = Path(__file__).resolve().parent
DIALECT = GalaxyDialect()
COMPARED = ("command", "strict", "configs", "linked", "env", "outputs", "results")
LATER = {"_sniff_": "auto"}  # Galaxy's word for a format that is seen when the file is there
AROUND = 40  # characters shown beside the first difference


def ours(path: Path, root: Path, node: str) -> Iterator[Row]:
    """Yield what we make of the tests of a descriptor."""
    try:
        tool = read_tool(path)
    except ToolRunnerError as error:
        yield {"tool": str(path), "unasked": str(error)}
        return
    for test in tool.tests:
        row: Row = {"tool": str(path), "test": test.index}
        try:
            row |= (
                {"unasked": test.extra["skip"]}
                if "skip" in test.extra
                else call(tool, test, root, node)
            )
        except (ToolRunnerError, subprocess.CalledProcessError) as error:
            row["refused"] = str(error)
        yield row


def call(tool: Tool, test: ToolTest, root: Path, node: str) -> Row:
    """Return what one test gives, as ``galaxy_asked`` does."""
    paths = JobPaths(root)
    rendered = DIALECT.render(tool, bind(tool, test.values), paths, {})
    outputs: dict[str, str] = {}
    names: dict[str, str] = {}
    for planned in rendered.outputs:
        name = planned.output.name
        names[str(planned.path)] = name
        if not isinstance(planned.output, CollectionOutput):
            outputs[name] = planned.format
            continue
        for element in planned.output.elements:
            outputs[f"{name}/{element.name}"] = element.format
            there = element_path(planned.path, element, tool.source.formats)
            names[str(there)] = f"{name}/{element.name}"
    configs = {
        path.name: text for path, text in rendered.files.items() if path.parent == root / "configs"
    }
    lists = {
        name: configs.pop(name) for name in list(configs) if re.fullmatch(r"list_\d+\.txt", name)
    }
    names |= {f"{root}/configs/{name}": f"config {name}" for name in configs}
    names |= {f"{root}/configs/{name}": f"list {text}" for name, text in lists.items()}
    before, _, command = rendered.script.rstrip("\n").rpartition("\n")
    for line in before.split("\n"):  # what has spaces in its path is reached through a link
        if line.startswith("ln -s "):
            _, _, target, link = shlex.split(line)
            names[link] = target
    found: Row = {
        "root": str(root),
        "command": command,
        "strict": "set -e" in before.split("\n"),
        "configs": configs,
        "linked": sorted(
            str(p.relative_to(paths.work)) for p in rendered.files if p.is_relative_to(paths.work)
        ),
        "env": {k: v for k, v in rendered.environment.items() if not re.match("_?GALAXY_", k)},
        "outputs": outputs,
        "names": names,
    }
    if tool.source.tool.parse_tool_type() == "expression":
        for path, text in rendered.files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        paths.outputs.mkdir(exist_ok=True)
        place = os.environ | {"PATH": f"{node}:{os.environ['PATH']}"}
        subprocess.run(rendered.argv, env=place, cwd=root, check=True, stdout=-1)
        found |= {"command": "", "configs": {}, "env": {}}
        found["results"] = {
            names[str(p.path)]: json.loads(p.path.read_text()) for p in rendered.outputs
        }
    return found


def plain(row: Row) -> Row:
    """Return a row with names in the place of the paths that each side chose."""
    names = {path: f"<{name}>" for path, name in {**row["names"], row["root"]: "job"}.items()}
    names = {
        path: name.strip("<>") if name.startswith("</") else name for path, name in names.items()
    }

    def one(value: object) -> object:
        if isinstance(value, dict):
            return {one(key): one(entry) for key, entry in sorted(value.items())}
        if isinstance(value, str):
            for path in sorted(names, key=len, reverse=True):
                value = value.replace(path, names[path])
            return LATER.get(value, value)
        return value

    found = {key: one(row.get(key)) for key in COMPARED}
    found["command"] = str(found["command"]).rstrip("; ")  # as Galaxy does before it runs it
    found["configs"] = {re.sub(r"[^\w.-]", "_", k): v for k, v in dict(found["configs"]).items()}
    return found


def difference(galaxy: object, mine: object) -> str:
    """Say where two of them differ first."""
    if isinstance(galaxy, dict) and isinstance(mine, dict):
        for key in {**galaxy, **mine}:
            if galaxy.get(key) != mine.get(key):
                return f"{key}: {difference(galaxy.get(key), mine.get(key))}"
    if isinstance(galaxy, str) and isinstance(mine, str):
        same = (x == y for x, y in zip(galaxy, mine, strict=False))
        start = next((n for n, x in enumerate(same) if not x), min(len(galaxy), len(mine)))
        shown = slice(max(0, start - AROUND), start + AROUND)
        return f"Galaxy {galaxy[shown]!r}, ours {mine[shown]!r}"
    return f"Galaxy {galaxy!r}, ours {mine!r}"


def verdict(galaxy: Row | None, mine: Row | None) -> tuple[str, str]:
    """Return the verdict on one test, and why."""
    if galaxy is None or "unasked" in galaxy:
        return "cannot be asked", str(galaxy["unasked"] if galaxy else "Galaxy does not read it")
    ours = "it is not read" if mine is None else mine.get("refused") or mine.get("unasked")
    if ours or "refused" in galaxy:
        if ours and "refused" in galaxy:
            return "agree", ""
        return "differ", f"only we refuse: {ours}" if ours else f"only Galaxy: {galaxy['refused']}"
    a, b = plain(galaxy), plain(mine)
    return ("agree", "") if a == b else ("differ", difference(a, b))


def descriptors(places: Sequence[str]) -> list[str]:
    """Return the descriptors with tests, in folders or named."""
    found = []
    for place in map(Path, places):
        for path in sorted(place.rglob("*.xml")) if place.is_dir() else [place]:
            if "<tests>" in path.read_text(errors="replace"):
                found.append(str(path.absolute()))
    return found


def main(python: str, *places: str) -> int:
    """Ask both, print the table; return the exit status."""
    if not places:
        sys.path.insert(0, str(HERE.parent / "tests"))
        from support import CORPUS, NO_CORPUS

        if CORPUS is None:
            print(f"Nothing to compare: {NO_CORPUS}.")
            return 0
        places = (str(CORPUS / "galaxy"),)
    files = descriptors(places)
    mine = {}
    with tempfile.TemporaryDirectory() as folder:
        asked = subprocess.run(
            [python, str(HERE / "galaxy_asked.py"), *files], cwd=folder, stdout=-1, check=True
        )
        for path in files:
            for row in ours(Path(path), Path(folder, "job"), str(Path(python).parent)):
                mine[row["tool"], row.get("test")] = row
    told = map(json.loads, asked.stdout.splitlines())
    galaxy = {(row["tool"], row.get("test")): row for row in told}
    counts: Counter[str] = Counter()
    for tool, number in sorted({**galaxy, **mine}, key=str):
        if number is None and any(other == tool and n is not None for other, n in mine):
            continue  # told at each test
        pair = [rows.get((tool, number)) or rows.get((tool, None)) for rows in (galaxy, mine)]
        said, why = verdict(*pair)
        counts[said] += 1
        if said != "agree":
            print(f"{said:15}  {Path(tool).name} [{number}]  {' '.join(why.split())[:400]}")
    print(
        "; ".join(f"{count} {said}" for said, count in sorted(counts.items())),
        f"of {counts.total()} tests",
    )
    return 1 if counts["differ"] or not counts else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
