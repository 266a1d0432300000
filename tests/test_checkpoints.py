"""Which policy of a training is the expert, and who it was before."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from helpers import PENDULUM, box, make_policy

from expert.checkpoints import checkpoint_folder, choose_expert, earlier_checkpoints
from gailfe.config import Config, PPOConfig
from gailfe.envs import VectorEnv
from gailfe.evaluation import Evaluator
from gailfe.networks import GaussianPolicy
from gailfe.policy_file import load_policy, save_policy

ENV = dataclasses.replace(PENDULUM, max_episode_steps=30)
ARCHITECTURE = {"hidden_sizes": [5], "activation": "tanh"}


def config(**settings: int) -> Config:
    expert = PPOConfig(name="ppo", total_steps=1, gamma=0.9, gae_lambda=0.9, log_std_init=0.0, **settings)  # type: ignore[arg-type]
    return Config(env=ENV, expert=expert)


def policy(seed: int) -> GaussianPolicy:
    return make_policy(seed=seed, action_dim=1, space=box([-2.0], [2.0]), spread=2.0)


def mean_return(seed: int, evaluation_seed: int, episodes: int) -> float:
    return Evaluator(ENV, episodes, evaluation_seed)(policy(seed)).metrics["eval_return_mean"]


@pytest.mark.parametrize("expert_seed", [0, 7])
def test_the_finalist_that_is_best_in_more_episodes_is_the_expert(tmp_path: Path, expert_seed: int) -> None:
    settings = config(seed=expert_seed, finalists=3, finalist_episodes=8, final_eval_episodes=4)
    lucky = {10: 4000.0, 20: 3000.0, 30: 3500.0, 40: 2000.0}  # what few episodes said
    for iteration in lucky:
        save_policy(checkpoint_folder(tmp_path, iteration), policy(iteration), ARCHITECTURE)
    curve = [{"iteration": i, "eval_return_mean": value} for i, value in lucky.items()] + [{"iteration": 41}]
    record = choose_expert(settings, VectorEnv(ENV, 1, 0), tmp_path, curve)  # type: ignore[arg-type]

    scores = {i: mean_return(i, expert_seed + 1, 8) for i in (10, 20, 30)}  # 40 did not come so far
    best = max(scores, key=lambda i: scores[i])
    assert len(set(scores.values())) == 3
    assert record["iteration"] == best
    chosen = load_policy(tmp_path, 3, VectorEnv(ENV, 1, 0).action_space)
    assert torch.equal(chosen.mean[0].weight, policy(best).mean[0].weight)  # type: ignore[arg-type]
    assert record["episodes"] == 4
    assert record["eval_return_mean"] == pytest.approx(mean_return(best, expert_seed + 2, 4))


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, []), (1, [60]), (2, [30, 80]), (5, [20, 40, 60, 80, 100]), (99, list(range(10, 110, 10)))],
)
def test_earlier_selves_are_spread_over_the_training(tmp_path: Path, count: int, expected: list[int]) -> None:
    for iteration in range(10, 110, 10):
        checkpoint_folder(tmp_path, iteration)
    assert [int(path.name) for path in earlier_checkpoints(tmp_path, count)] == expected
