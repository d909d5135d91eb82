"""What the scripts of deep-learning tools do themselves, without the packages of their methods."""

from __future__ import annotations

import importlib.util
import zipfile
from types import SimpleNamespace

import networkx
import numpy as np
import pytest
import tifffile
from napari.layers import Image, Points, Shapes
from scipy import ndimage

from bundled import direct
from napari_tool_runner.exchange import export, snapshot
from napari_tool_runner.tools import read_tool


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


def told(folder, name, rows, shapes=False):
    """Write places (and the cells of more columns) as a layer is written; return the file."""
    first = ["index", "shape-type", "vertex-index"] if shapes else ["index"]
    axes = [f"axis-{i}" for i in range(len(rows[0]["place"]))]
    more = [key for key in rows[0] if key not in ("place", "of", "kind")]
    lines = [",".join([*first, *axes, *more])]
    for number, row in enumerate(rows):
        begin = [row["of"], row.get("kind", "rectangle"), 0] if shapes else [number]
        lines.append(",".join(map(str, [*begin, *row["place"], *(row[key] for key in more)])))
    (folder / name).write_text("\n".join(lines))
    return str(folder / name)


def showing(tmp_path, axes, shape, points=(), boxes=(), beside=(), **more):
    """Return the objects of prompts: (number, plane, box, points, points beside)."""
    values = {"group": "", "sign": "", "points_axes": "", "boxes_axes": "", "beside_axes": ""}
    for name, rows in (("points", points), ("boxes", boxes), ("beside", beside)):
        values[name] = told(tmp_path, name, rows, name == "boxes") if rows else None
    found = script("sam2_prompts").shown(SimpleNamespace(**values | more), axes, shape)
    return [
        (
            one.number,
            one.plane.tolist(),
            None if one.box is None else one.box.tolist(),
            [list(place) for place in one.points],
            [list(place) for place in one.beside],
        )
        for one in found
    ]


def places(*given, **more):
    return [
        {"place": place, **{k: v[i] for k, v in more.items()}} for i, place in enumerate(given)
    ]


def test_each_point_shows_an_object_of_its_number(tmp_path):
    points = places((3, 4), (50, 4), (7.4, 8))
    found = showing(tmp_path, "YX", (20, 20), points)
    assert found == [(1, [], None, [[3, 4]], []), (3, [], None, [[7.4, 8]], [])]


