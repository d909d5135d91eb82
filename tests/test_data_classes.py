"""Our data classes are those of Python, with methods that are made later."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable, Hashable
from typing import ClassVar

import pytest

from napari_tool_runner import data_classes


@data_classes.dataclass(frozen=True, slots=True)
class Plain:
    """One that is pickled by its name."""

    number: int
    words: list[str] = dataclasses.field(default_factory=list, compare=False)
    NOTE: ClassVar[str] = "no field"
    name: str = "a"


def kinds(dataclass: Callable[..., Callable[[type], type]]) -> dict[str, type]:
    """Return the same classes, made by `dataclass`."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Base:
        """Has documentation."""

        first: int
        second: str = "b"

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Derived(Base):
        third: tuple[int, ...] = ()

        def __post_init__(self) -> None:
            object.__setattr__(self, "third", (*self.third, self.first))

    @dataclass(frozen=True)
    class Dict:
        first: int
        second: str = dataclasses.field(default="b", repr=False)
        third: int = dataclasses.field(init=False, default=4)

    @dataclass(slots=True)
    class Changed:
        first: int
        second: list[int] = dataclasses.field(default_factory=list)

    @dataclass(eq=False)
    class Identity:
        first: int

    @dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
    class Own:
        first: int
        second: str = "b"

        def __repr__(self) -> str:
            return "own"

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 7

    @dataclass()
    class Nothing:
        pass

    return {one.__name__: one for one in (Base, Derived, Dict, Changed, Identity, Own, Nothing)}


def outcome(ask: Callable[[], object]) -> object:
    try:
        return ask()
    except (TypeError, AttributeError) as error:  # also of a frozen instance
        return type(error), str(error)


@pytest.mark.parametrize("name", list(kinds(dataclasses.dataclass)))
def test_it_is_that_of_python(name: str) -> None:
    ours, pythons = kinds(data_classes.dataclass)[name], kinds(dataclasses.dataclass)[name]

    def told(kind: type) -> list[object]:
        def made(**more: object) -> object:
            wanted = {"first": 1} if dataclasses.fields(kind) else {}
            return kind(**wanted, **more)

        def assigned(one: object, what: str) -> object:
            setattr(one, what, 2)
            return repr(one)

        def deleted(one: object) -> None:
            del one.first  # type: ignore[attr-defined]

        return [
            outcome(ask)
            for ask in (
                lambda: repr(made()).rpartition(".")[2],
                lambda: str(inspect.signature(kind)),
                lambda: made() == made(),
                lambda: made() == made(second="c"),
                lambda: made().__eq__(3),
                lambda: hash(made()) == hash(made()),
                lambda: isinstance(made(), Hashable),
                lambda: kind(1),
                lambda: kind(4, 5, 6, 7).first,
                lambda: kind.__match_args__,  # type: ignore[attr-defined]
                lambda: assigned(made(), "first"),
                lambda: deleted(made()),
                lambda: dataclasses.asdict(made()),  # type: ignore[call-overload]
                lambda: repr(dataclasses.replace(made(), first=3)),  # type: ignore[type-var]
                lambda: repr(copy.copy(made())),
                lambda: repr(copy.deepcopy(made())),
                lambda: getattr(kind, "__slots__", None),
                lambda: [(one.name, one.type, one.default) for one in dataclasses.fields(kind)],
                lambda: kind.__dataclass_params__.frozen,  # type: ignore[attr-defined]
                lambda: kind.__init__.__qualname__,
            )
        ]

    for ours_told, pythons_told in zip(told(ours), told(pythons), strict=True):
        assert repr(ours_told) == repr(pythons_told)


def test_pickled_and_matched() -> None:
    one = Plain(1, ["x"])
    again = pickle.loads(pickle.dumps(one))
    assert again == one
    assert again.words == ["x"]
    assert Plain(1, ["other"]) == one, "a field that is not compared"
    match one:
        case Plain(number, words):
            assert (number, words) == (1, ["x"])
    with pytest.raises(TypeError, match=r"Plain.__init__\(\) missing 1 required"):
        Plain()  # type: ignore[call-arg]


def test_one_of_others_may_derive_from_it() -> None:
    @dataclasses.dataclass(frozen=True)
    class Theirs(Plain):
        more: int = 2

    assert repr(Theirs(1)).endswith("Theirs(number=1, words=[], name='a', more=2)")
    with pytest.raises(dataclasses.FrozenInstanceError):
        Theirs(1).more = 3  # type: ignore[misc]
    with pytest.raises(TypeError, match="cannot inherit non-frozen"):
        dataclasses.dataclass(type("Loose", (Plain,), {}))


def test_what_nobody_used_is_not_made() -> None:
    @data_classes.dataclass(frozen=True)
    class Later:
        first: int

    assert not inspect.isfunction(vars(Later)["__init__"])
    Later(1)
    assert inspect.isfunction(vars(Later)["__init__"])
    assert not inspect.isfunction(vars(Later)["__eq__"])
