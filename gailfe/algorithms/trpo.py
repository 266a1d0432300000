"""The natural-gradient step of trust region policy optimisation (Schulman et al. 2015)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import vector_to_parameters

from gailfe.config.keys import AT_LEAST_ONE, INSIDE_UNIT, NOT_NEGATIVE, POSITIVE, key
from gailfe.nn.jacobian import Jacobian
from gailfe.nn.mlp import Activations, concatenated, split_like
from gailfe.nn.stochastic import Distribution, StochasticPolicy


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

    def __init__(self, policy: StochasticPolicy, config: TRPOConfig) -> None:
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
    policy: StochasticPolicy, activations: Activations, damping: float
) -> Callable[[Tensor], Tensor]:
    """Return v ↦ (F + damping·I) v, F the Fisher matrix: the curvature of the KL divergence at the policy.

    F is the Hessian of KL(π_θ ‖ π) at π = π_θ, averaged over n observations. It equals its Gauss–Newton form
    Jᵀ M J: J is the Jacobian of the network's outputs, M the Fisher matrix in the outputs, `Distribution.fisher`.
    Of a Gaussian that is diag(σ⁻²) / n in the mean, and the log-std adds 2·I.

    Args:
        policy: must not change while the function is in use.
        activations: of `policy.network` at normalised observations (n, obs_dim).
        damping: added to the diagonal.

    Returns:
        A function of vectors (num_parameters,), in the order of `policy.trained()`.
    """
    parameters = policy.trained()
    of_network = len(parameters) - len(policy.own_parameters)
    jacobian = Jacobian(policy.network, activations)
    fisher = policy.distribution(activations[-1]).fisher()

    def multiply(v: Tensor) -> Tensor:
        tangents = split_like(v, parameters)
        outputs, *own = fisher(jacobian.jvp(tangents[:of_network]), tangents[of_network:])
        product = concatenated([*jacobian.vjp(outputs), *own])
        return product.add_(v, alpha=damping)

    return multiply


@torch.no_grad()
def trpo_step(
    policy: StochasticPolicy,
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
    activations = policy.network.activations(x)
    old = policy.distribution(activations[-1])
    old_log_prob = old.log_prob(samples)

    def objective(distribution: Distribution) -> Tensor:
        ratio = torch.exp(distribution.log_prob(samples) - old_log_prob)
        return (ratio * advantages).mean() + lambda_h * distribution.entropy()

    # At the old policy the ratio is 1, and its gradient is that of log π.
    of_outputs, *of_own = old.gradient(samples, advantages / len(x), lambda_h)
    gradient = concatenated([*policy.network.vjp(activations, of_outputs), *of_own])
    curved_at = [activation[:: config.fisher_subsample] for activation in activations]
    fisher = fisher_vector_product(policy, curved_at, config.cg_damping)
    direction, product = conjugate_gradient(fisher, gradient, config.cg_iterations)
    full_step = torch.sqrt(2 * config.max_kl / (direction @ product + 1e-12)) * direction

    before = objective(old)
    parameters = policy.trained()
    start = concatenated(parameters)
    for backtracks in range(config.max_backtracks):
        vector_to_parameters(start + config.backtrack_ratio**backtracks * full_step, parameters)
        new = policy.distribution(policy.network.activations(x)[-1])
        kl = old.kl_divergence(new)
        improvement = objective(new) - before
        if kl <= config.max_kl and improvement > 0:  # NaN fails both
            return _info(kl.item(), new, improvement.item(), backtracks)
    vector_to_parameters(start, parameters)
    return _info(0.0, old, 0.0, config.max_backtracks)


def _info(kl: float, distribution: Distribution, improvement: float, backtracks: int) -> dict[str, float]:
    return {
        "kl": kl,
        "entropy": distribution.entropy().item(),
        "surrogate_improvement": improvement,
        "backtracks": backtracks,
    }
