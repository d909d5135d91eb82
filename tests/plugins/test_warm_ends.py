"""Modules that were imported ahead stay as they are at the end of a program that has no ends."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from napari_tool_runner.plugins import warm
from napari_tool_runner.plugins.programs.enclosure import enclosure_problem
from plugins.warm_programs import Programs, installed

__all__ = ["installed"]

pytestmark = [
    pytest.mark.usefixtures("warm"),
    pytest.mark.skipif(sys.platform != "linux", reason="programs start cold elsewhere"),
]

# what is told at the end of Python itself: a variable of a module or a package of others
AT_THE_END = [
    "kept = open('made', 'w'); kept.write('whole')",
    "import mine; mine.kept = open('made', 'w'); mine.kept.write('whole')",
    "import mine; mine.kept = [open('made', 'wb')]; mine.kept[0].write(b'whole')",
    """
    import mine
    class End:
        def __del__(self): print('end')
    mine.kept = End(); mine.kept.itself = mine.kept
    """,
    """
    import mine
    def steps():
        try: yield
        finally: print('end')
    mine.kept = steps(); next(mine.kept)
    """,
    """
    import atexit, mine, weakref
    class Kept: pass
    mine.kept = Kept()
    weakref.finalize(mine.kept, print, 'finalized')
    atexit.register(lambda: print(mine.kept is not None))
    """,
]


@pytest.mark.parametrize("text", AT_THE_END)
def test_what_happens_at_the_end_happens(tmp_path: Path, installed: Path, text: str) -> None:
    (installed / "mine.py").write_text("kept = None", encoding="utf-8")
    programs = Programs(tmp_path / "jobs" / "tool" / "job" / "io", enclose=False)
    name = programs.script(f"import mine\n{textwrap.dedent(text)}")
    made, found = programs.work / "made", []
    cold = programs.run("python", name, warm=False)
    found.append(made.read_bytes() if made.exists() else b"")
    programs.learn("python", name)
    made.unlink(missing_ok=True)
    assert programs.run("python", name) == cold
    assert programs.told is True
    found.append(made.read_bytes() if made.exists() else b"")
    assert found[0] == found[1]
    assert cold[1] or found[0]


# a weak reference tells whether a module was emptied, and is no end that has to be awaited
EMPTIED = """
import gc, os, sys
from warm_leaving import Leaving
leaving = Leaving(frozenset(sys.modules))
import colorsys
class Kept: pass
colorsys.kept = Kept()
leaving.keep()
gc.freeze()
tell = lambda _, write=os.write: write(1, b"emptied\\n")
sys.told = __import__("weakref").ref(colorsys.kept, tell)
"""


def _ended(text: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", text],
        cwd=Path(warm.__file__).parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return (done.stdout + done.stderr).splitlines()


def test_modules_stay_as_they_are() -> None:
    assert _ended(EMPTIED) == []
    assert _ended(EMPTIED.replace("leaving.keep()", "")) == ["emptied"]
    assert _ended(f"{EMPTIED}\nsys.exit('said')") == ["said"]


def test_modules_are_emptied_where_something_would_happen() -> None:
    end = "\nclass End:\n    def __del__(self): print('end')\ncolorsys.end = End()"
    assert sorted(_ended(EMPTIED + end)) == ["emptied", "end"]
    ahead = EMPTIED.replace("leaving.keep()", f"{end}\nleaving.keep()")
    assert sorted(_ended(ahead)) == ["emptied", "end"]
    others = EMPTIED.replace(
        "leaving = ", "import atexit\natexit.register(print, 'own')\nleaving = "
    )
    assert sorted(_ended(others)) == ["emptied", "own"]


# whether a program ends as C does; its own end would be seen by what it holds then
QUICK = """
import mmap, os, sqlite3, sys, warm_leaving, weakref
from pathlib import Path
leaving = warm_leaving.Leaving(frozenset(sys.modules))
import colorsys, numpy, threading
def quick(status):
    os.write(1, b"quick\\n")
    os._exit(status)
warm_leaving.end_as_c_does = quick
leaving.keep()
warm_leaving.gc.freeze()
leaving.ends(None)
class Kept: pass
"""


@pytest.mark.parametrize(
    "text",
    [
        "kept = [1, 'a', Kept()]; kept.append(kept)",
        "kept = numpy.arange(3.0)[1:]; print('said', end='')",
        "kept = {'a': (1, True)}; weak = weakref.ref(Kept)",
        "sys.exit()",
    ],
)
def test_what_made_memory_only_ends_as_c_does(text: str) -> None:
    assert "".join(_ended(QUICK + text)) in ("quick", "saidquick")


@pytest.mark.parametrize(
    "text",
    [
        "kept = sqlite3.connect(':memory:')",
        "kept = (1, (sqlite3.connect(':memory:'),))",
        "kept = Kept(); kept.a = {1: sqlite3.connect(':memory:')}",
        "class Mine(sqlite3.Connection): pass\nkept = Mine(':memory:')",
        "kept = numpy.array([sqlite3.connect(':memory:')], dtype=object)",
        "kept = numpy.frombuffer(mmap.mmap(-1, 8), numpy.uint8)",
        "kept = Kept(); weak = weakref.ref(kept, print)",
        "threading.Thread(target=threading.Event().wait, daemon=True).start()",
        "import _elementtree",
        "leaving.status = None",
        "leaving.status = None; leaving.ends('said')",
        "leaving.status = None; leaving.ends(256)",
        "leaving.status = None; leaving.ends(True)",
    ],
)
def test_what_may_do_something_at_its_end_is_ended_by_python(text: str) -> None:
    assert "quick" not in _ended(QUICK + text)


def test_a_library_that_is_called_at_the_very_end_is(tmp_path: Path) -> None:
    library = tmp_path / "one.so"
    library.write_bytes(b"\0Py_AtExit\0".ljust(4096))
    held = f"held = mmap.mmap(open({str(library)!r}, 'r+b').fileno(), 0)\nleaving.keep()"
    assert _ended(QUICK) == ["quick"]
    assert "quick" not in _ended(QUICK.replace("leaving.keep()", held))


@pytest.mark.parametrize("status", [0, 3, 255])
def test_a_quick_end_has_the_status_of_the_program(
    installed: Path, tmp_path: Path, status: int
) -> None:
    programs = Programs(tmp_path / "jobs" / "tool" / "job" / "io", enclose=False)
    name = programs.script(f"import numpy, sys\nprint('a', end='')\nsys.exit({status})")
    assert programs.both("python", name) == (status, ["a"], [])


ASKS = """
import numpy
import sys
frame = sys._getframe()
while frame and "server" not in frame.f_locals:
    frame = frame.f_back
memory = frame.f_locals["server"].leaving._memory if frame else None
del frame
print(memory is not None and memory.is_all(sys.modules["gc"].get_objects()))
"""


@pytest.mark.parametrize("enclose", [False, True])
def test_what_a_fork_makes_before_its_program_is_memory(
    tmp_path: Path, installed: Path, enclose: bool
) -> None:
    if enclose and (why := enclosure_problem()):
        pytest.skip(why)
    programs = Programs(tmp_path / "jobs" / "tool" / "job" / "io", enclose=enclose)
    name = programs.script(ASKS)
    assert programs.warmed("python", name) == (0, ["True"], [])
