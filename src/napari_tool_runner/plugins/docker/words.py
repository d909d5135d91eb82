"""What an engine says, with a limit (it passes on what registries say), and what it means."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import docker.errors

from napari_tool_runner.addresses import without_credentials
from napari_tool_runner.errors import PreparationError
from napari_tool_runner.plugins.docker.client import CONTROL_TIMEOUT
from napari_tool_runner.plugins.unreached import why_unreached

if TYPE_CHECKING:
    import requests

    from napari_tool_runner.plugins.docker.client import Engine

__all__ = [
    "LONGEST_LINE",
    "lacks_another_file",
    "last_words",
    "lines_of",
    "not_answered",
    "said_by",
    "why_no_image",
]

_LONGEST = 2000
"""Characters of what an engine says that are told."""

_CALLS = frozenset({"open", "openat", "openat2", "mkdir", "mkdirat", "mount", "lstat", "readlink"})

LONGEST_LINE = 2**20
"""Bytes of a line that is read."""


def said_by(error: object) -> str:
    """Return what an engine said by an error (or in a text), cut off where it is too long."""
    # the SDK's errors hold the engine's address as it is configured
    text = without_credentials(str(getattr(error, "explanation", None) or error)).strip()
    more = len(text) - _LONGEST
    return f"{text[:_LONGEST]} … ({more} more characters)" if more > 0 else text


def not_answered(error: Exception) -> PreparationError:
    """Return the error for a question that an engine refused, or went away from."""
    said = said_by(error).rstrip(".")
    if isinstance(error, docker.errors.APIError):
        return PreparationError(
            f"The container engine refused what it was asked. It said: {said}.",
            hint="Check the image in the tool’s descriptor, and the options of the runner.",
        )
    return PreparationError(
        f"The container engine went away while it was asked: {said}.",
        hint="Start it again, then try again.",
    )


def lacks_another_file(said: str) -> bool:
    """Whether a start failed for a file that was to be opened or mounted, not the program."""
    before, found, _ = said.lower().partition(": no such file")
    return bool(found) and bool(_CALLS.intersection(before.split()[-2:-1]))


def lines_of(answer: requests.Response) -> Iterator[bytes]:
    """Yield the lines of an answer as they come; one that is too long is the last, cut off."""
    left = b""
    for part in answer.iter_content(4096):
        *lines, left = (left + part).split(b"\n")
        yield from lines
        if len(left) > LONGEST_LINE:
            break
    yield left


def last_words(engine: Engine, container: str) -> str:
    """Return what a container printed last."""
    api = engine.control.api
    place = f"{api.base_url}/v{api.api_version}/containers/{container}/logs"
    asked = {"stdout": 1, "stderr": 1, "tail": 5}
    # not by the SDK, which reads lines of any length
    with api.get(place, params=asked, stream=True, timeout=CONTROL_TIMEOUT) as answer:
        said: bytes = answer.raw.read(_LONGEST)
    return said.decode(errors="replace")


def why_no_image(said: str) -> tuple[str, str]:
    """Return a sentence and a hint for a pull that failed, by what the engine said.

    Both have places for the names ``{image}``, ``{registry}`` and ``{platform}``, and ``{said}``
    where our words do not tell all of it.
    """
    lowered = said.lower()
    proxy = re.search(r"proxyconnect tcp: dial tcp:? (?:lookup )?([\w.:-]+\w)", lowered)
    asked = f"the proxy of the engine, {proxy[1]}," if proxy else ""
    why, by_proxy = why_unreached(said, asked, "the proxy of the engine")
    if not by_proxy:  # a registry's own words
        for signs, sentence, hint in _WORDS:
            if any(sign in lowered for sign in signs):
                return f"{sentence} The engine said: {{said}}", hint
    if why:
        return f"The registry {{registry}}, which has the image {{image}}, {why}.", _NETWORK
    sentence = "The image {image} cannot be pulled. The engine said: {said}"
    return sentence, "Try `docker pull` by hand."


_NETWORK = "Check the network (and the engine’s proxy), then try again."
_WORDS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("no space left on device",),
        "The disk of the container engine is full: the image {image} does not fit.",
        "Free some space (`napari-tool-runner clean`, `docker system prune`) and try again.",
    ),
    (
        ("no matching manifest for", "does not match the specified platform"),
        "The image {image} is not made for this computer ({platform}).",
        "Ask its authors, or set “platform” of the runner (such as linux/amd64).",
    ),
    (
        ("toomanyrequests", "rate limit"),
        "The registry {registry} refuses to give the image {image}: too many requests.",
        "Wait, or log in with `docker login {registry}`.",
    ),
    (
        ("filesystem layer verification failed", "digest mismatch", "does not match digest"),
        "A part of the image {image} arrived damaged.",
        "Try again; if it stays so, tell those who run the registry {registry}.",
    ),
    (
        ("unauthorized", "no basic auth credentials", "authentication required", "forbidden"),
        "The registry {registry} gives the image {image} only to those it knows.",
        "Log in with `docker login {registry}` and try again.",
    ),
    (
        ("pull access denied", "requested access to the resource is denied"),
        "The registry {registry} has no image {image}, or gives it only to those it knows.",
        "Check the name, or log in with `docker login {registry}`.",
    ),
    (
        ("manifest unknown", "not found", "name unknown", "manifest for"),
        "The registry {registry} has no image {image}.",
        "Check the name and the tag in the tool’s descriptor.",
    ),
    (
        ("connection reset", "unexpected eof", "short read", "broken pipe", "use of closed"),
        "The download of the image {image} broke off in the middle.",
        "Try again; layers that are complete are kept.",
    ),
    (
        ("http status", "internal server error", "status code 5"),
        "The registry {registry} answered with an error when asked for the image {image}.",
        "Try again later.",
    ),
)
