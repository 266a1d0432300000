"""The exact state of an environment: what counts as exact is, bit by bit, and nothing else counts as exact."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from helpers import make_policy, seeded
from user_envs import own

from gailfe.config.schema import EnvConfig
from gailfe.envs.making import check_env
from gailfe.envs.rollout import Collector
from gailfe.envs.state import MUJOCO_TASKS
from gailfe.envs.vector import Step, VectorEnv
from gailfe.storage.checkpoint import load_checkpoint, save_checkpoint

NAMES = {"half_cheetah": "HalfCheetah", "humanoidstandup": "HumanoidStandup", "walker2d": "Walker2d"}
STOCK = [
    f"{NAMES.get(task, task.title().replace('_', ''))}-v{version}"
    for task in MUJOCO_TASKS
    for version in (4, 5)
    if (task, version) != ("pusher", 4)  # which doesn't run with MuJoCo 3 or later
]
EXACT = [EnvConfig(id=name) for name in [*STOCK, "Pendulum-v1", "MountainCarContinuous-v0"]]
EXACT += [EnvConfig(id=name) for name in ("CartPole-v1", "Acrobot-v1", "MountainCar-v0")]
EXACT += [own("OfferingHopper-v0"), own("OfferingPendulum-v0")]
NOT_EXACT = ["CountingHopper-v0", "NormalizedHopper-v0", "CountingPendulum-v0"]


def play(env: VectorEnv, actions: np.ndarray) -> list[Step]:
    return [env.step(action) for action in actions]


@pytest.mark.parametrize("config", EXACT, ids=lambda config: config.id)
def test_a_restored_environment_takes_the_same_steps_bit_for_bit(config: EnvConfig, tmp_path: Path) -> None:
    config.max_episode_steps = 15
    original = VectorEnv(config, num_envs=2, seed=0)
    original.reset()
    assert original.restorable
    original.action_space.seed(0)
    actions = np.array([[original.action_space.sample() for _ in range(2)] for _ in range(40)])
    play(original, actions[:9])
    state = original.state_dict()
    save_checkpoint(tmp_path / "state.pt", state)
    expected = play(original, actions[9:])
    assert sum((step.terminated | step.truncated).sum() for step in expected) >= 2

    for saved in (state, load_checkpoint(tmp_path / "state.pt")):
        assert saved is not None
        fresh = VectorEnv(config, num_envs=2, seed=99)  # every bit of the state is the saved one's
        fresh.load_state_dict(saved)
        for t, (mine, other) in enumerate(zip(play(fresh, actions[9:]), expected, strict=True)):
            for field in Step._fields:
                assert np.array_equal(getattr(mine, field), getattr(other, field)), (t, field)


@pytest.mark.parametrize("name", NOT_EXACT)
def test_state_of_its_own_that_nobody_offers_is_not_exact_and_new_episodes_begin(name: str) -> None:
    collectors = [Collector(VectorEnv(own(name), num_envs=1, seed=0)) for _ in range(2)]
    env = collectors[0].env
    assert not env.restorable
    with pytest.raises(TypeError, match="get_state"):
        env.state_dict()
    start = collectors[1].observations
    policy = make_policy(env.observation_dim, space=env.action_space)
    collectors[0].collect(policy, 6, seeded(0))
    assert collectors[1].load_state_dict(collectors[0].state_dict()) is False
    assert np.array_equal(collectors[1].observations, start)


def test_a_state_that_no_checkpoint_can_hold_is_not_exact_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = own("ObjectHopper-v0")
    check_env(config)
    assert re.search(r"ObjectHopper-v0: OffersAnObject\.get_state\(\) .*NumPy arrays.*new episodes", caplog.text)
    env = VectorEnv(config, num_envs=1, seed=0)
    env.reset()
    assert not env.restorable
