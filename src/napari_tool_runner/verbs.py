"""What each verb of the command line does.

Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import jobs, tools
from napari_tool_runner.arguments import (
    agreed,
    config_of,
    delivered,
    record_of,
    tool_of,
    values_of,
)
from napari_tool_runner.config import layer_lines
from napari_tool_runner.errors import ToolFailedError, ToolRunnerError
from napari_tool_runner.names import safe_name, size_text
from napari_tool_runner.printing import print_json, results, say, show
from napari_tool_runner.quoting import one_line, seen
from napari_tool_runner.storage import write_json

if TYPE_CHECKING:
    from argparse import Namespace

    from napari_tool_runner.jobs import Job, TestReport


def list_tools(args: Namespace) -> int:
    """List the tools of the toolboxes, or those that match."""
    box = tools.load_toolbox(config_of(args))
    entries = box.search_entries(args.search) if args.search else list(box.entries)
    for problem in box.problems:
        say(f"note: {problem}")
    if args.json:
        print_json([entry._asdict() for entry in entries])
        return 0
    width = max((len(entry.key) for entry in entries), default=0)
    for entry in entries:
        show(f"{entry.key:<{width}}  {entry.name}: {entry.description}".rstrip(": "))
    return 0


def show_tool(args: Namespace) -> int:
    """Print the form of a tool."""
    from napari_tool_runner.tools.describe import describe_json, describe_text

    tool = tool_of(args)
    if args.json:
        print_json(describe_json(tool))
    else:
        show(describe_text(tool))
    return 0


def check_descriptors(args: Namespace) -> int:
    """Print what descriptors hold that cannot be honoured; 1 if one is unusable."""
    from napari_tool_runner.tools.checker import check_paths
    from napari_tool_runner.tools.toolbox.box import config_formats

    config, paths = config_of(args), [*map(Path, args.paths)]
    reports = check_paths(paths, variables=config.variables, formats=config_formats(config))
    if args.json:
        print_json([report.as_dict() for report in reports])
    else:
        for report in reports:
            state = "usable" if report.usable else "cannot be used"
            show("\n  ".join([f"{report.uri}: {state}", *report.told()]))
    return 0 if all(report.usable for report in reports) else 1


def run_tool(args: Namespace) -> int:
    """Run a tool and print where its results are."""
    if args.dry_run:
        return render_tool(args)
    tool, config = tool_of(args), config_of(args)
    jobs.begin(tool, config)
    cache, wanted = not args.no_cache, args.runner
    job = jobs.prepare(
        tool, values_of(args), runner=wanted, config=config, timeout=args.timeout, cache=cache
    )
    if not args.quiet:
        job.subscribe(_echo)
    try:
        result = jobs.run_job(job)
    except ToolFailedError as error:
        if args.json:
            print_json(jobs.job_json(job))
        say(f"error: {error}\nlog: {job.log_path}")
        return 1
    places, facts = delivered(args, job, result)
    if args.quiet and job.run.notes:  # else they were echoed
        say("\n".join(job.run.notes))
    if args.json:
        print_json(facts)
    else:
        _print_places(places)
    return 0


def render_tool(args: Namespace) -> int:
    """Print what a run would do."""
    preview = jobs.dry_run(
        tool_of(args), values_of(args), runner=args.runner, config=config_of(args)
    )
    if args.json:
        print_json(preview.as_dict())
    else:
        show(preview.as_text())
    return 0


def test_tools(args: Namespace) -> int:
    """Run the tests of descriptors; 1 if one fails."""
    reports = []
    for report in _test_reports(args):
        reports.append(report)
        show(f"{report.status:5} {seen(report.tool)} [{report.test}] {report.seconds:.2f} s")
        if report.message:
            show("      " + report.message.replace("\n", "\n      "))
    counts = {s: sum(r.status == s for r in reports) for s in ("pass", "fail", "error", "skip")}
    show(", ".join(f"{count} {status}" for status, count in counts.items()))
    if args.json:
        write_json(Path(args.json), [report.as_dict() for report in reports], private=False)
    return 1 if counts["fail"] or counts["error"] else 0


def batch(args: Namespace) -> int:
    """Run a tool over many files; 1 if one of them fails."""
    tool = tool_of(args)
    items = jobs.plan_batch(tool, values_of(args))
    rows: list[dict[str, object]] = []
    told: list[tuple[jobs.BatchItem, list[str]]] = []  # not the jobs, which hold their logs
    runner, parallel, given = args.runner, max(1, args.jobs), jobs.files_of(items)
    config, cache = config_of(args), not args.no_cache
    done = jobs.run_batch(
        tool, items, runner=runner, config=config, parallel=parallel, cache=cache
    )
    for number, (item, job) in enumerate(done, 1):
        row: dict[str, object] = {"stem": item.stem, "state": jobs.JobState.FAILED, "outputs": {}}
        if isinstance(job, ToolRunnerError):
            row["message"] = str(job)
        elif job.error is not None:
            row |= {**jobs.job_json(job), "message": str(job.error)}
        else:
            try:
                row |= delivered(args, job, job.result(), f"{item.stem}_", given)[1]
            except ToolRunnerError as error:
                row |= {**jobs.job_json(job), "state": jobs.JobState.FAILED, "message": str(error)}
        told.append((item, jobs.notes_of(item, job)))
        rows.append({**row, "notes": told[-1][1]})
        say(f"[{number}/{len(items)}] {item.stem}: {row['state']} {row.get('message', '')}")
    if args.json:
        print_json(rows)
    for note in jobs.notes_by_kind(told, config_of(args).notes):
        say(f"note: {note}")
    failed = sum(row["state"] != jobs.JobState.DONE for row in rows)
    say(f"{len(rows) - failed} of {len(rows)} done")
    return 1 if failed else 0


def sweep(args: Namespace) -> int:
    """Run a tool with several values of some parameters; 1 if one of the runs fails."""
    over = dict(pair.partition("=")[::2] for pair in args.over)
    if not over:
        say("error: --over NAME=VALUES says what is to be swept")
        return 2
    made = jobs.Sweep(
        tool_of(args),
        over,
        values_of(args),
        kept=True,
        runner=args.runner,
        config=config_of(args),
        timeout=args.timeout,
        cache=not args.no_cache,
    )
    made.finish()
    done = [cell for cell in made.cells if cell.state is jobs.JobState.DONE]
    given = set[str]()
    places = {
        cell: delivered(args, cell.job, cell.result(), f"{cell.stem}_", given)[0]
        for cell in done
        if cell.job is not None
    }
    table = made.columns(places)
    if args.table:
        jobs.write_table(Path(args.table), table)
    if args.json:
        print_json(
            [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
        )
    for cell in made.cells:
        figures = (f"{name} {figure:.6g}" for name, figure in cell.figures.items())
        say(", ".join([*cell.words, cell.message or cell.state.value, *figures]))
    say(f"{len(done)} of {len(made.cells)} done")
    return 0 if len(done) == len(made.cells) else 1


def list_runners(args: Namespace) -> int:
    """Print which services work here."""
    from napari_tool_runner.plugins import check_all, graphics, plugin_notes, runnerServices
    from napari_tool_runner.tools.isolation.walls import reader_words

    card = graphics()
    found = check_all(config_of(args).runner)
    for note in plugin_notes(runnerServices, config_of(args).runner):
        say(f"note: {note}")
    if args.json:
        told = [{"name": n, "ok": s.ok, "message": s.message, **s.details} for n, s in found]
        facts = {"reader": reader_words(), "graphics": {"kind": card.kind, "text": card.text}}
        print_json([{**one, **facts} for one in told])
        return 0
    width = max(len(name) for name, _ in found)
    for name, state in found:
        show(f"{name:<{width}}  {'works' if state.ok else 'not here'}  {state.message}".rstrip())
    walls = f"Tools of others are read {reader_words()}"
    lines = "", f"Graphics card: {card.text}", walls, "", *layer_lines(config_of(args))
    show("\n".join(lines))
    return 0


def list_history(args: Namespace) -> int:
    """List past jobs, or print how to run one again."""
    form = vars(args)["as"]
    if form and not args.record:
        say("error: --as needs a RECORD")
        return 2
    records = [record_of(args)] if args.record else jobs.history(config_of(args).workspaces)
    if form:
        for one in records[0].inputs if form != "json" else ():
            if remark := one.remark(records[0].root):
                say(f"note: {remark}")
        forms = {"python": jobs.as_python, "command": jobs.as_command, "json": jobs.as_json}
        results().write(forms[form](records[0]).rstrip("\n") + "\n")  # to be executed as it is
        return 0
    if args.tool:
        records = [record for record in records if args.tool in (record.tool.id, record.tool_name)]
    records = records[: args.limit] if args.limit else records
    if args.json:
        print_json([record.to_json() for record in records])
        return 0
    for record in records:
        times, state = record.times, record.state
        when = f"{times.created.astimezone():%Y-%m-%d %H:%M:%S}" if times.created else ""
        told = record.id, record.tool.id, record.message or record.answered
        job, tool, said = (one_line(x, 2000) for x in told)
        show(f"{job}  {when}  {state:<11}  {times.seconds:8.2f} s  {tool}  {said}".rstrip())
    return 0


def run_again(args: Namespace) -> int:
    """Repeat a past job and print what differs."""
    entry = record_of(args)
    config = config_of(args)
    tool = tools.find_tool(args.tool or jobs.recorded_tool(entry, config), config=config)
    lend = jobs.borrowed(entry, tool)
    if lend and not args.lend:
        say("\n  ".join([jobs.borrowed_words(lend), *map(one_line, map(str, lend[5:]))]))
        lend = lend if agreed(args, "Give these to the tool?", "add --lend") else []
    job, remarks = jobs.rerun(entry, config, runner=args.runner, tool=args.tool, lend=lend)
    for remark in remarks:
        say(f"note: {remark}")
    if not args.quiet:
        job.subscribe(_echo)
    result = jobs.run_job(job)
    if others := jobs.other_packages(entry, job.recorded()):
        remarks.append(others)
        say(f"note: {others}")
    differences = jobs.compare_outputs(entry, result)
    places, facts = delivered(args, job, result, given={one.source.path for one in entry.inputs})
    if args.json:
        print_json({**facts, "notes": [*job.run.notes, *remarks], "differences": differences})
    else:
        _print_places(places)
        show("\n".join(differences) if differences else "the results are the same as before")
    return 0


def export_record(args: Namespace) -> int:
    """Write a past job as a crate."""
    entry = record_of(args)
    name = safe_name(f"{entry.tool.id}-{entry.id}")
    target = Path(args.to) if args.to else Path.cwd() / f"{name}.crate.zip"
    show(seen(str(jobs.export_crate(entry, target))))
    return 0


def approve_folder(args: Namespace) -> int:
    """Show what the tools of a folder would run; approve them or take that back."""
    from napari_tool_runner.tools.toolbox.trust import approve, discard, review, revoke

    folder = Path(os.path.expanduser(args.folder)).absolute()
    if args.revoke:
        show("approval taken back" if revoke(folder) else "it was not approved")
        return 0
    found = review(folder, mine=args.mine, copied=not args.show)
    asked = jobs.Question(found, config_of(args))
    show("\n  ".join([f"now: {found.trust.state.value}", *map(one_line, found.trust.changes)]))
    show(asked.as_text(None if args.show else 10))
    if args.show:
        return 0
    if found.trust.ok and not args.mine:
        discard(found)
        return 0
    otherwise = "nothing was approved; add --yes to let its tools run"
    if not agreed(args, "Let the tools of this folder run?", otherwise):
        discard(found)
        return 1
    approve(folder, seen=found, mine=args.mine)
    show("approved; its changes are followed" if args.mine else "approved")
    return 0


def clean(args: Namespace) -> int:
    """List what jobs and environments use; delete it after a question."""
    config = config_of(args)
    days = config.keep_days if args.older_than is None else args.older_than
    found = jobs.reclaimable(config, older_than_days=days)
    items = [item for item in found if not args.only or item.kind in args.only]
    for item in items:
        show(f"{size_text(item.size):>10}  {item.kind:<12} {seen(item.name)}")
    show(f"{size_text(sum(item.size for item in items)):>10}  in all")
    otherwise = "nothing was deleted; add --yes to delete what is listed"
    if not items or not agreed(args, "Delete all of this?", otherwise):
        return 0
    problems = jobs.reclaim(items)
    done = f"deleted {len(items) - len(problems)} of {len(items)}"
    say("\n".join([*(f"error: {problem}" for problem in problems), done]))
    return 1 if problems else 0


def open_demo(args: Namespace) -> int:
    """Open napari with a sample and a result."""
    try:
        from napari_tool_runner.widgets.demo import demo
    except ImportError as error:
        raise ToolRunnerError(
            f"The demo needs napari and Qt, which are not installed ({error}).",
            hint='Install them with: pip install "napari-tool-runner[all]".',
        ) from error
    return demo(Path(args.screenshot) if args.screenshot else None)


# -- shared pieces -------------------------------------------------------------------


def _test_reports(args: Namespace) -> Iterator[TestReport]:
    """Run the tests of the named tools, of all that ship and need no packages when none is."""
    config = config_of(args)
    if not (names := args.tools):
        box = tools.load_toolbox(config)
        mine = [entry.key for entry in box.entries if box.folder_of(entry).bundled]
        # nobody who names none has asked for gigabytes
        names = [key for key in mine if not box[key].requirements]
    for name in (uri for given in names for uri in _uris(given)):
        try:
            tool = tools.find_tool(name, config=config)
        except ToolRunnerError as error:  # the others are tested all the same
            yield jobs.TestReport(str(name), 0, "error", 0.0, str(error))
            continue
        if not tool.tests:
            say(f"{tool.id}: no tests")
        yield from jobs.run_tests(tool, runner=args.runner, config=config, timeout=args.timeout)


def _uris(name: str) -> list[str]:
    """Return what names each tool of a descriptor that holds several, else `name`."""
    from napari_tool_runner.tools.isolation.looking import uris_of

    path = Path(os.path.expanduser(name))
    uris = uris_of(path) if path.is_file() else []
    return uris if len(uris) > 1 else [name]


def _print_places(places: Mapping[str, Path]) -> None:
    for name, path in places.items():
        show(f"{seen(name)}: {seen(str(path))}")


def _echo(job: Job, event: object) -> None:
    from napari_tool_runner.plugins import OutputLine

    if isinstance(event, OutputLine) and event.text not in job.request.config.notes:  # said
        say(event.text)
