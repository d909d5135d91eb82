"""A toolbox that changes while it is looked at: what is approved is what was shown and copied."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from napari_tool_runner.errors import TrustError
from napari_tool_runner.tools.toolbox import approved, trust
from napari_tool_runner.tools.toolbox.approvals import approval_of
from napari_tool_runner.tools.toolbox.approved import digest_of, kept_folder, look
from napari_tool_runner.tools.toolbox.trust import TrustState, approve, review, trust_state

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX")

STEPS = {
    "weighed": approved, "_entry": approved, "copy_bytes": approved, "intact": approved,
    "_seal": approved, "_write_manifest": approved, "trust_state": trust, "remember": trust,
}  # fmt: skip


@pytest.fixture
def box(tmp_path: Path) -> Path:
    folder = tmp_path / "box"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.xml", "b.py", "sub/c.py", "sub/d.py"):
        (folder / name).write_text(f"{name} as it was shown")
    private = tmp_path / "private"
    private.mkdir()
    for name in ("b.py", "c.py", "d.py"):
        (private / name).write_text("secret, and longer than what was shown")
        os.truncate(private / name, 20)
    (tmp_path / "macros.xml").write_text("<macros><token name='@A@'>1</token></macros>")
    (folder / "m.xml").symlink_to(tmp_path / "macros.xml")
    return folder


def rewritten(box: Path) -> None:
    for path in (box / "b.py", box / "sub" / "d.py"):
        path.write_text(path.read_text().replace("shown", "never"))


def grown(box: Path) -> None:
    (box / "sub" / "d.py").write_text("more " * 10_000)


def shortened(box: Path) -> None:
    os.truncate(box / "b.py", 3)


def a_link(box: Path) -> None:
    for path in (box / "b.py", box / "sub" / "d.py"):
        path.unlink()
        path.symlink_to(box.parent / "private" / path.name)


def a_folder_by_a_link(box: Path) -> None:
    shutil.rmtree(box / "sub")
    (box / "sub").symlink_to(box.parent / "private")


def other_macros(box: Path) -> None:
    (box.parent / "macros.xml").write_text("secret")


def a_pipe(box: Path) -> None:
    (box / "b.py").unlink()
    os.mkfifo(box / "b.py")


def gone(box: Path) -> None:
    (box / "sub" / "d.py").unlink()


def added(box: Path) -> None:
    (box / "sub" / "e.py").write_text("nobody has seen this")


CHANGES = [
    rewritten,
    grown,
    shortened,
    a_link,
    a_folder_by_a_link,
    other_macros,
    a_pipe,
    gone,
    added,
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    ("step", "when"),
    [*((one, "shown") for one in STEPS), ("_entry", "approved"), ("copy_bytes", "approved")],
)
def test_what_is_approved_was_shown_and_is_what_runs(
    step: str,
    change: Callable[[Path], None],
    when: str,
    box: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home, real, left = STEPS[step], getattr(STEPS[step], step), [1]

    def changing(*given: object, **named: object) -> object:
        if left and (when == "shown" or shown):
            left.clear()
            other = threading.Thread(target=change, args=(box,))
            other.start()
            other.join()
        return real(*given, **named)

    shown, refused = dict[str, str](), ""
    monkeypatch.setattr(home, step, changing)
    try:
        seen = review(box)
        copy = {one: (seen.copy / one).read_text() for one in look(seen.copy)}
        shown |= copy
        answer = approve(box, seen=seen)
    except TrustError as error:
        refused = error.message
    if refused:
        assert "changed while" in refused
        assert approval_of(box) is None
    else:
        assert answer.digest == seen.digest
        assert {one: (seen.copy / one).read_text() for one in look(seen.copy)} == copy
        # what the disk has since is another toolbox, unless what changed came before the look
        now = trust_state(box)
        assert now.state in (TrustState.APPROVED, TrustState.CHANGED)
        assert now.state is TrustState.CHANGED or digest_of(look(box)) == seen.digest
    for kept in kept_folder("").glob("*/**/*.*"):
        assert "secret" not in kept.read_text()
        assert "nobody" not in kept.read_text() or "nobody" in str(shown)
