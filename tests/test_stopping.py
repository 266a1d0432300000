"""Signals and kills, as a user, a scheduler or the system sends them: what is saved, and who is left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from algorithms import rows, weights
from commands import PATIENCE, start, wait_for
from filelock import FileLock
from helpers import compose, make_policy

from expert.checkpoints import checkpoint_folder, choose_expert
from gailfe.envs.vector import VectorEnv
from gailfe.nn.policy_file import save_policy
from gailfe.processes.stopping import Stopped, forget, stop
from gailfe.storage.finished import write_summary
from gailfe.storage.locks import run_lock

ITERATIONS = 30
GAIL = ["algo=gail", "tracking=none", f"env.num_iterations={ITERATIONS}", "algo.steps_per_iteration=512"]

IN_ONE_PROCESS = "hydra/launcher=basic"  # the sweep's own: no worker has to start


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, output
    assert "Traceback" not in output
    return output


def run_folders(folder: Path, count: int, min_rows: int = 3) -> list[Path]:
    """The runs below `folder` that have some rows; none before there are `count` of them."""
    found = sorted(path.parent for path in folder.rglob("metrics.csv"))
    found = [path for path in found if len(rows(path)) >= min_rows]
    return found if len(found) == count else []


def wait_until_gone(process_id: int) -> None:
    """Fails if a process stays; one that nobody has reaped is gone."""
    status = Path(f"/proc/{process_id}/stat")
    deadline = time.monotonic() + PATIENCE
    while status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline, f"process {process_id} was left behind"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all runs are, so that they share expert and demonstrations."""
    return tmp_path_factory.mktemp("stopping")


@pytest.fixture(scope="module")
def whole(folder: Path) -> list[Path]:
    """The runs of seeds 0 and 1 that nothing happens to."""
    finish(start("gailfe.run", folder, "-m", *GAIL, "seed=0,1", IN_ONE_PROCESS, runs="whole"))
    return run_folders(folder / "whole", 2, ITERATIONS)


def test_a_signal_ends_a_run_after_its_iteration_and_the_same_command_goes_on(
    folder: Path, whole: list[Path]
) -> None:
    command = [*GAIL, "seed=0"]
    for number, done in ((signal.SIGTERM, 3), (signal.SIGINT, 5)):  # there is a checkpoint every 2 iterations
        process = start("gailfe.run", folder, *command, runs="single", signal_at=(1, number))
        output = finish(process, 128 + number)
        assert f"stopped by {number.name}: the same command goes on" in output
        (stopped,) = run_folders(folder / "single", 1)
        assert len(rows(stopped)) == done
    (stopped / "failure.txt").write_text("of an earlier sweep")
    assert "resumed after iteration 5" in finish(start("gailfe.run", folder, *command, runs="single"))
    assert rows(stopped) == rows(whole[0])
    assert weights(stopped) == weights(whole[0])
    assert not (stopped / "failure.txt").exists()  # the run is well now


def test_a_signal_to_a_sweep_ends_all_its_jobs_so_and_none_is_called_failed(
    folder: Path, whole: list[Path]
) -> None:
    runs = folder / "sweep"
    jobs = ["-m", *GAIL, "seed=0,1"]
    three = "hydra.launcher.n_jobs=3"  # workers, of which one has nothing to do
    process = start("gailfe.run", folder, *jobs, three, runs="sweep")
    wait_for(process, lambda: run_folders(runs, 1) or run_folders(runs, 2))
    process.terminate()
    output = finish(process, 128 + signal.SIGTERM)
    assert "stopped by SIGTERM: the same command goes on" in output
    lengths = [len(rows(path.parent)) for path in runs.rglob("metrics.csv")]
    interrupted = [length for length in lengths if length < ITERATIONS]
    assert interrupted
    again = finish(start("gailfe.run", folder, *jobs, IN_ONE_PROCESS, runs="sweep"))
    assert sorted(map(int, re.findall(r"resumed after iteration (\d+)", again))) == sorted(interrupted)
    assert [rows(run) for run in run_folders(runs, 2)] == [rows(run) for run in whole]
    assert not list(runs.rglob("failure.txt"))
    assert not list(runs.rglob(".sweep-*"))


