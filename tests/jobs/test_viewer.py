"""Results in a viewer: placed, named, joined, and nothing of the user's touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

napari = pytest.importorskip("napari")
from napari.components import ViewerModel  # noqa: E402
from napari.layers._source import layer_source  # noqa: E402

import napari_tool_runner as ntr  # noqa: E402
from jobs.conftest import INVERT, MakeTool  # noqa: E402
from napari_tool_runner.errors import ParameterError  # noqa: E402
from napari_tool_runner.jobs import (  # noqa: E402
    AddedResult,
    JobManager,
    RunRecord,
    add_result,
    take_back,
    taken_back,
)
from napari_tool_runner.jobs.past.scan import row_of  # noqa: E402

if TYPE_CHECKING:
    from napari_tool_runner.tools import Tool

Config = dict[str, object]
LABEL = """
import sys, numpy as np, tifffile
image = tifffile.imread(sys.argv[1])
labels = np.zeros(image.shape, np.uint16)
labels[:2] = 1
labels[4:] = 2
tifffile.imwrite(sys.argv[2], labels)
with open(sys.argv[3], "w") as out:
    out.write("label,area\\n1,20\\n2,40\\n")
"""
LABEL_OUT = (
    '<data name="o" format="imagetiff" layer="labels" label="Cells"/>'
    '<data name="t" format="tablecsv" layer="table" join="o" label="Areas"/>'
)


@pytest.fixture
def viewer() -> ViewerModel:
    viewer = ViewerModel()
    viewer.add_image(
        np.arange(80, dtype=np.uint8).reshape(8, 10),
        name="cells",
        scale=(0.5, 0.5),
        translate=(3, 4),
        units=("um", "um"),
    )
    return viewer


def test_layers_go_in_by_name_and_come_back_in_place(
    viewer: ViewerModel, make_tool: MakeTool, config: Config
) -> None:
    viewer.add_points(np.zeros((1, 2)), name="on top")
    (layer,) = ntr.run_in_viewer(viewer, make_tool(INVERT), i="cells", config=config)
    source = viewer.layers["cells"]
    assert layer.name == "cells · Invert"
    np.testing.assert_array_equal(layer.data, 79 - source.data)
    np.testing.assert_allclose(layer.scale, source.scale)
    np.testing.assert_allclose(layer.translate, source.translate)
    assert layer.units == source.units
    assert [entry.name for entry in viewer.layers] == ["cells", "cells · Invert", "on top"]
    assert all(entry.visible for entry in viewer.layers)
    assert layer.metadata["napari_tool_runner"]["inputs"][0]["label"] == "cells"


def test_names_stay_unique(viewer: ViewerModel, make_tool: MakeTool, config: Config) -> None:
    tool = make_tool(INVERT)
    for name in ("cells", "cells", "Cells"):
        viewer.layers[0].name = name
        ntr.run_in_viewer(viewer, tool, i=name, config=config)
    assert len({entry.name.casefold() for entry in viewer.layers}) == 4


def test_a_table_joins_its_labels(
    viewer: ViewerModel, make_tool: MakeTool, config: Config
) -> None:
    tool = make_tool(LABEL, outputs=LABEL_OUT, arguments="${i} ${o} ${t}")
    (labels,) = ntr.run_in_viewer(viewer, tool, i=viewer.layers["cells"], config=config)
    features = labels.features.set_index("index")
    assert features["area"].dropna().to_dict() == {1: 20, 2: 40}


def test_a_table_joins_the_input_and_keeps_its_columns(
    viewer: ViewerModel, make_tool: MakeTool, config: Config
) -> None:
    tool = make_tool(
        "import sys; open(sys.argv[2], 'w').write('label,area\\n1,20\\n2,24\\n')",
        inputs='<param name="i" type="data" format="imagetiff" layer="labels"/>',
        outputs='<data name="t" format="tablecsv" layer="table" join="i"/>',
        arguments="${i} ${t}",
    )
    data = np.repeat([1, 0, 2], 10).reshape(3, 10)
    mine = viewer.add_labels(data, name="mine", features={"index": [0, 1, 2], "kind": list("abc")})
    assert ntr.run_in_viewer(viewer, tool, i="mine", config=config) == []
    features = mine.features.set_index("index")
    assert features["kind"].to_dict() == {0: "a", 1: "b", 2: "c"}
    assert features["area"].dropna().to_dict() == {1: 20, 2: 24}
    assert mine.data is data


def test_a_table_of_no_layer_is_told(
    viewer: ViewerModel, make_tool: MakeTool, config: Config
) -> None:
    tool = make_tool(
        "import sys; open(sys.argv[2], 'w').write('label,frame\\n1,0\\n1,1\\n')",
        inputs='<param name="i" type="data" format="imagetiff" layer="labels"/>',
        outputs='<data name="t" format="tablecsv" layer="table" join="i" label="Sizes"/>',
        arguments="${i} ${t}",
    )
    viewer.add_labels(np.ones((2, 3, 3), int), name="mine", axis_labels=("t", "y", "x"))
    with pytest.warns(UserWarning, match="The table “.*Sizes” has not one row for each object"):
        assert ntr.run_in_viewer(viewer, tool, i="mine", config=config) == []


def test_an_unknown_layer_is_told(
    viewer: ViewerModel, make_tool: MakeTool, config: Config
) -> None:
    with pytest.raises(ParameterError, match="cells"):
        ntr.run_in_viewer(viewer, make_tool(INVERT), i="cels", config=config)


@pytest.mark.parametrize(
    "meddle",
    [
        lambda viewer: viewer.layers.remove("cells"),
        lambda viewer: setattr(viewer.layers["cells"], "name", "renamed"),
        lambda viewer: setattr(viewer.layers["cells"], "data", np.zeros((3, 3), np.uint8)),
        lambda viewer: setattr(viewer.layers["cells"], "scale", (9, 9)),
    ],
    ids=["removed", "renamed", "changed", "rescaled"],
)
def test_the_layer_may_change_while_the_tool_runs(
    viewer: ViewerModel, make_tool: MakeTool, config: Config, meddle: Callable[[ViewerModel], None]
) -> None:
    job = JobManager().submit(make_tool(INVERT), {"i": viewer.layers["cells"]}, config=config)
    meddle(viewer)
    added = add_result(viewer, job.result(), job)
    (layer,) = added.layers
    np.testing.assert_array_equal(layer.data, 79 - np.arange(80).reshape(8, 10))
    np.testing.assert_allclose(layer.scale, (0.5, 0.5))
    assert layer in viewer.layers


def test_names_do_not_pile_up(viewer: ViewerModel, make_tool: MakeTool, config: Config) -> None:
    tool = make_tool(INVERT, outputs='<data name="o" format="imagetiff" label="Negative"/>')
    (first,) = ntr.run_in_viewer(viewer, tool, i="cells", config=config)
    (second,) = ntr.run_in_viewer(viewer, tool, i=first, config=config)
    assert first.name == "cells · Negative"
    assert second.name.startswith("cells · Negative")
    assert second.name.count("Negative") == 1


def test_what_was_added_is_told(viewer: ViewerModel, make_tool: MakeTool, config: Config) -> None:
    outputs = (
        LABEL_OUT.replace('join="o"', "")
        + '<data name="w" format="txt" label="Words"/>'
        + '<data name="h" format="txt" label="Hidden" hidden="true"/>'
    )
    script = (
        LABEL.replace("label,", "row,")
        + 'open(sys.argv[4], "w").write("x")\nopen(sys.argv[5], "w").write("x")\n'
    )
    tool = make_tool(script, outputs=outputs, arguments="${i} ${o} ${t} ${w} ${h}")
    job = JobManager().submit(tool, {"i": viewer.layers["cells"]}, config=config)
    added = add_result(viewer, job.result(), job)
    assert [list(table) for table in added.tables.values()] == [["row", "area"]]
    assert added.files == ["Words"]
    assert added.sentence() == (
        "Added “cells · Cells”: 2 objects. Opened 1 table. Words: a file in the workspace."
    )
    joined = JobManager().submit(
        make_tool(LABEL, outputs=LABEL_OUT, arguments="${i} ${o} ${t}", name="joining"),
        {"i": viewer.layers["cells"]},
        config=config,
    )
    sentence = add_result(viewer, joined.result(), joined).sentence()
    assert sentence.startswith("Added “cells · Cells [1]”: ")
    assert sentence.endswith(
        "objects of “cells · Cells [1]”. 2 of them touch the edge: their sizes are too small."
    )
    assert AddedResult().sentence() == "Done; the tool made nothing to show."


def test_a_result_can_be_taken_back(
    viewer: ViewerModel, make_tool: MakeTool, config: Config
) -> None:
    tool = make_tool(LABEL, outputs=LABEL_OUT, arguments="${i} ${o} ${t}")
    jobs = [JobManager().submit(tool, {"i": viewer.layers["cells"]}, config=config) for _ in "123"]
    first, second, third = (add_result(viewer, job.result(), job) for job in jobs)
    take_back(viewer, first)
    take_back(viewer, first)  # nothing is left to be taken
    assert [layer.name for layer in viewer.layers] == [
        "cells",
        "cells · Cells [1]",
        "cells · Cells [2]",
    ]
    (labels,) = second.layers
    labels.data_setitem((np.array([0]), np.array([0])), 7)  # painted
    take_back(viewer, second)
    assert labels in viewer.layers
    assert "area" not in labels.features.columns
    assert "area" in third.layers[0].features.columns


def test_a_job_whose_result_was_taken_back_is_known_until_it_is_shown_again(
    viewer: ViewerModel, make_tool: MakeTool, config: Config
) -> None:
    job = JobManager().submit(make_tool(INVERT), {"i": viewer.layers["cells"]}, config=config)
    shown = add_result(viewer, job.result(), job)
    assert job.id not in taken_back()
    take_back(viewer, shown)
    assert job.id in taken_back()
    add_result(viewer, job.result(), job)
    assert job.id not in taken_back()


AREAS = """
import sys
with open(sys.argv[2], "w") as out:
    out.write("label,area\\n1,20\\n2,40\\n")
