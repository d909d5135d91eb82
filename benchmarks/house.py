"""The structure of the code in figures: sizes, circles, switches, and how far a call walks.

``python -m benchmarks.house [--walks] [--trace WALK] [--json FILE] [--source SRC]``

`SRC` is the ``src`` of another checkout to compare with, `WALK` one whose modules and moves are
listed. The bundled tools are left out. How it counts:

- Circles: modules that import one another, by the strictest kind of import that closes one.
  What an ``__init__`` imports for type hints only says where its names are found, no more.
- Between rooms (subpackages): imported names; from the room's package (its façade) or deeper.
- Switches: ``isinstance`` and ``case`` on groups of parameters, also by a name for several.
- Dialects by name: comparisons with a text, but for those in the folder of that dialect.
- Walks: done once, then measured, on all Python threads. A call is the entry of a named function
  (a generator's each time it goes on), but for the ``__getattr__`` of a package. A move is a
  call in another module than the call before, whichever the thread. Medians of some processes;
  on a busy computer the tool takes longer, and whoever waits for it makes more calls.
"""

from __future__ import annotations

import argparse
import ast
import gc
import importlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import tokenize
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from types import FrameType

PACKAGE = "napari_tool_runner"
GROUPS = {"Section", "Conditional", "Repeat"}
LEVELS = TOP, IN_FUNCTION, IN_HINTS = ("top level", "in functions", "type hints only")
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
NAMED = ast.Name | ast.Attribute
HOLDERS = ast.stmt | ast.excepthandler | ast.match_case  # what may hold an import
BLUR = "gaussian_filter"
TURNS = 5
SOURCE = Path(__file__).resolve().parents[1] / "src"


# -- what is written ---------------------------------------------------------------------


class Module(NamedTuple):
    name: str  # without the package's own
    is_package: bool
    text: str
    tree: ast.Module


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no garbage: the nodes of all trees would be looked through again and again.

    Python 3.11 also miscounts the depth of what it parses where a collection meanwhile logs a
    traceback, which parses, too ("AST constructor recursion depth mismatch").
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@uncollected()
def parse(text: str) -> ast.Module:
    """`text` as a tree."""
    return ast.parse(text)


def read_modules(package: Path) -> dict[str, Module]:
    modules = {}
    for path in sorted(package.rglob("*.py")):
        *folders, stem = path.relative_to(package).with_suffix("").parts
        if folders[:1] != ["bundled_tools"]:
            name = ".".join(folders if stem == "__init__" else [*folders, stem])
            text = path.read_text(encoding="utf-8")
            modules[name] = Module(name, stem == "__init__", text, parse(text))
    return modules


@uncollected()
def static_figures(modules: Mapping[str, Module]) -> dict[str, object]:
    nodes = [(module, node) for module in modules.values() for node in ast.walk(module.tree)]
    defined = [node for _, node in nodes if isinstance(node, FUNCTIONS)]
    functions = [(node.end_lineno or 0) - node.lineno + 1 for node in defined]
    calls = [node for _, node in nodes if isinstance(node, ast.Call)]
    tests = [node.args[1] for node in calls if ast.unparse(node.func) == "isinstance"]
    tests += [node.cls for _, node in nodes if isinstance(node, ast.MatchClass)]
    several = [node for _, node in nodes if isinstance(node, ast.Assign) and _names_groups(node)]
    groups = GROUPS.union(*(_names(target) for node in several for target in node.targets))
    lines = {name or PACKAGE: len(module.text.splitlines()) for name, module in modules.items()}
    texts = [io.StringIO(module.text) for module in modules.values()]
    tokens = [token for text in texts for token in tokenize.generate_tokens(text.readline)]
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    dialects = Counter(module.name for module, node in nodes if _asks_dialect(module, node))
    facade, deep = between_rooms(modules)
    circles = find_circles(modules)
    return {
        "lines": sum(lines.values()),
        "modules": len(modules),
        "modules <= 100 lines": sum(count <= 100 for count in lines.values()),
        "modules > 400 lines": {name: count for name, count in lines.items() if count > 400},
        "functions": len(functions),
        "functions, mean lines": round(statistics.fmean(functions), 1),
        "functions > 60 lines": sum(count > 60 for count in functions),
        "casts": sum(ast.unparse(node.func) in ("cast", "typing.cast") for node in calls),
        "Any": sum(isinstance(node, ast.Name) and node.id == "Any" for _, node in nodes),
        "type: ignore": sum("type: ignore" in text for text in comments),
        "noqa": sum("noqa" in text for text in comments),
        "switches on groups": sum(bool(_names(test) & groups) for test in tests),
        "dialects by name": dialects.total(),
        "dialects by name, modules": dict(dialects),
        "imports from façades": facade,
        "imports past façades": deep.total(),
        "imports past façades, modules": dict(deep.most_common()),
        "import circles": {", ".join(circle): level for circle, level in circles.items()},
    }