def test_points_in_a_box_are_of_its_object_and_others_are_their_own(tmp_path):
    corners = [(2, 2), (2, 12), (12, 12), (12, 2), (30, 3), (30, 9), (40, 9), (40, 3)]
    boxes = [{"place": place, "of": i // 4} for i, place in enumerate(corners)]
    boxes += [{"place": place, "of": 2, "kind": "line"} for place in ((0, 0), (9, 9))]
    points = places((5, 5), (20, 20), (6, 7))
    found = showing(tmp_path, "YX", (35, 35), points, boxes, places((13, 3), (34, 34)))
    assert found == [
        (1, [], [[2, 2], [12, 12]], [[5, 5], [6, 7]], [[13, 3], [34, 34]]),
        (2, [], [[30, 3], [34.5, 9]], [], [[13, 3], [34, 34]]),
        (5, [], None, [[20, 20]], [[13, 3], [34, 34]]),
    ]


def test_columns_say_whose_a_point_is_and_on_which_side(tmp_path):
    cells = {"cell": ["7", "7.0", "2", "2"], "side": ["1", "positive", "0", "true"]}
    points = places((1, 1), (2, 2), (3, 3), (4, 4), **cells)
    found = showing(tmp_path, "YX", (9, 9), points, group="cell", sign="side")
    assert found == [(7, [], None, [[1, 1], [2, 2]], [[3, 3]]), (2, [], None, [[4, 4]], [[3, 3]])]
    names = places((1, 1), (2, 2), (3, 3), cell=["b", "a", "b"])
    found = showing(tmp_path, "YX", (9, 9), names, group="cell")
    assert [one[0] for one in found] == [1, 2]
    with pytest.raises(SystemExit, match=r"no column “other”: there are cell\."):
        showing(tmp_path, "YX", (9, 9), names, group="other")


def test_what_is_shown_counts_in_its_plane_and_without_one_in_all(tmp_path, capsys):
    module = script("sam2_prompts")
    points = places((0, 3.2, 4, 5), (1, 9, 4, 5), (1, 2, 6, 7))
    found = showing(tmp_path, "TZYX", (2, 5, 9, 9), points, points_axes="TZYX")
    assert found == [(1, [0, 3], None, [[4, 5]], []), (3, [1, 2], None, [[6, 7]], [])]
    assert "outside of the image are left out: 1 of 3" in capsys.readouterr().out
    path = told(tmp_path, "flat", places((4, 5)))
    (row,) = module.points_of(path, "YX", "TYX", (2, 9, 9))
    assert module.Prompt(1, row[2]).within((0,))
    assert module.Prompt(1, row[2]).within((1,))
    assert "says nothing of T: it counts in all planes" in capsys.readouterr().out
    turned = told(tmp_path, "turned", places((4, 5, 1)))
    _, found = module.read_table(turned, "XYC", "YX", (9, 9))
    assert found.tolist() == [[5, 4]]
    with pytest.raises(SystemExit, match="Nothing shows an object"):
        showing(tmp_path, "YX", (3, 3), places((5, 5)))


def test_an_object_is_seen_in_a_window_around_it():
    module = script("sam2_prompts")

    def seen(*points):
        shown = module.Prompt(1, (), points=[np.array(point) for point in points])
        return module.window(shown, (400, 90), 100)

    assert seen((2, 3)) == ((0, 100), (0, 90))
    assert seen((210, 3)) == ((150, 250), (0, 90))
    assert seen((399, 3)) == ((300, 400), (0, 90))
    assert seen((199, 3), (201, 3)) == ((150, 250), (0, 90))
    assert seen((0, 3), (399, 3)) == ((0, 400), (0, 90))
    for row in range(400):
        (first, last), _ = seen((row, 3))
        assert first == 0 or row - first >= 25
        assert last == 400 or last - row > 25


def test_the_network_is_told_places_in_its_own_pixels():
    network = object.__new__(script("sam2_prompts").Network)
    network.part, network.shape, network.side = ((50, 150), (0, 200)), (100, 200), 1000
    corners = network.places([[49.5, -0.5], [149.5, 199.5]])  # of the part
    assert corners.tolist() == [[-0.5, -0.5], [999.5, 999.5]]
    assert network.places([[99.5, 49.5]]).tolist() == [[249.5, 499.5]]


def test_of_a_mask_the_piece_with_the_point_is_kept():
    module = script("sam2_prompts")
    sure = np.full((9, 9), -1.0)
    sure[1:3, 1:3], sure[5:9, 5:9] = 2, 1
    part = ((10, 19), (0, 9))
    shown = module.Prompt(1, (), points=[np.array([11, 2.2])])
    assert module.whole_pieces(sure, shown, part).sum() == 4
    for other in ([np.array([13, 3])], []):
        kept = module.whole_pieces(sure, module.Prompt(1, (), points=other), part)
        assert kept.sum() == 16
    assert not module.whole_pieces(-abs(sure), shown, part).any()


def test_a_pixel_is_one_of_the_object_that_is_surer(monkeypatch):
    module = script("sam2_prompts")
    made = []

    class Network:
        def __init__(self, model, pixels, part):
            self.part = part
            made.append(part)

        def answer(self, prompt, take):
            sure = np.full((8, 12), -1.0)
            column = round(prompt.points[0][1])
            sure[:, max(0, column - 4) : column + 4] = prompt.number
            return sure, prompt.number / 10

    monkeypatch.setattr(module, "Network", Network)
    prompts = [module.Prompt(n, (), points=[np.array([2.0, x])]) for n, x in ((2, 3), (1, 7))]
    args, calls = SimpleNamespace(window=1024, take="best"), []
    found = module.combined(None, np.zeros((3, 8, 12)), prompts, args, lambda: calls.append(1))
    assert found[0][0].tolist() == [2] * 7 + [1] * 4 + [0]
    assert found[1] == {2: 0.2, 1: 0.1}
    assert made == [((0, 8), (0, 12))]
    assert len(calls) == 2


def test_planes_become_three_channels_of_0_to_1():
    channels = script("sam2_prompts").channels
    assert channels(np.full((4, 4), 7), False) is None
    assert channels(np.full((4, 4), np.nan), False) is None
    grey = channels(np.array([[0.0, np.nan], [10, 5]]), False)
    np.testing.assert_allclose(grey[1], [[0, 0], [1, 0.5]], atol=0.01)
    colour = np.zeros((2, 2, 4), np.uint8)
    colour[0, 0] = 51, 102, 255, 9
    np.testing.assert_allclose(channels(colour, True)[:, 0, 0], [0.2, 0.4, 1])


def test_prompts_of_layers_lie_in_the_pixels_of_the_image(tmp_path):
    image = Image(np.zeros((2, 40, 60)), scale=(1, 0.5, 0.25), translate=(0, 10, 20), name="i")
    points = Points([[1, 12.0, 22.0]], scale=(1, 1, 1), name="p")
    corners = np.array([[0, 11, 21], [0, 11, 23], [0, 14, 23], [0, 14, 21]], float)
    boxes = Shapes([corners], shape_type="rectangle", name="b")
    parameters = {
        one.name: one for one in read_tool(direct.descriptor("sam2_prompts")).parameters()
    }
    module, found = script("sam2_prompts"), {}
    for name, layer in (("points", points), ("boxes", boxes)):
        written = export(
            snapshot(layer), parameters[name], tmp_path / name, reference=snapshot(image)
        )
        told_axes = written.file.metadata["axes"]
        found[name] = (str(written.file.path), told_axes)
    (point,) = module.points_of(*found["points"], "TYX", (2, 40, 60))
    assert point[2].tolist() == [1]
    assert point[3].tolist() == [4, 8]
    number, (box,) = module.boxes_of(*found["boxes"], "TYX", (2, 40, 60))
    assert (number, box.number, box.plane.tolist()) == (1, 1, [0])
    assert box.box.tolist() == [[2, 4], [8, 12]]
