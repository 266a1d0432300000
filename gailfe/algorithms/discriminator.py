"""The discriminator, its losses from equations (1) and (4), and the reward that it gives.

Orientation: D_ω(s, a) is the probability that the pair came from the *policy*. D = sigmoid(logit).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gailfe.config.keys import AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE, SIZES, key
from gailfe.nn.mlp import MLP


@dataclass
class DiscriminatorConfig:
    """Keys of `algo.discriminator`."""

    hidden_sizes: list[int] = key("sizes of the hidden layers (tanh)", SIZES)
    learning_rate: float = key("of Adam", POSITIVE)
    updates: int = key("gradient steps in an iteration", AT_LEAST_ONE)
    batch_size: int = key("state-action pairs from each source in a gradient step", AT_LEAST_ONE)
    logit_entropy: float = key("weight of the entropy of D, which is maximised", NOT_NEGATIVE)
    gradient_penalty: float = key("weight of the gradient penalty on the logits", NOT_NEGATIVE)


class Discriminator(nn.Module):
    """D_ω on normalised observations and unit actions."""

    def __init__(
        self, observation_dim: int, action_dim: int, config: DiscriminatorConfig, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.logit = MLP([observation_dim + action_dim, *config.hidden_sizes, 1], generator)

    def forward(self, pairs: Tensor) -> Tensor:
        """(…, obs_dim + action_dim) → logits (…)."""
        return self.logit(pairs).squeeze(-1)


def log_d(logits: Tensor) -> Tensor:
    """log D."""
    return F.logsigmoid(logits)


def reward(logits: Tensor) -> Tensor:
    """The policy's reward, r(s, a) = −log D(s, a): positive everywhere, large where D takes it for the expert."""
    return -log_d(logits)


def gailfe_objective(
    policy_logits: Tensor, expert_logits: Tensor, failed_logits: Tensor | None, lambda_f: float, z_f: float
) -> Tensor:
    """What ω ascends: equation (4), or equation (1) where `failed_logits` is None; without the entropy, which
    does not depend on ω.

    E_π[log D] + E_E[log(1 − D)] + λ_F·(E_βF[log D] − Z_F).
    """
    objective = log_d(policy_logits).mean() + log_d(-expert_logits).mean()  # 1 − σ(x) = σ(−x)
    if failed_logits is not None:
        objective = objective + lambda_f * (log_d(failed_logits).mean() - z_f)
    return objective


def logit_entropy(logits: Tensor) -> Tensor:
    """Mean entropy of the Bernoulli D [nats]; maximised with a small weight, it keeps D from saturating."""
    return (F.softplus(logits) - torch.sigmoid(logits) * logits).mean()


def loss_gradient(
    policy_logits: Tensor,
    expert_logits: Tensor,
    failed_logits: Tensor | None,
    lambda_f: float,
    entropy_weight: float,
) -> Tensor:
    """The gradient of −`gailfe_objective` − entropy_weight · `logit_entropy` in the logits.

    The entropy is not of the failed pairs: at λ_F = 0 this must be GAIL.

    Returns:
        (n, 1): of the policy's logits, the expert's and, where λ_F > 0, the failed ones, in that order.
    """
    # d log σ(x) / dx = σ(−x)
    parts = [
        -torch.sigmoid(-policy_logits) / len(policy_logits),
        torch.sigmoid(expert_logits) / len(expert_logits),
    ]
    gradient = torch.cat(parts)
    if entropy_weight > 0:
        logits = torch.cat([policy_logits, expert_logits])
        d = torch.sigmoid(logits)
        gradient += logits * (d * (1 - d)) * (entropy_weight / len(logits))
    if failed_logits is not None and lambda_f > 0:
        gradient = torch.cat([gradient, -lambda_f * torch.sigmoid(-failed_logits) / len(failed_logits)])
    return gradient.unsqueeze(-1)


def gradient_penalty(
    discriminator: Discriminator, policy_pairs: Tensor, expert_pairs: Tensor, generator: torch.Generator
) -> tuple[Tensor, list[Tensor]]:
    """E[(‖∇ logit‖ − 1)²] between policy and expert pairs (Gulrajani et al. 2017, equation 3).

    Returns:
        The penalty, and its gradient in the parameters.
    """
    mix = torch.rand(len(policy_pairs), 1, generator=generator).to(policy_pairs)
    trace = discriminator.logit.trace(torch.lerp(expert_pairs, policy_pairs, mix))
    slope, deltas = discriminator.logit.input_gradient(trace)
    norm = torch.linalg.vector_norm(slope, dim=-1, keepdim=True)
    excess = norm - 1
    direction = slope * (2 * excess / (norm.clamp(min=1e-12) * len(slope)))
    return excess.square().mean(), discriminator.logit.input_gradient_vjp(trace, deltas, direction)


@torch.no_grad()
def discriminator_step(
    discriminator: Discriminator,
    optimizer: torch.optim.Optimizer,
    policy_pairs: Tensor,
    expert_pairs: Tensor,
    failed_pairs: Tensor | None,
    lambda_f: float,
    z_f: float,
    config: DiscriminatorConfig,
    generator: torch.Generator,
) -> dict[str, float]:
    """One gradient step on ω.

    Args:
        policy_pairs, expert_pairs, failed_pairs: (batch_size, obs_dim + action_dim); no failed pairs for
            GAIL, or while β_F is empty.

    Returns:
        discriminator_loss, d_policy and d_expert (mean D), with failed pairs d_failed and log_d_failed (mean
        log D) too; all from before the step.
    """
    sources = [policy_pairs, expert_pairs] + ([] if failed_pairs is None else [failed_pairs])
    trace = discriminator.logit.trace(torch.cat(sources))
    policy_logits, expert_logits, *rest = trace[-1].squeeze(-1).split([len(pairs) for pairs in sources])
    failed_logits = rest[0] if rest else None
    loss = -gailfe_objective(policy_logits, expert_logits, failed_logits, lambda_f, z_f)
    loss -= config.logit_entropy * logit_entropy(torch.cat([policy_logits, expert_logits]))
    grad = loss_gradient(policy_logits, expert_logits, failed_logits, lambda_f, config.logit_entropy)
    gradients = discriminator.logit.vjp([layer[: len(grad)] for layer in trace], grad)
    if config.gradient_penalty > 0:
        penalty, slopes = gradient_penalty(discriminator, policy_pairs, expert_pairs, generator)
        loss += config.gradient_penalty * penalty
        for gradient, slope in zip(gradients, slopes, strict=True):
            gradient.add_(slope, alpha=config.gradient_penalty)
    for parameter, gradient in zip(discriminator.parameters(), gradients, strict=True):
        parameter.grad = gradient
    optimizer.step()
    info = {
        "discriminator_loss": loss.item(),
        "d_policy": torch.sigmoid(policy_logits).mean().item(),
        "d_expert": torch.sigmoid(expert_logits).mean().item(),
    }
    if rest:
        info["d_failed"] = torch.sigmoid(rest[0]).mean().item()
        info["log_d_failed"] = log_d(rest[0]).mean().item()
    return info
