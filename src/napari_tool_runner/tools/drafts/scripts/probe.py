"""Learn the options of a script: ``python probe.py OUT SCRIPT``, in the script's environment.

The script is run as a program without arguments. Where it would read them (argparse, click,
typer) its parser is written to OUT as JSON, and the process ends: nothing that comes after is
done. Nothing but the standard library is needed, of any Python from 3.8 on.
"""

import argparse
import json
import os
import runpy
import sys
from contextlib import suppress
from enum import Enum
from importlib import import_module

_NAMED = {int: "integer", float: "float", str: "text", bool: "boolean"}
NO_VALUE = "it takes no value"
_TYPES = {"IntParamType": "integer", "IntRange": "integer", "BoolParamType": "boolean"}
_TYPES.update({"FloatParamType": "float", "FloatRange": "float", "Choice": "choice"})
_TYPES.update({"StringParamType": "text", "Path": "path", "TyperPath": "path", "File": "file"})
_TYPES.update({"UUIDParameterType": "text", "DateTime": "text", "FuncParamType": "call"})


def plain(value):
    """Return a value in JSON types."""
    value = getattr(value, "value", value) if type(value).__module__ != "builtins" else value
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return str(value)


def name_of(one):
    """Return what a type or function is called."""
    return getattr(one, "__name__", type(one).__name__)


def metavar(one):
    """Return what an argument's value is called in the usage."""
    name = getattr(one, "metavar", None)
    return " ".join(map(str, name)) if isinstance(name, tuple) else str(name or "")


# -- argparse ------------------------------------------------------------------------------


def of_argparse(parser):
    """Return what an `argparse.ArgumentParser` takes."""
    commands = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {one.dest: one.help for one in action._choices_actions}
            seen = []
            for name, inner in action.choices.items():
                if inner not in seen:  # else another name of one
                    seen.append(inner)
                    told = of_argparse(inner)
                    for below in told["commands"]:
                        below["words"] = [name, *below["words"]]
                        below["help"] = below["help"] or plain(helps.get(name)) or ""
                    commands += told["commands"]
    own = [argument for action in parser._actions for argument in of_action(action)]
    groups = [
        [one.dest for one in group._group_actions] for group in parser._mutually_exclusive_groups
    ]
    for command in commands:
        command["before"] = [*own, *command["before"]]
        command["exclusive"] += groups
    here = {"words": [], "help": parser.description or "", "arguments": own, "before": []}
    return {"kind": "argparse", "commands": commands or [{**here, "exclusive": groups}]}


def of_action(action):
    """Yield what an argparse action takes."""
    kinds = (argparse._HelpAction, argparse._VersionAction, argparse._SubParsersAction)
    if isinstance(action, kinds) or action.help == argparse.SUPPRESS:
        return
    name = type(action).__name__
    default = None if action.default is argparse.SUPPRESS else plain(action.default)
    told = {
        "name": action.dest, "flags": list(action.option_strings), "help": action.help or "",
        "required": bool(action.required), "default": default, "kind": "text", "on": "", "off": "",
        "choices": None, "nargs": action.nargs, "minimum": None, "maximum": None,
        "repeated": False, "unknown": "", "mode": "", "folder": False,
        "metavar": metavar(action),
    }  # fmt: skip
    if isinstance(action, (argparse._StoreTrueAction, argparse._StoreFalseAction)):
        on = isinstance(action, argparse._StoreTrueAction)
        told.update(
            kind="boolean", nargs=None, **{"on" if on else "off": action.option_strings[-1]}
        )
    elif name == "BooleanOptionalAction":
        off = [flag for flag in action.option_strings if flag.startswith("--no-")]
        on = [flag for flag in action.option_strings if flag not in off]
        told.update(kind="boolean", nargs=None, on=on[-1], off=off[-1] if off else "")
    elif isinstance(action, (argparse._StoreConstAction, argparse._CountAction)):
        told["unknown"] = NO_VALUE
    else:
        told["repeated"] = isinstance(action, argparse._AppendAction)
        if not told["repeated"] and not isinstance(action, argparse._StoreAction):
            told["unknown"] = "an action of the script's own reads it"
        of_type(action.type, told)
        of_choices(action.choices, told)
    yield told


