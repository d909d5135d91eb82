"""The seal of this installation: what carries it was written here, by who can read its key.

Records of jobs and labels of containers carry one; whatever else they say, anybody could say.
"""

from __future__ import annotations

import hashlib
import hmac
from contextlib import suppress
from secrets import token_hex

from napari_tool_runner.storage import read_limited, user_data, write_whole

__all__ = ["is_sealed", "seal_of"]


def seal_of(content: str) -> str:
    """Return the seal of `content`; empty where no key can be kept."""
    key = _key(make=True)
    return _seal(key, content) if key else ""


def is_sealed(content: str, seal: object) -> bool:
    """Whether `seal` was made here for that very `content`."""
    key = _key(make=False)
    if not isinstance(seal, str) or not key:
        return False
    return hmac.compare_digest(seal.encode(), _seal(key, content).encode())


def _seal(key: bytes, content: str) -> str:
    return hmac.new(key, content.encode(), hashlib.sha256).hexdigest()


def _key(*, make: bool) -> bytes:
    place = user_data() / "seal.key"
    try:
        if make and not place.exists():
            with suppress(OSError):  # another program was faster, and took our draft away
                write_whole(place, token_hex(32), alone=True)
        return read_limited(place, 100, follow=False)
    except (OSError, ValueError):
        return b""
