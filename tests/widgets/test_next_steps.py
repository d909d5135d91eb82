"""What comes after a result is offered, with its layer chosen."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_hex

from napari_tool_runner.exchange import Counted, LoadedOutput
from napari_tool_runner.jobs import AddedResult, Measured
from napari_tool_runner.jobs.in_place import note_made
from napari_tool_runner.jobs.lineage import note_made_of
from napari_tool_runner.tools.model import LayerKind
from napari_tool_runner.tools.toolbox.box import load_toolbox
from napari_tool_runner.widgets.next_steps import NextSteps, Origin
from napari_tool_runner.widgets.results.looks import CHOSEN, Highlight

TOOLS = (
    "gaussian_filter", "threshold", "split_touching", "remove_small_objects", "measure_regions",
)  # fmt: skip


class Page:
    """A page of any tool, which notes what it is given; opened by calling it."""

    def __init__(self):
        self.taken, self.opened, self.places, self.origins = [], [], [], []

    def __call__(self, key, *, fill):
        self.opened.append(key)
        fill(self)

    def take(self, layer, more, place, origin):
        self.taken.append((layer, dict(more)))
        self.places.append(place)
        self.origins.append(origin)

    def set_values(self, values):
        self.taken.append(dict(values))

    def run(self):
        self.taken.append("run")


class Given:
    def __init__(self, values):
        self.values, self.sources = values, {"input": values.get("input")}
        self.pieces = []


@pytest.fixture
def mask(model_viewer):
    return model_viewer.add_labels(np.ones((4, 4), int), name="mask")


def labels(buttons):
    return [label for label, _ in buttons]


def test_pieces_of_a_mask_and_specks_are_offered_a_tool(model_viewer, mask):
    page = Page()
    opened = page.opened
    steps = NextSteps(model_viewer, TOOLS, page)
    model_viewer.add_image(np.zeros((4, 4)))
    shown = AddedResult(layers=[mask], counted=[(mask, Counted(2, unnumbered=True))])
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
    assert labels(steps.find(mask)) == ["Threshold it…"], "where no tool does it in one step"
    assert labels(NextSteps(model_viewer, ("find_objects",), page).find(mask)) == ["Find objects…"]
    shown = AddedResult(layers=[mask], counted=[(mask, Counted(9))])
    assert steps.after(shown, "label_outlines") == ()
    ((label, press),) = steps.after(shown, "remove_small_objects")
    press()
    assert (label, opened[-1]) == ("Measure them…", "measure_regions")
    assert steps.after(AddedResult(counted=[(mask, Counted(0))]), "split_touching") == ()


def test_what_was_measured_is_plotted_and_measured_again_when_it_was_replaced(model_viewer, mask):
    page = Page()
    image = model_viewer.add_image(np.ones((4, 4)))
    tool = load_toolbox()["measure_regions"]
    given = Given({"labels": "snapshot", "image": "snapshot"})
    given.tool, given.sources = tool, {"labels": mask, "image": image}
    mask.features = {"index": [0, 1], "area_um2": [np.nan, 5.0], "mean": [0, 1.5]}
    Measured(mask, (), None).note(mask)
    steps = NextSteps(model_viewer, TOOLS, page)
    found = steps.after(AddedResult(joined={"t": mask}), "measure_regions", given)
    assert labels(found) == ["Plot area…", "Table"]
    for _, press in found:
        press()  # without a window nothing happens
    mask.data = mask.data * 2
    shown = AddedResult(layers=[mask], counted=[(mask, Counted(9))])
    ((label, press),) = steps.after(shown, "find_objects")
    assert label == "Measure again"
    press()
    assert page.taken == [{"labels": mask, "image": image}, "run"]


def test_spots_in_time_are_tracked_and_listed(model_viewer):
    told = {"axis_labels": ("t", "y", "x"), "features": {"strength": [8.0, 9.0]}}
    spots = model_viewer.add_points([[0, 1, 1], [1, 2, 2]], name="spots", **told)
    page = Page()
    steps = NextSteps(model_viewer, {*TOOLS, "track_points"}, page)
    found = steps.after(AddedResult(layers=[spots], counted=[(spots, Counted(2))]), "detect_spots")
    assert labels(found) == ["Track them…", "Table"]
    found[0][1]()
    assert page.opened == ["track_points"]
    tracks = model_viewer.add_tracks([[1, 0, 1, 1], [1, 1, 2, 2]], name="tracks")
    shown = AddedResult(layers=[tracks], counted=[(tracks, Counted(1))])
    assert shown.sentence() == "Added “tracks”: 1 track."
    assert labels(steps.after(shown, "track_points")) == ["Table"]


def test_uneven_light_that_is_warned_of_is_taken_away_first(model_viewer, mask):
    page, image = Page(), model_viewer.add_image(np.ones((4, 4)))
    given = Given({"input": "snapshot"})
    given.sources = {"input": image}
    steps = NextSteps(model_viewer, {*TOOLS, "subtract_background"}, page)
    shown = AddedResult(layers=[mask], counted=[(mask, Counted(1))])
    shown.notes = ("Warning: the light is uneven.", "“a” has no pixel size.")
    assert shown.sign == "problem"
    assert shown.sentence().startswith(
        "Added “mask”: 1 object. Warning: the light is uneven. 1 more"
    )
    (label, press), *_ = steps.after(shown, "find_objects", given)
    press()
    assert (label, page.taken[-1]) == ("Subtract background…", (image, {}))


def test_what_a_toolbox_lacks_is_not_offered(model_viewer, mask):
    shown = AddedResult(counted=[(mask, Counted(9, 4, 12))], joined={"t": mask})
    assert labels(NextSteps(model_viewer, (), Page()).after(shown)) == ["Table"]
    assert NextSteps(None, TOOLS, None).after(shown) == ()
    page = Page()
    NextSteps(None, TOOLS, page).segment(mask)[0][1]()
    assert page.opened == ["threshold"]


def test_numbers_are_in_the_sentence(model_viewer, mask):
    found = [(mask, Counted(1234, 3, 20))]
    assert AddedResult(layers=[mask], counted=found).sentence() == (
        "Added “mask”: 1,234 objects. 3 of them are specks of less than 20 pixels."
    )
    found = [(mask, Counted(300, 222, 20, unnumbered=True))]
    assert AddedResult(layers=[mask], counted=found).sentence() == (
        "Added “mask”: a mask of 300 pieces. 222 of them are specks of less than 20 pixels. "
        "So many come of noise: smooth the image first."
    )
    found = [(mask, Counted(75, 0, 20, 1, 4, 2325, 970))]
    assert AddedResult(counted=found).sign == "problem"
    assert AddedResult(counted=[(mask, Counted(75, 4, 20))]).sign == "done"
    assert AddedResult(layers=[mask], counted=found).sentence() == (
        "Added “mask”: 75 objects. 1 of them has 2,325 pixels, the middle one 970: several in one?"
    )
    sizes = np.array([9, *[20] * 6, 70])
    features = {"index": np.arange(9), "pixels": [0, *sizes], "area_um2": 0.1}
    measured = model_viewer.add_labels(np.diag(np.arange(1, 9)), features=features, name="cells")
    of_joined = AddedResult(joined={"table": measured})
    assert of_joined.sign == "problem"
    assert of_joined.sentence() == (
        "Measured 8 objects of “cells”. 1 of them has 70 pixels, the middle one 20: several in "
        "one? 2 of them touch the edge: their sizes are too small."
    )
    measured.features = {"index": np.arange(9), "mean": 0.5}
    assert of_joined.sentence() == "Measured 8 objects of “cells”."
    assert of_joined.sign == "done"
    points = model_viewer.add_points(np.zeros((1, 2)), name="spots")
    assert AddedResult(layers=[points], counted=[(points, Counted(1))]).sentence() == (
        "Added “spots”: 1 point."
    )
    assert AddedResult(layers=[points], open=[mask, points]).sentence() == (
        "Added “spots”. “mask”, “spots” are open already."
    )


def test_what_sizes_are_worth_is_told_again_when_they_are_measured(model_viewer):
    notes = ["1 of them touches the edge; up to ±18% of a size by where its soft edge is set"]
    told = {"id": "a job", "notes": notes}
    pixels = np.diag([0, 1, 2, 0])
    cells = model_viewer.add_labels(pixels, name="cells", metadata={"napari_tool_runner": told})
    measured = AddedResult(joined={"table": cells})
    cells.features = {"index": [0, 1, 2], "pixels": [0, 9, 8]}
    assert measured.sentence() == "Measured 2 objects of “cells”.", "no result of ours"
    note_made(cells, LoadedOutput(pixels, LayerKind.LABELS, {}), {})
    cells.features = {"index": [0, 1, 2], "mean": 0.5}
    assert measured.sentence() == "Measured 2 objects of “cells”.", "no sizes were measured"
    cells.features = {"index": [0, 1, 2], "pixels": [0, 9, 8]}
    assert measured.sentence() == (
        "Measured 2 objects of “cells”. Up to ±18% of a size by where its soft edge is set."
    )
    cells.data = pixels * 2
    cells.features = {"index": [0, 2, 4], "pixels": [0, 9, 8]}
    assert measured.sentence() == "Measured 2 objects of “cells”.", "it was changed since"


def test_giants_are_split_finer(model_viewer, mask):
    page = Page()
    opened = page.opened
    steps = NextSteps(model_viewer, TOOLS, page)
    objects = model_viewer.add_labels(np.ones((4, 4), int), name="objects")
    shown = AddedResult(layers=[objects], counted=[(objects, Counted(75, 0, 20, 1, 1, 2325, 970))])
    given = Given({"input": mask, "spacing": 10.0})
    found = steps.after(shown, "split_touching", given)
    assert labels(found) == ["Show it", "Split finer…", "Measure them…"]
    found[1][1]()
    assert (opened, page.taken) == (["split_touching"], [(mask, {"spacing": 5.0})])
    finest = steps.after(shown, "split_touching", Given({"input": mask, "spacing": 1.0}))
    assert labels(finest) == ["Paint", "Measure them…"]
    found = steps.after(shown, "label_components", Given({"input": mask}))
    assert labels(found) == ["Show it", "Split them…", "Measure them…"]
    by_diameter = steps.after(shown, "find_objects", Given({"input": mask}))
    assert labels(by_diameter) == ["Show it", "Measure them…"], "again they would be one mask"
    found[1][1]()
    assert page.taken[-1] == (objects, {})


def test_objects_that_may_be_none_are_shown_one_after_the_other(model_viewer, mask):
    pixels = np.zeros((40, 40), int)
    pixels[2:6, 2:6], pixels[20:30, 20:30] = 3, 8
    objects = model_viewer.add_labels(pixels, name="objects")
    steps, given = NextSteps(model_viewer, TOOLS, Page()), Given({"input": mask})
    note = "{} out and may be none (number {}); typical diameter 10.3 px"
    shown = AddedResult(layers=[objects], counted=[(objects, Counted(9))])
    shown.notes = (note.format("1 hardly stands", 8),)
    found = steps.after(shown, "find_objects", given)
    assert labels(found) == ["Show number 8", "Measure them…"]
    found[0][1]()
    assert objects.selected_label == 8
    assert model_viewer.layers.selection.active is objects
    assert tuple(getattr(model_viewer, "scene", model_viewer).camera.center[-2:]) == (24.0, 24.0)
    shown.notes = (note.format("2 hardly stand", "3, 8, …"),)
    found = steps.after(shown, "find_objects", given)
    assert labels(found) == ["Show the doubtful", "Measure them…"]
    seen = []
    for _ in range(3):
        found[0][1]()
        seen.append(objects.selected_label)
    assert seen == [3, 8, 3]
    given.pieces = [(0,), (1,)]
    assert labels(steps.after(shown, "find_objects", given)) == ["Measure them…"]
    assert labels(steps.after(shown, "find_objects")) == ["Measure them…"]


def test_an_object_that_a_button_shows_stands_out_until_a_click_beside_it(model_viewer, mask):
    pixels = np.zeros((40, 40), int)
    pixels[2:6, 2:6], pixels[20:30, 20:30] = 3, 8
    objects = model_viewer.add_labels(pixels, name="objects")
    steps, before = NextSteps(model_viewer, TOOLS, Page()), objects.colormap
    own = list(model_viewer.mouse_drag_callbacks)
    shown = AddedResult(layers=[objects], counted=[(objects, Counted(9, 0, 20, 1, 8, 100, 16))])
    show = dict(steps.after(shown, "find_objects", Given({"input": mask})))["Show it"]

    def is_marked():
        return to_hex(objects.colormap.map(8)) == CHOSEN

    def press(*places):
        """Press at the first of some places in the canvas, move, and let go at the last."""
        for callback in [one for one in model_viewer.mouse_drag_callbacks if one not in own]:
            event = SimpleNamespace(type="mouse_press", button=1, pos=places[0])
            held = callback(model_viewer, event)
            next(held)
            for event.type, event.pos in (
                ("mouse_move", places[-1]),
                ("mouse_release", places[-1]),
            ):
                next(held, None)

    show()
    assert is_marked()
    press((5, 5), (50, 50))
    assert is_marked(), "the view was moved"
    press((5, 5))
    assert objects.colormap is before
    assert model_viewer.mouse_drag_callbacks == own
    show()
    show()
    assert is_marked()
    model_viewer.layers.selection.active = mask
    assert objects.colormap is before
    show()
    objects.features = {"index": [3, 8]}
    assert objects.colormap is before, "its table chooses from now on"
    show()
    table = Highlight()
    table.show(objects, np.array([3]), np.array([3, 8]))
    press((5, 5))
    assert not is_marked()
    assert objects.colormap is not before, "what the table chose stays"
    table.clear()
    assert objects.colormap is before


def split(mask, objects, steps, spacing, *giants):
    """Return what is offered after a split, and what is advised."""
    shown = AddedResult(layers=[objects], counted=[(objects, Counted(77, 0, 20, *giants))])
    given = Given({"input": mask, "spacing": spacing, "smoothing": 1.5})
    return steps.after(shown, "split_touching", given), shown.advice


def test_a_finer_split_that_helps_no_more_is_told_and_not_offered(model_viewer, mask):
    page = Page()
    steps = NextSteps(model_viewer, TOOLS, page)
    pixels = np.zeros((40, 40), int)
    pixels[20:30, 20:30] = 5
    objects = model_viewer.add_labels(pixels, name="objects")
    found, advice = split(mask, objects, steps, 10.0, 2, 5, 2356, 970)
    assert labels(found) == ["Show the largest", "Split finer…", "Measure them…"]
    found, advice = split(mask, objects, steps, 5.0, 1, 5, 2325, 970)
    assert (labels(found)[1], advice) == ("Split finer…", ""), "it helped"
    found, advice = split(mask, objects, steps, 2.5, 1, 5, 2325, 970)
    assert labels(found) == ["Paint", "Smooth less…", "Measure them…"]
    assert advice.startswith("A finer split leaves it so:")
    found[1][1]()
    assert page.taken == [(mask, {"spacing": 2.5, "smoothing": 0.75})]
    objects.visible = False
    found[0][1]()
    assert (objects.selected_label, str(objects.mode)) == (6, "paint")
    objects.visible = False
    ((_, show), *_), _ = split(mask, objects, steps, 2.5, 1, 5, 2325, 970)
    show()
    assert (objects.selected_label, objects.visible) == (5, True)
    assert model_viewer.layers.selection.active is objects
    assert tuple(getattr(model_viewer, "scene", model_viewer).camera.center[-2:]) == (24.0, 24.0)
    other = model_viewer.add_labels(np.ones((5, 5), int))
    found, advice = split(other, objects, steps, 2.0, 1, 5, 2325, 970)
    assert (labels(found)[1], advice) == ("Split finer…", ""), "it is another mask"
    model_viewer.layers.remove(objects)
    found[0][1]()  # nothing is left to be shown


def test_specks_of_noise_lead_back_to_the_image(model_viewer, mask):
    page = Page()
    opened = page.opened
    steps = NextSteps(model_viewer, TOOLS, page)
    image = model_viewer.add_image(np.zeros((4, 4)))
    noisy = AddedResult(layers=[mask], counted=[(mask, Counted(9, 5, 12))])
    assert labels(steps.after(noisy)) == ["Remove specks…"], "nobody knows the image"
    note_made_of(mask, [image])
    found = steps.after(noisy)
    assert labels(found) == ["Smooth it first…", "Remove specks…"]
    found[0][1]()
    assert (opened, page.taken) == (["gaussian_filter"], [(image, {})])
    smooth = AddedResult(layers=[image])
    assert labels(steps.after(smooth, "gaussian_filter")) == ["Threshold it…"]
    assert steps.after(smooth, "rescale") == ()
    assert page.origins == [None], "the page of no tool that the image went into"
    given = Given({"input": image})
    steps.after(noisy, "threshold", given)[0][1]()
    assert page.origins[-1].place == "input"


def test_a_noisy_image_is_told_before_it_is_thresholded(model_viewer):
    steps = NextSteps(model_viewer, TOOLS, Page())
    rough = np.random.default_rng(1).normal(100, 20, (64, 64))
    rough[20:40, 20:40] += 100
    noisy, rgb = (
        model_viewer.add_image(rough),
        model_viewer.add_image(np.zeros((9, 9, 3)), rgb=True),
    )
    text, buttons = steps.before("threshold", noisy)
    assert text.startswith("The image is noisy")
    assert labels(buttons) == ["Smooth it first…"]
    assert steps.before("split_touching", noisy) == ("", ())
    assert steps.before("threshold", rgb) == ("", ())
    noisy.data = np.where(rough > 150, 200.0, 100.0)
    assert steps.before("threshold", noisy) == ("", ())


def test_what_was_made_for_an_input_goes_back_there(model_viewer):
    photo = model_viewer.add_image(np.zeros((9, 9, 3)), rgb=True)
    blue = model_viewer.add_image(np.zeros((9, 9)), name="blue")
    page, tools = Page(), (*TOOLS, "find_objects", "colocalize", "colour_to_grey")
    here = Origin("colocalize", "Colocalization")
    ((label, press),) = NextSteps(model_viewer, tools, page, here).mend(photo, "second")
    press()
    assert (label, page.opened) == ("Choose a channel…", ["colour_to_grey"])
    assert page.origins == [Origin("colocalize", "Colocalization", "second")]
    steps = NextSteps(model_viewer, tools, page, Origin("colour_to_grey", "Colour to grey"))
    shown = AddedResult(layers=[blue])
    assert labels(steps.after(shown, "colour_to_grey")) == ["Find objects…"], "nobody led here"
    steps.origin = page.origins[0]
    ((label, press),) = steps.after(shown, "colour_to_grey")
    press()
    assert (label, page.opened[-1]) == ("Colocalization…", "colocalize")
    assert (page.taken[-1], page.places[-1], page.origins[-1]) == ((blue, {}), "second", None)
    steps.origin = Origin("gone", "Gone")
    assert labels(steps.after(shown, "colour_to_grey")) == ["Find objects…"]
