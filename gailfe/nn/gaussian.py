"""The Gaussian policy, of continuous actions: a diagonal Gaussian, and its density, entropy and divergence."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn

from gailfe.nn.mlp import MLP
from gailfe.nn.normalisation import RunningMeanStd
from gailfe.nn.stochastic import StochasticPolicy


class Gaussian(NamedTuple):
    """Diagonal Gaussians at n observations; a `Distribution`."""

    mean: Tensor  # (…, action_dim)
    log_std: Tensor  # (action_dim,), the same everywhere

    def log_prob(self, actions: Tensor) -> Tensor:
        """log N(actions; mean, exp(log_std)²), summed over the action's dimensions: (…, action_dim) → (…)."""
        mean, log_std = self
        z = (actions - mean) * torch.exp(-log_std)
        return -0.5 * (z**2).sum(-1) - log_std.sum() - 0.5 * math.log(2 * math.pi) * mean.shape[-1]

    def entropy(self) -> Tensor:
        """Differential entropy [nats]."""
        return (self.log_std + 0.5 * math.log(2 * math.pi * math.e)).sum()

    def kl_divergence(self, new: Gaussian) -> Tensor:
        """KL(this ‖ new), averaged over the batch [nats]."""
        ratio = torch.exp(2 * (self.log_std - new.log_std))
        distance = (new.mean - self.mean) ** 2 * torch.exp(-2 * new.log_std)
        return (new.log_std - self.log_std + 0.5 * (ratio + distance - 1)).sum(-1).mean()

    def gradient(self, actions: Tensor, weights: Tensor, entropy_weight: float) -> list[Tensor]:
        """Gradient of Σ weights·log_prob + entropy_weight·entropy in the mean (n, action_dim) and the log-std."""
        inverse_std = torch.exp(-self.log_std)
        z = (actions - self.mean) * inverse_std
        weighted = weights.unsqueeze(-1) * z
        return [weighted * inverse_std, (weighted * z).sum(0) - weights.sum() + entropy_weight]

    def fisher(self) -> Callable[[Tensor, Sequence[Tensor]], list[Tensor]]:
        """The Fisher matrix is diag(σ⁻²) / n in the means and 2·I in the log-std."""
        precision = torch.exp(-2 * self.log_std) / len(self.mean)
        return lambda means, own: [means.mul_(precision), 2 * own[0]]


class GaussianPolicy(StochasticPolicy):
    """π_θ(a|s): a diagonal Gaussian, mean from an MLP, log-std independent of the state and trained too.

    It acts in units of the action space's half-width around its centre, so that every task looks alike
    to the optimiser; `to_env` maps a sample to the action that the environment receives, `to_unit` back.
    """

    kind = "gaussian"
    error_name = "squared_error"
    action_space: gymnasium.spaces.Box
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
        self.action_space = action_space
        self.action_dim = action_space.shape[0]
        hidden_sizes = list(hidden_sizes)
        self.architecture = {"hidden_sizes": hidden_sizes, "activation": activation}
        sizes = [observation_dim, *hidden_sizes, self.action_dim]
        self.normalizer = RunningMeanStd(observation_dim)
        self.mean = MLP(sizes, generator, activation, output_gain=0.01)
        self.log_std = nn.Parameter(torch.full((self.action_dim,), log_std_init))
        self.register_buffer("low", torch.as_tensor(action_space.low).float())
        self.register_buffer("high", torch.as_tensor(action_space.high).float())
        width = self.high - self.low
        bounded = torch.isfinite(width)
        self.register_buffer("centre", torch.where(bounded, (self.high + self.low) / 2, 0.0), persistent=False)
        # Where both bounds are the same, `to_unit` must not divide by 0: every action is 0 there.
        scaled = bounded & (width > 0)
        self.register_buffer("half_width", torch.where(scaled, width / 2, 1.0), persistent=False)
        self._bounds = tuple(bound.numpy() for bound in (self.centre, self.half_width, self.low, self.high))

    @property
    def network(self) -> MLP:
        return self.mean

    @property
    def own_parameters(self) -> list[nn.Parameter]:
        return [self.log_std]

    def distribution(self, outputs: Tensor) -> Gaussian:
        return Gaussian(outputs, self.log_std.clone())

    def entropy(self, x: Tensor) -> Tensor:
        """[nats]; it is the same at all observations, which are not looked at."""
        return Gaussian(x, self.log_std).entropy()

    def noise(self, generator: torch.Generator) -> Callable[..., np.ndarray]:
        """Draw Gaussian noise, (…) → (…, action_dim)."""
        std = torch.exp(self.log_std.detach()).cpu()
        return lambda *rows: (std * torch.randn(*rows, len(std), generator=generator)).numpy()

    def sample(self, outputs: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        return outputs if noise is None else outputs + noise

    def to_env(self, actions: np.ndarray) -> np.ndarray:
        """Unit actions → the environment's, clipped to its bounds; an unbounded side is left as it is."""
        centre, half_width, low, high = self._bounds
        return np.minimum(np.maximum(centre + half_width * actions, low), high)

    def to_unit(self, actions: Tensor) -> Tensor:
        """Actions as the environment received them → unit actions."""
        return (actions - self.centre) / self.half_width

    def error(self, x: Tensor, actions: Tensor) -> Tensor:
        """Squared error of the mean, summed over the action's dimensions."""
        return (self.mean(x) - actions).square().sum(-1).mean()

    @torch.no_grad()
    def bound_log_std(self, minimum: float) -> None:
        self.log_std.clamp_(min=minimum)
