from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import pytest
from tools_helpers import DESCRIPTORS

from napari_tool_runner.errors import ConfigError, DescriptorError, UnknownToolError
from napari_tool_runner.tools import Toolbox, find_tool, load_toolbox
from napari_tool_runner.tools.toolbox import entries
from napari_tool_runner.tools.toolbox import index as index_module
from napari_tool_runner.tools.toolbox.box import BUNDLED, ToolboxFolder
from support import CORPUS, NO_CORPUS


def add(folder: Path, name: str, *, version: str = "1", help_text: str = "", **more: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{more.get('file', name)}.xml"
    path.write_text(
        f'<tool id="{name}" name="{more.get("title", name.title())}" version="{version}">'
        f"<description>{more.get('description', '')}</description><command>{name} ${{i}}</command>"
        '<inputs><param name="i" type="data" format="imagetiff"/></inputs>'
        f"<help>{help_text}</help></tool>"
    )
    if "category" in more:
        (folder / ".shed.yml").write_text(f"categories:\n  - {more['category']}\n")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "box").mkdir()
    return tmp_path / "box"


def box_of(*folders: Path, cache: Path | None = None, **more: object) -> Toolbox:
    cache = cache or folders[0].parent / "cache"
    named = [ToolboxFolder(path.name, path) for path in folders]
    return Toolbox(named, cache_dir=cache, **more)  # type: ignore[arg-type]


def test_mapping(folder: Path) -> None:
    add(folder / "a", "blur", category="Filters")
    add(folder / "b", "count", version="2.0")
    box = box_of(folder)
    assert list(box) == ["blur", "count"]
    assert len(box) == 2
    assert "blur" in box
    assert "count_v2.0" in box
    assert "box/count" in box
    assert "Count_v2.0" in box  # by its name
    assert "absent" not in box
    tool = box["count_v2.0"]
    assert (tool.id, tool.version) == ("count", "2.0")
    assert box["count"] is tool
    assert box["blur"].categories == ("Filters",)
    assert box.problems == ()
    with pytest.raises(KeyError):
        box["absent"]
    entry = box.entry("blur")
    assert entry.path == folder / "a" / "blur.xml"
    assert (entry.toolbox, entry.dialect, entry.formats) == ("box", "bioimageit", ("imagetiff",))


def test_one_bad_file_never_hides_the_others(folder: Path) -> None:
    add(folder, "good")
    (folder / "bad.xml").write_text("<tool id='bad'>")
    (folder / "bomb.xml").write_text("<!DOCTYPE tool [<!ENTITY a 'b'>]><tool/>")
    (folder / "latin.xml").write_bytes(b"<tool name='\xe9'/>")
    (folder / "macros.xml").write_text("<macros/>")
    (folder / "empty.xml").touch()
    box = box_of(folder)
    assert list(box) == ["good"]
    assert sorted(problem.path.name for problem in box.problems) == [
        "bad.xml",
        "bomb.xml",
        "empty.xml",
        "latin.xml",
    ]
    assert all(str(problem).startswith(str(problem.path)) for problem in box.problems)
    # and again from the cache
    assert box_of(folder).problems == box.problems


def test_missing_folders_are_told(tmp_path: Path, folder: Path) -> None:
    add(folder, "good")
    box = box_of(folder, tmp_path / "absent")
    assert list(box) == ["good"]
    (problem,) = box.problems
    assert problem.path == tmp_path / "absent"
    assert "cannot be read" in problem.message


def test_what_is_no_toolbox_is_skipped(folder: Path) -> None:
    add(folder / "test-data", "reference")
    add(folder / ".hidden", "hidden")
    add(folder / "__pycache__", "cached")
    add(folder / "x.zarr", "pixels")
    add(folder / "deep" / "er", "good")
    assert list(box_of(folder)) == ["good"]


def test_same_id_twice_stays_reachable_and_is_told(tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in ("one", "two", "three"))
    for place, version in ((first, "1"), (second, "1"), (third, "2")):
        add(place, "blur", version=version)
    box = box_of(first, second, third)
    assert list(box) == ["blur", "blur_v1", "blur_v2"]
    assert box["blur"].uri == str(first / "blur.xml")
    assert box["two/blur"].uri == str(second / "blur.xml")
    assert box["blur_v1"].uri == str(second / "blur.xml")
    assert box["blur_v2"].uri == box["three/blur"].uri == str(third / "blur.xml")
    told = [problem.message for problem in box.problems]
    assert len(told) == 2
    assert "id “blur” too" in told[0]
    assert "reached as “blur_v2”" in told[1]


