"""The pictures of the documentation can be made, and show what they should."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from support import REPOSITORY

if TYPE_CHECKING:
    from types import ModuleType

pytestmark = [pytest.mark.viewer, pytest.mark.slow]
SCENES = [
    "window",
    "find",
    "tree",
    "form",
    "choices",
    "problem",
    "sweep",
    "table",
    "running",
    "failed",
    "history",
    "light",
    "more_tools",
    "live",
    "film",
]


@pytest.fixture(scope="module")
def pictures() -> ModuleType:
    pytest.importorskip("napari")
    sys.path.insert(0, str(REPOSITORY / "docs"))
    try:
        return importlib.import_module("pictures")
    finally:
        sys.path.pop(0)


def test_every_scene_is_made_and_shown(pictures: ModuleType) -> None:
    assert list(pictures.SCENES) == SCENES
    pages = "".join(
        path.read_text(encoding="utf-8")
        for path in [*(REPOSITORY / "docs").glob("*.md"), REPOSITORY / "README.md"]
    )
    for name in SCENES:
        assert (REPOSITORY / "docs" / "pictures" / f"{name}.png").is_file()
        assert f"pictures/{name}.png" in pages, f"no page shows {name}.png"


@pytest.mark.parametrize("name", SCENES)
def test_picture(name: str, pictures: ModuleType, make_napari_viewer: object) -> None:
    # make_napari_viewer: for its check that nothing of a viewer is left
    picture = pictures.play(name)
    height, width = picture.shape[:2]
    assert picture.dtype == np.uint8
    colours = np.unique(picture.reshape(-1, 3), axis=0)
    assert len(colours) > 20, "an empty window"
    if name in ("window", "light"):
        assert (height, width) == (880, 1400)
        canvas = picture[height // 10 : -height // 10, width // 4 : -width // 3]
        assert canvas.mean() > 20, "a canvas that was not drawn is black"
    if name not in ("light", "live", "film"):
        # the bar or the list reaches down: napari leaves half of a dock empty if it may
        lower = picture[height * 3 // 4 :, -width // 5 :]
        assert len(np.unique(lower.reshape(-1, 3), axis=0)) > 5, "the lower part is empty"
