"""The live table of a sweep's jobs, as rich draws it."""

from __future__ import annotations

import time

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.text import Text

from gailfe.processes.jobs import DONE, FAILED, STOPPED, WAITING, Job, Jobs

STYLES = {WAITING: "dim", DONE: "green", FAILED: "bold red", STOPPED: "yellow"}
COLUMNS = {
    "state": 14,
    "iteration": 9,
    "return": 6,
    "expert": 6,
    "steps/s": 7,
    "left": 7,
}  # and their least widths
AROUND = 6  # lines that are not rows: title, head, two of totals, one for the cursor, one of the log


def picture(jobs: Jobs, width: int, height: int) -> RenderableType:
    """The table, of at most `width` columns and `height` lines."""
    now = time.monotonic()
    shown = _shown(list(jobs.jobs.values()), max(3, height - AROUND))
    head, rows = [jobs.naming, *COLUMNS], [_cells(job, now) for job in shown]
    least = [0, *COLUMNS.values()]  # so that columns stay where they are while jobs come and go
    widths = [max(least[i], *(len(row[i]) for row in [head, *rows])) for i in range(len(head))]
    gap = 2 if sum(widths) + 2 * len(widths) <= width else 1
    widths[0] = min(widths[0], max(12, width - sum(widths[1:]) - gap * len(COLUMNS)))
    lines = [_line(head, widths, gap, "bold", "bold")]
    lines += [_line(row, widths, gap, STYLES.get(job.state, "cyan")) for job, row in zip(shown, rows, strict=True)]
    hidden = len(jobs.jobs) - len(shown)
    title = jobs.title + (f": {len(shown)} of {len(jobs.jobs)} jobs" if hidden else "")
    rule = Rule(Text(title), style="dim", characters="─", align="left")
    return Group(rule, *lines, _totals(jobs, now, width))


def _line(cells: list[str], widths: list[int], gap: int, state_style: str, style: str = "") -> Text:
    """A line of the table. (rich's own Table takes ten times as long to draw, in the time of the jobs.)"""
    label, state, *numbers = cells
    padded = [_shortened(label, widths[0]).ljust(widths[0]), state.ljust(widths[1])]
    padded += [number.rjust(width) for number, width in zip(numbers, widths[2:], strict=True)]
    parts = [(cell + " " * gap, state_style if i == 1 else style) for i, cell in enumerate(padded)]
    return Text.assemble(*parts, no_wrap=True, overflow="crop")


def _shown(jobs: list[Job], count: int) -> list[Job]:
    """The jobs for `count` rows: those at work, then ended ones, failed and late ones first, then the next."""
    if len(jobs) <= count:
        return jobs
    chosen = [i for i, job in enumerate(jobs) if job.runs][:count]
    ended = [i for i, job in enumerate(jobs) if job.ending is not None]
    waiting = [i for i, job in enumerate(jobs) if job.state == WAITING]
    ended.sort(key=lambda i: (jobs[i].state != FAILED, -jobs[i].ended))
    room = count - len(chosen)
    chosen += ended[: max(room // 2, room - len(waiting))]
    chosen += waiting[: count - len(chosen)]
    return [jobs[i] for i in sorted(chosen)]


def _totals(jobs: Jobs, now: float, width: int) -> Text:
    everyone = jobs.jobs.values()
    states = [job.state for job in everyone]
    resumed = sum(job.runs and job.report is not None and job.report.resumed for job in everyone)
    running = f"{sum(job.runs for job in everyone)} running" + (f" ({resumed} ↻ resumed)" if resumed else "")
    others = [f"{states.count(state)} {state}" for state in (WAITING, FAILED, STOPPED) if state in states]
    left = jobs.time_left(now)
    times = f"{_clock(now - jobs.began)} so far, {'?' if left is None else 'about ' + _clock(left)} left"
    counts = ", ".join([f"{states.count(DONE)} done", running, *others])
    return Text(f"{counts}; {times}" if len(counts) + len(times) + 2 <= width else f"{counts}\n{times}")


def _cells(job: Job, now: float) -> list[str]:
    """The cells of a job's row: its label, and what `COLUMNS` names."""
    report, left = job.report, job.left(now)
    if report is None or not report.total:
        return [job.label, "done before" if job.state == DONE else job.state, *[""] * 5]
    state = job.state + (" ↻" if report.resumed and job.runs else "")
    value = report.evaluated
    share = f"{100 * value / job.expert:.0f}%" if value is not None and job.expert and job.expert > 0 else ""
    return [
        job.label,
        state,
        f"{report.done}/{report.total}",
        "" if value is None else f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}",
        share,
        "" if report.steps_per_s is None else f"{report.steps_per_s:.0f}",
        "" if left is None else _clock(left),
    ]


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _shortened(label: str, width: int) -> str:
    """A label in `width` characters, without its middle: the end tells jobs apart."""
    if len(label) <= width:
        return label
    end = (width - 1) * 2 // 3
    return f"{label[: width - 1 - end]}…{label[-end:]}"
