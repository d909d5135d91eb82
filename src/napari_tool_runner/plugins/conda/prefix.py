"""What is installed in an environment, as its own files tell it."""

from __future__ import annotations

import json
from importlib.metadata import distributions
from pathlib import Path

from napari_tool_runner.plugins.conda.channels import public_url

__all__ = ["installed_packages", "pip_packages"]


def installed_packages(prefix: Path) -> list[dict[str, object]]:
    """Return name, version, build, url and sha256 of the conda packages in `prefix`."""
    found: list[dict[str, object]] = []
    for path in sorted((prefix / "conda-meta").glob("*.json")):
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        found.append(
            {
                "name": data.get("name"),
                "version": data.get("version"),
                "build": data.get("build"),
                "url": public_url(str(data.get("url", ""))),
                "sha256": data.get("sha256"),
            }
        )
    return found


def pip_packages(prefix: Path) -> list[str]:
    """Return ``name==version`` of what was added with pip; conda knows nothing of it."""
    found: set[str] = set()
    for folder in [*prefix.glob("lib/python3*/site-packages"), prefix / "Lib" / "site-packages"]:
        if folder.is_dir():
            for entry in distributions(path=[str(folder)]):
                if (entry.read_text("INSTALLER") or "").strip() == "pip":
                    found.add(f"{entry.name}=={entry.version}")
    return sorted(found)
