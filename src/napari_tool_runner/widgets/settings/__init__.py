"""Settings: the dialog, napari's Preferences, the watched file, trust."""
