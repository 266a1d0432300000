"""The loop around every algorithm: what is left of a run that ends too early, and when it must stop."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from algorithms import DEMONSTRATIONS, every_algorithm, fell, rows, run, run_killed_after, small_run, weights
from helpers import compose, gaussian

import gailfe.training
from expert.experts import make_expert
from gailfe.algorithms.imitation import Imitator
from gailfe.algorithms.learner import Learner, make_learner
from gailfe.config.schema import Config
from gailfe.envs.trajectory import Annotator, Demonstrations
from gailfe.soundness import PATIENCE, Watch
from gailfe.storage.recipe import is_finished, run_recipe
from gailfe.storage.store import Store
from gailfe.storage.tracking import Row, read_rows


def summary(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return content


@every_algorithm
def test_a_run_that_was_killed_before_its_summary_ends_with_its_last_row(algorithm: str, tmp_path: Path) -> None:
    config = small_run(algorithm)
    folder = run_killed_after(6, config, tmp_path / "run")
    assert not (folder / "summary.json").exists()
    run(config, folder)
    assert summary(folder)["iterations"] == 6
    assert summary(folder)["last_row"] == read_rows(folder / "metrics.csv")[-1]
    assert {"Python", "torch", "mujoco"} <= set(summary(folder)["versions"]), "where its numbers come from"


@every_algorithm
def test_a_budget_below_what_is_done_is_told_as_what_is_done(algorithm: str, tmp_path: Path) -> None:
    whole = run(small_run(algorithm, "env.num_iterations=4"), tmp_path / "whole")
    killed = run_killed_after(5, small_run(algorithm), tmp_path / "killed")  # with a checkpoint of iteration 4
    lowered = small_run(algorithm, "env.num_iterations=3")
    run(lowered, killed)
    assert summary(killed)["iterations"] == summary(killed)["last_row"]["iteration"] == 4
    assert [row["iteration"] for row in rows(killed)] == [1, 2, 3, 4]
    assert weights(killed) == weights(whole)
    assert is_finished(killed, run_recipe(lowered, "key"), 3)


class DiskOfSyncedFiles:
    """What a power cut leaves below a folder: the names and the contents that `fsync` has seen.

    A file has the name that it had when its folder was last synced, and the content that it had when it was last
    synced itself; without the latter it is empty.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.names: dict[Path, dict[str, int]] = {}  # of each folder: the inode behind each name
        self.contents: dict[int, bytes] = {}  # by inode
        fsync = os.fsync

        def synced(descriptor: int) -> None:
            fsync(descriptor)
            path = Path(f"/proc/self/fd/{descriptor}").resolve()
            if path.is_dir() and folder in (path, *path.parents):
                self.names[path] = {file.name: file.stat().st_ino for file in path.iterdir() if file.is_file()}
            elif folder in path.parents:
                self.contents[path.stat().st_ino] = path.read_bytes()

        monkeypatch.setattr(os, "fsync", synced)

    def restore(self, folder: Path) -> None:
        shutil.rmtree(folder)
        for parent, names in self.names.items():
            parent.mkdir(parents=True, exist_ok=True)
            for name, inode in names.items():
                (parent / name).write_bytes(self.contents.get(inode, b""))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
@pytest.mark.parametrize("processes", [1, 2])
def test_after_a_power_cut_a_run_has_every_row_that_its_checkpoint_goes_on_from(
    processes: int, tmp_path: Path
) -> None:
    config, folder = small_run("gail"), tmp_path.resolve() / "run"
    with pytest.MonkeyPatch.context() as patch:
        disk = DiskOfSyncedFiles(patch, folder)
        run_killed_after(3, config, folder)  # with a checkpoint of iteration 2
        if processes == 2:
            run_killed_after(1, config, folder)  # which goes on from it, and so writes the file anew
    disk.restore(folder)
    assert (folder / "checkpoint/state.pt").exists()
    run(config, folder)
    assert rows(folder) == rows(run(config, tmp_path / "whole"))


def spoil_network(learner: Learner, row: Row) -> None:
    with torch.no_grad():
        gaussian(learner.policy).log_std[0] = float("nan")


def spoil_statistics(learner: Learner, row: Row) -> None:
    learner.policy.normalizer.variance[3] = float("inf")


