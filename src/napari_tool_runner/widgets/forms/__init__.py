"""The form of a tool: fields, containers, layers, presets, the part to work on."""
