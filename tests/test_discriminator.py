"""The discriminator: its orientation, equation (4), and what its logits may do to the numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers import GAIL, assert_same_tensors, make_failures, seeded
from torch import Tensor

from gailfe.algorithms.discriminator import (
    Discriminator,
    discriminator_step,
    gailfe_objective,
    gradient_penalty,
    log_d,
    logit_entropy,
    reward,
)
from gailfe.algorithms.failures import FailedPairs
from gailfe.algorithms.multiplier import Multiplier

Z_F = -0.6931


def make(hidden: list[int] | None = None, seed: int = 0) -> Discriminator:
    config = replace(GAIL.discriminator, gradient_penalty=0.0, hidden_sizes=[16] if hidden is None else hidden)
    return Discriminator(3, 2, config, seeded(seed))


def pairs(shift: float, seed: int, rows: int = 256) -> Tensor:
    return shift + 0.5 * torch.randn(rows, 5, generator=seeded(seed))


def batch(failed: Tensor) -> FailedPairs:
    """Failed pairs, the second half of them the agent's own."""
    return FailedPairs(failed, torch.arange(len(failed)) >= len(failed) // 2)


def held(lambda_f: float) -> Multiplier:
    return Multiplier(make_failures(rule="fixed", z_f=Z_F, lambda_init=lambda_f))


def train(
    discriminator: Discriminator,
    policy: Tensor,
    expert: Tensor,
    failed: Tensor | None = None,
    lambda_f: float = 0.0,
    steps: int = 150,
    **config: float,
) -> dict[str, float]:
    settings = replace(GAIL.discriminator, **{"logit_entropy": 0.0, "gradient_penalty": 0.0, **config})  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=0.01)
    for _ in range(steps):
        info = discriminator_step(
            discriminator,
            optimizer,
            policy,
            expert,
            None if failed is None else batch(failed),
            held(lambda_f),
            settings,
            seeded(0),
        )
    return info


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


@pytest.mark.parametrize("updates", [1, 5])
def test_with_lambda_f_zero_a_step_is_gails_bit_for_bit(updates: int) -> None:
    gail, gailfe = make([100, 100]), make([100, 100])
    policy, expert, failed = (pairs(shift, i) for i, shift in enumerate((0.5, -0.5, 0.3)))
    settings: Any = {"logit_entropy": 0.1, "gradient_penalty": 3.0}
    train(gail, policy, expert, steps=updates, **settings)
    info = train(gailfe, policy, expert, failed, lambda_f=0.0, steps=updates, **settings)
    assert "log_d_failed" in info  # the multiplier's slack, which is measured all the same
    assert_same_tensors(gailfe.state_dict(), gail.state_dict())


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


def test_the_gradient_penalty_is_the_squared_distance_of_the_gradients_norm_from_one() -> None:
    discriminator = make(hidden=[])  # linear: the gradient is the weight everywhere
    policy, expert = pairs(1.0, 1), pairs(-1.0, 2)
    layer = discriminator.logit[0]
    assert isinstance(layer, torch.nn.Linear)
    weight = layer.weight
    for norm in (0.25, 1.0, 3.0):
        with torch.no_grad():
            weight.mul_(norm / weight.norm())
        penalty = gradient_penalty(discriminator, policy, expert, seeded(0))
        assert penalty.item() == pytest.approx((norm - 1) ** 2, abs=1e-5)


def test_the_gradient_penalty_is_taken_at_random_points_between_the_pairs() -> None:
    discriminator, seen = make([8]).double(), []
    discriminator.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0].detach()))
    policy, expert = pairs(1.0, 1).double(), pairs(-1.0, 2).double()
    gradient_penalty(discriminator, policy, expert, seeded(0))
    (points,) = seen
    share = (points - expert) / (policy - expert)
    torch.testing.assert_close(share, share[:, :1].expand_as(share))
    assert 0 <= share.min() < 0.05
    assert 0.95 < share.max() <= 1


