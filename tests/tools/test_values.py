from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_tool_runner.errors import ParameterError
from napari_tool_runner.tools.binding import bind, nest
from napari_tool_runner.tools.model import (
    BooleanParameter,
    Case,
    ColorParameter,
    Conditional,
    DataColumnParameter,
    DataParameter,
    DirectoryParameter,
    DrillDownOption,
    DrillDownParameter,
    FloatParameter,
    HiddenParameter,
    InputItem,
    IntegerParameter,
    Parameter,
    Repeat,
    Section,
    SelectOption,
    SelectParameter,
    TextParameter,
    Tool,
)
from napari_tool_runner.tools.tree import (
    find_parameter,
    leaves,
    map_data,
    places,
    rebuild,
    with_lists,
)
from napari_tool_runner.tools.values import check_value, coerce, default_value


def tool(*items: InputItem) -> Tool:
    return Tool(id="t", name="T", inputs=items)


def options(*values: str) -> tuple[SelectOption, ...]:
    return tuple(SelectOption(value.title(), value) for value in values)


METHOD = SelectParameter(name="method", options=options("otsu", "manual"), default="otsu")
NESTED = tool(
    DataParameter(name="image"),
    Section(
        name="sec",
        items=(IntegerParameter(name="n", default=3), TextParameter(name="word", default="a")),
    ),
    Conditional(
        name="cond",
        test=METHOD,
        cases=(
            Case("otsu", (IntegerParameter(name="bins", default=256),)),
            Case("manual", (FloatParameter(name="low"), FloatParameter(name="high", default=1.0))),
        ),
    ),
    Repeat(
        name="rep",
        minimum=1,
        maximum=3,
        items=(
            IntegerParameter(name="x", default=0),
            Repeat(name="inner", items=(TextParameter(name="y"),)),
        ),
    ),
)


def test_defaults_fill_everything_that_applies() -> None:
    assert bind(NESTED, {"image": "a.tif"}) == {
        "image": "a.tif",
        "sec": {"n": 3, "word": "a"},
        "cond": {"method": "otsu", "bins": 256},
        "rep": [{"x": 0, "inner": []}],
    }


def test_nested_flat_mixed_and_bare_names() -> None:
    expected = bind(
        NESTED,
        {
            "image": "a",
            "sec": {"n": 5},
            "cond": {"method": "manual", "low": 0.5},
            "rep": [{"x": 1}, {"x": 2, "inner": [{"y": "deep"}]}],
        },
    )
    for same in (
        {"image": "a", "sec|n": 5, "cond|method": "manual", "cond|low": "0.5"}
        | {"rep_0|x": 1, "rep_1|x": "2", "rep_1|inner_0|y": "deep"},
        {"image": "a", "n": 5, "method": "Manual", "low": 0.5}
        | {"rep_0": {"x": 1}, "rep_1": {"x": 2, "inner_0|y": "deep"}},
        {"image": "a", "sec": {"n": 5}, "cond|method": "manual", "cond": {"low": 0.5}}
        | {"rep": [{"x": 1}, {"x": 2, "inner_0|y": "deep"}]},
    ):
        assert bind(NESTED, same) == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "image: “image” needs a value"),
        ({"image": "a", "imge": 1}, "no parameter “imge”.*“image”"),
        ({"image": "a", "sec|m": 1}, "no parameter “sec|m”"),
        ({"image": "a", "sec": 5}, r"“sec” holds other parameters.*sec\|NAME=VALUE"),
        ({"image": "a", "cond|low": 1}, "does not apply while “method” is “otsu”.*manual"),
        ({"image": "a", "cond|method": "manual"}, r"cond\|low.*needs a value"),
        ({"image": "a", "cond|method": "other"}, "one of otsu, manual; 'other' is not"),
        ({"image": "a", "rep_3|x": 1}, "3 times at most, not 4"),
        ({"image": "a", "rep": 5}, "“rep” is repeated"),
        ({"image": "a", "rep_0|inner_99999999|y": "x"}, "cannot be given 100,000,000 times"),
        ({"image": "a", "sec": {"n": 1}, "sec|n": 2}, "“sec|n” is given twice"),
        ({"image": "a", "sec|n": 1, "n": 2}, "“sec|n” is given twice"),
        # more digits than Python reads
        ({"image": "a", f"rep_{'9' * 5000}|x": 1}, "no parameter"),
        ({"img": "a"}, "no parameter “img”"),
        ({"image": "a", "rep": [{"x": 1}], "rep_0|x": 2}, "“rep_0|x” is given twice"),
        ({"image": "a", "rep": [5]}, "“rep_0” holds other parameters"),
    ],
)
def test_what_cannot_be_bound(values: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=message.replace("|", r"\|").replace(r"\\|", r"\|")):
        bind(NESTED, values)


