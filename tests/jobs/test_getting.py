"""More tools: toolboxes by folder, zip, git checkout and package; added, replaced, removed."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import napari_tool_runner as ntr
from napari_tool_runner.cli import main
from napari_tool_runner.config import FACILITY_VARIABLE, Config, config_path, load_config
from napari_tool_runner.errors import (
    JobCancelledError,
    PreparationError,
    ToolboxError,
    ToolRunnerError,
    TrustError,
)
from napari_tool_runner.jobs import Getting, add_toolbox, remove_toolbox
from napari_tool_runner.plugins import Package
from napari_tool_runner.plugins.uv import packages
from napari_tool_runner.plugins.uv.indexes import place_of
from napari_tool_runner.storage import user_data
from napari_tool_runner.tools.toolbox import added, unpacking
from napari_tool_runner.tools.toolbox.added import added_toolboxes, git_version
from napari_tool_runner.tools.toolbox.installed import GROUP
from napari_tool_runner.tools.toolbox.trust import TrustState, approve, trust_state
from plugins.pypi_index import Index, wheel

TOOL = """<tool id="{0}" name="{0}" version="1.0"><description>x</description>
<command>python '$__tool_directory__/run.py' ${{i}}</command><inputs>
<param name="i" type="data" format="imagetiff" label="Image"/></inputs></tool>"""
BOOM = b"raise SystemExit('a stranger ran')"


def toolbox(folder: Path, *ids: str) -> Path:
    for name in ids or ("spots",):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / f"{name}.xml").write_text(TOOL.format(name))
        (folder / name / "run.py").write_text("print(1)")
    return folder


def zipped(path: Path, files: dict[str, bytes | str], **modes: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, (2026, 3, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = modes.get(name.rpartition("/")[2], 0o100644) << 16
            archive.writestr(info, content)
    return path


def package(name="cell-tools", version="1.0", *ids, entries="cells = cell_tools:toolbox", **more):
    module, info = name.replace("-", "_"), f"{name.replace('-', '_')}-{version}.dist-info"
    files = {f"{module}/__init__.py": BOOM, "bad.pth": b"import os; os.abort()"}
    for one in ids or ("count_cells",):
        files[f"{module}/toolbox/{one}.xml"] = TOOL.format(one).encode()
    files[f"{info}/entry_points.txt"] = f"[{GROUP}]\n{entries}\n".encode() if entries else b""
    return wheel(name, version, files={**files, **more.pop("files", {})}, **more)


@pytest.fixture
def index(monkeypatch):
    served = Index()
    for name in [one for one in os.environ if one.startswith(("UV_", "PIP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_DEFAULT_INDEX", served.url)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    yield served
    served.stop()


def names() -> list[str]:
    return [one.name for one in added_toolboxes(load_config()) if one.shown]


def left() -> list[str]:
    home = user_data() / "toolboxes"
    return sorted(one.name for one in home.iterdir()) if home.is_dir() else []


# -- folders -------------------------------------------------------------------------------------


def test_a_folder_is_named_and_stays_where_it_is(tmp_path):
    box = toolbox(tmp_path / "box", "spots", "rings")
    assert add_toolbox(box) == box
    assert {"spots", "rings"} <= {*ntr.load_toolbox()}
    assert trust_state(box).state is TrustState.UNKNOWN
    with pytest.raises(ToolboxError, match="one of your toolboxes already"):
        add_toolbox(box)
    assert "its files stay" in remove_toolbox("box", load_config())
    assert names() == []
    assert (box / "spots" / "spots.xml").is_file()


def test_what_has_no_tools_says_so(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ToolboxError, match="holds no descriptor of a tool"):
        add_toolbox(tmp_path / "empty")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.xml").write_text("<tool id='a'")
    with pytest.raises(ToolboxError, match=r"that can be read: .*a\.xml"):
        add_toolbox(tmp_path / "broken")
    with pytest.raises(ToolboxError, match="holds no descriptor"):
        add_toolbox(zipped(tmp_path / "a.zip", {"readme.txt": "hello"}))
    with pytest.raises(ToolboxError, match="There is no folder and no zip"):
        add_toolbox(tmp_path / "absent")
    assert names() == left() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="the super-user reads everything")
def test_a_folder_that_cannot_be_read(tmp_path):
    box = toolbox(tmp_path / "box")
    box.chmod(0)
    try:
        with pytest.raises(ToolboxError, match="cannot be read: Permission denied"):
            add_toolbox(box)
    finally:
        box.chmod(0o700)


def test_a_git_checkout_tells_its_commit_and_git_is_not_run(tmp_path, monkeypatch):
    box = toolbox(tmp_path / "box")
    (box / ".git" / "refs" / "heads").mkdir(parents=True)
    (box / ".git" / "config").write_text(f"[core]\nfsmonitor = touch {tmp_path}/ran\n")
    (box / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (box / ".git" / "refs" / "heads" / "main").write_text("1234567890abcdef\n")
    assert git_version(box) == "git main 1234567"
    assert "git main 1234567" in Getting(str(box), load_config()).find().about.text
    (box / ".git" / "refs" / "heads" / "main").unlink()
    (box / ".git" / "packed-refs").write_text("# pack\nfedcba9876 refs/heads/main\n")
    assert git_version(box) == "git main fedcba9"
    (box / ".git" / "HEAD").write_text("ref: ../../../../etc/hostname\n")
    assert git_version(box) == "git"
    (box / ".git" / "HEAD").write_text("0123456789\n")
    assert git_version(box) == "git 0123456"
    assert not (tmp_path / "ran").exists()


# -- zips ----------------------------------------------------------------------------------------

GOOD = {"spots-1.2/spots.xml": TOOL.format("spots"), "spots-1.2/run.sh": "echo"}
SHED = {"spots-1.2/.shed.yml": "categories: [Counting]"}


def test_a_zip_is_unpacked_for_us(tmp_path):
    path = zipped(tmp_path / "any.zip", GOOD, **{"run.sh": 0o100755})
    folder = add_toolbox(path)
    assert folder.name == "spots"
    assert folder.is_relative_to(user_data() / "toolboxes")
    (one,) = added_toolboxes(load_config())
    assert (one.about.kind, one.about.version) == ("zip", "1.2")
    assert trust_state(folder).state is TrustState.UNKNOWN
    assert os.access(folder / "run.sh", os.X_OK)
    assert "spots" in ntr.load_toolbox()
    assert "with its files" in remove_toolbox("spots", load_config())
    assert names() == left() == []
    path = zipped(tmp_path / "bare.zip", {"a.xml": TOOL.format("a")})
    assert Getting(str(path), load_config()).find().about.text == "bare.zip, of 2026-03-01"


def test_a_configuration_that_names_a_fetched_toolbox_is_no_consent(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_TOOL_RUNNER_CONFIG", str(tmp_path / "c.json"))
    (tmp_path / "c.json").write_text("{}")
    folder = add_toolbox(zipped(tmp_path / "a.zip", GOOD))
    assert folder in load_config().consented_dirs
    assert trust_state(folder).state is TrustState.UNKNOWN
    with pytest.raises(TrustError, match="another version may take its place"):
        approve(folder, mine=True)


def test_another_version_takes_its_place_and_is_asked_about(tmp_path):
    folder = add_toolbox(zipped(tmp_path / "a.zip", GOOD))
    approve(folder)
    newer = zipped(tmp_path / "b.zip", {"spots-2/spots.xml": TOOL.format("spots") + " "})
    with pytest.raises(ToolboxError, match=r"There is a toolbox “spots” already \(a\.zip, 1\.2\)"):
        add_toolbox(newer)
    offer = Getting(str(newer), load_config()).find()
    before = offer.before()
    assert before is not None
    assert offer.difference(before) == "1 file changed, 1 file gone."
    offer.drop()
    assert left() == ["spots"]
    assert add_toolbox(newer, replace=True) == folder
    trust = trust_state(folder)
    assert trust.state is TrustState.CHANGED
    assert {*trust.changes} == {"changed spots.xml", "removed run.sh"}
    same = Getting(str(newer), load_config()).find()
    assert same.difference(before) == "Its files are the same."
    same.drop()
    other = add_toolbox(newer, name="other spots")
    assert other.name == "other_spots"
    assert names() == ["spots", "other_spots"]


ATTACKS = {
    "up": {"../evil.xml": "x", **GOOD},
    "deep up": {"spots-1.2/../../evil.xml": "x", **GOOD},
    "root": {"/evil.xml": "x", **GOOD},
    "windows": {"..\\..\\evil.xml": "x", **GOOD},
    "drive": {"C:\\evil.xml": "x", **GOOD},
    "deep": {"/".join("a" * 100) + "/x": "x", **GOOD},
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_zip_that_leads_out_is_refused_whole(name, tmp_path):
    path = zipped(tmp_path / "a.zip", ATTACKS[name])
    before = {*tmp_path.parent.rglob("evil.xml")}  # of other tests
    with pytest.raises(ToolboxError, match=r"outside of the toolbox|nested too deeply"):
        add_toolbox(path)
    assert names() == left() == []
    assert {*tmp_path.parent.rglob("evil.xml")} == before


def test_links_and_odd_names_are_left_out_and_told(tmp_path):
    odd = {
        **SHED,
        "spots-1.2/link": "/etc/passwd",
        "spots-1.2/aux.xml": "x",
        "spots-1.2/a\nb": "x",
    }
    path = zipped(tmp_path / "a.zip", {**GOOD, **odd}, link=stat.S_IFLNK | 0o777)
    offer = Getting(str(path), load_config()).find()
    assert len(offer.left_out) == 3
    assert "link" in "".join(offer.lines())
    assert sorted(one.name for one in offer.folder.iterdir()) == [
        ".shed.yml", "run.sh", "spots.xml"
    ]  # fmt: skip
    assert offer.entries[0].categories == ("Counting",)
    offer.drop()


def test_what_is_too_much_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "MOST_BYTES", 10_000)
    bomb = zipped(tmp_path / "bomb.zip", {**GOOD, "spots-1.2/zeros": bytes(20_000)})
    with pytest.raises(ToolboxError, match=r"bomb\.zip is no toolbox: it holds more than 10 kB"):
        add_toolbox(bomb)
    monkeypatch.setattr(unpacking, "MOST_FILES", 1)
    with pytest.raises(ToolboxError, match="it holds more than 1 file"):
        add_toolbox(zipped(tmp_path / "many.zip", GOOD))
    monkeypatch.setattr(unpacking, "_MOST_LISTED", 10)
    with pytest.raises(ToolboxError, match="it holds more than"):
        add_toolbox(tmp_path / "many.zip")
    assert left() == []


def test_a_zip_that_lies_about_its_sizes_is_damaged(tmp_path):
    path = zipped(tmp_path / "a.zip", {**GOOD, "spots-1.2/zeros": bytes(200_000)})
    data = path.read_bytes()
    path.write_bytes(data.replace((200_000).to_bytes(4, "little"), (5).to_bytes(4, "little")))
    with pytest.raises(ToolboxError, match="is no zip, or is damaged"):
        add_toolbox(path)
    assert left() == []


def test_a_zip_with_a_password_twice_or_damaged(tmp_path):
    path = zipped(tmp_path / "a.zip", GOOD)
    data = path.read_bytes()
    (tmp_path / "cut.zip").write_bytes(data[: len(data) // 2])
    locked = bytearray(data)
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = locked.find(mark)
        locked[place + at] |= 1
    (tmp_path / "locked.zip").write_bytes(locked)
    zipped(tmp_path / "both.zip", {**GOOD, "spots-1.2/run.sh/inner": "x"})
    for name, why in (
        ("cut.zip", "is no zip, or is damaged"),
        ("locked.zip", "locked with a password"),
        ("both.zip", "twice"),
    ):
        with pytest.raises(ToolboxError, match=why):
            add_toolbox(tmp_path / name)
    assert left() == []


@given(st.binary(max_size=300), st.data())
def test_bytes_of_anybody_are_a_sentence_or_a_folder(noise, data):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in data.draw(
            st.lists(st.text("/.ab\\:\n·", min_size=1, max_size=9), max_size=4, unique=True)
        ):
            archive.writestr(name.encode("utf-8", "replace").decode(), "x")
    whole = bytearray(buffer.getvalue())
    for byte in noise:
        whole[data.draw(st.integers(0, len(whole) - 1))] = byte
    with tempfile.TemporaryDirectory() as place:
        path, into = Path(place, "a.zip"), Path(place, "in", "to")
        path.write_bytes(whole)
        into.mkdir(parents=True)
        with suppress(ToolRunnerError, OSError):
            unpacking.unpack(path, into)
        assert {one.name for one in Path(place).iterdir()} == {"a.zip", "in"}
        assert {one.name for one in into.parent.iterdir()} == {"to"}
        assert not any(one.is_symlink() for one in into.rglob("*"))


def test_a_full_disk_is_a_sentence(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(unpacking, "_copy", full)
    with pytest.raises(ToolboxError, match=r"a\.zip was not unpacked: the disk is full"):
        add_toolbox(zipped(tmp_path / "a.zip", GOOD))
    assert left() == []


def test_cancelled_in_the_middle(tmp_path, monkeypatch):
    getting = Getting(str(zipped(tmp_path / "a.zip", GOOD)), load_config())
    real = unpacking._copy

    def copy(source, target, stop):
        getting.cancel.cancel()
        real(source, target, stop)

    monkeypatch.setattr(unpacking, "_copy", copy)
    with pytest.raises(JobCancelledError):
        getting.find()
    assert left() == []


# -- killed, and two at once ---------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from napari_tool_runner.jobs import add_toolbox
from napari_tool_runner.tools.toolbox import added, unpacking
place, name = sys.argv[1:3]
owner, attribute = {"unpack": (unpacking, "_copy"), "about": (added, "write_json"),
    "delete": (added, "_delete"), "rename": (Path, "rename")}[name]
real, calls = getattr(owner, attribute), []
def die(*args, **more):
    calls.append(args)
    if len(calls) > int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **more)
setattr(owner, attribute, die)
add_toolbox(place, replace=True)
"""


