"""CONDA on real channels: py-rattler solves, downloads and links what the tests built."""

from __future__ import annotations

import base64
import functools
import json
import os
import shutil
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from napari_tool_runner.errors import JobCancelledError, PreparationError, RunnerExecError
from napari_tool_runner.plugins import CancelToken, Mount, as_service, preflight, runnerServices
from napari_tool_runner.plugins.runner_conda import CondaRunnerService
from napari_tool_runner.plugins.warm import pool
from napari_tool_runner.tools.model import PackageRequirement
from plugins.conda_fixtures import ChannelServer
from plugins.runner_helpers import make_process, make_tool, wait_until

pytestmark = [
    pytest.mark.conda,
    pytest.mark.skipif(os.name == "nt", reason="the test packages hold shell programs"),
]


def package(text: str, **options: str) -> PackageRequirement:
    return PackageRequirement(text=text, **options)


DEMO = PackageRequirement(name="demo-tool", version="1.0")


@pytest.fixture
def envs(tmp_path):
    return tmp_path / "envs"


@pytest.fixture
def conda(channel, envs):
    return CondaRunnerService({"channels": [channel.as_uri()], "environments_dir": str(envs)})


def run(service, folder, requirement, args=("demo-tool",), **options):
    """One job; returns exit code, events and the process."""
    adapted = as_service(service)
    process, events = make_process(folder, requirement, **options)
    try:
        adapted.set_up(process)
        code = adapted.exec(process, list(args))
    finally:
        adapted.tear_down(process)
    return code, events, process


def test_a_galaxy_package(conda, tmp_path):
    code, events, process = run(conda, tmp_path, DEMO, ["demo-tool", "a b", 'it\'s "q"', "$HOME"])
    found = process.context.provenance["environment"]
    prefix = found["prefix"]
    assert code == 0
    assert events.lines() == [
        "demo-tool 1.0",
        f"prefix={prefix}",
        f"var=activated in {prefix}",
        "arg=a b",
        'arg=it\'s "q"',
        "arg=$HOME",
    ]
    assert [(p["name"], p["version"]) for p in found["packages"]] == [("demo-tool", "1.0")]
    assert found["packages"][0]["url"].endswith("/demo-tool-1.0-0.conda")
    assert len(found["packages"][0]["sha256"]) == 64
    json.dumps(process.context.provenance)


def test_the_lines_of_bioimageit(conda, tmp_path, channel):
    conda.configure({**conda.config, "channels": [], "mirrors": {"mine": channel.as_uri()}})
    code, events, _ = run(
        conda,
        tmp_path,
        package(
            "-c mine --override-channels 'demo-tool>=1,<2'", init="echo set > $CONDA_PREFIX/x"
        ),
        environment={"DEMO_EXIT": "7"},
    )
    assert code == 7
    assert events.lines()[0] == "demo-tool 1.0"
    (info,) = conda.store.environments()
    assert next(info.path.glob("p*/x")).read_text() == "set\n"


@pytest.mark.usefixtures("here")
def test_a_channel_in_the_spec_with_a_mirror(conda, tmp_path, channel):
    conda.configure({**conda.config, "mirrors": {"conda-forge": channel.as_uri()}})
    _, events, _ = run(conda, tmp_path, package("conda-forge::demo-tool=2"))
    assert events.lines()[0] == "demo-tool 2.0"


def test_the_second_job_makes_nothing_and_touches_no_network(server, envs, tmp_path):
    service = CondaRunnerService({"channels": [server.url], "environments_dir": str(envs)})
    first = run(service, tmp_path, DEMO)[2].context.provenance
    assert server.requests
    server.requests.clear()
    # another napari, later, without a network
    code, events, process = run(CondaRunnerService(service.config), tmp_path, DEMO)
    assert code == 0
    assert events.progress() == []
    assert server.requests == []
    assert process.context.provenance == first
    assert service.plan(make_tool(DEMO)).ready


@pytest.fixture
def activations(monkeypatch):
    """Which prefixes were activated by their scripts."""
    from napari_tool_runner.plugins.conda import activation

    found, real = [], activation._after_scripts
    monkeypatch.setattr(
        activation,
        "_after_scripts",
        lambda prefix, *rest: (found.append(prefix), real(prefix, *rest))[1],
    )
    return found


