"""What packages do when they are imported is the same, whether that is done ahead or not."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from pathlib import Path

import pytest

from napari_tool_runner.plugins.programs.enclosure import enclosure_problem
from napari_tool_runner.plugins.warm import pool
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
    text = "import utils, packed, user, selectors\nprint(utils.WHO, packed.WHO, user.WHO)"
    name = programs.script(f"{text}\nprint(selectors.__name__)")
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
            shutil.rmtree(own.parent)  # compiled modules, too
    assert programs.run("python", name)[1] == one


def test_a_tool_imports_nothing_for_another(programs: Programs, installed: Path) -> None:
    (installed / "patches.py").write_text("import builtins, sys\nbuiltins.EVIL = 1\n")
    text = "import sys, builtins\nprint(hasattr(builtins, 'EVIL'), 'patches' in sys.modules)"
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


@pytest.mark.parametrize("is_there", [True, False])
def test_a_package_that_tries_to_import_what_is_the_script_s(
    programs: Programs, installed: Path, is_there: bool
) -> None:
    (installed / "package.py").write_text(
        "try: import faster\nexcept ImportError: faster = None\nWHO = getattr(faster, 'WHO', 0)"
    )
    name = programs.script("import numpy\nimport package\nprint(package.WHO)")
    if not is_there:
        assert programs.both("python", name)[1] == ["0"]
    programs.script("WHO = 'own'", "faster.py")
    assert programs.both("python", name, warms=is_there)[1] == ["own"]


def test_modules_that_are_compiled_meanwhile_change_nothing(
    programs: Programs, installed: Path
) -> None:
    """The first one that is compiled adds a folder beside all that is installed."""
    (installed / "package.py").write_text("")
    name = programs.script("import numpy\nimport package\nprint(1)")
    programs.warmed("python", name)
    (installed / "__pycache__").mkdir(exist_ok=True)
    os.utime(installed)
    assert programs.run("python", name)[1] == ["1"]
    assert programs.told is True
    (installed / "another.py").write_text("")
    assert programs.run("python", name)[1] == ["1"]
    assert programs.told is not True


LEADING = """
from __future__ import annotations
import sys, os.path as p
VERSION = {"a": [1, -2.5, None]}
if TYPE_CHECKING:
    from typing import Any
if typing.TYPE_CHECKING: import typing
try:
    from a import b
except ImportError:
    b = None
    pass
else:
    import d
