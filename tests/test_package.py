"""The package as a whole: what it exports, needs, ships, and costs to import."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import napari_tool_runner
from napari_tool_runner import _lazy
from support import REPOSITORY

SOURCE = REPOSITORY / "src" / "napari_tool_runner"
NUMBER = re.compile(r"\d+", re.ASCII)
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENGINE = ("errors", "config", "tools", "exchange", "plugins", "jobs", "cli")
WINDOWED = ("qtpy", "napari", "magicgui", "superqt", "vispy", "PyQt6", "PySide6")


def imported_by(statement: str) -> set[str]:
    """Names of all modules that are loaded after `statement` in a fresh interpreter."""
    code = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def packages() -> list[str]:
    return sorted(
        path.parent.name for path in SOURCE.glob("*/__init__.py") if path.parent.name[0] != "_"
    )


def test_public_names_are_there() -> None:
    for name in napari_tool_runner.__all__:
        assert getattr(napari_tool_runner, name) is not None
    assert dir(napari_tool_runner) == sorted(napari_tool_runner.__all__)
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        napari_tool_runner.missing  # noqa: B018


@pytest.mark.parametrize("package", packages())
def test_each_package_says_what_is_public(package: str) -> None:
    if package == "widgets":
        pytest.importorskip("qtpy.QtWidgets")
    module = importlib.import_module(f"napari_tool_runner.{package}")
    for name in getattr(module, "__all__", ()):
        assert hasattr(module, name), f"{package}.__all__ names {name}, which is not there"


def test_import_is_cheap() -> None:
    """Importing the package loads nothing heavy: napari does it at start-up."""
    loaded = imported_by("import napari_tool_runner")
    heavy = {"numpy", "pandas", "scipy", "skimage", "docker", "rattler", "galaxy", "tifffile"}
    assert not loaded & (heavy | set(WINDOWED))
    assert not (loaded - imported_by("pass")) & {"typing", "ast", "re", "inspect", "pathlib"}


def test_the_names_of_rooms_are_those_of_their_stubs() -> None:
    """Our reader of stubs reads what the language's own does."""
    stubs = sorted(SOURCE.rglob("__init__.pyi"))
    assert len(stubs) > 4
    for stub in stubs:
        body = ast.parse(stub.read_text(encoding="utf-8")).body
        imports = [one for one in body if isinstance(one, ast.ImportFrom)]
        named = {one.module: [alias.name for alias in one.names] for one in imports}
        assert _lazy._listed(str(stub)) == named, stub


def test_an_expression_is_compiled_at_its_first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(re, "compile", lambda *words: made.append(words) or NUMBER)
    late = _lazy.compiled(r"\d+", re.ASCII)
    assert not made
    assert late.findall("a1b22") == ["1", "22"]
    assert late.findall("3") == ["3"]
    assert late.pattern == r"\d+"
    assert set(made) == {(r"\d+", re.ASCII)}


def test_reading_a_small_image_imports_little() -> None:
    """The first job of a session waits for it."""
    loaded = imported_by("import napari_tool_runner.jobs.api, napari_tool_runner.exchange.apart")
    assert not loaded & {"pandas", "zarr", "dask", "scipy", "skimage", "PIL"}


