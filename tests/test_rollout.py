"""Collecting batches: what was drawn, what the environment received, and where episodes are cut."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from helpers import PENDULUM, make_policy, seeded

from gailfe.config.schema import EnvConfig
from gailfe.envs.rollout import Batch, Collector
from gailfe.envs.trajectory import Trajectory
from gailfe.envs.vector import Step, VectorEnv
from gailfe.nn.gaussian import GaussianPolicy

SHORT = EnvConfig(name="short", id="Hopper-v5", max_episode_steps=30)  # falls and time limits both occur


def hopper_policy(log_std_init: float = 0.0) -> GaussianPolicy:
    return make_policy(observation_dim=11, action_dim=3, spread=0.3, log_std_init=log_std_init)


def collect(num_steps: int, seed: int = 0, config: EnvConfig = SHORT) -> Batch:
    collector = Collector(VectorEnv(config, num_envs=3, seed=seed))
    return collector.collect(hopper_policy(), num_steps, seeded(seed))


def simulate(actions: np.ndarray, config: EnvConfig, seed: int) -> list[Trajectory]:
    """The same actions again, one list an environment, cut wherever an episode ends."""
    env = VectorEnv(config, num_envs=actions.shape[1], seed=seed)
    observations = env.reset()
    episodes: list[list[tuple[np.ndarray, np.ndarray, float]]] = [[] for _ in observations]
    finished = []
    for action in actions:
        step = env.step(action)
        for i, episode in enumerate(episodes):
            episode.append((observations[i], action[i], step.rewards[i]))
            if step.terminated[i] or step.truncated[i]:
                obs, act, rewards = (np.array(part) for part in zip(*episode, strict=True))
                obs = np.concatenate([obs, step.next_observations[i][None]])
                ends = bool(step.terminated[i]), bool(step.truncated[i])
                finished.append(Trajectory(obs, act, rewards, *ends))
                episode.clear()
        observations = step.observations
    return finished


def assert_same_trajectories(ours: list[Trajectory], theirs: list[Trajectory]) -> None:
    assert len(ours) == len(theirs) > 3
    for mine, other in zip(ours, theirs, strict=True):
        assert np.array_equal(mine.observations, other.observations)
        assert np.array_equal(mine.actions, other.actions)
        assert np.array_equal(mine.rewards, other.rewards)
        assert (mine.terminated, mine.truncated) == (other.terminated, other.truncated)


def test_trajectories_are_those_of_a_naive_simulation() -> None:
    batch = collect(100)
    expected = simulate(batch.actions.numpy(), SHORT, seed=0)
    assert_same_trajectories(batch.finished, expected)
    assert {t.terminated for t in expected} == {True, False}


def test_an_episode_is_truncated_at_its_limit_and_nowhere_else() -> None:
    finished = collect(100).finished
    assert {len(t) for t in finished if t.truncated} == {30}
    assert all(len(t) < 30 or t.truncated for t in finished)
    assert any(len(t) < 30 and t.terminated for t in finished)


@pytest.mark.parametrize("lengths", [[1] * 60, [7, 1, 30, 22], [59, 1]])
def test_episodes_carry_on_across_the_borders_of_batches(lengths: list[int]) -> None:
    policy = hopper_policy()
    whole = Collector(VectorEnv(SHORT, num_envs=3, seed=0)).collect(policy, 60, None)
    collector = Collector(VectorEnv(SHORT, num_envs=3, seed=0))
    pieces = [collector.collect(policy, length, None) for length in lengths]
    assert_same_trajectories([t for piece in pieces for t in piece.finished], whole.finished)
    for field in ("observations", "next_observations", "actions", "rewards", "terminated", "truncated"):
        assert torch.equal(torch.cat([getattr(piece, field) for piece in pieces]), getattr(whole, field))


def test_batches_hold_true_successors_before_any_reset() -> None:
    batch = collect(100)
    done = (batch.terminated | batch.truncated)[:-1]
    follows = (batch.next_observations[:-1] == batch.observations[1:]).all(-1)
    assert torch.equal(follows, ~done)
    assert done.sum() > 5
    finals = [t.observations[-1] for t in batch.finished]
    ends = (batch.terminated | batch.truncated).nonzero().tolist()
    for (t, i), final in zip(ends, finals, strict=True):  # in the order in which they ended
        assert np.array_equal(batch.next_observations[t, i].numpy(), final)


def test_the_environment_receives_the_actions_that_are_recorded_within_its_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    received: list[np.ndarray] = []
    step = VectorEnv.step

    def record(self: VectorEnv, actions: np.ndarray) -> Step:
        received.append(actions.copy())
        return step(self, actions)

    monkeypatch.setattr(VectorEnv, "step", record)
    env = VectorEnv(PENDULUM, num_envs=2, seed=0)
    policy = make_policy(space=env.action_space, log_std_init=0.5)
    batch = Collector(env).collect(policy, 50, seeded(0))
    assert np.array_equal(np.stack(received), batch.actions.numpy())
    assert batch.actions.abs().max() == 2.0  # Pendulum's torque
    assert batch.samples.abs().max() > 1.5  # what the policy drew is not clipped
    torch.testing.assert_close(batch.actions, (2 * batch.samples).clamp(-2, 2))


def test_samples_are_the_mean_plus_the_policys_noise() -> None:
    policy = hopper_policy(log_std_init=-1.0)
    policy.normalizer.update(3.0 + 2.0 * torch.randn(100, 11, generator=seeded(1)))
    batch = Collector(VectorEnv(SHORT, num_envs=3, seed=0)).collect(policy, 200, seeded(5))
    mean, log_std = policy(policy.normalizer(batch.observations))
    noise = (batch.samples - mean.detach()) / log_std.detach().exp()
    torch.testing.assert_close(noise, torch.randn(200, 3, 3, generator=seeded(5)), atol=1e-4, rtol=1e-4)


def test_without_a_generator_the_policy_acts_with_its_mean() -> None:
    policy = hopper_policy(log_std_init=1.0)
    batch = Collector(VectorEnv(SHORT, num_envs=3, seed=0)).collect(policy, 20, None)
    mean, _ = policy(policy.normalizer(batch.observations))
    torch.testing.assert_close(batch.samples, mean.detach())


def test_the_same_seed_collects_the_same_batch_and_another_seed_another() -> None:
    first, again, other = collect(40, seed=1), collect(40, seed=1), collect(40, seed=2)
    assert torch.equal(first.observations, again.observations)
    assert torch.equal(first.samples, again.samples)
    assert torch.equal(first.rewards, again.rewards)
    assert not torch.equal(first.samples, other.samples)


def test_a_restored_collector_finishes_the_episodes_that_were_in_flight() -> None:
    policy = hopper_policy()
    original = Collector(VectorEnv(SHORT, num_envs=3, seed=0))
    for _ in range(3):
        original.collect(policy, 11, None)
    state = copy.deepcopy(original.state_dict())
    restored = Collector(VectorEnv(SHORT, num_envs=3, seed=7))
    assert restored.load_state_dict(state) is True
    expected = original.collect(policy, 60, None).finished
    assert_same_trajectories(restored.collect(policy, 60, None).finished, expected)


@pytest.mark.parametrize("change", [{"actions": np.zeros((4, 3))}, {"rewards": np.zeros(6)}])
def test_a_trajectory_whose_lengths_disagree_is_refused(change: dict[str, np.ndarray]) -> None:
    parts = {"observations": np.zeros((6, 11)), "actions": np.zeros((5, 3)), "rewards": np.zeros(5)}
    assert len(Trajectory(**parts, terminated=True, truncated=False)) == 5
    with pytest.raises(ValueError, match="observations"):
        Trajectory(**{**parts, **change}, terminated=True, truncated=False)
    with pytest.raises(ValueError, match="finished"):
        Trajectory(**parts, terminated=False, truncated=False)


def test_the_registered_limit_applies_where_none_is_given() -> None:
    env = VectorEnv(PENDULUM, num_envs=1, seed=0)  # it never terminates
    finished = Collector(env).collect(make_policy(observation_dim=3, action_dim=1), 450, None).finished
    assert [(len(t), t.truncated) for t in finished] == [(200, True), (200, True)]


def test_a_policy_that_acts_by_itself_does_what_a_collector_would_have_it_do() -> None:
    policy = hopper_policy(log_std_init=-1.0)
    policy.normalizer.update(3.0 + 2.0 * torch.randn(100, 11, generator=seeded(1)))
    batch = Collector(VectorEnv(SHORT, num_envs=3, seed=0)).collect(policy, 256, None)
    act = policy.acting()
    actions = np.stack([act(observations) for observations in batch.observations.numpy()])
    assert actions == pytest.approx(batch.actions.numpy(), abs=1e-6)


def test_sampled_actions_scatter_around_the_mean_and_repeat_with_the_seed() -> None:
    policy = hopper_policy(log_std_init=-3.0)
    observations = np.random.default_rng(0).normal(size=(2000, 11))
    mean, first, again, other = (
        policy.acting(generator)(observations) for generator in (None, seeded(5), seeded(5), seeded(6))
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    noise = np.where(np.abs(mean) < 0.7, first - mean, np.nan)  # away from where the bounds clip it
    assert np.nanstd(noise, axis=0) == pytest.approx(policy.log_std.detach().exp().numpy(), rel=0.1)
    assert np.nanmean(noise, axis=0) == pytest.approx(0.0, abs=0.01)
