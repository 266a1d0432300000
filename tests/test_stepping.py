"""Several environments stepped together give what each gives alone, to the last bit."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.mujoco.hopper_v5 import HopperEnv

from gailfe.envs.stepping import OneByOne, StockTask, make_stepper

TASKS: list[tuple[str, dict[str, Any]]] = [
    ("Hopper-v5", {}),
    ("Hopper-v5", {"terminate_when_unhealthy": False, "ctrl_cost_weight": 0.7, "healthy_reward": 3.0}),
    ("Hopper-v5", {"healthy_state_range": (-1.0, 1.0), "forward_reward_weight": 2.0, "frame_skip": 2}),
    ("Walker2d-v5", {}),
    ("Walker2d-v5", {"exclude_current_positions_from_observation": False, "healthy_angle_range": (-0.2, 0.2)}),
    ("HalfCheetah-v5", {}),
    ("HalfCheetah-v5", {"exclude_current_positions_from_observation": False, "ctrl_cost_weight": 0.7}),
    ("Ant-v5", {}),
    ("Ant-v5", {"contact_force_range": (-0.01, 0.02), "contact_cost_weight": 0.3, "main_body": 2}),
    ("Ant-v5", {"include_cfrc_ext_in_observation": False, "healthy_z_range": (0.5, 0.8)}),
]


def make(env_id: str, count: int, **kwargs: Any) -> list[gymnasium.Env[Any, Any]]:
    spec = gymnasium.spec(env_id)
    spec.order_enforce = False
    envs = [gymnasium.make(spec, max_episode_steps=-1, disable_env_checker=True, **kwargs) for _ in range(count)]
    for seed, env in enumerate(envs):
        env.reset(seed=seed)
    return envs


@pytest.mark.parametrize(("env_id", "kwargs"), TASKS)
def test_together_gives_what_gymnasium_gives_alone(env_id: str, kwargs: dict[str, Any]) -> None:
    together, alone = make(env_id, 3, **kwargs), make(env_id, 3, **kwargs)
    stepper, by_itself = make_stepper(together), OneByOne(alone)
    assert isinstance(stepper, StockTask)
    rng = np.random.default_rng(0)
    ends = 0
    for t in range(300):
        indices = [0, 1, 2] if t % 3 else [2, 0]
        low, high = together[0].action_space.low, together[0].action_space.high  # type: ignore[attr-defined]
        actions = rng.uniform(low, high, (len(indices), len(low))).astype(np.float32)
        mine, theirs = stepper(indices, actions), by_itself(indices, actions)
        for name, value in mine._asdict().items():
            expected = getattr(theirs, name)
            assert value.dtype == expected.dtype
            assert np.array_equal(value, expected), (t, name)
        for i, ended in zip(indices, mine.terminated, strict=True):
            if ended:
                ends += 1
                assert np.array_equal(together[i].reset()[0], alone[i].reset()[0])
    never = env_id == "HalfCheetah-v5" or kwargs.get("terminate_when_unhealthy") is False
    assert (ends == 0) == never


class SlowHopper(HopperEnv):
    """A task of somebody's own."""


@pytest.mark.parametrize(
    "env", [SlowHopper(), gymnasium.make("Hopper-v5"), gymnasium.make("Pendulum-v1"), gymnasium.make("Reacher-v5")]
)
def test_what_is_not_exactly_a_stock_task_is_stepped_by_itself(env: gymnasium.Env[Any, Any]) -> None:
    assert isinstance(make_stepper([env]), OneByOne)