def test_activation_is_computed_once(conda, tmp_path, activations):
    for _ in range(3):
        _, events, process = run(conda, tmp_path, DEMO)
        assert events.lines()[2].startswith("var=activated")
    prefix = Path(process.context.provenance["environment"]["prefix"])
    assert activations == [prefix]


def test_different_packages_are_different_environments(conda, tmp_path):
    run(conda, tmp_path, DEMO)
    run(conda, tmp_path, PackageRequirement(name="demo-tool", version="2.0"))
    run(conda, tmp_path, package("demo-tool=1.0"))  # the same as the first
    infos = conda.store.environments()
    assert len(infos) == 2
    assert all(info.complete and info.size > 0 for info in infos)
    assert {info.specs for info in infos} == {("demo-tool=1.0",), ("demo-tool=2.0",)}


def test_what_is_stored_can_be_given_back(conda, tmp_path):
    run(conda, tmp_path, DEMO)
    process, _ = make_process(tmp_path, package("demo-tool=2"))
    adapted = as_service(conda)
    adapted.set_up(process)
    stored = adapted.stored()
    # the environment of the job that has not ended is not offered
    assert [entry.kind for entry in stored] == ["environment", "cache"]
    for entry in stored:
        assert entry.size > 0
        entry.remove()
    assert adapted.exec(process, ["demo-tool"]) == 0
    adapted.tear_down(process)
    (left,) = adapted.stored()
    assert left.kind == "environment"


def test_progress_has_a_real_end(server, envs, tmp_path):
    server.chunk_pause = 0.002
    service = CondaRunnerService({"channels": [server.url], "environments_dir": str(envs)})
    _, events, _ = run(service, tmp_path, package("large demo-tool"), ["true"])
    size = os.path.getsize(
        next(Path(server._http.RequestHandlerClass.keywords["directory"]).glob("*/large-*"))
    )
    fetched = [p for p in events.progress() if p.unit == "bytes"]
    assert {p.total for p in fetched} == {fetched[-1].done}
    assert fetched[-1].done > size
    assert len({p.done for p in fetched}) > 3
    assert [p.done for p in fetched] == sorted(p.done for p in fetched)
    phases = list(dict.fromkeys(p.phase for p in events.progress()))
    assert phases[0] == "Reading channels"
    assert "Linking packages" in phases
    linked = [p for p in events.progress() if p.phase == "Linking packages"]
    assert (linked[-1].done, linked[-1].total) == (2, 2)


def test_the_preflight_says_what_would_be_fetched(conda, tmp_path, channel):
    tool = make_tool(package("large"))
    assert conda.is_ready(tool) is False
    plan = conda.plan(tool)
    (fetch,) = plan.fetches
    assert fetch.size == next(channel.glob("*/large-*")).stat().st_size
    assert not plan.problems
    assert "free" in plan.remarks[0]
    run(conda, tmp_path, package("large"), ["true"])
    assert conda.is_ready(tool)
    assert conda.plan(tool).ready


def test_the_preflight_tells_what_is_in_the_way(conda):
    plan = conda.plan(make_tool(package("needs-new")))
    assert "demo-tool >=99" in plan.problems[0]
    assert not conda.supports(make_tool(package("-c x"))).ok


def test_an_unsatisfiable_environment_in_the_solvers_words(conda, tmp_path):
    with pytest.raises(PreparationError, match="no viable options") as caught:
        run(conda, tmp_path, package("needs-new"))
    assert "demo-tool >=99, for which no candidates were found" in str(caught.value)
    with pytest.raises(PreparationError, match="No candidates were found for nope"):
        run(conda, tmp_path, package("nope"))
    assert not any(info.complete for info in conda.store.environments())


@pytest.mark.usefixtures("here")
def test_a_spec_that_is_none(conda, tmp_path):
    with pytest.raises(PreparationError, match="no conda package specification"):
        run(conda, tmp_path, package("demo-tool>>1"))


@pytest.mark.parametrize("address", ["file:///no/such/channel", "http://127.0.0.1:9/chan"])
def test_a_channel_that_is_gone(conda, tmp_path, address):
    conda.configure({**conda.config, "channels": [address]})
    with pytest.raises(PreparationError, match="channel cannot be read") as caught:
        run(conda, tmp_path, DEMO)
    assert "channels" in caught.value.hint