@pytest.mark.parametrize(
    ("where", "after"),
    [("unpack", 0), ("unpack", 1), ("about", 0), ("rename", 0), ("rename", 1), ("rename", 2),
     ("delete", 0)],
)  # fmt: skip
def test_killed_anywhere_it_is_the_old_one_or_the_new_one(where, after, tmp_path):
    folder = add_toolbox(zipped(tmp_path / "a.zip", GOOD))
    newer = zipped(
        tmp_path / "b.zip", {"spots-2/spots.xml": TOOL.format("spots"), "spots-2/x": "1"}
    )
    words = [sys.executable, "-c", KILLED, str(newer), where, str(after)]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    assert "spots" in ntr.load_toolbox()
    (one,) = added_toolboxes(load_config())
    files = sorted(file.name for file in folder.iterdir())
    assert (one.about.version, files) in [
        ("1.2", ["run.sh", "spots.xml"]),
        ("2", ["spots.xml", "x"]),
    ]
    add_toolbox(newer, replace=True)
    assert left() == ["spots"]


def test_two_at_once(tmp_path):
    paths = [zipped(tmp_path / f"{n}.zip", {f"{n}/{n}.xml": TOOL.format(n)}) for n in "abcd"]
    program = "import sys; from napari_tool_runner.jobs import add_toolbox\n"
    program += "for path in sys.argv[1:]: add_toolbox(path, replace=True)"
    running = [
        subprocess.Popen([sys.executable, "-c", program, *map(str, order)])
        for order in (paths, paths[::-1])
    ]
    assert [one.wait() for one in running] == [0, 0]
    assert sorted(names()) == left() == [*"abcd"]


