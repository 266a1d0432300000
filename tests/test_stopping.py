"""Signals and kills, as a user, a scheduler or the system sends them: what is saved, and who is left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from algorithms import rows, weights
from commands import wait_for
from filelock import FileLock

from gailfe.storage.finished import write_summary
from gailfe.storage.locks import run_lock

ITERATIONS = 30
SHORT = [
    *("env=halfcheetah", "expert=pretrained", "env.max_episode_steps=20", f"env.num_iterations={ITERATIONS}"),
    *("demonstrations.num_trajectories=2", "evaluation.episodes=1", "tracking=none", "algo=gail"),
    "algo.steps_per_iteration=512",
]


PLUGINS = {
    "workers": "gailfe_launcher",
    "joblib": "hydra_joblib_launcher",
    "submitit_local": "hydra_submitit_launcher",
    "ray": "hydra_ray_launcher",
}


def start(folder: Path, *arguments: str, module: str = "gailfe.run") -> subprocess.Popen[str]:
    """In a session of its own, as from a terminal of its own."""
    paths = [f"paths.runs={folder / 'runs'}", f"paths.artifacts={folder / 'artifacts'}"]
    command = [sys.executable, "-m", module, *arguments, *paths]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == code, output
    assert "Traceback" not in output
    return output


def run_folders(folder: Path, count: int, min_rows: int = 3) -> list[Path]:
    """The runs below `folder` that have some rows; none before there are `count` of them."""
    found = sorted(path.parent for path in folder.glob("runs/**/metrics.csv"))
    found = [path for path in found if len(rows(path)) >= min_rows]
    return found if len(found) == count else []


def wait_until_gone(process_id: int) -> None:
    """Fails if a process is still there after a minute; one that nobody has reaped is gone."""
    status = Path(f"/proc/{process_id}/stat")
    deadline = time.monotonic() + 60
    while status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline, f"process {process_id} was left behind"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The runs of seeds 0 and 1 that nothing happens to."""
    folder = tmp_path_factory.mktemp("whole")
    finish(start(folder, "-m", *SHORT, "seed=0,1"))
    return run_folders(folder, 2, ITERATIONS)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_after_its_iteration_and_the_same_command_goes_on(
    number: signal.Signals, tmp_path: Path, whole: list[Path]
) -> None:
    process = start(tmp_path, *SHORT, "seed=0")
    (run,) = wait_for(process, lambda: run_folders(tmp_path, 1))
    process.send_signal(number)
    output = finish(process, 128 + number)
    assert f"stopped by {number.name}: the same command goes on" in output
    done = len(rows(run))
    assert done < ITERATIONS
    (run / "failure.txt").write_text("of an earlier sweep")
    assert f"resumed after iteration {done}" in finish(start(tmp_path, *SHORT, "seed=0"))
    assert rows(run) == rows(whole[0])
    assert weights(run) == weights(whole[0])
    assert not (run / "failure.txt").exists()  # the run is well now


def test_a_signal_to_a_sweep_ends_all_its_jobs_so_and_none_is_called_failed(
    tmp_path: Path, whole: list[Path]
) -> None:
    jobs = ["-m", *SHORT, "seed=0,1", "hydra.launcher.n_jobs=3"]  # one worker has nothing to do
    process = start(tmp_path, *jobs)
    wait_for(process, lambda: run_folders(tmp_path, 1) or run_folders(tmp_path, 2))
    process.terminate()
    output = finish(process, 128 + signal.SIGTERM)
    assert "stopped by SIGTERM: the same command goes on" in output
    interrupted = [
        n for n in (len(rows(path.parent)) for path in tmp_path.glob("runs/**/metrics.csv")) if n < ITERATIONS
    ]
    assert interrupted
    again = finish(start(tmp_path, *jobs))
    assert sorted(map(int, re.findall(r"resumed after iteration (\d+)", again))) == sorted(interrupted)
    assert [rows(run) for run in run_folders(tmp_path, 2)] == [rows(run) for run in whole]
    assert not list(tmp_path.glob("runs/**/failure.txt"))
    assert not list(tmp_path.glob("runs/**/.sweep-*"))


def workers_of(folder: Path, count: int) -> dict[Path, int]:
    """The processes that are training below `folder`, by their runs; none before there are `count` of them."""
    found = {path.parent: path.read_text().split() for path in folder.glob("runs/**/.holder")}
    return {run: int(words[0]) for run, words in found.items() if words} if len(found) == count else {}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("launcher", ["workers", "joblib", "submitit_local", "ray"])
