"""`env.wrappers`: applied everywhere, a part of the recipe, and refused by key and value before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import FlattenObservation, RescaleAction
from helpers import HOPPER, compose, make_policy, seeded
from minari import MinariDataset

from expert.collect import demonstrations_recipe
from expert.demonstrations import save_dataset
from expert.experts import env_recipe
from gailfe.config.keys import ConfigError
from gailfe.config.schema import EnvConfig
from gailfe.envs.making import check_env, make_env
from gailfe.envs.rollout import Collector
from gailfe.envs.trajectory import Trajectory
from gailfe.envs.vector import VectorEnv
from gailfe.nn.policy import make_policy as make_any_policy
from gailfe.storage.recipe import run_recipe

FLATTEN = "gymnasium.wrappers.FlattenObservation"
RESCALE = {"_target_": "gymnasium.wrappers.RescaleAction", "min_action": -0.5, "max_action": 0.5}


def wrapped(name: str, *wrappers: Any) -> EnvConfig:
    return EnvConfig(name="own", id=f"user_envs:{name}", wrappers=list(wrappers), num_iterations=1)


def test_wrappers_are_applied_in_order_with_their_arguments_from_a_command_line() -> None:
    command = (
        "env=pendulum",
        "env.wrappers=[{_target_: gymnasium.wrappers.RescaleAction, min_action: -0.5, max_action: 0.5},"
        " gymnasium.wrappers.FlattenObservation]",
    )
    env = make_env(compose(*command).env)
    assert isinstance(env, FlattenObservation)
    assert isinstance(env.env, RescaleAction)
    assert env.action_space.high == pytest.approx(0.5)  # type: ignore[attr-defined]


def test_what_is_observed_as_a_dict_or_a_picture_is_refused_with_what_to_do() -> None:
    for name in ("Corridor-v0", "Screen-v0"):
        with pytest.raises(ConfigError, match=rf"{name}: the observation space must be a flat Box.*{FLATTEN}\]"):
            check_env(wrapped(name))
    spaces = check_env(wrapped("Corridor-v0", FLATTEN))
    assert spaces.observation_dim == 4  # three of them one-hot
    assert spaces.action == gymnasium.spaces.Discrete(3, start=-1)
    assert check_env(EnvConfig(id="FrozenLake-v1", wrappers=[FLATTEN])).observation_dim == 16
    assert make_env(wrapped("Screen-v0", FLATTEN)).observation_space.shape == (192,)


@pytest.mark.parametrize(
    ("wrapper", "message"),
    [
        (
            "gymnasium.wrappers.Flat",
            r"can't be imported: .*Flat.*; valid is the import path of a wrapper, such as",
        ),
        ("no_such_module.Wrapper", r"can't be imported: .*no_such_module"),
        ({"_target_": FLATTEN, "depth": 3}, r"depth.* can't wrap .*CartPole.*unexpected keyword argument 'depth'"),
        ("os.path.isfile", r"can't wrap|must make a gymnasium\.Env"),
        ("builtins.repr", r"must make a gymnasium\.Env of .*, got '"),
    ],
)
def test_a_wrapper_that_cannot_be_had_is_refused_by_key_and_value(wrapper: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"env\.wrappers\[1\]=.*({message})"):
        make_env(EnvConfig(id="CartPole-v1", wrappers=[FLATTEN, wrapper]))


@pytest.mark.parametrize(
    "given", ["[3]", "[{min_action: 1}]", "['']", "[[gymnasium.wrappers.FlattenObservation]]"]
)
def test_what_names_no_wrapper_is_refused_before_anything_is_imported(given: str) -> None:
    with pytest.raises(ConfigError, match=r"env\.wrappers=.* must be a list of import paths, or of mappings"):
        compose(f"env.wrappers={given}")


def test_wrappers_are_a_part_of_every_recipe_and_none_leaves_recipes_as_they_were() -> None:
    plain, flat = compose("env=pendulum"), compose("env=pendulum", f"env.wrappers=[{FLATTEN}]")
    assert env_recipe(plain.env) == {"id": "Pendulum-v1", "kwargs": {}, "max_episode_steps": None}
    assert env_recipe(flat.env)["wrappers"] == [FLATTEN]
    assert demonstrations_recipe(flat)["env"] == env_recipe(flat.env)
    assert "wrappers" not in run_recipe(plain, "key")["env"]
    assert run_recipe(flat, "key")["env"]["wrappers"] == [FLATTEN]


@pytest.mark.parametrize(("name", "exact"), [("SteadyCorridor-v0", True), ("Corridor-v0", False)])
def test_a_resume_through_a_wrapper_is_exact_where_the_environment_has_its_state(name: str, exact: bool) -> None:
    collectors = [Collector(VectorEnv(wrapped(name, FLATTEN), num_envs=2, seed=0)) for _ in range(2)]
    env = collectors[0].env
    policy = make_any_policy(env.observation_dim, env.action_space, [4], 0.0, seeded(0))
    collectors[0].collect(policy, 9, seeded(1))
    assert collectors[1].load_state_dict(collectors[0].state_dict()) is exact
    if exact:
        batches = [collector.collect(policy, 40, seeded(2)) for collector in collectors]
        assert np.array_equal(batches[0].observations, batches[1].observations)
        assert len(batches[0].finished) > 0


def test_wrapped_hoppers_step_as_the_wrapper_says_and_resume_exactly() -> None:
    config = EnvConfig(id=HOPPER.id, wrappers=[RESCALE])
    env = VectorEnv(config, num_envs=1, seed=0)
    policy = make_policy(env.observation_dim, space=env.action_space, log_std_init=1.0)
    batch = Collector(env).collect(policy, 20, seeded(0))
    assert batch.actions.abs().max() == 0.5
    assert env.restorable


def test_minari_makes_a_wrapped_environment_again(tmp_path: Path) -> None:
    config = wrapped("Corridor-v0", {"_target_": FLATTEN})
    trajectory = Trajectory(np.zeros((3, 4)), np.array([-1, 1]), np.zeros(2), terminated=True, truncated=False)
    save_dataset(tmp_path, "flat-v0", [trajectory], config, "noise", {})
    dataset = MinariDataset(tmp_path / "data")
    assert dataset.action_space == gymnasium.spaces.Discrete(3, start=-1)
    recovered = dataset.recover_environment()
    assert recovered.observation_space == make_env(config).observation_space
