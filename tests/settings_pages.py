"""What is derived from the table of settings: `python tests/settings_pages.py` writes it.

The tables of docs/config.md, and the part of the manifest that napari's Preferences show.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from manifest_tools import MANIFEST
from napari_tool_runner.settings import TABLE, Setting

PAGE = Path(__file__).parents[1] / "docs" / "config.md"
SCRIPT = "written by tests/settings_pages.py"
TITLES = {"tools": "Tools", "running": "Running", "limits": "Limits of containers"}


def default(setting: Setting[object]) -> str:
    """Return the default as the documentation tells it."""
    if setting.otherwise:
        return setting.otherwise.strip()
    if isinstance(setting.default, bool):
        return f"`{json.dumps(setting.default)}`"
    if isinstance(setting.default, tuple):
        return ", ".join(setting.default)
    return f"{setting.default:g}" if isinstance(setting.default, float) else str(setting.default)


def tables() -> dict[str, str]:
    """Return name of a table -> its Markdown."""
    rows: dict[str, list[Setting[object]]] = {"tools": [], "runner": [], "jobs": []}
    for setting in TABLE.values():
        section = setting.key.partition(".")[0]
        if section == "runner":
            rows["runner"].append(setting)
        else:
            rows["tools" if not rows["runner"] else "jobs"].append(setting)
    made = {}
    for name, settings in rows.items():
        services = name == "runner"
        lines = [
            "| key | services | meaning | default |"
            if services
            else "| key | meaning | default |",
            "|---|---|---|---|" if services else "|---|---|---|",
        ]
        for entry in settings:
            column = f" {entry.services} |".replace("  ", " ") if services else ""
            lines.append(f"| `{entry.key}` |{column} {entry.meaning} | {default(entry)} |")
        made[name] = "\n".join(lines)
    return made


def page(text: str) -> str:
    """Return docs/config.md with its tables as they should be."""
    for name, table in tables().items():
        begin, end = f"<!-- {name}: {SCRIPT} -->\n", "<!-- end -->"
        head, mark, rest = text.partition(begin)
        assert mark, f"the page has no place for {name}"
        text = f"{head}{begin}\n{table}\n\n{end}" + rest.partition(end)[2]
    return text


def configurations() -> Iterator[str]:
    """Yield the lines of the manifest about settings."""
    shown: dict[str, list[Setting[object]]] = {title: [] for title in TITLES}
    for setting in TABLE.values():
        if setting.field is not None:
            shown[setting.field.place.partition(".")[0]].append(setting)
    for section, settings in shown.items():
        yield f"    {section}:\n      title: {TITLES[section]}\n      properties:\n"
        for setting in settings:
            field = setting.field
            assert field is not None
            number = setting.type.json in ("integer", "number")
            plain = {"string": "", "boolean": bool(setting.default)}
            empty: object = plain.get(setting.type.json, 0)
            shown_default = setting.default if number and setting.default is not None else empty
            # napari's editors of numbers show no word in the place of 0
            said = ["seconds"] if field.unit == "s" else []
            said += [f"0 = {field.none}"] if number and field.none else []
            told = f" ({', '.join(said)})" if said else ""
            yield f"        {field.place.partition('.')[2]}:\n"
            yield f"          type: {setting.type.json}\n"
            yield f"          title: {field.label}{told}\n"
            yield f"          default: {json.dumps(shown_default)}\n"
            if number:
                yield f"          minimum: {setting.type.least:g}\n"
                yield f"          maximum: {int(setting.type.most)}\n"
            yield f"          description: {field.hint}\n"


def manifest(text: str) -> str:
    """Return the manifest with its settings as they should be."""
    begin, end = f"    # {SCRIPT}: settings\n", "    # end: settings\n"
    head, mark, rest = text.partition(begin)
    assert mark, "the manifest has no place for settings"
    return head + begin + "".join(configurations()) + end + rest.partition(end)[2]


if __name__ == "__main__":
    for path, written in ((PAGE, page), (MANIFEST, manifest)):
        path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
