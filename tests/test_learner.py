"""What holds for every algorithm."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from algorithms import DEMONSTRATIONS, OWN, every_algorithm, rows, run, run_killed_after, small_run, weights
from helpers import HOPPER_DIMS, fell

from gailfe.algorithms.learner import make_learner
from gailfe.config.keys import ConfigError
from gailfe.envs.evaluation import Evaluator
from gailfe.envs.vector import Step, VectorEnv
from gailfe.nn.policy_file import load_policy
from gailfe.storage.tracking import columns, read_rows


@every_algorithm
def test_a_killed_run_goes_on_to_the_same_rows_and_the_same_policy(algorithm: str, tmp_path: Path) -> None:
    config = small_run(algorithm)
    whole = run(config, tmp_path / "whole")
    killed = run_killed_after(5, config, tmp_path / "killed")
    assert not (killed / "summary.json").exists()
    assert len(rows(killed)) == 5
    run(config, killed)
    assert [row["iteration"] for row in rows(whole)] == [1, 2, 3, 4, 5, 6]
    assert rows(killed) == rows(whole)
    assert weights(killed) == weights(whole)


@every_algorithm
def test_the_seed_decides_the_numbers(algorithm: str, tmp_path: Path) -> None:
    runs = [
        run(small_run(algorithm, "env.num_iterations=2", f"seed={seed}"), tmp_path / f"{n}")
        for n, seed in enumerate((1, 1, 2))
    ]
    assert rows(runs[0]) == rows(runs[1])
    assert weights(runs[0]) == weights(runs[1]) != weights(runs[2])


@every_algorithm
def test_rewards_of_the_environment_change_nothing_that_is_learned(
    algorithm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_run(algorithm)
    true = run(config, tmp_path / "true")
    step, noise = VectorEnv.step, np.random.default_rng(0)

    def replaced(self: VectorEnv, actions: np.ndarray) -> Step:
        return step(self, actions)._replace(rewards=1e3 * noise.normal(size=self.num_envs))

    monkeypatch.setattr(VectorEnv, "step", replaced)
    false = run(config, tmp_path / "false")
    assert weights(true) == weights(false)
    of_rewards = ("return_mean", "return_std", "wall_time_s", "steps_per_s")
    assert rows(true, without=of_rewards) == rows(false, without=of_rewards)
    if any("return_mean" in row for row in rows(true)):
        assert rows(true) != rows(false)  # the replacement did happen


@every_algorithm
def test_the_saved_policy_is_what_was_evaluated_last(algorithm: str, tmp_path: Path) -> None:
    config = small_run(algorithm)
    folder = run(config, tmp_path / "run")
    assert [("eval_return_mean" in row) for row in rows(folder)] == [True, False, True, False, False, True]
    policy = load_policy(folder, HOPPER_DIMS[0], VectorEnv(config.env, 1, 0).action_space)
    evaluated = Evaluator(config.env, config.evaluation.episodes, config.seed)(policy, 6).metrics
    last = rows(folder)[-1]
    assert {key: last[key] for key in evaluated} == evaluated


@every_algorithm
def test_a_row_has_the_columns_of_every_run_and_those_of_its_algorithm(algorithm: str, tmp_path: Path) -> None:
    config = small_run(algorithm, "env.num_iterations=2")
    learner = make_learner(config, DEMONSTRATIONS, fell)
    folder = run(config, tmp_path / "run")
    header = (folder / "metrics.csv").read_text().splitlines()[0].split(",")
    assert header == columns(learner.METRICS)
    assert len(set(header)) == len(header)
    assert [row["env_steps"] for row in rows(folder)] == [
        learner.steps_per_iteration,
        2 * learner.steps_per_iteration,
    ]


def test_an_algorithm_of_ones_own_runs_from_a_config_folder_and_an_import_path(tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "gailfe.run", "--config-dir", str(OWN / "conf"), "algo=mean_matcher"),
        *("env=halfcheetah", "expert=pretrained", "env.max_episode_steps=20", "env.num_iterations=3"),
        *("demonstrations.num_trajectories=2", "evaluation.episodes=1", "tracking=none", "algo.step_size=0.5"),
        *(f"paths.runs={tmp_path / 'runs'}", f"paths.artifacts={tmp_path / 'artifacts'}"),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(OWN), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (metrics,) = tmp_path.glob("runs/figure1/halfcheetah/mean_matcher/*/metrics.csv")
    distances = [row["distance"] for row in read_rows(metrics)]
    assert distances[0] > distances[1] > distances[2]
    with pytest.raises(ConfigError, match=r"algo\.step_size=2\.0 must be between 0 and 1"):
        small_run("mean_matcher", "algo.step_size=2")
