"""The categorical policy, of discrete actions: a probability for each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import gymnasium
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gailfe.nn.mlp import MLP
from gailfe.nn.normalisation import RunningMeanStd
from gailfe.nn.stochastic import StochasticPolicy


class Categorical:
    """Categorical distributions at n observations; a `Distribution`.

    Args:
        logits: log-probabilities up to a constant, (…, k).
    """

    def __init__(self, logits: Tensor) -> None:
        self.log_probs = F.log_softmax(logits, dim=-1)
        self.probs = self.log_probs.exp()

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-probability of one-hot actions, (…, k) → (…)."""
        return (actions * self.log_probs).sum(-1)

    def entropies(self) -> Tensor:
        """[nats], (…)"""
        return -(self.probs * self.log_probs).sum(-1)

    def entropy(self) -> Tensor:
        """[nats], averaged over the batch."""
        return self.entropies().mean()

    def kl_divergence(self, new: Categorical) -> Tensor:
        """KL(this ‖ new), averaged over the batch [nats]."""
        return (self.probs * (self.log_probs - new.log_probs)).sum(-1).mean()

    def gradient(self, actions: Tensor, weights: Tensor, entropy_weight: float) -> list[Tensor]:
        """Gradient of Σ weights·log_prob + entropy_weight·entropy in the logits, (n, k).

        Of log p(a) it is a − p, of the entropy H of a row −p · (log p + H).
        """
        gradient = weights.unsqueeze(-1) * (actions - self.probs)
        if entropy_weight != 0:
            surprise = self.log_probs + self.entropies().unsqueeze(-1)
            gradient -= entropy_weight / len(actions) * self.probs * surprise
        return [gradient]

    def fisher(self) -> Callable[[Tensor, Sequence[Tensor]], list[Tensor]]:
        """The Fisher matrix of a row is diag(p) − p pᵀ, over n rows."""
        probs, weighted = self.probs, self.probs / len(self.probs)
        return lambda logits, own: [weighted * (logits - (probs * logits).sum(-1, keepdim=True))]


class CategoricalPolicy(StochasticPolicy):
    """π_θ(a|s): the probabilities of n actions, their logits from an MLP. Unit actions are one-hot.

    Args:
        action_space: its actions are start, …, start + n − 1.
    """

    kind = "categorical"
    error_name = "wrong_actions"
    action_space: gymnasium.spaces.Discrete
    start: Tensor

    def __init__(
        self,
        observation_dim: int,
        action_space: gymnasium.spaces.Discrete,
        hidden_sizes: Iterable[int],
        generator: torch.Generator,
        activation: str = "tanh",
    ) -> None:
        super().__init__()
        self.action_space = action_space
        self.action_dim = int(action_space.n)
        hidden_sizes = list(hidden_sizes)
        self.architecture = {"hidden_sizes": hidden_sizes, "activation": activation}
        self.normalizer = RunningMeanStd(observation_dim)
        self.logits = MLP(
            [observation_dim, *hidden_sizes, self.action_dim], generator, activation, output_gain=0.01
        )
        self.register_buffer("start", torch.tensor(int(action_space.start)))
        self._start = int(action_space.start)
        self._one_hot = np.eye(self.action_dim, dtype=np.float32)

    @property
    def network(self) -> MLP:
        return self.logits

    @property
    def own_parameters(self) -> list[nn.Parameter]:
        return []

    def distribution(self, outputs: Tensor) -> Categorical:
        return Categorical(outputs)

    def noise(self, generator: torch.Generator) -> Callable[..., np.ndarray]:
        """Draw uniform noise from [0, 1), (…) → (…)."""
        return lambda *rows: torch.rand(*rows, generator=generator).numpy()

    def sample(self, outputs: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        """Draw by the inverse of the distribution function at `noise` (n,); without noise, take the mode."""
        if noise is None:
            return self._one_hot[outputs.argmax(-1)]
        likelihood = np.exp(outputs - outputs.max(-1, keepdims=True))
        below = likelihood.cumsum(-1)
        return self._one_hot[(below[..., :-1] <= noise[..., None] * below[..., -1:]).sum(-1)]

    def to_env(self, actions: np.ndarray) -> np.ndarray:
        """One-hot actions (…, n) → the environment's, (…) int64."""
        return actions.argmax(-1) + self._start

    def to_unit(self, actions: Tensor) -> Tensor:
        """The environment's actions (…) → one-hot actions (…, n)."""
        return F.one_hot(actions.long() - self._start, self.action_dim).float()

    def error(self, x: Tensor, actions: Tensor) -> Tensor:
        """Share of actions that are not the likeliest ones."""
        return (self.logits(x).argmax(-1) != actions.argmax(-1)).float().mean()