def test_a_plain_run_on_the_command_line_imports_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What takes a while to import, and no run without pixels needs that goes well."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    tool = tmp_path / "tools" / "tiny.xml"
    tool.parent.mkdir()
    tool.write_text(
        '<tool id="tiny" name="Tiny" version="1"><command>cp ${input} ${output}</command>'
        '<inputs><param name="input" type="data" format="txt"/></inputs>'
        '<outputs><data name="output" format="txt"/></outputs></tool>'
    )
    (tmp_path / "a.txt").write_text("a")
    call = ["run", str(tool), f"input={tmp_path / 'a.txt'}"]
    loaded = imported_by(f"from napari_tool_runner.cli import main; assert main({call!r}) == 0")
    assert "napari_tool_runner.jobs.job" in loaded
    loaded -= imported_by("pass")
    others = {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names
    assert others == {"napari_tool_runner", "defusedxml", "lazy_loader", "platformdirs"}
    assert not loaded & {"importlib.metadata", "decimal", "difflib", "html", "zipfile"}


@pytest.mark.parametrize("room", ENGINE)
def test_engine_needs_no_window(room: str) -> None:
    loaded = imported_by(f"import napari_tool_runner.{room}")
    assert not loaded & set(WINDOWED)


def test_version_is_one() -> None:
    version = napari_tool_runner.__version__
    assert version == importlib.metadata.version("napari-tool-runner")
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[(.+?)\]", changelog, flags=re.MULTILINE)
    assert headings[0] == "Unreleased" or headings[0] == version


def test_dependencies_are_loose_and_without_a_window() -> None:
    for entry in PROJECT["dependencies"]:
        assert not re.search(r"<|==|~=", entry), f"upper bound in {entry}"
        name = re.split(r"[\[<>=!~; ]", entry)[0].lower()
        assert name not in {"napari", "pyqt5", "pyqt6", "pyside6"}
    assert any("napari[all]" in entry for entry in PROJECT["optional-dependencies"]["all"])


def third_party_imports() -> dict[str, set[str]]:
    """Top-level module name -> files of the sources that import it anywhere."""
    found: dict[str, set[str]] = {}
    for path in SOURCE.rglob("*.py"):
        if "bundled_tools" in path.parts:  # programs of their own, checked by their tests
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            for name in names:
                top = name.split(".")[0]
                if top not in sys.stdlib_module_names and top != "napari_tool_runner":
                    found.setdefault(top, set()).add(str(path.relative_to(SOURCE)))
    return found


def declared() -> set[str]:
    extras = (entry for entries in PROJECT["optional-dependencies"].values() for entry in entries)
    return {
        re.split(r"[\[<>=!~; ]", entry)[0].lower().replace("_", "-")
        for entry in [*PROJECT["dependencies"], *extras]
    }


def test_what_is_imported_is_declared() -> None:
    """Each third-party module of the sources comes from a declared dependency."""
    # napari and its own base packages are there whenever a widget is loaded; its numba may not be
    with_napari = {"napari", "vispy", "app_model", "npe2", "numba", "pint", "psygnal", "pydantic"}
    with_napari |= {"_typeshed"}  # which type checkers have
    # what a script that stands alone takes from its own folder
    beside = {one.stem for one in (SOURCE / "plugins" / "warm").glob("warm_*.py")}
    distributions = importlib.metadata.packages_distributions()
    undeclared = {
        module: sorted(files)
        for module, files in third_party_imports().items()
        if module not in with_napari | beside
        and not {name.lower().replace("_", "-") for name in distributions.get(module, [module])}
        & declared()
    }
    assert not undeclared


def test_links_at_the_top_lead_into_the_package() -> None:
    for name in ("napari.yaml", "sample_data"):
        link = REPOSITORY / name
        assert link.resolve() == (SOURCE / name).resolve()
        assert link.exists(), f"{name} leads nowhere"


def test_typed() -> None:
    assert (SOURCE / "py.typed").is_file()


def test_manifest_holds_together() -> None:
    """npe2 itself accepts unknown keys and commands that do not exist."""
    npe2 = pytest.importorskip("npe2")
    manifest = npe2.PluginManifest.from_file(SOURCE / "napari.yaml")
    assert manifest.name == PROJECT["name"]
    commands = {command.id: command for command in manifest.contributions.commands or []}
    for command in commands.values():
        module, _, attribute = str(command.python_name).partition(":")
        found: object = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
        assert callable(found), command.id
    for widget in manifest.contributions.widgets or []:
        assert widget.command in commands
    for sample in manifest.contributions.sample_data or []:
        if hasattr(sample, "command"):
            assert sample.command in commands
        else:
            assert (SOURCE.parent / Path(sample.uri)).exists() or (SOURCE / sample.uri).exists()
    # unknown keys are ignored by npe2: a typing error would go unnoticed
    written = yaml.safe_load((SOURCE / "napari.yaml").read_text(encoding="utf-8"))
    known = set(type(manifest.contributions).model_fields)
    assert set(written["contributions"]) <= known
