"""Makes the Python reference know our data classes as those of Python, which they are."""

from __future__ import annotations

import griffe


class DataClasses(griffe.Extension):
    """Follows our own decorator to that of `dataclasses`."""

    def on_alias_instance(self, *, alias: griffe.Alias, **_: object) -> None:
        """Read an import of ours as one of Python's."""
        ours, name = alias.target_path.rpartition(".")[::2]
        if ours == "napari_tool_runner.data_classes":
            alias.target_path = f"dataclasses.{name}"
