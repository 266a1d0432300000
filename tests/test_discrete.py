"""Discrete actions, from the command line and in the algorithms."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from algorithms import DISCRETE, rows, run, run_killed_after, small_run, weights
from commands import run_own
from gymnasium.spaces import Discrete
from helpers import compose, fell, make_algo, make_failures, make_imitator, seeded
from minari import MinariDataset

from expert.demonstrations import load_trajectories
from gailfe import pipeline
from gailfe.algorithms.bc import BehaviourCloning
from gailfe.config.folders import job_subfolder
from gailfe.config.keys import ConfigError
from gailfe.config.schema import EnvConfig
from gailfe.envs.making import check_env
from gailfe.envs.rollout import Collector
from gailfe.envs.trajectory import Demonstrations, Trajectory
from gailfe.envs.vector import VectorEnv
from gailfe.evaluate import main as evaluate_main
from gailfe.nn.policy import make_policy
from gailfe.nn.policy_file import read_policy

CARTPOLE = EnvConfig(name="cartpole", id="CartPole-v1", num_iterations=1)
FLATTEN = "gymnasium.wrappers.FlattenObservation"


def test_cartpole_goes_through_all_three_stages_and_what_was_learned_is_evaluated_and_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, output = run_own(
        tmp_path,
        "env=cartpole",
        *("algo=gailfe", "demonstrations.earlier_checkpoints=2", "demonstrations.contamination=0.25"),
        *("env.max_episode_steps=25", "demonstrations.weaker_returns=[0.5]"),
    )
    assert code == 0, output
    (metrics,) = tmp_path.glob("runs/**/metrics.csv")
    table = pd.read_csv(metrics)
    assert len(table) == 6
    assert np.isfinite(table[["d_policy", "d_expert", "d_failed", "kl", "entropy"]]).all(axis=None)
    assert table["entropy"].between(0, np.log(2) + 1e-6).all()
    assert (table["failed_episodes"] > 0).any()  # the pole fell
    for name, falls in (("expert", False), ("failed", True)):
        (data,) = tmp_path.glob(f"artifacts/demonstrations/*/{name}-v0/data")
        assert MinariDataset(data).action_space == Discrete(2)
        episodes = load_trajectories(data.parent)
        assert {episode.actions.dtype for episode in episodes} == {np.dtype(np.int64)}
        assert falls in {episode.terminated for episode in episodes}
    assert evaluate_main([f"run={metrics.parent}", "episodes=2", f"publish={tmp_path / 'mine'}"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["env"] == "CartPole-v1"
    published, learned = read_policy(tmp_path / "mine"), read_policy(metrics.parent)
    observations = np.random.default_rng(0).normal(size=(50, 4))
    assert np.array_equal(published.acting()(observations), learned.acting()(observations))


def test_an_environment_of_a_module_of_ones_own_goes_through_all_three_stages_in_its_wrapper(
    tmp_path: Path,
) -> None:
    overrides = ["env.id=user_envs:Corridor-v0", f"env.wrappers=[{FLATTEN}]"]
    short = ["env.max_episode_steps=6", "env.num_iterations=2", "evaluation.episodes=1", "tracking=none"]
    expert = ["expert.total_steps=256", "expert.steps_per_iteration=256", "expert.epochs=1", "expert.finalists=1"]
    collected = ["demonstrations.num_trajectories=2", f"paths.artifacts={tmp_path / 'artifacts'}"]
    pipeline.run(compose("env=cartpole", "algo=bc", *overrides, *short, *expert, *collected), tmp_path / "run")
    assert pd.read_csv(tmp_path / "run/metrics.csv")["held_out_wrong_actions"].between(0, 1).all()
    (data,) = tmp_path.glob("artifacts/demonstrations/*/expert-v0")
    assert set(np.concatenate([t.actions for t in load_trajectories(data)]).tolist()) <= {-1, 0, 1}
    name = job_subfolder("run", "cartpole", "bc", 0, overrides)
    assert name.startswith("cartpole/bc/seed=0,env.id=user_envs_Corridor-v0,env.wrappers=")


@pytest.mark.parametrize("algorithm", ["bc", "gailfe", "gailfe_2016"])
def test_a_killed_run_goes_on_to_the_same_rows_and_the_same_policy(algorithm: str, tmp_path: Path) -> None:
    config = small_run(algorithm, "env=cartpole")
    whole = run(config, tmp_path / "whole")
    killed = run_killed_after(5, config, tmp_path / "killed")
    run(config, killed)
    assert rows(killed) == rows(whole)
    assert weights(killed) == weights(whole)


def test_the_batch_holds_integers_and_the_discriminator_sees_them_one_hot() -> None:
    imitator = make_imitator(
        make_algo(make_failures()), env=CARTPOLE, expert=DISCRETE.expert, failed=DISCRETE.failed
    )
    batch = imitator.collector.collect(imitator.policy, 50, seeded(0))
    assert batch.actions.dtype == torch.int64
    assert set(batch.actions.unique().tolist()) == {0, 1}
    assert torch.equal(batch.samples.argmax(-1), batch.actions)
    pairs = imitator.expert_pairs
    assert pairs.shape[1] == 4 + 2
    assert torch.equal(
        pairs[:, 4:].argmax(-1), torch.from_numpy(np.concatenate([t.actions for t in DISCRETE.expert]))
    )
    assert torch.equal(pairs[:, 4:].sum(-1), torch.ones(len(pairs)))
    before = weights_of(imitator.policy)
    assert imitator.iterate()["kl"] > 0
    assert not torch.equal(weights_of(imitator.policy), before)


def weights_of(policy: torch.nn.Module) -> torch.Tensor:
    return torch.nn.utils.parameters_to_vector(policy.parameters()).detach().clone()


def test_behaviour_cloning_learns_which_action_by_cross_entropy() -> None:
    generator = np.random.default_rng(0)
    trajectories = []
    for _ in range(6):
        observations = generator.normal(size=(101, 4))
        actions = (observations[:-1, 2] > 0).astype(np.int64)
        flipped = generator.random(100) < 0.1
        trajectories.append(Trajectory(observations, actions ^ flipped, np.zeros(100), False, True))
    config: Any = dataclasses.replace(compose("algo=bc").algo, learning_rate=1e-2)
    bc = BehaviourCloning(config, CARTPOLE, Demonstrations(trajectories, []), fell, 0)
    for _ in range(30):
        row = bc.iterate()
    assert set(row) == set(bc.METRICS)
    assert row["best_held_out_loss"] == pytest.approx(-0.1 * np.log(0.1) - 0.9 * np.log(0.9), abs=0.15)
    assert row["held_out_wrong_actions"] < 0.25
    observations = generator.normal(size=(500, 4))
    assert (bc.policy.acting()(observations) == (observations[:, 2] > 0)).mean() > 0.93


def test_a_policy_without_noise_takes_its_mode_in_rollouts_too() -> None:
    env = VectorEnv(CARTPOLE, num_envs=2, seed=0)
    policy = make_policy(env.observation_dim, env.action_space, [5], 0.0, seeded(3))
    batch = Collector(env).collect(policy, 30, None)
    expected = policy.network(policy.normalizer(batch.observations)).argmax(-1)
    assert torch.equal(batch.actions, expected)


def test_what_a_policy_cannot_draw_is_refused_by_name() -> None:
    config = EnvConfig(id="user_envs:TwoSwitches-v0")
    message = r"TwoSwitches-v0: the action space must be .* a Discrete, got MultiDiscrete.*env\.wrappers"
    with pytest.raises(ConfigError, match=message):
        check_env(config)
