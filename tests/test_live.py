"""The live table of a sweep, on a real terminal."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from commands import CONF
from rich.console import Console
from terminal import Terminal

from gailfe.processes import jobs as jobs_module
from gailfe.processes import table
from gailfe.processes.following import REPORTS
from gailfe.processes.jobs import Job, Jobs, job_labels
from gailfe.processes.table import picture
from gailfe.storage.progress import Report, publish, report_into


def sweep_of(folder: Path, count: int) -> Jobs:
    """A sweep whose jobs wait; its folder is there."""
    (folder / REPORTS).mkdir()
    (folder / "expert.json").write_text('{"eval_return_mean": 4000}')
    names = [{"env": "halfcheetah", "algo": "gail", "seed": seed} for seed in range(count)]
    overrides = [["tracking=none", f"seed={seed}", f"algo.gamma=0.{seed}"] for seed in range(count)]
    naming, labels = job_labels(names, overrides)
    return Jobs(folder, "runs/figure1", naming, [Job(label, folder) for label in labels], "imitation")


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes time stand still."""
    for module in (jobs_module, table):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: 1000.0))


def tell(folder: Path, number: int, report: Report) -> None:
    report_into(folder / REPORTS / str(number))
    publish(report)
    report_into(None)


def drawn(jobs: Jobs, width: int, height: int) -> list[str]:
    jobs.look()
    file = io.StringIO()
    console = Console(file=file, width=width, height=height, color_system=None)
    console.print(picture(jobs, width, height))
    return file.getvalue().splitlines()


@pytest.mark.usefixtures("still")
def test_a_row_tells_how_far_a_job_is_and_the_last_line_how_far_the_sweep_is(tmp_path: Path) -> None:
    jobs = sweep_of(tmp_path, 6)
    tell(tmp_path, 0, Report("imitation", 100, 100, 2500.0, 0.0, 3900.0))
    (tmp_path / "0").write_text("")
    tell(tmp_path, 1, Report("imitation", 50, 100, 2500.0, 3600.0, 1000.0, resumed=True))
    tell(tmp_path, 2, Report("demonstrations", 3, 30, None, 1000.0))
    tell(tmp_path, 3, Report("starting"))
    (tmp_path / "3").write_text("ValueError: no")
    tell(tmp_path, 4, Report("blocked"))
    title, head, *rows, totals = drawn(jobs, 140, 24)
    assert title.startswith("runs/figure1 ─")
    assert head.split() == ["env/algo/seed/gamma", "state", "iteration", "return", "expert", "steps/s", "left"]
    assert [row.split() for row in rows] == [
        ["halfcheetah/gail/0/0.0", "done", "100/100", "3900", "98%", "2500"],
        ["halfcheetah/gail/1/0.1", "imitation", "↻", "50/100", "1000", "25%", "2500", "1:00:00"],
        ["halfcheetah/gail/2/0.2", "demonstrations", "3/30", "16:40"],
        ["halfcheetah/gail/3/0.3", "failed"],
        ["halfcheetah/gail/4/0.4", "blocked"],
        ["halfcheetah/gail/5/0.5", "waiting"],
    ]
    # An imitation takes two hours. Three jobs go on at a time: the one that waits begins after the first of them.
    assert totals == "1 done, 3 running (1 ↻ resumed), 1 waiting, 1 failed; 0:00 so far, about 3:00:00 left"


@pytest.mark.usefixtures("still")
def test_of_hundreds_of_jobs_those_at_work_failed_and_next_are_shown_and_none_is_wider_than_the_terminal(
    tmp_path: Path,
) -> None:
    jobs = sweep_of(tmp_path, 300)
    for number in range(200):
        (tmp_path / str(number)).write_text("ValueError: no" if number == 7 else "")
    for number in (200, 201):
        tell(tmp_path, number, Report("imitation", 1000, 1500, 25000.0, 36000.0, -12345.6, resumed=True))
    lines = drawn(jobs, 60, 12)
    assert len(lines) < 12
    assert max(map(len, lines)) <= 60
    title, _, *rows, counts, times = lines
    assert title.startswith("runs/figure1: 6 of 300 jobs ─")
    assert [row.split()[1] for row in rows] == ["done", "failed", "imitation", "imitation", "waiting", "waiting"]
    assert [row.split()[0].rpartition(".")[2] for row in rows] == ["0", "7", "200", "201", "202", "203"]
    assert counts == "199 done, 2 running (2 ↻ resumed), 98 waiting, 1 failed"
    assert times == "0:00 so far, about 1480:00:00 left"  # two at a time, each in 30 hours
    assert len(drawn(jobs, 20, 3)) >= 3  # no terminal is too small


