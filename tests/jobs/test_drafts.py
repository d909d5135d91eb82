"""New tools and tests: what authors let be made runs at once, and nothing is left otherwise."""

from __future__ import annotations

import json
import os
import textwrap
from pathlib import Path

import numpy as np
import pytest
import tifffile

import napari_tool_runner as ntr
from jobs.conftest import INVERT, MakeTool
from jobs.test_getting import index
from napari_tool_runner.cli import main
from napari_tool_runner.config import config_path, load_config
from napari_tool_runner.errors import DescriptorError, ToolRunnerError, WorkspaceError
from napari_tool_runner.jobs import (
    NewTools,
    Origin,
    RunRecord,
    drafted_test,
    history,
    new_tool,
    read_record,
    run_tests,
)
from napari_tool_runner.jobs.drafts import new_test
from napari_tool_runner.storage import write_json
from napari_tool_runner.tools import load_toolbox, read_tool
from napari_tool_runner.tools.bioimageit.writing import draft
from napari_tool_runner.tools.checker import check_paths
from napari_tool_runner.tools.drafts.guessing import sketches_of
from napari_tool_runner.tools.drafts.testing import NewTest, with_test
from napari_tool_runner.tools.toolbox.trust import approve
from plugins.pypi_index import Index, wheel

__all__ = ["index"]

IMAGE = np.arange(60, dtype=np.uint8).reshape(6, 10)
READS = "import tifffile\n"
WRITES = "tifffile.imwrite(str(a.output), tifffile.imread(str(a.image)))\n"
ARGPARSE = """
import argparse
import sys
from pathlib import Path
import tifffile
import helper

parser = argparse.ArgumentParser(description="Copy it.\\n\\nMore words.")
parser.add_argument("image", type=Path)
parser.add_argument("--level", type=float, default=1.5, help="how bright (default: %(default)s)")
parser.add_argument("--way", choices=["up", "down"], default="down")
parser.add_argument("--turns", type=int, choices=range(1, 6), default=2)
parser.add_argument("--invert", action="store_true")
parser.add_argument("--no-clean", dest="clean", action="store_false")
parser.add_argument("--fast", action=argparse.BooleanOptionalAction, default=True)
parser.add_argument("--seed", type=int)
parser.add_argument("--note")
parser.add_argument("--pick", choices=["a", "b"])
parser.add_argument("--size", type=int, nargs=2, default=[3, 4])
parser.add_argument("--pair", nargs=2)
parser.add_argument("--tags", nargs="*")
parser.add_argument("--more", action="append")
parser.add_argument("-v", action="count")
parser.add_argument("--own", type=lambda text: text.upper(), default="x")
parser.add_argument("--yes", type=bool, default=False)
parser.add_argument("--mask", type=Path)
parser.add_argument("--hidden", help=argparse.SUPPRESS)
group = parser.add_mutually_exclusive_group()
group.add_argument("--one", action="store_true")
group.add_argument("--two", action="store_true")
parser.add_argument("-o", "--output", type=Path, required=True)
a = parser.parse_args()
Path("began").write_text("")
assert (a.level, a.way, a.turns, a.invert, a.clean, a.fast) == (1.5, "down", 2, False, True, True)
assert (a.seed, a.note, a.pick, a.size, a.pair, a.mask) == (None, None, None, [3, 4], None, None)
tifffile.imwrite(a.output, tifffile.imread(a.image) * helper.ONE)
"""


def script(folder: Path, text: str, name: str = "do.py") -> Path:
    path = folder / "scripts" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


def made(tmp_path: Path, config: dict[str, object], text: str) -> NewTools:
    return new_tool(
        tmp_path / "box" / "it", Origin(script(tmp_path, text)), config=load_config(config)
    )


def statuses(path: Path, config: dict[str, object]) -> list[str]:
    return [report.status for report in run_tests(read_tool(path), config=load_config(config))]


