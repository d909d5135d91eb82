from __future__ import annotations

from pathlib import Path

import pytest
from tools_helpers import DESCRIPTORS, fixture, notes, written

from napari_tool_runner.tools import read_tool
from napari_tool_runner.tools.model import (
    BooleanParameter,
    ColorParameter,
    ContainerRequirement,
    DataParameter,
    DirectoryParameter,
    FileParameter,
    FloatParameter,
    HiddenParameter,
    IntegerParameter,
    LayerKind,
    Likeness,
    PackageRequirement,
    SelectParameter,
    Severity,
    TextParameter,
)

GOOD = sorted(path.name for path in DESCRIPTORS.glob("*.xml"))
WITH_WARNINGS = {
    "all_types.xml": ["inputs/param[ratio]: The default 0.1 is outside min=0.5"],
    "calculator.xml": [],
    "environment.xml": ["command: ${MATLAB_ROOT} is no parameter"],
    "linker.xml": ["requirements/package: It holds “pip install”"],
    "viewer_attributes.xml": ["inputs/param[images]: same_size=“imge” names no input."],
    "particles.xml": ["inputs/param[threshold]: The default “Default dark”"],
}


@pytest.mark.parametrize("name", GOOD)
def test_every_shape_reads_and_is_usable(name: str) -> None:
    tool = fixture(name)
    assert tool.dialect == "bioimageit"
    assert tool.problems == ()
    assert tool.id.startswith("fx_")
    assert tool.name
    assert tool.digest.startswith("sha256:")
    expected = WITH_WARNINGS.get(name, [])
    found = notes(tool, Severity.WARNING)
    assert len(found) == len(expected)
    for text, beginning in zip(found, expected, strict=True):
        assert text.startswith(beginning)


def test_requirements_of_both_languages() -> None:
    (package,) = fixture("stars.xml").requirements
    assert package == PackageRequirement(
        text="python=3.9", env="stars", init="pip install starnuclei tensorflow"
    )
    (no_env,) = fixture("no_env.xml").requirements
    assert no_env == PackageRequirement(text="invert_tool")
    (image,) = fixture("docker_quoted.xml").requirements
    assert image == ContainerRequirement(
        type="docker", image="registry.example.org/lab/denoising:ddf864ae8888ef58"
    )
    (old,) = fixture("history_singularity.xml").requirements
    assert old == ContainerRequirement(type="singularity", image="docker://example/tool:2")
    assert fixture("galaxy_requirement.xml").requirements == (
        PackageRequirement(name="scikit-image", version="0.24.0"),
        PackageRequirement(name="tifffile"),
    )


def test_shed_file_help_and_links() -> None:
    tool = read_tool(DESCRIPTORS / "median")
    assert tool.categories == ("Denoising",)
    assert (tool.help, tool.help_format) == ("https://example.org/median", "url")
    assert [link.label for link in tool.links] == ["Documentation", "Home page"]
    assert tool.description == "Median of a window"
    assert fixture("history_singularity.xml").help == "https://example.org/old"
    assert fixture("labels_measure.xml").help_format == "plain"


def test_every_attribute_for_the_viewer() -> None:
    tool = fixture("viewer_attributes.xml")
    image, cells, radius, images = tool.inputs
    assert isinstance(image, DataParameter)
    assert (image.kinds, image.ndim, image.axes) == ((LayerKind.IMAGE,), (2, 3), "ZYX")
    assert (image.rgb, image.for_ndim, radius.for_ndim) == (False, (), (3, 4))
    assert (image.needs, radius.for_axes, image.for_axes) == ("Z", "ZT", "")
    assert (image.like, cells.like, cells.likeness) == ("", "image", Likeness.PART)
    assert isinstance(cells, DataParameter)
    assert cells.kinds == (LayerKind.LABELS, LayerKind.IMAGE)
    assert cells.optional
    assert cells.advanced
    assert isinstance(radius, FloatParameter)
    assert (radius.minimum, radius.maximum, radius.step) == (0, 10, 0.25)
    assert (radius.unit, radius.default_text) == ("micrometer", "1.50")
    assert isinstance(images, DataParameter)
    assert (images.multiple, images.minimum, images.maximum) == (True, 1, 3)
    labels, table, spots = tool.outputs
    assert (labels.kind, labels.ndim, labels.axes) == (LayerKind.LABELS, (3,), "ZYX")
    assert labels.reference == "image"
    assert (table.kind, table.join) == (LayerKind.TABLE, "labels")
    assert (spots.kind, spots.from_work_dir) == (LayerKind.POINTS, "spots.csv")
    assert tool.edam == ("topic_3382", "operation_3443")
    assert tool.authors == ("Ada Example", "Lab")
    assert (tool.license, tool.network) == ("MIT", True)
    assert (tool.help.splitlines()[0], tool.help_format) == ("# Heading", "markdown")


