from __future__ import annotations

from pathlib import Path

from napari_tool_runner.tools import bind, dialect_of, read_tool
from napari_tool_runner.tools.dialect import DataFile, JobPaths
from napari_tool_runner.tools.values import map_data

HERE = Path(__file__).parent / "descriptors"


def test_thin(tmp_path: Path) -> None:
    tool = read_tool(HERE / "median")
    assert [str(n) for n in tool.notes] == []
    assert tool.categories == ("Denoising",)
    bound = bind(tool, {"image": "x.tif", "padding": False, "radius": "7"})
    values = map_data(
        tool.inputs, bound, lambda name, p, v: DataFile(tmp_path / "a b.tif", "imagetiff", "n")
    )
    rendered = dialect_of(tool).render(tool, values, JobPaths(tmp_path), {})
    script = f"{HERE / 'median'}/"
    assert rendered.argv == (
        "python",
        f"{script}/median.py",
        "-i",
        str(tmp_path / "a b.tif"),
        "-r",
        "7",
        "-p",
        "False",
        "-o",
        str(tmp_path / "outputs" / "o.tif"),
    )