def loss_by_hand(
    weights: list[np.ndarray],
    sources: list[np.ndarray],
    mix: np.ndarray,
    lambda_f: float,
    settings: dict[str, float],
) -> float:
    """The whole loss of a step in plain numpy, as the formulas read.

    Args:
        weights: of the network, weight, bias, weight, bias, ….
        sources: pairs of the policy, the expert and the failures.
        mix: where between expert (0) and policy (1) the penalty's points are, (n, 1).
    """

    def logit(x: np.ndarray) -> np.ndarray:
        for weight, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
            x = np.tanh(x @ weight.T + bias)
        return (x @ weights[-2].T + weights[-1])[:, 0]

    d_policy, d_expert, d_failed = (1 / (1 + np.exp(-logit(source))) for source in sources)
    objective = np.log(d_policy).mean() + np.log(1 - d_expert).mean()
    objective += lambda_f * (np.log(d_failed).mean() - Z_F)
    d = np.concatenate([d_policy, d_expert])  # without the failures: λ_F = 0 is GAIL
    entropy = -(d * np.log(d) + (1 - d) * np.log(1 - d)).mean()
    points = mix * sources[0] + (1 - mix) * sources[1]
    step = 1e-30  # f(x + ih) = f(x) + ih f'(x) + …: the imaginary part is the derivative, without cancellation
    slopes = [logit(points + 1j * step * unit).imag / step for unit in np.eye(points.shape[1])]
    penalty = ((np.sqrt(np.square(slopes).sum(0)) - 1) ** 2).mean()
    return -objective - settings["logit_entropy"] * entropy + settings["gradient_penalty"] * penalty


@pytest.mark.parametrize("lambda_f", [0.0, 2.0])
@pytest.mark.parametrize(
    "settings",
    [
        {"logit_entropy": 0.0, "gradient_penalty": 0.0},
        {"logit_entropy": 0.5, "gradient_penalty": 0.0},
        {"logit_entropy": 0.5, "gradient_penalty": 3.0},
    ],
    ids=["objective", "with the entropy", "with the entropy and the penalty"],
)
def test_a_steps_gradient_is_the_finite_difference_of_the_whole_loss(
    lambda_f: float, settings: dict[str, float]
) -> None:
    discriminator = make([4, 3]).double()
    policy, expert, failed = (pairs(shift, i, rows=6).double() for i, shift in enumerate((0.5, -0.5, 0.0)))
    mix = torch.rand(6, 1, generator=seeded(7)).double().numpy()  # what the step draws
    weights = [parameter.detach().numpy().copy() for parameter in discriminator.parameters()]

    def loss() -> float:
        sources = [source.numpy() for source in (policy, expert, failed)]
        return loss_by_hand(weights, sources, mix, lambda_f, settings)

    optimizer = torch.optim.SGD(discriminator.parameters(), lr=0.0)
    config = replace(GAIL.discriminator, **settings)  # type: ignore[arg-type]
    info = discriminator_step(
        discriminator, optimizer, policy, expert, batch(failed), held(lambda_f), config, seeded(7)
    )
    assert info["discriminator_loss"] == pytest.approx(loss(), rel=1e-12)
    for weight, parameter in zip(weights, discriminator.parameters(), strict=True):
        assert parameter.grad is not None
        for index in np.ndindex(weight.shape):
            value, losses = weight[index], []
            for h in (1e-6, -1e-6):
                weight[index] = value + h
                losses.append(loss())
            weight[index] = value
            finite_difference = (losses[0] - losses[1]) / 2e-6
            assert parameter.grad[index].item() == pytest.approx(finite_difference, abs=1e-8, rel=1e-6)


def test_a_step_goes_down_the_loss_with_the_fused_optimiser_that_training_uses() -> None:
    ours, plain = make([8, 8]), make([8, 8])
    policy, expert, failed = (pairs(shift, i) for i, shift in enumerate((0.5, -0.5, 0.0)))
    config = replace(GAIL.discriminator, gradient_penalty=3.0, logit_entropy=0.1)
    for discriminator, fused in ((ours, True), (plain, False)):
        optimizer = torch.optim.Adam(discriminator.parameters(), lr=0.01, fused=fused)
        for _ in range(3):  # a gradient left over from the step before would show
            discriminator_step(
                discriminator, optimizer, policy, expert, batch(failed), held(2.0), config, seeded(7)
            )
    for parameter, other in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(parameter, other, rtol=1e-4, atol=1e-6)


