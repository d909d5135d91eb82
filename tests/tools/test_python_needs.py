"""What tools need from PyPI, as their scripts and the files beside them say."""

from __future__ import annotations

from textwrap import dedent

import pytest

import napari_tool_runner as ntr
from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.tools import read_tool
from napari_tool_runner.tools.describe import describe_text
from napari_tool_runner.tools.model import PythonRequirement
from napari_tool_runner.tools.python_needs import needs_of_script, versions, wanted

TOOL = """<tool id="t" name="T">{more}
  <command>python '$__tool_directory__/run.py' ${{o}}</command>
  <inputs/><outputs><data name="o" format="imagetiff"/></outputs></tool>"""
HEAD = """\
#!/usr/bin/env python
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "numpy>=2",
#   "scikit-image[data]==0.24.0; sys_platform != 'win32'",
# ]
#
# [[tool.uv.index]]
# url = "https://index.example/simple"
# ///
import numpy
"""
HASH = f"sha256:{'a' * 64}"


@pytest.fixture
def tool(tmp_path):
    def read(more="", **files):
        for name, text in {"run_py": "", **files}.items():
            (tmp_path / name.replace("_", ".", 1)).write_text(dedent(text))
        (tmp_path / "t.xml").write_text(TOOL.format(more=more))
        return read_tool(tmp_path / "t.xml")

    return read


def test_the_head_of_a_script(tool) -> None:
    found = tool(run_py=HEAD, requirements_txt="other\n")
    (needed,) = found.requirements
    assert needed == PythonRequirement(
        requirements=("numpy>=2", 'scikit-image[data]==0.24.0; sys_platform != "win32"'),
        python=">=3.11",
        indexes=("https://index.example/simple",),
        source="run.py",
    )
    assert "needs: PyPI numpy>=2" in describe_text(found)
    assert not found.notes


@pytest.mark.parametrize("head", ["", "# /// other\n# dependencies = ['numpy']\n# ///\n"])
def test_a_script_that_says_nothing(tool, head) -> None:
    assert tool(run_py=head).requirements == ()


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ("dependencies = ['numpy']\n+", "from line 2 on no line “# ///” ends it"),
        ("+import numpy", "from line 2 on no line “# ///” ends it"),
        ("dependencies = [", "(at end of document)"),
        ("dependencies = [\n'numpy'\n'scipy']", "(at line 5, column"),
        ("dependencies = 'numpy'", "“dependencies” is no list of texts"),
        ("dependencies = [1]", "“dependencies” is no list of texts"),
        ("requires-python = 'rubbish'", "“requires-python” is rubbish, no versions"),
        ("requires-python = 3.12", "“requires-python” is 3.12, no versions"),
        ("///\n+x = 1\n/// script", "there is a second one at line 5"),
        ("a = " + "[" * 9000, "nested"),
        ("dependencies = ['humanize =>> 3']", "“humanize =>> 3” of run.py cannot be installed"),
        ("dependencies = ['humanize = 4.9.0']", "write “humanize==4.9.0”"),
        ("dependencies = ['numpy 2']", "“numpy 2” of run.py cannot"),
        ("dependencies = ['3']", "“3” of run.py cannot"),
        ("dependencies = ['-i https://a.example/simple']", "cannot be installed"),
        ("dependencies = ['git+https://x/y']", "only packages by name and version"),
        ("dependencies = ['y @ git+https://x/y']", "only packages by name and version"),
        ("[tool.uv]\nexclude-newer = '2025-01-01'", "[tool.uv] exclude-newer of run.py"),
        ("[tool.uv.sources]\ny = { git = 'https://x/y' }", "[tool.uv] sources of run.py"),
        ("[tool.uv.pip]\ntorch-backend = 'cu128'", "[tool.uv] pip of run.py"),
    ],
)
def test_a_head_that_cannot_be_honoured_keeps_the_tool_from_running(tool, head, told) -> None:
    """It ran in napari's own Python, or with a package that nobody asked for."""
    lines = [one[1:] if one[:1] == "+" else f"# {one}" for one in head.split("\n")]
    closed = not head.endswith("+") and not head.startswith("+")
    text = "\n".join(["import os", "# /// script", *lines, *["# ///"] * closed, ""])
    found = tool(run_py=text)
    assert told in " ".join(note.what for note in found.problems)
    assert isinstance(found.requirements[0], PythonRequirement)
    with pytest.raises(ToolRunnerError, match=r"run\.py"):
        ntr.run(found)


