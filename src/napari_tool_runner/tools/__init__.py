"""What a tool is: the model, the dialects, the toolbox, rendering, checking.

Names are loaded when first used, so that importing this package costs nothing.
"""

from napari_tool_runner._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
