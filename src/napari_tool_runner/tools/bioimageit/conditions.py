"""The attribute ``applies``: with which values of other parameters one has an effect.

``applies="method=local,manual"``; ``!=``: with all other values; ``psf=``: when nothing is
given; what stands between semicolons has to be met together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_tool_runner.errors import ParameterError
from napari_tool_runner.tools.effect import Condition
from napari_tool_runner.tools.model import DataParameter, Parameter, SelectParameter
from napari_tool_runner.tools.values import check_value, coerce

if TYPE_CHECKING:
    from napari_tool_runner.tools.common import Notes

__all__ = ["with_conditions"]


def with_conditions(
    parameters: Mapping[str, Parameter], texts: Mapping[str, str], notes: Notes
) -> tuple[Parameter, ...]:
    """Return `parameters` with what their attribute says; what cannot be meant is a note.

    Parameters
    ----------
    texts : mapping
        Name of a parameter -> its attribute.
    """
    found = {name: _read(name, text, parameters, notes) for name, text in texts.items()}
    for name in found:
        if _leads_back(name, found):
            what = "What “applies” asks for depends on this parameter itself; it is left out."
            notes.warning(f"inputs/param[{name}]", what)
            found[name] = ()
    return tuple(replace(one, applies=found.get(one.name, ())) for one in parameters.values())


def _read(
    name: str, text: str, parameters: Mapping[str, Parameter], notes: Notes
) -> tuple[Condition, ...]:
    found = []
    for part in text.split(";"):
        decides, equals, values = part.partition("=")
        key = decides.strip().removesuffix("!").strip()
        parameter = parameters.get(key)
        told = [None if parameter is None else _value(parameter, v) for v in values.split(",")]
        if not equals or parameter is None or ... in told:
            where = f"inputs/param[{name}]"
            if equals and parameter is None:
                what = f"“{key}” is no parameter"
            elif equals:
                what = f"“{key}” never is {values.strip()}"
            else:
                what = f"“{part.strip()}” is no NAME=VALUE"
            notes.warning(where, f"applies=“{text}”: {what}; it is left out.")
            return ()
        found.append(Condition(key, tuple(told), differs=decides.rstrip().endswith("!")))
    return tuple(found)


def _value(parameter: Parameter, text: str) -> object:
    """Return what a text means for a parameter; None: nothing, ``...``: no value of it."""
    word = text.strip()
    if not word:
        return None
    if isinstance(parameter, DataParameter):
        return ...
    if isinstance(parameter, SelectParameter):  # also one of several
        parameter = replace(parameter, multiple=False)
    try:
        value = coerce(parameter, word)
    except ParameterError:
        return ...
    return ... if check_value(parameter, value) else value


def _leads_back(name: str, found: Mapping[str, tuple[Condition, ...]]) -> bool:
    seen: set[str] = set()
    ahead = [one.name for one in found[name]]
    while ahead:
        if (here := ahead.pop()) == name:
            return True
        if here not in seen:
            seen.add(here)
            ahead += [one.name for one in found.get(here, ())]
    return False
