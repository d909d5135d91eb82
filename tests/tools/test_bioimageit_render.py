from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools_helpers import DESCRIPTORS, argv, fixture, render, written

from napari_tool_runner.errors import ParameterError, TemplateError
from napari_tool_runner.tools import read_tool
from napari_tool_runner.tools.bioimageit.rendering import Placeholder, parse_template, shell_syntax
from napari_tool_runner.tools.dialect import JobPaths

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Tool

OUT = "/job/outputs"
HERE = f"{DESCRIPTORS}{os.sep}"


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        (
            "stars.xml",
            {"image": "/a b/c's.tif"},
            [
                "python",
                f"{HERE}stars_script.py",
                "--image",
                "/a b/c's.tif",
                "--model",
                "3D_demo",
                "--out",
                f"{OUT}/out.tif",
            ],
        ),
        (
            "blur_boolean.xml",
            {"input": "/i.tif", "fast": False},
            ["blur", "/i.tif", "2", "False", f"{OUT}/o.tif"],
        ),
        (
            "blur_boolean.xml",
            {"input": "/i.tif", "scaled": True, "sigma": 2.5},
            ["blur", "/i.tif", "2.5", "True", "--fast", f"{OUT}/o.tif"],
        ),
        ("blur_boolean.xml", {"input": "/i.tif", "sigma": 7.0}, None),
        (
            "calculator.xml",
            {"a": "/a.tif", "b": "/b.tif"},
            ["calc", f"[/a.tif,/b.tif,Add create,{OUT}/o.tif]"],
        ),
        (
            "raw_pipeline.xml",
            {"pipeline": "/p.json", "i": "/x.inr.gz"},
            [
                "runPipeline",
                "/p.json",
                "--ios",
                "imageReader1,/x.inr.gz",
                "--ios",
                f"cellWriter1,{OUT}/out.inr.gz",
            ],
        ),
        (
            "two_inputs_dashes.xml",
            {"image": "/i.tif", "psf": "/p.tif", "niter": 10**20},
            [
                "gpudecon",
                "--image",
                "/i.tif",
                "--psf",
                "/p.tif",
                "--n-iter",
                "1" + "0" * 20,
                "--dz-data",
                "0.5",
                "--out",
                f"{OUT}/out.tif",
            ],
        ),
        (
            "docker_quoted.xml",
            {"i": '/a "quoted" $HOME.tif'},
            [
                "denoise",
                "-i",
                '/a "quoted" $HOME.tif',
                "-o",
                f"{OUT}/o.tif",
                "-sigma-s",
                "5",
                "-algo",
                "Bilateral",
            ],
        ),
        (
            "docker_dashes.xml",
            {"i": "/i.tif"},
            [
                "denoise",
                "-i",
                "/i.tif",
                "-o",
                f"{OUT}/o.tiff",
                "-patch",
                "3",
                "-denoisep",
                "3.0",
                "-algo",
                "DCT",
            ],
        ),
        (
            "no_input.xml",
            {"width": 100_000},
            [
                "psf",
                "-o",
                f"{OUT}/o.tif",
                "-width",
                "100000",
                "-height",
                "256",
                "-depth",
                "20",
                "-sigma",
                "1.5",
            ],
        ),
        (
            "train.xml",
            {"model_name": "", "train_dir": "/d", "evaluate": "Yes"},
            [
                "python",
                f"{HERE}train.py",
                "--train_dir",
                "/d",
                "--model_path",
                "",
                "--n_epochs",
                "100",
                "--rate",
                "0.1",
                "--evaluate",
                "Yes",
                "--model_name",
                "",
            ],
        ),
        (
            "history_singularity.xml",
            {"i": "/i.tif"},
            ["tool", "-i", "/i.tif", "-t", "4", "-o", f"{OUT}/o.tiff"],
        ),
        (
            "galaxy_requirement.xml",
            {"i": "/i.tif"},
            ["python", f"{HERE}/x.py", "/i.tif", "1e-3", f"{OUT}/o.tif"],
        ),
        (
            "movie.xml",
            {"i": "/m.txt"},
            ["denoise4d", "-i", "/m.txt", "-o", f"{OUT}/o.txt", "-iter", "3"],
        ),
    ],
)
def test_argv(name: str, values: dict[str, object], expected: list[str] | None) -> None:
    if expected is None:  # a program whose default is “2” may read whole numbers only
        assert argv(fixture(name), values)[2] == "7"
    else:
        assert argv(fixture(name), values) == expected


