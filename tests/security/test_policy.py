"""What a facility's policy allows, people cannot widen; a refusal names the policy's file."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import pytest

import napari_tool_runner as ntr
from napari_tool_runner import config as config_module
from napari_tool_runner.config import Config, load_config
from napari_tool_runner.errors import ConfigError, PreparationError, ToolFailedError, TrustError
from napari_tool_runner.jobs import Question, dry_run
from napari_tool_runner.plugins import obey_policy, runnerServices
from napari_tool_runner.plugins.conda import channels
from napari_tool_runner.plugins.contract import Origin, RunnerService
from napari_tool_runner.plugins.policy import _covers
from napari_tool_runner.tools import load_toolbox, read_tool
from napari_tool_runner.tools.toolbox.gate import admit
from napari_tool_runner.tools.toolbox.trust import TrustState, approve, review, trust_state
from security.test_gate import alter, box, said, say

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["box"]


@pytest.fixture
def policy(user_dirs: Path) -> Callable[..., Path]:
    """Return a function that writes the administrator's file with a policy."""

    def write(**rules: object) -> Path:
        path = user_dirs / "site" / "napari-tool-runner" / "config.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"policy": rules}))
        return path

    return write


def require(box: Path, text: str) -> None:
    """Let the tool of `box` require something."""
    descriptor = box / "say" / "say.xml"
    found = descriptor.read_text()
    needs = f"<requirements>{text}</requirements><command>"
    descriptor.write_text(found.replace("<command>", needs))


@pytest.mark.parametrize("allowed", [[], [""], [" "], ["/elsewhere"], ["sha256:" + "0" * 64]])
def test_only_the_toolboxes_that_it_names_run(box: Path, policy, allowed: list[str]) -> None:
    path = policy(toolboxes=allowed)
    approve(box)
    assert trust_state(say()).state is TrustState.FORBIDDEN
    named = read_tool(box / "say" / "say.xml")
    for tool in (say(), named):
        for config in (None, {"policy": {"toolboxes": [str(box)]}}):
            with pytest.raises(TrustError, match=r"your facility allows.*") as refused:
                ntr.run(tool, config=config)
            assert str(path) in str(refused.value)
    assert trust_state(load_toolbox()["gaussian_filter"]).ok, "what ships runs"


def test_what_it_allows_by_its_folder_runs_without_a_question(box: Path, policy) -> None:
    policy(toolboxes=[str(box)])
    assert said(ntr.run(say())) == "approved"
    assert said(ntr.run(read_tool(box / "say" / "say.xml"))) == "approved"


def test_what_it_allows_by_its_content_runs_from_a_copy(box: Path, policy) -> None:
    policy(toolboxes=[review(box).digest])
    tool, permit = admit(say())
    assert permit.scope is TrustState.CONFIGURED
    assert tool.copy
    assert said(ntr.run(say())) == "approved"
    alter(box)
    with pytest.raises(TrustError, match="your facility allows"):
        ntr.run(say())


@pytest.mark.parametrize(
    ("rules", "needs", "runner", "words"),
    [
        ({"services": ["DOCKER"]}, "", "LOCAL", "does not allow the runner LOCAL"),
        ({"services": ["CONDA"]}, "", "CONDA", "does not allow the runner LOCAL"),
        ({"services": ["CONDA_DOCKER"]}, "", "CONDA_DOCKER", "does not allow the runner LOCAL"),
        ({"local_for_others": False}, "", "LOCAL", "tools of others to run with LOCAL"),
        ({"local_for_others": False}, "", "CONDA", "tools of others to run with LOCAL"),
        (
            {"registries": ["quay.io/biocontainers"]},
            '<container type="docker">quay.io/biocontainers-evil/x:1</container>',
            "DOCKER",
            "the registry quay.io/biocontainers-evil/x",
        ),
        (
            {"channels": ["conda-forge", "bioconda"]},
            '<package type="conda" env="e">-c evil numpy</package>',
            "CONDA",
            "the channel evil",
        ),
        (
            {"channels": ["conda-forge"]},
            '<package type="conda" env="e">-c conda-forge evil::numpy</package>',
            "CONDA",
            "the channel evil",
        ),
        (
            {"indexes": []},
            '<package type="conda" env="e" init="pip install evil">numpy</package>',
            "CONDA",
            "a line that may fetch from anywhere: pip install evil",
        ),
    ],
)
def test_what_a_tool_needs_is_held_against_it(
    box: Path, policy, rules: dict[str, object], needs: str, runner: str, words: str
) -> None:
    path = policy(**rules)
    require(box, needs)
    approve(box)
    for call in (ntr.run, dry_run):
        with pytest.raises((ToolFailedError, TrustError), match="was not run") as refused:
            call(say(), runner=runner, values={}) if call is ntr.run else call(
                say(), {}, runner=runner
            )
        assert words in str(refused.value)
        assert str(path) in str(refused.value)


