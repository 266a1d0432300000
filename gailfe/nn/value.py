"""The value function and its regression on returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gailfe.config.keys import AT_LEAST_ONE, IN_MEMORY, POSITIVE, SIZES, key
from gailfe.nn.mlp import MLP, concatenated, flatten_parameters

CPU = torch.device("cpu")


@dataclass
class ValueConfig:
    """Keys of `algo.value`."""

    hidden_sizes: list[int] = key("sizes of the hidden layers (tanh)", SIZES)
    learning_rate: float = key("step size of the optimiser, Adam", POSITIVE)
    epochs: int = key("passes over an iteration's steps", AT_LEAST_ONE)
    minibatch_size: int = key("steps in a minibatch", IN_MEMORY)


class ValueFunction(nn.Module):
    """V(s) in units of return, from a network that predicts standardised targets.

    Rewards −log D drift as D learns. The targets' mean and standard deviation are tracked, and the last layer
    is rescaled whenever they move so that predictions don't jump (van Hasselt et al. 2016, PopArt).
    """

    mean: Tensor
    std: Tensor
    seen: Tensor

    def __init__(
        self, observation_dim: int, config: ValueConfig, generator: torch.Generator, device: torch.device = CPU
    ) -> None:
        super().__init__()
        self.config = config
        self.generator = generator
        self.net = MLP([observation_dim, *config.hidden_sizes, 1], generator)
        # In float64: with a return of 1000 ± 1 the square of the mean would swallow the variance.
        self.register_buffer("mean", torch.zeros((), dtype=torch.float64))
        self.register_buffer("std", torch.ones((), dtype=torch.float64))
        self.register_buffer("seen", torch.zeros((), dtype=torch.bool))
        self.to(device)
        self.weights = flatten_parameters(self.net.parameters())
        self.optimizer = torch.optim.Adam([self.weights], lr=config.learning_rate, fused=True)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised observations (…, obs_dim) → values (…)."""
        return self.mean.float() + self.std.float() * self.net(x).squeeze(-1)

    @torch.no_grad()
    def fit(self, x: Tensor, returns: Tensor) -> float:
        """Regress on `returns` (n,) at `x` (n, obs_dim); the first epoch's mean squared error, standardised."""
        self._track(returns)
        targets = ((returns - self.mean) / self.std).float()
        before = 0.0
        for epoch in range(self.config.epochs):
            order = torch.randperm(len(x), generator=self.generator).to(x.device)
            minibatches = (t[order].split(self.config.minibatch_size) for t in (x, targets.unsqueeze(-1)))
            for inputs, outputs in zip(*minibatches, strict=True):
                activations = self.net.activations(inputs)
                error = activations[-1] - outputs
                self.weights.grad = concatenated(self.net.vjp(activations, 2 / len(inputs) * error))
                self.optimizer.step()
                if epoch == 0:
                    before += error.square().sum().item() / len(x)
        return before

    def _track(self, returns: Tensor) -> None:
        returns = returns.double()
        rate = 0.1 if self.seen else 1.0
        old_mean, old_std = self.mean.clone(), self.std.clone()
        second = (1 - rate) * (old_std**2 + old_mean**2) + rate * returns.square().mean()
        self.mean.copy_((1 - rate) * old_mean + rate * returns.mean())
        self.std.copy_((second - self.mean**2).clamp(min=1e-4).sqrt())
        self.seen.fill_(True)
        last = self.net[-1]
        assert isinstance(last, nn.Linear)
        last.weight.mul_(old_std / self.std)
        last.bias.copy_((old_std * last.bias + old_mean - self.mean) / self.std)

    def full_state_dict(self) -> dict[str, Any]:
        return {"network": self.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_full_state_dict(self, state: dict[str, Any]) -> None:
        self.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