def test_every_type() -> None:
    found = {entry.name: entry for entry in fixture("all_types.xml").inputs}
    count, size, ratio = found["count"], found["size"], found["ratio"]
    assert isinstance(count, IntegerParameter)
    assert (count.default, count.minimum, count.maximum) == (-5, -10, None)
    assert isinstance(size, FloatParameter)
    assert (size.default, size.optional) == (None, True)
    assert isinstance(ratio, FloatParameter)
    assert (ratio.default, ratio.minimum) == (0.1, None)
    word, note = found["word"], found["note"]
    assert isinstance(word, TextParameter)
    assert (word.default, word.multiline) == ("it's", False)
    assert isinstance(note, TextParameter)
    assert note.multiline
    choice, many, flag = found["choice"], found["many"], found["flag"]
    assert isinstance(choice, SelectParameter)
    assert choice.default == "b"
    assert [option.label for option in choice.options] == ["First", "Second"]
    assert isinstance(many, SelectParameter)
    assert (many.multiple, many.default) == (True, ("x", "y"))
    assert isinstance(flag, BooleanParameter)
    assert (flag.default, flag.true_value, flag.false_value) == (True, "yes", "no")
    colour = found["colour"]
    assert isinstance(colour, ColorParameter)
    assert colour.default == "#ff0080"
    assert isinstance(found["constant"], HiddenParameter)
    assert isinstance(found["file"], FileParameter)
    assert isinstance(found["folder"], DirectoryParameter)


@pytest.mark.parametrize(
    ("options", "truth"),
    [
        ([("true", "true"), ("false", "false")], ("true", "false")),
        ([("False", "False"), ("True", "True")], ("True", "False")),
        ([("Yes", "Yes"), ("No", "No")], ("Yes", "No")),
        ([("1", "yes"), ("0", "no")], ("1", "0")),
        ([("true", ""), ("false", "")], ("true", "false")),
        # what says more than yes and no stays a choice
        ([("true", "Local"), ("false", "Global")], None),
        ([("1", "1"), ("0", "0")], None),
        ([("yes", "Yes"), ("no", "No"), ("maybe", "Maybe")], None),
        ([("yes", "yes"), ("true", "true")], None),
    ],
)
def test_choice_between_yes_and_no_is_a_check_box(
    tmp_path: Path, options: list[tuple[str, str]], truth: tuple[str, str] | None
) -> None:
    rows = "".join(f'<option value="{value}">{label}</option>' for value, label in options)
    body = (
        f'<command>t ${{x}}</command><inputs><param name="x" type="select">{rows}</param></inputs>'
    )
    (parameter,) = written(tmp_path, body).inputs
    if truth is None:
        assert isinstance(parameter, SelectParameter)
        assert parameter.default == options[0][0]
    else:
        assert isinstance(parameter, BooleanParameter)
        assert (parameter.true_value, parameter.false_value) == truth
        assert parameter.default is (options[0][0] == truth[0])


def test_argument_loses_its_dashes_and_goes_before_name() -> None:
    tool = fixture("two_inputs_dashes.xml")
    assert [entry.name for entry in tool.parameters()] == ["image", "psf", "niter", "dzdata"]
    assert [entry.argument for entry in tool.parameters()][2:] == ["--n-iter", "--dz-data"]


def test_optional_means_advanced_and_absent_only_without_default() -> None:
    found = {entry.name: entry for entry in fixture("absent_values.xml").inputs}
    assert all(entry.advanced for entry in found.values())
    assert found["mask"].optional
    assert found["level"].optional
    assert not found["name"].optional  # an empty text is a text
    flow = {entry.name: entry for entry in fixture("cells.xml").inputs}["flow"]
    assert (flow.advanced, flow.optional) == (True, False)


def test_what_may_be_absent_can_stay_in_sight(tmp_path: Path) -> None:
    tool = written(
        tmp_path,
        "<command>t ${i} ${n}</command><inputs>"
        '<param name="i" type="data" format="imagetiff" optional="true" advanced="false"/>'
        '<param name="n" type="integer" value="1" advanced="true"/></inputs>',
    )
    image, number = tool.parameters()
    assert (image.optional, image.advanced) == (True, False)
    assert (number.optional, number.advanced) == (False, True)


def test_defaults_that_are_no_options() -> None:
    tool = fixture("particles.xml")
    threshold = tool.inputs[1]
    assert isinstance(threshold, SelectParameter)
    assert threshold.default == "Default"
    operation = fixture("calculator.xml").inputs[2]
    assert isinstance(operation, SelectParameter)
    assert operation.default == "Add create"  # the label “Add” was meant
    assert operation.options[2].value == "Max create"


def test_paths_as_text_get_a_picker() -> None:
    found = {entry.name: entry for entry in fixture("train.xml").inputs}
    assert isinstance(found["train_dir"], DirectoryParameter)
    assert isinstance(found["model_path"], FileParameter)
    assert isinstance(found["model_name"], TextParameter)
    assert isinstance(found["evaluate"], BooleanParameter)
    assert fixture("train.xml").outputs == ()


