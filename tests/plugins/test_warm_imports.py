"""What packages do when they are imported is the same, whether that is done ahead or not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from napari_tool_runner.plugins.programs.enclosure import enclosure_problem
from plugins.warm_programs import Programs, installed

pytestmark = [
    pytest.mark.usefixtures("warm"),
    pytest.mark.skipif(sys.platform != "linux", reason="programs start cold elsewhere"),
]
enclosed = pytest.mark.skipif(bool(enclosure_problem()), reason=enclosure_problem())
__all__ = ["installed"]


@pytest.fixture(params=[pytest.param(True, marks=enclosed, id="enclosed"), False])
def programs(request: pytest.FixtureRequest, tmp_path: Path) -> Programs:
    return Programs(tmp_path / "jobs" / "tool" / "job" / "io", request.param)


def test_what_lies_beside_a_script_stands_before_what_is_installed(
    programs: Programs, installed: Path
) -> None:
    for name in ("utils", "packed", "besides"):
        (installed / f"{name}.py").write_text(f"WHO = 'installed {name}'")
    (installed / "user.py").write_text("import besides\nWHO = besides.WHO")
    text = "import utils, packed, user, selectors; print(utils.WHO, packed.WHO, user.WHO)"
    name = programs.script(f"{text}; print(selectors.__name__)")
    one = ["installed utils installed packed installed besides", "selectors"]
    assert programs.warmed("python", name)[1] == one
    for path, code in (
        ("utils.py", "WHO = 'own'"),
        ("packed/__init__.py", "WHO = 'own'"),
        ("besides.py", "WHO = 'own'"),
        ("selectors.py", "__name__ = 'own'"),
    ):
        own = programs.work / path
        own.parent.mkdir(exist_ok=True)
        own.write_text(code)
        assert "own" in "".join(programs.both("python", name, warms=False)[1])
        own.unlink()
        if own.parent != programs.work:
            own.parent.rmdir()
    assert programs.run("python", name)[1] == one


def test_a_tool_imports_nothing_for_another(programs: Programs, installed: Path) -> None:
    (installed / "patches.py").write_text("import builtins, sys\nbuiltins.EVIL = 1\n")
    text = "import sys, builtins; print(hasattr(builtins, 'EVIL'), 'patches' in sys.modules)"
    programs.warmed("python", programs.script("import patches", "one.py"))
    assert programs.both("python", programs.script(text, "two.py"))[1] == ["False False"]


def test_a_module_is_the_one_that_the_program_had(programs: Programs, installed: Path) -> None:
    """A folder that a script adds comes before what is installed, for what that imports, too."""
    (installed / "user.py").write_text("import helper\nWHO = helper.WHO")
    (installed / "helper.py").write_text("WHO = 'installed'")
    programs.work.mkdir(parents=True)
    (programs.work / "lib").mkdir()
    (programs.work / "lib" / "helper.py").write_text("WHO = 'own'")
    name = programs.script(
        "import os, sys\nsys.path.insert(0, os.path.abspath('lib'))\nimport user; print(user.WHO)"
    )
    assert programs.both("python", name)[1] == ["own"]


READS = {
    "its variables": (
        "import os\nCOPY = dict(os.environ)\nGIVEN = os.environ.get('GIVEN')",
        "[{k: v for k, v in COPY.items() if 'NAPARI' not in k and k not in 'PATH_'}, GIVEN]",
    ),
    "home": ("from pathlib import Path\nHOME = Path.home()", "HOME"),
    "a cache of it": (
        (
            "import functools, os\n@functools.lru_cache\ndef home():\n    "
            "return os.path.expanduser('~')\nhome()"
        ),
        "home()",
    ),
    "temporary": ("import tempfile\nTMP = tempfile.gettempdir()", "[TMP, tempfile.gettempdir()]"),
    "folder": ("import os\nCWD = os.getcwd()\nclass A: pass\nA.b = (1, CWD)", "[CWD, A.b]"),
    "words": ("import sys\nN = len(sys.argv)", "N"),
    "files": (
        "import tempfile\nD = tempfile.mkdtemp()\nopen(D + '/a', 'w').write('hi')",
        "open(D + '/a').read()",
    ),
    "open files": (
        "import tempfile\nF = tempfile.TemporaryFile('w+')\nF.write('kept'); F.flush()",
        "F.seek(0), F.read()",
    ),
    "streams": (
        (
            "import logging, sys\nO = sys.stdout\nL = logging.getLogger('x')\n"
            "L.addHandler(logging.StreamHandler(sys.stdout)); L.setLevel(10)"
        ),
        "[O.write('one\\n'), L.info('two'), O is sys.stdout]",
    ),
    "variables that it sets": ("import os\nos.environ['SET'] = 'x'", "os.environ['SET']"),
    "a seed": ("import random\nrandom.seed(1)", "random.random()"),
    "another seed": ("import numpy\nnumpy.random.seed(1)", "numpy.random.rand()"),
    "interpreter": (
        (
            "import sys, gc\nsys.setrecursionlimit(500)\ngc.disable()\n"
            "sys.excepthook = lambda *_: print('mine')"
        ),
        "[sys.getrecursionlimit(), gc.isenabled(), int('x')]",
    ),
    "signals": (
        (
            "import signal, os\nsignal.signal(15, signal.SIG_IGN)\n"
            "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\nos.umask(0o077)"
        ),
        "[signal.getsignal(15), signal.pthread_sigmask(0, []), os.umask(0)]",
    ),
    "forks": (
        "import os\nos.register_at_fork(after_in_child=lambda: globals().update(F=1))\nF = 0",
        "F",
    ),
    "limits": (
        "import os, resource\nos.nice(3)\nresource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))",
        "[os.nice(0), resource.getrlimit(resource.RLIMIT_NOFILE)]",
    ),
    "printed": ("import sys\nprint('said', file=sys.stderr)\nprint('and')", "1"),
    "filters": ("import warnings\nwarnings.simplefilter('ignore')", "warnings.filters"),
}


@pytest.mark.parametrize("what", READS)
def test_what_a_package_reads_and_does(programs: Programs, installed: Path, what: str) -> None:
    code, shown = READS[what]
    (installed / "package.py").write_text(code)
    text = f"from package import *\nimport package, json\n{code.splitlines()[0]}\n"
    name = programs.script(f"{text}print(json.dumps({shown}, default=repr, sort_keys=True))")
    cold = programs.run("python", name, "x", warm=False)
    programs.learn("python", name, "x")
    programs.learn("python", name, "x")
    assert programs.run("python", name, "x") == cold
    assert programs.run("bash", "-c", f"python {name} x > out; cat out") == programs.run(
        "bash", "-c", f"python {name} x > out; cat out", warm=False
    )


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("import numpy\nR = numpy.random.default_rng()", "R.random()"),
        ("import random\nR = random.Random()", "R.random()"),
        ("import random\nR = random.random()", "R"),
        ("import uuid\nR = uuid.uuid4()", "R"),
        ("import numpy, random", "numpy.random.rand(), random.random()"),
    ],
)
def test_what_was_drawn_differs_from_run_to_run(
    programs: Programs, installed: Path, code: str, shown: str
) -> None:
    (installed / "package.py").write_text(code)
    name = programs.script(f"from package import *\nprint({shown})")
    programs.learn("python", name)
    found = [programs.run("python", name)[1][0] for _ in range(3)]
    assert len(set(found)) == 3


def test_a_script_that_sets_what_packages_read(programs: Programs, installed: Path) -> None:
    (installed / "package.py").write_text("import os\nSEEN = os.environ.get('SEEN')")
    (installed / "before.py").write_text("")
    name = programs.script(
        "import before, os\nos.environ['SEEN'] = '1'\nimport package; print(package.SEEN)"
    )
    assert programs.both("python", name)[1] == ["1"]


def test_other_words_may_import_something_else(programs: Programs, installed: Path) -> None:
    (installed / "patches.py").write_text("import builtins\nbuiltins.EVIL = 1\n")
    name = programs.script(
        "import sys, builtins\nif sys.argv[1] == '--mode=a': import patches\n"
        "print(hasattr(builtins, 'EVIL'))"
    )
    assert programs.warmed("python", name, "--mode=a", "--sigma=1")[1] == ["True"]
    programs.run("python", name, "--mode=a", "--sigma=2.5e3")
    assert programs.told is True
    assert programs.both("python", name, "--mode=b", "--sigma=1")[1] == ["False"]


def test_data_and_new_modules_of_a_package_are_noticed(
    programs: Programs, installed: Path
) -> None:
    place = installed / "package"
    place.mkdir()
    (place / "data.txt").write_text("1")
    (place / "__init__.py").write_text(
        "import pathlib\nDATA = (pathlib.Path(__file__).parent / 'data.txt').read_text()\n"
        "try: from . import extra\nexcept ImportError: extra = None"
    )
    name = programs.script("import package; print(package.DATA, package.extra is None)")
    assert programs.warmed("python", name)[1] == ["1 True"]
    (place / "data.txt").write_text("2")
    assert programs.run("python", name)[1] == ["2 True"]
    assert programs.warmed("python", name)[1] == ["2 True"]
    (place / "extra.py").write_text("")
    assert programs.run("python", name)[1] == ["2 False"]


def test_a_package_that_hangs_keeps_no_job_waiting(programs: Programs, installed: Path) -> None:
    """It is never waited for by a job, and other programs are forked all the same."""
    (installed / "hangs.py").write_text(
        "import sys, time\nif type(sys.argv) is not list: time.sleep(3600)"
    )
    name = programs.script("import hangs; print(1)")
    programs.run("python", name)
    for _ in range(2):
        assert programs.run("python", name)[:2] == (0, ["1"])
