"""Galaxy's validators, as rules of the tool model.

Rules on values are checked while a person types. Rules on datasets need their
metadata, and rules that hold Python beyond plain expressions need consent: both are
checked when a run is prepared (`DataRule`, `ValueRule.problem`).
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.errors import DescriptorError
from napari_tool_runner.quoting import one_line
from napari_tool_runner.tools.candidate import parse_json
from napari_tool_runner.tools.common import is_true
from napari_tool_runner.tools.galaxy.expressions import NotSimpleError, TooMuchError, evaluate
from napari_tool_runner.tools.patterns import SlowPatternError, match_start, problem_of

if TYPE_CHECKING:
    from galaxy.tool_util.parser.interface import InputSource
    from galaxy.util import Element

    from napari_tool_runner.tools.common import Notes
    from napari_tool_runner.tools.galaxy.dataset_values import DatasetValue

__all__ = ["DataRule", "ValueRule", "accepts_empty", "read_validators"]

_POSIX_CLASS = re.compile(r"\[:(\w+):\]")
_POSIX_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": r" \t",
    "digit": "0-9",
    "lower": "a-z",
    "punct": re.escape(string.punctuation),
    "space": r"\s",
    "upper": "A-Z",
    "word": r"\w",
    "xdigit": "0-9a-fA-F",
}
# what only a Galaxy server can answer
_SERVER_SIDE = frozenset(
    {"unspecified_build", "value_in_data_table", "value_not_in_data_table"}
    | {"dataset_metadata_in_data_table", "dataset_metadata_not_in_data_table"}
    | {"dataset_metadata_in_file"}
)
_SHOWN, _SAID = 200, 1_000  # characters of a value, and of what is said of it
_NEEDED = ("dbkey", "columns", "column_types")  # what a datatype cannot be without
_DATA_KINDS = frozenset(
    {"metadata", "dataset_metadata_equal", "dataset_metadata_in_range"}
    | {"empty_dataset", "empty_extra_files_path", "dataset_ok_validator"}
)


@dataclass(frozen=True, slots=True)
class ValueRule:
    """A rule on a plain value.

    Parameters
    ----------
    kind : str
        Galaxy's name (``regex``, ``in_range``, ``expression``…).
    message : str
        What to say; ``%s`` stands for the value.
    expression : str
        Of ``expression`` rules.
    negate : bool
        The rule must not hold.
    check : callable, optional
        For the other kinds: raises ValueError with the sentence to show.
    """

    kind: str
    message: str = ""
    expression: str = ""
    negate: bool = False
    check: Callable[[object], None] | None = None

    def problem(self, value: object, *, final: bool = False) -> str | None:
        """Return one sentence when `value` breaks the rule, else None.

        `final`: Python beyond plain expressions runs, which needs consent.
        """
        entries = value if isinstance(value, tuple | list) else [value]
        found = (self._one(entry, final=final) for entry in entries)
        return next((problem for problem in found if problem), None)

    def _one(self, value: object, *, final: bool) -> str | None:
        if self.check is not None:
            try:
                self.check(value)
            except SlowPatternError as error:
                return f"“{_shown(value)}” is not accepted: {error}."
            except ValueError as error:
                # galaxy-tool-util leaves the place of the value in its default messages
                return _said(self.message or str(error), value)
            return None
        return expression_problem(self.expression, value, self.message, self.negate, final=final)


@dataclass(frozen=True, slots=True)
class DataRule:
    """A rule on a dataset; checked when the run is prepared.

    `check` says whether it holds, and what the message shows for ``%s``.
    """

    kind: str
    message: str = ""
    negate: bool = False
    expression: str = ""
    check: Callable[[DatasetValue], tuple[bool, object]] | None = None

    def problem(self, value: object) -> str | None:
        """Nothing can be said before the dataset is a file."""
        return None

    def data_problem(self, dataset: DatasetValue) -> str | None:
        """Return one sentence when `dataset` breaks the rule, else None."""
        if self.check is None:
            return expression_problem(
                self.expression, dataset.plain(), self.message, self.negate, final=True
            )
        holds, shown = self.check(dataset)
        if holds is not self.negate:
            return None
        return _said(self.message or "The dataset does not fit this input.", shown)


def _said(message: str, value: object) -> str:
    """Return a message of a descriptor's with `value` for each ``%s``; other marks are text."""
    return one_line(message[:_SAID].replace("%s", _shown(value)), _SAID)


