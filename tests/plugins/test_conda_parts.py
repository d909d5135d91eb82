"""Parts of making environments that an ordinary channel never asks for."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from napari_tool_runner.errors import (
    JobCancelledError,
    JobTimeoutError,
    OutputError,
    PreparationError,
)
from napari_tool_runner.names import held
from napari_tool_runner.plugins import CancelToken, Resources
from napari_tool_runner.plugins import environments as store
from napari_tool_runner.plugins.conda import activation, apart, bounds, maker
from napari_tool_runner.plugins.conda.activation import Activation, activate
from napari_tool_runner.plugins.conda.channels import Channels
from napari_tool_runner.plugins.conda.failures import NETWORK_HINT, cause_of
from napari_tool_runner.plugins.conda.index_size import read_bounded
from napari_tool_runner.plugins.conda.orders import (
    Limits,
    LinkScript,
    Order,
    Solution,
    error_from,
    event_from,
    tell_error,
)
from napari_tool_runner.plugins.conda.records import clean_records
from napari_tool_runner.plugins.environments import EnvironmentStore
from napari_tool_runner.plugins.process import Event, Progress
from napari_tool_runner.plugins.runner_conda import CondaRunnerService
from napari_tool_runner.plugins.runner_local import LocalRunnerService
from napari_tool_runner.sealed import usage
from napari_tool_runner.tools.isolation.wire import to_line
from napari_tool_runner.tools.model import PackageRequirement
from plugins import conda_channel
from plugins.runner_helpers import make_process, make_tool, script

posix = pytest.mark.skipif(os.name == "nt", reason="shell scripts")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


# -- activation ----------------------------------------------------------------------------------


@posix
def test_what_scripts_change_is_applied_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        activation, "host_environment", lambda **_: {"PATH": "/bin", "LIST": "a", "OUT": "x"}
    )
    prefix = tmp_path / "env"
    write(
        prefix / "etc/conda/activate.d/a.sh",
        'export LIST="first:$LIST:last" NEW="1 2"; unset OUT\n',
    )
    process, _ = make_process(tmp_path)
    found = activate(prefix, process.context, {})
    assert found.changes == {"LIST": ["first:", ":last"], "NEW": "1 2", "OUT": None}
    applied = found.apply({"PATH": "/usr/bin", "LIST": "b:c", "OUT": "y", "OTHER": "z"})
    assert applied["LIST"] == "first:b:c:last"
    assert (applied["NEW"], applied["OTHER"], "OUT" in applied) == ("1 2", "z", False)
    assert found.apply({})["LIST"] == "first::last"
    assert applied["PATH"] == f"{prefix}/bin:/usr/bin"


def test_variables_of_files(tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    write(prefix / "etc/conda/env_vars.d/a.json", json.dumps({"A": 1, "B": "package"}))
    write(prefix / "etc/conda/env_vars.d/b.json", "no json")
    write(prefix / "etc/conda/env_vars.d/c.json", "[1]")
    process, _ = make_process(tmp_path)
    assert activate(prefix, process.context, {}).changes == {"A": "1", "B": "package"}
    write(prefix / "conda-meta/state", json.dumps({"env_vars": {"B": "user"}}))
    assert activate(prefix, process.context, {}).changes == {"A": "1", "B": "user"}
    write(prefix / "conda-meta/state", "[]")
    assert activate(prefix, process.context, {}).changes == {"A": "1", "B": "package"}


def test_what_is_no_variable_is_left_out_and_told(tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    told = {"A": "a\0--bind\0/\0/", "B\0--bind": "b", "C=D": "c", "": "d", "E\nF": "e", "G": "g"}
    write(prefix / "etc/conda/env_vars.d/a.json", json.dumps(told))
    process, events = make_process(tmp_path)
    assert activate(prefix, process.context, {}).changes == {"G": "g"}
    said = "\n".join(events.lines("runner"))
    assert said.count("left out") == 5
    assert "the variable A holds a nul character" in said


@posix
def test_scripts_of_other_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel does not tell the variables of a shell, Python is asked for them."""
    prefix = tmp_path / "env"
    write(prefix / "etc/conda/activate.d/a.sh", "export NEW='a\nb'\n")
    monkeypatch.setattr(
        activation, "sys", SimpleNamespace(platform="darwin", executable=activation.sys.executable)
    )
    process, _ = make_process(tmp_path)
    found = activate(prefix, process.context, {"enclose": False})
    assert found.changes["NEW"] == "a\nb"


