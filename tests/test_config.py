from __future__ import annotations

import json
from pathlib import Path

import pytest

from napari_tool_runner.config import CONFIG_VARIABLE, Config, load_config, save_config
from napari_tool_runner.errors import ConfigError


def test_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(CONFIG_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    config = load_config()
    assert config.service is None
    assert config.max_parallel == 2
    assert config.timeout is None
    assert config.memory_bytes is None


def test_runner_section_wins_over_the_tutorials_key() -> None:
    assert load_config({"process": {"service": "LOCAL"}}).service == "LOCAL"
    both = {"process": {"service": "LOCAL"}, "runner": {"service": "DOCKER", "host": "x"}}
    assert load_config(both).service == "DOCKER"
    assert load_config(both).runner == {"host": "x"}
    assert load_config({"process": {"service": "LOCAL"}, "runner": {}}).service is None


def test_paths_start_at_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"process": {"xml_dirs": ["tools", "/abs"]}, "workspace": "w"}))
    config = load_config(file)
    assert config.toolbox_dirs == (tmp_path / "tools", Path("/abs"))
    assert config.workspaces == tmp_path / "w"
    file.write_text(json.dumps({"runner": {"plugin_dirs": "p", "path": ["a", "/b"]}}))
    assert load_config(file).runner == {
        "plugin_dirs": str(tmp_path / "p"),
        "path": [str(tmp_path / "a"), "/b"],
    }


def test_the_variable_names_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "absent.json"))
    with pytest.raises(ConfigError, match=r"absent\.json"):
        load_config()
    (tmp_path / "absent.json").write_text(
        '{"fiji": "/x/fiji", "env": [{"name": "A", "value": 1}]}'
    )
    assert load_config().variables == {"A": "1", "__fiji__": "/x/fiji"}


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_a_broken_file_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "c.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"c\.json"):
        load_config(file)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({"runner": []}, "service"),
        ({"runner": {"service": 3}}, "service"),
        ({"jobs": {"max_parallel": 0}}, "max_parallel"),
        ({"env": {"A": 1}}, "variables"),
        ({"runner": {"memory": "much"}}, "memory_bytes"),
        ({"runner": {"network": "yes"}}, "network"),
    ],
)
def test_wrong_entries_say_what_they_must_be(data: dict[str, object], name: str) -> None:
    with pytest.raises(ConfigError, match="must be"):
        getattr(Config(data), name)


def test_sizes() -> None:
    assert Config({"runner": {"memory": "2G"}}).memory_bytes == 2 * 2**30
    assert Config({"runner": {"memory": "1.5 MiB"}}).memory_bytes == 3 * 2**19
    assert Config({"runner": {"memory": 10}}).memory_bytes == 10
    assert Config({"runner": {"gpus": "all"}}).gpus == -1


def test_saving_replaces_the_file(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "config.json"
    save_config(Config({"runner": {"service": "LOCAL"}}, file))
    assert load_config(file).service == "LOCAL"
    assert [p.name for p in file.parent.iterdir()] == ["config.json"]
