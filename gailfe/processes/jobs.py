"""How far the jobs of a sweep are, as the files tell that `following` describes."""

from __future__ import annotations

import contextlib
import heapq
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gailfe.config.overrides import key_of, short_keys
from gailfe.processes.following import REPORTS
from gailfe.storage.progress import Report, read_report
from gailfe.storage.records import expert_return
from gailfe.storage.store import ArtifactError

WAITING, DONE, FAILED, STOPPED = "waiting", "done", "failed", "stopped"  # states; any other is a stage


@dataclass
class Job:
    """One job, as far as its sweep knows."""

    label: str
    folder: Path | None = None  # of its run
    report: Report | None = None  # the latest; None before it starts
    seen: float = 0.0  # when it came [s, monotonic]
    stamp: int = 0  # of its file
    ending: str | None = None  # how it ended: "", or its error; None: it goes on
    ended: float = 0.0  # when [s, monotonic]
    expert: float | None = None  # the expert's mean return

    @property
    def state(self) -> str:
        if self.ending is not None:
            return STOPPED if self.ending.startswith("stopped by") else FAILED if self.ending else DONE
        return WAITING if self.report is None else self.report.stage

    @property
    def runs(self) -> bool:
        return self.state not in (WAITING, DONE, FAILED, STOPPED)

    def left(self, now: float) -> float | None:
        """Seconds until its stage is done, at the time `now`; None if unknown."""
        if not self.runs or self.report is None or self.report.left is None:
            return None
        return max(0.0, self.report.left - (now - self.seen))


def job_labels(names: Sequence[Mapping[str, Any]], overrides: Sequence[Sequence[str]]) -> tuple[str, list[str]]:
    """Name jobs by env, algo, seed, and the overrides that they don't all have.

    Returns:
        What the parts of a name are, and the names.

    >>> job_labels([{"env": "ant", "algo": "gail", "seed": 0}] * 2, [["algo.gamma=0.9"], ["algo.gamma=0.8"]])
    ('env/algo/seed/gamma', ['ant/gail/0/0.9', 'ant/gail/0/0.8'])
    """
    values = [{key_of(override): override.partition("=")[2] for override in given} for given in overrides]
    keys = dict.fromkeys(key for given in values for key in given if key not in ("env", "algo", "seed"))
    differing = [key for key in keys if len({given.get(key) for given in values}) > 1]
    labels = [
        "/".join(
            [*(str(name[part]) for part in ("env", "algo", "seed")), *(given.get(key, "") for key in differing)]
        )
        for name, given in zip(names, values, strict=True)
    ]
    return "/".join(["env", "algo", "seed", *(short_keys(differing)[key] for key in differing)]), labels


class Jobs:
    """All jobs of a sweep.

    Args:
        folder: of the sweep while it lasts, with the files of `following`.
        title: of the table.
        naming: what the parts of the jobs' labels are.
        jobs: by their numbers. Those of a study are not known: they join as they start.
        last_stage: what the jobs end with; how long it takes tells how long the sweep does.
    """

    def __init__(self, folder: Path, title: str, naming: str, jobs: Sequence[Job], last_stage: str) -> None:
        self.title, self.naming = title, naming
        self.jobs = dict(enumerate(jobs))
        self._folder = folder
        self._last_stage = last_stage
        self._whole: dict[int, float] = {}  # seconds that the last stage takes, by number of the job
        self.began = time.monotonic()

    def look(self) -> None:
        """Read what is new."""
        now = time.monotonic()
        for number, path in _numbered(self._folder / REPORTS):
            job = self.jobs.setdefault(number, Job(f"job {number}"))
            with contextlib.suppress(OSError, ValueError, TypeError):
                stamp = path.stat().st_mtime_ns
                if stamp != job.stamp:
                    job.report, job.seen, job.stamp = read_report(path), now, stamp
                    self._measure(number, job.report)
            if job.expert is None and job.folder is not None and job.state == "imitation":
                with contextlib.suppress(ArtifactError):  # what reads it for the run's sake names the damage
                    job.expert = expert_return(job.folder)
        for number, path in _numbered(self._folder):
            job = self.jobs.setdefault(number, Job(f"job {number}"))
            if job.ending is None:
                with contextlib.suppress(OSError):
                    job.ending, job.ended = path.read_text(encoding="utf-8"), now

    def time_left(self, now: float) -> float | None:
        """Estimate the seconds until all jobs are done, as many at a time as now; None before there is a basis."""
        open_jobs = [job for job in self.jobs.values() if job.ending is None]
        if not open_jobs:
            return 0.0
        whole = sum(self._whole.values()) / len(self._whole) if self._whole else math.nan
        slots = [self._rest(job, whole, now) for job in open_jobs if job.runs] or [0.0]
        heapq.heapify(slots)
        for job in open_jobs:
            if not job.runs:
                heapq.heapreplace(slots, slots[0] + whole)
        return None if any(map(math.isnan, slots)) else max(slots)

    def _rest(self, job: Job, whole: float, now: float) -> float:
        left = job.left(now)
        if job.state == self._last_stage:
            return whole if left is None else left
        return (left or 0.0) + whole

    def _measure(self, number: int, report: Report) -> None:
        if report.stage == self._last_stage and report.left is not None and report.done < report.total:
            self._whole[number] = report.left * report.total / (report.total - report.done)


def _numbered(folder: Path) -> Iterator[tuple[int, Path]]:
    with contextlib.suppress(OSError):
        yield from ((int(path.name), path) for path in folder.iterdir() if path.name.isdecimal())