def imports(node: ast.AST, level: str = TOP) -> Iterator[tuple[str, str, str]]:
    """Tell what `node` imports of the package: level, module, name in it (or nothing)."""
    hints: list[ast.stmt] = []
    if isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            origin, name = alias.name, ""
            if isinstance(node, ast.ImportFrom):
                origin, name = node.module or "", alias.name
            if origin.partition(".")[0] == PACKAGE:
                yield level, origin.removeprefix(PACKAGE).removeprefix("."), name
    elif isinstance(node, FUNCTIONS) and level == TOP:
        level = IN_FUNCTION
    elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        hints = node.body
    for child in ast.iter_child_nodes(node):
        if isinstance(child, HOLDERS):
            yield from imports(child, IN_HINTS if child in hints else level)


def find_circles(modules: Mapping[str, Module]) -> dict[tuple[str, ...], str]:
    """Return the largest groups of modules that import one another, and what closes them."""
    reach: dict[str, set[str]] = {name: set() for name in modules}
    closed: dict[str, str] = {}
    circles: dict[tuple[str, ...], str] = {}
    for wanted in LEVELS:
        for name, module in modules.items():
            for level, origin, item in imports(module.tree):
                if level == wanted and not (level == IN_HINTS and module.is_package):
                    submodule = f"{origin}.{item}".strip(".")
                    reach[name].add(submodule if submodule in modules else origin)
        for middle in modules:
            for name in modules:
                if middle in reach[name]:
                    reach[name] |= reach[middle]
        rings = {
            name: sorted(n for n in reach[name] if name in reach.get(n, ())) for name in reach
        }
        closed = {name: wanted for name, ring in rings.items() if ring} | closed
        found = sorted({tuple(ring) for ring in rings.values() if ring})
        circles = {ring: min((closed[n] for n in ring), key=LEVELS.index) for ring in found}
    return circles


def between_rooms(modules: Mapping[str, Module]) -> tuple[int, Counter[str]]:
    """Count the names that come from façades, and those from each deep module."""
    facade, deep = 0, Counter[str]()
    for module in modules.values():
        for _, origin, _ in imports(module.tree):
            if origin in modules and origin.split(".")[0] != module.name.split(".")[0]:
                deep[origin] += "." in origin
                facade += "." not in origin and bool(origin) and modules[origin].is_package
    return facade, +deep


def _names(node: ast.AST) -> set[str]:
    names = (getattr(part, "id", getattr(part, "attr", None)) for part in ast.walk(node))
    return {name for name in names if isinstance(name, str)}


def _names_groups(node: ast.Assign) -> bool:
    return isinstance(node.value, ast.BinOp | ast.Tuple) and bool(_names(node.value) & GROUPS)


def _asks_dialect(module: Module, node: ast.AST) -> bool:
    if not isinstance(node, ast.Compare):
        return False
    sides = [side for side in (node.left, *node.comparators) if isinstance(side, NAMED)]
    texts = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
    home = module.name.split(".")[1] if module.name.startswith("tools.") else ""
    others = [text for text in texts if isinstance(text, str) and text != home]
    return bool(others) and any("dialect" in _names(side) for side in sides)


# -- what is walked through ---------------------------------------------------------------

Actions = Iterator[Callable[[], object]]  # the same, to warm up and to be measured


def measure(package: Path, actions: Actions, *, trace: bool = False) -> dict[str, int]:
    """Do all `actions`; return the figures of the last, print its way when asked."""
    root = f"{package}{os.sep}"
    calls: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        path, name = frame.f_code.co_filename, frame.f_code.co_name
        door = name == "__getattr__" and path.endswith("__init__.py")
        if event == "call" and path.startswith(root) and not door and name[0] != "<":
            calls.append(path[len(root) :])

    measured: list[str] = []
    threading.setprofile(note)
    sys.setprofile(note)
    for action in actions:
        calls.clear()
        action()
        measured = [call for call in calls if not call.startswith("bundled_tools")]
    sys.setprofile(None)
    rooms = [call.split(os.sep)[0] for call in measured]
    if trace:
        moves = Counter((before, after) for before, after in pairwise(measured) if before != after)
        for name, count in sorted(Counter(measured).items()):
            print(f"{count:5} calls in {name}")
        for (before, after), count in moves.most_common(40):
            print(f"{count:5} moves {before} → {after}")
    return {
        "modules": len(set(measured)),
        "calls": len(measured),
        "moves": sum(before != after for before, after in pairwise(measured)),
        "between rooms": sum(before != after for before, after in pairwise(rooms)),
    }