def test_kinds_follow_formats_and_names() -> None:
    image, labels = (entry for entry in fixture("labels_measure.xml").inputs)
    assert isinstance(image, DataParameter)
    assert isinstance(labels, DataParameter)
    assert image.kinds[0] is LayerKind.IMAGE
    assert labels.kinds == (LayerKind.LABELS, LayerKind.IMAGE)
    _, points, _ = fixture("linker.xml").inputs
    assert isinstance(points, DataParameter)
    assert points.kinds[0] is LayerKind.POINTS
    assert all(output.kind is None for output in fixture("linker.xml").outputs)


def test_merge_takes_many_datasets() -> None:
    tool = fixture("merge.xml")
    assert tool.type == "merge"
    assert all(isinstance(entry, DataParameter) and entry.multiple for entry in tool.inputs)


def test_tests_of_a_descriptor() -> None:
    (test,) = fixture("raw_pipeline.xml").tests
    data = DESCRIPTORS / "test-data"
    assert test.values == {
        "pipeline": "seg.json",
        "inputNode": "imageReader1",
        "i": str(data / "p58.inr.gz"),
        "outputNode": "cellWriter1",
    }
    (output,) = test.outputs
    assert (output.file, output.compare) == (str(data / "p58_o.inr.gz"), "same_size")
    assert output.value == "p58_temp.inr.gz"


def test_unknown_types_disable_the_tool_unless_there_is_a_default() -> None:
    tool = fixture("trouble/unknown_type.xml")
    errors = notes(tool, Severity.ERROR)
    assert len(errors) == 2
    assert "inputs/param[a]: The parameter type “quaternion” is not known" in errors[0]
    assert errors[1].startswith("inputs/param[c]")
    assert len(tool.inputs) == 3
    default = tool.inputs[1]
    assert isinstance(default, TextParameter)
    assert default.default == "1,0,0,0"


def test_what_is_not_honoured_is_told() -> None:
    tool = fixture("trouble/odd.xml")
    told = "\n".join(notes(tool))
    for piece in (
        "stdio: <stdio>",
        "inputs/param[x]: The attribute “colour”",
        "value=“many” is no number",
        "Two parameters are called “x”",
        "inputs/conditional[c]",
        "This choice has no options",
        "Another parameter is called “n” too",
        "layer=“picture”",
        "ndim=“all”",
        "outputs/collection",
        "reference=“nothing”",
        "join=“nobody”",
        "size=“nowhere” names no input",
        "It has no id; “odd”",
        "The type “parallel”",
        "“interpreter”",
        "${typo} is no parameter",
        "$other is no parameter",
        "Packages of type “brew”",
        "Containers of type “lxc”",
        "<resource>",
        "tests/test[1]/param[unknown]",
        "tests/test[1]/output[o]: “../../secret.txt” lies outside",
    ):
        assert piece in told


@pytest.mark.parametrize(
    ("name", "piece"),
    [
        ("shell.xml", "“&&”"),
        ("quote.xml", "No closing quotation"),
        ("no_command.xml", "no command"),
    ],
)
def test_commands_that_cannot_run(name: str, piece: str) -> None:
    (error,) = notes(fixture(f"trouble/{name}"), Severity.ERROR)
    assert piece in error


@pytest.mark.parametrize(
    "command",
    ["a | b", "a > b", "a 2>&1", "a; b", "a ;", "a `b`", "a $(b)", "a < b", "a & b", "a || b"],
)
def test_shell_syntax_outside_quotes(tmp_path: Path, command: str) -> None:
    escaped = command.replace("&", "&amp;").replace("<", "&lt;")
    tool = written(tmp_path, f"<command>{escaped}</command>")
    assert "only a shell understands" in notes(tool, Severity.ERROR)[0]


@pytest.mark.parametrize("command", ["a 'b | c'", 'a "x > y"', r"a \; b", "a x;y", "a b&amp;c"])
def test_quoted_shell_syntax_is_text(tmp_path: Path, command: str) -> None:
    assert written(tmp_path, f"<command>{command}</command>").problems == ()


def test_broken_shed_files_are_told(tmp_path: Path) -> None:
    shed = tmp_path / ".shed.yml"
    body = "<command>t</command>"
    for text, piece in (
        ("categories: [a", "no valid YAML"),
        ("- a\n- b\n", "no names and values"),
        ("categories: 5\n", "no list"),
        ("a: &a [1]\nb: *a\n", "aliases"),
    ):
        shed.write_text(text)
        tool = written(tmp_path, body)
        assert tool.categories == ()
        (note,) = notes(tool, Severity.WARNING)
        assert note.startswith(".shed.yml")
        assert piece in note
    shed.write_text("categories: Solo\n")
    assert written(tmp_path, body).categories == ("Solo",)
    shed.unlink()
    assert written(tmp_path, body).notes == ()
