"""The categorical policy: its arithmetic against autograd and torch, its draws, and its file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from helpers import GAIL, make_policy, seeded
from torch import Tensor
from torch.distributions import Categorical as Exact
from torch.distributions import kl_divergence as exact_kl
from torch.func import functional_call
from torch.nn.utils import parameters_to_vector

from gailfe.algorithms.clipped import ClippedUpdate, policy_gradient
from gailfe.algorithms.trpo import fisher_vector_product, trpo_step
from gailfe.nn.categorical import Categorical, CategoricalPolicy
from gailfe.nn.policy_file import load_policy, read_policy, save_policy

SPACE = Discrete(4, start=-1)


def categorical(seed: int = 0, spread: float = 0.5, space: Discrete = SPACE) -> CategoricalPolicy:
    generator = seeded(seed)
    policy = CategoricalPolicy(3, space, [5, 4], generator)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(spread * torch.randn(parameter.shape, generator=generator))
    return policy


def problem(policy: CategoricalPolicy, rows: int = 256, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Observations, the policy's own one-hot actions there, and advantages of which the last action has most."""
    generator = seeded(seed)
    x = torch.randn(rows, 3, generator=generator)
    with torch.no_grad():
        drawn = policy.sample(policy.logits(x).numpy(), policy.noise(generator)(rows))
    samples = torch.from_numpy(drawn)
    return x, samples, samples[:, -1]


def test_log_prob_entropy_and_kl_equal_those_of_torch_distributions() -> None:
    old, new = 3 * torch.randn(2, 20, 4, generator=seeded(0), dtype=torch.float64)
    actions = torch.randint(4, (20,), generator=seeded(1))
    one_hot = torch.nn.functional.one_hot(actions, 4).double()
    ours, theirs = Categorical(new), Exact(logits=new)
    torch.testing.assert_close(ours.log_prob(one_hot), theirs.log_prob(actions))
    torch.testing.assert_close(ours.entropy(), theirs.entropy().mean())
    divergence = exact_kl(Exact(logits=old), theirs).mean()
    torch.testing.assert_close(Categorical(old).kl_divergence(ours), divergence)


@pytest.mark.parametrize("entropy_weight", [0.0, 0.3])
def test_the_gradient_of_log_prob_and_entropy_is_autograds(entropy_weight: float) -> None:
    logits = torch.randn(7, 4, generator=seeded(5), dtype=torch.float64, requires_grad=True)
    weights = torch.randn(7, generator=seeded(6), dtype=torch.float64)
    actions = torch.eye(4, dtype=torch.float64)[[0, 1, 2, 3, 0, 1, 3]]
    at = Categorical(logits)
    objective = (weights * at.log_prob(actions)).sum() + entropy_weight * at.entropy()
    expected = list(torch.autograd.grad(objective, (logits,)))
    with torch.no_grad():
        torch.testing.assert_close(at.gradient(actions, weights, entropy_weight), expected)


def test_the_fisher_vector_product_is_the_hessian_of_the_mean_kl() -> None:
    policy = categorical().double()
    x = torch.randn(7, 3, generator=seeded(1), dtype=torch.float64)
    names = [name for name, _ in policy.named_parameters()]
    parameters = [policy.get_parameter(name).detach() for name in names]
    old = Exact(logits=policy.logits(x).detach())

    def mean_kl(flat: Tensor) -> Tensor:
        pieces = flat.split([p.numel() for p in parameters])
        shaped = {name: piece.view_as(p) for name, piece, p in zip(names, pieces, parameters, strict=True)}
        return exact_kl(old, Exact(logits=functional_call(policy, shaped, (x,)).log_probs)).mean()

    matrix = torch.autograd.functional.hessian(mean_kl, parameters_to_vector(parameters))
    with torch.no_grad():
        multiply = fisher_vector_product(policy, policy.logits.activations(x), 0.1)
        products = torch.stack([multiply(unit) for unit in torch.eye(len(matrix), dtype=torch.float64)])
    torch.testing.assert_close(products, matrix + 0.1 * torch.eye(len(matrix), dtype=torch.float64))


