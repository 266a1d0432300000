"""Behaviour cloning: what it learns, what it holds out, when it stops, and that it touches no environment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from algorithms import rows, run, small_run
from helpers import HOPPER, PENDULUM, assert_same_tensors, compose, fell, gaussian, make_trajectory, seeded

from gailfe.algorithms.bc import BehaviourCloning, BehaviourCloningConfig
from gailfe.config.keys import ConfigError
from gailfe.envs.trajectory import Demonstrations, Trajectory
from gailfe.envs.vector import VectorEnv
from gailfe.storage.recipe import is_finished, run_recipe


def config(**keys: Any) -> BehaviourCloningConfig:
    algo: BehaviourCloningConfig = compose("algo=bc").algo
    policy = replace(algo.policy, hidden_sizes=[16])
    small: dict[str, Any] = {"policy": policy, "minibatch_size": 128}
    return replace(algo, **{**small, **keys})


def taught(episodes: int, steps: int = 100, noise: float = 0.0) -> list[Trajectory]:
    """On Pendulum: the torque is half of the first observation's, up to noise; its bounds are ±2."""
    generator = np.random.default_rng(0)
    trajectories = []
    for _ in range(episodes):
        observations = generator.uniform(-1, 1, size=(steps + 1, 3))
        actions = 2 * (0.5 * observations[:-1, :1] + noise * generator.normal(size=(steps, 1)))
        trajectories.append(Trajectory(observations, actions.astype(np.float32), np.zeros(steps), False, True))
    return trajectories


def learner(expert: list[Trajectory], seed: int = 0, **keys: Any) -> BehaviourCloning:
    return BehaviourCloning(config(**keys), PENDULUM, Demonstrations(expert, []), fell, seed)


def mean_action(bc: BehaviourCloning, observations: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return gaussian(bc.policy).mean(bc.policy.normalizer(observations))


def test_it_clones_the_demonstrated_actions_and_knows_their_noise() -> None:
    bc = learner(taught(10, noise=0.1), learning_rate=1e-2)
    metrics = [bc.iterate() for _ in range(40)]
    observations = 2 * torch.rand(500, 3, generator=seeded(1)) - 1
    error = mean_action(bc, observations) - 0.5 * observations[:, :1]  # of actions whose spread is 0.29
    assert error.square().mean().sqrt() < 0.04
    assert gaussian(bc.policy).log_std.exp().item() == pytest.approx(0.1, rel=0.2)
    # E[−log π] of the true Gaussian is its entropy.
    truth = np.log(0.1) + 0.5 * np.log(2 * np.pi * np.e)
    assert metrics[-1]["held_out_loss"] == pytest.approx(truth, abs=0.15)
    assert metrics[-1]["held_out_squared_error"] == pytest.approx(0.01, rel=0.3)


def test_whole_trajectories_are_held_out_and_never_learned_from() -> None:
    expert = [replace(make_trajectory(20), actions=np.full((20, 3), i / 10, dtype=np.float32)) for i in range(10)]
    bc = BehaviourCloning(config(held_out=0.3), HOPPER, Demonstrations(expert, []), fell, 0)
    learned, held_out = (
        sorted({round(10 * action) for action in part[1][:, 0].tolist()}) for part in (bc.learned, bc.held_out)
    )
    assert (len(learned), len(held_out)) == (7, 3)
    assert sorted(learned + held_out) == list(range(10))
    assert (len(bc.learned[0]), len(bc.held_out[0])) == (140, 60)
    other = BehaviourCloning(config(held_out=0.3), HOPPER, Demonstrations(expert, []), fell, 1)
    assert not torch.equal(other.held_out[1], bc.held_out[1])  # by the seed


def test_of_a_single_trajectory_pairs_are_held_out_and_a_single_pair_is_refused() -> None:
    bc = learner(taught(1, steps=50), held_out=0.2)
    assert (len(bc.learned[0]), len(bc.held_out[0])) == (40, 10)
    assert not set(bc.learned[1].flatten().tolist()) & set(bc.held_out[1].flatten().tolist())
    with pytest.raises(ConfigError, match="at least two state-action pairs"):
        learner(taught(1, steps=1))


def test_it_stops_when_the_held_out_loss_falls_no_more_and_keeps_the_best_policy() -> None:
    bc = learner(taught(3, steps=12, noise=0.4), learning_rate=2e-2, patience=10)  # few pairs: it overfits
    losses, policies = [], []
    while not bc.finished:
        losses.append(bc.iterate()["held_out_loss"])
        policies.append({name: tensor.clone() for name, tensor in bc.current.state_dict().items()})
        assert len(losses) < 2000
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 10
    assert losses[-1] > losses[best]
    assert bc.best_loss == losses[best]
    assert_same_tensors(bc.policy.state_dict(), policies[best])


def test_actions_that_never_vary_leave_the_likelihood_finite() -> None:
    still = [replace(t, actions=np.ones_like(t.actions)) for t in taught(3)]
    bc = learner(still, learning_rate=0.1, log_std_min=-2.0, patience=300)
    losses = [bc.iterate()["held_out_loss"] for _ in range(60)]
    assert np.isfinite(losses).all()
    assert gaussian(bc.current).log_std.item() == -2.0


def test_a_run_that_stopped_early_is_finished_and_took_no_step_in_the_environment(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VectorEnv, "__init__", lambda *_: pytest.fail("an environment was made to collect in"))
    settings = small_run("bc", "algo.patience=1", "algo.learning_rate=1", "env.num_iterations=500")
    folder = run(settings, tmp_path / "run")
    done = rows(folder)
    assert len(done) < 500
    assert done[-1]["held_out_loss"] > done[-1]["best_held_out_loss"]
    assert "eval_return_mean" in done[-1]  # however it ended, its last row has an evaluation
    assert {row["env_steps"] for row in done} == {0}
    assert is_finished(folder, run_recipe(settings, "key"), 500)
    before = (folder / "metrics.csv").read_bytes()
    (folder / "summary.json").unlink()
    run(settings, folder)  # as after a kill: there is nothing left to do but the summary
    assert (folder / "metrics.csv").read_bytes() == before
    assert is_finished(folder, run_recipe(settings, "key"), 500)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("algo.held_out=0", "algo.held_out=0.0 must be between 0 and 1, both excluded"),
        ("algo.patience=0", "algo.patience=0 must be at least 1"),
        ("algo.log_std_min=0", "algo.policy.log_std_init=-0.5 must be at least algo.log_std_min=0.0"),
    ],
)
def test_keys_that_make_no_sense_are_refused(override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        compose("algo=bc", override)
