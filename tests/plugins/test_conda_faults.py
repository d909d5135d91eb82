"""What goes wrong while environments are made, and leaves nothing half-made to use."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import psutil
import pytest

from napari_tool_runner.errors import JobCancelledError, PreparationError
from napari_tool_runner.plugins import CancelToken, as_service
from napari_tool_runner.plugins.environments import EnvironmentStore
from napari_tool_runner.plugins.runner_conda import CondaRunnerService
from napari_tool_runner.tools.model import PackageRequirement
from plugins.runner_helpers import make_process, make_tool, script, wait_until

pytestmark = [
    pytest.mark.conda,
    pytest.mark.skipif(os.name == "nt", reason="the test packages hold shell programs"),
]

NAPARI = """
import os, sys, time
from pathlib import Path
from plugins.runner_helpers import make_process
from napari_tool_runner.plugins import as_service
from napari_tool_runner.plugins.runner_conda import CondaRunnerService
from napari_tool_runner.tools.model import PackageRequirement

folder, channel, text, init, stop = sys.argv[1:]

def report(event):
    told = getattr(event, "text", None) or f"{event.phase} {event.done}/{event.total}"
    print(told, flush=True)
    if stop and stop in told:
        # stand still here, as a slow disk or network would
        time.sleep(600)

config = {"channels": [channel], "environments_dir": folder + "/envs"}
service = as_service(CondaRunnerService(config))
requirement = PackageRequirement(text=text, init=init)
process, _ = make_process(Path(folder) / str(os.getpid()), requirement)
process.context.report = report
service.set_up(process)
print("made", process.context.provenance["environment"]["prefix"], flush=True)
code = service.exec(process, ["demo-tool"])
service.tear_down(process)
sys.exit(code)
"""


def napari(folder: Path, channel: str, text: str, init: str = "", stop: str = ""):
    """Start another napari that makes an environment; `stop`: where it stands still."""
    args = script(folder, NAPARI, "other_napari.py")
    tests = Path(__file__).parents[1]
    path = os.pathsep.join([str(tests), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [*args, str(folder), channel, text, init, stop],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def service_for(folder: Path, channel: str) -> CondaRunnerService:
    return CondaRunnerService({"channels": [channel], "environments_dir": str(folder / "envs")})


def run(service, folder, text, init=""):
    adapted = as_service(service)
    process, events = make_process(folder, PackageRequirement(text=text, init=init))
    try:
        adapted.set_up(process)
        return adapted.exec(process, ["demo-tool"]), events
    finally:
        adapted.tear_down(process)


def works(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(
    "stop",
    [
        "Making the environment",
        "Reading channels 1/",
        "Choosing packages",
        "to download",
        "Downloading packages 0/",
        "Downloading packages",
        "Linking packages 1/",
        "Activating",
        "begun",
    ],
)
def test_killed_at_any_point_nothing_half_made_is_used(server, tmp_path, stop):
    server.chunk_pause = 0.005
    text, init = "large demo-tool=1.0", "echo begun; touch $CONDA_PREFIX/finished"
    other = napari(tmp_path, server.url, text, init, stop)
    for line in other.stdout:
        if stop in line:
            break
    else:
        pytest.fail(f"{stop!r} was never said")
    started = psutil.Process(other.pid).children()
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    other.stdout.close()
    assert wait_until(lambda: not any(map(works, started)))
    service = service_for(tmp_path, server.url)
    left = service.store.environments()
    assert not [info for info in left if info.complete or info.in_use]
    assert not service.plan(make_tool(PackageRequirement(text=text, init=init))).ready
    server.chunk_pause = 0
    code, events = run(service, tmp_path / "next", text, init)
    assert code == 0
    assert events.lines()[-3] == "demo-tool 1.0"
    (info,) = service.store.environments()
    assert info.complete
    (prefix,) = info.path.glob("p*")
    assert (prefix / "finished").exists()
    assert (prefix / "share" / "large.bin").stat().st_size == 6_000_000


def test_killed_while_the_tool_runs_the_environment_stays_and_is_free(channel, tmp_path):
    other = napari(tmp_path, channel.as_uri(), "demo-tool=1.0", stop="demo-tool 1.0")
    for line in other.stdout:
        if line.startswith("demo-tool"):
            break
    service = service_for(tmp_path, channel.as_uri())
    (info,) = service.store.environments()
    assert info.in_use
    with pytest.raises(PreparationError, match="in use"):
        service.store.remove(info.key)
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    other.stdout.close()
    assert run(service, tmp_path, "demo-tool=1.0")[0] == 0
    assert service.store.remove(info.key) > 0
    assert service.store.environments() == []


def test_two_napari_at_once_make_one_environment(server, tmp_path):
    server.chunk_pause = 0.002
    both = [napari(tmp_path, server.url, "large demo-tool") for _ in range(2)]
    outputs = [other.communicate(timeout=120)[0] for other in both]
    assert [other.returncode for other in both] == [0, 0], outputs
    made = {line for text in outputs for line in text.splitlines() if line.startswith("made")}
    assert len(made) == 1
    assert sum("Another job is making" in text for text in outputs) == 1
    assert len(service_for(tmp_path, server.url).store.environments()) == 1


def test_waiting_for_another_can_be_cancelled(tmp_path):
    store, cancel = EnvironmentStore(tmp_path / "envs"), CancelToken()
    told = threading.Event()
    failed = []

    def second():
        try:
            with store.building("a-1", cancel, told.set):
                failed.append("entered")
        except JobCancelledError as error:
            failed.append(type(error).__name__)

    with store.building("a-1", CancelToken()):
        thread = threading.Thread(target=second)
        thread.start()
        assert told.wait(30)
        cancel.cancel()
        thread.join(30)
    assert failed == ["JobCancelledError"]


def test_after_a_cancel_nothing_is_unpacked_or_left(server, tmp_path):
    server.chunk_pause = 0.005
    service, others = service_for(tmp_path, server.url), {*psutil.Process().children()}
    process, _ = make_process(tmp_path, PackageRequirement(text="large demo-tool"))
    started = []

    def report(event):
        if getattr(event, "phase", "") == "Downloading packages" and not started:
            started.extend({*psutil.Process().children()} - others)
            # as rattler leaves it: it unpacks while it downloads
            (next((tmp_path / "envs" / ".packages").iterdir()) / ".large-1x").mkdir()
            process.context.cancel.cancel()

    process.context.report = report
    with pytest.raises(JobCancelledError, match="while its environment was made"):
        service.set_up(process)
    service.tear_down(process)
    assert started
    assert not any(map(works, started))
    folders = [one for one in (tmp_path / "envs").glob(".packages/*/*") if one.is_dir()]
    assert not [one for one in folders if one.name.startswith(".")]
    assert list(service.store.environments()) == []


def test_a_disk_without_room(channel, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(small)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        service = service_for(small, channel.as_uri())
        plan = service.plan(make_tool(PackageRequirement(text="large demo-tool")))
        assert "free some room" in plan.problems[0]
        with pytest.raises(PreparationError) as caught:
            run(service, tmp_path, "large demo-tool")
        assert "full" in caught.value.hint
        assert not any(info.complete for info in service.store.environments())
        # what fits, still works
        shutil.rmtree(small / "envs")
        assert run(service, tmp_path, "demo-tool=1.0")[0] == 0
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


@pytest.fixture
def read_only(tmp_path):
    """A folder that nobody can write to, root included; skips where it cannot be had."""
    folder = tmp_path / "home"
    folder.mkdir()
    if os.geteuid() != 0:
        folder.chmod(0o500)
        yield folder
        folder.chmod(0o700)
        return
    options = ["-t", "tmpfs", "-o", "size=1m,ro", "tmpfs", str(folder)]
    if subprocess.run(["mount", *options], capture_output=True).returncode:
        pytest.skip("a read-only file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_read_only_home(channel, tmp_path, read_only):
    service = service_for(read_only, channel.as_uri())
    found = service.check()
    assert not found.ok
    assert "environments_dir" in found.message
    tool = make_tool(PackageRequirement(text="demo-tool"))
    assert "environments_dir" in service.plan(tool).problems[0]
    with pytest.raises(PreparationError, match="cannot be made in") as caught:
        run(service, tmp_path, "demo-tool")
    assert "environments_dir" in caught.value.hint


def test_a_file_where_the_folder_should_be(channel, tmp_path):
    (tmp_path / "envs").write_text("in the way")
    service = service_for(tmp_path, channel.as_uri())
    assert not service.check().ok
    with pytest.raises(PreparationError, match="cannot be made in"):
        run(service, tmp_path, "demo-tool")


def test_environments_that_others_made_read_only_for_us(channel, tmp_path):
    """A shared folder of a facility: complete environments are used as they are."""
    shared = tmp_path / "shared"
    assert run(service_for(shared, channel.as_uri()), tmp_path, "demo-tool=1.0")[0] == 0
    if subprocess.run(
        ["mount", "--bind", str(shared), str(shared)], capture_output=True
    ).returncode:
        pytest.skip("a folder cannot be made read-only here")
    try:
        remount = ["mount", "-o", "remount,bind,ro", str(shared), str(shared)]
        subprocess.run(remount, check=True, capture_output=True)
        service = service_for(shared, channel.as_uri())
        assert run(service, tmp_path, "demo-tool=1.0")[0] == 0
        (info,) = service.store.environments()
        assert info.complete
    finally:
        subprocess.run(["umount", "-l", str(shared)], check=True)


def test_a_marker_that_is_no_json(channel, tmp_path):
    service = service_for(tmp_path, channel.as_uri())
    run(service, tmp_path, "demo-tool=1.0")
    (info,) = service.store.environments()
    (info.path / "environment.json").write_text('{"prefix": ')
    assert run(service, tmp_path, "demo-tool=1.0")[0] == 0
    (info.path / "environment.json").write_text("[]")
    assert run(service, tmp_path, "demo-tool=1.0")[0] == 0


def test_an_environment_whose_folder_was_deleted(channel, tmp_path):
    service = service_for(tmp_path, channel.as_uri())
    run(service, tmp_path, "demo-tool=1.0")
    (info,) = service.store.environments()
    (prefix,) = info.path.glob("p*")
    shutil.rmtree(prefix)
    assert run(service, tmp_path, "demo-tool=1.0")[0] == 0


def test_clean_frees_what_it_says(channel, tmp_path):
    service = service_for(tmp_path, channel.as_uri())
    run(service, tmp_path, "large demo-tool")
    (info,) = service.store.environments()
    assert info.size > 6_000_000
    # packages are hard-linked into the environment: removing it alone frees little
    assert service.store.remove(info.key) < 1_000_000
    assert service.store.cache_size() > 6_000_000
    assert service.store.clean_caches() > 6_000_000
    assert service.store.cache_size() == 0
    with pytest.raises(PreparationError, match="no environment"):
        service.store.remove("../envs")
    assert run(service, tmp_path, "large demo-tool")[0] == 0


def test_the_cache_may_go_while_environments_stay(channel, tmp_path):
    service = service_for(tmp_path, channel.as_uri())
    run(service, tmp_path, "large demo-tool")
    service.store.clean_caches()
    (info,) = service.store.environments()
    (prefix,) = info.path.glob("p*")
    assert (prefix / "share" / "large.bin").stat().st_size == 6_000_000
    assert run(service, tmp_path, "large demo-tool")[0] == 0
    assert service.store.remove(info.key) > 6_000_000


def test_the_cache_stays_while_an_environment_is_made_of_it(channel, tmp_path):
    service = service_for(tmp_path, channel.as_uri())
    run(service, tmp_path, "large demo-tool")
    (clean,) = (one.remove for one in service.stored() if one.kind == "cache")
    size = service.store.cache_size()
    with service.store.filling():
        with pytest.raises(PreparationError, match="being made"):
            clean()
        assert service.store.cache_size() == size
    assert clean() > 0
    assert service.store.cache_size() == 0


def test_what_an_abandoned_attempt_still_writes_is_swept(channel, tmp_path):
    service = service_for(tmp_path, channel.as_uri())
    run(service, tmp_path, "demo-tool=1.0")
    (info,) = service.store.environments()
    abandoned = info.path / "pabcdef" / "share"
    abandoned.mkdir(parents=True)
    (abandoned / "late").write_text("x")
    abandoned.chmod(0o500)
    (info.path / "environment.json").unlink()
    run(service, tmp_path, "demo-tool=1.0")
    assert not abandoned.exists()
    assert wait_until(lambda: len(list(info.path.glob("p*"))) == 1)
