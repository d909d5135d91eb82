from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_tool_runner.errors import ConfigError, PreparationError
from napari_tool_runner.plugins.conda.channels import origins, resolve_channels
from napari_tool_runner.plugins.conda.spec import (
    CondaSpec,
    conda_platform,
    environment_key,
    read_spec,
)
from napari_tool_runner.tools.model import ContainerRequirement, PackageRequirement
from plugins.runner_helpers import make_tool


def spec_of(text="", **options):
    return read_spec(make_tool(PackageRequirement(text=text, **options)))


@pytest.mark.parametrize(
    ("text", "specs", "channels"),
    [
        ("cellpose=2.2", ("cellpose=2.2",), ()),
        ("-c forge a=0.8.3 python=3.9", ("a=0.8.3", "python=3.9"), ("forge",)),
        ("python=3.9 -c mine tool -c forge", ("python=3.9", "tool"), ("mine", "forge")),
        ("--channel=mine --channel other a b", ("a", "b"), ("mine", "other")),
        ("-cmine a", ("a",), ("mine",)),
        ("-y -q a", ("a",), ()),
        ("conda create -y -c mine a", ("a",), ("mine",)),
        ("'python >=3.8,<4' \"numpy<2\"", ("python >=3.8,<4", "numpy<2"), ()),
        ("python >=3.8", ("python >=3.8",), ()),
        ("mine::a=1 b", ("mine::a=1", "b"), ()),
        ("a a b", ("a", "b"), ()),
        ('a "b', ("a", "b"), ()),
    ],
)  # fmt: skip
def test_the_tail_of_a_conda_create(text, specs, channels):
    found = spec_of(text)
    assert found.specs == specs
    assert found.channels == channels
    assert found.commands == ()


def test_a_stray_pip_install_becomes_a_command():
    found = spec_of("python=3.9 pip install 'stracking>=1' napari -c conda-forge")
    assert found.specs == ("python=3.9", "pip")
    assert found.channels == ("conda-forge",)
    assert found.commands == ("python -m pip install 'stracking>=1' napari",)
    assert "pip install" in found.notes[0]


@given(st.text(), st.text())
def test_any_text_is_read_or_refused_with_a_sentence(text, init):
    try:
        found = spec_of(text or "a", init=init)
    except PreparationError:
        return  # it names no package
    assert all(found.specs)
    assert environment_key(found, ["c"])


def test_pip_as_a_package_stays_a_package():
    assert spec_of("python pip numpy").specs == ("python", "pip", "numpy")


def test_the_init_line_is_a_command_and_brings_pip():
    found = spec_of("python=3.9", init="pip install x && python -m x.fetch")
    assert found.commands == ("pip install x && python -m x.fetch",)
    assert found.specs == ("python=3.9", "pip")


def test_what_init_installs_with_conda_is_solved_with_the_rest():
    found = spec_of("python=3.9", init="conda install -y -c mine numpy && conda install scipy")
    assert found.specs == ("python=3.9", "numpy", "scipy")
    assert found.channels == ("mine",)
    assert found.commands == ()


def test_a_second_line_in_the_package_text_is_run():
    found = spec_of("python=3.9 && echo done; pip install y")
    assert found.specs == ("python=3.9", "pip")
    assert found.commands == ("echo done", "python -m pip install y")


def test_options_that_mean_nothing_here_are_told():
    found = spec_of("-n myenv --no-deps a")
    assert found.specs == ("a",)
    assert len(found.notes) == 2


def test_galaxys_packages_become_one_environment():
    tool = make_tool(
        PackageRequirement(name="scikit-image", version="0.22.0"),
        PackageRequirement(name="numpy"),
        ContainerRequirement(image="x"),
    )
    found = read_spec(tool)
    assert found.specs == ("scikit-image=0.22.0", "numpy")
    assert resolve_channels(found, {}).sources == ("conda-forge", "bioconda")


def test_the_name_of_the_environment_may_be_missing():
    assert spec_of("a", env="shared").env == "shared"
    assert spec_of("a").env == "tool"


def test_no_packages():
    assert read_spec(make_tool(ContainerRequirement(image="x"))) is None
    with pytest.raises(PreparationError, match="names no package"):
        spec_of("-c conda-forge")


