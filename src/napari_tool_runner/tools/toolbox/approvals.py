"""The approvals that are remembered: one JSON file in the user's data folder."""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_tool_runner.data_classes import dataclass, field, replace
from napari_tool_runner.errors import TrustError, is_full
from napari_tool_runner.storage import Kept, locked, read_json, user_data
from napari_tool_runner.tools.toolbox.approved import (
    Listing,
    digest_of,
    forget,
    in_use,
    kept_copies,
    listing_from,
)

__all__ = [
    "Approval",
    "approval_of",
    "approvals",
    "approved_above",
    "changed_meanwhile",
    "remember",
    "tell_image",
    "tidy",
    "unapproved_copies",
    "with_image",
]

_VERSION = 2

Image = tuple[str, str]
"""What the engine calls an image, and the registry, which may be empty."""


@dataclass(frozen=True, slots=True)
class Approval:
    """What is remembered of a folder.

    Parameters
    ----------
    mine : bool
        Its changes are followed, nothing is kept.
    old : bool
        An older version approved it, without a copy.
    images : mapping of str to (str, str), or None
        Which image a name stood for (`Image`). None: it is damaged, which is asked about.
    asked : mapping of str to (str, str)
        Another image of a name, which nobody answered yet: until then its tools do not run.
    """

    digest: str
    files: Listing = field(default_factory=dict)
    mine: bool = False
    old: bool = False
    images: Mapping[str, Image] | None = field(default_factory=dict)
    asked: Mapping[str, Image] = field(default_factory=dict)

    @property
    def other(self) -> tuple[str, ...]:
        """What is another than it was, outside of the folder: it is asked again."""
        if self.images is None:
            return ("what was remembered of its images is damaged",)
        return tuple(
            another_image(name, self.images.get(name, ("", "")), image)
            for name, image in self.asked.items()
        )


def approval_of(folder: Path) -> Approval | None:
    """Return what is remembered of a folder, None when it was never approved."""
    return approvals().get(str(folder))


def approved_above(path: Path) -> Path | None:
    """Return the approved folder that `path` lies in, if there is one."""
    known = approvals()
    return next((place for place in path.parents if str(place) in known), None)


def unapproved_copies() -> list[str]:
    """Return the digests of the copies that no approval names and no session runs from."""
    named = {approval.digest for approval in approvals().values()}
    return [digest for digest in kept_copies() if digest not in named and not in_use(digest)]


def tidy(digest: str) -> None:
    """Delete a copy that nobody needs."""
    if digest and digest in unapproved_copies():
        with suppress(OSError):  # `clean` lists it
            forget(digest)


def _store() -> Path:
    return user_data() / "trust.json"


_remembered: dict[Path, tuple[tuple[int, ...], dict[str, Approval]]] = {}


