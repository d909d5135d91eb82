"""Conda packages of strangers: what they run, and where their files go, tried / got."""

from __future__ import annotations

import asyncio
import base64
import bz2
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import socket
import stat
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from napari_tool_runner.errors import PreparationError
from napari_tool_runner.plugins import as_service
from napari_tool_runner.plugins.conda import bounds, maker
from napari_tool_runner.plugins.conda.orders import Limits
from napari_tool_runner.plugins.environments import EnvironmentStore
from napari_tool_runner.plugins.programs.enclosure import enclosure_problem
from napari_tool_runner.plugins.runner_conda import CondaRunnerService
from napari_tool_runner.tools.model import PackageRequirement
from plugins.conda_fixtures import ChannelServer
from plugins.runner_helpers import make_process, make_tool

pytest.importorskip("rattler", reason="py-rattler is not installed")
pytestmark = [
    pytest.mark.conda,
    pytest.mark.skipif(os.name == "nt", reason="the packages hold shell programs"),
]
enclosed = pytest.mark.skipif(bool(enclosure_problem()), reason=enclosure_problem())
KEY = "the key of a stranger's victim"
TOOL = "#!/bin/sh\necho ran\n"
Files = Mapping[str, str | tuple[str, str]]
"""Place -> text, or what kind it is listed as and where a link leads."""


def pack(
    channel: Path,
    name: str,
    files: Files,
    *,
    listed: Mapping[str, str] | None = None,
    build: str = "0",
    link: object = None,
    **fields: object,
) -> None:
    """Write a package as a stranger would, who lists what he likes."""
    paths = [
        {"_path": path, "path_type": kind, "sha256": hashlib.sha256(b"x").hexdigest()}
        for path, kind in (listed or {}).items()
    ]
    index = {"name": name, "version": "1.0", "build": build, "build_number": 0, "depends": []}
    index |= {"subdir": "noarch", "noarch": "generic", "timestamp": 1700000000000, **fields}
    (channel / "noarch").mkdir(parents=True, exist_ok=True)
    (channel / "linux-64").mkdir(exist_ok=True)
    with tarfile.open(channel / "noarch" / f"{name}-1.0-0.tar.bz2", "w:bz2") as archive:

        def add(path: str, text: str) -> None:
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(text.encode()), 0o6755
            archive.addfile(info, io.BytesIO(text.encode()))

        for path, what in files.items():
            if isinstance(what, str):
                add(path, what)
                kind = "hardlink"
            elif what[0] == "prefix":
                add(path, what[1])
                rewritten = {"prefix_placeholder": what[1], "file_mode": "text"}
                paths.append({"_path": path, "path_type": "hardlink", **rewritten})
                kind = ""
            else:
                info = tarfile.TarInfo(path)
                info.type, info.linkname = tarfile.SYMTYPE, what[1]
                archive.addfile(info)
                kind = what[0]
            if kind:
                paths.append({"_path": path, "path_type": kind})
        add("info/index.json", json.dumps(index))
        add("info/paths.json", json.dumps({"paths": paths, "paths_version": 1}))
        if link is not None:
            add("info/link.json", json.dumps(link))


def index(channel: Path, **told: str | None) -> None:
    """Write the index of a channel, which tells of its packages what it likes."""
    from rattler.index import index_fs

    asyncio.run(index_fs(channel))
    if told:
        for other in {*channel.glob("*/*repodata*")} - {*channel.glob("*/repodata.json")}:
            other.unlink() if other.is_file() else shutil.rmtree(other)
        path = channel / "noarch" / "repodata.json"
        data = json.loads(path.read_text())
        for record in data["packages"].values():
            record.update(told)
            for name in [name for name, value in told.items() if value is None]:
                del record[name]
        path.write_text(json.dumps(data))


