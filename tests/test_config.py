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
    layer_lines,
    load_config,
    save_config,
)
from napari_tool_runner.errors import ConfigError
from napari_tool_runner.settings import SECTIONS, TABLE, did_you_mean


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


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        ({"runner.memory": "8G"}, "the section “runner” with “memory”"),
        ({"jobs.timeout": 0.01, "jobs": {"keep_days": 1}}, "the section “jobs” with “timeout”"),
        ({"runner.memroy": None}, "the section “runner” with “memory”"),
        ({"process.service": "LOCAL"}, "the section “process” with “service”"),
        ({"user": {"nmae": "x"}}, "“user.name”"),
        ({"runner": {"runner.memory": "8G"}}, "“runner.memory”"),
    ],
)
def test_what_stands_in_the_wrong_place_is_told(data: dict[str, object], hint: str) -> None:
    config = load_config(data)
    (note,) = config.notes
    assert note.endswith(f"is not known and not used; did you mean {hint}?")
    assert (config.memory_bytes, config.timeout, config.service) == (None, None, None)
    assert "object at" not in "".join(layer_lines(config))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(
        [
            " ",
            "~",
            "~nosuchuser/x",
            "p" * 9999,
            "a\0b",
            "\ud800",
            1e308,
            -1,
            10**400,
            "8G",
            "1e999",
        ]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "value", "a", ""]), inner, max_size=3)
    ),
    max_leaves=6,
)
PLAIN = [None, "", " ", "x", True, 0, -1, 1e308, [], {}, [None], [1], {"a": None}, "~nosuchuser/x"]