def test_a_draft_of_the_living_is_not_swept(tmp_path):
    offer = Getting(str(zipped(tmp_path / "a.zip", GOOD)), load_config()).find()
    add_toolbox(zipped(tmp_path / "b.zip", {"b/b.xml": TOOL.format("b")}))
    assert offer.add().folder.is_dir()
    assert left() == ["b", "spots"]


# -- packages of PyPI ----------------------------------------------------------------------------


def test_a_package_is_downloaded_and_read_and_nothing_of_it_runs(index, tmp_path):
    index.add("cell-tools", package(version="0.9"), package("cell-tools", "1.0", "a", "b"))
    getting = Getting("Cell_Tools", load_config())
    found = getting.find()
    assert isinstance(found, Package)
    assert (found.name, found.version) == ("cell-tools", "1.0")
    assert found.size == len(index.files["cell-tools"][1].content)
    assert found.text.endswith(f" from {index.url}")
    assert not [one for one in index.requests if one.endswith(".whl")]
    assert left() == []
    offer = getting.fetch(found)
    assert sorted(entry.id for entry in offer.entries) == ["a", "b"]
    assert offer.lines()[1:] == [
        "Written in the language of BioImageIT (2)", "They need: nothing (2)"
    ]  # fmt: skip
    folder = offer.add().folder
    assert sorted(one.name for one in folder.iterdir()) == ["a.xml", "b.xml"]
    (one,) = added_toolboxes(load_config())
    assert one.about.text == f"cell-tools 1.0 from {index.url}"
    assert trust_state(folder).state is TrustState.UNKNOWN
    assert left() == ["cell-tools"]
    old = add_toolbox("cell-tools==0.9", replace=True)
    assert old == folder
    assert added_toolboxes(load_config())[0].about.version == "0.9"


