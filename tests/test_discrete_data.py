"""Discrete actions in own data, from Stable-Baselines3 and from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from algorithms import DISCRETE
from gymnasium.envs.classic_control import CartPoleEnv
from gymnasium.wrappers import FlattenObservation, TimeLimit
from helpers import compose, seeded
from own_datasets import record, write_arrays
from sb3_files import save_model
from user_envs import Corridor, FirstFour

import gailfe
from expert.import_demonstrations import main as import_main
from expert.own_data import load_own_data
from expert.sb3 import load_sb3
from gailfe.config.keys import ConfigError
from gailfe.envs.trajectory import Trajectory


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
    given = {"env.wrappers": ["gymnasium.wrappers.FlattenObservation"], **TINY}
    policy = gailfe.imitate("user_envs:Corridor-v0", demonstrations, algo="gail", **given)
    assert set(policy.predict(np.random.default_rng(0).normal(size=(99, 4)))[0]) <= {-1, 0, 1}
    made = gailfe.imitate(lambda: FlattenObservation(Corridor()), demonstrations, algo="gail", **TINY)
    assert [row["kl"] for row in made.metrics] == [row["kl"] for row in policy.metrics]
