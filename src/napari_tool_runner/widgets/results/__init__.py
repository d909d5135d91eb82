"""Results that are looked at: tables, plots, and the objects that their rows are."""
