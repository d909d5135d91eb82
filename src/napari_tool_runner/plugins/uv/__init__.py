"""Environments from PyPI, made by uv: what the UV service is made of."""
