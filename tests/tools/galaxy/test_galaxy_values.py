"""Values in templates: text, truth, comparison, iteration, attributes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import Run, execute  # type: ignore[import-not-found]
from napari_tool_runner.errors import ParameterError, TemplateError
from napari_tool_runner.tools.dialect import DataCollection, DataFile
from napari_tool_runner.tools.formats import FORMATS
from napari_tool_runner.tools.galaxy.dataset_values import DatasetValue
from napari_tool_runner.tools.galaxy.expressions import NotSimpleError, evaluate
from napari_tool_runner.tools.galaxy.sanitize import Sanitizer
from napari_tool_runner.tools.galaxy.validators import ValueRule
from napari_tool_runner.tools.model import Tool

Line = Callable[..., str]
Make = Callable[..., Tool]
Data = Callable[..., DataFile]


def tool(make: Make, command: str, inputs: str = "", **more: object) -> Tool:
    body = f"<command><![CDATA[{command}]]></command><inputs>{inputs}</inputs><outputs/>"
    return make(body, **more)


@pytest.mark.parametrize(
    ("param", "value", "expected"),
    [
        ('type="integer" value="3"', None, "3"),
        ('type="integer" value="3"', "-7", "-7"),
        ('type="integer" value="" optional="true"', None, ""),
        ('type="float" value="0"', None, "0.0"),
        ('type="float" value="1e-6"', None, "1e-06"),
        ('type="float" value="0.5"', 2, "2.0"),
        ('type="float" optional="true"', None, ""),
        ('type="boolean" checked="true" truevalue="--on" falsevalue=""', None, "--on"),
        ('type="boolean" checked="true" truevalue="--on" falsevalue="--off"', False, "--off"),
        ('type="boolean"', None, "false"),
        ('type="text" value="a b"', None, "a b"),
        ('type="text" value="x"', "it's <a> #1; $HOME", "it__sq__s __lt__a__gt__ __pd__1X XHOME"),
        ('type="text" value="x"', "a@b", "a__at__b"),
        ('type="text"', None, ""),
        ('type="hidden" value="h"', None, "h"),
        ('type="color" value="#AABBCC"', None, "#aabbcc"),
        ('type="color" value="#ff8000" rgb="true"', None, "(255, 128, 0)"),
        ('type="directory_uri" value="gxfiles://x"', None, "gxfiles://x"),
    ],
)
def test_text_of_a_value(
    descriptor: Make, line: Line, param: str, value: object, expected: str
) -> None:
    made = tool(descriptor, "echo [$x]", f'<param name="x" {param}/>')
    given_ = {} if value is None else {"x": value}
    assert line(made, given_) == f"echo [{expected}]"


SELECT = """<param name="s" type="select" {}>
<option value="a">Alpha</option><option value="b" selected="true">Beta &amp; more</option>
<option value="c" selected="{}">Gamma</option></param>"""


@pytest.mark.parametrize(
    ("attributes", "value", "command", "expected"),
    [
        ("", None, "$s $s.value_label", "b Beta & more"),
        ("", "a", "$s", "a"),
        ("", "Gamma", "$s", "c"),
        ('multiple="true"', None, "$s", "b"),
        ('multiple="true"', ["a", "c"], "$s", "a,c"),
        ('multiple="true" separator="|"', ["a", "c"], "$s", "a|c"),
        ('multiple="true"', [], "[$s]", "[None]"),
        ('multiple="true"', [], "#if $s#yes#else#no#end if#", "no"),
        ('multiple="true"', ["a", "c"], "#for $i in $s#<$i>#end for#", "<a><c>"),
        ('multiple="true"', ["a"], "#if 'a' in $s.value#yes#end if#", "yes"),
        ("", "a", "#if $s == 'a'#yes#end if#", "yes"),
        ("", "a", "#if $s != 'a'#no#else#yes#end if#", "yes"),
        ("", "a", "#if $s in ['a', 'b']#yes#end if#", "yes"),
        ("", "a", "#if str($s).startswith('a')#yes#end if#", "yes"),
        ("", "a", "${s + '.txt'}", "a.txt"),
        ('multiple="true"', [], "#if $s == ''#yes#end if#", "yes"),
        ("", "a", "#echo {'a': 'first'}[str($s)]#", "first"),
    ],
)
def test_select(
    descriptor: Make, line: Line, attributes: str, value: object, command: str, expected: str
) -> None:
    made = tool(descriptor, command, SELECT.format(attributes, "false"))
    assert line(made, {} if value is None else {"s": value}) == expected


def test_optional_select_without_a_choice_is_none(descriptor: Make, line: Line) -> None:
    made = tool(
        descriptor,
        "[$s] #if not $s#none#end if#",
        '<param name="s" type="select" optional="true"><option value="a">A</option></param>',
    )
    assert line(made) == "[None] none"


@pytest.mark.parametrize(
    ("param", "value", "condition", "expected"),
    [
        ('type="boolean" truevalue="--f" falsevalue=""', True, "$x", True),
        ('type="boolean" truevalue="--f" falsevalue=""', False, "$x", False),
        ('type="boolean" truevalue="--f" falsevalue="no"', False, "$x", False),
        ('type="boolean"', True, "$x == 'true'", True),
        ('type="boolean" truevalue="--f" falsevalue=""', True, "$x == 'true'", True),
        ('type="boolean" truevalue="--f" falsevalue=""', True, "$x == '--f'", True),
        ('type="boolean" truevalue="--f" falsevalue=""', True, "str($x) == 'true'", False),
        ('type="boolean"', False, "$x == True", False),
        ('type="boolean"', True, "$x == True", True),
        ('type="integer" value="1"', 0, "$x", False),
        ('type="integer" value="1"', 5, "$x > 4", True),
        ('type="integer" value="1"', 5, "$x >= 5", True),
        ('type="integer" value="1"', 5, "$x == 5", True),
        ('type="integer" value="1"', 5, "$x == '5'", False),
        ('type="integer" value="1"', 5, "int($x) + 1 == 6", True),
        ('type="integer" optional="true"', None, "str($x) == ''", True),
        ('type="integer" optional="true"', None, "$x == ''", True),
        ('type="integer" optional="true"', None, "$x is None", False),
        ('type="integer" optional="true"', None, "$x", False),
        ('type="float" value="1"', 0.5, "$x < 1", True),
        ('type="float" value="1"', 0.5, "float($x) == 0.5", True),
        ('type="text" value=""', "ab", "$x", True),
        ('type="text" value=""', "ab", "len(str($x)) == 2", True),
        ('type="text" value=""', "ab", "$x.upper() == 'AB'", True),
        ('type="text" value=""', "", "$x", False),
    ],
)
def test_truth_and_comparison(
    descriptor: Make, line: Line, param: str, value: object, condition: str, expected: bool
) -> None:
    made = tool(descriptor, f"#if {condition}#yes#else#no#end if#", f'<param name="x" {param}/>')
    values = {} if value is None else {"x": value}
    assert line(made, values) == ("yes" if expected else "no")


NESTED = """
<conditional name="c"><param name="how" type="select">
  <option value="one">1</option><option value="two" selected="true">2</option></param>
  <when value="one"><param name="x" type="integer" value="1"/></when>
  <when value="two"><conditional name="d"><param name="deep" type="boolean" checked="true"/>
    <when value="true"><param name="y" type="text" value="deepest"/></when>
    <when value="false"/></conditional></when></conditional>