def _shown(value: object) -> str:
    try:
        return one_line(str(value), _SHOWN)
    except ValueError:  # Python writes no number of so many digits
        return "a number of very many digits"


def expression_problem(
    expression: str, value: object, message: str, negate: bool, *, final: bool
) -> str | None:
    """Return one sentence when a Python `expression` on ``value`` is not satisfied.

    Without `final`, what cannot be evaluated without running Python counts as
    satisfied.
    """
    try:
        holds = bool(evaluate(expression, {"value": value}))
    except NotSimpleError:
        if not final:
            return None
        try:
            # the descriptor's own code; a run needs consent
            holds = bool(eval(expression.strip(), {"value": value}))  # noqa: S307
        except Exception as error:  # noqa: BLE001 - anything that the descriptor's code raises
            return _failed(expression, value, error)
    except Exception as error:  # noqa: BLE001 - what the expression raises on this value
        return _failed(expression, value, error)
    if holds is not negate:
        return None
    if message:
        return _said(message, value)
    verb = "must not" if negate else "must"
    return f"The value “{_shown(value)}” {verb} satisfy: {one_line(expression, _SAID)}"


def _failed(expression: str, value: object, error: Exception) -> str:
    check, why = one_line(expression, _SHOWN), one_line(str(error), _SHOWN)
    return f"The check “{check}” failed on “{_shown(value)}”: {why}"


def read_validators(
    source: InputSource, where: str, notes: Notes, *, data: bool
) -> tuple[ValueRule | DataRule, ...]:
    """Read the ``<validator>`` elements of a parameter.

    `data`: the parameter takes datasets.
    """
    element: Element = source.elem()
    rules: list[ValueRule | DataRule] = []
    elements = list(element.findall("validator"))
    options = element.find("options")
    if options is not None:
        elements += options.findall("validator")
    for validator in elements:
        kind = validator.get("type", "")
        if kind in _SERVER_SIDE:
            subject = validator.get("table_name") or validator.get("filename") or "its own data"
            notes.warning(
                f"{where}/validator[{kind}]",
                f"The check “{kind}” asks a Galaxy server ({subject}); it is left out here.",
            )
            continue
        try:
            rule = _data_rule(validator, kind) if data else _value_rule(validator, kind)
        except (ValueError, TypeError, DescriptorError) as error:
            notes.warning(f"{where}/validator[{kind}]", f"Not understood: {error}")
            continue
        if rule is not None:
            rules.append(rule)
        if isinstance(rule, ValueRule) and _is_too_much(rule, element.get("value") or ""):
            notes.warning(
                f"{where}/validator[{kind}]",
                "The check takes too much to be made while you type; a run makes it.",
            )
    return tuple(rules)


def _is_too_much(rule: ValueRule, value: str) -> bool:
    try:
        evaluate(rule.expression or "True", {"value": value})
    except TooMuchError:
        return True
    except Exception:  # noqa: BLE001 - what the expression raises is told when it is asked
        return False
    return False


def accepts_empty(rules: tuple[ValueRule | DataRule, ...]) -> bool:
    """Say whether every rule accepts the empty text (Galaxy infers ``optional`` so)."""
    for rule in rules:
        if not isinstance(rule, ValueRule):
            continue
        if rule.kind == "expression":
            try:
                if bool(evaluate(rule.expression, {"value": ""})) is rule.negate:
                    return False
            except Exception:  # noqa: BLE001 - an expression that fails on "" does not accept it
                return False
        elif rule.problem(""):
            return False
    return True


