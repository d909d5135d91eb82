"""What the reader does for others, done here: the same answers, in JSON, as without it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_tool_runner.errors import (
    DescriptorError,
    OutputError,
    ParameterError,
    TemplateError,
    ToolRunnerError,
    UnsafeDescriptorError,
)
from napari_tool_runner.exchange import apart
from napari_tool_runner.tools.binding import bind
from napari_tool_runner.tools.dialect import (
    CollectedFile,
    CollectedOutput,
    DataCollection,
    DataFile,
    JobPaths,
    TestOutcome,
)
from napari_tool_runner.tools.formats import FORMATS, Carrier, Format, LayerKind
from napari_tool_runner.tools.isolation import operations
from napari_tool_runner.tools.isolation.operations import (
    command_from,
    operation,
    preload,
    rst_html,
    tell_call,
    tell_test,
    warm,
)
from napari_tool_runner.tools.isolation.wire import (
    decode,
    encode,
    error_from,
    formats_from,
    tell_error,
    tell_formats,
)
from napari_tool_runner.tools.reader import dialect_of, read_tool
from napari_tool_runner.tools.toolbox.entries import bundled_folder, made_of
from support import job_paths

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Tool


def answer(name: str, of: dict[str, object]) -> object:
    """Ask as over the wire: only JSON goes in and comes out."""
    return json.loads(json.dumps(operation(name)(json.loads(json.dumps(of)))))


@pytest.fixture
def paths(tmp_path: Path) -> JobPaths:
    return job_paths(tmp_path / "job")


@pytest.fixture
def tool() -> Tool:
    return read_tool(bundled_folder() / "galaxy_enhance_contrast")


def test_a_command_is_the_one_of_its_language(tool: Tool, paths: JobPaths) -> None:
    image = paths.inputs / "a.tif"
    image.write_bytes(b"")
    values = bind(tool, {"input": DataFile(image, "tiff", "a")})
    here = dialect_of(tool).render(tool, values, paths, {"NAME": "value"})
    told = answer("render", tell_call(tool, values, paths, {"NAME": "value"}))
    assert command_from(told, tool, paths) == here


def test_what_has_changed_since_is_not_filled(tool: Tool, paths: JobPaths) -> None:
    values = bind(tool, {"input": DataFile(paths.inputs / "a.tif", "tiff", "a")})
    of = tell_call(tool, values, paths, {}) | {"digest": "sha256:other"}
    with pytest.raises(DescriptorError, match="has changed"):
        answer("render", of)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"argv": "x"},
        {"files": [["/etc/passwd", "x"]]},
        {"outputs": [["nobody", "/x", "tiff", "", []]]},
        {"notes": None},
    ],
)
def test_a_command_of_another_shape_is_none(
    spoilt: dict[str, object], tool: Tool, paths: JobPaths
) -> None:
    values = bind(tool, {"input": DataFile(paths.inputs / "a.tif", "tiff", "a")})
    told = answer("render", tell_call(tool, values, paths, {}))
    assert isinstance(told, dict)
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it is, it is told as one
        command_from(told | spoilt, tool, paths)


def test_entries_and_files_are_told_as_they_are(
    tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = {"files": [str(tool.path)], "root": str(bundled_folder()), "toolbox": "box"}
    entry = made_of(tool.path, bundled_folder(), "box")
    assert answer("index", of) == json.loads(json.dumps([entry]))
    monkeypatch.setattr(operations, "_loaded", set())
    asked = {"uri": tool.uri, "root": "", "formats": []}
    assert answer("look", asked) == answer("uris", asked) == "galaxy"  # to be imported first
    monkeypatch.setattr(operations, "_loaded", {"galaxy"})
    assert answer("uris", asked) == [tool.uri]
    uri, files, seconds = answer("look", asked)  # type: ignore[misc]
    assert uri == tool.uri
    assert [Path(path).name for path, _, _ in files][:1] == [tool.path.name]
    assert seconds >= 0


def test_help_is_html(tool: Tool) -> None:
    assert "<strong>b</strong>" in str(answer("help", {"text": "a **b**"}))
    assert "<script" not in rst_html(".. raw:: html\n\n   <script>1</script>")
    assert rst_html("a `b <x") is not None


@pytest.mark.parametrize(("said", "problems"), [("hello", 0), ("bye", 1)])
def test_an_outcome_is_compared(said: str, problems: int, tmp_path: Path, paths: JobPaths) -> None:
    (tmp_path / "t.xml").write_text(
        """<tool id="t" name="T" version="1" profile="22.05"><command>echo</command><inputs/>
        <outputs><data name="o" format="txt"/></outputs><tests><test><output name="o">
        <assert_contents><has_text text="hello"/></assert_contents></output></test></tests></tool>
        """
    )
    made = read_tool(tmp_path / "t.xml")
    file = paths.outputs / "o.txt"
    file.write_text(said)
    collected = CollectedOutput(made.outputs[0], (CollectedFile(file, "txt"),))
    outcome = TestOutcome(
        exit_code=0, stdout="", stderr="", outputs={"o": collected}, command="echo", failed=False
    )
    told = answer("verify", tell_test(made, made.tests[0], outcome, str(tmp_path)))
    assert isinstance(told, list)
    assert len(told) == problems


def test_what_reading_needs_is_imported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "_loaded", set())
    assert preload("galaxy") is True
    assert preload("galaxy") is False
    warm()
    assert preload("nobody") is True
    warm()  # a language that is not there


FILE = DataFile(Path("/i"), "tiff", "i", {"dbkey": "x"})


@pytest.mark.parametrize(
    "value",
    [
        DataCollection("list:paired", (("a", FILE), ("b", DataCollection("paired", ()))), "all"),
        {"i": FILE, "n": [1, (2.5, None)], "p": Path("/x")},
    ],
)
def test_a_value_comes_through_as_it_was(value: object) -> None:
    assert decode(json.loads(json.dumps(encode(value)))) == value


def test_numbers_of_numpy_come_through_as_numbers() -> None:
    assert encode({"a": np.float32(0.5), "b": np.arange(3)}) == {
        "map": [["a", 0.5], ["b", [0, 1, 2]]]
    }


@pytest.mark.parametrize(
    "told",
    [
        {"file": ["/i", "tiff", "i"]},
        {"file": ["/i", 1, "i", {}]},
        {"collection": ["list", [["a", 3]], ""]},
        {"collection": ["list", [["a"]], ""]},
        {"path": 1},
        {"tuple": {}},
        {"map": [], "tuple": []},
        {},
    ],
)
def test_a_value_of_another_shape_is_none(told: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it is, it is told as one
        decode(told)


def test_formats_come_through() -> None:
    new = Format("new", "nw", (LayerKind.IMAGE,), Carrier.TIFF, ("n",), ("tiff",), frozenset())
    told = json.loads(json.dumps(tell_formats(FORMATS.extended([new]))))
    assert [row[0] for row in told] == ["new"]
    assert formats_from(told)["new"] == new
    assert formats_from([]) is FORMATS
    for spoilt in (
        [],
        [*told[0][:4], [], []],
        [*told[0][:4], 1, [], []],
        [*told[0][:3], "x", *told[0][4:]],
    ):
        with pytest.raises(ValueError):  # noqa: PT011
            formats_from([spoilt])


@pytest.mark.parametrize(
    "error",
    [
        ParameterError("It is too large.", name="n", hint="Less."),
        TemplateError("It breaks.", line="$x", hint="Mend it."),
        OutputError("It is missing.", hint="Look."),
        DescriptorError("It is odd.", hint="Ask."),
        UnsafeDescriptorError("It is harmful.", hint="Leave it."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_ours_comes_through(error: ToolRunnerError) -> None:
    again = error_from(json.loads(json.dumps(tell_error(error))), "read it", Path("t.xml"))
    assert type(again) is type(error)
    assert (again.message, again.hint) == (error.message, error.hint)
    assert getattr(again, "name", "") == getattr(error, "name", "")
    assert getattr(again, "line", "") == getattr(error, "line", "")


def test_an_error_of_others_is_blamed_on_the_descriptor() -> None:
    def told(error: BaseException) -> ToolRunnerError:
        return error_from(tell_error(error), "read it", Path("t.xml"))

    assert str(told(KeyError("x"))).startswith("To read it failed: KeyError: 'x'.")
    outer = TemplateError("It breaks.")
    outer.__cause__ = MemoryError()
    for error in (MemoryError(), outer):
        assert "takes more memory than it may" in str(told(error))
    assert len(str(told(ValueError("x" * 10_000)))) < 3000


def test_others_bring_their_own_operation() -> None:
    assert operation("json:dumps")({"a": 1}) == '{"a": 1}'


def test_a_child_has_done_before_what_it_will_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_reading.py").write_text("done = []\ndef warm():\n    done.append(1)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(operations, "_modules", set())
    read: list[object] = []
    monkeypatch.setattr(operations, "read_tool", read.append)
    operations.warm()
    assert len(read) == 1, "nothing else is known"
    assert operations.load("own_reading")
    done = sys.modules["own_reading"].done
    assert done == [1]
    assert not operations.load("own_reading")
    assert not operations.load("json"), "nothing is new"
    operations.warm()
    assert (done, len(read)) == ([1, 1], 1)
    del sys.modules["own_reading"]


def test_what_reads_results_reads_one_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []

    def counted(path: Path, *args: object, **more: object) -> object:
        opened.append(path)
        return read_file(path, *args, **more)  # type: ignore[arg-type]

    read_file = apart.read_file
    monkeypatch.setattr(apart, "read_file", counted)
    apart.warm()
    assert [path.exists() for path in opened] == [True]