def approvals() -> dict[str, Approval]:
    """Return every approval by its folder; one that is damaged is none, and hides no other."""
    store = _store()
    try:
        info = store.stat()
        # no program can set the time of change; a file that is written anew is another file
        stamp = (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
        known = _remembered.get(store)
        if known is None or known[0] != stamp or sys.platform == "win32":
            known = _remembered[store] = (stamp, _parsed(read_json(store)))
    except (OSError, ValueError):
        return {}  # absent or damaged: nothing is approved, which is the safe side
    return dict(known[1])


def _parsed(data: object) -> dict[str, Approval]:
    toolboxes = data.get("toolboxes") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(toolboxes, dict):
        return {}
    read = {str(name): _read(kept, data.get("version", 1)) for name, kept in toolboxes.items()}
    return {name: approval for name, approval in read.items() if approval is not None}


def _read(kept: object, version: object) -> Approval | None:
    """Return an approval as it was written, None when it is damaged."""
    if not isinstance(kept, Mapping):
        return None
    if version != _VERSION or kept.get("old") is True:
        return Approval("", old=True)
    if kept.get("mine") is True:
        return Approval("", mine=True)
    try:
        files = listing_from(kept.get("files"))
    except (ValueError, TypeError):
        return None
    try:
        images, asked = (
            {str(name): _image(one) for name, one in {**kept.get(part, {})}.items()}
            for part in ("images", "asked")
        )
    except (ValueError, TypeError):
        images, asked = None, {}
    # what was approved is what its files say, whatever else stands there
    return Approval(digest_of(files), files, images=images, asked=asked)


def _image(kept: object) -> Image:
    """Return an image as it was written; raises ValueError."""
    match kept:
        case [str() as image, str() as digest]:
            return image, digest
    raise ValueError(f"{kept!r:.60} is no image")


def changed_meanwhile(folder: Path) -> TrustError:
    """Return what to raise where an answer is of something else than what was shown."""
    return TrustError(
        f"The toolbox {folder} changed while it was being looked at.",
        hint="Look at it again before you approve it.",
    )


def remember(folder: Path, approval: Approval | None, shown: Sequence[str] | None = None) -> None:
    """Write what was answered of a folder, or (None) take it out; raises TrustError.

    Its images stay known, and what was asked of them is answered: all of it, or (`shown`)
    what the user saw, with more than that nothing is written.
    """
    with _changing(folder, out=approval is None) as kept:
        before = kept.pop(str(folder), None)
        if approval is not None:
            if before and shown is not None and not {*before.other} <= {*shown}:
                raise changed_meanwhile(folder)
            images = {**(before.images or {}), **before.asked} if before else {}
            kept[str(folder)] = replace(approval, images=images)


@contextmanager
def _changing(folder: Path, *, out: bool = False) -> Iterator[dict[str, Approval]]:
    """Hold all approvals alone, and write them at the end; raises TrustError.

    `out`: that of `folder` is taken out, also where the disk has no room for a draft.
    """
    store, hint = _store(), "Make that folder writable."
    try:
        with Kept(store, _VERSION).changing() as told:
            kept = _parsed(told)
            yield kept
            told["toolboxes"] = {name: _written(one) for name, one in kept.items()}
            told["written"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    except OSError as error:
        if isinstance(error, TimeoutError):
            hint = "End what holds it, then try again."
        elif is_full(error):
            hint = "Free some space on its disk, then try again."
        why = f"{store}: {error.strerror or error}"
        if not out:
            raise TrustError(f"The approval cannot be kept in {why}.", hint=hint) from error
        if is_full(error):
            with suppress(OSError, ValueError):
                _take_out(folder)
                return
        now = "still holds" if approval_of(folder) else "is taken back, with all others"
        raise TrustError(
            f"The approval of {folder} cannot be taken out of {why}; it {now}.", hint=hint
        ) from error


def _take_out(folder: Path) -> None:
    """Take an approval out of the file in its own place, which needs no room.

    Who is killed meanwhile, or finds no room even so, leaves a file that approves nothing.
    """
    store = _store()
    with locked(store):
        kept = _parsed(read_json(store))
        kept.pop(str(folder), None)
        left = {name: _written(one) for name, one in kept.items()}
        data = json.dumps({"version": _VERSION, "toolboxes": left}).encode()
        with open(store, "r+b", buffering=0) as file:
            done = 0
            try:
                if len(data) <= os.fstat(file.fileno()).st_size:
                    done = file.write(data)
            finally:
                file.truncate(done if done == len(data) else 0)
        if done != len(data):
            raise OSError(errno.ENOSPC, "it was emptied")


def _written(approval: Approval) -> dict[str, object]:
    if approval.old:
        return {"old": True}
    if approval.mine:
        return {"mine": True}
    told: dict[str, object] = {"digest": approval.digest, "files": approval.files}
    return told | {"images": approval.images, "asked": approval.asked}


# -- images --------------------------------------------------------------------------------


def with_image(folder: Path, digest: str, name: str, image: Image) -> Approval | None:
    """Return the approval of a folder, now that `name` was seen to stand for `image`.

    The first image is remembered. Another one takes the approval back, in the same write; it
    is remembered when that was answered.

    Parameters
    ----------
    digest : str
        Of the approval that the tool runs by; another one is left as it is.

    Raises
    ------
    TrustError
        It cannot be remembered.
    """
    approval = approval_of(folder)
    if _seen(approval, digest, name, image) is approval:
        return approval
    with _changing(folder) as kept:
        approval = _seen(kept.get(str(folder)), digest, name, image)
        if approval is not None:
            kept[str(folder)] = approval
    return approval


def _seen(approval: Approval | None, digest: str, name: str, image: Image) -> Approval | None:
    """Return an approval with what an image adds to it, itself where that is nothing."""
    if approval is None or approval.digest != digest or approval.images is None or approval.asked:
        return approval
    known = approval.images.get(name)
    if known is None:
        return replace(approval, images={**approval.images, name: image})
    return approval if _fits(known, image) else replace(approval, asked={name: image})


def tell_image(user: str, name: str, image: Image, say: Callable[[str], None]) -> None:
    """Say when a name stands for another image than before, then remember it.

    For tools of which nothing is asked: `user` is who runs them by which path.
    """
    kept, key = Kept(user_data() / "images.json"), f"{user}\n{name}"
    now = " ".join(filter(None, image))
    try:
        try:
            told = kept.read()
            before = _image(told[key]) if key in told else None
            if _fits(before, image):
                return
            if before is not None:
                say(f"Warning: {another_image(name, before, image)}.")
            elif any(kept.path.parent.glob(f"{kept.path.stem}-damaged*")):
                say(
                    f"Whether the image {name} is another one than before is not known: "
                    f"{kept.path} was damaged and put aside (delete that to end it); it is {now}."
                )
        except ValueError as error:
            say(
                f"Warning: whether the image {name} is another one than before is not known, "
                f"since {kept.path} is damaged ({error}); it is {now}."
            )
        with kept.changing() as told:
            told[key] = image
    except OSError as error:
        say(f"Which image {name} is cannot be remembered: {error.strerror or error}.")


def another_image(name: str, before: Image, image: Image) -> str:
    """Return in words that a name stands for another image."""
    was = " ".join(filter(None, before))
    return f"the image {name} is another one: it was {was}, and is {image[1] or image[0]}"


def _fits(before: Image | None, image: Image) -> bool:
    """Whether it is the same for the engine or the registry: another engine is no change."""
    return before is not None and (
        image[0] == before[0] or (image[1] != "" and image[1] == before[1])
    )
