"""Generalised advantage estimation (Schulman et al. 2016, equation 16)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gailfe.envs.rollout import Batch


def generalized_advantages(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    gamma: float,
    gae_lambda: float,
) -> Tensor:
    """Advantages Â_t = Σ_k (γλ)^k δ_{t+k}, with δ_t = r_t + γ V(s_{t+1}) − V(s_t), within each episode.

    After the last step of a terminated episode the value is 0. A truncated episode would have continued, so its
    last step bootstraps from the value of its final observation. No sum continues into the next episode.

    Args:
        rewards: (num_steps, num_envs).
        values: V(s_t), (num_steps, num_envs).
        next_values: V of the true successor of s_t (before any reset), (num_steps, num_envs).
        terminated, truncated: bool, (num_steps, num_envs).

    Returns:
        Advantages (num_steps, num_envs); returns to regress on are advantages + values.
    """
    deltas = rewards + gamma * next_values * ~terminated - values
    carry = gamma * gae_lambda * ~(terminated | truncated)
    # Step by step, and so by numpy: a few numbers at a time are cheaper there, and far cheaper than on a GPU.
    advantages, decay = deltas.cpu().numpy().copy(), carry.cpu().numpy()
    for t in reversed(range(len(advantages) - 1)):
        advantages[t] += decay[t] * advantages[t + 1]
    return torch.from_numpy(advantages).to(deltas.device)


def successor_values(
    values: Tensor, next_observations: Tensor, ended: Tensor, value: Callable[[Tensor], Tensor]
) -> Tensor:
    """V(s_{t+1}) of the true successors, (num_steps, num_envs).

    Within an episode the successor is the next step's observation, whose value is known; `value` is asked only
    where an episode ended and after the last step.

    Args:
        values: V(s_t), (num_steps, num_envs).
        next_observations: the true successors of s_t, before any reset, (num_steps, num_envs, obs_dim).
        ended: bool, (num_steps, num_envs).
        value: (n, obs_dim) → (n,).
    """
    unknown = ended.cpu().clone()
    unknown[-1] = True
    index = unknown.flatten().nonzero().squeeze(-1).to(values.device)
    successors = values.roll(-1, dims=0)
    successors.view(-1)[index] = value(next_observations.flatten(0, 1)[index])
    return successors


def batch_advantages(
    batch: Batch,
    x: Tensor,
    rewards: Tensor,
    value: Callable[[Tensor], Tensor],
    normalizer: Callable[[Tensor], Tensor],
    gamma: float,
    gae_lambda: float,
) -> tuple[Tensor, Tensor]:
    """Advantages of a batch, and V(s_t), (num_steps, num_envs) each.

    Args:
        x: the batch's observations, normalised, (num_steps, num_envs, obs_dim).
        rewards: (num_steps, num_envs), the learner's own or the environment's.
        value: V, of normalised observations (…, obs_dim) → (…).
        normalizer: of raw observations.
    """
    values = value(x)
    next_values = successor_values(
        values, batch.next_observations, batch.ended, lambda observations: value(normalizer(observations))
    )
    advantages = generalized_advantages(
        rewards, values, next_values, batch.terminated, batch.truncated, gamma, gae_lambda
    )
    return advantages, values
