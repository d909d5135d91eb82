from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from napari_tool_runner.config import (
    CONFIG_VARIABLE,
    FACILITY_VARIABLE,
    Config,
    changed_config,
    config_path,
    load_config,
    save_config,
)
from napari_tool_runner.errors import ConfigError
from napari_tool_runner.settings import TABLE, did_you_mean


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


# -- what is wrong is told -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "key", "accepted"),
    [
        ({"runner": {"offline": "true"}}, "runner.offline", "true or false"),
        ({"runner": {"entrypoint": "false"}}, "runner.entrypoint", "true or false"),
        ({"runner": {"network": 1}}, "runner.network", "true or false"),
        ({"runner": {"grace": "3"}}, "runner.grace", "a number of at least 0"),
        ({"runner": {"pids": 1.5}}, "runner.pids", "a whole number of at least 0"),
        ({"runner": {"gpus": "both"}}, "runner.gpus", "“all”"),
        ({"runner": {"shm_size": "much"}}, "runner.shm_size", "a size such as 8G"),
        ({"runner": {"memory": float("inf")}}, "runner.memory", "a size such as 8G"),
        ({"runner": {"tmpfs": ["/scratch"]}}, "runner.tmpfs", "size=4g"),
        ({"runner": {"channels": 3}}, "runner.channels", "a list of texts"),
        ({"runner": {"plugin_dirs": 3}}, "runner.plugin_dirs", "a list of paths"),
        ({"jobs": {"max_parallel": True}}, "jobs.max_parallel", "a whole number of at least 1"),
        ({"jobs": {"keep_days": float("nan")}}, "jobs.keep_days", "a number"),
        ({"jobs": {"timeout": float("inf")}}, "jobs.timeout", "a number"),
        ({"jobs": {"max_parallel": float("inf")}}, "jobs.max_parallel", "a whole number"),
        ({"jobs": {"timeout": 10**400}}, "jobs.timeout", "a number"),
        ({"jobs": 3}, "jobs", "named entries"),
        ({"fiji": 3}, "fiji", "a text"),
        ({"user": {"name": ["Ada"]}}, "user.name", "a text"),
    ],
)
def test_a_value_of_the_wrong_type_is_told_when_it_is_loaded(
    data: dict[str, object], key: str, accepted: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(data)
    assert f"“{key}”" in str(caught.value)
    assert "must be" in str(caught.value)
    assert accepted in str(caught.value)


def test_sizes_are_read_alike_everywhere() -> None:
    from napari_tool_runner.settings import MEMORY, SHM_SIZE

    for value, wanted in (("1G", 2**30), ("1.5 MiB", 3 * 2**19), (10, 10), ("64k", 2**16)):
        assert MEMORY.of({"memory": value}) == SHM_SIZE.of({"shm_size": value}) == wanted


@pytest.mark.parametrize(
    ("data", "near"),
    [
        ({"runner": {"memroy": "8G"}}, "runner.memory"),
        ({"jobs": {"max_paralel": 2}}, "jobs.max_parallel"),
        ({"runner": {"max_parallel": 2}}, "jobs.max_parallel"),
        ({"runner": {"maxContainers": 2}}, "runner.max_containers"),
        ({"memory": "8G"}, "runner.memory"),
        ({"runer": {"memory": "8G"}}, "runner"),
        ({"Workspace": "/x"}, "workspace"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest(data: dict[str, object], near: str) -> None:
    (note,) = load_config(data).notes
    assert note.endswith(f"did you mean “{near}”?")


@given(st.sampled_from(sorted(TABLE)), st.data())
def test_one_slip_in_a_long_name_is_seen_through(key: str, data: st.DataObject) -> None:
    section, dot, name = key.rpartition(".")
    assume(len(name) > 4)
    at = data.draw(st.integers(0, len(name) - 2))
    kind = data.draw(st.sampled_from(["left out", "doubled", "swapped", "capital"]))
    one, two = name[at], name[at + 1]
    new = {"left out": two, "doubled": one * 2 + two, "swapped": two + one}
    slip = name[:at] + new.get(kind, one.upper() + two) + name[at + 2 :]
    assume(section + dot + slip not in TABLE)
    assert did_you_mean(section + dot + slip) == key


@given(st.dictionaries(st.text(max_size=8), st.integers() | st.text() | st.none(), max_size=4))
def test_any_keys_make_notes_and_no_error(section: dict[str, object]) -> None:
    unknown = {k: v for k, v in section.items() if f"runner.{k}" not in TABLE and k not in TABLE}
    notes = Config({"runner": unknown, "odd": unknown}).notes
    assert len(notes) <= len(unknown) + 1


def test_an_unknown_key_that_is_near_to_none_is_named() -> None:
    (note,) = load_config({"odd": 1}).notes
    assert "“odd”" in note
    assert "not known" in note
    (note,) = load_config({"limits": {"ram": 3}, "runner": {"service": "DOCKER"}}).notes
    assert "“limits”" in note


def test_keys_of_bioimageit_are_no_slips() -> None:
    data = {
        "metadata": {"service": "LOCAL", "host": "h"},
        "process": {"service": "LOCAL", "tools": "tools.json"},
        "runner": {"service": "LOCAL", "working_dir": "/w", "token": "t"},
        "user": {"name": "Ada", "mail": "ada@example.org"},
        "apps": {"processing": "x"},
        "install_dir": "/i",
        "log_dir": "/l",
    }
    assert load_config(data).notes == ()


def test_services_of_others_have_options_of_their_own() -> None:
    slurm = {"service": "SLURM", "plugin_dirs": "plugins", "queue": "long", "host": {"name": "h"}}
    config = load_config({"runner": slurm, "SLURM": {"account": "a"}})
    assert config.notes == ()
    assert config.runner["host"] == {"name": "h"}
    assert config.runner["queue"] == "long"
    (note,) = load_config({"runner": {**slurm, "memroy": "8G"}}).notes
    assert "runner.memory" in note
    with pytest.raises(ConfigError, match=r"runner\.memory"):
        load_config({"runner": {**slurm, "memory": "much"}})
    assert load_config({"runner": {"plugin_dirs": "p", "queue": "long"}}).notes == ()
    (note,) = load_config({"runner": {"service": "DOCKER", "queue": "long"}}).notes
    assert "“runner.queue”" in note


# -- layers --------------------------------------------------------------------------------


@pytest.fixture
def facility(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def make(data: object) -> Path:
        path = tmp_path / "share" / "facility.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(data))
        monkeypatch.setenv(FACILITY_VARIABLE, str(path))
        return path

    return make


def personal(data: object) -> Path:
    path = config_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return path


def test_a_higher_layer_counts(facility) -> None:
    facility({"runner": {"memory": "8G", "cpus": 4, "grace": 9}, "jobs": {"timeout": 60}})
    personal({"runner": {"cpus": 2, "gpus": 1}})
    config = load_config({"runner": {"gpus": 0}})
    assert (config.memory_bytes, config.cpus, config.gpus) == (8 * 2**30, 2, 0)
    assert config.timeout == 60
    assert config.max_parallel == 2
    assert config.runner == {"memory": "8G", "cpus": 2, "grace": 9, "gpus": 0}
    assert [layer.name for layer in config.layers] == ["call", "personal", "facility"]
    assert load_config({"runner": {"cpus": None}}).cpus is None, "null asks for the default"


def test_each_layer_names_its_service_in_its_own_way(facility) -> None:
    facility({"runner": {"service": "DOCKER"}})
    assert load_config({"process": {"service": "LOCAL"}}).service == "LOCAL"
    personal({"process": {"service": "CONDA"}})
    assert load_config({"runner": {"cpus": 1}}).service == "CONDA"


def test_relative_paths_start_at_the_file_of_their_layer(facility, tmp_path: Path) -> None:
    share = facility(
        {
            "process": {"xml_dirs": "box", "categories": "cats.json"},
            "workspace": "jobs",
            "env": [{"name": "A", "value": "facility"}, {"name": "B", "value": "facility"}],
            "runner": {"plugin_dirs": ["plugins"]},
        }
    ).parent
    mine = personal(
        {
            "process": {"xml_dirs": ["box"]},
            "env": [{"name": "A", "value": "mine"}],
            "runner": {"plugin_dirs": "plugins"},
        }
    ).parent
    call = tmp_path / "call.json"
    call.write_text(json.dumps({"process": {"xml_dirs": ["there"]}}))
    config = load_config(call)
    assert config.toolbox_dirs == (tmp_path / "there", mine / "box", share / "box")
    assert config.categories_files == (share / "cats.json",)
    assert config.workspaces == share / "jobs"
    assert config.variables == {"A": "mine", "B": "facility"}
    assert config.runner["plugin_dirs"] == [str(mine / "plugins"), str(share / "plugins")]
    assert config.consented_dirs == {tmp_path / "there", share / "box"}


def test_what_is_locked_stays(facility) -> None:
    path = facility(
        {
            "process": {"xml_dirs": "box"},
            "runner": {"service": "CONDA_DOCKER", "cpus": 4},
            "locked": ["runner.service", "runner.network", "process.xml_dirs", "jobs"],
        }
    )
    personal(
        {
            "process": {"service": "LOCAL", "xml_dirs": ["mine"]},
            "runner": {"cpus": 8, "network": True},
            "jobs": {"keep_days": 1},
        }
    )
    config = load_config({"runner": {"service": "LOCAL"}})
    assert config.service == "CONDA_DOCKER"
    assert config.network is False
    assert "network" not in config.runner
    assert config.toolbox_dirs == (path.parent / "box",)
    assert config.keep_days == 30
    assert config.cpus == 8
    told = " ".join(config.notes)
    keys = ("process.service", "process.xml_dirs", "runner.network", "jobs.keep_days")
    for key in (*keys, "runner.service"):
        assert f"“{key}”" in told
    assert str(path) in told
    assert len(config.notes) == 5
    with pytest.raises(ConfigError, match="locked by your facility"):
        changed_config(load_config(), {"runner.network": True})


def test_only_a_facility_locks(facility) -> None:
    facility({"locked": ["runner.servce"]})
    personal({"locked": ["runner.cpus"]})
    config = load_config({"runner": {"cpus": 3}})
    assert config.cpus == 3
    slip, vain = config.notes
    assert "runner.service" in slip
    assert "only a facility" in vain


def test_the_administrators_place(user_dirs: Path) -> None:
    path = user_dirs / "site" / "napari-tool-runner" / "config.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"process": {"xml_dirs": "box"}}))
    assert load_config().consented_dirs == {path.parent / "box"}
    path.chmod(0o666)
    config = load_config()
    assert config.toolbox_dirs == (path.parent / "box",)
    assert config.consented_dirs == frozenset()
    assert "anybody may write" in config.notes[0]


def test_a_named_facility_must_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(FACILITY_VARIABLE, str(tmp_path / "absent.json"))
    with pytest.raises(ConfigError, match=r"absent\.json"):
        load_config()


# -- writing -------------------------------------------------------------------------------


def test_two_writers_keep_what_the_other_wrote() -> None:
    path = personal({"user": {"name": "Ada"}})
    one = changed_config(load_config(), {"runner.memory": "8G"})
    other = changed_config(load_config(), {"runner.cpus": 4, "user.name": None})
    save_config(one)
    save_config(other)
    assert json.loads(path.read_text()) == {"runner": {"memory": "8G", "cpus": 4}}


def test_only_the_personal_layer_is_written(facility) -> None:
    path = facility({"runner": {"memory": "8G"}})
    before = path.read_text()
    save_config(changed_config(load_config(), {"runner.cpus": 4}))
    assert json.loads(config_path().read_text()) == {"runner": {"cpus": 4}}
    assert path.read_text() == before
