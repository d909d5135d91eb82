"""A descriptor language that nobody here knows, added as one folder and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

import napari_tool_runner as ntr
from napari_tool_runner import tools
from napari_tool_runner.cli import main
from napari_tool_runner.config import load_config
from napari_tool_runner.errors import DescriptorError, ToolFailedError, TrustError
from napari_tool_runner.jobs import as_command, compare_outputs, read_record, rerun, run_job
from napari_tool_runner.jobs.testing import run_tests
from napari_tool_runner.tools import dialects, find_tool, load_toolbox, read_tool
from napari_tool_runner.tools.checker import check_paths
from napari_tool_runner.tools.isolation.client import reader
from napari_tool_runner.tools.toolbox.box import Toolbox, ToolboxFolder
from napari_tool_runner.tools.toolbox.trust import approve, require_trust

# what a contributor writes: one folder with a module `dialect`
LANGUAGE = """
import json
from pathlib import Path

from napari_tool_runner.tools.common import Notes
from napari_tool_runner.tools.dialect import (
    CollectedFile, CollectedOutput, Dialect, PlannedOutput, RenderedCommand, data_files,
)
from napari_tool_runner.tools.model import (
    DataOutput, DataParameter, FloatParameter, LayerKind, TestOutput, Tool, ToolTest,
)
from napari_tool_runner.tools.tree import leaves

KINDS = (LayerKind.IMAGE,)


class Toy(Dialect):
    name = "toy"
    label = "Toy"
    patterns = ("*.toy.json", "package.json")

    def score(self, candidate):
        data = candidate.json
        return 10 if isinstance(data, dict) and "toy_tools" in data else 0

    def entries(self, candidate):
        return tuple(candidate.json["toy_tools"])

    def read(self, candidate, entry="", *, root=None):
        told = candidate.json["toy_tools"][entry]
        notes = Notes()
        if "colour" in told:
            notes.warning("colour", "It has no colour here.")
        tests = tuple(
            ToolTest(
                index=index,
                values={"image": str(candidate.path.parent / "test-data" / test["image"])},
                outputs=(TestOutput(name="result", attributes={"sum": test["sum"]}),),
            )
            for index, test in enumerate(told.get("tests", []))
        )
        return Tool(
            id=entry, name=told["title"], version="1", description=told.get("about", ""),
            command=json.dumps(told["run"]),
            inputs=(
                DataParameter(name="image", formats=("tiff",), kinds=KINDS),
                FloatParameter(name="factor", default=2.0, minimum=0.0),
            ),
            outputs=(DataOutput(name="result", format="tiff", kind=LayerKind.IMAGE),),
            tests=tests, categories=("Toys",), uri=f"{candidate.path}#{entry}", entry=entry,
            dialect=self.name, digest=candidate.digest, notes=tuple(notes.found),
        )

    def check(self, tool, variables):
        notes = Notes()
        if "@factor" not in tool.command:
            notes.warning("run", "The factor is not used.")
        return notes.found

    def render(self, tool, values, paths, variables):
        words = {}
        for leaf in leaves(tool.inputs, values):
            files = data_files(leaf.value)
            words["@" + leaf.name] = str(files[0].path if files else leaf.value)
        planned = PlannedOutput(tool.outputs[0], paths.outputs / "result.tiff", "tiff")
        words["@result"] = str(planned.path)
        argv = tuple(words.get(word, word) for word in json.loads(tool.command))
        return RenderedCommand(argv=argv, outputs=(planned,))

    def collect(self, tool, rendered, values, paths):
        (planned,) = rendered.outputs
        file = CollectedFile(planned.path, planned.format, planned.output.name)
        return [CollectedOutput(planned.output, (file,))] if planned.path.exists() else []

    def verify(self, tool, test, outcome):
        import tifffile
        path = outcome.outputs["result"].files[0].path
        total, wanted = tifffile.imread(path).sum(), test.outputs[0].attributes["sum"]
        return [] if total == wanted else [f"The sum is {total}, not {wanted}."]


