"""Run any described image-analysis tool on napari layers, from a form or a script."""

from napari_tool_runner._lazy import attach

# napari imports this module at start-up to find the manifest: __init__.pyi names the rest
__getattr__, __dir__, __all__ = attach(__name__, __file__)
