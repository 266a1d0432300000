"""What every policy has in common: a network, and a distribution of actions that its outputs describe.

Here is all that depends on the kind of actions; algorithms, rollouts and files know nothing else of it. Inside, an
action is a *unit action*, a vector of floats: of continuous actions in half-widths of their space (gaussian.py),
of discrete ones one-hot (categorical.py). The discriminator sees the same vectors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol, Self

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn

from gailfe.nn.acting import Act
from gailfe.nn.mlp import MLP
from gailfe.nn.normalisation import CLIP, RunningMeanStd


class Distribution(Protocol):
    """A distribution over unit actions at n observations, from the network's outputs (n, k) and parameters."""

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-density or log-probability of unit actions, (…, action_dim) → (…)."""
        ...

    def entropy(self) -> Tensor:
        """[nats], averaged over the observations."""
        ...

    def kl_divergence(self, new: Self) -> Tensor:
        """KL(this ‖ new) [nats], averaged over the observations."""
        ...

    def gradient(self, actions: Tensor, weights: Tensor, entropy_weight: float) -> list[Tensor]:
        """Differentiate Σ weights · log_prob + entropy_weight · entropy.

        Args:
            actions: unit actions (n, action_dim).
            weights: (n,).

        Returns:
            The gradient in the outputs (n, k), then in each of the policy's own parameters.
        """
        ...

    def fisher(self) -> Callable[[Tensor, Sequence[Tensor]], list[Tensor]]:
        """Return the product with the Fisher matrix, the Hessian of KL(this ‖ new) at new = this.

        It takes directions in the outputs (n, k), which it may overwrite, and in the own parameters, and returns
        products of the same shapes. Outputs count on average, as in `kl_divergence`.
        """
        ...


class StochasticPolicy(nn.Module, ABC):
    """π_θ(a|s). It takes observations that its `normalizer` has normalised.

    Attributes:
        action_space: of the environment.
        action_dim: of unit actions.
    """

    kind: ClassVar[str]  # in its file
    error_name: ClassVar[str]
    normalizer: RunningMeanStd
    action_space: gymnasium.Space
    action_dim: int
    architecture: dict[str, object]  # with which it can be built again

    @property
    @abstractmethod
    def network(self) -> MLP:
        """Normalised observations → outputs."""

    @property
    @abstractmethod
    def own_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that are not the network's."""

    @abstractmethod
    def distribution(self, outputs: Tensor) -> Distribution:
        """Return the distribution at outputs of the network; it stays as it is when the policy is trained."""

    @abstractmethod
    def noise(self, generator: torch.Generator) -> Callable[..., np.ndarray]:
        """Return a function that draws what `sample` needs: it takes the shape of the rows and returns an array.

        Its scale may be a copy of the present parameters.
        """

    @abstractmethod
    def sample(self, outputs: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        """Draw unit actions (n, action_dim) at outputs (n, k); without noise, take the mean or the mode."""

    @abstractmethod
    def to_env(self, actions: np.ndarray) -> np.ndarray:
        """Unit actions → the environment's, in the action space."""

    @abstractmethod
    def to_unit(self, actions: Tensor) -> Tensor:
        """Actions as the environment received them → unit actions."""

    def forward(self, x: Tensor) -> Distribution:
        """Normalised observations (…, obs_dim) → the distribution of actions."""
        return self.distribution(self.network(x))

    @abstractmethod
    def error(self, x: Tensor, actions: Tensor) -> Tensor:
        """How far the mean or the mode is from unit actions, on average: what `error_name` says."""

    def bound_log_std(self, minimum: float) -> None:
        """Raise a log-std below `minimum` to it."""

    def trained(self) -> list[nn.Parameter]:
        """Return all parameters, the network's first, in the order of gradients."""
        return [*self.network.parameters(), *self.own_parameters]

    def entropy(self, x: Tensor) -> Tensor:
        """[nats], averaged over normalised observations."""
        return self(x).entropy()

    @property
    def device(self) -> torch.device:
        return self.normalizer.mean.device

    def actor(self) -> Callable[[np.ndarray], np.ndarray]:
        """Return the network as a function, (n, obs_dim) float64, raw → outputs (n, k) float32.

        It is for rollouts, which call it with a few rows at a time: numpy takes a third of torch's time there.
        Call `actor` again after the policy has been trained: the function may use copies of the present weights.
        """
        mean, scale = self.normalizer.mean.cpu().numpy(), self.normalizer.scale().cpu().numpy()
        forward = self.network.numpy_forward()

        def act(observations: np.ndarray) -> np.ndarray:
            x = (observations - mean) * scale
            np.maximum(np.minimum(x, CLIP, out=x), -CLIP, out=x)
            return forward(x.astype(np.float32))

        return act

    def acting(self, generator: torch.Generator | None = None) -> Act:
        """Return how the policy acts with its present weights: by its mean or mode, or with `generator`'s noise.

        See `CanAct.acting`.
        """
        outputs, noise = self.actor(), None if generator is None else self.noise(generator)

        def act(observations: np.ndarray) -> np.ndarray:
            found = outputs(observations)
            return self.to_env(self.sample(found, None if noise is None else noise(len(found))))

        return act
