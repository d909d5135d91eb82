"""What a tool needs from PyPI: as its descriptor, its script's head, or a file beside says.

A script tells it in a comment at its head (PEP 723). Nothing is evaluated, and nothing but
names, versions, extras and markers is taken: no address, no folder, no repository.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from napari_tool_runner.data_classes import dataclass, replace
from napari_tool_runner.errors import DescriptorError
from napari_tool_runner.quoting import one_line
from napari_tool_runner.tools.candidate import read_bytes
from napari_tool_runner.tools.model import PythonRequirement
from napari_tool_runner.tools.own_folder import programs_named

__all__ = ["TORCH_BUILDS", "PythonNeeds", "is_address", "needs_of_script", "versions", "wanted"]

TORCH_BUILDS = ("", "auto", "cpu")
_MOST_BYTES = 2**22
_MOST = 1000
_HASH = "--hash="
_INDEX = ("-i", "--index-url", "--extra-index-url")


@dataclass(frozen=True, slots=True)
class PythonNeeds:
    """What is needed, and a sentence for each line that cannot be honoured."""

    requirement: PythonRequirement
    left_out: tuple[str, ...] = ()


def wanted(lines: Iterable[str], source: str = "") -> PythonNeeds:
    """Return what lines as those of a ``requirements.txt`` ask for.

    A line may hold several packages, separated by spaces.

    Parameters
    ----------
    source : str
        The file that they stand in.
    """
    found: list[str] = []
    pins: list[str] = []
    indexes: list[str] = []
    left_out: list[str] = []
    for line in _whole_lines(lines):
        words = re.sub(r"^pip3? install\s", "", line).split()
        if not words:
            continue
        option, _, value = words[0].partition("=")
        if option in _INDEX:
            named = value or " ".join(words[1:2])
            (indexes if is_address(named) else left_out).append(
                named if is_address(named) else _cannot(line, source)
            )
            continue
        hashes = [word for word in words if word.startswith(_HASH)]
        rest = " ".join(word for word in words if not word.startswith(_HASH))
        whole = bool(_plain(rest)) or "://" in rest or rest.startswith("-")
        for text in [rest] if whole else rest.split():
            if plain := _plain(text):
                found.append(plain)
                pins += [" ".join((plain, *hashes))] * bool(hashes)
            else:
                left_out.append(_cannot(text, source))
    told = PythonRequirement(
        requirements=tuple(dict.fromkeys(found[:_MOST])),
        pins=tuple(pins[:_MOST]), indexes=tuple(filter(None, indexes)), source=source,
    )  # fmt: skip
    return PythonNeeds(told, tuple(left_out[:_MOST]))


def is_address(text: str) -> bool:
    """Whether it is the address of one index on a server: no folder of this computer."""
    return re.fullmatch(r"https?://[^\s,;\"'$]+", text) is not None


def versions(text: str) -> str:
    """Return versions of Python as specifiers: ``3.12`` means any 3.12; empty for no sense."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    text = text.strip()
    if re.fullmatch(r"\d+(\.\d+){0,2}", text):
        text = f"=={text}" if text.count(".") == 2 else f"=={text}.*"
    with suppress(InvalidSpecifier):
        return str(SpecifierSet(text))
    return ""


def needs_of_script(command: str, folder: Path) -> PythonNeeds | None:
    """Return what the script that a command starts needs; None where nobody says.

    Asked are the head of the first script in Python that `command` names in `folder`, and the
    files beside it: ``uv.lock`` with ``pyproject.toml``, ``requirements.txt``.
    """
    script = next((one for one in programs_named([command], folder) if one.suffix == ".py"), None)
    if script is None:
        return None
    return (
        _of_head(script)
        or _of_project(script.with_name("pyproject.toml"))
        or _of_list(script.with_name("requirements.txt"))
    )


def _of_head(script: Path) -> PythonNeeds | None:
    told = _toml("\n".join(_block(_text(script))))
    if told is None:
        return None
    needs = wanted(_texts(told.get("dependencies")), script.name)
    tool = told.get("tool")
    uv = tool.get("uv") if isinstance(tool, Mapping) else None
    return _with(needs, told.get("requires-python"), uv)


