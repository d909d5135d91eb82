"""Where the entries of tools stand in napari's menus: worked out without napari or Qt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.names import unique_name

if TYPE_CHECKING:
    from napari_tool_runner.tools.toolbox.entries import ToolEntry

__all__ = [
    "GROUP",
    "PLUGIN",
    "PREFIX",
    "SUBMENU",
    "Command",
    "MenuPlan",
    "command_id",
    "layers_menus",
    "plan_menus",
    "titled",
]

PLUGIN = "napari-tool-runner"
PREFIX = "tool_"
"""Beginning of a command's last name, before the key of its tool."""
SUBMENU = f"{PLUGIN}/tools"
"""Id of the menu that holds all tools by category."""

OTHER = "Other"
GROUP = "z_tool_runner"
_FEW = 15
"""So many entries may stand directly in a menu that belongs to everybody."""
_SCREEN = 40
"""So many entries of one menu fit on a screen; more are split by letters."""

# beginnings of words in a category, and the contributable menu where people look for it
_WORDS = (
    ("segment", ("segment", "threshold", "detect", "label", "binar", "morpholog", "watershed")),
    ("filter", ("filter", "denois", "restor", "deconv", "enhanc", "smooth", "preproc", "correct")),
    ("measure", ("measur", "quantif", "coloc", "statist", "analys", "featur", "count")),
    ("register", ("regist", "align", "stitch", "drift")),
    ("track", ("track", "motion", "lineage")),
    ("transform", ("transform", "resiz", "resamp", "rotat", "crop", "geometr")),
    ("project", ("project",)),
    ("classify", ("classif", "phenotyp")),
    ("visualize", ("visuali", "render")),
    ("annotate", ("annotat",)),
    ("data", ("convert", "conversion", "format")),
)


def titled(name: str) -> str:
    """Return a name as it stands among those of other plugins, as napari writes it."""
    return f"{name} (Tool Runner)"


@dataclass(frozen=True, slots=True)
class Command:
    """One tool as a command."""

    id: str
    key: str
    name: str

    @property
    def title(self) -> str:
        """The name as it stands among other plugins' entries."""
        return titled(self.name)


@dataclass(slots=True)
class MenuPlan:
    """All commands, and what stands in which menu.

    Parameters
    ----------
    commands : dict
        Command id -> command.
    entries : dict
        Menu id -> ids of the commands in it, in the order of their names.
    submenus : dict
        Menu id -> (id, title) of the menus in it.
    """

    commands: dict[str, Command] = field(default_factory=dict)
    entries: dict[str, tuple[str, ...]] = field(default_factory=dict)
    submenus: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)


def command_id(key: str) -> str:
    """Return the id of the command of the tool called `key`.

    The palette shows what stands before the last dot, so there is only one.
    """
    return f"{PLUGIN}.{PREFIX}{key.replace('.', '_')}"


@lru_cache(maxsize=4096)
def layers_menus(categories: tuple[str, ...]) -> tuple[str, ...]:
    """Return the contributable menus of napari that fit `categories`."""
    found: dict[str, None] = {}
    for category in categories:
        words = category.casefold().replace("-", " ").replace("_", " ").split()
        for menu, beginnings in _WORDS:
            if any(word.startswith(beginnings) for word in words):
                found[f"napari/layers/{menu}"] = None
                break
    return tuple(found)


def plan_menus(
    entries: Sequence[ToolEntry], *, parent: str, static: Collection[str] = ()
) -> MenuPlan:
    """Return where everything goes.

    Parameters
    ----------
    entries : sequence of ToolEntry
    parent : str
        Id of the menu in which the plugin's submenu stands.
    static : collection of str
        Ids of commands that the manifest has put into the palette and the Layers menus.
    """
    plan = MenuPlan()
    by_category: defaultdict[str, list[Command]] = defaultdict(list)
    by_menu: defaultdict[str, list[Command]] = defaultdict(list)
    for entry in sorted(entries, key=lambda entry: (entry.name.casefold(), entry.key)):
        id_ = unique_name(command_id(entry.key), plan.commands, "_{}", 2)
        plan.commands[id_] = command = Command(id_, entry.key, entry.name)
        for category in dict.fromkeys(entry.categories) or (OTHER,):
            by_category[category].append(command)
        if command.id not in static:
            for menu in layers_menus(entry.categories):
                by_menu[menu].append(command)
    if not plan.commands:
        return plan
    plan.submenus[parent] = ((SUBMENU, "Tools by category"),)
    names = sorted(by_category, key=lambda name: (name == OTHER, name.casefold()))
    plan.submenus[SUBMENU] = tuple((f"{SUBMENU}/{name}", name) for name in names)
    for name in names:
        _fill(plan, f"{SUBMENU}/{name}", by_category[name])
    for menu, commands in by_menu.items():
        if len(commands) <= _FEW:
            plan.entries[menu] = tuple(command.id for command in commands)
        else:
            own = f"{PLUGIN}/{menu}"
            plan.submenus[menu] = ((own, "Tool Runner"),)
            _fill(plan, own, commands)
    return plan


def _fill(plan: MenuPlan, menu: str, commands: Sequence[Command]) -> None:
    """Put `commands` into `menu`, by letters when they are more than a screen holds."""
    if len(commands) <= _SCREEN:
        plan.entries[menu] = tuple(command.id for command in commands)
        return
    parts = -(-len(commands) // _SCREEN)
    size = -(-len(commands) // parts)
    pieces = [commands[start : start + size] for start in range(0, len(commands), size)]
    inner: list[tuple[str, str]] = []
    for number, piece in enumerate(pieces):
        inner.append((f"{menu}/{number}", f"{_short(piece[0].name)} – {_short(piece[-1].name)}"))
        plan.entries[f"{menu}/{number}"] = tuple(command.id for command in piece)
    plan.submenus[menu] = tuple(inner)


def _short(name: str) -> str:
    return name if len(name) <= 16 else f"{name[:15].rstrip()}…"
