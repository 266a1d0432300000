"""The discriminator D_ω: its training objective, equations (1) and (4), and the reward that it gives.

Orientation: D_ω(s, a) is the probability that the pair came from the *policy*. D = sigmoid(logit).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gailfe.algorithms.failures import FailedPairs
from gailfe.algorithms.multiplier import Multiplier
from gailfe.config.keys import AT_LEAST_ONE, IN_MEMORY, NOT_NEGATIVE, POSITIVE, SIZES, key, one_of
from gailfe.nn.mlp import MLP

REWARD = one_of("log_d", "logit")


@dataclass
class DiscriminatorConfig:
    """Keys of `algo.discriminator`."""

    hidden_sizes: list[int] = key("sizes of the hidden layers (tanh)", SIZES)
    learning_rate: float = key("step size of the optimiser, Adam", POSITIVE)
    updates: int = key("gradient steps in an iteration", AT_LEAST_ONE)
    batch_size: int | None = key(
        "pairs of each source in a gradient step; null: all the policy's, as many of the others", IN_MEMORY
    )
    logit_entropy: float = key("weight of the entropy of D, which is maximised", NOT_NEGATIVE)
    gradient_penalty: float = key("weight of the gradient penalty on the logits", NOT_NEGATIVE)
    gradient_norm: float = key("norm that the gradient penalty draws gradients to", NOT_NEGATIVE)


class Discriminator(nn.Module):
    """D_ω, an MLP on pairs of normalised observations and unit actions; its output is a logit.

    Args:
        config: `hidden_sizes`.
        generator: draws the initial weights.
    """

    def __init__(
        self, observation_dim: int, action_dim: int, config: DiscriminatorConfig, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.logit = MLP([observation_dim + action_dim, *config.hidden_sizes, 1], generator)

    def forward(self, pairs: Tensor) -> Tensor:
        """Compute the logits (…) of pairs (…, obs_dim + action_dim)."""
        return self.logit(pairs).squeeze(-1)


def log_d(logits: Tensor) -> Tensor:
    """Compute log D from logits, elementwise."""
    return F.logsigmoid(logits)


def reward(logits: Tensor, form: str) -> Tensor:
    """Compute the policy's reward r(s, a), elementwise; it is large where D takes the pair for the expert's.

    Args:
        form: `log_d`, the paper's −log D, which is positive everywhere; or `logit`, log(1 − D) − log D = −logit
            (Fu et al. 2018), which is negative where D takes the pair for the policy's.
    """
    return -logits if form == "logit" else -log_d(logits)


def gailfe_objective(
    policy_logits: Tensor, expert_logits: Tensor, failed_logits: Tensor | None, lambda_f: float, threshold: float
) -> Tensor:
    """Compute what ω maximises: equation (4), or equation (1) where `failed_logits` is None.

    E_π[log D] + E_E[log(1 − D)] + λ_F·(E_βF[log D] − Z_F). The policy's entropy is left out: it does not depend on
    ω.

    Args:
        policy_logits, expert_logits, failed_logits: of the three sources' pairs, (n,) each; n may differ.
        threshold: Z_F, or what another rule of λ_F has in its place.
    """
    objective = log_d(policy_logits).mean() + log_d(-expert_logits).mean()  # 1 − σ(x) = σ(−x)
    if failed_logits is not None:
        objective = objective + lambda_f * (log_d(failed_logits).mean() - threshold)
    return objective


def logit_entropy(logits: Tensor) -> Tensor:
    """Compute the mean entropy of the Bernoulli distribution D [nats] (Ho & Ermon's code).

    It is maximised with a small weight, which keeps D from saturating.
    """
    return (F.softplus(logits) - torch.sigmoid(logits) * logits).mean()


def gradient_penalty(
    discriminator: Discriminator,
    policy_pairs: Tensor,
    expert_pairs: Tensor,
    norm: float,
    generator: torch.Generator,
) -> Tensor:
    """Compute E[(‖∇ logit‖ − norm)²] at random points between policy and expert pairs.

    It keeps D from saturating. With norm 1 this is the penalty of WGAN-GP (Gulrajani et al. 2017, equation 3), on
    the logits; with norm 0 it is the zero-centred penalty (Thanh-Tung et al. 2019), which lets D become flat where
    policy and expert are alike.

    Args:
        policy_pairs, expert_pairs: (n, obs_dim + action_dim).
        norm: what the gradients' norms are drawn to.
        generator: draws the points.
    """
    mix = torch.rand(len(policy_pairs), 1, generator=generator).to(policy_pairs)
    points = torch.lerp(expert_pairs, policy_pairs, mix).requires_grad_()
    (gradients,) = torch.autograd.grad(discriminator(points).sum(), points, create_graph=True)
    return (torch.linalg.vector_norm(gradients, dim=-1) - norm).square().mean()


def discriminator_step(
    discriminator: Discriminator,
    optimizer: torch.optim.Optimizer,
    policy_pairs: Tensor,
    expert_pairs: Tensor,
    failed: FailedPairs | None,
    multiplier: Multiplier | None,
    config: DiscriminatorConfig,
    generator: torch.Generator,
) -> dict[str, float]:
    """Take one gradient step on ω.

    It ascends `gailfe_objective` + config.logit_entropy · `logit_entropy` − config.gradient_penalty ·
    `gradient_penalty`. Entropy and penalty do not see the failed pairs: at λ_F = 0 the step must be GAIL's.

    Args:
        policy_pairs, expert_pairs: (batch_size, obs_dim + action_dim).
        failed: as many pairs of β_F; None for GAIL, or while β_F is empty.
        multiplier: λ_F, which stays as it is; None for GAIL.
        generator: draws the points of the gradient penalty.

    Returns:
        discriminator_loss, d_policy and d_expert (mean D), log_d_policy (mean log D), and, with failed pairs,
        d_failed, log_d_failed, and of the latter the parts log_d_failed_demonstrations and log_d_failed_own, where
        the batch has such pairs; all from before the step.
    """
    policy_logits, expert_logits = discriminator(policy_pairs), discriminator(expert_pairs)
    info = _info(policy_logits, expert_logits)
    failed_logits, lambda_f, threshold = None, 0.0, 0.0
    if failed is not None and multiplier is not None:
        lambda_f = multiplier.value
        with torch.set_grad_enabled(lambda_f > 0):  # at λ_F = 0 they are measured, and have no gradient
            failed_logits = discriminator(failed.pairs)
        info |= _failed_info(failed_logits, failed.own)
        threshold = multiplier.threshold(info["log_d_failed"], info["log_d_policy"])
    loss = -gailfe_objective(policy_logits, expert_logits, failed_logits, lambda_f, threshold)
    loss = loss - config.logit_entropy * logit_entropy(torch.cat([policy_logits, expert_logits]))
    if config.gradient_penalty > 0:
        penalty = gradient_penalty(discriminator, policy_pairs, expert_pairs, config.gradient_norm, generator)
        loss = loss + config.gradient_penalty * penalty
    discriminator.zero_grad()
    loss.backward()
    optimizer.step()
    return {"discriminator_loss": loss.item(), **info}


@torch.no_grad()
def _info(policy_logits: Tensor, expert_logits: Tensor) -> dict[str, float]:
    return {
        "d_policy": torch.sigmoid(policy_logits).mean().item(),
        "d_expert": torch.sigmoid(expert_logits).mean().item(),
        "log_d_policy": log_d(policy_logits).mean().item(),
    }


@torch.no_grad()
def _failed_info(logits: Tensor, own: Tensor) -> dict[str, float]:
    values = log_d(logits).cpu()
    parts = {
        "log_d_failed": values,
        "log_d_failed_demonstrations": values[~own],
        "log_d_failed_own": values[own],
    }
    info = {name: part.mean().item() for name, part in parts.items() if len(part) > 0}
    return {"d_failed": torch.sigmoid(logits).mean().item(), **info}
