"""What is told while an environment is made; rattler calls it from threads of its own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from napari_tool_runner.plugins import Progress
from napari_tool_runner.plugins.conda import bounds
from napari_tool_runner.plugins.conda.progress import InstallReporter

if TYPE_CHECKING:
    from napari_tool_runner.plugins.process import Event


def reporter(sizes: dict[str, int | None], download: int) -> tuple[InstallReporter, list[Event]]:
    records = [
        SimpleNamespace(
            name=SimpleNamespace(normalized=name), size=size, url=f"https://example.org/{name}"
        )
        for name, size in sizes.items()
    ]
    told: list[Event] = []
    return InstallReporter(records, download, lambda _: None, told.append), told


def test_downloads_and_links_add_up_to_the_whole() -> None:
    made, told = reporter({"big": 900, "small": 100}, 1000)
    made.on_transaction_start(2)
    assert told == [Progress("Downloading packages", 0, 1000, "bytes")]
    big = made.on_populate_cache_start(0, "big")
    small = made.on_populate_cache_start(1, "small")
    download = made.on_download_start(big)
    for done in (300, 600, 900):  # within the pause: no flood
        made.on_download_progress(download, done, 900)
    made.on_populate_cache_complete(small)
    made.on_populate_cache_complete(big)
    assert told[-1] == Progress("Downloading packages", 1000, 1000, "bytes")
    assert len(told) <= 4
    for index in range(2):
        made.on_link_complete(index)
    assert told[-1] == Progress("Linking packages", 2, 2)
    downloads = [
        event.done for event in told if isinstance(event, Progress) and event.total == 1000
    ]
    assert downloads == sorted(downloads)


def test_what_is_in_the_cache_tells_no_bytes() -> None:
    made, told = reporter({"a": None}, 0)
    made.on_transaction_start(1)
    made.on_populate_cache_complete(made.on_populate_cache_start(0, "a"))
    assert told == []
    made.on_link_complete(0)
    assert told == [Progress("Linking packages", 1, 1)]


def test_more_bytes_than_were_told_are_no_more_than_all() -> None:
    made, told = reporter({"a": 10}, 10)
    entry = made.on_populate_cache_start(0, "a")
    made.on_download_progress(made.on_download_start(entry), 25, None)
    assert told == [Progress("Downloading packages", 10, 10, "bytes")]


def test_packages_that_do_not_come_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "_SILENT", 0.0)
    made, _ = reporter({"big": 900}, 900)
    monkeypatch.setattr("napari_tool_runner.plugins.conda.progress.written", lambda: 0)
    made.on_populate_cache_start(0, "big")
    made.on_download_start(0)
    made.hear()
    made.on_download_progress(0, 10, 900)
    made.hear()
    with pytest.raises(TimeoutError, match=r"https://example\.org/big: timed out"):
        made.hear()
    made.on_populate_cache_complete(0)
    made.hear()
