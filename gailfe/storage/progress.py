"""Logs how far a stage is, how fast it goes and how long it still takes."""

from __future__ import annotations

import logging
import time

log = logging.getLogger(__name__)


class Progress:
    """Logs at most one line every `interval` seconds, and one at the end.

    Lines and not a live bar, because the jobs of a sweep share one terminal.

    Args:
        label: of the stage; the lines begin with it.
        total: the whole work, in `unit`s.
        done: the part of it that an earlier process did.
        unit: what is counted, in the plural.
        interval: the shortest time between two lines [s].
    """

    def __init__(self, label: str, total: int, done: int = 0, unit: str = "steps", interval: float = 10.0) -> None:
        self.label = label
        self.total = total
        self.unit = unit
        self._first = done
        self._interval = interval
        self._started = self._shown = time.monotonic()

    def update(self, done: int, note: str = "") -> None:
        """Log a line if it is time for one; `done` of `total` are done."""
        now = time.monotonic()
        if now - self._shown < self._interval and done < self.total:
            return
        self._shown = now
        rate = (done - self._first) / max(now - self._started, 1e-9)
        left = (self.total - done) / rate if rate > 0 else float("nan")
        log.info(
            "%s  %3.0f%%  %s of %s %s  %s/s  %s left  %s",
            self.label,
            100 * done / self.total,
            f"{done:,}",
            f"{self.total:,}",
            self.unit,
            f"{rate:,.3g}" if rate < 100 else f"{rate:,.0f}",
            "?:??" if left != left else f"{left // 60:.0f}:{left % 60:02.0f}",
            note,
        )
