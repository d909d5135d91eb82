"""Sample images: where the dock offers them, and how they come into the viewer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QMenu, QWidget

from napari_tool_runner.widgets.parts.icons import MenuButton, TextIconButton
from napari_tool_runner.widgets.parts.layouts import filled, menu_entry
from napari_tool_runner.widgets.parts.messages import MessageLabel

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

__all__ = ["Welcome", "add_sample", "sample_button"]

_SAMPLES = {
    "cells_2d": "Cells, two channels (2-D)",
    "nuclei_3d": "Nuclei in tissue (3-D)",
    "moving_spots": "Moving vesicles (time series)",
    "drifted_pair": "Before and after a drift (2-D pair)",
    "spots_2d": "RNA spots (2-D)",
}


def sample_button(parent: QWidget, show: Callable[[str], object]) -> MenuButton:
    """Return a button with a menu of the samples; `show` gets the key of one."""
    button = MenuButton("picture", "Open a sample image")
    samples = QMenu(parent)
    for key, text in _SAMPLES.items():
        menu_entry(samples, text, partial(show, key))
    button.set_menu(samples)
    return button


class Welcome(QWidget):
    """What is said while no layer is open: what to do first."""

    def __init__(self, show: Callable[[], object]) -> None:
        super().__init__()
        label = MessageLabel(self)
        label.say("No layer is open. Open a file, or try a sample:")
        self.try_button = TextIconButton("picture", "Open sample")
        self.try_button.clicked.connect(lambda: show())
        filled(QHBoxLayout(self), (label, 1), self.try_button)


def add_sample(viewer: ViewerModel, key: str = "") -> None:
    """Add the layers of a sample, without a key the first."""
    from napari_tool_runner import sample_data

    for data, attributes, kind in getattr(sample_data, key or next(iter(_SAMPLES)))():
        getattr(viewer, f"add_{kind}")(data, **attributes)
