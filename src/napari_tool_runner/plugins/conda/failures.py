"""What failures of rattler mean, in our words, without the credentials that its own hold."""

from __future__ import annotations

import re
from pathlib import Path

from rattler import exceptions as rattler_errors

from napari_tool_runner.addresses import without_credentials
from napari_tool_runner.errors import PreparationError
from napari_tool_runner.plugins.unreached import proxy_hint, set_proxy, why_unreached

__all__ = ["INSTALL_ERRORS", "NETWORK_HINT", "cause_of", "install_error", "solver_error"]

NETWORK_HINT = (
    "Check the network, and the channels in the runner section of the configuration "
    "('channels', 'channel_alias', 'mirrors')."
)

INSTALL_ERRORS = (
    rattler_errors.InstallerError,
    rattler_errors.LinkError,
    rattler_errors.TransactionError,
    rattler_errors.IoError,
    rattler_errors.CacheDirError,
    rattler_errors.ExtractError,
    OSError,
)


def solver_error(error: Exception) -> PreparationError:
    """Return the error for packages that do not fit, in the solver's own words."""
    words = str(error).strip().removeprefix("Cannot solve the request because of: ")
    return PreparationError(f"The packages cannot be solved: {words}")


def install_error(error: Exception, prefix: Path) -> PreparationError:
    """Return the error for packages that cannot be fetched or written, with what to do."""
    words, hint = cause_of(error)
    low = words.lower()
    if "os error 28" in low or "no space left" in low or "os error 122" in low:
        hint = f"The disk of {prefix} is full: free some room, or set 'environments_dir'."
    elif "os error 13" in low or "os error 30" in low or "permission" in low:
        hint = "Set 'environments_dir' in the runner section to a folder that can be written."
    elif "checksum" in low or "mismatch" in low or "hash" in low:
        hint = "The archive of the package is damaged; try again, or ask whoever runs the channel."
    return PreparationError(f"The packages could not be installed: {words}.", hint=hint)


def cause_of(error: Exception) -> tuple[str, str]:
    """Return why something failed in one line, without credentials, and what to do about it.

    That a server cannot be reached is told in our words, anything else in rattler's.
    """
    parts = [part.strip(" .") for part in str(error).replace("Caused by:", "\n").splitlines()]
    text = without_credentials(": ".join(dict.fromkeys(part for part in parts if part)))
    asked = re.search(r"[a-z][a-z0-9+]{0,20}://([^\s/)`'\"]+)", text)
    if asked:
        why, by_proxy = why_unreached(text, set_proxy(asked[0]))
        if why:
            return f"{asked[1]} {why}", proxy_hint(asked[0]) if by_proxy else NETWORK_HINT
    return text, NETWORK_HINT
