"""Modules that were imported ahead stay as they are at the end of a program that has no ends."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from napari_tool_runner.plugins import warm
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
