"""Evaluation: against a naive loop over plain Gymnasium environments, and what it depends on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.envs.classic_control import PendulumEnv
from gymnasium.envs.mujoco.hopper_v5 import HopperEnv
from helpers import HOPPER, PENDULUM, assert_same_tensors, box, make_policy, seeded

from gailfe.config.schema import EnvConfig
from gailfe.envs.evaluation import Evaluation, Evaluator
from gailfe.nn.gaussian import GaussianPolicy

LIMIT = 40
# With the position in the observation, an initial state can be read off it.
HOPPER_ALL = dataclasses.replace(
    HOPPER, max_episode_steps=LIMIT, kwargs={"exclude_current_positions_from_observation": False}
)
PENDULUM_SHORT = dataclasses.replace(PENDULUM, max_episode_steps=LIMIT)


def restore_hopper(env: gymnasium.Env, observation: np.ndarray) -> None:
    assert isinstance(env, HopperEnv)
    env.set_state(observation[:6], observation[6:])


def restore_pendulum(env: gymnasium.Env, observation: np.ndarray) -> None:
    assert isinstance(env, PendulumEnv)
    env.state = np.array([np.arctan2(observation[1], observation[0]), observation[2]])


def hopper_policy() -> GaussianPolicy:
    policy = make_policy(12, 3, spread=0.3)
    policy.normalizer.update(torch.randn(64, 12, generator=seeded(1)))
    return policy


def pendulum_policy() -> GaussianPolicy:
    policy = make_policy(3, 1, spread=0.5, space=box([-2.0], [2.0]))
    policy.normalizer.update(2.0 + torch.randn(64, 3, generator=seeded(1)))
    return policy


CASES = [
    pytest.param(HOPPER_ALL, hopper_policy, restore_hopper, id="hopper"),
    pytest.param(PENDULUM_SHORT, pendulum_policy, restore_pendulum, id="pendulum"),
]


@pytest.mark.parametrize(("config", "make", "restore"), CASES)
def test_evaluation_agrees_with_a_naive_loop_from_the_same_states(
    config: EnvConfig, make: Callable[[], GaussianPolicy], restore: Callable[..., None]
) -> None:
    policy = make()
    evaluation = Evaluator(config, episodes=3, seed=0)(policy)
    for trajectory in evaluation.trajectories:
        env = gymnasium.make(config.id, max_episode_steps=LIMIT, **config.kwargs)
        env.reset(seed=0)
        restore(env.unwrapped, trajectory.observations[0])
        observation, done = trajectory.observations[0], False
        rewards: list[float] = []
        while not done:
            with torch.no_grad():
                mean = policy.mean(policy.normalizer(torch.from_numpy(observation[None].astype(np.float64))))
            action = policy.to_env(mean.numpy())[0]
            assert trajectory.actions[len(rewards)] == pytest.approx(action, abs=1e-3)
            observation, reward, terminated, truncated, _ = env.step(action)
            rewards.append(float(reward))
            assert trajectory.observations[len(rewards)] == pytest.approx(observation, abs=2e-3)
            done = terminated or truncated
        assert trajectory.rewards == pytest.approx(rewards, abs=1e-2)
        assert (trajectory.terminated, trajectory.truncated) == (terminated, not terminated)


def test_episodes_end_where_they_fall_or_at_the_limit_and_each_by_itself() -> None:
    evaluation = Evaluator(dataclasses.replace(HOPPER_ALL, max_episode_steps=11), 12, seed=0)(hopper_policy())
    fell = np.array([t.terminated for t in evaluation.trajectories])
    assert evaluation.lengths.max() == 11
    assert (evaluation.lengths[~fell] == 11).all()
    assert 0 < fell.sum() < 12, "all of a kind: this test needs another policy"
    assert len(set(evaluation.lengths)) > 1
    full = Evaluator(PENDULUM_SHORT, 2, seed=0)(pendulum_policy())
    assert full.lengths.tolist() == [LIMIT, LIMIT]
    assert all(t.truncated and not t.terminated for t in full.trajectories)


def test_without_a_limit_of_ones_own_the_registered_one_holds() -> None:
    assert Evaluator(PENDULUM, 1, seed=0)(pendulum_policy()).lengths.tolist() == [200]


def returns(seed: int = 0, index: int = 0, episodes: int = 3) -> list[float]:
    return Evaluator(PENDULUM_SHORT, episodes, seed)(pendulum_policy(), index).returns.tolist()


def test_the_same_seed_and_index_give_the_same_episodes_and_others_give_others() -> None:
    first = returns()
    assert returns() == first
    assert not set(first) & set(returns(seed=1))
    assert not set(first) & set(returns(index=1))
    assert len(set(first)) == 3


def test_what_was_evaluated_before_does_not_matter() -> None:
    evaluator, policy = Evaluator(PENDULUM_SHORT, 3, seed=0), pendulum_policy()
    first = evaluator(policy, 0).returns.tolist()
    other = evaluator(policy, 7).returns.tolist()
    torch.manual_seed(123)  # the global generators have no part in it
    np.random.seed(123)  # noqa: NPY002
    assert evaluator(policy, 0).returns.tolist() == first == returns()
    assert evaluator(policy, 7).returns.tolist() == other == returns(index=7)


def test_evaluation_changes_nothing_in_the_policy() -> None:
    policy = pendulum_policy()
    before = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    Evaluator(PENDULUM_SHORT, 2, seed=0)(policy)
    assert_same_tensors(policy.state_dict(), before)


def test_the_log_std_has_no_part_in_it() -> None:
    policy = pendulum_policy()
    with torch.no_grad():
        policy.log_std.add_(2.0)
    assert Evaluator(PENDULUM_SHORT, 3, seed=0)(policy).returns.tolist() == returns()


def test_metrics_are_the_mean_and_the_population_std_of_undiscounted_returns() -> None:
    evaluation: Any = Evaluator(PENDULUM_SHORT, 3, seed=0)(pendulum_policy())
    assert isinstance(evaluation, Evaluation)
    sums = [sum(t.rewards) for t in evaluation.trajectories]
    mean = sum(sums) / 3
    assert evaluation.metrics == {
        "eval_return_mean": pytest.approx(mean),
        "eval_return_std": pytest.approx((sum((s - mean) ** 2 for s in sums) / 3) ** 0.5),
        "eval_episode_length_mean": LIMIT,
    }