DIALECT = Toy()
"""
PROGRAM = (
    "import sys, tifffile; "
    "tifffile.imwrite(sys.argv[2], tifffile.imread(sys.argv[1]) * float(sys.argv[3]))"
)
RUN = ["python", "-c", PROGRAM, "@image", "@result", "@factor"]
IMAGE = np.ones((4, 5), dtype=np.float32)


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with two tools in one file, while the language is there."""
    language = tmp_path / "languages" / "toy"
    language.mkdir(parents=True)
    (language / "__init__.py").write_text("")
    (language / "dialect.py").write_text(LANGUAGE)
    monkeypatch.setattr(tools, "__path__", [*tools.__path__, str(language.parent)])
    folder = tmp_path / "box"
    (folder / "test-data").mkdir(parents=True)
    tifffile.imwrite(folder / "test-data" / "ones.tiff", IMAGE)
    two = {
        "toy_tools": {
            "scale": {
                "title": "Scale it",
                "about": "multiplies",
                "run": RUN,
                "tests": [{"image": "ones.tiff", "sum": 40}, {"image": "ones.tiff", "sum": 41}],
            },
            "copy": {"title": "Copy it", "run": [*RUN[:-1], "1"], "colour": "red"},
        }
    }
    (folder / "two.toy.json").write_text(json.dumps(two))
    (folder / "package.json").write_text('{"name": "no tool, and nobody says so"}')
    (folder / "version.json").write_text("{")
    yield folder
    for name in [name for name in sys.modules if name.startswith(f"{tools.__name__}.toy")]:
        del sys.modules[name]


@pytest.fixture
def config(box: Path, tmp_path: Path) -> dict[str, object]:
    return {
        "workspace": str(tmp_path / "jobs"),
        "process": {"service": "LOCAL", "xml_dirs": [str(box)]},
    }


def test_it_is_found_and_read(box: Path) -> None:
    assert set(dialects) == {"bioimageit", "galaxy", "toy"}
    tool = read_tool(f"{box / 'two.toy.json'}#scale")
    assert (tool.id, tool.dialect, tool.path) == ("scale", "toy", box / "two.toy.json")
    with pytest.raises(DescriptorError, match="holds 2 tools") as caught:
        read_tool(box)
    assert "two.toy.json#NAME: “scale”, “copy”" in caught.value.hint
    with pytest.raises(DescriptorError, match="holds no tool “absent”"):
        read_tool(f"{box / 'two.toy.json'}#absent")
    with pytest.raises(
        DescriptorError, match=r"no descriptor language .*\(BioImageIT, Galaxy, Toy"
    ):
        read_tool(box / "package.json")


def test_it_is_listed_in_a_toolbox(box: Path, config: dict[str, object], tmp_path: Path) -> None:
    for _ in range(2):  # made, then from the cache
        shelf = load_toolbox(config, cache_dir=tmp_path / "cache")
        assert shelf.problems == ()
        mine = [entry for entry in shelf.entries if entry.toolbox == "box"]
        assert [(entry.key, entry.name) for entry in mine] == [
            ("scale", "Scale it"),
            ("copy", "Copy it"),
        ]
        assert (mine[0].uri, mine[0].dialect) == (f"{box / 'two.toy.json'}#scale", "toy")
        assert (mine[0].formats, mine[0].categories) == (("tiff",), ("Toys",))
    assert shelf["copy"].name == "Copy it"
    assert shelf[f"{box / 'two.toy.json'}#copy"] is shelf["copy"]
    assert "scale" in [entry.id for entry in shelf.search_entries("multiplies")]
    assert find_tool("copy", shelf) is shelf["copy"]


def test_it_is_checked(box: Path) -> None:
    scale, copy = check_paths([box], variables={})
    assert (scale.usable, scale.notes) == (True, ())
    assert [note.what for note in copy.notes] == [
        "It has no colour here.",
        "The factor is not used.",
    ]
    (one,) = check_paths([Path(f"{box / 'two.toy.json'}#copy")], variables={})
    assert one.notes == copy.notes


