"""The learner: what it may not see, what it repeats, and what it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import (
    FAILED,
    GAIL,
    PENDULUM,
    assert_same_tensors,
    box,
    everything,
    gailfe_config,
    make_algo,
    make_failures,
    make_imitator,
    make_policy,
    make_trajectory,
)
from torch import Tensor
from user_envs import own

import gailfe.algorithms.advantages
import gailfe.algorithms.imitation
from gailfe.algorithms.advantages import generalized_advantages
from gailfe.algorithms.imitation import ImitationConfig
from gailfe.algorithms.learner import episode_metrics
from gailfe.envs.rollout import Batch, Collector
from gailfe.envs.vector import Step, VectorEnv
from gailfe.storage.checkpoint import load_checkpoint, save_checkpoint


@pytest.mark.parametrize("config", [make_algo(), gailfe_config()], ids=["gail", "gailfe"])
def test_the_environments_rewards_change_nothing_that_is_learned(
    config: ImitationConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, told = make_imitator(config, failed=FAILED), make_imitator(config, failed=FAILED)
    with_rewards = [seen.iterate() for _ in range(4)]
    step, noise = VectorEnv.step, np.random.default_rng(0)

    def replaced(self: VectorEnv, actions: np.ndarray) -> Step:
        return step(self, actions)._replace(rewards=1e3 * noise.normal(size=self.num_envs))

    monkeypatch.setattr(VectorEnv, "step", replaced)
    with_noise = [told.iterate() for _ in range(4)]
    assert_same_tensors(everything(seen), everything(told))
    for true, false in zip(with_rewards, with_noise, strict=True):
        assert true["return_mean"] != false["return_mean"]  # the replacement did happen
        assert {k: v for k, v in true.items() if "return" not in k} == {
            k: v for k, v in false.items() if "return" not in k
        }


@pytest.mark.parametrize("config", [make_algo(), gailfe_config()], ids=["gail", "gailfe"])
def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(config: ImitationConfig) -> None:
    runs: list[tuple[list[dict[str, float]], dict[str, Tensor]]] = []
    for seed in (1, 1, 2):
        torch.manual_seed(len(runs))  # the global generator has no part in it
        np.random.seed(len(runs))  # noqa: NPY002
        imitator = make_imitator(config, seed, failed=FAILED)
        runs.append(([imitator.iterate() for _ in range(3)], everything(imitator)))
    assert runs[0][0] == runs[1][0]
    assert_same_tensors(runs[0][1], runs[1][1])
    assert runs[0][0] != runs[2][0]


RESUMED = {
    "gail": make_algo(),
    "gailfe": gailfe_config(capacity=15),
    "ppo": make_algo(policy_update="ppo"),
    "2016": make_algo(
        num_envs=1,
        order="policy_first",
        discriminator=replace(make_algo().discriminator, batch_size=None),
        trpo=replace(GAIL.trpo, fisher_subsample=5),
    ),
    "relative": make_algo(make_failures(rule="relative", sampling="trajectories", max_age=2)),
}


@pytest.mark.parametrize("config", RESUMED.values(), ids=RESUMED)
def test_a_restored_learner_continues_bit_for_bit(config: ImitationConfig, tmp_path: Path) -> None:
    original, restored = make_imitator(config, 0, FAILED), make_imitator(config, 5)
    for _ in range(3):
        original.iterate()
    save_checkpoint(tmp_path / "state.pt", original.state_dict())
    expected = [original.iterate() for _ in range(3)]
    state = load_checkpoint(tmp_path / "state.pt")
    assert state is not None
    assert restored.load_state_dict(state) is True
    assert [restored.iterate() for _ in range(3)] == expected
    assert_same_tensors(everything(restored), everything(original))


def test_a_learner_whose_environments_have_no_state_restores_its_weights_and_says_it_is_not_exact() -> None:
    expert = [make_trajectory(40, dims=(3, 1))]
    env = own("CountingPendulum-v0")
    original, restored = (make_imitator(make_algo(), s, env=env, expert=expert) for s in (0, 1))
    original.iterate()
    assert restored.load_state_dict(original.state_dict()) is False
    assert_same_tensors(everything(restored), everything(original))
    restored.iterate()


@pytest.mark.parametrize("form", ["log_d", "logit"])
def test_advantages_come_from_the_reward_and_the_values_of_the_true_successors(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make_imitator(make_algo(reward=form))
    batches, calls = [], []
    collect = agent.collector.collect

    def record(*arguments: Any) -> Batch:
        batches.append(collect(*arguments))
        return batches[-1]

    def check(rewards: Tensor, values: Tensor, next_values: Tensor, *rest: Any) -> Tensor:
        batch, normalizer = batches[-1], agent.policy.normalizer
        x = normalizer(batch.observations)
        d = torch.sigmoid(agent.discriminator(torch.cat([x, batch.actions], dim=-1)))  # bounds are ±1
        expected = -torch.log(d) + (torch.log(1 - d) if form == "logit" else 0)
        torch.testing.assert_close(rewards, expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(values, agent.value(x))
        torch.testing.assert_close(next_values, agent.value(normalizer(batch.next_observations)))
        assert torch.equal(rest[0], batch.terminated)
        assert torch.equal(rest[1], batch.truncated)
        assert rest[2:] == (agent.config.gamma, agent.config.gae_lambda)
        calls.append(rewards)
        return generalized_advantages(rewards, values, next_values, *rest)

    monkeypatch.setattr(agent.collector, "collect", record)
    monkeypatch.setattr(gailfe.algorithms.advantages, "generalized_advantages", check)
    metrics = [agent.iterate() for _ in range(3)]
    assert [row["reward_mean"] for row in metrics] == [rewards.mean().item() for rewards in calls]


@pytest.mark.parametrize("order", ["discriminator_first", "policy_first"])
def test_the_policy_is_paid_by_d_after_its_update_or_as_the_iteration_before_left_it(
    order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make_imitator(make_algo(order=order))
    paid_by, fit = [], agent.value.fit
    weights = agent.discriminator.state_dict()

    def record(*arguments: Any) -> float:
        paid_by.append({key: tensor.clone() for key, tensor in weights.items()})
        return fit(*arguments)

    monkeypatch.setattr(agent.value, "fit", record)  # the policy has been trained just before
    left = [{key: tensor.clone() for key, tensor in weights.items()}]
    for _ in range(3):
        agent.iterate()
        left.append({key: tensor.clone() for key, tensor in weights.items()})
    assert not torch.equal(left[0]["logit.0.weight"], left[1]["logit.0.weight"])
    expected = left[1:] if order == "discriminator_first" else left[:-1]
    for used, state in zip(paid_by, expected, strict=True):
        assert_same_tensors(used, state)


def test_without_a_batch_size_d_sees_each_of_the_policys_pairs_once_and_as_many_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = replace(make_algo().discriminator, batch_size=None, updates=2)
    agent = make_imitator(make_algo(make_failures(), discriminator=whole), failed=FAILED)
    batches, seen = [], []
    collect, step = agent.collector.collect, gailfe.algorithms.imitation.discriminator_step

    def collected(*arguments: Any) -> Batch:
        batches.append(collect(*arguments))
        return batches[-1]

    def record(*arguments: Any) -> dict[str, float]:
        seen.append(arguments[2:5])
        return step(*arguments)

    monkeypatch.setattr(agent.collector, "collect", collected)
    monkeypatch.setattr(gailfe.algorithms.imitation, "discriminator_step", record)
    agent.iterate()
    actions = batches[0].actions.flatten(0, 1)  # bounds are ±1
    assert len(seen) == 2
    for policy, expert, failed in seen:
        assert torch.equal(policy[:, -actions.shape[1] :], actions)
        assert len(expert) == len(failed.pairs) == len(policy) == agent.steps_per_iteration


@pytest.mark.parametrize(("push", "policy_update"), [(0.8, "trpo"), (-0.8, "trpo"), (0.8, "ppo")])
def test_the_agent_learns_to_act_like_the_expert(push: float, policy_update: str) -> None:
    """End to end, on Pendulum: the expert always pushes to the same side, at 0.8 of the greatest torque."""
    config = make_algo(
        steps_per_iteration=400,
        policy_update=policy_update,
        ppo=replace(GAIL.ppo, learning_rate=3e-3),
        policy=replace(GAIL.policy, hidden_sizes=[8], log_std_init=-0.5),
        discriminator=replace(
            GAIL.discriminator, hidden_sizes=[16], learning_rate=3e-3, updates=10, batch_size=128
        ),
    )
    teacher = make_policy(action_dim=1, space=box([-2.0], [2.0]))
    last = teacher.mean[-1]
    assert isinstance(last, torch.nn.Linear)
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(push)
    expert = Collector(VectorEnv(PENDULUM, num_envs=2, seed=7)).collect(teacher, 400, None).finished
    agent = make_imitator(config, annotator=lambda trajectory: False, env=PENDULUM, expert=expert)
    for _ in range(30):
        agent.iterate()
    mean, _ = agent.policy(agent.policy.normalizer(torch.as_tensor(expert[0].observations)))
    assert mean.mean().item() / push > 0.6


def test_episode_metrics_are_means_over_the_episodes_that_ended() -> None:
    episodes = [make_trajectory(10, seed=1), make_trajectory(30, seed=2)]
    metrics = episode_metrics(episodes)
    returns = [t.rewards.sum() for t in episodes]
    assert metrics["episodes"] == 2
    assert metrics["episode_length_mean"] == 20
    assert metrics["return_mean"] == pytest.approx(np.mean(returns))
    assert metrics["return_std"] == pytest.approx(np.std(returns))
    assert episode_metrics([]) == {"episodes": 0}