def test_the_error_names_the_parameter() -> None:
    with pytest.raises(ParameterError) as caught:
        bind(NESTED, {"image": "a", "rep_1|x": "many"})
    assert caught.value.name == "rep_1|x"


def test_a_label_instead_of_the_name() -> None:
    labelled = tool(DataParameter(name="input", label="Image"))
    with pytest.raises(ParameterError, match=r"no parameter “image”.*Did you mean “input”"):
        bind(labelled, {"image": "a.tif"})


def test_bare_names_that_are_not_unique() -> None:
    twice = tool(
        Section(name="a", items=(IntegerParameter(name="x", default=0),)),
        Section(name="b", items=(IntegerParameter(name="x", default=0),)),
    )
    with pytest.raises(ParameterError, match=r"“x” could be a\|x or b\|x"):
        bind(twice, {"x": 1})


def test_nest_merges_deeply() -> None:
    assert nest({"a|b|c": 1, "a": {"b": {"d": 2}, "e|f": 3}, "g": {}}) == {
        "a": {"b": {"c": 1, "d": 2}, "e": {"f": 3}},
        "g": {},
    }
    for twice in ({"a": 1, "a|b": 2}, {"a|b": 2, "a": 1}, {"a|b": 1, "a": {"b": 2}}):
        with pytest.raises(ParameterError, match="given twice"):
            nest(twice)


# -- one value ---------------------------------------------------------------------------

INTEGER = IntegerParameter(name="i", minimum=-5, maximum=10**30)


@pytest.mark.parametrize(
    ("parameter", "given", "expected"),
    [
        (INTEGER, " 7 ", 7),
        (INTEGER, "-3", -3),
        (INTEGER, "1e3", 1000),
        (INTEGER, 2.0, 2),
        (INTEGER, True, 1),
        (INTEGER, np.int8(4), 4),
        (INTEGER, np.float32(4), 4),
        (INTEGER, "", None),
        (INTEGER, str(10**30), 10**30),
        (FloatParameter(name="f"), "1e-6", 1e-6),
        (FloatParameter(name="f"), np.float64(0.5), 0.5),
        (FloatParameter(name="f"), " ", None),
        (FloatParameter(name="f"), "inf", math.inf),
        (BooleanParameter(name="b"), "Yes", True),
        (BooleanParameter(name="b"), "off", False),
        (BooleanParameter(name="b"), np.bool_(True), True),
        (BooleanParameter(name="b", true_value="no", false_value="yes"), "no", True),
        (BooleanParameter(name="b", true_value="--x", false_value=""), "--x", True),
        (METHOD, "Otsu", "otsu"),
        (METHOD, "", None),
        (SelectParameter(name="s", options=options("true", "false")), True, "true"),
        (SelectParameter(name="s", options=options("a", "b"), multiple=True), "a, B", ("a", "b")),
        (SelectParameter(name="s", options=options("a,b"), multiple=True), "a,b", ("a,b",)),
        (SelectParameter(name="s", options=options("a", "b"), multiple=True), ["b"], ("b",)),
        (DrillDownParameter(name="d"), "a,b", ("a", "b")),
        (DataColumnParameter(name="c", multiple=True), "1,2", ("1", "2")),
        (DataColumnParameter(name="c"), 3, "3"),
        pytest.param(INTEGER, 10**400, 10**400, id="no float"),
        pytest.param(INTEGER, "-" + "9" * 400, 1 - 10**400, id="no float, as text"),
        (TextParameter(name="t"), 5, "5"),
        (DirectoryParameter(name="d"), Path("/x"), "/x"),
        (DataParameter(name="d"), "", None),
        (DataParameter(name="d"), "x.tif", "x.tif"),
        (HiddenParameter(name="h"), 1, "1"),
    ],
)
def test_conversion(parameter: Parameter, given: object, expected: object) -> None:
    made = coerce(parameter, given)
    assert made == expected
    assert type(made) is type(expected)


