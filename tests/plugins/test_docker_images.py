"""Images: pulled with progress from a real registry, also from one that breaks."""

from __future__ import annotations

import base64
import io
import json
import os
import threading
from typing import TYPE_CHECKING

import docker.errors
import pytest
from docker_engine import BUSYBOX, Engine, Registry, Tree, import_image, make_job, run_job
from faulty_registry import LOGIN, FaultyRegistry
from hypothesis import given
from hypothesis import strategies as st

from napari_tool_runner.errors import JobCancelledError, PreparationError, RunnerError
from napari_tool_runner.plugins.docker.images import parse_reference

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_tool_runner.plugins.runner_docker import DockerRunnerService


# -- names (no engine) -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "registry", "path", "version"),
    [
        ("busybox", "docker.io", "library/busybox", "latest"),
        ("lab/tool:1.2", "docker.io", "lab/tool", "1.2"),
        ("docker://lab/tool", "docker.io", "lab/tool", "latest"),
        ("localhost:5000/a/b:c", "localhost:5000", "a/b", "c"),
        ("example.org/a/b@sha256:" + "0" * 64, "example.org", "a/b", "sha256:" + "0" * 64),
        ("example.org:1/a:t@sha256:" + "0" * 64, "example.org:1", "a", "sha256:" + "0" * 64),
    ],
)
def test_names_are_read(text: str, registry: str, path: str, version: str) -> None:
    found = parse_reference(text)
    assert (found.registry, found.path, found.version) == (registry, path, version)


@pytest.mark.parametrize(
    "text", ["", "  ", "a b", "Upper/case", "x@md5:1", "x:", "/", "a/", "a" * 256]
)
def test_what_is_no_name_is_told(text: str) -> None:
    with pytest.raises(PreparationError, match="no name of a container image"):
        parse_reference(text)


@pytest.mark.parametrize("number", ["a" * 64, "a" * 12])
def test_the_number_of_an_image_is_no_name(number: str) -> None:
    """An engine takes it for whatever image it has, and a policy for one of docker.io."""
    for text in (f"sha256:{number}", f"docker://sha256:{number}", f"sha512:{number}"):
        with pytest.raises(PreparationError, match="no name of a container image"):
            parse_reference(text)


@given(st.text(max_size=40))
def test_any_text_is_a_name_or_an_error(text: str) -> None:
    try:
        found = parse_reference(text)
    except PreparationError:
        return
    assert parse_reference(str(found)) == found


# -- pulls ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pushed(docker_engine: Engine, docker_registry: Registry) -> str:
    """Name, in the registry, of an image of two layers of 3 MB that cannot be packed."""
    client = docker_engine.client
    tree = Tree().file("Dockerfile", f"FROM {BUSYBOX}\nCOPY a /a\nCOPY b /b\n".encode())
    tree.file("a", os.urandom(3_000_000)).file("b", os.urandom(3_000_000))
    client.images.build(
        fileobj=io.BytesIO(tree.tar()), custom_context=True, tag="test/big:1", network_mode="none"
    )
    name = docker_registry.push(client, "test/big:1", "big")
    client.images.remove("test/big:1")
    return name


@pytest.fixture
def faulty(docker_registry: Registry) -> Iterator[FaultyRegistry]:
    proxy = FaultyRegistry(docker_registry.address)
    yield proxy
    proxy.close()


@pytest.fixture(autouse=True)
def forget_pulled(request: pytest.FixtureRequest) -> Iterator[None]:
    """Images are pulled anew in each test."""
    yield
    if "docker_engine" in request.fixturenames:
        client = request.getfixturevalue("docker_engine").client
        for image in client.images.list():
            if any(tag.startswith("localhost:") for tag in [*image.tags, *_repositories(image)]):
                client.images.remove(image.id, force=True)


def _repositories(image: object) -> list[str]:
    return list(image.attrs.get("RepoDigests") or [])  # type: ignore[attr-defined]


@pytest.mark.docker
def test_a_missing_image_is_pulled_with_progress_in_bytes(
    docker_service: DockerRunnerService, pushed: str, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "ws", pushed)
    assert run_job(docker_service, job, "true") == 0
    assert job.told[0] == f"Pulling image {pushed}"
    assert {event.unit for event in job.progress} == {"bytes"}
    totals = {event.total for event in job.progress if event.total}
    # none is told before it is that of all layers
    assert len(totals) == 1
    assert totals.pop() > 6_000_000
    done = [event.done for event in job.progress]
    assert done == sorted(done)
    assert job.progress[-1].done == job.progress[-1].total
    digest = str(job.context.provenance["image_digest"])
    assert digest.startswith("sha256:")

    again = make_job(tmp_path / "ws", pushed)
    assert run_job(docker_service, again, "true") == 0
    assert again.progress == []