def test_it_is_told_which_place_had_the_package(index, tmp_path, monkeypatch):
    links = tmp_path / "links"
    links.mkdir()
    mine = package("of-links", entries="cells = of_links:toolbox")
    (links / mine.name).write_bytes(mine.content)
    index.add("of-index", package("of-index", entries="cells = of_index:toolbox"))
    monkeypatch.setenv("UV_FIND_LINKS", str(links))
    for name, place in (("of-links", str(links)), ("of-index", index.url)):
        found = Getting(name, load_config()).find()
        assert isinstance(found, Package)
        assert found.text.endswith(f" from {place}")
        add_toolbox(name)
    told = {one.about.origin: one.about.text for one in added_toolboxes(load_config())}
    assert told["of-links"] == f"of-links 1.0 from {links}"
    assert told["of-index"] == f"of-index 1.0 from {index.url}"


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://files.pythonhosted.org/packages/a/x.whl", "PyPI"),
        ("https://host/b/files/x.whl", "https://me:secret@host/b/simple"),
        ("https://host/a/files/x.whl", "https://host/a/simple"),
        ("https://elsewhere/x.whl", "https://elsewhere"),
        ("file:///links/a%20b/x.whl", "/links"),
        ("file:///other/x.whl", "/other"),
    ],
)
def test_the_place_of_a_file(url, place):
    asked = ["https://host/a/simple", "https://me:secret@host/b/simple", "/links"]
    assert place_of(url, [*asked, "https://pypi.org/simple"]) == place


