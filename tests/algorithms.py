"""Every algorithm there is, those of conf/algo/ and one of a user's own, and short runs of them."""

from __future__ import annotations

import copy
import functools
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import pytest
from helpers import fell, make_trajectory

from gailfe.config.checks import parse
from gailfe.config.schema import Config
from gailfe.envs.trajectory import Demonstrations, Trajectory
from gailfe.nn.policy_file import WEIGHTS
from gailfe.storage.progress import Progress
from gailfe.storage.recipe import run_recipe
from gailfe.storage.tracking import Row, read_rows
from gailfe.training import train

CONF = Path(__file__).parents[1] / "conf"
OWN = Path(__file__).parent / "own_algorithm"
ALGORITHMS = sorted(path.stem for conf in (CONF, OWN / "conf") for path in conf.glob("algo/[!_]*.yaml"))

sys.path.insert(0, str(OWN))  # as PYTHONPATH would

# An algorithm need not have all of these keys.
SMALL = {
    "num_envs": 2,
    "steps_per_iteration": 64,
    "hidden_sizes": [8],
    "batch_size": 32,
    "minibatch_size": 32,
    "updates": 2,
    "epochs": 1,
}


def small_run(algorithm: str, *overrides: str) -> Config:
    """A run of six short iterations on Hopper; evaluated after 1, 3 and 6, a checkpoint after 2, 4 and 6."""
    return copy.deepcopy(_composed(algorithm, *overrides))


@functools.cache
def _composed(algorithm: str, *overrides: str) -> Config:
    run = ["env=hopper", "env.num_iterations=6", "env.max_episode_steps=30", "tracking=none"]
    loop = ["evaluation.every=3", "evaluation.episodes=1", "checkpoint_every=2"]
    own = f"hydra.searchpath=[file://{OWN / 'conf'}]"
    with hydra.initialize_config_module("conf", version_base="1.3"):
        config = parse(hydra.compose("config", [own, f"algo={algorithm}", *run, *loop, *overrides]))
    shrink(config.algo, SMALL)
    return config


def shrink(config: Any, values: Mapping[str, Any]) -> None:
    """Give `values` to the keys of that name, in `config` and below it."""
    for name in (entry.name for entry in fields(config)):
        if name in values:
            setattr(config, name, values[name])
        elif is_dataclass(getattr(config, name)):
            shrink(getattr(config, name), values)


DEMONSTRATIONS = Demonstrations(
    expert=[make_trajectory(40, seed=i, terminated=False) for i in range(3)],
    failed=[make_trajectory(25, seed=10 + i) for i in range(2)],
)


def of_cartpole(trajectory: Trajectory) -> Trajectory:
    """The same noise in the shape of a CartPole's episode."""
    actions = (trajectory.actions[:, 0] > 0).astype(np.int64)
    return replace(trajectory, observations=trajectory.observations[:, :4], actions=actions)


DISCRETE = Demonstrations(*([of_cartpole(trajectory) for trajectory in part] for part in DEMONSTRATIONS))
every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS)


class Killed(BaseException):
    """The end of a process, as far as a test can have it."""


def run(config: Config, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    demonstrations = DISCRETE if config.env.name == "cartpole" else DEMONSTRATIONS
    train(config, folder, demonstrations, fell, run_recipe(config, "key"))
    return folder


def run_killed_after(iteration: int, config: Config, folder: Path) -> Path:
    """What is there when a run is killed, its rows and checkpoints up to `iteration` written."""
    updates: list[int] = []

    def update(self: Progress, done: int, note: str = "") -> None:
        updates.append(done)
        if len(updates) == iteration:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "update", update)
        with pytest.raises(Killed):
            run(config, folder)
    return folder


def rows(folder: Path, without: tuple[str, ...] = ("wall_time_s", "steps_per_s")) -> list[Row]:
    """Those of metrics.csv, less some columns."""
    return [
        {key: value for key, value in row.items() if key not in without}
        for row in read_rows(folder / "metrics.csv")
    ]


def weights(folder: Path) -> bytes:
    return (folder / WEIGHTS).read_bytes()
