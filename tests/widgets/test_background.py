"""Work off the GUI thread, and in slices on it."""

from __future__ import annotations

import threading

import pytest
from qtpy.QtCore import QObject

from napari_tool_runner.errors import ParameterError, ToolRunnerError
from napari_tool_runner.widgets.parts.background import (
    IdleWork,
    Latest,
    Task,
    keyboard,
    to_the_end,
)


def test_the_answer_comes_back_to_the_gui_thread(qtbot):
    threads: list[threading.Thread] = []

    def work() -> int:
        threads.append(threading.current_thread())
        return 7

    task = Task(work)
    task.done.connect(lambda _: threads.append(threading.current_thread()))
    with qtbot.waitSignal(task.done) as told:
        task.start()
    assert told.args == [7]
    assert threads[0] is not threads[1] is threading.main_thread()


@pytest.mark.parametrize("error", [ParameterError("“x” is odd.", name="x"), ZeroDivisionError()])
def test_what_is_raised_is_told(qtbot, error):
    def work() -> None:
        raise error

    task = Task(work)
    with qtbot.waitSignal(task.failed) as told:
        task.start()
    assert isinstance(told.args[0], ToolRunnerError)
    assert told.args[0] is error or isinstance(error, ZeroDivisionError)


def test_what_nobody_waits_for_is_done_in_turn_and_its_failure_logged(qtbot, caplog):
    go, done = threading.Event(), []

    def first() -> None:
        go.wait(60)
        done.append("first")
        raise ParameterError("“x” is odd.", name="x")

    def second() -> None:
        done.append("second")
        raise ZeroDivisionError

    for work, subject in (
        (first, "a first"),
        (second, "a second"),
        (lambda: done.append("third"), ""),
    ):
        to_the_end(work, subject)
    assert done == []
    go.set()
    qtbot.waitUntil(lambda: done[2:] != [], timeout=60_000)
    assert done == ["first", "second", "third"]
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    assert "“x” is odd" in caplog.text
    assert "a second" in caplog.text


def test_a_task_ends_unheard_with_its_parent_or_when_dropped(qtbot):
    heard: list[object] = []
    go = threading.Event()
    parent = QObject()
    for task in (Task(go.wait, parent), Task(go.wait)):
        task.done.connect(heard.append)
        task.start()
    parent.deleteLater()
    task.drop()
    go.set()
    qtbot.wait(100)
    assert heard == []


def test_of_what_is_asked_meanwhile_the_last_is_done(qtbot):
    go, told = threading.Event(), []
    parent = QObject()
    latest = Latest(parent)
    latest.done.connect(told.append)
    latest.failed.connect(lambda _: told.append("failed"))
    latest.ask(go.wait)
    for number in range(3):
        latest.ask(lambda number=number: 1 / number)  # the first of them would fail
    go.set()
    qtbot.waitUntil(lambda: len(told) == 2)
    latest.ask(lambda: 1 / 0)
    latest.ask(lambda: 3)
    qtbot.waitUntil(lambda: len(told) == 4)
    assert told == [True, 0.5, "failed", 3]


def test_idle_work_comes_in_slices_and_can_be_finished(qtbot):
    done: list[int] = []
    idle = IdleWork()
    idle.add([lambda: done.append(2), lambda: done.append(3)])
    idle.add([lambda: done.append(1)], first=True)
    assert idle.pending == 3
    idle.work()
    assert done == [1, 2, 3]
    idle.add([lambda: done.append(4)])
    qtbot.waitUntil(lambda: done[-1] == 4)
    assert idle.pending == 0


def test_what_is_done_ahead_rests_while_somebody_types(qtbot):
    done: list[str] = []
    ahead, wanted = IdleWork(ahead=True), IdleWork()
    keyboard().used()
    for name, idle in (("ahead", ahead), ("wanted", wanted)):
        idle.add([lambda name=name: done.append(name)])
        idle.work_a_little()
    assert done == ["wanted"]
    qtbot.waitUntil(lambda: not ahead.pending)
    assert not keyboard().is_busy