def test_a_blank_tool_runs_and_its_test_passes(tmp_path: Path, config: dict[str, object]) -> None:
    found = new_tool(tmp_path / "box" / "my tool", Origin(), config=load_config(config))
    (path,) = found.paths
    assert found.notes == ()
    (report,) = check_paths([path])
    assert (report.usable, report.notes) == (True, ())
    assert statuses(path, config) == ["pass"]
    done = ntr.run(path, input=IMAGE, factor=3, config=config)
    assert np.array_equal(done.outputs["output"].data, IMAGE * 3.0)
    assert not [one for one in path.parent.parent.iterdir() if one.name.startswith(".")]
    assert len(history(load_config(config).workspaces)) <= 3  # neither of the question


def test_a_tool_is_made_in_a_home_whose_hidden_folders_are_shown_to_nobody(
    tmp_path: Path, config: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    found = new_tool(tmp_path / "tools" / "it", Origin(), config=load_config(config))
    assert found.notes == ()
    assert statuses(found.paths[0], config) == ["pass"]
    assert [one.name for one in (tmp_path / "tools").iterdir()] == ["it"]


def test_options_of_argparse_become_a_form(tmp_path: Path, config: dict[str, object]) -> None:
    script(tmp_path, "import other\nONE = other.ONE\n", "helper.py")
    script(tmp_path, "ONE = 1\n", "other.py")
    found = made(tmp_path, config, ARGPARSE)
    (path,) = found.paths
    tool = read_tool(path)
    kinds = {one.name: one.type for one in tool.parameters()}
    told = {
        "data": "image mask",
        "float": "level",
        "select": "way pick",
        "integer": "turns seed size_1 size_2",
        "boolean": "invert clean fast one two",
        "text": "note tags more own yes",
    }
    assert kinds == {name: kind for kind, names in told.items() for name in names.split()}
    parameters = {one.name: one for one in tool.parameters()}
    assert parameters["level"].help == "how bright"
    assert (parameters["turns"].minimum, parameters["turns"].maximum) == (1, 5)
    assert parameters["way"].default == "down"
    assert tool.description == "Copy it."
    assert [one.name for one in tool.outputs] == ["output"]
    notes = "\n".join(found.notes)
    for words in (
        "--tags takes several values",
        "--more may be given several times",
        "-v: it takes no value",
        "--own: its type “<lambda>”",
        "--yes: type=bool takes every text",
        "--pair takes 2 values",
        "Of one, two the script takes only one",
        "--mask is taken for a file that goes in",
        "--output is taken for a file that comes out",
    ):
        assert words in notes
    assert not (tmp_path / "scripts" / "began").exists()
    assert statuses(path, config) == ["pass"]
    assert {one.name for one in path.parent.glob("*.py")} == {"do.py", "helper.py", "other.py"}


def test_what_no_field_can_show_is_left_to_the_script(
    tmp_path: Path, config: dict[str, object]
) -> None:
    text = """
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("image", help="The image (required)")
    parser.add_argument("--low", type=float, default=float("nan"), help="[Required] low")
    parser.add_argument("--high", type=float, default=float("inf"), help="Required: the end")
    parser.add_argument("--most", type=int, default=10**400)
    parser.add_argument("--sizes", type=float, nargs="+", default=[float("nan"), 2.0])
    parser.add_argument("--needed", type=float, required=True, help="What is required of it")
    parser.add_argument("--out", required=True)
    open(parser.parse_args().out, "w")
    """
    found = made(tmp_path, config, text)
    tool = read_tool(found.paths[0])
    options = {one.name: one for one in tool.parameters()}
    for name in ("low", "high", "most", "sizes"):
        assert options[name].optional, name
        assert options[name].default is None
    assert not options["needed"].optional
    helps = [options[name].help for name in ("image", "low", "high", "needed")]
    assert helps == ["The image", "low", "the end", "What is required of it"]
    assert "--high: while its field is empty, the script takes its own inf." in found.notes
    assert not [note for note in tool.notes if "no number" in note.what]


def test_subcommands_become_tools(tmp_path: Path, config: dict[str, object]) -> None:
    text = """
    import argparse
    import tifffile
    parser = argparse.ArgumentParser()
    parser.add_argument("--loud", action="store_true")
    commands = parser.add_subparsers(dest="command")
    copy = commands.add_parser("copy", help="Copy it.", aliases=["cp"])
    copy.add_argument("--image", required=True)
    copy.add_argument("--output", required=True)
    commands.add_parser("say").add_argument("--words", default="hello")
    def main():
        a = parser.parse_args()
        assert a.command == "copy"
        tifffile.imwrite(a.output, tifffile.imread(a.image))
    main()
    """
    found = made(tmp_path, config, text)
    copy, say = found.paths
    assert (copy.name, say.name) == ("it_copy.xml", "it_say.xml")
    assert statuses(copy, config) == ["pass"]
    assert read_tool(copy).description == "Copy it."
    assert any("it_say.xml has no test yet: " in note for note in found.notes)
    assert any("No argument looks like a file" in note for note in found.notes)


CLICK = """
import click
import tifffile
@click.command()
@click.argument("image", type=click.Path(exists=True))
@click.option("--target", type=click.Path(), required=True)
@click.option("--sigma", type=click.FloatRange(0, 10), default=1.5, help="how far")
@click.option("--count", type=click.IntRange(1, 9, max_open=True), required=True)
@click.option("--mode", type=click.Choice(["a", "b"]))
@click.option("--fast/--slow", default=True)
@click.option("--many", multiple=True)
@click.option("--level", default=lambda: 3)
@click.option("-v", count=True)
def cli(image, target, sigma, count, mode, fast, many, level, v):
    "Do it."
    assert (sigma, count, mode, fast) == (1.5, 1, None, True)
    tifffile.imwrite(target, tifffile.imread(image))
if __name__ == "__main__":
    cli()
"""
TYPER = """
import enum
from pathlib import Path
from typing import Annotated, Optional
import tifffile
import typer
class Way(str, enum.Enum):
    up = "up"
    down = "down"
def main(
    image: Annotated[Path, typer.Argument(help="the image")], output: Path, sigma: float = 1.5,
    fast: bool = True, count: Annotated[int, typer.Option(min=1, max=8)] = 1,
    mode: Optional[Way] = None,
):
    "Do it."
    assert (sigma, count, mode, fast) == (1.5, 1, None, True)
    tifffile.imwrite(output, tifffile.imread(image))
if __name__ == "__main__":
    typer.run(main)
"""


@pytest.mark.parametrize("library", ["click", "typer"])
def test_options_of_click_and_typer(
    tmp_path: Path, config: dict[str, object], library: str
) -> None:
    pytest.importorskip(library)
    (path,) = made(tmp_path, config, CLICK if library == "click" else TYPER).paths
    parameters = {one.name: one for one in read_tool(path).parameters()}
    assert parameters["image"].type == "data"
    assert parameters["sigma"].default == 1.5
    assert (parameters["count"].minimum, parameters["count"].maximum) == (1, 8)
    assert len(parameters["mode"].options) == 3
    assert (parameters["fast"].default, parameters["fast"].true_value) == (True, "--fast")
    assert statuses(path, config) == ["pass"]


def test_a_parser_that_is_not_used_when_it_is_run(
    tmp_path: Path, config: dict[str, object]
) -> None:
    text = """
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("--out-dir")
    parser.add_argument("folder")
    parser.add_argument("--save", default="a.csv")
    """
    found = made(tmp_path, config, text)
    tool = read_tool(found.paths[0])
    assert [one.type for one in tool.parameters()] == ["directory", "directory"]
    assert tool.outputs[0].format == "csv"
    told = " ".join(found.notes)
    assert "--out-dir is a folder that the script writes into" in told
    assert "Nobody knows a folder for “folder”" in told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("print(1)", "no parser of argparse, click or typer"),
        ("raise SystemExit('no licence')", "ended before argparse.*: no licence. Let one"),
        ("import nothing_of_that_name", "The module “nothing_of_that_name”, which line 1 of"),
        ("x = 1\ninput('name?')", "at line 2 of do.py: EOFError"),
        ("import time\nwhile True: time.sleep(1)", "could not be asked"),
        ("import sys\nopen(sys.argv[0] if 0 else '/dev/null')\n1/0", "ZeroDivisionError"),
        ("def f(:", r"Python 3\.\d+ cannot read line 1 of do.py: invalid syntax. Mend it"),
        ("x = (1,\ny = 2\n", "line 1 of do.py: '\\(' was never closed"),
        ("if 1:\n\tx = 1\n        y = 2", "line 3 of do.py: inconsistent use of tabs"),
        ("print 'x'", r"Did you mean print\(...\)\? Mend it"),
        ("# coding: nonsense", "cannot read do.py: unknown encoding: nonsense. Mend"),
    ],
)
def test_a_script_that_cannot_be_asked_leaves_nothing(
    tmp_path: Path, config: dict[str, object], text: str, words: str
) -> None:
    origin = Origin(script(tmp_path, text))
    with pytest.raises(ToolRunnerError, match=words):
        new_tool(tmp_path / "box" / "it", origin, config=load_config(config), timeout=5)
    assert not (tmp_path / "box").exists()