def of_type(kind, told):
    """Note the type of an argparse argument."""
    if kind in _NAMED or kind is None:
        told["kind"] = _NAMED.get(kind, "text")
        if kind is bool:
            told.update(
                kind="text", unknown="type=bool takes every text but an empty one for true"
            )
    elif isinstance(kind, argparse.FileType):
        told.update(kind="file", mode=kind._mode)
    elif isinstance(kind, type) and hasattr(kind, "__fspath__"):
        told["kind"] = "path"
    else:
        told.update(kind="call", unknown=f"its type “{name_of(kind)}” is the script's own")


def of_choices(choices, told):
    """Note what may be chosen."""
    if isinstance(choices, range) and choices.step == 1 and len(choices):
        told.update(minimum=choices.start, maximum=choices.stop - 1, kind="integer")
    elif choices is not None:
        told.update(choices=[str(plain(one)) for one in choices], kind="choice", unknown="")
        if told["default"] is not None:
            told["default"] = str(told["default"])


# -- click, typer --------------------------------------------------------------------------


def of_click(command):
    """Return what a `click.Command`, or a group of them, takes."""
    own = [argument for one in command.params for argument in of_param(one)]
    inner = getattr(command, "commands", None)
    if not inner:
        help_text = (command.help or "").split("\f")[0]
        here = {"words": [], "help": help_text, "arguments": own, "before": [], "exclusive": []}
        return {"kind": "click", "commands": [here]}
    commands = []
    for name, one in inner.items():
        for below in of_click(one)["commands"]:
            below["words"] = [name, *below["words"]]
            below["before"] = [*own, *below["before"]]
            commands.append(below)
    return {"kind": "click", "commands": commands}


def of_param(param):
    """Yield what a parameter of click takes."""
    positional = not hasattr(param, "is_flag")
    hidden = getattr(param, "hidden", False) or not getattr(param, "expose_value", True)
    if hidden or param.name in ("help", "show_completion", "install_completion"):
        return
    default, computed = param.default, ""
    if callable(default) and not isinstance(default, type):
        computed = "its default is computed by the script"
    given = not callable(default) and "UNSET" not in repr(default).upper()
    told = {
        "name": param.name, "flags": [] if positional else list(param.opts),
        "help": getattr(param, "help", None) or "", "required": bool(param.required),
        "default": plain(default) if given else None, "on": "", "off": "",
        "nargs": None if param.nargs == 1 else param.nargs, "unknown": computed,
        "repeated": bool(getattr(param, "multiple", False)), "metavar": metavar(param),
        **(of_click_type(param.type) if hasattr(param, "type") else of_annotation(param)),
    }  # fmt: skip
    if param.nargs == -1:
        told["nargs"] = "+" if param.required else "*"
    if told["choices"] is not None and told["default"] is not None:
        told["default"] = str(told["default"])
    if told["kind"] == "call":
        told["unknown"] = told["unknown"] or "its type is the script's own"
    if getattr(param, "is_flag", False):
        told.update(kind="boolean", default=bool(told["default"]), choices=None, unknown="")
        told.update(on=param.opts[-1], off=(param.secondary_opts or [""])[-1])
    elif getattr(param, "count", False):
        told["unknown"] = NO_VALUE
    yield told


def of_click_type(kind):
    """Return what a type of click says."""
    name = _TYPES.get(type(kind).__name__, "call")
    ends = {"minimum": getattr(kind, "min", None), "maximum": getattr(kind, "max", None)}
    for end, step in (("minimum", 1), ("maximum", -1)):
        if name == "integer" and ends[end] is not None and getattr(kind, f"{end[:3]}_open", False):
            ends[end] += step
    choices = [str(plain(one)) for one in kind.choices] if name == "choice" else None
    folder = name == "path" and not getattr(kind, "file_okay", True)
    mode = str(getattr(kind, "mode", ""))
    return {**ends, "kind": name, "choices": choices, "folder": folder, "mode": mode}


