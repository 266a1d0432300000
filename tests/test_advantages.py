"""Generalised advantage estimation against the sum that defines it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gailfe.algorithms.advantages import generalized_advantages, successor_values

Transitions = dict[str, Tensor]


def random_transitions(seed: int, num_steps: int = 40, num_envs: int = 5) -> Transitions:
    """Several episodes a row: about one step in eight ends one, by termination, the time limit or both."""
    generator = torch.Generator().manual_seed(seed)
    shape = (num_steps, num_envs)
    ends = torch.rand(shape, generator=generator)
    rewards, values, finals = torch.randn(3, *shape, generator=generator, dtype=torch.float64)
    terminated, truncated = ends < 0.08, (ends > 0.06) & (ends < 0.14)
    successors = torch.cat([values[1:], finals[-1:]])
    next_values = torch.where(terminated | truncated, finals, successors)
    return {
        "rewards": rewards,
        "values": values,
        "next_values": next_values,
        "terminated": terminated,
        "truncated": truncated,
    }


def brute_force(data: Transitions, gamma: float, gae_lambda: float) -> Tensor:
    """Â_t = Σ_k (γλ)^k δ_{t+k} up to the end of t's episode, or of the batch."""
    num_steps, num_envs = data["rewards"].shape
    advantages = torch.zeros(num_steps, num_envs, dtype=torch.float64)
    for i in range(num_envs):
        for t in range(num_steps):
            for k in range(t, num_steps):
                after = 0.0 if data["terminated"][k, i] else float(data["next_values"][k, i])
                delta = float(data["rewards"][k, i]) + gamma * after - float(data["values"][k, i])
                advantages[t, i] += (gamma * gae_lambda) ** (k - t) * delta
                if data["terminated"][k, i] or data["truncated"][k, i]:
                    break
    return advantages


@pytest.mark.parametrize(("gamma", "gae_lambda"), [(0.995, 0.97), (0.9, 0.5), (1.0, 1.0), (0.99, 0.0)])
@pytest.mark.parametrize("seed", range(3))
def test_recursion_equals_the_defining_sum_within_each_episode(seed: int, gamma: float, gae_lambda: float) -> None:
    data = random_transitions(seed)
    assert (data["terminated"] & data["truncated"]).any()
    assert (data["truncated"] & ~data["terminated"]).any()
    expected = brute_force(data, gamma, gae_lambda)
    torch.testing.assert_close(generalized_advantages(**data, gamma=gamma, gae_lambda=gae_lambda), expected)


def test_lambda_zero_is_the_one_step_temporal_difference() -> None:
    data = random_transitions(7)
    after = torch.where(data["terminated"], 0.0, data["next_values"])
    expected = data["rewards"] + 0.9 * after - data["values"]
    torch.testing.assert_close(generalized_advantages(**data, gamma=0.9, gae_lambda=0.0), expected)


@pytest.mark.parametrize("ending", ["terminated", "truncated"])
def test_lambda_one_is_the_discounted_return_minus_the_value(ending: str) -> None:
    gamma, final_value = 0.9, 3.0
    rewards = torch.tensor([[1.0], [2.0], [4.0]])
    values = torch.tensor([[0.5], [0.25], [-1.0]])
    end = torch.tensor([[False], [False], [True]])
    advantages = generalized_advantages(
        rewards,
        values,
        next_values=torch.tensor([[0.25], [-1.0], [final_value]]),
        terminated=end & (ending == "terminated"),
        truncated=end & (ending == "truncated"),
        gamma=gamma,
        gae_lambda=1.0,
    )
    beyond = 0.0 if ending == "terminated" else gamma**3 * final_value
    assert advantages[0, 0].item() == pytest.approx(1 + gamma * 2 + gamma**2 * 4 + beyond - 0.5)


def test_a_terminated_episode_ignores_the_value_of_what_follows() -> None:
    data = random_transitions(1)
    poisoned = data | {"next_values": torch.where(data["terminated"], 1e6, data["next_values"])}
    torch.testing.assert_close(
        generalized_advantages(**poisoned, gamma=0.99, gae_lambda=0.95),
        generalized_advantages(**data, gamma=0.99, gae_lambda=0.95),
    )


@pytest.mark.parametrize("ending", ["terminated", "truncated"])
def test_nothing_leaks_into_the_episode_before_or_into_other_rows(ending: str) -> None:
    data = random_transitions(2, num_steps=20, num_envs=3)
    nothing = torch.zeros_like(data["terminated"])
    data |= {"terminated": nothing, "truncated": nothing} | {ending: nothing.clone()}
    data[ending][9, 1] = True
    changed = {key: tensor.clone() for key, tensor in data.items()}
    for key in ("rewards", "values", "next_values"):
        changed[key][10:, 1] += 100.0
    before = generalized_advantages(**data, gamma=0.99, gae_lambda=0.95)
    after = generalized_advantages(**changed, gamma=0.99, gae_lambda=0.95)
    assert torch.equal(before[:10], after[:10])
    assert torch.equal(before[:, [0, 2]], after[:, [0, 2]])
    assert not torch.isclose(before[10:, 1], after[10:, 1]).any()


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_the_values_of_the_successors_are_asked_only_where_no_later_step_tells(share: float) -> None:
    generator = torch.Generator().manual_seed(3)
    observations = torch.randn(40, 5, 2, generator=generator, dtype=torch.float64)
    ended = torch.rand(40, 5, generator=generator) < share
    resets = torch.randn(40, 5, 2, generator=generator, dtype=torch.float64)
    next_observations = torch.cat([observations[1:], resets[-1:]])
    next_observations[ended] = resets[ended]  # where an episode ended is not where the next one begins
    asked = []

    def value(x: Tensor) -> Tensor:
        asked.append(len(x))
        return x.prod(-1)

    successors = successor_values(observations.prod(-1), next_observations, ended, value)
    torch.testing.assert_close(successors, next_observations.prod(-1))
    assert asked == [int(ended[:-1].sum()) + 5]
