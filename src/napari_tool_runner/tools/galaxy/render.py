"""The script of a call: templates filled, configfiles and environment beside it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from packaging.version import Version

from napari_tool_runner.errors import TemplateError
from napari_tool_runner.tools.dialect import JobPaths, RenderedCommand
from napari_tool_runner.tools.galaxy.context import Context, inputs_json, wrap_inputs
from napari_tool_runner.tools.galaxy.javascript import render_expression
from napari_tool_runner.tools.galaxy.output_plan import plan_outputs
from napari_tool_runner.tools.galaxy.script import Rules
from napari_tool_runner.tools.galaxy.templates import fill
from napari_tool_runner.tools.model import ContainerRequirement

if TYPE_CHECKING:
    from napari_tool_runner.tools.galaxy.source import GalaxySource
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.tools.tree import BoundValues

__all__ = ["render"]

_NOBODY = "Anonymous"
# an explicit image may have no bash; then its sh runs the script, as in Galaxy
_TELL_VERSION = (
    'if command -v bash >/dev/null 2>&1; then bash "$0"; else sh "$0"; fi >"$1" 2>&1 </dev/null'
)
_ANY_SHELL = 'if command -v bash >/dev/null 2>&1; then exec bash "$0"; else exec sh "$0"; fi'


def render(
    tool: Tool,
    source: GalaxySource,
    values: BoundValues,
    paths: JobPaths,
    variables: Mapping[str, str],
) -> RenderedCommand:
    """Return what Galaxy would run for `values`; nothing is written.

    The command's lines are joined to one, as Galaxy does; ``set -e`` follows the
    profile. Configfiles go to ``<root>/configs``, the script beside it.

    Raises
    ------
    TemplateError
        A template raised, or the descriptor has no command.
    ParameterError
        A dataset breaks a validator.
    """
    from galaxy.util.xml_macros import template_macro_params

    rules = Rules(source, paths)
    inputs = wrap_inputs(tool, values, rules)
    context = {**_plain_names(tool), **template_macro_params(source.root), **inputs}
    outputs = plan_outputs(tool, context, rules)
    context |= _galaxy_names(tool, rules)
    context.setdefault("input", _no_input)
    if source.tool.parse_tool_type() == "expression":
        command = render_expression(tool, values, inputs, outputs, rules)
    else:
        _configfiles(tool, values, inputs, context, rules)
        command = _command(context, rules)
    environment = _environment(context, rules, variables)
    strict = "set -e\n" if source.tool.parse_strict_shell() else ""
    version = _version(rules)
    script = f"#!/bin/bash\n{rules.preamble()}{strict}{command}\n"
    path = paths.root / "tool_script.sh"
    explicit = any(isinstance(entry, ContainerRequirement) for entry in tool.requirements)
    shell = ("sh", "-c", _ANY_SHELL) if explicit else ("bash",)
    return RenderedCommand(
        argv=(*shell, str(path)),
        outputs=outputs,
        files={**rules.files, path: script},
        environment=environment,
        script=script,
        notes=tuple(rules.notes),
        version=version,
    )


def _no_input() -> str:
    """Keep a template's ``$input`` from reading the terminal when no such input exists."""
    from galaxy.util.template import InputNotFoundSyntaxError

    raise InputNotFoundSyntaxError("Unbound variable 'input'.")


def _galaxy_names(tool: Tool, rules: Rules) -> Context:
    """Galaxy's own names: true ones where they exist here, harmless ones elsewhere."""
    work = str(rules.shown(rules.paths.work))
    return {
        "__tool_directory__": str(rules.shown(rules.source.path.parent)),
        "__tool_id__": tool.id,
        "__tool_version__": tool.version,
        "__local_working_directory__": str(rules.shown(rules.paths.root)),
        "__new_file_path__": work,
        "__user__": None,
        "__user_id__": _NOBODY,
        "__user_email__": _NOBODY,
        "__user_name__": _NOBODY,
        "__history_id__": "",
        "__galaxy_url__": "",
        "__admin_users__": "",
    }


def _plain_names(tool: Tool) -> Context:
    """Names that Galaxy gives and that a descriptor's own may hide."""
    return {
        "userId": _NOBODY,
        "userEmail": _NOBODY,
        "chromInfo": "?",
        "dbkey": "?",
        "on_string": "",
        "tool": {"id": tool.id, "name": tool.name, "version": tool.version},
    }