def test_a_job_that_has_not_begun_when_its_sweep_is_asked_to_stop_does_not_begin(
    folder: Path, whole: list[Path]
) -> None:
    arguments = ["-m", *GAIL, "seed=0,1", IN_ONE_PROCESS]
    process = start("gailfe.run", folder, *arguments, runs="waiting", signal_at=(1, signal.SIGTERM))
    finish(process, 128 + signal.SIGTERM)
    assert len(run_folders(folder / "waiting", 1)) == 1
    assert not list((folder / "waiting").rglob("failure.txt"))


def workers_of(runs: Path, count: int) -> dict[Path, int]:
    """The processes that are training below `runs`, by their runs; none before there are `count` of them."""
    found = {path.parent: path.read_text().split() for path in runs.rglob(".holder")}
    return {run: int(words[0]) for run, words in found.items() if words} if len(found) == count else {}


TWO_AT_A_TIME = {
    "workers": ["hydra.launcher.n_jobs=2"],
    "joblib": ["hydra.launcher.n_jobs=2"],
    "submitit_local": [],
    "ray": ["+hydra.launcher.ray.init.num_cpus=2", "hydra.launcher.ray.init.address=local"],  # not another test's
}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("launcher", TWO_AT_A_TIME)
def test_workers_end_with_a_sweep_that_is_killed_and_the_same_command_goes_on(
    launcher: str, folder: Path, whole: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"USAGE_STATS_ENABLED": "0", "AUTH_MODE": "disabled"}.items():
        monkeypatch.setenv(f"RAY_{name}", value)  # else it makes a token in the user's home
    if launcher in ("ray", "submitit_local"):
        pytest.importorskip(f"hydra_plugins.hydra_{launcher.removesuffix('_local')}_launcher")
    runs = folder / launcher
    jobs = ["-m", *GAIL, "seed=0,1", f"hydra/launcher={launcher}", *TWO_AT_A_TIME[launcher]]
    process = start("gailfe.run", folder, *jobs, runs=launcher)
    workers = list(wait_for(process, lambda: [*workers_of(runs, 2).values()]))
    assert process.pid not in workers
    process.kill()
    again = start("gailfe.run", folder, *jobs, runs=launcher)  # its jobs wait for the other's workers
    for worker in workers:
        wait_until_gone(worker)
    finish(again)
    process.communicate()
    assert [rows(run) for run in run_folders(runs, 2)] == [rows(run) for run in whole]


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (signal.SIGKILL, "its process was killed"),  # as the system does where memory runs out
        (signal.SIGTERM, "stopped by SIGTERM"),
    ],
)
def test_a_signal_to_a_worker_ends_its_own_job_only_and_the_same_command_makes_just_that_one(
    folder: Path, whole: list[Path], number: signal.Signals, told: str
) -> None:
    runs, jobs = folder / number.name, ["-m", *GAIL, "seed=0,1", "hydra.launcher.n_jobs=2"]
    process = start("gailfe.run", folder, *jobs, runs=number.name)
    wait_for(process, lambda: run_folders(runs, 2))
    ended, other = sorted(workers_of(runs, 2))
    os.kill(workers_of(runs, 2)[ended], number)
    output = finish(process, 1)
    assert f"1 of 2 jobs failed:\n  {ended}: {told}" in output
    assert rows(other) == rows(whole[1])
    again = finish(start("gailfe.run", folder, *jobs, runs=number.name))
    assert again.count("is finished: skipped") == 1
    assert f"{other} is finished: skipped" in again
    assert [rows(run) for run in run_folders(runs, 2)] == [rows(run) for run in whole]


