"""Programs on this computer: start, watch, end with their whole tree."""
