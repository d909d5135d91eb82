"""Choices that come from a dataset, datatypes, metadata."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_tool_runner.errors import ParameterError, TemplateError
from napari_tool_runner.tools import bind, dialect_of
from napari_tool_runner.tools.dialect import DataCollection, DataFile, JobPaths
from napari_tool_runner.tools.file_types import file_type
from napari_tool_runner.tools.formats import FORMATS, Trait
from napari_tool_runner.tools.galaxy.metadata import dataset_metadata, unique_values
from napari_tool_runner.tools.model import DataParameter, LayerKind, SelectParameter, Tool
from napari_tool_runner.tools.reader import read_tool

Make = Callable[..., Tool]
Data = Callable[..., DataFile]
Line = Callable[..., str]

TABLE = "#id\tname\tkind\n1\tone\todd\n2\ttwo\teven\n3\tthree\todd\n\n3\tagain\todd\n"


def options(
    make: Make, file: DataFile, inner: str, attributes: str = "", **values: object
) -> list:
    tool = make(
        f"""<command>$s</command><inputs><param name="t" type="data" format="tabular"/>
        <param name="w" type="text" value="odd"/>
        <param name="s" type="select"><options from_dataset="t" {attributes}>{inner}</options>
        </param></inputs><outputs/>"""
    )
    assert tool.notes == ()
    select = tool.inputs[2]
    assert isinstance(select, SelectParameter)
    assert select.source is not None
    return [(o.label, o.value) for o in select.source.options({"t": file, "w": "odd", **values})]


COLUMNS = '<column name="name" index="1"/><column name="value" index="0"/>'
ALL = [("one", "1"), ("two", "2"), ("three", "3")]
AGAIN = ("again", "3")


@pytest.mark.parametrize(
    ("inner", "attributes", "expected"),
    [
        (COLUMNS, "", ALL),
        ('<column name="value" index="2"/>', "", [("odd", "odd"), ("even", "even")]),
        (COLUMNS, 'startswith="2"', [("two", "2")]),
        (
            COLUMNS + '<filter type="static_value" column="2" value="odd"/>',
            "",
            [("one", "1"), ("three", "3")],
        ),
        (
            COLUMNS + '<filter type="static_value" column="2" value="odd" keep="false"/>',
            "",
            [("two", "2")],
        ),
        (COLUMNS + '<filter type="regexp" column="name" value="t"/>', "", ALL[1:]),
        (
            COLUMNS + '<filter type="param_value" ref="w" column="2"/>',
            "",
            [("one", "1"), ("three", "3")],
        ),
        (COLUMNS + '<filter type="unique_value" column="2"/>', "", ALL[:2]),
        (
            COLUMNS + '<filter type="sort_by" column="name"/>'
            '<filter type="remove_value" value="3"/>',
            "",
            ALL[:2],
        ),
        (
            COLUMNS + '<filter type="add_value" value="0" name="none" index="0"/>',
            "",
            [("none", "0"), *ALL],
        ),
        (
            (
                '<column name="value" index="0"/><filter type="multiple_splitter" column="0" '
                'separator="o"/>'
            ),
            'startswith="2"',
            [("2", "2")],
        ),
        (COLUMNS + '<filter type="static_value" column="none" value="odd"/>', "", []),
        (COLUMNS + '<filter type="static_value" column="²" value="odd"/>', "", []),
        (
            COLUMNS + '<filter type="regexp" column="name" value="t" keep="false"/>',
            "",
            [ALL[0], AGAIN],
        ),
        (COLUMNS + '<filter type="sort_by" column="name"/>', "", [AGAIN, *ALL[:2]]),
        (
            COLUMNS + '<filter type="sort_by" column="name" reverse_sort_order="true"/>',
            "",
            [ALL[1], ALL[2], ALL[0]],
        ),
        (COLUMNS + '<filter type="add_value" value="0" index="--1"/>', "", [*ALL, ("0", "0")]),
        (COLUMNS + '<filter type="add_value" value="0" index="²"/>', "", [*ALL, ("0", "0")]),
        (
            '<column name="value" index="2"/><filter type="remove_value" ref="w"/>',
            "",
            [("even", "even")],
        ),
        (
            COLUMNS + '<filter type="remove_value" meta_ref="t" key="columns"/>',
            "",
            ALL[:2],
        ),  # the table has 3 columns
        (COLUMNS + '<filter type="data_meta" ref="t" key="columns" column="value"/>', "", ALL[2:]),
        (COLUMNS + '<filter type="data_meta" ref="t" key="unknown" column="value"/>', "", ALL),
        (
            COLUMNS + '<filter type="data_meta" ref="t" key="columns" column="value" '
            'multiple="true" separator=";"/>',
            "",
            ALL[2:],
        ),
        (
            COLUMNS + '<filter type="param_value" ref="t" ref_attribute="metadata.columns" '
            'column="value"/>',
            "",
            ALL[2:],
        ),
        (
            COLUMNS + '<filter type="param_value" ref="t" ref_attribute="ext" column="value" '
            'keep="false"/>',
            "",
            ALL,
        ),
        (COLUMNS, 'separator=""', ALL),  # as if nothing were said
        (COLUMNS + '<filter type="multiple_splitter" column="2" separator=""/>', "", ALL),
    ],
)
def test_options_from_a_dataset(
    descriptor: Make, dataset: Data, inner: str, attributes: str, expected: list
) -> None:
    file = dataset("t.tabular", TABLE)
    assert options(descriptor, file, inner, attributes) == expected


def test_pairs_in_a_cell_are_taken_apart(descriptor: Make, dataset: Data) -> None:
    file = dataset("t.tabular", "x\tgene=a;gene=b;end=1;odd\n")
    inner = (
        '<column name="value" index="1"/><filter type="attribute_value_splitter" column="1" '
        'pair_separator=";" name_val_separator="="/>'
    )
    assert options(descriptor, file, inner) == [("gene", "gene"), ("end", "end")]


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ('<filter type="regexp" column="0" value="(["/>', "unterminated"),
        ('<filter type="no_such"/>', "not known"),
    ],
)
def test_a_filter_that_cannot_work_is_left_out_and_told(
    descriptor: Make, dataset: Data, entry: str, word: str
) -> None:
    made = descriptor(
        '<command>x</command><inputs><param name="s" type="select"><options from_dataset="t">'
        f"{COLUMNS}{entry}</options></param></inputs>"
    )
    (note,) = made.notes
    assert word in note.what
    assert note.where.endswith(f"filter[{'regexp' if 'regexp' in entry else 'no_such'}]")
    (select,) = made.inputs
    assert isinstance(select, SelectParameter)
    assert select.source is not None
    found = select.source.options({"t": dataset("t.tabular", TABLE)})
    assert [(one.label, one.value) for one in found] == ALL


def test_the_dataset_may_stand_anywhere_in_the_form(descriptor: Make, dataset: Data) -> None:
    file = dataset("t.tabular", TABLE)
    made = descriptor(
        '<command>x</command><inputs><param name="s" type="select">'
        f'<options from_dataset="box|t">{COLUMNS}</options></param></inputs>'
    )
    (select,) = made.inputs
    assert isinstance(select, SelectParameter)
    source = select.source
    assert source is not None
    collection = DataCollection("list", (("a", file), ("b", dataset("u.tabular", "9\tnine\tx\n"))))
    for values, expected in (
        ({"box": {"t": file}}, ALL),
        ({"other": {"deep": [{"x": 1}, {"t": str(file.path)}]}}, ALL),
        ({"t": [file.path]}, ALL),
        ({"t": collection}, [*ALL, ("nine", "9")]),
        ({"t": 5}, []),
        ({}, []),
    ):
        assert [(one.label, one.value) for one in source.options(values)] == expected, values


def test_a_column_that_the_options_do_not_have(
    descriptor: Make, line: Line, dataset: Data
) -> None:
    tool = descriptor(
        f"""<command>$s.fields.colour</command><inputs>
        <param name="t" type="data" format="tabular"/><param name="s" type="select">
        <options from_dataset="t">{COLUMNS}</options></param></inputs><outputs/>"""
    )
    with pytest.raises(TemplateError, match="colour”, which has no value"):
        line(tool, {"t": dataset("t.tabular", TABLE), "s": "2"})


def test_only_the_ends_of_lines_end_a_row(descriptor: Make, dataset: Data) -> None:
    cells = [f"a{mark}b" for mark in "\u2028\x0b\x0c\x85\x1e"]
    file = dataset("t.tabular")
    rows = (f"{n}\t{cell}" for n, cell in enumerate(cells))
    file.path.write_bytes("\r\n".join(rows).encode())
    assert options(descriptor, file, COLUMNS) == [(cell, str(n)) for n, cell in enumerate(cells)]
    (plain := file.path.with_name("plain")).write_text("a\u2028b\t1\nc\t2\n", encoding="utf-8")
    assert file_type(plain) == "tabular"


def test_without_the_dataset_there_is_nothing(descriptor: Make, tmp_path: Path) -> None:
    absent = DataFile(tmp_path / "absent", "tabular", "x")
    assert options(descriptor, absent, COLUMNS) == []
    assert options(descriptor, absent, COLUMNS, t=None) == []


def filters_alone(make: Make, filters: str, before: str = "") -> SelectParameter:
    tool = make(
        f"""<command>$s</command><inputs>{before}<param name="s" type="select">
        <options>{filters}</options></param></inputs><outputs/>"""
    )
    select = tool.inputs[-1]
    assert isinstance(select, SelectParameter)
    return select


def added(value: str, *, more: str = "") -> str:
    return f'<filter type="add_value" value="{value}" {more}/>'


@pytest.mark.parametrize("index", ["0", "99999999999999999999", "-" + "9" * 5000])
def test_choices_that_depend_on_nothing_are_told_when_the_descriptor_is_read(
    descriptor: Make, index: str
) -> None:
    select = filters_alone(descriptor, added("a") + added("b", more=f'index="{index}"'))
    found = [option.value for option in select.options]
    assert found == (["b", "a"] if index == "0" else ["a", "b"])
    assert select.default == found[0]


MANY = ",".join(f"a{i}:b" for i in range(1500))
ZEROS = ",".join("0" * 1500)
TOO_MUCH = [
    added(MANY) + f'<filter type="multiple_splitter" column="{ZEROS}"/>',
    added(MANY)
    + f'<filter type="attribute_value_splitter" column="{ZEROS}" name_val_separator=":"/>',
    added("x" * 200_000) + f'<filter type="multiple_splitter" column="{ZEROS}" separator="-"/>',
    '<column name="value" index="9999"/>' + added("a") * 300,
    added("a") * 100 + '<filter type="static_value" column="0" value="z" keep="no"/>' * 12_000,
    added("a" * 26 + "!")
    + '<filter type="regexp" value="(a|aa)+[bc]d" column="0" keep="false"/>' * 300,
]


@pytest.mark.parametrize("filters", TOO_MUCH)
def test_filters_that_make_too_much_are_told(descriptor: Make, filters: str) -> None:
    before = '<param name="w" type="text" value="odd"/>'
    select = filters_alone(descriptor, filters, before)
    assert select.options == ()
    depends = filters_alone(descriptor, filters + '<filter type="remove_value" ref="w"/>', before)
    assert depends.source is not None
    with pytest.raises(ParameterError, match="The choices cannot be told"):
        depends.source.options({"w": "odd"})


def test_what_the_options_depend_on(descriptor: Make) -> None:
    tool = descriptor(
        '<command>x</command><inputs><param name="s" type="select"><options from_dataset="t">'
        '<filter type="param_value" ref="w" column="0"/></options></param></inputs>'
    )
    select = tool.inputs[0]
    assert isinstance(select, SelectParameter)
    assert select.source is not None
    assert select.source.depends_on == ("t", "w")


def test_metadata_filter(descriptor: Make, tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    tifffile.imwrite(path, np.zeros((3, 4, 5), "uint16"), metadata={"axes": "ZYX"})
    tool = descriptor(
        '<command>x</command><inputs><param name="t" type="data" format="tiff"/>'
        '<param name="s" type="select"><options><filter type="data_meta" ref="t" key="axes"/>'
        "</options></param></inputs>"
    )
    select = tool.inputs[1]
    assert isinstance(select, SelectParameter)
    assert select.source is not None
    found = select.source.options({"t": DataFile(path, "tiff", "a")})
    assert [option.value for option in found] == ["ZYX"]


def test_fields_of_the_chosen_row(descriptor: Make, line: Line, dataset: Data) -> None:
    tool = descriptor(
        f"""<command>$s $s.fields.name $s.fields.kind</command><inputs>
        <param name="t" type="data" format="tabular"/><param name="s" type="select">
        <options from_dataset="t">{COLUMNS}<column name="kind" index="2"/></options></param>
        </inputs><outputs/>"""
    )
    assert line(tool, {"t": dataset("t.tabular", TABLE), "s": "2"}) == "2 two even"


# -- datatypes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "other", "expected"),
    [
        ("ome.tiff", "tiff", True),
        ("tiff", "ome.tiff", False),
        ("tif", "tiff", True),
        ("tabular", "txt", True),
        ("csv", "tabular", False),
        ("csv", "txt", True),
        ("geojson", "json", True),
        ("geojson", "txt", True),
        ("ome_zarr", "zarr", True),
        ("png", "data", True),
        ("png", "binary", False),
        ("nonsense", "binary", True),
        ("fastq.gz", "gz", True),
        ("TIFF", "tiff", True),
    ],
)
def test_is_of_type(name: str, other: str, expected: bool) -> None:
    assert FORMATS.is_of_type(name, other) is expected


def test_every_parent_is_known() -> None:
    for entry in FORMATS.values():
        assert set(entry.parents) <= set(FORMATS), entry
        assert entry.extension.startswith(".") or Trait.ANYTHING in entry.traits


@pytest.mark.parametrize(
    ("name", "content", "expected", "found"),
    [
        ("a.tif", b"II*\0rest", (), "tiff"),
        ("a.ome.tiff", b"", (), "ome.tiff"),
        ("a.TIFF", b"II*\0<OME", (), "ome.tiff"),
        ("a", b"\x89PNG\r\n\x1a\n", (), "png"),
        ("a", b"\xff\xd8\xff\xe0", (), "jpg"),
        ("a", b"a\tb\n1\t2\n", (), "tabular"),
        ("a", b"a,b\n1,2\n", (), "csv"),
        ("a", b'{"a": 1}', (), "json"),
        ("a", b'{"type": "FeatureCollection", "features": []}', (), "geojson"),
        ("a", b"<?xml version='1.0'?><a/>", (), "xml"),
        ("a", b"words only", (), "txt"),
        ("a", b"\0\1\2", (), "data"),
        ("a", b"", (), "txt"),
        ("a.tsv", b"", (), "tsv"),
        ("a.tsv", b"", ("tabular",), "tsv"),
        ("a.ply", b"ply\n", ("plyascii",), "plyascii"),
        ("a.unknown", b"\x89HDF\r\n\x1a\n", (), "h5"),
    ],
)
def test_sniff(
    tmp_path: Path, name: str, content: bytes, expected: tuple[str, ...], found: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert file_type(tmp_path / name, expected) == found


def test_sniff_folders(tmp_path: Path) -> None:
    for name, file, text, kind in (
        ("a.zarr", ".zattrs", '{"multiscales": []}', "ome_zarr"),
        ("b.zarr", ".zattrs", "{}", "zarr"),
        ("c", "zarr.json", '{"attributes": {"ome": {}}}', "ome_zarr"),
        ("d.ome.zarr", ".zattrs", "not json", "ome_zarr"),
        ("e", "x", "", "directory"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text(text)
        assert file_type(tmp_path / name) == kind, name


def test_kinds_and_suffixes() -> None:
    assert FORMATS.canonical("ome.tiff").kinds[0] is LayerKind.IMAGE
    assert FORMATS.canonical("bed").kinds == (LayerKind.TABLE,)
    assert FORMATS.canonical("fasta").kinds == (LayerKind.ANY,)
    assert FORMATS.canonical("no_such_format").kinds == (LayerKind.ANY,)
    assert FORMATS.is_of_type("fastqsanger", "txt")
    assert FORMATS.canonical("ome.tif").extension == ".ome.tiff"
    assert FORMATS.canonical("weird.gz").extension == ".weird.gz"
    assert FORMATS.canonical("zarr").directory


# -- metadata ------------------------------------------------------------------------


def test_metadata_of_a_tiff(tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    pixels = np.arange(2 * 3 * 4 * 5, dtype="uint16").reshape(2, 3, 4, 5) % 7
    tifffile.imwrite(path, pixels, metadata={"axes": "TZYX"})
    file = DataFile(path, "tiff", "a")
    found = dataset_metadata(file, FORMATS)
    assert {key: found[key] for key in ("axes", "dtype", "width", "height")} == {
        "axes": "TZYX", "dtype": "uint16", "width": 5, "height": 4,
    }  # fmt: skip
    assert [found[key] for key in ("channels", "depth", "frames")] == [0, 3, 2]
    assert unique_values(file, FORMATS) == 7


def test_metadata_of_a_tiff_with_two_images(tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    with tifffile.TiffWriter(path) as writer:
        writer.write(np.zeros((4, 5), "uint8"))
        writer.write(np.ones((6, 7), "uint8"))
    found = dataset_metadata(DataFile(path, "tiff", "a"), FORMATS)
    assert (found["width"], found["height"]) == ([5, 7], [4, 6])
    assert unique_values(DataFile(path, "tiff", "a"), FORMATS) == [1, 1]


def test_metadata_of_a_png(tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((4, 5, 3), "uint8")).save(path)
    found = dataset_metadata(DataFile(path, "png", "a"), FORMATS)
    assert (found["width"], found["height"], found["channels"]) == (5, 4, 3)
    assert (found["axes"], found["depth"], found["dtype"]) == ("YXC", 0, "uint8")


def test_metadata_of_tables(dataset: Data) -> None:
    found = dataset_metadata(dataset("a.csv", "x,y,n\n1,2.5,a\n3,4,b\n"), FORMATS)
    assert found["columns"] == 3
    assert found["column_types"] == ["int", "float", "str"]
    assert found["column_names"] == ["x", "y", "n"]
    assert (found["data_lines"], found["delimiter"]) == (2, ",")
    tabular = dataset_metadata(dataset("a.tabular", "#c\n1\t2\n3\t4\n"), FORMATS)
    assert (tabular["columns"], tabular["data_lines"]) == (2, 2)
    assert tabular["column_types"] == ["int", "int"]


@pytest.mark.parametrize(
    ("name", "content", "columns", "types", "names", "lines", "comments"),
    [
        ("a.tabular", "a\tb\n1\t2\n", 2, "int,int", [], 2, 0),
        ("a.tabular", "a\tb\n", 2, "str,str", [], 1, 0),
        ("a.tabular", "a\tb\n1\n2\t3.5\n", 2, "int,float", [], 3, 0),
        ("a.tabular", '"a\tq"\tb\n1\t2\n', 3, "int,int,str", [], 2, 0),
        ("a.tabular", "#a\tb\n1\t2\n\n", 2, "int,int", [], 1, 2),
        ("a.tabular", "q\tr\ts\n1\tna\t1,2\n2\t1_0\t\n", 3, "int,str,list", [], 3, 0),
        ("a.tabular", "", 0, "", [], 0, 0),
        ("a.csv", "a,b\n1,2\n", 2, "int,int", ["a", "b"], 1, 1),
        ("a.csv", "1,2\n3,4\n", 2, "int,int", ["1", "2"], 1, 1),
        ("a.csv", "n,x,y\nq,1.0,2.0\nr,3,4\n", 3, "str,float,float", ["n", "x", "y"], 2, 1),
        ("a.csv", 'a,b\n"1,5",2\n', 2, "str,int", ["a", "b"], 1, 1),
        ("a.csv", "a,b\n", 2, "", ["a", "b"], 0, 1),
        ("a.tsv", "a\tb\n1\t2\n", 2, "int,int", ["a", "b"], 1, 1),
        ("a.txt", "a\n\n# b\nc", None, "", None, 2, None),
    ],
)
def test_metadata_of_lines(
    dataset: Data, name: str, content: str, columns: int | None, types: str,
    names: list[str] | None, lines: int, comments: int | None,
) -> None:  # fmt: skip
    found = dataset_metadata(dataset(name, content), FORMATS)
    assert found.get("columns") == columns
    assert ",".join(map(str, found.get("column_types", ()))) == types  # type: ignore[call-overload]
    assert found.get("column_names") == names
    assert (found.get("data_lines"), found.get("comment_lines")) == (lines, comments)


def test_a_broken_table_has_no_columns(dataset: Data) -> None:
    file = dataset("a.csv", f"a,b\n{'x' * 200_000},1\n")
    assert dataset_metadata(file, FORMATS) == {"dbkey": "?"}


@pytest.mark.parametrize(
    ("mode", "ending", "count"),
    [
        ("L", "png", 2), ("LA", "png", 2), ("RGB", "png", 2), ("P", "png", 2), ("1", "png", None),
        ("I;16", "png", None), ("L", "jpg", None), ("L", "bmp", None), ("L", "gif", None),
    ],
)  # fmt: skip
def test_distinct_values_of_a_picture(
    tmp_path: Path, mode: str, ending: str, count: int | None
) -> None:
    image = Image.fromarray(np.eye(4, 5, dtype="uint8") * 255)
    image = Image.merge("LA", (image, image)) if mode == "LA" else image.convert(mode)
    image.save(tmp_path / f"a.{ending}")
    assert unique_values(DataFile(tmp_path / f"a.{ending}", ending, "a"), FORMATS) == count


def test_offsets_of_a_tiff_are_a_file(descriptor: Make, tmp_path: Path) -> None:
    made = descriptor(
        """<configfiles><inputs name="j" data_style="staging_path_and_source_path"/></configfiles>
        <command>cat '$i.metadata.offsets' $j; echo '$b.metadata.offsets' '$b.metadata.width'
        $i.metadata.is_tiled</command><inputs><param name="i" type="data" format="tiff"/>
        <param name="b" type="data" format="tiff"/></inputs><outputs/>"""
    )
    path = tmp_path / "a.tiff"
    tifffile.imwrite(path, np.zeros((3, 8, 9), "u1"), photometric="minisblack")
    (tmp_path / "b.tiff").write_bytes(b"no tiff")
    files = {"i": DataFile(path, "tiff", "a"), "b": DataFile(tmp_path / "b.tiff", "tiff", "b")}
    rendered = dialect_of(made).render(made, bind(made, files), JobPaths(tmp_path / "job"), {})
    with tifffile.TiffFile(path) as tif:
        wanted = [page.offset for page in tif.pages]
    lists = {str(at): json.loads(text) for at, text in rendered.files.items() if text[0] == "["}
    ((place, told),) = lists.items()
    assert told == wanted
    assert len(wanted) == 3
    assert f"cat '{place}'" in rendered.script
    assert "echo 'None' 'None'" in rendered.script
    (inputs,) = (json.loads(text) for text in rendered.files.values() if text[0] == "{")
    beside = {"staging_path": "a.tiff.json", "source_path": place}
    assert inputs["i"]["metadata_files"] == [beside]
    assert inputs["b"]["metadata_files"] == []


def test_metadata_are_texts_in_templates_and_values_in_decisions(
    descriptor: Make, dataset: Data, line: Line
) -> None:
    made = descriptor(
        """<command>#if $t.metadata.columns == '2' and $t.metadata.data_lines != 2#text#end if#
        </command><inputs><param name="t" type="data" format="tabular">
        <validator type="expression">value.metadata.columns == 2</validator>
        <validator type="metadata"/></param></inputs>
        <outputs><data name="o" format="txt"><filter>t.metadata.columns == 2</filter></data>
        <data name="p" format="txt"><filter>t.metadata.columns == 3</filter></data></outputs>"""
    )
    table = dataset("t.tabular", "a\tb\n1\t2\n")
    assert line(made, {"t": table}) == "text"
    rendered = dialect_of(made).render(
        made, bind(made, {"t": table}), JobPaths(table.path.parent), {}
    )
    assert [entry.output.name for entry in rendered.outputs] == ["o"]


def test_metadata_that_is_given_wins(dataset: Data) -> None:
    file = dataset("a.csv", "x\n1\n", "csv", columns=9)
    assert dataset_metadata(file, FORMATS)["columns"] == 9


def test_a_broken_file_has_no_metadata(tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    path.write_bytes(b"no tiff")
    assert dataset_metadata(DataFile(path, "tiff", "a"), FORMATS).pop("dbkey") == "?"
    assert set(dataset_metadata(DataFile(path, "tiff", "a"), FORMATS).values()) == {"?", None}
    assert unique_values(DataFile(path, "tiff", "a"), FORMATS) is None


# -- what a choice may be -------------------------------------------------------------

FROM_TABLE = """<param name="t" type="data" format="tabular" optional="true"/>
<param name="s" type="select" {}><options from_dataset="t">{}</options></param>
<param name="n" type="data_column" data_ref="t" {} value="1"/>"""


@pytest.mark.parametrize(
    ("attributes", "filters", "values", "expected"),
    [
        ("", "", {"s": "2"}, "2 1"),
        ("", "", {"s": "two"}, "2 1"),
        ("", "", {"s": "4"}, "'4' is not among its choices; they are '1', '2', '3'"),
        ('optional="true"', "", {}, "None 1"),
        ('multiple="true"', "", {"s": ["1", "3"]}, "1,3 1"),
        ('multiple="true"', "", {"s": ["one", "two"]}, "1,2 1"),
        ('multiple="true"', "", {"s": ["1", "odd"]}, "'odd' is not among its choices"),
        ('multiple="true"', "", {"s": []}, "None 1"),
        ("", '<filter type="static_value" column="2" value="even"/>', {"s": "1"}, "they are '2'"),
        ("", '<filter type="static_value" column="2" value="x"/>', {"s": "1"}, "there is none"),
        ("", '<filter type="add_value" value="0"/>', {"s": "0"}, "0 1"),
        ("", "", {"s": "1", "n": "c3"}, "1 3"),
        ("", "", {"s": "1", "n": "4"}, "has no column 4, it has 3"),
    ],
)
def test_only_what_is_offered_can_be_chosen(
    descriptor: Make,
    line: Line,
    dataset: Data,
    attributes: str,
    filters: str,
    values: dict[str, object],
    expected: str,
) -> None:
    inputs = FROM_TABLE.format(attributes, COLUMNS + filters, "")
    made = descriptor(f"<command>$s $n</command><inputs>{inputs}</inputs><outputs/>")
    given = {"t": dataset("t.tabular", TABLE), **values}
    if any(word in expected for word in ("choices", "there", "they", "column")):
        with pytest.raises(ParameterError, match=expected):
            line(made, given)
    else:
        assert line(made, given) == expected


@pytest.mark.parametrize(
    ("attributes", "value", "problem"),
    [
        ('numerical="true"', "1", ""),
        ('numerical="true"', "3", ""),
        ('numerical="true"', "2", "takes a column of numbers; column 2 of “t.tabular”"),
        ('numerical="true" multiple="true"', ["1", "2"], "column 2"),
        ("", "2", ""),
        ("", "0", "column, counted from 1, not"),
        ("", "4", "has no column 4, it has 3"),
    ],
)
def test_a_column_of_numbers(
    descriptor: Make, line: Line, dataset: Data, attributes: str, value: object, problem: str
) -> None:
    made = descriptor(
        '<command>$n</command><inputs><param name="t" type="data" format="tabular"/>'
        f'<param name="n" type="data_column" data_ref="t" {attributes}/></inputs><outputs/>'
    )
    given = {"t": dataset("t.tabular", "id\tname\tx\n1\tone\t1.5\n"), "n": value}
    if problem:
        with pytest.raises(ParameterError, match=problem):
            line(made, given)
    else:
        assert line(made, given) == value


def test_choices_of_a_dataset_that_is_not_there_yet_are_not_judged(
    descriptor: Make, line: Line, tmp_path: Path
) -> None:
    inputs = FROM_TABLE.format("", COLUMNS, "")
    made = descriptor(f"<command>$s $n</command><inputs>{inputs}</inputs><outputs/>")
    planned = DataFile(tmp_path / "later.tabular", "tabular", "later")
    assert line(made, {"t": planned, "s": "7", "n": "9"}) == "7 9"


# -- what Galaxy's sniffer calls a file ------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "formats", "found"),
    [
        ("a.tsv", "a\tb\n1\t2\n", "", "tabular"),
        ("a.tsv", "a\tb\n1\t2\n", "tabular", "tabular"),
        ("a.tsv", "a\tb\n1\t2\n", "tsv,tabular", "tabular"),
        ("a.TSV", "a\tb\n1\t2\n", "tsv,tabular", "tabular"),
        ("a.tsv", "a\tb\n1\t2\n", "csv,txt", "tabular"),
        ("a.csv", "a,b\n1,2\n", "tsv,csv", "csv"),
        ("a.tab", "a\tb\n1\t2\n", "tsv,tabular", "tabular"),
        ("a.txt", "a\tb\n1\t2\n", "tabular", "tabular"),
        ("a.txt", "a title\na\tb\n1\t2\n", "txt", "tabular"),
        ("a.txt", "#c\n1\t2\n3\t4\n", "", "tabular"),
        ("a.txt", "1,2\n3,4\n", "csv", "txt"),
        ("a.txt", "some words\n", "tabular", "txt"),
        ("a.txt", "a\tb\n1\n1\t2\t3\n", "tabular", "txt"),
        ("a.log", '{"a": 1}', "", "json"),
        ("a.ome.tiff", "II*\0", "tiff,ome.tiff", "ome.tiff"),
    ],
)
def test_galaxys_names_of_files(
    tmp_path: Path, name: str, content: str, formats: str, found: str
) -> None:
    (tmp_path / "test-data").mkdir()
    (tmp_path / "test-data" / name).write_text(content)
    (tmp_path / "tool.xml").write_text(
        '<tool id="t" name="T" version="1" profile="23.0"><command>$i.ext</command><inputs>'
        f'<param name="i" type="data" format="{formats or "data"}"/></inputs><outputs/><tests>'
        f'<test><param name="i" value="{name}"/></test></tests></tool>'
    )
    made = read_tool(tmp_path / "tool.xml")
    file = made.tests[0].values["i"]
    assert isinstance(file, DataFile)
    assert file.format == found
    if ".txt" not in name and ".log" not in name:  # a person's own files are told by their names
        input_ = made.inputs[0]
        assert isinstance(input_, DataParameter)
        accepted = made.formats.accepted(input_.formats, name)
        assert accepted in (found, None)


@pytest.mark.parametrize(
    ("attributes", "expected"), [("", "1"), ('optional="true"', None), ('multiple="true"', None)]
)
def test_a_computed_choice_that_a_test_leaves_out_is_the_first(
    tmp_path: Path, attributes: str, expected: object
) -> None:
    (tmp_path / "test-data").mkdir()
    (tmp_path / "test-data" / "t.tabular").write_text(TABLE)
    (tmp_path / "t.xml").write_text(
        f"""<tool id="t" name="T" version="1"><command>$s</command>
        <inputs>{FROM_TABLE.format(attributes, COLUMNS, "")}</inputs>
        <outputs><data name="o" format="txt"/></outputs>
        <tests><test><param name="t" value="t.tabular"/></test><test/></tests></tool>"""
    )
    tool = read_tool(tmp_path / "t.xml")
    assert "skip" not in tool.tests[0].extra
    assert bind(tool, tool.tests[0].values)["s"] in (expected, ())
    assert tool.tests[1].values.get("s") is None
