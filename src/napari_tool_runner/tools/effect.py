"""Which parameters have an effect: some have one only while others have certain values."""

from __future__ import annotations

from collections.abc import Mapping

from napari_tool_runner.data_classes import dataclass

__all__ = ["Condition", "without_effect"]


@dataclass(frozen=True, slots=True)
class Condition:
    """What a parameter beside another must be for that one to have an effect.

    Parameters
    ----------
    name : str
        The parameter that decides.
    values : tuple
        One of these, in its type; None: nothing is given.
    differs : bool
        None of these instead.
    """

    name: str
    values: tuple[object, ...]
    differs: bool = False

    def __str__(self) -> str:
        """Return it for a command line: ``method = local or manual``."""
        words = ("nothing" if value is None else str(value) for value in self.values)
        return f"{self.name} {'is not' if self.differs else '='} {' or '.join(words)}"

    def holds(self, value: object) -> bool:
        """Whether it is met by `value`; of several choices one will do."""
        if value is None or (isinstance(value, str | list | tuple) and not value):
            same = None in self.values
        else:
            chosen = value if isinstance(value, list | tuple) else (value,)
            # a layer or an array is only given or not: it is never compared
            same = any(isinstance(one, str | int | float) and one in self.values for one in chosen)
        return same is not self.differs


def without_effect(
    conditions: Mapping[str, tuple[Condition, ...]], values: Mapping[str, object]
) -> dict[str, Condition]:
    """Return the parameters without effect -> the condition that is not met.

    What asks for a parameter without effect has none either.

    Parameters
    ----------
    conditions : mapping
        Name -> conditions, of the parameters beside each other that have some.
    values : mapping
        Name -> value of those that decide.
    """
    failed = {
        name: condition
        for name, asked in conditions.items()
        for condition in reversed(asked)
        if not condition.holds(values.get(condition.name))
    }
    for _ in conditions:
        failed |= {
            name: failed[condition.name]
            for name, asked in conditions.items()
            for condition in asked
            if name not in failed and condition.name in failed
        }
    return failed
