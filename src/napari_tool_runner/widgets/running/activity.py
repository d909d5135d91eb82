"""A running job in napari's own activity list (bottom right), with its Cancel button."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_tool_runner.widgets.running.run_bar import progress_text

if TYPE_CHECKING:
    from napari.utils.progress import cancelable_progress

    from napari_tool_runner.widgets.running.job_bridge import JobBridge

__all__ = ["ActivityMirror"]


class _Nowhere(io.TextIOBase):
    """napari's bars are tqdm bars, which would also print to the terminal."""

    def write(self, text: str) -> int:
        return len(text)


class ActivityMirror(QObject):
    """Shows the job of `bridge` in the activity list while it runs.

    Lives on the GUI thread: napari's bars call Qt when they change.
    """

    def __init__(self, bridge: JobBridge) -> None:
        super().__init__(bridge)
        self._bridge = bridge
        self._bar: cancelable_progress | None = None
        self._shown = ("", 0.0, 0.0)
        bridge.progressed.connect(self._update)
        bridge.finished.connect(self.close)

    def _open(self) -> cancelable_progress | None:
        try:
            from napari.utils.progress import cancelable_progress
        except ImportError:
            return None
        job = self._bridge.job

        class Bar(cancelable_progress):  # type: ignore[misc]
            """Its Cancel reaches the job at once (napari's only sets a flag)."""

            def cancel(self) -> None:
                super().cancel()
                job.cancel()

        return Bar(desc=job.tool.name, total=0, file=_Nowhere())

    def _update(self) -> None:
        job = self._bridge.job
        if job.state.is_finished:
            return
        if self._bar is None:
            self._bar = self._open()
        bar = self._bar
        if bar is None:
            return
        progress = job.progress
        total = float(progress.total or 0) if progress is not None else 0.0
        done = min(float(progress.done), total) if progress is not None else 0.0
        told = progress_text(progress)
        text = f"{job.tool.name}: {job.phase}" + (f" {told}" if told else "")
        before = self._shown
        self._shown = (text, done, total)
        if text != before[0]:
            bar.set_description(text)
        if total != before[2]:
            bar.total = round(1000 * (total > 0))
        if total and (done != before[1] or total != before[2]):
            bar.n = 0
            bar.update(round(1000 * done / total))

    def close(self, *_: object) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
