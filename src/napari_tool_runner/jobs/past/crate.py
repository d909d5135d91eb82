"""A past job as a Process Run Crate (an RO-Crate that describes one action).

Profile: https://w3id.org/ro/wfrun/process/0.5
"""

from __future__ import annotations

import os
import tempfile
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import sealed
from napari_tool_runner.errors import OutputError, ToolRunnerError, WorkspaceError
from napari_tool_runner.jobs.past.history import own_folder
from napari_tool_runner.jobs.past.packages import packages_of
from napari_tool_runner.jobs.record import JobState, difference
from napari_tool_runner.jobs.typed_json import to_json
from napari_tool_runner.names import safe_name
from napari_tool_runner.storage import replacing
from napari_tool_runner.tools import read_tool
from napari_tool_runner.tools.reader import may_be_descriptor

if TYPE_CHECKING:
    from rocrate.rocrate import ROCrate

    from napari_tool_runner.jobs.record import RecordedInput, RecordedOutput, RunRecord

__all__ = ["export_crate"]

_TAKEN = (".", "record.json", "log.txt", "ro-crate-metadata.json", "ro-crate-preview.html")
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"


def export_crate(record: RunRecord, target: Path) -> Path:
    """Write the inputs, outputs, descriptor, log and record of a job as a crate.

    A record may be a stranger's, and name any file of this computer: what goes in lies in
    the job's own folder, without a link on the way, or has the digest that the record states.

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
    told, name, own = record.tool, record.tool_name, own_folder(record)
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
    kind = "SoftwareApplication"
    tool["softwareRequirements"] = [
        add(f"#package-{one['name']}", kind, name=one["name"], softwareVersion=one["version"])
        for one in packages_of(record)
    ]
    descriptor = told.file
    if _is_descriptor(descriptor, told.digest):
        tool["url"] = place = f"descriptor/{safe_name(descriptor.name)}"
        crate.add_file(descriptor, place)
    inputs = [_add(crate, record, own, one, "inputs") for one in record.inputs]
    outputs = [_add(crate, record, own, one, "outputs") for one in record.outputs]
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
    for path, place in ((record.path, "record.json"), (record.log, "log.txt")):
        if os.path.isfile(path) and _is_own(path, own, record):
            crate.add_file(path, place)
    try:
        if target.suffix == ".zip":
            with replacing(target) as draft:
                crate.write_zip(draft)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".crate-", dir=target.parent) as room:
                crate.write(whole := Path(room) / "crate")
                _take_rights(whole)
                whole.rename(target)
    except OSError as error:
        raise WorkspaceError(
            f"{target} cannot be written: {error.strerror or error}.", hint="Name another target."
        ) from error
    return target


def _take_rights(folder: Path) -> None:
    """Take from copies the rights that a program gave its files: to run as the user, say."""
    for top, folders, files in os.walk(folder):
        for names, most in (folders, 0o755), (files, 0o644):
            for path in (os.path.join(top, name) for name in names):
                os.chmod(path, os.stat(path).st_mode & most)


def _add(
    crate: ROCrate,
    record: RunRecord,
    own: Path | None,
    one: RecordedInput | RecordedOutput,
    kind: str,
) -> object:
    # a link is followed when the record states what is there
    path = one.path if os.path.islink(one.path) else one.locate(record.root)
    place = record.inside(one.path)
    # a crate tells places as addresses: in one, % and \\ may mean another folder
    odd = place in _TAKEN or not place.isprintable() or any(c in place for c in "%\\:?#")
    if odd or not _is_own(one.path, own, record):
        name = safe_name(one.path.name)  # from elsewhere; never out of the crate
        taken = {str(entity.id).strip("/") for entity in crate.get_entities()}
        numbered = (f"{kind}/{number or ''}{'_' * bool(number)}{name}" for number in count())
        place = next(place for place in numbered if place not in taken)
    if path is None:
        raise WorkspaceError(
            f"{one.path} of job {record.id} is gone.",
            hint="A job can be exported as long as its files are kept.",
        )
    if not one.sha256 and not _is_own(path, own, record):
        raise WorkspaceError(
            f"{path} of job {record.id} is left where it is: it lies outside "
            "the job's folder, or is reached by a link, and the record states no content of it.",
            hint="A job of your own can be exported once its content hashes are written.",
        )
    more = "" if path == one.path else ", or was converted then"
    if (more or one.sha256) and (told := difference(path, one.sha256, record.root, more)):
        raise WorkspaceError(
            f"{path} of job {record.id} {told}.",
            hint="A job can be exported as long as its files are kept, and can be read.",
        )
    properties: dict[str, object] = {"encodingFormat": one.format}
    if one.sha256:
        properties["sha256"] = one.sha256.removeprefix("sha256:")
    add = crate.add_directory if path.is_dir() else crate.add_file
    return add(path, place, properties=properties)


def _is_own(path: Path, root: Path | None, record: RunRecord) -> bool:
    """Whether it lies below the job's folder, with no link on the way nor below it.

    So does what is gone from there. In a job of ours links between its own files are made; a
    record of others may name by one a file that lies anywhere.
    """
    if root is None:
        return False
    try:
        gone = not sealed.kind(path, root)
    except (OSError, OutputError):
        return False
    return gone or sealed.is_own(path, root, alone=not record.ours)


def _is_descriptor(path: Path, digest: str) -> bool:
    """Whether it is the descriptor that the record means: any file may be named there."""
    try:
        if not os.path.isfile(path) or not may_be_descriptor(path.name):
            return False
        return digest == sealed.content_sha256(path) or digest == read_tool(path).digest
    except (OSError, ToolRunnerError):
        return False
