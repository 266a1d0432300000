"""The clipped policy update of proximal policy optimisation (Schulman et al. 2017).

The experts' PPO uses it together with the update of its value function. GAIL and GAILFE can use it instead of
TRPO.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gailfe.config.keys import AT_LEAST_ONE, POSITIVE, ConfigError, Valid, key
from gailfe.nn.mlp import concatenated, flatten_parameters
from gailfe.nn.stochastic import StochasticPolicy

TO_STANDARDISE = Valid(
    lambda value: 2 <= value <= 2**24, "at least 2, to standardise advantages, and at most 2**24"
)


@dataclass
class ClippedConfig:
    """Keys of `algo.ppo`, the policy step of `algo.policy_update=ppo`; without it they have no effect."""

    learning_rate: float = key("step size of the optimiser, Adam", POSITIVE)
    epochs: int = key("passes over the steps of an iteration", AT_LEAST_ONE)
    minibatch_size: int = key("steps in a minibatch", TO_STANDARDISE)
    clip: float = key("ε, how far the probability ratio may leave 1", POSITIVE)
    target_kl: float | None = key("KL divergence [nats] that ends an iteration's epochs; null: none", POSITIVE)
    max_grad_norm: float = key("longest gradient; a longer one is shortened to it", POSITIVE)


def check_minibatches(minibatch: str, size: int, iteration: str, steps: int) -> None:
    """Refuse a size that leaves a minibatch of one step, whose advantage can't be standardised.

    Args:
        minibatch: the key that holds `size`.
        iteration: the key that holds `steps`, of an iteration.

    Raises:
        ConfigError: naming both keys.
    """
    if steps % size == 1:
        raise ConfigError(
            f"{minibatch}={size} leaves a minibatch of one step of {iteration}={steps}, whose advantage can't be "
            "standardised; choose a divisor"
        )


class ClippedUpdate:
    """The policy step of `algo.policy_update=ppo`, with its optimiser.

    Args:
        policy: changed in place; its parameters become views of one vector.
        generator: shuffles the steps of an iteration.
    """

    def __init__(self, policy: StochasticPolicy, config: ClippedConfig, generator: torch.Generator) -> None:
        self.policy = policy
        self.config = config
        self.generator = generator
        self.weights = flatten_parameters(policy.trained())
        self.optimizer = torch.optim.Adam([self.weights], lr=config.learning_rate, eps=1e-5, fused=True)

    @torch.no_grad()
    def __call__(self, x: Tensor, samples: Tensor, advantages: Tensor, lambda_h: float) -> dict[str, float]:
        """Ascend E[min(r Â, clip(r, 1 ± ε) Â)] + λ_H·H(π), r the probability ratio to the policy as it was.

        Args:
            x: normalised observations (n, obs_dim).
            samples: the policy's samples there, unit actions (n, action_dim).
            advantages: Â (n,), standardised here, minibatch by minibatch.
            lambda_h: λ_H, weight of the entropy, which is maximised.

        Returns:
            kl [nats] of the whole step, entropy [nats] after it, and clip_fraction, the share of clipped ratios.
        """
        config, policy = self.config, self.policy
        old = policy(x)

        def step(x: Tensor, samples: Tensor, old_log_prob: Tensor, advantages: Tensor) -> Tensor:
            gradient, kl, clip_fraction = policy_gradient(
                policy, x, samples, old_log_prob, advantages, config.clip, lambda_h
            )
            self.weights.grad = shortened(concatenated(gradient), config.max_grad_norm)
            self.optimizer.step()
            return torch.stack([kl, clip_fraction])

        data = (x, samples, old.log_prob(samples), advantages)
        statistics = run_epochs(step, data, config.epochs, config.minibatch_size, config.target_kl, self.generator)
        new = policy(x)
        return {
            "kl": old.kl_divergence(new).item(),
            "entropy": new.entropy().item(),
            "clip_fraction": statistics[1].item(),
        }

    def state_dict(self) -> dict[str, Any]:
        return self.optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state)


def run_epochs(
    step: Callable[..., Tensor],
    data: Sequence[Tensor],
    epochs: int,
    minibatch_size: int,
    target_kl: float | None,
    generator: torch.Generator,
) -> Tensor:
    """Take a step on each minibatch of the shuffled data, in each epoch.

    Args:
        step: minibatches of `data` → statistics (k,), the KL divergence from the old policy [nats] first.
        data: (n, …) each.
        target_kl: stop after an epoch whose mean KL divergence is above it; None: never.

    Returns:
        Statistics (k,), averaged over the minibatches.
    """
    steps: list[Tensor] = []
    for _ in range(epochs):
        order = torch.randperm(len(data[0]), generator=generator).to(data[0].device)
        minibatches = zip(*(tensor[order].split(minibatch_size) for tensor in data), strict=True)
        epoch = [step(*minibatch) for minibatch in minibatches]
        steps += epoch
        if target_kl is not None and torch.stack(epoch)[:, 0].mean() > target_kl:
            break
    return torch.stack(steps).mean(0)


def policy_gradient(
    policy: StochasticPolicy,
    x: Tensor,
    samples: Tensor,
    old_log_prob: Tensor,
    advantages: Tensor,
    clip: float,
    entropy_weight: float,
) -> tuple[list[Tensor], Tensor, Tensor]:
    """Differentiate the loss of a minibatch: minus the surrogate, minus the weighted entropy.

    Args:
        x, samples, old_log_prob, advantages: as in `ClippedUpdate`, of n steps.

    Returns:
        The gradient, a tensor for each of `policy.trained()`. Then `surrogate`'s KL divergence and share of
        clipped ratios.
    """
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    activations = policy.network.activations(x)
    distribution = policy.distribution(activations[-1])
    log_ratio = distribution.log_prob(samples) - old_log_prob
    weights, kl, clip_fraction = surrogate(log_ratio, advantages, clip)
    of_outputs, *of_own = distribution.gradient(samples, weights, entropy_weight)
    gradient = [*policy.network.vjp(activations, -of_outputs), *(-own for own in of_own)]
    return gradient, kl, clip_fraction


def surrogate(log_ratio: Tensor, advantages: Tensor, clip: float) -> tuple[Tensor, Tensor, Tensor]:
    """Differentiate the clipped surrogate E[min(r Â, clip(r, 1 ± clip) Â)] (equation 7).

    Args:
        log_ratio: log r, of the new policy to the old one, (n,).
        advantages: Â, (n,).

    Returns:
        The surrogate's gradient in log r (n,): zero where the clipped term is the smaller one. Then the KL
        divergence from the old policy [nats], by Schulman's low-variance estimator, and the share of clipped
        ratios.
    """
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    weighted = ratio * advantages
    active = weighted <= clipped * advantages
    kl = (ratio - 1 - log_ratio).mean()
    return weighted * active / len(ratio), kl, (ratio != clipped).float().mean()


def shortened(gradient: Tensor, max_norm: float) -> Tensor:
    """Shorten a gradient (k,) to `max_norm`, in place, where it is longer."""
    norm = torch.linalg.vector_norm(gradient)
    return gradient.mul_((max_norm / (norm + 1e-6)).clamp_(max=1.0))
