"""The policy, its distribution, and the normalisation of what every network sees.

Every network takes observations that `RunningMeanStd` has normalised; whoever calls normalises once and hands
the same tensor to all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn

from gailfe.acting import Act
from gailfe.mlp import MLP

CLIP = 10.0  # standard deviations


class RunningMeanStd(nn.Module):
    """Mean and variance of everything seen so far (Chan et al.'s parallel update), in float64.

    Calling it normalises: (x − mean) / std, clipped to ±CLIP, in float32.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(dim, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def update(self, x: Tensor) -> None:
        """Take in `x` (…, dim)."""
        x = x.reshape(-1, self.mean.shape[0]).double()
        mean, variance = x.mean(0), x.var(0, correction=0)
        total = self.count + len(x)
        delta = mean - self.mean
        old, new = self.count / total, len(x) / total
        self.variance = old * self.variance + new * variance + delta**2 * old * new
        self.mean = self.mean + delta * new
        self.count = total

    def scale(self) -> Tensor:
        """1 / std, (dim,)"""
        return torch.rsqrt(self.variance + 1e-8)

    def forward(self, x: Tensor) -> Tensor:
        return ((x - self.mean) * self.scale()).clamp(-CLIP, CLIP).float()


class GaussianPolicy(nn.Module):
    """π_θ(a|s): a diagonal Gaussian, mean from an MLP, log-std independent of the state and trained too.

    It acts in units of the action space's half-width around its centre, so that every task looks alike
    to the optimiser; `to_env` maps a sample to the action that the environment receives, `to_unit` back.
    """

    low: Tensor
    high: Tensor
    centre: Tensor
    half_width: Tensor

    def __init__(
        self,
        observation_dim: int,
        action_space: gymnasium.spaces.Box,
        hidden_sizes: Iterable[int],
        log_std_init: float,
        generator: torch.Generator,
        activation: str = "tanh",
    ) -> None:
        super().__init__()
        action_dim = action_space.shape[0]
        sizes = [observation_dim, *hidden_sizes, action_dim]
        self.normalizer = RunningMeanStd(observation_dim)
        self.mean = MLP(sizes, generator, activation, output_gain=0.01)
        self.log_std = nn.Parameter(torch.full((action_dim,), log_std_init))
        self.register_buffer("low", torch.as_tensor(action_space.low).float())
        self.register_buffer("high", torch.as_tensor(action_space.high).float())
        bounded = torch.isfinite(self.low) & torch.isfinite(self.high)
        self.register_buffer("centre", torch.where(bounded, (self.high + self.low) / 2, 0.0), persistent=False)
        self.register_buffer("half_width", torch.where(bounded, (self.high - self.low) / 2, 1.0), persistent=False)
        self._bounds = tuple(bound.numpy() for bound in (self.centre, self.half_width, self.low, self.high))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised observations (…, obs_dim) → mean (…, action_dim) and log-std (action_dim,)."""
        return self.mean(x), self.log_std

    def actor(self) -> Callable[[np.ndarray], np.ndarray]:
        """The mean as a function of raw observations, (n, obs_dim) float64 → unit actions (n, action_dim) float32.

        For rollouts, where it is called on a handful of rows at a time: numpy takes a third of torch's time there.
        It may keep acting as the policy does now when that moves on.
        """
        mean, scale = self.normalizer.mean.cpu().numpy(), self.normalizer.scale().cpu().numpy()
        forward = self.mean.numpy_forward()

        def act(observations: np.ndarray) -> np.ndarray:
            x = (observations - mean) * scale
            np.maximum(np.minimum(x, CLIP, out=x), -CLIP, out=x)
            return forward(x.astype(np.float32))

        return act

    def acting(self, generator: torch.Generator | None = None) -> Act:
        """How the policy as it is now acts in an environment: with its mean, or with noise from `generator`."""
        mean, std = self.actor(), torch.exp(self.log_std.detach()).cpu()

        def act(observations: np.ndarray) -> np.ndarray:
            actions = mean(observations)
            if generator is not None:
                actions += (std * torch.randn(actions.shape, generator=generator)).numpy()
            return self.to_env(actions)

        return act

    def to_env(self, actions: np.ndarray) -> np.ndarray:
        """Unit actions → the environment's, clipped to its bounds; an unbounded side is left as it is."""
        centre, half_width, low, high = self._bounds
        return np.minimum(np.maximum(centre + half_width * actions, low), high)

    def to_unit(self, actions: Tensor) -> Tensor:
        """Actions as the environment received them → unit actions."""
        return (actions - self.centre) / self.half_width


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
