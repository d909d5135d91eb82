"""What a person sees. The only room that imports Qt and napari."""

import lazy_loader

# on demand: menu entries need none of these names until one is chosen
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
