"""The ``galaxy`` dialect: Galaxy's tool language, on galaxy-tool-util."""

from napari_tool_runner.tools.galaxy.dialect import GalaxyDialect

__all__ = ["GalaxyDialect"]
