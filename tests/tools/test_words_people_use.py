"""The fitting tool stands first for the words that people type."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_tool_runner.tools import load_toolbox
from napari_tool_runner.tools.toolbox.words import _table, meanings, stem, words_of

if TYPE_CHECKING:
    from napari_tool_runner.tools.toolbox.box import Toolbox

PAIRS = {
    "calculate_images": (
        "image calculator | ratio of two channels | image math | subtract one image from "
        "another | FRET ratio | multiply by mask | divide images | add two images"
    ),
    "colocalize": (
        "coloc | Pearson | Manders | colocalisation | colocalization of two channels | Costes | "
        "correlation between channels | overlap of channels | Pearson's coefficient"
    ),
    "correct_bleaching": "photobleaching | bleach correction | fading over time",
    "correct_drift": (
        "drift | stabilise movie | image stabilizer | motion correction | align frames | sample "
        "moves | StackReg"
    ),
    "count_points": (
        "spots per cell | foci per nucleus | count foci in nuclei | count spots per cell | how "
        "many spots in each cell | dots per nucleus | puncta per cell"
    ),
    "deconvolve": "deconvolution | PSF | Richardson Lucy | deblur | point spread function",
    "denoise_tv": "denoise | noise reduction | total variation | remove noise | denoising",
    "detect_spots": (
        "blobs | foci | puncta | find dots | find maxima | LoG | spot detection | local maxima "
        "| smFISH | detect vesicles | blob detection | difference of gaussian | find foci"
    ),
    "distance_transform": "distance map | EDT | euclidean distance transform | distance to edge",
    "fill_holes": "holes | imfill | fill gaps | close holes",
    "colour_to_grey": (
        "grey | gray | grayscale | rgb | RGB to grey | rgb2gray | color to gray | split channels "
        "| split rgb | one channel | color image | convert to grayscale | extract channel"
    ),
    "compare_labels": (
        "dice | IoU | ground truth | jaccard index | evaluate segmentation | F1 score | compare "
        "masks | segmentation accuracy | precision and recall"
    ),
    "cut_out_objects": (
        "crop cells | crop | extract nuclei | single cell images | bounding boxes | crop each "
        "object | cut cells out"
    ),
    "enhance_contrast": (
        "CLAHE | histogram equalization | contrast | brightness/contrast | gamma | normalise "
        "intensities | adjust brightness | auto contrast"
    ),
    "sort_objects": (
        "classify cells | classification | gating | positive cells | classify nuclei | group "
        "cells by intensity"
    ),
    "find_objects": (
        "count nuclei | count cells | how many cells | number of nuclei | counting cells | "
        "segment | segmentation | segment nuclei | segment cells | find nuclei | find cells | "
        "nuclei | detect nuclei | cell segmentation | find objects | cell counting | "
        "nuclei segmentation | instance segmentation of nuclei | count objects"
    ),
    "gaussian_filter": (
        "blur | smooth | gauss | gaussian blur | smoothing | low-pass | smooth image"
    ),
    "label_components": (
        "connected components | bwlabel | label objects | mask to labels | number the objects | "
        "CCL | connected component labeling | instance labels"
    ),
    "label_outlines": (
        "contours | outline | boundaries | cell borders | edges of cells | draw outlines | mask "
        "to ROI | labels to shapes | perimeter lines | polygons"
    ),
    "label_surfaces": (
        "mesh | 3D model | isosurface | marching cubes | surface rendering | STL | 3D surface | "
        "render in 3D"
    ),
    "measure_regions": (
        "area | measure | regionprops | mean intensity | analyze particles | cell size | "
        "quantify fluorescence | roundness | circularity | measure area | nuclear area | "
        "cell volume | intensity of nuclei | shape descriptors | centroid | feret diameter | "
        "measure intensity"
    ),
    "median_filter": "despeckle | salt and pepper | median | hot pixels | remove outliers",
    "morphology": (
        "erode | dilate | dilation | opening | closing | expand labels | shrink | grow | "
        "morphology | erosion | grow cells | smooth mask | expand nuclei"
    ),
    "project": (
        "MIP | z-project | max projection | maximum intensity projection | z projection | "
        "flatten stack | sum slices | average frames | 3D to 2D | project | z stack to 2d"
    ),
    "register_images": (
        "align | registration | align two channels | register | alignment | channel shift | "
        "chromatic aberration | overlay two images | align images"
    ),
    "remove_small_objects": (
        "small objects | debris | size filter | remove dirt | filter by size | remove small "
        "particles | exclude large objects | delete small objects | remove debris"
    ),
    "rescale": (
        "resize | downsample | binning | scale | zoom | upsample | isotropic voxels | bin 2x2 | "
        "resample | change pixel size | reduce size | make image smaller"
    ),
    "split_touching": (
        "watershed | separate touching cells | declump | split nuclei | touching nuclei | "
        "separate cells | clumps | split merged cells | separate clustered nuclei"
    ),
    "subtract_background": (
        "rolling ball | background | remove background | top hat | uneven illumination | "
        "background subtraction | flat field | white tophat | shading correction"
    ),
    "threshold": (
        "otsu | binarize | mask | make binary | thresholding | create mask | auto threshold | Li"
    ),
    "track_points": (
        "tracking | track | TrackMate | follow cells | trajectories | particle tracking | cell "
        "tracking | linking | velocity | cell migration | track cells | lineage"
    ),
    "unsharp_mask": "sharpen | unsharp | enhance edges | sharpness",
}


@pytest.fixture(scope="module")
def box() -> Toolbox:
    return load_toolbox()


@pytest.mark.parametrize(
    ("typed", "tool"),
    [(typed.strip(), tool) for tool, texts in PAIRS.items() for typed in texts.split("|")],
)
def test_the_fitting_tool_is_first(box: Toolbox, typed: str, tool: str) -> None:
    found = [entry.id for entry in box.search_entries(typed, 3)]
    assert found[:1] == [tool], found


@pytest.mark.parametrize("typed", ["cellpose nuclei", "quantum blur", "teh rolling bal"])
def test_no_word_is_a_dead_end(box: Toolbox, typed: str) -> None:
    assert box.search_entries(typed, 1)


def test_a_phrase_is_found_while_it_is_typed(box: Toolbox) -> None:
    for typed in ("rolling b", "rolling ba", "watersh", "max pro", "salt and pe"):
        assert box.search_entries(typed, 1), typed


def test_every_line_of_the_table_leads_to_a_tool_that_ships(box: Toolbox) -> None:
    table = _table()
    assert len(table.means) > 250
    for phrase, tools in table.means.items():
        assert any(box._index._together(tool) for tool in tools), phrase


def test_labels_and_options_are_found(box: Toolbox) -> None:
    assert box.search_entries("minimum cross entropy", 1)[0].id == "threshold"


def test_words_that_say_nothing_are_left_out() -> None:
    assert [one.words for one in meanings("how do I count the cells")] == [("count", "cells")]
    assert [one.words for one in meanings("how do I")] == [("how",), ("do",), ("i",)]
    assert words_of("Z-Project, Éclat") == ["z", "project", "eclat"]
    assert {stem(word) for word in ("track", "tracks", "tracking", "tracked")} == {"track"}
