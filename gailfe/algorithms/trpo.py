"""The natural-gradient step of trust region policy optimisation (Schulman et al. 2015)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import vector_to_parameters

from gailfe.config.keys import AT_LEAST_ONE, INSIDE_UNIT, NOT_NEGATIVE, POSITIVE, key
from gailfe.nn.gaussian import entropy, kl_divergence, log_prob, log_prob_gradient
from gailfe.nn.jacobian import Jacobian
from gailfe.nn.mlp import Activations, concatenated, split_like
from gailfe.nn.policy import GaussianPolicy


@dataclass
class TRPOConfig:
    """Keys of `algo.trpo`."""

    max_kl: float = key("bound on the KL divergence of a policy step [nats]", POSITIVE)
    cg_iterations: int = key("iterations of the conjugate gradient", AT_LEAST_ONE)
    cg_damping: float = key("multiple of the identity that is added to the Fisher matrix", NOT_NEGATIVE)
    fisher_subsample: int = key("k: the Fisher matrix is averaged over every k-th step", AT_LEAST_ONE)
    max_backtracks: int = key("step sizes that the line search tries", AT_LEAST_ONE)
    backtrack_ratio: float = key("factor from one step size to the next", INSIDE_UNIT)


class TRPOUpdate:
    """The policy step of `algo.policy_update=trpo`; it has no state.

    Args:
        policy: changed in place.
    """

    def __init__(self, policy: GaussianPolicy, config: TRPOConfig) -> None:
        self.policy = policy
        self.config = config

    def __call__(self, x: Tensor, samples: Tensor, advantages: Tensor, lambda_h: float) -> dict[str, float]:
        """Take a `trpo_step`."""
        return trpo_step(self.policy, x, samples, advantages, lambda_h, self.config)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


def conjugate_gradient(
    multiply: Callable[[Tensor], Tensor], b: Tensor, iterations: int, tolerance: float = 1e-10
) -> tuple[Tensor, Tensor]:
    """Solve A x = b for a symmetric positive definite matrix A, starting from x = 0.

    Args:
        multiply: v ↦ A v, (k,) → (k,).
        b: (k,).
        iterations: the largest number of them.
        tolerance: the solver also stops when the residual's squared norm is below it.

    Returns:
        x (k,), and A x (k,), which is b minus the residual.
    """
    x = torch.zeros_like(b)
    residual, direction = b.clone(), b.clone()
    squared = residual @ residual
    for _ in range(iterations):
        if squared < tolerance:
            break
        product = multiply(direction)
        step = squared / (direction @ product)
        x += step * direction
        residual -= step * product
        previous, squared = squared, residual @ residual
        direction = residual + (squared / previous) * direction
    return x, b - residual


def fisher_vector_product(
    policy: GaussianPolicy, activations: Activations, damping: float
) -> Callable[[Tensor], Tensor]:
    """Return v ↦ (F + damping·I) v, F the Fisher matrix: the curvature of the KL divergence at the policy.

    F is the Hessian of KL(π_θ ‖ π) at π = π_θ, averaged over n observations. For a Gaussian it equals its
    Gauss–Newton form: Jᵀ diag(σ⁻²) J / n in the mean's parameters, J the mean's Jacobian, and 2·I in the log-std.

    Args:
        policy: must not change while the function is in use.
        activations: of `policy.mean` at normalised observations (n, obs_dim).
        damping: added to the diagonal.

    Returns:
        A function of vectors (num_parameters,), the log-std last.
    """
    parameters = list(_parameters(policy))
    jacobian = Jacobian(policy.mean, activations)
    precision = torch.exp(-2 * policy.log_std) / len(activations[0])

    def multiply(v: Tensor) -> Tensor:
        *mean_tangents, log_std_tangent = split_like(v, parameters)
        output_tangents = jacobian.jvp(mean_tangents)
        product = concatenated([*jacobian.vjp(output_tangents.mul_(precision)), 2 * log_std_tangent])
        return product.add_(v, alpha=damping)

    return multiply


@torch.no_grad()
def trpo_step(
    policy: GaussianPolicy,
    x: Tensor,
    samples: Tensor,
    advantages: Tensor,
    lambda_h: float,
    config: TRPOConfig,
) -> dict[str, float]:
    """Improve the policy's surrogate objective under the constraint KL(old ‖ new) ≤ `config.max_kl`.

    The objective is E[π(a|s)/π_old(a|s) Â] + λ_H·H(π): the entropy is maximised, as in Ho & Ermon's objective; the
    sign that equation (1) prints would minimise it. The step goes along the natural gradient F⁻¹ g. The first step
    tried is the one at which a quadratic model of the KL divergence meets the bound; shorter ones follow until the
    objective improves within the bound. If none does that, the policy stays as it is.

    The Fisher matrix is averaged over every k-th row of `x`, k = `config.fisher_subsample`; gradient, objective
    and bound are taken over all rows.

    Args:
        policy: changed in place.
        x: normalised observations (n, obs_dim).
        samples: the policy's samples there, unit actions (n, action_dim).
        advantages: Â (n,), standardised here.
        lambda_h: λ_H, weight of the entropy.

    Returns:
        kl [nats] of the step taken, entropy [nats] after it, surrogate_improvement, and backtracks, the number of
        steps that were refused (`config.max_backtracks`: all of them).
    """
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    activations = policy.mean.activations(x)
    old_mean, old_log_std = activations[-1], policy.log_std.clone()
    old_log_prob = log_prob(old_mean, old_log_std, samples)

    def objective(mean: Tensor, log_std: Tensor) -> Tensor:
        ratio = torch.exp(log_prob(mean, log_std, samples) - old_log_prob)
        return (ratio * advantages).mean() + lambda_h * entropy(log_std)

    # At the old policy the ratio is 1, and its gradient is that of log π.
    mean_gradient, log_std_gradient = log_prob_gradient(old_mean, old_log_std, samples, advantages / len(x))
    gradient = concatenated([*policy.mean.vjp(activations, mean_gradient), log_std_gradient + lambda_h])
    curved_at = [activation[:: config.fisher_subsample] for activation in activations]
    fisher = fisher_vector_product(policy, curved_at, config.cg_damping)
    direction, product = conjugate_gradient(fisher, gradient, config.cg_iterations)
    full_step = torch.sqrt(2 * config.max_kl / (direction @ product + 1e-12)) * direction

    before = objective(old_mean, old_log_std)
    parameters = list(_parameters(policy))
    start = concatenated(parameters)
    for backtracks in range(config.max_backtracks):
        vector_to_parameters(start + config.backtrack_ratio**backtracks * full_step, parameters)
        mean = policy.mean.activations(x)[-1]
        kl = kl_divergence(old_mean, old_log_std, mean, policy.log_std)
        improvement = objective(mean, policy.log_std) - before
        if kl <= config.max_kl and improvement > 0:  # NaN fails both
            return _info(kl.item(), policy, improvement.item(), backtracks)
    vector_to_parameters(start, parameters)
    return _info(0.0, policy, 0.0, config.max_backtracks)


def _parameters(policy: GaussianPolicy) -> list[torch.nn.Parameter]:
    return [*policy.mean.parameters(), policy.log_std]


def _info(kl: float, policy: GaussianPolicy, improvement: float, backtracks: int) -> dict[str, float]:
    return {
        "kl": kl,
        "entropy": entropy(policy.log_std).item(),
        "surrogate_improvement": improvement,
        "backtracks": backtracks,
    }
