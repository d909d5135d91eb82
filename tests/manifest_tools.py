"""The manifest's part about the tools that ship: `python tests/manifest_tools.py` writes it.

napari shows at its start only what the manifest names (it runs nothing of a plugin before
something of it is used), so the bundled tools stand there; a test holds both in step.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from napari_tool_runner.config import Config
from napari_tool_runner.tools.toolbox.box import load_toolbox
from napari_tool_runner.widgets.menu_plan import GROUP, PREFIX, command_id, layers_menus

MANIFEST = Path(__file__).parents[1] / "src" / "napari_tool_runner" / "napari.yaml"
MODULE = "napari_tool_runner.widgets.commands"


def commands() -> dict[str, tuple[str, str]]:
    """Return id -> (title, python_name) of the commands of the bundled tools."""
    return {
        command_id(entry.key): (entry.name, f"{MODULE}:{PREFIX}{entry.key}")
        for entry in sorted(
            load_toolbox(Config()).entries, key=lambda entry: entry.name.casefold()
        )
    }


def menus() -> dict[str, list[str]]:
    """Return menu id -> ids of the commands in it."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for entry in sorted(load_toolbox(Config()).entries, key=lambda entry: entry.name.casefold()):
        for menu in layers_menus(entry.categories):
            found[menu].append(command_id(entry.key))
    return dict(sorted(found.items()))


def section(text: str, name: str, lines: list[str]) -> str:
    """Return `text` with what stands between the marks of `name` replaced by `lines`."""
    begin, end = (f"# {mark}: {name}\n" for mark in ("written by tests/manifest_tools.py", "end"))
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    indent = "    "
    return head + begin + "".join(lines) + indent + end + tail


def written(text: str) -> str:
    """Return the manifest with both sections as they should be."""
    lines: list[str] = []
    for id_, (title, python_name) in commands().items():
        lines += [
            f"    - id: {id_}\n",
            f"      title: {title}\n",
            f"      python_name: {python_name}\n",
        ]
    text = section(text, "commands", lines)
    lines = []
    for menu, ids in menus().items():
        lines.append(f"    {menu}:\n")
        lines += [f"      - command: {id_}\n        group: {GROUP}\n" for id_ in ids]
        if menu.rpartition("/")[2] in ("filter", "measure", "segment"):
            # where somebody looks for more
            lines.append(
                "      - command: napari-tool-runner.open\n        group: zz_tool_runner\n"
            )
    return section(text, "menus", lines)


if __name__ == "__main__":
    MANIFEST.write_text(written(MANIFEST.read_text(encoding="utf-8")), encoding="utf-8")
