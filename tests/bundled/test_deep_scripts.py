"""What the scripts of deep-learning tools do themselves, without the packages of their methods."""

from __future__ import annotations

import importlib.util
import zipfile
from types import SimpleNamespace

import networkx
import numpy as np
import pytest
import tifffile
from scipy import ndimage

from bundled import direct


def script(name):
    path = direct.TOOLS / name / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"bundled_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("axes", "together", "shape", "turned"),
    [
        ("YX", "YX", (16, 24), (1, 1, 16, 24)),
        ("TCYX", "YX", (3, 2, 16, 24), (3, 2, 16, 24)),
        ("CZYX", "YX", (2, 5, 16, 24), (5, 2, 16, 24)),
        ("CZYX", "ZYX", (2, 9, 16, 24), (1, 2, 9, 16, 24)),
        ("TZCYX", "ZYX", (3, 9, 2, 16, 24), (3, 2, 9, 16, 24)),
        ("XYC", "YX", (24, 16, 2), (1, 2, 16, 24)),
    ],
)
def test_noise2void_learns_from_samples_and_gives_the_axes_back(axes, together, shape, turned):
    image = np.random.default_rng(0).random(shape)
    flat, back = script("noise2void").in_order(image, axes, together)
    assert flat.shape == turned
    np.testing.assert_array_equal(back(flat), image)


def test_noise2void_learns_from_pieces_that_fit():
    patch_of = script("noise2void").patch_of
    assert patch_of((512, 40)) == [32, 32]
    assert patch_of((9, 100, 70)) == [8, 64, 64]
    assert patch_of((40, 100, 8)) == [16, 8, 8]
    with pytest.raises(SystemExit, match=r"5 × 64 × 64: choose “each plane”"):
        patch_of((5, 64, 64))


SAME = {"Y": 1, "X": 1}


def a_mean(tile):
    """What a network is here: it shows the edges of its tiles, and cuts one pixel off."""
    return ndimage.uniform_filter(tile, (1, 3, 3), mode="constant")[:, 1:-1, 1:-1]


