"""How pixels and coordinates travel between layers and files.

Names are loaded when first used: a run without pixels needs few of them.
"""

from napari_tool_runner._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