@pytest.mark.parametrize("lambda_h", [0.0, 0.3])
def test_the_clipped_gradient_is_autograds(lambda_h: float) -> None:
    policy = categorical(spread=0.3)
    x, samples, advantages = (tensor.double() for tensor in problem(policy))
    policy.double()
    at = policy(x)
    old_log_prob = at.log_prob(samples).detach()
    old_log_prob += 0.2 * torch.randn(len(x), generator=seeded(2), dtype=torch.float64)
    ratio = (at.log_prob(samples) - old_log_prob).exp()
    standardised = (advantages - advantages.mean()) / advantages.std()
    objective = torch.min(ratio * standardised, ratio.clamp(0.9, 1.1) * standardised).mean()
    expected = torch.autograd.grad(-objective - lambda_h * at.entropy(), policy.trained())
    with torch.no_grad():
        gradient, *_ = policy_gradient(policy, x, samples, old_log_prob, advantages, 0.1, lambda_h)
    for ours, theirs in zip(gradient, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("kind", ["trpo", "ppo"])
def test_a_policy_step_prefers_the_action_that_pays_and_tells_how_far_it_went(kind: str) -> None:
    policy = categorical(spread=0.3)
    x, samples, advantages = problem(policy)
    old = Exact(logits=policy.logits(x).detach())
    if kind == "trpo":
        info = trpo_step(policy, x, samples, advantages, 0.0, GAIL.trpo)
        assert info["kl"] <= GAIL.trpo.max_kl
        assert info["surrogate_improvement"] > 0
    else:
        config = replace(GAIL.ppo, learning_rate=3e-3, epochs=4, minibatch_size=64)
        info = ClippedUpdate(policy, config, seeded(0))(x, samples, advantages, 0.0)
    new = Exact(logits=policy.logits(x).detach())
    assert (new.probs - old.probs)[:, -1].mean() > 0.01
    assert info["kl"] == pytest.approx(exact_kl(old, new).mean().item(), rel=1e-2, abs=1e-6)
    assert info["entropy"] == pytest.approx(new.entropy().mean().item(), rel=1e-5)


def test_draws_have_the_probabilities_and_the_mode_is_the_likeliest() -> None:
    policy = categorical()
    probs = np.array([0.5, 0.0, 0.3, 0.2])
    with np.errstate(divide="ignore"):
        logits = np.tile(np.log(probs).astype(np.float32), (20_000, 1))
    drawn = policy.to_env(policy.sample(logits, policy.noise(seeded(0))(20_000)))
    shares = np.bincount(drawn + 1, minlength=4) / len(drawn)
    assert shares[1] == 0
    np.testing.assert_allclose(shares, probs, atol=0.015)
    edges = np.array([0.0, np.nextafter(np.float32(1), np.float32(0))], dtype=np.float32)
    assert policy.to_env(policy.sample(logits[:2], edges)).tolist() == [-1, 2]
    assert set(policy.to_env(policy.sample(logits, None))) == {-1}


def test_acting_gives_actions_of_the_space_and_one_hot_is_the_way_there_and_back() -> None:
    policy = categorical()
    observations = np.random.default_rng(0).normal(size=(200, 3))
    for act in (policy.acting(), policy.acting(seeded(0))):
        actions = act(observations)
        assert actions.shape == (200,)
        assert actions.dtype == np.int64
        assert {SPACE.contains(action) for action in actions} == {True}
        unit = policy.to_unit(torch.from_numpy(actions))
        assert unit.shape == (200, 4)
        assert np.array_equal(policy.to_env(unit.numpy()), actions)
    again = policy.acting(seeded(0))(observations)
    assert np.array_equal(again, actions)  # by the generator


def test_its_file_knows_its_kind_and_a_policy_of_another_kind_is_refused(tmp_path: Path) -> None:
    policy = categorical()
    save_policy(tmp_path / "categorical", policy)
    save_policy(tmp_path / "gaussian", make_policy(3, 2))
    assert json.loads((tmp_path / "categorical/policy.json").read_text())["kind"] == "categorical"
    observations = np.random.default_rng(0).normal(size=(9, 3))
    for found in (read_policy(tmp_path / "categorical"), load_policy(tmp_path / "categorical", 3, SPACE)):
        assert found.action_space == SPACE
        assert np.array_equal(found.acting()(observations), policy.acting()(observations))
    with pytest.raises(RuntimeError, match=r"gaussian policy, and the actions are Discrete"):
        load_policy(tmp_path / "gaussian", 3, SPACE)
    with pytest.raises(RuntimeError, match="logits"):
        load_policy(tmp_path / "categorical", 3, Discrete(5, start=-1))
    with pytest.raises(RuntimeError, match="start"):
        load_policy(tmp_path / "categorical", 3, Discrete(4))


def test_a_gaussian_is_refused_where_actions_have_other_bounds_by_which_it_would_be_scaled(tmp_path: Path) -> None:
    save_policy(tmp_path, make_policy(3, 2))
    assert load_policy(tmp_path, 3, Box(-1, 1, (2,))).kind == "gaussian"
    with pytest.raises(
        RuntimeError, match=r"its actions are within \[-1\. -1\.\] and .* the actions are Box\(-0\.5"
    ):
        load_policy(tmp_path, 3, Box(-0.5, 0.5, (2,)))


def test_a_gaussians_file_from_before_there_were_kinds_is_still_read(tmp_path: Path) -> None:
    save_policy(tmp_path, make_policy(3, 2))
    architecture = json.loads((tmp_path / "policy.json").read_text())
    assert architecture.pop("kind") == "gaussian"
    (tmp_path / "policy.json").write_text(json.dumps(architecture))
    assert read_policy(tmp_path).kind == "gaussian"
