"""The fitting tool stands first for the words that people type."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from napari_tool_runner.tools import load_toolbox
from napari_tool_runner.tools.toolbox.stems import stem, words_of
from napari_tool_runner.tools.toolbox.words import _table, apart, meanings

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
        "tracking | linking | velocity | cell migration | track cells"
    ),
    "unsharp_mask": "sharpen | unsharp | enhance edges | sharpness",
}

# these found another tool or none, before phrases were met in any order and between other words
MORE = {
    "cellpose_3": (
        "cellpose | deep learning | AI segmentation | neural network | U-Net | pretrained model | "
        "cellpose nuclei | cyto3"
    ),
    "stardist_2d": "stardist | star-convex",
    "instanseg_cells": "instanseg",
    "trackastra_tracks": "trackastra",
    "sam2_prompts": (
        "segment anything | SAM | SAM 2 | micro-SAM | interactive segmentation | magic wand | "
        "click to segment | point prompts | box prompt"
    ),
    "noise2void": "n2v | noise2void | careamics",
    "bioimageio_model": "bioimage.io | model zoo | deepImageJ | ONNX | torchscript | custom model",
    "link_objects": "laptrack | link objects | cell division",
    "calculate_images": (
        "mask image | merge channels | delta F/F | invert | sum of two channels | composite | "
        "bleedthrough | spectral unmixing"
    ),
    "colocalize": (
        "cooccurrence | double labelled | scatter of two channels | Kolokalisation | are two "
        "proteins together | protein interaction | cytofluorogram"
    ),
    "colour_to_grey": (
        "H&E | colour deconvolution | single channel | Graustufen | stain separation | IHC | "
        "histology | monochrome"
    ),
    "compare_labels": (
        "how good is my segmentation | compare two masks | validate segmentation | average "
        "precision | AP50 | benchmark segmentation | agreement between annotators"
    ),
    "correct_bleaching": (
        "fluorescence decay | signal gets weaker over time | flickering | intensity drops "
        "over time | movie gets darker"
    ),
    "correct_drift": (
        "registration of time series | template matching movie | shaky movie | jittering "
        "movie | focus drift | remove motion"
    ),
    "count_points": (
        "spots inside cells | mRNA per cell | transcripts per cell | lipid droplets per cell"
    ),
    "cut_out_objects": "extract single cells | montage | duplicate region | tiles",
    "deconvolve": "deconvolutionlab | Entfaltung | Huygens | wiener",
    "denoise_tv": (
        "grainy image | CARE | too noisy | SNR | anisotropic diffusion | "
        "shot noise | edge preserving smoothing | BM3D"
    ),
    "detect_spots": (
        "local maximum | particle detection | gamma-H2AX | localisation | synapses | "
        "centrosomes | exosomes | Punkte finden"
    ),
    "distance_transform": "how far from the edge | EDM | voronoi | chamfer",
    "enhance_contrast": "make brighter | auto levels | levels | dim image",
    "fill_holes": "Löcher füllen | hollow nuclei",
    "find_objects": (
        "number of colonies | counting cells in a well | segment DAPI stained nuclei | DAPI | "
        "Hoechst | Zellen zählen | compter les cellules | count seeds | noyaux | Kerne | "
        "organoids | yeast | bacteria | plaque assay | confluence | mitochondria | voronoi "
        "otsu | voronoi-otsu labeling"
    ),
    "gaussian_filter": "Weichzeichner | average filter | mean filter | lowpass filter",
    "label_components": "separate labels | give each object a number",
    "label_outlines": "skeleton | labels to ROI | export ROI | find boundaries | Umriss",
    "label_surfaces": "3D print | 3D viewer | volume rendering",
    "measure_regions": (
        "average intensity of each nucleus | nuclei shape | measurements | set measurements | "
        "area fraction | mean grey value | N/C ratio | elongation | orientation | cell shape "
        "| morphometrics | wound area | organoid diameter | Fläche messen | MorphoLibJ | "
        "diameter of vesicles | raw integrated density | texture | mitochondria shape | lumen "
        "area | percentage of area"
    ),
    "median_filter": "bad pixels | cosmic rays | impulse noise",
    "morphology": (
        "shrink mask | erode mask | structuring element | shrink labels | grow labels | "
        "dilate labels | binary operations | cell expansion | thicken"
    ),
    "project": (
        "maximum intensity | make 2D image from stack | extended depth of field | EDF | stack "
        "to single image | combine slices | best focus | kymograph | orthogonal view"
    ),
    "register_images": (
        "chromatic correction | Bildregistrierung | correlate LM and EM | CLEM | bUnwarpJ | "
        "superimpose | phase correlation | misaligned channels"
    ),
    "remove_small_objects": (
        "minimum size | remove noise specks | exclude edges | keep largest | remove objects "
        "touching the edge | clean up mask | min area"
    ),
    "rescale": (
        "shrink image | resolution | change size | image too big | anisotropy | reslice | "
        "enlarge image"
    ),
    "sort_objects": (
        "positive negative cells | Ki67 positive | phenotype | percentage positive | "
        "subpopulations | live dead | mitotic cells | random forest | marker positive | flow "
        "cytometry | infected cells | transfection efficiency"
    ),
    "split_touching": (
        "watershed segmentation | nuclei touching each other | cells are merged | separate "
        "clusters | undersegmentation | fused nuclei"
    ),
    "subtract_background": (
        "flatfield | BaSiC | CIDRE | uneven background | correct illumination | dark field "
        "correction | bg subtraction | uneven lighting | baseline | non-uniform illumination "
        "| inhomogeneous illumination"
    ),
    "threshold": (
        "make a binary mask | Schwellwert | seuillage | Sauvola | Niblack | convert to mask | "
        "Phansalkar | cutoff | intensity cutoff"
    ),
    "track_points": (
        "speed of vesicles | mean squared displacement | diffusion coefficient | "
        "vesicle speed | how fast | cell motility | Verfolgung | link spots"
    ),
    "unsharp_mask": "blurry | high pass | image not sharp | out of focus image | crisp",
}

# names of functions and menus, and questions
NAMES = {
    "calculate_images": (
        "binary union | imsubtract | MaskImage | immultiply | binary intersection | absolute "
        "difference | ImageMath | calcium imaging dF/F | blend images | crossbleed | "
        "logically combine"
    ),
    "colocalize": (
        "corr2 | MeasureColocalization | colocalization threshold | coloc 2 | overlap of red "
        "and green | overlap coefficient"
    ),
    "colour_to_grey": (
        "rgb to luminance | stain vectors | rgb2hed | UnmixColors | separate green from red | "
        "ColorToGray | split channels popup"
    ),
    "compare_labels": (
        "get jaccard index | compare to manual annotation | sorensen dice | "
        "adapted_rand_error | variation of information | evaluate against ground truth | "
        "percent overlap with manual labels"
    ),
    "correct_bleaching": (
        "same brightness in all frames | signal fades | correct intensity jump | "
        "photobleaching correction exponential fit"
    ),
    "correct_drift": (
        "image moves during acquisition | stabilize video | correct 3d drift | align series | "
        "jumping frames | time lapse alignment | image stabilizer series"
    ),
    "count_points": ("lysosomes per cell | RelateObjects"),
    "cut_out_objects": (
        "image for each cell | auto crop | SaveCroppedObjects | crop image to segments | "
        "imcrop | crop image in place | crop single nuclei"
    ),
    "deconvolve": ("deconvlucy | deconvwnr | theoretical PSF"),
    "denoise_tv": (
        "imnlmfilt | kalman stack filter | ReduceNoise | denoise_bilateral | denoise_nl_means "
        "| denoise_tv_chambolle"
    ),
    "detect_spots": (
        "blob_log | blob_dog | spot detection 3d | peak_local_max | spot detector | bright "
        "spot detection | gaussian_laplace"
    ),
    "distance_transform": (
        "distance_transform_edt | distance to membrane | bwdist | distance from segments | "
        "exact euclidean distance transform"
    ),
    "enhance_contrast": (
        "histeq | image too dark | RescaleIntensity | adjust_gamma | adapthisteq | imadjust | "
        "equalize_adapthist | enhance local contrast | normalize local contrast | quantile "
        "based normalization"
    ),
    "fill_holes": (
        "fill roi holes | remove_small_holes | binary fill | holes in my mask | "
        "binary_fill_holes | flood fill | fill mask"
    ),
    "find_objects": (
        "IdentifyPrimaryObjects | automated cell counting | elongated nuclei not detected | "
        "nucleus counter | count DAPI nuclei | cell detection | balloon segmentation | some "
        "nuclei are not recognized | missing nuclei in segmentation | wrong number of cells | "
        "yeast budding cells | count colonies on plate | membrane segmentation"
    ),
    "gaussian_filter": ("gaussian blur 3d | uniform_filter | imgaussfilt | boxcar filter"),
    "label_components": (
        "bwlabeln | labelmatrix | relabel sequential | bwconncomp | find connected regions"
    ),
    "label_outlines": (
        "reduce labels to label edges | bwperim | imcontour | OverlayOutlines | export "
        "outlines | find_contours | generate rois | border of cells as polygon"
    ),
    "label_surfaces": ("surface of nuclei 3d | show color surfaces | 3d mesh of embryo"),
    "measure_regions": (
        "count positive pixels | "
        "measure total fluorescence | regionprops_table | reduce labels to centroids | "
        "MeasureObjectIntensity | size distribution of particles | fluorescent labeling area "
        "| corrected total cell fluorescence | feature extraction regionprops | stained area "
        "percent | equivalent diameter | ExportToSpreadsheet | how many pixels per cell | "
        "quantify expression level | MeasureObjectSizeShape | fluorescence intensity per "
        "nucleus | membrane staining quantification | MeasureImageAreaOccupied | longest axis "
        "| protein expression level | spheroid size | measure multi channel | bwarea | show "
        "label centers | mean nuclear GFP intensity | fit ellipse | integrated intensity | "
        "skewness"
    ),
    "median_filter": (
        "median 3d | salt pepper noise | medfilt2 | remove outliers bright | 2D median"
    ),
    "morphology": (
        "ExpandOrShrinkObjects | bwmorph | opening labels | binary_erosion | extend labels "
        "with maximum radius | grow nuclei to cells | make objects bigger | jagged edges of "
        "mask | strel | imerode | imdilate | imclose | imopen | gray morphology | erode 3d | "
        "dilate 3d"
    ),
    "project": (
        "z projector | grouped z project | flatten z stack | MakeProjection | maximum z "
        "projection | standard deviation projection | average intensity z | median projection "
        "| extended depth of field easy mode | convert to 2D | stack average | brightest "
        "slice"
    ),
    "register_images": (
        "channels do not overlap | descriptor based registration | imregister | imregtform | "
        "rigid registration | bead-based registration"
    ),
    "remove_small_objects": (
        "exclude on edges | bwareafilt | exclude labels outside size range | exclude small "
        "labels | only keep big cells | cells cut at the border | exclude labels on edges | "
        "discard tiny objects | erase border cells | remove small blobs"
    ),
    "rescale": (
        "downsample 2d | downscale_local_mean | imresize | rebin 3d | even voxel size | half "
        "the image size"
    ),
    "sort_objects": (
        "set cell intensity classifications | percentage of live cells | viral infectivity | "
        "ClassifyObjects | find positive cells | count fluorescent positive cells | which "
        "cells express GFP | positive cell detection | cell viability count | separate dead "
        "from living cells"
    ),
    "split_touching": (
        "distance transform watershed | marker-controlled watershed | local minima seeded "
        "watershed | nuclei stick together | two nuclei as one | morphological separate "
        "objects | adjustable watershed | seeded watershed | cells too close together | "
        "SplitOrMergeObjects | several nuclei taken together | clumped cells undercounted"
    ),
    "subtract_background": (
        "imtophat | bright on one side | top hat box | CorrectIlluminationApply | remove "
        "background fluorescence | CorrectIlluminationCalculate | fix vignetting | high "
        "background staining | autofluorescence removal | subtract background light | "
        "intensity gradient across field | field flatness"
    ),
    "threshold": (
        "threshold_otsu | adaptthresh | im2bw | threshold_local | multithresh | auto local "
        "threshold | segment by brightness | graythresh | make binary "
        "black background | minimum error threshold"
    ),
    "track_points": (
        "vesicle trajectories | follow nuclei over time | XYZ particle tracking "
        "| TrackObjects | cell migration assay | spots to tracks | particle speed"
    ),
    "unsharp_mask": ("imsharpen"),
}

LACKING = (
    "time stamper | imhist | compute curvatures | imrotate | delaunay | bwskel | ridge "
    "detection | color histogram | piv analysis | sholl analysis | improfile | frangi "
    "vesselness | apply LUT | analyze skeleton | variance filter | add scale bar | draw a "
    "line profile | MedialSkeleton | tubeness | stitch images together | neuron branches "
    "| optic flow | shape-based averaging"
)


# what is typed in other languages, and letters that stand for words
TONGUES = {
    "find_objects": "Zellkerne zählen | contar células | contagem de células | 细胞计数 | núcleos",
    "split_touching": "Kerne trennen | ligne de partage des eaux | séparer les cellules",
    "subtract_background": "Hintergrundabzug | restar fondo | soustraire le fond | sfondo | bgsub",
    "measure_regions": (
        "MFI | mfi | medir área | aire | Größe messen | mesurer l'intensité | RawIntDen | "
        "raw int den | centre of mass | tamanho | measure GFP | scratch assay"
    ),
    "median_filter": "filtro de mediana | filtre médian | Medianfilter",
    "threshold": "Schwellenwert | umbralización | soglia | limiar | 二値化 | Schwellwertverfahren",
    "denoise_tv": "débruiter | eliminar ruido | ruído | Rauschunterdrückung | 去噪",
    "gaussian_filter": "Weichzeichnen | desenfoque | sfocatura | suavizar | σ",
    "register_images": "alinear imágenes | recaler | allineare",
    "fill_holes": "rellenar huecos | remplir les trous | Löcher füllen",
    "track_points": "seguimiento | suivi de particules | Zellen verfolgen",
    "detect_spots": "manchas | γH2AX | 53BP1",
    "label_outlines": "Kanten | contorni | Kantenerkennung",
    "project": "SIP | AIP | Maximumprojektion",
    "colour_to_grey": "brown stain percentage | hematoxylin",
    "calculate_images": "XOR",
}


# core words of the bench: English | German | French | Spanish | Italian | Portuguese | Dutch
CORE = """
tally | zählen | compter | contar | contare | contar | tellen
measure | messen | mesurer | medir | misurare | medir | meten
segment | segmentieren | segmenter | segmentar | segmentare | segmentar | segmenteren
separate | trennen | séparer | separar | separare | separar | scheiden
remove | entfernen | supprimer | eliminar | rimuovere | remover | verwijderen
align | ausrichten | aligner | alinear | allineare | alinhar | uitlijnen
track | verfolgen | suivre | seguir | seguire | seguir | volgen
fill | füllen | remplir | rellenar | riempire | preencher | vullen
smooth | glätten | lisser | suavizar | smussare | suavizar | gladstrijken
crop | zuschneiden | rogner | recortar | ritagliare | recortar | bijsnijden
threshold | Schwellwert | seuil | umbral | soglia | limiar | drempelwaarde
nuclei | Zellkerne | noyaux | núcleos | nucleo | núcleos | celkernen
cells | Zellen | cellules | células | cellule | células | cellen
image | Bild | image | imagen | immagine | imagem | afbeelding
background | Hintergrund | fond | fondo | sfondo | fundo | achtergrond
noise | Rauschen | bruit | ruido | rumore | ruído | ruis
area | Fläche | aire | superficie | area | área | oppervlakte
perimeter | Umfang | périmètre | perímetro | perimetro | perímetro | omtrek
roundness | Rundheit | rondeur | redondez | rotondità | redondeza | rondheid
diameter | Durchmesser | diamètre | diámetro | diametro | diâmetro | middellijn
length | Länge | longueur | longitud | lunghezza | comprimento | lengte
intensity | Intensität | intensité | intensidad | intensità | intensidade | intensiteit
neighbours | Nachbarn | voisins | vecinos | vicini | vizinhos | buren
displacement | Verlagerung | déplacement | desplazamiento | spostamento | deslocamento | verplaatst
distance | Abstand | distance | distancia | distanza | distância | afstand
speed | Geschwindigkeit | vitesse | velocidad | velocità | velocidade | snelheid
roots | Wurzeln | racines | raíces | radici | raízes | wortels
leaves | Blätter | feuilles | hojas | foglie | folhas | bladeren
colours | Farben | couleurs | colores | colori | cores | kleuren
contrast | Kontrast | contraste | contraste | contrasto | contraste | contrast
holes | Löcher | trous | agujeros | buchi | buracos | gaten
spots | Flecken | taches | manchas | macchie | manchas | vlekken
bacteria | Bakterien | bactéries | bacterias | batteri | bactérias | bacteriën
muscle | Muskel | musculaire | músculo | muscolo | músculo | spier
blurry | unscharf | floue | borroso | sfocato | desfocado | onscherp
sharpen | schärfen | netteté | enfoque | nitidezza | nitidez | verscherpen
"""

# which no tool is for, because napari does it
ELSEWHERE = """
File › Open File(s)… = nd2 | czi | open .lif file | convert czi to tiff | oib | image sequence
File › Save Screenshot = screenshot | save as jpeg | Bildschirmfoto | export image
napari-animation = gif | make a movie | mp4
Scale Bar = scale bar | add a scalebar
colormap = LUT | false color | transparency
below the list of layers = orthogonal view | 3d view
Shapes, Points or Labels = annotation | draw a line | paint
Plot above their table = scatter plot | histogram | boxplot | export to excel
Pixel size… = calibration | set scale | Kalibrierung
napari-tool-runner batch = batch processing | macro | many files
Open Sample = example data | tutorial
Right-click a layer = duplicate layer | split stack
Install/Uninstall = install plugin
"""


@pytest.fixture(scope="module")
def box() -> Toolbox:
    return load_toolbox()


@pytest.mark.parametrize(
    ("typed", "tool"),
    [
        (typed.strip(), tool)
        for pairs in (PAIRS, MORE, NAMES, TONGUES)
        for tool, texts in pairs.items()
        for typed in texts.split("|")
    ],
)
def test_the_fitting_tool_is_first(box: Toolbox, typed: str, tool: str) -> None:
    found = [entry.id for entry in box.search_entries(typed, 3)]
    assert found[:1] == [tool], found


def _typed() -> list[tuple[str, str]]:
    lines = Path(__file__).with_name("typed_phrases.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.rpartition(" = ") for line in lines if not line.startswith("#"))
    return [(typed, tools) for typed, _, tools in pairs]


@pytest.mark.parametrize(("typed", "tools"), _typed())
def test_one_of_the_fitting_tools_is_first(box: Toolbox, typed: str, tools: str) -> None:
    found = box.find(typed, 3)
    first = [entry.id for entry in found.entries][:1]
    if tools == "none":
        assert found.lacks or not found.whole or not first
    else:
        assert first[0] in tools.split()


def test_a_word_is_known_by_its_ending() -> None:
    assert meanings("thrombocytes")[0].instead == meanings("follicle")[0].instead
    assert meanings("xylosomes")[0].instead == meanings("lysosomes")[0].instead


def test_a_name_of_several_words_is_one() -> None:
    assert [one.words for one in meanings("yeast in phase contrast")] == [
        ("yeast", "phase", "contrast")
    ]
    assert [one.words for one in meanings("how many cells")] == [("how", "many", "cells")]


def test_slips_are_mended_and_halves_put_together(box: Toolbox) -> None:
    for typed, tool in (
        ("deconvolition", "deconvolve"),
        ("wathershed", "split_touching"),
        ("star dist", "stardist_2d"),
        ("Image > Adjust > Threshold", "threshold"),
    ):
        assert box.search_entries(typed, 1)[0].id == tool
    assert not box.find("tubeness").whole  # no slip in “tubules”


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


@pytest.mark.parametrize(
    "typed",
    [
        *("skeleton", "skeletonise", "kymograph", "stitch tiles", "FFT"),
        *(typed.strip() for typed in LACKING.split("|")),
    ],
)
def test_what_no_tool_does_is_said_with_the_nearest(box: Toolbox, typed: str) -> None:
    found = box.find(typed, 3)
    assert found.entries
    assert not found.whole


@pytest.mark.parametrize("row", CORE.strip().splitlines())
def test_a_core_word_of_another_tongue_finds_what_the_english_one_does(
    box: Toolbox, row: str
) -> None:
    english, *others = row.split(" | ")
    first = box.search_entries(english, 1)
    assert first
    for word in others:
        assert box.search_entries(word, 1) == first, word


def test_what_napari_does_itself_is_told(box: Toolbox) -> None:
    for line in ELSEWHERE.strip().splitlines():
        where, _, typed = line.rpartition(" = ")
        for text in typed.split(" | "):
            assert where in box.find(text).elsewhere, text
    for text in ("nd2", "gif", "screenshot", "calibration"):
        assert not box.find(text).entries, text
    for text in ("count cells", "histogram equalization", "nuclei in a movie", "open"):
        assert not box.find(text).elsewhere, text
    assert box.search_entries("export to excel", 1)[0].id == "measure_regions"


@pytest.mark.parametrize("typed", ["🙂", "???", "help", "what can I do", "hello world", "asdf"])
def test_where_nothing_is_meant_nothing_is_found(box: Toolbox, typed: str) -> None:
    assert box.find(typed) == ((), False, False, "")


@pytest.mark.parametrize(
    ("typed", "tool"),
    [
        ("germination", "find_objects"),
        ("minicells", "find_objects"),
        ("g-ratio", "measure_regions"),
        ("LC3 puncta", "detect_spots"),
        ("caiman", "find_objects"),
        ("microbeJ", "find_objects"),
        ("only the largest", "remove_small_objects"),
        ("why is my image black", "enhance_contrast"),
        ("3d", "find_objects"),
        ("otzu", "threshold"),
        ("percentage", "measure_regions"),
    ],
)
def test_a_part_of_a_word_leads_nobody_astray(box: Toolbox, typed: str, tool: str) -> None:
    assert box.search_entries(typed, 1)[0].id == tool


def test_an_unknown_word_is_no_part_of_a_help_nor_one_letter_a_name(box: Toolbox) -> None:
    assert not box.find("gnosis").entries  # diagnosis
    assert not box.find("qurt-2").entries
    assert not box.find("installation").entries or not box.find("installation").whole


def test_what_is_worked_on_names_no_tool_by_itself(box: Toolbox) -> None:
    for typed in ("GFP", "mCherry", "STED", "SIM", "DIC", "membranes", "α-tubulin"):
        found = box.find(typed)
        assert found.entries, typed
        assert found.lacks, typed
    assert box.find("measure GFP").whole
    assert box.find("dice").whole


def test_an_acronym_is_no_part_of_another_word(box: Toolbox) -> None:
    assert not box.find("TFP").entries  # not “total variation for pictures” by its letters
    assert not box.find("ERO").entries
    assert box.search_entries("ero", 1)[0].id == "morphology"  # begun


def test_what_nobody_knows_is_near_by_its_letters(box: Toolbox) -> None:
    words, tools = box.alike("tresholdign")
    assert "threshold" in words
    assert tools[0].id == "threshold"
    assert box.alike("qqqqqq") == ((), ())


def test_another_tongue_takes_no_english_word(box: Toolbox) -> None:
    """A word that tools have, or that the table leads somewhere, is not put into English."""
    table = _table()
    assert not [one for one in table.english if one in box._index._postings]
    assert not [one for one in table.english if (one,) in table.means]


def test_the_order_of_words_and_words_between_are_no_matter() -> None:
    for typed in ("touching nuclei", "nuclei that are touching", "touching mouse nuclei"):
        assert ("touching", "nuclei") in [one.words for one in meanings(typed)] or (
            "nuclei",
            "touching",
        ) in [one.words for one in meanings(typed)], typed


def test_the_head_says_found_only_of_what_has_every_word_that_tells(box: Toolbox) -> None:
    for typed in ("rolling ball", "separate touching nuclei", "count the cells", "find objects"):
        assert box.find(typed).whole, typed
    for typed in ("quaternion blur", "tubeness filter", "graycomatrix"):
        assert not box.find(typed).whole, typed
    assert box.find("skeleton").lacks
    assert not box.find("quaternion blur").lacks


def test_words_that_a_name_joins_are_taken_apart() -> None:
    words = frozenset(["mask", "image", "touching", "objects", "touch"])
    assert apart("maskimage", words.__contains__) == (("mask", "image"), True)
    assert apart("immask", words.__contains__) == (("mask",), True)
    assert apart("touchingobjects", words.__contains__) == (("touching", "objects"), True)
    assert apart("grymaskx", words.__contains__) == (("mask",), False)
    assert apart("xxresmask", words.__contains__) == ((), False)  # an “es” is between two words
    assert apart("maskesimage", words.__contains__) == (("mask", "image"), True)
    assert apart("x" * 10_000, words.__contains__) == ((), False)


def test_labels_and_options_are_found(box: Toolbox) -> None:
    assert box.search_entries("minimum cross entropy", 1)[0].id == "threshold"


def test_words_that_say_nothing_are_left_out() -> None:
    assert [one.words for one in meanings("how do I count the cells")] == [("count", "cells")]
    assert [one.words for one in meanings("how do I")] == [("how",), ("do",)]
    assert [one.words for one in meanings("g ratio of t cells")] == [
        ("g", "ratio"),
        ("t", "cells"),
    ]
    assert [one.words for one in meanings("x threshold 2")] == [("threshold",)]
    assert words_of("Z-Project, Éclat") == ["z", "project", "eclat"]
    assert {stem(word) for word in ("track", "tracks", "tracking", "tracked")} == {"track"}
    assert {stem(word) for word in ("bin", "binning", "binned")} == {"bin"}
    assert {stem(word) for word in ("label", "labels", "labelled", "labeling")} == {"label"}
    assert stem("flickering") == stem("flicker")
    assert stem("measurements") == stem("measure")
    assert stem("Segmentierung".lower()) == stem("segment")
