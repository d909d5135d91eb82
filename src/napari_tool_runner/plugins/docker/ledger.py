"""Which images were pulled for tools, so that `clean` offers these and no others.

One small JSON file in the user's data folder: engine -> name of the image -> its id.
"""

from __future__ import annotations

import json
from pathlib import Path

from napari_tool_runner.storage import locked, user_data, write_json

__all__ = ["forget_image", "note_image", "noted_images"]


def noted_images(engine: str) -> dict[str, str]:
    """Return name -> id of the images that were pulled on this engine."""
    return _read(_file()).get(engine, {})


def note_image(engine: str, name: str, image: str) -> None:
    """Remember a pulled image.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    _change(engine, name, image)


def forget_image(engine: str, name: str) -> None:
    """Forget an image that was removed.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    _change(engine, name, None)


def _file() -> Path:
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