NEEDY = """
import argparse
import tiny
parser = argparse.ArgumentParser()
parser.add_argument("--n", type=int, default=3)
parser.add_argument("--table", required=True)
a = parser.parse_args()
open(a.table, "w").write(f"version\\n{tiny.VERSION}\\n")
"""


@pytest.mark.parametrize("beside", [False, True])
def test_a_script_is_asked_where_its_own_head_says(
    tmp_path: Path, index: Index, beside: bool
) -> None:
    """Its module “is not there”, it said, of a script that names the package in its head."""
    index.add("tiny", wheel("tiny", "1.0"), wheel("tiny", "2.0"))
    head = '# /// script\n# dependencies = ["tiny<2"]\n# ///\n'
    asked = script(tmp_path, NEEDY if beside else head + NEEDY)
    if beside:
        asked.with_name("requirements.txt").write_text("tiny<2\n")
    told = {
        "runner": {"environments_dir": str(tmp_path / "envs")},
        "workspace": str(tmp_path / "j"),
    }
    config = load_config(told)
    (path,) = new_tool(tmp_path / "box" / "it", Origin(asked), config=config).paths
    tool = read_tool(path)
    (needed,) = tool.requirements
    assert (needed.type, needed.asked) == ("pip", "tiny<2")
    (output,) = ntr.run(path, config=config).outputs.values()
    assert output.path.read_text().split() == ["version", "1.0"]


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_no_link_is_followed_for_a_script(tmp_path: Path, config: dict[str, object]) -> None:
    """A stranger's script imports “key”, a link to what the walls hide from it."""
    (tmp_path / "id_rsa").write_text("KEY = 1")
    place = script(
        tmp_path,
        """
        import argparse, os.path as where, plain as p
        try:
            import key, pipe, large, deep
        except ImportError as error:
            pass
        parser = argparse.ArgumentParser()
        parser.add_argument("--output", default=p.NAME)
        open(parser.parse_args().output, "w").write("x")
        """,
    )
    beside = place.parent
    (beside / "plain.py").write_text(
        "NAME = 'a.txt'\nfrom inner.more import x" * 0 + "NAME='a.txt'"
    )
    (beside / "key.py").symlink_to(tmp_path / "id_rsa")
    os.mkfifo(beside / "pipe.py")
    (beside / "large.py").write_bytes(b" " * (2**20 + 1))
    (beside / "deep.py").write_text("-" * 500_000 + "1")
    found = new_tool(tmp_path / "box" / "it", Origin(place), config=load_config(config))
    here = {one.name for one in (tmp_path / "box" / "it").glob("*.py")}
    assert here == {"do.py", "plain.py", "deep.py"}
    told = " ".join(found.notes)
    for name in ("key", "pipe", "large"):
        assert f"The module {name}, which it imports, is left out" in told