def click_run(tools: Path, folder: Path) -> Actions:
    import numpy as np
    from napari.components import ViewerModel
    from qtpy.QtCore import QEventLoop, Qt, QTimer
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QApplication

    from napari_tool_runner import read_tool
    from napari_tool_runner.jobs import JobManager
    from napari_tool_runner.widgets.tool_widget import ToolWidget

    _application = QApplication.instance() or QApplication([])
    viewer = ViewerModel()
    viewer.add_image(np.arange(5 * 64 * 64, dtype=np.uint16).reshape(5, 64, 64), name="cells")
    manager = JobManager()
    page = ToolWidget(read_tool(tools / BLUR / f"{BLUR}.xml"), viewer, manager=manager)
    page.resize(350, 700)
    page.show()
    loop = QEventLoop()
    page.job_finished.connect(lambda _job: loop.quit())

    def click() -> None:
        QTest.mouseClick(page.run_bar.run_button, Qt.MouseButton.LeftButton)
        loop.exec()

    for turn in range(2):
        QTimer.singleShot(1000, loop.quit)  # the page comes to rest
        loop.exec()
        viewer.layers["cells"].data = viewer.layers["cells"].data + 1  # else it is answered
        yield click
        assert len(viewer.layers) == turn + 2, page.run_bar.message.text()
    manager.shutdown()
    page.close()


def run_command(tools: Path, folder: Path) -> Actions:
    import numpy as np
    import tifffile

    from napari_tool_runner.cli import main

    image = folder / "image.tif"
    tifffile.imwrite(image, np.arange(64 * 64, dtype=np.uint16).reshape(64, 64))
    command = [
        "run",
        "--no-cache",
        BLUR,
        f"input={image}",
        "--output-dir",
        str(folder / "results"),
    ]
    for _ in range(2):
        yield lambda: main(command)
    assert (folder / "results").is_dir()


def run_script(tools: Path, folder: Path) -> Actions:
    import numpy as np

    from napari_tool_runner import run

    image = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    return iter([lambda: run(BLUR, input=image, cache=False)] * 2)


def read_descriptor(name: str, tools: Path, folder: Path) -> Actions:
    from napari_tool_runner import read_tool

    (descriptor,) = (tools / name).glob("*.xml")
    return iter([lambda: read_tool(descriptor)] * 2)


WALKS: dict[str, Callable[[Path, Path], Actions]] = {
    "click Run → layer": click_run,
    "command line, file → file": run_command,
    "run(tool, input=array)": run_script,
    "read_tool, BioImageIT": partial(read_descriptor, BLUR),
    "read_tool, Galaxy": partial(read_descriptor, "galaxy_enhance_contrast"),
}


def one_walk(source: Path, walk: str, *more: str) -> str:
    """Take a walk in a process of its own, apart from the user's files; return its words."""
    command = [sys.executable, "-P", __file__, "--walk", walk, *more]
    with tempfile.TemporaryDirectory() as folder:
        env = {key: text for key, text in os.environ.items() if "TOOL_RUNNER" not in key}
        env |= {f"XDG_{kind}_HOME": folder for kind in ("CONFIG", "DATA", "CACHE", "STATE")}
        env |= {"NAPARI_CONFIG": f"{folder}/napari.yaml", "QT_QPA_PLATFORM": "offscreen"}
        env |= {"PYTHONPATH": str(source), "PYTHONIOENCODING": "utf-8"}
        done = subprocess.run(
            command, env=env, cwd=folder, capture_output=True, timeout=120, check=False
        )
    if done.returncode:
        raise SystemExit(f"{walk} broke:\n{done.stderr.decode()}")
    return done.stdout.decode()


def walk_figures(source: Path, walk: str) -> dict[str, float]:
    """Return the medians of some walks."""
    turns = [json.loads(one_walk(source, walk).splitlines()[-1]) for _ in range(TURNS)]
    return {key: statistics.median(turn[key] for turn in turns) for key in turns[0]}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.house")
    parser.add_argument("--walks", action="store_true", help="also run it and count the calls")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--source", type=Path, metavar="SRC", default=SOURCE)
    parser.add_argument("--trace", choices=WALKS, metavar="WALK", help="print the way it goes")
    parser.add_argument("--walk", choices=WALKS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.walk:
        package = Path(importlib.import_module(PACKAGE).__path__[0])
        actions = WALKS[options.walk](package / "bundled_tools", Path.cwd())
        trace = options.trace == options.walk
        print("", json.dumps(measure(package, actions, trace=trace)), sep="\n")
        return
    source = options.source.resolve()
    if options.trace:
        print(one_walk(source, options.trace, "--trace", options.trace))
        return
    figures = static_figures(read_modules(source / PACKAGE))
    for name, value in figures.items():
        more = value if isinstance(value, dict) else {}
        print(f"{name:<30} {len(more) if value is more else value:>7}")
        print(*(f"    {what}: {count}\n" for what, count in more.items()), sep="", end="")
    for name in WALKS if options.walks else ():
        figures[name] = found = walk_figures(source, name)
        print(f"{name:<30}", *(f"{count:7g} {what}" for what, count in found.items()))
    if options.json:
        text = json.dumps(figures, indent=2, ensure_ascii=False)
        options.json.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