def of_annotation(param):
    """Return what a parameter of typer says that has no type of click, but an annotation."""
    kind, more = param.type_descriptor.annotation, param.type_descriptor.parameter_info
    kinds = [one for one in getattr(kind, "__args__", ()) if one is not type(None)]
    choices = None
    if "Literal" in repr(getattr(kind, "__origin__", "")):
        choices = kinds
    elif kinds:
        kind = kinds[0]
    if isinstance(kind, type) and issubclass(kind, Enum):
        choices = list(kind)
    name = "choice" if choices is not None else _NAMED.get(kind, "call")
    if isinstance(kind, type) and hasattr(kind, "__fspath__"):
        name = "path"
    return {
        "kind": name, "choices": None if choices is None else [str(plain(one)) for one in choices],
        "minimum": param.min, "maximum": param.max, "mode": "",
        "folder": name == "path" and not getattr(more, "file_okay", True),
    }  # fmt: skip


# -- catching ------------------------------------------------------------------------------


def tell(told, out):
    """Write what was learned, and end: what the script would do now is not done."""
    with open(out, "w", encoding="utf-8") as file:
        json.dump(told, file)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def catch(out):
    """Have the parsers of argparse, click and typer tell themselves in the place of parsing."""

    def parse(self, *_, **__):
        tell(of_argparse(self), out)

    for name in ("parse_args", "parse_known_args", "parse_intermixed_args"):
        setattr(argparse.ArgumentParser, name, parse)
    with suppress(ImportError):
        click = import_module("click")
        click.Command.main = lambda self, *_, **__: tell(of_click(self), out)
    with suppress(ImportError):
        typer = import_module("typer")
        typer.Typer.__call__ = lambda self, *_, **__: tell(of_typer(self), out)


def of_typer(app):
    """Return what a `typer.Typer` takes."""
    return of_click(import_module("typer.main").get_command(app))


def unused(found, out):
    """Tell a parser that the script has and does not use when it is run."""
    for one in found.values():
        if isinstance(one, argparse.ArgumentParser):
            tell(of_argparse(one), out)
        names = {base.__name__ for base in type(one).__mro__}
        if "Typer" in names:
            tell(of_typer(one), out)
        if "Command" in names and hasattr(one, "params"):
            tell(of_click(one), out)


def failed(error, script):
    """Return what stopped a script before it read its arguments, and on which line of it."""
    line, file = getattr(error, "lineno", None), getattr(error, "filename", None) or script
    at = None if isinstance(error, SyntaxError) else error.__traceback__
    here = os.path.dirname(os.path.abspath(script)) + os.sep
    while at is not None:  # the last place in the script or what lies beside it
        name = os.path.abspath(at.tb_frame.f_code.co_filename)
        if name.startswith(here) and name != os.path.abspath(__file__):
            file, line = name, at.tb_lineno
        at = at.tb_next
    kinds = (("syntax", SyntaxError), ("module", ModuleNotFoundError), ("ended", SystemExit))
    kind = next((kind for kind, one in kinds if isinstance(error, one)), "error")
    said = {"syntax": getattr(error, "msg", ""), "module": getattr(error, "name", "")}
    said["ended"] = str(getattr(error, "code", "") or "")
    said["error"] = (type(error).__name__ + ": " + str(error)).rstrip(": ")
    version = ".".join(map(str, sys.version_info[:2]))
    name = os.path.abspath(str(file))
    return {
        "kind": kind, "line": line, "said": said[kind] or "", "version": version,
        "file": name[len(here) :] if name.startswith(here) else os.path.basename(name),
    }  # fmt: skip


def main():
    """Run the script until it would read its arguments."""
    out, script = sys.argv[1:3]
    sys.argv = [script]
    sys.path[0] = os.path.dirname(os.path.abspath(script))
    catch(out)
    try:
        unused(runpy.run_path(script, run_name="__main__"), out)
    except (Exception, SystemExit) as error:  # noqa: BLE001 (whatever it is, it is told)
        tell({"failed": failed(error, script)}, out)
    tell({"failed": {"kind": "none", "line": None, "said": "", "version": "", "file": ""}}, out)


if __name__ == "__main__":
    main()
