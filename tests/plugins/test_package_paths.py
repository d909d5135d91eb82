"""Where the files of conda packages would go, looked at by hand: one folder a package.

What whole environments do with such packages is tried in tests/security.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("rattler")

from napari_tool_runner.errors import PreparationError
from napari_tool_runner.plugins.conda import package_paths
from napari_tool_runner.plugins.conda.package_paths import PackagePaths


def record(name: str, version: str = "1", site: str = "") -> SimpleNamespace:
    """What `PackagePaths` reads of a record of rattler."""
    return SimpleNamespace(
        name=SimpleNamespace(normalized=name),
        version=version,
        build="0",
        file_name=f"{name}-{version}-0.conda",
        python_site_packages_path=site or None,
    )


class Cache:
    """Unpacked packages; `look` says what is wrong with the first that is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: list[str] = []

    def add(self, name: str, *files: str, commands: tuple[str, ...] = (), **links: str) -> Cache:
        """Add a package of `files`, and of `links`: place (``__`` for a slash) -> target."""
        info = self.folder / f"{name}-1-0" / "info"
        info.mkdir(parents=True)
        listed = []
        for one in files:
            listed.append({"_path": one, "path_type": "hardlink", "sha256": "0" * 64})
            place = info.parent / one
            if ".." not in place.parts and not os.path.isabs(one):
                place.parent.mkdir(parents=True, exist_ok=True)
                place.touch()
        for spelt, target in links.items():
            one = spelt.replace("__", "/")
            listed.append({"_path": one, "path_type": "softlink", "sha256": "0" * 64})
            place = info.parent / one
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(target)
        (info / "paths.json").write_text(json.dumps({"paths": listed, "paths_version": 1}))
        if commands:
            noarch = {"type": "python", "entry_points": [f"{one} = a:b" for one in commands]}
            (info / "link.json").write_text(json.dumps({"noarch": noarch}))
        self._names.append(name)
        return self

    def look(self, *more: str) -> str:
        names = [*self._names, *more]
        paths = PackagePaths([record("python", "3.12.1"), *map(record, names)], self.folder)
        for name in names:
            paths.look(name)
        return paths.problem


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "packages")


def test_ordinary_packages_are_linked(cache: Cache) -> None:
    cache.add("lib", "lib/libz.so.1", "bin/z", lib__libz="libz.so.1")
    cache.add("pure", "site-packages/pure/__init__.py", "python-scripts/p", commands=("pure",))
    assert cache.look() == ""
    assert (cache.folder / "lib-1-0").is_dir()


@pytest.mark.parametrize(
    ("file", "links", "said"),
    [
        ("../../outside", {}, "would lie outside of the environment"),
        ("/etc/cron.d/x", {}, "would lie outside of the environment"),
        ("share/y", {"conda-meta__x": "../lib"}, "lies where only files of conda do"),
    ],
)
def test_a_package_that_leaves_is_refused_and_deleted(
    cache: Cache, file: str, links: dict[str, str], said: str
) -> None:
    problem = cache.add("bad", file, **links).look()
    assert problem.startswith("the package bad is refused: ")
    assert said in problem
    assert not (cache.folder / "bad-1-0").exists()


def test_a_link_to_a_file_outside_is_a_link_like_any_other(cache: Cache) -> None:
    assert cache.add("good", lib__a="/etc/shadow").look() == ""


def test_a_file_behind_a_link_of_its_own_package_is_refused(cache: Cache) -> None:
    cache.add("bad", share__x="/etc")
    told = cache.folder / "bad-1-0" / "info" / "paths.json"
    listed = json.loads(told.read_text())
    behind = {"_path": "share/x/passwd", "path_type": "hardlink", "sha256": "0" * 64}
    told.write_text(json.dumps({**listed, "paths": [*listed["paths"], behind]}))
    assert "its file share/x/passwd lies behind a link" in cache.look()


def test_a_file_that_was_unpacked_as_a_link_is_refused(cache: Cache) -> None:
    cache.add("bad", lib__a="b")
    told = cache.folder / "bad-1-0" / "info" / "paths.json"
    told.write_text(told.read_text().replace("softlink", "hardlink"))
    assert "is a link" in cache.look()


def test_a_file_behind_a_link_of_another_package_is_refused(cache: Cache) -> None:
    cache.add("first", share__x="/home")
    cache.add("second", "share/x/y")
    assert "the package second is refused: its file share/x/y goes through a link" in cache.look()


def test_a_link_above_the_environment_leads_out(cache: Cache) -> None:
    cache.add("first", share__x="../../..")
    cache.add("second", "share/x/y")
    assert "goes through a link that leads out" in cache.look()


def test_a_link_within_the_environment_may_be_gone_through(cache: Cache) -> None:
    cache.add("first", "share/real/a", share__x="real")
    cache.add("second", "share/x/y")
    assert cache.look() == ""


