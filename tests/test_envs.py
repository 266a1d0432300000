"""Vector environments: autoreset, time limits, and saving and restoring the simulators' exact state."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.envs.classic_control.pendulum import PendulumEnv
from gymnasium.envs.mujoco.hopper_v5 import HopperEnv
from helpers import HOPPER, PENDULUM, make_policy

from gailfe.config.keys import ConfigError
from gailfe.config.schema import EnvConfig
from gailfe.envs.evaluation import Evaluator
from gailfe.envs.making import episode_limit, make_env
from gailfe.envs.vector import Step, VectorEnv


def random_actions(env: VectorEnv, steps: int, seed: int = 0) -> np.ndarray:
    space = env.action_space
    assert isinstance(space, gymnasium.spaces.Box)
    shape = (steps, env.num_envs, *space.shape)
    return np.random.default_rng(seed).uniform(space.low, space.high, size=shape).astype(np.float32)


def play(env: VectorEnv, actions: np.ndarray) -> list[Step]:
    return [env.step(action) for action in actions]


def assert_same_steps(ours: list[Step], theirs: list[Step]) -> None:
    for t, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        for field in Step._fields:
            assert np.array_equal(getattr(mine, field), getattr(other, field)), (t, field)


def test_an_episode_that_ends_is_followed_by_a_new_one_in_the_same_step() -> None:
    env = VectorEnv(HOPPER, num_envs=3, seed=0)
    initial_height = env.reset()[:, 0].min()
    starts = []
    for step in play(env, random_actions(env, 150)):
        done = step.terminated | step.truncated
        assert np.array_equal(step.observations[~done], step.next_observations[~done])
        for i in np.flatnonzero(done):
            starts.append(tuple(step.observations[i]))
            height, angle = step.next_observations[i, :2]
            assert height < 0.7 or abs(angle) > 0.2  # where Hopper says that it fell
            assert step.observations[i, 0] > initial_height - 0.02  # upright again
            assert np.abs(step.observations[i, 1]) < 0.02
    assert len(set(starts)) == len(starts) >= 6  # every episode begins in a state of its own
    env.close()


def test_transitions_are_those_of_the_plain_environment() -> None:
    env, plain = VectorEnv(HOPPER, num_envs=1, seed=0), HopperEnv()
    first = env.reset()[0]
    state = env.state_dict()["envs"][0]
    plain.reset(seed=0)
    positions = plain.model.nq
    plain.set_state(state["physics"][1 : 1 + positions], state["physics"][1 + positions : 1 + 2 * positions])
    assert np.array_equal(plain._get_obs(), first)
    for action in random_actions(env, 50):
        step = env.step(action)
        observation, reward, terminated, _, _ = plain.step(action[0])
        assert np.array_equal(step.next_observations[0], observation)
        assert step.rewards[0] == reward
        assert step.terminated[0] == terminated
        if terminated:
            return
    pytest.fail("Hopper did not fall")


def test_the_same_seed_gives_the_same_episodes_and_another_seed_others() -> None:
    runs = []
    for seed in (3, 3, 4):
        env = VectorEnv(HOPPER, num_envs=2, seed=seed)
        first = env.reset()
        assert not np.array_equal(first[0], first[1])
        runs.append((first, play(env, random_actions(env, 40))))
    assert np.array_equal(runs[0][0], runs[1][0])
    assert_same_steps(runs[0][1], runs[1][1])
    assert not np.array_equal(runs[0][0], runs[2][0])


def test_an_environments_stream_does_not_depend_on_how_many_there_are() -> None:
    alone, together = VectorEnv(HOPPER, num_envs=1, seed=5), VectorEnv(HOPPER, num_envs=3, seed=5)
    assert np.array_equal(alone.reset()[0], together.reset()[0])
    for action in random_actions(together, 60):
        mine, other = alone.step(action[:1]), together.step(action)
        assert np.array_equal(mine.observations[0], other.observations[0])


def test_the_time_limit_truncates_after_its_number_of_steps() -> None:
    env = VectorEnv(EnvConfig(id="Pendulum-v1", max_episode_steps=7), num_envs=2, seed=0)
    env.reset()
    steps = play(env, random_actions(env, 30))
    ends = [t + 1 for t, step in enumerate(steps) if step.truncated.all()]
    assert ends == [7, 14, 21, 28]
    assert sum(step.truncated.any() for step in steps) == 4
    assert not any(step.terminated.any() for step in steps)


def test_a_fall_starts_the_clock_anew() -> None:
    env = VectorEnv(EnvConfig(id="Hopper-v5", max_episode_steps=20), num_envs=4, seed=1)
    env.reset()
    elapsed, ends = np.zeros(4, dtype=int), {"terminated": 0, "truncated": 0}
    for step in play(env, random_actions(env, 150)):
        elapsed += 1
        assert np.array_equal(step.truncated, elapsed == 20)
        ends["terminated"] += int((step.terminated & ~step.truncated).sum())
        ends["truncated"] += int(step.truncated.sum())
        elapsed[step.terminated | step.truncated] = 0
    assert min(ends.values()) > 3


def test_a_limit_that_is_not_given_is_the_registered_one() -> None:
    assert episode_limit(HOPPER) == 1000
    assert episode_limit(PENDULUM) == 200
    assert episode_limit(EnvConfig(id="Hopper-v5", max_episode_steps=50)) == 50


def test_saving_a_state_disturbs_nothing() -> None:
    runs = []
    for save in (False, True):
        env = VectorEnv(HOPPER, num_envs=1, seed=0)
        env.reset()
        steps = []
        for action in random_actions(env, 40):
            steps.append(env.step(action))
            if save:
                env.state_dict()
        runs.append(steps)
    assert_same_steps(*runs)


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (EnvConfig(id="NoSuchTask-v0"), ["env.id", "NoSuchTask-v0"]),
        (EnvConfig(id="Hopper-v5", kwargs={"no_such_key": 1}), ["env.kwargs", "no_such_key"]),
    ],
)
def test_an_environment_that_cannot_be_used_is_refused_by_key_and_value(
    config: EnvConfig, names: list[str]
) -> None:
    with pytest.raises(ConfigError) as refusal:
        make_env(config)
    for name in names:
        assert name in str(refusal.value)


def test_an_environment_without_any_time_limit_is_refused() -> None:
    gymnasium.register(id="EndlessPendulum-v0", entry_point=PendulumEnv)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"env\.max_episode_steps=null.*EndlessPendulum-v0"):
        episode_limit(EnvConfig(id="EndlessPendulum-v0"))
    assert episode_limit(EnvConfig(id="EndlessPendulum-v0", max_episode_steps=9)) == 9


def test_an_evaluation_repeats_itself_and_counts_whole_episodes() -> None:
    policy = make_policy(observation_dim=11, action_dim=3, spread=0.5)
    config = EnvConfig(id="Hopper-v5", max_episode_steps=15)
    first, other = Evaluator(config, episodes=4, seed=0), Evaluator(config, episodes=4, seed=1)
    result = first(policy, index=2)
    assert (result.lengths <= 15).all()
    assert (result.lengths >= 2).all()
    first(policy, index=3)
    assert np.array_equal(first(policy, index=2).returns, result.returns)
    assert len(np.unique(result.returns)) == 4
    assert not np.array_equal(first(policy, index=3).returns, result.returns)
    assert not np.array_equal(other(policy, index=2).returns, result.returns)


def test_an_evaluation_takes_the_mean_action_until_the_fall_or_the_limit() -> None:
    policy = make_policy(observation_dim=11, action_dim=3, log_std_init=1.0)
    evaluation = Evaluator(EnvConfig(id="Hopper-v5", max_episode_steps=200), episodes=6, seed=0)(policy)
    assert {trajectory.terminated for trajectory in evaluation.trajectories} == {True, False}
    for trajectory in evaluation.trajectories:
        mean, _ = policy(policy.normalizer(torch.from_numpy(trajectory.observations[:-1])))
        actions = policy.to_env(mean.detach().numpy())
        np.testing.assert_allclose(trajectory.actions, actions, atol=1e-5)
        assert trajectory.truncated == (len(trajectory) == 200 and not trajectory.terminated)
    assert evaluation.returns[0] == evaluation.trajectories[0].rewards.sum()
