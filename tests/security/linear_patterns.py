"""Which regular expressions of the package take more than linear time, as they are called?

Run as a program, which can be ended: it prints the place of each expression before it is
tried, and a line that begins with ``SLOW`` for each whose time grows faster than its text. Texts
are made of what the loops of an expression match, over and over, behind what leads to a loop,
with an end that does not fit. Each time is the least of several, of the processor, and compared
with that of a quarter of the text: so how busy the computer is counts for nothing.
"""

from __future__ import annotations

import ast
import importlib
import re
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import napari_tool_runner
from napari_tool_runner import _lazy

ROOT = Path(napari_tool_runner.__file__).parent
SRE = importlib.import_module("re._constants")  # what a pattern consists of, as Python reads it
PARSER = importlib.import_module("re._parser")
CALLS = {"match", "search", "fullmatch", "sub", "subn", "split", "findall", "finditer"}
LOOPS = (SRE.MAX_REPEAT, SRE.MIN_REPEAT, SRE.POSSESSIVE_REPEAT)
SIGNS = " a0.-\n<(\"'/=\\[{_,:"
# small ones first: some take time with a power of two
SIZES = (16, 24, 36, 54, 80, 120, 180, 270, 1000, 4000, 12000)
LEAST = 0.003
"""Seconds that are measured well; a linear one needs less for the largest text."""

Pattern = re.Pattern[str] | re.Pattern[bytes]
Piece = Iterable[tuple[object, object]]


def expressions() -> Iterator[tuple[str, Pattern, str]]:
    """Yield where each expression stands, the expression, and how it is called."""
    trees = {
        path: ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(ROOT.rglob("*.py"))
        if "bundled_tools" not in path.parts  # run in walls
    }
    everywhere = calls_of(trees.values())
    for path, tree in trees.items():
        place = path.relative_to(ROOT).as_posix()
        yield from ((f"{place}:{line}", one, how) for line, one, how in written_out(tree))
        if not any(call in path.read_text(encoding="utf-8") for call in ("compile(", "compiled(")):
            continue
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        try:
            module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
        except ModuleNotFoundError:
            if "warm" not in parts:  # those run in an environment of a tool
                raise
            continue
        here = calls_of([tree])
        for name, value in vars(module).items():
            some = value.values() if isinstance(value, dict) else [value]
            for told in some:  # a match is what a late one is compiled for
                one = told.match.__self__ if isinstance(told, _lazy._Pattern) else told
                if isinstance(one, re.Pattern):
                    for how in here.get(name) or everywhere.get(name) or {"search"}:
                        yield f"{place}:{name}", one, how


def calls_of(trees: Iterable[ast.AST]) -> dict[str, set[str]]:
    """Return how a thing with a name is called: ``A.search()``, ``(A if x else B).match()``."""
    found: dict[str, set[str]] = {}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in CALLS:
                value = node.value
                some = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
                for one in some:
                    if isinstance(one, ast.Name):
                        found.setdefault(one.id, set()).add(node.attr)
    return found


