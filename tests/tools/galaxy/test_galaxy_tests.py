"""The ``<tests>`` of descriptors: read, run for real, and verified."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import DIALECT, Run, execute  # type: ignore[import-not-found]
from napari_tool_runner.errors import ParameterError
from napari_tool_runner.tools.binding import bind
from napari_tool_runner.tools.candidate import Candidate
from napari_tool_runner.tools.dialect import DataCollection, DataFile
from napari_tool_runner.tools.model import Tool
from napari_tool_runner.tools.tree import leaves

Make = Callable[..., Tool]

DATA = {
    "test-data/a.txt": "alpha\nbeta\n",
    "test-data/b.txt": "gamma\n",
    "test-data/in/t.tsv": "x\ty\n1\t2\n",
    "test-data/both.txt": "alpha\nbeta\ngamma\n",
}


def tool(make: Make, body: str, **more: object) -> Tool:
    return make(body, files=DATA, **more)


def check(made: Tool, folder: Path) -> list[list[str]]:
    """Run every test as the runner of tests does; return the problems of each."""
    found = []
    for test in made.tests:
        assert "skip" not in test.extra, test.extra["skip"]
        try:
            run: Run = execute(made, test.values, folder / str(test.index))
        except ParameterError as error:
            found.append([] if test.expect_failure else [str(error)])
            continue
        found.append(DIALECT.verify(made, test, run.outcome()))
    return found


# -- values --------------------------------------------------------------------------

NESTED = """<command><![CDATA[true]]></command><inputs>
<param name="n" type="integer" value="1"/>
<param name="f" type="float" value="1"/>
<param name="b" type="boolean" truevalue="--yes" falsevalue="--no"/>
<param name="s" type="select"><option value="a">Label A</option>
  <option value="b">B</option></param>
<param name="m" type="select" multiple="true"><option value="x"/><option value="y"/></param>
<param name="o" type="integer" optional="true"/>
<param name="color" type="color" value="#000000"/>
<conditional name="c"><param name="how" type="select"><option value="one">1</option>
  <option value="two">2</option></param>
  <when value="one"><param name="x" type="integer" value="1"/></when>
  <when value="two"><conditional name="d"><param name="deep" type="boolean"/>
    <when value="true"><param name="y" type="text" value="t"/></when>
    <when value="false"/></conditional></when></conditional>
<section name="sec" title="S"><param name="z" type="text" value="z"/></section>
<repeat name="r" title="R"><param name="v" type="integer" value="0"/>
  <repeat name="q" title="Q"><param name="w" type="text" value="w"/></repeat></repeat>
</inputs><outputs/><tests>{}</tests>"""

NESTED_TEST = """<param name="n" value="5"/>
<conditional name="c"><param name="how" value="two"/>
  <conditional name="d"><param name="deep" value="true"/><param name="y" value="hello"/>
  </conditional></conditional>
<section name="sec"><param name="z" value="zz"/></section>
<repeat name="r"><param name="v" value="1"/>
  <repeat name="q"><param name="w" value="a"/></repeat>
  <repeat name="q"><param name="w" value="b"/></repeat></repeat>
