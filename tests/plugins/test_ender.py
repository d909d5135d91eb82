from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading

import pytest

from napari_tool_runner.errors import JobCancelledError, JobTimeoutError, RunnerExecError
from napari_tool_runner.plugins import CancelToken
from napari_tool_runner.plugins.programs import process_tree
from napari_tool_runner.plugins.programs.process_tree import Ender, end_processes


def test_a_program_is_ended_once_and_waited_for():
    ended, cancel = threading.Event(), CancelToken()
    calls = []

    def end():
        calls.append(threading.current_thread())
        ended.set()

    with Ender(end, cancel, None) as ender:
        cancel.cancel()
        ender.start("broken")
        assert ended.wait(10)
    ender.start("broken")
    assert len(calls) == 1
    assert not calls[0].is_alive()
    with pytest.raises(JobCancelledError, match="prog was cancelled"):
        ender.raise_reason("prog")


def test_the_time_limit_is_told_in_one_sentence():
    ended = threading.Event()
    with Ender(ended.set, CancelToken(), 0.01) as ender:
        assert ended.wait(10)
    with pytest.raises(JobTimeoutError, match=r"^The program ran longer than .* 0\.01 s"):
        ender.raise_reason()


def test_a_program_that_ends_by_itself_is_left_alone():
    cancel, calls = CancelToken(), []
    with Ender(lambda: calls.append(1), cancel, 600) as ender:
        pass
    cancel.cancel()
    ender.raise_reason()
    assert calls == []


def test_an_end_that_fails_is_told_where_the_program_is_waited_for():
    def end():
        raise RunnerExecError("it may still be running")

    with Ender(end, CancelToken(), None) as ender:
        ender.start("cancel")
    with pytest.raises(RunnerExecError, match="still be running"):
        ender.raise_reason()


def test_the_end_of_the_first_run_leaves_the_tenth(monkeypatch):
    monkeypatch.setattr(process_tree, "_numbers", itertools.count(1))
    first, *_, tenth = [process_tree.new_mark() for _ in range(10)]
    with subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"],
        env={**os.environ, process_tree.MARK: tenth},
    ) as other:
        end_processes([], grace=0.1, mark=first)
        assert other.poll() is None
        if sys.platform == "linux":  # elsewhere it is not sure to be found
            end_processes([], grace=2.0, mark=tenth)
        else:
            other.kill()
        assert other.wait(5)
