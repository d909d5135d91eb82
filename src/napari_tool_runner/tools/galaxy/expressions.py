"""Python expressions of validators, evaluated without running Python.

A validator may be asked while a person types, also for a toolbox that nobody has
approved yet. So its expression is walked, not executed: comparisons, arithmetic,
comprehensions, and the harmless methods of text, numbers and sequences. What lies
beyond raises `NotSimpleError`, and is left for the run, which needs consent.

What may be called and read is listed here. Libraries for this (simpleeval) forbid by a
list instead, know neither ``re`` nor the members of a dataset, and save few lines.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace

from napari_tool_runner.tools.patterns import find, find_all, is_match, match_start, together

__all__ = ["NotSimpleError", "evaluate"]


class NotSimpleError(Exception):
    """The expression uses what this evaluator does not know."""


_BINARY: dict[type[ast.operator], Callable[[object, object], object]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}
_UNARY: dict[type[ast.unaryop], Callable[[object], object]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,  # type: ignore[dict-item]
    ast.UAdd: operator.pos,  # type: ignore[dict-item]
}
_COMPARE: dict[type[ast.cmpop], Callable[[object, object], object]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,  # type: ignore[dict-item]
    ast.LtE: operator.le,  # type: ignore[dict-item]
    ast.Gt: operator.gt,  # type: ignore[dict-item]
    ast.GtE: operator.ge,  # type: ignore[dict-item]
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b,  # type: ignore[operator]
    ast.NotIn: lambda a, b: a not in b,  # type: ignore[operator]
}
_FUNCTIONS: dict[str, Callable[..., object]] = {
    function.__name__: function
    for function in (
        abs, all, any, bool, dict, enumerate, float, int, isinstance, len, list, max, min,
        range, round, set, sorted, str, sum, tuple, zip,
    )
}  # fmt: skip
_CONSTANTS: dict[str, object] = {"True": True, "False": False, "None": None}
_METHODS = frozenset(
    {"startswith", "endswith", "strip", "lstrip", "rstrip", "lower", "upper", "title"}
    | {"capitalize", "split", "rsplit", "splitlines", "partition", "isalnum", "isalpha"}
    | {"isdigit", "isnumeric", "isdecimal", "isspace", "islower", "isupper", "isidentifier"}
    | {"isascii", "find", "rfind", "index", "rindex", "count", "replace", "join", "keys"}
    | {"values", "items", "get", "is_integer", "zfill", "match", "search", "fullmatch"}
    | {"findall", "group", "groups", "union", "issubset", "issuperset", "intersection"}
)


def _timed(name: str) -> Callable[..., object]:
    """Return a function of `re` that gives up: the expression fails then (`SlowPatternError`)."""

    def call(pattern: object, text: object, flags: int = 0) -> object:
        if not isinstance(pattern, str) or not isinstance(text, str):
            raise TypeError("expected a pattern and a text")
        if name in ("match", "fullmatch"):
            return match_start(pattern, text, whole=name == "fullmatch", flags=flags & re.I)
        if name == "search":
            return find(pattern, text, flags=flags & re.I)
        return find_all(pattern, text, flags=flags & re.I)

    return call


_RE = SimpleNamespace(
    **{name: _timed(name) for name in ("match", "search", "fullmatch", "findall")}, I=re.I
)
_PLAIN = (str, int, float, list, tuple, dict, set, frozenset)
_SEQUENCES = (str, bytes, list, tuple)
_WIDE = re.compile(r"%[^a-zA-Z%]*(\*|\d{5})")  # a field that fills memory, or one of unknown width
_MAX_REPEAT = 1_000_000
_MAX_STEPS = 200_000
_STEPS = "steps left"  # no name of an expression, so it travels with the names


def evaluate(expression: str, names: Mapping[str, object]) -> object:
    """Return the value of `expression` with `names` in reach.

    Raises
    ------
    NotSimpleError
        It uses what is not known here (or is no expression at all).
    Exception
        Whatever the expression itself raises on these values (``ValueError``…).
    """
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError) as error:
        raise NotSimpleError(str(error)) from error
    with together():
        return _walk(tree.body, {**names, _STEPS: [_MAX_STEPS]})


def _walk(node: ast.AST, names: dict[str, object]) -> object:
    left = names[_STEPS]
    left[0] -= 1  # type: ignore[index]
    if left[0] < 0:  # type: ignore[index]
        raise NotSimpleError("it takes too many steps")
    handler = _HANDLERS.get(type(node))
    if handler is None:
        raise NotSimpleError(f"{type(node).__name__} is not evaluated here")
    return handler(node, names)


def _name(node: ast.Name, names: dict[str, object]) -> object:
    for known in (names, _CONSTANTS, _FUNCTIONS):
        if node.id in known:
            return known[node.id]
    if node.id == "re":
        return _RE
    raise NotSimpleError(f"the name {node.id!r} is not known here")


def _boolean(node: ast.BoolOp, names: dict[str, object]) -> object:
    value: object = None
    for part in node.values:
        value = _walk(part, names)
        if bool(value) is isinstance(node.op, ast.Or):
            return value
    return value


def _binary(node: ast.BinOp, names: dict[str, object]) -> object:
    function = _BINARY.get(type(node.op))
    if function is None:
        raise NotSimpleError(f"{type(node.op).__name__} is not evaluated here")
    left, right = _walk(node.left, names), _walk(node.right, names)
    if isinstance(node.op, ast.Mult):
        for one, other in ((left, right), (right, left)):
            sized = isinstance(one, _SEQUENCES) and isinstance(other, int)
            if sized and len(one) * other > _MAX_REPEAT:  # type: ignore[arg-type, operator]
                raise NotSimpleError("the result would be too long")
    if isinstance(node.op, ast.Mod) and isinstance(left, str | bytes):
        text = left if isinstance(left, str) else left.decode("latin-1")
        if _WIDE.search(text):
            raise NotSimpleError("the result would be too long")
    return function(left, right)


def _unary(node: ast.UnaryOp, names: dict[str, object]) -> object:
    function = _UNARY.get(type(node.op))
    if function is None:
        raise NotSimpleError(f"{type(node.op).__name__} is not evaluated here")
    return function(_walk(node.operand, names))


def _compare(node: ast.Compare, names: dict[str, object]) -> object:
    left = _walk(node.left, names)
    result: object = True
    for symbol, part in zip(node.ops, node.comparators, strict=True):
        right = _walk(part, names)
        result = _COMPARE[type(symbol)](left, right)
        if not result:
            return result
        left = right
    return result


def _attribute(node: ast.Attribute, names: dict[str, object]) -> object:
    value = _walk(node.value, names)
    if node.attr.startswith("_"):
        raise NotSimpleError(f"the attribute {node.attr!r} is not read here")
    if isinstance(value, _PLAIN) or is_match(value):
        if node.attr not in _METHODS:
            raise NotSimpleError(f"the method {node.attr!r} is not called here")
        return getattr(value, node.attr)
    allowed = vars(_RE) if value is _RE else getattr(value, "_readable_", None)
    if allowed is True or (allowed and node.attr in allowed):
        return getattr(value, node.attr)
    raise NotSimpleError(f"{type(value).__name__}.{node.attr} is not read here")


def _call(node: ast.Call, names: dict[str, object]) -> object:
    arguments = [_walk(argument, names) for argument in node.args]
    keywords = {entry.arg: _walk(entry.value, names) for entry in node.keywords if entry.arg}
    if len(keywords) != len(node.keywords):
        raise NotSimpleError("** is not evaluated here")
    if isinstance(node.func, ast.Name):
        if node.func.id == "__import__" and arguments == ["re"]:
            return _RE
        if node.func.id in ("getattr", "hasattr"):
            return _getattr(node.func.id, arguments)
    function = _walk(node.func, names)
    if _size(function, arguments) > _MAX_REPEAT:
        raise NotSimpleError("the result would be too long")
    if not callable(function):
        raise TypeError(f"{function!r} cannot be called")
    return function(*arguments, **keywords)


def _size(function: object, arguments: list[object]) -> int:
    """Return about how long the result of a call will be, for those that make long ones."""
    text, name = getattr(function, "__self__", ""), getattr(function, "__name__", "")
    if function is range or name == "zfill":
        return max((abs(entry) for entry in arguments if isinstance(entry, int)), default=0)
    if function is sum and len(arguments) > 1:  # of sequences: each step copies what came before
        return _MAX_REPEAT + 1
    lengths = [len(entry) for entry in arguments if isinstance(entry, _SEQUENCES)]
    if isinstance(text, str | bytes) and lengths and name in ("replace", "join"):
        return (len(text) + 1) * lengths[-1]
    return 0


def _getattr(name: str, arguments: list[object]) -> object:
    if len(arguments) < 2 or not isinstance(arguments[1], str) or arguments[1].startswith("_"):
        raise NotSimpleError(f"{name} of this is not evaluated here")
    value, attribute = arguments[0], arguments[1]
    allowed = getattr(value, "_readable_", None)
    if not (allowed is True or (allowed and attribute in allowed)):
        raise NotSimpleError(f"{type(value).__name__}.{attribute} is not read here")
    if name == "hasattr":
        return hasattr(value, attribute)
    return getattr(value, attribute, *arguments[2:3])


def _subscript(node: ast.Subscript, names: dict[str, object]) -> object:
    value = _walk(node.value, names)
    if isinstance(node.slice, ast.Slice):
        parts = [
            _walk(part, names) if part is not None else None
            for part in (node.slice.lower, node.slice.upper, node.slice.step)
        ]
        return value[slice(*parts)]  # type: ignore[index]
    return value[_walk(node.slice, names)]  # type: ignore[index]


def _comprehension(
    node: ast.ListComp | ast.SetComp | ast.GeneratorExp, names: dict[str, object]
) -> object:
    found: list[object] = []

    def loop(generators: list[ast.comprehension], scope: dict[str, object]) -> None:
        if not generators:
            found.append(_walk(node.elt, scope))
            return
        first, rest = generators[0], generators[1:]
        sequence = _walk(first.iter, scope)
        if not isinstance(sequence, Iterable):
            raise TypeError(f"{sequence!r} cannot be iterated")
        for item in sequence:
            inner = dict(scope)
            _bind(first.target, item, inner)
            if all(_walk(test, inner) for test in first.ifs):
                loop(rest, inner)

    loop(node.generators, names)
    return set(found) if isinstance(node, ast.SetComp) else found


def _bind(target: ast.expr, value: object, names: dict[str, object]) -> None:
    if isinstance(target, ast.Name):
        names[target.id] = value
    elif isinstance(target, ast.Tuple) and isinstance(value, Iterable):
        for part, item in zip(target.elts, value, strict=True):
            _bind(part, item, names)
    else:
        raise NotSimpleError("this loop variable is not evaluated here")


def _collection(node: ast.List | ast.Tuple | ast.Set, names: dict[str, object]) -> object:
    values = [_walk(entry, names) for entry in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(values)
    return set(values) if isinstance(node, ast.Set) else values


def _choice(node: ast.IfExp, names: dict[str, object]) -> object:
    return _walk(node.body if _walk(node.test, names) else node.orelse, names)


_HANDLERS: dict[type[ast.AST], Callable[..., object]] = {
    ast.Constant: lambda node, names: node.value,
    ast.Name: _name,
    ast.BoolOp: _boolean,
    ast.BinOp: _binary,
    ast.UnaryOp: _unary,
    ast.Compare: _compare,
    ast.Attribute: _attribute,
    ast.Call: _call,
    ast.Subscript: _subscript,
    ast.ListComp: _comprehension,
    ast.SetComp: _comprehension,
    ast.GeneratorExp: _comprehension,
    ast.List: _collection,
    ast.Tuple: _collection,
    ast.Set: _collection,
    ast.IfExp: _choice,
}
