"""What a person sees. The only room that imports Qt and napari."""

from napari_tool_runner._lazy import attach

# on demand: menu entries need none of these names until one is chosen
__getattr__, __dir__, __all__ = attach(__name__, __file__)