@pytest.mark.parametrize("wall", ["variable", "personal", "call"])
def test_people_cannot_override_it(
    box: Path, policy, wall: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy(toolboxes=[])
    mine = tmp_path / "mine.json"
    mine.write_text(
        json.dumps({"policy": {"toolboxes": [str(box)]}, "process": {"xml_dirs": [str(box)]}})
    )
    given = None
    if wall == "variable":
        monkeypatch.setenv("NAPARI_TOOL_RUNNER_FACILITY", str(mine))
    elif wall == "personal":
        monkeypatch.setenv("NAPARI_TOOL_RUNNER_CONFIG", str(mine))
    else:
        given = mine
    with pytest.raises(TrustError, match="your facility allows"):
        ntr.run("say", config=given)
    if wall != "variable":
        vain = [note for note in load_config(given).notes if "policy" in note]
        assert vain == [
            f"“policy.toolboxes” in {mine} is not used: only a facility’s file has a policy."
        ]


@pytest.mark.parametrize("how", ["dangling", "in a dangling", "folder", "pipe", "in a file"])
def test_what_is_no_file_of_a_policy_is_not_none(box: Path, policy, how: str) -> None:
    path = policy(toolboxes=[])
    path.unlink()
    if how == "dangling":
        path.symlink_to("gone")
    elif how == "folder":
        path.mkdir()
    elif how == "pipe":
        os.mkfifo(path)
    else:
        path.parent.rmdir()
        path.parent.symlink_to("gone") if how == "in a dangling" else path.parent.touch()
    with pytest.raises(ConfigError, match=re.escape(str(path))):
        load_config()
    with pytest.raises(ConfigError, match=re.escape(str(path))):
        ntr.run(box / "say" / "say.xml")


@pytest.mark.parametrize("rules", [{"toolboxs": []}, {"services": None, "Channels": []}])
def test_a_slip_in_a_policy_does_not_allow_everything(box: Path, policy, rules: dict) -> None:
    path = policy(**rules)
    approve(box)
    with pytest.raises(ToolFailedError, match=f"is not known .*{re.escape(str(path))}"):
        ntr.run(say())


@pytest.mark.parametrize(
    "text",
    [
        r'{"policy": {"toolboxes": ["\ud800"]}}',
        r'{"policy": {"\udfff": [], "toolboxes": []}}',
        r'{"policy": {"toolboxes": ["/x\u0000y"]}}',
        '{"policy": {"toolboxes": []}, "policy": {}}',
        '{"policy": {"toolboxes": [], "toolboxes": ["/"]}}',
        '{"Policy": {"toolboxes": []}}',
        '{"polcy": {"toolboxes": []}}',
        '{"policy.toolboxes": []}',
    ],
)
def test_a_policy_that_cannot_be_meant_is_told_and_nothing_runs(
    box: Path, policy, text: str
) -> None:
    path = policy()
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(str(path))):
        ntr.run(box / "say" / "say.xml")


def test_a_home_of_nobody_allows_nothing(box: Path, policy) -> None:
    policy(toolboxes=["~nobody-of-this-name/.."])
    with pytest.raises(TrustError, match="your facility allows"):
        ntr.run(box / "say" / "say.xml")


def test_a_folder_without_a_file_is_no_policy(box: Path, policy) -> None:
    policy().unlink()
    assert load_config().policies == ()


