"""UV on a real index of tiny wheels: uv solves, downloads and installs what the tests made."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

import napari_tool_runner as ntr
from napari_tool_runner.cli import main
from napari_tool_runner.errors import JobCancelledError, PreparationError, ToolFailedError
from napari_tool_runner.jobs import export_crate, read_record
from napari_tool_runner.plugins import Mount, as_service, choose_service
from napari_tool_runner.plugins.programs.enclosure import enclosure_problem
from napari_tool_runner.plugins.runner_uv import UvRunnerService, UvRunnerServiceBuilder
from napari_tool_runner.plugins.uv import maker
from napari_tool_runner.plugins.uv.indexes import users_indexes
from napari_tool_runner.plugins.uv.same_names import from_pypi
from napari_tool_runner.plugins.warm import pool
from napari_tool_runner.tools.model import PackageRequirement, PythonRequirement
from plugins.pypi_index import File, Index, wheel
from plugins.runner_helpers import make_process, make_tool, script, wait_until

SHOW = "import sys, tiny; print(tiny.VERSION, sys.prefix)"
TINY = PythonRequirement(requirements=("tiny",))


@pytest.fixture
def index(monkeypatch):
    served = Index()
    served.add("tiny", wheel("tiny", "1.0"), wheel("tiny", "2.0", needs=["helper>=1"]))
    served.add("helper", wheel("helper", "1.5", size=3_000_000))
    for name in [one for one in os.environ if one.startswith(("UV_", "PIP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_DEFAULT_INDEX", served.url)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    yield served
    served.stop()


@pytest.fixture
def envs(tmp_path):
    return tmp_path / "envs"


@pytest.fixture
def uv(index, envs):
    return UvRunnerServiceBuilder()(environments_dir=str(envs))


def run(service, folder, requirement=TINY, args=("python", "-c", SHOW), **options):
    """One job; returns exit code, events and the process."""
    process, events = make_process(folder, requirement, **options)
    with as_service(service).session(process) as session:
        code = session.exec(list(args))
    return code, events, process


def test_a_package_of_an_index(uv, index, tmp_path):
    code, events, process = run(uv, tmp_path)
    found = process.context.provenance["environment"]
    assert code == 0
    assert events.lines() == [f"2.0 {found['prefix']}"]
    told = {one["name"]: one for one in found["packages"]}
    assert {name: one["version"] for name, one in told.items()} == {"helper": "1.5", "tiny": "2.0"}
    assert len(told["tiny"]["sha256"]) == 64
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["indexes"] == [index.url]
    assert found["lock"].startswith("sha256:")
    json.dumps(process.context.provenance)


def test_its_modules_are_compiled(uv, tmp_path):
    _, _, process = run(uv, tmp_path)
    prefix = Path(process.context.provenance["environment"]["prefix"])
    assert [*prefix.rglob("tiny.*.pyc")]


def test_what_was_compiled_serves_the_next_environment(uv, tmp_path):
    def compiled(requirement):
        _, events, process = run(uv, tmp_path, requirement)
        prefix = Path(process.context.provenance["environment"]["prefix"])
        return [one.stat().st_ino for one in prefix.rglob("helper.*.pyc")], events.progress()

    first, progress = compiled(TINY)
    assert "Compiling modules" in {one.phase for one in progress}
    again, progress = compiled(PythonRequirement(requirements=("tiny", "helper")))
    assert first == again != []
    assert "Compiling modules" not in {one.phase for one in progress}


def test_a_cache_that_the_user_chose_is_used_and_left_as_it_is(uv, tmp_path, monkeypatch):
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "mine"))
    _, _, process = run(uv, tmp_path)
    prefix = Path(process.context.provenance["environment"]["prefix"])
    assert [*prefix.rglob("tiny.*.pyc")]
    assert [*(tmp_path / "mine").rglob("tiny.py")]
    assert not [*(tmp_path / "mine").rglob("*.pyc")]


def test_the_second_job_makes_nothing_and_touches_no_network(uv, index, tmp_path):
    first = run(uv, tmp_path)[2].context.provenance
    index.stop()
    index.requests.clear()
    code, events, process = run(UvRunnerService(uv.config), tmp_path)
    assert (code, events.progress(), index.requests) == (0, [], [])
    assert process.context.provenance == first
    assert uv.plan(make_tool(TINY)).ready
    assert uv.is_ready(make_tool(TINY))


def test_what_is_downloaded_is_told_before_and_meanwhile(uv, index, tmp_path):
    tool = make_tool(TINY)
    assert not uv.is_ready(tool)
    (fetch,) = uv.plan(tool).fetches
    size = sum(len(index.files[name][-1].content) for name in ("tiny", "helper"))
    assert fetch.size == size
    assert "2 PyPI packages" in fetch.what
    index.requests.clear()
    _, events, _ = run(uv, tmp_path)
    assert not [one for one in index.requests if "/simple/" in one]  # it was solved for the plan
    shown = [one for one in events.progress() if one.phase == "Downloading packages"]
    assert (shown[0].done, shown[0].total, shown[0].unit) == (0, size, "bytes")
    assert len(index.files["helper"][0].content) in {one.done for one in shown}
    assert shown[-1].done == size


def test_the_same_lock_gives_the_same_environment_without_a_network(uv, index, tmp_path):
    first = run(uv, tmp_path)[2].context.provenance["environment"]
    index.add("tiny", wheel("tiny", "3.0"))
    index.stop()
    shutil.rmtree(first["prefix"])
    _, events, process = run(uv, tmp_path)
    again = process.context.provenance["environment"]
    assert {**again, "prefix": ""} == {**first, "prefix": ""}
    assert "2 packages, downloaded before." in events.lines("runner")


def test_a_lock_whose_files_are_gone_is_solved_again(uv, index, tmp_path):
    first = run(uv, tmp_path)[2].context.provenance["environment"]
    shutil.rmtree(first["prefix"])
    uv.store.clean_caches(uv.store.uv_cache)
    index.files["tiny"] = [wheel("tiny", "2.1")]
    _, events, _ = run(uv, tmp_path)
    assert events.lines()[0].startswith("2.1 ")
    assert any("cannot be had" in line for line in events.lines("runner"))


def test_what_was_broken_off_is_made_anew(uv, tmp_path):
    prefix = Path(run(uv, tmp_path)[2].context.provenance["environment"]["prefix"])
    (prefix.parent / "environment.json").unlink()  # as after kill -9
    next(prefix.rglob("tiny.py")).unlink()
    assert not uv.is_ready(make_tool(TINY))
    code, _, process = run(uv, tmp_path)
    assert code == 0
    assert process.context.provenance["environment"]["prefix"] != str(prefix)
    assert not prefix.exists()


def test_two_at_once_make_it_once(uv, index, tmp_path):
    found = []

    def job(number):
        found.append(run(UvRunnerService(uv.config), tmp_path / str(number)))

    threads = [threading.Thread(target=job, args=[n]) for n in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [code for code, _, _ in found] == [0, 0]
    assert len({json.dumps(p.context.provenance) for _, _, p in found}) == 1
    assert sum(one.endswith("/helper-1.5-py3-none-any.whl") for one in index.requests) == 1


def test_cancel_leaves_nothing(uv, index, tmp_path):
    index.pause = 0.5
    process, _ = make_process(tmp_path, TINY)
    failed = []

    def job():
        with pytest.raises(JobCancelledError) as caught, uv.session(process):
            pass
        failed.append(caught.value)

    thread = threading.Thread(target=job)
    thread.start()
    assert wait_until(lambda: any("/files/" in one for one in index.requests))
    process.context.cancel.cancel()
    thread.join(20)
    assert failed
    assert not any(info.complete for info in uv.store.environments())
    assert not [*uv.store.folder.glob("tiny-*/p*")]
    index.pause = 0
    assert run(uv, tmp_path)[0] == 0


def broken(name="tiny"):
    found = wheel(name, "1.0")
    other = wheel(name, "1.0", files={"another.py": b""}).content
    return File(found.name, found.content, found.metadata, served=other)


def damaged():
    found = wheel("tiny", "1.0")
    return File(found.name, found.content, found.metadata, served=b"no archive at all")


SDIST = File("tiny-1.0.tar.gz", b"code that would be run")


@pytest.mark.parametrize(
    ("files", "wanted", "words"),
    [
        ([wheel("tiny", "1.0")], "no-such-one", "There is no package no-such-one on http"),
        ([wheel("tiny", "1.0")], "tiny>=9", "cannot be solved: Because only"),
        ([SDIST], "tiny", "has no ready-made file (wheel)"),
        ([wheel("tiny", "1.0", tag="cp311-cp311-win_arm64")], "tiny", "no ready-made file"),
        ([broken()], "tiny", "not the one that the lock names"),
        ([wheel("tiny", "1.0", needs=["gone==3"])], "tiny", "There is no package gone"),
        ([damaged()], "tiny", "Failed to download `tiny==1.0`: "),
    ],
)
def test_failures_are_one_sentence(uv, index, tmp_path, files, wanted, words):
    index.files["tiny"] = files
    requirement = PythonRequirement(requirements=(wanted,))
    with pytest.raises(PreparationError) as caught:
        run(uv, tmp_path, requirement)
    assert words in str(caught.value)
    assert len(caught.value.message) < 600
    assert not any(info.complete for info in uv.store.environments())
    index.files["tiny"] = [wheel("tiny", "9.0"), wheel("tiny", "1.0")]
    if wanted.startswith("tiny"):  # it works the next time
        assert run(uv, tmp_path, requirement)[0] == 0


def test_no_network(uv, index, tmp_path):
    index.stop()
    with pytest.raises(PreparationError) as caught:
        run(uv, tmp_path)
    assert "takes no connections. Check the network" in str(caught.value)
    assert "127.0.0.1" in uv.plan(make_tool(TINY)).problems[0]
    offline = UvRunnerService({**uv.config, "offline": True})
    with pytest.raises(PreparationError, match="'offline' is set"):
        run(offline, tmp_path)


def test_a_version_that_was_taken_back_is_told(uv, index, tmp_path):
    taken = wheel("tiny", "1.0")
    taken.yanked = "it counts wrong"
    index.files["tiny"] = [taken]
    _, events, _ = run(uv, tmp_path, PythonRequirement(requirements=("tiny==1.0",)))
    assert any("it counts wrong" in line for line in events.lines("runner"))


def test_a_python_that_is_missing(uv, tmp_path):
    requirement = PythonRequirement(requirements=("tiny",), python="==3.1.*")
    with pytest.raises(
        PreparationError, match=r"needs Python ==3\.1\.\*, which this computer does"
    ):
        run(uv, tmp_path, requirement)
    assert "needs Python" in uv.plan(make_tool(requirement)).problems[0]


def test_uv_that_is_killed(uv, tmp_path, monkeypatch):
    program = tmp_path / "uv"
    program.write_text("#!/bin/sh\nkill -9 $$\n")
    program.chmod(0o755)
    monkeypatch.setattr("napari_tool_runner.plugins.uv.calling.uv_program", lambda: str(program))
    with pytest.raises(PreparationError, match="uv was killed by SIGKILL"):
        run(uv, tmp_path)


def test_a_full_disk(uv, tmp_path, monkeypatch):
    program = tmp_path / "uv"
    program.write_text(
        "#!/bin/sh\necho 'error: No space left on device (os error 28)' >&2; exit 2\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr("napari_tool_runner.plugins.uv.calling.uv_program", lambda: str(program))
    with pytest.raises(PreparationError, match="the disk is full") as caught:
        run(uv, tmp_path)
    assert f"The disk of {uv.store.folder} is full: free some room, or set" in str(caught.value)


@pytest.mark.parametrize("users", [True, False])
def test_it_is_told_which_disk_is_full(uv, tmp_path, monkeypatch, users):
    cache = tmp_path / "of the user" if users else uv.store.uv_cache
    if users:
        monkeypatch.setenv("UV_CACHE_DIR", str(cache))
    program = tmp_path / "uv"
    program.write_text(
        "#!/bin/sh\necho 'error: Failed to download `tiny==2.0`' >&2\n"
        "echo '  cause: failed to write to file `'\"$UV_CACHE_DIR\"'/.tmpX/a`: No space left on "
        "device (os error 28)' >&2; exit 2\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr("napari_tool_runner.plugins.uv.calling.uv_program", lambda: str(program))
    with pytest.raises(PreparationError) as caught:
        run(uv, tmp_path)
    told = str(caught.value)
    assert ("UV_CACHE_DIR" in told) is users
    assert ("'environments_dir'" in told) is not users
    assert f"The disk of {cache if users else uv.store.folder} is full" in told


def test_other_files_on_a_full_disk(uv, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device", "/elsewhere/tmp/pins.txt")

    monkeypatch.setattr(maker.UvMaker, "_solve", full)
    with pytest.raises(PreparationError, match="The disk of /elsewhere/tmp is full") as caught:
        run(uv, tmp_path)
    assert "environments_dir" not in str(caught.value)


def test_a_cache_without_room_is_told_before(uv, tmp_path, monkeypatch):
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "mine"))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(
        "napari_tool_runner.plugins.environment_service.shutil.disk_usage",
        lambda place: usage._replace(free=0 if place.name == "mine" else usage.free),
    )
    told = uv.plan(make_tool(TINY)).problems
    assert len(told) == 1
    assert str(tmp_path / "mine") in told[0]
    assert "or set UV_CACHE_DIR" in told[0]


def test_what_could_not_be_made_leaves_nothing(uv, index, tmp_path):
    for _ in range(2):
        with pytest.raises(PreparationError):
            run(uv, tmp_path, PythonRequirement(requirements=("tiny>=9",)))
        assert not uv.store.environments()
    index.add("tiny", wheel("tiny", "9.0"))
    assert run(uv, tmp_path, PythonRequirement(requirements=("tiny>=9",)))[0] == 0
    assert len(uv.store.environments()) == 1


def test_who_waits_finds_a_folder_that_is_gone(uv, index, tmp_path):
    index.files["tiny"] = []
    failed = []

    def job():
        with pytest.raises(PreparationError) as caught:
            run(uv, tmp_path)
        failed.append(str(caught.value))

    threads = [threading.Thread(target=job) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert len(failed) == 3
    assert all("There is no package tiny" in one or "solved" in one for one in failed)
    assert not uv.store.environments()


@pytest.mark.parametrize("by_file", [True, False])
def test_offline_by_settings_of_uv(uv, index, tmp_path, monkeypatch, user_dirs, by_file):
    if by_file:
        file = Path(os.environ["XDG_CONFIG_HOME"], "uv", "uv.toml")
        file.parent.mkdir(parents=True)
        file.write_text("offline = true\n")
    else:
        monkeypatch.setenv("UV_OFFLINE", "1")
    with pytest.raises(PreparationError, match="not downloaded before") as caught:
        run(uv, tmp_path)
    assert (f"'offline' of {file}" if by_file else "UV_OFFLINE is set") in str(caught.value)
    assert not index.requests
    if by_file:
        file.unlink()
    else:
        monkeypatch.setenv("UV_OFFLINE", "0")
    assert run(uv, tmp_path)[0] == 0


def test_a_disk_without_room_is_told_before(uv, monkeypatch):
    monkeypatch.setattr(maker, "_UNPACKED", 10**12)
    assert "free some room" in uv.plan(make_tool(TINY)).problems[0]


def test_nothing_of_a_package_runs_when_it_is_installed(uv, index, tmp_path):
    trace = tmp_path / "trace"
    line = f"import pathlib; pathlib.Path({str(trace)!r}).touch()\n".encode()
    index.files["tiny"] = [wheel("tiny", "1.0", files={"tiny.pth": line})]
    process, _ = make_process(tmp_path, TINY)
    with uv.session(process) as session:
        assert not trace.exists()
        session.exec(["python", "-c", "pass"])
        assert trace.exists()  # when it starts, which it does within walls


def test_a_lock_of_the_tool_counts(uv, index, tmp_path):
    requirement = PythonRequirement(requirements=("tiny",), pins=("tiny==1.0",))
    _, events, _ = run(uv, tmp_path, requirement)
    assert events.lines()[0].startswith("1.0 ")
    wrong = PythonRequirement(
        requirements=("tiny",), pins=(f"tiny==1.0 --hash=sha256:{'0' * 64}",)
    )
    with pytest.raises(PreparationError, match="not among those that the tool's own lock names"):
        run(uv, tmp_path, wrong)


def test_no_packages_at_all(uv, tmp_path):
    _, events, process = run(
        uv, tmp_path, PythonRequirement(), ("python", "-c", "import sys; print(sys.prefix)")
    )
    assert events.lines() == [process.context.provenance["environment"]["prefix"]]


def test_an_index_of_the_tool_is_asked_first(uv, index, tmp_path):
    other = Index()
    try:
        other.add("tiny", wheel("tiny", "7.0"))
        requirement = PythonRequirement(requirements=("tiny",), indexes=(other.url,))
        _, events, _ = run(uv, tmp_path, requirement)
        assert events.lines()[0].startswith("7.0 ")
        place = uv.place(make_tool(requirement))
        assert [one.place for one in place.origins] == [other.url, index.url]
        assert {one.kind for one in place.origins} == {"index"}
    finally:
        other.stop()


def test_environments_and_downloads_are_cleaned(uv, tmp_path):
    run(uv, tmp_path)
    found = {one.kind: one for one in uv.stored()}
    assert found["environment"].name.startswith("tiny-")
    assert found["cache"].size > 3_000_000
    for one in found.values():
        one.remove()
    assert uv.stored() == []


def test_the_choice(uv):
    choice = choose_service(make_tool(TINY), uv.config)
    assert (choice.name, choice.available) == ("UV", True)
    told = PythonRequirement(requirements=("tiny",), source="blur.py")
    assert "blur.py" in choose_service(make_tool(told), uv.config).reason
    assert uv.check().ok


def test_a_tool_without_packages_runs_as_with_local(uv, tmp_path):
    process, events = make_process(tmp_path)
    with uv.session(process) as session:
        assert session.exec(["python", "-c", "print('ran')"]) == 0
    assert events.lines() == ["ran"]
    assert uv.plan(make_tool()).ready
    assert uv.is_ready(make_tool())
    assert uv.place(make_tool()).service == "LOCAL"


def test_no_uv(monkeypatch, uv, tmp_path):
    monkeypatch.setattr("napari_tool_runner.plugins.runner_uv.find_spec", lambda name: None)
    assert "install the package uv" in uv.check().message
    assert "install the package uv" in uv.plan(make_tool(TINY)).problems[0]
    monkeypatch.setitem(sys.modules, "uv", None)
    with pytest.raises(PreparationError, match="uv is missing"):
        run(uv, tmp_path)


def test_indexes_of_settings(monkeypatch, user_dirs, index):
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    config = Path(os.environ["XDG_CONFIG_HOME"])
    assert users_indexes().places == ("https://pypi.org/simple",)
    (config / "pip").mkdir(parents=True)
    (config / "pip" / "pip.conf").write_text(
        "[global]\nindex-url = https://me:secret@mirror/simple\nfind-links = /a /b\n"
        "trusted-host = mirror\ncert = /c.pem\nno-index = false\n"
    )
    found = users_indexes()
    assert found.places == ("/a", "/b", "https://me:secret@mirror/simple")
    assert "secret" not in repr(found.variables.get("UV_INDEX", ""))
    assert found.variables["UV_FIND_LINKS"] == "/a,/b"
    assert found.variables["UV_INSECURE_HOST"] == "mirror"
    assert found.variables["SSL_CERT_FILE"] == "/c.pem"
    monkeypatch.setenv("PIP_INDEX_URL", "https://of-pip/simple")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert users_indexes().places == ("/a", "/b")
    (config / "uv").mkdir()
    (config / "uv" / "uv.toml").write_text(
        'extra-index-url = ["https://more/simple"]\n'
        '[[index]]\nurl = "https://main/simple"\ndefault = true\n'
    )
    found = users_indexes()
    assert found.places == ("https://more/simple", "https://main/simple")
    assert found.file == config / "uv" / "uv.toml"
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://of-uv/simple")
    monkeypatch.setenv("UV_INDEX", "named=https://one/simple")
    assert users_indexes().places[0] == "https://one/simple"
    assert users_indexes().places[-1] == "https://of-uv/simple"


TOOL = """<tool id="own" name="Own" version="1.0">
  <command>python '$__tool_directory__/own.py' ${output}</command>
  <inputs/>
  <outputs><data name="output" format="txt" layer="table"/></outputs>