def test_absent_values_take_their_option_with_them() -> None:
    tool = fixture("absent_values.xml")
    assert argv(tool) == ["tool", "--name", "", "", "-o", f"{OUT}/o.tif"]
    full = argv(tool, {"mask": "/m.tif", "level": 0.5, "name": "n", "limit": 3})
    assert full == [
        "tool",
        "--mask",
        "/m.tif",
        "--level=0.5",
        "--name",
        "n",
        "3",
        "-o",
        f"{OUT}/o.tif",
    ]


def test_several_files_are_several_arguments_only_in_a_token_of_their_own(tmp_path: Path) -> None:
    param = '<param name="i" type="data" format="imagetiff" multiple="true"/>'
    tool = written(tmp_path, f"<command>t ${{i}} x=${{i}}</command><inputs>{param}</inputs>")
    assert argv(tool, {"i": ["/a.tif", "/b c.tif"]}) == [
        "t",
        "/a.tif",
        "/b c.tif",
        "x=/a.tif,/b c.tif",
    ]


def test_fiji_and_names_of_the_config() -> None:
    particles = fixture("particles.xml")
    with pytest.raises(TemplateError, match=r"needs Fiji.*“fiji”"):
        argv(particles, {"input": "/i.tif"})
    made = argv(particles, {"input": "/i.tif"}, variables={"__fiji__": "/opt/Fi ji/fiji"})
    assert made == [
        "/opt/Fi ji/fiji",
        "--headless",
        "--console",
        "-macro",
        "particles.ijm",
        f"[/i.tif,Default,{OUT}/draw.tif,{OUT}/count.csv,{OUT}/measures.csv]",
    ]
    environment = fixture("environment.xml")
    with pytest.raises(TemplateError, match=r"\$\{MATLAB_ROOT\}.*“env”"):
        argv(environment, {"i": "/i.tif"})
    assert argv(environment, {"i": "/i.tif"}, variables={"MATLAB_ROOT": "/m"}) == [
        "/m/bin/run",
        "--in=/i.tif",
        "${literal}",
        "two words",
        f"{OUT}/o.tif",
    ]


def test_a_parameter_goes_before_the_config(tmp_path: Path) -> None:
    body = '<command>t ${x}</command><inputs><param name="x" type="string" value="mine"/></inputs>'
    assert argv(written(tmp_path, body), variables={"x": "theirs"}) == ["t", "mine"]


def test_output_names_cannot_leave_their_folder(tmp_path: Path) -> None:
    names = ["../../etc/passwd", "/abs", "-rf", "a/b", "a_b", "é ü"]
    rows = "".join(f'<data name="{name}" format="imagetiff"/>' for name in names)
    tool = written(tmp_path, f"<command>t</command><outputs>{rows}</outputs>")
    paths = [planned.path for planned in render(tool).outputs]
    assert all(path.parent == Path(OUT) for path in paths)
    assert len(set(paths)) == len(names)
    assert not any(path.name.startswith(("-", ".")) for path in paths)


def test_merge_joins_the_numbers(tmp_path: Path) -> None:
    files = []
    for number, text in enumerate(("12\n", "value\n3.5\n", "1e-3,7\n")):
        files.append(tmp_path / f"{number}.csv")
        files[-1].write_text(text)
    tool = fixture("merge.xml")
    job = JobPaths(tmp_path / "job")
    values = {"x": [str(file) for file in files], "y": str(files[0])}
    rendered = render(tool, values, job=job)
    assert rendered.files == {job.work / "x.csv": "12,3.5,1e-3,7\n"}
    at = rendered.argv.index("-x")
    assert rendered.argv[at : at + 4] == ("-x", str(job.work / "x.csv"), "-y", str(files[0]))
    files[1].write_text("no number\n")
    with pytest.raises(TemplateError, match="holds no number"):
        render(tool, values, job=job)


def test_required_values_and_limits() -> None:
    tool = read_tool(DESCRIPTORS / "median")
    with pytest.raises(ParameterError, match="“Image” needs a value"):
        argv(tool)
    with pytest.raises(ParameterError, match="at most 50, not 51"):
        argv(tool, {"image": "x", "radius": 51})
    with pytest.raises(ParameterError, match=r"no parameter “radus”.*Did you mean “radius”"):
        argv(tool, {"image": "x", "radus": 5})