def test_where_a_head_ends(tool) -> None:
    """At the last line that may end it, as the standard says."""
    text = "# /// script\n# dependencies = ['a']\n# ///\n# x = '''\n# ///\n# '''\n# ///\n"
    assert "cannot be used" in tool(run_py=text).problems[0].what
    text = "# /// script\n# dependencies = ['a']\n# x = '''\n# ///\n# '''\n# ///\nimport a\n"
    assert tool(run_py=text).requirements[0].requirements == ("a",)


def test_the_script_is_found_as_each_language_names_it(tmp_path) -> None:
    """BioImageIT writes no slash: what “New tool…” makes ran without its packages."""
    (tmp_path / "run.py").write_text(HEAD)
    for name in (
        "$__tool_directory__run.py",
        "${__tool_directory__}/run.py",
        "./run.py",
        "run.py",
    ):
        assert needs_of_script(f"python '{name}' x", tmp_path) is not None, name


def test_what_is_no_package_by_name_is_left_out_and_told(tool) -> None:
    found = tool(
        requirements_txt="""\
        # what we need
        numpy==2.0 \\
            --hash=sha256:abc   # a comment
        --extra-index-url https://more.example/simple
        -e .
        git+https://example.org/x.git
        other @ https://example.org/other.whl
        """
    )
    (needed,) = found.requirements
    assert needed.requirements == ("numpy==2.0",)
    assert needed.pins == ("numpy==2.0 --hash=sha256:abc",)
    assert needed.indexes == ("https://more.example/simple",)
    assert needed.source == "requirements.txt"
    told = " ".join(note.what for note in found.notes)
    assert all(word in told for word in ("-e", "git+https", "https://example.org/other.whl"))


def test_a_project_and_its_lock(tool) -> None:
    project = '[project]\nname = "x"\nrequires-python = ">=3.9"\ndependencies = ["numpy"]\n'
    lock = f"""
        version = 1
        [[package]]
        name = "numpy"
        version = "2.1.0"
        source = {{ registry = "https://pypi.org/simple" }}
        wheels = [{{ url = "https://x/numpy.whl", hash = "{HASH}" }}]
        [[package]]
        name = "forked"
        version = "1"
        source = {{ registry = "https://pypi.org/simple" }}
        [[package]]
        name = "forked"
        version = "2"
        source = {{ registry = "https://pypi.org/simple" }}
        [[package]]
        name = "x"
        version = "0"
        source = {{ virtual = "." }}
        """
    (needed,) = tool(pyproject_toml=project).requirements
    assert (needed.requirements, needed.python, needed.source) == (
        ("numpy",), ">=3.9", "pyproject.toml",
    )  # fmt: skip
    (needed,) = tool(pyproject_toml=project, uv_lock=lock).requirements
    assert needed.pins == (f"numpy==2.1.0 --hash={HASH}",)
    assert needed.source == "uv.lock"
    assert tool(pyproject_toml="[tool.ruff]\n").requirements == ()


def test_the_lock_of_a_script(tool, tmp_path) -> None:
    lock = """
        version = 1
        [[package]]
        name = "numpy"
        version = "2.1.0"
        source = { registry = "https://pypi.org/simple" }
        """
    (tmp_path / "run.py.lock").write_text(dedent(lock))
    (needed,) = tool(run_py=HEAD).requirements
    assert (needed.pins, needed.source) == (("numpy==2.1.0",), "run.py.lock")


