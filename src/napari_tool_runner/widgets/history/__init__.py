"""Past jobs: the panel, and how a layer was made."""
