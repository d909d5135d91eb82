"""The small tools of the jobs' tests."""

from __future__ import annotations

from jobs.conftest import config, make_tool

__all__ = ["config", "make_tool"]
