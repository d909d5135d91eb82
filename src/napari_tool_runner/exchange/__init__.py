"""How pixels and coordinates travel between layers and files."""