def _of_project(path: Path) -> PythonNeeds | None:
    project = (_toml(_text(path)) or {}).get("project")
    if not isinstance(project, Mapping) or not isinstance(project.get("dependencies"), list):
        return None
    needs = _with(
        wanted(_texts(project["dependencies"]), path.name), project.get("requires-python")
    )
    lock = _toml(_text(path.with_name("uv.lock")))
    if lock is None:
        return needs
    pins = tuple(_pins(lock.get("package")))
    return replace(needs, requirement=replace(needs.requirement, pins=pins, source="uv.lock"))


def _of_list(path: Path) -> PythonNeeds | None:
    text = _text(path)
    return wanted(text.splitlines(), path.name) if text.strip() else None


def _with(needs: PythonNeeds, python: object, uv: object = None) -> PythonNeeds:
    """Add the versions of Python, and of uv's own table the indexes and PyTorch's build."""
    indexes: list[str] = []
    torch = ""
    left_out = list(needs.left_out)
    for name, value in uv.items() if isinstance(uv, Mapping) else ():
        if name == "index" and isinstance(value, list):
            urls = [str(one.get("url")) for one in value if isinstance(one, Mapping)]
            indexes += filter(is_address, urls)
            left_out += [_cannot(url, "[tool.uv]") for url in urls if not is_address(url)]
        elif name == "pip" and isinstance(value, Mapping) and (build := _backend(value)):
            torch = build
        else:
            what = f"[tool.uv] {name}"
            left_out.append(_cannot(what, needs.requirement.source))
    python = versions(python) if isinstance(python, str) else ""
    told = replace(needs.requirement, python=python, indexes=tuple(indexes), torch=torch)
    return PythonNeeds(told, tuple(left_out))


def _backend(pip: Mapping[str, object]) -> str:
    """Return the build of PyTorch, where a table of uv says nothing else."""
    said = str(pip.get("torch-backend", ""))
    return said if len(pip) == 1 and said in TORCH_BUILDS else ""


def _pins(packages: object) -> Iterator[str]:
    """Yield what a ``uv.lock`` names once, with the hashes of its wheels; forks are left open."""
    known: dict[str, list[str]] = {}
    for one in packages if isinstance(packages, list) else ():
        name, version = (
            (one.get("name"), one.get("version")) if isinstance(one, dict) else ("", "")
        )
        source = one.get("source") if isinstance(one, dict) else None
        if not isinstance(source, dict) or "registry" not in source:
            continue
        if plain := _plain(f"{name}=={version}"):
            wheels = one.get("wheels")
            told = [w.get("hash") for w in wheels if isinstance(w, dict)] if wheels else []
            hashes = [f"{_HASH}{h}" for h in told if re.fullmatch(r"sha256:[0-9a-f]{64}", str(h))]
            known.setdefault(str(name), []).append(" ".join((plain, *hashes)))
    yield from (found[0] for found in list(known.values())[:_MOST] if len(found) == 1)


def _block(text: str) -> Iterator[str]:
    """Yield the lines of a script's ``# /// script``, without their marks."""
    inside: list[str] = []
    for line in text.splitlines():
        if line.rstrip() == "# /// script" and not inside:
            inside = [""]
        elif inside and line.rstrip() == "# ///":
            yield from inside
            return
        elif inside and (line.startswith("# ") or line.rstrip() == "#"):
            inside.append(line[2:])
        else:
            inside = []


def _whole_lines(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines without comments, those that go on joined."""
    begun = ""
    for line in lines:
        text = re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip()
        if text.endswith("\\"):
            begun += text[:-1] + " "
        elif whole := (begun + text).strip():
            yield whole
            begun = ""


def _plain(text: str) -> str:
    """Return a requirement in its one writing; empty for what is none, or holds an address."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        found = Requirement(text)
    except (InvalidRequirement, RecursionError):
        return ""
    return "" if found.url else str(found)


def _cannot(text: str, source: str) -> str:
    where = f" of {source}" if source else ""
    return (
        f"“{one_line(text, 100)}”{where} is left out: from PyPI only packages by name and version "
        "are installed."
    )


def _text(path: Path) -> str:
    if path.is_symlink():
        return ""
    with suppress(DescriptorError):
        return read_bytes(path, _MOST_BYTES).decode("utf-8", "replace")
    return ""


def _toml(text: str) -> Mapping[str, object] | None:
    import tomllib

    with suppress(tomllib.TOMLDecodeError, RecursionError):
        return tomllib.loads(text) if text.strip() else None
    return None


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