PACKAGE = {
    "labkit/__init__.py": "",
    "labkit/files.py": "from .inner import deep\nfrom . import numbers\nimport plain\n"
    "NAME = deep.NAME",
    "labkit/numbers.py": "import json, pathlib\n"
    "ALL = json.loads(pathlib.Path(__file__).with_name('all.json').read_text())",
    "labkit/all.json": "[1]",
    "labkit/inner/__init__.py": "",
    "labkit/inner/deep.py": "import labkit.numbers\nNAME = 'a.txt'",
    "labkit/tests/test_it.py": "",
    "labkit/.venv/lib/large.py": "",
    "labkit/own/pyvenv.cfg": "",
    "labkit/own/lib/one.py": "",
    "plain.py": "import space.part",
    "space/part.py": "",  # no __init__: a package all the same
    "other/data.csv": "",
    "unused/__init__.py": "",
}
ASKS = """
import argparse
try:
    import other
except ImportError:
    pass
parser = argparse.ArgumentParser()
parser.add_argument("--output", default=NAME)
open(parser.parse_args().output, "w").write("x")
"""


@pytest.mark.parametrize(
    "how",
    [
        "from labkit.files import NAME",
        "import labkit.files\nNAME = labkit.files.NAME",
        "from labkit import files\nNAME = files.NAME",
        "import sys\nsys.path.insert(0, sys.path[0])\nfrom labkit.files import NAME",
    ],
)
def test_a_package_beside_a_script_is_copied(
    tmp_path: Path, config: dict[str, object], how: str
) -> None:
    place = script(tmp_path, how + ASKS)
    for name, text in PACKAGE.items():
        path = place.parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (place.parent / "labkit" / "stack.npy").write_bytes(b" " * (2**20 + 1))
    found = new_tool(tmp_path / "box" / "it", Origin(place), config=load_config(config))
    box = tmp_path / "box" / "it"
    here = {one.relative_to(box).as_posix() for one in box.rglob("*") if one.is_file()}
    left = {"labkit/tests/test_it.py", "labkit/.venv/lib/large.py", "labkit/own/pyvenv.cfg"}
    left |= {"labkit/own/lib/one.py", "other/data.csv", "unused/__init__.py"}
    assert here >= PACKAGE.keys() - left
    assert not here & {*left, "labkit/stack.npy"}
    assert "1 file left out (labkit/stack.npy)" in " ".join(found.notes)
    assert statuses(found.paths[0], config) == ["pass"]


