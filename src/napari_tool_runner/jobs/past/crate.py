"""A past job as a Process Run Crate (an RO-Crate that describes one action).

Profile: https://w3id.org/ro/wfrun/process/0.5
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.errors import ToolRunnerError, WorkspaceError
from napari_tool_runner.jobs.record import JobState, differs
from napari_tool_runner.jobs.typed_json import to_json
from napari_tool_runner.storage import safe_name

if TYPE_CHECKING:
    from rocrate.rocrate import ROCrate

    from napari_tool_runner.jobs.record import RecordedInput, RecordedOutput, RunRecord

__all__ = ["export_crate"]

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"


def export_crate(record: RunRecord, target: Path) -> Path:
    """Write the inputs, outputs, descriptor, log and record of a job as a crate.

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
    told, name = record.tool, record.tool_name
    crate = ROCrate()
    crate.name = f"{name}: job {record.id}"
    crate.description = f"One run of {name} {told.version} by napari-tool-runner."

    def add(identity: str, kind: str, **facts: object) -> ContextEntity:
        entity = ContextEntity(crate, identity, properties={"@type": kind, **facts})
        return crate.add(entity)

    profile = add(PROFILE, "CreativeWork", name="Process Run Crate", version="0.5")
    crate.root_dataset["conformsTo"] = profile
    tool = add(
        f"#{told.id}",
        "SoftwareApplication",
        name=name,
        version=told.version,
        identifier=told.digest,
    )
    descriptor = told.file
    if os.path.isfile(descriptor):
        tool["url"] = place = f"descriptor/{descriptor.name}"
        crate.add_file(descriptor, place)
    inputs = [_add(crate, record, one, "inputs") for one in record.inputs]
    outputs = [_add(crate, record, one, "outputs") for one in record.outputs]
    parameters = [
        add(f"#parameter-{key}", "PropertyValue", name=key, value=str(value))
        for key, value in record.parameters.items()
    ]
    status = "Completed" if record.state is JobState.DONE else "Failed"
    started = record.times.started or record.times.created
    action = add(
        f"#{record.id}",
        "CreateAction",
        name=f"Run of {name}",
        startTime=to_json(started),
        endTime=to_json(record.times.finished),
        actionStatus=f"http://schema.org/{status}ActionStatus",
    )
    if record.message:
        action["error"] = record.message
    action["instrument"] = tool
    action["object"] = [*inputs, *parameters]
    action["result"] = outputs
    crate.root_dataset["mentions"] = action
    for path in (record.path, record.log):
        if os.path.isfile(path):
            crate.add_file(path, path.name)
    try:
        (crate.write_zip if target.suffix == ".zip" else crate.write)(target)
    except OSError as error:
        raise WorkspaceError(
            f"{target} cannot be written: {error.strerror or error}.", hint="Name another target."
        ) from error
    return target


def _add(
    crate: ROCrate, record: RunRecord, one: RecordedInput | RecordedOutput, kind: str
) -> object:
    place = record.inside(one.path)
    if ".." in one.path.parts or Path(place).is_absolute():
        place = f"{kind}/{safe_name(one.path.name)}"  # from elsewhere; never out of the crate
    path = one.locate()
    if path is None:
        raise WorkspaceError(
            f"{one.path} of job {record.id} is gone.",
            hint="A job can be exported as long as its files are kept.",
        )
    if (path != one.path or one.sha256) and differs(path, one.sha256):
        raise WorkspaceError(
            f"{path} of job {record.id} has changed since, or was converted then.",
            hint="A job can be exported as long as its files are kept.",
        )
    properties: dict[str, object] = {"encodingFormat": one.format}
    if one.sha256:
        properties["sha256"] = one.sha256.removeprefix("sha256:")
    add = crate.add_directory if path.is_dir() else crate.add_file
    return add(path, place, properties=properties)
