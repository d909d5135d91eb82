"""Environments by content: what the CONDA service is made of."""
