"""What a person sees. The only room that imports Qt and napari."""