def _common(element: Element) -> tuple[str, bool]:
    return element.get("message") or "", is_true(element.get("negate"))


def _plain_regex(expression: str) -> str:
    """Spell out POSIX classes (``[[:punct:]]``), which Galaxy's regex engine knows."""
    return _POSIX_CLASS.sub(lambda match: _POSIX_CLASSES.get(match[1], match[0]), expression)


def _value_rule(element: Element, kind: str) -> ValueRule | None:
    from galaxy.tool_util.parser.parameter_validators import parse_xml_validator
    from galaxy.tool_util_models.parameter_validators import StaticValidatorModel

    message, negate = _common(element)
    if kind == "expression":
        return ValueRule(kind, message, (element.text or "").strip(), negate)
    if kind in _DATA_KINDS or kind == "no_options":
        return None
    element = copy(element)
    if message:  # it would be taken for a format of Python's; ours is said
        element.set("message", "-")
    if kind == "regex":
        element.text = _plain_regex(element.text or "")
        if problem := problem_of(element.text):
            raise ValueError(problem)
    model = parse_xml_validator(element)
    if not isinstance(model, StaticValidatorModel):
        return None
    pattern = element.text or ""

    def check(value: object) -> None:
        if kind in ("regex", "length") and value is not None:
            value = str(value)
        if kind == "in_range" and isinstance(value, str):
            value = float(value)
        if kind != "regex":
            model.statically_validate(value)
            return
        if (match_start(pattern, str(value or "")) is not None) is negate:
            raise ValueError(f"Value '%s' does {mismatch}match regular expression '{pattern}'")

    mismatch = "" if negate else "not "
    return ValueRule(kind, message, negate=negate, check=check)


def _data_rule(element: Element, kind: str) -> DataRule | None:
    message, negate = _common(element)
    if kind == "expression":
        return DataRule(kind, message, negate, expression=(element.text or "").strip())
    if kind in ("no_options", "dataset_ok_validator"):
        return None
    if kind not in _DATA_KINDS:
        raise ValueError(f"the check “{kind}” does not apply to datasets")

    def listed(name: str) -> list[str]:
        return [part.strip() for part in element.get(name, "").split(",") if part.strip()]

    def complete(dataset: DatasetValue) -> tuple[bool, object]:
        names = checked or [name for name in _NEEDED if name in dataset.metadata.names()]
        missing = [n for n in names if n not in skipped and not dataset.metadata.raw(n)]
        return not missing, ", ".join(missing)

    def equal(dataset: DatasetValue) -> tuple[bool, object]:
        value = dataset.metadata.raw(named)
        text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        return value == wanted or text == str(wanted), value

    def in_range(dataset: DatasetValue) -> tuple[bool, object]:
        value = dataset.metadata.raw(named)
        try:
            number = float(str(value))
        except ValueError:
            return False, value
        above = number > low or (number == low and not is_true(element.get("exclude_min")))
        below = number < high or (number == high and not is_true(element.get("exclude_max")))
        return above and below, value

    checked, skipped, named = listed("check"), listed("skip"), element.get("metadata_name", "")
    low, high = float(element.get("min") or "-inf"), float(element.get("max") or "inf")
    told = element.get("value_json", "null").encode()
    wanted: object = element.get("value") or parse_json(told, Path("value_json"))
    checks: dict[str, tuple[Callable[[DatasetValue], tuple[bool, object]], str]] = {
        "metadata": (complete, "The metadata %s of this dataset are not known."),
        "dataset_metadata_equal": (equal, f"{named} must be {wanted}, not %s."),
        "dataset_metadata_in_range": (in_range, f"{named} = %s is out of range."),
        "empty_dataset": (lambda data: (data.size > 0, data.name), "The dataset “%s” is empty."),
        "empty_extra_files_path": (
            lambda data: (data.extra_files_path_exists(), data.name),
            "The dataset “%s” has no extra files.",
        ),
    }
    check, fallback = checks[kind]
    return DataRule(kind, message or fallback, negate, check=check)