</tool>
"""
SCRIPT = """# /// script
# dependencies = ["tiny==1.0"]
# ///
import pathlib, sys
import tiny
pathlib.Path(sys.argv[1]).write_text(tiny.VERSION)
try:
    pathlib.Path(tiny.__file__).write_text("changed")
    print("could write")
except OSError:
    print("read-only")
"""


def test_a_script_with_its_packages_in_its_head(index, envs, tmp_path):
    folder = tmp_path / "tool"
    folder.mkdir()
    (folder / "own.xml").write_text(TOOL)
    (folder / "own.py").write_text(SCRIPT)
    config = {"runner": {"environments_dir": str(envs)}}
    result = ntr.run(folder / "own.xml", config=config)
    record = json.loads((result.workspace / "record.json").read_text())
    assert record["runner"]["service"] == "UV"
    assert (result.workspace / "io" / "outputs").is_dir()
    said = (result.workspace / "log.txt").read_text()
    if not enclosure_problem():
        assert "read-only" in said


def test_a_job_runs_again_with_the_packages_that_it_had(index, envs, tmp_path, capsys):
    """It solved anew: another version came, and nothing said so."""
    folder = tmp_path / "tool"
    folder.mkdir()
    (folder / "own.xml").write_text(TOOL)
    (folder / "own.py").write_text(SCRIPT.replace("tiny==1.0", "tiny"))
    told = {"runner": {"environments_dir": str(envs)}, "workspace": str(tmp_path / "jobs")}
    config = tmp_path / "config.json"
    config.write_text(json.dumps(told))
    first = ntr.run(folder / "own.xml", config=config)
    again = ["rerun", str(first.workspace), "--tool", str(folder / "own.xml")]
    again += ["--config", str(config)]

    def packages():
        newest = max((tmp_path / "jobs").rglob("record.json"), key=os.path.getmtime)
        listed = json.loads(newest.read_text())["runner"]["environment"]["packages"]
        return {one["name"]: one["version"] for one in listed}

    assert main(again) == 0
    assert len([*envs.glob("tiny-*")]) == 1  # the same one serves
    index.add("tiny", wheel("tiny", "3.0"))
    shutil.rmtree(envs)
    assert main(again) == 0
    assert packages() == {"tiny": "2.0", "helper": "1.5"}
    assert "not as then" not in capsys.readouterr().err
    (folder / "own.py").write_text(SCRIPT.replace("tiny==1.0", "tiny>=3"))
    assert main(again) == 0
    assert packages() == {"tiny": "3.0"}
    assert "2 packages not as then: helper 1.5 → none, tiny 2.0 → 3.0." in capsys.readouterr().err
    pytest.importorskip("rocrate")
    crate = export_crate(read_record(first.workspace / "record.json"), tmp_path / "job.zip")
    with zipfile.ZipFile(crate) as zipped:
        graph = json.loads(zipped.read("ro-crate-metadata.json"))["@graph"]
    told = {one["name"]: one for one in graph if one["@type"] == "SoftwareApplication"}
    assert {"@id": "#package-tiny"} in told["Own"]["softwareRequirements"]
    assert told["tiny"]["softwareVersion"] == "2.0"


NAPARI = """
import os, sys, time
from pathlib import Path
from plugins.runner_helpers import make_process
from napari_tool_runner.plugins.runner_uv import UvRunnerService
from napari_tool_runner.plugins.warm import pool
from napari_tool_runner.tools.model import PythonRequirement

