"""What templates ask of values, datasets and collections, and what they are refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from napari_tool_runner.errors import DescriptorError, ParameterError, TemplateError
from napari_tool_runner.tools.dialect import DataCollection, DataFile, JobPaths
from napari_tool_runner.tools.galaxy.script import Rules
from napari_tool_runner.tools.galaxy.templates import fill
from napari_tool_runner.tools.model import Tool

if TYPE_CHECKING:
    from conftest import Run  # type: ignore[import-not-found]

Line = Callable[..., str]
Make = Callable[..., Tool]
Data = Callable[..., DataFile]

TREE = """<param name="d" type="drill_down" hierarchy="exact" display="radio"><options>
<option name="Animals" value="animals"><option name="Mouse" value="mouse"/></option>
<option name="Plants" value="plants"/></options></param>"""
LETTERS = "".join(f'<option value="{v}">Letter {v}</option>' for v in ("a", "b", "abc"))


def tool(make: Make, command: str, inputs: str = "", **more: str) -> Tool:
    body = f"<command><![CDATA[{command}]]></command><inputs>{inputs}</inputs><outputs/>"
    return make(body, **more)


# -- values --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("$x.get_display_text()", "'a b'"),
        ("$x.get_display_text(False)", "a b"),
        ("#for $part in $x#<$part>#end for#", "<a b>"),
        ("#echo len(set([$x, $x]))#", "1"),
        ("#if $x > 'a'#later#else#sooner#end if#", "later"),
        ("$x.upper()", "A B"),
    ],
)
def test_a_text(descriptor: Make, line: Line, command: str, expected: str) -> None:
    assert (
        line(tool(descriptor, command, '<param name="x" type="text"/>'), {"x": "a b"}) == expected
    )


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("$s.get_display_text()", "'Letter abc'"),
        ("#if $s == $t#same#else#other#end if#", "same"),
        ("#if $s == 3#same#else#other#end if#", "other"),
        ("#echo len(set([$s, $t]))#", "1"),
        ("#echo len($s)#", "3"),
        ("#echo len($m)#", "2"),
        ("[$m.separator] $s.name", "[;] s"),
        ("$m.fields.value $m.fields.name", "a;b Letter a;Letter b"),
        ("$d $d.value_label", "mouse Mouse"),
        ("$e [$e.value_label]", "None [Nothing selected.]"),
    ],
)
def test_a_choice(descriptor: Make, line: Line, command: str, expected: str) -> None:
    inputs = (
        f'<param name="s" type="select">{LETTERS}</param>'
        f'<param name="t" type="select">{LETTERS}</param>'
        f'<param name="m" type="select" multiple="true" separator=";">{LETTERS}</param>'
        + TREE
        + TREE.replace('name="d"', 'name="e" optional="true"')
    )
    values = {"s": "abc", "t": "abc", "m": ["a", "b"], "d": "mouse"}
    assert line(tool(descriptor, command, inputs), values) == expected


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("#for $i in $s#x#end for#", "takes one choice"),
        ("$s.fields.colour", "colour"),
        ("$c.single_item", "single_item|single item"),
        ("$c.third", "third"),
        ("$i.metadata._load_", "_load_"),
    ],
)
def test_what_has_no_value_is_named(
    descriptor: Make, line: Line, dataset: Data, command: str, word: str
) -> None:
    inputs = (
        f'<param name="s" type="select">{LETTERS}</param>'
        '<param name="c" type="data_collection" collection_type="list"/>'
        '<param name="i" type="data"/>'
    )
    file = dataset("a.txt", "a")
    values = {"s": "a", "c": [file, dataset("b.txt")], "i": file}
    with pytest.raises(TemplateError, match=word):
        line(tool(descriptor, command, inputs), values)


# -- datasets ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("#if $i.metadata.element_is_set('columns')#yes#end if#", "yes"),
        ("#if $i.metadata.element_is_set('frames')#yes#else#no#end if#", "no"),
        (
            "$i.metadata.column_types $i.metadata.column_names",
            "int,str __ob____sq__n__sq__, __sq__word__sq____cb__",
        ),
        ("#echo dict($i.metadata.items())['data_lines']#", "2"),
        ("#echo 'columns' in list($i.metadata)#", "True"),
        ("#if $i.metadata#yes#end if##if $none.metadata#no#end if#", "yes"),
        ("[$none.metadata.columns] $none.get_size() $none.extra_files_path", "[] 0 None"),
        ("#if $i == $i.file_name and not $i == $none#same#end if#", "same"),
        ("#echo len(set([$i, $i]))#", "1"),
        ("$i.datatype #if $i.datatype.is_of_type('txt')#text#end if#", "csv text"),
        ("$i.get_display_text()", "t.csv"),
        ("#if $i.extra_files_path_exists()#yes#else#no#end if#", "no"),
        ("#echo $i.extra_files_path.rsplit('/', 1)[1]#", "t.csv_files"),
        ("$m.get_datasets_for_group('x')", "[]"),
    ],
)
def test_a_dataset(
    descriptor: Make, line: Line, dataset: Data, command: str, expected: str
) -> None:
    inputs = (
        '<param name="i" type="data" format="csv"/>'
        '<param name="none" type="data" optional="true" format="csv"/>'
        '<param name="m" type="data" multiple="true" format="csv"/>'
    )
    file = dataset("t.csv", "n,word\n1,a\n2,b\n")
    assert line(tool(descriptor, command, inputs), {"i": file, "m": [file]}) == expected


def test_a_folder_as_a_dataset(descriptor: Make, line: Line, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "a").write_text("12345")
    (folder / "b").write_text("123")
    made = tool(
        descriptor,
        "$i.get_size() $i.extra_files_path",
        '<param name="i" type="data" format="directory"/>',
    )
    assert line(made, {"i": DataFile(folder, "directory", "f")}) == f"8 {folder}"
    told = DataFile(folder, "directory", "f", {"extra_files_path": "/elsewhere"})
    assert line(made, {"i": told}) == "8 /elsewhere"


def test_paths_as_a_file(descriptor: Make, run: Callable[..., Run], dataset: Data) -> None:
    made = tool(
        descriptor,
        "cat '$m.paths_as_file()'; echo; cat '$c.paths_as_file(sep=\":\")'",
        '<param name="m" type="data" multiple="true"/>'
        '<param name="c" type="data_collection" collection_type="list"/>',
    )
    one, two = dataset("a.txt"), dataset("b.txt")
    done = run(made, {"m": [one, two], "c": [two, one]})
    assert done.stdout == f"{one.path}\n{two.path}\n{two.path}:{one.path}"


# -- collections ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("#if $none.is_input_supplied#yes#else#no#end if#", "no"),
        ("#if $c.is_input_supplied#yes#else#no#end if#", "yes"),
        ("$none [$none.forward] [$none[0]]", "None [] []"),
        ("#if $none['forward'] is None#absent#end if#", "absent"),
        ("#if $none#yes#else#no#end if# #if $c#yes#end if#", "no yes"),
        ("#echo len($c)# $c.safe_element_identifier", "2 pair"),
    ],
)
def test_a_collection(
    descriptor: Make, line: Line, dataset: Data, command: str, expected: str
) -> None:
    kind = 'type="data_collection" collection_type="paired"'
    made = tool(
        descriptor, command, f'<param name="c" {kind}/><param name="none" {kind} optional="true"/>'
    )
    pair = DataCollection("paired", (("forward", dataset("f")), ("reverse", dataset("r"))), "pair")
    assert line(made, {"c": pair}) == expected


def test_a_collection_as_text_is_its_paths(descriptor: Make, line: Line, dataset: Data) -> None:
    made = tool(
        descriptor, "$c", '<param name="c" type="data_collection" collection_type="list"/>'
    )
    files = [dataset("a.txt"), dataset("b.txt")]
    assert line(made, {"c": files}) == ",".join(str(file.path) for file in files)


# -- what stands in a dataset's place ------------------------------------------------


def test_one_dataset_where_one_is_taken(descriptor: Make, line: Line, dataset: Data) -> None:
    made = tool(descriptor, "$i", '<param name="i" type="data" label="Image"/>')
    one, two = dataset("a.txt"), dataset("b.txt")
    for value in (one, [one], str(one.path), one.path, DataCollection("list", (("x", one),))):
        assert line(made, {"i": value}) == str(one.path)
    for several in ([one, two], DataCollection("list", (("x", one), ("y", two)))):
        with pytest.raises(ParameterError, match=r"“Image” takes one dataset, not 2\.") as error:
            line(made, {"i": several})
        assert error.value.name == "i"


def test_what_is_no_dataset(descriptor: Make, line: Line) -> None:
    made = tool(descriptor, "$i", '<param name="i" type="data"/>')
    with pytest.raises(DescriptorError, match="must be exported first"):
        line(made, {"i": 5})


def test_a_nested_collection_where_several_are_taken(
    descriptor: Make, line: Line, dataset: Data
) -> None:
    made = tool(
        descriptor,
        "#for $i in $m#$i.element_identifier #end for#",
        '<param name="m" type="data" multiple="true"/>',
    )
    inner = DataCollection("list", (("y", dataset("b.txt")), ("z", dataset("c.txt"))))
    nested = DataCollection("list:list", (("x", dataset("a.txt")), ("in", inner)))
    assert line(made, {"m": nested}).split() == ["x", "y", "z"]


# -- the form as JSON ----------------------------------------------------------------


@pytest.mark.parametrize(("profile", "chosen"), [("20.01", "a,b"), ("23.0", ["a", "b"])])
def test_choices_as_json(
    descriptor: Make, run: Callable[..., Run], profile: str, chosen: object
) -> None:
    made = descriptor(
        '<command>cat "$inputs"</command>'
        '<configfiles><inputs name="inputs"/></configfiles><inputs>'
        f'<param name="m" type="select" multiple="true">{LETTERS}</param>{TREE}'
        '<param name="x" type="text" optional="true"/></inputs><outputs/>',
        profile=profile,
    )
    done = run(made, {"m": ["a", "b"], "d": "mouse"})
    found = json.loads(done.stdout)
    assert (found["m"], found["d"]) == (chosen, ["mouse"])


# -- what is told of a template that breaks ------------------------------------------


@pytest.mark.parametrize(
    ("template", "number", "words"),
    [
        ("a\n#set $x = 1 / 0\n$x", 2, "ZeroDivisionError: division by zero"),
        ("#set $y = 0\n#set global $x = 2\n#set $x = 1 / $y\n$x", 3, "division by zero"),
        ("#set $x = [1]\n#set $x[0] = 2\n#set $x[1] = 3\n#set $x[2] = 4", 3, "IndexError"),
        ("#set $y = 0\n$y\n#set global $x = 1\n#set global $x = 1 / $y", 4, "division by zero"),
        ("a\n#set $y = 0\nb\n#if 1 / $y\nc\n#end if", 4, "division by zero"),
        ("#for $i in [1]\n${i.nope}\n#end for", 2, "it uses “$nope”, which has no value here"),
        ("a\nb\n  ${missing}\n$missing", 3, "it uses “$missing”, which has no value here"),
        ("a\n\n${1 +}", 3, "it is no valid template"),
        ("a\n#if $x\nb", 0, "it is no valid template: Some #directives are missing"),
        ("#raise ValueError('\\n no \\nmore')", 0, "ValueError: no."),
        ("#raise ValueError()", 0, "ValueError: no message."),
    ],
)
def test_the_line_that_breaks_is_named(template: str, number: int, words: str) -> None:
    with pytest.raises(TemplateError) as broken:
        fill(template, {}, Version("3.11"), "configfile c")
    line = template.splitlines()[number - 1].strip() if number else ""
    place = f", line {number}: {line}" if number else ""
    assert broken.value.line == line
    assert str(broken.value).startswith(f"The template of the configfile c failed{place} — ")
    assert words in str(broken.value)


# -- what a script does first --------------------------------------------------------


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    paths = JobPaths(tmp_path / "my job")
    paths.work.mkdir(parents=True)
    (tmp_path / "it's").mkdir()
    source = SimpleNamespace(
        path=tmp_path / "it's" / "t.xml", sanitizes=True, profile=Version("22.05")
    )
    return Rules(source, paths)  # type: ignore[arg-type]


@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX")
def test_odd_paths_are_reached_through_links_that_end_with_the_script(rules: Rules) -> None:
    assert rules.preamble() == ""
    assert rules.shown(Path("/a/b.c-1,2%=:@+_")) == Path("/a/b.c-1,2%=:@+_")
    assert rules.preamble() == ""
    rules.folders.append(rules.paths.root / "made for it" / "deep")
    file, odd = rules.paths.work / "f.txt", rules.paths.work / "odd; name"
    for path in (file, odd, rules.source.path):
        path.write_text(path.name)
    shown = [rules.shown(path) for path in (file, odd, rules.source.path, file)]
    assert shown[0] == shown[3]
    root = rules.shown(rules.paths.root)
    assert shown[0].is_relative_to(root), "one link for all that lies below"
    assert all(re.fullmatch(r"/tmp/ntr-[0-9a-f]{16}/\d/[\w./;-]+", str(one)) for one in shown)
    script = f"{rules.preamble()}cat {' '.join(map(str, shown))}; stat -c %a {shown[0].parts[2]}"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, cwd="/tmp", check=True
    )
    assert done.stdout == "f.txtodd; namet.xmlf.txt700\n"
    assert rules.folders[0].is_dir()
    assert not Path(*shown[0].parts[:3]).exists()
    taken = Path(*shown[0].parts[:3])
    taken.mkdir()
    try:
        again = subprocess.run(["bash", "-c", f"{rules.preamble()}echo went on"], check=False,
                               capture_output=True, text=True)  # fmt: skip
    finally:
        taken.rmdir()
    assert (again.returncode, again.stdout) == (1, ""), "what somebody else made is not used"


def test_lists_become_files_of_their_own(rules: Rules) -> None:
    first, second = rules.write("a"), rules.write("b")
    assert first != second
    assert [*rules.files.values()] == ["a", "b"]
    assert {path.parent for path in rules.files} == {rules.configs}