def test_the_only_index_names_files_of_others():
    asked = ["https://mirror/simple", "/links"]
    assert place_of("https://files.pythonhosted.org/x.whl", asked) == "https://mirror/simple"


def test_several_toolboxes_of_a_package_lie_side_by_side(index):
    more = {"cell_tools/sub/deep/z.xml": TOOL.format("z").encode()}
    entries = "cells = cell_tools:toolbox\nmore = cell_tools.sub:deep"
    index.add("cell-tools", package(entries=entries, files=more))
    folder = add_toolbox("cell-tools")
    assert sorted(one.name for one in folder.iterdir()) == ["cells", "more"]
    assert {"count_cells", "z"} <= {*ntr.load_toolbox()}


def test_packages_that_cannot_be_had_are_a_sentence_each(index, tmp_path, monkeypatch):
    index.add("plain", package("plain", entries=""))
    index.add("empty", package("empty", entries="x = empty.absent:folder"))
    index.add("none", package("none", entries="x = none"))
    broken = package("broken", entries="x = broken:toolbox")
    broken.served = package("broken", "1.0", "other").content
    index.add("broken", broken)
    for name, why in (
        ("plain", f"carries no tools: it names no folder .*{GROUP}"),
        ("empty", "carries no tools"),
        ("absent", f"There is no package absent on {index.url}"),
        ("broken", "is not the one that the lock names"),
        ("a b", "is no name of a package"),
        ("x @ https://example.org/x.whl", "There is no folder and no zip"),
        ("-r", "is no name of a package"),
        ("", "Name a folder"),
    ):
        with pytest.raises(ToolRunnerError, match=why):
            add_toolbox(name)
    index.stop()
    with pytest.raises(PreparationError, match="takes no connections"):
        add_toolbox("plain")
    assert names() == left() == []


