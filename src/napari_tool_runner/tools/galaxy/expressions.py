"""Python expressions of validators, evaluated without running Python.

A validator may be asked while a person types, also for a toolbox that nobody has
approved yet. So its expression is walked, not executed: comparisons, arithmetic,
comprehensions, and the harmless methods of text, numbers and sequences. What lies
beyond raises `NotSimpleError`, and is left for the run, which needs consent; so does what
takes long: each step, and all that an operation is given and makes, is paid for.

What may be called and read is listed here. Libraries for this (simpleeval) forbid by a
list instead, know neither ``re`` nor the members of a dataset, and save few lines.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Collection, Iterable, Mapping

from napari_tool_runner.tools.patterns import LIKE_RE, is_match
from napari_tool_runner.tools.shared_time import is_late, together

__all__ = ["NotSimpleError", "TooMuchError", "evaluate"]


class NotSimpleError(Exception):
    """The expression uses what this evaluator does not know."""


class TooMuchError(NotSimpleError):
    """The expression takes longer, or makes more, than it may while a person types."""


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


_PLAIN = (str, int, float, list, tuple, dict, set, frozenset)
_SEQUENCES = (str, bytes, list, tuple)
_WIDE = re.compile(r"%[^a-zA-Z%]*(\*|\d{4})")  # a wide field, or one of unknown width
_FIELD = 1_000  # characters that a number takes at most in a narrower one
_ASKED = frozenset(
    {"len", "isinstance", "bool", "get", "keys", "values", "items"}
)  # look at no item
_KEYS = (abs, len, int, float, bool, str)
# they look at each character of the one for each of the other
_SLOW = frozenset({"rfind", "rindex", "rsplit", "strip", "lstrip", "rstrip"})
_HASHED = frozenset({"set", "dict", "union", "issubset", "issuperset", "intersection"})
_LONGEST = 100_000  # characters of one text
_BITS = 4_096  # of a whole number
_RANGE = 1_000_000
_SECONDS = 0.5
_WORK = "work left"  # no name of an expression, so it travels with the names


class _Work:
    """What an expression may still take: steps, items, and characters by the handful."""

    def __init__(self) -> None:
        self.left = 200_000

    def pay(self, cost: int = 1) -> None:
        self.left -= cost
        if self.left < 0:
            raise TooMuchError("it takes too many steps")
        if is_late():
            raise TooMuchError("it takes too long")

    def weigh(self, *values: object, depth: int = 0) -> None:
        """Pay for all that is in `values`."""
        for value in values:
            if isinstance(value, str | bytes):
                _check_length(len(value))
                self.pay(1 + len(value) // 64)
            elif isinstance(value, int):
                if value.bit_length() > _BITS:
                    raise TooMuchError("the number would be too large")
            elif isinstance(value, range):
                self.pay(1 + min(_RANGE, abs(value.stop - value.start) // abs(value.step)))
            elif isinstance(value, Collection) and depth < 20:
                self.pay(1 + len(value))
                self.weigh(*value, depth=depth + 1)
                if isinstance(value, dict):
                    self.weigh(*value.values(), depth=depth + 1)
            elif isinstance(value, Collection):
                raise TooMuchError("it is nested too deeply")

    def made(self, value: object) -> object:
        """Pay for a result, which is returned; a range for what looks through it."""
        if not isinstance(value, range):
            self.weigh(value)
        elif abs(value.stop - value.start) > _RANGE * abs(value.step):
            raise TooMuchError("the result would be too long")
        return value

    def hashed(self, values: Collection[object]) -> None:
        """Pay for a set of values, which a stranger can choose to be hashed alike."""
        if not all(isinstance(one, str) for one in values):  # texts are hashed by chance
            self.pay(len(values) ** 2 // 64)


def _check_length(size: int) -> None:
    if size > _LONGEST:
        raise TooMuchError("the result would be too long")


def _work(names: Mapping[str, object]) -> _Work:
    work = names[_WORK]
    assert isinstance(work, _Work)
    return work


def evaluate(expression: str, names: Mapping[str, object]) -> object:
    """Return the value of `expression` with `names` in reach.

    Raises
    ------
    NotSimpleError
        It uses what is not known here (or is no expression at all).
    Exception
        Whatever the expression itself raises on these values (``ValueError``…).
    """
    _check_length(len(expression) * 5)
    try:
        with together(_SECONDS):
            tree = ast.parse(expression.strip(), mode="eval")
            return _walk(tree.body, {**names, _WORK: _Work()})
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise NotSimpleError(str(error) or "it is nested too deeply") from error


def _walk(node: ast.AST, names: dict[str, object]) -> object:
    _work(names).pay()
    handler = _HANDLERS.get(type(node))
    if handler is None:
        raise NotSimpleError(f"{type(node).__name__} is not evaluated here")
    return handler(node, names)


def _name(node: ast.Name, names: dict[str, object]) -> object:
    for known in (names, _CONSTANTS, _FUNCTIONS):
        if node.id in known:
            return known[node.id]
    if node.id == "re":
        return LIKE_RE
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
    work = _work(names)
    before = work.left
    work.weigh(left, right)
    if isinstance(node.op, ast.Mult):
        for one, other in ((left, right), (right, left)):
            if isinstance(one, _SEQUENCES) and isinstance(other, int):
                _check_length(len(one) * other)
    if isinstance(node.op, ast.Mod) and isinstance(left, str | bytes):
        text = left if isinstance(left, str) else left.decode("latin-1")
        if _WIDE.search(text):
            raise TooMuchError("the result would be too long")
        # each field may show all that is given
        _check_length(len(text) + text.count("%") * (_FIELD + (before - work.left) // 4))
        work.pay(text.count("%") * (before - work.left))
    return work.made(function(left, right))


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
        # whether a whole number is in a range is computed, not looked for
        if not (isinstance(right, range) and isinstance(left, int)):
            _work(names).weigh(left, right)
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
    allowed = vars(LIKE_RE) if value is LIKE_RE else getattr(value, "_readable_", None)
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
            return LIKE_RE
        if node.func.id in ("getattr", "hasattr"):
            return _getattr(node.func.id, arguments)
    function = _walk(node.func, names)
    if not callable(function):
        raise TypeError(f"{function!r} cannot be called")
    name = getattr(function, "__name__", "")
    if name not in _ASKED:
        given = [*arguments, *keywords.values()]
        _pay_call(name, getattr(function, "__self__", None), given, _work(names))
        if any(callable(one) and one not in _KEYS for one in given):
            raise NotSimpleError(f"{name} with a function is not evaluated here")
    return _work(names).made(function(*arguments, **keywords))


def _pay_call(name: str, of: object, given: list[object], work: _Work) -> None:
    """Pay for a call before it is made, by what it is given and what it will make."""
    work.weigh(*given)
    numbers = [abs(one) for one in given if isinstance(one, int)]
    several = [one for one in given if isinstance(one, Collection)]
    if name == "zfill":
        _check_length(max(numbers, default=0))
    elif name == "round" and max(numbers[1:], default=0) > _FIELD:
        raise TooMuchError("the number would be too large")
    elif name == "sum" and any(isinstance(one, Collection) for one in given[1:]):
        raise TooMuchError("the result would be too long")  # each step copies what came before
    if isinstance(of, Collection):
        work.weigh(of)
        several.append(of)
    if name in _HASHED:
        work.hashed([one for part in several for one in part])
    if not isinstance(of, str | bytes):
        return
    if name == "join" and given and isinstance(given[0], Collection):
        texts = [len(one) for one in given[0] if isinstance(one, str | bytes)]
        _check_length(sum(texts) + len(of) * len(texts))
    sizes = [len(one) for one in given if isinstance(one, str | bytes)]
    if name == "replace" and len(sizes) > 1:
        _check_length((len(of) // max(1, sizes[0]) + 1) * sizes[1] + len(of))
    if name in _SLOW and sizes:
        work.pay(len(of) * sizes[0] // 256)


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
        return _work(names).made(value[slice(*parts)])  # type: ignore[index]
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
            _work(scope).pay(1 + len(scope) // 8)
            inner = dict(scope)
            _bind(first.target, item, inner)
            if all(_walk(test, inner) for test in first.ifs):
                loop(rest, inner)

    loop(node.generators, names)
    if isinstance(node, ast.SetComp):
        _work(names).hashed(found)
        return set(found)
    return found


def _bind(target: ast.expr, value: object, names: dict[str, object]) -> None:
    _work(names).pay()
    if isinstance(target, ast.Name):
        names[target.id] = value
    elif isinstance(target, ast.Tuple) and isinstance(value, Iterable):
        for part, item in zip(target.elts, value, strict=True):
            _bind(part, item, names)
    else:
        raise NotSimpleError("this loop variable is not evaluated here")


def _collection(node: ast.List | ast.Tuple | ast.Set, names: dict[str, object]) -> object:
    values = [_walk(entry, names) for entry in node.elts]
    if isinstance(node, ast.Set):
        _work(names).hashed(values)
        return set(values)
    return tuple(values) if isinstance(node, ast.Tuple) else values


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
