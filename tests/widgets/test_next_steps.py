"""What comes after a result is offered, with its layer chosen."""

from __future__ import annotations

import numpy as np
import pytest

from napari_tool_runner.exchange import Counted
from napari_tool_runner.jobs import AddedResult
from napari_tool_runner.widgets.next_steps import NextSteps

TOOLS = ("threshold", "split_touching", "remove_small_objects", "measure_regions")


class Page:
    def __init__(self):
        self.taken = []

    def take(self, layer, more):
        self.taken.append((layer, dict(more)))


@pytest.fixture
def mask(model_viewer):
    return model_viewer.add_labels(np.ones((4, 4), int), name="mask")


def labels(buttons):
    return [label for label, _ in buttons]


def test_pieces_of_a_mask_and_specks_are_offered_a_tool(model_viewer, mask):
    page, opened = Page(), []
    steps = NextSteps(model_viewer, TOOLS, lambda key: opened.append(key) or page)
    model_viewer.add_image(np.zeros((4, 4)))
    shown = AddedResult(layers=[mask], counted=[(mask, Counted(1, unnumbered=True))])
    ((label, press),) = steps.after(shown)
    assert label == "Split it into objects…"
    press()
    assert opened == ["split_touching"]
    assert page.taken == [(mask, {})]
    assert model_viewer.layers.selection.active is mask
    shown = AddedResult(layers=[mask], counted=[(mask, Counted(9, 4, 12))])
    ((label, press),) = steps.after(shown)
    press()
    assert (label, page.taken[-1]) == ("Remove specks…", (mask, {"smallest": 12}))
    assert labels(steps.segment(mask)) == ["Threshold it…"]
    shown = AddedResult(layers=[mask], counted=[(mask, Counted(9))])
    assert steps.after(shown, "label_outlines") == ()
    ((label, press),) = steps.after(shown, "remove_small_objects")
    press()
    assert (label, opened[-1]) == ("Measure them…", "measure_regions")
    assert steps.after(AddedResult(counted=[(mask, Counted(0))]), "split_touching") == ()


def test_what_a_toolbox_lacks_is_not_offered(model_viewer, mask):
    shown = AddedResult(counted=[(mask, Counted(9, 4, 12))], joined={"t": mask})
    assert labels(NextSteps(model_viewer, (), lambda key: None).after(shown)) == ["Table"]
    assert NextSteps(None, TOOLS, None).after(shown) == ()
    opened = []
    NextSteps(None, TOOLS, opened.append).segment(mask)[0][1]()
    assert opened == ["threshold"], "a page that comes later"


def test_numbers_are_in_the_sentence(model_viewer, mask):
    found = [(mask, Counted(1234, 3, 20))]
    assert AddedResult(layers=[mask], counted=found).sentence() == (
        "Added “mask”: 1,234 objects. 3 of them are specks of less than 20 pixels."
    )
    found = [(mask, Counted(1, unnumbered=True))]
    assert AddedResult(layers=[mask], counted=found).sentence() == (
        "Added “mask”, a mask whose pieces have no numbers yet."
    )
    points = model_viewer.add_points(np.zeros((1, 2)), name="spots")
    assert AddedResult(layers=[points], counted=[(points, Counted(1))]).sentence() == (
        "Added “spots”: 1 point."
    )
    assert AddedResult(layers=[points], open=[mask, points]).sentence() == (
        "Added “spots”. “mask”, “spots” are open already."
    )