@pytest.mark.parametrize("side", [8, 12, 40])
def test_a_model_gives_the_same_in_tiles_of_any_size(side):
    image = np.random.default_rng(0).random((1, 17, 30))
    plan = {"Y": (side, 2), "X": (side, 2)}
    told = []
    made = script("bioimageio_model").tiled(
        image, "CYX", plan, a_mean, "CYX", ratios=SAME, tell=lambda *far: told.append(far)
    )
    np.testing.assert_allclose(made, ndimage.uniform_filter(image, (1, 3, 3), mode="reflect"))
    number = -(-17 // (side - 4)) * -(-30 // (side - 4))
    assert told == [(done + 1, number) for done in range(number)]


def test_a_model_of_half_the_pixels_gives_the_pixels_of_the_image():
    classes = np.random.default_rng(0).integers(0, 5, (10, 7))
    image = np.kron(classes, np.ones((2, 2), int))
    plan, half = {"Y": (8, 2), "X": (8, 2)}, {"Y": 0.5, "X": 0.5}
    made = script("bioimageio_model").tiled(
        image, "YX", plan, lambda tile: tile[::2, ::2], "YX", ratios=half, whole=True
    )
    np.testing.assert_array_equal(made, image)


def test_a_model_is_not_believed_that_gives_less_than_it_says():
    with pytest.raises(SystemExit, match="gives 6 pixels for 8"):
        script("bioimageio_model").tiled(
            np.ones((1, 9, 9)), "CYX", {"Y": (8, 0), "X": (8, 0)}, a_mean, "CYX", ratios=SAME
        )


@pytest.mark.parametrize(
    ("size", "length", "halo", "planned"),
    [
        (32, 20, 0, (32, 0)),  # all of it in one tile
        (32, 100, 0, (32, 4)),  # no edge is told: an eighth
        (32, 100, 6, (32, 6)),
        ((16, 8), 20, 0, (24, 0)),
        ((16, 8), 20, 5, (32, 5)),
        ((16, 8), 1000, 5, (64, 5)),
        ((100, 8), 1000, 5, (100, 5)),  # the model takes no smaller ones
    ],
)
def test_tiles_are_as_a_model_wants_them(size, length, halo, planned):
    wanted = size if isinstance(size, int) else SimpleNamespace(min=size[0], step=size[1])
    axis = SimpleNamespace(size=wanted, id="x")
    assert script("bioimageio_model").side_of(axis, length, halo, 64) == planned


def test_a_model_whose_tiles_are_all_edge_is_told():
    axis = SimpleNamespace(size=16, id="x")
    with pytest.raises(SystemExit, match="all of it is edge"):
        script("bioimageio_model").side_of(axis, 100, 8, 64)


def test_a_package_is_a_zip_or_a_folder_with_its_description(tmp_path):
    opened = script("bioimageio_model").opened
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as file:
        file.writestr("model/rdf.yaml", "x")
    assert opened(tmp_path / "model.zip").read_text() == "x"
    (tmp_path / "folder").mkdir()
    with pytest.raises(SystemExit, match=r"bioimageio.yaml or rdf.yaml is missing"):
        opened(tmp_path / "folder")
    (tmp_path / "folder" / "bioimageio.yaml").write_text("y")
    assert opened(tmp_path / "folder") == tmp_path / "folder" / "bioimageio.yaml"
    (tmp_path / "other").write_text("no zip")
    with pytest.raises(SystemExit, match="cannot be read as a zipped model"):
        opened(tmp_path / "other")


def test_what_the_package_that_ships_gives_is_the_arithmetic_that_it_says():
    """Its network is a mean of 5 × 5 normalised pixels; its second result is a mask of that."""
    data = direct.TOOLS / "bioimageio_model" / "test-data"
    image, mean, bright = (
        tifffile.imread(data / f"{name}.tif") for name in ("discs", "mean", "bright")
    )
    normal = (image - image.mean()) / image.std()
    right = ndimage.uniform_filter(normal, 5, mode="reflect")
    np.testing.assert_allclose(mean, right, atol=1e-4)
    np.testing.assert_array_equal(bright, right > 0.5)


def test_instanseg_takes_channels_by_their_numbers():
    numbers = script("instanseg_cells").numbers
    assert numbers("", 3) == [0, 1, 2]
    assert numbers("3, 1", 3) == [2, 0]
    for wrong in ("0", "4", "red"):
        with pytest.raises(SystemExit, match="from 1 to 3"):
            numbers(wrong, 3)


def test_instanseg_knows_a_package_from_a_model(tmp_path):
    given = script("instanseg_cells").given
    for name, inside in (("model", "cells/constants.pkl"), ("package", "cells/instanseg.pt")):
        with zipfile.ZipFile(tmp_path / name, "w") as file:
            file.writestr(inside, "x")
    assert given(tmp_path / "model") == tmp_path / "model"
    assert given(tmp_path / "package").name == "instanseg.pt"
    (tmp_path / "other").write_text("no zip")
    with pytest.raises(SystemExit, match="cannot be read as a zipped model of InstanSeg"):
        given(tmp_path / "other")


def test_trackastra_keeps_every_object_in_a_track():
    labels = np.zeros((4, 8, 8), np.int32)
    # 7 becomes 1, which divides into 2 and 3; 3 goes on; 5 is alone
    for frame, row, number in [(0, 1, 7), (1, 1, 1), (2, 1, 2), (2, 3, 3), (3, 3, 9), (1, 6, 5)]:
        labels[frame, row] = number
    graph = networkx.DiGraph()
    chain = [((0, 7), (1, 1)), ((1, 1), (2, 2)), ((1, 1), (2, 3)), ((2, 3), (3, 9))]
    for one, other in chain:
        for name in (one, other):
            graph.add_node(name, time=name[0], label=name[1])
        graph.add_edge(one, other)
    model = SimpleNamespace(track=lambda *_, **__: (graph, labels))
    args = SimpleNamespace(divide="true", distance=10)
    owner, parents = script("trackastra_tracks").link(model, labels, labels.astype(float), args)
    assert owner[0, 7] == owner[1, 1]
    assert owner[2, 3] == owner[3, 9]
    assert len({*owner.values()}) == 4
    assert {*owner} == {*[one for pair in chain for one in pair], (1, 5)}
    assert parents == {owner[2, 2]: owner[0, 7], owner[2, 3]: owner[0, 7]}


def test_trackastra_is_given_small_numbers_and_tells_those_that_were():
    labels = np.array([[[5, 0], [2**31 + 7, 5]], [[0, 0], [0, 0]]], np.uint32)
    small, names = script("trackastra_tracks").numbered(labels)
    assert small.dtype == np.int32
    assert small.tolist() == [[[1, 0], [2, 1]], [[0, 0], [0, 0]]]
    assert [given.tolist() for given in names] == [[5, 2**31 + 7], []]