def test_packages_for_poetry_alone_are_told(tool) -> None:
    poetry = '[tool.poetry.dependencies]\npython = "^3.11"\nnumpy = "^2"\n'
    found = tool(pyproject_toml=poetry)
    assert "for Poetry alone" in found.problems[0].what
    assert not tool(pyproject_toml=poetry, requirements_txt="numpy\n").problems


def test_a_descriptor_comes_first(tool) -> None:
    package = '<requirements><package type="pip" python="3.12" index="https://i/simple">{}</package></requirements>'
    (needed,) = tool(package.format("pip install numpy==2 tifffile"), run_py=HEAD).requirements
    assert needed.requirements == ("numpy==2", "tifffile")
    assert (needed.python, needed.indexes) == ("==3.12.*", ("https://i/simple",))
    lines = "\n  numpy>=2 ; python_version &lt; '3.13'\n  tifffile >= 2024\n"
    (needed,) = tool(package.format(lines)).requirements
    assert needed.requirements == ('numpy>=2; python_version < "3.13"', "tifffile>=2024")
    found = tool(package.format("git+https://x/y"))
    assert "git+https" in found.problems[0].what
    found = tool(package.format("numpy 2.0"))
    assert found.requirements[0].requirements == ("numpy",)
    assert "“2.0” cannot be installed" in found.problems[0].what
    found = tool(package.format("numpy = 2.0"))
    assert "“=”" in found.problems[0].what
    found = tool(package.format("numpy").replace("3.12", "three"))
    assert "python=“three” names no versions" in found.problems[0].what


@pytest.mark.parametrize(
    "place", ["file:///etc", "/home/me", "https://a/simple https://b/simple", "https://${TOKEN}/x"]
)
def test_an_index_is_one_address_of_a_server(tool, place) -> None:
    found = tool(run_py=HEAD.replace("https://index.example/simple", place))
    assert found.requirements[0].indexes == ()
    assert "is no index" in found.problems[0].what
    package = (
        f'<requirements><package type="pip" index="{place.split()[0]}">x</package></requirements>'
    )
    found = tool(package)
    assert all(one.startswith("https://a/") for one in found.requirements[0].indexes)
    found = tool(requirements_txt=f"x\n--index-url {place.split()[0]}\n")
    assert all(one.startswith("https://a/") for one in found.requirements[0].indexes)


def test_only_scripts_of_the_tool_are_asked(tmp_path) -> None:
    (tmp_path / "outer.py").write_text(HEAD)
    inner = tmp_path / "tool"
    inner.mkdir()
    (inner / "linked.py").symlink_to(tmp_path / "outer.py")
    assert needs_of_script("python ../outer.py", inner) is None
    assert needs_of_script("python linked.py", inner) is None
    assert needs_of_script("python 'outer.py' x", tmp_path) is not None


def test_versions_of_python() -> None:
    assert versions("3.12") == "==3.12.*"
    assert versions("3.12.1") == "==3.12.1"
    assert versions(" >=3.11,<4 ") in (">=3.11,<4", "<4,>=3.11")
    assert versions("whatever") == versions("") == ""


def test_many_packages_are_a_list_of_bounded_length() -> None:
    needed = wanted([f"p{n}" for n in range(5000)]).requirement
    assert len(needed.requirements) == 1000


def test_which_build_of_pytorch_is_taken(tool) -> None:
    lines = 'dependencies = ["torch"]', "[tool.uv.pip]", 'torch-backend = "{}"'
    head = "\n".join(["# /// script", *(f"# {line}" for line in lines), "# ///", ""])
    for said in ("auto", "cpu"):
        found = tool(run_py=head.format(said))
        assert (found.requirements[0].torch, found.notes) == (said, ())
    found = tool(run_py=head.format("cu128"))
    assert (found.requirements[0].torch, len(found.notes)) == ("", 1)
    package = '<requirements><package type="pip" torch="{}">torch</package></requirements>'
    found = tool(package.format("auto"))
    assert (found.requirements[0].torch, found.notes) == ("auto", ())
    found = tool(package.format("gpu"))
    assert found.requirements[0].torch == ""
    assert "torch=“gpu” is none of auto, cpu." in found.notes[0].what
