"""The command line: the same verbs without a window (DESIGN §9, stable).

Results go to standard output, everything else to standard error. Exit status: 0 all
well, 1 something failed, 2 wrong use, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.config import Config, load_config
from napari_tool_runner.errors import ToolFailedError, ToolRunnerError

if TYPE_CHECKING:
    from napari_tool_runner.jobs import HistoryEntry, Job, TestReport
    from napari_tool_runner.tools import Tool, Toolbox

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    args = _arguments(argv)
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    verb: Callable[[argparse.Namespace], int] = args.verb
    try:
        return verb(args)
    except ToolRunnerError as error:
        if getattr(args, "json", None) is True:
            _print_json({"error": {"type": type(error).__name__, "message": str(error)}})
        _say(f"error: {error}")
        return 1
    except BrokenPipeError:  # the reader (head, less) has seen enough
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        _say("interrupted")
        return 130


# -- the verbs -----------------------------------------------------------------------


def _list(args: argparse.Namespace) -> int:
    box = _toolbox(args)
    entries = box.search_entries(args.search) if args.search else list(box.entries)
    for problem in box.problems:
        _say(f"note: {problem}")
    if args.json:
        _print_json([entry._asdict() for entry in entries])
        return 0
    width = max((len(entry.key) for entry in entries), default=0)
    for entry in entries:
        print(f"{entry.key:<{width}}  {entry.name}: {entry.description}".rstrip(": "))
    return 0


def _show(args: argparse.Namespace) -> int:
    from napari_tool_runner.tools.describe import describe_json, describe_text

    tool = _tool(args)
    if args.json:
        _print_json(describe_json(tool))
    else:
        print(describe_text(tool))
    return 0


def _check(args: argparse.Namespace) -> int:
    from napari_tool_runner.tools.checker import check_paths

    reports = check_paths([Path(path) for path in args.paths])
    if args.json:
        _print_json([report.as_dict() for report in reports])
    else:
        for report in reports:
            print(f"{report.path}: {'usable' if report.usable else 'cannot be used'}")
            for note in report.notes:
                print(f"  {note}")
    return 0 if all(report.usable for report in reports) else 1


def _run(args: argparse.Namespace) -> int:
    if args.dry_run:
        return _render(args)
    from napari_tool_runner.jobs import (
        deliver,
        job_json,
        output_paths,
        outputs_json,
        prepare,
        run_job,
    )

    tool = _tool(args)
    job = prepare(
        tool,
        _values(tool, args.values),
        runner=args.runner,
        config=_config(args),
        timeout=args.timeout,
    )
    if not args.quiet:
        job.subscribe(_echo)
    try:
        result = run_job(job)
    except ToolFailedError as error:
        if args.json:
            _print_json(job_json(job))
        _say(f"error: {error}")
        _say(f"log: {job.log_path}")
        return 1
    places = deliver(result, Path(args.output_dir)) if args.output_dir else output_paths(result)
    if args.json:
        _print_json({**job_json(job), "outputs": outputs_json(result, places)})
    else:
        for name, path in places.items():
            print(f"{name}: {path}")
    return 0


def _render(args: argparse.Namespace) -> int:
    from napari_tool_runner.jobs import dry_run

    tool = _tool(args)
    preview = dry_run(tool, _values(tool, args.values), runner=args.runner, config=_config(args))
    if args.json:
        _print_json(preview.as_dict())
    else:
        print(preview.as_text())
    return 0


def _test(args: argparse.Namespace) -> int:
    reports = []
    for report in _test_reports(args):
        reports.append(report)
        print(f"{report.status:5} {report.tool} [{report.test}] {report.seconds:.2f} s")
        if report.message:
            print("      " + report.message.replace("\n", "\n      "))
    counts = {s: sum(r.status == s for r in reports) for s in ("pass", "fail", "error", "skip")}
    print(", ".join(f"{count} {status}" for status, count in counts.items()))
    if args.json_file:
        text = json.dumps([report.as_dict() for report in reports], indent=2)
        Path(args.json_file).write_text(text + "\n", encoding="utf-8")
    return 1 if counts["fail"] or counts["error"] else 0


def _batch(args: argparse.Namespace) -> int:
    from napari_tool_runner.jobs import (
        deliver,
        job_json,
        output_paths,
        outputs_json,
        plan_batch,
        run_batch,
    )

    tool = _tool(args)
    items = plan_batch(tool, _values(tool, args.values))
    rows: list[dict[str, object]] = []
    done = run_batch(
        tool, items, runner=args.runner, config=_config(args), parallel=max(1, args.jobs)
    )
    for number, (item, job) in enumerate(done, 1):
        row: dict[str, object] = {"stem": item.stem, "state": "failed", "outputs": {}}
        if isinstance(job, ToolRunnerError):
            row["message"] = str(job)
        elif job.error is not None:
            row |= {**job_json(job), "message": str(job.error)}
        else:
            result = job.result()
            target = Path(args.output_dir) if args.output_dir else None
            places = deliver(result, target, f"{item.stem}_") if target else output_paths(result)
            row |= {**job_json(job), "outputs": outputs_json(result, places)}
        rows.append(row)
        _say(f"[{number}/{len(items)}] {item.stem}: {row['state']} {row.get('message', '')}")
    if args.json:
        _print_json(rows)
    failed = sum(row["state"] != "done" for row in rows)
    _say(f"{len(rows) - failed} of {len(rows)} done")
    return 1 if failed else 0


def _runners(args: argparse.Namespace) -> int:
    from napari_tool_runner.plugins.choice import check_all

    found = check_all(_config(args).runner)
    if args.json:
        _print_json(
            [
                {"name": name, "ok": state.ok, "message": state.message, **state.details}
                for name, state in found
            ]
        )
        return 0
    width = max(len(name) for name, _ in found)
    for name, state in found:
        print(f"{name:<{width}}  {'works' if state.ok else 'not here'}  {state.message}".rstrip())
    return 0


def _history(args: argparse.Namespace) -> int:
    from napari_tool_runner.jobs import as_command, as_json, as_python, history

    if args.form and not args.record:
        _say("error: --as needs a RECORD")
        return 2
    entries = [_entry(args)] if args.record else history(_config(args).workspaces)
    if args.form:
        forms = {"python": as_python, "command": as_command, "json": as_json}
        print(forms[args.form](entries[0]).rstrip("\n"))
        return 0
    if args.tool:
        entries = [entry for entry in entries if args.tool in (entry.tool_id, entry.tool_name)]
    entries = entries[: args.limit] if args.limit else entries
    if args.json:
        _print_json([{**entry.record, "state": entry.state} for entry in entries])
        return 0
    for entry in entries:
        when = entry.created.astimezone().strftime("%Y-%m-%d %H:%M:%S") if entry.created else ""
        line = f"{entry.id}  {when}  {entry.state:<11}  {entry.seconds:8.2f} s  {entry.tool_id}"
        print(f"{line}  {entry.message}".rstrip())
    return 0


def _rerun(args: argparse.Namespace) -> int:
    from napari_tool_runner.jobs import (
        compare_outputs,
        deliver,
        job_json,
        output_paths,
        outputs_json,
        rerun,
        run_job,
    )

    entry = _entry(args)
    job, remarks = rerun(entry, _config(args), runner=args.runner)
    for remark in remarks:
        _say(f"note: {remark}")
    if not args.quiet:
        job.subscribe(_echo)
    result = run_job(job)
    places = deliver(result, Path(args.output_dir)) if args.output_dir else output_paths(result)
    differences = compare_outputs(entry, result)
    if args.json:
        out = {**job_json(job), "outputs": outputs_json(result, places)}
        _print_json({**out, "notes": [*job.notes, *remarks], "differences": differences})
    else:
        for name, path in places.items():
            print(f"{name}: {path}")
        print("\n".join(differences) if differences else "the results are the same as before")
    return 0


def _export(args: argparse.Namespace) -> int:
    from napari_tool_runner.jobs import export_crate

    entry = _entry(args)
    target = Path(args.to) if args.to else Path.cwd() / f"{entry.tool_id}-{entry.id}.crate.zip"
    print(export_crate(entry, target))
    return 0


def _trust(args: argparse.Namespace) -> int:
    from napari_tool_runner.tools.toolbox.trust import approve, review, revoke

    folder = Path(args.folder).expanduser().absolute()
    if args.revoke:
        print("approval taken back" if revoke(folder) else "it was not approved")
        return 0
    found = review(folder)
    print(f"{found.folder}: {found.files} files, {_size(found.size)}, {found.digest}")
    print(f"now: {found.trust.state.value}")
    for change in found.trust.changes:
        print(f"  {change}")
    for name in found.writable_by_others:
        print(f"  other users of this computer can change {name}")
    if found.trust.ok:
        return 0
    if not args.yes:
        if not sys.stdin.isatty():
            _say("nothing was approved; add --yes to let its tools run")
            return 1
        if input("Let the tools of this folder run? [y/N] ").strip().lower() not in ("y", "yes"):
            return 1
    approve(folder, digest=found.digest)
    print("approved")
    return 0


def _clean(args: argparse.Namespace) -> int:
    from napari_tool_runner.jobs import reclaim, reclaimable

    config = _config(args)
    days = config.keep_days if args.older_than is None else args.older_than
    items = reclaimable(config, older_than_days=days)
    if args.only:
        items = [item for item in items if item.kind in args.only]
    for item in items:
        print(f"{_size(item.size):>10}  {item.kind:<12} {item.name}")
    total = sum(item.size for item in items)
    print(f"{_size(total):>10}  in all")
    if not items:
        return 0
    if not args.yes:
        if not sys.stdin.isatty():
            _say("nothing was deleted; add --yes to delete what is listed")
            return 0
        if input("Delete all of this? [y/N] ").strip().lower() not in ("y", "yes"):
            return 0
    problems = reclaim(items)
    for problem in problems:
        _say(f"error: {problem}")
    _say(f"deleted {len(items) - len(problems)} of {len(items)}")
    return 1 if problems else 0


def _demo(args: argparse.Namespace) -> int:
    try:
        from napari_tool_runner.widgets.demo import demo
    except ImportError as error:
        raise ToolRunnerError(
            f"The demo needs napari and Qt, which are not installed ({error}).",
            hint='Install them with: pip install "napari-tool-runner[all]".',
        ) from error
    return demo(Path(args.screenshot) if args.screenshot else None)


# -- shared pieces -------------------------------------------------------------------


def _config(args: argparse.Namespace) -> Config:
    config = load_config(args.config)
    folders = [str(Path(folder).expanduser().absolute()) for folder in getattr(args, "path", [])]
    if not folders:
        return config
    given = config.runner.get("path", [])
    present = given if isinstance(given, list) else [given]
    section: dict[str, object] = {**config.runner, "path": [*folders, *present]}
    if config.service is not None:
        section["service"] = config.service
    return Config({**config.data, "runner": section}, config.path, config.explicit)


def _toolbox(args: argparse.Namespace) -> Toolbox:
    from napari_tool_runner.tools import load_toolbox

    return load_toolbox(_config(args))


def _tool(args: argparse.Namespace) -> Tool:
    from napari_tool_runner.tools import find_tool

    return find_tool(args.tool, config=_config(args))


def _test_reports(args: argparse.Namespace) -> Iterator[TestReport]:
    """Run the tests of the named tools, of all that ship when none is named."""
    from napari_tool_runner.jobs import TestReport, run_tests
    from napari_tool_runner.tools import find_tool

    config = _config(args)
    names = args.tools
    if not names:
        box = _toolbox(args)
        names = [entry.key for entry in box.entries if box.folder_of(entry).bundled]
    for name in names:
        try:
            tool = find_tool(name, config=config)
        except ToolRunnerError as error:  # the others are tested all the same
            yield TestReport(str(name), 0, "error", 0.0, str(error))
            continue
        if not tool.tests:
            _say(f"{tool.id}: no tests")
        yield from run_tests(tool, runner=args.runner, config=config, timeout=args.timeout)


def _values(tool: Tool, pairs: Sequence[str]) -> dict[str, object]:
    """Read ``NAME=VALUE``; a name that comes again makes a list."""
    from napari_tool_runner.errors import ParameterError

    values: dict[str, object] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ParameterError(
                f"“{pair}” is no NAME=VALUE.", hint="Write it as sigma=2, without spaces."
            )
        if name in values:
            present = values[name]
            values[name] = [*(present if isinstance(present, list) else [present]), value]
        else:
            values[name] = value
    return values


def _entry(args: argparse.Namespace) -> HistoryEntry:
    from napari_tool_runner.jobs import find_entry

    return find_entry(args.record, _config(args).workspaces)


def _echo(job: Job, event: object) -> None:
    from napari_tool_runner.plugins.contract import OutputLine

    if isinstance(event, OutputLine):
        _say(event.text)


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2, default=str))


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse; values and tools may also stand after options (``--runner LOCAL a=1``)."""
    parser = _parser()
    args, rest = parser.parse_known_args(argv)
    many = next((name for name in ("values", "tools", "paths") if hasattr(args, name)), None)
    if rest and (many is None or any(word.startswith("-") for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if many is not None:
        setattr(args, many, [*getattr(args, many), *rest])
    return args


# -- arguments -----------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    from napari_tool_runner import __version__

    parser = argparse.ArgumentParser(
        prog="napari-tool-runner",
        description="Run described image-analysis tools on files, as the napari plugin does.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(
        name: str, function: Callable[[argparse.Namespace], int], text: str
    ) -> argparse.ArgumentParser:
        entry = verbs.add_parser(name, help=text, description=text)
        entry.set_defaults(verb=function)
        entry.add_argument("--config", metavar="FILE", help="configuration to use")
        return entry

    def as_json(entry: argparse.ArgumentParser) -> None:
        entry.add_argument("--json", action="store_true", help="print JSON")

    def takes_tool(entry: argparse.ArgumentParser, values: str | None = "NAME=VALUE") -> None:
        entry.add_argument("tool", metavar="TOOL", help="id of a tool, or path of a descriptor")
        if values:
            entry.add_argument("values", metavar=values, nargs="*", help="cond|x=1, rep_0|x=2 …")

    def runs(entry: argparse.ArgumentParser) -> None:
        entry.add_argument("--runner", metavar="NAME", help="LOCAL, CONDA, DOCKER, …")
        entry.add_argument("--timeout", type=float, metavar="SECONDS", help="end it after that")
        entry.add_argument(
            "--path",
            action="append",
            default=[],
            metavar="FOLDER",
            help="put FOLDER first on the PATH of LOCAL tools",
        )

    entry = verb("list", _list, "List the tools of the configured toolboxes.")
    entry.add_argument("--search", metavar="TEXT", help="only what matches, best first")
    as_json(entry)

    entry = verb("show", _show, "Show a tool's form as text.")
    takes_tool(entry, values=None)
    as_json(entry)

    entry = verb("check", _check, "Read descriptors and print what could not be honoured.")
    entry.add_argument("paths", metavar="PATH", nargs="+", help="descriptors or folders")
    as_json(entry)

    entry = verb("run", _run, "Run a tool on files.")
    takes_tool(entry)
    runs(entry)
    entry.add_argument("--output-dir", metavar="DIR", help="copy the results there")
    entry.add_argument("--dry-run", action="store_true", help="say what would happen")
    entry.add_argument("--quiet", action="store_true", help="do not echo the tool's output")
    as_json(entry)

    entry = verb("render", _render, "Print the exact command and files, without running.")
    takes_tool(entry)
    runs(entry)
    as_json(entry)

    entry = verb("test", _test, "Run the tests of descriptors (all shipped tools without TOOL).")
    entry.add_argument("tools", metavar="TOOL", nargs="*", help="ids or paths")
    runs(entry)
    entry.add_argument("--json", dest="json_file", metavar="FILE", help="write the outcomes")

    entry = verb("batch", _batch, "Run a tool over many files.")
    takes_tool(entry, values="NAME=GLOB")
    runs(entry)
    entry.add_argument("--jobs", type=int, default=1, metavar="N", help="how many at once")
    entry.add_argument("--output-dir", metavar="DIR", help="copy the results there")
    as_json(entry)

    entry = verb("runners", _runners, "Say what this computer can run.")
    as_json(entry)

    entry = verb("history", _history, "List past jobs, newest first.")
    entry.add_argument("record", metavar="RECORD", nargs="?", help="only this job")
    entry.add_argument(
        "--as",
        dest="form",
        choices=("python", "command", "json"),
        help="print how to run RECORD again: a script, a command line, or its record",
    )
    entry.add_argument("--tool", metavar="ID", help="only of this tool")
    entry.add_argument("--limit", type=int, default=0, metavar="N", help="only the newest N")
    as_json(entry)

    entry = verb("rerun", _rerun, "Repeat a past job and compare the results.")
    entry.add_argument("record", metavar="RECORD", help="id, record.json, or a job's folder")
    runs(entry)
    entry.add_argument("--output-dir", metavar="DIR", help="copy the results there")
    entry.add_argument("--quiet", action="store_true", help="do not echo the tool's output")
    as_json(entry)

    entry = verb("export", _export, "Write a past job as a Process Run Crate.")
    entry.add_argument("record", metavar="RECORD", help="id, record.json, or a job's folder")
    entry.add_argument("--to", metavar="PATH", help="folder or .zip to write")

    entry = verb("trust", _trust, "Look at a folder of tools and let them run.")
    entry.add_argument("folder", metavar="FOLDER", help="a folder of the configuration")
    entry.add_argument("--yes", action="store_true", help="approve without asking")
    entry.add_argument("--revoke", action="store_true", help="take an approval back")

    entry = verb("clean", _clean, "Show what jobs, environments and containers use; reclaim it.")
    entry.add_argument("--yes", action="store_true", help="delete what is listed")
    entry.add_argument(
        "--older-than",
        type=float,
        metavar="DAYS",
        help="jobs that are older than that (jobs.keep_days of the configuration; 30)",
    )
    entry.add_argument(
        "--only", action="append", metavar="KIND", help="job, environment, container, image"
    )

    entry = verb("demo", _demo, "Open napari with a sample, run a tool, show the result.")
    entry.add_argument("--screenshot", metavar="FILE", help="write a picture and exit")
    return parser


if __name__ == "__main__":
    sys.exit(main())
