"""A tool sees what belongs to it, not whatever else lies in the folder of its descriptor."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import napari_tool_runner as ntr
from napari_tool_runner.config import load_config
from napari_tool_runner.errors import ToolFailedError
from napari_tool_runner.plugins import Mount
from napari_tool_runner.plugins.programs.enclosure import enclosure_problem
from napari_tool_runner.plugins.programs.installed import python_places
from napari_tool_runner.plugins.runner_local import LocalRunnerService
from napari_tool_runner.tools import find_tool, read_tool
from napari_tool_runner.tools.own_folder import folder_is_shared, tool_places
from napari_tool_runner.tools.toolbox.gate import admit
from napari_tool_runner.tools.toolbox.trust import approve
from plugins.runner_helpers import make_process

enclosed = pytest.mark.skipif(bool(enclosure_problem()), reason="no bubblewrap here")

LOOK = """
import os, sys
found = []
for folder, folders, names in os.walk(os.path.dirname(os.path.abspath(sys.argv[0]))):
    found += [os.path.join(folder, name) for name in names]
open(sys.argv[1], "w").write("\\n".join(found))
"""


def put_tool(folder: Path, name: str = "look", script: str = LOOK, command: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(textwrap.dedent(script))
    descriptor = folder / f"{name}.xml"
    command = command or f"python '$__tool_directory__/{name}.py' ${{o}}"
    descriptor.write_text(
        f'<tool id="{name}" name="{name}" version="1"><command>{command}</command><inputs/>'
        '<outputs><data name="o" format="txt"/></outputs></tool>'
    )
    return descriptor


def seen(descriptor: Path, tmp_path: Path) -> tuple[set[str], str]:
    """Names of the files beside the program that it finds, and the log."""
    config = {"workspace": str(tmp_path / "jobs"), "runner": {"service": "LOCAL"}}
    done = ntr.run(descriptor, config=config)
    text = done.outputs["o"].path.read_text()
    return {os.path.basename(one) for one in text.splitlines()}, done.log.read_text()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    for name in ("Downloads", "Desktop", ".ssh", ".config", "Meine Dateien"):
        (home / name).mkdir(parents=True)
        (home / name / "private.txt").write_text("mine")
    (home / ".config" / "user-dirs.dirs").write_text('XDG_DOWNLOAD_DIR="$HOME/Meine Dateien"\n')
    (home / "private.txt").write_text("mine")
    monkeypatch.setenv("HOME", str(home))
    return home


@enclosed
@pytest.mark.parametrize(
    "place", ["", "Downloads", "Desktop", "Meine Dateien", ".config", ".ssh", ".config/app"]
)
def test_a_folder_of_the_user_is_not_the_tools(home: Path, tmp_path: Path, place: str) -> None:
    names, log = seen(put_tool(home / place), tmp_path)
    assert names == {"look.py", "look.xml"}
    assert f"Of the folder {home / place} the tool sees look.xml, look.py only" in log.replace(
        "//", "/"
    )
    assert "put it into a folder of its own" in log


@contextmanager
def files_in(folder: Path) -> Iterator[str]:
    name = f"ntr{os.getpid()}"
    (folder / f"{name}.private").write_text("mine")
    try:
        yield name
    finally:
        for one in folder.glob(f"{name}.*"):
            one.unlink()


@enclosed
@pytest.mark.parametrize("place", ["/tmp", "/var/tmp", "/dev/shm", "/", "/srv", "/tmp/../tmp"])
def test_a_place_of_everybodys_is_not_the_tools(tmp_path: Path, place: str) -> None:
    folder = Path(place)
    if not os.access(folder, os.W_OK):
        pytest.skip("it cannot be written here")
    with files_in(folder) as name:
        names, _ = seen(
            put_tool(
                folder,
                name,
                script=LOOK.replace("os.walk(", "listed(").replace(
                    "import os, sys",
                    "import os, sys\ndef listed(one): return [(one, [], os.listdir(one))]",
                ),
            ),
            tmp_path,
        )
    assert f"{name}.py" in names
    assert f"{name}.private" not in names


def put_repository(tmp_path: Path) -> Path:
    """A tool whose script is a link to a link of the repository's; and links that lead out."""
    repository = tmp_path / "repository"
    descriptor = put_tool(
        repository / "tools" / "a",
        command="python $__tool_directory__/look.py ${o} $__tool_directory__/again.py",
        script=f"import beside\n{LOOK}open(sys.argv[2]).read()",
    )
    shared = repository / "shared"
    (shared / "lib").mkdir(parents=True)
    (shared / "lib" / "more.py").touch()
    (descriptor.parent / "look.py").rename(shared / "real.py")
    (shared / "beside.py").touch()
    (repository / "macros.py").symlink_to("shared/real.py")
    (descriptor.parent / "look.py").symlink_to("../../shared/real.py")
    (descriptor.parent / "lib").symlink_to("../../shared/lib")
    (descriptor.parent / "again.py").symlink_to("../../macros.py")
    (descriptor.parent / "helper.py").touch()
    (tmp_path / "private.txt").write_text("mine")
    (repository / ".env").write_text("mine")
    folder = descriptor.parent
    (folder / "out.txt").symlink_to("../../../private.txt")
    (folder / "env.txt").symlink_to("../../.env")
    (folder / "all").symlink_to("../..")
    (folder / "gone.txt").symlink_to("../gone.txt")
    return repository


