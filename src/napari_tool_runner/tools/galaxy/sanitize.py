"""How Galaxy cleans values before they reach a command line."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

from galaxy.util import mapped_chars, string_as_bool, valid_chars

from napari_tool_runner.data_classes import dataclass

if TYPE_CHECKING:
    from galaxy.util import Element

__all__ = ["DEFAULT_SANITIZER", "Sanitizer", "safe_name"]

_INVALID = "X"

_CLASSES = ["ascii_letters", "ascii_lowercase", "ascii_uppercase", "digits", "hexdigits"]
_CLASSES += ["octdigits", "punctuation", "printable", "whitespace"]
_PRESETS = {f"string.{name}": str(getattr(string, name)) for name in _CLASSES}
_PRESETS |= {name.replace("ascii_", ""): chars for name, chars in _PRESETS.items()}
_PRESETS["default"] = "".join(sorted(valid_chars))


@dataclass(frozen=True, slots=True)
class Sanitizer:
    """Characters that stay, characters that are replaced, and by what.

    Parameters
    ----------
    valid : frozenset of str
        Characters that stay as they are.
    mapping : tuple of (str, str)
        Character -> replacement, for those that are not valid.
    invalid : str
        What everything else becomes.
    active : bool
        False: values pass unchanged (``sanitize="false"``).
    """

    valid: frozenset[str]
    mapping: tuple[tuple[str, str], ...] = ()
    invalid: str = _INVALID
    active: bool = True

    def clean(self, text: str) -> str:
        """Return `text` as it reaches the command line."""
        if not self.active:
            return text
        # Galaxy's own function forgets what invalid characters become
        mapping = dict(self.mapping)
        return "".join(
            char if char in self.valid else mapping.get(char, self.invalid) for char in text
        )

    def remark(self, text: str) -> str:
        """Return one sentence when `text` is changed on its way to the tool, else ''."""
        cleaned = self.clean(text)
        if cleaned == text:
            return ""
        lost = "".join(dict.fromkeys(char for char in text if self.clean(char) != char))
        return (
            f"Characters that this tool does not allow ({lost!r}) are replaced: "
            f"it gets {cleaned!r}."
        )

    @classmethod
    def from_element(cls, element: Element) -> Sanitizer:
        """Read a ``<sanitizer>``; unknown presets count as empty."""
        valid: list[str] = []
        mapping: dict[str, str] = {}
        for group in element.findall("valid"):
            valid = list(_preset(group.get("initial", "default")))
            for action in group:
                chars = _preset(action.get("preset", "none")) + (action.get("value") or "")
                if str(action.tag).lower() == "add":
                    valid += [char for char in chars if char not in valid]
                elif str(action.tag).lower() == "remove":
                    valid = [char for char in valid if char not in chars]
        for group in element.findall("mapping"):
            mapping = _preset_mapping(group.get("initial", "default"))
            for action in group:
                source, target = action.get("source"), action.get("target")
                preset = _preset_mapping(action.get("preset", "none"))
                if str(action.tag).lower() == "add":
                    mapping.update(preset)
                    if source is not None and target is not None:
                        mapping[source] = target
                elif str(action.tag).lower() == "remove":
                    for key in (*preset, source):
                        mapping.pop(str(key), None)
        return cls(
            valid=frozenset(valid),
            mapping=tuple(mapping.items()),
            invalid=element.get("invalid_char", _INVALID),
            active=string_as_bool(element.get("sanitize", "true")),
        )


DEFAULT_SANITIZER = Sanitizer(frozenset(valid_chars), tuple(mapped_chars.items()))
"""What applies to every value of a tool that says nothing."""

# names of datasets keep the at sign
_NAMES = Sanitizer(
    frozenset(valid_chars | {"@"}),
    tuple((source, target) for source, target in mapped_chars.items() if source != "@"),
)


def safe_name(text: str) -> str:
    """Return the name of a dataset as templates see it."""
    return _NAMES.clean(text)


def _preset(names: str) -> str:
    keys = (name.split(";", 1)[0].strip() for name in names.split(","))
    return "".join(dict.fromkeys(char for key in keys for char in _PRESETS.get(key, "")))


def _preset_mapping(names: str) -> dict[str, str]:
    known = "default" in map(str.strip, names.split(","))
    return dict(mapped_chars) if known else {}
