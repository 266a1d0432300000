"""The policy that fits an action space: Gaussian for a Box, categorical for a Discrete."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import gymnasium
import torch
from gymnasium.spaces import Discrete

from gailfe.config.keys import LOG_STD, SIZES, key
from gailfe.nn.categorical import CategoricalPolicy
from gailfe.nn.gaussian import GaussianPolicy
from gailfe.nn.stochastic import StochasticPolicy


@dataclass
class PolicyConfig:
    """Keys of `algo.policy`."""

    hidden_sizes: list[int] = key("sizes of the hidden layers (tanh)", SIZES)
    log_std_init: float = key(
        "log of the standard deviation at the start, in half-widths of the action space; discrete actions have "
        "none",
        LOG_STD,
    )

    def make(
        self, observation_dim: int, action_space: gymnasium.Space, generator: torch.Generator
    ) -> StochasticPolicy:
        """Return a new policy, its weights drawn from `generator`."""
        return make_policy(observation_dim, action_space, self.hidden_sizes, self.log_std_init, generator)


def make_policy(
    observation_dim: int,
    action_space: gymnasium.Space,
    hidden_sizes: Iterable[int],
    log_std_init: float,
    generator: torch.Generator,
    activation: str = "tanh",
) -> StochasticPolicy:
    """Return a new policy of the kind that `action_space` needs; only a Gaussian one has a log-std.

    Args:
        action_space: a flat Box of floats, or a Discrete.
    """
    if isinstance(action_space, Discrete):
        return CategoricalPolicy(observation_dim, action_space, hidden_sizes, generator, activation)
    assert isinstance(action_space, gymnasium.spaces.Box)
    return GaussianPolicy(observation_dim, action_space, hidden_sizes, log_std_init, generator, activation)
