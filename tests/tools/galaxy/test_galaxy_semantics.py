"""What Galaxy's own test tools rely on, in small: run by the runner of tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from napari_tool_runner.errors import JobTimeoutError
from napari_tool_runner.jobs import read_record, submit
from napari_tool_runner.jobs.testing import TestReport, run_tests
from napari_tool_runner.jobs.workspace import ask_version
from napari_tool_runner.plugins import ExecContext, Session
from napari_tool_runner.tools import read_tool
from napari_tool_runner.tools.binding import bind
from napari_tool_runner.tools.dialect import DataCollection, DataFile, JobPaths, RenderedCommand
from napari_tool_runner.tools.galaxy import GalaxyDialect
from napari_tool_runner.tools.model import Tool

if TYPE_CHECKING:
    from conftest import Run  # type: ignore[import-not-found]

Make = Callable[..., Tool]
Dataset = Callable[..., DataFile]
Runs = Callable[[Tool], list[TestReport]]


@pytest.fixture
def reports(tmp_path: Path) -> Runs:
    def run(tool: Tool) -> list[TestReport]:
        return list(run_tests(tool, runner="LOCAL", config={"workspace": str(tmp_path / "jobs")}))

    return run


def _states(found: list[TestReport]) -> list[str]:
    return [report.status for report in found]


# -- the values of tests -------------------------------------------------------------


@pytest.mark.parametrize("deep", [False, True])
def test_a_conditional_takes_the_texts_of_its_boolean(
    descriptor: Make, reports: Runs, deep: bool
) -> None:
    asked = (
        '<conditional name="c">'
        '<param name="b" type="boolean" truevalue="--on" falsevalue="--off"/>'
        '<when value="--on"><param name="t" type="text" value="lit"/></when>'
        '<when value="--off"><param name="t" type="text" value="dark"/></when></conditional>'
    )
    inside = f'<section name="s" title="S">{asked}</section>' if deep else asked
    place = "$s.c.t" if deep else "$c.t"
    tests = "".join(
        f'<test><param name="b" value="{given}"/><output name="o"><assert_contents>'
        f'<has_line line="{line}"/></assert_contents></output></test>'
        for given, line in [("--on", "lit"), ("true", "lit"), ("--off", "dark"), ("no", "dark")]
    )
    made = descriptor(
        f"<command>echo {place} > '$o'</command><inputs>{inside}</inputs>"
        f'<outputs><data name="o" format="txt"/></outputs><tests>{tests}</tests>'
    )
    assert _states(reports(made)) == ["pass"] * 4


def test_a_choice_of_the_same_name_keeps_its_value(descriptor: Make) -> None:
    made = descriptor(
        '<command>true</command><inputs><conditional name="c">'
        '<param name="use" type="boolean" truevalue="yes" falsevalue="no"/>'
        '<when value="yes"/><when value="no"/></conditional><section name="s" title="S">'
        '<param name="use" type="select"><option value="no">n</option>'
        '<option value="yes">y</option></param></section></inputs><outputs/>'
        '<tests><test><section name="s"><param name="use" value="yes"/></section></test></tests>'
    )
    assert made.tests[0].values["s"] == {"use": "yes"}


def test_computed_choices_may_be_named_by_label(descriptor: Make, reports: Runs) -> None:
    options = (
        '<options from_dataset="i"><column name="name" index="1"/>'
        '<column name="value" index="0"/></options>'
    )
    made = descriptor(
        "<command>echo '$one' '$many' > '$o'</command><inputs>"
        '<param name="i" type="data" format="tabular"/>'
        f'<param name="one" type="select">{options}</param>'
        f'<param name="many" type="select" multiple="true">{options}</param></inputs>'
        '<outputs><data name="o" format="txt"/></outputs><tests><test>'
        '<param name="i" value="t.tabular"/><param name="one" value="nuclei"/>'
        '<param name="many" value="cells,3"/><output name="o"><assert_contents>'
        '<has_line line="1 2,3"/></assert_contents></output></test></tests>',
        files={"test-data/t.tabular": "1\tnuclei\n2\tcells\n3\tother\n"},
    )
    assert _states(reports(made)) == ["pass"]


def test_an_optional_boolean_may_be_null(descriptor: Make) -> None:
    made = descriptor(
        '<command>true</command><inputs><param name="b" type="boolean" optional="true"/></inputs>'
        '<outputs/><tests><test><param name="b" value_json="null"/></test></tests>'
    )
    assert made.tests[0].values == {"b": None}


# -- what counts as expected ---------------------------------------------------------


@pytest.mark.parametrize(
    "command", ["echo $nothing > '$o'", "echo $input > '$o'", "#for i inx\nmoo", "exit 3"]
)
def test_a_test_may_expect_that_nothing_starts(
    descriptor: Make, reports: Runs, command: str
) -> None:
    body = f'<command>{command}</command><inputs/><outputs><data name="o" format="txt"/></outputs>'
    expecting = descriptor(f'{body}<tests><test expect_failure="true"/></tests>')
    assert _states(reports(expecting)) == ["pass"]
    other = descriptor(f'{body}<tests><test><output name="o" md5="x"/></test></tests>')
    assert _states(reports(other))[0] in ("error", "fail")


def test_what_is_not_written_is_an_empty_file_to_a_test(descriptor: Make, reports: Runs) -> None:
    made = descriptor(
        "<command>echo a > '$o'; echo b > forward</command><inputs/><outputs>"
        '<data name="o" format="txt"/><data name="never" format="txt"/>'
        '<collection name="pair" type="paired">'
        '<data name="forward" format="txt" from_work_dir="forward"/>'
        '<data name="reverse" format="txt" from_work_dir="reverse"/></collection>'
        '</outputs><tests><test expect_num_outputs="5"><output name="o" file="a.txt"/></test>'
        '<test><output name="never" md5="d41d8cd98f00b204e9800998ecf8427e"/>'
        '<output_collection name="pair" type="paired"><element name="reverse">'
        '<assert_contents><has_size value="0"/></assert_contents></element>'
        "</output_collection></test>"
        '<test><output name="never" file="a.txt"/></test>'
        '<test expect_num_outputs="3"><output name="o" file="a.txt"/></test></tests>',
        files={"test-data/a.txt": "a\n"},
    )
    found = reports(made)
    assert _states(found) == ["pass", "pass", "fail", "fail"]
    assert "“never” was not written" in found[2].message
    assert "5 outputs (o, never, pair, pair/forward, pair/reverse), not 3" in found[3].message


def test_elements_of_collections_have_filters(descriptor: Make, run: Callable[..., Run]) -> None:
    made = descriptor(
        "<command>touch a b c</command>"
        '<inputs><param name="few" type="boolean"/></inputs>'
        '<outputs><collection name="all" type="list">'
        '<data name="a" format="txt" from_work_dir="a"/>'
        '<data name="b" format="txt" from_work_dir="b"><filter>not few</filter></data>'
        '<data name="c" format="txt" from_work_dir="c"><filter>few</filter></data>'
        "</collection></outputs>"
    )
    outputs = run(made, {"few": True}).outputs
    assert [file.name for file in outputs["all"].files] == ["a", "c"]


def test_discovered_files_take_the_format_of_the_input(
    descriptor: Make, run: Callable[..., Run], dataset: Dataset
) -> None:
    made = descriptor(
        "<command>echo a > '$o'; mkdir found; echo b > found/x</command>"
        '<inputs><param name="i" type="data"/></inputs><outputs><data name="o" format="txt">'
        '<discover_datasets pattern="__designation__" directory="found" ext="input"/>'
        "</data></outputs>"
    )
    files = run(made, {"i": dataset("i.csv", "1,2\n", "csv")}).outputs["o"].files
    assert [(file.name, file.format) for file in files] == [("", "txt"), ("x", "csv")]


def test_two_collections_may_find_the_same_files(
    descriptor: Make, run: Callable[..., Run]
) -> None:
    found = '<discover_datasets directory="./" recurse="true" pattern="__designation_and_ext__"'
    made = descriptor(
        "<command>mkdir -p a/b; echo 1 > a/x.txt; echo 2 > a/b/y.txt; echo 3 > z.txt</command>"
        f'<inputs/><outputs><collection name="flat" type="list">{found}/></collection>'
        f'<collection name="deep" type="list">{found} match_relative_path="true"/></collection>'
        "</outputs>"
    )
    outputs = run(made).outputs
    assert sorted(file.name for file in outputs["flat"].files) == ["x", "y", "z"]
    assert sorted(file.name for file in outputs["deep"].files) == ["a/b/y", "a/x", "z"]
    assert {file.path.read_text() for file in outputs["deep"].files} == {"1\n", "2\n", "3\n"}


def test_an_output_counts_beside_what_is_found(descriptor: Make, reports: Runs) -> None:
    made = descriptor(
        "<command>touch a.txt b.txt</command><inputs/><outputs>"
        '<data name="o" format="txt"><discover_datasets pattern="__name_and_ext__"/></data>'
        '</outputs><tests><test><output name="o" count="3"/></test>'
        '<test><output name="o" count="2"/></test></tests>'
    )
    assert _states(reports(made)) == ["pass", "fail"]


# -- names in templates --------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("my cell (1)", "my_cell__1_"),
        (".i1:", "i1_"),
        ("--x.", "x"),
        ("größe", "gr__e"),
        ("con", "_con"),
        ("NUL.tif", "_NUL.tif"),
        ("...", "_"),
    ],
)
def test_safe_identifiers(
    descriptor: Make, line: Callable[..., str], dataset: Dataset, name: str, expected: str
) -> None:
    made = descriptor(
        "<command>#for $e in $c\necho '$e.safe_element_identifier'\n#end for</command>"
        '<inputs><param name="c" type="data_collection"/></inputs><outputs/>'
    )
    file = dataset("f.txt")
    flat = DataCollection("list", ((name, file),))
    nested = DataCollection("list:list", ((name, DataCollection("list", (("x", file),))),))
    assert line(made, {"c": flat}) == f"echo '{expected}'"
    assert line(made, {"c": nested}) == f"echo '{expected}'"


def test_inner_collections_have_identifiers(
    descriptor: Make, line: Callable[..., str], dataset: Dataset
) -> None:
    made = descriptor(
        "<command>#for $e in $c\necho '$e.element_identifier'\n#end for</command>"
        '<inputs><param name="c" type="data_collection"/></inputs><outputs/>'
    )
    pair = (("forward", dataset("f.txt")), ("reverse", dataset("r.txt")))
    inner = DataCollection("paired", pair, "inner")
    given = DataCollection("list:paired", (("first", inner),), "outer")
    assert line(made, {"c": given}) == "echo 'first'"


EITHER = """<command>
#if $c.has_single_item
one $c.single_item.element_identifier
#else
two $c.forward.element_identifier $c['reverse'].element_identifier
#end if
</command><inputs>
<param name="c" type="data_collection" collection_type="paired_or_unpaired"/></inputs><outputs/>"""


def test_one_or_a_pair(descriptor: Make, line: Callable[..., str], dataset: Dataset) -> None:
    made = descriptor(EITHER)
    first, second = dataset("a.txt"), dataset("b.txt")
    assert line(made, {"c": [first]}) == "one unpaired"
    assert line(made, {"c": [first, second]}) == "two forward reverse"
    pair = DataCollection("paired", (("forward", first), ("reverse", second)))
    assert line(made, {"c": pair}) == "two forward reverse"


def test_a_list_serves_where_pairs_may_be_single(
    descriptor: Make, line: Callable[..., str], dataset: Dataset
) -> None:
    made = descriptor(
        "<command>#for $k in $c.keys()\n$k ${c[$k].has_single_item} ${c[$k].single_item.ext}\n"
        '#end for</command><inputs><param name="c" type="data_collection" '
        'collection_type="list:paired_or_unpaired"/></inputs><outputs/>'
    )
    plain = DataCollection("list", (("x", dataset("x.txt")), ("y", dataset("y.csv"))))
    assert line(made, {"c": plain}) == "x True txt y True csv"


def test_an_absent_dataset_is_of_no_type(descriptor: Make, line: Callable[..., str]) -> None:
    made = descriptor(
        "<command>echo $i $i.ext ${i.is_of_type('tiff')}</command><inputs>"
        '<param name="i" type="data" format="tiff,png" optional="true"/></inputs><outputs/>'
    )
    assert line(made) == "echo None data False"


# -- what is told --------------------------------------------------------------------


def test_what_only_a_server_has_is_told(descriptor: Make) -> None:
    made = descriptor(
        "<command>echo '$__user__.email' > '$o'</command><inputs>"
        '</inputs><outputs><data name="o" format="tabular"><actions>'
        '<action name="column_names" type="metadata" default="a,b"/></actions></data></outputs>'
    )
    told = {note.where: note.what for note in made.notes}
    assert "account of a Galaxy user" in told["command"]
    assert any("column_names" in text for text in told.values())


@pytest.mark.parametrize(
    "body",
    [
        '<command detect_errors="exit_code">a ${x}</command>',
        '<command>a</command><outputs><data name="o" from_work_dir="o.txt"/></outputs>',
        '<command>a</command><tests><test><output name="o" checksum="md5$1"/></test></tests>',
    ],
)
def test_small_galaxy_tools_are_known(tmp_path: Path, body: str) -> None:
    path = tmp_path / "t.xml"
    path.write_text(f'<tool id="t" name="T">{body}</tool>')
    assert read_tool(path).dialect == "galaxy"


@pytest.mark.parametrize("profile", ["22.05", "24.2"])
@pytest.mark.parametrize(
    ("param", "untouched", "emptied", "nothing"),
    [
        ('type="text" optional="true"', None, "", None),
        ('type="text" optional="true" value=""', "", "", None),
        ('type="text" optional="true" value="a"', "a", "", None),
        ('type="text" optional="false"', "", "", ""),
        ('type="text" optional="false" value="a"', "a", "", "a"),
        ('type="hidden" optional="true"', None, "", None),
        ('type="hidden"', "", "", ""),
        # null only where somebody said null
        ('type="boolean" optional="true"', False, False, None),
        ('type="boolean" optional="true" checked="true"', True, False, None),
        ('type="integer" optional="true"', None, None, None),
        ('type="color" optional="true"', "#000000", "#000000", None),
    ],
)
def test_empty_values_in_a_json_of_all_inputs(
    descriptor: Callable[..., Tool],
    tmp_path: Path,
    profile: str,
    param: str,
    untouched: object,
    emptied: object,
    nothing: object,
) -> None:
    made = descriptor(
        '<configfiles><inputs name="i"/></configfiles><command>$i</command>'
        f'<inputs><param name="x" {param}/></inputs><outputs/>',
        profile=profile,
    )

    def told(values: dict[str, object]) -> object:
        rendered = GalaxyDialect().render(made, bind(made, values), JobPaths(tmp_path), {})
        (text,) = (text for path, text in rendered.files.items() if path.name == "i")
        return json.loads(text)["x"]

    assert told({}) == untouched
    assert told({"x": None}) == nothing
    if "color" not in param:
        assert told({"x": ""}) == emptied


# -- what real Galaxy answered (./dev galaxy) ----------------------------------------

ABSENT = "$o.ext $o.blurb $o.metadata.axes $o.get_size()"
JSON = '<configfiles><inputs name="j" data_style="staging_path_and_source_path"/></configfiles>'


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("$e.value_label", "nothing"),  # the label of an option that stands for nothing
        ("$g.value_label", "?"),
        ("$c.value_label|$cs.value_label", "None|Nothing selected."),
        (ABSENT, "data None  0"),
        ("$d.get_size(nice_size=True) $d.metadata.get('axes', '?')", "4 bytes"),
        ("$d.created_from_basename $d.info $d.genome_build", "t.tabular  ?"),
    ],
)
def test_texts_are_those_of_galaxy(
    descriptor: Make, line: Callable[..., str], dataset: Dataset, template: str, told: str
) -> None:
    made = descriptor(
        f"<command>{template}</command><inputs>"
        '<param name="e" type="select"><option value="">nothing</option></param>'
        '<param name="g" type="genomebuild"/>'
        '<param name="d" type="data" format="tabular"/>'
        '<param name="o" type="data" format="tiff" optional="true"/>'
        '<param name="c" type="data_column" data_ref="d" optional="true"/>'
        '<param name="cs" type="data_column" data_ref="d" optional="true" multiple="true"/>'
        '</inputs><outputs><data name="out" format="txt"/></outputs>'
    )
    assert line(made, {"d": dataset("t.tabular", "1\t2\n")}) == told


@pytest.mark.parametrize(("chosen", "found"), [(None, True), (["b"], False), (["a"], True)])
def test_a_filter_that_asks_what_is_not_chosen_filters_nothing(
    descriptor: Make, tmp_path: Path, chosen: list[str] | None, found: bool
) -> None:
    made = descriptor(
        '<command>true</command><inputs><param name="m" type="select" multiple="true" '
        'optional="true"><option value="a">A</option><option value="b">B</option></param></inputs>'
        '<outputs><data name="out" format="txt"><filter>"a" in m</filter></data></outputs>'
    )
    values = bind(made, {"m": chosen} if chosen else {})
    rendered = GalaxyDialect().render(made, values, JobPaths(tmp_path), {})
    assert bool(rendered.outputs) is found


def test_repeats_of_tests_open_as_in_the_form(descriptor: Make) -> None:
    made = descriptor(
        '<command>true</command><inputs><conditional name="c"><param name="w" type="select">'
        '<option value="a">A</option></param><when value="a">'
        '<repeat name="r" title="R" default="2"><param name="n" type="integer" value="9"/>'
        "</repeat></when></conditional></inputs><outputs/>"
        '<tests><test/><test><repeat name="r"><param name="n" value="1"/></repeat></test></tests>'
    )
    counted = [[one["n"] for one in bind(made, test.values)["c"]["r"]] for test in made.tests]
    assert counted == [[9, 9], [1, 9]]


def test_a_number_of_a_test_may_be_empty(descriptor: Make) -> None:
    made = descriptor(
        '<command>true</command><inputs><param name="n" type="integer" optional="true" value="3"/>'
        '<section name="s" title="S"><param name="f" type="float" optional="true"/></section>'
        '</inputs><outputs/><tests><test><param name="n" value=""/>'
        '<section name="s"><param name="f" value=""/></section></test></tests>'
    )
    assert "skip" not in made.tests[0].extra
    assert bind(made, made.tests[0].values) == {"n": None, "s": {"f": None}}


def test_an_empty_optional_text_is_not_judged(descriptor: Make, line: Callable[..., str]) -> None:
    made = descriptor(
        '<command>echo [$t]</command><inputs><param name="t" type="text" value="" '
        'optional="true"><validator type="regex">[a-z]+</validator></param></inputs><outputs/>'
    )
    assert [line(made, values) for values in ({}, {"t": ""})] == ["echo []", "echo []"]


def test_a_json_of_all_inputs_is_in_the_order_of_galaxy(
    descriptor: Make, tmp_path: Path, dataset: Dataset
) -> None:
    made = descriptor(
        f'<command>true</command>{JSON}<inputs><conditional name="c">'
        '<param name="w" type="select"><option value="a">A</option></param><when value="a">'
        '<param name="n" type="integer" value="9"/></when></conditional>'
        '<param name="o" type="data" format="tiff" optional="true"/></inputs><outputs/>'
    )
    rendered = GalaxyDialect().render(made, bind(made, {}), JobPaths(tmp_path), {})
    assert rendered.files[tmp_path / "configs" / "j"] == (
        '{"c": {"n": 9, "w": "a"}, "o": {"element_identifier": "None", "ext": "data", '
        '"staging_path": "None.data", "source_path": null, "metadata_files": []}}'
    )


def test_inner_collections_are_called_what_identifies_them(
    descriptor: Make, line: Callable[..., str], dataset: Dataset
) -> None:
    made = descriptor(
        "<command>$c.name #for $p in $c# $p.name $p.forward.name#end for#</command><inputs>"
        '<param name="c" type="data_collection" collection_type="list:paired" format="txt"/>'
        "</inputs><outputs/>"
    )
    pair = (("forward", dataset("f.txt")), ("reverse", dataset("r.txt")))
    pairs = (("s1", DataCollection("paired", pair, "pair")),)
    assert line(made, {"c": DataCollection("list:paired", pairs, "all")}) == "all  s1 f.txt"


# -- which version the program is -------------------------------------------------------

VERSIONED = """<command>echo out; touch '$o'</command>
<version_command{}><![CDATA[{}]]></version_command>
<inputs/><outputs><data name="o" format="txt"/></outputs>
<tests><test><assert_command_version><has_text text="program 1.2"/></assert_command_version>
<assert_stdout><has_line line="out"/></assert_stdout></test></tests>"""


@pytest.mark.parametrize(
    ("attributes", "command", "status"),
    [
        ("", "echo program 1.2", "pass"),
        ("", "echo program 1.2 >&2", "pass"),
        ("", "cat $__tool_directory__/v.txt", "pass"),
        (' interpreter="bash"', "v.sh one", "pass"),
        ("", "echo program 1.2 | head -1\n", "pass"),
        ("", "echo program 1.3", "fail"),
        ("", "echo program 1.2; exit 3", "fail"),
        ("", "if (", "fail"),
        ("", "no_such_program", "fail"),
        ("", "true", "fail"),
    ],
)
def test_a_test_may_ask_for_the_version(
    descriptor: Make, reports: Runs, attributes: str, command: str, status: str
) -> None:
    files = {"v.txt": "program 1.2", "v.sh": "echo program 1.2 $1"}
    made = descriptor(VERSIONED.format(attributes, command), files=files)
    assert made.notes == ()
    assert _states(reports(made)) == [status]


@pytest.mark.parametrize(
    ("command", "told", "notes"),
    [
        ("echo program 1.2; echo more", "program 1.2\nmore", []),
        (r"printf 'a\033[31mb'", r"a\x1b[31mb", []),
        ("head -c 100000 /dev/zero | tr '\\0' v", "v" * 4096, []),
        ("echo 1 > ../canary; ls ../canary", "../canary", []),
        ("nothing_of_this_name", None, ["not known: exit code 127"]),
        ("echo half; exit 1", None, ["not known: exit code 1, “half”"]),
        ("rm -rf $TMPDIR/*; ln -s /etc/passwd $TMPDIR/program_version.txt", None, ["not known"]),
        ("cat; echo no input", "no input", []),
    ],
)
def test_the_version_is_recorded_and_never_fails_a_job(
    descriptor: Make, tmp_path: Path, command: str, told: str | None, notes: list[str]
) -> None:
    made = descriptor(VERSIONED.format("", command))
    job = submit(made, runner="LOCAL", config={"workspace": str(tmp_path / "jobs")})
    job.result()
    record = read_record(job.workspace.record_path)
    assert record.runner.provenance.get("program_version") == told
    assert len(record.notes) >= len(notes)
    assert all(any(note in one for one in record.notes) for note in notes)
    assert "program" not in job.log.text("stdout")


def test_a_version_is_asked_once_in_an_environment(tmp_path: Path) -> None:
    paths = JobPaths(tmp_path)
    paths.temp.mkdir()
    context = ExecContext(paths.work, paths.temp, paths.home, timeout=5.0)
    asked: list[float | None] = []

    class Told:
        def exec(self, args: list[str]) -> int:
            asked.append(context.timeout)
            paths.version.write_text(f"version {len(asked)}")
            return 0

    class Slow:
        def exec(self, args: list[str]) -> int:
            raise JobTimeoutError("It ran longer than that.")

    class Silent:
        def exec(self, args: list[str]) -> int:
            return 3

    rendered = RenderedCommand(("x",), (), version=("y",))

    def ask(provenance: dict[str, object], session: Session, digest: str = "d") -> object:
        context.provenance.clear()
        context.provenance.update(provenance)
        notes = ask_version(session, context, rendered, paths, digest)
        return notes or context.provenance["program_version"]

    image: dict[str, object] = {"image_id": "a"}
    assert ask(image, Told()) == "version 1"
    assert ask(image, Told()) == "version 1"
    assert ask({"image_id": "b"}, Told()) == "version 2"
    assert ask(image, Told(), "another tool") == "version 3"
    # of this computer nothing is known: the program may be another one by now
    assert [ask({}, Told()), ask({}, Told())] == ["version 4", "version 5"]
    assert asked == [5.0] * 5
    assert ask({}, Slow()) == ["The program's version is not known: It ran longer than that."]
    paths.version.write_text("")
    assert ask({}, Silent()) == [
        "The program's version is not known: exit code 3, nothing was printed."
    ]
    assert context.timeout == 5.0


def test_what_tells_the_version_is_shown_before_it_runs(descriptor: Make) -> None:
    made = descriptor(VERSIONED.format("", "curl example.org"))
    written = GalaxyDialect().written(made)
    assert [text for what, text in written.items() if "version command" in what] == [
        "curl example.org"
    ]