def test_a_package_that_unpacks_to_too_much_is_ended(index, monkeypatch):
    index.add("bomb", package("bomb", entries="x = bomb:toolbox", files={"bomb/z": bytes(10**6)}))
    getting = Getting("bomb", load_config())
    found = getting.find()
    monkeypatch.setattr(unpacking, "MOST_BYTES", 200_000)
    with pytest.raises(PreparationError, match="bomb is no toolbox: it holds more than 200 kB"):
        getting.fetch(found)
    monkeypatch.setattr(packages, "too_much", lambda count, size: "it holds more than it may")
    with pytest.raises(PreparationError, match="was not downloaded: it holds more"):
        getting.find()
    assert left() == []


def test_a_download_can_be_cancelled(index):
    index.add("cell-tools", package(size=3_000_000))
    index.pause = 0.2
    getting = Getting("cell-tools", load_config())
    found = getting.find()
    threading.Timer(0.5, getting.cancel.cancel).start()
    begun = time.monotonic()
    with pytest.raises(JobCancelledError):
        getting.fetch(found)
    assert time.monotonic() - begun < 20
    assert left() == []


def test_a_facility_says_which_indexes_and_toolboxes(index, tmp_path, monkeypatch):
    path = tmp_path / "facility.json"
    monkeypatch.setenv(FACILITY_VARIABLE, str(path))
    path.write_text(json.dumps({"policy": {"indexes": ["https://pypi.org/simple"]}}))
    with pytest.raises(TrustError, match="does not allow the index"):
        add_toolbox("cell-tools")
    path.write_text(json.dumps({"policy": {"indxes": []}}))  # a slip forbids, as for jobs
    with pytest.raises(TrustError, match=r"“indxes”, which is not known .*“indexes”"):
        add_toolbox("cell-tools")
    path.write_text(json.dumps({"locked": ["process.xml_dirs"]}))
    with pytest.raises(ToolboxError, match="Your facility says which toolboxes there are"):
        add_toolbox("cell-tools")
    assert index.requests == []


# -- packages of this Python ---------------------------------------------------------------------


@pytest.fixture
def installed(tmp_path, monkeypatch):
    site = tmp_path / "site"
    with zipfile.ZipFile(io.BytesIO(package("cell-tools", "1.5").content)) as archive:
        archive.extractall(site)
    monkeypatch.syspath_prepend(str(site))
    return site / "cell_tools" / "toolbox"