def test_workers_end_with_a_sweep_that_is_killed_and_the_same_command_goes_on(
    launcher: str, tmp_path: Path, whole: list[Path]
) -> None:
    pytest.importorskip(f"hydra_plugins.{PLUGINS[launcher]}")
    jobs = ["-m", *SHORT, "seed=0,1", f"hydra/launcher={launcher}"]
    process = start(tmp_path, *jobs)
    workers = list(wait_for(process, lambda: [*workers_of(tmp_path, 2).values()]))
    assert process.pid not in workers
    process.kill()
    again = start(tmp_path, *jobs)  # at once: its jobs wait for the workers of the other
    for worker in workers:
        wait_until_gone(worker)
    finish(again)
    process.communicate()
    assert [rows(run) for run in run_folders(tmp_path, 2)] == [rows(run) for run in whole]


def test_a_worker_that_is_killed_ends_its_own_job_only_and_the_same_command_makes_just_that_one(
    tmp_path: Path, whole: list[Path]
) -> None:
    jobs = ["-m", *SHORT, "seed=0,1", "hydra.launcher.n_jobs=2"]
    process = start(tmp_path, *jobs)
    wait_for(process, lambda: run_folders(tmp_path, 2))
    killed, other = sorted(workers_of(tmp_path, 2))
    os.kill(workers_of(tmp_path, 2)[killed], signal.SIGKILL)  # as the system does where memory runs out
    output = finish(process, 1)
    assert f"1 of 2 jobs failed:\n  {killed}: its process was killed" in output
    assert rows(other) == rows(whole[1])
    again = finish(start(tmp_path, *jobs))
    assert again.count("is finished: skipped") == 1
    assert f"{other} is finished: skipped" in again
    assert [rows(run) for run in run_folders(tmp_path, 2)] == [rows(run) for run in whole]


def test_a_job_that_is_refused_leaves_no_note_in_a_run_that_is_well_or_at_work(tmp_path: Path) -> None:
    at_work, well, neither = (tmp_path / f"runs/figure1/hopper/gail/seed={seed}" for seed in (0, 1, 2))
    for run in (at_work, well):
        run.mkdir(parents=True)
        (run / "metrics.csv").write_text("iteration\n")
    write_summary(well, {"iterations": 1, "stopped_early": False})
    with FileLock(run_lock(at_work)):
        sweep = start(tmp_path, "-m", "env=hopper", "algo=gail", "seed=0,1,2", "tracking=none", "device=cuda:99")
        output = finish(sweep, 1)
    assert "3 of 3 jobs failed" in output
    assert all(f"{run}: ConfigError: device=cuda:99" in output for run in (at_work, well, neither))
    assert list(tmp_path.glob("runs/**/failure.txt")) == [neither / "failure.txt"]
    assert (neither / "failure.txt").read_text().startswith("ConfigError: device=cuda:99")


def test_of_two_sweeps_at_once_one_waits_for_the_run_of_the_other(tmp_path: Path, whole: list[Path]) -> None:
    jobs = ["-m", *SHORT, "seed=0", "hydra.launcher.n_jobs=1"]
    first = start(tmp_path, *jobs)
    (run,) = wait_for(first, lambda: run_folders(tmp_path, 1))
    holder = int((run / ".holder").read_text().split()[0])
    os.kill(holder, signal.SIGSTOP)  # while it holds the run
    try:
        second = start(tmp_path, *jobs)
        said = f"another process is at work there, process {holder} on "
        deadline = time.monotonic() + 240
        while said not in (run / "run.log").read_text():
            assert second.poll() is None, second.communicate()[0]
            assert time.monotonic() < deadline, "the second sweep does not say that it waits"
            time.sleep(0.1)
    finally:
        os.kill(holder, signal.SIGCONT)
    finish(first)
    assert "is finished: skipped" in finish(second)
    assert not (run / "failure.txt").exists()
    assert rows(run) == rows(whole[0])


def test_a_signal_ends_an_experts_training_so_too(tmp_path: Path) -> None:
    expert = [
        "env=pendulum",
        "env.ppo.total_steps=20_480",
        "expert.steps_per_iteration=1024",
        "expert.eval_every=50",
    ]
    process = start(tmp_path, *expert, module="expert.train")
    curves = wait_for(
        process, lambda: [c for c in tmp_path.glob("artifacts/experts/*/curve.csv") if c.stat().st_size > 900]
    )
    done_before = os.stat(curves[0]).st_size
    process.terminate()
    assert "stopped by SIGTERM" in finish(process, 128 + signal.SIGTERM)
    assert curves[0].stat().st_size >= done_before
    assert "resumed after iteration" in finish(start(tmp_path, *expert, module="expert.train"))
