"""The Gaussian policy. It takes observations that its `RunningMeanStd` has normalised."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn

from gailfe.config.keys import LOG_STD, SIZES, key
from gailfe.nn.acting import Act
from gailfe.nn.mlp import MLP
from gailfe.nn.normalisation import CLIP, RunningMeanStd


@dataclass
class PolicyConfig:
    """Keys of `algo.policy`."""

    hidden_sizes: list[int] = key("sizes of the hidden layers (tanh)", SIZES)
    log_std_init: float = key(
        "log of the standard deviation at the start, in half-widths of the action space", LOG_STD
    )

    def make(
        self, observation_dim: int, action_space: gymnasium.spaces.Box, generator: torch.Generator
    ) -> GaussianPolicy:
        """Return a new policy, its weights drawn from `generator`."""
        return GaussianPolicy(observation_dim, action_space, self.hidden_sizes, self.log_std_init, generator)


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
        hidden_sizes = list(hidden_sizes)
        self.architecture = {"hidden_sizes": hidden_sizes, "activation": activation}
        sizes = [observation_dim, *hidden_sizes, action_dim]
        self.normalizer = RunningMeanStd(observation_dim)
        self.mean = MLP(sizes, generator, activation, output_gain=0.01)
        self.log_std = nn.Parameter(torch.full((action_dim,), log_std_init))
        self.register_buffer("low", torch.as_tensor(action_space.low).float())
        self.register_buffer("high", torch.as_tensor(action_space.high).float())
        width = self.high - self.low
        bounded = torch.isfinite(width)
        self.register_buffer("centre", torch.where(bounded, (self.high + self.low) / 2, 0.0), persistent=False)
        # Where both bounds are the same, `to_unit` must not divide by 0: every action is 0 there.
        scaled = bounded & (width > 0)
        self.register_buffer("half_width", torch.where(scaled, width / 2, 1.0), persistent=False)
        self._bounds = tuple(bound.numpy() for bound in (self.centre, self.half_width, self.low, self.high))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised observations (…, obs_dim) → mean (…, action_dim) and log-std (action_dim,)."""
        return self.mean(x), self.log_std

    def actor(self) -> Callable[[np.ndarray], np.ndarray]:
        """Return the mean as a function, (n, obs_dim) float64, raw → unit actions (n, action_dim) float32.

        It is for rollouts, which call it with a few rows at a time: numpy takes a third of torch's time there.
        Call `actor` again after the policy has been trained: the function may use copies of the present weights.
        """
        mean, scale = self.normalizer.mean.cpu().numpy(), self.normalizer.scale().cpu().numpy()
        forward = self.mean.numpy_forward()

        def act(observations: np.ndarray) -> np.ndarray:
            x = (observations - mean) * scale
            np.maximum(np.minimum(x, CLIP, out=x), -CLIP, out=x)
            return forward(x.astype(np.float32))

        return act

    def acting(self, generator: torch.Generator | None = None) -> Act:
        """Return how the policy acts with its present weights: by its mean, or with noise from `generator`.

        See `CanAct.acting`.
        """
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
