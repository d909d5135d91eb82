"""What DOCKER keeps on disk, for `clean`: images that it pulled, containers nobody uses."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import docker.errors

from napari_tool_runner.errors import RunnerError
from napari_tool_runner.plugins.contract import Stored
from napari_tool_runner.plugins.docker.client import ENGINE_ERRORS, Engine
from napari_tool_runner.plugins.docker.containers import Leftover, leftovers, remove
from napari_tool_runner.plugins.docker.images import find_image, parse_reference
from napari_tool_runner.storage import Kept, user_data

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["note_image", "stored_things"]


def stored_things(engine: Engine, busy: Collection[str]) -> list[Stored]:
    """Return what can be removed; containers first, since they keep their images.

    Parameters
    ----------
    engine : Engine
    busy : collection of str
        Ids of containers in which jobs run now.
    """
    return [*_containers(engine, busy), *_images(engine)]


def _containers(engine: Engine, busy: Collection[str]) -> Iterator[Stored]:
    for entry in leftovers(engine, sizes=True):
        if entry.state != "in use" and entry.id not in busy:
            yield Stored(
                "container", entry.name, entry.size or 0, partial(_remove_container, engine, entry)
            )


def _images(engine: Engine) -> Iterator[Stored]:
    try:
        known = _names(_kept().read().get(engine.id))
    except (OSError, ValueError):
        known = {}  # without the list nothing is offered; nothing else depends on it
    for name, pulled in known.items():
        image = find_image(engine, parse_reference(name))
        if image is None or image.id != pulled:
            # somebody removed it by hand, or gave its name to an image of theirs
            note_image(engine.id, name, None)
            continue
        yield Stored("image", name, image.size, partial(_remove_image, engine, name))


def _remove_container(engine: Engine, entry: Leftover) -> None:
    if not remove(engine, entry.id):
        raise RunnerError(f"The container engine does not remove {entry.name}.")


def _remove_image(engine: Engine, name: str) -> None:
    try:
        engine.client.api.remove_image(name)
    except docker.errors.ImageNotFound:
        pass
    except docker.errors.APIError as error:
        raise RunnerError(
            f"The image {name} is in use.", hint="Remove the containers made of it first."
        ) from error
    except ENGINE_ERRORS as error:
        raise RunnerError("The container engine does not answer.") from error
    note_image(engine.id, name, None)


def note_image(engine: str, name: str, image: str | None) -> None:
    """Remember an image that was pulled for a tool: `clean` offers these and no others.

    Parameters
    ----------
    engine, name : str
    image : str or None
        Its id; None: it is forgotten.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    with _kept().changing() as known:
        images = _names(known.get(engine))
        if image is None:
            images.pop(name, None)
        else:
            images[name] = image
        known[engine] = images


def _kept() -> Kept:
    """Engine -> name of the image -> its id."""
    return Kept(user_data() / "docker-images.json")


def _names(images: object) -> dict[str, str]:
    told = images.items() if isinstance(images, dict) else ()
    return {name: image for name, image in told if isinstance(image, str)}