@pytest.mark.usefixtures("here")
def test_a_channel_that_is_gone_today_was_read_yesterday(server, envs, tmp_path):
    service = CondaRunnerService({"channels": [server.url], "environments_dir": str(envs)})
    run(service, tmp_path, package("demo-tool=1.0"))
    server.password = "nobody"  # it answers, but not to us
    code, events, _ = run(service, tmp_path, package("demo-tool =1.0"))
    assert code == 0
    assert any("earlier day" in line for line in events.lines("runner"))


@pytest.mark.usefixtures("here")
def test_a_simple_server_that_says_nothing_has_changed(server, envs, tmp_path):
    """Its answer 304 lacks headers that rattler wants; `python -m http.server` is so."""
    service = CondaRunnerService({"channels": [server.url], "environments_dir": str(envs)})
    run(service, tmp_path, package("demo-tool=1.0"))
    server.requests.clear()
    code, events, _ = run(service, tmp_path, package("demo-tool =1.0"))
    assert code == 0
    assert server.requests
    assert not [line for line in events.lines("runner") if "cannot be read" in line]


def test_a_server_that_says_nothing_has_changed_of_what_nobody_has(server, envs, tmp_path):
    """rattler breaks at it, and told neither whose answer it was nor what to do."""
    server.unchanged = True
    service = CondaRunnerService({"channels": [server.url], "environments_dir": str(envs)})
    with pytest.raises(
        PreparationError, match=r"127\.0\.0\.1.*304, not changed.*Check the"
    ) as told:
        run(service, tmp_path, DEMO)
    assert "RustPanic" not in str(told.value)


@pytest.mark.usefixtures("here")
def test_offline_uses_what_is_there(server, envs, tmp_path):
    config = {"channels": [server.url], "environments_dir": str(envs)}
    service = CondaRunnerService({**config, "offline": True})
    with pytest.raises(PreparationError, match="offline"):
        run(service, tmp_path, DEMO)
    assert server.requests == []
    service.configure(config)
    run(service, tmp_path, DEMO)
    server.requests.clear()
    service.configure({**config, "offline": True})
    assert run(service, tmp_path, package("demo-tool =1.0"))[0] == 0
    assert server.requests == []


@pytest.mark.usefixtures("here")
def test_a_mirror_for_an_address(server, envs, tmp_path):
    away = "http://127.0.0.1:9/away"
    config = {"channels": [away], "environments_dir": str(envs)}
    service = CondaRunnerService({**config, "mirrors": {away: [server.url]}})
    code, _, _process = run(service, tmp_path, DEMO)
    assert code == 0
    assert server.requests


@pytest.mark.usefixtures("here")
def test_a_corrupt_archive(conda, tmp_path):
    with pytest.raises(PreparationError, match=r"broken-1\.0-0\.conda") as caught:
        run(conda, tmp_path, package("broken"))
    assert "damaged" in caught.value.hint
    assert not any(info.complete for info in conda.store.environments())


def test_credentials_of_the_rattler_tools(server, envs, tmp_path, monkeypatch):
    server.password = "Basic " + base64.b64encode(b"me:secret").decode()
    service = CondaRunnerService({"channels": [server.url], "environments_dir": str(envs)})
    with pytest.raises(PreparationError, match="401"):
        run(service, tmp_path, DEMO)
    store = tmp_path / "credentials.json"
    host = server.url.removeprefix("http://").partition(":")[0]
    login = {"BasicHTTP": {"username": "me", "password": "secret"}}
    store.write_text(json.dumps({host: login}))
    monkeypatch.setenv("RATTLER_AUTH_FILE", str(store))
    code, _, process = run(service, tmp_path, DEMO)
    assert code == 0
    assert "secret" not in json.dumps(process.context.provenance)


@pytest.mark.usefixtures("here")
def test_credentials_in_the_address_stay_secret(server, envs, tmp_path):
    server.password = "Basic " + base64.b64encode(b"me:secret").decode()
    address = server.url.replace("://", "://me:secret@")
    service = CondaRunnerService({"channels": [address], "environments_dir": str(envs)})
    code, events, process = run(service, tmp_path, DEMO)
    assert code == 0
    told = [str(event) for event in events.all] + [json.dumps(process.context.provenance)]
    assert not [text for text in told if "secret" in text]
    (home,) = [info.path for info in service.store.environments()]
    kept = [p.read_text() for p in (home / "environment.json", home / "environment.lock")]
    assert not [text for text in kept if "secret" in text]
    # and the lock file still serves
    (home / "environment.json").unlink()
    shutil.rmtree(service.store.packages)
    _, events, _ = run(service, tmp_path, DEMO)
    assert not [text for text in events.lines("runner") if "cannot be had" in text]


