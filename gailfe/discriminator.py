"""The discriminator, its losses from equations (1) and (4), and the reward that it gives.

Orientation: D_ω(s, a) is the probability that the pair came from the *policy*. D = sigmoid(logit).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gailfe.config import DiscriminatorConfig
from gailfe.mlp import MLP


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


def gradient_penalty(
    discriminator: Discriminator, policy_pairs: Tensor, expert_pairs: Tensor, generator: torch.Generator
) -> tuple[Tensor, list[Tensor]]:
    """E[(‖∇ logit‖ − 1)²] between policy and expert pairs (Gulrajani et al. 2017, equation 3).

    Returns:
        The penalty, and its gradient in the parameters.
    """
    mix = torch.rand(len(policy_pairs), 1, generator=generator).to(policy_pairs.device)
    trace = discriminator.logit.trace(mix * policy_pairs + (1 - mix) * expert_pairs)
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

    Autograd differentiates the loss in the logits; from there on the network's own derivatives are faster.

    Args:
        policy_pairs, expert_pairs, failed_pairs: (batch_size, obs_dim + action_dim); no failed pairs for
            GAIL, or while β_F is empty.

    Returns:
        discriminator_loss, d_policy and d_expert (mean D), with failed pairs d_failed and log_d_failed (mean
        log D) too; all from before the step.
    """
    sources = [policy_pairs, expert_pairs] + ([] if failed_pairs is None else [failed_pairs])
    trace = discriminator.logit.trace(torch.cat(sources))
    logits = trace[-1].squeeze(-1)
    policy_logits, expert_logits, *rest = logits.split([len(pairs) for pairs in sources])
    with torch.enable_grad():
        leaves = [part.detach().requires_grad_() for part in (policy_logits, expert_logits, *rest)]
        loss = -gailfe_objective(leaves[0], leaves[1], leaves[2] if rest else None, lambda_f, z_f)
        # Not of the failed pairs: at λ_F = 0 this must be GAIL.
        loss = loss - config.logit_entropy * logit_entropy(torch.cat(leaves[:2]))
        # Then their gradient is zero too, and not worth taking through the network.
        differentiated = leaves if lambda_f > 0 else leaves[:2]
        grad = torch.cat(torch.autograd.grad(loss, differentiated)).unsqueeze(-1)
    gradients = discriminator.logit.vjp([layer[: len(grad)] for layer in trace], grad)
    loss = loss.detach()
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
