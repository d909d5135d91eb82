"""What templates ask of values, datasets and collections, and what they are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from napari_tool_runner.errors import DescriptorError, ParameterError, TemplateError
from napari_tool_runner.tools.dialect import DataCollection, DataFile
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
        ("$i.metadata.column_types $i.metadata.column_names", "int,str ['n', 'word']"),
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