def test_lines_of_the_configuration_hold_no_credentials(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    channels = [
        "https://h/c?key=SECRET1",
        "https://bob:p@SECRET2@h/c",
        "https://h/get/t/SECRET3/c",
        "https://h?a&token=SECRET4&b=SECRET5",
    ]
    mirrors = {"conda-forge": ["https://h/m?token=SECRET6"]}
    runner = {"channels": channels, "mirrors": mirrors, "host": "bob:SECRET7@h:2375"}
    path.write_text(json.dumps({"runner": runner}))
    said = "".join(layer_lines(load_config(path)))
    assert "SECRET" not in said
    assert '"https://h/c"' in said
    assert "h/get/t/***/c" in said
    assert '"…@h:2375"' in said


def read_or_told(data: dict[str, object], *names: str) -> None:
    told = ""
    try:
        config = load_config(data)
    except ConfigError as error:
        told = str(error)
    if told:
        # of a section, the key inside it
        assert any(f"“{name}”" in told or f"“{name}." in told for name in names)
        assert not any(f" is {word}, but" in told for word in ("None", "True", "inf"))
        return
    for setting in TABLE.values():
        config.value(setting)
    assert all(isinstance(note, str) for note in (*config.notes, *layer_lines(config)))
    assert config.runner.get("service") is None
    assert config.variables is not None
    assert config.service is None or config.service.strip()


def nested(key: str, value: object) -> dict[str, object]:
    section, dot, name = key.partition(".")
    return {section: {name: value} if dot else value}


@pytest.mark.parametrize("key", [*TABLE, *sorted(SECTIONS), "metadata", "odd", "runner.odd"])
def test_each_plain_value_is_read_or_told_with_its_key(key: str) -> None:
    for value in PLAIN:
        read_or_told(nested(key, value), key)


@given(st.sampled_from([*TABLE, *sorted(SECTIONS)]), JSON)
def test_any_value_is_read_or_told_with_its_key(key: str, value: object) -> None:
    read_or_told(nested(key, value), key)


@given(
    st.dictionaries(
        st.sampled_from([*TABLE, *SECTIONS, "metadata"]) | st.text(max_size=8),
        JSON | st.dictionaries(st.sampled_from([k.split(".")[-1] for k in TABLE]), JSON),
        max_size=4,
    )
)
def test_any_object_is_a_configuration_or_told(data: dict[str, object]) -> None:
    read_or_told(data, *TABLE, *SECTIONS)


@pytest.mark.parametrize("blank", [None, "", " "])
def test_null_and_blank_mean_the_default(blank: object) -> None:
    for key, setting in TABLE.items():
        config = load_config(nested(key, blank))
        assert config.value(setting) == setting.default, key
        assert not key.startswith("runner.") or setting.of(config.runner) == setting.default
    assert load_config({"process": {"xml_dirs": ["a", " "]}}).toolbox_dirs == (Path.cwd() / "a",)


def test_a_section_may_be_null() -> None:
    for section in SECTIONS:
        assert load_config({section: None}).notes == ()
    assert load_config({"process": {"service": "LOCAL"}, "runner": None}).service == "LOCAL"
    cleared = changed_config(Config({"process": {"service": "LOCAL"}, "jobs": None}), {})
    assert cleared.service == "LOCAL"
    assert changed_config(cleared, {"jobs.timeout": 3}).timeout == 3


def test_variables_are_texts_and_numbers() -> None:
    env = [{"name": "A", "value": "x"}, {"name": "B", "value": 1.5}, {"name": "C", "value": ""}]
    assert load_config({"env": env}).variables == {"A": "x", "B": "1.5", "C": ""}
    (note,) = load_config({"env": [{"name": "A", "value": 1, "vlaue": 2}]}).notes
    assert note == "“vlaue” of the variable “A” in the configuration is not known and not used."
    for name, value in (("X", None), (None, "x"), ("", "x"), ("X", {}), ("X", ["a"]), ("X", True)):
        with pytest.raises(ConfigError, match="“env”"):
            load_config({"env": [{"name": name, "value": value}]})


def test_a_home_that_nobody_has(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("workspace", "runner.path", "process.xml_dirs", "formats.file"):
        for path in ("~nosuchuser/x", "p" * 300, "p/" * 3000, "a\0b"):
            with pytest.raises(ConfigError, match=f"“{key}”"):
                load_config(nested(key, path))
    with pytest.raises(ConfigError, match="nosuchuser"):
        load_config("~nosuchuser/c.json")
    monkeypatch.setenv(CONFIG_VARIABLE, "~nosuchuser/c.json")
    with pytest.raises(ConfigError, match="nosuchuser"):
        load_config()


def test_numbers_have_a_largest() -> None:
    for key, setting in TABLE.items():
        if setting.type.json in ("number", "integer"):
            for value in (1e308, setting.type.most * 1.01):
                with pytest.raises(ConfigError, match=f"“{key}”.* at most [0-9]+"):
                    load_config(nested(key, value))
    assert load_config({"jobs": {"keep_days": 365_000}}).keep_days == 365_000


def test_a_deep_dictionary_is_told() -> None:
    deep: object = 1
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ConfigError, match="nested too deeply"):
        load_config({"fiji": deep})


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


@pytest.mark.parametrize("name", ["process.service", "process", "runner.service", "runner"])
@pytest.mark.parametrize("mine", ["process", "runner"])
def test_a_lock_holds_the_service_in_either_way_of_naming_it(
    facility, name: str, mine: str
) -> None:
    facility({"process": {"service": "LOCAL"}, "locked": [name]})
    personal({mine: {"service": "CONDA"}})
    config = load_config()
    if name != "runner":
        assert config.service == "LOCAL"
    assert len(config.notes) == 1
    assert f"“{mine}.service”" in config.notes[0]


def test_a_lock_of_the_toolboxes_leaves_the_service_free(facility) -> None:
    facility({"process": {"xml_dirs": "box"}, "locked": ["process"]})
    assert load_config({"runner": {"service": "CONDA"}}).service == "CONDA"


def test_a_lock_that_locks_nothing_is_told(facility) -> None:
    names = ["*", "all", "Runner.Memory", "metadata", "", "jobs.", "runner.queue"]
    facility({"locked": [*names, "jobs", "runner.cpus"]})
    notes = load_config().notes
    assert len(notes) == len(names)
    for name, note in zip(names, notes, strict=True):
        assert f"names “{name}”" in note
        assert "locks nothing" in note or "did you mean" in note
    assert len(load_config({"runner": {"service": "SLURM"}}).notes) == len(names) - 1


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


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ({"process": {"service": "CONDA"}, "runner": {"memory": "1G"}}, None),
        ({"process": {"service": "CONDA"}, "runner": {}, "metadata": {}}, None),
        ({"process": {"service": "CONDA"}, "metadata": {}}, "CONDA"),
        ({"process": {"service": "CONDA"}, "runner": None}, "CONDA"),
        ({"runner": {"memory": "1G", "service": "CONDA"}}, "CONDA"),
        ({"runner": {"memory": "1G"}, "odd": {}}, None),
    ],
)
def test_a_saved_setting_changes_nothing_else(data: dict[str, object], wanted: str | None) -> None:
    path = personal(data)
    assert load_config().service == wanted
    for change in ({"runner.memory": None}, {"jobs.timeout": 5}, {"jobs.timeout": None}):
        save_config(changed_config(load_config(), change))
        assert load_config().service == wanted, change
    told = json.loads(path.read_text())
    assert {name for name, value in data.items() if value == {}} <= set(told)
    assert "jobs" not in told


