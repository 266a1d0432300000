"""Logs how far a stage is, how fast it goes and how long it still takes; for a sweep that watches, too."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

log = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds between two reports in a file


@dataclass(frozen=True)
class Report:
    """How far this process is with its job."""

    stage: str  # "expert", "demonstrations", "imitation", or what it does before or waits for
    done: int = 0  # iterations or trajectories
    total: int = 0
    steps_per_s: float | None = None  # of the environment
    left: float | None = None  # seconds until the stage is done
    evaluated: float | None = None  # the latest evaluation's mean return
    resumed: bool = False  # an earlier process began this stage


_file: list[Path] = []  # where this process writes its reports, if anybody watches


def report_into(file: Path | None) -> None:
    """From now on, this process writes its reports to `file`, each one over the last; None: nowhere."""
    _file[:] = [] if file is None else [file]


def publish(report: Report) -> None:
    """Write a report for the sweep that watches this process, if one does. It may be lost; the work goes on."""
    for file in _file:
        with contextlib.suppress(OSError):  # not `write_text`, which waits for the disk
            partial = file.with_name(f".{file.name}.partial")
            partial.write_text(json.dumps(asdict(report)))
            os.replace(partial, file)


def read_report(file: Path) -> Report:
    """Read what `publish` wrote. Raises OSError, ValueError or TypeError if it can't be read."""
    return Report(**json.loads(file.read_text()))


class Progress:
    """Logs at most one line every `interval` seconds, and one at the end; reports more often.

    Args:
        label: of the stage; the lines begin with it.
        total: the whole work, in `unit`s.
        done: the part of it that an earlier process did.
        unit: what is counted, in the plural.
        interval: the shortest time between two lines [s].
        stage: its name in reports.
        scale: `unit`s in an iteration.

    Attributes:
        evaluated: the latest evaluation's mean return, for the reports; None before the first one.
    """

    def __init__(
        self,
        label: str,
        total: int,
        done: int = 0,
        unit: str = "steps",
        interval: float = 10.0,
        stage: str = "imitation",
        scale: int = 1,
    ) -> None:
        self.label = label
        self.total = total
        self.unit = unit
        self.stage = stage
        self.evaluated: float | None = None
        self._scale = scale
        self._first = done
        self._interval = interval
        self._started = self._shown = self._reported = time.monotonic()
        publish(self._report(done, None, None))

    def update(self, done: int, note: str = "") -> None:
        """Log a line and report if it is time for it; `done` of `total` are done."""
        now = time.monotonic()
        last = done >= self.total
        reports, logs = last or now - self._reported >= INTERVAL, last or now - self._shown >= self._interval
        if not reports and not logs:
            return
        rate = (done - self._first) / max(now - self._started, 1e-9)
        left = (self.total - done) / rate if rate > 0 else None
        if reports:
            self._reported = now
            publish(self._report(done, rate, left))
        if not logs:
            return
        self._shown = now
        log.info(
            "%s  %3.0f%%  %s of %s %s  %s/s  %s left  %s",
            self.label,
            100 * done / self.total,
            f"{done:,}",
            f"{self.total:,}",
            self.unit,
            f"{rate:,.3g}" if rate < 100 else f"{rate:,.0f}",
            "?:??" if left is None else f"{left // 60:.0f}:{left % 60:02.0f}",
            note,
        )

    def _report(self, done: int, rate: float | None, left: float | None) -> Report:
        steps_per_s = rate if self.unit == "steps" else None
        counts = (done // self._scale, self.total // self._scale)
        return Report(self.stage, *counts, steps_per_s, left, self.evaluated, self._first > 0)