@pytest.mark.docker
def test_an_image_is_pulled_by_digest(
    docker_service: DockerRunnerService, docker_engine: Engine, pushed: str, tmp_path: Path
) -> None:
    first = make_job(tmp_path / "ws", pushed)
    run_job(docker_service, first, "true")
    docker_service.close()
    docker_engine.client.images.remove(pushed, force=True)
    digest = first.context.provenance["image_digest"]
    name = f"{pushed.rpartition(':')[0]}@{digest}"
    job = make_job(tmp_path / "ws", name)
    assert run_job(docker_service, job, "true") == 0
    assert job.context.provenance["image"] == name
    assert job.context.provenance["image_digest"] == digest
    assert job.context.provenance["image_id"] == first.context.provenance["image_id"]


@pytest.mark.docker
def test_plan_tells_size_before_and_presence_after(
    docker_service: DockerRunnerService, pushed: str, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "ws", pushed)
    before = docker_service.plan(job.process.tool)
    assert not before.ready
    assert before.problems == ()
    (fetch,) = before.fetches
    assert pushed in fetch.what
    assert fetch.size is not None
    assert 6_000_000 < fetch.size < 8_000_000
    assert any("free for images" in remark for remark in before.remarks)
    run_job(docker_service, job, "true")
    after = docker_service.plan(job.process.tool)
    assert after.ready
    assert "is here" in after.remarks[0]


@pytest.mark.docker
def test_an_image_that_the_registry_lacks(
    docker_service: DockerRunnerService, docker_registry: Registry, tmp_path: Path
) -> None:
    name = f"{docker_registry.address}/nothing:7"
    job = make_job(tmp_path / "ws", name)
    with pytest.raises(PreparationError, match=f"has no image {name}"):
        docker_service.set_up(job.process)
    plan = docker_service.plan(job.process.tool)
    assert f"has no {name}" in plan.problems[0]


@pytest.mark.docker
def test_a_registry_that_is_gone(
    docker_service: DockerRunnerService, faulty: FaultyRegistry, tmp_path: Path
) -> None:
    faulty.close()
    job = make_job(tmp_path / "ws", f"{faulty.address}/big:1")
    with pytest.raises(PreparationError, match="takes no connections"):
        docker_service.set_up(job.process)
    plan = docker_service.plan(job.process.tool)
    assert plan.problems == ()
    assert plan.fetches[0].size is None
    assert "size of the image is unknown" in plan.remarks[0]


@pytest.mark.docker
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("cut", "broke off in the middle"),
        ("damage", "arrived damaged"),
        ("error", "answered with an error"),
        ("login", "only to those it knows"),
    ],
)
def test_a_pull_that_breaks_is_told_and_can_be_repeated(
    docker_service: DockerRunnerService,
    faulty: FaultyRegistry,
    pushed: str,
    tmp_path: Path,
    fault: str,
    words: str,
) -> None:
    faulty.fault = fault  # type: ignore[assignment]
    name = f"{faulty.address}/{pushed.partition('/')[2]}"
    with pytest.raises(PreparationError, match=words) as raised:
        docker_service.set_up(make_job(tmp_path / "ws", name).process)
    assert raised.value.hint
    faulty.fault = "none"
    assert run_job(docker_service, make_job(tmp_path / "ws", name), "true") == 0


@pytest.mark.docker
@pytest.mark.parametrize("fault", ["slow", "hang"])
def test_cancel_during_a_pull_ends_it(
    docker_service: DockerRunnerService,
    docker_engine: Engine,
    faulty: FaultyRegistry,
    pushed: str,
    tmp_path: Path,
    fault: str,
) -> None:
    faulty.fault = fault  # type: ignore[assignment]
    name = f"{faulty.address}/{pushed.partition('/')[2]}"
    job = make_job(tmp_path / "ws", name)
    waiter = threading.Thread(
        target=lambda: faulty.half_sent.wait(30) and job.context.cancel.cancel()
    )
    waiter.start()
    with pytest.raises(JobCancelledError, match="was pulled"):
        docker_service.set_up(job.process)
    waiter.join()
    with pytest.raises(docker.errors.ImageNotFound):
        docker_engine.client.images.get(name)