@enclosed
@pytest.mark.parametrize("hidden", [False, True])
def test_a_script_that_is_a_link_in_its_toolbox_is_seen(
    tmp_path: Path, hidden: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = put_repository(tmp_path)
    folder = repository / "tools" / "a"
    if hidden:
        (folder / ".shed.yml").write_text("{}")
        (folder / "beside.py").touch()  # links are shown as what they lead to
    config = {
        "process": {"xml_dirs": [str(repository)]},
        "workspace": str(tmp_path / "jobs"),
        "runner": {"service": "LOCAL"},
    }
    done = ntr.run("look", config=config)
    names = {os.path.basename(one) for one in done.outputs["o"].path.read_text().splitlines()}
    assert {"look.py", "again.py", "helper.py"} <= names
    places, note = tool_places(find_tool("look", config=load_config(config)))
    assert not {"out.txt", "private.txt", "env.txt", ".env", "all"} & {one.name for one in places}
    assert f"In the folder {folder} there are links (all, env.txt, out.txt)" in note
    assert note in done.log.read_text()
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    monkeypatch.setenv("NAPARI_TOOL_RUNNER_CONFIG", str(path))
    from napari_tool_runner.widgets.running.services import _ask

    assert note in _ask(find_tool("look")).remark(None), "the form says it"


@pytest.mark.parametrize("more", ["", "/sub", "/.."])
def test_the_text_of_a_link_names_no_place_outside_the_toolbox(tmp_path: Path, more: str) -> None:
    """Its steps upwards count from where a link before them leads to, not from its own place."""
    box, mine = tmp_path / "box", tmp_path / "mine"
    descriptor = put_tool(box / "tool")
    (mine / "sub").mkdir(parents=True)
    deep = box / "deep" / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (box / "deep" / "mine" / "sub").mkdir(parents=True)
    (box / "tool" / "d").symlink_to("../deep/a/b/c")
    (box / "tool" / "models").symlink_to(f"d/../../../mine{more}")
    places, _ = tool_places(replace(read_tool(descriptor, root=box), toolbox=str(box)))
    assert any(deep.is_relative_to(one) for one in places)
    assert not [one for one in places if mine in (one, *one.parents) or ".." in one.parts]


def test_an_approved_copy_holds_what_links_lead_to_in_the_toolbox(tmp_path: Path) -> None:
    repository = put_repository(tmp_path)
    descriptor = repository / "tools" / "a" / "look.xml"
    approve(repository)
    tool, _ = admit(replace(read_tool(descriptor, root=repository), toolbox=str(repository)))
    places, note = tool_places(tool)
    assert places == [tool.folder]
    assert tool.folder != descriptor.parent
    assert (tool.folder / "look.py").read_text() == (repository / "shared/real.py").read_text()
    assert "there are links (all, out.txt)" in note


def test_a_link_in_a_circle_hides_no_other(tmp_path: Path) -> None:
    box = tmp_path / "box"
    descriptor = put_tool(box / "a")
    (box / ".git").mkdir()
    (box / "lib").mkdir()
    (box / "lib" / "helper.py").write_text("")
    (box / "a" / "deep").mkdir()
    for name in ("a1", "deep/a1", "zz"):
        (box / "a" / name).symlink_to(Path(name).name)
    (box / "a" / "deep" / "helper.py").symlink_to("../../lib/helper.py")
    places, note = tool_places(read_tool(descriptor))
    assert places == [box / "a", box / "lib"]
    assert "there are links" not in note


@pytest.mark.parametrize("mark", ["README.md", "LICENSE", ".git", ""])
def test_a_readme_of_the_users_does_not_lend_what_lies_beside_it(
    tmp_path: Path, mark: str
) -> None:
    """People write one into folders of their own; what a checkout lends is told."""
    if mark:
        (tmp_path / mark).touch()
    descriptor = put_tool(tmp_path / "downloads" / "nice" / "tool")
    (tmp_path / "downloads" / "nice" / "LICENSE").touch()
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "patients.csv").touch()
    (descriptor.parent / "models").symlink_to("../../../private")
    places, note = tool_places(read_tool(descriptor))
    if mark == ".git":
        assert places == [descriptor.parent, tmp_path / "private"]
        assert f"The tool sees {tmp_path / 'private'}, too" in note
    else:
        assert places == [descriptor.parent]
        assert "links (models) to what the tool does not see" in note


