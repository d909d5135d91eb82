"""What DOCKER keeps on disk, for `clean`: images that it pulled, containers nobody uses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import docker.errors

from napari_tool_runner.errors import RunnerError
from napari_tool_runner.plugins.contract import Stored
from napari_tool_runner.plugins.docker import containers as containers
from napari_tool_runner.plugins.docker.client import ENGINE_ERRORS, Engine
from napari_tool_runner.plugins.docker.images import find_image
from napari_tool_runner.plugins.docker.reference import parse_reference
from napari_tool_runner.storage import locked, user_data, write_json

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
    for entry in containers.leftovers(engine, sizes=True):
        if entry.state != "in use" and entry.id not in busy:
            yield Stored(
                "container", entry.name, entry.size or 0, partial(_remove_container, engine, entry)
            )


def _images(engine: Engine) -> Iterator[Stored]:
    for name in _noted_images(engine.id):
        image = find_image(engine, parse_reference(name))
        if image is None:
            # somebody removed it by hand
            _forget_image(engine.id, name)
            continue
        yield Stored("image", name, image.size, partial(_remove_image, engine, name))


def _remove_container(engine: Engine, entry: containers.Leftover) -> None:
    if not containers.remove(engine, entry.id):
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
    _forget_image(engine.id, name)


def _noted_images(engine: str) -> dict[str, str]:
    """Return name -> id of the images that were pulled on this engine."""
    return _read(_file()).get(engine, {})


def note_image(engine: str, name: str, image: str) -> None:
    """Remember an image that was pulled for a tool: `clean` offers these and no others.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    _change(engine, name, image)


def _forget_image(engine: str, name: str) -> None:
    _change(engine, name, None)


def _file() -> Path:
    """Engine -> name of the image -> its id."""
    return user_data() / "docker-images.json"


def _read(path: Path) -> dict[str, dict[str, str]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # without the list nothing is offered; nothing else depends on it
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        str(engine): {str(name): str(image) for name, image in images.items()}
        for engine, images in found.items()
        if isinstance(images, dict)
    }


def _change(engine: str, name: str, image: str | None) -> None:
    path = _file()
    with locked(path):
        known = _read(path)
        images = known.setdefault(engine, {})
        if image is None:
            images.pop(name, None)
        else:
            images[name] = image
        write_json(path, known, indent=1)