"""


def test_a_table_of_the_past_is_tied_to_the_layer_that_was_measured(
    viewer: ViewerModel, make_tool: MakeTool, config: Config
) -> None:
    objects = make_tool(LABEL, outputs=LABEL_OUT, arguments="${i} ${o} ${t}")
    (labels,) = ntr.run_in_viewer(viewer, objects, i="cells", config=config)
    measure = make_tool(
        AREAS,
        inputs='<param name="i" type="data" format="imagetiff" layer="labels"/>',
        outputs='<data name="t" format="tablecsv" layer="table" join="i" label="Sizes"/>',
        arguments="${i} ${t}",
    )
    job = JobManager().submit(measure, {"i": labels}, config=config)
    result = job.result()
    inputs = job.recorded().inputs
    add_result(viewer, result, job)
    shown = add_result(viewer, result, inputs=inputs)
    (title,) = shown.tables
    assert shown.owners == {title: labels}
    assert add_result(viewer, result).owners == {}
    again = JobManager().submit(measure, {"i": labels}, config=config)  # it is measured by now
    added = add_result(viewer, again.result(), inputs=again.recorded().inputs)
    assert [*added.owners.values()] == [labels]
    labels.data = np.zeros_like(labels.data)  # what was measured is no more
    assert add_result(viewer, result, inputs=inputs).owners == {}


def test_a_record_tells_how_many_objects_there_are(
    viewer: ViewerModel, make_tool: MakeTool, config: Config
) -> None:
    tool = make_tool(LABEL, outputs=LABEL_OUT, arguments="${i} ${o} ${t}")
    job = JobManager().submit(tool, {"i": viewer.layers["cells"]}, config=config)
    job.result()
    record = job.recorded()
    assert [one.objects for one in record.outputs] == [2, None]
    assert RunRecord.from_json(record.to_json(), record.folder).outputs == record.outputs
    assert row_of(record).found == "2 objects"


def test_notes_stand_beside_what_was_added(
    viewer: ViewerModel, make_tool: MakeTool, config: Config
) -> None:
    script = INVERT + 'print("note: two are left out")\nprint("warning: all is flat")\n'
    job = JobManager().submit(make_tool(script), {"i": viewer.layers["cells"]}, config=config)
    sentence = add_result(viewer, job.result(), job).sentence()
    more = len(job.run.notes) - 1
    assert sentence.startswith("Added “cells")
    assert "Warning: all is flat" in sentence
    assert f"{more} more note" in sentence
    long = AddedResult(notes=("word " * 100,)).sentence()
    assert long.endswith("word …")
    assert len(long) < 220


def test_a_name_of_a_layer_or_of_a_file(
    viewer: ViewerModel, make_tool: MakeTool, config: Config, tmp_path: Path
) -> None:
    path = tmp_path / "other.tif"
    tifffile.imwrite(path, np.full((8, 10), 3, np.uint8))
    add = """
    import sys, tifffile
    images = [tifffile.imread(name) for name in sys.argv[2:]]
    tifffile.imwrite(sys.argv[1], sum(images))
    """
    tool = make_tool(
        add,
        inputs='<param name="i" type="data" format="tiff" multiple="true"/>',
        outputs='<data name="o" format="tiff"/>',
        root='profile="23.0"',
        arguments="$o #for $one in $i# '$one' #end for#",
    )
    (layer,) = ntr.run_in_viewer(viewer, tool, i=["cells", str(path)], config=config)
    np.testing.assert_array_equal(layer.data, viewer.layers["cells"].data + 3)


# -- descriptors that say nothing: the numbers say whose objects the rows are ---------------

MEASURE = """
import sys, numpy as np, tifffile
ids = [int(i) for i in np.unique(tifffile.imread(sys.argv[1])) if i]
rows = [sys.argv[3]] + [f"{i},{10 * i}" for i in ids]
open(sys.argv[2], "w").write("\\n".join(rows) + "\\n")
"""
PLAIN = '<param name="i" type="data" format="imagetiff" label="Objects"/>'
TABLE = '<data name="t" format="tablecsv" label="Sizes"/>'
MINE = np.repeat([4, 0, 9], 10).reshape(3, 10)


def _measured(make_tool: MakeTool, header: str = "label,score", **more: str) -> Tool:
    given = {"inputs": PLAIN, "outputs": TABLE, "arguments": f"${{i}} ${{t}} {header}"}
    return make_tool(MEASURE, **{**given, **more})


def _result(viewer: ViewerModel, tool: Tool, config: Config, **values: object) -> AddedResult:
    job = JobManager().submit(tool, values, config=config)
    return add_result(viewer, job.result(), job)


@pytest.mark.parametrize("header", ["label,score", "Label,score", "id,score", "index,score"])
def test_a_table_of_others_joins_the_layer_whose_numbers_it_has(
    viewer: ViewerModel, make_tool: MakeTool, config: Config, header: str
) -> None:
    mine = viewer.add_labels(MINE, name="mine", features={"index": [0, 4], "kind": ["a", "b"]})
    added = _result(viewer, _measured(make_tool, header), config, i=mine)
    assert mine.features.set_index("index")["score"].dropna().to_dict() == {4: 40, 9: 90}
    assert mine.features.set_index("index")["kind"].dropna().to_dict() == {0: "a", 4: "b"}
    assert list(added.joined.values()) == [mine]
    assert f"the objects of “mine”, by the column “{header[:-6]}”" in " ".join(added.notes)


def test_a_table_of_others_joins_the_labels_that_came_with_it(
    viewer: ViewerModel, make_tool: MakeTool, config: Config
) -> None:
    outputs = LABEL_OUT.replace('join="o"', "").replace('layer="labels" ', "")
    tool = make_tool(LABEL, outputs=outputs, arguments="${i} ${o} ${t}")
    added = _result(viewer, tool, config, i=viewer.layers["cells"])
    (labels,) = added.layers
    assert labels.features.set_index("index")["area"].dropna().to_dict() == {1: 20, 2: 40}


def test_a_galaxy_table_joins_as_well(
    viewer: ViewerModel, make_tool: MakeTool, config: Config
) -> None:
    tool = make_tool(
        MEASURE,
        root='profile="21.05"',
        inputs='<param name="i" type="data" format="tiff" label="Label map"/>',
        outputs='<data name="t" format="csv" label="Sizes"/>',
        arguments="'$i' '$t' label,score",
    )
    mine = viewer.add_labels(MINE, name="mine")
    _result(viewer, tool, config, i=mine)
    assert mine.features.set_index("index")["score"].dropna().to_dict() == {4: 40, 9: 90}


def test_a_label_image_by_its_path(
    viewer: ViewerModel, make_tool: MakeTool, config: Config, tmp_path: Path
) -> None:
    path = tmp_path / "mine.tif"
    tifffile.imwrite(path, MINE.astype(np.uint16))
    tool = _measured(make_tool)
    added = _result(viewer, tool, config, i=path)
    assert len(added.tables) == 1
    assert "the objects of “mine.tif”, by the column “label”" in " ".join(added.notes)
    with layer_source(path=str(path)):
        viewer.add_labels(MINE, name="mine")
    added = _result(viewer, tool, config, i=path)
    (mine,) = added.joined.values()
    assert mine is viewer.layers["mine"]
    assert mine.features.set_index("index")["score"].dropna().to_dict() == {4: 40, 9: 90}


def test_rows_without_numbers_join_by_their_sizes(
    viewer: ViewerModel, make_tool: MakeTool, config: Config
) -> None:
    mine = viewer.add_labels(np.repeat([0, 5, 9, 6], [4, 3, 1, 2])[None], name="mine")
    rows = r",label,area,q\n0,a,3,7.5\n1,b,2,8.5\n2,c,1,9.5\n"
    script = f"import sys; open(sys.argv[2], 'w').write('{rows}')"
    tool = make_tool(script, inputs=PLAIN, outputs=TABLE, arguments="${i} ${t}")
    added = _result(viewer, tool, config, i=mine)
    features = mine.features.set_index("index")
    assert features["q"].dropna().to_dict() == {5: 7.5, 6: 8.5, 9: 9.5}
    assert features["label"].dropna().to_dict() == {5: "a", 6: "b", 9: "c"}
    assert "as their sizes say" in " ".join(added.notes)


def test_numbers_of_rows_join_nothing_and_that_is_told(
    viewer: ViewerModel, make_tool: MakeTool, config: Config
) -> None:
    mine = viewer.add_labels(np.repeat([1, 0, 2], 10).reshape(3, 10), name="mine")
    script = "import sys; open(sys.argv[2], 'w').write(',area\\n0,20\\n1,24\\n')"
    tool = make_tool(script, inputs=PLAIN, outputs=TABLE, arguments="${i} ${t}")
    added = _result(viewer, tool, config, i=mine)
    assert mine.features.empty
    assert len(added.tables) == 1
    assert "not joined: its column “index” may count rows" in " ".join(added.notes)


def test_of_two_images_with_the_same_numbers_none_is_joined(
    viewer: ViewerModel, make_tool: MakeTool, config: Config
) -> None:
    one, two = (viewer.add_labels(MINE + shift, name=f"n{shift}") for shift in (0, 0))
    inputs = PLAIN + PLAIN.replace('name="i"', 'name="j"')
    tool = _measured(make_tool, inputs=inputs)
    added = _result(viewer, tool, config, i=one, j=two)
    assert one.features.empty
    assert two.features.empty
    assert "fits both" in " ".join(added.notes)


def test_an_image_in_two_inputs_and_an_image_layer(
    viewer: ViewerModel, make_tool: MakeTool, config: Config
) -> None:
    tool = _measured(make_tool, inputs=PLAIN + PLAIN.replace('name="i"', 'name="j"'))
    mine = viewer.add_labels(MINE, name="mine")
    assert list(_result(viewer, tool, config, i=mine, j=mine).joined.values()) == [mine]
    image = viewer.add_image(MINE, name="image")
    added = _result(viewer, _measured(make_tool), config, i=image)
    assert len(added.tables) == 1
    assert "“label”; a labels layer of it takes them" in " ".join(added.notes)


@pytest.mark.parametrize(
    ("made", "doubt"),
    [
        ("np.stack([a, a // 2, a], -1).astype(np.uint8), photometric='rgb'", True),
        ("a.astype(np.float32)", True),
        ("a[:2].astype(np.float32)", False),
    ],
)
def test_numbers_may_be_of_an_output_whose_objects_cannot_be_counted(
    viewer: ViewerModel, make_tool: MakeTool, config: Config, made: str, doubt: bool
) -> None:
    script = f"""
    import sys, numpy as np, tifffile
    a = tifffile.imread(sys.argv[1])
    tifffile.imwrite(sys.argv[3], {made})
    open(sys.argv[2], "w").write("label,q\\n1,5\\n2,6\\n")
    """
    more = TABLE + '<data name="o" format="imagetiff" label="Sorted"/>'
    tool = make_tool(script, inputs=PLAIN, outputs=more, arguments="${i} ${t} ${o}")
    mine = viewer.add_labels(np.repeat([1, 0, 2], 10).reshape(3, 10), name="mine")
    added = _result(viewer, tool, config, i=mine)
    assert list(added.joined.values()) == [mine]
    told = " ".join(added.notes)
    assert ("Sorted”, whose objects cannot be counted: compare some" in told) == doubt


def test_tables_of_a_collection_join_their_own_labels(
    viewer: ViewerModel, make_tool: MakeTool, config: Config
) -> None:
    script = """
    import os, numpy as np, tifffile
    os.makedirs("labels"), os.makedirs("tables")
    for n in (1, 2):
        labels = np.zeros((9, 9), np.uint16)
        labels[:3], labels[5:] = 4 * n, 5 * n
        tifffile.imwrite(f"labels/s{n}.tiff", labels)
        open(f"tables/s{n}.csv", "w").write(f"label,v\\n{4 * n},1\\n{5 * n},2\\n")
    """
    lists = "".join(
        f'<collection name="{name}" type="list" label="{name}"><discover_datasets '
        f'pattern="__name_and_ext__" directory="{name}" format="{fmt}"/></collection>'
        for name, fmt in (("labels", "tiff"), ("tables", "csv"))
    )
    tool = make_tool(script, inputs=PLAIN, outputs=lists, arguments="", root='profile="21.05"')
    added = _result(viewer, tool, config, i=viewer.layers["cells"])
    for n, layer in enumerate(added.layers, 1):
        assert layer.features.set_index("index")["v"].dropna().to_dict() == {4 * n: 1, 5 * n: 2}


def test_frames_with_the_same_numbers_are_told(
    viewer: ViewerModel, make_tool: MakeTool, config: Config
) -> None:
    stack = np.stack([MINE, MINE])
    mine = viewer.add_labels(stack, name="mine", axis_labels=("t", "y", "x"))
    added = _result(viewer, _measured(make_tool), config, i=mine)
    assert "in several frames" in " ".join(added.notes)
    rows = "import sys; open(sys.argv[2], 'w').write('label,frame\\n4,0\\n9,0\\n4,1\\n9,1\\n')"
    tool = make_tool(rows, inputs=PLAIN, outputs=TABLE, arguments="${i} ${t}", name="rows")
    added = _result(viewer, tool, config, i=mine)
    assert len(added.tables) == 1
    assert "the same in several rows" in " ".join(added.notes)


# -- which lies above which --------------------------------------------------------------------


def _named(viewer: ViewerModel) -> list[str]:
    return [layer.name for layer in viewer.layers]


def test_the_newest_result_lies_above_all_that_comes_of_the_same_source(
    viewer: ViewerModel, make_tool: MakeTool, config: Config
) -> None:
    viewer.add_image(np.zeros((8, 10)), name="another")
    tools = {
        name: make_tool(
            INVERT, name=name, outputs=f'<data name="o" format="tiff" label="{name}"/>'
        )
        for name in ("First", "Second")
    }

    def made(tool: str, source: object) -> object:
        return ntr.run_in_viewer(viewer, tools[tool], i=source, config=config)[0]

    one = made("First", "cells")
    made("First", "cells")
    assert _named(viewer) == ["cells", "cells · First", "cells · First [1]", "another"]
    of_one = made("Second", one)  # of the lower one: above its sister all the same
    assert _named(viewer)[:4] == [*_named(viewer)[:3], of_one.name]
    viewer.layers.remove(one)  # what it was made of is not forgotten
    last = made("Second", of_one)
    assert _named(viewer)[-2:] == [last.name, "another"]
    viewer.layers.move(viewer.layers.index(of_one), len(viewer.layers))  # by a person
    newest = made("First", "cells")
    assert _named(viewer)[-2:] == [of_one.name, newest.name]
    assert _named(viewer)[-3] == "another"


def test_a_result_of_two_lies_above_both(
    viewer: ViewerModel, make_tool: MakeTool, config: Config
) -> None:
    viewer.add_points(np.zeros((1, 2)), name="between")
    viewer.add_image(np.zeros((8, 10), np.uint8), name="other")
    viewer.add_points(np.zeros((1, 2)), name="on top")
    inputs = "".join(
        f'<param name="{name}" type="data" format="imagetiff" layer="image"/>' for name in "ij"
    )
    tool = make_tool(INVERT, inputs=inputs, arguments="${i} ${o} ${j}")
    (layer,) = ntr.run_in_viewer(viewer, tool, i="cells", j="other", config=config)
    assert _named(viewer) == ["cells", "between", "other", layer.name, "on top"]