def _command(context: Context, rules: Rules) -> str:
    source = rules.source
    template = source.tool.parse_command()
    if not template or not template.strip():
        raise TemplateError(
            f"{source.path.name} has no command.", hint="Such a tool cannot be run here."
        )
    if "$param_file" in template and source.profile < Version("16.04"):
        context["param_file"] = rules.write(
            "".join(f"{name}={value}\n" for name, value in context.items())
        )
    text = fill(template, context, source.template_version, "command")
    line = " ".join(part.strip() for part in text.replace("\r", " ").split("\n")).strip()
    interpreter = source.tool.parse_interpreter()
    if interpreter and line.split():
        program = line.split()[0]
        real = rules.shown(source.path.parent / program)
        line = line.replace(program, f"{interpreter} {shlex.quote(str(real))}", 1)
    return line.rstrip("; ")


def _version(rules: Rules) -> tuple[str, ...]:
    """Have the script of ``<version_command>`` written; return what runs it."""
    source = rules.source
    command = (source.tool.parse_version_command() or "").strip()
    if not command:
        return ()
    interpreter = source.tool.parse_version_command_interpreter()
    if interpreter:
        program = command.split()[0]
        place = shlex.quote(str(rules.shown(source.path.parent / program)))
        command = f"{interpreter} {command.replace(program, place, 1)}"
    folder = str(rules.shown(source.path.parent))
    command = Template(command).safe_substitute(__tool_directory__=folder)
    path = rules.paths.root / "tool_version.sh"
    rules.files[path] = f"#!/bin/bash\n{rules.preamble()}{command}\n"
    return ("sh", "-c", _TELL_VERSION, str(path), str(rules.paths.version))


def _configfiles(
    tool: Tool, values: BoundValues, inputs: Context, context: Context, rules: Rules
) -> None:
    source = rules.source

    def register(name: str | None, filename: str | None, text: str) -> None:
        path = rules.configs / _safe(name or filename or f"config_{len(rules.files)}")
        rules.files[path] = text
        if filename:
            # Galaxy links it into the working directory, under the name that was asked for
            rules.files[_inside(rules.paths.work, filename)] = text
        if name:
            context[name] = str(rules.shown(path))

    for entry in source.tool.parse_input_configfiles():
        style = entry.content.handle_files
        text = inputs_json(tool, values, inputs, source.profile, style)
        register(entry.name, entry.filename, text)
    for template in source.tool.parse_template_configfiles():
        where = f"configfile {template.name or template.filename}"
        content = template.content or ""
        text = fill(str(content), context, source.template_version, where)
        register(template.name, template.filename, text)


def _environment(context: Context, rules: Rules, variables: Mapping[str, str]) -> dict[str, str]:
    """Variables that the descriptor sets, and those that Galaxy always sets.

    The caller's own (config ``env``) win over Galaxy's defaults.
    """
    found = {
        "GALAXY_SLOTS": variables.get("GALAXY_SLOTS", "1"),
        "_GALAXY_JOB_TMP_DIR": str(rules.paths.temp),
        "_GALAXY_JOB_HOME_DIR": str(rules.paths.home),
    }
    for name in ("GALAXY_MEMORY_MB", "GALAXY_MEMORY_MB_PER_SLOT"):
        if name in variables:
            found[name] = variables[name]
    source = rules.source
    for definition in source.tool.parse_environment_variables():
        name, template = definition["name"], definition["template"]
        if not name or definition["inject"]:
            continue
        text = fill(template or "", context, source.template_version, f"variable {name}")
        # the shell's $(cat …) drops the newlines at the end
        found[str(name)] = text.strip() if definition["strip"] else text.rstrip("\n")
    return found


def _safe(name: str) -> str:
    return "".join(char if char.isalnum() or char in "_.-" else "_" for char in name).lstrip(".")


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    if ".." in Path(name).parts or Path(name).is_absolute():
        raise TemplateError(
            f"A configfile is called “{name}”, which lies outside the working directory.",
            hint="Such a descriptor is not run.",
        )
    return path
