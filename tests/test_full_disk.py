"""A disk without room for a file: which one is said, and what was there before is as it was."""

from __future__ import annotations

import contextlib
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from algorithms import rows, run, run_killed_after, small_run, weights
from helpers import HOPPER, make_policy, make_trajectory

from expert.demonstrations import save_dataset
from gailfe.nn.policy_file import save_policy
from gailfe.storage.files import DiskFull, write_text
from gailfe.storage.store import Store
from gailfe.storage.tracking import MetricsFile


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a full disk, a write fails that would make a file larger; only for this process's own files."""
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))


def test_a_checkpoint_that_has_no_room_leaves_the_one_before_and_the_run_goes_on_from_it(tmp_path: Path) -> None:
    whole = run(small_run("gailfe"), tmp_path / "whole")
    killed = run_killed_after(5, small_run("gailfe"), tmp_path / "killed")
    checkpoints = {path: path.read_bytes() for path in (killed / "checkpoint").iterdir()}
    with (
        files_of_at_most((killed / "checkpoint/state.pt").stat().st_size // 2),
        pytest.raises(DiskFull, match=rf"the disk is full: there is no room for {killed}/checkpoint/state\.pt"),
    ):
        run(small_run("gailfe"), killed)
    assert {path: path.read_bytes() for path in (killed / "checkpoint").iterdir()} == checkpoints
    run(small_run("gailfe"), killed)
    assert rows(killed) == rows(whole)
    assert weights(killed) == weights(whole)


def fill(folder: Path) -> None:
    (folder / "weights").write_bytes(bytes(5000))


def test_every_file_that_has_no_room_is_named(tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text("as it was")
    metrics = MetricsFile(tmp_path / "metrics.csv", ["iteration"], keep=0)
    writes = {
        "old.txt": lambda: write_text(tmp_path / "old.txt", "x" * 5000),
        "metrics.csv": lambda: metrics.log({"iteration": 10**3000}),
        "policy.safetensors": lambda: save_policy(tmp_path, make_policy(100, 100)),
        "hopper-44136fa355b3.partial": lambda: Store(tmp_path).get("experts", "hopper", {}, fill),
    }
    for name, write in writes.items():
        with files_of_at_most(2000), pytest.raises(DiskFull, match=rf"there is no room for {tmp_path}.*{name}"):
            write()
    assert (tmp_path / "old.txt").read_text() == "as it was"
    assert not list(tmp_path.glob(".*.partial*"))


def test_demonstrations_without_room_are_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(DiskFull, match=rf"no room for {tmp_path}/mine/data, which needs"):
        save_dataset(tmp_path / "mine", "mine-v0", [make_trajectory(100)], HOPPER, "noise", {})
    assert list((tmp_path / "mine/data").iterdir()) == []


def test_a_command_says_so_in_a_sentence(tmp_path: Path) -> None:
    short = ["env=halfcheetah", "expert=pretrained", "env.max_episode_steps=20", "evaluation.episodes=1"]
    short += ["demonstrations.num_trajectories=2", "tracking=none", "algo=gail", "env.num_iterations=1"]
    paths = [f"paths.runs={tmp_path / 'runs'}", f"paths.artifacts={tmp_path / 'artifacts'}"]
    code = f"""
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # more than demonstrations, less than a checkpoint
sys.argv[1:] = {short + paths}
runpy.run_module("gailfe.run", run_name="__main__", alter_sys=True)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 1, process.stdout + process.stderr
    (error,) = (line for line in process.stderr.splitlines() if line.startswith("error: "))
    assert "Traceback" not in process.stderr
    assert error.startswith(f"error: the disk is full: there is no room for {tmp_path / 'runs'}")
    assert "checkpoint/state.pt. What was there before is as it was" in error
