"""From a Galaxy descriptor to a Tool, with notes on what cannot be honoured."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.errors import DescriptorError
from napari_tool_runner.names import real_path
from napari_tool_runner.tools.common import HELP_FORMATS, Notes, dedent, read_page, tell_unlike
from napari_tool_runner.tools.galaxy.descriptor_tests import read_tests
from napari_tool_runner.tools.galaxy.inputs import read_inputs
from napari_tool_runner.tools.galaxy.outputs import read_outputs
from napari_tool_runner.tools.galaxy.source import GalaxySource, load_source
from napari_tool_runner.tools.model import (
    ContainerRequirement,
    HelpFormat,
    PackageRequirement,
    Requirement,
    Tool,
)

if TYPE_CHECKING:
    from napari_tool_runner.tools.formats import Formats

__all__ = ["read_tool"]

_TOOL_TYPES = {
    "data_source": "It fetches data from a web site through a Galaxy server.",
    "data_source_async": "It fetches data from a web site through a Galaxy server.",
    "data_destination": "It sends data away through a Galaxy server.",
    "manage_data": "It fills the reference data of a Galaxy server (a data manager).",
    "interactive": "It is an interactive tool: a web page that a Galaxy server keeps running.",
    "interactivetool": "It is an interactive tool: a web page that a Galaxy server keeps running.",
    "set_metadata": "It belongs to the inner workings of a Galaxy server.",
}
_SERVER_NAMES = {
    "__app__": "the Galaxy server itself",
    "__get_data_table_entry__": "reference data tables of a Galaxy server",
    "__tool_data_path__": "the reference data folder of a Galaxy server",
    "GALAXY_DATA_INDEX_DIR": "the reference data folder of a Galaxy server",
    "__datatypes_config__": "the datatypes file of a Galaxy server",
    "GALAXY_DATATYPES_CONF_FILE": "the datatypes file of a Galaxy server",
    "__root_dir__": "the folder of a Galaxy server",
    "GALAXY_ROOT_DIR": "the folder of a Galaxy server",
    "__galaxy_url__": "the address of a Galaxy server",
    "__user__.": "the account of a Galaxy user",
}


def read_tool(path: Path, root: Path | None, formats: Formats) -> Tool:
    """Read one descriptor.

    Parameters
    ----------
    path : Path
    root : Path or None
        The folder that imports may not leave.

    Raises
    ------
    DescriptorError
        Nothing can be shown of it: malformed, unsafe, or no ``<tool>``.
    """
    source = load_source(path, root, formats)
    element = source.root
    if element.tag != "tool":
        raise DescriptorError(
            f"{path.name} is no Galaxy tool: its root is <{element.tag}>.",
            path=path,
            hint="Give the file whose root is <tool>.",
        )
    notes = Notes()
    _server_features(source, notes)
    inputs = read_inputs(source, notes)
    tell_unlike(inputs, notes)
    outputs = read_outputs(source, notes)
    tests = read_tests(source, inputs, notes)
    help_text, help_format = _help(source, notes)
    page = read_page(element, source.path.parent, notes)
    tool_type = source.tool.parse_tool_type()
    expression = element.findtext("expression") if tool_type == "expression" else None
    return Tool(
        id=source.tool.parse_id() or path.stem,
        name=source.tool.parse_name() or path.stem,
        version=source.tool.parse_version() or "1.0.0",
        description=(source.tool.parse_description() or "").strip(),
        command=(expression or source.tool.parse_command() or "").strip(),
        inputs=inputs,
        outputs=outputs,
        requirements=_requirements(source, notes),
        tests=tests,
        help=help_text,
        help_format=help_format,
        uri=str(source.path),
        dialect="galaxy",
        digest=source.digest,
        profile=source.tool.parse_profile(),
        notes=tuple(notes.found),
        thumbnail=_icon(source),
        scripted=True,
        source=source,
        **page,
    )


def _server_features(source: GalaxySource, notes: Notes) -> None:
    """Note everything that only a Galaxy server can give."""
    element, error = source.root, notes.error
    kind = source.tool.parse_tool_type() or ""
    if kind in _TOOL_TYPES:
        error("tool", _TOOL_TYPES[kind])
    elif kind not in ("", "default", "expression"):
        error("tool", f"Tools of the type “{kind}” need a Galaxy server.")
    if element.find("entry_points") is not None and kind != "interactive":
        error("entry_points", _TOOL_TYPES["interactive"])
    code = element.find("code")
    if code is not None:
        file = code.get("file") or "code"
        error("code", f"It runs the Python file “{file}” inside a Galaxy server.")
    if element.find("action") is not None or element.find("type") is not None:
        error("action", "It is carried out by code of the Galaxy server.")
    inputs = element.find("inputs")
    if inputs is not None and inputs.get("action"):
        error("inputs", f"Its form is a web page ({inputs.get('action')}).")
    if kind != "expression" and not (source.tool.parse_command() or "").strip():
        error("command", "It has no command.")
    for expand in element.iter("expand"):
        error("expand", f"The macro “{expand.get('macro')}” is not defined.")
    try:
        source.tool.parse_stdio()
    except (ValueError, TypeError) as fault:
        notes.warning("command", f"{fault}; the exit code alone decides.")
    for variable in element.iter("environment_variable"):
        wanted = variable.get("inject")
        if wanted:
            place = f"environment_variables/{variable.get('name')}"
            error(place, f"It needs “{wanted}” of a Galaxy user.")
    if element.find("configfiles/file_sources") is not None:
        what = "It needs the file sources that a Galaxy server is configured with."
        error("configfiles/file_sources", what)
    _names(source, notes)


def _names(source: GalaxySource, notes: Notes) -> None:
    """Look for Galaxy's own names in the templates."""
    element = source.root
    templates = [("command", source.tool.parse_command() or "")]
    for tag in ("configfile", "environment_variable"):
        templates += [
            (f"{tag}[{entry.get('name')}]", entry.text or "") for entry in element.iter(tag)
        ]
    for where, text in templates:
        code = re.sub(r"(?m)^[^\S\n]*##.*$", "", text)
        for name, subject in _SERVER_NAMES.items():
            if re.search(rf"(?<!\\)\$\{{?{re.escape(name)}\b", code):
                notes.error(
                    where, f"It uses ${name.rstrip('.')}: {subject}, which does not exist here."
                )