def test_the_lock_file_makes_the_same_environment_again(conda, tmp_path, channel, envs):
    mine = tmp_path / "mine"
    shutil.copytree(channel, mine)
    for path in mine.glob("*/demo-tool-2*"):
        path.unlink()
    from plugins.conda_channel import index

    index(mine)
    conda.configure({**conda.config, "channels": [mine.as_uri()]})
    assert run(conda, tmp_path, package("demo-tool"))[1].lines()[0] == "demo-tool 1.0"
    # a newer version appears, the environment is lost, its lock file is not
    shutil.copy(next(channel.glob("*/demo-tool-2*")), next(mine.glob("*/demo-tool-1*")).parent)
    index(mine)
    (info,) = conda.store.environments()
    (info.path / "environment.json").unlink()
    assert run(conda, tmp_path, package("demo-tool"))[1].lines()[0] == "demo-tool 1.0"
    # removed on purpose, it is solved anew
    conda.store.remove(info.key)
    assert run(conda, tmp_path, package("demo-tool"))[1].lines()[0] == "demo-tool 2.0"


@pytest.mark.usefixtures("here")
def test_recorded_packages_that_are_gone_are_solved_anew(conda, tmp_path, channel):
    mine = tmp_path / "mine"
    shutil.copytree(channel, mine)
    conda.configure({**conda.config, "channels": [mine.as_uri()]})
    run(conda, tmp_path, package("demo-tool"))
    (info,) = conda.store.environments()
    (info.path / "environment.json").unlink()
    shutil.rmtree(conda.store.packages)
    next(mine.glob("*/demo-tool-2*")).unlink()
    from plugins.conda_channel import index

    index(mine)
    _, events, _ = run(conda, tmp_path, package("demo-tool"))
    assert events.lines()[0] == "demo-tool 1.0"
    assert any("cannot be had" in line for line in events.lines("runner"))


@pytest.mark.parametrize("name", ["with space", "ünïcode-漢字", 'it\'s "quoted" $HOME `x`'])
def test_paths_with_odd_characters(channel, tmp_path, name):
    folder = tmp_path / name
    config = {"channels": [channel.as_uri()], "environments_dir": str(folder / "envs")}
    service = CondaRunnerService(config)
    requirement = package("demo-tool=1.0", init='touch "$CONDA_PREFIX/made"')
    code, events, process = run(service, folder, requirement, ["demo-tool", str(folder)])
    prefix = process.context.provenance["environment"]["prefix"]
    assert code == 0
    assert events.lines()[1:] == [
        f"prefix={prefix}",
        f"var=activated in {prefix}",
        f"arg={folder}",
    ]
    assert (Path(prefix) / "made").exists()


def test_a_channel_in_a_folder_with_odd_characters(channel, tmp_path, envs):
    odd = tmp_path / "a chan é"
    shutil.copytree(channel, odd)
    service = CondaRunnerService({"channels": [str(odd)], "environments_dir": str(envs)})
    assert run(service, tmp_path, DEMO)[0] == 0


def test_variables_of_the_host_do_not_leak(conda, tmp_path, monkeypatch):
    for name in ("PYTHONPATH", "CONDA_EXE", "QT_PLUGIN_PATH", "VIRTUAL_ENV", "MAMBA_EXE"):
        monkeypatch.setenv(name, "leaks")
    monkeypatch.setenv("CONDA_PREFIX", "/elsewhere")
    monkeypatch.setenv("DEMO_LIST", "mine")
    monkeypatch.setenv("KEPT", "yes")
    _, events, process = run(conda, tmp_path, DEMO, ["env"])
    found = dict(line.partition("=")[::2] for line in events.lines() if "=" in line)
    assert "leaks" not in found.values()
    assert found["CONDA_PREFIX"] == process.context.provenance["environment"]["prefix"]
    assert found["PATH"].startswith(found["CONDA_PREFIX"] + "/bin:")
    assert "KEPT" not in found
    assert found["DEMO_LIST"] == "demo"
    assert found["PYTHONNOUSERSITE"] == "1"
    # what is asked for has the value of the day, not that of the day of the making
    conda.configure({**conda.config, "pass_on": ["KEPT", "LC_ALL"]})
    monkeypatch.setenv("KEPT", "today")
    _, events, _ = run(conda, tmp_path, DEMO, ["env"])
    assert "KEPT=today" in events.lines()