def test_links_that_lead_to_one_another_lead_nowhere(cache: Cache) -> None:
    cache.add("first", share__x="y", share__y="x")
    cache.add("second", "share/x/z")
    assert "goes through a link that leads out" in cache.look()


def test_a_link_in_place_of_a_folder_of_another_package_is_refused(cache: Cache) -> None:
    cache.add("first", "share/x/y")
    cache.add("second", share__x="/home")
    assert "its link share/x is a folder of another package" in cache.look()


def test_a_link_behind_a_link_that_leads_out_is_refused(cache: Cache) -> None:
    cache.add("first", share__x="/home")
    cache.add("second", share__x__y="z")
    assert "its link share/x/y goes through a link that leads out" in cache.look()


def test_a_link_out_in_place_of_a_file_is_refused(cache: Cache) -> None:
    cache.add("first", "share/x")
    cache.add("second", share__x="/home/me/.profile")
    assert "leads out, and is a file of another package" in cache.look()


def test_nothing_goes_through_a_link_that_two_packages_bring(cache: Cache) -> None:
    cache.add("first", "share/a/f", share__x="a")
    cache.add("second", "share/b/f", share__x="b")
    cache.add("third", "share/x/y")
    assert "the package third is refused" in cache.look()


@pytest.mark.parametrize("command", ["../../x", "a/b", "", "x\ny"])
def test_commands_have_plain_names(cache: Cache, command: str) -> None:
    cache.add("pure", "site-packages/pure.py", commands=(command,))
    assert "is no plain name" in cache.look()


def test_pure_python_goes_where_the_interpreter_looks(cache: Cache) -> None:
    cache.add("first", **{"lib__python3.12__site-packages": "/home"})
    cache.add("pure", "site-packages/pure.py")
    assert "the package pure is refused" in cache.look()


def test_a_list_that_cannot_be_read_is_no_list(cache: Cache) -> None:
    cache.add("bad", "lib/a")
    (cache.folder / "bad-1-0" / "info" / "paths.json").write_text("{")
    assert "its list of files cannot be read" in cache.look()


@pytest.mark.parametrize("path", ["a/" * 100 + "x", "/".join(["a" * 200] * 21)])
def test_a_path_that_no_disk_has_is_refused(cache: Cache, path: str) -> None:
    info = cache.add("bad").folder / "bad-1-0" / "info"
    listed = [{"_path": path, "path_type": "hardlink"}]
    (info / "paths.json").write_text(json.dumps({"paths": listed, "paths_version": 1}))
    assert "has a path that is too long" in cache.look()
    assert not info.exists()


@pytest.mark.parametrize("name", ["paths.json", "files", "index.json", "link.json"])
def test_what_a_package_tells_of_itself_has_a_limit(cache: Cache, name: str) -> None:
    info = cache.add("bad", "lib/a").folder / "bad-1-0" / "info"
    with (info / name).open("ab") as file:
        file.truncate(2**26 + 1)
    assert "MB, too much to be read" in cache.look()
    assert not info.exists()


def test_what_packages_list_is_read_through_no_link(cache: Cache, tmp_path: Path) -> None:
    info = cache.add("bad", "lib/a").folder / "bad-1-0" / "info"
    (info / "paths.json").rename(tmp_path / "paths.json")
    (info / "paths.json").symlink_to(tmp_path / "paths.json")
    assert "cannot be read" in cache.look()


def test_packages_list_no_more_files_than_are_remembered(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.add("one", "lib/a", "lib/b").add("two", "lib/c", "lib/d")
    monkeypatch.setattr(package_paths, "_MOST_FILES", 5)  # each list counts itself, too
    assert "package two is refused: with it the packages list more than 5 files" in cache.look()


def test_packages_name_no_more_folders_than_are_remembered(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.add("one", "lib/a", "lib/b").add("two", "lib/more/c")
    monkeypatch.setattr(package_paths, "_MOST_FOLDERS", 10)
    assert "package two is refused" in (said := cache.look())
    assert "too many folders" in said


def test_what_was_not_unpacked_cannot_be_looked_at(cache: Cache) -> None:
    cache.folder.mkdir()
    assert cache.look("gone") == "gone is nowhere to be looked at"


@pytest.mark.parametrize(
    "bad", [record("../x"), record("x", "1/../2"), record("python", "3.12", "../../site")]
)
def test_records_that_name_files_elsewhere_are_refused(
    tmp_path: Path, bad: SimpleNamespace
) -> None:
    with pytest.raises(PreparationError, match="leads out of the environment"):
        PackagePaths([bad], tmp_path)


def test_a_package_is_refused_whatever_it_lists(cache: Cache) -> None:
    cache.add("good", "bin/x").add("other", "bin/y")
    paths = PackagePaths([record("good"), record("other")], cache.folder)
    paths.refuse("good", "it is too much")
    assert paths.problem == "the package good is refused: it is too much"
    assert [one.name.partition("-")[0] for one in cache.folder.iterdir()] == ["other"]
