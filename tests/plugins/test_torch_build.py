"""Which build of PyTorch an environment gets; the builds are tiny, no card was tried."""

from __future__ import annotations

import pytest

from napari_tool_runner.errors import PreparationError
from napari_tool_runner.plugins.programs.graphics import Graphics
from napari_tool_runner.plugins.runner_uv import UvRunnerService, UvRunnerServiceBuilder
from napari_tool_runner.plugins.uv import torch
from napari_tool_runner.plugins.uv.spec import wanted_environment
from napari_tool_runner.plugins.uv.torch import torch_build
from napari_tool_runner.tools.model import PythonRequirement
from plugins.pypi_index import Index, wheel
from plugins.runner_helpers import make_process, make_tool
from plugins.test_runner_uv import envs, index  # noqa: F401 (fixtures)

AUTO = PythonRequirement(requirements=("seg",), torch="auto")
SHOW = "import torch; print(torch.VERSION)"
H100 = Graphics("nvidia", "NVIDIA H100", "580.65.06")
OLD = Graphics("nvidia", "NVIDIA T4", "525.60.13")
VERY_OLD = Graphics("nvidia", "NVIDIA GTX", "390.1")


@pytest.fixture
def pypi(index):  # noqa: F811
    """An index as PyPI: its torch brings packages for NVIDIA cards."""
    index.add("seg", wheel("seg", "1.0", needs=["torch>=2"]))
    index.add("torch", wheel("torch", "2.3", needs=["nvidia-cublas"]))
    index.add("nvidia-cublas", wheel("nvidia-cublas", "13.0", size=3_000_000))
    return index


@pytest.fixture
def own():
    served = Index()
    served.add("torch", wheel("torch", "2.2+cpu", needs=["helper"]))
    served.add("helper", wheel("helper", "0.1"))  # which is not taken from here
    yield served
    served.stop()


@pytest.fixture
def card(monkeypatch):
    def put(found):
        monkeypatch.setattr(torch, "graphics", lambda: found)

    monkeypatch.setattr(torch.sys, "platform", "linux")
    put(Graphics())
    return put


def run(service, folder, requirement=AUTO):
    process, events = make_process(folder, requirement)
    with service.session(process) as session:
        assert session.exec(["python", "-c", SHOW]) == 0
    return events, process.context.provenance["environment"]


def test_torch_comes_from_its_own_index_and_all_else_from_the_usual(
    pypi, own, envs, card, tmp_path  # noqa: F811
):  # fmt: skip
    uv = UvRunnerService({"environments_dir": str(envs), "torch_index": own.url})
    plan = uv.plan(make_tool(AUTO))
    assert not plan.problems
    assert plan.remarks[0] == f"PyTorch is taken from {own.url}, as the settings say."
    assert [one.place for one in uv.place(make_tool(AUTO)).origins] == [pypi.url, own.url]
    events, found = run(uv, tmp_path)
    assert events.lines() == ["2.2+cpu"]
    versions = {one["name"]: one["version"] for one in found["packages"]}
    assert versions == {"seg": "1.0", "torch": "2.2+cpu", "helper": "1.5"}
    assert not any("NVIDIA" in line for line in events.lines("runner"))


def test_a_folder_of_wheels_is_an_index_of_torch(pypi, envs, card, tmp_path):  # noqa: F811
    folder = tmp_path / "wheels"
    folder.mkdir()
    one = wheel("torch", "2.1+cpu")
    (folder / one.name).write_bytes(one.content)
    uv = UvRunnerService({"environments_dir": str(envs), "torch_index": str(folder)})
    assert run(uv, tmp_path)[0].lines() == ["2.1+cpu"]


def test_an_index_that_the_settings_name_is_the_only_one(pypi, own, envs, card, tmp_path):  # noqa: F811
    own.stop()
    uv = UvRunnerService({"environments_dir": str(envs), "torch_index": own.url})
    with pytest.raises(PreparationError, match="takes no connections"):
        run(uv, tmp_path)


