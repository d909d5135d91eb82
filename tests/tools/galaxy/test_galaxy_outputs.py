"""Small Galaxy tools, run for real by bash: scripts, configfiles, environment, outputs."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import DIALECT, Run  # type: ignore[import-not-found]
from napari_tool_runner.errors import OutputError, TemplateError
from napari_tool_runner.tools import bind, read_tool
from napari_tool_runner.tools.describe import describe_json
from napari_tool_runner.tools.dialect import DataCollection, DataFile, JobPaths
from napari_tool_runner.tools.model import CollectionOutput, Tool

Make = Callable[..., Tool]
Go = Callable[..., Run]
Data = Callable[..., DataFile]


def tool(
    make: Make, command: str, outputs: str, inputs: str = "", extra: str = "", **more
) -> Tool:
    return make(
        f"<command><![CDATA[{command}]]></command>{extra}"
        f"<inputs>{inputs}</inputs><outputs>{outputs}</outputs>",
        **more,
    )


# -- the script ----------------------------------------------------------------------


def test_lines_become_one_command(descriptor: Make, run: Go) -> None:
    made = tool(
        descriptor,
        "echo one\n  two   &&\n\n ## not this\n echo 'three' > '$o'\n;",
        '<data name="o" format="txt"/>',
    )
    done = run(made)
    assert done.stdout == "one two\n"
    assert done.text("o") == "three\n"


@pytest.mark.parametrize(
    ("profile", "strict", "failed"),
    [("20.05", "", False), ("20.09", "", True), ("20.05", "true", True), ("23.0", "false", False)],
)
def test_strictness_follows_the_profile(
    descriptor: Make, run: Go, profile: str, strict: str, failed: bool
) -> None:
    attribute = f'strict="{strict}"' if strict else ""
    made = descriptor(
        f"<command {attribute}>false; echo x > $o</command><inputs/>"
        '<outputs><data name="o" format="txt"/></outputs>',
        profile=profile,
    )
    done = run(made)
    assert done.failed is failed
    assert ("o" in done.outputs) is not failed


def test_slots_and_environment(descriptor: Make, run: Go) -> None:
    made = tool(
        descriptor,
        'echo \\${GALAXY_SLOTS:-9} "\\$GREETING" "\\$STRIPPED." > $o',
        '<data name="o" format="txt"/>',
        '<param name="x" type="text" value="you"/>',
        "<environment_variables><environment_variable name='GREETING'>hello $x\n"
        "</environment_variable><environment_variable name='STRIPPED' strip='true'>  s  "
        "</environment_variable></environment_variables>",
    )
    assert run(made).text("o") == "1 hello you s.\n"
    assert run(made, {}, GALAXY_SLOTS="4").text("o") == "4 hello you s.\n"


def test_the_tools_own_folder(descriptor: Make, run: Go) -> None:
    made = tool(
        descriptor,
        "python '$__tool_directory__/double.py' $n '$o'",
        '<data name="o" format="txt"/>',
        '<param name="n" type="integer" value="21"/>',
        files={
            "double.py": "import sys\nopen(sys.argv[2], 'w').write(str(2 * int(sys.argv[1])))\n"
        },
    )
    assert run(made).text("o") == "42"


def test_old_interpreter_attribute(descriptor: Make, run: Go) -> None:
    made = descriptor(
        '<command interpreter="python">go.py $o</command><inputs/>'
        '<outputs><data name="o" format="txt"/></outputs>',
        profile="",
        files={"go.py": "import sys\nopen(sys.argv[1], 'w').write('old')\n"},
    )
    assert run(made).text("o") == "old"


CONFIG = """<configfiles>
  <inputs name="all" data_style="paths"/>
  <inputs_ignored/>
  <configfile name="first"><![CDATA[#import json
#set $found = {'n': int($n), 'names': [str($e.t) for $e in $r]}
#echo json.dumps($found)
]]></configfile>
  <configfile name="named" filename="settings.ini">[s]
n=$n
</configfile></configfiles>"""
CONFIG_INPUTS = """<param name="n" type="integer" value="3"/>
<repeat name="r" title="R"><param name="t" type="text" value="a"/></repeat>"""


def test_configfiles(descriptor: Make, run: Go) -> None:
    made = tool(
        descriptor,
        "cp '$first' '$a' && cat settings.ini > '$b' && cat '$named' >> '$b'",
        '<data name="a" format="json"/><data name="b" format="txt"/>',
        CONFIG_INPUTS,
        CONFIG,
    )
    done = run(made, {"n": 5, "r": [{"t": "x"}, {"t": "y"}]})
    assert json.loads(done.text("a")) == {"n": 5, "names": ["x", "y"]}
    assert done.text("b") == "[s]\nn=5\n[s]\nn=5\n"


JSON_INPUTS = """
<param name="i" type="integer" optional="true"/>
<param name="f" type="float" value="1"/>
<param name="b" type="boolean" truevalue="--b" falsevalue="" checked="true"/>
<param name="t" type="text" value="it's"/>
<param name="s" type="select"><option value="a" selected="true">A</option></param>
<param name="m" type="select" multiple="true"><option value="x" selected="true">X</option>
  <option value="y" selected="true">Y</option></param>