def test_template_pieces() -> None:
    x = Placeholder("x", "${x}")
    assert parse_template("a '${x}'b \"c d\"$y") == (
        ("a",),
        (x, "b"),
        ("c d", Placeholder("y", "$y", braced=False)),
    )
    assert parse_template("a \\\n  b\n\tc") == (("a",), ("b",), ("c",))
    assert parse_template("'' $ 5$ $5") == (("",), ("$",), ("5$",), ("$5",))
    assert parse_template("$__tool_directory__x.py") == (
        (Placeholder("__tool_directory__", "$__tool_directory__", braced=False), "x.py"),
    )


# -- properties ------------------------------------------------------------------------

ARGUMENT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Tool:
    folder = tmp_path_factory.mktemp("echo")
    (folder / "echo.py").write_text("import json, sys; print(json.dumps(sys.argv[1:]))")
    params = "".join(
        f'<param name="{name}" type="{kind}"/>'
        for name, kind in (("text", "string"), ("number", "integer"), ("real", "float"))
    )
    return written(
        folder,
        "<command>python '$__tool_directory__/echo.py' ${text} '-${text}-' [${number},${real}] "
        f"--real=${{real}}</command><inputs>{params}</inputs>",
    )


@given(text=ARGUMENT, number=st.integers(), real=st.floats(allow_nan=False))
def test_any_value_stays_one_argument(echo: Tool, text: str, number: int, real: float) -> None:
    made = argv(echo, {"text": text, "number": number, "real": real})
    assert made[2:4] == [text, f"-{text}-"]
    inner, outer = made[4][1:-1].split(",")
    assert int(inner) == number
    assert float(outer) == real
    assert float(made[5].removeprefix("--real=")) == real
    assert len(made) == 6


@pytest.mark.parametrize(
    "text",
    ["; rm -rf $(x) ", "`id`", "$HOME ${number}", "a\nb\tc", "'\"\\", "-rf", "*", "", "é 漢 😀"],
)
def test_text_reaches_the_program_unchanged(echo: Tool, text: str) -> None:
    made = argv(echo, {"text": text, "number": 1, "real": 1.5})
    done = subprocess.run(
        [sys.executable, *made[1:]], capture_output=True, check=True, encoding="utf-8"
    )
    assert json.loads(done.stdout) == [text, f"-{text}-", "[1,1.5]", "--real=1.5"]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_template_parses_or_says_why(text: str) -> None:
    try:
        tokens = parse_template(text)
    except TemplateError:
        return
    assert all(isinstance(token, tuple) for token in tokens)


# -- what changed renderings showed to be untested -----------------------------------


def words(tmp_path: Path, command: str, inputs: str = "", **values: object) -> list[str]:
    """Return the command line of a tool with this template."""
    body = f"<command>{command}</command><inputs>{inputs}</inputs>"
    return argv(written(tmp_path, body), values)


FILE = '<param name="x" type="data" format="imagetiff" optional="true"/>'


def test_an_option_at_the_end_stays(tmp_path: Path) -> None:
    assert words(tmp_path, "prog --flag") == ["prog", "--flag"]
    assert words(tmp_path, "prog -v --flag") == ["prog", "-v", "--flag"]


def test_an_option_goes_with_its_value(tmp_path: Path) -> None:
    assert words(tmp_path, "prog -x ${x} -o=${x} last", FILE, x=None) == ["prog", "last"]
    assert words(tmp_path, "prog -x ${x} -o=${x}", FILE, x="/a") == ["prog", "-x", "/a", "-o=/a"]


def test_whole_numbers_as_far_as_they_are_exact(tmp_path: Path) -> None:
    number = '<param name="x" type="float" value="3"/>'
    assert words(tmp_path, "p ${x}", number, x=2.0**53 - 1) == ["p", str(2**53 - 1)]
    assert words(tmp_path, "p ${x}", number, x=2.0**53) == ["p", repr(2.0**53)]
    assert words(tmp_path, "p ${x}", number, x=2.5) == ["p", "2.5"]


@pytest.mark.parametrize(
    ("place", "hint"),
    [("${nothing}", "or add “nothing” to “env” of config.json"), ("$nothing", "in <command>.")],
)
def test_what_a_placeholder_may_be_is_told(tmp_path: Path, place: str, hint: str) -> None:
    with pytest.raises(TemplateError, match="is no parameter or output") as caught:
        words(tmp_path, f"prog {place}")
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [("a && b", "&&"), ("a | b", "|"), ("a; b", ";"), ("a $(b)", "$("), ("a > b", ">"),
     ("a '&&' \"|\" b\\;", ""), ("a b", "")],
)  # fmt: skip
def test_syntax_of_a_shell_is_seen(text: str, found: str) -> None:
    assert shell_syntax(text) == found
