"""The home, and what we keep, are shown to no program, however its walls come to show them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from napari_tool_runner.plugins import Mount
from napari_tool_runner.plugins.programs.binds import binds
from napari_tool_runner.plugins.programs.enclosure import enclosure_problem
from napari_tool_runner.plugins.programs.installed import (
    private_beside,
    python_places,
    with_prefixes,
)
from napari_tool_runner.plugins.runner_local import LocalRunnerService
from napari_tool_runner.tools.isolation.walls import missing_walls, system_places
from napari_tool_runner.tools.model import DirectoryParameter
from napari_tool_runner.tools.private import outermost, private_places, spared
from napari_tool_runner.tools.tree import Leaf, chosen_places
from plugins.runner_helpers import make_process

enclosed = pytest.mark.skipif(bool(enclosure_problem()), reason="no bubblewrap here")


def put(path: Path, text: str = "mine") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "people" / "ada"
    put(home / "letter.txt")
    put(home / "proj" / ".env")
    put(home / "proj" / "data" / "server.pem")
    put(home / "proj" / "lib" / "part.txt")
    put(home / "proj" / "bin" / "mytool", "#!/bin/sh\necho hi\n").chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    return home


def found_by_program(tmp_path: Path, *mounts: Path) -> set[str]:
    """Names of the files that an enclosed program can read below `tmp_path`."""
    job = tmp_path / "jobs" / "tool" / "job" / "io"
    job.mkdir(parents=True)
    process, events = make_process(job)
    process.context.root = job
    process.context.mounts = [Mount(job, read_only=False), *map(Mount, mounts)]
    # also through links; it fails when there is one that leads nowhere
    LocalRunnerService().exec(process, ["grep", "-Rl", "-D", "skip", ".", str(tmp_path)])
    return {os.path.basename(line) for line in events.lines()}


@enclosed
@pytest.mark.parametrize("variable", ["PATH", "LD_LIBRARY_PATH", "PYTHONPATH"])
@pytest.mark.parametrize("spelled", ["link", "people/ada/proj/..", "people/ada/proj/../..", "."])
def test_no_search_path_shows_the_home(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, spelled: str
) -> None:
    (tmp_path / "link").symlink_to(home)
    place = os.path.join(str(tmp_path), spelled)  # unlike a Path, as it is written
    before = os.environ.get(variable)
    monkeypatch.setenv(variable, os.pathsep.join(filter(None, (before, place))))
    if variable == "PYTHONPATH":
        monkeypatch.setattr(sys, "path", [*sys.path, place])
    assert not found_by_program(tmp_path) & {"letter.txt", ".env", "server.pem"}


@enclosed
def test_a_folder_of_programs_shows_nothing_of_the_project_around_it(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(home / "proj" / "bin" / ".netrc")
    put(home / "proj" / "bin" / "deploy.pem")
    monkeypatch.setenv("PATH", f"{home}/proj/bin{os.pathsep}{os.environ['PATH']}")
    found = found_by_program(tmp_path)
    assert {"mytool", "part.txt"} <= found
    assert not found & {"letter.txt", ".env", "server.pem", ".netrc", "deploy.pem"}


@enclosed
def test_a_home_within_what_is_shown_is_covered(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one below /usr or /opt is; what is needed of it is seen in its place."""
    (tmp_path / "system").symlink_to(tmp_path / "people")
    put(home.parent / "program.txt")
    key = put(home / ".local" / "share" / "napari-tool-runner" / "seal.key")
    monkeypatch.setenv("PATH", f"{home}/proj/bin{os.pathsep}{os.environ['PATH']}")
    from napari_tool_runner.plugins.programs import enclosure

    shown = [tmp_path / "people", tmp_path / "system", home / "proj" / "bin"]
    options = [*enclosure._options((), shown, tmp_path / "temp", network=False)]
    covered = {options[n + 1] for n, one in enumerate(options) if one == "--tmpfs"}
    assert {str(home), str(tmp_path / "system" / "ada")} <= covered
    assert options.index(str(home / "proj" / "bin")) > options.index(str(home))
    assert str(key.parent) in map(str, private_places())


@enclosed
def test_who_lends_the_home_does_not_lend_what_we_keep_there(home: Path, tmp_path: Path) -> None:
    put(home / ".local" / "share" / "napari-tool-runner" / "seal.key")
    found = found_by_program(tmp_path, home)
    assert "letter.txt" in found
    assert "seal.key" not in found


