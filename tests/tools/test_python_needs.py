"""What tools need from PyPI, as their scripts and the files beside them say."""

from __future__ import annotations

from textwrap import dedent

import pytest

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


@pytest.mark.parametrize(
    "head",
    [
        "",
        "# /// script\n# dependencies = ['numpy']\n",  # not closed
        "# /// script\n# dependencies = [\n# ///\n",  # no TOML
        "# /// script\nimport numpy\n# ///\n",
        "# /// other\n# dependencies = ['numpy']\n# ///\n",
    ],
)
def test_a_script_that_says_nothing(tool, head) -> None:
    assert tool(run_py=head).requirements == ()


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


def test_a_descriptor_comes_first(tool) -> None:
    package = '<requirements><package type="pip" python="3.12" index="https://i/simple">{}</package></requirements>'
    (needed,) = tool(package.format("pip install numpy==2 tifffile"), run_py=HEAD).requirements
    assert needed.requirements == ("numpy==2", "tifffile")
    assert (needed.python, needed.indexes) == ("==3.12.*", ("https://i/simple",))
    lines = "\n  numpy>=2 ; python_version &lt; '3.13'\n  tifffile >= 2024\n"
    (needed,) = tool(package.format(lines)).requirements
    assert needed.requirements == ('numpy>=2; python_version < "3.13"', "tifffile>=2024")
    found = tool(package.format("git+https://x/y"))
    assert "left out" in found.notes[0].what


@pytest.mark.parametrize(
    "place", ["file:///etc", "/home/me", "https://a/simple https://b/simple", "https://${TOKEN}/x"]
)
def test_an_index_is_one_address_of_a_server(tool, place) -> None:
    found = tool(run_py=HEAD.replace("https://index.example/simple", place))
    assert found.requirements[0].indexes == ()
    assert "left out" in found.notes[0].what
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
