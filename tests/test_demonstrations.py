"""Demonstrations on disk: what comes back, and that Minari opens them without this project."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import HOPPER, HOPPER_DIMS, make_trajectory

from expert.demonstrations import EXPERT, FAILED, load_demonstrations, save_demonstrations
from gailfe.envs.trajectory import Demonstrations, Trajectory

ENV = dataclasses.replace(HOPPER, max_episode_steps=30, kwargs={"reset_noise_scale": 0.02})
SAVED = Demonstrations(
    expert=[make_trajectory(steps, seed=steps, terminated=False) for steps in (30, 1, 12)],
    failed=[make_trajectory(7, seed=100), dataclasses.replace(make_trajectory(30, seed=101), truncated=True)],
)


def save(folder: Path, demonstrations: Demonstrations) -> Path:
    save_demonstrations(folder, demonstrations, ENV, "ppo", {"seed": 3, "failed_return_mean": None})
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("demonstrations"), SAVED)


def assert_same(ours: Trajectory, theirs: Trajectory) -> None:
    """Bit for bit, types included."""
    for name in ("observations", "actions", "rewards"):
        array, other = getattr(ours, name), getattr(theirs, name)
        assert array.dtype == other.dtype
        assert np.array_equal(array, other), name
    assert (ours.terminated, ours.truncated) == (theirs.terminated, theirs.truncated)


def test_every_trajectory_comes_back_bit_for_bit_and_in_order(folder: Path) -> None:
    loaded = load_demonstrations(folder)
    assert [len(t) for t in loaded.expert] == [30, 1, 12]
    for ours, theirs in zip([*loaded.expert, *loaded.failed], [*SAVED.expert, *SAVED.failed], strict=True):
        assert_same(ours, theirs)
    assert loaded.expert[0].observations.dtype == np.float64


def test_more_trajectories_than_ten_keep_their_order(tmp_path: Path) -> None:
    trajectories = [make_trajectory(2 + i, seed=i) for i in range(12)]
    loaded = load_demonstrations(save(tmp_path, Demonstrations(trajectories, [])))
    assert [len(t) for t in loaded.expert] == [2 + i for i in range(12)]


def test_no_failures_are_an_empty_dataset_and_no_error(tmp_path: Path) -> None:
    loaded = load_demonstrations(save(tmp_path, Demonstrations(SAVED.expert, [])))
    assert len(loaded.expert) == 3
    assert loaded.failed == []


def test_a_relative_folder_works_like_an_absolute_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = load_demonstrations(save(Path("artifacts"), SAVED))
    assert_same(loaded.failed[0], SAVED.failed[0])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["artifacts"]


READER = """
import json, sys
import minari

record = {}
for name in ("expert-v0", "failed-v0"):
    dataset = minari.load_dataset(name)
    environment = dataset.recover_environment()
    episodes = list(dataset)
    record[name] = {
        "episodes": len(episodes),
        "declared": [int(dataset.total_episodes), int(dataset.total_steps)],
        "shapes": [[list(e.observations.shape), list(e.actions.shape)] for e in episodes],
        "ends": [[bool(e.terminations[-1]), bool(e.truncations[-1])] for e in episodes],
        "early_ends": int(sum((e.terminations[:-1] | e.truncations[:-1]).sum() for e in episodes)),
        "sums": [float(e.rewards.sum()) for e in episodes],
        "id": environment.spec.id,
        "max_episode_steps": environment.spec.max_episode_steps,
        "kwargs": environment.spec.kwargs,
        "spaces": [environment.observation_space.shape, environment.action_space.shape],
        "algorithm": dataset.storage.metadata["algorithm_name"],
        "seed": dataset.storage.metadata["seed"],
    }
record["ours"] = sorted(name for name in sys.modules if name.split(".")[0] in ("gailfe", "expert"))
print(json.dumps(record))
"""


def read_elsewhere(datasets: Path) -> dict[str, dict[str, object]]:
    """What a process sees that knows Minari and not this project, somewhere else."""
    elsewhere = datasets.parent / f"{datasets.name}-reader"
    elsewhere.mkdir()
    process = subprocess.run(
        [sys.executable, "-I", "-c", READER],
        cwd=elsewhere,
        env={**os.environ, "MINARI_DATASETS_PATH": str(datasets)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


def test_minari_alone_opens_both_datasets_and_rebuilds_the_environment(folder: Path) -> None:
    record = read_elsewhere(folder)
    assert record.pop("ours") == []
    assert list(record) == [EXPERT, FAILED]
    for name, trajectories in zip(record, SAVED, strict=True):
        seen = record[name]
        assert seen["episodes"] == len(trajectories)
        assert seen["declared"] == [len(trajectories), sum(map(len, trajectories))]
        shapes = [[[len(t) + 1, HOPPER_DIMS[0]], [len(t), HOPPER_DIMS[1]]] for t in trajectories]
        assert seen["shapes"] == shapes
        assert seen["ends"] == [[t.terminated, t.truncated] for t in trajectories]
        assert seen["early_ends"] == 0
        assert seen["sums"] == pytest.approx([t.total_reward for t in trajectories])
        assert (seen["id"], seen["max_episode_steps"]) == ("Hopper-v5", 30)
        assert seen["kwargs"] == {"reset_noise_scale": 0.02}
        assert seen["spaces"] == [[HOPPER_DIMS[0]], [HOPPER_DIMS[1]]]
        assert (seen["algorithm"], seen["seed"]) == ("ppo", 3)


def test_minari_alone_opens_an_empty_dataset(tmp_path: Path) -> None:
    record = read_elsewhere(save(tmp_path / "datasets", Demonstrations(SAVED.expert, [])))
    assert record[FAILED]["episodes"] == 0
    assert record[FAILED]["declared"] == [0, 0]
    assert record[FAILED]["id"] == "Hopper-v5"
