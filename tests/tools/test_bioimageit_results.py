"""Judging, collecting and verifying."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from tools_helpers import fixture, written

from napari_tool_runner.errors import OutputError
from napari_tool_runner.tools import dialects
from napari_tool_runner.tools.bioimageit.verifying import compare_files
from napari_tool_runner.tools.dialect import CollectedFile, CollectedOutput, JobPaths, TestOutcome
from napari_tool_runner.tools.formats import FORMATS
from napari_tool_runner.tools.model import LayerKind, TestOutput, Tool, ToolTest
from support import job_paths

DIALECT = dialects["bioimageit"]


def test_judge() -> None:
    tool = fixture("count.xml")
    assert DIALECT.judge(tool, 0, "", "Traceback").ok
    verdict = DIALECT.judge(tool, 3, "", "")
    assert (verdict.ok, verdict.reason) == (False, "“Count objects” ended with exit code 3.")
    assert "signal 9" in DIALECT.judge(tool, -9, "", "").reason
    assert "lost" in DIALECT.judge(tool, None, "", "").reason


@pytest.fixture
def job(tmp_path: Path) -> JobPaths:
    return job_paths(tmp_path / "job")


def collected(tool: Tool, job: JobPaths) -> dict[str, str]:
    rendered = DIALECT.render(tool, {}, job, {})
    found = DIALECT.collect(tool, rendered, {}, job)
    return {entry.output.name: str(entry.files[0].path.relative_to(job.root)) for entry in found}


def tool_of(tmp_path: Path, outputs: str) -> Tool:
    return written(tmp_path, f"<command>t</command><outputs>{outputs}</outputs>")


def test_collect(tmp_path: Path, job: JobPaths) -> None:
    tool = tool_of(
        tmp_path,
        '<data name="a" format="imagetiff"/><data name="b" format="imagetiff"/>'
        '<data name="c" format="raw"/><data name="d" format="tablecsv" from_work_dir="r/d.csv"/>'
        '<data name="e" format="numbercsv"/><data name="z" format="imagezarr"/>',
    )
    (job.outputs / "a.tif").touch()
    (job.outputs / "b.tiff").touch()  # a tool that has its own mind
    (job.outputs / "c.inr.gz").touch()
    (job.work / "r").mkdir()
    (job.work / "r" / "d.csv").touch()
    (job.outputs / "z.zarr").mkdir()
    assert collected(tool, job) == {
        "a": "outputs/a.tif",
        "b": "outputs/b.tiff",
        "c": "outputs/c.inr.gz",
        "d": "work/r/d.csv",
        "z": "outputs/z.zarr",
    }


def test_two_candidates_for_a_raw_output_are_none(tmp_path: Path, job: JobPaths) -> None:
    tool = tool_of(tmp_path, '<data name="c" format="raw"/>')
    (job.outputs / "c.x").touch()
    (job.outputs / "c.y").touch()
    assert collected(tool, job) == {}


def test_links_out_of_the_job_are_not_followed(tmp_path: Path, job: JobPaths) -> None:
    secret = tmp_path / "secret.tif"
    secret.touch()
    tool = tool_of(tmp_path, '<data name="a" format="imagetiff"/>')
    output = job.outputs / "a.tif"
    output.symlink_to(secret)
    with pytest.raises(OutputError, match="outside the job's folder"):
        collected(tool, job)
    output.unlink()
    output.symlink_to(job.root / "nowhere")
    assert collected(tool, job) == {}
    output.unlink()
    output.symlink_to(output)
    with pytest.raises(OutputError, match="cannot be opened"):
        collected(tool, job)
    output.unlink()
    (job.work / "real.tif").touch()
    output.symlink_to(job.work / "real.tif")
    assert collected(tool, job) == {"a": "outputs/a.tif"}


@pytest.mark.parametrize("name", ["../../secret.tif", "link/secret.tif"])
def test_from_work_dir_cannot_leave(tmp_path: Path, job: JobPaths, name: str) -> None:
    (tmp_path / "secret.tif").touch()
    os.symlink(tmp_path, job.work / "link")
    tool = tool_of(tmp_path, f'<data name="a" format="imagetiff" from_work_dir="{name}"/>')
    with pytest.raises(OutputError, match="outside the job's folder"):
        collected(tool, job)


def test_from_work_dir_cannot_be_absolute(tmp_path: Path, job: JobPaths) -> None:
    secret = tmp_path / "secret.tif"
    secret.touch()
    tool = tool_of(tmp_path, f'<data name="a" format="imagetiff" from_work_dir="{secret}"/>')
    with pytest.raises(OutputError, match="outside the job's folder"):
        collected(tool, job)


# -- comparisons ---------------------------------------------------------------------

RAMP = np.arange(64, dtype=np.float32).reshape(8, 8)


def image(path: Path, data: np.ndarray) -> Path:
    tifffile.imwrite(path, data)
    return path


def text(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def expect(compare: str = "", **attributes: str) -> TestOutput:
    return TestOutput(name="o", compare=compare, attributes=attributes)


@pytest.mark.parametrize(
    ("made", "same"),
    [
        (RAMP, True),
        (RAMP + 0.02, True),
        (RAMP + 0.05, True),  # 60 dB of a range of 63
        (RAMP + 0.1, False),
        (RAMP.astype(np.uint8), True),
        (RAMP[:, :4], False),
        (np.full_like(RAMP, np.nan), False),
    ],
)
def test_similar_images(tmp_path: Path, made: np.ndarray, same: bool) -> None:
    reference = image(tmp_path / "r.tif", RAMP)
    problem = compare_files(image(tmp_path / "m.tif", made), reference, expect("sim_content"))
    assert (problem is None) is same, problem


def test_labels_are_compared_strictly(tmp_path: Path) -> None:
    reference = image(tmp_path / "r.tif", (RAMP * 100).astype(np.uint16))
    changed = (RAMP * 100).astype(np.uint16)
    changed[0, 0] += 1
    made = image(tmp_path / "m.tif", changed)
    assert compare_files(made, reference, expect()) is None
    problem = compare_files(made, reference, expect(), labels=True)
    assert problem is not None
    assert "0.01562" in problem
    assert compare_files(made, reference, expect(eps="0.1"), labels=True) is None


def test_infinities_and_not_a_number_agree_with_themselves(tmp_path: Path) -> None:
    data = RAMP.copy()
    data[0, :3] = np.nan, np.inf, -np.inf
    first, second = image(tmp_path / "a.tif", data), image(tmp_path / "b.tif", data)
    assert compare_files(first, second, expect()) is None


def test_sizes(tmp_path: Path) -> None:
    small, big = text(tmp_path / "a.bin", "a" * 10), text(tmp_path / "b.bin", "b" * 10_020)
    assert compare_files(small, big, expect("same_size")) is not None
    assert "(allowed difference 10000)" in str(compare_files(small, big, expect("sim_size")))
    assert compare_files(small, big, expect("sim_size", delta="10010")) is None
    assert compare_files(small, small, expect("same_size")) is None


def test_tables_and_text(tmp_path: Path) -> None:
    a = text(tmp_path / "a.csv", "name,area\ncell 1,2.5\n")
    b = text(tmp_path / "b.csv", "name,area\ncell 1,2.50000001\n\n")
    c = text(tmp_path / "c.csv", "name,area\ncell 1,2.6\n")
    d = text(tmp_path / "d.csv", "name,area\n")
    assert compare_files(a, b, expect()) is None
    assert compare_files(a, c, expect()) == "Row 2 has “2.5”, the reference “2.6”."
    assert compare_files(a, c, expect("sim_content", eps="0.1")) is None
    assert compare_files(a, d, expect()) == "It has 2 rows, the reference 1."
    e, f = text(tmp_path / "e.txt", "1\n2\n3\n"), text(tmp_path / "f.txt", "1\n2\n4\n")
    assert compare_files(e, f, expect("diff")) == "2 lines differ, first “-4”."
    assert compare_files(e, f, expect("diff", lines_diff="2")) is None
    assert compare_files(e, f, expect()) == "The contents differ."
    assert compare_files(e, text(tmp_path / "g.txt", "1\r\n2\r\n3"), expect("diff")) is None


def test_the_table_of_formats_says_what_is_compared_how(tmp_path: Path) -> None:
    for name in ("a.tab", "a.tabular", "a.bed", "a.TSV"):
        made = text(tmp_path / name, "x, y\t1\n")
        reference = text(tmp_path / f"r{made.suffix}", "x, y\t1.0000000001\n")
        assert compare_files(made, reference, expect()) is None
    for name in ("a.btf", "a.ome.tif", "a.lsm"):
        reference = image(tmp_path / f"r{name}", RAMP)
        assert compare_files(image(tmp_path / name, RAMP + 0.02), reference, expect()) is None
    own = FORMATS.extended([replace(FORMATS["tsv"], name="ours", extension=".cells", aliases=())])
    made, reference = text(tmp_path / "a.cells", "a\t1"), text(tmp_path / "r.cells", "a\t1.0")
    assert compare_files(made, reference, expect()) == "The contents differ."
    assert compare_files(made, reference, expect(), formats=own) is None


def test_movies_are_compared_frame_by_frame(tmp_path: Path) -> None:
    for name, offset in (("a", 0.0), ("b", 0.01), ("c", 3.0)):
        (tmp_path / name).mkdir()
        frames = [image(tmp_path / name / f"{n}.tif", RAMP + offset * n) for n in (0, 1)]
        # absolute paths and names beside the list are both in use
        rows = [str(frames[0]), frames[1].name] if name == "a" else [f.name for f in frames]
        text(tmp_path / name / "movie.txt", "\n".join(rows) + "\n\n")
    a, b, c = (tmp_path / name / "movie.txt" for name in "abc")
    assert compare_files(a, b, expect(), movie=True) is None
    assert str(compare_files(a, c, expect(), movie=True)).startswith("Frame 2: The mean squared")
    text(b, "0.tif\n")
    assert compare_files(a, b, expect(), movie=True) == "It has 2 frames, the reference 1."


def test_folders(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        text(tmp_path / name / "0", "same")
    assert compare_files(tmp_path / "a", tmp_path / "b", expect()) is None
    text(tmp_path / "b" / "1", "more")
    assert compare_files(tmp_path / "a", tmp_path / "b", expect()) == "1 file differs, first 1."
    assert compare_files(tmp_path / "a", tmp_path / "b", expect("same_size")) is not None


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    a = text(tmp_path / "a.tif", "no image")
    assert "cannot be compared" in str(compare_files(a, a, expect()))
    assert "missing" in str(compare_files(a, tmp_path / "absent.tif", expect()))
    assert "“levenshtein” is not known" in str(compare_files(a, a, expect("levenshtein")))


def outcome(files: dict[str, Path], tool: Tool, code: int = 0) -> TestOutcome:
    outputs = {
        name: CollectedOutput(tool.output(name), (CollectedFile(path, ""),))
        for name, path in files.items()
    }
    return TestOutcome(code, "", "", outputs, "t", failed=code != 0)


def test_verify(tmp_path: Path) -> None:
    tool = tool_of(tmp_path, '<data name="o" format="imagetiff"/><data name="p" format="raw"/>')
    reference = image(tmp_path / "r.tif", RAMP)
    expected = (TestOutput(name="o", file=str(reference)), TestOutput(name="p"))
    test = ToolTest(index=0, outputs=expected)
    both = {"o": reference, "p": reference}
    assert DIALECT.verify(tool, test, outcome(both, tool)) == []
    assert DIALECT.verify(tool, test, outcome({"o": reference}, tool)) == [
        "The output “p” was not written."
    ]
    other = image(tmp_path / "m.tif", RAMP + 5)
    (problem,) = DIALECT.verify(tool, test, outcome({**both, "o": other}, tool))
    assert problem.startswith("o: The mean squared error is 25")
    assert DIALECT.verify(tool, test, outcome(both, tool, code=2)) == [
        "The tool failed with exit code 2."
    ]
    failing = replace(test, expect_failure=True, extra={"expect_exit_code": "2"})
    assert DIALECT.verify(tool, failing, outcome({}, tool, code=2)) == []
    assert DIALECT.verify(tool, failing, outcome(both, tool, code=0)) == [
        "The exit code is 0, not 2.",
        "The tool was expected to fail, but succeeded.",
    ]


def test_verify_knows_labels(tmp_path: Path) -> None:
    tool = tool_of(tmp_path, '<data name="o" format="imagetiff" layer="labels"/>')
    assert tool.outputs[0].kind is LayerKind.LABELS
    reference = image(tmp_path / "r.tif", (RAMP * 100).astype(np.uint16))
    made = image(tmp_path / "m.tif", (RAMP * 100 + 1).astype(np.uint16))
    test = ToolTest(index=0, outputs=(TestOutput(name="o", file=str(reference)),))
    assert len(DIALECT.verify(tool, test, outcome({"o": made}, tool))) == 1
