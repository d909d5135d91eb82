"""The small tools of the jobs' tests, and a session that holds many files open."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from jobs.conftest import config, make_tool
from plugins.conda_fixtures import here

__all__ = ["config", "here", "make_tool"]


@pytest.fixture
def many_open() -> Iterator[None]:
    """More open files than `select.select` has numbers for, as many outputs leave them."""
    if sys.platform == "win32":
        pytest.skip("no limits of this kind here")
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], 4096), before[1]))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    yield
    for one in opened:
        os.close(one)
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