def test_the_gradient_penalty_draws_the_gradients_norm_towards_one() -> None:
    norms = []
    for weight in (0.0, 10.0):
        discriminator, policy, expert = make(), pairs(1.0, 1), pairs(-1.0, 2)
        train(discriminator, policy, expert, gradient_penalty=weight)
        points = (0.5 * (policy + expert)).requires_grad_()
        (gradient,) = torch.autograd.grad(discriminator(points).sum(), points)
        norms.append(gradient.norm(dim=-1).mean().item())
    assert abs(norms[1] - 1) < 0.2 < abs(norms[0] - 1)


def test_a_step_reports_the_means_before_it_and_only_what_exists() -> None:
    discriminator, policy, expert, failed = make(), pairs(1.0, 1), pairs(-1.0, 2), pairs(0.0, 3, rows=64)
    with torch.no_grad():
        d_policy, d_expert, d_failed = (torch.sigmoid(discriminator(p)).double() for p in (policy, expert, failed))
    gail = train(make(), policy, expert, steps=1)
    gailfe = train(make(), policy, expert, failed, lambda_f=2.0, steps=1)
    assert gail.keys() == {"discriminator_loss", "d_policy", "d_expert", "log_d_policy"}
    assert gailfe["d_policy"] == pytest.approx(d_policy.mean().item(), rel=1e-5)
    assert gailfe["d_expert"] == pytest.approx(d_expert.mean().item(), rel=1e-5)
    assert gailfe["d_failed"] == pytest.approx(d_failed.mean().item(), rel=1e-5)
    assert gailfe["log_d_failed"] == pytest.approx(d_failed.log().mean().item(), rel=1e-5)
    loss = -(d_policy.log().mean() + (1 - d_expert).log().mean()).item()
    assert gail["discriminator_loss"] == pytest.approx(loss, rel=1e-5)
    constraint = d_failed.log().mean().item() - Z_F
    assert gailfe["discriminator_loss"] == pytest.approx(loss - 2.0 * constraint, rel=1e-5)


@pytest.mark.parametrize("failed_own", [0, 7, 20])
def test_log_d_of_the_failures_is_reported_by_source_where_there_is_one(failed_own: int) -> None:
    discriminator = make()
    policy, expert, failed = (pairs(shift, i, rows=20) for i, shift in enumerate((0.5, -0.5, 0.0)))
    optimizer = torch.optim.SGD(discriminator.parameters(), lr=0.0)
    own = torch.arange(20) < failed_own
    info = discriminator_step(
        discriminator,
        optimizer,
        policy,
        expert,
        FailedPairs(failed, own),
        held(1.0),
        GAIL.discriminator,
        seeded(0),
    )
    with torch.no_grad():
        of_policy, values = (torch.log(torch.sigmoid(discriminator(p))) for p in (policy, failed))
    assert info["log_d_policy"] == pytest.approx(of_policy.mean().item(), rel=1e-5)
    assert info["log_d_failed"] == pytest.approx(values.mean().item(), rel=1e-5)
    for name, chosen in (("own", own), ("demonstrations", ~own)):
        if chosen.any():
            assert info[f"log_d_failed_{name}"] == pytest.approx(values[chosen].mean().item(), rel=1e-5)
        else:
            assert f"log_d_failed_{name}" not in info


@pytest.mark.parametrize("lambda_f", [0.5, 4.0])
def test_a_relative_constraint_has_the_gradient_of_a_constant_threshold(lambda_f: float) -> None:
    policy, expert, failed = (pairs(shift, i, rows=20).double() for i, shift in enumerate((0.5, -0.5, 0.0)))
    gradients, losses = [], []
    for rule in ("fixed", "relative"):
        discriminator = make().double()
        optimizer = torch.optim.SGD(discriminator.parameters(), lr=0.0)
        multiplier = Multiplier(make_failures(rule=rule, z_f=Z_F, margin=0.3, lambda_init=lambda_f))
        info = discriminator_step(
            discriminator,
            optimizer,
            policy,
            expert,
            batch(failed),
            multiplier,
            GAIL.discriminator,
            seeded(0),
        )
        gradients.append({name: p.grad for name, p in discriminator.named_parameters() if p.grad is not None})
        losses.append(info["discriminator_loss"])
    assert_same_tensors(*gradients)
    assert losses[1] - losses[0] == pytest.approx(lambda_f * (info["log_d_policy"] + 0.3 - Z_F))
