"""The diagonal Gaussian that a policy draws its actions from: density, entropy, divergence."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def log_prob(mean: Tensor, log_std: Tensor, actions: Tensor) -> Tensor:
    """log N(actions; mean, exp(log_std)²), summed over the action's dimensions: (…, action_dim) → (…)."""
    z = (actions - mean) * torch.exp(-log_std)
    return -0.5 * (z**2).sum(-1) - log_std.sum() - 0.5 * math.log(2 * math.pi) * mean.shape[-1]


def log_prob_gradient(mean: Tensor, log_std: Tensor, actions: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient of Σ weights·log_prob in the mean (n, action_dim) and in the log-std (action_dim,).

    Args:
        weights: (n,).
    """
    inverse_std = torch.exp(-log_std)
    z = (actions - mean) * inverse_std
    weighted = weights.unsqueeze(-1) * z
    return weighted * inverse_std, (weighted * z).sum(0) - weights.sum()


def entropy(log_std: Tensor) -> Tensor:
    """Differential entropy of the Gaussian [nats]."""
    return (log_std + 0.5 * math.log(2 * math.pi * math.e)).sum()


def kl_divergence(old_mean: Tensor, old_log_std: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """KL(old ‖ new) of diagonal Gaussians, averaged over the batch [nats]."""
    ratio = torch.exp(2 * (old_log_std - log_std))
    distance = (mean - old_mean) ** 2 * torch.exp(-2 * log_std)
    return (log_std - old_log_std + 0.5 * (ratio + distance - 1)).sum(-1).mean()
