"""Reads a descriptor of the bioimageit dialect into a `Tool`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypedDict

from napari_tool_runner.errors import TemplateError
from napari_tool_runner.tools.bioimageit.conditions import with_conditions
from napari_tool_runner.tools.bioimageit.own_tests import read_tests
from napari_tool_runner.tools.bioimageit.parameters import read_parameter
from napari_tool_runner.tools.bioimageit.rendering import (
    FIJI,
    TOLD,
    TOOL_DIRECTORY,
    Source,
    parse_template,
    resolve,
    shell_syntax,
)
from napari_tool_runner.tools.common import (
    HELP_FORMATS,
    Notes,
    dedent,
    layer_kinds,
    line,
    ndims,
    read_page,
    tell_unlike,
)
from napari_tool_runner.tools.formats import Formats, split_formats
from napari_tool_runner.tools.model import (
    BooleanParameter,
    ContainerRequirement,
    DataOutput,
    DataParameter,
    HelpFormat,
    Link,
    PackageRequirement,
    Parameter,
    PythonRequirement,
    Requirement,
    Tool,
)
from napari_tool_runner.tools.python_needs import TORCH_BUILDS, is_address, versions, wanted
from napari_tool_runner.tools.values import FALSE_WORDS

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from napari_tool_runner.tools.candidate import Candidate

__all__ = ["read_descriptor"]

_KNOWN = frozenset(
    {"description", "requirements", "command", "prepare", "inputs", "outputs", "tests", "help"}
    | {"citations", "xrefs", "edam_topics", "edam_operations", "creator"}
)
_OUTPUT_ATTRIBUTES = frozenset(
    {"name", "label", "format", "from_work_dir", "hidden"}
    | {"layer", "ndim", "axes", "reference", "join", "size"}  # our own
)
_REQUIREMENTS = {
    "package": {"", "conda", "pip"},
    "container": {"", "docker", "singularity"},
    "requirement": {"", "package"},
}
# none that decides what a program is, or finds
_VARIABLE = re.compile(r"(?!LD_|DYLD_|PYTHON|PATH$|HOME$|TE?MP|CONDA)[A-Z][A-Z0-9_]*")
_URL = re.compile(r"https?://\S+")


def read_descriptor(candidate: Candidate) -> Tool:
    """Read one descriptor.

    Raises
    ------
    DescriptorError
        Not readable, not well-formed, unsafe, or its root is not ``<tool>``.
    """
    root = candidate.root("tool")
    path = candidate.path.absolute()
    notes = Notes()
    _tell_unknown(root, notes)
    inputs, aliases = _inputs(root, notes, candidate.formats)
    outputs = _outputs(root, notes, aliases, inputs, candidate.formats)
    command = _text(root.find("command"))
    help_text, help_format, links = _help(root)
    page = read_page(root, path.parent, notes, *links)
    tool_id = root.get("id", "").strip()
    if not tool_id:
        tool_id = path.stem
        notes.warning("tool", f"It has no id; “{tool_id}”, its file's name, is used.")
    kind = root.get("type", "").strip().lower()
    if kind not in {"", "sequential", "merge"}:
        notes.warning("tool", f"The type “{kind}” is not known; it is run as sequential.")
    if kind == "merge":  # such a tool takes the numbers of many datasets
        inputs = tuple(
            replace(entry, multiple=True) if isinstance(entry, DataParameter) else entry
            for entry in inputs
        )
    _check_command(root, command, aliases, notes)
    network, network_if = _network(root, inputs, notes, asked=page["network"])
    page["network"] = network
    return Tool(
        id=tool_id,
        name=root.get("name", "").strip() or tool_id,
        version=root.get("version", "").strip(),
        description=line(root.find("description")),
        command=command.strip(),
        inputs=inputs,
        outputs=outputs,
        requirements=_requirements(root, notes),
        tests=read_tests(root, path.parent, inputs, outputs, aliases, notes),
        help=help_text,
        help_format=help_format,
        uri=str(path),
        dialect="bioimageit",
        digest=candidate.digest,
        type="merge" if kind == "merge" else "sequential",
        profile=root.get("profile", ""),
        thumbnail=root.get("thumbnail", "").strip(),
        network_if=network_if,
        weights=_weights(root, notes),
        **_prepare(root, network, notes),
        notes=tuple(notes.found),
        source=Source(aliases),
        **page,
    )


def _network(
    root: Element, inputs: tuple[Parameter, ...], notes: Notes, *, asked: bool
) -> tuple[bool, str]:
    """Return whether a tool wants the network, and the check box that has to be ticked for it."""
    name = root.get("network", "").strip()
    if asked or name.lower() in FALSE_WORDS:
        return asked, ""
    if any(isinstance(one, BooleanParameter) and one.name == name for one in inputs):
        return True, name
    notes.warning("tool", f"network=“{name}” is no check box of its own; it gets no network.")
    return False, ""


def _weights(root: Element, notes: Notes) -> tuple[str, ...]:
    """Return the variables that name the folder of its weights."""
    names = tuple(dict.fromkeys(root.get("weights", "").split()))
    wrong = [name for name in names if not _VARIABLE.fullmatch(name)]
    if wrong:
        notes.warning("tool", f"weights: {', '.join(wrong)} cannot name a folder of weights.")
    return tuple(name for name in names if name not in wrong)


class _Prepare(TypedDict):
    prepare: str
    prepare_size: int | None


def _prepare(root: Element, network: bool, notes: Notes) -> _Prepare:
    """Return the command that only fetches weights, and about how many bytes they are."""
    element = root.find("prepare")
    command = _text(element).strip()
    if element is None or not (command and network and root.get("weights")):
        if element is not None:
            notes.warning("prepare", "It is left out: it needs a command, network= and weights=.")
        return {"prepare": "", "prepare_size": None}
    told = element.get("megabytes", "")
    size = int(float(told) * 1e6) if re.fullmatch(r"\d{1,7}(\.\d{1,3})?", told) else None
    if told and size is None:
        notes.warning("prepare", f"megabytes=“{told}” is no number.")
    return {"prepare": command, "prepare_size": size}


# -- inputs and outputs ------------------------------------------------------------------


def _inputs(
    root: Element, notes: Notes, formats: Formats
) -> tuple[tuple[Parameter, ...], dict[str, str]]:
    found: dict[str, Parameter] = {}
    aliases: dict[str, str] = {}
    applies: dict[str, str] = {}
    for child in root.iterfind("inputs[1]/*"):
        if child.tag != "param":
            name = child.get("name", "")
            notes.warning(
                f"inputs/{child.tag}[{name}]" if name else f"inputs/{child.tag}",
                f"<{child.tag}> is not part of this language; what it holds is not offered.",
            )
            continue
        parameter = read_parameter(child, notes, formats)
        if parameter is None:
            continue
        if parameter.name in found:
            notes.error(
                f"inputs/param[{parameter.name}]",
                f"Two parameters are called “{parameter.name}”; only the first is offered.",
            )
            continue
        found[parameter.name] = parameter
        if text := child.get("applies", "").strip():
            applies[parameter.name] = text
        for alias in _aliases(child.get("argument", ""), child.get("name", ""), parameter.name):
            aliases.setdefault(alias, parameter.name)
    tell_unlike([*found.values()], notes)
    data = [parameter.name for parameter in found.values() if isinstance(parameter, DataParameter)]
    told = [f"{name}{what}" for name in data for what in TOLD]
    return with_conditions(found, applies, notes), {
        **dict(zip(told, told, strict=True)),
        **aliases,
    }


def _outputs(
    root: Element,
    notes: Notes,
    aliases: dict[str, str],
    inputs: tuple[Parameter, ...],
    formats: Formats,
) -> tuple[DataOutput, ...]:
    found: dict[str, DataOutput] = {}
    taken = {parameter.name for parameter in inputs}
    for child in root.iterfind("outputs[1]/*"):
        if child.tag != "data":
            notes.warning(
                f"outputs/{child.tag}",
                f"<{child.tag}> is not part of this language; it is left out.",
            )
            continue
        name = child.get("name", "").strip()
        if not name:
            notes.warning("outputs/data", "An output has no name; it is left out.")
            continue
        if name in found or name in taken:
            notes.error(
                f"outputs/data[{name}]",
                f"Another {'output' if name in found else 'parameter'} is called “{name}” too.",
            )
            continue
        found[name] = _output(child, name, notes.at(f"outputs/data[{name}]"), formats)
        for alias in _aliases(name):
            aliases.setdefault(alias, name)
    for output in found.values():
        where = f"outputs/data[{output.name}]"
        if output.reference and aliases.get(output.reference) is None:
            notes.warning(where, f"reference=“{output.reference}” names no input.")
        if output.join and aliases.get(output.join) is None:
            notes.warning(where, f"join=“{output.join}” names no input or output.")
        if output.size and aliases.get(output.size) is None:
            notes.warning(where, f"size=“{output.size}” names no input.")
    return tuple(found.values())


def _output(element: Element, name: str, notes: Notes, known: Formats) -> DataOutput:
    for attribute in sorted(element.attrib.keys() - _OUTPUT_ATTRIBUTES):
        notes.info("", f"The attribute “{attribute}” has no meaning here.")
    for child in element:
        notes.warning("", f"<{child.tag}> is not part of this language; it is left out.")
    formats = split_formats(element.get("format", ""))
    if len(formats) > 1:
        notes.info("", f"An output has one format; “{formats[0]}” is taken.")
    if formats and formats[0] not in known:
        notes.info("", f"The format “{formats[0]}” is not known; the file is kept as it is.")
    kinds = layer_kinds(element.get("layer", ""), notes)
    return DataOutput(
        name=name,
        label=" ".join(element.get("label", "").split()) or name,
        format=formats[0] if formats else "",
        kind=kinds[0] if kinds else None,
        ndim=ndims(element.get("ndim", ""), notes),
        axes=element.get("axes", "").strip().upper(),
        reference=element.get("reference", "").strip(),
        join=element.get("join", "").strip(),
        size=element.get("size", "").strip(),
        from_work_dir=element.get("from_work_dir", "").strip(),
        hidden=element.get("hidden", "").strip().lower() == "true",
    )


def _aliases(*names: str) -> list[str]:
    """Return what a placeholder may say for a param of these names."""
    found: list[str] = []
    for name in names:
        plain = name.strip()
        for form in (plain, plain.lstrip("-"), plain.replace("-", "")):
            if form and form not in found:
                found.append(form)
    return found


# -- the rest ----------------------------------------------------------------------------


def _tell_unknown(root: Element, notes: Notes) -> None:
    for child in root:
        if child.tag not in _KNOWN:
            notes.warning(child.tag, f"<{child.tag}> is not part of this language.")
    for tag in sorted({child.tag for child in root}):
        if tag in _KNOWN and len(root.findall(tag)) > 1:
            notes.warning(tag, f"<{tag}> occurs more than once; the first is read.")


def _check_command(root: Element, command: str, aliases: Mapping[str, str], notes: Notes) -> None:
    element = root.find("command")
    if element is not None and element.get("interpreter"):
        notes.warning("command", "The attribute “interpreter” has no meaning here.")
    try:
        tokens = parse_template(command)
    except TemplateError as error:
        notes.error("command", error.message)
        return
    if not tokens:
        notes.error("command", "There is no command to run.")
        return
    operator = shell_syntax(command)
    if operator:
        notes.error(
            "command",
            f"It uses “{operator}”, which only a shell understands; commands of this "
            "language are run without one.",
        )
    for place, name in resolve(tokens, aliases).items():
        if place.name == TOOL_DIRECTORY or name is not None:
            continue
        if place.name == FIJI:
            notes.info("command", "It needs Fiji: set “fiji” in config.json to its program.")
        elif place.braced and re.fullmatch(r"[A-Za-z_][\w.-]*", place.name):
            notes.warning(
                "command",
                f"{place.text} is no parameter or output; it must be an “env” entry of "
                "config.json.",
            )
        else:
            notes.error("command", f"{place.text} is no parameter or output of the tool.")


def _requirements(root: Element, notes: Notes) -> tuple[Requirement, ...]:
    found: list[Requirement] = []
    for child in root.iterfind("requirements[1]/*"):
        text = line(child)
        kind = child.get("type", "").strip().lower()
        where = f"requirements/{child.tag}"
        if child.tag not in _REQUIREMENTS:
            notes.warning(where, f"<{child.tag}> is not part of this language; it is left out.")
        elif not text:
            notes.warning(where, "It names nothing; it is left out.")
        elif kind not in _REQUIREMENTS[child.tag]:
            subject = f"{child.tag.capitalize()}s of type “{kind}”"
            notes.warning(where, f"{subject} are not known; left out.")
        elif child.tag == "container":
            found.append(ContainerRequirement(type=kind or "docker", image=text))
        elif child.tag == "requirement":
            found.append(PackageRequirement(name=text, version=child.get("version", "").strip()))
        elif kind == "pip":
            found.append(_from_pypi(child, notes))
        else:
            if re.search(r"\bpip3? +install\b", text):
                what = "It holds “pip install”, which conda does not know; use init= for that."
                notes.warning(where, what)
            env, init = child.get("env", "").strip(), child.get("init", "").strip()
            found.append(PackageRequirement(text=text, env=env, init=init))
    return tuple(found)


def _from_pypi(element: Element, notes: Notes) -> PythonRequirement:
    needed, where = wanted(_text(element).splitlines(), several=True), "requirements/package"
    needed.tell(notes, where)
    indexes = element.get("index", "").split()
    for one in (one for one in indexes if not is_address(one)):
        notes.error(where, f"index=“{one}” is no address.")
    torch = element.get("torch", "").strip()
    if torch not in TORCH_BUILDS:
        notes.error(where, f"torch=“{torch}” is none of auto, cpu.")
    python = element.get("python", "").strip()
    if python and not versions(python):
        notes.error(where, f"python=“{python}” names no versions, as 3.12 or >=3.11.")
    return replace(
        needed.requirement,
        torch=torch if torch in TORCH_BUILDS else "",
        python=versions(python),
        indexes=tuple(filter(is_address, indexes)),
    )


def _help(root: Element) -> tuple[str, HelpFormat, tuple[Link, ...]]:
    element = root.find("help")
    if element is None:
        return "", "plain", ()
    text = dedent(_text(element))
    # BioImageIT's help is one address, also as an attribute in old files
    compact = "".join(text.split()) or element.get("url", "").strip()
    if _URL.fullmatch(compact) and compact.count("://") == 1:
        return compact, "url", (Link("Documentation", compact),)
    return text, HELP_FORMATS.get(element.get("format", "").strip().lower(), "plain"), ()


def _text(element: Element | None) -> str:
    return "" if element is None else "".join(element.itertext())