def test_what_an_installed_package_carries_is_found_and_not_imported(installed):
    assert "count_cells" in ntr.load_toolbox()
    assert "cell_tools" not in sys.modules
    (one,) = added_toolboxes(load_config())
    assert (one.name, one.folder) == ("cell-tools", installed)
    assert one.about.text == "cell-tools 1.5, installed in napari’s Python"
    assert trust_state(installed).state is TrustState.UNKNOWN
    with pytest.raises(ToolboxError, match="are shown already"):
        add_toolbox("cell_tools")
    assert "pip uninstall cell-tools" in remove_toolbox("cell-tools", load_config())
    assert "count_cells" not in ntr.load_toolbox()
    assert add_toolbox("cell-tools") == installed
    assert "count_cells" in ntr.load_toolbox()
    assert "cell_tools" not in sys.modules


def test_a_facility_that_locks_the_toolboxes_leaves_installed_ones_out(
    installed, tmp_path, monkeypatch
):
    monkeypatch.setenv(FACILITY_VARIABLE, str(tmp_path / "facility.json"))
    (tmp_path / "facility.json").write_text(json.dumps({"locked": ["process.xml_dirs"]}))
    assert "count_cells" not in ntr.load_toolbox()


def test_an_entry_point_leads_nowhere_else(tmp_path, monkeypatch):
    site = tmp_path / "site"
    toolbox(tmp_path / "outside")
    (site / "cell_tools").mkdir(parents=True)
    (site / "cell_tools" / "toolbox").symlink_to(tmp_path / "outside")
    (site / "x-1.0.dist-info").mkdir()
    (site / "x-1.0.dist-info" / "METADATA").write_text("Name: x\nVersion: 1.0\n")
    (site / "x-1.0.dist-info" / "entry_points.txt").write_text(
        f"[{GROUP}]\na = cell_tools:toolbox\nb = cell_tools:../../outside\nc = nothing.at.all\n"
    )
    monkeypatch.syspath_prepend(str(site))
    assert added_toolboxes(Config()) == []


# -- the command line ----------------------------------------------------------------------------


def test_the_command_line(index, capsys, tmp_path):
    index.add("cell-tools", package())
    assert main(["toolbox", "add", "cell-tools"]) == 1
    told = capsys.readouterr().err
    assert "cell-tools 1.0 (" in told
    assert "nothing was downloaded" in told
    assert main(["toolbox", "add", "cell-tools", "--yes"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("cell-tools: ")
    assert "1 tool," in told.err
    assert "trust" in told.err
    assert main(["toolbox", "add", "cell-tools", "--yes", "--json"]) == 0
    told = capsys.readouterr()
    there = f"cell-tools 1.0 from {index.url}"
    assert f"is there already: {there}. Its files are the same." in told.err
    assert main(["toolbox", "list"]) == 0
    assert capsys.readouterr().out == f"cell-tools  {there}\n"
    assert main(["toolbox", "list", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert one["version"] == "1.0"
    assert main(["toolbox", "remove", "cell-tools"]) == 0
    assert main(["toolbox", "remove", "cell-tools"]) == 1
    assert main(["toolbox", "add"]) == 2
    assert json.loads(config_path().read_text()) == {}
    assert left() == []


def test_a_toolbox_that_no_configuration_names_is_listed(tmp_path):
    folder = add_toolbox(zipped(tmp_path / "a.zip", GOOD))
    config_path().write_text("{}")
    (one,) = added_toolboxes(load_config())
    assert (one.folder, one.shown) == (folder, False)
    remove_toolbox("spots", load_config())
    assert left() == []
    with pytest.raises(ToolboxError, match="no toolbox that was added called “spots”"):
        remove_toolbox("spots", load_config())


def test_fetched_folders_are_known_by_their_place():
    assert added.is_fetched(user_data() / "toolboxes" / "a" / "a")
    assert not added.is_fetched(user_data() / "toolboxes" / "a" / "b")
    assert not added.is_fetched(Path("/"))
