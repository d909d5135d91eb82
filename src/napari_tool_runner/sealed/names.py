"""Names that strangers gave, as names of files."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["file_name"]

MAX_NAME = 200  # bytes of a name that we make: file systems end at 255, and drafts are longer
_INVISIBLE = {"C": "_", "Z": " "}  # by the first letter of the category
_FORBIDDEN = re.compile(r'[<>:"|?*/\\]')
# Windows keeps these names for devices, whatever the extension.
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{device}{digit}" for device in ("com", "lpt") for digit in "0123456789¹²³"}
)


def file_name(name: str, *, fallback: str = "output") -> str:
    """Return `name` as the name of one file, the same one where it is harmless.

    No separators, no invisible or unassigned characters, no dots at its ends, no name that
    Windows keeps for devices, and short. Letters of any language stay.
    """
    text = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode("utf-8"))
    # invisible ones: controls, joiners, directions, surrogates, private, unassigned
    text = "".join(_INVISIBLE.get(unicodedata.category(c)[0], c) for c in text)
    # also what normalises to a separator or a dot (fullwidth ／, ‥)
    plain = unicodedata.normalize("NFKC", text)
    if _FORBIDDEN.search(plain) or plain.strip(". ") == "":
        text = plain
    text = _FORBIDDEN.sub("_", text).strip(". ")
    text = text.encode()[:MAX_NAME].decode("utf-8", "ignore").strip(". ")
    if not text.strip("_"):
        return fallback
    head = unicodedata.normalize("NFKC", text.split(".")[0]).strip().casefold()
    return f"_{text}" if head in _DEVICES else text
