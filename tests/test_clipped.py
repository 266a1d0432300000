"""The clipped policy update: its gradient, when it stops, and that it can go on."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from helpers import GAIL, distribution, make_policy, seeded
from torch import Tensor
from torch.distributions import kl_divergence
from torch.nn.utils import parameters_to_vector

from gailfe.algorithms.clipped import ClippedUpdate, policy_gradient
from gailfe.nn.gaussian import Gaussian, GaussianPolicy

ROWS = 256


def make_update(policy: GaussianPolicy, seed: int = 0, **overrides: object) -> ClippedUpdate:
    settings = {"learning_rate": 3e-3, "epochs": 4, "minibatch_size": 64, "target_kl": None, **overrides}
    return ClippedUpdate(policy, replace(GAIL.ppo, **settings), seeded(seed))  # type: ignore[arg-type]


def problem(policy: GaussianPolicy, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Observations, the policy's samples there, and advantages that prefer large actions."""
    generator = seeded(seed)
    x = torch.randn(ROWS, 3, generator=generator)
    with torch.no_grad():
        mean, log_std = policy(x)
        samples = mean + log_std.exp() * torch.randn(mean.shape, generator=generator)
    return x, samples, samples.sum(-1)


def weights(policy: GaussianPolicy) -> Tensor:
    return parameters_to_vector(policy.parameters()).detach().clone()


@pytest.mark.parametrize("lambda_h", [0.0, 0.3])
def test_the_gradient_is_autograds_of_the_clipped_loss(lambda_h: float) -> None:
    policy = make_policy(spread=0.3)
    x, samples, advantages = (tensor.double() for tensor in problem(policy))
    policy.double()
    mean, log_std = policy(x)
    old_log_prob = Gaussian(mean, log_std).log_prob(samples).detach()
    old_log_prob += 0.2 * torch.randn(ROWS, generator=seeded(2), dtype=torch.float64)
    ratio = (Gaussian(mean, log_std).log_prob(samples) - old_log_prob).exp()
    standardised = (advantages - advantages.mean()) / advantages.std()
    objective = torch.min(ratio * standardised, ratio.clamp(0.9, 1.1) * standardised).mean()
    parameters = [*policy.mean.parameters(), policy.log_std]
    expected = torch.autograd.grad(-objective - lambda_h * Gaussian(mean, log_std).entropy(), parameters)
    with torch.no_grad():
        gradient, kl, clip_fraction = policy_gradient(policy, x, samples, old_log_prob, advantages, 0.1, lambda_h)
    for ours, theirs in zip(gradient, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert kl.item() == pytest.approx((ratio - 1 - ratio.log()).mean().item())
    assert clip_fraction.item() == pytest.approx(((ratio - 1).abs() > 0.1).double().mean().item())
    assert 0.2 < clip_fraction < 0.8


def test_the_policy_moves_towards_actions_of_higher_advantage_and_reports_by_how_much() -> None:
    policy = make_policy(spread=0.3)
    x, samples, advantages = problem(policy)
    old = distribution(policy, x)
    info = make_update(policy)(x, samples, advantages, lambda_h=0.0)
    new = distribution(policy, x)
    assert (new.mean - old.mean).mean() > 0.01
    assert info["kl"] == pytest.approx(kl_divergence(old, new).mean().item(), rel=1e-3)
    assert info["entropy"] == pytest.approx(new.entropy().mean().item(), rel=1e-5)
    assert 0.0 <= info["clip_fraction"] <= 1.0


def test_the_entropy_term_raises_the_entropy() -> None:
    entropies = []
    for lambda_h in (0.0, 1.0):
        policy = make_policy()
        x, samples, advantages = problem(policy)
        entropies.append(make_update(policy)(x, samples, advantages, lambda_h)["entropy"])
    assert entropies[1] > entropies[0] + 0.05


def test_advantages_count_only_up_to_scale_and_shift() -> None:
    results = []
    for scale, shift in ((1.0, 0.0), (1000.0, -3e3)):
        policy = make_policy(spread=0.3)
        x, samples, advantages = problem(policy)
        make_update(policy)(x, samples, scale * advantages + shift, lambda_h=0.0)
        results.append(weights(policy))
    torch.testing.assert_close(*results, rtol=1e-3, atol=1e-4)


def test_an_epoch_above_the_target_kl_is_the_last() -> None:
    results = []
    for overrides in ({"target_kl": 1e-12}, {"epochs": 1}, {}):
        policy = make_policy(spread=0.3)
        make_update(policy, **overrides)(*problem(policy), lambda_h=0.0)
        results.append(weights(policy))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_a_restored_update_continues_bit_for_bit() -> None:
    policy = make_policy(spread=0.3)
    update = make_update(policy)
    update(*problem(policy), lambda_h=0.0)
    other = make_policy(seed=5)
    restored = make_update(other)
    other.load_state_dict(copy.deepcopy(policy.state_dict()))
    restored.load_state_dict(copy.deepcopy(update.state_dict()))
    restored.generator.set_state(update.generator.get_state())
    data = problem(policy, seed=2)
    assert restored(*data, lambda_h=0.0) == update(*data, lambda_h=0.0)
    assert torch.equal(weights(other), weights(policy))
    assert torch.equal(restored.weights, update.weights)  # which are the policy's own, still