@pytest.mark.docker
def test_credentials_of_the_docker_configuration_are_used(
    docker_service: DockerRunnerService,
    faulty: FaultyRegistry,
    pushed: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faulty.fault = "login"
    word = base64.b64encode(":".join(LOGIN).encode()).decode()
    config = tmp_path / "docker"
    config.mkdir()
    (config / "config.json").write_text(json.dumps({"auths": {faulty.address: {"auth": word}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(config))
    name = f"{faulty.address}/{pushed.partition('/')[2]}"
    job = make_job(tmp_path / "ws", name)
    assert docker_service.plan(job.process.tool).fetches[0].size
    assert run_job(docker_service, job, "true") == 0


@pytest.mark.docker
def test_a_credential_helper_that_fails_is_told(
    docker_service: DockerRunnerService,
    faulty: FaultyRegistry,
    pushed: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = tmp_path / "docker"
    config.mkdir()
    (config / "config.json").write_text(json.dumps({"credsStore": "not-installed"}))
    monkeypatch.setenv("DOCKER_CONFIG", str(config))
    name = f"{faulty.address}/{pushed.partition('/')[2]}"
    job = make_job(tmp_path / "ws", name)
    assert run_job(docker_service, job, "true") == 0
    assert any("docker-credential-not-installed" in line for line in job.told)
    docker_service.close()
    faulty.fault = "login"
    private = make_job(tmp_path / "ws", name.replace("/big", "/big2"))
    with pytest.raises(PreparationError, match="docker-credential-not-installed"):
        docker_service.set_up(private.process)


@pytest.mark.docker
def test_an_image_for_another_processor(
    docker_service: DockerRunnerService,
    docker_engine: Engine,
    docker_registry: Registry,
    tmp_path: Path,
) -> None:
    client = docker_engine.client
    # an ELF header of a processor that this computer is not
    machine = {"x86_64": 183}.get(os.uname().machine, 62)
    elf = (
        b"\x7fELF\x02\x01\x01" + b"\0" * 9 + b"\x02\0" + bytes([machine, 0]) + b"\x01" + b"\0" * 99
    )
    tree = Tree().file("bin/sh", elf, 0o755).file("bin/sleep", elf, 0o755)
    import_image(client, tree, "test/foreign:1", ["ENV PATH=/bin"])
    job = make_job(tmp_path / "ws", "test/foreign:1")
    with pytest.raises(PreparationError, match="another kind of processor"):
        docker_service.set_up(job.process)
    docker_service.tear_down(job.process)


@pytest.mark.docker
def test_two_jobs_pull_the_same_image_once(
    docker_service: DockerRunnerService, faulty: FaultyRegistry, pushed: str, tmp_path: Path
) -> None:
    name = f"{faulty.address}/{pushed.partition('/')[2]}"
    jobs = [make_job(tmp_path / "ws", name) for _ in range(2)]
    codes: list[int] = []
    threads = [
        threading.Thread(target=lambda j=job: codes.append(run_job(docker_service, j, "true")))
        for job in jobs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0, 0]
    assert sum(bool(job.progress) for job in jobs) == 1


@pytest.mark.docker
def test_what_was_pulled_can_be_given_back(
    docker_service: DockerRunnerService, docker_engine: Engine, pushed: str, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "ws", pushed)
    docker_service.set_up(job.process)
    # a container in use is not offered; images that others pulled never are
    assert [entry.kind for entry in docker_service.stored()] == ["image"]
    (image,) = docker_service.stored()
    assert image.name == pushed
    assert image.size > 6_000_000
    with pytest.raises(RunnerError, match="is in use"):
        image.remove()
    docker_service.tear_down(job.process)
    found = docker_service.stored()
    assert [entry.kind for entry in found] == ["container", "image"]
    for entry in found:
        entry.remove()
    assert docker_service.stored() == []
    with pytest.raises(docker.errors.ImageNotFound):
        docker_engine.client.images.get(pushed)


@pytest.mark.docker
def test_a_read_only_home_keeps_nobody_from_pulling(
    docker_service: DockerRunnerService, pushed: str, tmp_path: Path, user_dirs: Path
) -> None:
    # a file where the folder should be: even root cannot write there
    (user_dirs / "data_home").write_text("")
    job = make_job(tmp_path / "ws", pushed)
    assert run_job(docker_service, job, "true") == 0
    assert any("could not be noted" in line for line in job.told)
    assert [entry.kind for entry in docker_service.stored()] == ["container"]
