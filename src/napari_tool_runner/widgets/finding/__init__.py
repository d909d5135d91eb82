"""Find a tool: search, tree, badges, stars."""