def written_out(tree: ast.AST) -> Iterator[tuple[int, Pattern, str]]:
    """Yield the expressions that stand in the calls themselves: ``re.sub("…", …)``."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="re"), attr=how),
                args=[ast.Constant(value=str() | bytes() as text), *rest],
            ) if how in CALLS:
                told = [*rest, *(keyword.value for keyword in node.keywords)]
                flags = re.NOFLAG
                for one in (inner for each in told for inner in ast.walk(each)):
                    if isinstance(one, ast.Attribute) and one.attr in re.RegexFlag.__members__:
                        flags |= re.RegexFlag[one.attr]
                yield node.lineno, re.compile(text, flags), how


def example(piece: Piece) -> str:
    """Return a text that a piece of an expression matches, or nearly."""
    made = []
    for kind, told in piece:
        match told:
            case int() if kind is SRE.LITERAL:
                made.append(chr(told))
            case list() if kind is SRE.IN:
                made.append(signs_of(told)[0])
            case (_, [first, *_]) if kind is SRE.BRANCH:
                made.append(example(first))
            case (_, _, _, inner) if kind is SRE.SUBPATTERN:
                made.append(example(inner))
            case (least, most, inner) if kind in LOOPS:
                made.append(example(inner) * max(least, min(most, 1)))
            case _ if kind is SRE.ATOMIC_GROUP:
                made.append(example(told))
            case _ if kind in (SRE.ANY, SRE.NOT_LITERAL):
                made.append("a")
    return "".join(made)


def signs_of(told: list[tuple[object, object]]) -> list[str]:
    """Return characters that a set holds."""
    kinds = {SRE.CATEGORY_DIGIT: "0", SRE.CATEGORY_SPACE: " ", SRE.CATEGORY_NOT_WORD: " "}
    signs = []
    for kind, one in told:
        match one:
            case int() | (int(), int()) if kind in (SRE.LITERAL, SRE.RANGE):
                signs.append(chr(one if isinstance(one, int) else one[0]))
            case _ if kind is SRE.CATEGORY:
                signs.append(kinds.get(one, "a"))
    if told[0][0] is SRE.NEGATE:
        signs = [sign for sign in SIGNS if sign not in signs]
    return signs[:8] or ["a"]


def loops(piece: Piece, before: str = "") -> Iterator[tuple[str, str]]:
    """Yield for each loop what leads to it and what it matches; and all of it, to be repeated."""
    for kind, told in piece:
        match told:
            case (_, most, inner) if kind in LOOPS:
                if most > 50:
                    for one in some_of(inner):
                        yield before, one
                        yield "", before + one
                    yield "", before
                yield from loops(inner, before)
            case (_, [*ways]) if kind is SRE.BRANCH:
                for way in ways:
                    yield from loops(way, before)
            case (_, _, _, inner) if kind is SRE.SUBPATTERN:
                yield from loops(inner, before)
            case _ if kind is SRE.ATOMIC_GROUP:
                yield from loops(told, before)
        before += example([(kind, told)])


def some_of(inner: Piece) -> list[str]:
    """Return what the inside of a loop matches."""
    match list(inner):
        case [(kind, [*told])] if kind is SRE.IN:
            return signs_of(told)
        case [(kind, [_, ways])] if kind is SRE.BRANCH:
            return [example(way) for way in ways]
        case pieces:
            return [example(pieces)]


def texts(one: Pattern) -> set[tuple[str, str, str]]:
    """Return beginnings, what follows over and over, and ends."""
    again = {*loops(PARSER.parse(one.pattern, one.flags)), *(("", sign) for sign in SIGNS)}
    return {(*both, end) for both in again if both[1] for end in ("\0", "")}


def cost(one: Pattern, how: str, text: str) -> float:
    """Return the seconds of processor time that a call takes; all but three go on to the end."""
    told = text if isinstance(one.pattern, str) else text.encode("latin1", "replace")
    call = getattr(one, how if how in ("match", "search", "fullmatch") else "findall")
    begun = time.thread_time()
    call(told)
    return time.thread_time() - begun


def slow(one: Pattern, how: str) -> str:
    """Say for which text the time grows faster than the text; empty for none."""
    for first, again, last in sorted(texts(one)):
        made = {
            size: first + (again * (size // len(again) + 1))[:size] + last
            for each in SIZES
            for size in (each, each // 4)
        }
        for size in SIZES:
            if cost(one, how, made[size]) > LEAST and _grows(
                one, how, made[size // 4], made[size]
            ):
                return f"{first!r} + {again!r} × n + {last!r}, {size} long"
    return ""


def _grows(one: Pattern, how: str, small: str, large: str) -> bool:
    """Whether four times the text takes far more than four times the time, each time."""
    for _ in range(4):
        least = min(cost(one, how, large) for _ in range(2))
        if least <= LEAST or least < 8 * min(cost(one, how, small) for _ in range(5)):
            return False
    return True


if __name__ == "__main__":
    given = [("given", re.compile(text), "search") for text in sys.argv[1:]]
    for place, one, how in given or expressions():
        print(place, how, flush=True)
        if found := slow(one, how):
            print(f"SLOW {place} {one.pattern!r} by {how}: {found}", flush=True)