def test_it_runs_and_its_toolbox_needs_consent(box: Path, config: dict[str, object]) -> None:
    result = ntr.run(f"{box / 'two.toy.json'}#scale", image=IMAGE, factor=3, config=config)
    np.testing.assert_array_equal(np.asarray(result.outputs["result"].data), IMAGE * 3)
    record = read_record(result.workspace / "record.json")
    again, remarks = rerun(record, load_config(config))
    assert remarks == []
    assert compare_outputs(record, run_job(again)) == []
    assert f"{box / 'two.toy.json'}#scale" in as_command(record)
    assert result.outputs["result"].layer_type == "image"
    listed = load_toolbox(config)["scale"]
    with pytest.raises(TrustError, match="has not been approved"):
        require_trust(listed)
    approve(box)
    require_trust(listed)
    assert ntr.run(listed, image=IMAGE, config=config).outputs["result"].layer_type == "image"


def test_its_tests_are_judged_by_it(box: Path, config: dict[str, object]) -> None:
    tool = read_tool(f"{box / 'two.toy.json'}#scale")
    good, bad = run_tests(tool, config=config)
    assert (good.status, good.message) == ("pass", "")
    assert (bad.status, bad.message) == ("fail", "The sum is 40.0, not 41.")


def test_its_form(box: Path) -> None:
    from napari_tool_runner.widgets.forms.form_model import FormModel

    model = FormModel(read_tool(f"{box / 'two.toy.json'}#scale"))
    model.leaf("factor").set("-1")
    assert "at least 0" in (model.leaf("factor").problem or "")
    model.leaf("factor").set("2.5")
    assert model.leaf("factor").value == 2.5


