"""The version: each record says it, and the package is built with it."""

__all__ = ["__version__"]

__version__ = "0.1.0"