<param name="none" type="select" optional="true"><option value="x">X</option></param>
<param name="d" type="data" optional="true"/>
<param name="ds" type="data" multiple="true"/>
<param name="c" type="data_collection" collection_type="list"/>
<param name="col" type="data_column" data_ref="d" optional="true"/>
<conditional name="cond"><param name="w" type="boolean"/>
  <when value="true"><param name="p" type="color" value="#ff0000"/></when>
  <when value="false"><param name="q" type="hidden" value="h"/></when></conditional>
<section name="sec" title="S"><param name="z" type="integer" value="9"/></section>
<repeat name="rep" title="R" min="1"><param name="v" type="integer" value="7"/></repeat>
"""


@pytest.mark.parametrize(
    "style", ["", 'data_style="paths"', 'data_style="staging_path_and_source_path"']
)
def test_inputs_as_json(descriptor: Make, run: Go, dataset: Data, style: str) -> None:
    made = tool(
        descriptor,
        "cp inputs.json '$o'",
        '<data name="o" format="json"/>',
        JSON_INPUTS,
        f'<configfiles><inputs name="inp" filename="inputs.json" {style}/></configfiles>',
    )
    a, b = dataset("a.txt"), dataset("b.txt")
    pair = DataCollection("list", (("one", a), ("two", b)), "c")
    found = json.loads(run(made, {"ds": [a, b], "c": pair}).text("o"))
    plain = {
        "i": None, "f": 1.0, "b": True, "t": "it__sq__s", "s": "a", "m": ["x", "y"],
        "none": None, "col": [], "cond": {"w": False, "q": "h"}, "sec": {"z": 9},
        "rep": [{"v": 7}],
    }  # fmt: skip
    assert {key: found[key] for key in plain} == plain
    if not style:
        assert set(found) == set(plain)
    elif "paths" in style:
        paths = [str(a.path), str(b.path)]
        assert (found["d"], found["ds"], found["c"]) == (None, paths, paths)
    else:
        assert found["c"][0]["element_identifier"] == ["one"]
        assert found["c"][1]["staging_path"] == "two.txt"
        assert found["ds"][0]["source_path"] == str(a.path)


def test_a_configfile_stays_in_the_job(descriptor: Make, run: Go) -> None:
    made = tool(
        descriptor,
        "true",
        '<data name="o"/>',
        "",
        '<configfiles><configfile name="x" filename="../../evil">e</configfile></configfiles>',
    )
    with pytest.raises(TemplateError, match="outside"):
        run(made)


# -- outputs -------------------------------------------------------------------------

METHOD = """<param name="how" type="select"><option value="a">A</option>
<option value="b">B</option></param><param name="more" type="boolean"/>
<param name="n" type="integer" value="1"/>
<conditional name="c"><param name="k" type="select"><option value="x">X</option>
<option value="y">Y</option></param><when value="x"/><when value="y"/></conditional>"""


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {"always", "broken"}),
        ({"how": "b"}, {"always", "b", "broken"}),
        ({"more": True, "c|k": "y"}, {"always", "more", "y", "broken"}),
        ({"n": 5, "more": True}, {"always", "more", "both", "broken"}),
    ],
)
def test_filters(descriptor: Make, run: Go, values: dict, expected: set[str]) -> None:
    def data(name: str, *filters: str) -> str:
        inner = "".join(f"<filter>{text}</filter>" for text in filters)
        return f'<data name="{name}" format="txt">{inner}</data>'

    outputs = "".join(
        [
            data("always"),
            data("b", "how == 'b'"),
            data("more", "more"),
            data("y", "c['k'] == 'y'"),
            data("both", "more is True", "n &gt; 4"),
            data("broken", "no_such_name == 1"),
        ]
    )
    names = ["always", "b", "more", "y", "both", "broken"]
    command = "\n".join(f"#if ${name}\n echo {name} > '${name}';\n#end if" for name in names)
    done = run(tool(descriptor, command, outputs, METHOD), values)
    assert set(done.outputs) == expected
    for name in expected:
        assert done.text(name) == f"{name}\n"


def test_formats(descriptor: Make, run: Go, dataset: Data) -> None:
    outputs = """
    <data name="fixed" format="txt"/><data name="same" format="input"/>
    <data name="source" format="txt" format_source="j"/>
    <data name="nested" format="txt" format_source="c|q"/>
    <data name="changed" format="txt"><change_format>
      <when input="how" value="b" format="csv"/><when input="c.k" value="x" format="json"/>
    </change_format></data>
    <data name="by_data" format="txt"><change_format>
      <when input_dataset="i" attribute="ext" value="png" format="jpg"/></change_format></data>
    <data name="acted" format="txt"><actions><action type="format">
      <option type="from_param" name="j" param_attribute="ext"/></action></actions></data>
    <data name="by_pair"><actions><conditional name="how"><when value="b">
      <action type="format"><option type="from_param" name="pair" param_attribute="forward.ext"/>
      </action></when></conditional></actions></data>
    <data name="sniffed" auto_format="true" from_work_dir="guess"/>"""
    inputs = """<param name="i" type="data"/><param name="j" type="data"/>
    <param name="pair" type="data_collection" collection_type="paired"/>
    <param name="how" type="select"><option value="a">A</option><option value="b">B</option>
    </param><conditional name="c"><param name="k" type="select"><option value="x">X</option>
    <option value="y">Y</option></param><when value="x"><param name="q" type="data"/></when>
    <when value="y"/></conditional>"""
    names = ["fixed", "same", "source", "nested", "changed", "by_data", "acted", "by_pair"]
    command = ";".join(f"echo ${name}.ext > '${name}'" for name in names)
    made = tool(descriptor, f"{command}; printf '\\x89PNG\\r\\n\\x1a\\n' > guess", outputs, inputs)
    pair = DataCollection("paired", (("forward", dataset("f.gif")), ("reverse", dataset("r"))))
    values = {
        "i": dataset("i.png"), "j": dataset("j.tsv"), "c|q": dataset("q.bmp"), "how": "b",
        "pair": pair,
    }  # fmt: skip
    done = run(made, values)
    found = {name: entry.files[0].format for name, entry in done.outputs.items()}
    assert found == {
        "fixed": "txt", "same": "png", "source": "tsv", "nested": "bmp", "changed": "csv",
        "by_data": "jpg", "acted": "tsv", "by_pair": "gif", "sniffed": "png",
    }  # fmt: skip
    assert {name: done.text(name).strip() for name in names} == {n: found[n] for n in names}
    assert done.outputs["changed"].files[0].path.suffix == ".csv"
    again = run(made, {**values, "how": "a"})
    assert again.outputs["changed"].files[0].format == "json"


def test_formats_of_several_inputs(descriptor: Make, run: Go, dataset: Data) -> None:
    outputs = """
    <data name="first" format="txt" format_source="many"/>
    <data name="second" format="txt" format_source="pair['reverse']"/>
    <data name="whole" format="txt" format_source="pair"/>
    <data name="odd" format="txt" format_source="pair['none']"/>
    <data name="deep" format="txt" format_source="hidden_deep"/>
    <data name="absent" format="txt" format_source="nothing"/>
    <data name="by_metadata" format="txt"><change_format>
      <when input_dataset="table" attribute="columns" value="2" format="csv"/></change_format>
    </data>
    <data name="other_case" format="txt"><change_format>
      <when input="no.such" value="2" format="csv"/></change_format></data>
    <data name="broken" format="txt"><actions><action type="format">
      <option type="from_param" name="no_such" param_attribute="ext"/></action></actions></data>
    <collection name="alike" type="list" structured_like="many" inherit_format="true"/>"""
    inputs = """<param name="many" type="data" multiple="true"/>
    <param name="pair" type="data_collection" collection_type="paired"/>
    <param name="table" type="data" format="tabular"/>
    <section name="s" title="S"><param name="hidden_deep" type="data"/></section>"""
    names = ["first", "second", "whole", "odd", "deep", "absent", "by_metadata", "other_case"]
    command = ";".join(f"echo 1 > '${name}'" for name in [*names, "broken"])
    command += "\n#for $one in $alike\n; echo 2 > '$one'\n#end for"
    pair = DataCollection("paired", (("forward", dataset("f.gif")), ("reverse", dataset("r.bmp"))))
    done = run(
        tool(descriptor, command, outputs, inputs),
        {
            "many": [dataset("a.png"), dataset("b.jpg")],
            "pair": pair,
            "table": dataset("t.tabular", "1\t2\n"),
            "s|hidden_deep": dataset("d.tsv"),
        },
    )
    found = {name: entry.files[0].format for name, entry in done.outputs.items() if entry.files}
    assert {name: found[name] for name in names} == {
        "first": "png", "second": "bmp", "whole": "gif", "odd": "gif", "deep": "tsv",
        "absent": "txt", "by_metadata": "csv", "other_case": "txt",
    }  # fmt: skip
    assert found["broken"] == "txt"
    assert any("“broken” are left out" in note for note in done.rendered.notes)
    assert [(file.name, file.format) for file in done.outputs["alike"].files] == [
        ("a.png", "png"), ("b.jpg", "jpg"),
    ]  # fmt: skip


def test_from_work_dir(descriptor: Make, run: Go) -> None:
    outputs = """<data name="a" format="txt" from_work_dir="sub dir/a.txt"/>
    <data name="b" format="txt" from_work_dir="*.log"/>
    <data name="c" format="txt" from_work_dir="sub dir/a.txt"/>
    <data name="d" format="txt" from_work_dir="never"/>"""
    done = run(
        tool(descriptor, "mkdir 'sub dir'; echo 1 > 'sub dir/a.txt'; echo 2 > x.log", outputs)
    )
    assert {name: done.text(name) for name in done.outputs} == {
        "a": "1\n", "b": "2\n", "c": "1\n",
    }  # fmt: skip
    assert all(
        entry.files[0].path.is_relative_to(done.paths.outputs) for entry in done.outputs.values()
    )


@pytest.mark.parametrize(
    "output",
    [
        '<data name="o" format="txt"/>',
        '<data name="o" format="txt" from_work_dir="out"/>',
        '<data name="o"><discover_datasets pattern="__name__" directory="d" format="txt"/></data>',
        (
            '<collection name="o" type="list">'
            '<discover_datasets pattern="__name__" directory="d"/></collection>'
        ),
    ],
)
def test_links_out_of_the_job_are_refused(
    descriptor: Make, run: Go, tmp_path: Path, output: str
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    command = f"mkdir d; ln -s '{secret}' d/x; ln -s '{secret}' out; ln -s '{secret}' '$o' || true"
    if "collection" in output:
        command = f"mkdir d; ln -s '{secret}' d/x"
    with pytest.raises(OutputError, match="leads out"):
        run(tool(descriptor, command, output, profile="20.05"))


def test_a_link_to_an_input_is_taken(descriptor: Make, run: Go, dataset: Data) -> None:
    made = tool(
        descriptor,
        "ln -s '$i' out.txt",
        '<data name="o" format="txt" from_work_dir="out.txt"/>',
        '<param name="i" type="data"/>',
    )
    file = dataset("i.txt", "same")
    done = run(made, {"i": file})
    assert done.text("o") == "same"
    assert not done.outputs["o"].files[0].path.is_symlink()
    assert file.path.exists()


@pytest.mark.parametrize("name", ["../x.txt", "/etc/passwd"])
def test_outputs_outside_are_not_looked_for(descriptor: Make, run: Go, name: str) -> None:
    made = tool(descriptor, "true", f'<data name="o" format="txt" from_work_dir="{name}"/>')
    with pytest.raises(OutputError, match="outside"):
        run(made)


def names(done: Run, output: str = "o") -> list[tuple[str, str, str]]:
    return [(file.name, file.format, file.path.read_text()) for file in done.outputs[output].files]


@pytest.mark.parametrize(
    ("discover", "expected"),
    [
        (
            'pattern="__name__" directory="out" format="txt"',
            [("a_1.txt", "txt"), ("a_10.csv", "txt"), ("b_2.txt", "txt")],
        ),
        (
            'pattern="__name_and_ext__" directory="out"',
            [("a_1", "txt"), ("a_10", "csv"), ("b_2", "txt")],
        ),
        (
            'pattern="__designation_and_ext__" directory="out" sort_by="reverse_filename"',
            [("b_2", "txt"), ("a_10", "csv"), ("a_1", "txt")],
        ),
        (
            (
                'pattern="[ab]_(?P&lt;designation&gt;\\d+)\\..*" directory="out" format="txt" '
                'sort_by="numeric_designation"'
            ),
            [("1", "txt"), ("2", "txt"), ("10", "txt")],
        ),
        (
            'pattern="(?P&lt;designation&gt;.+)\\.txt" directory="." format="txt" recurse="true"',
            [("a_1", "txt"), ("b_2", "txt"), ("deep", "txt")],
        ),
        (
            (
                'pattern="(?P&lt;name&gt;.+)\\.txt" directory="out" format="txt" recurse="true" '
                'match_relative_path="true"'
            ),
            [("a_1", "txt"), ("b_2", "txt"), ("in/deep", "txt")],
        ),
        (
            'pattern="__name__" directory="out" format="auto"',
            [("a_1.txt", "txt"), ("a_10.csv", "csv"), ("b_2.txt", "txt")],
        ),
    ],
)
def test_discovered_collections(
    descriptor: Make, run: Go, discover: str, expected: list[tuple[str, str]]
) -> None:
    made = tool(
        descriptor,
        "mkdir -p out/in; cd out;"
        " for n in a_1.txt a_10.csv b_2.txt in/deep.txt; do echo x > \\$n; done",
        f'<collection name="o" type="list"><discover_datasets {discover}/></collection>',
    )
    assert [(name, kind) for name, kind, _ in names(run(made))] == expected


def test_nested_discovered_collection(descriptor: Make, run: Go) -> None:
    made = tool(
        descriptor,
        "for n in a_f a_r b_f b_r; do echo \\$n > \\$n.txt; done",
        '<collection name="o" type="list:paired"><discover_datasets format="txt" '
        'pattern="(?P&lt;identifier_0&gt;.)_(?P&lt;identifier_1&gt;.)\\.txt"/></collection>',
    )
    done = run(made)
    assert [name for name, _, _ in names(done)] == ["a/f", "a/r", "b/f", "b/r"]
    assert done.outputs["o"].files[1].metadata["identifiers"] == ("a", "r")


def test_two_elements_of_one_name(descriptor: Make, run: Go) -> None:
    made = tool(
        descriptor,
        "echo 1 > a.txt; echo 1 > a.csv",
        '<collection name="o" type="list"><discover_datasets '
        'pattern="(?P&lt;designation&gt;.)\\..*"/></collection>',
    )
    with pytest.raises(OutputError, match="two elements"):
        run(made)


def test_declared_elements(descriptor: Make, run: Go, dataset: Data) -> None:
    made = tool(
        descriptor,
        "echo f > '$pair.forward'; echo r > reverse.txt; echo again > '$other'",
        '<collection name="pair" type="paired" format="txt"><data name="forward" format="csv"/>'
        '<data name="reverse" format_source="i" from_work_dir="reverse.txt"/></collection>'
        '<collection name="c2" type="list" format="txt"><data name="other"/></collection>',
        '<param name="i" type="data"/>',
    )
    done = run(made, {"i": dataset("i.tsv")})
    assert names(done, "pair") == [("forward", "csv", "f\n"), ("reverse", "tsv", "r\n")]
    assert names(done, "c2") == [("other", "txt", "again\n")]


def test_structured_like(descriptor: Make, run: Go, dataset: Data) -> None:
    made = tool(
        descriptor,
        "#for $k in $c.keys()\n tr a-z A-Z < '$c[$k]' > '$o[$k]';\n#end for",
        '<collection name="o" type="list" structured_like="c" inherit_format="true"/>',
        '<param name="c" type="data_collection" collection_type="list"/>',
    )
    files = (("one", dataset("x.csv", "abc")), ("two words", dataset("y.txt", "def")))
    done = run(made, {"c": DataCollection("list", files, "c")})
    assert names(done) == [("one", "csv", "ABC"), ("two words", "txt", "DEF")]
    output = done.outputs["o"].output
    assert isinstance(output, CollectionOutput)
    assert output.collection_type == "list"


def test_type_source(descriptor: Make, run: Go, dataset: Data) -> None:
    made = tool(
        descriptor,
        "mkdir o; #for $e in $c#cat '$e' > 'o/$e.element_identifier';#end for#",
        '<collection name="o" type_source="c"><discover_datasets directory="o" '
        'pattern="__name__" format="txt"/></collection>',
        '<param name="c" type="data_collection" collection_type="paired"/>',
    )
    pair = DataCollection("paired", (("forward", dataset("f")), ("reverse", dataset("r"))), "")
    done = run(made, {"c": pair})
    output = done.outputs["o"].output
    assert isinstance(output, CollectionOutput)
    assert output.collection_type == "paired"
    assert [file.name for file in done.outputs["o"].files] == ["forward", "reverse"]


def test_discovered_beside_a_dataset(descriptor: Make, run: Go) -> None:
    outputs = """<data name="o" format="txt"><discover_datasets directory="more"
    pattern="__designation_and_ext__" visible="true"/></data>
    <data name="p" format="txt"><discover_datasets directory="more" assign_primary_output="true"
    pattern="(?P&lt;designation&gt;.)\\.txt" format="txt"/></data>"""
    done = run(
        tool(
            descriptor,
            "echo main > $o; mkdir more; for n in a b; do echo \\$n > more/\\$n.txt; done",
            outputs,
        )
    )
    assert names(done, "o") == [
        ("", "txt", "main\n"), ("a", "txt", "a\n"), ("b", "txt", "b\n"),
    ]  # fmt: skip
    assert [(file.name, file.path.read_text()) for file in done.outputs["p"].files] == [
        ("a", "a\n"), ("b", "b\n"),
    ]  # fmt: skip


def test_provided_metadata(descriptor: Make, run: Go) -> None:
    about = {
        "o": {"ext": "csv", "name": "my name"},
        "c": {
            "elements": [
                {"name": "x", "elements": [{"name": "1", "filename": "a", "ext": "txt"}]},
                {"name": "y", "elements": [{"name": "2", "filename": "b", "ext": "csv"}]},
            ]
        },
    }
    made = tool(
        descriptor,
        "cp '$about' galaxy.json; echo 1 > $o; echo a > a; echo b > b",
        '<data name="o" format="txt"/><collection name="c" type="list:list">'
        '<discover_datasets from_provided_metadata="true"/></collection>',
        "",
        f'<configfiles><configfile name="about">{json.dumps(about)}</configfile></configfiles>',
    )
    done = run(made)
    assert names(done) == [("my name", "csv", "1\n")]
    assert names(done, "c") == [("x/1", "txt", "a\n"), ("y/2", "csv", "b\n")]


def test_provided_metadata_of_discovered_files(descriptor: Make, run: Go) -> None:
    told = {"filename": "one.out", "name": "my one", "ext": "csv", "extra_files": "parts"}
    about = {"o": {"datasets": [told]}}
    made = tool(
        descriptor,
        "mkdir parts; echo p > parts/p.txt; echo 1 > one.out; echo 2 > two.out;"
        "cp '$about' galaxy.json",
        '<data name="o" format="txt"><discover_datasets pattern="(?P&lt;designation&gt;.+).out"'
        ' format="json"/></data>',
        "",
        f'<configfiles><configfile name="about">{json.dumps(about)}</configfile></configfiles>',
    )
    one, two = run(made).outputs["o"].files
    assert (one.name, one.format, one.metadata["name"]) == ("one", "csv", "my one")
    assert (Path(str(one.metadata["extra_files_path"])) / "p.txt").read_text() == "p\n"
    assert (two.name, two.format) == ("two", "json")


@pytest.mark.parametrize(
    "told",
    [
        *(
            '{"o": 5}',
            '{"o": [1]}',
            "[1]",
            '{"o": {"datasets": [1]}}',
            '{"o": {"datasets": [{}]}}',
        ),
        *('{"o": {"elements": [{}]}}', '{"o": {"elements": 3}}', "no json", '{"type": "dataset"}'),
        *("[" * 100_000, '{"type": "new_primary_dataset"}', '{"type": "dataset", "dataset": 1}'),
        '{"type": "dataset", "dataset": "x", "dataset_id": "y"}',
    ],
)
def test_metadata_that_cannot_be_used_are_a_sentence(descriptor: Make, run: Go, told: str) -> None:
    made = tool(
        descriptor,
        "cp '$about' galaxy.json; echo 1 > $o",
        '<data name="o" format="txt"><discover_datasets from_provided_metadata="true"/></data>',
        "",
        f'<configfiles><configfile name="about">{told}</configfile></configfiles>',
    )
    with pytest.raises(OutputError, match=r"described its outputs in galaxy.json, which cannot"):
        run(made)


def test_metadata_of_a_stranger_are_read_in_the_reader(
    descriptor: Make, run: Go, monkeypatch: pytest.MonkeyPatch
) -> None:
    from galaxy.tool_util import provided_metadata

    def here(*_: object) -> None:
        raise AssertionError("parsed in this process")

    monkeypatch.setattr(provided_metadata.ToolProvidedMetadata, "__init__", here)
    about = {"o": {"name": "my name"}}
    made = tool(
        descriptor,
        "cp '$about' galaxy.json; echo 1 > $o",
        '<data name="o" format="txt"/>',
        "",
        f'<configfiles><configfile name="about">{json.dumps(about)}</configfile></configfiles>',
    )
    assert run(made).outputs["o"].files[0].name == "my name"
    large = tool(
        descriptor,
        "head -c 5000000 /dev/zero > galaxy.json; echo 1 > $o",
        '<data name="o" format="txt"/>',
    )
    with pytest.raises(OutputError, match="more than 4 MB"):
        run(large)


def test_an_output_that_the_tool_calls_failed(descriptor: Make, run: Go) -> None:
    made = tool(
        descriptor,
        """echo '{"o": {"failed": true}}' > galaxy.json; echo 1 > $o""",
        '<data name="o" format="txt"/>',
    )
    with pytest.raises(OutputError, match=r"could not make an output"):
        run(made)


def test_extra_files(descriptor: Make, run: Go) -> None:
    made = tool(
        descriptor,
        "mkdir '$o.files_path' && echo page > '$o' && echo part > '$o.extra_files_path/part.txt'",
        '<data name="o" format="html"/>',
    )
    file = run(made).outputs["o"].files[0]
    assert file.path.read_text() == "page\n"
    assert (Path(str(file.metadata["extra_files_path"])) / "part.txt").read_text() == "part\n"


@pytest.mark.parametrize(
    ("command", "output"),
    [
        (
            (
                "mkdir -p '$o.extra_files_path/i.zarr'; "
                "echo '{}' > '$o.extra_files_path/i.zarr/.zgroup'"
            ),
            "",
        ),
        ("mkdir i.zarr; echo '{}' > i.zarr/.zgroup", 'from_work_dir="i.zarr"'),
        ("mkdir '$o'; echo '{}' > '$o/.zgroup'", ""),
        ("echo '{}' > '$o/.zgroup'", 'precreate_directory="true"'),
    ],
)
def test_a_zarr_output_is_a_folder(descriptor: Make, run: Go, command: str, output: str) -> None:
    done = run(tool(descriptor, command, f'<data name="o" format="zarr" {output}/>'))
    file = done.outputs["o"].files[0]
    assert file.format == "zarr"
    assert (file.path / ".zgroup").exists()
    assert file.path.is_relative_to(done.paths.outputs)


def test_a_folder_that_is_no_zarr_is_taken_and_told(descriptor: Make, run: Go) -> None:
    """It is there: what it lacks is said where it is opened, not that nothing was written."""
    command = "mkdir -p '$o.extra_files_path'; echo x > '$o.extra_files_path/0.0'"
    done = run(tool(descriptor, command, '<data name="o" format="zarr"/>'))
    (file,) = done.outputs["o"].files
    assert [one.name for one in file.path.iterdir()] == ["0.0"]


def test_an_output_that_was_not_written_has_no_entry(descriptor: Make, run: Go) -> None:
    done = run(tool(descriptor, "true", '<data name="o" format="txt"/>'))
    assert done.outputs == {}


# -- how it ended --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "extra", "profile", "command", "failed"),
    [
        ("", "", "23.0", "exit 3", True),
        ("", "", "23.0", "echo bad >&2", False),
        ("", "", "", "echo bad >&2", True),
        ("", "", "", "exit 3", False),
        ('detect_errors="exit_code"', "", "", "exit 3", True),
        ('detect_errors="exit_code"', "", "", "echo error: >&2", False),
        ('detect_errors="aggressive"', "", "", "echo Error: oops", True),
        ('detect_errors="aggressive"', "", "", "echo MemoryError >&2", True),
        ('detect_errors="aggressive"', "", "", "echo fine >&2", False),
        ('detect_errors="default"', "", "23.0", "exit 1", True),
        ("", '<stdio><exit_code range="2:" level="fatal"/></stdio>', "23.0", "exit 1", False),
        ("", '<stdio><exit_code range="2:" level="fatal"/></stdio>', "23.0", "exit 2", True),
        ("", '<stdio><exit_code range=":-1"/><exit_code range="1:"/></stdio>', "", "exit 1", True),
        ("", '<stdio><regex match="boom" source="stdout"/></stdio>', "23.0", "echo boom", True),
        ("", '<stdio><regex match="boom" source="stderr"/></stdio>', "23.0", "echo boom", False),
        ("", '<stdio><regex match="b" level="warning"/></stdio>', "23.0", "echo boom", False),
    ],
)
def test_judged_as_galaxy_does(
    descriptor: Make,
    run: Go,
    attributes: str,
    extra: str,
    profile: str,
    command: str,
    failed: bool,
) -> None:
    made = descriptor(
        f"<command {attributes}><![CDATA[{command}]]></command>{extra}<inputs/><outputs/>",
        profile=profile,
    )
    assert run(made).failed is failed


def test_a_verdict_says_why(descriptor: Make) -> None:
    from napari_tool_runner.tools.galaxy import GalaxyDialect

    dialect = GalaxyDialect()
    made = descriptor(
        '<stdio><regex match="odd (\\w+)" level="warning" description="Watch \\1"/>'
        '<exit_code range="137" level="fatal_oom" description="killed"/>'
        '<exit_code range="1:" level="fatal" description="no good"/></stdio>'
        "<command>x</command><inputs/><outputs/>"
    )
    assert dialect.judge(made, 0, "odd thing", "").warnings == ("Warning: Watch thing",)
    bad = dialect.judge(made, 2, "", "")
    assert not bad.ok
    assert "exit code 2" in bad.reason
    assert "no good" in bad.reason
    assert "memory" in dialect.judge(made, 137, "", "").reason
    assert not dialect.judge(made, None, "", "").ok


# -- expression tools ----------------------------------------------------------------


def test_expression_tools(descriptor: Make, run: Go, dataset: Data) -> None:
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    made = descriptor(
        """<expression type="ecma5.1"><![CDATA[{
            var n = parseInt($job.n) * 2;
            return {'twice': n, 'text': $job.c.t + ':' + $job.i.name, 'none': null,
                    'head': $job.i.contents};
        }]]></expression>
        <inputs><param name="n" type="integer" value="4"/>
        <param name="i" type="data" load_contents="3"/>
        <conditional name="c"><param name="k" type="select"><option value="x">X</option></param>
        <when value="x"><param name="t" type="text" value="hi"/></when></conditional></inputs>
        <outputs><output type="integer" name="twice" from="twice"/>
        <output type="text" name="renamed" from="text"/>
        <output type="text" name="none" from="none"/>
        <output type="text" name="head" from="head"/></outputs>""",
        attributes='tool_type="expression"',
    )
    assert made.requirements[0].name == "nodejs"  # type: ignore[union-attr]
    done = run(made, {"i": dataset("in.txt", "abcdef")})
    assert done.exit_code == 0, done.stderr
    assert {name: json.loads(done.text(name)) for name in done.outputs} == {
        "twice": 8, "renamed": "hi:in.txt", "none": None, "head": "abc",
    }  # fmt: skip


def test_a_parameter_may_be_called_like_a_name_of_galaxy(descriptor: Make, run: Go) -> None:
    made = tool(
        descriptor,
        "echo $tool $dbkey > $o",
        '<data name="o" format="txt"/>',
        '<param name="tool" type="text" value="mine"/><param name="dbkey" type="integer"'
        ' value="3"/>',
    )
    assert run(made).text("o") == "mine 3\n"


def test_only_extra_files(descriptor: Make, run: Go) -> None:
    made = descriptor(
        "<command>mkdir -p $o.extra_files_path/a.zarr; echo x > $o.extra_files_path/a.zarr/p"
        '</command><inputs/><outputs><data name="o" format="html"/></outputs><tests><test>'
        '<output name="o" ftype="html"><extra_files type="file" name="a.zarr/p" value="p"/>'
        "</output></test></tests>",
        files={"test-data/p": "x\n"},
    )
    outcome = run(made).outcome()
    assert DIALECT.verify(made, made.tests[0], outcome) == []
    (made.folder / "test-data" / "p").write_text("y\n")
    assert DIALECT.verify(made, made.tests[0], outcome) != []


def test_what_is_told_of_outputs(tmp_path: Path) -> None:
    path = tmp_path / "t.xml"
    path.write_text(
        """<tool id="t" name="T" version="1" profile="23.0"><command>t</command><inputs>
        <conditional name="c"><param name="how" type="select" label="How" help="Choose">
        <option value="a"/></param><when value="a"/></conditional></inputs><outputs>
        <data name="o" format="txt"><change_format><when input="c.how" value="a" format="csv"/>
        </change_format></data>
        <data name="d" format="auto"><discover_datasets pattern="(?P&lt;name&gt;.+)\\.tif"
        directory="objects" format="tiff"/></data></outputs></tool>"""
    )
    shown = describe_json(read_tool(path))
    outputs = shown["outputs"]
    assert isinstance(outputs, list)
    plain, found = outputs
    assert plain["change_format"] == [{"input": "c.how", "value": "a", "format": "csv"}]
    assert (plain["discover"], plain["auto_format"], plain["discovers"]) == ([], False, False)
    assert plain["default_identifier_source"] == ""
    assert (found["auto_format"], found["discovers"]) == (True, True)
    assert found["discover"][0]["directory"] == "objects"
    inputs = shown["inputs"]
    assert isinstance(inputs, list)
    assert {"label", "help", "test", "cases"} <= inputs[0].keys()


# -- results of expressions -------------------------------------------------------------

EXPRESSION = """<expression type="ecma5.1"><![CDATA[{}]]></expression>
<inputs><param name="a" type="data" format="data"/>
<param name="b" type="data" format="data" optional="true"/>
<param name="n" type="integer" value="3"/></inputs>
<outputs><output type="data" name="chosen" from="chosen"/>
<output type="integer" name="count" from="count"/></outputs>"""

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not here")


@needs_node
@pytest.mark.parametrize(
    ("result", "chosen", "count"),
    [
        ("{'chosen': $job.b.src, 'count': $job.n + 1}", ("csv", "b.csv", "1,2\n"), "4"),
        ("{'chosen': $job.a, 'count': $self === null}", ("txt", "a.txt", "text"), "true"),
        ("{'chosen': null, 'count': $job.n / 0}", None, "null"),
        ("{'chosen': $job.b || $job.a, 'count': [1, 2]}", ("csv", "b.csv", "1,2\n"), "[1,2]"),
    ],
)
def test_an_expression_passes_an_input_on(
    descriptor: Make, run: Go, dataset: Data, result: str, chosen: object, count: str
) -> None:
    made = descriptor(
        EXPRESSION.format(f"{{return {result};}}"), attributes='tool_type="expression"'
    )
    done = run(made, {"a": dataset("a.txt", "text"), "b": dataset("b.csv", "1,2\n")})
    assert done.exit_code == 0, done.stderr
    files = [file for name, o in done.outputs.items() if name == "chosen" for file in o.files]
    assert [(file.format, file.name, file.path.read_text()) for file in files] == (
        [chosen] if chosen else []
    )
    assert done.text("count") == count
    assert f"note: The result “count” is {count}" in done.stdout


@needs_node
@pytest.mark.parametrize("left", ["{'id': 7}", "{'id': 0}", "{'id': 'x'}", "'text'", "{'id': -1}"])
def test_an_expression_passes_nothing_else_on(
    descriptor: Make, run: Go, dataset: Data, left: str
) -> None:
    made = descriptor(
        EXPRESSION.format(f"{{return {{'chosen': {left}, 'count': 1}};}}"),
        attributes='tool_type="expression"',
    )
    with pytest.raises(OutputError, match="what is no input"):
        run(made, {"a": dataset("a.txt", "text")})


@needs_node
@pytest.mark.parametrize(
    ("body", "last"),
    [
        ("{return {'__error_message': 'too few'};}", "too few"),
        ("{throw new Error('too many');}", "The expression failed: Error: too many"),
        ("{return {chosen: ;}", "The expression failed: SyntaxError: Unexpected token ';'"),
        (
            "{return {chosen: null};}",
            "The expression failed: ReferenceError: count is not defined",
        ),
        (
            "{new_one = 1; return {};}",
            "The expression failed: ReferenceError: new_one is not defined",
        ),
    ],
)
def test_an_expression_says_what_is_wrong(
    descriptor: Make, run: Go, dataset: Data, body: str, last: str
) -> None:
    made = descriptor(EXPRESSION.format(body), attributes='tool_type="expression"')
    done = run(made, {"a": dataset("a.txt", "text")})
    assert done.failed
    assert done.stderr.splitlines()[-1] == last


@needs_node
@pytest.mark.parametrize(
    ("result", "told"),
    [
        ("{chosen: null, count: 3}", "note: The result “chosen” is null: the expression chose no"),
        ("{chosen: $job.a, count: 'abc'}", "warning: The result “count” is declared as integer"),
        ("{chosen: $job.a, count: 5.5}", "warning: The result “count” is declared as integer"),
        ("{chosen: $job.a, count: 1 / 0}", "warning: The result “count” is declared as integer"),
        (
            "{chosen: $job.a, count: [3 + '1'.repeat(300)]}",
            '["3' + "1" * 197 + "… (its file holds",
        ),
        ("(console.log('note: The result'), {chosen: $job.a, count: 3})", "| note: The result"),
    ],
)
def test_what_an_expression_gave_is_told(
    descriptor: Make, run: Go, dataset: Data, result: str, told: str
) -> None:
    made = descriptor(
        EXPRESSION.format(f"{{return {result};}}"), attributes='tool_type="expression"'
    )
    done = run(made, {"a": dataset("a.txt", "text")})
    assert done.exit_code == 0, done.stderr
    assert told in done.stdout
    fits = "count: 3" in result
    assert ("warning:" in done.stdout) is not fits
    if told.startswith("|"):
        assert "\n| note: The result" in f"\n{done.stdout}"


def test_without_javascript_an_expression_is_a_sentence(
    descriptor: Make, run: Go, dataset: Data, tmp_path: Path
) -> None:
    made = descriptor(EXPRESSION.format("{return {};}"), attributes='tool_type="expression"')
    bound = bind(made, {"a": dataset("a.txt", "text")})
    rendered = DIALECT.render(made, bound, JobPaths(tmp_path / "job"), {})
    script = tmp_path / "script.sh"
    script.write_text(rendered.script)
    done = subprocess.run(
        ["/bin/bash", str(script)], env={"PATH": "/nowhere"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert not DIALECT.judge(made, done.returncode, done.stdout, done.stderr).ok
    assert done.stderr.startswith("Such a tool needs Node.js, which is not here: install it")