def test_a_failing_activation_script_is_told(conda, tmp_path, channel):
    line = (
        'echo "echo trouble; (exit 3); kill -9 \\$\\$" > "$CONDA_PREFIX/etc/conda/activate.d/z.sh"'
    )
    code, events, _ = run(conda, tmp_path, package("demo-tool=1.0", init=line))
    assert code == 0
    assert any("activation scripts failed" in text for text in events.lines("runner"))
    assert "trouble" in events.lines("stderr")


def test_a_failing_init_line_leaves_nothing_to_use(conda, tmp_path):
    requirement = package("demo-tool=1.0", init="echo no room >&2; exit 5")
    for _ in range(2):
        with pytest.raises(PreparationError, match="exit code 5"):
            run(conda, tmp_path, requirement)
    (info,) = conda.store.environments()
    assert not info.complete


def test_a_program_that_the_package_does_not_hold(conda, tmp_path):
    with pytest.raises(RunnerExecError, match="'no-such-program' was not found"):
        run(conda, tmp_path, DEMO, ["no-such-program"])


def test_a_tool_without_packages_runs_as_with_local(conda, tmp_path):
    adapted = as_service(conda)
    process, events = make_process(tmp_path)
    adapted.set_up(process)
    assert adapted.exec(process, ["python", "-c", "print(1)"]) == 0
    assert events.lines() == ["1"]
    assert "LOCAL" in events.lines("runner")[0]
    assert conda.plan(process.tool).ready


def test_an_existing_environment_of_the_config_is_used_as_it_is(conda, tmp_path, activations):
    # made by somebody else: here by another service, moved under conda's folders
    _, _, process = run(conda, tmp_path, DEMO)
    prefix = process.context.provenance["environment"]["prefix"]
    root = tmp_path / "miniconda"
    (root / "envs").mkdir(parents=True)
    shutil.copytree(prefix, root / "envs" / "theirs", symlinks=True)
    config = {"conda_dir": str(root), "environments_dir": str(tmp_path / "none")}
    service = CondaRunnerService({**config, "channels": ["file:///nowhere"]})
    requirement = package("whatever=3", env="theirs")
    for _ in range(2):
        code, events, process = run(service, tmp_path, requirement)
    theirs = str(root / "envs" / "theirs")
    assert code == 0
    assert events.lines()[1:] == [f"prefix={theirs}", f"var=activated in {theirs}"]
    assert process.context.provenance["environment"]["packages"][0]["name"] == "demo-tool"
    assert activations[1:] == [Path(theirs)]
    assert not (tmp_path / "none").exists()
    assert "theirs" in service.plan(process.tool).remarks[0]
    # without that name there, an environment is made
    with pytest.raises(PreparationError):
        run(service, tmp_path, package("whatever=3", env="other"))


def test_python_in_an_environment_is_its_own(python_channel, envs, tmp_path):
    service = CondaRunnerService(
        {"channels": [python_channel.as_uri()], "environments_dir": str(envs)}
    )
    code = "import sys, json, ssl; print(sys.prefix); print('numpy' in sys.modules)"
    result, events, process = run(service, tmp_path, package("python"), ["python", "-c", code])
    assert events.lines("stderr") == []
    assert result == 0
    assert events.lines() == [process.context.provenance["environment"]["prefix"], "False"]


@pytest.mark.usefixtures("warm")
@pytest.mark.skipif(sys.platform != "linux", reason="programs start cold elsewhere")
def test_python_in_an_environment_starts_warm(python_channel, envs, tmp_path):
    config = {"channels": [python_channel.as_uri()], "environments_dir": str(envs)}
    name = tmp_path / "job" / "work" / "script.py"
    name.parent.mkdir(parents=True)
    name.write_text("import sys, json, decimal\nprint(sys.prefix, sys.flags, decimal.Decimal(1))")
    found = []
    for warm in (False, True, True):
        service = as_service(CondaRunnerService({**config, "warm": warm}))
        process, events = make_process(tmp_path / "job", package("python"))
        process.context.root = tmp_path / "job"
        process.context.mounts = [Mount(tmp_path / "job", read_only=False)]
        service.set_up(process)
        code = service.exec(process, ["python", "script.py"])
        found.append((code, events.lines("stdout"), events.lines("stderr")))
        servers = list(pool._pool._servers.values())
        assert wait_until(lambda servers=servers: not any(one.waited for one in servers))
    assert found[0] == found[1] == found[2]
    assert process.context.provenance["warm"] is True