<repeat name="r"><param name="v" value="2"/></repeat>"""
FLAT_TEST = """<param name="n" value="5"/>
<param name="c|how" value="two"/><param name="c|d|deep" value="true"/>
<param name="c|d|y" value="hello"/><param name="sec|z" value="zz"/>
<param name="r_0|v" value="1"/><param name="r_0|q_0|w" value="a"/>
<param name="r_0|q_1|w" value="b"/><param name="r_1|v" value="2"/>"""


@pytest.mark.parametrize("test", [NESTED_TEST, FLAT_TEST])
@pytest.mark.parametrize("profile", ["", "20.05", "23.0", "24.2"])
def test_nested_values(descriptor: Make, test: str, profile: str) -> None:
    made = tool(descriptor, NESTED.format(f"<test>{test}</test>"), profile=profile)
    assert made.notes == ()
    walked = leaves(made.inputs, bind(made, made.tests[0].values))
    found = {leaf.name: leaf.value for leaf in walked}
    assert {key: found[key] for key in found if key not in "fbsmo" and key != "color"} == {
        "n": 5, "c|how": "two", "c|d|deep": True, "c|d|y": "hello", "sec|z": "zz",
        "r_0|v": 1, "r_0|q_0|w": "a", "r_0|q_1|w": "b", "r_1|v": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("test", "name", "expected"),
    [
        ('<param name="n" value="7"/>', "n", 7),
        ('<param name="f" value="0.5"/>', "f", 0.5),
        ('<param name="b" value="true"/>', "b", True),
        ('<param name="b" value="--yes"/>', "b", True),
        ('<param name="b" value="--no"/>', "b", False),
        ('<param name="b" value="False"/>', "b", False),
        ('<param name="s" value="b"/>', "s", "b"),
        ('<param name="s" value="Label A"/>', "s", "a"),
        ('<param name="m" value="x,y"/>', "m", ("x", "y")),
        ('<param name="m" value=""/>', "m", ()),
        ('<param name="o" value="3"/>', "o", 3),
        ('<param name="o" value=""/>', "o", None),
        ('<param name="o" value_json="null"/>', "o", None),
        ('<param name="n" value_json="9"/>', "n", 9),
        ('<param name="b" value_json="true"/>', "b", True),
        ('<param name="m" value_json=\'["y"]\'/>', "m", ("y",)),
        ('<param name="color" value="ff00ff"/>', "color", "ff00ff"),
        (('<param name="y" value="bare"/><param name="how" value="two"/>'
         '<param name="deep" value="true"/>'), "c|d|y", "bare"),
        ('<param name="v" value="4"/>', "r_0|v", 4),
        ('<param name="z" value="q"/>', "sec|z", "q"),
    ],
)  # fmt: skip
def test_written_values(descriptor: Make, test: str, name: str, expected: object) -> None:
    made = tool(descriptor, NESTED.format(f"<test>{test}</test>"), profile="20.05")
    walked = leaves(made.inputs, bind(made, made.tests[0].values))
    found = {leaf.name: leaf.value for leaf in walked}
    assert found[name] == expected


DATASETS = """<command>true</command><inputs>
<param name="i" type="data" optional="true"/><param name="m" type="data" multiple="true"
 optional="true"/><param name="c" type="data_collection" collection_type="list:paired"
 optional="true"/></inputs><outputs/><tests><test>{}</test></tests>"""


def test_datasets_of_tests(descriptor: Make) -> None:
    made = tool(
        descriptor,
        DATASETS.format(
            '<param name="i" value="in/t.tsv" ftype="tabular"/>'
            '<param name="m" value="a.txt,b.txt"/>'
            '<param name="c"><collection type="list:paired"><element name="one">'
            '<collection type="paired"><element name="forward" value="a.txt" ftype="txt"/>'
            '<element name="reverse" value="b.txt"/></collection></element></collection></param>'
        ),
    )
    values = made.tests[0].values
    folder = made.folder / "test-data"
    assert values["i"] == DataFile(folder / "in" / "t.tsv", "tabular", "t.tsv")
    assert values["m"] == [
        DataFile(folder / "a.txt", "txt", "a.txt"),
        DataFile(folder / "b.txt", "txt", "b.txt"),
    ]
    collection = values["c"]
    assert isinstance(collection, DataCollection)
    assert collection.type == "list:paired"
    name, pair = collection.elements[0]
    assert (name, pair.type) == ("one", "paired")  # type: ignore[union-attr]
    assert pair.elements[1] == (  # type: ignore[union-attr]
        "reverse",
        DataFile(folder / "b.txt", "txt", "b.txt"),
    )


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ('<param name="i" value="absent.txt"/>', "“absent.txt” is missing"),
        ('<param name="i" value="../tool.xml"/>', "is missing"),
        ('<param name="i" value="/etc/passwd"/>', "is missing"),
        ('<param name="i" location="https://example.org/x.tiff"/>', "fetched from the web"),
        ('<param name="i" value="a.txt" location="https://example.org/x.tiff"/>', ""),
        (
            '<param name="i" ftype="velvet"><composite_data value="a.txt"/></param>',
            "composite dataset",
        ),
    ],
)
def test_skipped_with_the_reason(descriptor: Make, test: str, reason: str) -> None:
    made = tool(descriptor, DATASETS.format(test))
    assert len(made.tests) == 1
    assert reason in str(made.tests[0].extra.get("skip", ""))
    assert bool(made.tests[0].extra.get("skip")) is bool(reason)


def test_a_default_that_galaxy_would_fetch(descriptor: Make) -> None:
    made = tool(
        descriptor,
        '<command>true</command><inputs><param name="i" type="data"><default class="File"'
        ' location="https://example.org/x.tiff"/></param></inputs><outputs/><tests><test/></tests>',
    )
    assert "would fetch https://example.org/x.tiff" in made.notes[0].what
    assert "fetched from the web" in str(made.tests[0].extra["skip"])


def test_data_of_imported_macros(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    shared = tmp_path / "macros" / "test-data"
    shared.mkdir(parents=True)
    (shared / "s.txt").write_text("shared")
    (tmp_path / "macros" / "m.xml").write_text("<macros/>")
    path = tmp_path / "tools" / "t" / "t.xml"
    path.parent.mkdir(parents=True)
    path.write_text(
        '<tool id="t" name="T" version="1"><macros><import>../../macros/m.xml</import></macros>'
        '<command>cat $i > $o</command><inputs><param name="i" type="data"/></inputs>'
        '<outputs><data name="o" format="txt"/></outputs>'
        '<tests><test><param name="i" value="s.txt"/><output name="o" file="s.txt"/></test>'
        "</tests></tool>"
    )
    made = DIALECT.read(Candidate(path))
    assert check(made, tmp_path / "run") == [[]]


# -- whole tools, run and verified ---------------------------------------------------

CAT = """<command><![CDATA[cat #for $i in $inputs# '$i' #end for# > '$o' && echo said &&
  echo warned >&2]]></command>
