"""What a tool is: the model, the dialects, the toolbox, rendering, checking."""
