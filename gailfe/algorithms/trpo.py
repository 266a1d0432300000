"""The natural-gradient step of trust region policy optimisation (Schulman et al. 2015)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils import vector_to_parameters

from gailfe.config.keys import AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE, Valid, key
from gailfe.nn.gaussian import entropy, kl_divergence, log_prob, log_prob_gradient
from gailfe.nn.jacobian import Jacobian
from gailfe.nn.mlp import Trace, concatenated, split_like
from gailfe.nn.policy import GaussianPolicy

INSIDE_UNIT = Valid(lambda value: 0 < value < 1, "between 0 and 1, both excluded")


@dataclass
class TRPOConfig:
    """Keys of `algo.trpo`."""

    max_kl: float = key("bound on the KL divergence of a policy step [nats]", POSITIVE)
    cg_iterations: int = key("iterations of the conjugate gradient", AT_LEAST_ONE)
    cg_damping: float = key("multiple of the identity that is added to the Fisher matrix", NOT_NEGATIVE)
    max_backtracks: int = key("step sizes that the line search tries", AT_LEAST_ONE)
    backtrack_ratio: float = key("factor from one step size to the next", INSIDE_UNIT)


def conjugate_gradient(
    multiply: Callable[[Tensor], Tensor], b: Tensor, iterations: int, tolerance: float = 1e-10
) -> tuple[Tensor, Tensor]:
    """Solve A x = b for a symmetric positive definite A given by `multiply`, starting from x = 0.

    Returns:
        x, and A x, which is b less the residual.
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


def fisher_vector_product(policy: GaussianPolicy, trace: Trace, damping: float) -> Callable[[Tensor], Tensor]:
    """v ↦ (F + damping·I) v, F the Hessian of KL(π_θ ‖ π) at π = π_θ, averaged over the rows of `trace`.

    For a Gaussian F = Jᵀ diag(σ⁻²) J / n in the parameters of the mean, J its Jacobian, and 2·I in the log-std.

    Args:
        trace: of `policy.mean` at normalised observations (n, obs_dim).
    """
    parameters = list(_parameters(policy))
    jacobian = Jacobian(policy.mean, trace)
    precision = torch.exp(-2 * policy.log_std) / len(trace[0])

    def multiply(v: Tensor) -> Tensor:
        *direction, log_std = split_like(v, parameters)
        moved = jacobian.times(direction).mul_(precision)
        product = concatenated([*jacobian.transposed_times(moved), 2 * log_std])
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
    trace = policy.mean.trace(x)
    old_mean, old_log_std = trace[-1], policy.log_std.clone()
    old_log_prob = log_prob(old_mean, old_log_std, samples)

    def objective(mean: Tensor, log_std: Tensor) -> Tensor:
        ratio = torch.exp(log_prob(mean, log_std, samples) - old_log_prob)
        return (ratio * advantages).mean() + lambda_h * entropy(log_std)

    # At the old policy the ratio is one, and its gradient that of log π.
    mean_gradient, log_std_gradient = log_prob_gradient(old_mean, old_log_std, samples, advantages / len(x))
    gradient = concatenated([*policy.mean.vjp(trace, mean_gradient), log_std_gradient + lambda_h])
    fisher = fisher_vector_product(policy, trace, config.cg_damping)
    direction, product = conjugate_gradient(fisher, gradient, config.cg_iterations)
    full_step = torch.sqrt(2 * config.max_kl / (direction @ product + 1e-12)) * direction

    before = objective(old_mean, old_log_std)
    parameters = list(_parameters(policy))
    start = concatenated(parameters)
    for backtracks in range(config.max_backtracks):
        vector_to_parameters(start + config.backtrack_ratio**backtracks * full_step, parameters)
        mean = policy.mean.trace(x)[-1]
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
