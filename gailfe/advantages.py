"""Generalised advantage estimation (Schulman et al. 2016, equation 16)."""

from __future__ import annotations

from torch import Tensor, empty_like, zeros_like


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

    A terminated episode is worth nothing after its end; a truncated one would have gone on, so its last step
    bootstraps from the value of the observation that it ended in. Neither leaks into the next episode.

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
    advantages = empty_like(deltas)
    running = zeros_like(deltas[0])
    for t in reversed(range(len(deltas))):
        running = deltas[t] + carry[t] * running
        advantages[t] = running
    return advantages