class Place:
    """A channel, a home with a key, and the service that is to make environments."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.channel, self.home, self.envs = (folder / one for one in ("chan", "home", "envs"))
        self.home.mkdir()
        (self.home / "taxes.txt").write_text(KEY)

    def run(
        self, *names: str, init: str = "", enclose: bool = True, channel: str = "", **more: str
    ) -> list[str]:
        if not channel:
            index(self.channel)
        config = {
            "channels": [channel or self.channel.as_uri()],
            "environments_dir": str(self.envs),
            **more,
        }
        service = as_service(CondaRunnerService({**config, "enclose": enclose}))
        wanted = PackageRequirement(text=" ".join(names), init=init)
        process, events = make_process(self.folder / "job", wanted)
        try:
            service.set_up(process)
            assert service.exec(process, ["tool"]) == 0
        finally:
            service.tear_down(process)
        return [*events.lines(), *events.lines("runner"), *events.lines("stderr")]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    found = Place(tmp_path)
    monkeypatch.setenv("HOME", str(found.home))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)
    pack(found.channel, "base", {"bin/tool": TOOL, "share/data": "whole"})
    return found


def attack(place: Place, port: int) -> str:
    """A script that takes what it can, and leaves it in the environment."""
    home = shlex.quote(str(place.home))
    return f"""
        {{ env; cat {home}/taxes.txt; ls {home}; cat "$HOME"/*; }} > "$CONDA_PREFIX/took" 2>&1
        touch {home}/wrote
        (exec 3<>/dev/tcp/127.0.0.1/{port}) && echo reached >> "$CONDA_PREFIX/took"
        export GIVEN="$(echo yes)"
        true
    """


@enclosed
@pytest.mark.parametrize("way", ["link", "activate", "init"])
def test_what_packages_run_is_enclosed(place: Place, way: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        script = attack(place, listening.getsockname()[1])
        name = {"link": "bin/.evil-post-link.sh", "activate": "etc/conda/activate.d/evil.sh"}
        pack(place.channel, "evil", {name[way]: script} if way in name else {})
        said = place.run("base", "evil", init=script if way == "init" else "")
    assert said[0] == "ran"
    (took,) = place.envs.glob("*/p*/took") if way != "activate" else [None]
    # an activation changes nothing in the environment
    told = took.read_text() if took is not None else ""
    assert ("GIVEN" not in told, bool(told)) == (True, way != "activate")
    assert KEY not in told
    assert "taxes.txt\n" not in told
    assert ("reached" in told) == (way == "init")
    assert [one.name for one in place.home.iterdir()] == ["taxes.txt"]


@pytest.mark.parametrize("enclose", [pytest.param(True, marks=enclosed), False])
def test_variables_are_an_allow_list_for_scripts_of_packages(place: Place, enclose: bool) -> None:
    told = 'env > "$PREFIX/env"; echo "$PKG_NAME $PKG_VERSION $PKG_BUILDNUM" > "$PREFIX/told"'
    pack(place.channel, "evil", {"bin/.evil-post-link.sh": told})
    place.run("base", "evil", enclose=enclose)
    (prefix,) = place.envs.glob("*/p*")
    assert KEY not in (prefix / "env").read_text()
    assert (prefix / "told").read_text() == "evil 1.0 0\n"


@enclosed
def test_a_script_changes_no_file_of_another_environment(place: Place) -> None:
    change = 'echo poisoned > "$PREFIX/share/data"'
    pack(place.channel, "evil", {"bin/.evil-post-link.sh": change})
    place.run("base", "evil")
    place.run("base")
    assert {one.read_text() for one in place.envs.glob("*/p*/share/data")} == {
        "poisoned\n",
        "whole",
    }
    assert {one.read_text() for one in place.envs.glob(".packages/*/*/share/data")} == {"whole"}


def test_nothing_in_an_environment_runs_as_its_owner(place: Place) -> None:
    marks = 'cp "$PREFIX/bin/tool" "$PREFIX/bin/mine"; chmod 6755 "$PREFIX/bin/mine"'
    pack(place.channel, "evil", {"bin/.evil-post-link.sh": marks})
    place.run("base", "evil")
    modes = {one.name: one.stat().st_mode & 0o7777 for one in place.envs.glob("*/p*/bin/*")}
    assert modes["mine"] == 0o755
    assert not any(mode & 0o6000 for mode in modes.values())


@enclosed
def test_folders_of_any_depth_and_without_rights_do_no_harm(place: Place) -> None:
    deep = 'cd "$PREFIX"; d=$(printf "d/%.0s" $(seq 300)); '
    deep += "for i in 1 2 3 4 5; do mkdir -p $d && cd $d || exit 1; done"
    hide = 'mkdir "$PREFIX/shut"; cp "$PREFIX/bin/tool" "$PREFIX/shut/mine"'
    hide += '; chmod 6755 "$PREFIX/shut/mine"; chmod 111 "$PREFIX/shut"'
    pack(place.channel, "evil", {"bin/.evil-post-link.sh": f"{hide}; {deep}"})
    assert place.run("base", "evil")[0] == "ran"
    (made,) = place.envs.glob("*/p*/shut/mine")
    assert made.stat().st_mode & 0o7777 == 0o755
    store = EnvironmentStore(place.envs)
    (environment,) = store.environments()
    assert environment.size
    store.remove(environment.key)
    assert not environment.path.exists()


@enclosed
@pytest.mark.parametrize("way", ["script", "file"])
def test_variables_of_packages_show_nothing_to_lines(place: Place, way: str) -> None:
    told = {
        name: str(place.home / "taxes.txt")
        for name in ("PIP_CONFIG_FILE", "PIP_CERT", "NETRC", "SSL_CERT_FILE", "CONDARC")
    } | {name: str(place.home) for name in ("HOME", "TMPDIR", "XDG_CONFIG_HOME", "PIP_CACHE_DIR")}
    lines = [f"export {name}={value}" for name, value in told.items()]
    lines.append(f'export PATH="{place.home}:$PATH"')
    script = {"etc/conda/activate.d/a.sh": "\n".join(lines)}
    file = {"etc/conda/env_vars.d/a.json": json.dumps(told)}
    pack(place.channel, "evil", script if way == "script" else file)
    line = f'{{ cat {place.home}/taxes.txt; ls {place.home}; }} > "$CONDA_PREFIX/took" 2>&1; true'
    place.run("base", "evil", init=line)
    (took,) = place.envs.glob("*/p*/took")
    assert KEY not in took.read_text()
    assert "taxes.txt\n" not in took.read_text()


@enclosed
def test_the_users_word_on_pip_stands_before_that_of_packages(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = place.home / "own.conf"
    own.write_text("[global]\n")
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.here")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(own))
    told = {"PIP_INDEX_URL": "https://elsewhere", "PIP_CONFIG_FILE": "/elsewhere"}
    pack(place.channel, "evil", {"etc/conda/env_vars.d/a.json": json.dumps(told)})
    line = (
        'echo "$PIP_INDEX_URL" "$PIP_CONFIG_FILE" > "$CONDA_PREFIX/told"; cat "$PIP_CONFIG_FILE"'
    )
    place.run("base", "evil", init=line)
    (written,) = place.envs.glob("*/p*/told")
    assert written.read_text() == f"https://index.here {own}\n"


def test_a_script_that_fails_makes_no_environment(place: Place) -> None:
    pack(place.channel, "evil", {"bin/.evil-post-link.sh": "echo no; exit 3"})
    with pytest.raises(PreparationError, match=r"link script of the package evil .* exit code 3"):
        place.run("base", "evil")


def test_what_activation_learns_is_read_through_no_link(place: Place) -> None:
    (place.home / "keys.json").write_text(json.dumps({"KEY": KEY}))
    inner = "etc/conda/env_vars.d/x.json"
    leads = str(place.home / "keys.json")
    pack(place.channel, "evil", {"bin/told": TOOL, inner: ("softlink", leads)})
    pack(place.channel, "shows", {"bin/tool": "#!/bin/sh\nenv\n"})
    assert KEY not in " ".join(place.run("shows", "evil"))


def test_the_dump_of_an_activation_is_no_link(place: Place) -> None:
    (place.home / "keys").write_text(f"KEY={KEY}")
    leads = f'ln -s {place.home}/keys "$PWD/variables"; mkfifo pipe'
    pack(place.channel, "evil", {"etc/conda/activate.d/a.sh": leads})
    pack(place.channel, "shows", {"bin/tool": "#!/bin/sh\nenv\n"})
    assert KEY not in " ".join(place.run("shows", "evil"))
    assert (place.home / "keys").read_text() == f"KEY={KEY}"


def out_of_it(place: Place) -> None:
    pack(place.channel, "evil", {"share/x": "x"}, listed={"../evil-1.0-0/share/x": "hardlink"})


def absolute(place: Place) -> None:
    pack(place.channel, "evil", {"share/x": "x"}, listed={str(place.home / "wrote"): "hardlink"})


def through_its_own_link(place: Place) -> None:
    files = {"share/out": ("softlink", str(place.home)), "share/x": "x"}
    pack(place.channel, "evil", files, listed={"share/out/wrote": "hardlink"})


def through_the_link_of_another(place: Place) -> None:
    pack(place.channel, "linking", {"share/out": ("softlink", str(place.home))})
    pack(place.channel, "evil", {"share/out/wrote": "x"}, depends=["linking"])


def through_a_chain(place: Place) -> None:
    pack(place.channel, "first", {"share/a": ("softlink", "../lib/b")})
    pack(place.channel, "second", {"lib/b": ("softlink", str(place.home))}, depends=["first"])
    pack(place.channel, "evil", {"share/a/wrote": "x"}, depends=["second"])


def up_and_up(place: Place) -> None:
    pack(place.channel, "linking", {"share/out": ("softlink", "x/../../../../home")})
    pack(place.channel, "evil", {"share/out/wrote": "x"}, depends=["linking"])


def a_link_as_a_file(place: Place) -> None:
    pack(place.channel, "evil", {"share/x": ("hardlink", str(place.home / "taxes.txt"))})


def a_command(place: Place) -> None:
    link = {"noarch": {"type": "python", "entry_points": ["../../../home/wrote = a:b"]}}
    pack(place.channel, "evil", {"share/x": "x"}, link=link, package_metadata_version=1)


def command(place: Place, links: Files, **fields: object) -> None:
    """A package whose command `wrote` is written when it is linked, and a Python with `links`."""
    pack(place.channel, "python", {"lib/python1.0/os.py": "x", **links}, **fields)
    told = {"noarch": {"type": "python", "entry_points": ["wrote = a:b"]}}
    link = {**told, "package_metadata_version": 1}
    files = {"site-packages/a.py": "x"}
    pack(place.channel, "evil", files, link=link, noarch="python", depends=["python"])


def a_command_through_a_link(place: Place) -> None:
    command(place, {"bin/wrote": ("softlink", str(place.home / "taxes.txt"))})


def a_command_through_a_dangling_link(place: Place) -> None:
    command(place, {"bin/wrote": ("softlink", str(place.home / "wrote"))})


def a_command_behind_a_link(place: Place) -> None:
    command(place, {"bin": ("softlink", str(place.home))})


def a_command_through_a_link_to_a_link(place: Place) -> None:
    pack(place.channel, "first", {"bin": ("softlink", "lib/b")})
    leads = ("softlink", str(place.home / "wrote"))
    command(place, {"lib/b/wrote": leads}, depends=["first"])


def behind_a_link_to_a_folder_with_a_link(place: Place) -> None:
    pack(place.channel, "first", {"lib/b/x": "x", "share/a": ("softlink", "../lib/b")})
    pack(place.channel, "second", {"lib/b/out": ("softlink", str(place.home))}, depends=["first"])
    pack(place.channel, "evil", {"share/a/out/wrote": "x"}, depends=["second"])


def a_folder_of_pure_python_in_one_that_is_not(place: Place) -> None:
    pack(place.channel, "python", {"lib/python1.0/os.py": "x"})
    pack(place.channel, "linking", {"site-packages": ("softlink", str(place.home))})
    files = {"site-packages/wrote": "x"}
    pack(place.channel, "evil", files, depends=["python", "linking"])


def a_backslash_in_a_name(place: Place) -> None:
    pack(place.channel, "linking", {"a\\b": ("softlink", str(place.home))})
    pack(place.channel, "evil", {"a\\b/wrote": "x"}, depends=["linking"])


def rewritten_through_another_name(place: Place) -> None:
    links = {"lib/x": ("softlink", str(place.home / "wrote")), "lib64": ("softlink", "lib")}
    pack(place.channel, "linking", links)
    files = {"lib64/x": ("prefix", "/place/of/build")}
    pack(place.channel, "evil", files, depends=["linking"])


def a_command_where_a_link_comes_late(place: Place) -> None:
    pack(place.channel, "first", {"lib/x": ("softlink", str(place.home / "wrote"))})
    command(place, {"bin/wrote": ("softlink", "../lib/x")}, depends=["first"])


def where_doubled_files_are_put(place: Place) -> None:
    pack(place.channel, "linking", {"share/x": "x", "__clobbers__": ("softlink", str(place.home))})
    pack(place.channel, "evil", {"share/x": "y"}, depends=["linking"])


def the_record_of_another(place: Place) -> None:
    leads = ("softlink", str(place.home / "wrote"))
    pack(place.channel, "linking", {"conda-meta/evil-1.0-0.json": leads})
    pack(place.channel, "evil", {"share/x": "y"}, depends=["linking"])


def a_build(place: Place) -> None:
    pack(place.channel, "evil", {"share/x": "x"}, build="0/../../../home/wrote")


def site_packages(place: Place) -> None:
    pack(place.channel, "evil", {"share/x": "x"}, python_site_packages_path="../../../home")


@pytest.mark.parametrize(
    "tried",
    [
        *(out_of_it, absolute, through_its_own_link, through_the_link_of_another, through_a_chain),
        *(up_and_up, a_link_as_a_file, a_command, a_build, site_packages),
        *(a_command_through_a_link, a_command_through_a_dangling_link, a_command_behind_a_link),
        *(a_command_through_a_link_to_a_link, behind_a_link_to_a_folder_with_a_link),
        *(a_folder_of_pure_python_in_one_that_is_not, a_backslash_in_a_name),
        *(rewritten_through_another_name, a_command_where_a_link_comes_late),
        *(where_doubled_files_are_put, the_record_of_another),
    ],
)
def test_a_package_puts_nothing_elsewhere(place: Place, tried: Callable[[Place], None]) -> None:
    tried(place)
    refused = r"package .* refused|leads out of|outside|File exists|failed to remove file"
    with pytest.raises(PreparationError, match=refused):
        place.run("evil")
    assert {one.name: one.read_text() for one in place.home.iterdir()} == {"taxes.txt": KEY}
    with pytest.raises(PreparationError):  # nor when it is asked for again
        place.run("evil")
    assert place.run("base")[0] == "ran"


def test_sound_links_are_linked(place: Place) -> None:
    files = {"lib/x": "x", "lib64": ("softlink", "lib"), "lib/y": ("softlink", "x")}
    pack(place.channel, "sound", {**files, "share/up": ("softlink", "../lib/x")})
    pack(place.channel, "other", {"lib64/z": "z"}, depends=["sound"])
    command(place, {})
    assert place.run("base", "sound", "evil")[0] == "ran"
    (prefix,) = place.envs.glob("[!.]*/p*")
    assert "import" in (prefix / "bin" / "wrote").read_text()
    assert (prefix / "share" / "up").read_text() == (prefix / "lib64" / "y").read_text() == "x"


NONE = {"sha256": None, "md5": None}


@pytest.mark.parametrize("way", ["file", "http"])
@pytest.mark.parametrize(("told", "good"), [(NONE, {}), ({}, NONE), ({"sha256": None}, NONE)])
def test_a_package_of_one_channel_is_none_of_another(
    place: Place, way: str, told: dict[str, str | None], good: dict[str, str | None]
) -> None:
    folders = [place.folder / name for name in ("evil", "good")]
    for folder, facts in zip(folders, (told, good), strict=True):
        pack(folder, "same", {"bin/tool": f"#!/bin/sh\necho {folder.name}\n"})
        index(folder, **facts)
    servers = [ChannelServer(folder) for folder in folders] if way == "http" else []
    try:
        places = [one.url for one in servers] or [one.as_uri() for one in folders]
        said = [place.run("same", channel=one) for one in places]
    finally:
        for one in servers:
            one.stop()
    assert [lines[0] for lines in said] == ["evil", "good"]
    unknown = [any("no SHA-256 of these packages" in line for line in lines) for lines in said]
    assert unknown == [bool(told), bool(good)]


@pytest.mark.parametrize("way", ["file", "http"])
def test_a_package_with_the_digest_of_another_is_refused(place: Place, way: str) -> None:
    evil, good = (place.folder / name for name in ("evil", "good"))
    for folder in (evil, good):
        pack(folder, "same", {"bin/tool": f"#!/bin/sh\necho {folder.name}\n"})
        index(folder)
    data = json.loads((good / "noarch" / "repodata.json").read_text())
    (record,) = data["packages"].values()
    index(evil, sha256=record["sha256"], md5=record["md5"])
    server = ChannelServer(evil)
    try:
        with pytest.raises(PreparationError, match=r"SHA-256|hash"):
            place.run("same", channel=server.url if way == "http" else evil.as_uri())
    finally:
        server.stop()
    assert place.run("same", channel=good.as_uri())[0] == "good"


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("read_before", [False, True])
def test_an_index_unpacks_to_no_more_than_the_largest(
    place: Place, monkeypatch: pytest.MonkeyPatch, read_before: bool
) -> None:
    index(place.channel, license="x")
    path = place.channel / "noarch" / "repodata.json"
    bomb = bz2.compress(path.read_bytes() + b" " * 2**25)
    path.with_name("repodata.json.bz2").write_bytes(bomb)
    assert len(bomb) < 2**16
    server = ChannelServer(place.channel)
    try:
        if read_before:
            assert place.run("base", channel=server.url)[0] == "ran"
            store = EnvironmentStore(place.envs)
            store.remove(store.environments()[0].key)
        monkeypatch.setattr(maker, "LIMITS", Limits(index=2**22))
        with pytest.raises(PreparationError, match=r"index of the channel http.* is larger than"):
            place.run("base", channel=server.url)
    finally:
        server.stop()
    assert all(one.stat().st_size <= 2**22 for one in (place.envs / ".repodata").iterdir())


@pytest.mark.parametrize("way", ["file", "http", "a size that is not so"])
def test_a_package_unpacks_to_no_more_than_a_sound_one(
    place: Place, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    pack(place.channel, "bomb", {"share/zeros": "0" * 2**27})
    index(place.channel, **({"size": 10**15} if "size" in way else {}))
    monkeypatch.setattr(maker, "LIMITS", Limits(written=2**22))
    server = ChannelServer(place.channel)
    place_of = server.url if way == "http" else place.channel.as_uri()
    try:
        with pytest.raises(PreparationError, match="what they unpack to is more than"):
            place.run("base bomb", channel=place_of)
        assert place.run("base", channel=place_of)[0] == "ran"
    finally:
        server.stop()
    assert not [one for one in place.envs.glob(".packages/*/.*") if one.is_dir()]


@pytest.mark.usefixtures("here")
def test_a_package_of_nothing_but_folders_takes_room(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(place.channel, "bomb", {f"share/{number}/empty": "" for number in range(2000)})
    monkeypatch.setattr(bounds, "_MANY", 100)
    monkeypatch.setattr(maker, "LIMITS", Limits(written=2**21, times=1))
    with pytest.raises(PreparationError, match="what they unpack to is more than"):
        place.run("bomb")


@pytest.mark.usefixtures("here")
def test_a_package_that_was_whole_before_anybody_looked_is_not_used_later(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(place.channel, "bomb", {"bin/tool": TOOL, "share/zeros": "0" * 2**25})
    monkeypatch.setattr(bounds, "_PAUSE", 60)  # the first look is at the end
    monkeypatch.setattr(maker, "LIMITS", Limits(written=2**22))
    for _ in range(2):
        with pytest.raises(PreparationError, match="what they unpack to is more than"):
            place.run("bomb")
        assert not [*place.envs.glob(".packages/*/bomb-*/*")]


def test_only_channels_of_the_configuration_have_an_index_in_parts(place: Place) -> None:
    index(place.channel, license="x")
    for told in ("", "-c {} --override-channels"):
        server = ChannelServer(place.channel)
        try:
            channel = place.channel.as_uri() if told else server.url
            said = place.run("base", told.format(server.url), channel=channel)
        finally:
            server.stop()
        assert said[0] == "ran"
        assert any("repodata.json" in path for path in server.requests)
        asked = any("repodata_shards" in path for path in server.requests)
        assert asked == (not told)


@pytest.mark.parametrize(
    ("start", "channel"),
    [
        ("bob:s3cr3t@", ""),
        ("", "t/s3cr3t/chan"),
        ("", "get/t/s3cr3t/chan"),
        ("", "chan?key=s3cr3t"),
        ("bob:s3cr3t@", "named"),
        ("", "gone/t/s3cr3t/chan"),
    ],
)
def test_credentials_of_a_channel_reach_nothing_that_runs(
    place: Place, start: str, channel: str
) -> None:
    look = 'cat "$CONDA_PREFIX"/conda-meta/*.json'
    link = 'cat "$PREFIX"/conda-meta/*.json > "$PREFIX/seen"\n'
    pack(place.channel, "evil", {"bin/tool": f"{TOOL}{look} $CONDA_PREFIX/seen\n",
                                 "bin/.evil-post-link.sh": link})  # fmt: skip
    index(place.channel)
    server = ChannelServer(place.channel)
    server.below = re.compile("/((get/)?t/s3cr3t/)?chan(?=/)")
    if start:
        server.password = "Basic " + base64.b64encode(b"bob:s3cr3t").decode()
    address = server.url.replace("://", f"://{start}")
    try:
        if channel.startswith("gone"):
            with pytest.raises(PreparationError) as caught:
                place.run("evil", channel=f"{address}/{channel}")
            lines = [str(caught.value)]
        elif channel == "named":
            alias = {"channel_alias": address}
            lines = place.run("evil", init=look, channel="chan", **alias)
        else:
            lines = place.run("evil", init=look, channel=f"{address}/{channel}")
    finally:
        server.stop()
    assert sum("evil-1.0-0" in line for line in lines) or "gone" in channel
    assert not [line for line in lines if "s3cr3t" in line]
    repodata = place.envs / ".repodata"
    for path in place.envs.rglob("*"):
        if path.is_file() and b"s3cr3t" in path.read_bytes():
            (own,) = [one for one in path.parents if one.parent == repodata]
            assert stat.S_IMODE(own.stat().st_mode) == 0o700


def test_the_question_and_the_service_say_what_packages_run(place: Place) -> None:
    tool = make_tool(PackageRequirement(text="base", init="pip install x"))
    config = {"channels": [place.channel.as_uri()], "environments_dir": str(place.envs)}
    with_walls = CondaRunnerService(config)
    if not enclosure_problem():
        assert "Scripts of packages run enclosed, too" in with_walls.place(tool).rights
        assert "lines that make one, with the network" in with_walls.place(tool).rights
    open_ = CondaRunnerService({**config, "enclose": False})
    for told in (open_.place(tool).rights, open_.check().message):
        assert "Scripts of packages, and lines that make an environment, are not enclosed" in told