def test_a_home_that_is_a_repository_lends_nothing(home: Path) -> None:
    (home / ".git").mkdir()
    descriptor = put_tool(home / "stuff" / "a")
    (descriptor.parent / "letter.txt").symlink_to("../../private.txt")
    places, note = tool_places(read_tool(descriptor))
    assert places == [descriptor.parent]
    assert "(letter.txt)" in note


@enclosed
@pytest.mark.parametrize(
    "name", ["id_rsa", ".netrc", ".bash_history", "server.pem", "credentials.json", "sub/.env"]
)
def test_where_keys_lie_the_rest_is_not_shown(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "stuff"
    descriptor = put_tool(folder)
    for one in (name, "letter.txt"):
        (folder / one).parent.mkdir(exist_ok=True)
        (folder / one).write_text("mine")
    names, log = seen(descriptor, tmp_path)
    assert names == {"look.py", "look.xml"}
    assert f"“{os.path.basename(name)}” lies there" in log


@enclosed
def test_a_folder_of_its_own_is_shown_without_what_is_hidden(tmp_path: Path) -> None:
    folder = tmp_path / "tool"
    descriptor = put_tool(folder)
    (folder / "lib").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret.txt").write_text("mine")
    for one in ("helper.py", "lib/more.py", "model.bin", ".gitignore"):
        (folder / one).write_text("x")
    (folder / "test-data" / "image.zarr").mkdir(parents=True)
    (folder / "test-data" / "image.zarr" / ".zgroup").write_text("{}")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("url = https://me:token@there")
    (folder / "out").symlink_to(tmp_path / "elsewhere")
    names, log = seen(descriptor, tmp_path)
    assert names == {"look.py", "look.xml", "helper.py", "more.py", "model.bin", ".zgroup"}
    assert "only, since" not in log


@enclosed
def test_a_helper_that_is_not_seen_is_told(home: Path, tmp_path: Path) -> None:
    folder = home / "Downloads"
    script = "import sys, helper\nopen(sys.argv[1], 'w').write(helper.__file__)\n"
    descriptor = put_tool(folder, script=script)
    (folder / "helper.py").write_text("")
    with pytest.raises(ToolFailedError, match="No module named 'helper'") as raised:
        seen(descriptor, tmp_path)
    assert "put it into a folder of its own" in raised.value.hint
    for one in ("look.py", "look.xml", "helper.py"):
        (folder / "own").mkdir(exist_ok=True)
        shutil.move(folder / one, folder / "own" / one)
    names, _ = seen(folder / "own" / "look.xml", tmp_path)
    assert "helper.py" in names


def test_what_a_descriptor_names_is_a_program(home: Path) -> None:
    """Naming a letter, a key, a hidden file, a link or a place elsewhere shows none of them."""
    folder = home / "Downloads"
    words = "look.py sub/more.R letter.txt photo.jpg id_rsa.py token.json .netrc.py out.py"
    words += " ../.ssh/id.py ../private.py pipe.py linked/inner.py $__tool_directory__/b.jar"
    descriptor = put_tool(folder, command=f"python {words}")
    (folder / "sub").mkdir()
    (folder / "linked").symlink_to(home / ".ssh")
    (home / ".ssh" / "inner.py").write_text("x")
    for name in ("sub/more.R", "letter.txt", "photo.jpg", "id_rsa.py", "token.json", ".netrc.py",
                 "b.jar", "../private.py", "../.ssh/id.py"):  # fmt: skip
        (folder / name).write_text("mine")
    (folder / "out.py").symlink_to(home / "private.txt")
    os.mkfifo(folder / "pipe.py")
    places, note = tool_places(read_tool(descriptor))
    names = {str(one.relative_to(folder)) for one in places}
    assert names == {"look.xml", "look.py", "sub/more.R", "b.jar", "id_rsa.py"}
    assert "it is a place for all sorts of files" in note


def test_what_counts_as_a_tools_own(home: Path, tmp_path: Path) -> None:
    tools = home / "tools"
    tools.mkdir()
    assert not folder_is_shared(tools)
    for number in range(2100):
        (tools / f"{number}.tif").touch()
    assert "more than a tool needs" in folder_is_shared(tools)
    assert not folder_is_shared(tools, installed=True)
    large = tmp_path / "large"
    large.mkdir()
    with (large / "raw.tif").open("wb") as file:
        file.truncate(5 * 2**30)
    assert "more than a tool needs" in folder_is_shared(large)
    (home / ".local" / "share" / "tool").mkdir(parents=True)
    assert not folder_is_shared(home / ".local" / "share" / "tool")
    (home / ".mozilla" / "profile").mkdir(parents=True)
    assert folder_is_shared(home / ".mozilla" / "profile")
    for one in ("/", "/home", "/home/somebody", "/tmp", "/etc", "/proc", "/media"):
        assert folder_is_shared(Path(one)) or not os.path.exists(one), one
    link = tmp_path / "link"
    link.symlink_to(home)
    assert folder_is_shared(link)


@enclosed
def test_of_a_program_called_by_its_path_only_the_file_is_seen(tmp_path: Path) -> None:
    process, events = make_process(tmp_path / "job")
    process.context.root = tmp_path / "job"
    process.context.mounts = [Mount(tmp_path / "job", read_only=False)]
    for below in ("files/prog", "project/bin/prog", "project/lib/../bin/prog"):
        program = tmp_path / below
        for one in (program.parent, tmp_path / "project" / "lib"):
            one.mkdir(parents=True, exist_ok=True)
        for one in (program.parent / "private.txt", tmp_path / "project" / "private.txt"):
            one.write_text("mine")
        program.write_text('#!/bin/sh\nls -a "$(dirname "$0")" "$(dirname "$0")/.."\n')
        program.chmod(0o755)
        assert LocalRunnerService().exec(process, [str(program)]) == 0
    assert "private.txt" not in "\n".join(events.lines())
    assert "prog" in events.lines()


@enclosed
@pytest.mark.parametrize("linked", [False, True])
def test_an_environment_whose_python_is_called_by_its_path_is_seen(
    tmp_path: Path, linked: bool
) -> None:
    process, events = make_process(tmp_path / "job")
    process.context.root = tmp_path / "job"
    process.context.mounts = [Mount(tmp_path / "job", read_only=False)]
    python = tmp_path / "venv" / "bin" / "prog"
    python.parent.mkdir(parents=True)
    for one in ("pyvenv.cfg", "lib/module.py", "private.txt"):
        (tmp_path / "venv" / one).parent.mkdir(exist_ok=True)
        (tmp_path / "venv" / one).write_text("")
    python.write_text(
        '#!/bin/sh\nhere=$(dirname "$0")/..\nls "$here" "$here/lib"; ls "$here/../base/lib"\n'
    )
    python.chmod(0o755)
    if linked:  # as that of a virtual environment is, to the Python that it was made with
        base = tmp_path / "base" / "bin" / "prog"
        base.parent.mkdir(parents=True)
        python.rename(base)
        python.symlink_to(base)
        (tmp_path / "base" / "lib").mkdir()
        (tmp_path / "base" / "lib" / "theirs.py").touch()
    assert LocalRunnerService().exec(process, [str(python)]) == (0 if linked else 2)
    assert {"pyvenv.cfg", "module.py"} <= set(events.lines())
    assert ("theirs.py" in events.lines()) == linked
    assert "private.txt" not in events.lines(), "a project may hold its environment"


@enclosed
def test_data_that_the_configuration_names_is_shown_alone(tmp_path: Path) -> None:
    process, events = make_process(tmp_path / "job")
    for name in ("licence.lic", "private.txt"):
        (tmp_path / name).write_text("x")
    process.context.root = tmp_path / "job"
    process.context.named = [tmp_path / "licence.lic"]
    process.context.mounts = [Mount(tmp_path / "job", read_only=False)]
    assert LocalRunnerService().exec(process, ["ls", str(tmp_path)]) == 0
    assert "licence.lic" in events.lines()
    assert "private.txt" not in events.lines()


def test_of_a_project_on_pythons_path_only_modules_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its settings and data are nobody's business."""
    project, plain, installed = (tmp_path / name for name in ("project", "plain", "installed"))
    for folder in (project, plain, installed):
        (folder / "package").mkdir(parents=True)
        (folder / "package" / "__init__.py").touch()
        (folder / "module.py").touch()
    (project / ".env").write_text("TOKEN=1")
    (project / "taxes.txt").write_text("private")
    (project / "data").mkdir()
    (plain / "patients.csv").write_text("private")
    (installed / "package-1.dist-info").mkdir()
    places = [str(project), str(plain), str(installed)]
    monkeypatch.setattr(sys, "path", [*sys.path, *places])
    shown = {place for place in python_places() if place.is_relative_to(tmp_path)}
    parts = {one / name for one in (project, plain) for name in ("package", "module.py")}
    assert shown == {*parts, installed}
    (installed / ".git").mkdir()  # somebody's project, where something was installed as well
    shown = {place for place in python_places() if place.is_relative_to(installed)}
    names = ("package", "module.py", "package-1.dist-info")
    assert shown == {installed / name for name in names}
