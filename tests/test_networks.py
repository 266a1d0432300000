"""Normalisation, action maps, and the Gaussian's arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import box, make_policy, seeded
from torch.distributions import Independent, Normal
from torch.distributions import kl_divergence as exact_kl

from gailfe.nn.gaussian import Gaussian
from gailfe.nn.mlp import MLP
from gailfe.nn.normalisation import RunningMeanStd


@pytest.mark.parametrize("chunks", [[1000], [1, 1, 998], [300, 1, 450, 249]])
def test_statistics_over_chunks_equal_those_of_the_whole(chunks: list[int]) -> None:
    data = 50.0 + torch.tensor([0.01, 1.0, 300.0]) * torch.randn(1000, 3, generator=seeded(0))
    data[600:] -= 20.0  # drifts
    statistics = RunningMeanStd(3)
    for chunk in data.split(chunks):
        statistics.update(chunk)
    assert statistics.count == 1000
    torch.testing.assert_close(statistics.mean, data.double().mean(0))
    torch.testing.assert_close(statistics.variance, data.double().var(0, correction=0))


def test_statistics_take_any_leading_shape() -> None:
    data = torch.randn(6, 4, 3, generator=seeded(1))
    flat, shaped = RunningMeanStd(3), RunningMeanStd(3)
    flat.update(data.flatten(0, 1))
    shaped.update(data)
    assert torch.equal(flat.mean, shaped.mean)
    assert torch.equal(flat.variance, shaped.variance)


def test_normalising_gives_zero_mean_unit_variance_and_clips_outliers() -> None:
    data = 7.0 + 3.0 * torch.randn(5000, 2, generator=seeded(2))
    statistics = RunningMeanStd(2)
    statistics.update(data)
    normalised = statistics(data)
    assert normalised.dtype == torch.float32
    torch.testing.assert_close(normalised.mean(0), torch.zeros(2), atol=1e-4, rtol=0.0)
    torch.testing.assert_close(normalised.std(0), torch.ones(2), atol=1e-3, rtol=0.0)
    assert statistics(torch.tensor([[1e9, -1e9]])).tolist() == [[10.0, -10.0]]


def test_a_constant_observation_normalises_to_zero() -> None:
    statistics = RunningMeanStd(1)
    statistics.update(torch.full((10, 1), 5.0))
    assert statistics(torch.tensor([[5.0]])).item() == 0.0


def test_unit_actions_map_onto_asymmetric_bounds_and_back() -> None:
    policy = make_policy(space=box([-2.0, 0.0], [1.0, 10.0]))
    corners = torch.tensor([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0]])
    expected = torch.tensor([[-2.0, 0.0], [-0.5, 5.0], [1.0, 10.0]])
    np.testing.assert_allclose(policy.to_env(corners.numpy()), expected)
    inside = 2 * torch.rand(100, 2, generator=seeded(3)) - 1
    torch.testing.assert_close(policy.to_unit(torch.from_numpy(policy.to_env(inside.numpy()))), inside)


def test_actions_beyond_the_bounds_are_clipped_to_them() -> None:
    policy = make_policy(space=box([-2.0, 0.0], [1.0, 10.0]))
    assert policy.to_env(np.array([[5.0, -1.5]])).tolist() == [[1.0, 0.0]]


def test_unbounded_sides_are_left_as_they_are() -> None:
    infinity = float("inf")
    policy = make_policy(space=box([-infinity, 0.0], [infinity, infinity]))
    actions = torch.tensor([[123.0, 4.0], [-123.0, -4.0]])
    assert policy.to_env(actions.numpy()).tolist() == [[123.0, 4.0], [-123.0, 0.0]]
    assert torch.equal(policy.to_unit(actions), actions)


@pytest.mark.parametrize("seed", range(4))
def test_log_prob_entropy_and_kl_equal_those_of_torch_distributions(seed: int) -> None:
    generator = seeded(seed)
    old_mean, mean, actions = 2.0 * torch.randn(3, 50, 4, generator=generator, dtype=torch.float64)
    old_log_std, log_std = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    old = Independent(Normal(old_mean, old_log_std.exp().expand_as(mean)), 1)
    new = Independent(Normal(mean, log_std.exp().expand_as(mean)), 1)
    torch.testing.assert_close(Gaussian(mean, log_std).log_prob(actions), new.log_prob(actions))
    torch.testing.assert_close(Gaussian(mean, log_std).entropy(), new.entropy()[0])
    divergence = Gaussian(old_mean, old_log_std).kl_divergence(Gaussian(mean, log_std))
    torch.testing.assert_close(divergence, exact_kl(old, new).mean())


def test_weights_come_from_the_given_generator_alone() -> None:
    def weights(seed: int, global_seed: int) -> torch.Tensor:
        torch.manual_seed(global_seed)
        return torch.nn.utils.parameters_to_vector(MLP([3, 8, 2], seeded(seed)).parameters())

    assert torch.equal(weights(seed=0, global_seed=1), weights(seed=0, global_seed=2))
    assert not torch.equal(weights(seed=0, global_seed=1), weights(seed=1, global_seed=1))


def test_a_new_policy_acts_near_the_centre_of_its_action_space() -> None:
    x = torch.randn(100, 3, generator=seeded(4))
    mean, log_std = make_policy(log_std_init=-0.7)(x)
    assert mean.abs().max() < 0.1
    torch.testing.assert_close(log_std, torch.full((2,), -0.7))


def test_the_log_std_is_trained_with_the_weights() -> None:
    policy = make_policy()
    x, actions = torch.randn(2, 10, 3, generator=seeded(5))
    mean, log_std = policy(x)
    Gaussian(mean, log_std).log_prob(actions[:, :2]).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in policy.parameters())
    assert any(p is policy.log_std for p in policy.parameters())


@pytest.mark.parametrize("entropy_weight", [0.0, 0.3])
def test_the_gradient_of_log_prob_and_entropy_is_autograds(entropy_weight: float) -> None:
    generator = seeded(5)
    mean = torch.randn(7, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    log_std = torch.randn(3, generator=generator, dtype=torch.float64, requires_grad=True)
    actions = torch.randn(7, 3, generator=generator, dtype=torch.float64)
    weights = torch.randn(7, generator=generator, dtype=torch.float64)
    gaussian = Gaussian(mean, log_std)
    objective = (weights * gaussian.log_prob(actions)).sum() + entropy_weight * gaussian.entropy()
    expected = list(torch.autograd.grad(objective, (mean, log_std)))
    with torch.no_grad():
        torch.testing.assert_close(gaussian.gradient(actions, weights, entropy_weight), expected)


def test_an_actor_is_the_mean_of_normalised_observations() -> None:
    policy = make_policy(spread=0.5)
    observations = 5 + 3 * torch.randn(200, 3, generator=seeded(6), dtype=torch.float64)
    policy.normalizer.update(observations)
    observations[0] = 1e9  # clipped
    with torch.no_grad():
        expected = policy.mean(policy.normalizer(observations))
        np.testing.assert_allclose(policy.actor()(observations.numpy()), expected.detach(), rtol=1.3e-6, atol=1e-5)
