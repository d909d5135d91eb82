"""The command line: the same verbs without a window, for people and for other programs.

Exit status: 0 all well, 1 something failed, 2 wrong use, 130 interrupted.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import io
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Literal

from napari_tool_runner import ahead_verbs, author_verbs, toolbox_verbs, verbs
from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.printing import keep_results_apart, print_json, results, say

__all__ = ["main"]

_OBJECTS = 100_000
"""New objects after which a program of ours looks for garbage: imports make many that stay."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Without `argv` it is the program itself, whose arguments are those of the process.
    """
    if argv is None:
        gc.set_threshold(_OBJECTS)
        atexit.register(gc.freeze)  # what ends with the process is not looked through
    args = _arguments(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that it cannot tell ends nothing
        sys.stdout.reconfigure(errors="backslashreplace")
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    verb: Verb = args.verb
    with keep_results_apart():
        return _run(verb, args)


def _run(verb: Verb, args: argparse.Namespace) -> int:
    try:
        code = verb.run(args)
        results().flush()
        return code
    except ToolRunnerError as error:
        if getattr(args, "json", None) is True:
            print_json({"error": {"type": type(error).__name__, "message": str(error)}})
        say(f"error: {error}")
        return 1
    except BrokenPipeError:  # the reader (head, less) has seen enough
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        say("interrupted")
        return 130


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a verb: a name that stands in its place, or an option (``--name``).

    Parameters
    ----------
    nargs : str, optional
        How often a name may stand there, as argparse writes it.
    """

    name: str
    help: str
    metavar: str | None = None
    action: Literal["store", "store_true", "append"] = "store"
    nargs: str | None = None
    type: Callable[[str], object] = str
    default: object = None
    choices: tuple[str, ...] | None = None

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Make `parser` take this argument."""
        if self.action == "store_true":
            parser.add_argument(self.name, help=self.help, action="store_true")
            return
        parser.add_argument(
            self.name,
            help=self.help,
            metavar=self.metavar,
            action=self.action,
            nargs=self.nargs,
            type=self.type,
            default=self.default,
            choices=self.choices,
        )


@dataclass(frozen=True, slots=True)
class Verb:
    """What can be asked for."""

    name: str
    help: str
    run: Callable[[argparse.Namespace], int]
    arguments: tuple[Argument, ...] = ()


def _count(text: str) -> float:
    """Return a number of seconds or days."""
    if not 0 <= float(text) <= 1e8:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 100,000,000")
    return float(text)


# -- every verb and argument, once: the parser and docs/command-line.md follow from it ----------

CONFIG = Argument("--config", "configuration to use", "FILE")
_JSON = Argument("--json", "print JSON", action="store_true")
_TOOL = Argument("tool", "id of a tool, or path of a descriptor", "TOOL")
_PLACES = "cond|x=1, rep_0|x=2 …"
_VALUES = Argument("values", _PLACES, "NAME=VALUE", nargs="*")
_RUNNING = (
    Argument("--runner", "LOCAL, CONDA, DOCKER, …", "NAME"),
    Argument("--timeout", "end it after that", "SECONDS", type=_count),
    Argument(
        "--path", "put FOLDER first on the PATH of LOCAL tools", "FOLDER", "append", default=[]
    ),
)
_AXES = Argument("--axes", "what the axes of a file are", "NAME=TZCYX", "append", default=[])
_OUTPUT_DIR = Argument("--output-dir", "copy the results there", "DIR")
_NO_CACHE = Argument("--no-cache", "run it, whatever was run before", action="store_true")
_QUIET = Argument("--quiet", "do not echo the tool's output", action="store_true")
_RECORD = Argument("record", "id, record.json, or a job's folder", "RECORD")

VERBS = (
    Verb(
        "list",
        "List the tools of the configured toolboxes.",
        verbs.list_tools,
        (Argument("--search", "only what matches, best first", "TEXT"), _JSON),
    ),
    Verb("show", "Show a tool's form as text.", verbs.show_tool, (_TOOL, _JSON)),
    Verb(
        "check",
        "Read descriptors and print what could not be honoured.",
        verbs.check_descriptors,
        (Argument("paths", "descriptors or folders", "PATH", nargs="+"), _JSON),
    ),
    Verb(
        "run",
        "Run a tool on files.",
        verbs.run_tool,
        (
            _TOOL,
            _VALUES,
            _AXES,
            *_RUNNING,
            _OUTPUT_DIR,
            _NO_CACHE,
            Argument("--dry-run", "say what would happen", action="store_true"),
            _QUIET,
            _JSON,
        ),
    ),
    Verb(
        "render",
        "Print the exact command and files, without running.",
        verbs.render_tool,
        (_TOOL, _VALUES, _AXES, *_RUNNING, _JSON),
    ),
    Verb(
        "test",
        "Run the tests of descriptors (all shipped tools without TOOL).",
        verbs.test_tools,
        (
            Argument("tools", "ids or paths", "TOOL", nargs="*"),
            *_RUNNING,
            Argument("--no-cache", "tests are always run", action="store_true"),
            Argument("--json", "write the outcomes", "FILE"),
        ),
    ),
    Verb(
        "batch",
        "Run a tool over many files.",
        verbs.batch,
        (
            _TOOL,
            Argument("values", _PLACES, "NAME=GLOB", nargs="*"),
            _AXES,
            *_RUNNING,
            Argument("--jobs", "how many at once", "N", type=int, default=1),
            _OUTPUT_DIR,
            _NO_CACHE,
            _JSON,
        ),
    ),
    Verb(
        "sweep",
        "Run a tool with several values of a parameter or two.",
        verbs.sweep,
        (
            _TOOL,
            _VALUES,
            _AXES,
            Argument(
                "--over",
                "1,2,5 or 1:10:1 (from, to, step) or 1:100:5log (so many, equal ratios; lin: "
                "equal steps); again for a second parameter",
                "NAME=VALUES",
                "append",
                default=[],
            ),
            *_RUNNING,
            Argument("--table", "write values, figures and files as CSV", "FILE"),
            _OUTPUT_DIR,
            _NO_CACHE,
            _JSON,
        ),
    ),
    Verb(
        "new",
        "Make the folder of a new tool: descriptor, script and test.",
        author_verbs.new_tool,
        (
            Argument("folder", "where, called as the tool is to be called", "FOLDER"),
            Argument(
                "--script",
                "a Python script whose options (argparse, click, typer) become the form; it is "
                "started, after a question",
                "FILE",
            ),
            Argument("--conda", "packages that it needs, as -c conda-forge scipy", "SPEC"),
            Argument("--image", "container image that it runs in", "IMAGE"),
            Argument("--yes", "start the script without asking", action="store_true"),
            _JSON,
        ),
    ),
    Verb(
        "make-test",
        "Make a test of a past job, in the tool's folder.",
        author_verbs.make_test,
        (_RECORD, Argument("--yes", "copy also what is large (above 5 MB)", action="store_true")),
    ),
    Verb(
        "prepare",
        "Fetch ahead what tools need: environments, images, models; says sizes before.",
        ahead_verbs.make_ready,
        (
            Argument(
                "tools",
                "tools, categories, names or folders of toolboxes; NAME=VALUE: which model",
                "TOOL",
                nargs="+",
            ),
            _RUNNING[0],
            Argument("--yes", "fetch it without asking", action="store_true"),
            _JSON,
        ),
    ),
    Verb("runners", "Say what this computer can run.", verbs.list_runners, (_JSON,)),
    Verb(
        "history",
        "List past jobs, newest first.",
        verbs.list_history,
        (
            Argument("record", "only this job", "RECORD", nargs="?"),
            Argument(
                "--as",
                "print how to run RECORD again: a script, a command line, or its record",
                choices=("python", "command", "json"),
            ),
            Argument("--tool", "only of this tool", "ID"),
            Argument("--limit", "only the newest N", "N", type=int, default=0),
            _JSON,
        ),
    ),
    Verb(
        "rerun",
        "Repeat a past job and compare the results.",
        verbs.run_again,
        (
            _RECORD,
            Argument("--tool", "run this tool (id or path), not what the record names", "TOOL"),
            Argument(
                "--lend",
                "give the tool the files that a record of others names outside of its folder",
                action="store_true",
            ),
            *_RUNNING,
            _OUTPUT_DIR,
            _QUIET,
            _JSON,
        ),
    ),
    Verb(
        "export",
        "Write a past job as a Process Run Crate.",
        verbs.export_record,
        (_RECORD, Argument("--to", "folder or .zip to write", "PATH")),
    ),
    Verb(
        "toolbox",
        "Add a toolbox (a folder, a zip, a package of PyPI), list or remove those added.",
        toolbox_verbs.toolboxes,
        (
            Argument("action", "what to do", choices=("add", "list", "remove")),
            Argument("what", "a folder, zip or package; to remove: its name", "WHAT", nargs="?"),
            Argument("--name", "what it is to be called", "NAME"),
            Argument("--yes", "download and add it without asking", action="store_true"),
            _JSON,
        ),
    ),
    Verb(
        "trust",
        "Look at a folder of tools and let them run.",
        verbs.approve_folder,
        (
            Argument("folder", "a folder of the configuration", "FOLDER"),
            Argument("--show", "show what every tool would run", action="store_true"),
            Argument("--yes", "approve without asking", action="store_true"),
            Argument("--mine", "you write these tools: follow changes", action="store_true"),
            Argument("--revoke", "take an approval back", action="store_true"),
        ),
    ),
    Verb(
        "clean",
        "Show what jobs, environments and containers use; reclaim it.",
        verbs.clean,
        (
            Argument("--yes", "delete what is listed", action="store_true"),
            Argument(
                "--older-than",
                "jobs that are older than that (jobs.keep_days of the configuration; 30)",
                "DAYS",
                type=_count,
            ),
            Argument(
                "--only",
                "job, results, environment, container, image, weights, toolbox",
                "KIND",
                "append",
            ),
        ),
    ),
    Verb(
        "demo",
        "Open napari with a sample, run a tool, show the result.",
        verbs.open_demo,
        (Argument("--screenshot", "write a picture and exit", "FILE"),),
    ),
)


class _Version(argparse.Action):
    """Tells the version, which nobody else pays for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        from napari_tool_runner import __version__

        sys.stdout.write(f"{parser.prog} {__version__}\n")
        parser.exit()


def _parser(asked: str = "") -> argparse.ArgumentParser:
    """Return the parser of all verbs; of the one that is `asked` for, if there is such a one."""
    parser = argparse.ArgumentParser(
        prog="napari-tool-runner",
        description="Run described image-analysis tools on files, as the napari plugin does.",
    )
    help_text = "show program's version number and exit"
    parser.add_argument("--version", action=_Version, nargs=0, help=help_text)
    entries = parser.add_subparsers(required=True, metavar="VERB")
    for verb in [verb for verb in VERBS if verb.name == asked] or VERBS:
        entry = entries.add_parser(verb.name, help=verb.help, description=verb.help)
        entry.set_defaults(verb=verb)
        for argument in (CONFIG, *verb.arguments):
            argument.add_to(entry)
    return parser


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parse; values and tools may also stand after options (``--runner LOCAL a=1``)."""
    parser = _parser(*argv[:1])
    args, rest = parser.parse_known_args(argv)
    many = next((name for name in ("values", "tools", "paths") if hasattr(args, name)), None)
    if rest and (many is None or any(word.startswith("-") for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if many is not None:
        setattr(args, many, [*getattr(args, many), *rest])
    return args


if __name__ == "__main__":
    sys.exit(main())