def test_cancel_during_a_download(server, envs, tmp_path):
    server.chunk_pause = 0.2
    service = CondaRunnerService({"channels": [server.url], "environments_dir": str(envs)})
    process, events = make_process(tmp_path, package("large"))
    failed = cancel_when(
        service, process, lambda: any(p.unit and p.done for p in events.progress())
    )
    assert isinstance(failed, JobCancelledError)
    assert not any(info.complete for info in service.store.environments())
    server.chunk_pause = 0
    assert run(service, tmp_path, package("large"), ["true"])[0] == 0


@pytest.fixture
def stalled(channel, tmp_path):
    """A channel whose index never comes to an end."""
    mine = shutil.copytree(channel, tmp_path / "mine")
    for other in {*mine.glob("*/*repodata*")} - {*mine.glob("*/repodata.json")}:
        other.unlink()
    for path in mine.glob("*/repodata.json"):
        path.write_bytes(path.read_bytes() + b" " * 2**18)
    server = ChannelServer(mine)
    server.chunk_pause = 60
    yield server
    server.stop()


def test_cancel_while_the_index_is_read(stalled, envs, tmp_path):
    service = CondaRunnerService({"channels": [stalled.url], "environments_dir": str(envs)})
    process, _ = make_process(tmp_path, DEMO)
    failed = cancel_when(service, process, lambda: any(envs.glob(".repodata/.tmp*")))
    assert isinstance(failed, JobCancelledError)
    assert not any(envs.glob(".repodata/.tmp*"))


def test_a_preflight_that_nobody_waits_for_is_ended(stalled, envs, monkeypatch):
    monkeypatch.setattr(preflight, "pass_gate", lambda *_: None)
    monkeypatch.setattr(preflight, "obey_policy", lambda *_: None)
    runner = {"channels": [stalled.url], "environments_dir": str(envs)}
    cancel = CancelToken()
    config = SimpleNamespace(runner=runner)
    plan = functools.partial(preflight.plan_run, "CONDA", make_tool(DEMO), None, config, cancel)
    failed = ended_by(cancel, plan, lambda: any(envs.glob(".repodata/.tmp*")))
    assert isinstance(failed, JobCancelledError)


def test_cancel_in_the_init_line(conda, tmp_path):
    process, events = make_process(tmp_path, package("demo-tool", init="echo begun; sleep 600"))
    failed = cancel_when(conda, process, lambda: "begun" in events.lines())
    assert isinstance(failed, JobCancelledError)
    assert not any(info.complete for info in conda.store.environments())


def cancel_when(service, process, condition):
    set_up = functools.partial(as_service(service).set_up, process)
    return ended_by(process.context.cancel, set_up, condition)


def ended_by(cancel, act, condition):
    failed = []

    def work():
        try:
            act()
        except JobCancelledError as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert wait_until(condition)
    cancel.cancel()
    thread.join(30)
    assert not thread.is_alive()
    return failed[0] if failed else None


def test_the_same_environment_in_a_running_loop(conda, tmp_path):
    """A notebook has a running event loop in the thread that calls us."""
    import asyncio

    async def notebook():
        return run(conda, tmp_path, DEMO)[0]

    assert asyncio.run(notebook()) == 0


def test_through_the_factory_and_conda_docker(channel, envs, tmp_path):
    config = {"channels": [channel.as_uri()], "environments_dir": str(envs)}
    for name in ("CONDA", "CONDA_DOCKER"):
        service = runnerServices.get(name, service=name, **config)
        code, events, _ = run(service, tmp_path / name, DEMO)
        assert code == 0
        assert events.lines()[0] == "demo-tool 1.0"


def test_different_environments_at_once_share_the_cache(conda, tmp_path):
    outcomes = []

    def work(number):
        requirement = package(f"large demo-tool!=0.{number}")
        outcomes.append(run(conda, tmp_path / str(number), requirement)[0])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert outcomes == [0, 0, 0, 0]
    assert len(conda.store.environments()) == 4


def test_two_jobs_at_once_make_one_environment(conda, tmp_path):
    outcomes = []

    def work(number):
        outcomes.append(run(conda, tmp_path / str(number), package("large demo-tool"))[0])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert outcomes == [0, 0, 0, 0]
    (info,) = conda.store.environments()
    assert len(list(info.path.glob("p*"))) == 1
