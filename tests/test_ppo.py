"""PPO: its update, its reward scale, and that it can stop and go on."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from helpers import PENDULUM, assert_same_tensors, compose, seeded
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from gailfe.algorithms.ppo import PPO, PPOConfig, RewardScale
from gailfe.envs.rollout import Batch
from gailfe.nn.gaussian import Gaussian

NUM_STEPS, NUM_ENVS = 64, 4


def make_ppo(seed: int = 0, **overrides: object) -> PPO:
    settings: dict[str, object] = {
        "gamma": 0.9,
        "gae_lambda": 0.95,
        "log_std_init": -0.5,
        "hidden_sizes": [16],
        "num_envs": NUM_ENVS,
        "learning_rate": 3e-3,
        "epochs": 4,
        "minibatch_size": 64,
        "anneal": False,
    }
    settings |= {"target_kl": None, "seed": seed, **overrides}
    config: PPOConfig = dataclasses.replace(compose().expert, **settings)
    return PPO(config, PENDULUM)


def bandit(ppo: PPO, seed: int, target: float = 0.6) -> Batch:
    """Episodes of one step that pay for actions near `target`."""
    generator = seeded(seed)
    observations = torch.randn(NUM_STEPS, NUM_ENVS, 3, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        mean, log_std = ppo.policy(ppo.policy.normalizer(observations))
    samples = mean + log_std.detach().exp() * torch.randn(mean.shape, generator=generator)
    ends = torch.ones(NUM_STEPS, NUM_ENVS, dtype=torch.bool)
    return Batch(
        observations=observations,
        next_observations=observations + 1.0,
        samples=samples,
        actions=torch.from_numpy(ppo.policy.to_env(samples.numpy())),
        rewards=-((samples[..., 0] - target) ** 2),
        terminated=ends,
        truncated=~ends,
        finished=[],
    )


def mean_action(ppo: PPO) -> float:
    x = ppo.policy.normalizer(torch.randn(500, 3, generator=seeded(9)))
    return ppo.policy(x)[0].mean().item()


def weights(ppo: PPO) -> Tensor:
    return parameters_to_vector([*ppo.policy.parameters(), *ppo.value.parameters()]).detach().clone()


@pytest.mark.parametrize("target", [0.6, -0.6])
def test_the_policy_learns_the_action_that_pays(target: float) -> None:
    ppo = make_ppo()
    for seed in range(25):
        info = ppo.update(bandit(ppo, seed, target), progress=0.0)
    assert mean_action(ppo) == pytest.approx(target, abs=0.15)
    assert info["entropy"] < -0.5 + 1.419  # it grows surer than it began
    assert 0.0 <= info["clip_fraction"] <= 1.0
    assert 0.0 <= info["kl"] < 0.2


def test_the_value_function_learns_the_scaled_reward() -> None:
    ppo = make_ppo()
    losses = [ppo.update(bandit(ppo, seed), progress=0.0)["value_loss"] for seed in range(15)]
    assert losses[-1] < 0.5 * losses[0]


def test_a_first_gradient_step_starts_at_ratio_one() -> None:
    ppo = make_ppo(epochs=1, minibatch_size=NUM_STEPS * NUM_ENVS)
    batch = bandit(ppo, 0)
    with torch.no_grad():
        values = ppo.value(ppo.policy.normalizer(batch.observations)).squeeze(-1)
    # Episodes of one step: whatever γ and λ, the advantage is reward − V, the return the reward.
    discounted = batch.rewards / batch.rewards.std(correction=0)
    info = ppo.update(batch, progress=0.0)
    assert info["kl"] == pytest.approx(0.0, abs=1e-6)
    assert info["clip_fraction"] == 0.0
    assert info["value_loss"] == pytest.approx(0.5 * (values - discounted).square().mean().item(), rel=1e-4)


def test_an_early_stop_at_the_target_kl_ends_the_update_after_that_epoch() -> None:
    stopped, one_epoch, all_epochs = make_ppo(target_kl=1e-12), make_ppo(epochs=1), make_ppo()
    for ppo in (stopped, one_epoch, all_epochs):
        ppo.update(bandit(ppo, 0), progress=0.0)
    assert torch.equal(weights(stopped), weights(one_epoch))
    assert not torch.equal(weights(stopped), weights(all_epochs))


def test_a_ratio_beyond_the_clip_in_the_advantages_favour_gives_no_more_gradient() -> None:
    tight, loose = make_ppo(clip=1e-6, epochs=30), make_ppo(clip=10.0, epochs=30)
    for ppo in (tight, loose):
        ppo.update(bandit(ppo, 0), progress=0.0)
    moved = [abs(mean_action(ppo) - mean_action(make_ppo())) for ppo in (tight, loose)]
    assert moved[0] < 0.5 * moved[1]


def test_a_gradient_step_follows_autograds_gradient_of_the_clipped_loss() -> None:
    ppo = make_ppo(
        epochs=1, minibatch_size=NUM_STEPS * NUM_ENVS, entropy_coefficient=0.1, max_grad_norm=1e9, clip=0.1
    )
    generator, rows = seeded(3), 40
    x = torch.randn(rows, 3, generator=generator)
    mean, log_std = ppo.policy(x)
    samples = mean.detach() + torch.randn(rows, 1, generator=generator)
    old_log_prob = Gaussian(mean, log_std).log_prob(samples).detach() + 0.2 * torch.randn(
        rows, generator=generator
    )
    advantages, returns = torch.randn(2, rows, generator=generator)

    ratio = (Gaussian(mean, log_std).log_prob(samples) - old_log_prob).exp()
    standardised = (advantages - advantages.mean()) / advantages.std()
    surrogate = torch.min(ratio * standardised, ratio.clamp(0.9, 1.1) * standardised).mean()
    squared = 0.5 * (ppo.value(x).squeeze(-1) - returns).square().mean()
    loss = -surrogate + squared - 0.1 * Gaussian(mean, log_std).entropy()
    parameters = [*ppo.policy.network.parameters(), *ppo.policy.own_parameters, *ppo.value.parameters()]
    expected = parameters_to_vector(torch.autograd.grad(loss, parameters))
    assert 0.2 < (ratio != ratio.clamp(0.9, 1.1)).float().mean() < 0.8

    with torch.no_grad():
        ppo._step(x, samples, old_log_prob, advantages, returns)
    assert ppo.weights.grad is not None
    torch.testing.assert_close(ppo.weights.grad, expected, rtol=1e-4, atol=1e-6)

    ppo.config.max_grad_norm = 0.01  # the same gradient, shortened
    with torch.no_grad():
        ppo._step(x, samples, old_log_prob, advantages, returns)
    assert ppo.weights.grad.norm() == pytest.approx(0.01, rel=1e-3)


def test_the_entropy_coefficient_keeps_the_policy_wide() -> None:
    entropies = []
    for coefficient in (0.0, 1.0):
        ppo = make_ppo(entropy_coefficient=coefficient)
        for seed in range(5):
            ppo.update(bandit(ppo, seed), progress=0.0)
        entropies.append(ppo.policy.entropy(torch.zeros(1, 3)).item())
    assert entropies[1] > entropies[0] + 0.05


def test_the_learning_rate_anneals_with_progress_to_zero() -> None:
    ppo = make_ppo(anneal=True, learning_rate=4e-3)
    for progress, expected in ((0.0, 4e-3), (0.25, 3e-3), (1.0, 0.0)):
        before = weights(ppo)
        ppo.update(bandit(ppo, 0), progress)
        assert ppo.optimizer.param_groups[0]["lr"] == pytest.approx(expected)
        assert torch.equal(weights(ppo), before) == (expected == 0.0)
    constant = make_ppo(anneal=False, learning_rate=4e-3)
    constant.update(bandit(constant, 0), progress=0.9)
    assert constant.optimizer.param_groups[0]["lr"] == pytest.approx(4e-3)


def test_observation_statistics_follow_what_was_collected() -> None:
    ppo = make_ppo()
    batches = [bandit(ppo, seed) for seed in range(2)]
    for batch in batches:
        ppo.update(batch, progress=0.0)
    seen = torch.cat([batch.observations for batch in batches]).reshape(-1, 3)
    torch.testing.assert_close(ppo.policy.normalizer.mean, seen.mean(0))
    torch.testing.assert_close(ppo.policy.normalizer.variance, seen.var(0, correction=0))


def test_a_restored_ppo_continues_bit_for_bit() -> None:
    original, restored = make_ppo(seed=0), make_ppo(seed=5)
    for seed in range(2):
        original.update(bandit(original, seed), progress=0.0)
    state = copy.deepcopy(original.state_dict())
    restored.load_state_dict(state)
    for ppo in (original, restored):
        for seed in (2, 3):
            info = ppo.update(bandit(ppo, seed), progress=0.5)
        assert info["kl"] > 0
    assert torch.equal(weights(original), weights(restored))
    assert_same_tensors(original.policy.state_dict(), restored.policy.state_dict())
    ours, theirs = (p.reward_scale.statistics.state_dict() for p in (original, restored))
    assert_same_tensors(ours, theirs)
    assert torch.equal(original.generator.get_state(), restored.generator.get_state())


def test_rewards_are_divided_by_the_deviation_of_all_discounted_returns_so_far() -> None:
    generator, gamma = seeded(0), 0.9
    scale = RewardScale(num_envs=2, gamma=gamma)
    running, seen = [0.0, 0.0], []
    for _ in range(3):  # returns carry on from one batch to the next
        rewards = 5.0 + torch.randn(30, 2, generator=generator)
        done = torch.rand(30, 2, generator=generator) < 0.15
        for t in range(30):
            for i in range(2):
                running[i] = gamma * running[i] + rewards[t, i].item()
                seen.append(running[i])
                if done[t, i]:
                    running[i] = 0.0
        expected = rewards / torch.tensor(seen).std(correction=0)
        torch.testing.assert_close(scale(rewards, done), expected, rtol=1e-4, atol=1e-5)
