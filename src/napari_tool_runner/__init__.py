"""Run any described image-analysis tool on napari layers, from a form or a script."""

from importlib.metadata import PackageNotFoundError, version

from napari_tool_runner._lazy import attach

try:
    __version__ = version("napari-tool-runner")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

# napari imports this module at start-up to find the manifest: __init__.pyi names the rest
__getattr__, __dir__, __all__ = attach(__name__, __file__)