folder, stop = sys.argv[1:]
process, _ = make_process(Path(folder) / "other", PythonRequirement(requirements=("tiny",)))

def report(event):
    told = getattr(event, "text", None) or event.phase
    print(told, flush=True)
    if stop in told:
        time.sleep(600)

process.context.report = report
with UvRunnerService({"environments_dir": folder + "/envs"}).session(process):
    print("made", flush=True)
"""


@pytest.mark.parametrize("stop", ["Solving", "to download", "Downloading", "Linking", "Compiling"])
def test_a_napari_that_is_killed_leaves_nothing_that_is_used(uv, index, tmp_path, stop):
    index.pause = 0.05
    args = script(tmp_path, NAPARI, "other_napari.py")
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    other = subprocess.Popen(
        [*args, str(tmp_path), stop], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )  # fmt: skip
    assert any(stop in line for line in other.stdout)
    other.kill()
    other.wait()
    other.stdout.close()
    index.pause = 0
    assert not uv.is_ready(make_tool(TINY))
    code, events, process = run(uv, tmp_path)
    prefix = Path(process.context.provenance["environment"]["prefix"])
    assert code == 0
    assert events.lines() == [f"2.0 {prefix}"]
    assert (prefix / "pyvenv.cfg").exists()
    assert [one.name for one in prefix.parent.glob("p*") if one.is_dir()] == [prefix.name]


def test_its_programs_start_warm(warm, uv, tmp_path):
    (tmp_path / "job" / "work").mkdir(parents=True)
    (tmp_path / "job" / "work" / "script.py").write_text(
        "import sys, json, decimal, tiny\nprint(sys.prefix, tiny.VERSION)"
    )
    if enclosure_problem():
        pytest.skip("programs start warm within walls only")
    found = []
    for on in (False, True, True):
        service = UvRunnerService({**uv.config, "warm": on})
        process, events = make_process(tmp_path / "job", TINY)
        process.context.root = tmp_path / "job"
        process.context.mounts = [Mount(tmp_path / "job", read_only=False)]
        with service.session(process) as session:
            found.append((session.exec(["python", "script.py"]), events.lines()))
        servers = list(pool._pool._servers.values())
        assert wait_until(lambda servers=servers: not any(one.waited for one in servers))
    assert found[0] == found[1] == found[2]
    assert process.context.provenance["warm"] is True


def test_a_policy_knows_the_indexes(uv, index, tmp_path):
    folder = tmp_path / "tool"
    folder.mkdir()
    (folder / "own.xml").write_text(TOOL)
    (folder / "own.py").write_text(SCRIPT)

    def facility(*indexes):
        file = tmp_path / "facility.json"
        file.write_text(json.dumps({"policy": {"indexes": indexes}}))
        os.environ["NAPARI_TOOL_RUNNER_FACILITY"] = str(file)

    try:
        facility("https://pypi.org/simple")
        with pytest.raises(ToolFailedError, match="does not allow the index http://127"):
            ntr.run(folder / "own.xml", config={"runner": dict(uv.config)})
        facility(index.url)
        assert ntr.run(folder / "own.xml", config={"runner": dict(uv.config)}).outputs
    finally:
        del os.environ["NAPARI_TOOL_RUNNER_FACILITY"]


def test_no_login_of_an_index_is_told(uv, index, tmp_path, monkeypatch):
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url.replace("http://", "http://me:secret@"))
    _, events, process = run(uv, tmp_path)
    (tool, kept) = (make_tool(TINY), uv.store.folder)
    told = [repr(process.context.provenance), repr(uv.place(tool)), *events.lines("runner")]
    texts = [one.read_text() for one in kept.glob("tiny-*/*") if one.is_file()]
    index.files["tiny"] = []
    index.stop()
    with pytest.raises(PreparationError) as caught:
        run(uv, tmp_path, PythonRequirement(requirements=("other",)))
    assert not [one for one in (*told, *texts, str(caught.value)) if "secret" in one]


def test_prepare_makes_it_ahead(index, tmp_path, envs, capsys):
    box = tmp_path / "box"
    folder = box / "tool"
    folder.mkdir(parents=True)
    (folder / "own.xml").write_text(TOOL)
    (folder / "own.py").write_text(SCRIPT)
    (box / "plain.xml").write_text(TOOL.replace('"own"', '"plain"').replace("own.py", "none.py"))
    config = tmp_path / "config.json"
    told = {"process": {"xml_dirs": [str(box)]}, "runner": {"environments_dir": str(envs)}}
    config.write_text(json.dumps(told))
    line = ["prepare", str(box), "--config", str(config)]
    assert main(line) == 0
    said = capsys.readouterr()
    assert "own  UV  1 PyPI package into the environment tiny-" in said.out
    assert "plain  LOCAL  ready" in said.out
    assert "add --yes" in said.err
    assert main([*line, "--yes"]) == 0
    assert "2 of 2 ready" in capsys.readouterr().err
    index.stop()
    assert main(["prepare", str(folder / "own.xml"), "--config", str(config), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["ready"] is True
    assert ntr.run(folder / "own.xml", config=config).outputs
    shutil.rmtree(envs)
    assert main([*line, "--yes"]) == 1
    assert "takes no connections" in capsys.readouterr().err
    assert main(["prepare", "no-such-tool", "--config", str(config)]) == 2


def test_conda_packages_that_pypi_has_come_from_there_on_request(index, envs, tmp_path):
    index.add("networkx", wheel("networkx", "1.0"), wheel("networkx", "2.0"))
    folder = tmp_path / "tool"
    folder.mkdir()
    asked = "<requirements><requirement type='package' version='1.0'>networkx</requirement>{}"
    text = TOOL.replace("<command", asked.format("</requirements><command"))
    (folder / "own.xml").write_text(text)
    script = (
        "import pathlib, sys, networkx as n\npathlib.Path(sys.argv[1]).write_text(n.VERSION)\n"
    )
    (folder / "own.py").write_text(script)
    config = {"runner": {"environments_dir": str(envs)}}
    tool = ntr.read_tool(folder / "own.xml")
    assert choose_service(tool, config["runner"]).name == "CONDA"
    result = ntr.run(tool, runner="UV", config=config)
    (output,) = result.outputs.values()
    assert output.path.read_text() == "1.0"
    told = UvRunnerService(config["runner"]).supports(tool)
    assert told.message == "Its conda packages are taken from PyPI: networkx==1.0."


@pytest.mark.parametrize(
    ("packages", "told"),
    [
        (
            [("scikit-image", "0.24.0"), ("python", "3.11")],
            (("scikit-image==0.24.0",), "==3.11.*"),
        ),
        ([("matplotlib-base", ""), ("NumPy", "")], (("matplotlib", "numpy"), "")),
        ([("ffmpeg", "4"), ("numpy", "2.0")], None),
        ([("numpy", ">=2")], None),
        ([("python", "3.11")], None),
    ],
)
def test_which_conda_packages_pypi_has(packages, told):
    found = from_pypi([PackageRequirement(name=name, version=at) for name, at in packages])
    assert (found and (found.requirements, found.python)) == told


def test_another_python_of_this_computer(uv, tmp_path):
    from napari_tool_runner.plugins.uv.pythons import _others

    mine = ".".join(map(str, sys.version_info[:2]))
    others = sorted(
        {v.rpartition(".")[0] for v, _ in _others()} & {"3.10", "3.12", "3.13"} - {mine}
    )
    if not others:
        pytest.skip("this computer has no other Python")
    requirement = PythonRequirement(requirements=("tiny",), python=f"=={others[0]}.*")
    show = "import sys, tiny; print(*sys.version_info[:2])"
    _, events, _ = run(uv, tmp_path, requirement, ("python", "-c", show))
    assert events.lines() == [others[0].replace(".", " ")]
