"""Environments of somebody's own: what can be learned from works in all stages, the rest is refused before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pandas as pd
import pytest
import torch
from commands import run_own
from helpers import PENDULUM, make_policy, make_trajectory, seeded
from minari import MinariDataset
from user_envs import Odd, own

from expert.demonstrations import load_trajectories, save_dataset
from gailfe.config.keys import ConfigError
from gailfe.config.schema import EnvConfig
from gailfe.envs.episodes import NotFinite
from gailfe.envs.evaluation import Evaluator
from gailfe.envs.making import check_env, spaces_of
from gailfe.envs.rollout import Collector
from gailfe.envs.vector import VectorEnv
from gailfe.nn.gaussian import GaussianPolicy

OWN = ["env=pendulum", "env.name=own", "algo=gailfe", "annotator=terminated", "env.terminates=true"]


def test_an_odd_environment_goes_through_all_three_stages(tmp_path: Path) -> None:
    code, output = run_own(tmp_path, *OWN, "env.id=user_envs:Odd-v0", "env.num_iterations=3")
    assert code == 0, output
    (metrics,) = tmp_path.glob("runs/**/metrics.csv")
    table = pd.read_csv(metrics)
    assert len(table) == 3
    assert np.isfinite(table[["d_policy", "d_expert", "kl", "reward_mean", "value_loss"]]).all(axis=None)
    assert (table["kl"] > 0).any()  # it learns
    (data,) = tmp_path.glob("artifacts/demonstrations/*/expert-v0/data")
    dataset = MinariDataset(data)
    actions = np.concatenate([episode.actions for episode in dataset])[:, [0, 2]].astype(float)
    assert (actions >= Odd.action_space.low[[0, 2]]).all()
    assert (actions <= Odd.action_space.high[[0, 2]]).all()
    assert dataset.recover_environment().unwrapped.action_space == Odd.action_space  # Minari's own way back


def test_actions_stay_inside_bounds_that_float32_does_not_have() -> None:
    env = VectorEnv(own("Odd-v0"), num_envs=1, seed=0)
    policy = make_policy(env.observation_dim, space=env.action_space, log_std_init=3.0)
    batch = Collector(env).collect(policy, 50, seeded(0))  # the environment asserts what it receives
    ours, bounds = batch.actions.numpy()[:, 0].astype(float), Odd.action_space
    assert (ours[:, [0, 2]] >= bounds.low[[0, 2]]).all()
    assert (ours[:, [0, 2]] <= bounds.high[[0, 2]]).all()
    assert np.ptp(ours[:, 0]) == pytest.approx(0.6)  # and reach them
    assert set(ours[:, 1]) == {float(np.float32(0.1))}


def test_a_dimension_without_width_is_the_same_for_everybody_instead_of_nan() -> None:
    space = gymnasium.spaces.Box(np.array([-1, 0.5, -3e38]), np.array([3, 0.5, 3e38]), dtype=np.float64)
    policy = GaussianPolicy(2, space, [4], 0.0, seeded(0))
    units = policy.to_unit(torch.tensor([[3.0, 0.5, 7.0], [1.0, 0.5, -1.0]]))
    assert units.tolist() == [[1.0, 0.0, 7.0], [0.0, 0.0, -1.0]]
    assert policy.to_env(np.array([[1.0, 5.0, 7.0]], dtype=np.float32)).tolist() == [[3.0, 0.5, 7.0]]


def test_a_reward_in_an_array_is_a_number() -> None:
    env = VectorEnv(own("Odd-v0"), num_envs=3, seed=0)
    env.reset()
    step = env.step(np.zeros((3, 3), dtype=np.float32))
    assert step.rewards.shape == step.terminated.shape == step.truncated.shape == (3,)


def test_an_environment_that_minari_cannot_write_down_is_saved_without_it(tmp_path: Path) -> None:
    gymnasium.register(id="Nameless-v0", entry_point=lambda: Odd(), max_episode_steps=9)  # type: ignore[arg-type]
    trajectory = make_trajectory(5, dims=(2, 3))
    save_dataset(tmp_path, "nameless-v0", [trajectory], EnvConfig(name="own", id="Nameless-v0"), "random", {})
    (loaded,) = load_trajectories(tmp_path)
    assert np.array_equal(loaded.actions, trajectory.actions)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (EnvConfig(id="no_such_module:My-v0"), r"no_such_module:My-v0: .*No module named 'no_such_module'"),
        (EnvConfig(id="user_envs:Missing-v0"), r"user_envs:Missing-v0: .*Missing"),
        (EnvConfig(id="HalfCheetah-v3"), r"HalfCheetah-v3 .*mujoco"),
        (own("Faulty-v0", no_such_argument=1), r"Faulty-v0 .*no_such_argument"),
        (
            own("IntegerActions-v0"),
            r"IntegerActions-v0: the action space must be a flat Box of floats or a Discrete.*int64",
        ),
        (own("Faulty-v0", gives=[1.0, 2.0]), r"Faulty-v0: reward .*shape \(\) or \(1,\), got \(2,\)"),
        (own("Faulty-v0", gives=None), r"Faulty-v0: reward .*finite, .*got None"),
        (own("Faulty-v0", gives="much"), r"Faulty-v0: reward .*numbers, got 'much'"),
        (
            own("Faulty-v0", fault="observation"),
            r"the observation of its first step must be finite, .*got \[ ?1\. +nan",
        ),
        (own("Faulty-v0", gives=-1e200), r"Faulty-v0: reward .*at most 1e15 in size, got -1e\+200"),
        (own("Faulty-v0", fault="reset", gives=np.inf), r"the observation of its reset must be finite"),
        (own("Faulty-v0", fault="raise", gives="it broke"), r"first step fails: RuntimeError: it broke"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_by_name(config: EnvConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"env\.id=.*{message}"):
        check_env(config)


def test_the_refusal_comes_before_stage_1_without_a_traceback(tmp_path: Path) -> None:
    code, output = run_own(tmp_path, *OWN, "env.id=user_envs:IntegerActions-v0")
    assert code == 1
    assert "Traceback" not in output
    assert (
        "error: env.id=user_envs:IntegerActions-v0: the action space must be a flat Box of floats or a Discrete"
        in output
    )
    assert not (tmp_path / "artifacts").exists()


def test_the_check_tells_the_spaces() -> None:
    spaces = check_env(PENDULUM)
    assert spaces == spaces_of(PENDULUM)
    assert (spaces.observation_dim, spaces.action.shape) == (3, (1,))


WRONG_LATER: list[tuple[dict[str, Any], str]] = [
    ({"fault": "reward"}, r"step 7 of an episode gave reward=nan, after the action \[.+\]"),
    (
        {"fault": "observation", "gives": np.inf},
        r"step 7 of an episode gave observation\[1\]=inf, after",
    ),
    ({"fault": "reward", "gives": 1e200}, r"step 7 of an episode gave reward=1e\+200, after"),
    ({"fault": "observation", "gives": -1e160}, r"step 7 of an episode gave observation\[1\]=-1e\+160, after"),
]


@pytest.mark.parametrize(("fault", "message"), WRONG_LATER)
def test_an_environments_own_absurd_number_is_told_where_it_comes_in(fault: dict[str, Any], message: str) -> None:
    config = own("Faulty-v0", after=7, **fault)
    policy = make_policy(observation_dim=3, action_dim=1, spread=0.1)
    named = rf"env\.id=user_envs:Faulty-v0, environment 0: {message}"
    collector = Collector(VectorEnv(config, num_envs=2, seed=0))
    collector.collect(policy, 4, seeded(0))
    with pytest.raises(NotFinite, match=named):  # whatever batch the step is in
        collector.collect(policy, 10, seeded(0))
    with pytest.raises(NotFinite, match=named):
        Evaluator(config, episodes=2, seed=0)(policy)


def test_a_reset_to_nan_is_told() -> None:
    collector = Collector(VectorEnv(own("Faulty-v0", fault="reset"), num_envs=1, seed=0))
    with pytest.raises(NotFinite, match=r"environment 0: its reset gave observation\[1\]=nan"):
        collector.collect(make_policy(observation_dim=3, action_dim=1), 3, None)


def test_a_policys_nan_is_not_blamed_on_the_environment() -> None:
    policy = make_policy(observation_dim=3, action_dim=1)
    with torch.no_grad():
        policy.log_std.fill_(torch.nan)
    collector = Collector(VectorEnv(PENDULUM, num_envs=2, seed=0))
    for _ in range(2):  # and not in a later batch, which begins with what it did in this one
        assert collector.collect(policy, 5, seeded(0)).rewards.isnan().all()
