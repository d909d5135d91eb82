"""Runs that have been: history, repetition, comparison, export, removal."""