def test_a_large_package_is_copied_in_part_and_that_is_told(
    tmp_path: Path, config: dict[str, object]
) -> None:
    place = script(tmp_path, "import large.m249")
    (place.parent / "large").mkdir()
    for count in range(250):
        (place.parent / "large" / f"m{count:03}.py").touch()
    with pytest.raises(DescriptorError, match=r"“large.*50 files left out \(large/m200.py, "):
        new_tool(tmp_path / "box" / "it", Origin(place), config=load_config(config))


def test_a_tool_is_called_as_it_was_named(tmp_path: Path, config: dict[str, object]) -> None:
    found = new_tool(
        tmp_path / "mein_zahler", Origin(), title="Mein Zähler", config=load_config(config)
    )
    assert found.paths[0].name == "mein_zahler.xml"
    tool = read_tool(found.paths[0])
    assert (tool.name, tool.id) == ("Mein Zähler", "mein_zahler")


def test_a_folder_that_is_there_stays(tmp_path: Path, config: dict[str, object]) -> None:
    (tmp_path / "it").mkdir()
    with pytest.raises(DescriptorError, match="there already"):
        new_tool(tmp_path / "it", Origin(), config=load_config(config))
    with pytest.raises(DescriptorError, match="cannot be made"):
        new_tool(tmp_path / "x", Origin(tmp_path / "none.py"), config=load_config(config))
    assert [one.name for one in tmp_path.iterdir() if "new" in one.name] == []


def command(argument: dict[str, object], *words: str) -> dict[str, object]:
    """Return a command as the probe tells it."""
    plain = {
        "name": "a", "flags": ["--a"], "help": "", "required": False, "default": None,
        "kind": "text", "on": "", "off": "", "choices": None, "nargs": None, "minimum": None,
        "maximum": None, "repeated": False, "unknown": "", "mode": "", "folder": False,
    }  # fmt: skip
    told = {"words": [*words], "help": "", "before": [], "exclusive": []}
    return {**told, "arguments": [{**plain, **argument}]}


