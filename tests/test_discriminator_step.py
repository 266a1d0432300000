"""A step of the discriminator: its loss and gradient, and what it reports."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from discriminators import Z_F, batch, held, make, pairs, train
from helpers import GAIL, assert_same_tensors, make_failures, seeded

from gailfe.algorithms.discriminator import discriminator_step
from gailfe.algorithms.failures import FailedPairs
from gailfe.algorithms.multiplier import Multiplier


@pytest.mark.parametrize("updates", [1, 5])
def test_with_lambda_f_zero_a_step_is_gails_bit_for_bit(updates: int) -> None:
    gail, gailfe = make([100, 100]), make([100, 100])
    policy, expert, failed = (pairs(shift, i) for i, shift in enumerate((0.5, -0.5, 0.3)))
    settings: Any = {"logit_entropy": 0.1, "gradient_penalty": 3.0}
    train(gail, policy, expert, steps=updates, **settings)
    info = train(gailfe, policy, expert, failed, lambda_f=0.0, steps=updates, **settings)
    assert "log_d_failed" in info  # the multiplier's slack, which is measured all the same
    assert_same_tensors(gailfe.state_dict(), gail.state_dict())


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
    penalty = ((np.sqrt(np.square(slopes).sum(0)) - settings["gradient_norm"]) ** 2).mean()
    return -objective - settings["logit_entropy"] * entropy + settings["gradient_penalty"] * penalty


@pytest.mark.parametrize("lambda_f", [0.0, 2.0])
@pytest.mark.parametrize(
    "settings",
    [
        {"logit_entropy": 0.0, "gradient_penalty": 0.0, "gradient_norm": 0.0},
        {"logit_entropy": 0.5, "gradient_penalty": 0.0, "gradient_norm": 0.0},
        {"logit_entropy": 0.5, "gradient_penalty": 3.0, "gradient_norm": 0.0},
        {"logit_entropy": 0.5, "gradient_penalty": 3.0, "gradient_norm": 1.0},
    ],
    ids=["objective", "with the entropy", "with the entropy and the penalty", "with WGAN-GP's penalty"],
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
