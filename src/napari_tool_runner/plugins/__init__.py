"""Where a tool runs: the runner factory, the contract, the services.

Names are loaded when first used: a window needs no ender of programs.
"""

from napari_tool_runner._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
