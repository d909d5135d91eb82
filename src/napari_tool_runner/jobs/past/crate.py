"""A past job as a Process Run Crate (an RO-Crate that describes one action).

Profile: https://w3id.org/ro/wfrun/process/0.5
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from napari_tool_runner.errors import ToolRunnerError, WorkspaceError

if TYPE_CHECKING:
    from napari_tool_runner.jobs.past.history import HistoryEntry

__all__ = ["export_crate"]

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"


def export_crate(entry: HistoryEntry, target: Path) -> Path:
    """Write the inputs, outputs, descriptor, log and record of `entry` as a crate.

    Parameters
    ----------
    target : Path
        A folder, or a file ending in ``.zip``; must not exist.

    Raises
    ------
    WorkspaceError
        A file of the job is gone, or `target` exists.
    ToolRunnerError
        The package ``rocrate`` is not installed.
    """
    try:
        from rocrate.model.contextentity import ContextEntity
        from rocrate.rocrate import ROCrate
    except ImportError as error:
        raise ToolRunnerError(
            "Exporting a crate needs the package rocrate, which is not installed.",
            hint="Install it with: pip install rocrate.",
        ) from error
    if target.exists():
        raise WorkspaceError(f"{target} exists already.", hint="Name another target.")
    record = entry.record
    told = cast("Mapping[str, str]", record["tool"])
    times = cast("Mapping[str, str]", record["times"])
    crate = ROCrate()
    crate.name = f"{told['name']}: job {entry.id}"
    crate.description = f"One run of {told['name']} {told['version']} by napari-tool-runner."
    profile = crate.add(
        ContextEntity(
            crate,
            PROFILE,
            properties={"@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"},
        )
    )
    crate.root_dataset["conformsTo"] = profile
    descriptor = Path(told["descriptor"])
    software: dict[str, object] = {
        "@type": "SoftwareApplication",
        "name": told["name"],
        "version": told["version"],
        "identifier": told["digest"],
    }
    if descriptor.exists():
        software["url"] = f"descriptor/{descriptor.name}"
        crate.add_file(descriptor, f"descriptor/{descriptor.name}")
    tool = crate.add(ContextEntity(crate, f"#{told['id']}", properties=software))
    inputs = [
        _add(crate, entry, one, f"inputs/{Path(str(one['path'])).name}")
        for one in cast("list[dict[str, object]]", record.get("inputs", []))
    ]
    outputs = [
        _add(crate, entry, one, str(one["path"]))
        for one in cast("list[dict[str, object]]", record.get("outputs", []))
    ]
    parameters = [
        crate.add(
            ContextEntity(
                crate,
                f"#parameter-{name}",
                properties={"@type": "PropertyValue", "name": name, "value": str(value)},
            )
        )
        for name, value in entry.parameters.items()
    ]
    states = {"done": "CompletedActionStatus", "failed": "FailedActionStatus"}
    status = f"http://schema.org/{states.get(entry.state, 'FailedActionStatus')}"
    properties: dict[str, object] = {
        "@type": "CreateAction",
        "name": f"Run of {told['name']}",
        "startTime": times.get("started") or times.get("created"),
        "endTime": times.get("finished"),
        "actionStatus": status,
    }
    if entry.message:
        properties["error"] = entry.message
    action = crate.add(ContextEntity(crate, f"#{entry.id}", properties=properties))
    action["instrument"] = tool
    action["object"] = [*inputs, *parameters]
    action["result"] = outputs
    crate.root_dataset["mentions"] = action
    for name in ("record.json", "log.txt"):
        if (entry.folder / name).exists():
            crate.add_file(entry.folder / name, name)
    if target.suffix == ".zip":
        crate.write_zip(target)
    else:
        crate.write(target)
    return target


def _add(crate: object, entry: HistoryEntry, told: Mapping[str, object], place: str) -> object:
    path = entry.folder / str(told["path"])
    if not path.exists():
        raise WorkspaceError(
            f"{path} of job {entry.id} is gone.",
            hint="A job can be exported as long as its files are kept.",
        )
    properties: dict[str, object] = {"encodingFormat": str(told["format"])}
    if told.get("sha256"):
        properties["sha256"] = str(told["sha256"]).removeprefix("sha256:")
    add = crate.add_directory if path.is_dir() else crate.add_file  # type: ignore[attr-defined]
    return add(path, place, properties=properties)
