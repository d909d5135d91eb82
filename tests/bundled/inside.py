"""Runs the scripts of the bundled tools in this process: many small arrays in little time.

The arguments are those of the descriptor (a Galaxy tool's are given here: its command is a
template). Arrays go as OME-TIFF, tables as CSV; images come back as arrays, tables as rows.
"""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import io
import json
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from unittest import mock

import numpy as np
import tifffile

from bundled import direct

GALAXY = {
    "compare_labels": {"table": ".tsv", "summary": ".tsv"},
    "cut_out_objects": {},
    "enhance_contrast": {"output": ".tif"},
    "sort_objects": {"table": ".tsv"},
}
TOOLS = sorted([path.stem for path in direct.descriptors()] + list(GALAXY))


@dataclass
class Image:
    """Pixels as a file holds them."""

    pixels: np.ndarray
    axes: str
    sizes: dict[str, object] = field(default_factory=dict)


@dataclass
class Made:
    """What a script gave: images as arrays, tables as rows of text, other files as paths."""

    outputs: dict[str, object]
    text: str
    refused: str = ""

    def image(self, name: str = "output") -> np.ndarray:
        found = self.outputs[name]
        assert isinstance(found, np.ndarray), self.refused
        return found

    def rows(self, name: str = "table") -> list[dict[str, str]]:
        found = self.outputs[name]
        assert isinstance(found, list), self.refused
        return found

    def column(self, column: str, name: str = "table") -> np.ndarray:
        return np.array([float(row[column]) for row in self.rows(name)])

    @property
    def notes(self) -> list[str]:
        return [line for line in self.text.splitlines() if line.startswith(("note:", "warning:"))]


@cache
def script(tool: str) -> ModuleType:
    """Return the script of a tool as a module."""
    folder = f"galaxy_{tool}" if tool in GALAXY else tool
    spec = importlib.util.spec_from_file_location(
        f"bundled_script_{tool}", direct.TOOLS / folder / f"{tool}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write(path: Path, image: Image) -> Path:
    """Write an image as the package does: OME-TIFF, plain where OME has no such numbers."""
    ome = image.pixels.dtype.name not in {"int64", "uint64", "float16"}
    ome &= len(image.axes.replace("S", "")) <= 5
    tifffile.imwrite(
        path,
        image.pixels,
        ome=ome,
        photometric="rgb" if image.axes.endswith("S") else "minisblack",
        metadata={"axes": image.axes, **(image.sizes if ome else {})},
    )
    return path


def points_file(path: Path, points: np.ndarray, **features: list[object]) -> Path:
    """Write points as the package does."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["index", *[f"axis-{i}" for i in range(points.shape[1])], *features])
        for number, point in enumerate(points):
            extra = [values[number] for values in features.values()]
            table.writerow([number, *map(repr, map(float, point)), *extra])
    return path


def run(tool: str, folder: Path, **values: object) -> Made:
    """Run `tool`; a refusal (`sys.exit` with a sentence) is told in ``refused``."""
    place = folder / f"{tool}-{sum(1 for _ in folder.iterdir())}"
    place.mkdir()
    given = {
        name: write(place / f"{name}.tif", value)
        if isinstance(value, Image)
        else points_file(place / f"{name}.csv", value)
        if isinstance(value, np.ndarray)
        else value
        for name, value in values.items()
    }
    if tool in GALAXY:
        outputs = {name: place / (name + end) for name, end in GALAXY[tool].items()}
        argv = [f"{tool}.py", *_galaxy(tool, given, outputs, place)]
    else:
        argv, outputs = direct.prepared(direct.descriptor(tool), given, place)
    said, refused = io.StringIO(), ""
    with (
        contextlib.redirect_stdout(said),
        contextlib.chdir(place),
        mock.patch.object(sys, "argv", argv),
    ):
        try:
            script(tool).main()
        except SystemExit as stop:
            refused = str(stop.code)
    found = {name: _read(path) for name, path in outputs.items() if path.exists()}
    found |= {path.stem: _read(path) for path in sorted(place.glob("made/*"))}
    return Made(found, said.getvalue(), refused)


def _galaxy(tool: str, given: dict, outputs: dict[str, Path], place: Path) -> list[str]:
    """Return the arguments of a Galaxy tool, as its command writes them."""
    (place / "made").mkdir()
    files = [f"--{name}={path}" for name, path in outputs.items()]
    if tool == "compare_labels":
        given = dict(given)
        candidate, reference = given.pop("candidate"), given.pop("reference")
        files += ["--candidate", str(candidate), "result", f"--reference={reference}"]
    elif tool == "cut_out_objects":
        given = dict(given)
        files += [str(given.pop("image")), str(given.pop("labels")), "made"]
        files += ["--blank"] * bool(given.pop("blank", False))
    elif tool == "sort_objects":
        settings = {"feature": "area", "how": "quantiles", "count": 2, "edges": []}
        settings |= {key: given[key] for key in settings if key in given}
        given = {key: value for key, value in given.items() if key not in settings}
        (place / "settings.json").write_text(json.dumps(settings))
        files += ["--settings=settings.json", "--classes=made"]
    else:
        given = {"method": "gamma"} | given
    return files + [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]


def _read(path: Path) -> object:
    if path.suffix in {".tif", ".tiff"}:
        return tifffile.imread(path)
    if path.suffix in {".csv", ".tsv"}:
        with open(path, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file, delimiter="," if path.suffix == ".csv" else "\t"))
    return path
