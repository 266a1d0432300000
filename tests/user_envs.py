"""Environments of somebody's own, registered when this module is imported: env.id=user_envs:Odd-v0."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.classic_control import CartPoleEnv, PendulumEnv
from gymnasium.envs.mujoco.hopper_v5 import HopperEnv
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete
from gymnasium.wrappers import NormalizeReward

from gailfe.config.schema import EnvConfig


def own(name: str, **kwargs: Any) -> EnvConfig:
    """The configuration of one of these environments."""
    return EnvConfig(name="own", id=f"user_envs:{name}", kwargs=kwargs, num_iterations=1)


class Odd(gymnasium.Env):
    """A point on a line, with everything that is unusual and yet can be learned from.

    Actions are float64 and checked against bounds that lie between two float32; the bounds of one dimension
    coincide; reward and ends are arrays of shape (1,).
    """

    observation_space = Box(-10, 10, (2,), dtype=np.int64)
    action_space = Box(np.array([-0.3, 0.1, -0.1]), np.array([0.3, 0.1, 0.7]), dtype=np.float64)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.position = self.np_random.uniform(-3, 3)
        return self._observed(), {}

    def step(self, action: np.ndarray) -> tuple[Any, ...]:
        assert action.dtype == np.float64
        assert self.action_space.contains(action), action
        self.position += action[0] + action[2]
        reward = np.array([1.0 - 0.1 * abs(self.position)])
        return self._observed(), reward, np.array([abs(self.position) > 9]), np.array([False]), {}

    def _observed(self) -> np.ndarray:
        return np.array([round(self.position), round(10 * self.position) % 10])


class Faulty(PendulumEnv):
    """Pendulum with a fault: `gives` of what `fault` names, from step `after` of each episode on."""

    def __init__(self, fault: str = "reward", gives: Any = np.nan, after: int = 0) -> None:
        super().__init__()
        self.fault, self.gives, self.after = fault, gives, after

    def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict]:
        self.elapsed = 0
        observation, info = super().reset(**kwargs)
        return (np.array([1.0, self.gives, 0.0]) if self.fault == "reset" else observation), info

    def step(self, action: np.ndarray) -> tuple[Any, ...]:
        observation, reward, *rest = super().step(action)
        self.elapsed += 1
        if self.elapsed >= self.after:
            if self.fault == "raise":
                raise RuntimeError(self.gives)
            observation = np.array([1.0, self.gives, 0.0]) if self.fault == "observation" else observation
            reward = self.gives if self.fault == "reward" else reward
        return observation, reward, *rest


class IntegerActions(PendulumEnv):
    def __init__(self) -> None:
        super().__init__()
        self.action_space = Box(-2, 2, (1,), dtype=np.int64)


class FirstFour(gymnasium.ObservationWrapper):
    """The first four numbers of what is observed."""

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self.observation_space = Box(-np.inf, np.inf, (4,), dtype=np.float32)

    def observation(self, observation: np.ndarray) -> np.ndarray:
        return observation[:4]


class Corridor(gymnasium.Env):
    """Steps back and forth (-1, 0, 1) on a corridor that one can fall off; what it observes is a Dict."""

    observation_space = Dict({"place": Box(-5, 5, (1,), dtype=np.float32), "colour": Discrete(3)})
    action_space = Discrete(3, start=-1)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self.place = float(self.np_random.uniform(-1, 1))
        return self._observed(), {}

    def step(self, action: int) -> tuple[Any, ...]:
        assert self.action_space.contains(action), action
        self.place += 0.5 * action + self.np_random.normal(scale=0.1)
        return self._observed(), 1.0 - abs(self.place), abs(self.place) > 3, False, {}

    def _observed(self) -> Any:
        colour = int(np.clip(round(self.place), -1, 1)) + 1
        return {"place": np.array([self.place], dtype=np.float32), "colour": colour}


class SteadyCorridor(Corridor):
    """It offers its state."""

    def get_state(self) -> dict[str, Any]:
        return {"place": self.place}

    def set_state(self, state: dict[str, Any]) -> None:
        self.place = state["place"]


class Spaces(gymnasium.Wrapper):
    """An environment that says that it has other spaces."""

    def __init__(self, env: gymnasium.Env, **spaces: gymnasium.Space) -> None:
        super().__init__(env)
        for name, space in spaces.items():
            setattr(self, f"{name}_space", space)


class CountingPendulum(PendulumEnv):
    """Its reward is the number of the step in all its life, which no reset begins anew."""

    count = 0

    def step(self, action: np.ndarray) -> tuple[Any, ...]:
        self.count += 1
        observation, _, *rest = super().step(action)
        return observation, float(self.count), *rest


class OfferingPendulum(CountingPendulum):
    """It offers all that it knows, but the random numbers."""

    def get_state(self) -> dict[str, Any]:
        return {"count": self.count, "pendulum": self.state, "torque": (np.float32(0.1), [None])}

    def set_state(self, state: dict[str, Any]) -> None:
        assert isinstance(state["torque"][0], np.float32)
        self.count, self.state = state["count"], state["pendulum"]


class CountingHopper(HopperEnv):
    """Its reward is the number of the step in all its life, which no reset begins anew."""

    count = 0

    def step(self, action: np.ndarray) -> tuple[Any, ...]:
        self.count += 1
        observation, _, *rest = super().step(action)
        return observation, float(self.count), *rest


class OffersCount(gymnasium.Wrapper):
    def get_state(self) -> dict[str, Any]:
        return {"count": self.unwrapped.count}  # type: ignore[attr-defined]

    def set_state(self, state: dict[str, Any]) -> None:
        self.unwrapped.count = state["count"]  # type: ignore[attr-defined]


class OffersAnObject(gymnasium.Wrapper):
    def get_state(self) -> dict[str, Any]:
        return {"environment": self}

    def set_state(self, state: dict[str, Any]) -> None:
        pass


class Drawn(gymnasium.Env):
    """A point that moves by its action; a frame is of the brightness of its step. Needs no OpenGL."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    observation_space = action_space = Box(-1, 1, (1,), dtype=np.float32)

    def __init__(self, render_mode: str | None = None, noise: float = 0.0, frame: object = np.uint8) -> None:
        self.render_mode, self.noise, self.frame = render_mode, noise, frame

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps, self.place = 0, self.np_random.uniform(-1, 1, size=1).astype(np.float32)
        return self.place.copy(), {}

    def step(self, action):
        self.steps += 1
        self.place += np.float32(0.01) * action
        if self.noise:
            self.place += self.np_random.normal(scale=self.noise, size=1).astype(np.float32)
        return self.place.copy(), float(self.place[0]), bool(self.place[0] < 0), False, {}

    def render(self):
        return np.full((31, 40, 3), self.steps, dtype=np.uint8) if self.frame else None


ENTRY_POINTS: dict[str, Any] = {
    "Odd-v0": Odd,
    "Faulty-v0": Faulty,
    "IntegerActions-v0": IntegerActions,
    "Corridor-v0": Corridor,
    "SteadyCorridor-v0": SteadyCorridor,
    "Screen-v0": lambda: Spaces(CartPoleEnv(), observation=Box(0, 255, (8, 8, 3), dtype=np.uint8)),
    "TwoSwitches-v0": lambda: Spaces(CartPoleEnv(), action=MultiDiscrete([2, 3])),
    "CountingPendulum-v0": CountingPendulum,
    "OfferingPendulum-v0": OfferingPendulum,
    "CountingHopper-v0": CountingHopper,
    "OfferingHopper-v0": lambda: OffersCount(CountingHopper()),
    "NormalizedHopper-v0": lambda: NormalizeReward(HopperEnv()),
    "ObjectHopper-v0": lambda: OffersAnObject(HopperEnv()),
}
for name, entry_point in ENTRY_POINTS.items():
    gymnasium.register(id=name, entry_point=entry_point, max_episode_steps=25)
gymnasium.register(id="Drawn-v0", entry_point=Drawn, max_episode_steps=12)  # type: ignore[arg-type]
