"""What a program looks up in modules before it does anything is looked up ahead, too."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_tool_runner.plugins.warm import pool
from napari_tool_runner.plugins.warm.learned import known
from plugins.warm_programs import Programs, installed

__all__ = ["installed"]

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="programs start cold elsewhere"),
    pytest.mark.skipif(sys.version_info < (3, 11), reason="parts of lines are not told"),
]

# a package whose parts are imported when they are looked up, and see what was done before
LAZY = """
import importlib, os
log, flag, touched = [], 0, 0
def act(*_): log.append('act')
def __getattr__(name):
    global flag, touched
    if name in ('one', 'two', 'own', 'same'):
        before, flag = flag, 'within'
        try: return importlib.import_module(f'lazy._{name}').value
        finally:
            flag = before
            if name == 'same': globals()[name] = 'another'
    if name == 'touch':
        touched += 1
        return log
    raise AttributeError(name)
"""
PART = """
import lazy, os, warnings
value = __name__
lazy.log.append([__name__, lazy.flag, lazy.touched, os.environ.get('SEEN'), len(lazy.log)])
"""
# runs a program as a fork does that learns, or imports ahead what it is told, and then the program
RUN = """
import sys, types
warm, installed, path, *ahead = sys.argv[1:]
sys.path[:0] = [installed]
sys.path.append(warm)
from warm_leading import Leading
from warm_steps import take, unlike
try: taken = [(one, take(one)) for one in ahead]
except Exception: sys.exit('refused')
if unlike(taken): sys.exit('refused')
del taken
sys.path[:0] = [path.rpartition('/')[0]]
sys.argv = [path, 'word']
main = sys.modules['__main__'] = types.ModuleType('__main__')
leading = Leading((sys.prefix, sys.base_prefix, installed), (sys.path[0],), '')
sys.meta_path.insert(0, leading)
del sys.modules['collections']  # as all that only this process needs
exec(compile(open(path).read(), path, 'exec', 0, True), main.__dict__)
import lazy
print('collections' in sys.modules)
lines = [one.split('\\t') for one in leading.told().split('\\n')]
told = [one[0].strip('+') + one[1] for one in lines if one[0] in '+?']
print([one for one in told if 'lazy' in one], lazy.log, lazy.flag, sep='\\n')
"""


@pytest.fixture
def place(installed: Path) -> Path:
    """Where the package is installed and a program lies."""
    (installed / "lazy").mkdir()
    (installed / "lazy" / "__init__.py").write_text(LAZY)
    for name in ("one", "two", "same"):
        (installed / "lazy" / f"_{name}.py").write_text(PART)
    (installed / "lazy" / "_own.py").write_text(f"import beside\n{PART}")
    (installed.parent / "work").mkdir()
    (installed.parent / "work" / "beside.py").write_text("")
    return installed.parent


def _run(place: Path, text: str, *ahead: str) -> list[str]:
    script = place / "work" / "script.py"
    script.write_text(f"import lazy, os, sys\n{text}\n")
    where = [str(Path(pool.__file__).parent), str(place / "installed"), str(script)]
    done = subprocess.run(
        [sys.executable, "-c", RUN, *where, *ahead],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if ahead and done.stderr == "refused\n":  # it starts cold
        return _run(place, text)
    assert done.stderr == ""
    *_, found, led, log, flag = done.stdout.splitlines()
    assert found == "False"
    return [led, log, flag]


def _led(place: Path, text: str) -> list[str]:
    """Return what of the package is looked up, or imported, ahead of a program."""
    found: list[str] = ast.literal_eval(_run(place, text)[0])
    return found[1:]


@pytest.mark.parametrize(
    ("text", "led"),
    [
        ("print(sys.argv[1], lazy.one, sep=lazy.two)", ["lazy:one", "lazy:two"]),
        (
            "lazy.act(lazy.one, lazy.act(lazy.two), lazy.own)",
            ["lazy:act", "lazy:one", "lazy:act", "lazy:two"],
        ),
        ("x = lazy.one\ny = [lazy.flag, (lazy.two, 1)]", ["lazy:one", "lazy:flag", "lazy:two"]),
        ("def f(a: lazy.one = lazy.two, *b, c=1): lazy.act()", ["lazy:two", "lazy:one"]),
        (
            "def f(): pass\npass\nimport lazy._one as x\n'é', lazy.two",
            ["lazy._one", "?lazy::_one", "lazy:two"],
        ),
        ("if __name__ == '__main__':\n    x = lazy.one\nx = lazy.two", ["lazy:one", "lazy:two"]),
        (
            "if __name__ == '__main__':\n    from lazy import one\nlazy.two",
            ["lazy::one", "lazy:two"],
        ),
        ("(lazy.one,\n lazy.two)", ["lazy:one", "lazy:two"]),
        ("from lazy import one, two", ["lazy::one,two"]),
        (
            "from lazy._one import value\nfrom lazy import one, two",
            ["lazy._one::value", "lazy::one,two"],
        ),
        (
            "try: from lazy import flag, no\nexcept ImportError: no = 0\nlazy.two",
            ["?lazy::flag,no", "lazy:two"],
        ),
        ("try: from lazy import one\nexcept ImportError: one = 0\nlazy.two", []),
        ("lazy.one; lazy.act(); lazy.two", ["lazy:one"]),
        ("lazy.one; lazy.touch; lazy.two", ["lazy:one"]),
        ("lazy.flag; lazy.own; lazy.two", []),
    ],
)
def test_what_is_looked_up_at_the_begin(place: Path, text: str, led: list[str]) -> None:
    assert _led(place, text) == led


@pytest.mark.parametrize(
    "act",
    [
        "lazy.act()",
        "lazy.act(lazy.act(), lazy.one)",
        "lazy.act(*[1], lazy.one)",
        "lazy.act(*[1], x=lazy.one) if 0 else lazy.one",
        "dict(**{}, x=lazy.one)",
        "lazy.flag = 1",
        "lazy.x = lazy.y = 1",
        "os.environ['PATH']",
        "os.environ.__class__.__name__",
        "sys.argv['1'.__len__()]",
        "sys.argv[int(1)]",
        "sys.argv.__class__",
        "'a'.__class__",
        "f'{lazy.one}'",
        "-lazy.flag",
        "x: lazy.one = 1",
        "class A: x = lazy.one",
        "@lazy.act\ndef f(): pass",
        "def f(a=lazy.act()): pass",
        "def f(): pass\nfrom os import *",
        "for x in [lazy.one]: lazy.two",
        "while lazy.one: break",
        "if lazy.flag: pass",
        "with open(os.devnull): pass",
        "(lambda: 0)",
        "os = sys = lazy",
        "x = sys\nx = lazy\nx.one",
        "def lazy_(): pass\nlazy_ = lazy\nlazy_.one",
        "exec('lazy.one')",
        "lazy.touch",
        "__name__ = 1\nif __name__ == '__main__': 1",
        "if __name__ == '__main__': lazy.act()",
    ],
)
def test_what_is_looked_up_after_anything_else_is_not(place: Path, act: str) -> None:
    assert _led(place, f"{act}\nlazy.two") == []


STEPS = [
    "lazy.one",
    "lazy.two",
    "w = lazy.one",
    "y = [lazy.two, sys.argv[1]]",
    "from lazy import two",
    "lazy.act(lazy.same)",
    "import lazy._one as z",
    "def f(a=lazy.one): pass",
    "lazy.act(lazy.two)",
    "lazy.act()",
    "lazy.touch",
    "lazy.flag = 1",
    "y = x = lazy",
    "x.two",
    "os.environ['SEEN'] = '1'",
    "if len(sys.argv) > 1: os.environ['SEEN'] = '2'",
    "if __name__ == '__main__': lazy.one",
    "1, lazy.flag",
]


@given(steps=st.lists(st.sampled_from(STEPS), min_size=1, max_size=6))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_parts_of_a_package_find_what_they_would_find(place: Path, steps: list[str]) -> None:
    text = "\n".join(["import lazy as x", *steps])
    cold = _run(place, text)
    ahead = ast.literal_eval(cold[0])
    assert _run(place, text, *ahead)[1:] == cold[1:]


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize(
    "code",
    [
        "import package._part as m; return m.V",
        "import package._part as m; globals()[name] = m.V; warn(name); return m.V",
        "import package._part as m; return [m.V]",
        "import package._part as m; raise AttributeError(name)",
    ],
)
@pytest.mark.parametrize("part", ["import random; random.seed(1)", ""])
def test_what_a_lookup_does(installed: Path, code: str, part: str) -> None:
    programs = Programs(installed.parent / "jobs" / "tool" / "job" / "io", enclose=False)
    (installed / "package").mkdir()
    (installed / "package" / "__init__.py").write_text(
        f"import warnings\ndef warn(name): warnings.warn(name, DeprecationWarning, 3)\n"
        f"def __getattr__(name):\n    {code}"
    )
    (installed / "package" / "_part.py").write_text(f"{part}\nV = 'value'")
    text = "import json, package\nprint(package.part)\nimport random\nprint(random.random() < 2)"
    if part:
        text = text.replace(" < 2", "")
    programs.both("python", programs.script(text))


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("begin", ["import lazy", "from lazy import one"])
@pytest.mark.parametrize("name", ["one", "same"])
def test_a_lazy_package_is_ahead_of_the_program(place: Path, begin: str, name: str) -> None:
    programs = Programs(place / "jobs" / "tool" / "job" / "io", enclose=False)
    what = "one" if "from" in begin else "lazy.one"
    modules = "sorted({*sys.modules}.difference(sys.builtin_module_names))"
    text = f"import json\n{begin}\nimport lazy, sys\nprint({what}, lazy.log, {modules})"
    programs.both("python", programs.script(text.replace("one", name)))
    (imports,) = known._found.values()
    assert imports.told is not None
    assert f"+\tlazy:{':' * ('from' in begin)}{name}\t" in imports.told
    (server,) = programs.servers
    remarks = [one.partition(" is not imp")[0] for one in server._said_once]
    assert remarks == (["lazy"] if (name, begin) == ("same", "import lazy") else [])
