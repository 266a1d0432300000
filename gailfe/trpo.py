"""The natural-gradient step of trust region policy optimisation (Schulman et al. 2015)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from gailfe.config import TRPOConfig
from gailfe.networks import GaussianPolicy, entropy, kl_divergence, log_prob


def conjugate_gradient(
    multiply: Callable[[Tensor], Tensor], b: Tensor, iterations: int, tolerance: float = 1e-10
) -> Tensor:
    """Solve A x = b for a symmetric positive definite A given by `multiply`, starting from x = 0."""
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
    return x


def fisher_vector_product(policy: GaussianPolicy, x: Tensor, damping: float) -> Callable[[Tensor], Tensor]:
    """v ↦ (F + damping·I) v, F the Hessian of KL(π_θ ‖ π) at π = π_θ, averaged over `x`.

    The graph of the KL's gradient is built once and kept; each product differentiates through it.

    Args:
        x: normalised observations (n, obs_dim).
    """
    parameters = list(_parameters(policy))
    mean, log_std = policy(x)
    kl = kl_divergence(mean.detach(), log_std.detach(), mean, log_std)
    gradient = parameters_to_vector(torch.autograd.grad(kl, parameters, create_graph=True))

    def multiply(v: Tensor) -> Tensor:
        product = torch.autograd.grad(gradient @ v, parameters, retain_graph=True)
        return parameters_to_vector(product) + damping * v

    return multiply


def trpo_step(
    policy: GaussianPolicy,
    x: Tensor,
    samples: Tensor,
    advantages: Tensor,
    lambda_h: float,
    config: TRPOConfig,
) -> dict[str, float]:
    """Improve the policy's surrogate objective within KL(old ‖ new) ≤ `config.max_kl`.

    The objective is E[π(a|s)/π_old(a|s) Â] + λ_H·H(π): the entropy is maximised, as in Ho & Ermon's
    objective; the sign that equation (1) prints would minimise it. A backtracking line search along the natural
    gradient takes the first step that improves the objective within the bound; if none does, the
    policy stays as it is.

    Args:
        policy: changed in place.
        x: normalised observations (n, obs_dim).
        samples: what the policy drew, unit actions (n, action_dim).
        advantages: (n,), standardised here.
        lambda_h: weight of the entropy.

    Returns:
        kl [nats] of the step taken, entropy [nats] after it, surrogate_improvement, and backtracks
        (`config.max_backtracks` when every one failed).
    """
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    with torch.no_grad():
        old_mean, old_log_std = (t.clone() for t in policy(x))
        old_log_prob = log_prob(old_mean, old_log_std, samples)

    def objective() -> Tensor:
        mean, log_std = policy(x)
        ratio = torch.exp(log_prob(mean, log_std, samples) - old_log_prob)
        return (ratio * advantages).mean() + lambda_h * entropy(policy.log_std)

    parameters = list(_parameters(policy))
    before = objective()
    gradient = parameters_to_vector(torch.autograd.grad(before, parameters))
    fisher = fisher_vector_product(policy, x, config.cg_damping)
    direction = conjugate_gradient(fisher, gradient, config.cg_iterations)
    curvature = direction @ fisher(direction)
    full_step = torch.sqrt(2 * config.max_kl / (curvature + 1e-12)) * direction

    with torch.no_grad():
        start = parameters_to_vector(parameters)
        for backtracks in range(config.max_backtracks):
            vector_to_parameters(start + config.backtrack_ratio**backtracks * full_step, parameters)
            kl = kl_divergence(old_mean, old_log_std, *policy(x))
            improvement = objective() - before
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