def test_a_job_that_is_refused_leaves_no_note_in_a_run_that_is_well_or_at_work(tmp_path: Path) -> None:
    at_work, well, neither = (tmp_path / f"runs/tiny/halfcheetah/gail/seed={seed}" for seed in (0, 1, 2))
    for run in (at_work, well):
        run.mkdir(parents=True)
        (run / "metrics.csv").write_text("iteration\n")
    write_summary(well, {"iterations": 1, "stopped_early": False})
    with FileLock(run_lock(at_work)):
        refused = ["algo=gail", "seed=0,1,2", "tracking=none", "device=cuda:99"]
        output = finish(start("gailfe.run", tmp_path, "-m", *refused), 1)
    assert "3 of 3 jobs failed" in output
    assert all(f"{run}: ConfigError: device=cuda:99" in output for run in (at_work, well, neither))
    assert list(tmp_path.glob("runs/**/failure.txt")) == [neither / "failure.txt"]
    assert (neither / "failure.txt").read_text().startswith("ConfigError: device=cuda:99")


def test_of_two_sweeps_at_once_one_waits_for_the_run_of_the_other(folder: Path, whole: list[Path]) -> None:
    jobs = ["-m", *GAIL, "seed=0", IN_ONE_PROCESS]
    first = start("gailfe.run", folder, *jobs, runs="two")
    (held,) = wait_for(first, lambda: run_folders(folder / "two", 1))
    holder = int((held / ".holder").read_text().split()[0])
    os.kill(holder, signal.SIGSTOP)  # while it holds the run
    try:
        second = start("gailfe.run", folder, *jobs, runs="two")
        said = f"another process is at work there, process {holder} on "
        deadline = time.monotonic() + PATIENCE
        while said not in (held / "run.log").read_text():
            assert second.poll() is None, second.communicate()[0]
            assert time.monotonic() < deadline, "the second sweep does not say that it waits"
            time.sleep(0.1)
    finally:
        os.kill(holder, signal.SIGCONT)
    finish(first)
    assert "is finished: skipped" in finish(second)
    assert not (held / "failure.txt").exists()
    assert rows(held) == rows(whole[0])


ENDLESS = ["demonstrations.num_trajectories=1000000", "demonstrations.max_attempts=1000000"]


CHOICE = ["expert.finalist_episodes=1", "expert.final_eval_episodes=1"]


@pytest.mark.parametrize(
    ("sweep", "number"),
    [
        ([], signal.SIGTERM),
        ([], signal.SIGINT),
        (["-m"], signal.SIGTERM),
        (["-m", IN_ONE_PROCESS], signal.SIGTERM),
    ],
)
def test_a_signal_ends_a_collection_after_its_episode_and_says_that_it_begins_again(
    sweep: list[str], number: signal.Signals, tmp_path: Path
) -> None:
    process = start("gailfe.run", tmp_path, *sweep, *GAIL, *ENDLESS)
    wait_for(process, lambda: list(tmp_path.glob("artifacts/demonstrations/*.partial")))
    process.send_signal(number)
    output = finish(process, 128 + number)
    assert f"stopped by {number.name}: the same command collects the demonstrations again" in output
    assert not list(tmp_path.rglob("failure.txt"))


def test_the_choice_of_an_expert_stops_between_two_finalists_and_is_made_again(tmp_path: Path) -> None:
    config = compose("env=pendulum", "env.max_episode_steps=5", *CHOICE)
    curve = [{"iteration": 1.0, "eval_return_mean": 0.0, "eval_return_std": 0.0}]
    env = VectorEnv(config.env, 1, 0)
    save_policy(checkpoint_folder(tmp_path, 1), make_policy(env.observation_dim, 1, space=env.action_space))
    stop()
    try:
        with pytest.raises(Stopped, match="stopped by SIGTERM: the same command compares the finalists again"):
            choose_expert(config, env, tmp_path, curve)
    finally:
        forget()
    assert choose_expert(config, env, tmp_path, curve)["iteration"] == 1


def test_a_signal_ends_an_experts_training_so_too(tmp_path: Path) -> None:
    process = start("expert.train", tmp_path, signal_at=(2, signal.SIGTERM))  # a checkpoint an iteration
    assert "stopped by SIGTERM" in finish(process, 128 + signal.SIGTERM)
    (curve,) = tmp_path.glob("artifacts/experts/*/curve.csv")
    assert len(curve.read_text().splitlines()) == 1 + 3
    assert "resumed after iteration 3" in finish(start("expert.train", tmp_path))
