"""The version that is installed; asking for it costs the imports of ``importlib.metadata``."""

from importlib.metadata import PackageNotFoundError, version

__all__ = ["__version__"]

try:
    __version__ = version("napari-tool-runner")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