@pytest.mark.parametrize(
    ("parameter", "given", "message"),
    [
        (INTEGER, "seven", "must be a whole number, not 'seven'"),
        (INTEGER, 1.5, "must be a whole number, not 1.5"),
        (INTEGER, float("inf"), "must be a whole number"),
        (INTEGER, [1], "must be a whole number"),
        (INTEGER, np.zeros((500, 500)), "must be a whole number"),
        pytest.param(INTEGER, 10**5000, "too many digits", id="5000 digits"),
        pytest.param(INTEGER, "9" * 5000, "must be a whole number", id="5000 nines"),
        (FloatParameter(name="f"), "one", "must be a number"),
        (FloatParameter(name="f"), 10**400, "must be a number"),
        (FloatParameter(name="f"), 1j, "must be a number"),
        (BooleanParameter(name="b"), "maybe", "must be true or false"),
    ],
)
def test_values_that_do_not_convert(parameter: Parameter, given: object, message: str) -> None:
    with pytest.raises(ParameterError, match=message) as caught:
        coerce(parameter, given)
    assert len(str(caught.value)) < 300


class Even:
    def problem(self, value: object) -> str | None:
        return None if int(str(value)) % 2 == 0 else "It must be even."


TREE = (DrillDownOption("A", "a", children=(DrillDownOption("B", "b"),)),)


@pytest.mark.parametrize(
    ("parameter", "value", "problem"),
    [
        (INTEGER, -6, "“i” must be at least -5, not -6."),
        (INTEGER, 10**31, f"“i” must be at most {10**30}, not {10**31}."),
        (FloatParameter(name="f", minimum=0.5), 0.25, "“f” must be at least 0.5, not 0.25."),
        (FloatParameter(name="f", maximum=2.0), 3.0, "“f” must be at most 2, not 3."),
        (FloatParameter(name="f"), math.nan, "“f” is not a number."),
        (IntegerParameter(name="i", label="Count"), None, "“Count” needs a value."),
        (IntegerParameter(name="i", optional=True), None, None),
        (IntegerParameter(name="i", validators=(Even(),)), 3, "It must be even."),
        (IntegerParameter(name="i", validators=(Even(),)), 4, None),
        (METHOD, "li", "“method” must be one of otsu, manual; 'li' is not."),
        (DrillDownParameter(name="d", options=TREE), ("b",), None),
        (DrillDownParameter(name="d", options=TREE), ("c",), "“d” has no choice 'c'."),
        (ColorParameter(name="c"), "#12aBff", None),
        (ColorParameter(name="c"), "red", "“c” must be a colour as #rrggbb, not 'red'."),
        (TextParameter(name="t"), "a\0b", "“t” holds a NUL character."),
        (TextParameter(name="t"), "\ud800", "“t” holds half a character."),
        (TextParameter(name="t"), "\n\t é 😀", None),
        (DataParameter(name="d", multiple=True, minimum=2), ["a"], "at least 2 datasets, not 1."),
        (DataParameter(name="d", multiple=True, maximum=1), ["a", "b"], "at most 1 datasets"),
        (DataParameter(name="d", multiple=True, maximum=1), ([0], {}, "image"), None),
        (DataParameter(name="d", multiple=True), [], "“d” needs a value."),
        (SelectParameter(name="s", options=options("a"), multiple=True), (), None),
    ],
)
def test_checks(parameter: Parameter, value: object, problem: str | None) -> None:
    found = check_value(parameter, value)
    if problem is None:
        assert found is None
    else:
        assert found is not None
        assert problem in found


def test_a_value_that_was_cleared_is_the_default_or_absent() -> None:
    both = tool(
        IntegerParameter(name="needed", default=4),
        IntegerParameter(name="free", default=4, optional=True),
        TextParameter(name="text", default="x"),
    )
    assert bind(both, {"needed": "", "free": "", "text": ""}) == {
        "needed": 4,
        "free": None,
        "text": "",
    }


def test_data_values_pass_unchanged_and_are_mapped() -> None:
    array = np.zeros((2, 2))
    bound = bind(NESTED, {"image": array})
    assert bound["image"] is array
    seen: list[str] = []

    def convert(name: str, parameter: DataParameter, value: object) -> object:
        seen.append(name)
        return "file"

    made = map_data(NESTED.inputs, bound, convert)
    assert (made["image"], seen) == ("file", ["image"])
    assert made["rep"] == bound["rep"]
    assert made["rep"] is not bound["rep"]
    assert bound["image"] is array


