"""What a program takes from modules at its begin is what it would take with nothing ahead."""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import pytest

from plugins.warm_programs import Programs, installed

pytestmark = [
    pytest.mark.usefixtures("warm"),
    pytest.mark.skipif(sys.platform != "linux", reason="programs start cold elsewhere"),
]
__all__ = ["installed"]


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path / "jobs" / "tool" / "job" / "io", enclose=False)


def _install(installed: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        place = installed / name
        place.parent.mkdir(exist_ok=True)
        place.write_text(text)


PACKAGE = "VALUE = 'first'\ndef f(): return VALUE"
TRIED = "try:\n    {}\nexcept ImportError:"
LATER = "import package\npackage.VALUE, package.f = 'later', lambda: 'later'"


@pytest.mark.parametrize(
    ("text", "later"),
    [
        ("from package import f\nimport later\nprint(f())", LATER),
        ("from package import *\nimport later\nprint(f())", LATER),
        (
            "from package import *\nimport later\nprint('g' in globals())",
            f"{LATER}\npackage.g = 1",
        ),
        ("import package\nx = package.VALUE\nimport later\nprint(x)", LATER),
        ("import package\nx = [package.VALUE]\nimport later\nprint(x)", LATER),
        ("import package\ndef f(a=package.VALUE): return a\nimport later\nprint(f())", LATER),
        (
            f"{TRIED.format('from package import g')}\n    g = 0\nimport later\nprint(g)",
            f"{LATER}\npackage.g = 1",
        ),
        (
            f"{TRIED.format('import package.part as g')}\n    g = 0\nimport later\nprint(g)",
            "import sys\nsys.modules['package.part'] = sys",
        ),
        (
            "import package.part as part\nimport later\nprint(part)",
            "import package.part\npackage.part = 'later'",
        ),
        (
            "import package\nimport later\nprint(package)",
            "import sys\nsys.modules['package'] = sys",
        ),
        ("import sys\nx = sys.path[-1]\nimport later\nprint(x)", "import sys\nsys.path[-1] = '/'"),
        ("from json import dumps\nimport later\nprint(dumps(1))", "import json\njson.dumps = str"),
        ("import package\nfrom package import one, two\nprint(one)", ""),
    ],
)
@pytest.mark.parametrize("is_left_out", [True, False])
def test_what_is_imported_later_changes_nothing_that_was_taken_before(
    programs: Programs, installed: Path, text: str, later: str, *, is_left_out: bool
) -> None:
    lazy = (
        "import importlib\ndef __getattr__(name):\n    if name not in ('one', 'two'):\n"
        "        raise AttributeError(name)\n    importlib.import_module(f'package.{name}_')\n"
        "    globals()['one'] = 'later'\n    return name"
    )
    parts = dict.fromkeys(("package/one_.py", "package/two_.py"), "")
    if "package.part as part\nimport" in text:
        parts["package/part.py"] = ""
    end = "\nimport os\nNUMBER = os.getpid()" if is_left_out else ""
    _install(
        installed, {"package/__init__.py": f"{PACKAGE}\n{lazy}", "later.py": later + end, **parts}
    )
    # with another package in its place there is nothing that could be handed on
    warms = not (is_left_out and later.endswith("['package'] = sys"))
    programs.both("python", programs.script(f"import fractions\n{text}"), warms=warms)


@pytest.mark.parametrize("is_left_out", [True, False])
def test_what_a_package_does_comes_before_what_it_imports(
    programs: Programs, installed: Path, *, is_left_out: bool
) -> None:
    end = "NUMBER = os.getpid()" if is_left_out else ""
    first = f"import os\nos.environ['SEEN'] = '1'\nimport second\n{end}"
    second = "import os\nSEEN = os.environ.get('SEEN')"
    _install(installed, {"first.py": first, "second.py": second})
    text = "import fractions\nimport first\nimport second\nprint(second.SEEN)"
    assert programs.both("python", programs.script(text))[1] == ["1"]


def test_what_one_program_leaves_out_is_ahead_of_another(
    programs: Programs, installed: Path
) -> None:
    _install(installed, {"package.py": PACKAGE, "later.py": LATER, "user.py": "import package"})
    programs.both("python", programs.script("from package import f\nimport later\nprint(f())"))
    programs.both("python", programs.script("import user\nprint(user.package.f())", "other.py"))
    (server,) = programs.servers
    assert [one.partition(" ")[0] for one in server._said_once] == ["package"]


@pytest.mark.parametrize(
    "code",
    [
        "V = len(sys.path)",
        "V = sys.path[0][-4:]",
        "V = [*sys.path][0] == KEPT",
        "sys.path.insert(0, '/none'); V = ''",
        "sys.path.insert(1, '/none'); V = ''",
        "sys.path = [*sys.path]; V = ''",
        "from sys import path; V = len(path)",
        "import importlib.metadata as m; V = m.version('numpy')",
        "import importlib.metadata as m; V = [one.name for one in m.entry_points(group='mine')]",
        "import warnings; V = warnings.warn('old', DeprecationWarning, 2)",
    ],
)
@pytest.mark.parametrize("tells", [True, False])
def test_where_modules_are_looked_for(
    programs: Programs, installed: Path, code: str, *, tells: bool
) -> None:
    """First of all in the folder of the script, which is nothing that packages know ahead."""
    _install(installed, {"package.py": f"import sys\nKEPT = ''\n{code}"})
    name = programs.script(
        "import fractions\nimport package, sys\n"
        "print(package.V, [one.rpartition('/')[2] for one in sys.path[:3]])"
    )
    if tells:
        (programs.work / "mine.dist-info").mkdir()
        (programs.work / "mine.dist-info" / "METADATA").write_text("Name: mine\nVersion: 1")
        points = programs.work / "mine.dist-info" / "entry_points.txt"
        points.write_text("[mine]\none = two:three")
    programs.both("python", name, warms=not tells)


@pytest.mark.parametrize(
    "how", ["os.stat(P)", "os.access(P, 4)", "subprocess.check_output(['cat', P])"]
)
def test_a_file_that_is_looked_for_in_other_ways(
    programs: Programs, installed: Path, how: str
) -> None:
    text = (
        f"import os, shutil, subprocess\nP = os.path.dirname(__file__) + '/data'\n"
        f"try:\n    V = {how}\nexcept Exception:\n    V = None\n"
        "V = V if type(V) in (bytes, bool) else V is None\nU = shutil._use_fd_functions"
    )
    _install(installed, {"package.py": text})
    name = programs.script("import fractions\nimport package\nprint(package.V, package.U)")
    before = programs.both("python", name)
    (installed / "data").write_text("1")
    assert programs.run("python", name) == programs.run("python", name, warm=False) != before


def test_words_of_the_command_stand_before_a_lookup(programs: Programs, installed: Path) -> None:
    """Nobody knows them ahead, and no import changes them."""
    code = "import importlib\ndef __getattr__(name):\n    return importlib.import_module('part')"
    _install(installed, {"package.py": code, "part.py": ""})
    name = programs.script(
        "import fractions, sys\nimport package\nprint(sys.argv[1], package.one)"
    )
    for word in ("one", "two"):
        programs.both("python", name, word)
    (server,) = programs.servers
    assert not server._said_once


def test_a_seed_within_the_import_that_brings_numpy(programs: Programs, installed: Path) -> None:
    _install(installed, {"package.py": "import numpy\nnumpy.random.seed(3)"})
    text = "import fractions\nimport package, numpy\nprint(numpy.random.random())"
    programs.both("python", programs.script(text))


def test_an_archive_with_a_first_line(programs: Programs) -> None:
    """As `zipapp` makes it; and what is no text at all."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("__main__.py", "print(__name__)")
    programs.work.mkdir(parents=True)
    (programs.work / "app.pyz").write_bytes(b"#!/usr/bin/env python\n" + file.getvalue())
    assert programs.run("python", "app.pyz")[1] == ["__main__"]
    assert programs.run("python", programs.script("PK = 1\r\nprint(PK)"))[:2] == (0, ["1"])
    name = programs.script("print(1)\n\0")
    assert programs.run("python", name) == programs.run("python", name, warm=False)


def test_a_locale_that_does_not_exist(programs: Programs) -> None:
    """Python then sets one by itself, which is not for what stands in its place to do."""
    name = programs.script(
        "import fractions, os, sys\nprint(os.environ.get('LC_CTYPE'), sys.flags)"
    )
    command = f"unset LC_ALL LC_CTYPE; LANG=xx_XX python {name}"
    programs.both("bash", "-c", command, warms=False)
