"""What authors let be made: a new tool, and a test of a run."""