@pytest.mark.parametrize("named", ["call", "facility"])
def test_a_configuration_that_is_made_in_a_script_lies_above_it(
    box: Path, policy, named: str
) -> None:
    made = Config({"workspace": str(box.parent / "jobs")}, name=named)
    assert load_config(made) is made or named == "facility", "nothing is below"
    path = policy(toolboxes=[])
    with pytest.raises(TrustError, match=re.escape(str(path))):
        ntr.run(box / "say" / "say.xml", config=made)
    config = load_config(made)
    assert load_config(config) is config
    policy(toolboxes=[str(box)])
    assert load_config(config).policies == load_config().policies, "as it is now"


@pytest.mark.parametrize("wall", ["variable", "personal", "call", "mapping"])
def test_who_names_a_toolbox_does_not_make_it_the_facilitys(
    box: Path, policy, wall: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = policy(local_for_others=False)
    boxes = {"process": {"xml_dirs": [str(box)]}}
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps({**boxes, "policy": {"toolboxes": [str(box)]}}))
    given: object = None
    if wall in ("variable", "personal"):
        name = {"variable": "FACILITY", "personal": "CONFIG"}[wall]
        monkeypatch.setenv(f"NAPARI_TOOL_RUNNER_{name}", str(mine))
    else:
        given = mine if wall == "call" else boxes
    with pytest.raises((ToolFailedError, TrustError), match="tools of others to run with LOCAL"):
        ntr.run("say", config=given)  # type: ignore[arg-type]
    path.write_text(json.dumps({**boxes, "policy": {"local_for_others": False}}))
    assert said(ntr.run("say", config=given)) == "approved", "the facility's own"


@pytest.mark.parametrize("how", ["folder", "content"])
def test_what_its_policy_names_is_the_facilitys_own(box: Path, policy, how: str) -> None:
    named = str(box) if how == "folder" else review(box).digest
    policy(local_for_others=False, toolboxes=[named])
    assert said(ntr.run(say())) == "approved"