def test_leaves_come_in_the_order_of_the_form() -> None:
    bound = bind(NESTED, {"image": "a", "rep": [{}, {"inner": [{"y": "z"}]}]})
    assert [leaf.name for leaf in leaves(NESTED.inputs, bound)] == [
        "image",
        "sec|n",
        "sec|word",
        "cond|method",
        "cond|bins",
        "rep_0|x",
        "rep_1|x",
        "rep_1|inner_0|y",
    ]


# -- properties ----------------------------------------------------------------------------

PLAIN_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
PARAMETERS: list[tuple[Parameter, st.SearchStrategy[object]]] = [
    (IntegerParameter(name="p", default=0), st.integers()),
    (FloatParameter(name="p", default=0.0), st.floats(allow_nan=False)),
    (BooleanParameter(name="p"), st.booleans()),
    (BooleanParameter(name="p", true_value="no", false_value="yes"), st.booleans()),
    (TextParameter(name="p"), PLAIN_TEXT),
    (SelectParameter(name="p", options=options("a", "b"), default="a"), st.sampled_from("ab")),
]


@st.composite
def trees(draw: st.DrawFn, depth: int = 2) -> tuple[InputItem, dict[str, object]]:
    """Return an item called like nobody else, and values for it."""
    kind = draw(
        st.sampled_from(["leaf", "section", "conditional", "repeat"] if depth else ["leaf"])
    )
    if kind == "leaf":
        parameter, values = draw(st.sampled_from(PARAMETERS))
        return parameter, {"p": draw(values)}
    inner, values = draw(trees(depth - 1))
    name = f"{kind}{depth}"
    if kind == "section":
        return Section(name=name, items=(inner,)), {name: values}
    if kind == "repeat":
        more = [values for _ in range(draw(st.integers(1, 3)))]
        return Repeat(name=name, items=(inner,)), {name: more}
    test = SelectParameter(name="test", options=options("on", "off"), default="off")
    item = Conditional(name=name, test=test, cases=(Case("on", (inner,)), Case("off")))
    return item, {name: {"test": "on", **values}}


@given(trees())
def test_binding_what_was_bound_changes_nothing(made: tuple[InputItem, dict[str, object]]) -> None:
    item, values = made
    one = tool(item)
    bound = bind(one, values)
    assert bind(one, bound) == bound
    flat = {leaf.name: leaf.value for leaf in leaves(one.inputs, bound)}
    assert bind(one, flat) == bound
    # as the command line gives them
    texts = {key: str(value) for key, value in flat.items() if not isinstance(value, bool)}
    texts |= {key: value for key, value in flat.items() if isinstance(value, bool)}
    assert bind(one, texts) == bound


@given(trees())
def test_the_walk_sees_every_value_once(made: tuple[InputItem, dict[str, object]]) -> None:
    item, given_values = made
    one = tool(item)
    bound = bind(one, given_values)
    assert rebuild(one.inputs, bound, lambda leaf: leaf.value) == bound
    found = list(leaves(one.inputs, bound))
    assert all(find_parameter(one.inputs, leaf.name) is leaf.parameter for leaf in found)
    names = {re.sub(r"_\d+\|", "_0|", leaf.name) for leaf in found}
    assert names <= {place.name for place in places(one.inputs)}
    flat = {leaf.name: leaf.value for leaf in found}
    assert bind(one, with_lists(one.inputs, nest(flat))) == bound


@given(st.sampled_from(PARAMETERS).flatmap(lambda pair: st.tuples(st.just(pair[0]), pair[1])))
def test_no_value_is_changed(pair: tuple[Parameter, object]) -> None:
    parameter, value = pair
    assert coerce(parameter, value) == value
    assert check_value(parameter, value) is None


@given(st.one_of(st.none(), st.text(), st.integers(), st.floats(), st.lists(st.integers())))
def test_any_value_binds_or_says_why(value: object) -> None:
    for parameter, _ in PARAMETERS:
        try:
            bound = bind(tool(parameter), {"p": value})
        except ParameterError as error:
            assert error.message  # noqa: PT017
            assert error.name == "p"  # noqa: PT017
        else:
            assert check_value(parameter, bound["p"]) is None
            assert bind(tool(parameter), bound) == bound


def test_every_default_is_a_value() -> None:
    for parameter, _ in PARAMETERS:
        assert check_value(parameter, default_value(parameter)) is None