IMAGE_IN = ("data", "imagetiff", "image")
IMAGE_OUT = ("output", "imagetiff", "image")
LABELS_IN = ("data", "imagetiff", "labels")
LABELS_OUT = ("output", "imagetiff", "labels")
TABLE_OUT = ("output", "csv", "table")
TEXT = ("text", "", "")


@pytest.mark.parametrize(
    ("argument", "role"),
    [
        ({"name": "bild", "flags": [], "help": "Bild (TIFF)"}, IMAGE_IN),
        ({"name": "ausgabe", "flags": [], "help": "Maske"}, LABELS_OUT),
        ({"name": "aufnahme2", "help": "Bild (TIFF)"}, IMAGE_IN),
        ({"name": "a", "help": "labels image", "kind": "path"}, LABELS_IN),
        ({"name": "image", "help": "labels image"}, LABELS_IN),
        ({"name": "input", "help": "Labels image of the nuclei"}, LABELS_IN),
        ({"name": "input", "help": "Image to be masked, without labels"}, IMAGE_IN),
        ({"name": "input", "help": "path to the label image"}, LABELS_IN),
        ({"name": "masque", "flags": []}, LABELS_IN),
        ({"name": "sortie", "help": "image de labels"}, LABELS_OUT),
        ({"name": "imagen", "flags": []}, IMAGE_IN),
        ({"name": "salida", "help": "Máscara"}, LABELS_OUT),
        ({"name": "tabelle"}, TABLE_OUT),
        ({"name": "table", "kind": "path", "default": "stats.csv"}, TABLE_OUT),
        ({"name": "a", "kind": "path", "default": "stats.csv"}, TABLE_OUT),
        ({"name": "a", "kind": "path", "default": "here.csv"}, ("data", "csv", "table")),
        ({"name": "input", "default": "stats.csv"}, ("data", "csv", "table")),
        ({"name": "table", "flags": []}, ("data", "csv", "table")),
        ({"name": "csv", "help": "Measurements to read"}, ("data", "csv", "table")),
        ({"name": "a", "kind": "path", "metavar": "OUTPUT"}, IMAGE_OUT),
        ({"name": "a", "kind": "path", "metavar": "OUT.csv"}, TABLE_OUT),
        ({"name": "a", "kind": "path", "help": "Where to write the mask"}, LABELS_OUT),
        ({"name": "a", "kind": "path", "help": "Bild, wird gelesen"}, IMAGE_IN),
        ({"name": "ausgabeordner"}, ("folder", "", "")),
        ({"name": "label"}, TEXT),
        ({"name": "note", "help": "Written into the file"}, TEXT),
        ({"name": "format", "help": "Image format: tiff or png"}, TEXT),
    ],
)
def test_words_say_what_an_argument_is(
    tmp_path: Path, argument: dict[str, object], role: tuple[str, str, str]
) -> None:
    (tmp_path / "here.csv").touch()
    told = command({"flags": [f"--{argument['name']}"], **argument})
    ((sketch,), _) = sketches_of({"commands": [told]}, "it", tmp_path / "it.py")
    (found,) = sketch.arguments
    assert (found.role, found.format, found.layer) == role


def test_what_no_descriptor_can_hold_is_written_out() -> None:
    odd = command({"help": "\x00\ud800 %(default)s" + " " * 300_000, "choices": ["\x01"]}, "x y")
    many = {"choices": [str(number) for number in range(2000)], "kind": "choice"}
    wide = command({"maximum": 10**400, "minimum": -1e999, **many}, "x_y")
    sketches, notes = sketches_of({"commands": [odd, wide]}, "it", Path("it.py"))
    assert any("has 2000 choices" in note for note in notes)
    beyond = sketches[1].arguments[0]
    assert (beyond.minimum, beyond.maximum, beyond.role) == (None, None, "text")
    assert [one.id for one in sketches] == ["it_x_y", "it_x_y_2"]  # two files
    argument = sketches[0].arguments[0]
    assert argument.help.startswith(r"\x00\ud800")
    assert argument.choices == (r"\x01",)
    assert "'x y'" in draft(sketches[0])
    draft(sketches[0]).encode()