<section name="s" title="S"><param name="z" type="float" value="2"/></section>
<repeat name="r" title="R" min="1"><param name="v" type="integer" value="7"/>
  <repeat name="q" title="Q"><param name="w" type="text" value="w"/></repeat></repeat>
"""


def test_nested_names(descriptor: Make, line: Line) -> None:
    command = """
    $c.how
    #if $c.how == 'two'
        $c.d.y
    #else
        $c.x
    #end if
    ${s.z}
    #for $i, $e in enumerate($r)
        ${i}:$e.v:$e['v']:${e.__index__}
        #for $n in $e.q
            <$n.w>
        #end for
    #end for
    #echo len($r)#
    """
    made = tool(descriptor, command, NESTED)
    values = {"r": [{"v": 1, "q": [{"w": "a"}, {"w": "b"}]}, {"v": 2}]}
    assert line(made, values).split() == [
        "two", "deepest", "2.0", "0:1:1:0", "<a>", "<b>", "1:2:2:1", "2",
    ]  # fmt: skip
    assert line(made, {"c|how": "one", "c|x": 5}).split()[:2] == ["one", "5"]


def test_a_nested_name_may_stand_alone_as_in_old_descriptors(descriptor: Make, line: Line) -> None:
    made = tool(descriptor, "echo $y $z", NESTED)
    assert line(made) == "echo deepest 2.0"


def test_argument_gives_the_name(descriptor: Make, line: Line) -> None:
    made = tool(descriptor, "$min_size", '<param argument="--min-size" type="integer" value="4"/>')
    assert made.inputs[0].name == "min_size"
    assert made.inputs[0].argument == "--min-size"
    assert line(made) == "4"


def test_directives(descriptor: Make, line: Line) -> None:
    command = """
    ## a comment
    #import json
    #from os.path import basename
    #set $words = ['a', 'b']
    #def shout($w)
    $w.upper()#slurp
    #end def
    #for $w in $words
    $shout($w)
    #end for
    #silent $words.append('c')
    #echo json.dumps($words)
    #raw
    $untouched
    #end raw
    #unless $n
    never
    #end unless
    #while len($words) < 4
    #silent $words.append('d')
    #end while
    #if $n == 1 then 'one' else 'many'
    #try
    #set $q = 1 / 0
    #except ZeroDivisionError
    caught
    #end try
    \\$HOME \\${GALAXY_SLOTS:-1} $basename('/x/y.txt')
    """
    made = tool(descriptor, command, '<param name="n" type="integer" value="1"/>')
    assert line(made).split() == [
        "A", "B", '["a",', '"b",', '"c"]', "$untouched", "one", "caught", "$HOME",
        "${GALAXY_SLOTS:-1}", "y.txt",
    ]  # fmt: skip


def test_template_macros_and_tokens(descriptor: Make, line: Line) -> None:
    body = """<macros>
      <token name="@NAME@">token</token>
      <xml name="p" tokens="n,v" token_v="9"><param name="@N@" type="integer" value="@V@"/></xml>
      <macro name="part" type="template">part-$a</macro></macros>
    <command>@NAME@ $a $b $part</command>
    <inputs><expand macro="p" n="a" v="3"/><expand macro="p" n="b"/></inputs><outputs/>"""
    assert line(descriptor(body)) == "token 3 9 part-$a"


# -- data ----------------------------------------------------------------------------


def test_data_attributes(descriptor: Make, line: Line, dataset: Data) -> None:
    made = tool(
        descriptor,
        "$i|$i.ext|$i.extension|$i.file_ext|$i.name|$i.element_identifier|$i.file_name"
        "|$i.is_collection|$i.is_of_type('txt')|$i.is_of_type('tiff','tabular')"
        "|$i.dataset.file_name|$i.datatype.file_ext|$i.metadata.dbkey|$i.dbkey"
        "|$i.name_and_ext|$i.has_data()|$i.get_size()",
        '<param name="i" type="data" format="txt"/>',
    )
    file = dataset("a'b [1].txt", "hello")
    file = DataFile(dataset("plain.txt", "hello").path, "txt", file.name)
    path = str(file.path)
    assert line(made, {"i": file}).split("|") == [
        path, "txt", "txt", "txt", "a__sq__b __ob__1__cb__.txt", "a__sq__b __ob__1__cb__.txt",
        path, "False", "True", "False", path, "txt", "?", "?",
        "a__sq__b __ob__1__cb__.txt.txt", "True", "5",
    ]  # fmt: skip


def test_absent_data(descriptor: Make, line: Line) -> None:
    made = tool(
        descriptor,
        "$i [#if $i#yes#else#no#end if#] $m [#if $m#yes#else#no#end if#] $i.is_collection",
        '<param name="i" type="data" optional="true" format="tiff"/>'
        '<param name="m" type="data" multiple="true" optional="true" format="tiff"/>',
    )
    assert line(made) == "None [no] None [no] False"


def test_several_data(descriptor: Make, line: Line, dataset: Data) -> None:
    made = tool(
        descriptor,
        "#for $i in $m# $i.name #end for# $m[0].ext #echo len($m)# "
        "#echo ';'.join([str(x) for x in $m])#",
        '<param name="m" type="data" multiple="true" format="txt"/>',
    )
    files = [dataset("a.txt"), dataset("b.txt")]
    words = line(made, {"m": files}).split()
    assert words == ["a.txt", "b.txt", "txt", "2", ";".join(str(f.path) for f in files)]
    comma = tool(descriptor, "$m", '<param name="m" type="data" multiple="true" format="txt"/>')
    assert line(comma, {"m": files}) == ",".join(str(f.path) for f in files)


def test_collections(descriptor: Make, line: Line, dataset: Data) -> None:
    made = tool(
        descriptor,
        "$c.is_collection $c.name #echo list($c.keys())# $c['forward'] $c.reverse.ext $c[0].name "
        "#for $k in $c.keys()#$k=$c[$k].element_identifier;#end for# "
        "#for $e in $c#<$e.element_identifier>#end for#",
        '<param name="c" type="data_collection" collection_type="paired" format="txt"/>',
    )
    pair = DataCollection(
        "paired", (("forward", dataset("f.txt")), ("reverse", dataset("r.txt"))), "my pair"
    )
    path = str(pair.elements[0][1].path)  # type: ignore[union-attr]
    assert line(made, {"c": pair}) == (
        f"True my pair ['forward', 'reverse'] {path} txt f.txt "
        "forward=forward;reverse=reverse; <forward><reverse>"
    )


def test_a_pair_or_a_single_item(descriptor: Make, line: Line, dataset: Data) -> None:
    made = tool(
        descriptor,
        "#if $c.has_single_item#$c.single_item.ext#else#$c.forward.ext $c['reverse'].ext#end if#",
        '<param name="c" type="data_collection" collection_type="paired_or_unpaired"/>',
    )
    one, two = dataset("a.png"), dataset("b.tiff")
    single = DataCollection("paired_or_unpaired", (("unpaired", one),))
    pair = DataCollection("paired", (("forward", one), ("reverse", two)))
    assert line(made, {"c": single}) == "png"
    assert line(made, {"c": pair}) == "png tiff"


def test_layers_become_a_collection(descriptor: Make, line: Line, dataset: Data) -> None:
    made = tool(
        descriptor,
        "#echo ','.join($c.keys())#",
        '<param name="c" type="data_collection" collection_type="list"/>',
    )
    files = [dataset("a.txt"), DataFile(dataset("b.txt").path, "txt", "a.txt")]
    assert line(made, {"c": files}) == "a.txt,a.txt 2"


NAMED = """<command><![CDATA[
#for $k in $c.keys()
echo '$k' '$c[$k].element_identifier' '$c[$k].safe_element_identifier' $c[$k] &&
#end for
#for $f in $m
echo '$f.element_identifier' $f &&
#end for
echo '$c.get_all_staging_paths()']]></command><inputs>
<param name="c" type="data_collection" collection_type="list" format="txt"/>
<param name="m" type="data" format="txt" multiple="true"/></inputs><outputs/>"""


@pytest.mark.parametrize("given", [('5" a', "5' a", "5` a", "5_ a"), ("a", "a", "a", "a 2")])
@pytest.mark.parametrize("form", ["collection", "files"])
def test_no_two_of_several_have_one_name(
    descriptor: Make, run, dataset: Data, given: tuple[str, ...], form: str
) -> None:
    files = [DataFile(dataset(f"{n}.txt").path, "txt", name) for n, name in enumerate(given)]
    value = DataCollection("list", tuple(zip(given, files, strict=True)), "c")
    done = run(descriptor(NAMED), {"c": value if form == "collection" else files, "m": files})
    lines = done.stdout.splitlines()
    mine, several = lines[:4], lines[4:8]
    assert [line.rsplit("/")[-1] for line in mine + several] == [f.path.name for f in files] * 2
    names = [line.rsplit(" ", 1)[0] for line in mine]
    assert all(len(set(found)) == 4 for found in (names, several))
    assert len({line.split()[-2] for line in mine}) == 4
    assert len(set(lines[8].strip("[]").split(", "))) == 4
    note = next(note for note in done.rendered.notes if "“c”" in note)
    assert f"“{given[1]}” is “" in note


def test_parts_of_file_names_are_different_too(descriptor: Make, run, dataset: Data) -> None:
    files = tuple((name, dataset("f.txt")) for name in ("a/b", "a b", "a_b"))
    done = run(descriptor(NAMED), {"c": DataCollection("list", files), "m": files[0][1]})
    lines = done.stdout.splitlines()
    assert [line.split()[-2] for line in lines[:3]] == ["a_b", "a_b_2", "a_b_3"]
    assert lines[-1] == "[a_b.txt, a b.txt, a_b_2.txt]"
    assert not done.rendered.notes


def test_nested_collections(descriptor: Make, line: Line, dataset: Data) -> None:
    made = tool(
        descriptor,
        "#for $p in $c#$p.element_identifier:$p.forward.element_identifier:$p.name #end for#"
        "#echo len($c.all_paths)#",
        '<param name="c" type="data_collection" collection_type="list:paired"/>',
    )

    def pair(name: str) -> DataCollection:
        return DataCollection(
            "paired", (("forward", dataset(f"{name}f")), ("reverse", dataset(f"{name}r"))), name
        )

    nested = DataCollection("list:paired", (("one", pair("one")), ("two", pair("two"))), "n")
    assert line(made, {"c": nested}) == "one:forward:one two:forward:two 4"


def test_zarr_is_reached_through_its_extra_files(descriptor: Make, line: Line, tmp_path) -> None:
    made = tool(
        descriptor,
        "$i.extra_files_path/$i.metadata.store_root $i.ext $i.is_of_type('zarr')",
        '<param name="i" type="data" format="tiff,zarr"/>',
    )
    store = tmp_path / "data" / "image.zarr"
    store.mkdir(parents=True)
    words = line(made, {"i": DataFile(store, "ome_zarr", "image")}).split()
    assert words == [str(store), "ome_zarr", "True"]


def test_no_path_can_leave_the_templates_quotes(descriptor: Make, run, tmp_path) -> None:
    made = tool(
        descriptor,
        "cat '$i' && cat $i && echo '$i.extra_files_path' && printf x > $o",
        '<param name="i" type="data"/>',
    )
    body = (
        "<command><![CDATA[cat '$i' && cat $i && printf %s \"$i.name\" > $o]]></command>"
        '<inputs><param name="i" type="data"/></inputs>'
        '<outputs><data name="o" format="txt"/></outputs>'
    )
    made = descriptor(body)
    folder = tmp_path / "it's a; touch $(whoami) folder"
    folder.mkdir()
    path = folder / "x'; touch pwned; '.txt"
    path.write_text("content")
    done = run(made, {"i": DataFile(path, "txt", "x'; touch pwned; '")})
    assert done.exit_code == 0, done.stderr
    assert done.stdout == "contentcontent"
    assert done.text("o") == "x__sq__X touch pwnedX __sq__"
    assert not (done.paths.work / "pwned").exists()


def test_a_job_folder_with_spaces(descriptor: Make, tmp_path) -> None:
    body = (
        "<command><![CDATA[cat $cfg > $o && cat $cfg > local.txt]]></command>"
        '<configfiles><configfile name="cfg">hello</configfile></configfiles>'
        '<inputs/><outputs><data name="o" format="txt"/>'
        '<data name="p" format="txt" from_work_dir="local.txt"/></outputs>'
    )
    done = execute(descriptor(body), {}, tmp_path / "a job's folder")
    assert done.exit_code == 0, done.stderr
    assert done.text("o") == done.text("p") == "hello"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20))
def test_no_text_ends_the_quotes(descriptor: Make, run, text: str) -> None:
    body = (
        "<command><![CDATA[printf %s '$x' > '$o']]></command>"
        '<inputs><param name="x" type="text"/></inputs>'
        '<outputs><data name="o" format="txt"/></outputs>'
    )
    done = run(descriptor(body), {"x": text})
    assert done.exit_code == 0, done.stderr
    from galaxy.util import sanitize_param

    assert done.text("o") == sanitize_param(text)


def test_a_sanitised_value_is_told(descriptor: Make, run) -> None:
    body = (
        "<command>echo '$x' > $o</command><inputs>"
        '<param name="x" type="text" label="Expression"/></inputs>'
        '<outputs><data name="o" format="txt"/></outputs>'
    )
    done = run(descriptor(body), {"x": "a;b"})
    assert done.text("o") == "aXb\n"
    assert any("Expression" in note and "aXb" in note for note in done.rendered.notes)


@pytest.mark.parametrize(
    ("sanitizer", "text", "expected"),
    [
        ('<sanitizer sanitize="false"/>', "a;<b>", "a;<b>"),
        ('<sanitizer invalid_char=""><valid initial="string.digits"/></sanitizer>', "a1b2", "12"),
        (
            (
                '<sanitizer><valid initial="string.printable"><remove value="&apos;"/></valid>'
                '<mapping initial="none"><add source="&apos;" target="__q__"/></mapping>'
                "</sanitizer>"
            ),
            "it's; $x",
            "it__q__s; $x",
        ),
        (
            '<sanitizer><valid initial="default"><add value=";"/></valid></sanitizer>',
            "a;b#",
            "a;bX",
        ),
        (
            (
                '<sanitizer><valid initial="default"/>'
                '<mapping><remove source="#"/></mapping></sanitizer>'
            ),
            "a#<",
            "aX__lt__",
        ),
        (
            (
                '<sanitizer><valid initial="none">'
                '<add preset="string.ascii_letters"/></valid></sanitizer>'
            ),
            "aé",
            "aX",
        ),
        (
            (
                '<sanitizer invalid_char="-"><valid initial="string.letters, string.digits">'
                '<remove preset="string.digits" value="b"/></valid>'
                '<mapping initial="none"><add preset="default"/><add source="1" target="one"/>'
                '<add source="2"/><remove source="&lt;"/></mapping></sanitizer>'
            ),
            "ab12>&lt;",
            "a-one-__gt__-lt-",
        ),
        (
            (
                '<sanitizer><valid initial="string.lowercase"/><mapping>'
                '<remove preset="default"/><add source="1" target="I"/></mapping></sanitizer>'
            ),
            "aA1<",
            "aXIX",
        ),
    ],
)
def test_sanitizers(
    descriptor: Make, line: Line, sanitizer: str, text: str, expected: str
) -> None:
    made = tool(descriptor, "$x", f'<param name="x" type="text">{sanitizer}</param>')
    assert line(made, {"x": text}) == expected


def test_what_is_replaced_is_told_once_each() -> None:
    cleaning = Sanitizer(frozenset("ab"), ((";", "_"),), "?")
    assert cleaning.clean("a;b!") == "a_b?"
    told = cleaning.remark("a;b!;")
    assert "(';!')" in told
    assert "it gets 'a_b?_'" in told
    assert cleaning.remark("ab") == ""
    assert Sanitizer(frozenset(), active=False).remark("a;") == ""


def test_a_descriptor_may_turn_cleaning_off(descriptor: Make, line: Line) -> None:
    body = (
        '<options sanitize="false"/><command>$x</command>'
        '<inputs><param name="x" type="text"/></inputs><outputs/>'
    )
    assert line(descriptor(body), {"x": "a;b"}) == "a;b"


# -- other types ---------------------------------------------------------------------

DRILL = """<param name="d" type="drill_down" hierarchy="{}" multiple="true"><options>
<option name="A" value="a"><option name="A1" value="a1"/>
<option name="A2" value="a2" selected="true"/></option>
<option name="B" value="b"/></options></param>"""


@pytest.mark.parametrize(
    ("hierarchy", "value", "expected"),
    [("exact", None, "a2"), ("exact", ["a", "b"], "a,b"), ("recurse", ["a", "b"], "a1,a2,b")],
)
def test_drill_down(
    descriptor: Make, line: Line, hierarchy: str, value: object, expected: str
) -> None:
    made = tool(descriptor, "$d", DRILL.format(hierarchy))
    assert line(made, {} if value is None else {"d": value}) == expected


@pytest.mark.parametrize(
    ("attributes", "value", "expected"),
    [
        ("", None, "1"),
        ("", "2", "2"),
        ("", "c3", "3"),
        ('multiple="true"', ["1", "c2"], "1,2"),
        ('multiple="true"', "1,2", "1,2"),
        ('optional="true"', None, "None"),
        ('value="2"', None, "2"),
        ('default_value="c4"', None, "4"),
        ("", " 2 ", "2"),
        ("", 4, "4"),
        ('multiple="true"', ["1,c2", 3], "1,2,3"),
        ('multiple="true" value="1,2"', None, "1,2"),
        ('optional="true"', "", "None"),
        ('accept_default="true"', None, "1"),
        ('accept_default="true"', "", "1"),
        ('accept_default="true" multiple="true"', None, "1"),
        ('accept_default="true" optional="true" default_value="3"', "", "3"),
    ],
)
def test_data_columns(
    descriptor: Make, line: Line, dataset: Data, attributes: str, value: object, expected: str
) -> None:
    made = tool(
        descriptor,
        "$k",
        '<param name="t" type="data" format="tabular"/>'
        f'<param name="k" type="data_column" data_ref="t" {attributes}/>',
    )
    values: dict[str, object] = {"t": dataset("t.tabular", "a\tb\tc\td\n1\t2\n", "tabular")}
    if value is not None:
        values["k"] = value
    assert line(made, values) == expected


NO_COLUMNS = ["-1", "-0", "0", "+3", "b", "1,2", "1-2", "2.5", 2.5, -1, "02", "²", "٢", "c", "c-1"]


@pytest.mark.parametrize("attributes", ["", 'use_header_names="true"', 'optional="true"'])
@pytest.mark.parametrize("value", [*NO_COLUMNS, "1;ls", "9" * 5000, True, "5"])
def test_what_is_no_column_is_refused(
    descriptor: Make, line: Line, dataset: Data, attributes: str, value: object
) -> None:
    inputs = (
        '<param name="t" type="data" format="tabular"/>'
        f'<param name="k" type="data_column" data_ref="t" {{}} {attributes}/>'
    )
    table = dataset("t.tabular", "a\tb\tc\td\n1\t2\tx\t4\n", "tabular")
    for more in ("", 'numerical="true"'):
        with pytest.raises(ParameterError, match="column"):
            line(tool(descriptor, "$k", inputs.format(more)), {"t": table, "k": value})
    if value != "1,2":
        made = tool(descriptor, "$k", inputs.format('multiple="true"'))
        with pytest.raises(ParameterError, match="column"):
            line(made, {"t": table, "k": ["1", value]})


def test_what_is_no_column_is_refused_without_a_table(descriptor: Make, line: Line) -> None:
    optional = '<param name="t" type="data" format="tabular" optional="true"/>'
    made = tool(descriptor, "$k", optional + '<param name="k" type="data_column" data_ref="t"/>')
    assert line(made, {"k": "c7"}) == "7"
    with pytest.raises(ParameterError, match="column"):
        line(made, {"k": "-1"})


def test_each_repeat_has_the_columns_of_its_own_table(
    descriptor: Make, line: Line, dataset: Data
) -> None:
    inner = (
        '<param name="t" type="data" format="tabular"/>'
        '<param name="k" type="data_column" data_ref="t"/>'
        '<param name="s" type="select"><options from_dataset="t"/></param>'
    )
    made = tool(
        descriptor,
        "#for $one in $r\n$one.k $one.s \n#end for",
        f'<repeat name="r" title="R">{inner}</repeat>',
    )
    narrow = {"t": dataset("n.tabular", "a\nb\n", "tabular"), "k": "1", "s": "a"}
    wide = {"t": dataset("w.tabular", "1\t2\t3\n4\t5\t6\n", "tabular"), "k": "3", "s": "4"}
    assert line(made, {"r": [narrow, wide]}).split() == ["1", "a", "3", "4"]
    for wrong in ({"k": "2"}, {"s": "4"}):
        with pytest.raises(ParameterError):
            line(made, {"r": [wide, {**narrow, **wrong}]})


def test_galaxys_own_names(descriptor: Make, line: Line) -> None:
    made = tool(
        descriptor, "$__tool_directory__|$__user_email__|$__user_id__|$__user_name__|$chromInfo"
    )
    folder = str(made.folder)
    assert line(made).split("|") == [folder, "Anonymous", "Anonymous", "Anonymous", "?"]


def test_a_template_that_raises_names_its_line(descriptor: Make, line: Line) -> None:
    made = tool(descriptor, "echo a\n  #set $y = int($x.missing)\n  echo b", NESTED)
    with pytest.raises(TemplateError) as caught:
        line(made)
    assert "#set $y = int($x.missing)" in caught.value.line
    assert "“x" in str(caught.value) or "x.missing" in str(caught.value)


def test_a_template_that_divides_by_zero(descriptor: Make, line: Line) -> None:
    made = tool(
        descriptor,
        "echo a\n#set $y = 1 / int($x)\necho $y",
        '<param name="x" type="integer" value="0"/>',
    )
    with pytest.raises(TemplateError, match="ZeroDivisionError") as caught:
        line(made)
    assert caught.value.line == "#set $y = 1 / int($x)"


def test_a_template_with_wrong_syntax(descriptor: Make, line: Line) -> None:
    made = tool(descriptor, "#if $x\n echo", '<param name="x" type="integer" value="0"/>')
    with pytest.raises(TemplateError, match="no valid template"):
        line(made)


def test_input_is_never_asked_from_a_terminal(descriptor: Make, line: Line) -> None:
    made = tool(descriptor, "echo $input")
    with pytest.raises(TemplateError, match="input"):
        line(made)


# -- validators ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("param", "validator", "good", "bad"),
    [
        ("text", '<validator type="regex">^[a-z]+$</validator>', "abc", "a1"),
        ("text", '<validator type="regex" negate="true">x</validator>', "abc", "xy"),
        ("text", r'<validator type="regex">^[\w[:punct:]]+$</validator>', "mid.9", "mid 9"),
        ("text", '<validator type="regex">^[[:upper:]]{2}[^[:digit:]]$</validator>', "ABx", "AB1"),
        ("text", '<validator type="length" min="2" max="3"/>', "ab", "abcd"),
        ("text", '<validator type="empty_field"/>', "a", ""),
        ("text", '<validator type="expression">value.isalnum()</validator>', "a1", "a b"),
        ("text", "<validator type=\"expression\">',' not in value</validator>", "a", "a,b"),
        (
            "text",
            "<validator type='expression'>all(int(v) != 0 for v in value.split(','))</validator>",
            "1,2",
            "1,0",
        ),
        (
            "text",
            "<validator type=\"expression\">__import__('re').match('^a', value)</validator>",
            "ab",
            "ba",
        ),
        ("integer", '<validator type="in_range" min="1" max="9"/>', 5, 10),
        ("integer", '<validator type="in_range" min="1" exclude_min="true"/>', 2, 1),
        ("integer", '<validator type="expression">value % 2 == 1</validator>', 3, 4),
        ("float", '<validator type="in_range" max="0.5"/>', 0.4, 0.6),
        ("select", '<validator type="regex">^[ab]$</validator>', "a", "c"),
        ("select", '<validator type="no_options"/>', "a", None),
    ],
)
def test_validators(
    descriptor: Make, line: Line, param: str, validator: str, good: object, bad: object
) -> None:
    options = "".join(f'<option value="{v}">{v}</option>' for v in "abc")
    inner = validator + (options if param == "select" else "")
    made = tool(
        descriptor, "$x", f'<param name="x" type="{param}" optional="false">{inner}</param>'
    )
    assert made.notes == ()
    assert line(made, {"x": good}) == str(good)
    if bad is not None:
        with pytest.raises(ParameterError):
            line(made, {"x": bad})


def test_a_validators_message(descriptor: Make, line: Line) -> None:
    made = tool(
        descriptor,
        "$x",
        '<param name="x" type="text"><validator type="regex" message="No %s here">^a</validator>'
        "</param>",
    )
    with pytest.raises(ParameterError, match="No bad here"):
        line(made, {"x": "bad"})


def test_reading_and_filling_run_no_python(descriptor: Make, line: Line, tmp_path) -> None:
    mark = tmp_path / "ran"
    code = f"__import__('pathlib').Path('{mark}').write_text('x') or True"
    made = tool(
        descriptor,
        "$x",
        f'<param name="x" type="text"><validator type="expression">{code}</validator></param>'
        '<param name="n" type="integer" value="1"/>',
    )
    assert not mark.exists()
    from napari_tool_runner.tools.binding import bind

    assert bind(made, {"x": "a"})["x"] == "a"
    assert not mark.exists()
    line(made, {"x": "a"})  # a run has consent
    assert mark.exists()


def test_a_function_that_is_not_known_is_left_for_the_run(descriptor: Make, line: Line) -> None:
    check = "__import__('re').sub('a', '', value) == 'b'"
    made = tool(
        descriptor,
        "$x",
        f'<param name="x" type="text"><validator type="expression">{check}</validator></param>',
    )
    assert line(made, {"x": "ab"}) == "ab"
    with pytest.raises(ParameterError):
        line(made, {"x": "ac"})


def test_a_default_message_names_the_value(descriptor: Make, line: Line) -> None:
    made = tool(
        descriptor,
        "$x",
        '<param name="x" type="text"><validator type="regex">^a+$</validator></param>',
    )
    with pytest.raises(ParameterError, match="'b' does not match"):
        line(made, {"x": "b"})


def test_data_validators(descriptor: Make, line: Line, tmp_path) -> None:
    import numpy as np
    import tifffile

    inputs = """<param name="i" type="data" format="tiff">
    <validator type="expression" message="not 2-D"><![CDATA[
      getattr(value.metadata, "depth", None) in (None, "") or int(value.metadata.depth) < 2
    ]]></validator>
    <validator type="dataset_metadata_in_range" metadata_name="width" max="10"/>
    <validator type="dataset_metadata_equal" metadata_name="dtype" value="uint8"
      message="wrong type %s"/>
    <validator type="empty_dataset"/></param>"""
    made = tool(descriptor, "$i.metadata.axes", inputs)
    path = tmp_path / "a.tiff"

    def save(shape: tuple[int, ...], axes: str, dtype: str = "uint8") -> DataFile:
        tifffile.imwrite(path, np.zeros(shape, dtype), metadata={"axes": axes})
        return DataFile(path, "tiff", "a")

    assert line(made, {"i": save((4, 6), "YX")}) == "YX"
    for shape, axes, dtype, message in (
        ((3, 4, 6), "ZYX", "uint8", "not 2-D"),
        ((4, 16), "YX", "uint8", "width"),
        ((4, 6), "YX", "float32", "wrong type float32"),
    ):
        with pytest.raises(ParameterError, match=message):
            line(made, {"i": save(shape, axes, dtype)})


def test_genome_builds_and_group_tags(descriptor: Make, line: Line) -> None:
    made = tool(
        descriptor,
        "$g $o $m $t",
        '<param name="g" type="genomebuild"/><param name="o" type="genomebuild" optional="true"/>'
        '<param name="m" type="genomebuild" optional="true" multiple="true"/>'
        '<param name="t" type="group_tag" data_ref="i" optional="true"/>',
    )
    assert line(made, {}) == "? None None None"


@pytest.mark.parametrize(
    "expression",
    [
        "all(x for x in range(900000) for y in range(900000))",
        "len('a'.zfill(10 ** 9)) or 'a'.zfill(99999999999)",
        "('a' * 1000000).replace('a', 'b' * 1000000)",
        "('b' * 1000000).join(['a'] * 1000000)",
        "range(99999999999)",
        "'%99999999999d' % 1",
        "'%0*d' % (99999999999, 1)",
        "b'a' * 99999999999",
        "(b'a' * 1000000).replace(b'a', b'b' * 1000000)",
        "sum([['a'] * 1000] * 1000000, [])",
        "sum([[['a'] * 1000] * 1000, ['b'] * 1000000], [])",
        "[c for a in [10000000000] " + "".join("for a in [a * a] " for _ in range(30)) + "]",
        "[(value + 'xxxx') * 200000 for a in range(3000)]",
        "all(sorted(range(999999)) for i in range(30000))",
        "max(range(999999)) + sum([i * i for i in range(60000)])",
        " or ".join(["value in [i for i in range(999999) for j in [1]]"] * 10),
        "round(5, -100000000)",
        "round(5, ndigits=-100000000)",
        "sum([[1]] * 300, start=[])",
        "len({i * 2305843009213693951 for i in range(30000)})",
        "set([i * 2305843009213693951 for i in range(20000)])",
        "[1 for s in ['a' * 90000] for i in range(30000) if s.rfind('b' + s[:45000]) > 0]",
        "[1 for s in ['a' * 90000] for i in range(30000) if s.strip('b' * 45000 + 'a')]",
        "sorted(['a'] * 50000, key=('a' * 90000).count)",
        "[[1] * 1000 for i in range(9)] == [[[1] * 1000] * 1000] * 1000",
        "str([[['a' * 9999] * 1000] * 1000] * 1000)",
        "'%s' * 9000 % ((value * 30000,) * 9000)",
        "'%9999d' * 5000 % ((1,) * 5000)",
        "int('1' * 99999, 2)",
        "[1 for i in range(9999) if 'x' in range(999999)]",
        "[('a' * 99999).upper() for i in range(99999)]",
        "[1 " + "".join(f"for x{i} in [1, 2] " for i in range(90)) + "]",
        "+".join(["1"] * 9000),
        "value == '" + "a" * 100_000 + "'",
    ],
)
@pytest.mark.timeout(30)
def test_expressions_that_would_not_end_are_left_for_the_run(expression: str) -> None:
    with pytest.raises(NotSimpleError):
        evaluate(expression, {"value": "x"})


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("-value if not value > 3 else +value", 5),
        ("[a for a, b in [(1, 2), (3, 4)] if b > 2]", [3]),
        ("{x for x in (1, 1)} == {1}", True),
        ("'abcd'[1:3] + 'abcd'[::-2]", "bcdb"),
        ("'%s-%02d' % ('a', value)", "a-05"),
        ("sum([1, 2.5])", 3.5),
        ("re.search('b+', 'abb').group()", "bb"),
        ("sorted([2, 1], key=abs)", [1, 2]),
        ("1 < value < 3", False),
        ("value or missing", 5),
    ],
)
def test_expressions(expression: str, expected: object) -> None:
    assert evaluate(expression, {"value": 5}) == expected


@pytest.mark.parametrize(
    ("expression", "word"),
    [
        ("value =", "invalid syntax"),
        ("(" * 500, "too many nested"),
        ("lambda: 1", "Lambda"),
        ("~value", "Invert"),
        ("value ** 2", "Pow"),
        ("value.__class__", "__class__"),
        ("'{0.__class__}'.format(value)", "format"),
        ("re.sub", "SimpleNamespace.sub"),
        ("dict(**{})", r"\*\*"),
        ("getattr(value)", "getattr"),
        ("getattr(value, '__class__')", "getattr"),
        ("hasattr(value, 'real')", "int.real"),
        ("[x for x[0] in [1]]", "loop variable"),
        ("unknown", "unknown"),
        ("'ab' * 1000000", "too long"),
    ],
)
def test_what_an_expression_may_not_do(expression: str, word: str) -> None:
    with pytest.raises(NotSimpleError, match=word):
        evaluate(expression, {"value": 5})


@pytest.mark.parametrize("expression", ["value()", "[x for x in value]", "int('x')", "1 / 0"])
def test_mistakes_of_an_expression_are_python_s_own(expression: str) -> None:
    with pytest.raises((TypeError, ValueError, ZeroDivisionError)):
        evaluate(expression, {"value": 5})


def test_a_check_that_takes_too_much_is_told(descriptor: Callable[..., Tool]) -> None:
    check = "all(sorted(range(999999)) for i in range(30000))"
    tool = descriptor(
        '<command>x</command><inputs><param name="t" type="text" value="a">'
        f'<validator type="expression">{check}</validator></param></inputs>'
    )
    assert [note.what for note in tool.notes if "a run makes it" in note.what]
    assert tool.inputs[0].validators[0].problem("a") is None


@pytest.mark.parametrize(
    ("kind", "body"), [("regex", "q"), ("length", ""), ("in_range", ""), ("expression", "False")]
)
@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("Only %s of %s, 100% sure", "Only {0} of {0}, 100% sure"),
        ("%d %(x)s %s%", "%d %(x)s {0}%"),
        ("%s" * 50_000, None),
        ("100 %", "100 %"),
    ],
)
def test_messages_of_validators_are_no_formats(
    descriptor: Callable[..., Tool], kind: str, body: str, message: str, said: str | None
) -> None:
    sort = "float" if kind == "in_range" else "text"
    tool = descriptor(
        f'<command>x</command><inputs><param name="t" type="{sort}" value="1"><validator '
        f'type="{kind}" max="2" message="{message}">{body}</validator></param></inputs>'
    )
    (rule,) = tool.inputs[0].validators
    value = 5.0 if kind == "in_range" else "w" * 100_000
    problem = rule.problem(value)
    assert problem is not None
    assert len(problem) <= 1_000
    if said is not None:
        shown = "5.0" if kind == "in_range" else f"{'w' * 199}…"
        assert problem == said.format(shown)


def test_a_number_that_cannot_be_written_is_none_of_a_sentence() -> None:
    rule = ValueRule("expression", "Not %s", "False")
    assert rule.problem(10**5000) == "Not a number of very many digits"


def test_deep_json_in_a_validator_is_a_note(descriptor: Callable[..., Tool]) -> None:
    deep = "[" * 50_000
    tool = descriptor(
        '<command>x</command><inputs><param name="i" type="data"><validator '
        f'type="dataset_metadata_equal" metadata_name="m" value_json="{deep}"/></param></inputs>'
    )
    (note,) = tool.notes
    assert "nests" in note.what


# -- what a file says is a stranger's text -------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
SAID = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


NAMES = ["column_names", "column_types", "axes", "own", "delimiter", "offsets", "is_tiled"]


@given(st.dictionaries(st.sampled_from(NAMES), SAID), st.sampled_from(["csv", "tiff", "png"]))
def test_no_metadata_ends_a_shells_quotes(said: dict[str, object], kind: str) -> None:
    from galaxy.util import valid_chars

    told = DatasetValue(DataFile(Path("a.x"), kind, "a", said), FORMATS, keep=str).metadata
    seen = [told.get(name) for name in [*said, *NAMES]] + [value for _, value in told.items()]
    # all that templates get is text, or nothing
    assert {char for text in seen if text is not None for char in text} <= valid_chars


EVIL = "x'; echo got > canary; echo '"


@pytest.mark.parametrize(
    "command",
    [
        "#for $n in $t.metadata.column_names#echo '$n';#end for#",
        "echo '$t.metadata.column_names'",
        "echo '$t.metadata.delimiter' $t.metadata.delimiter",
        "#for $k, $v in $t.metadata.items()#echo '$v';#end for#",
        "echo '$s' '$s.value_label' '$s.fields.name' '$s.fields.value' '$s.fields.more'",
        "#for $one in $m#echo '$one';#end for#",
        "echo $s.get_display_text()",
        "#for $k in $c.keys()#echo '$k' $c[$k];#end for#",
        "#for $p in $c.get_all_staging_paths()#echo '$p';#end for#",
    ],
)
def test_what_a_file_says_runs_nothing(
    descriptor: Make, run: Callable[..., Run], dataset: Data, command: str
) -> None:
    options = (
        '<options from_dataset="t" separator=","><column name="value" index="0"/>'
        '<column name="name" index="1"/><column name="more" index="1"/></options></param>'
    )
    made = tool(
        descriptor,
        command,
        '<param name="t" type="data" format="csv"/>'
        f'<param name="s" type="select">{options}<param name="m" type="select" multiple="true">'
        f'{options}<param name="c" type="data_collection" collection_type="list" format="csv"/>',
    )
    table = dataset("t.csv", f"{EVIL},{EVIL}\nword,{EVIL}\n", delimiter=EVIL)
    done = run(
        made,
        {"t": table, "s": EVIL, "m": [EVIL], "c": DataCollection("list", ((EVIL, table),), "c")},
    )
    assert done.exit_code == 0, done.stderr
    assert done.stdout.strip()
    assert not (done.paths.work / "canary").exists()


# -- pairs and other collections ----------------------------------------------------------


def collection(kind: str, **elements: object) -> DataCollection:
    return DataCollection(kind, tuple(elements.items()), "c")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "command", "shape", "expected"),
    [
        ("paired", "$c.forward.ext $c.reverse.ext $c['forward'].ext $c[1].ext", "pair",
         "txt csv txt csv"),
        ("paired", "$c.forward.element_identifier $c.forward.name $c.collection.collection_type",
         "pair", "forward f.txt paired"),
        ("paired", "$c.forward.is_collection $c.forward.single_item.ext $c.has_single_item",
         "pair", "False txt False"),
        ("paired", "#if $c.forward#f#end if##if $c['reverse'].is_of_type('csv')#r#end if#",
         "pair", "fr"),
        ("list:paired", "#for $p in $c#$p.name:$p.forward.ext,#end for# $c.q.reverse.ext",
         "nested", "q:txt, csv"),
        ("list", "$c[0].ext $c.all_metadata_files $c.single_item.ext", "single", "txt [[]] txt"),
        ("record", "$c.parent.ext $c['child'].ext", "record", "txt csv"),
        ("paired,paired_or_unpaired", "$c.forward.ext", "pair", "txt"),
        ("paired_or_unpaired", "$c.forward.ext $c.has_single_item", "pair", "txt False"),
        ("paired", "$c.forward.ext", "single", "the type paired, not list"),
        ("paired", "$c.forward.ext", "nested", "the type paired, not list:paired"),
        ("paired", "$c.forward.ext $c.reverse.ext", 2, "txt txt"),
        ("paired", "$c.forward.ext", 1, "takes a pair, the forward one first, not 1"),
        ("paired", "$c.forward.ext", 3, "takes a pair, the forward one first, not 3"),
        ("list:paired", "$c", 4, "collections in a collection"),
    ],
)  # fmt: skip
def test_elements_by_their_names(
    descriptor: Make, line: Line, dataset: Data, kind: str, command: str, shape: object,
    expected: str,
) -> None:  # fmt: skip
    forward, reverse = dataset("f.txt"), dataset("r.csv")
    pair = collection("paired", forward=forward, reverse=reverse)
    given_: object = {
        "pair": pair,
        "nested": collection("list:paired", q=pair),
        "single": collection("list", x=forward),
        "record": collection("record", parent=forward, child=reverse),
    }.get(str(shape), [forward] * shape if isinstance(shape, int) else None)
    made = tool(
        descriptor, command, f'<param name="c" type="data_collection" collection_type="{kind}"/>'
    )
    if "type" in expected or "takes" in expected or "collections" in expected:
        with pytest.raises(ParameterError, match=expected):
            line(made, {"c": given_})
    else:
        assert line(made, {"c": given_}) == expected


@pytest.mark.parametrize(
    ("kind", "names", "told"),
    [
        ("paired", ("forward",), "is of forward and reverse, and it holds “forward”"),
        ("paired", ("forward", "forward"), "and it holds “forward”, “forward”"),
        ("paired_or_unpaired", ("one",), "forward and reverse or unpaired, and it holds “one”"),
        ("list:paired", ("s",), "“s” in it is a single file, where its type list:paired asks"),
    ],
)
def test_a_collection_that_is_not_of_its_type_is_a_sentence(
    descriptor: Make, line: Line, dataset: Data, kind: str, names: tuple[str, ...], told: str
) -> None:
    inputs = f'<param name="c" type="data_collection" collection_type="{kind}"/>'
    given = DataCollection(kind, tuple((name, dataset("f.txt")) for name in names))
    with pytest.raises(ParameterError, match=told):
        line(tool(descriptor, "$c.reverse", inputs), {"c": given})
