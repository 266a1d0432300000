"""A line now and then that says how far a stage is, how fast it goes and how long it still takes."""

from __future__ import annotations

import logging
import time

log = logging.getLogger(__name__)


class Progress:
    """Logs at most one line every `interval` seconds, and one at the end.

    Lines rather than a live bar: the jobs of a sweep share one terminal.
    """

    def __init__(self, label: str, total_steps: int, done_steps: int = 0, interval: float = 10.0) -> None:
        self.label = label
        self.total_steps = total_steps
        self._first_steps = done_steps
        self._interval = interval
        self._started = self._shown = time.monotonic()

    def update(self, steps: int, note: str = "") -> None:
        """Report `steps` of `total_steps` environment steps done."""
        now = time.monotonic()
        if now - self._shown < self._interval and steps < self.total_steps:
            return
        self._shown = now
        elapsed = max(now - self._started, 1e-9)
        rate = (steps - self._first_steps) / elapsed
        left = (self.total_steps - steps) / max(rate, 1e-9)
        log.info(
            "%s  %3.0f%%  %s of %s steps  %s steps/s  %s left  %s",
            self.label,
            100 * steps / self.total_steps,
            f"{steps:,}",
            f"{self.total_steps:,}",
            f"{rate:,.0f}",
            f"{left // 60:.0f}:{left % 60:02.0f}",
            note,
        )