def test_where_the_own_index_cannot_be_reached_the_usual_does_and_that_is_told(
    pypi, envs, card, tmp_path, monkeypatch  # noqa: F811
):  # fmt: skip
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    uv = UvRunnerServiceBuilder()(environments_dir=str(envs))
    plan = uv.plan(make_tool(AUTO))
    assert plan.remarks[0].startswith("PyTorch for NVIDIA cards is what the index has, and larger")
    assert plan.fetches[0].size > 3_000
    events, _ = run(uv, tmp_path)
    assert events.lines() == ["2.3"]
    said = " ".join(events.lines("runner"))
    assert "no such card was found, so it runs on the processor" in said
    assert "processor" in uv.plan(make_tool(AUTO)).remarks[-1]
    events, _ = run(uv, tmp_path)  # the environment is there
    assert "runs on the processor" in " ".join(events.lines("runner"))
    card(H100)
    assert not torch.cuda_remark(["nvidia-cublas"])


def test_a_tool_that_says_nothing_gets_what_the_index_has(pypi, envs, card, tmp_path):  # noqa: F811
    uv = UvRunnerServiceBuilder()(environments_dir=str(envs))
    plain = PythonRequirement(requirements=("seg",))
    assert run(uv, tmp_path, plain)[0].lines() == ["2.3"]
    assert [one.place for one in uv.place(make_tool(plain)).origins] == [pypi.url]


@pytest.mark.parametrize(
    ("found", "name", "options"),
    [
        (Graphics(), "cpu", "cpu"),
        (H100, "cuda13", "auto"),
        (OLD, "cuda12", "auto"),
        (VERY_OLD, "cpu", "cpu"),
        (Graphics("amd"), "cpu", "cpu"),
    ],
)
def test_the_build_fits_the_card(card, found, name, options):
    card(found)
    build = torch_build("auto", {})
    assert (build.name, build.options) == (name, ("--torch-backend", options))
    assert build.variables == (
        {"UV_CUDA_DRIVER_VERSION": found.driver} if options == "auto" else {}
    )
    assert torch_build("cpu", {}).name == "cpu"
    assert torch_build("", {}).name == ""


def test_other_systems_have_it_in_the_usual_index(card, monkeypatch):
    monkeypatch.setattr(torch.sys, "platform", "darwin")
    assert torch_build("auto", {}).name == ""
    monkeypatch.setattr(torch.sys, "platform", "win32")
    assert torch_build("auto", {}).name == ""
    card(H100)
    assert torch_build("auto", {}).name == "cuda13"


def test_uvs_own_setting_counts(card, monkeypatch):
    monkeypatch.setenv("UV_TORCH_BACKEND", "cu126")
    assert torch_build("auto", {}).options == ("--torch-backend", "cu126")
    monkeypatch.setenv("UV_TORCH_BACKEND", "--evil")
    assert torch_build("auto", {}).name == "cpu"


def test_the_key_of_an_environment_holds_the_choice(pypi, card, envs):  # noqa: F811
    store = UvRunnerServiceBuilder()(environments_dir=str(envs)).store

    def key(requirement=AUTO, **config):
        return wanted_environment(make_tool(requirement), config, store).key

    first = key()
    card(H100)
    assert len({first, key(), key(torch_index="https://mirror.example/whl")}) == 3
    card(OLD)
    twelve = key()
    card(Graphics("nvidia", "NVIDIA T4", "570.1"))  # a newer driver runs what is there
    assert key() == twelve
    plain = PythonRequirement(requirements=("seg",))
    assert key(plain) not in (first, twelve)


def test_no_login_of_the_index_is_told(card):
    build = torch_build("auto", {"torch_index": "https://me:secret@mirror.example/whl"})
    assert "secret" not in f"{build} {build.text}"


def test_what_the_named_index_lacks_is_told_of_it(pypi, own, card, envs, tmp_path):  # noqa: F811
    pypi.add("torchvision", wheel("torchvision", "1.0"))
    service = UvRunnerServiceBuilder()(environments_dir=str(envs), torch_index=own.url)
    wanted = PythonRequirement(requirements=("seg", "torchvision"), torch="auto")
    with pytest.raises(PreparationError) as caught:
        run(service, tmp_path, wanted)
    assert f"{own.url} has no torchvision that fits here" in str(caught.value)
    assert "'torch_index'" in str(caught.value)