@pytest.mark.parametrize("first", ["forbids", "allows"])
def test_each_file_of_the_facility_forbids_by_itself(
    box: Path, user_dirs: Path, policy, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one file forbids, another does not lift, whichever lies above."""
    paths = [policy(toolboxes=[]), user_dirs / "other.json"]
    paths[1].write_text(json.dumps({"policy": {"toolboxes": [str(box)]}}))
    order = paths if first == "forbids" else paths[::-1]
    monkeypatch.setattr(config_module, "_facility_paths", lambda: order)
    assert trust_state(say()).state is TrustState.FORBIDDEN
    assert trust_state(say()).policy == str(paths[0])
    with pytest.raises(TrustError, match="your facility allows"):
        ntr.run(say())


@pytest.mark.parametrize("by", ["folder", "content"])
def test_a_policy_that_anybody_may_write_forbids_and_does_not_consent(
    box: Path, policy, by: str
) -> None:
    policy(toolboxes=[str(box) if by == "folder" else review(box).digest]).chmod(0o666)
    assert trust_state(say()).state is TrustState.UNKNOWN
    with pytest.raises(TrustError):
        ntr.run(say())
    approve(box)
    assert trust_state(say()).state is TrustState.APPROVED
    policy(toolboxes=[])
    assert trust_state(say()).state is TrustState.FORBIDDEN


def test_a_folder_in_a_policy_begins_where_its_file_lies(
    box: Path, policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = policy(toolboxes=["box"])
    monkeypatch.chdir(box.parent)  # where a folder of that name lies, by chance
    assert trust_state(say()).state is TrustState.FORBIDDEN
    policy(toolboxes=[os.path.relpath(box, path.parent)])
    assert trust_state(say()).state is TrustState.CONFIGURED


@pytest.fixture
def beside(box: Path) -> Path:
    """A stranger's script beside a link to the descriptor of `box`, in another folder."""
    evil = box.parent / "evil"
    evil.mkdir()
    (evil / "say.xml").symlink_to(box / "say" / "say.xml")
    (evil / "say.py").write_text("raise SystemExit('STRANGER')")
    return evil / "say.xml"


def test_a_link_to_what_a_policy_allows_is_not_that(box: Path, beside: Path, policy) -> None:
    policy(toolboxes=[str(box)])
    assert trust_state(read_tool(box / "say" / "say.xml")).ok
    with pytest.raises(TrustError, match="your facility allows the toolboxes that it names"):
        ntr.run(beside)


def test_who_holds_an_allowed_folder_is_not_allowed(box: Path, beside: Path, policy) -> None:
    policy(toolboxes=[str(box)])
    config_module.config_path().write_text(
        json.dumps({"process": {"xml_dirs": [str(box.parent)]}})
    )
    toolbox = load_toolbox()
    found = {str(e.path): trust_state(toolbox[e.key]).state for e in toolbox.entries}
    assert found[str(box / "say" / "say.xml")] is TrustState.CONFIGURED
    assert found[str(beside)] is TrustState.FORBIDDEN


def test_a_link_out_of_an_allowed_folder_is_not_of_it(box: Path, policy) -> None:
    evil = box.parent / "evil.xml"
    (box / "say" / "say.xml").rename(evil)
    (box / "say" / "say.xml").symlink_to(evil)
    policy(toolboxes=[str(box)])
    assert trust_state(read_tool(box / "say" / "say.xml")).state is TrustState.FORBIDDEN


def test_a_link_of_an_allowed_folder_is_that_folder(box: Path, policy) -> None:
    other = box.parent / "other"
    other.symlink_to(box)
    policy(toolboxes=[str(other)])
    tool = read_tool(other / "say" / "say.xml")
    assert trust_state(tool).ok
    assert tool.folder == box / "say", "it runs from where it was judged to lie"
    other.unlink()
    (box.parent / "evil").mkdir()
    other.symlink_to(box.parent / "evil")
    assert tool.folder == box / "say"


def test_what_was_approved_is_not_widened_by_a_policy(box: Path, policy) -> None:
    policy(toolboxes=[str(box)])
    approve(box)
    assert trust_state(say()).state is TrustState.APPROVED  # so it runs from its copy


def test_a_line_of_setup_is_asked_about_where_origins_are_named(box: Path, policy) -> None:
    require(box, '<package type="conda" env="e" init="pip install x">numpy</package>')
    approve(box)
    policy(services=["CONDA"])
    obeyed(box, "CONDA")
    for rules in ({"channels": ["conda-forge"]}, {"indexes": ["https://pypi.org/simple"]}):
        policy(**rules)
        with pytest.raises(TrustError, match="may fetch from anywhere"):
            obeyed(box, "CONDA", {"runner": {"channels": ["conda-forge"]}})


# -- an origin has many writings --------------------------------------------------------------

_EVIL = "https://evil.example/linux-64/evil-1.0-0.conda"
PACKAGES = [
    "-c conda-forge https://evil.example/linux-64/evil-1.0-0.conda",
    "-c conda-forge https://conda.anaconda.org/evil/linux-64/numpy-1.0-0.conda",
    "-c conda-forge https://conda.anaconda.org/conda-forge/label/evil/noarch/numpy-1.0-0.conda",
    "-c conda-forge https://conda.anaconda.org/conda-forge/../evil/noarch/numpy-1.0-0.conda",
    f"-c conda-forge numpy[url={_EVIL}]",
    f"-c conda-forge 'numpy[url=\"{_EVIL}\"]'",
    f"-c conda-forge 'conda-forge::numpy[version=1, url={_EVIL}]'",
    f"-c conda-forge 'numpy[url={_EVIL},x=[y]]'",
    "-c conda-forge numpy[channel=evil]",
    "-c conda-forge 'numpy[channel=\"https://evil.example/c\"]'",
    "-c conda-forge numpy[fn=evil]",
    "-c conda-forge evil/linux-64::numpy",
    "-c conda-forge evil/linux-64:x:numpy",
    "-c conda-forge evil:numpy",
    "-c conda-forge //evil.example/c::numpy",
    "-c conda-forge file:///tmp/evil-1.0-0.conda",
    "-c conda-forge /tmp/evil-1.0-0.tar.bz2",
    "-c conda-forge ./evil-1.0-0.conda",
    "-c conda-forge C:\\\\evil-1.0-0.conda",
    "-c conda-forge 'evil @ https://evil.example/x.whl'",
    "-c conda-forge git+https://evil.example/x",
    "-c conda-forge 'numpy\u202e'",
    "-c https://evil.example\\\\@conda.anaconda.org/conda-forge numpy",
    "-c https://evil.example\\\\conda-forge numpy",
    "-c https://conda.anaconda.org@evil.example/conda-forge numpy",
    "-c https://conda.anaconda.org:443@evil.example/conda-forge numpy",
    "-c https://joe:pw@evil.example/https://conda.anaconda.org/conda-forge numpy",
    "-c https://EVIL.example/conda-forge numpy",
    "-c https://conda.anaconda.org.evil.example/conda-forge numpy",
    "-c https://evil.example./conda-forge numpy",
    "-c https://[::1]:8129/conda-forge numpy",
    "-c https://[::1/conda-forge numpy",
    "-c https://conda.anacond\u0430.org/conda-forge numpy",
    "-c https://evil.example\u2100conda.anaconda.org/conda-forge numpy",
    "-c https://conda.anaconda.org/%2e%2e/evil numpy",
    "-c https://conda.anaconda.org/conda%2Dforge/..%2f../evil numpy",
    "-c https://conda.anaconda.org/conda-forge/../evil numpy",
    "-c https://conda.anaconda.org/conda-forge?/../../evil numpy",
    "-c https://conda.anaconda.org/conda-forge#/../../evil numpy",
    "-c https://conda.anaconda.org/https://conda.anaconda.org/conda-forge numpy",
    "-c https://conda.anaconda.org/t/tok/evil numpy",
    "-c https://conda.anaconda.org/t/../evil numpy",
    "-c https:/conda.anaconda.org/conda-forge numpy",
    "-c https:///evil.example/conda-forge numpy",
    "-c http://conda.anaconda.org/conda-forge numpy",
    "-c conda-forge/../evil numpy",
    "-c conda-forge/label/evil numpy",
    "-c conda-forge[linux-64] numpy",
    "-c CONDA-FORGE numpy",
    "-c ./conda-forge numpy",
    "-c file:///srv/channel/../evil numpy",
    "-c file:///srv/channel/%2e%2e/evil numpy",
    "-c file:///srv/channel%252f..%252fevil numpy",
    "-c file://evil.example/srv/channel numpy",
    "-c //srv/channel numpy",
    "-c /srv/channel-evil numpy",
    "-c conda-forge numpy pip install evil",
    "-c conda-forge numpy && conda install -c evil numpy && true",
]


@pytest.mark.parametrize(
    ("allowed", "place", "kind"),
    [
        ("conda-forge/", "https://conda.anaconda.org/conda-forge", "channel"),
        ("https://PyPI.org:443/simple/", "https://pypi.org/simple", "index"),
        ("http://h:80/x", "http://h/x", "index"),
        ("/srv/x/", "file://localhost/srv/x", "channel"),
        ("quay.io/b", "quay.io/b/x:1", "registry"),
    ],
)
def test_a_place_is_one_in_every_writing(allowed: str, place: str, kind: str) -> None:
    assert _covers(allowed, Origin(kind, place, "x"))


@pytest.mark.parametrize(
    ("allowed", "place", "kind"),
    [
        ("/srv", "/srv/x", "channel"),  # only registries hold others
        ("https://h/x", "http://h/x", "index"),
        ("https://h:80/x", "https://h/x", "index"),
        *((odd, odd, kind) for odd, kind in (
            ("https://joe:pw@h/x", "channel"), ("/srv/a%b", "channel"), ("/srv/../x", "channel"),
            ("file:srv", "channel"), ("/srv/x?y", "channel"), ("/srv/x\x07", "channel"),
            ("", "channel"), ("quay.io/b?c", "registry"))),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_not_covered(allowed: str, place: str, kind: str) -> None:
    assert not _covers(allowed, Origin(kind, place, "x"))


def obeyed(box: Path, runner: str, config: object = None) -> None:
    """Ask the policy about the tool of `box`; raises what it says."""
    tool, permit = admit(say())
    asked = load_config(config)
    obey_policy(runner, runnerServices.service(runner, asked.runner), tool, permit, asked)


@pytest.mark.parametrize("needs", PACKAGES)
def test_no_writing_passes_the_channels(box: Path, policy, needs: str) -> None:
    policy(channels=["conda-forge", "/srv/channel"])
    require(box, f'<package type="conda" env="e">{escape(needs)}</package>')
    approve(box)
    with pytest.raises(TrustError, match=r"your facility does not allow|may fetch from anywhere"):
        obeyed(box, "CONDA", {"runner": {"channels": ["conda-forge"]}})


@pytest.mark.parametrize(
    "needs",
    [
        "-c conda-forge numpy=1.2=py* 'scipy >=1,<2' 'zlib[version=\">=1.2,<2\",build=*_1]'",
        "-c HTTPS://Conda.Anaconda.org:443/conda-forge/ numpy",
        "-c https://conda.anaconda.org./conda-forge conda-forge::numpy",
        "-c https://conda.anaconda.org/t/tk-1/conda-forge conda-forge/noarch::numpy",
        "-c https://joe:pw@conda.anaconda.org/conda-forge numpy>=1.2,!=1.3",
        "-c file:///srv/channel -c /srv/channel numpy",
        "https://conda.anaconda.org/conda-forge/linux-64/numpy-1.0-py_0.conda",
        "-c bioconda r-base python=3.11 'cuda-version=12.*'",
    ],
)
def test_every_writing_of_what_is_allowed_passes(box: Path, policy, needs: str) -> None:
    policy(channels=["https://conda.anaconda.org/conda-forge", "bioconda", "file:/srv/channel/"])
    require(box, f'<package type="conda" env="e">{escape(needs)}</package>')
    approve(box)
    obeyed(box, "CONDA")


@pytest.mark.parametrize("whose", ["setting", "rattler", "alias", "condarc", "name"])
def test_nobodys_mirror_stands_for_an_allowed_channel(
    box: Path, policy, whose: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    policy(channels=["conda-forge", "bioconda"])
    require(box, '<package type="conda" env="e">-c conda-forge numpy</package>')
    approve(box)
    obeyed(box, "CONDA")
    runner: dict[str, object] = {
        "setting": {"mirrors": {"https://conda.anaconda.org/": ["https://evil.example/"]}},
        "name": {"mirrors": {"conda-forge": "https://evil.example/conda-forge"}},
        "alias": {"channel_alias": "https://evil.example"},
    }.get(whose, {})
    if whose == "rattler":
        monkeypatch.setattr(channels, "_rattler_mirrors", lambda: ["https://evil.example/x"])
    if whose == "condarc":
        (tmp_path / "rc").write_text("channel_alias: https://evil.example\n")
        monkeypatch.setenv("CONDARC", str(tmp_path / "rc"))
    with pytest.raises(TrustError, match=r"does not allow the channel https://evil\.example"):
        obeyed(box, "CONDA", {"runner": runner})


def test_the_facilitys_own_mirror_needs_no_second_line(box: Path, policy) -> None:
    mirror = {"https://conda.anaconda.org/conda-forge": ["https://mirror.lab/conda-forge"]}
    path = policy(channels=["conda-forge", "bioconda"])
    path.write_text(json.dumps({**json.loads(path.read_text()), "runner": {"mirrors": mirror}}))
    require(box, '<package type="conda" env="e">numpy</package>')
    approve(box)
    obeyed(box, "CONDA")


def test_an_environment_of_before_comes_from_no_allowed_channel(
    box: Path, policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conda-forge" / "envs" / "e" / "conda-meta").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    require(box, '<package type="conda" env="e">-c conda-forge numpy</package>')
    approve(box)
    path = policy(channels=["conda-forge", "bioconda"])
    obeyed(box, "CONDA")
    for told in (str(tmp_path / "conda-forge"), "conda-forge"):
        with pytest.raises(TrustError, match=r"the channel /.*/conda-forge, from which the env"):
            obeyed(box, "CONDA", {"runner": {"conda_dir": told}})
    rules = json.loads(path.read_text())
    path.write_text(json.dumps({**rules, "runner": {"conda_dir": str(tmp_path / "conda-forge")}}))
    obeyed(box, "CONDA")
    policy(channels=["conda-forge", "bioconda", str(tmp_path / "conda-forge")])
    obeyed(box, "CONDA", {"runner": {"conda_dir": str(tmp_path / "conda-forge")}})


def test_a_mirror_of_channels_opens_no_registry(box: Path, policy) -> None:
    mirror = {"https://conda.anaconda.org/conda-forge": ["quay.io/other"]}
    path = policy(registries=["quay.io/biocontainers"])
    path.write_text(json.dumps({**json.loads(path.read_text()), "runner": {"mirrors": mirror}}))
    require(box, '<container type="docker">quay.io/other/x:1</container>')
    approve(box)
    with pytest.raises(TrustError, match=r"does not allow the registry quay.io/other/x"):
        obeyed(box, "DOCKER")


def test_the_mirrors_of_rattlers_own_configuration_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rattler = pytest.importorskip("rattler")
    made = rattler.Config.from_toml('[mirrors]\n"https://a.example" = ["https://evil.example"]')
    config = type("Config", (), {"load_from_default_locations": lambda _: made})
    monkeypatch.setattr(rattler, "Config", config)
    assert channels._rattler_mirrors() == ["https://evil.example/"]


IMAGES = [
    "quay.io/biocontainers/../evil/x:1",
    "quay.io/biocontainers//evil/x",
    "quay.io/biocontainers/./../evil",
    "quay.io/biocontainers-evil/x",
    "quay.io:8080/biocontainers/x",
    "quay.io/biocontainers:8080/x",
    "quay.io.evil.example/biocontainers/x",
    "evil.example/quay.io/biocontainers/x",
    "user:pw@quay.io/biocontainers/x",
    "quay.io@evil.example/biocontainers/x",
    "evil.example\\\\@quay.io/biocontainers/x",
    "QUAY.io/biocontainers/x",
    "quay.io./biocontainers/x",
    "quay.io/biocontainers/x?y",
    "quay.io/biocontainers/%2e%2e/evil",
    "quay.io/biocontainers/x@sha256:abc/../../evil",
    "quay.io/biocontainers/x@sha256:../../evil",
    "quay.io/biocontainers/x:1/../../evil",
    "qu\u0430y.io/biocontainers/x",
    "[::1]:5000/biocontainers/x",
    "docker://evil/x",
    "docker://docker://quay.io/biocontainers/x",
    "biocontainers/x",
    "x",
]


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("whose", ["ours", "of a plugin"])
def test_no_writing_passes_the_registries(
    box: Path, policy, image: str, whose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy(registries=["quay.io/biocontainers"])
    require(box, f'<container type="docker">{escape(image)}</container>')
    approve(box)
    if whose == "of a plugin":
        docker = type(runnerServices.service("DOCKER", {}))
        monkeypatch.setattr(docker, "place", RunnerService.place)
    with pytest.raises((TrustError, PreparationError)) as refused:
        obeyed(box, "DOCKER")
    assert "does not allow the registry" in str(refused.value) or "no name" in str(refused.value)


@pytest.mark.parametrize(
    "image",
    ["x", "x:1", "x:1.0--py_0@sha256:" + "0" * 64, "x@sha256:" + "a" * 64, "deep/er/x_y-z.a:t"],
)
@pytest.mark.parametrize("whose", ["ours", "of a plugin"])
def test_tag_and_digest_do_not_keep_an_image_out(
    box: Path, policy, image: str, whose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy(registries=["quay.io/biocontainers/"])
    text = f"docker://quay.io/biocontainers/{image}"
    require(box, f'<container type="docker">{text}</container>')
    approve(box)
    if whose == "of a plugin":
        docker = type(runnerServices.service("DOCKER", {}))
        monkeypatch.setattr(docker, "place", RunnerService.place)
    obeyed(box, "DOCKER")


def test_the_question_names_the_address(box: Path) -> None:
    require(box, f'<package type="conda" env="e">-c conda-forge {_EVIL}</package>')
    told = Question(review(box), load_config()).tool_text("say")
    assert "conda-forge, bioconda, https://evil.example" in told