"""


@pytest.mark.parametrize(
    ("act", "more"),
    [
        ("x = f()\nimport c", 0),
        ("@f\n@g\nclass A: pass", 0),
        ("def f(a=g()): pass", 0),
        ("x.y = 1", 0),
        ("x[0] = 1", 0),
        ("x: f() = 1", 0),
        ("'text'\nf'{x}'", 1),
        ("try: import c\nexcept f(): x()", 0),
        ("try: import c\nfinally: x()", 0),
        ("if sys.path.clear(): import c", 0),
        ("if TYPE_CHECKING: x()", 0),
        ("import c; f()", 0),
        ("for x in y: pass", 0),
        ("x = (\n", None),
        ("import c", sys.maxsize),
    ],
)
def test_what_stands_before_all_that_a_program_does(
    act: str, more: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(pool.__file__).parent)
    split = importlib.import_module("warm_leading").split
    begin = f'"""It says so."""\n{LEADING}'
    expected = 0 if more is None else min(begin.count("\n") + more, sys.maxsize)
    assert split(begin + act)[0] == expected


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
    "a number of its process": ("import os\nPID = os.getpid()", "PID == os.getpid()"),
    "the program": ("import sys\nF = vars(sys.modules['__main__']).get('__file__')", "F"),
    "the program itself": ("import sys\nM = sys.modules['__main__']", "M.__file__"),
    "words that it keeps": ("from sys import argv as WORDS", "WORDS"),
    "a listing": ("import os\nLISTED = sorted(os.listdir())", "LISTED"),
    "another listing": ("import glob, os\nL = glob.glob(os.path.abspath('*.py'))", "L"),
    "a link": ("import os\nIS_THERE = os.path.lexists('script.py')", "IS_THERE"),
    "lines at once": (
        "import sys\nsys.stdout.reconfigure(line_buffering=True)",
        "sys.stdout.line_buffering",
    ),
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


def test_other_words_import_the_same_at_the_begin(programs: Programs, installed: Path) -> None:
    (installed / "patches.py").write_text("import builtins\nbuiltins.EVIL = 1\n")
    name = programs.script(
        "import sys, builtins\nif sys.argv[1] == '--mode=a': import patches\n"
        "print(hasattr(builtins, 'EVIL'))"
    )
    assert programs.warmed("python", name, "--mode=a", "--sigma=1")[1] == ["True"]
    for mode, seen in (("--mode=b", "False"), ("--mode=a", "True")):
        cold = programs.run("python", name, mode, "extra", warm=False)
        assert programs.run("python", name, mode, "extra") == cold
        assert (cold[1], programs.told) == ([seen], True)


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
    name = programs.script("import package\nprint(package.DATA, package.extra is None)")
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
    name = programs.script("import hangs\nprint(1)")
    programs.run("python", name)
    for _ in range(2):
        assert programs.run("python", name)[:2] == (0, ["1"])


def test_a_constant_that_a_package_reads(programs: Programs, installed: Path) -> None:
    (installed / "package.py").write_text("from __main__ import LEVEL")
    name = programs.script("LEVEL = 3\nimport package\nprint(package.LEVEL)")
    assert programs.both("python", name)[1] == ["3"]


def test_a_package_that_looks_which_module_a_file_is_of(
    programs: Programs, installed: Path
) -> None:
    # `inspect` looks at all modules for that; PyTorch does so
    (installed / "package.py").write_text(
        "import inspect, sys\nWHERE = inspect.getframeinfo(sys._getframe()).code_context"
    )
    name = programs.script(
        "import package\nimport inspect, sys\nprint(package.WHERE)\n"
        "print(inspect.getmodule(sys._getframe()), inspect.getsource(sys._getframe()))"
    )
    cold = programs.run("python", name, warm=False)
    assert programs.warmed("python", name) == cold
    assert cold[0] == 0


SET = "import os\nos.environ['SEEN'] = '1'"
READ = "import os\nSEEN = os.environ.get('SEEN')"
BEFORE = {
    "a variable": (SET, READ),
    "an alias": ("import os\nfound = os.environ\nfound['SEEN'] = '2'", READ),
    "where modules lie": (
        "import os, sys\nsys.path.insert(0, os.path.abspath('lib'))",
        "import helper\nSEEN = helper.WHO",
    ),
    "another package": ("import helper\nhelper.WHO = 'own'", "from helper import WHO as SEEN"),
    "a number": (
        "import decimal\ndecimal.getcontext().prec = 3",
        "from decimal import Decimal\nSEEN = Decimal(1) / 3",
    ),
    "logs": (
        "import logging\nlogging.basicConfig(level=10)",
        "import logging\nSEEN = logging.getLogger().level",
    ),
    "warnings": (
        "import warnings\nwarnings.simplefilter('always')",
        "import warnings\nwarnings.warn('old', DeprecationWarning)\nSEEN = 1",
    ),
}


@pytest.mark.parametrize(
    ("what", "where"),
    [*((what, "script") for what in BEFORE)]
    + [("a variable", where) for where in ("function", "helper", "loop")],
)
def test_what_a_script_does_before_an_import(
    programs: Programs, installed: Path, what: str, where: str
) -> None:
    """Even if it does it for other numbers only than those with which it was learned."""
    act, code = BEFORE[what]
    (installed / "package.py").write_text(code)
    (installed / "helper.py").write_text("WHO = 'installed'")
    (programs.work / "lib").mkdir(parents=True)
    (programs.work / "lib" / "helper.py").write_text("WHO = 'own'")
    first, *rest = act.split("\n")
    acts = "".join(f"\n        {one}" for one in rest)
    begin = (
        f"import sys\n{first}\ndef prepare():\n    if sys.argv[1] == '1':{acts}\n"
        "def work():\n    import package\n    print(package.SEEN)\n"
    )
    text = {
        "script": f"{begin}prepare()\nwork()\n",
        "function": f"{begin}def main():\n    prepare()\n    work()\nmain()\n",
        "helper": "from beside import prepare\nprepare()\nimport package\nprint(package.SEEN)\n",
        "loop": f"{begin}for one in range(2):\n    if one: work()\n    prepare()\n",
    }[where]
    (programs.work / "beside.py").write_text(begin)
    name = programs.script("import numpy\n" + text)
    told = [programs.run("python", name, number, warm=False) for number in "01"]
    assert told[0] != told[1]
    programs.learn("python", name, "0")
    for number in "01":
        assert programs.run("python", name, number) == told[int(number)]
        assert programs.told is True


def test_what_cannot_be_imported_without_the_script_is_left_out(
    programs: Programs, installed: Path
) -> None:
    (installed / "base.py").write_text("")
    (installed / "half").mkdir()
    (installed / "half" / "part.py").write_text("V = 1")
    (installed / "half" / "__init__.py").write_text("import half.part, base\nX = base.legacy")
    text = "import base\nvars(base)['legacy'] = 1\nimport half\nprint(half.part.V)"
    assert programs.both("python", programs.script(text))[1] == ["1"]
    text = "import base\n(lambda: base).__call__().legacy = 1\nimport half\nprint(half.part.V)"
    assert programs.both("python", programs.script(text, "other.py"))[1] == ["1"]


@pytest.mark.parametrize("how", ["os.path.exists(P)", "pathlib.Path(P).is_file()"])
@pytest.mark.parametrize("place", ["'cfg.txt'", "os.path.expanduser('~/.rc')"])
def test_a_file_that_a_package_looks_for(
    programs: Programs, installed: Path, how: str, place: str
) -> None:
    (installed / "package.py").write_text(
        f"import os, pathlib\nP = {place}\nV = open(P).read() if {how} else 'none'\ndel P"
    )
    name = programs.script("import package\nprint(package.V)")
    assert programs.warmed("python", name)[1] == ["none"]
    command = f"echo mine > ~/.rc; cp ~/.rc cfg.txt; python {name}"
    assert programs.both("bash", "-c", command, warms=False)[1] == ["mine", ""]
    (programs.work / "cfg.txt").unlink()


def test_memory_of_a_package_is_shared_with_nobody(programs: Programs, installed: Path) -> None:
    (installed / "package.py").write_text("import mmap\nM = mmap.mmap(-1, 64)")
    name = programs.script("import package\nprint(package.M[0])\npackage.M[0] = 1")
    for _ in range(2):
        assert programs.both("python", name)[1] == ["0"]


def test_hooks_of_forks_are_for_those_of_the_program(programs: Programs, installed: Path) -> None:
    """PyTorch has some."""
    (installed / "package.py").write_text(
        "import os\nCALLS = []\nos.register_at_fork(before=lambda: CALLS.append('before'),\n"
        "    after_in_parent=lambda: CALLS.append('parent'),\n"
        "    after_in_child=lambda: CALLS.append('child'))"
    )
    name = programs.script(
        "import os, package, sys\nprint(package.CALLS, 'package' in sys.modules, flush=True)\n"
        "if os.fork():\n    os.wait()\nprint(package.CALLS)"
    )
    lines = programs.both("python", name)[1]
    assert lines[0] == "[] True"
    assert sorted(lines[1:]) == ["['before', 'child']", "['before', 'parent']"]
    assert [one for server in programs.servers for one in server._said_once] == []


@pytest.mark.parametrize("name", ["editable.pth", "sitecustomize.py"])
def test_what_python_begins_with_counts(installed: Path, tmp_path: Path, name: str) -> None:
    """As what an installation writes that can be edited."""
    programs = Programs(tmp_path / "jobs" / "tool" / "job" / "io", enclose=False)
    source = installed / "source"
    source.mkdir()
    (source / "of_source.py").write_text("")
    if name.endswith(".pth"):
        code = f"import site; site.addsitedir({str(installed)!r})"
        (installed / "sitecustomize.py").write_text(code)
    programs.learn("python", programs.script("import numpy"))
    code = f"import sys; sys.path.append({str(source)!r})"
    (installed / name).write_text(f"{source}\n" if name.endswith(".pth") else code)
    other = programs.script("import of_source\nprint(1)", "other.py")
    assert programs.run("python", other) == (0, ["1"], [])
    assert programs.warmed("python", other) == (0, ["1"], [])