def test_an_installation_is_shown_in_its_parts(home: Path, tmp_path: Path) -> None:
    proj, conda = home / "proj", tmp_path / "conda"
    assert with_prefixes([proj / "bin"]) == {proj / "bin", proj / "lib"}
    put(conda / "bin" / "x")
    put(conda / "conda-meta" / "history")
    assert with_prefixes([conda / "bin"]) == {conda / "bin", conda}
    put(conda / ".git" / "config")
    assert with_prefixes([conda / "bin"]) == {conda / "bin", conda / "conda-meta"}
    put(home / "bin" / "x")
    put(home / "lib" / "x")
    assert with_prefixes([home / "bin"]) == {home / "bin"}


def test_an_environment_with_hidden_files_is_one_mount_that_covers_them(
    home: Path, tmp_path: Path
) -> None:
    made = tmp_path / "environment"
    for name in ("bin/x", "lib/x", "share/x", "pyvenv.cfg", "CACHEDIR.TAG", ".lock", ".gitignore"):
        put(made / name)
    shown = with_prefixes([made / "bin"])
    assert shown == {made / "bin", made}
    assert {*private_beside(shown)} == {str(made / ".lock"), str(made / ".gitignore")}
    (made / ".gitignore").unlink()
    put(made / ".git" / "config")
    assert made not in with_prefixes([made / "bin"]), "a checkout, whose author writes there"
    (made / ".git").rename(made / "notes")
    assert made not in with_prefixes([made / "bin"])


def test_a_folder_of_programs_that_becomes_a_link_is_seen(home: Path, tmp_path: Path) -> None:
    folder = put(tmp_path / "programs" / "x").parent
    assert with_prefixes([folder]) == {folder}
    folder.rename(tmp_path / "moved")
    folder.symlink_to(home.parent)
    assert with_prefixes([folder]) == set()


@enclosed
@pytest.mark.parametrize("device", ["null", "nvidia0"])
def test_devices_are_told_of_where_there_are_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    listed = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: [device] if path == "/dev" else listed(path))
    from napari_tool_runner.plugins.programs import enclosure

    options = [*enclosure._options((), (), tmp_path / "temp", network=False)]
    assert "/sys/devices" in options
    assert ("/sys/bus" in options) == ("/sys/module" in options) == (device == "nvidia0")


def test_folders_of_scripts_are_no_modules(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(home / "analysis" / "plot.py")
    put(home / "package" / "__init__.py")
    monkeypatch.setattr(sys, "path", [*sys.path, str(home)])
    shown = {place for place in python_places() if place.is_relative_to(tmp_path)}
    assert shown == {home / "package"}


def test_what_is_opened_around_what_is_hidden(tmp_path: Path) -> None:
    for name in ("a/b/secret/key", "a/b/other", "a/c/other", "d"):
        put(tmp_path / name)
    top, secret = str(tmp_path), str(tmp_path / "a" / "b" / "secret")
    opened = {os.path.relpath(one, top) for one in spared(top, [secret, f"{secret}/key", "/x"])}
    assert opened == {"a/b/other", "a/c", "d"}
    assert [*spared(secret, [secret])] == []
    assert [*spared(f"{top}/d", [secret])] == [f"{top}/d"]
    assert outermost([secret, f"{secret}/key"], top) == [secret]


@pytest.mark.parametrize("spelled", ["", "proj/..", ".."])
def test_a_home_that_is_chosen_is_more_than_a_tool_is_given(
    home: Path, tmp_path: Path, spelled: str
) -> None:
    (tmp_path / "link").symlink_to(home)
    folder = DirectoryParameter(name="d")
    for place in (home, tmp_path / "link"):
        assert chosen_places([Leaf("d", folder, os.path.join(place, spelled))]) == []
    assert chosen_places([Leaf("d", folder, str(home / "proj"))]) == [home / "proj"]


@pytest.mark.skipif(bool(missing_walls()), reason="no walls here")
def test_the_reader_opens_no_home(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script of the user's may lie there, and so its folder is on Python's path."""
    (tmp_path / "link").symlink_to(home)
    put(home / "module.py")
    around = [*sys.path, str(home), str(tmp_path / "link"), str(tmp_path / "people")]
    monkeypatch.setattr(sys, "path", around)
    opened = system_places()
    assert str(home / "module.py") in opened
    shut = [home, home / "proj", home / "letter.txt", home.parent, tmp_path]
    assert not {*map(str, shut)} & {*opened}


def test_a_home_behind_a_link_of_the_system_is_covered(tmp_path: Path) -> None:
    """A mount follows the link that it is named by; a link within the walls is none."""
    put(tmp_path / "data" / "opt" / "bob" / "letter.txt")
    for name in ("opt", "bin"):
        (tmp_path / name).symlink_to(tmp_path / "data" / "opt")
    home = str(tmp_path / "data" / "opt" / "bob")
    seen = [tmp_path / "opt", tmp_path / "bin"]
    told = [*binds({}, seen, [home], [str(tmp_path / "bin")])]
    assert told == ["--tmpfs", str(tmp_path / "opt" / "bob")]