@posix
def test_a_script_that_ends_the_shell_is_told(tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    write(prefix / "etc/conda/activate.d/a.sh", "export NEW=1; echo the reason; exit 4\n")
    process, events = make_process(tmp_path)
    assert activate(prefix, process.context, {}).changes == {}
    assert events.lines("runner") == ["The activation scripts failed (exit code 4)."]
    assert events.lines("stderr") == ["the reason"]


@posix
def test_scripts_that_do_not_end_are_ended_with_the_time_of_the_job(tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    write(prefix / "etc/conda/activate.d/a.sh", "sleep 1000\n")
    process, _ = make_process(tmp_path)
    with pytest.raises(JobTimeoutError):
        activate(prefix, replace(process.context, timeout=0.2), {"enclose": False})


def test_a_list_that_was_empty_gets_no_odd_ends() -> None:
    found = Activation(Path("/env"), {"L": ["a:", ""], "M": ["", ":z"]}).apply({})
    assert (found["L"], found["M"]) == ("a", "z")


# -- the store -----------------------------------------------------------------------------------


@posix
def test_what_is_protected_is_removed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As another user than root: a folder without rights, and a link that leads out."""
    outside = tmp_path / "outside"
    write(outside, "stays")
    prefix = tmp_path / "envs" / "p1"
    write(prefix / "a", "")
    (prefix / "link").symlink_to(outside)
    removed, unlink = [], os.unlink

    def once_denied(name: str, *, dir_fd: int | None = None) -> None:
        if len(removed) < 2:
            removed.append(name)
            raise PermissionError(13, "denied", name)
        unlink(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", once_denied)
    store._remove_tree(prefix)
    assert not prefix.exists()
    assert (outside.read_text(), outside.stat().st_mode & 0o777) == ("stays", 0o644)
    (tmp_path / "alone").symlink_to(outside)
    store._remove_tree(tmp_path / "alone")
    store._remove_tree(tmp_path / "nothing")
    assert outside.exists()


def test_what_is_written_meanwhile_is_removed_at_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "key"
    tries: list[Path] = []
    remove = store.sealed.remove

    def busy(path: Path, root: Path) -> None:
        tries.append(path)
        if len(tries) in (1, 3, 4, 5):
            raise OSError(39, "Directory not empty")
        remove(path, root)

    monkeypatch.setattr(store.sealed, "remove", busy)
    write(home / "p1" / "a", "")
    environments = EnvironmentStore(tmp_path)
    with environments.building("key", CancelToken()):
        assert environments.new_prefix("key").parent == home
        assert (len(tries), list(home.iterdir())) == (2, [])
    assert not home.exists()  # nothing was made in it
    write(home / "p1" / "a", "")
    with pytest.raises(PreparationError, match=r"could not be removed: Directory not empty"):
        environments.remove("key")


def test_a_folder_that_cannot_be_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    environments = EnvironmentStore(tmp_path)
    write(tmp_path / "key" / "p1" / "a", "")
    monkeypatch.setattr(store, "_remove_tree", denied)
    with pytest.raises(PreparationError, match=r"cannot be made in .*Permission denied"):
        environments.new_prefix("key")


def test_an_environment_that_is_built_is_not_removed(tmp_path: Path) -> None:
    environments = EnvironmentStore(tmp_path)
    refused: list[str] = []

    def remove() -> None:
        with pytest.raises(PreparationError) as caught:
            environments.remove("key")
        refused.append(str(caught.value))

    with environments.building("key", CancelToken()):
        other = threading.Thread(target=remove)
        other.start()
        other.join()
    assert "The environment key is in use." in refused[0]


@posix
def test_what_is_half_written_goes_when_nobody_writes_it(tmp_path: Path) -> None:
    envs = EnvironmentStore(tmp_path / "envs")
    package, part = envs.packages / "checked" / ".numpy-1", envs.repodata / ".tmpAb1" / "x"
    whole = [envs.packages / "checked" / "numpy-1", envs.repodata / "1.json"]
    for path in (package, part, *whole):
        path.mkdir(parents=True)
    for told in (True, False):
        with envs.filling() if told else nullcontext(), envs.building("e", CancelToken()):
            envs.new_prefix("e")
        assert [package.exists(), part.exists()] == [told, told]
    assert all(path.exists() for path in whole)


def test_what_goes_while_it_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "gone"):
        write(tmp_path / name, "12345")
    os.link(tmp_path / "a", tmp_path / "same")
    scan = os.scandir

    def scandir(place: int) -> nullcontext[list[os.DirEntry[str]]]:
        with scan(place) as listing:
            entries = list(listing)
        (tmp_path / "gone").unlink(missing_ok=True)
        return nullcontext(entries)

    monkeypatch.setattr(store.os, "scandir", scandir)
    counted = usage(tmp_path)
    assert counted[0] == 15
    assert counted.used == counted.freed == held(os.lstat(tmp_path / "a")) * 2


# -- the maker -----------------------------------------------------------------------------------


@pytest.fixture
def order(channel: Path, tmp_path: Path) -> Order:
    channels = Channels((channel.as_uri(),), "", {}, {})
    places = [tmp_path / name for name in ("packages", "repodata")]
    lock, prefix = tmp_path / "environment.lock", tmp_path / "env" / "p1"
    return Order(
        channels, *places, "linux-64", False, ("demo-tool=1.0",), lock, Limits(memory=2**32),
        prefix=prefix,
    )  # fmt: skip


@posix
@pytest.mark.conda
def test_an_interrupt_ends_the_process_that_makes(order: Order) -> None:
    cancel, children, others = CancelToken(), [], set(psutil.Process().children())

    def report(_: Event) -> None:
        children.extend({*psutil.Process().children()} - others)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apart.carry_out(order, cancel, report)
    assert children
    assert not any(one.is_running() for one in children)
    assert cancel.requested


@posix
@pytest.mark.conda
def test_a_process_that_is_ended_is_a_sentence(order: Order) -> None:
    others = set(psutil.Process().children())

    def report(_: Event) -> None:
        for one in {*psutil.Process().children()} - others:
            one.kill()

    with pytest.raises(PreparationError, match=r"by signal 9.* more memory than 4\.3 GB"):
        apart.carry_out(order, CancelToken(), report)


@posix
@pytest.mark.conda
@pytest.mark.skipif(sys.platform != "linux", reason="the system cannot limit memory so")
def test_what_takes_more_memory_than_it_may_is_ended(order: Order) -> None:
    small = replace(order, limits=Limits(memory=2**24))
    with pytest.raises(PreparationError, match="The environment could not be made"):
        apart.carry_out(small, CancelToken())


@posix
@pytest.mark.parametrize(
    ("pages", "most"), [(2**18, 2**32), (3 * 2**20, 3 * 2**31), (2**23, 2**33)]
)
def test_half_of_the_memory_is_the_limit(
    monkeypatch: pytest.MonkeyPatch, pages: int, most: int
) -> None:
    told = {"SC_PHYS_PAGES": pages, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", told.__getitem__)
    assert Limits().memory == most


@posix
@pytest.mark.conda
@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("error", [MemoryError(), OSError(12, "Cannot allocate memory")])
def test_memory_that_is_not_to_be_had_is_told(
    order: Order, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    from napari_tool_runner.plugins.conda import worker

    def solve(_: Order) -> object:
        raise error

    monkeypatch.setattr(worker, "_solve", solve)
    with pytest.raises(PreparationError, match=r"made: it takes more memory than 4\.3 GB"):
        apart.carry_out(replace(order, prefix=None), CancelToken())


@posix
@pytest.mark.conda
def test_nobody_sees_the_credentials_of_an_order(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    start = subprocess.Popen

    def popen(words: list[str], **more: object) -> object:
        started.append(words)
        assert "env" not in more
        return start(words, **more)

    monkeypatch.setattr(apart.subprocess, "Popen", popen)
    private = Channels(("http://bob:s3cr3t@127.0.0.1:9/c",), "", {}, {})
    assert "s3cr3t" not in repr(replace(order, channels=private))
    with pytest.raises(PreparationError, match="A channel cannot be read") as caught:
        apart.carry_out(replace(order, channels=private), CancelToken())
    assert "s3cr3t" not in str(caught.value)
    assert started
    assert "s3cr3t" not in str(started)


@posix
@pytest.mark.conda
def test_an_answer_without_end_is_not_read(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "_LONGEST", 10)
    with pytest.raises(PreparationError, match="its channel tells more than 10 B"):
        apart.carry_out(order, CancelToken())


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell of each byte")
def test_what_comes_may_become_so_many_times_its_size(tmp_path: Path) -> None:
    came = [0]
    writing = bounds.Writing(
        tmp_path, tmp_path, Limits(written=2**22, times=100), 0, lambda: came[0]
    )
    (tmp_path / "a").write_bytes(bytes(2**20))
    writing.look()
    (tmp_path / "b").write_bytes(bytes(2**23))
    with pytest.raises(PreparationError, match=r"more than 4\.2 MB and 100 times"):
        writing.look()
    came[0] = 2**17
    writing.look()


@posix
@pytest.mark.parametrize("told", [True, False])
def test_what_has_no_content_takes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    """Folders, links and empty files are written by nobody, and fill a disk."""
    free = [10**6 if told else 0]
    monkeypatch.setattr(bounds, "_free_files", lambda _: free[0])
    monkeypatch.setattr(bounds, "written", lambda: 0)
    (tmp_path / "before").mkdir()
    writing = bounds.Writing(tmp_path, tmp_path, Limits(written=2**16), 0, lambda: 0)
    for number in range(20):
        (tmp_path / "before" / str(number)).mkdir()
        (tmp_path / f"new{number}" / "inner").mkdir(parents=True)
    free[0] -= 10**5 if told else 0
    with pytest.raises(PreparationError, match="what they unpack to is more than"):
        writing.look()


def test_a_disk_keeps_room_for_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [10**6, 10**6, 10**6, 10**4]
    monkeypatch.setattr(bounds, "_free_files", lambda _: free.pop(0) if free[1:] else free[0])
    writing = bounds.Writing(tmp_path, tmp_path / "none", Limits(), 0, lambda: 0)
    with pytest.raises(PreparationError, match="fill the disk"):
        writing.look()


def test_a_system_that_tells_less_of_what_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [SimpleNamespace(), SimpleNamespace(io_counters=lambda: SimpleNamespace(write_bytes=5))]
    monkeypatch.setattr(bounds, "Path", lambda _: tmp_path / "none")
    monkeypatch.setattr(psutil, "Process", lambda: told.pop(0))
    assert [bounds.written(), bounds.written()] == [0, 5]


@pytest.mark.parametrize("many", [0, 1])
def test_a_disk_keeps_some_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    free = [2**34, 2**34 if many else 2**29]
    monkeypatch.setattr(bounds.shutil, "disk_usage", lambda _: SimpleNamespace(free=free.pop(0)))
    writing = bounds.Writing(tmp_path, tmp_path, Limits(), 0, lambda: 0)
    with nullcontext() if many else pytest.raises(PreparationError, match="fill the disk"):
        writing.look()


@posix
@pytest.mark.conda
def test_an_order_is_carried_out(order: Order) -> None:
    """In this process, where it can be looked at."""
    worker = pytest.importorskip("napari_tool_runner.plugins.conda.worker")
    told: list[Mapping[str, Any]] = []
    solved = asyncio.run(worker.carry_out(replace(order, prefix=None), told.append))
    lock = Solution.of(json.loads(to_line(solved))["done"]).lock
    made = asyncio.run(worker.carry_out(replace(order, earlier=lock), told.append))
    found = Solution.of(json.loads(to_line(made))["done"])
    assert [one["name"] for one in found.packages] == ["demo-tool"]
    assert (order.prefix / "bin" / "demo-tool").exists()
    assert order.lock.read_text(encoding="utf-8") == lock
    phases = {event.phase for one in told if isinstance(event := event_from(one), Progress)}
    assert phases == {"Downloading packages", "Linking packages"}, "it was solved before"
    bad = replace(order, platform="amiga-68", lock=order.lock.with_name("none"))
    refused = asyncio.run(worker.carry_out(bad, told.append))
    assert isinstance(error := error_from(refused), PreparationError)
    assert error.message == "conda knows no platform 'amiga-68'."


def test_an_order_comes_as_it_was_given(tmp_path: Path) -> None:
    channels = Channels(
        ("a", "https://u:p@h/c"), "x", {"https://a": ("b", "c")}, {"n": "m"}, frozenset({"a"})
    )
    order = Order(
        channels, tmp_path, tmp_path, "noarch", True, ("a", "b"), tmp_path, prefix=tmp_path
    )
    for one in (order, replace(order, prefix=None, earlier="lock")):
        assert Order.of(json.loads(to_line(one.told()))) == one
    script = LinkScript("a", tmp_path, {"PREFIX": "x"})
    solution = Solution([{"name": "a"}], 1, 2, "r", "l", (script,))
    assert Solution.of(json.loads(to_line(solution.told()))) == solution


def test_errors_come_as_they_were() -> None:
    class PanicException(BaseException):
        """As those of rattler."""

    def passed(error: BaseException) -> BaseException:
        return error_from(json.loads(to_line(tell_error(error))))

    panic = passed(PanicException("index out of bounds"))
    assert isinstance(panic, PreparationError)
    assert (
        panic.message == "The environment could not be made: rattler broke (index out of bounds)."
    )
    assert panic.hint
    assert passed(KeyError("a")).message == "The environment could not be made: KeyError: 'a'."
    full = passed(OSError(28, "No space left on device", "/x"))
    assert isinstance(full, OSError)
    assert full.errno == 28
    kept = passed(OutputError("what", hint="do"))
    assert isinstance(kept, PreparationError)
    assert (kept.message, kept.hint) == ("what", "do")


def test_what_pip_added_is_noted(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    for name, installer in (("mine", "pip\n"), ("other", "conda")):
        write(packages / f"{name}-1.0.dist-info" / "METADATA", f"Name: {name}\nVersion: 1.0\n")
        write(packages / f"{name}-1.0.dist-info" / "INSTALLER", installer)
    assert maker._pip_packages(tmp_path) == ["mine==1.0"]


@posix
@pytest.mark.conda
def test_a_cancel_while_it_is_finished(
    channel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"channels": [channel.as_uri()], "environments_dir": str(tmp_path / "envs")}
    service = CondaRunnerService(config)
    requirement = PackageRequirement(name="demo-tool", version="1.0")
    process, _ = make_process(tmp_path, requirement)

    def activated(prefix: Path, *_: object) -> Activation:
        process.context.cancel.cancel()  # too late to break anything off
        return Activation(prefix, {})

    monkeypatch.setattr(maker, "activate", activated)
    with pytest.raises(JobCancelledError, match="while its environment was made"):
        service.set_up(process)
    assert [entry.complete for entry in service.store.environments()] == [False]
    service.tear_down(process)


@posix
@pytest.mark.conda
def test_a_solution_of_the_preflight_serves_for_a_while(channel: Path, tmp_path: Path) -> None:
    config = {"channels": [channel.as_uri()], "environments_dir": str(tmp_path / "envs")}
    service = CondaRunnerService(config)
    tool = make_tool(PackageRequirement(name="demo-tool", version="1.0"))
    first = service.plan(tool)
    wanted = maker.wanted_environment(tool, config, service.store)
    assert wanted is not None
    recent = service._maker._solved.of(wanted)
    assert recent is not None
    assert service.plan(tool).fetches == first.fetches
    assert service._maker._solved.of(wanted) is recent, "it was not solved anew"


def test_what_others_tell_of_their_packages_has_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_tool_runner.plugins.conda.records import installed_packages

    told = {"url": "https://bob:s3cr3t@h.example/c/a-1-0.conda", "sha256": "ab", "name": "x"}
    texts = {"a-1-0": json.dumps(told), "b-c-2-h_0": "{", "d-3-0": "[" * 4_000_001, "e-4-0": "[]"}
    for name, text in texts.items():
        write(tmp_path / "conda-meta" / f"{name}.json", text)
    (tmp_path / "conda-meta" / "f-5-0.json").symlink_to(tmp_path / "conda-meta" / "a-1-0.json")
    write(tmp_path / "conda-meta" / "history", "==>")
    found = installed_packages(tmp_path)
    assert [(one["name"], one["version"], one["build"]) for one in found] == [
        ("a", "1", "0"), ("b-c", "2", "h_0"), ("d", "3", "0"), ("e", "4", "0"), ("f", "5", "0"),
    ]  # fmt: skip
    assert (found[0]["url"], found[0]["sha256"]) == ("https://h.example/c/a-1-0.conda", "ab")
    assert not any(one["url"] or one["sha256"] for one in found[1:])


# -- solving and linking -------------------------------------------------------------------------


@posix
@pytest.mark.conda
@pytest.mark.usefixtures("here")
def test_later_channels_help_out(channel: Path, tmp_path: Path) -> None:
    """Strict priority hides the second channel's versions; it is loosened, and told."""
    old, new = tmp_path / "old", tmp_path / "new"
    for folder, version in ((old, "1"), (new, "2")):
        (folder / "noarch").mkdir(parents=True)
        for archive in channel.glob(f"*/demo-tool-{version}*"):
            (folder / archive.parent.name).mkdir(exist_ok=True)
            shutil.copy(archive, folder / archive.parent.name)
    write(tmp_path / "files" / "wants-two.txt", "")
    conda_channel._assemble(new, tmp_path / "files", "wants-two", "1", depends=["demo-tool >=2"])
    for folder in (old, new):
        conda_channel.index(folder)
    config = {"channels": [old.as_uri(), new.as_uri()], "environments_dir": str(tmp_path / "envs")}
    service = CondaRunnerService(config)
    process, events = make_process(tmp_path, PackageRequirement(text="wants-two"))
    service.set_up(process)
    assert service.exec(process, ["demo-tool"]) == 0
    service.tear_down(process)
    assert events.lines()[0] == "demo-tool 2.0"
    assert any("taken from all channels" in line for line in events.lines("runner"))
    process, _ = make_process(tmp_path, PackageRequirement(text="wants-two demo-tool=1"))
    with pytest.raises(PreparationError, match="The packages cannot be solved"):
        service.set_up(process)
    service.tear_down(process)


@pytest.fixture
def builder(tmp_path: Path):
    pytest.importorskip("rattler")
    from napari_tool_runner.plugins.conda.build import Builder

    def make(*sources: str, platform: str = "linux-64") -> Builder:
        channels = Channels(tuple(sources), "", {}, {})
        return Builder(channels, tmp_path / "packages", tmp_path / "repodata", platform)

    return make


@pytest.mark.conda
def test_channels_and_platforms_that_are_none(builder) -> None:
    with pytest.raises(PreparationError, match="A channel of the tool is not valid"):
        builder("http://[")._sources()
    with pytest.raises(PreparationError, match="conda knows no platform 'amiga-68'"):
        builder("x", platform="amiga-68")._subdirs()


@pytest.mark.conda
@pytest.mark.parametrize("text", ["", "no: lock", "version: 6\nenvironments: {}\npackages: []\n"])
def test_a_lock_file_that_is_none_is_passed_by(builder, tmp_path: Path, text: str) -> None:
    lock = tmp_path / "environment.lock"
    lock.write_text(text)
    assert asyncio.run(builder("x").from_lock(lock)) is None


@pytest.mark.conda
def test_a_lock_file_of_another_platform_is_passed_by(builder, tmp_path: Path) -> None:
    from napari_tool_runner.plugins.conda.build import Records

    lock = tmp_path / "environment.lock"
    builder("https://c.example/x").write_lock(Records((), 0, 0), lock)
    assert asyncio.run(builder("https://c.example/x").from_lock(lock)) is None
    assert asyncio.run(builder("x", platform="osx-64").from_lock(lock)) is None


@pytest.mark.conda
def test_a_configuration_of_rattler_that_is_none(
    builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rattler

    def broken(_: str) -> None:
        raise rattler.exceptions.ConfigError("line 3")

    fake = SimpleNamespace(load_from_default_locations=broken)
    monkeypatch.setattr(rattler, "Config", fake)
    with pytest.raises(PreparationError, match=r"cannot be read: line 3.*config\.toml"):
        _ = builder("x").client


@pytest.mark.conda
@pytest.mark.parametrize(
    ("said", "hint"),
    [("No space left on device (os error 28)", "is full"),
     ("Permission denied (os error 13)", "that can be written"),
     ("sha256 hash mismatch", "damaged"), ("connection reset", "Check the network")],
)  # fmt: skip
def test_why_packages_are_not_installed(said: str, hint: str) -> None:
    from napari_tool_runner.plugins.conda.failures import install_error

    error = install_error(OSError(f"linking: Caused by: {said}"), Path("/envs/p"))
    assert hint in str(error)
    assert said in str(error)


@pytest.mark.conda
def test_a_channel_whose_server_cannot_say_what_changed(
    builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second answer is told, when asking without the memory fails, too."""
    from rattler.exceptions import GatewayError

    asked: list[str] = []

    async def solve(specs: object, report: object, cache: str) -> list[object]:
        asked.append(cache)
        raise GatewayError(f"{'304 not modified' if not asked[1:] else 'gone'}")

    made = builder("x")
    monkeypatch.setattr(made, "_solve", solve)
    with pytest.raises(PreparationError, match="A channel cannot be read: gone"):
        asyncio.run(made.solve(["a"]))
    assert asked == ["cache-or-fetch", "no-cache", "force-cache-only"]


# -- the services --------------------------------------------------------------------------------


def test_without_rattler_there_is_no_conda(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_tool_runner.plugins import runner_conda

    monkeypatch.setattr(runner_conda, "find_spec", lambda _: None)
    found = CondaRunnerService({"environments_dir": str(tmp_path)}).check()
    assert (found.ok, "py-rattler is missing" in found.message) == (False, True)


@posix
@pytest.mark.conda
def test_limits_and_notes_that_conda_only_tells(channel: Path, tmp_path: Path) -> None:
    config = {"channels": [channel.as_uri()], "environments_dir": str(tmp_path / "envs")}
    service = CondaRunnerService(config)
    process, events = make_process(
        tmp_path, PackageRequirement(text="demo-tool=1.0 --quiet --foo")
    )
    process.context.resources = Resources(memory_bytes=2**30)
    service.set_up(process)
    assert service.exec(process, ["demo-tool"]) == 0
    service.tear_down(process)
    told = " ".join(events.lines("runner"))
    assert "--foo" in told
    assert "CONDA does not enforce the memory limit." in told


def test_limits_that_local_only_tells(tmp_path: Path) -> None:
    service = LocalRunnerService({})
    process, events = make_process(tmp_path)
    process.context.resources = Resources(memory_bytes=2**30)
    service.set_up(process)
    assert service.exec(process, script(tmp_path / "work", "print('done')")) == 0
    service.tear_down(process)
    assert events.lines() == ["done"]
    assert "LOCAL does not enforce the memory limit." in events.lines("runner")


def test_no_credentials_stay_in_what_is_told_of_a_package_however_deep(tmp_path: Path) -> None:
    keyed = "https://example.org/chan?key=hush"
    told = {
        "url": "https://example.org/t/hush/chan/noarch/a-1-0.conda",
        "requested_specs": ["https://bob:hush@example.org/chan::a", {"from": [keyed]}],
        "link": {keyed: 1},
        "size": 3,
    }
    (tmp_path / "conda-meta").mkdir()
    path = tmp_path / "conda-meta" / "a-1-0.json"
    path.write_text(json.dumps(told))
    clean_records(tmp_path)
    assert "hush" not in path.read_text()
    assert json.loads(path.read_text())["size"] == 3


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ("dns error\nfailed to lookup address information", "is not known to the network here"),
        ("tcp connect error\nConnection refused (os error 111)", "takes no connections"),
        ("Network is unreachable (os error 101)", "cannot be reached from this network"),
        ("invalid peer certificate: UnknownIssuer", "a certificate that is not accepted here"),
        ("operation timed out", "does not answer in time"),
    ],
)
def test_a_server_that_cannot_be_reached_is_told_in_one_sentence(end: str, told: str) -> None:
    error = OSError(
        "Request failed after 3 retries\nCaused by:\n  error sending request for url "
        f"(https://bob:hush@conda.example.org/chan/noarch/repodata.json.zst)\n  {end}"
    )
    said, hint = cause_of(error)
    assert hint == NETWORK_HINT
    assert said.startswith("conda.example.org ")
    assert said.endswith(told)
    assert len(said) < 80
    refused = OSError("https://conda.example.org/x\n400 Bad Request")
    assert "400 Bad Request" in cause_of(refused)[0]
    named = "404 Not Found for url (https://conda.example.org/ca-certificates-1.conda)"
    assert "404" in cause_of(OSError(named))[0]


def test_a_channel_that_says_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "_SILENT", 0.3)

    async def slow(pieces: int) -> int:
        for piece in range(pieces):
            await asyncio.sleep(0.2)
            (tmp_path / "shards" / str(piece)).write_bytes(b"x")
        if not pieces:
            await asyncio.sleep(600)
        return pieces

    (tmp_path / "shards").mkdir()
    assert asyncio.run(read_bounded(slow(6), tmp_path, "https://conda.example.org/x", 10)) == 6
    with pytest.raises(TimeoutError, match=r"conda\.example\.org"):
        asyncio.run(read_bounded(slow(0), tmp_path, "https://conda.example.org/x", 10))


def test_a_proxy_that_takes_no_connections_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://bob:hu/sh@192.0.2.9:3128")
    monkeypatch.setenv("no_proxy", "inside.example.org")
    error = "error for url (https://{}/chan/x)\nConnection refused (os error 111)"
    told, hint = cause_of(OSError(error.format("conda.example.org")))
    assert told == (
        "conda.example.org cannot be reached: the proxy 192.0.2.9:3128, which is set here, "
        "takes no connections"
    )
    assert hint.startswith("The proxy is set by the variable https_proxy: correct it there")
    assert "hu" not in hint
    told = cause_of(OSError(error.format("inside.example.org")))
    assert told == ("inside.example.org takes no connections", NETWORK_HINT)
