"""The natural-gradient step: its curvature, its solver, its bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from helpers import GAIL, distribution, make_policy, seeded
from torch import Tensor
from torch.distributions import Independent, Normal
from torch.distributions import kl_divergence as exact_kl
from torch.func import functional_call
from torch.nn.utils import parameters_to_vector

import gailfe.algorithms.trpo
from gailfe.algorithms.trpo import conjugate_gradient, fisher_vector_product, trpo_step
from gailfe.nn.gaussian import GaussianPolicy
from gailfe.nn.mlp import Activations


def problem(seed: int, rows: int = 256) -> tuple[GaussianPolicy, Tensor, Tensor, Tensor]:
    """A policy, observations, its own samples there, and advantages that prefer one action to another."""
    generator = seeded(seed)
    policy = make_policy(seed=seed, spread=0.3)
    x = torch.randn(rows, 3, generator=generator)
    mean, log_std = policy(x)
    samples = mean.detach() + log_std.detach().exp() * torch.randn(mean.shape, generator=generator)
    advantages = -((samples - torch.tanh(x[:, :2])) ** 2).sum(-1)
    return policy, x, samples, advantages


def explicit_fisher(policy: GaussianPolicy, x: Tensor) -> Tensor:
    """The Hessian of the mean KL in the flat parameters, written out."""
    names = [f"mean.{name}" for name, _ in policy.mean.named_parameters()] + ["log_std"]
    parameters = [policy.get_parameter(name).detach() for name in names]
    old = distribution(policy, x)

    def mean_kl(flat: Tensor) -> Tensor:
        pieces = flat.split([p.numel() for p in parameters])
        shaped = [piece.view_as(p) for piece, p in zip(pieces, parameters, strict=True)]
        mean, log_std = functional_call(policy, dict(zip(names, shaped, strict=True)), (x,))
        return exact_kl(old, Independent(Normal(mean, log_std.exp().expand_as(mean)), 1)).mean()

    return torch.autograd.functional.hessian(mean_kl, parameters_to_vector(parameters))


@pytest.mark.parametrize("damping", [0.0, 0.1])
def test_fisher_vector_product_is_the_hessian_of_the_mean_kl_log_std_included(damping: float) -> None:
    policy = make_policy(spread=0.5).double()
    x = torch.randn(7, 3, generator=seeded(1), dtype=torch.float64)
    matrix = explicit_fisher(policy, x)
    size = len(matrix)
    assert torch.linalg.matrix_rank(matrix[-2:, -2:]) == 2  # the log-std curves the KL too
    with torch.no_grad():
        multiply = fisher_vector_product(policy, policy.mean.activations(x), damping)
        products = torch.stack([multiply(unit) for unit in torch.eye(size, dtype=torch.float64)])
    torch.testing.assert_close(products, matrix + damping * torch.eye(size, dtype=torch.float64))


@pytest.mark.parametrize("seed", range(5))
def test_conjugate_gradient_solves_a_positive_definite_system(seed: int) -> None:
    generator = seeded(seed)
    factor = torch.randn(20, 20, generator=generator, dtype=torch.float64)
    matrix = factor @ factor.T / 20 + torch.eye(20, dtype=torch.float64)
    b = torch.randn(20, generator=generator, dtype=torch.float64)
    solution, product = conjugate_gradient(lambda v: matrix @ v, b, iterations=40)
    torch.testing.assert_close(solution, torch.linalg.solve(matrix, b), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(product, matrix @ solution)
    early, product = conjugate_gradient(lambda v: matrix @ v, b, iterations=3)
    torch.testing.assert_close(product, matrix @ early)


def test_conjugate_gradient_leaves_its_right_hand_side_alone_and_maps_zero_to_zero() -> None:
    b = torch.ones(4)
    conjugate_gradient(lambda v: 2 * v, b, iterations=10)
    assert torch.equal(b, torch.ones(4))
    assert torch.equal(conjugate_gradient(lambda v: 2 * v, torch.zeros(4), iterations=10)[0], torch.zeros(4))


@pytest.mark.parametrize("max_kl", [0.001, 0.01, 0.1])
@pytest.mark.parametrize("seed", range(6))
def test_an_accepted_step_improves_the_surrogate_within_the_kl_bound(seed: int, max_kl: float) -> None:
    policy, x, samples, advantages = problem(seed)
    config = replace(GAIL.trpo, max_kl=max_kl)
    old, old_log_std = distribution(policy, x), policy.log_std.detach().clone()
    info = trpo_step(policy, x, samples, advantages, lambda_h=0.0, config=config)

    new = distribution(policy, x)
    kl = exact_kl(old, new).mean().item()
    standardised = (advantages - advantages.mean()) / advantages.std()
    ratio = (new.log_prob(samples) - old.log_prob(samples)).exp()
    improvement = ((ratio - 1) * standardised).mean().item()
    assert info["backtracks"] < config.max_backtracks
    assert 0.0 < kl <= max_kl * 1.001
    assert kl > max_kl / 10  # the bound is used, not only kept
    assert improvement > 0.0
    assert info["kl"] == pytest.approx(kl, rel=1e-2, abs=1e-6)
    assert info["surrogate_improvement"] == pytest.approx(improvement, rel=1e-2, abs=1e-5)
    assert info["entropy"] == pytest.approx(new.entropy().mean().item(), rel=1e-5)
    assert (policy.log_std != old_log_std).all()


@pytest.mark.parametrize("every", [1, 5])
def test_the_full_step_is_the_natural_gradient_scaled_to_the_bound(every: int) -> None:
    policy, x, samples, advantages = problem(1)
    policy, x, samples, advantages = policy.double(), x.double(), samples.double(), advantages.double()
    config = replace(GAIL.trpo, max_kl=1e-5, cg_damping=0.05, cg_iterations=200, fisher_subsample=every)
    parameters = [*policy.mean.parameters(), policy.log_std]
    old = distribution(policy, x).log_prob(samples)
    mean, log_std = policy(x)
    new = Independent(Normal(mean, log_std.exp().expand_as(mean)), 1).log_prob(samples)
    standardised = (advantages - advantages.mean()) / advantages.std()
    surrogate = ((new - old).exp() * standardised).mean()
    gradient = parameters_to_vector(torch.autograd.grad(surrogate, parameters))
    matrix = explicit_fisher(policy, x[::every]) + 0.05 * torch.eye(len(gradient), dtype=torch.float64)
    direction = torch.linalg.solve(matrix, gradient)
    length = (2 * config.max_kl / (direction @ matrix @ direction)).sqrt()
    expected = parameters_to_vector(parameters).detach() + length * direction
    info = trpo_step(policy, x, samples, advantages, lambda_h=0.0, config=config)
    assert info["backtracks"] == 0
    torch.testing.assert_close(parameters_to_vector(parameters).detach(), expected, rtol=1e-3, atol=1e-7)


def test_advantages_count_only_up_to_scale_and_shift() -> None:
    policies = []
    for scale, shift in ((1.0, 0.0), (1000.0, -3e3)):
        policy, x, samples, advantages = problem(3)
        trpo_step(policy, x, samples, scale * advantages + shift, lambda_h=0.0, config=GAIL.trpo)
        policies.append(parameters_to_vector(policy.parameters()))
    torch.testing.assert_close(policies[0], policies[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_the_policy_moves_towards_actions_of_higher_advantage(direction: str) -> None:
    policy, x, samples, _ = problem(4)
    sign = 1.0 if direction == "up" else -1.0
    before = policy(x)[0].mean().item()
    trpo_step(policy, x, samples, sign * samples.sum(-1), lambda_h=0.0, config=GAIL.trpo)
    assert sign * (policy(x)[0].mean().item() - before) > 0.01


def test_the_entropy_term_raises_the_entropy() -> None:
    policy, x, samples, _ = problem(5)
    before = distribution(policy, x).entropy().mean().item()
    info = trpo_step(policy, x, samples, torch.zeros(len(x)), lambda_h=0.1, config=GAIL.trpo)
    assert info["entropy"] > before + 0.05


@pytest.mark.parametrize("obstacle", ["wrong direction", "flat objective", "not a number"])
def test_a_step_that_cannot_improve_leaves_the_weights_bit_identical(
    obstacle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, x, samples, advantages = problem(6)
    if obstacle == "wrong direction":
        solve = conjugate_gradient
        monkeypatch.setattr(
            gailfe.algorithms.trpo, "conjugate_gradient", lambda *arguments: tuple(-t for t in solve(*arguments))
        )
    elif obstacle == "flat objective":
        advantages = torch.full_like(advantages, 0.5)
    else:
        advantages[0] = float("nan")
    before = parameters_to_vector(policy.parameters()).detach().clone()
    info = trpo_step(policy, x, samples, advantages, lambda_h=0.0, config=replace(GAIL.trpo, max_backtracks=6))
    assert torch.equal(parameters_to_vector(policy.parameters()), before)
    assert info["kl"] == 0.0
    assert info["surrogate_improvement"] == 0.0
    assert info["backtracks"] == 6


def test_a_step_that_overshoots_is_shortened_until_it_keeps_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    def underestimate(
        policy: GaussianPolicy, activations: Activations, damping: float
    ) -> Callable[[Tensor], Tensor]:
        multiply = fisher_vector_product(policy, activations, damping)
        return lambda v: 0.01 * multiply(v)  # the full step comes out ten times too long

    monkeypatch.setattr(gailfe.algorithms.trpo, "fisher_vector_product", underestimate)
    policy, x, samples, advantages = problem(8)
    config = replace(GAIL.trpo, max_kl=0.01, backtrack_ratio=0.5)
    info = trpo_step(policy, x, samples, advantages, lambda_h=0.0, config=config)
    assert 3 <= info["backtracks"] < config.max_backtracks
    assert 0.0 < info["kl"] <= 0.01
