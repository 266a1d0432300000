"""Discrete actions, from the command line, in own data, from Stable-Baselines3 and from Python."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pandas as pd
import pytest
import torch
from algorithms import DISCRETE, rows, run, run_killed_after, small_run, weights
from gymnasium.envs.classic_control import CartPoleEnv
from gymnasium.spaces import Discrete
from gymnasium.wrappers import FlattenObservation, TimeLimit
from helpers import compose, fell, make_algo, make_failures, make_imitator, seeded
from minari import MinariDataset
from own_datasets import record, write_arrays
from sb3_files import save_model
from user_envs import Corridor, FirstFour

import gailfe
from expert.demonstrations import load_trajectories
from expert.import_demonstrations import main as import_main
from expert.own_data import load_own_data
from expert.sb3 import load_sb3
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

TESTS = Path(__file__).parent
CARTPOLE = EnvConfig(name="cartpole", id="CartPole-v1", num_iterations=1)
FLATTEN = "gymnasium.wrappers.FlattenObservation"


def command(folder: Path, *overrides: str) -> tuple[int, str]:
    """The smallest run of all stages."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "gailfe.run", "--config-dir", str(TESTS / "conf"), "experiment=tiny"),
            *("env=cartpole", "tracking=none", "demonstrations.max_attempts=200", *overrides),
            *(f"paths.runs={folder / 'runs'}", f"paths.artifacts={folder / 'artifacts'}"),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_cartpole_goes_through_all_three_stages_and_what_was_learned_is_evaluated_and_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, output = command(
        tmp_path,
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


def own(path: Path, *overrides: str) -> Any:
    chosen = ("env=cartpole", "demonstrations=minari", f"demonstrations.dataset={path}", *overrides)
    return load_own_data(compose(*chosen))


def test_a_minari_dataset_of_somebodys_is_taken_and_one_of_other_actions_is_refused(tmp_path: Path) -> None:
    mine = record(tmp_path, "mine-v0", env_id="CartPole-v1", episodes=3)
    demonstrations = own(mine)
    assert len(demonstrations.expert) == 3
    assert {episode.actions.dtype for episode in demonstrations.expert} == {np.dtype(np.int64)}
    with pytest.raises(
        ConfigError, match=r"actions of env\.id=Acrobot-v1 are Discrete\(3\), .* got Discrete\(2\)"
    ):
        own(mine, "env.id=Acrobot-v1", "env.wrappers=[user_envs.FirstFour]")


ARRAYS: dict[str, Any] = {
    "observations": np.zeros((5, 4)),
    "actions": np.array([0, 1, 1, 0, 1]),
    "terminated": np.array([0, 0, 1, 0, 1]),
}


def test_arrays_are_imported_and_an_action_out_of_range_is_told_by_episode_and_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def imported(actions: Any, name: str = "out") -> str:
        source = write_arrays(tmp_path / "mine.npz", {**ARRAYS, "actions": np.array(actions)})
        code = import_main([f"source={source}", f"out={tmp_path / name}", "env=cartpole"])
        captured = capsys.readouterr()
        assert code == (0 if captured.err == "" else 1)
        return captured.err or "taken"

    wrongs: list[list[float]] = [[0, 1, 1, 0, 2], [0, 1, 1, 0, 0.5], [0, 1, 1, 0, -1]]
    for number, wrong in enumerate(wrongs):
        said = f"actions must be integers from 0 to 1, got {wrong[-1]} in row 4 (episode 1, step 1)"
        assert said in imported(wrong, f"wrong-{number}")
    assert "actions has shape (5, 1), must be (5,)" in imported([[0]] * 5)
    assert imported([0.0, 1, 1, 0, 1], "out") == "taken"  # as NumPy has them who made an array of floats
    expert = own(tmp_path / "out").expert
    assert [t.actions.tolist() for t in expert] == [[0, 1, 1], [0, 1]]
    assert expert[0].actions.dtype == np.int64


def test_a_policy_of_stable_baselines3_is_an_expert(tmp_path: Path) -> None:
    pytest.importorskip("sb3_contrib")
    for name in ("PPO", "DQN", "QRDQN"):
        model = save_model(tmp_path / f"{name}.zip", name, "CartPole-v1")
        chosen = ("expert=sb3", f"expert.file={tmp_path / f'{name}.zip'}", f"expert.algo={name.lower()}")
        config = compose("env=cartpole", *chosen, "expert.allow_pickle=true")
        policy = load_sb3(config)
        observations = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
        expected, _ = model.predict(observations, deterministic=True)
        assert np.array_equal(policy.acting()(observations), expected)
        drawn = [policy.acting(seeded(1))(observations) for _ in range(2)]
        assert np.array_equal(drawn[0], drawn[1])  # by the seed alone
        assert {action.dtype for action in drawn} == {np.dtype(np.int64)}
    config.env.id, config.env.wrappers = "Acrobot-v1", ["user_envs.FirstFour"]
    with pytest.raises(ConfigError, match=r"Acrobot-v1 are a Discrete of 3 from 0 on, .* got a Discrete of 2"):
        load_sb3(config)


TINY: dict[str, Any] = {
    "num_iterations": 2,
    "algo.num_envs": 2,
    "algo.steps_per_iteration": 64,
    "algo.policy.hidden_sizes": [8],
    "evaluation.episodes": 1,
    "max_episode_steps": 30,
}


def test_the_library_learns_from_python_and_predicts_integers(tmp_path: Path) -> None:
    policy = gailfe.imitate("CartPole-v1", DISCRETE.expert, DISCRETE.failed, **TINY)
    rows = np.random.default_rng(0).normal(size=(7, 4))
    several, _ = policy.predict(rows)
    assert several.dtype == np.int64
    assert several.shape == (7,)
    one, _ = policy.predict(rows[3])
    assert np.shape(one) == ()
    assert one == several[3]
    env = TimeLimit(CartPoleEnv(), 10)
    observation, _ = env.reset(seed=0)
    env.step(policy.predict(observation)[0])
    evaluation = pytest.importorskip("stable_baselines3.common.evaluation")
    mean, _ = evaluation.evaluate_policy(policy, env, n_eval_episodes=2, warn=False)
    assert 5 <= mean <= 10
    policy.save(tmp_path)
    (episode,) = gailfe.rollout(gailfe.load_policy(tmp_path), "CartPole-v1", max_episode_steps=12)
    assert np.array_equal(episode.actions, policy.predict(episode.observations[:-1])[0])
    with pytest.raises(ConfigError, match=r"actions are Discrete\(2\), those of .* Discrete\(3\)"):
        gailfe.rollout(policy, lambda: FirstFour(gymnasium.make("Acrobot-v1")))


def test_the_library_takes_a_module_and_wrappers_and_an_environment_that_is_wrapped() -> None:
    demonstrations = [
        Trajectory(np.ones((5, 4)), np.array([-1, 0, 1, 1]), np.zeros(4), terminated=False, truncated=True)
    ] * 2
    given = {"env.wrappers": [FLATTEN], **TINY}
    policy = gailfe.imitate("user_envs:Corridor-v0", demonstrations, algo="gail", **given)
    assert set(policy.predict(np.random.default_rng(0).normal(size=(99, 4)))[0]) <= {-1, 0, 1}
    made = gailfe.imitate(lambda: FlattenObservation(Corridor()), demonstrations, algo="gail", **TINY)
    assert [row["kl"] for row in made.metrics] == [row["kl"] for row in policy.metrics]
