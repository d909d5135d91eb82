"""Run the examples of one documentation page: ``python run_page.py PAGE FOLDER``.

In page order, with FOLDER as the working directory and one namespace for all:

- a block with ``title="NAME"`` is written as the file NAME (and not executed);
- a ``python`` block is executed;
- a ``console`` block: each line after ``$ `` runs in bash and must succeed; the lines
  below it must occur in its output, in that order (``…`` stands for any text, and
  ``$ ! `` before a command says that it must fail).

Blocks in any other language are for reading. Exits 1, and says where, when one fails.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,}) *(?P<language>[\w-]*)(?P<options>.*)$")
TITLE = re.compile(r'title="(?P<title>[^"]+)"')


@dataclass(frozen=True)
class Block:
    language: str
    title: str
    text: str
    line: int  # of the block's first line of text


def blocks(markdown: str) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    found: list[Block] = []
    opened: re.Match[str] | None = None
    lines: list[str] = []
    start = 0
    for number, line in enumerate(markdown.splitlines(), start=1):
        if opened is None:
            opened = FENCE.match(line)
            lines, start = [], number + 1
        elif line.strip() == opened["ticks"]:
            title = TITLE.search(opened["options"])
            text = "\n".join(lines) + "\n"
            found.append(Block(opened["language"], title["title"] if title else "", text, start))
            opened = None
        else:
            lines.append(line.removeprefix(opened["indent"]))
    return found


def differs(wanted: list[str], output: str) -> str:
    """Say which wanted line is not in the output, in order; empty when all are."""
    given = iter(output.splitlines())
    for line in wanted:
        pattern = ".*".join(re.escape(part) for part in line.strip().split("…"))
        if not any(re.fullmatch(pattern, present.strip()) for present in given):
            return f"no line “{line}” (in this place) in:\n{output}"
    return ""


def console(text: str) -> str:
    """Run the commands of a console block; return what is wrong, or nothing."""
    command, wanted = "", list[str]()
    steps: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            command, wanted = line[2:], []
            steps.append((command, wanted))
        elif steps and line.startswith("> "):
            command += "\n" + line[2:]
            steps[-1] = (command, wanted)
        elif line.strip() and line.strip() != "…":
            wanted.append(line)
    for command, wanted in steps:
        fails = command.startswith("! ")
        done = subprocess.run(
            ["bash", "-c", command.removeprefix("! ")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=240,
        )
        if (done.returncode != 0) is not fails:
            return f"$ {command}\nexit status {done.returncode}\n{done.stdout}"
        problem = differs(wanted, done.stdout)
        if problem:
            return f"$ {command}\n{problem}"
    return ""


def run_page(page: Path, folder: Path) -> int:
    """Run all examples of `page` in `folder`; return the exit status."""
    os.chdir(folder)
    # `napari-tool-runner` of the interpreter that runs this, whatever PATH says
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    sys.path.insert(0, str(folder))
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.title:
            target = folder / block.title
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            # the page's own line numbers in tracebacks
            source = "\n" * (block.line - 1) + block.text
            exec(compile(source, str(page), "exec"), namespace)
        elif block.language == "console":
            problem = console(block.text)
            if problem:
                print(f"{page.name}:{block.line}: {problem}")
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(run_page(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()))