def test_the_key_depends_on_what_is_inside_and_on_nothing_else():
    spec = CondaSpec(("b", "a"), env="one")
    key = environment_key(spec, ["c"], "linux-64")
    assert key.startswith("b-")
    assert environment_key(CondaSpec(("b", "a"), env="two"), ["c"], "linux-64") == key
    others = [
        environment_key(CondaSpec(("b", "a=1")), ["c"], "linux-64"),
        environment_key(spec, ["c", "d"], "linux-64"),
        environment_key(spec, ["c"], "osx-64"),
        environment_key(CondaSpec(("b", "a"), commands=("x",)), ["c"], "linux-64"),
    ]
    assert len({key, *others}) == 5


def test_the_platform_is_rattlers():
    from rattler.platform import Subdir

    assert conda_platform() == str(Subdir.current())
    assert conda_platform("osx-64") == "osx-64"
    assert conda_platform("linux/amd64") == "linux-64"
    assert conda_platform("linux/arm64/v8") == "linux-aarch64"


CHANNELS = CondaSpec(("a",), channels=("mine", "conda-forge"))


def test_channels_of_the_tool_come_first():
    assert resolve_channels(CHANNELS, {}).sources == ("mine", "conda-forge", "bioconda")
    config = {"channels": ["file:///c", "/some folder/d"]}
    assert resolve_channels(CHANNELS, config).sources == (
        "mine", "conda-forge", "file:///c", "file:///some%20folder/d",
    )  # fmt: skip
    alone = CondaSpec(("a",), channels=("mine",), override_channels=True)
    assert resolve_channels(alone, config).sources == ("mine",)
    assert resolve_channels(CondaSpec(("a",), ("defaults",)), {}).sources[:2] == ("main", "r")


def test_mirrors_by_name_and_by_address():
    config = {"mirrors": {"mine": "file:///m", "https://host/x": ["https://other/x"]}}
    found = resolve_channels(CHANNELS, config)
    assert found.sources == ("file:///m", "conda-forge", "bioconda")
    assert found.mirrors == {"https://host/x": ("https://other/x",)}
    assert found.spec("mine::a >=1") == "file:///m::a >=1"
    assert found.spec("a >=1") == "a >=1"


def test_a_channel_inside_a_spec_is_searched():
    assert resolve_channels(CondaSpec(("mine::a",)), {}).sources[0] == "mine"


def test_the_users_condarc_counts(tmp_path, monkeypatch):
    condarc = tmp_path / "condarc"
    condarc.write_text(
        "channel_alias: https://user:secret@mirror.example/all\n"
        "custom_channels:\n  mine: https://own.example/conda\n"
    )
    monkeypatch.setenv("CONDARC", str(condarc))
    found = resolve_channels(CHANNELS, {})
    assert found.sources == ("https://own.example/conda/mine", "conda-forge", "bioconda")
    assert found.alias == "https://user:secret@mirror.example/all"
    assert found.identity[1] == "https://mirror.example/all/conda-forge"
    assert resolve_channels(CHANNELS, {"channel_alias": "https://b.example"}).alias == (
        "https://b.example"
    )
    condarc.write_text("channel_alias: a\nd: 2024-99-99\n")
    assert resolve_channels(CHANNELS, {}).alias == "a"
    for broken in (b"{broken: [", b"channel_alias: \xe4", b"channel_alias: [!!bool x]"):
        condarc.write_bytes(broken)
        assert resolve_channels(CHANNELS, {}).alias == ""


@pytest.mark.parametrize("config", [{"mirrors": "x"}, {"channels": 3}, {"channel_alias": ["x"]}])
def test_a_wrong_configuration_is_told(config):
    with pytest.raises(ConfigError, match=next(iter(config))):
        resolve_channels(CHANNELS, config)


def test_what_is_too_long_for_a_package_is_taken_for_an_address():
    long = "a" * 1001  # no pattern reads it: they take time with the square of its length
    assert long in origins(CondaSpec((long,)), {})
    assert "a" * 1000 not in origins(CondaSpec(("a" * 1000,)), {})


def test_reading_a_spec_needs_no_rattler():
    import subprocess

    code = (
        "import sys, napari_tool_runner.plugins.runner_conda as r; r.CondaRunnerService();"
        "print('rattler' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