def test_folders_inside_one_another_give_each_tool_once(folder: Path) -> None:
    add(folder / "inner", "blur")
    box = box_of(folder, folder / "inner")
    assert list(box) == ["blur"]
    assert box.problems == ()


def test_links_out_of_the_toolbox_are_not_followed(tmp_path: Path, folder: Path) -> None:
    secret = add(tmp_path / "elsewhere", "secret")
    add(folder / "real", "good")
    (folder / "file.xml").symlink_to(secret)
    (folder / "dir").symlink_to(secret.parent)
    (folder / "loop").symlink_to(folder)
    box = box_of(folder)
    assert list(box) == ["good"]
    assert sorted(problem.path.name for problem in box.problems) == ["dir", "file.xml"]


# -- the cache -------------------------------------------------------------------------


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that an index really parses."""
    found: list[str] = []
    read = index_module._read

    def spy(
        paths: Collection[Path], root: Path, name: str, *, strange: bool
    ) -> dict[Path, entries.Made]:
        found.extend(path.name for path in paths)
        return read(paths, root, name, strange=strange)

    monkeypatch.setattr(index_module, "_read", spy)
    return found


def test_unchanged_files_are_not_parsed_again(folder: Path, parsed: list[str]) -> None:
    paths = [add(folder / name, name) for name in ("a", "b")]
    first = box_of(folder)
    assert sorted(parsed) == ["a.xml", "b.xml"]
    parsed.clear()
    assert box_of(folder).entries == first.entries
    assert parsed == []
    os.utime(paths[0], ns=(1, 1))  # another time, the same content
    assert box_of(folder).entries == first.entries
    assert parsed == []
    add(folder / "b", "b", description="now with words")
    assert box_of(folder).entry("b").description == "now with words"
    assert parsed == ["b.xml"]


def test_new_and_removed_files_are_seen(folder: Path) -> None:
    add(folder / "a", "a")
    box = box_of(folder)
    assert box.refresh() is False
    add(folder / "c", "c")
    assert box.refresh() is True
    assert list(box) == ["a", "c"]
    (folder / "a" / "a.xml").unlink()
    assert box.refresh() is True
    assert list(box) == ["c"]
    assert [entry.id for entry in box.search_entries("c")] == ["c"]
    assert box.search_entries("a") == []
    add(folder / "c", "c", category="Now")
    assert box.refresh() is True
    assert box.entry("c").categories == ("Now",)


def test_a_changed_tool_is_read_again(folder: Path) -> None:
    path = add(folder, "a")
    box = box_of(folder)
    assert box["a"].version == "1"
    add(folder, "a", version="2.0.0")
    assert box["a"].version == "2.0.0"
    path.unlink()
    with pytest.raises(DescriptorError, match="There is no file"):
        box["a"]


def test_damaged_and_unwritable_caches_are_done_without(folder: Path, tmp_path: Path) -> None:
    add(folder, "a")
    cache = tmp_path / "cache"
    box_of(folder)
    (file,) = cache.glob("*.json")
    short = json.loads(file.read_text())
    short["files"][str(folder / "a.xml")][4] = [["a"]]  # an entry of another shape
    whole = file.read_text()
    for damage in ("", "{", "[]", "{}", whole[:200], '{"version": 1}', json.dumps(short)):
        file.write_text(damage)
        assert list(box_of(folder)) == ["a"]
    assert json.loads(file.read_text())["folder"] == str(folder)
    blocked = tmp_path / "blocked"
    blocked.touch()
    assert list(box_of(folder, cache=blocked)) == ["a"]


def test_macro_files_belong_to_the_content(folder: Path) -> None:
    (folder / "a.xml").write_text(
        '<tool id="a" name="A" version="@V@+@S@" profile="23.0"><macros><import>macros.xml'
        '</import><token name="@S@">g1</token></macros><expand macro="r"/><command>a</command>'
        "</tool>"
    )
    macros = folder / "macros.xml"
    text = (
        '<macros><token name="@V@">{}</token><xml name="r"><requirements>'
        '<requirement type="package">x</requirement></requirements></xml></macros>'
    )
    macros.write_text(text.format("1"))
    entry = box_of(folder).entry("a")
    assert (entry.version, entry.dialect, entry.requirements) == ("1+g1", "galaxy", ("conda",))
    macros.write_text(text.format("2.0"))
    assert box_of(folder).entry("a").version == "2.0+g1"


def test_imports_outside_the_toolbox_are_not_looked_at(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "secret.xml").write_text('<macros><token name="@V@">secret</token></macros>')
    (folder / "a.xml").write_text(
        '<tool id="a" name="A" version="@V@"><macros><import>../secret.xml</import></macros>'
        "<command>a</command></tool>"
    )
    box = box_of(folder)  # what is listed can be shown
    assert box.entries == ()
    assert "outside its toolbox" in str(box.problems)
    assert "secret<" not in str(box.problems)


@pytest.mark.skipif(CORPUS is None, reason=NO_CORPUS)
def test_published_tools_are_indexed_with_their_versions(tmp_path: Path) -> None:
    assert CORPUS is not None
    box = box_of(CORPUS / "galaxy", cache=tmp_path)
    assert len(box) == 22
    assert box.problems == ()
    assert not any("@" in entry.version + entry.name for entry in box.entries)
    assert box.search_entries("voronoi")[0].id == "voronoi_tessellation"
    assert box.search_entries("treshold")[0].id == "ip_threshold"


def test_opening_from_the_cache_imports_nothing_heavy(folder: Path, tmp_path: Path) -> None:
    add(folder, "a", category="Filters")
    cache = tmp_path / "cache"
    box_of(folder, cache=cache)
    code = (
        "import sys; from pathlib import Path\n"
        "from napari_tool_runner.tools.toolbox.box import Toolbox, ToolboxFolder\n"
        f"box = Toolbox([ToolboxFolder('box', Path({str(folder)!r}))], "
        f"cache_dir=Path({str(cache)!r}))\n"
        "assert box.search_entries('a')[0].id == 'a' and box.categories\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"defusedxml", "yaml", "lxml", "galaxy", "numpy", "skimage", "tifffile", "pandas"}
    assert not heavy & {name.split(".")[0] for name in done}
    assert "xml.etree.ElementTree" not in done


# -- categories ------------------------------------------------------------------------


def test_categories(folder: Path, tmp_path: Path) -> None:
    add(folder / "a", "blur", category="Denoising")
    add(folder / "b", "wiener", category="DECONVOLUTION")
    add(folder / "c", "alone")
    add(folder / "d", "mine", category="Own words")
    rows = [
        {"id": "root2", "name": "Restoration", "parent": "root", "doc": "no address"},
        {"id": "Denoising", "name": "Less noise", "parent": "root2", "thumbnail": "t.png"},
        {"id": "Deconvolution", "name": "Deconvolution", "parent": "root2", "doc": "https://d"},
        {"id": "Empty", "name": "Empty", "parent": "root"},
        {"id": "circle", "name": "Circle", "parent": "circle"},
    ]
    (tmp_path / "t.png").touch()
    (tmp_path / "tree.json").write_text(json.dumps({"categories": rows}))
    box = box_of(folder, categories_files=[tmp_path / "tree.json"])
    assert [category.name for category in box.categories] == ["Restoration", "Own words", "Other"]
    top = {category.name: category for category in box.categories}
    restoration = top["Restoration"]
    assert len(restoration) == 2
    assert restoration.doc == ""
    denoising, deconvolution = restoration.children
    assert (denoising.name, denoising.thumbnail) == ("Less noise", str(tmp_path / "t.png"))
    assert [entry.id for entry in deconvolution.tools] == ["wiener"]
    assert deconvolution.doc == "https://d"
    assert [entry.id for entry in top["Other"].tools] == ["alone"]


def test_categories_stand_in_the_order_of_their_file_then_by_name(folder: Path) -> None:
    for number, name in enumerate(("zeta", "Alpha", "measure", "filter")):
        add(folder / str(number), f"t{number}", category=name)
    add(folder / "o", "alone")
    rows = [{"id": "measure"}, {"id": "filter"}]
    (folder / "toolboxes.json").write_text(json.dumps({"categories": rows}))
    names = [category.name for category in box_of(folder).categories]
    assert names == ["measure", "filter", "Alpha", "zeta", "Other"]


def test_what_ships_stands_in_the_order_of_work() -> None:
    names = [category.name for category in load_toolbox().categories]
    assert names[:4] == ["Filtering", "Segmentation", "Detection", "Measurement"]
    assert names[-1] == "Deep learning"


def test_toolboxes_json_beside_the_tools(folder: Path) -> None:
    add(folder / "a", "blur", category="x")
    (folder / "toolboxes.json").write_text('{"categories": [{"id": "x", "name": "Ex"}]}')
    assert [category.name for category in box_of(folder).categories] == ["Ex"]


@pytest.mark.parametrize("text", ["", "[]", '{"categories": 5}', '{"categories": [{}]}'])
def test_broken_category_files_are_told(folder: Path, tmp_path: Path, text: str) -> None:
    add(folder, "a", category="x")
    (tmp_path / "tree.json").write_text(text)
    box = box_of(folder, categories_files=[tmp_path / "tree.json", tmp_path / "absent.json"])
    assert [category.id for category in box.categories] == ["x"]
    assert {problem.path.name for problem in box.problems} == {"tree.json", "absent.json"}


def test_endless_chains_of_categories_end(folder: Path, tmp_path: Path) -> None:
    add(folder, "a", category="c1999")
    rows = [{"id": f"c{i}", "name": f"C{i}", "parent": f"c{i - 1}"} for i in range(2000)]
    (tmp_path / "tree.json").write_text(json.dumps({"categories": rows}))
    box = box_of(folder, categories_files=[tmp_path / "tree.json"])
    assert [entry.id for top in box.categories for entry in top.all_tools()] == ["a"]
    (tmp_path / "tree.json").write_text('{"categories": ' + "[" * 100_000 + "]" * 100_000 + "}")
    box = box_of(folder, categories_files=[tmp_path / "tree.json"])
    assert [category.id for category in box.categories] == ["c1999"]
    assert "nests" in box.problems[0].message


def test_tokens_that_grow_without_end_are_left_alone(folder: Path) -> None:
    tokens = "".join(
        f'<token name="@T{i}@">{f"@T{i + 1}@" * 50}</token>' for i in reversed(range(12))
    )
    (folder / "a.xml").write_text(
        f'<tool id="a" name="@T0@" profile="23.0"><macros>{tokens}</macros>'
        "<command>a</command></tool>"
    )
    (entry,) = box_of(folder).entries
    assert len(entry.name) <= 10_000


# -- load_toolbox and find_tool ----------------------------------------------------------


def test_load_toolbox(folder: Path, tmp_path: Path) -> None:
    add(folder, "mine")
    other = tmp_path / "other" / "box"
    add(other, "theirs")
    config = {"process": {"xml_dirs": [str(folder), str(other), str(folder)]}}
    box = load_toolbox(config, cache_dir=tmp_path / "cache")
    mine = [entry for entry in box.entries if entry.toolbox != BUNDLED]
    assert [(entry.key, entry.toolbox) for entry in mine] == [("mine", "box"), ("theirs", "box-2")]
    assert box.folders[-1].path == other
    with pytest.raises(ConfigError):
        load_toolbox({"process": {"xml_dirs": 5}})


def test_bundled_tools_are_there() -> None:
    box = load_toolbox({})
    assert box.folders[0].bundled
    assert box.problems == ()


def test_find_tool(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = add(folder / "a", "median_filter", title="Median filter")
    add(folder / "b", "gaussian_filter", title="Gaussian")
    box = box_of(folder)
    tool = box["median_filter"]
    assert find_tool("median_filter", box) is tool
    assert find_tool("median_filter_v1", box) is tool
    assert find_tool(tool) is tool
    for ref in (path, str(path), path.parent):
        assert find_tool(ref, box).uri == str(path)
    assert find_tool("median_filter", box).toolbox == str(folder)
    assert find_tool(str(path), box).toolbox == ""
    config = {"process": {"xml_dirs": [str(folder)]}}
    assert find_tool("box/median_filter", config=config).uri == str(path)
    monkeypatch.chdir(folder)
    assert find_tool("./a", box).toolbox == ""
    with pytest.raises(UnknownToolError, match=r"called so in this folder, write \./a"):
        find_tool("a", box)  # what lies here was not named
    with pytest.raises(UnknownToolError, match=r"no tool “medain_filter”.*“median_filter”"):
        find_tool("medain_filter", box)
    with pytest.raises(UnknownToolError, match="“median_filter”"):
        find_tool("Median", box)
    with pytest.raises(UnknownToolError, match="“napari-tool-runner list”"):
        find_tool("qqqqqq", box)
    with pytest.raises(UnknownToolError, match=r"no descriptor .*absent\.xml"):
        find_tool(folder / "absent.xml", box)


def test_an_id_goes_before_a_file_of_that_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(folder, "blur")
    (folder / "blur").mkdir()
    monkeypatch.chdir(folder)
    assert find_tool("blur", box_of(folder)).toolbox == str(folder)


def test_search_leaves_out_what_cannot_be_read(folder: Path) -> None:
    path = add(folder, "blur")
    add(folder, "blurry")
    box = box_of(folder)
    assert [tool.id for tool in box.search("blur")] == ["blur", "blurry"]
    path.unlink()
    assert [tool.id for tool in box.search("blur")] == ["blurry"]
    assert any(problem.path == path for problem in box.problems)


def test_all_fixtures_make_one_toolbox(tmp_path: Path) -> None:
    box = box_of(DESCRIPTORS, cache=tmp_path)
    assert len(box) > 30
    for key in box:
        assert box[key].dialect == "bioimageit"
    entry = box.entry("fx_viewer")
    assert entry.edam == ("topic_3382", "operation_3443")
    assert box.entry("fx_dct").requirements == ("docker",)


def test_what_a_script_says_that_it_needs_is_in_the_index(tmp_path: Path) -> None:
    """The badges of the list, and what is offered, said that it needs nothing."""
    folder, cache = tmp_path / "box", tmp_path / "cache"
    folder.mkdir()
    text = "<tool id='t' name='T'><command>python '$__tool_directory__run.py'</command></tool>"
    (folder / "t.xml").write_text(text)
    (folder / "run.py").write_text("import numpy\n")
    assert box_of(folder, cache=cache).entry("t").requirements == ()
    (folder / "run.py").write_text("# /// script\n# dependencies = ['numpy']\n# ///\n")
    assert box_of(folder, cache=cache).entry("t").requirements == ("pip",)
    (folder / "run.py").write_text("import numpy\n")
    (folder / "requirements.txt").write_text("numpy\n")
    assert box_of(folder, cache=cache).entry("t").requirements == ("pip",)
    (folder / "requirements.txt").unlink()
    assert box_of(folder, cache=cache).entry("t").requirements == ()


def test_a_picture_that_comes_later_is_noticed(folder: Path, tmp_path: Path) -> None:
    add(folder, "late")
    cache = tmp_path / "cache"
    assert box_of(folder, cache=cache).entry("late").thumbnail == ""
    picture = folder / "late" / "thumbnail.png"
    (picture if picture.parent.is_dir() else folder / "thumbnail.png").write_bytes(b"x")
    assert box_of(folder, cache=cache).entry("late").thumbnail.endswith("thumbnail.png")


@pytest.mark.parametrize(
    "name", ["out.png", "folder", "a\0b", "x" * 300, "../out.png", "gone.png"]
)
def test_what_is_no_picture_of_the_folder_is_passed_over(folder: Path, name: str) -> None:
    (folder.parent / "out.png").write_bytes(b"x")
    (folder / "out.png").symlink_to("../out.png")
    (folder / "folder").mkdir()
    (folder / "in.png").write_bytes(b"x")
    (folder / "link.png").symlink_to("in.png")
    assert entries.picture_in(folder, name) == ""
    assert entries.picture_in(folder, name, "", "link.png") == str(folder.resolve() / "in.png")


def test_a_name_of_what_cannot_be_read_leads_to_its_line(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "one.xml").write_text("<tool id='one'>\n<inputs>\n</tool>")
    box = Toolbox([ToolboxFolder("Mine", tmp_path)])
    with pytest.raises(DescriptorError, match=r"one\.xml, line 3") as told:
        find_tool("one", box)
    assert "Did you mean" not in str(told.value)