def test_a_service_of_the_tutorials_key_can_be_taken_away() -> None:
    config = Config({"process": {"service": "CONDA"}})
    assert changed_config(config, {"runner.service": None}).service is None


@pytest.mark.parametrize(
    ("data", "service", "folders", "told"),
    [
        # the tutorial's key names a service of a plugin, wherever its folders are named
        ({"process": {"service": "MINE", "plugin_dirs": ["p"]}}, "MINE", ["p"], ""),
        ({"process": {"service": "MINE"}, "runner": {"plugin_dirs": ["p"]}}, "MINE", ["p"], ""),
        (
            {"process": {"service": "MINE", "plugin_dirs": "p"}, "runner": {"plugin_dirs": "q"}},
            "MINE",
            ["q", "p"],
            "",
        ),
        ({"process": {"service": "MINE"}, "runner": {"memory": "1G"}}, "MINE", None, ""),
        ({"process": {"plugin_dirs": "p"}, "runner": {"service": "MINE"}}, "MINE", "p", ""),
        # BioImageIT's own files: the registry of tools, and the runner
        (
            {"process": {"service": "LOCAL"}, "runner": {"plugin_dirs": ["p"]}},
            None,
            ["p"],
            "(LOCAL) is not used: beside a section “runner” the runner is named by",
        ),
        (
            {"process": {"service": "CONDA", "plugin_dirs": ["p"]}, "runner": {"conda_dir": "c"}},
            None,
            ["p"],
            "(CONDA) is not used",
        ),
        ({"process": {"service": "local"}, "runner": {"plugin_dirs": "p"}}, None, "p", "(local)"),
        ({"process": {"service": "LOCAL"}, "runner": {"service": "DOCKER"}}, "DOCKER", None, ""),
        # what is not used is told
        (
            {"process": {"service": "MINE"}, "runner": {"service": "DOCKER"}},
            "DOCKER",
            None,
            "“process.service” in the configuration (MINE) is not used: “runner.service” (DOCKER)",
        ),
        (
            {"process": {"service": "LOCAL"}, "runner": {"memory": "1G"}},
            None,
            None,
            "the runner is named by “runner.service”",
        ),
    ],
)
def test_the_tutorials_key_beside_a_section_runner(
    data: dict[str, object], service: str | None, folders: object, told: str
) -> None:
    config = load_config(data)
    assert config.service == service
    absolute = [str(Path.cwd() / one) for one in folders or ()]
    wanted = absolute[0] if isinstance(folders, str) else absolute or None
    assert config.runner.get("plugin_dirs") == wanted
    assert [told in note for note in config.notes] == ([True] if told else [])


@pytest.mark.parametrize("name", ["process", "process.plugin_dirs", "runner.plugin_dirs"])
def test_folders_of_plugins_can_be_locked_under_both_names(facility, name: str) -> None:
    facility({"process": {"plugin_dirs": ["theirs"]}, "locked": [name]})
    personal({"process": {"plugin_dirs": ["mine"]}})
    (path,) = load_config().runner["plugin_dirs"]
    assert path.endswith("theirs")
    assert any("locked" in note for note in load_config().notes)


def test_a_plugins_service_of_the_tutorials_key_can_be_changed() -> None:
    config = Config({"process": {"service": "MINE", "plugin_dirs": ["p"]}})
    assert changed_config(config, {"runner.service": None}).service is None
    assert changed_config(config, {"runner.service": "LOCAL"}).service == "LOCAL"
    assert changed_config(config, {"runner.cpus": 2}).service == "MINE"
