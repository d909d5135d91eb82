"""What reading gives: the model, the notes, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree

from napari_tool_runner.errors import DescriptorError, UnsafeDescriptorError
from napari_tool_runner.plugins.docker.biocontainers import biocontainer_name
from napari_tool_runner.tools import read_tool
from napari_tool_runner.tools.candidate import Candidate
from napari_tool_runner.tools.galaxy import GalaxyDialect
from napari_tool_runner.tools.galaxy.macros import Expander
from napari_tool_runner.tools.model import (
    BooleanParameter,
    CollectionOutput,
    Conditional,
    ContainerRequirement,
    DataColumnParameter,
    DataParameter,
    DrillDownParameter,
    FloatParameter,
    IntegerParameter,
    LayerKind,
    PackageRequirement,
    Repeat,
    Section,
    SelectParameter,
    Severity,
    TextParameter,
    Tool,
)

Make = Callable[..., Tool]
DIALECT = GalaxyDialect()


def inputs(make: Make, text: str, **more: object) -> Tool:
    return make(f"<command>x</command><inputs>{text}</inputs><outputs/>", **more)


def problems(tool: Tool) -> list[str]:
    return [f"{note.where}: {note.what}" for note in tool.notes if note.severity is Severity.ERROR]


# -- the page of a tool --------------------------------------------------------------


def test_the_whole_page(descriptor: Make) -> None:
    tool = descriptor(
        """<description>does it</description>
        <creator><person givenName="Ada" familyName="L"/><organization name="Org"/></creator>
        <edam_operations><edam_operation>operation_3443</edam_operation></edam_operations>
        <edam_topics><edam_topic>topic_3383</edam_topic></edam_topics>
        <xrefs><xref type="bio.tools">scikit-image</xref><xref type="odd">x</xref></xrefs>
        <requirements><requirement type="package" version="1.2">numpy</requirement>
          <requirement type="package">scipy</requirement>
          <container type="docker">registry.example.org/x/y:1</container>
          <container type="singularity">https://x/y</container></requirements>
        <command>cmd</command><inputs/><outputs/>
        <help format="markdown"><![CDATA[
            # Title

            - item
        ]]></help>
        <citations><citation type="doi">10.1/x</citation>
        <citation type="bibtex">@misc{a}</citation></citations>""",
        attributes='license="MIT"',
        files={".shed.yml": "categories:\n- Imaging\n- Other\n"},
    )
    assert tool.notes == ()
    assert (tool.id, tool.name, tool.version, tool.description) == ("t", "T", "1.0", "does it")
    assert tool.authors == ("Ada L", "Org")
    assert tool.edam == ("operation_3443", "topic_3383")
    assert [link.url for link in tool.links] == ["https://bio.tools/scikit-image", ""]
    assert tool.requirements == (
        PackageRequirement(name="numpy", version="1.2"),
        PackageRequirement(name="scipy"),
        ContainerRequirement(type="docker", image="registry.example.org/x/y:1"),
        ContainerRequirement(type="singularity", image="https://x/y"),
    )
    assert (tool.help, tool.help_format) == ("# Title\n\n- item", "markdown")
    assert [citation.type for citation in tool.citations] == ["doi", "bibtex"]
    assert tool.license == "MIT"
    assert tool.categories == ("Imaging", "Other")
    assert (tool.dialect, tool.profile) == ("galaxy", "23.0")


def test_a_shed_file_that_grows_without_end_is_left_out(descriptor: Make) -> None:
    levels = "".join(
        f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * 10)}]\n" for level in range(1, 7)
    )
    bomb = f"l0: &l0 [lollollol]\n{levels}categories: [*l6]\n"
    assert len(bomb) < 400
    tool = descriptor("<command>x</command>", files={".shed.yml": bomb})
    assert tool.categories == ()
    (note,) = tool.notes
    assert note.where == ".shed.yml"
    assert "aliases" in note.what


def test_a_shed_file_may_name_one_category_as_text(descriptor: Make) -> None:
    tool = descriptor("<command>x</command>", files={".shed.yml": "categories: Imaging\n"})
    assert tool.categories == ("Imaging",)
    assert tool.notes == ()


def test_numbers_that_would_fill_the_memory_are_not_taken(descriptor: Make) -> None:
    tool = inputs(
        descriptor,
        '<repeat name="r" min="999999999" title="R"><param name="x" type="text"/></repeat>'
        '<param name="s" type="select"><options><column name="value" index="999999999999"/>'
        '<filter type="add_value" value="a"/></options></param>',
    )
    assert list(problems(tool)) == [
        "inputs/repeat[r]: It cannot be read: it is given 999999999 times"
    ]
    (select,) = tool.inputs
    assert isinstance(select, SelectParameter)
    assert select.source is not None
    assert [option.value for option in select.source.options({})] == ["a"]


def test_help_is_restructured_text_by_default(descriptor: Make) -> None:
    tool = descriptor("<command>x</command><help>\n    **b**\n      x\n    </help>")
    assert (tool.help, tool.help_format) == ("**b**\n  x", "rst")


def test_numbers(descriptor: Make) -> None:
    tool = inputs(
        descriptor,
        '<param name="i" type="integer" value="3" min="1" max="9" label="I" help="H" step="2"'
        ' unit="px"/>'
        '<param name="f" type="float" value="1e-6" min="0" max="1" step="0.1" unit="um"/>'
        '<param name="huge" type="integer" value="123456789012345678901234567890"/>'
        '<param name="empty" type="float" value="" optional="true"/>',
    )
    i, f, huge, empty = tool.inputs
    assert isinstance(i, IntegerParameter)
    assert (i.default, i.minimum, i.maximum, i.step, i.unit) == (3, 1, 9, 2, "px")
    assert (i.label, i.help, i.optional) == ("I", "H", False)
    assert isinstance(f, FloatParameter)
    assert (f.default, f.default_text, f.maximum, f.unit) == (1e-6, "1e-6", 1.0, "um")
    assert isinstance(huge, IntegerParameter)
    assert huge.default == 123456789012345678901234567890
    assert isinstance(empty, FloatParameter)
    assert (empty.default, empty.optional) == (None, True)


def test_choices(descriptor: Make) -> None:
    tool = inputs(
        descriptor,
        '<param name="a" type="select"><option value="1">One</option>'
        '<option value="2" selected="true">Two</option></param>'
        '<param name="b" type="select"><option value="1"/><option value="2"/></param>'
        '<param name="c" type="select" optional="true"><option value="1"/></param>'
        '<param name="d" type="select" multiple="true" display="checkboxes">'
        '<option value="1" selected="true"/><option value="2" selected="true"/></param>'
        '<param name="e" type="boolean" checked="true" truevalue="-e" falsevalue=""/>',
    )
    a, b, c, d, e = tool.inputs
    assert isinstance(a, SelectParameter)
    assert [(o.label, o.value) for o in a.options] == [("One", "1"), ("Two", "2")]
    assert a.default == "2"
    assert isinstance(b, SelectParameter)
    assert (b.default, b.options[0].label) == ("1", "1")
    assert isinstance(c, SelectParameter)
    assert (c.default, c.optional) == (None, True)
    assert isinstance(d, SelectParameter)
    assert (d.default, d.multiple, d.optional, d.display) == (("1", "2"), True, True, "checkboxes")
    assert isinstance(e, BooleanParameter)
    assert (e.default, e.true_value, e.false_value) == (True, "-e", "")


def test_text_is_optional_when_its_validators_accept_nothing(descriptor: Make) -> None:
    tool = inputs(
        descriptor,
        '<param name="a" type="text"/>'
        '<param name="b" type="text"><validator type="empty_field"/></param>'
        '<param name="c" type="text" optional="false"/>'
        '<param name="d" type="text" area="true"><option value="x">X</option></param>',
    )
    found = [p for p in tool.inputs if isinstance(p, TextParameter)]
    assert [p.optional for p in found] == [True, False, False, True]
    assert found[3].multiline
    assert found[3].suggestions[0].label == "X"


def test_containers(descriptor: Make) -> None:
    tool = inputs(
        descriptor,
        '<section name="s" title="Title" help="H" expanded="true"><param name="x" type="integer"'
        ' value="1"/></section>'
        '<repeat name="r" title="R" min="1" max="3" default="2"><param name="x" type="text"/>'
        "</repeat>"
        '<conditional name="c"><param name="t" type="boolean" truevalue="-y" falsevalue="-n"/>'
        '<when value="-y"><param name="x" type="text"/></when></conditional>'
        '<conditional name="d"><param name="t" type="boolean" truevalue="-y" falsevalue="-n"/>'
        '<when value="true"><param name="x" type="text"/></when></conditional>',
    )
    s, r, c, d = tool.inputs
    assert isinstance(s, Section)
    assert (s.label, s.help, s.expanded) == ("Title", "H", True)
    assert isinstance(r, Repeat)
    assert (r.minimum, r.maximum, r.default) == (1, 3, 2)
    assert isinstance(c, Conditional)
    assert [(case.value, len(case.items)) for case in c.cases] == [("-y", 1), ("-n", 0)]
    assert isinstance(d, Conditional)
    assert d.active(True) is d.cases[0]
    assert len(d.cases[0].items) == 1
    assert tool.notes == ()


@pytest.mark.parametrize(
    ("attributes", "kinds", "formats"),
    [
        ('format="tiff,png" label="Input image"', ("image", "labels"), ("tiff", "png")),
        ('format="png,tiff" label="Label map"', ("labels", "image"), ("tiff", "png")),
        ('format="tiff" label="Binary image"', ("labels", "image"), ("tiff",)),
        ('format="tiff" label="x" layer="labels"', ("labels",), ("tiff",)),
        (
            'format="csv,tabular" label="Table"',
            ("table", "points", "tracks", "shapes", "vectors"),
            ("tabular", "csv"),
        ),
        (
            'format="tabular" label="Point coordinates"',
            ("points", "table", "tracks", "shapes", "vectors"),
            ("tabular",),
        ),
        ('format="geojson" label="Shapes"', ("shapes", "points"), ("geojson",)),
        ('format="zarr,ome.tiff,tiff"', ("image", "labels"), ("ome.tiff", "tiff", "zarr")),
        ('format="data"', ("any",), ()),
        ("", ("any",), ()),
        ('format="txt"', ("table",), ("txt",)),
        ('format="fasta"', ("any",), ("fasta",)),
        ('format="obj,ply"', ("surface",), ("ply", "obj")),
    ],
)
def test_kinds_of_layers(
    descriptor: Make, attributes: str, kinds: tuple[str, ...], formats: tuple[str, ...]
) -> None:
    (param,) = inputs(descriptor, f'<param name="x" type="data" {attributes}/>').inputs
    assert isinstance(param, DataParameter)
    assert tuple(kind.value for kind in param.kinds) == kinds
    assert param.formats == formats


def test_a_name_with_backslashes_is_a_name(tmp_path: Path) -> None:
    path = tmp_path / "t.xml"
    path.write_text(
        r'<tool id="t" name="C\x \1 \g&lt;0&gt;" version="1" profile="21.05">'
        "<command>x</command><outputs>"
        '<data name="o" format="tiff" label="${tool.name}: mask"/></outputs></tool>'
    )
    assert read_tool(path).outputs[0].label == r"C\x \1 \g<0>: mask"


def test_what_a_viewer_needs(descriptor: Make) -> None:
    tool = descriptor(
        '<command>x</command><inputs><param name="i" type="data" format="tiff" layer="image"'
        ' ndim="2 3" axes="zyx" rgb="false"/>'
        '<param name="l" type="data" layer="lables"/></inputs><outputs>'
        '<data name="o" format="tiff" layer="labels" ndim="2" axes="YX" reference="i" join="i"'
        ' size="n" label="${tool.name} on ${on_string}: mask"/>'
        '<collection name="c" type="list" layer="points"/></outputs>'
    )
    i = tool.inputs[0]
    assert isinstance(i, DataParameter)
    assert (i.ndim, i.axes, i.rgb, i.kinds) == ((2, 3), "ZYX", False, (LayerKind.IMAGE,))
    o, c = tool.outputs
    assert (o.kind, o.ndim, o.axes, o.reference, o.join) == (
        LayerKind.LABELS,
        (2,),
        "YX",
        "i",
        "i",
    )
    assert (o.label, o.size) == ("T: mask", "n")
    assert isinstance(c, CollectionOutput)
    assert c.kind is LayerKind.POINTS
    assert [note.severity for note in tool.notes] == [Severity.WARNING]
    assert "lables" in tool.notes[0].what


def test_data_and_collections(descriptor: Make) -> None:
    tool = inputs(
        descriptor,
        '<param name="m" type="data" multiple="true" min="2" max="3" optional="true"/>'
        '<param name="c" type="data_collection" collection_type="list,list:paired"/>'
        '<param name="d" type="data_collection"/>'
        '<param name="k" type="data_column" data_ref="m" multiple="true"/>'
        '<param name="t" type="drill_down" hierarchy="recurse"><options>'
        '<option name="A" value="a"><option name="B" value="b" selected="true"/></option>'
        "</options></param>",
    )
    m, c, d, k, t = tool.inputs
    assert isinstance(m, DataParameter)
    assert (m.multiple, m.minimum, m.maximum, m.optional) == (True, 2, 3, True)
    assert isinstance(c, DataParameter)
    assert c.collection == ("list", "list:paired")
    assert isinstance(d, DataParameter)
    assert d.collection
    assert isinstance(k, DataColumnParameter)
    assert (k.data_ref, k.multiple) == ("m", True)
    assert isinstance(t, DrillDownParameter)
    assert t.default == ("b",)
    assert t.options[0].children[0].label == "B"


# -- what only a Galaxy server has ---------------------------------------------------


@pytest.mark.parametrize(
    ("body", "attributes", "word"),
    [
        (('<inputs><param name="x" type="select"><options from_data_table="genomes"/></param>'
         "</inputs>"), "", "genomes"),
        ('<inputs><param name="x" type="select"><options from_file="x.loc"/></param></inputs>',
         "", "x.loc"),
        (('<inputs><param name="x" type="select"><options from_url="https://a/b"/></param>'
         "</inputs>"), "", "https://a/b"),
        ('<inputs><param name="x" type="select" dynamic_options="get()"/></inputs>', "", "get()"),
        ('<inputs><param name="x" type="drill_down" from_file="tree.xml"/></inputs>',
         "", "tree.xml"),
        ('<inputs><param name="x" type="ftpfile"/></inputs>', "", "FTP"),
        ('<inputs><param name="x" type="library_data"/></inputs>', "", "data library"),
        ('<inputs><param name="x" type="rules"/></inputs>', "", "rule builder"),
        ('<inputs><param name="x" type="nonsense"/></inputs>', "", "nonsense"),
        ("", 'tool_type="data_source"', "web site"),
        ("", 'tool_type="manage_data"', "data manager"),
        ("", 'tool_type="interactive"', "interactive"),
        ('<entry_points><entry_point name="x"><port>80</port></entry_point></entry_points>',
         "", "interactive"),
        ('<code file="hooks.py"/>', "", "hooks.py"),
        ('<action module="galaxy.x" class="Y"/>', "", "server"),
        (('<environment_variables><environment_variable name="K" inject="api_key"/>'
         "</environment_variables>"), "", "api_key"),
        ('<configfiles><file_sources name="f"/></configfiles>', "", "file sources"),
        ('<configfiles><configfile name="f">$__app__.config</configfile></configfiles>',
         "", "$__app__"),
        ('<requirements><credentials name="c" version="1"/></requirements>', "", "credentials"),
        ('<inputs action="/page"><param name="x" type="text"/></inputs>', "", "web page (/page)"),
        ("", 'tool_type="strange"', "“strange”"),
        (('<inputs><conditional name="c" value_from="a:b" value_ref="x">'
          '<when value="a"/></conditional></inputs>'), "", "code of a Galaxy server"),
        (('<inputs><conditional name="c"><param name="x" type="integer" value="1"/>'
          '<when value="1"/></conditional></inputs>'), "", "must be a select or a boolean"),
        ('<outputs><collection name="c" type_from_rules="r"/></outputs>', "", "rule builder"),
    ],
)  # fmt: skip
def test_named_and_not_runnable(descriptor: Make, body: str, attributes: str, word: str) -> None:
    tool = descriptor(f"<command>x</command>{body}", attributes=attributes)
    assert any(word in problem for problem in problems(tool)), tool.notes
    assert tool.problems


@pytest.mark.parametrize("name", ["__app__", "GALAXY_DATA_INDEX_DIR", "__tool_data_path__"])
def test_server_names_in_the_command(descriptor: Make, name: str) -> None:
    tool = descriptor(f"<command>x ${name} ${{{name}}}</command>")
    assert [name in problem for problem in problems(tool)] == [True]
    assert not problems(descriptor(f"<command>x \\${name}\n## ${name}\n</command>"))


def test_checks_that_ask_a_server_are_left_out_and_told(descriptor: Make) -> None:
    tool = inputs(
        descriptor,
        '<param name="x" type="text"><validator type="value_in_data_table" table_name="tbl"/>'
        '</param><param name="d" type="data"><validator type="unspecified_build"/></param>',
    )
    assert [note.severity for note in tool.notes] == [Severity.WARNING] * 2
    assert "tbl" in tool.notes[0].what
    assert not tool.problems


def test_odd_values_become_notes(descriptor: Make) -> None:
    tool = inputs(
        descriptor,
        '<param name="a" type="integer" value="x" min="y"/>'
        '<param name="b" type="float" value="x"/>'
        '<param name="c" type="integer" value="5.0"/>'
        '<param type="integer"/>'
        '<param name="a" type="text"/>'
        '<surprise name="z"/>'
        '<conditional name="q"/>',
    )
    assert [p.name for p in tool.inputs] == ["a", "b", "c"]
    assert isinstance(tool.inputs[2], IntegerParameter)
    assert tool.inputs[2].default == 5
    wheres = [note.where for note in tool.notes]
    assert wheres == [
        "inputs/param[a]", "inputs/param[a]", "inputs/param[b]", "inputs/param[?]",
        "inputs/a", "inputs/surprise", "inputs/conditional[q]",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ('<outputs><data name="o" format="txt"/><data name="o" format="csv"/></outputs>', "twice"),
        ('<outputs><surprise name="o"/></outputs>', "no output that is known"),
        (
            (
                '<outputs><data name="o"><actions><action type="metadata" name="m">'
                '<option type="from_data_table" name="t"/></action></actions></data></outputs>'
            ),
            "reference data “t”",
        ),
        (
            '<inputs><param name="b" type="boolean" truevalue="x" falsevalue="x"/></inputs>',
            "same text",
        ),
        ('<inputs><param name="s" type="select"/></inputs>', "nothing to choose from"),
        (
            '<inputs><param name="i" type="data"><conversion name="c" type="x"/></param></inputs>',
            "convert",
        ),
        (
            (
                '<inputs><param name="i" type="data"><options><filter type="data_meta" ref="i" '
                'key="dbkey"/></options></param></inputs>'
            ),
            "only some datasets",
        ),
        (
            (
                '<inputs><conditional name="c"><param name="s" type="select"><option value="a">A'
                '</option></param><when value="a"/><when value="z"/></conditional></inputs>'
            ),
            "“s” never has this value",
        ),
        (
            (
                '<inputs><conditional name="c"><param name="s" type="boolean"/>'
                '<when value="true"/><when value="yes"><param name="x" type="text"/></when>'
                "</conditional></inputs>"
            ),
            "a case of this value before",
        ),
        ('<help format="strange">x</help>', "“strange”"),
    ],
)
def test_oddities_are_told_and_the_tool_still_runs(descriptor: Make, body: str, word: str) -> None:
    tool = descriptor(f"<command>x</command>{body}", profile="24.0")
    assert any(word in note.what for note in tool.notes), tool.notes
    assert not tool.problems


def test_comments_among_inputs_and_outputs_are_nothing(descriptor: Make) -> None:
    tool = descriptor(
        "<command>x</command><inputs><!-- a --><?b c?>"
        '<param name="x" type="text"/><display>$x</display></inputs>'
        '<outputs><!-- d --><data name="o" format="txt"/></outputs>'
    )
    assert [item.name for item in tool.inputs] == ["x"]
    assert [output.name for output in tool.outputs] == ["o"]
    assert tool.notes == ()


def test_a_tool_without_a_command_does_not_run(descriptor: Make) -> None:
    assert problems(descriptor("<command/>")) == ["command: It has no command."]


def test_a_text_may_decide(descriptor: Make) -> None:
    tool = descriptor(
        '<command>x</command><inputs><conditional name="c"><param name="t" type="hidden" '
        'value="b"/><when value="a"/><when value="b"><param name="n" type="integer" value="1"/>'
        "</when></conditional></inputs>"
    )
    (conditional,) = tool.inputs
    assert isinstance(conditional, Conditional)
    assert isinstance(conditional.test, SelectParameter)
    assert [option.value for option in conditional.test.options] == ["a", "b"]


def test_an_odd_profile_is_named(descriptor: Make) -> None:
    with pytest.raises(DescriptorError, match="is no release of Galaxy"):
        descriptor("<command>x</command>", profile="latest")


@pytest.mark.parametrize(
    ("declared", "profile", "expected"),
    [("old", "", "2.7"), ("old", "19.05", "3.5"), ("3.8", "", "3.8"), ("2.7", "23.0", "2.7")],
)
def test_the_python_of_templates(
    descriptor: Make, declared: str, profile: str, expected: str
) -> None:
    tool = descriptor(
        "<command>x</command>", profile=profile, attributes=f'python_template_version="{declared}"'
    )
    assert str(tool.source.template_version) == expected


@pytest.mark.parametrize(
    ("written", "kind"),
    [("strange", "plain"), ("rst", "rst"), (" Markdown", "markdown"), ("plain_text", "plain")],
)
def test_words_for_the_format_of_help(descriptor: Make, written: str, kind: str) -> None:
    tool = descriptor(f'<command>x</command><help format="{written}">some *text*</help>')
    assert (tool.help, tool.help_format) == ("some *text*", kind)


def test_unknown_detect_errors(descriptor: Make) -> None:
    tool = descriptor('<command detect_errors="often">x</command>')
    assert [note.where for note in tool.notes] == ["command"]
    assert not DIALECT.judge(tool, 1, "", "").ok
    assert DIALECT.judge(tool, 0, "", "error:").ok


# -- security ------------------------------------------------------------------------


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


TOOL = '<tool id="t" name="T" version="1"{}>{}<command>x</command></tool>'


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE tool [<!ENTITY a "b">]>' + TOOL.format("", "<description>&a;</description>"),
        '<!DOCTYPE tool SYSTEM "x.dtd">' + TOOL.format("", ""),
        '<!DOCTYPE tool [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
        + TOOL.format("", "<help>&a;</help>"),
        "<!DOCTYPE t [<!ENTITY a0 'x'>"
        + "".join(f"<!ENTITY a{i} '{f'&a{i - 1};' * 10}'>" for i in range(1, 12))
        + "]>"
        + TOOL.format("", "<help>&a11;</help>"),
    ],
)
def test_no_dtd(tmp_path: Path, text: str) -> None:
    with pytest.raises(UnsafeDescriptorError, match="DTD"):
        DIALECT.read(Candidate(write(tmp_path / "t.xml", text)))


def test_no_dtd_in_macros(tmp_path: Path) -> None:
    write(tmp_path / "m.xml", '<!DOCTYPE macros [<!ENTITY a "b">]><macros/>')
    path = write(tmp_path / "t.xml", TOOL.format("", "<macros><import>m.xml</import></macros>"))
    with pytest.raises(UnsafeDescriptorError):
        DIALECT.read(Candidate(path))


def test_imports_stay_in_the_root(tmp_path: Path) -> None:
    write(tmp_path / "box" / "macros" / "m.xml", "<macros><import>../n.xml</import></macros>")
    write(tmp_path / "box" / "n.xml", '<macros><token name="@A@">from n</token></macros>')
    write(tmp_path / "outside.xml", "<macros/>")
    body = "<macros><import>{}</import></macros><description>@A@</description>"
    path = write(tmp_path / "box" / "t" / "t.xml", TOOL.format("", body.format("../macros/m.xml")))
    tool = DIALECT.read(Candidate(path), root=tmp_path / "box")
    assert tool.description == "from n"
    with pytest.raises(UnsafeDescriptorError, match="outside its toolbox"):
        DIALECT.read(Candidate(path))  # no toolbox: its own folder
    for name in ("../../outside.xml", str(tmp_path / "outside.xml")):
        write(path, TOOL.format("", body.format(name)))
        with pytest.raises(UnsafeDescriptorError, match="outside its toolbox"):
            DIALECT.read(Candidate(path), root=tmp_path / "box")
    (tmp_path / "box" / "t" / "link.xml").symlink_to(tmp_path / "private.xml")
    write(path, TOOL.format("", body.format("link.xml")))
    for text in (
        "<keys><macros/></keys>",
        "<macrosx/>",
        "macros",
        '<!-- <macros/> --><tool id="a"/>',
    ):
        write(tmp_path / "private.xml", text)
        with pytest.raises(UnsafeDescriptorError, match="outside its toolbox"):
            DIALECT.read(Candidate(path), root=tmp_path / "box")


SHARED = (
    '<?xml version="1.0"?>\n<!-- all tools --><macros><token name="@A@">shared</token></macros>'
)


@pytest.mark.parametrize("kind", ["import", "link", "text"])
@pytest.mark.parametrize("mark", [".git/", ".gitignore", "LICENSE", "README.md", ""])
def test_a_repository_is_a_toolbox(tmp_path: Path, kind: str, mark: str) -> None:
    """Repositories share macros by links to a common folder; some ZIPs make texts of links."""
    if mark:
        (tmp_path / mark).mkdir() if mark[-1] == "/" else (tmp_path / mark).touch()
    write(tmp_path / "macros" / "m.xml", SHARED)
    wanted = "../../macros/m.xml" if kind == "import" else "m.xml"
    body = f"<macros><import>{wanted}</import></macros><description>@A@</description>"
    path = write(tmp_path / "tools" / "t" / "t.xml", TOOL.format("", body))
    (path.parent / "README.md").touch()  # of the tool alone
    if kind == "link":
        (path.parent / "m.xml").symlink_to("../../macros/m.xml")
    if kind == "text":
        write(path.parent / "m.xml", "../../macros/m.xml")
    if mark or kind == "link":
        assert DIALECT.read(Candidate(path)).description == "shared"
    else:
        with pytest.raises(UnsafeDescriptorError, match="outside its toolbox"):
            DIALECT.read(Candidate(path))


def test_the_digest_covers_the_macros(tmp_path: Path) -> None:
    write(tmp_path / "m.xml", "<macros/>")
    path = write(tmp_path / "t.xml", TOOL.format("", "<macros><import>m.xml</import></macros>"))
    before = DIALECT.read(Candidate(path)).digest
    assert DIALECT.read(Candidate(path)).digest == before
    write(tmp_path / "m.xml", '<macros><token name="@X@">1</token></macros>')
    assert DIALECT.read(Candidate(path)).digest != before


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("<tool", "well-formed"),
        ("", "well-formed"),
        ("<macros/>", "root is <macros>"),
        (TOOL.format("", "<macros><import>absent.xml</import></macros>"), "absent.xml"),
        (TOOL.format("", '<macros><xml name="a"/></macros><expand macro="no"/>'), "no"),
        (
            TOOL.format(
                "", '<macros><xml name="a"><expand macro="a"/></xml></macros><expand macro="a"/>'
            ),
            "a cycle",
        ),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, text: str, word: str) -> None:
    with pytest.raises(DescriptorError, match=word):
        DIALECT.read(Candidate(write(tmp_path / "t.xml", text)))


def _chain(count: int, inner: str) -> str:
    return "".join(f'<xml name="m{i}">{inner.format(i + 1) * 10}</xml>' for i in range(count))


@pytest.mark.parametrize(
    "macros",
    [
        _chain(12, '<expand macro="m{}"/>') + '<xml name="m12"/>',
        '<xml name="m0"><yield/><yield/><yield/><yield/></xml>',
        "".join(f'<token name="@T{i}@">{f"@T{i + 1}@" * 10}</token>' for i in range(12)),
        '<token name="@A@">x@A@</token>',
        '<token name="@A@">@B@</token><token name="@B@">@A@</token>',
        '<xml name="a"><expand macro="b"/></xml><xml name="b"><expand macro="a"/></xml>',
    ],
)
def test_macro_bombs(tmp_path: Path, macros: str) -> None:
    expand = '<expand macro="m0">' * 12 + "</expand>" * 12 if "m0" in macros else ""
    path = write(tmp_path / "t.xml", TOOL.format("", f"<macros>{macros}</macros>{expand}"))
    with pytest.raises(UnsafeDescriptorError):
        DIALECT.read(Candidate(path))


@pytest.mark.parametrize(
    ("macros", "body"),
    [
        (  # attributes
            '<xml name="m0" token_a="">@A@</xml>'
            + "".join(
                f'<xml name="m{i}" token_a="x"><expand macro="m{i - 1}" a="{"@A@" * 10}"/></xml>'
                for i in range(1, 12)
            ),
            '<expand macro="m11"/>',
        ),
        (  # yields
            '<xml name="m0"><yield/></xml>'
            + "".join(
                f'<xml name="m{i}"><expand macro="m{i - 1}">{"<yield/>" * 8}</expand></xml>'
                for i in range(1, 12)
            ),
            '<expand macro="m11"><x/></expand>',
        ),
        (f'<token name="@T@">{"x" * 100_000}</token>', f"<help>{'@T@' * 1000}</help>"),
        (f'<token name="@T@">{"x" * 100_000}</token>', "<help>@T@</help>" * 1000),
        (f'<xml name="m">{"<option/>" * 1000}</xml>', '<expand macro="m"/>' * 1000),
    ],
)
def test_whatever_macros_make_is_counted(tmp_path: Path, macros: str, body: str) -> None:
    path = write(tmp_path / "t.xml", TOOL.format("", f"<macros>{macros}</macros>{body}"))
    with pytest.raises(UnsafeDescriptorError, match=r"of t\.xml grow beyond 20,000,000"):
        DIALECT.read(Candidate(path))


def test_macros_that_hold_themselves_by_what_they_are_given(tmp_path: Path) -> None:
    macros = '<macros><xml name="a" token_n="a"><expand macro="@N@"/></xml></macros>'
    path = write(tmp_path / "t.xml", TOOL.format("", f'{macros}<expand macro="a"/>'))
    with pytest.raises(UnsafeDescriptorError, match="nest more than 200 deep"):
        DIALECT.read(Candidate(path))
    write(tmp_path / "m.xml", "<macros><import>m.xml</import></macros>")
    write(path, TOOL.format("", "<macros><import>m.xml</import></macros>"))
    with pytest.raises(UnsafeDescriptorError, match="a cycle"):
        DIALECT.read(Candidate(path))


def test_an_import_of_an_imported_tool_stays_in_the_root(tmp_path: Path) -> None:
    write(tmp_path / "outside.xml", "<macros/>")
    write(tmp_path / "box" / "m.xml", "<tool><import>../outside.xml</import></tool>")
    body = "<macros><import>m.xml</import></macros>"
    path = write(tmp_path / "box" / "t.xml", TOOL.format("", body))
    with pytest.raises(UnsafeDescriptorError, match="outside its toolbox"):
        DIALECT.read(Candidate(path))


_INNER = st.recursive(
    st.sampled_from(
        ["<x/>", '<x a="@T@" b="@A@"/>', "@T@ @A@ t", "<yield/>", '<yield name="y"/>'],
    ),
    lambda inner: st.lists(inner, max_size=4).map("".join).flatmap(
        lambda text: st.sampled_from(
            [
                f"<p>{text}</p>tail",
                f'<expand macro="a" a="@T@{len(text)}">{text}</expand>tail',
                f'<expand macro="b">{text}<token name="y">{text}</token></expand>',
            ]
        )
    ),
    max_leaves=12,
)  # fmt: skip


@given(_INNER, _INNER, _INNER)
@example(  # the inner one first, where a macro begins with the outer one
    "<yield/>",
    '<expand macro="a"><expand macro="a"><x a="@A@"/><yield name="y"/></expand></expand>',
    '<expand macro="b"><token name="y"/></expand>',
)
def test_macros_are_expanded_as_galaxy_expands_them(
    tmp_path_factory: pytest.TempPathFactory, a: str, b: str, body: str
) -> None:
    from galaxy.util.xml_macros import load_with_references

    a = a.replace("<expand", "<q").replace("</expand", "</q")
    b = b.replace('<expand macro="b"', '<expand macro="a"')
    path = tmp_path_factory.mktemp("macros") / "t.xml"
    path.write_text(
        f'<tool><macros><token name="@T@">t@U@</token><token name="@U@">u</token>'
        f'<xml name="a" token_a="d">{a}</xml><xml name="b" token_b="e">{b}</xml>'
        f'<template name="m">@T@</template></macros>{body}</tool>'
    )
    try:
        theirs = etree.tostring(load_with_references(str(path))[0])
    except (AssertionError, ValueError):
        with pytest.raises((UnsafeDescriptorError, ValueError)):
            Expander(path, path.parent).expand()
    else:
        assert etree.tostring(Expander(path, path.parent).expand()) == theirs


def test_a_macro_that_is_not_defined(descriptor: Make) -> None:
    tool = descriptor('<macros/><command>x</command><expand macro="lost"/>')
    assert "lost" in problems(tool)[0]


def test_chosen_among_the_languages(descriptor: Make) -> None:
    made = descriptor("<command><![CDATA[#if $x# y #end if#]]></command>")
    assert read_tool(made.uri).dialect == "galaxy"


def test_outputs_that_galaxy_refuses(descriptor: Make) -> None:
    tool = descriptor(
        '<command>x</command><outputs><data name="o" format="tiff" auto_format="true"/></outputs>'
    )
    assert "outputs" in tool.problems[0].where


# -- images of packages --------------------------------------------------------------


@pytest.mark.parametrize(
    ("packages", "name"),
    [
        ("", ""),
        ('<requirement type="package" version="0.22.0">scikit-image</requirement>',
         "scikit-image:0.22.0"),
        ('<requirement type="package">scikit-image</requirement>', "scikit-image"),
        (('<requirement type="package" version="1.3.1">samtools</requirement>'
         '<requirement type="package" version="0.7.13">bwa</requirement>'),
         ("mulled-v2-fe8faa35dbf6dc65a0f7f5d4ea12e31a79f73e40"
         ":4d0535c94ef45be8459f429561f0894c3fe0ebcf")),
        # the name that Galaxy's registry has for the tools of the corpus' unzip
        (('<requirement type="package" version="6.0">unzip</requirement>'
         '<requirement type="package" version="1.34">tar</requirement>'
         '<requirement type="package" version="4.10.0">findutils</requirement>'),
         ("mulled-v2-6a2891161dcf5f35b38c6a49fff923163de7a66d"
         ":159a5b483a078f27b97a401b0626abac09e5f2d1")),
    ],
)  # fmt: skip
def test_biocontainers(descriptor: Make, packages: str, name: str) -> None:
    tool = descriptor(f"<command>x</command><requirements>{packages}</requirements>")
    assert biocontainer_name(tool) == name


def test_other_requirements_are_told(descriptor: Make) -> None:
    tool = descriptor(
        '<command>x</command><requirements><requirement type="set_environment">R</requirement>'
        '<container type="rkt">x</container><resource type="cores_min">4</resource>'
        "</requirements>"
    )
    assert [note.severity for note in tool.notes] == [
        Severity.WARNING, Severity.WARNING, Severity.INFO,
    ]  # fmt: skip
    assert tool.requirements == ()
