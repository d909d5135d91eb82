"""What a tool needs from PyPI: as its descriptor, its script's head, or a file beside says.

A script tells it in a comment at its head (PEP 723). Nothing is evaluated, and nothing but
names, versions, extras and markers is taken: no address, no folder, no repository.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.data_classes import dataclass, replace
from napari_tool_runner.errors import DescriptorError
from napari_tool_runner.quoting import one_line
from napari_tool_runner.tools.candidate import read_bytes
from napari_tool_runner.tools.model import PythonRequirement
from napari_tool_runner.tools.own_folder import programs_named

if TYPE_CHECKING:
    from napari_tool_runner.tools.common import Notes

__all__ = [
    "SAY_NEEDS",
    "TORCH_BUILDS",
    "PythonNeeds",
    "files_asked",
    "is_address",
    "needs_of_files",
    "needs_of_script",
    "versions",
    "wanted",
]

TORCH_BUILDS = ("", "auto", "cpu")
SAY_NEEDS = ("pyproject.toml", "requirements.txt", "uv.lock")
"""Files beside a script that say what it needs."""
_MOST_BYTES = 2**22
_MOST = 1000
_HASH = "--hash="
_INDEX = ("-i", "--index-url", "--extra-index-url")
# what else decides which packages come
_CHOOSES = {
    *("-e", "--editable", "-r", "--requirement", "-c", "--constraint"),
    *("-f", "--find-links", "--no-index", "--pre"),
}
_INSTEAD = "name versions, and for PyTorch torch-backend = “auto” under [tool.uv.pip]."
_UV_CHOOSES = {
    *("sources", "exclude-newer", "exclude-newer-package", "constraint-dependencies"),
    *("override-dependencies", "exclude-dependencies", "dependency-metadata", "prerelease"),
    *("resolution", "fork-strategy", "index-strategy", "index", "index-url", "extra-index-url"),
    *("find-links", "no-index", "pip"),
}


@dataclass(frozen=True, slots=True)
class PythonNeeds:
    """What is needed, and a sentence for each thing that cannot be honoured.

    Parameters
    ----------
    unmet : tuple of str
        What decides which packages are installed: without it the tool would be another one.
    left_out : tuple of str
        What does not.
    """

    requirement: PythonRequirement
    unmet: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def tell(self, notes: Notes, where: str) -> None:
        """Write what cannot be honoured into the notes of a reader."""
        for one in self.unmet:
            notes.error(where, one)
        for one in self.left_out:
            notes.warning(where, one)

    def asking(self, packages: Sequence[str]) -> PythonNeeds:
        """Return the same with packages, of which there may not be too many."""
        source, unmet = self.requirement.source, self.unmet
        if len(packages) > _MOST:
            unmet = (f"More than {_MOST} packages{_of(source)} are not installed.", *unmet)
        listed = tuple(dict.fromkeys(packages[:_MOST]))
        return replace(
            self, requirement=replace(self.requirement, requirements=listed), unmet=unmet
        )


def wanted(lines: Iterable[str], source: str = "", *, several: bool = False) -> PythonNeeds:
    """Return what lines as those of a ``requirements.txt`` ask for.

    Parameters
    ----------
    source : str
        The file that they stand in.
    several : bool
        Whether a line may hold several packages, separated by spaces.
    """
    found: list[str] = []
    pins: list[str] = []
    indexes: list[str] = []
    unmet: list[str] = []
    left_out: list[str] = []
    for line in _whole_lines(lines):
        command = re.match(r"pip3? install\s", line)
        words = (line[command.end() :] if command else line).split()
        if not words:
            continue
        option, _, value = words[0].partition("=")
        if option in _INDEX:
            named = value or " ".join(words[1:2])
            if is_address(named):
                indexes.append(named)
            else:
                unmet.append(_no_index(named, source))
            continue
        if option.startswith("-"):
            if option in _CHOOSES:
                unmet.append(_cannot(line, source))
            else:
                left_out.append(_left_out(line, source))
            continue
        hashes = [word for word in words if word.startswith(_HASH)]
        parts = [word for word in words if not word.startswith(_HASH)]
        rest = " ".join(parts)
        split = (several or command) and not _plain(rest) and "://" not in rest
        for text in parts if split else [rest]:
            if plain := _plain(text):
                found.append(plain)
                pins += [" ".join((plain, *hashes))] * bool(hashes)
            else:
                unmet.append(_cannot(text, source))
    told = PythonRequirement(pins=tuple(pins[:_MOST]), indexes=tuple(indexes), source=source)
    return PythonNeeds(told, tuple(unmet[:_MOST]), tuple(left_out[:_MOST])).asking(found)


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
    asked = files_asked(command, folder)
    return needs_of_files(*asked) if asked else None


def needs_of_files(script: Path, project: Path, listed: Path, _lock: Path) -> PythonNeeds | None:
    """Return what the files say that `files_asked` gives; None where none of them does."""
    return _of_head(script) or _of_project(project) or _of_list(listed) or _of_poetry(project)


def files_asked(command: str, folder: Path) -> tuple[Path, ...]:
    """Return the script that a command starts and the files beside it; none without a script."""
    named = programs_named([command], folder)
    script = next((one for one in named if one.suffix == ".py"), None)
    if script is None:
        return ()
    return script, *(script.with_name(name) for name in SAY_NEEDS)


def _of_head(script: Path) -> PythonNeeds | None:
    try:
        text = _block(_text(script))
        told = _loaded(text) if text else None
        if told is None:
            return None
        needs = _needs(told, told.get("tool"), script.name)
        return _locked(needs, script.with_name(f"{script.name}.lock"))  # of uv lock --script
    except ValueError as error:
        why = f"The head of {script.name} (# /// script) cannot be used: {error}."
        return PythonNeeds(PythonRequirement(source=script.name), (why,))


def _of_project(path: Path) -> PythonNeeds | None:
    told = _toml(_text(path)) or {}
    project = told.get("project")
    if not isinstance(project, Mapping) or "dependencies" not in project:
        return None
    try:
        # most of what the table says of uv is of whoever develops it
        needs = replace(_needs(project, told.get("tool"), path.name), left_out=())
    except ValueError as error:
        why = f"{path.name} cannot be used: {error}."
        return PythonNeeds(PythonRequirement(source=path.name), (why,))
    return _locked(needs, path.with_name("uv.lock"))


def _locked(needs: PythonNeeds, path: Path) -> PythonNeeds:
    lock = _toml(_text(path))
    if lock is None:
        return needs
    pins = tuple(_pins(lock.get("package")))
    return replace(needs, requirement=replace(needs.requirement, pins=pins, source=path.name))


def _of_poetry(path: Path) -> PythonNeeds | None:
    tool = (_toml(_text(path)) or {}).get("tool")
    poetry = tool.get("poetry") if isinstance(tool, Mapping) else None
    if not isinstance(poetry, Mapping) or not poetry.get("dependencies"):
        return None
    why = f"{path.name} names packages for Poetry alone: name them in its [project], too."
    return PythonNeeds(PythonRequirement(source=path.name), (why,))


def _of_list(path: Path) -> PythonNeeds | None:
    text = _text(path)
    return wanted(text.splitlines(), path.name) if text.strip() else None


def _needs(told: Mapping[str, object], tool: object, source: str) -> PythonNeeds:
    """Return what a table asks for, with what the table of uv beside it says.

    Raises
    ------
    ValueError
        Something in it is of no use.
    """
    asked = told.get("dependencies", [])
    if not (isinstance(asked, list) and all(isinstance(one, str) for one in asked)):
        raise ValueError("“dependencies” is no list of texts")
    python = told.get("requires-python", "")
    if not isinstance(python, str) or (python.strip() and not versions(python)):
        raise ValueError(f"“requires-python” is {one_line(str(python), 60)}, no versions")
    uv = tool.get("uv") if isinstance(tool, Mapping) else None
    indexes: list[str] = []
    torch = ""
    plain = [(one, _plain(one)) for one in asked]
    unmet = [_cannot(one, source) for one, known in plain if not known]
    left_out: list[str] = []
    for name, value in uv.items() if isinstance(uv, Mapping) else ():
        if name == "index" and isinstance(value, list):
            urls = [str(one.get("url")) for one in value if isinstance(one, Mapping)]
            indexes += filter(is_address, urls)
            unmet += [_no_index(url, source) for url in urls if not is_address(url)]
        elif name == "pip" and isinstance(value, Mapping) and (build := _backend(value)):
            torch = build
        elif name in _UV_CHOOSES:
            unmet.append(f"[tool.uv] {name} of {source} is not known here: {_INSTEAD}")
        else:
            left_out.append(_left_out(f"[tool.uv] {name}", source))
    requirement = PythonRequirement(
        python=versions(python), indexes=tuple(indexes), torch=torch, source=source
    )
    needs = PythonNeeds(requirement, tuple(unmet[:_MOST]), tuple(left_out))
    return needs.asking([known for _, known in plain if known])


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


def _block(text: str) -> str:
    """Return a script's ``# /// script`` as TOML, whose lines have the numbers of the script.

    Raises
    ------
    ValueError
        It is not closed, or there are two.
    """
    lines = text.splitlines()
    begins = [n for n, line in enumerate(lines) if line.rstrip() == "# /// script"]
    if not begins:
        return ""
    first = begins[0]
    inside: list[str] = []
    for line in lines[first + 1 :]:
        if not (line.startswith("# ") or line.rstrip() == "#"):
            break
        inside.append(line.rstrip())
    if "# ///" not in inside:
        raise ValueError(f"from line {first + 1} on no line “# ///” ends it")
    end = len(inside) - inside[::-1].index("# ///")  # the last one counts
    if any(begin > first + end for begin in begins[1:]):
        raise ValueError(f"there is a second one at line {begins[-1] + 1}")
    return "\n" * (first + 1) + "\n".join(line[2:] for line in inside[: end - 1])


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
    # a number is a version that somebody set apart, and a package of that name a stranger's
    return "" if found.url or not re.search("[A-Za-z]", found.name) else str(found)


def _of(source: str) -> str:
    return f" of {source}" if source else ""


def _cannot(text: str, source: str) -> str:
    what = f"“{one_line(text, 100)}”{_of(source)} cannot be installed"
    conda = re.fullmatch(r"([\w.\[\],-]+) ?=+ ?(\d[\w.*]*)", text)
    if conda and (meant := _plain(f"{conda[1]}=={conda[2]}")):
        return f"{what}: write “{meant}”."
    return f"{what}: from PyPI only packages by name and version are."


def _no_index(text: str, source: str) -> str:
    return f"“{one_line(text, 100)}”{_of(source)} is no index: that is one address of a server."


def _left_out(text: str, source: str) -> str:
    return f"“{one_line(text, 100)}”{_of(source)} is not known here, and left out."


def _text(path: Path) -> str:
    if path.is_symlink():
        return ""
    with suppress(DescriptorError):
        return read_bytes(path, _MOST_BYTES).decode("utf-8", "replace")
    return ""


def _loaded(text: str) -> Mapping[str, object]:
    import tomllib  # few scripts have any

    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _toml(text: str) -> Mapping[str, object] | None:
    with suppress(ValueError):
        return _loaded(text) if text.strip() else None
    return None
