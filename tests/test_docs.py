"""The documentation says what is so: its code runs, its links lead somewhere."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import run_page
import settings_pages
from napari_tool_runner.settings import TABLE
from support import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *REPOSITORY.glob("*.md"), *REPOSITORY.glob("*/README.md")])
EXECUTED = [
    page
    for page in sorted(DOCS.rglob("*.md"))
    if any(
        block.language in ("python", "console")
        for block in run_page.blocks(page.read_text(encoding="utf-8"))
    )
]
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)|<img[^>]+src=\"(?P<image>[^\"]+)\"")


def relative(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.mark.parametrize("page", EXECUTED, ids=relative)
def test_examples_run(page: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, run_page.__file__, page, tmp_path],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_somewhere(page: Path) -> None:
    """Relative links of every page, also of those that mkdocs does not see."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for found in LINK.finditer(text):
        target = found["target"] or found["image"]
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path) if path else page
        assert place.exists(), f"{relative(page)} links to {target}"
        if anchor and place.suffix == ".md":
            assert anchor in anchors(place), f"{relative(page)}: no heading for {target}"


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as both renderers make them."""
    headings = re.findall(r"^#+ +(.+?)\s*$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


def test_pages_are_executed_at_all() -> None:
    """The collection above finds the pages that promise to run."""
    names = {page.name for page in EXECUTED}
    assert {
        "wrap-a-tool.md",
        "scripts.md",
        "new-runner.md",
        "new-language.md",
        "command-line.md",
    } <= names


def test_every_decision_is_listed() -> None:
    folder = DOCS / "decisions"
    listed = (folder / "README.md").read_text(encoding="utf-8")
    missing = [page.name for page in folder.glob("[0-9]*.md") if f"({page.name})" not in listed]
    assert not missing


def test_the_page_of_settings_is_in_step() -> None:
    page = settings_pages.PAGE.read_text(encoding="utf-8")
    assert page == settings_pages.page(page), "run: python tests/settings_pages.py"
    assert not {key for key in TABLE if f"`{key}`" not in page}


def test_keys_are_read_through_the_table() -> None:
    """No source reads a key of the configuration by its name."""
    reads = re.compile(r"""config\.get\(["']|_section\(["']""")
    source = REPOSITORY / "src" / "napari_tool_runner"
    homes = {"config_layers.py", "images.py"}  # images have a config of their own
    found = {
        f"{path.relative_to(source)}: {line.strip()}"
        for path in source.rglob("*.py")
        if path.name not in homes and "bundled_tools" not in path.parts
        for line in path.read_text(encoding="utf-8").splitlines()
        if reads.search(line)
    }
    assert not found


def test_the_two_commands_of_the_readme() -> None:
    """Two commands set all up; CI calls the one that tests."""
    readme = run_page.blocks((REPOSITORY / "README.md").read_text(encoding="utf-8"))
    commands = [line.split("#")[0].strip() for line in readme[0].text.splitlines()]
    assert commands == ["./dev demo", "./dev test"]
    assert "./dev test" in (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
    verbs = subprocess.run(
        ["bash", REPOSITORY / "dev", "help"], capture_output=True, text=True, check=True
    ).stdout
    for command in commands:
        assert command in verbs


@pytest.mark.parametrize("script", ["dev", ".ci/run", ".ci/package", ".ci/lowest", ".ci/as-user"])
def test_scripts_are_well_formed(script: str) -> None:
    path = REPOSITORY / script
    subprocess.run(["bash", "-n", path], check=True, capture_output=True)
    assert os.access(path, os.X_OK)


def test_every_verb_and_option_is_documented() -> None:
    from napari_tool_runner.cli import _parser

    page = (DOCS / "command-line.md").read_text(encoding="utf-8")
    parser = _parser()
    (verbs,) = (a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    assert "run" in verbs
    for verb, entry in verbs.items():
        assert re.search(rf"napari-tool-runner {verb}\b|\| {verb} RECORD", page), verb
        for action in entry._actions:
            for option in action.option_strings:
                if option not in ("-h", "--help"):
                    assert f"`{option}" in page, f"{verb} {option}"


def commands_page() -> str:
    """Return the verbs and options of the command line as its page shows them."""
    from napari_tool_runner import cli

    lines = ["```text"]
    options: dict[tuple[str, str], list[str]] = {}
    for verb in cli.VERBS:
        words = ["napari-tool-runner", verb.name]
        for one in verb.arguments:
            if one.name.startswith("--"):
                metavar = one.metavar or ("" if one.choices is None else "|".join(one.choices))
                flag = f"{one.name} {metavar}".strip().replace("|", r"\|")
                options.setdefault((flag, one.help), []).append(verb.name)
            else:
                many = {
                    "*": f"[{one.metavar}]...",
                    "+": f"{one.metavar}...",
                    "?": f"[{one.metavar}]",
                }
                words.append(many.get(one.nargs or "", str(one.metavar)))
        lines.append(f"{' '.join(words):<49}{verb.help}")
    lines += ["```", "", "| option | verbs | meaning |", "|---|---|---|"]
    lines.append(f"| `{cli.CONFIG.name} {cli.CONFIG.metavar}` | all | {cli.CONFIG.help} |")
    for (flag, help_text), verbs in options.items():
        lines.append(f"| `{flag}` | `{' '.join(verbs)}` | {help_text} |")
    return "\n".join(lines)


def test_the_command_line_is_documented_from_its_table() -> None:
    page = (DOCS / "command-line.md").read_text(encoding="utf-8")
    assert commands_page() in page, f"docs/command-line.md should hold:\n{commands_page()}"


# -- the runner of pages itself --------------------------------------------------------


def test_wrong_example_fails(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    folder = tmp_path / "work"
    folder.mkdir()
    page.write_text('```python\nx = 1\n```\n\n```python\nassert x == 2, "x is off"\n```\n')
    done = subprocess.run(
        [sys.executable, run_page.__file__, page, folder],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert 'page.md", line 6' in done.stderr
    assert "x is off" in done.stderr


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("$ echo one; echo two\none\ntwo\n", True),
        ("$ echo one; echo two\ntwo\none\n", False),
        ("$ echo version 1.2.3 of it\nversion … of it\n", True),
        ("$ exit 3\n", False),
        ("$ ! exit 3\n", True),
        ("$ ! true\n", False),
        ("$ echo a &&\n> echo b\na\nb\n", True),
    ],
)
def test_console_blocks(text: str, good: bool) -> None:
    assert (run_page.console(text) == "") is good


def test_titled_blocks_become_files(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    folder = tmp_path / "work"
    folder.mkdir()
    page.write_text(
        '````xml title="a/b.xml"\n<tool/>\n````\n\n```console\n$ cat a/b.xml\n<tool/>\n```\n'
    )
    done = subprocess.run(
        [sys.executable, run_page.__file__, page, folder], check=False, timeout=60
    )
    assert done.returncode == 0
    assert (folder / "a" / "b.xml").read_text() == "<tool/>\n"