WANTED = """
import os
from gailfe.processes.live import wanted

print("wanted", wanted())
for name, value in {"NO_COLOR": "1", "CI": "true", "TERM": "dumb", "TTY_INTERACTIVE": "0"}.items():
    before = os.environ.get(name, "")
    os.environ[name] = value
    print(name, wanted())
    os.environ[name] = before
"""


def test_a_table_is_wanted_on_a_terminal_only_and_not_where_the_environment_is_against_it() -> None:
    terminal = Terminal([sys.executable, "-c", WANTED], 80, 24, {})
    assert terminal.follow() == 0
    shown = [line.split() for line in terminal.lines()[:5]]
    refused = ["NO_COLOR", "CI", "TERM", "TTY_INTERACTIVE"]
    assert shown == [["wanted", "True"], *([name, "False"] for name in refused)]
    piped = subprocess.run([sys.executable, "-c", WANTED], stdout=subprocess.PIPE, text=True, check=True)
    assert "True" not in piped.stdout


def test_a_sweep_on_a_terminal_has_a_table_and_its_lines_are_above_it_with_ctrl_c_too(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gailfe.run", "-m", "--config-dir", str(CONF), "experiment=tiny"]
    command += ["env=halfcheetah", "algo=gail", "tracking=none", "~hydra.callbacks.figure"]
    command += ["env.num_iterations=30", "algo.steps_per_iteration=512"]
    command += [f"paths.runs={tmp_path / 'runs'}", f"paths.artifacts={tmp_path / 'artifacts'}"]
    overrides = "algo.steps_per_iteration=512,env.num_iterations=30"
    runs = [tmp_path / f"runs/tiny/halfcheetah/gail/seed={seed},{overrides}" for seed in (0, 1)]
    runs[1].mkdir(parents=True)
    (runs[1] / "recipe.json").write_text('{"seed": 99}')

    interrupted: list[list[str]] = []

    def interrupt(lines: list[str]) -> None:
        if not interrupted and any("imitation" in line and "/30" in line for line in lines):
            interrupted.append(lines)
            terminal.type(b"\x03")  # Ctrl-C

    terminal = Terminal([*command, "seed=0,1", "hydra.launcher.n_jobs=2"], 80, 24, {})
    code = terminal.follow(interrupt)
    shown = terminal.everything()
    assert code == 128 + signal.SIGINT, "\n".join(shown)
    (screen,) = interrupted
    assert any(line.startswith("env/algo/seed") for line in screen)
    assert any(line.startswith("halfcheetah/gail/") and "imitation" in line for line in screen)
    check_terminal(terminal, shown)
    first = shown
    assert any("stopped by SIGINT: the same command goes on from here" in line for line in shown)

    terminal = Terminal([*command, "seed=0,1", "hydra/launcher=basic"], 140, 24, {})
    states: set[str] = set()
    code = terminal.follow(lambda lines: states.update(line for line in lines if line.startswith("halfcheetah")))
    shown = terminal.everything()
    assert code == 1, "\n".join(shown)
    check_terminal(terminal, shown)
    check_lines([*first, *shown], [run / "run.log" for run in runs])
    assert any("imitation ↻" in state for state in states)
    rows = [line.split() for line in shown if line.startswith("halfcheetah/gail/")]
    assert rows[0][:3] == ["halfcheetah/gail/0", "done", "30/30"]
    assert rows[1] == ["halfcheetah/gail/1", "failed"]
    table, error = (
        next(i for i, line in enumerate(shown) if text in line) for text in ("1 done", "1 of 2 jobs failed")
    )
    assert table < error


def check_terminal(terminal: Terminal, shown: list[str]) -> None:
    """One table is left, and the cursor was never hidden."""
    assert sum(line.startswith("env/algo/seed") for line in shown) == 1, "\n".join(shown)
    assert b"\x1b[?25l" not in terminal.written


def check_lines(shown: list[str], logs: list[Path]) -> None:
    """Every line of the logs was shown, but for those of progress, which are for the logs alone."""
    text = without_spaces("".join(shown)).replace("^C", "")  # the terminal's echo of it, perhaps amid a line
    lines = [line for log in logs for line in log.read_text().splitlines()]
    kept, progress = ([line for line in lines if (" left  " in line) is asked] for asked in (False, True))
    assert progress
    assert [line for line in kept if without_spaces(line) not in text] == []
    assert [line for line in progress if without_spaces(line) in text] == []


def without_spaces(text: str) -> str:
    """The terminal breaks lines, also at spaces."""
    return "".join(text.split())