@pytest.mark.parametrize(
    "told",
    [
        None, {}, {"commands": []}, {"commands": [3]},
        {"commands": [{"words": [], "before": [], "arguments": [{}], "exclusive": []}]},
        {"commands": [{"words": 1, "before": [], "arguments": [], "exclusive": []}]},
    ],
)  # fmt: skip
def test_what_a_script_tells_itself_is_looked_at(told: object) -> None:
    with pytest.raises(DescriptorError, match="is of no use"):
        sketches_of(told, "x", Path("x.py"))


def test_a_tool_is_made_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = script(tmp_path, ARGPARSE.replace("import helper", "").replace(" * helper.ONE", ""))
    folder = tmp_path / "box" / "it"
    assert main(["new", str(folder), "--script", str(place)]) == 1
    told = capsys.readouterr().err
    assert "Start only what you trust" in told
    assert "nothing was made" in told
    assert not folder.exists()
    assert main(["new", str(folder), "--script", str(place), "--yes", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["descriptors"] == [str(folder / "it.xml")]
    assert main(["new", str(tmp_path / "box" / "blank")]) == 0
    assert main(["test", str(tmp_path / "box" / "blank" / "blank.xml")]) == 0


# -- a test of a run -----------------------------------------------------------------------


def last(config: dict[str, object], tool: str = "invert") -> RunRecord:
    """Return the job of a tool that has only one: those of one second have no order."""
    found = history(load_config(config).workspaces)
    (record,) = (record for record in found if record.tool.id == tool)
    return record


def test_a_run_becomes_a_test(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path
) -> None:
    number = '<param name="n" type="integer" value="1"/><param name="b" type="boolean"/>'
    image = '<param name="i" type="data" format="imagetiff"/>'
    tool = make_tool(INVERT, inputs=image + number, arguments="${i} ${o} ${n} ${b}")
    ntr.run(tool, i=IMAGE, n=3, b=True, config=config)
    first = last(config)
    draft = drafted_test(first, load_config(config))
    assert draft.values == {"n": "3", "b": "true"}
    assert "2 files" in draft.told()
    assert f"{tool.path.parent / 'test-data'}" in draft.told()
    before = tool.path.read_text()
    draft.write(load_config(config))
    after = read_tool(tool.path)
    assert len(after.tests) == 1
    assert after.tests[0].values["n"] == "3"
    assert statuses(tool.path, config) == ["pass"]
    (report,) = check_paths([tool.path])
    assert not [note for note in report.notes if note.where.startswith("tests")]
    # the text around it stays, the same files are not copied twice
    assert tool.path.read_text().startswith(before.partition("</tests>")[0])
    count = len([*(tool.path.parent / "test-data").iterdir()])
    with pytest.raises(WorkspaceError, match="has changed since"):
        drafted_test(first, load_config(config))
    again = ntr.run(after, i=IMAGE, n=3, b=True, config=config, cache=False)
    record = read_record(again.workspace / "record.json")
    drafted_test(record, load_config(config)).write(load_config(config))
    assert len([*(tool.path.parent / "test-data").iterdir()]) == count
    assert statuses(tool.path, config) == ["pass", "pass"]


NOISE = """
import sys, time, numpy, tifffile
image = tifffile.imread(sys.argv[1])
seed = time.time_ns() % 2**32
tifffile.imwrite(sys.argv[2], numpy.random.default_rng(seed).integers(0, 255, image.shape))
"""


def test_a_result_that_is_another_each_time_makes_no_test(
    make_tool: MakeTool, config: dict[str, object]
) -> None:
    tool = make_tool(NOISE)
    ntr.run(tool, i=IMAGE, config=config)
    before = tool.path.read_bytes()
    with pytest.raises(DescriptorError, match="fails when it is run again"):
        drafted_test(last(config), load_config(config)).write(load_config(config))
    assert tool.path.read_bytes() == before
    assert [*(tool.path.parent / "test-data").iterdir()] == []


def test_of_what_no_test_is_made(make_tool: MakeTool, config: dict[str, object]) -> None:
    settings = load_config(config)
    ntr.run("threshold", input=IMAGE, config=config)
    with pytest.raises(WorkspaceError, match="ships with this program"):
        drafted_test(last(config, "threshold"), settings)
    bad = make_tool("raise SystemExit(2)", name="bad")
    with pytest.raises(ToolRunnerError):
        ntr.run(bad, i=IMAGE, config=config)
    with pytest.raises(WorkspaceError, match="it has no result"):
        drafted_test(last(config, "bad"), settings)
    tool = make_tool(INVERT)
    result = ntr.run(tool, i=IMAGE, config=config)
    draft = drafted_test(last(config), settings)
    result.outputs["o"].path.unlink()
    with pytest.raises(WorkspaceError, match="is gone"):
        drafted_test(last(config), settings)
    tool.path.write_text(tool.path.read_text() + "\n")
    with pytest.raises(DescriptorError, match="has changed meanwhile"):
        draft.write(settings)


def test_a_test_is_added_where_a_stranger_wrote_a_million_blanks() -> None:
    blanks = " " * 1_000_000
    text = f"<tool>{blanks}x{blanks}\n  <help/></tool>"
    added = with_test(text, NewTest({"n": "1"}), {})
    assert added.startswith(f"<tool>{blanks}x{blanks}\n  <tests>\n")
    assert added.endswith("  </tests>\n  <help/></tool>")


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
@pytest.mark.parametrize("approved", [False, True])
def test_a_test_is_written_through_no_link(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path, approved: bool
) -> None:
    """What a stranger's program wrote would lie where the link leads."""
    tool = make_tool(INVERT)
    box, place = tool.path.parent, tmp_path / "elsewhere"
    place.mkdir()
    (box / "test-data").symlink_to(place)
    if approved:
        write_json(config_path(), {"process": {"xml_dirs": [str(box)]}})
        approve(box)
        tool = load_toolbox(load_config())[tool.id]
    ntr.run(tool, i=IMAGE, config=config)
    record = last(config)
    before = tool.path.read_bytes()
    with pytest.raises(ToolRunnerError, match="test-data"):
        drafted_test(record, load_config(config)).write(load_config(config))
    assert tool.path.read_bytes() == before
    assert [*place.iterdir()] == []
    tool.path.rename(box / "real.txt")
    tool.path.symlink_to("real.txt")
    with pytest.raises(WorkspaceError, match="is a link"):
        drafted_test(record, load_config(config))


def test_a_strangers_record_makes_no_test(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path
) -> None:
    """It could name files of the user, which would lie in a folder that is handed on."""
    ntr.run(make_tool(INVERT), i=IMAGE, config=config)
    record = last(config)
    moved = tmp_path / "sent"
    record.folder.rename(moved)
    sent = read_record(moved / "record.json")
    assert not sent.ours
    with pytest.raises(WorkspaceError, match="was not run here"):
        drafted_test(sent, load_config(config))


def test_a_test_is_made_on_the_command_line(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    tool = make_tool(INVERT)
    ntr.run(tool, i=IMAGE, config=config)
    place = tmp_path / "config.json"
    place.write_text(json.dumps(config))
    asked = ["make-test", str(last(config).folder), "--config", str(place)]
    monkeypatch.setattr("napari_tool_runner.jobs.MUCH", 1, raising=False)
    monkeypatch.setattr(new_test, "MUCH", 1)
    assert main(asked) == 1
    assert "nothing was written" in capsys.readouterr().err
    assert main([*asked, "--yes"]) == 0
    assert str(tool.path) in capsys.readouterr().out
    assert statuses(tool.path, config) == ["pass"]
    assert tifffile.imread(tool.path.parent / "test-data" / "invert_o.tif").shape == IMAGE.shape