<inputs><param name="inputs" type="data" multiple="true" format="txt"/></inputs>
<outputs><data name="o" format="txt"/></outputs><tests><test {}>
<param name="inputs" value="a.txt,b.txt"/>{}</test></tests>"""
SUM = hashlib.md5(b"alpha\nbeta\ngamma\n").hexdigest()


@pytest.mark.parametrize(
    ("attributes", "expected", "passes"),
    [
        ("", '<output name="o" file="both.txt"/>', True),
        ("", '<output name="o" file="a.txt"/>', False),
        ("", '<output name="o" file="a.txt" lines_diff="2"/>', True),
        ("", '<output name="o" file="both.txt" ftype="txt"/>', True),
        ("", '<output name="o" file="both.txt" ftype="tiff"/>', False),
        ("", '<output name="o" file="a.txt" compare="contains"/>', True),
        ("", '<output name="o" file="a.txt" compare="sim_size" delta="10"/>', True),
        ("", '<output name="o" file="a.txt" compare="sim_size" delta="1"/>', False),
        ("", '<output name="o" file="absent.txt"/>', False),
        ("", f'<output name="o" md5="{SUM}"/>', True),
        ("", '<output name="o" md5="0"/>', False),
        ("", f'<output name="o" checksum="md5${SUM}"/>', True),
        (
            "",
            (
                '<output name="o"><assert_contents><has_line line="beta"/><has_n_lines n="3"/>'
                '<has_size value="17"/><not_has_text text="delta"/></assert_contents></output>'
            ),
            True,
        ),
        (
            "",
            '<output name="o"><assert_contents><has_line line="x"/></assert_contents></output>',
            False,
        ),
        ("", '<output name="o"><metadata name="data_lines" value="3"/></output>', True),
        ("", '<output name="o"><metadata name="data_lines" value="4"/></output>', False),
        ("", '<output name="other" file="both.txt"/>', True),  # by its place, as in Galaxy
        ("", '<output name="o" file="both.txt"/><output name="p" file="both.txt"/>', False),
        ('expect_num_outputs="1"', "", True),
        ('expect_num_outputs="2"', "", False),
        ('expect_exit_code="0"', "", True),
        ('expect_exit_code="1"', "", False),
        ('expect_failure="true"', "", False),
        ("", '<assert_stdout><has_line line="said"/></assert_stdout>', True),
        ("", '<assert_stdout><has_line line="warned"/></assert_stdout>', False),
        ("", '<assert_stderr><has_text text="warn"/></assert_stderr>', True),
        ("", '<assert_command><has_text text="echo said"/></assert_command>', True),
        ("", '<assert_command><has_text text="--not"/></assert_command>', False),
        ('expect_test_failure="true"', '<output name="o" file="a.txt"/>', True),
        ('expect_test_failure="true"', '<output name="o" file="both.txt"/>', False),
    ],
)
def test_verification(
    descriptor: Make, tmp_path: Path, attributes: str, expected: str, passes: bool
) -> None:
    made = tool(descriptor, CAT.format(attributes, expected))
    (found,) = check(made, tmp_path / "run")
    assert (found == []) is passes, found


@pytest.mark.parametrize(
    ("command", "test", "passes"),
    [
        ("exit 2", '<test expect_failure="true" expect_exit_code="2"/>', True),
        ("exit 2", '<test expect_failure="true" expect_exit_code="3"/>', False),
        ("exit 2", "<test/>", False),
        (
            "echo why >&2; exit 2",
            (
                '<test expect_failure="true"><assert_stderr><has_text text="why"/></assert_stderr>'
                "</test>"
            ),
            True,
        ),
        (
            "exit 2",
            (
                '<test expect_failure="true"><assert_stderr><has_text text="Exit code 2"/>'
                "</assert_stderr></test>"
            ),
            True,
        ),
        ("true", '<test expect_failure="true"><param name="n" value="99"/></test>', True),
    ],
)
def test_expected_failures(
    descriptor: Make, tmp_path: Path, command: str, test: str, passes: bool
) -> None:
    made = tool(
        descriptor,
        f'<command><![CDATA[{command}]]></command><inputs><param name="n" type="integer"'
        f' value="1" max="9"/></inputs><outputs/><tests>{test}</tests>',
    )
    (found,) = check(made, tmp_path / "run")
    assert (found == []) is passes, found


COLLECTION = """<command><![CDATA[mkdir d; for n in a_1 a_2 b_1; do echo \\$n > d/\\$n.txt; done]]>
</command><inputs/><outputs><collection name="c" type="{}"><discover_datasets directory="d"
format="txt" pattern="{}"/></collection></outputs><tests><test>{}</test></tests>"""
TXT, CSV = 'ftype="txt"', 'ftype="csv"'
FLAT = ("list", "(?P&lt;designation&gt;.*)\\.txt")
DEEP = ("list:list", "(?P&lt;identifier_0&gt;.)_(?P&lt;identifier_1&gt;.)\\.txt")


def element(name: str, text: str, more: str = "") -> str:
    return (
        f'<element name="{name}" {more}><assert_contents><has_line line="{text}"/>'
        "</assert_contents></element>"
    )


@pytest.mark.parametrize(
    ("shape", "expected", "passes"),
    [
        (FLAT, (f'<output_collection name="c" type="list" count="3">{element("a_1", "a_1")}'
         f'{element("b_1", "b_1", TXT)}</output_collection>'), True),
        (FLAT, '<output_collection name="c" type="list" count="2"/>', False),
        (FLAT, '<output_collection name="c" type="paired" count="3"/>', False),
        (FLAT, '<output_collection name="c" min="2" max="3"/>', True),
        (FLAT, '<output_collection name="c" min="4"/>', False),
        (FLAT, f'<output_collection name="c">{element("x", "x")}</output_collection>', False),
        (FLAT, f'<output_collection name="c">{element("a_1", "no")}</output_collection>', False),
        (FLAT, (f'<output_collection name="c">{element("b_1", "b_1")}{element("a_1", "a_1")}'
         "</output_collection>"), False),  # the order counts
        (FLAT, f'<output_collection name="z">{element("a_1", "a_1")}</output_collection>', False),
        (FLAT, (f'<output_collection name="c">{element("a_1", "a_1", CSV)}'
         "</output_collection>"), False),
        (DEEP, ('<output_collection name="c" type="list:list"><element name="a" count="2">'
         f'{element("1", "a_1")}{element("2", "a_2")}</element></output_collection>'), True),
        (DEEP, ('<output_collection name="c" type="list:list"><element name="b">'
         f'{element("2", "b_2")}</element></output_collection>'), False),
    ],
)  # fmt: skip
def test_output_collections(
    descriptor: Make, tmp_path: Path, shape: tuple[str, str], expected: str, passes: bool
) -> None:
    made = tool(descriptor, COLLECTION.format(*shape, expected))
    (found,) = check(made, tmp_path / "run")
    assert (found == []) is passes, found


def test_a_collection_without_identifiers_still_verifies(descriptor: Make, tmp_path: Path) -> None:
    """What a job hands over has names only."""
    expected = (
        '<output_collection name="c" type="list:list"><element name="a">'
        f"{element('1', 'a_1')}{element('2', 'a_2')}</element></output_collection>"
    )
    made = tool(descriptor, COLLECTION.format(*DEEP, expected))
    outcome = execute(made, {}, tmp_path / "run").outcome()
    entry = outcome.outputs["c"]
    bare = tuple(replace(file, metadata={}) for file in entry.files)
    outcome = replace(outcome, outputs={"c": replace(entry, files=bare)})
    assert DIALECT.verify(made, made.tests[0], outcome) == []


def test_discovered_datasets(descriptor: Make, tmp_path: Path) -> None:
    body = """<command><![CDATA[echo main > $o; echo 1 > one.txt; echo 2 > two.txt]]></command>
    <inputs/><outputs><data name="o" format="txt"><discover_datasets format="txt"
    pattern="(?P&lt;designation&gt;.*)\\.txt"/></data></outputs><tests>
    <test><output name="o" count="3"><assert_contents><has_line line="main"/></assert_contents>
      <discovered_dataset designation="two" ftype="txt"><assert_contents><has_line line="2"/>
      </assert_contents></discovered_dataset></output></test>
    <test><output name="o"><assert_contents><has_line line="main"/></assert_contents>
      <discovered_dataset designation="three" ftype="txt"/></output></test>
    </tests>"""
    good, bad = check(tool(descriptor, body), tmp_path / "run")
    assert good == []
    assert "three" in bad[0]


def test_extra_files(descriptor: Make, tmp_path: Path) -> None:
    body = """<command><![CDATA[echo page > $o; mkdir $o.files_path; cp $i $o.files_path/a.txt;
    mkdir $o.files_path/in; printf 'x\\ty\\n1\\t2\\n' > $o.files_path/in/t.tsv]]></command>
    <inputs><param name="i" type="data"/></inputs>
    <outputs><data name="o" format="html"/></outputs><tests>
    <test><param name="i" value="a.txt"/><output name="o" ftype="html">
      <extra_files type="file" name="a.txt" value="a.txt"/>
      <extra_files type="directory" value="in"/></output></test>
    <test><param name="i" value="b.txt"/><output name="o" ftype="html">
      <extra_files type="file" name="a.txt" value="a.txt"/></output></test>
    <test><param name="i" value="b.txt"/><output name="o" ftype="html">
      <extra_files type="file" name="absent.txt" value="a.txt"/></output></test>
    </tests>"""
    made = tool(
        descriptor, body.replace("$o.files_path/in/t.tsv", "$o.files_path/t.tsv").replace(
            "mkdir $o.files_path/in; ", ""
        )
    )  # fmt: skip
    good, wrong, absent = check(made, tmp_path / "run")
    assert good == []
    assert wrong
    assert "absent.txt" in absent[0]


def test_folders_are_compared_file_by_file(descriptor: Make, tmp_path: Path) -> None:
    body = """<command><![CDATA[mkdir -p $o/in; echo one > $o/a.txt; echo two > $o/in/b.txt]]>
    </command><inputs/><outputs><data name="o" format="directory"/></outputs><tests>
    <test><output name="o" file="same"/></test>
    <test><output name="o" file="more"/></test>
    <test><output name="o" file="other"/></test>
    <test><output name="o" file="absent"/></test></tests>"""
    files = {
        "same/a.txt": "one\n", "same/in/b.txt": "two\n",
        "more/a.txt": "one\n", "more/c.txt": "",
        "other/a.txt": "one\n", "other/in/b.txt": "three\n",
    }  # fmt: skip
    made = descriptor(body, files={f"test-data/{name}": text for name, text in files.items()})
    same, more, other, absent = check(made, tmp_path / "run")
    assert same == []
    assert more == ["Output “o”: the folders differ in c.txt, in/b.txt"]
    assert "in/b.txt" in other[0]
    assert "“absent” is missing" in absent[0]


def test_a_test_that_expects_failure_compares_nothing(descriptor: Make, tmp_path: Path) -> None:
    body = """<command>exit 2</command><inputs/><outputs><data name="o" format="txt"/></outputs>
    <tests><test expect_failure="true"><output name="o" md5="0"/></test></tests>"""
    (found,) = check(tool(descriptor, body), tmp_path / "run")
    assert found == ["A test that expects failure cannot compare outputs."]


def test_values_of_a_test_are_read_by_name_where_galaxy_has_no_model(descriptor: Make) -> None:
    made = descriptor(
        '<command>true</command><inputs><param name="i" type="data" multiple="true"/>'
        '<param name="n" type="integer" value="1"/>'
        '<param name="e" type="integer" optional="true"/>'
        '<param name="s" type="select" multiple="true"><option value="a">A</option></param>'
        '<param name="f" type="nonsense"/></inputs><outputs/><tests><test>'
        '<param name="i" value="a.txt,b.txt" ftype="tabular"/><param name="n" value="4"/>'
        '<param name="e" value=""/><param name="s" value=""/><param name="f" value="x"/>'
        '<param name="unknown" value="x"/></test></tests>',
        files={"test-data/a.txt": "a", "test-data/b.txt": "b"},
    )
    assert any("read by names alone" in note.what for note in made.notes)
    (test,) = made.tests
    assert "skip" not in test.extra
    values = dict(test.values)
    files = values.pop("i")
    assert [(file.path.name, file.format) for file in files] == [
        ("a.txt", "tabular"), ("b.txt", "tabular"),
    ]  # fmt: skip
    assert values == {"n": "4", "s": (), "f": "x"}


def test_tests_that_galaxy_cannot_read_are_a_note(descriptor: Make) -> None:
    made = descriptor(
        '<command>x</command><inputs/><outputs/><tests><test><output file="x"/></test></tests>'
    )
    assert made.tests == ()
    (note,) = [note for note in made.notes if note.where == "tests"]
    assert note.what.startswith("They cannot be read: ")


def test_value_json_outputs(descriptor: Make, tmp_path: Path) -> None:
    body = """<command><![CDATA[echo '{"a": [1, null]}' > $o]]></command><inputs/>
    <outputs><data name="o" format="json"/></outputs><tests>
    <test><output name="o" value_json='{"a": [1, null]}'/></test>
    <test><output name="o" value_json='{"a": [2]}'/></test></tests>"""
    good, bad = check(tool(descriptor, body), tmp_path / "run")
    assert good == []
    assert bad


def test_images(descriptor: Make, tmp_path: Path) -> None:
    import numpy as np
    import tifffile

    body = """<command><![CDATA[cp '$i' out.tiff]]></command>
    <inputs><param name="i" type="data" format="tiff"/></inputs>
    <outputs><data name="o" format="tiff" from_work_dir="out.tiff"/></outputs><tests>
    <test><param name="i" value="a.tiff"/><output name="o" value="a.tiff" compare="image_diff"
      ftype="tiff"><assert_contents><has_image_width width="5"/><has_image_n_labels n="4"/>
      </assert_contents></output></test>
    <test><param name="i" value="a.tiff"/><output name="o" value="b.tiff" compare="image_diff"
      metric="iou" eps="0.01" pin_labels="0"/></test>
    <test><param name="i" value="a.tiff"/><output name="o" value="b.tiff" compare="image_diff"
      metric="mae" eps="200"/></test></tests>"""
    made = tool(descriptor, body)
    pixels = np.arange(20, dtype="uint8").reshape(4, 5) // 5
    tifffile.imwrite(made.folder / "test-data" / "a.tiff", pixels)
    tifffile.imwrite(made.folder / "test-data" / "b.tiff", pixels.T.copy().reshape(4, 5))
    made = DIALECT.read(Candidate(made.path))
    same, other, near = check(made, tmp_path / "run")
    assert same == []
    assert other
    assert near == []
