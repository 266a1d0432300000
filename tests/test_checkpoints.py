"""Which policy of a training is the expert, and who it was before."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import PENDULUM, box, compose, make_policy

from expert.checkpoints import checkpoint_folder, choose_expert, earlier_checkpoints
from gailfe.config.schema import Config
from gailfe.envs.evaluation import Evaluator
from gailfe.envs.vector import VectorEnv
from gailfe.nn.gaussian import GaussianPolicy
from gailfe.nn.policy_file import load_policy, save_policy

ENV = dataclasses.replace(PENDULUM, max_episode_steps=30)


def config(**settings: int) -> Config:
    composed = compose("env=pendulum", *(f"expert.{key}={value}" for key, value in settings.items()))
    return dataclasses.replace(composed, env=ENV)


def policy(seed: int) -> GaussianPolicy:
    return make_policy(seed=seed, action_dim=1, space=box([-2.0], [2.0]), spread=2.0)


def evaluated(seed: int, evaluation_seed: int, episodes: int) -> np.ndarray:
    return Evaluator(ENV, episodes, evaluation_seed)(policy(seed)).returns


@pytest.mark.parametrize("expert_seed", [0, 7])
def test_the_finalist_that_is_reliably_best_in_more_episodes_is_the_expert(
    tmp_path: Path, expert_seed: int
) -> None:
    settings = config(seed=expert_seed, finalists=2, finalist_episodes=8, final_eval_episodes=4)
    # What few episodes said, mean and standard deviation: 30 has the highest mean, and fell now and then.
    lucky = {10: (4000.0, 100.0), 20: (3000.0, 10.0), 30: (4500.0, 2000.0), 40: (2000.0, 0.0)}
    for iteration in lucky:
        save_policy(checkpoint_folder(tmp_path, iteration), policy(iteration))
    curve = [
        {"iteration": i, "eval_return_mean": mean, "eval_return_std": std} for i, (mean, std) in lucky.items()
    ]
    record = choose_expert(settings, VectorEnv(ENV, 1, 0), tmp_path, [*curve, {"iteration": 41}])

    returns = {i: evaluated(i, expert_seed + 1, 8) for i in (10, 20)}
    scores = {i: returns[i].mean() - returns[i].std() for i in returns}
    best = max(scores, key=lambda i: scores[i])
    assert len(set(scores.values())) == 2
    assert record["iteration"] == best
    chosen = load_policy(tmp_path, 3, VectorEnv(ENV, 1, 0).action_space)
    assert torch.equal(chosen.network.weights[0], policy(best).network.weights[0])
    assert record["episodes"] == 4
    assert record["eval_return_mean"] == pytest.approx(evaluated(best, expert_seed + 2, 4).mean())


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, []), (1, [60]), (2, [30, 80]), (5, [20, 40, 60, 80, 100]), (99, list(range(10, 110, 10)))],
)
def test_earlier_selves_are_spread_over_the_training(tmp_path: Path, count: int, expected: list[int]) -> None:
    for iteration in range(10, 110, 10):
        checkpoint_folder(tmp_path, iteration)
    assert [int(path.name) for path in earlier_checkpoints(tmp_path, count)] == expected
