"""Ratios against the bare thing, measured in the same run (see README.md)."""
