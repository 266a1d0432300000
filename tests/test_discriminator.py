"""The discriminator: its orientation, equation (4), and what its logits may do to the numbers."""

from __future__ import annotations

import pytest
import torch
from discriminators import Z_F, make, pairs, train
from helpers import seeded
from torch import Tensor

from gailfe.algorithms.discriminator import gailfe_objective, gradient_penalty, log_d, logit_entropy, reward


def test_d_goes_to_one_on_the_policys_pairs_and_to_zero_on_the_experts() -> None:
    discriminator, policy, expert = make(), pairs(1.0, 1), pairs(-1.0, 2)
    info = train(discriminator, policy, expert)
    assert torch.sigmoid(discriminator(policy)).mean() > 0.95
    assert torch.sigmoid(discriminator(expert)).mean() < 0.05
    assert info["d_policy"] > 0.95
    assert info["d_expert"] < 0.05
    paid = [reward(discriminator(source), "log_d").mean() for source in (policy, expert)]
    assert paid[1] > 10 * paid[0]


def test_failures_are_pushed_to_the_policys_side_the_harder_the_larger_lambda_f() -> None:
    policy, expert, failed = pairs(1.0, 1), pairs(-1.0, 2), pairs(-0.7, 3)
    means = []
    for lambda_f in (0.0, 0.5, 5.0):
        discriminator = make()
        train(discriminator, policy, expert, failed, lambda_f)
        means.append(torch.sigmoid(discriminator(failed)).mean().item())
    assert means[0] + 0.05 < means[1] < means[2] - 0.05


def test_the_reward_is_minus_log_d_and_positive() -> None:
    logits = torch.linspace(-20, 15, 50, dtype=torch.float64)
    rewards = reward(logits, "log_d")
    torch.testing.assert_close(rewards, -torch.log(torch.sigmoid(logits)))
    assert (rewards > 0).all()
    assert (rewards.diff() < 0).all()  # the more it looks like the policy, the less it pays


def test_the_reward_can_be_the_log_ratio_which_punishes_pairs_that_look_like_the_policys() -> None:
    logits = torch.linspace(-8, 8, 33, dtype=torch.float64)
    d, rewards = torch.sigmoid(logits), reward(logits, "logit")
    torch.testing.assert_close(rewards, torch.log(1 - d) - torch.log(d))
    assert torch.equal(rewards < 0, d > 0.5)


@pytest.mark.parametrize("lambda_f", [0.0, 0.7, 3.0])
def test_the_objective_and_its_gradients_are_those_of_equation_four(lambda_f: float) -> None:
    discriminator = make([4]).double()
    policy, expert, failed = (pairs(s, i, rows=6).double() for i, s in enumerate((0.5, -0.5, 0.0)))
    weights = list(discriminator.parameters())

    def naive() -> Tensor:
        d_policy, d_expert, d_failed = (torch.sigmoid(discriminator(p)) for p in (policy, expert, failed))
        constraint = torch.log(d_failed).mean() - Z_F
        return torch.log(d_policy).mean() + torch.log(1 - d_expert).mean() + lambda_f * constraint

    logits = discriminator(policy), discriminator(expert), discriminator(failed)
    objective = gailfe_objective(*logits, lambda_f, Z_F)
    torch.testing.assert_close(objective, naive())
    gradients = torch.autograd.grad(objective, weights)
    with torch.no_grad():
        for weight, gradient in zip(weights, gradients, strict=True):
            for k in range(weight.numel()):
                value, values = weight.view(-1)[k].item(), []
                for h in (1e-6, -1e-6):
                    weight.view(-1)[k] = value + h
                    values.append(naive().item())
                weight.view(-1)[k] = value
                finite_difference = (values[0] - values[1]) / 2e-6
                assert gradient.view(-1)[k].item() == pytest.approx(finite_difference, abs=1e-7, rel=1e-5)


def test_z_f_moves_the_objective_by_lambda_f_and_no_gradient() -> None:
    logits = torch.randn(3, 20, generator=seeded(0), dtype=torch.float64)
    loose, tight = (gailfe_objective(logits[0], logits[1], logits[2], 2.0, z_f).item() for z_f in (-1.0, -0.25))
    assert loose - tight == pytest.approx(2.0 * 0.75)


def test_the_logit_entropy_is_the_bernoullis() -> None:
    logits = torch.linspace(-8, 8, 33, dtype=torch.float64)
    expected = torch.distributions.Bernoulli(logits=logits).entropy().mean()
    torch.testing.assert_close(logit_entropy(logits), expected)


def test_the_entropy_term_keeps_d_from_saturating() -> None:
    sizes = []
    for weight in (0.0, 5.0):
        discriminator, policy, expert = make(), pairs(1.0, 1), pairs(-1.0, 2)
        train(discriminator, policy, expert, logit_entropy=weight)
        sizes.append(discriminator(torch.cat([policy, expert])).abs().mean().item())
    assert sizes[1] < 0.5 * sizes[0]


@pytest.mark.parametrize("magnitude", [100.0, 1e4])
def test_saturated_logits_give_finite_losses_and_gradients(magnitude: float) -> None:
    logits = torch.tensor([[-magnitude, magnitude]] * 3, requires_grad=True)
    policy, expert, failed = logits
    total = gailfe_objective(policy, expert, failed, 1.0, Z_F) + logit_entropy(policy)
    total = total + reward(policy, "log_d").mean()
    (gradient,) = torch.autograd.grad(total, logits)
    assert torch.isfinite(total)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().sum() > 0
    assert log_d(policy).tolist() == pytest.approx([-magnitude, 0.0], abs=1e-30)


@pytest.mark.parametrize("target", [0.0, 1.0])
def test_the_gradient_penalty_is_the_squared_distance_of_the_gradients_norm_from_its_target(target: float) -> None:
    discriminator = make(hidden=[])  # linear: the gradient is the weight everywhere
    policy, expert = pairs(1.0, 1), pairs(-1.0, 2)
    layer = discriminator.logit[0]
    assert isinstance(layer, torch.nn.Linear)
    weight = layer.weight
    for norm in (0.25, 1.0, 3.0):
        with torch.no_grad():
            weight.mul_(norm / weight.norm())
        penalty = gradient_penalty(discriminator, policy, expert, target, seeded(0))
        assert penalty.item() == pytest.approx((norm - target) ** 2, abs=1e-5)


def test_the_gradient_penalty_is_taken_at_random_points_between_the_pairs() -> None:
    discriminator, seen = make([8]).double(), []
    discriminator.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0].detach()))
    policy, expert = pairs(1.0, 1).double(), pairs(-1.0, 2).double()
    gradient_penalty(discriminator, policy, expert, 1.0, seeded(0))
    (points,) = seen
    share = (points - expert) / (policy - expert)
    torch.testing.assert_close(share, share[:, :1].expand_as(share))
    assert 0 <= share.min() < 0.05
    assert 0.95 < share.max() <= 1


@pytest.mark.parametrize("target", [0.0, 1.0])
def test_the_gradient_penalty_draws_the_gradients_norm_towards_its_target(target: float) -> None:
    norms = []
    for weight in (0.0, 10.0):
        discriminator, policy, expert = make(), pairs(1.0, 1), pairs(-1.0, 2)
        train(discriminator, policy, expert, gradient_penalty=weight, gradient_norm=target)
        points = (0.5 * (policy + expert)).requires_grad_()
        (gradient,) = torch.autograd.grad(discriminator(points).sum(), points)
        norms.append(gradient.norm(dim=-1).mean().item())
    assert abs(norms[1] - target) < 0.2 < abs(norms[0] - target)