def test_the_command_line_knows_it(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    descriptor = f"{box / 'two.toy.json'}#scale"
    assert main(["show", descriptor, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["id"], shown["dialect"], shown["descriptor"]) == ("scale", "toy", descriptor)
    assert main(["check", str(box)]) == 0
    assert "two.toy.json#copy: usable" in capsys.readouterr().out
    assert main(["test", descriptor, "--runner", "LOCAL"]) != 0
    said = capsys.readouterr()
    assert "41" in said.out + said.err


def test_without_the_folder_nothing_is_left_of_it(tmp_path: Path) -> None:
    assert list(dialects) == ["bioimageit", "galaxy"]
    path = tmp_path / "two.toy.json"
    path.write_text('{"toy_tools": {}}')
    with pytest.raises(DescriptorError, match=r"no descriptor language .*\(BioImageIT, Galaxy\)"):
        read_tool(path)


def test_an_installed_package_may_bring_a_language(box: Path, tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    told = site / "toys-1.0.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text(
        "[napari_tool_runner.dialects]\ntoy = toys:DIALECT\n"
        "absent = toys_of_others:DIALECT\nodd = toys:Toy\n"
    )
    (site / "toys.py").write_text(LANGUAGE)
    code = (
        "from napari_tool_runner.tools import dialects, read_tool\n"
        f"print(*dialects, read_tool({str(box / 'two.toy.json')!r} + '#copy').name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["bioimageit", "galaxy", "toy", "Copy", "it"]
    assert "toys_of_others:DIALECT cannot be loaded" in done.stderr
    assert "toys:Toy is no descriptor language" in done.stderr


def test_a_language_that_stumbles_hides_no_other(
    box: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (box / "plain.xml").write_text('<tool id="plain"><command>plain</command></tool>')
    (box / "bad.toy.json").write_text('{"toy_tools": {"bad": {}}}')
    shelf = Toolbox([ToolboxFolder("box", box)], cache_dir=tmp_path / "cache")
    assert list(shelf) == ["plain", "scale", "copy"]
    (problem,) = shelf.problems
    assert problem.path.name == "bad.toy.json"
    _replace(box, "score", "1 / 0")
    assert read_tool(box / "plain.xml").id == "plain"
    with pytest.raises(DescriptorError, match="no descriptor language"):
        read_tool(box / "package.json")
    assert "The language toy stumbles over" in caplog.text


def _replace(box: Path, method: str, body: str) -> None:
    """Give the language another method, as it is loaded when the reader starts."""
    file = box.parent / "languages" / "toy" / "dialect.py"
    rest = f"\n    def {method}(self, *given): {body}\n\n    def was_{method}("
    file.write_text(LANGUAGE.replace(f"\n    def {method}(", rest))
    reader.close()


def _rewrite(box: Path, tools_of_it: object) -> Path:
    path = box / "two.toy.json"
    path.write_text(json.dumps({"toy_tools": tools_of_it}))
    return path


@pytest.mark.parametrize("told", [5, None, {"a": 5}, {"a": {"run": []}}, ["a"]])
def test_a_file_that_its_language_did_not_expect(
    box: Path, told: object, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    path = _rewrite(box, told)
    caplog.set_level("INFO")
    for verb in ("show", "run", "test"):
        assert main([verb, str(path)]) == 1
        said = capsys.readouterr()
        assert f"The language Toy stumbles over {path}: " in said.out + said.err
        assert "Traceback" not in said.out + said.err
    assert main(["check", str(path)]) == 1
    assert f"stumbles over {path}" in capsys.readouterr().out
    assert "Traceback" in caplog.text
    assert "dialect.py" in caplog.text
    shelf = Toolbox([ToolboxFolder("box", box)], cache_dir=box.parent / "cache")
    assert [problem.path for problem in shelf.problems] == [path]


@pytest.mark.parametrize("method", ["render", "judge", "collect", "check", "verify"])
@pytest.mark.parametrize("body", ["return 1 / 0", "return None", "yield 1 / 0"])
def test_a_language_that_breaks_in_its_work(
    box: Path, config: dict[str, object], method: str, body: str
) -> None:
    tool = read_tool(f"{box / 'two.toy.json'}#scale")
    toy = dialects["toy"]
    scope: dict[str, type] = {}
    source = f"class Broken(type(toy)):\n    def {method}(self, *given): {body}"
    exec(source, {"toy": toy}, scope)
    toy.__class__ = scope["Broken"]
    sentence = f"The language Toy stumbles over {tool.path}: "
    if method == "check":
        _replace(box, method, body)
        assert sentence in check_paths([tool.path], variables={})[0].notes[-1].what
    elif method == "verify":
        report = next(run_tests(tool, config=config))
        assert report.status == "error"
        assert sentence in report.message
    else:
        with pytest.raises(ToolFailedError, match="The language Toy stumbles over"):
            ntr.run(tool, image=IMAGE, config=config)


@pytest.mark.parametrize("change", ["patterns = '*.json'", "patterns = (5,)", "name = 5"])
def test_a_language_of_another_shape_is_left_out(
    box: Path, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = box.parent / "languages" / "toy" / "dialect.py"
    file.write_text(LANGUAGE.replace("    def score", f"    {change}\n\n    def score"))
    assert list(dialects) == ["bioimageit", "galaxy"]
    assert "toy.dialect cannot be loaded" in caplog.text


ODD = ["a/b", "c#d", "we ird#n/ame|x", "../../up", "100%", "a%2Fb", "line\nbreak", "ü"]


def test_odd_names_of_tools_are_reached(
    box: Path, config: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    path = _rewrite(box, {name: {"title": f"T {name}", "run": RUN} for name in ODD})
    shelf = load_toolbox(config)
    listed = [entry for entry in shelf.entries if entry.toolbox == "box"]
    assert [entry.entry for entry in listed] == ODD
    for entry in listed:
        assert entry.path == path
        assert shelf[entry.key].uri == entry.uri
        as_it_is = f"{path}#{entry.entry}" if "%2F" not in entry.entry else entry.uri
        for ref in (entry.uri, entry.key, as_it_is):
            tool = find_tool(ref, shelf)
            assert (tool.entry, tool.path, tool.uri) == (entry.entry, path, entry.uri)
    assert [report.uri for report in check_paths([path], variables={})] == [e.uri for e in listed]
    approve(box)
    for name in ODD[:4]:
        result = ntr.run(shelf[name], image=IMAGE, config=config)
        record = read_record(result.workspace / "record.json")
        assert record.tool.file == path
        again, _ = rerun(record, load_config(config))
        assert compare_outputs(record, run_job(again)) == []


def test_all_tools_of_a_file_are_tested(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = box / "two.toy.json"
    assert main(["test", str(path), "--runner", "LOCAL"]) == 1
    said = capsys.readouterr()
    assert "pass  scale [0]" in said.out
    assert "copy: no tests" in said.err