def spoil_metric(learner: Learner, row: Row) -> None:
    row[learner.METRICS[0]] = float("inf")


@every_algorithm
@pytest.mark.parametrize("spoil", [spoil_network, spoil_statistics, spoil_metric])
def test_what_is_no_longer_finite_stops_the_run_by_name_and_keeps_the_checkpoint(
    algorithm: str, spoil: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(config: Config, demonstrations: Demonstrations, annotator: Annotator) -> Learner:
        learner = make_learner(config, demonstrations, annotator)
        iterate, done = learner.iterate, []

        def spoilt() -> Row:
            row = iterate()
            done.append(row)
            if len(done) == 4:
                spoil(learner, row)
            return row

        learner.iterate = spoilt  # type: ignore[method-assign]
        return learner

    config, folder = small_run(algorithm), tmp_path / "run"
    names = {spoil_network: "policy.log_std", spoil_statistics: "policy.normalizer.variance"}
    name = names.get(spoil) or make_learner(config, DEMONSTRATIONS, fell).METRICS[0]
    said = rf"iteration 4: NaN or infinite: {name}.*iteration 2 is kept"
    with monkeypatch.context() as patch:
        patch.setattr(gailfe.training, "make_learner", make)
        with pytest.raises(FloatingPointError, match=said):
            run(config, folder)
    assert not (folder / "summary.json").exists()
    run(config, folder)  # from the checkpoint, which is sound
    assert rows(folder) == rows(run(config, tmp_path / "whole"))


def test_a_discriminator_that_diverges_stops_the_run(tmp_path: Path) -> None:
    config = small_run("gail", "algo.discriminator.learning_rate=3e38")
    with pytest.raises(FloatingPointError, match=r"iteration 1: NaN or infinite: .*There was no checkpoint yet"):
        run(config, tmp_path / "run")


STUCK = {"kl": 0.0, "surrogate_improvement": 0.0}
SATURATED = {"d_policy": 0.9999, "d_expert": 0.0001}


@pytest.mark.parametrize(
    ("row", "key"), [(STUCK, "algo.trpo.max_kl"), (SATURATED, "algo.discriminator.learning_rate")]
)
def test_a_standstill_is_warned_of_once_and_only_after_as_many_iterations_in_a_row(
    row: Row, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    watch = Watch("run", Imitator.STANDSTILLS)
    moving = {"kl": 0.01, "surrogate_improvement": 0.1, "d_policy": 0.6, "d_expert": 0.4}
    standing = [row] * (PATIENCE - 1)
    for iteration, other in enumerate([*standing, moving, *standing], start=1):
        watch.warn_of_standstill({"iteration": iteration, **moving, **other})
    assert caplog.text == ""
    for iteration in (2 * PATIENCE, 2 * PATIENCE + 1, *range(100, 150)):
        watch.warn_of_standstill({"iteration": iteration, **moving, **row})
    (record,) = caplog.records
    assert f"for {PATIENCE} iterations, up to {2 * PATIENCE}" in record.message
    assert key in record.message


@pytest.mark.parametrize(("id", "exactly"), [("Hopper-v5", True), ("user_envs:CountingHopper-v0", False)])
def test_the_log_says_where_a_run_goes_on_and_whether_exactly(
    id: str, exactly: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    config = small_run("gail", f"env.id={id}")
    folder = run(config, run_killed_after(5, config, tmp_path / "run"))
    assert "resumed after iteration 4" in caplog.text
    assert ("not exactly: this environment's state can't be saved" in caplog.text) is not exactly
    assert [row["iteration"] for row in rows(folder)] == [1, 2, 3, 4, 5, 6]


TINY_EXPERT = [
    *("env=pendulum", "env.max_episode_steps=10", "expert.total_steps=512", "expert.steps_per_iteration=128"),
    *("expert.eval_every=2", "expert.eval_episodes=1", "expert.epochs=1"),
]


def test_an_expert_that_diverges_stops_by_the_same_rule(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match=r"iteration 1: NaN or infinite: .*policy\.mean\.0\.weight"):
        make_expert(compose(*TINY_EXPERT, "expert.learning_rate=1e30"), Store(tmp_path))