def _requirements(source: GalaxySource, notes: Notes) -> tuple[Requirement, ...]:
    """Read ``<requirements>`` in the descriptor's order: packages, then containers."""
    packages, containers, resources, *rest = source.tool.parse_requirements()
    found: list[Requirement] = []
    for entry in packages:
        if entry.type == "package" and entry.name:
            found.append(PackageRequirement(name=entry.name, version=entry.version or ""))
            continue
        notes.warning(
            f"requirements/requirement[{entry.name}]",
            f"A requirement of the type “{entry.type}” is not provided here.",
        )
    for container in containers:
        kind = str(container.type)
        if kind in ("docker", "singularity") and container.identifier:
            found.append(ContainerRequirement(type=kind, image=str(container.identifier).strip()))
            continue
        notes.warning(
            f"requirements/container[{container.identifier}]",
            f"Containers of the type “{kind}” are not run here.",
        )
    for resource in resources:
        notes.info(
            f"requirements/resource[{resource.resource_type}]",
            f"It asks for {resource.resource_type} = {resource.value_or_expression}; "
            "set such limits in the configuration.",
        )
    if rest and rest[-1]:
        notes.error("requirements/credentials", "It needs credentials that a Galaxy server keeps.")
    if source.tool.parse_tool_type() == "expression" and not found:
        found.append(PackageRequirement(name="nodejs"))
    return tuple(found)


def _help(source: GalaxySource, notes: Notes) -> tuple[str, HelpFormat]:
    element = source.root.find("help")
    written = "" if element is None else element.get("format", "").strip().lower()
    if element is not None and written:
        element.set("format", "plain_text")  # Galaxy refuses a tool for a word that it lacks
        if written not in HELP_FORMATS:
            notes.info("help", f"Help in the format “{written}” is shown as it is.")
    content = source.tool.parse_help()
    if content is None:
        return "", "plain"
    pictures = source.path.parent / "static" / "images"
    text = (content.content or "").replace("$PATH_TO_IMAGES", pictures.as_uri())
    return dedent(text), HELP_FORMATS.get(written or content.format, "plain")


def _icon(source: GalaxySource) -> str:
    folder = real_path(source.path.parent)
    icon = source.root.find("icon[@src]")
    path = folder if icon is None else real_path(folder / icon.get("src", ""))
    return str(path) if path.is_relative_to(folder) and path.is_file() else ""
