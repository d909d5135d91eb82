"""What a module says is public is what others take from it: both ways."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from benchmarks.house import parse

from support import REPOSITORY

SOURCE = REPOSITORY / "src"
PACKAGE = SOURCE / "napari_tool_runner"


def modules() -> dict[str, Path]:
    """Dotted name -> file, without the bundled tools (programs of their own)."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        if "bundled_tools" not in parts:
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@cache
def tree(path: Path) -> ast.Module:
    """What `path` says, with the stub of a façade that loads its names when they are used."""
    stub = path.with_suffix(".pyi")
    texts = [file.read_text(encoding="utf-8") for file in (path, stub) if file.exists()]
    return parse("\n".join(text.replace("from __future__", "# ") for text in texts))


def exported(path: Path) -> list[str]:
    for node in reversed(tree(path).body):
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            return list(ast.literal_eval(node.value))
    return []


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of every ``from module import name`` of ours, wherever it stands."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom):
            inside = ".".join(path.relative_to(SOURCE).parts[:-1]) if node.level else ""
            module = ".".join(filter(None, (inside, node.module)))
            if module.startswith(PACKAGE.name):
                yield from ((module, alias.name) for alias in node.names)


@cache
def taken() -> dict[tuple[str, str], list[str]]:
    """(module, name) -> the modules of src that import it."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, path in MODULES.items():
        for key in imported(path):
            found.setdefault(key, []).append(name)
    return found


@cache
def words_elsewhere() -> set[str]:
    """Every word of tests, benchmarks, manifest and pages, where public names are used, too."""
    texts = [
        path.read_text(encoding="utf-8")
        for folder, pattern in (("tests", "*.py"), ("benchmarks", "*.py"), ("docs", "*.md"))
        for path in (REPOSITORY / folder).rglob(pattern)
        if path.name != Path(__file__).name
    ]
    texts += [(REPOSITORY / "README.md").read_text(encoding="utf-8")]
    texts += [(PACKAGE / "napari.yaml").read_text(encoding="utf-8")]
    return set(re.findall(r"\w+", " ".join(texts)))


@cache
def attributes() -> set[tuple[str, str]]:
    """(module, name) of what is said as ``jobs.history``, of a module that was imported."""
    return {
        (f"{PACKAGE.name}.{node.value.id}", node.attr)
        for path in MODULES.values()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }


def in_signatures(path: Path) -> set[str]:
    """Words of the annotations of a module: types that its public functions take and give."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        for place in ("annotation", "returns"):
            written = getattr(node, place, None)
            if isinstance(written, ast.expr):
                found |= set(re.findall(r"\w+", ast.unparse(written)))
    return found


@pytest.mark.parametrize("name", MODULES)
def test_what_is_public_is_used(name: str) -> None:
    path = MODULES[name]
    unused = [
        entry
        for entry in exported(path)
        if not taken().get((name, entry))
        and (name, entry) not in attributes()
        and entry not in words_elsewhere()
        and not (entry[0].isupper() and entry in in_signatures(path))
    ]
    assert not unused, f"nobody uses these names of {name}: make them private or delete them"


@pytest.mark.parametrize("name", MODULES)
def test_what_is_taken_is_public(name: str) -> None:
    public = set(exported(MODULES[name]))
    inside = {module.rpartition(".")[2] for module in MODULES if module.rpartition(".")[0] == name}
    hidden = {
        entry: users
        for (module, entry), users in taken().items()
        if module == name and entry not in public | inside and not entry.startswith("__")
    }
    if not public and not hidden:
        return
    assert not hidden, f"others take these from {name}, whose __all__ does not name them"
