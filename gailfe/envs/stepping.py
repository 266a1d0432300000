"""Steps several environments once: with Gymnasium's numbers to the last bit, and in less Python.

What Gymnasium's MuJoCo tasks compute around the physics (observation, reward, termination) takes up to half as
long as the physics itself when each environment does it alone; for several together it is a few array operations.
Only tasks exactly as Gymnasium has them are stepped so; others, a wrapped one too, by their own `step`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import gymnasium
import mujoco
import numpy as np
from gymnasium.envs.mujoco.ant_v5 import AntEnv
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
from gymnasium.envs.mujoco.hopper_v5 import HopperEnv
from gymnasium.envs.mujoco.walker2d_v5 import Walker2dEnv


class Outcome(NamedTuple):
    """The outcome of one step in n environments, before any reset."""

    observations: np.ndarray  # (n, obs_dim)
    rewards: np.ndarray  # (n,)
    terminated: np.ndarray  # (n,) bool
    truncated: np.ndarray  # (n,) bool


Stepper = Callable[[Sequence[int], np.ndarray], Outcome]  # indices of the environments to step (n,), their actions


def make_stepper(envs: Sequence[gymnasium.Env[Any, Any]]) -> Stepper:
    """Return the fastest stepper of `envs`, which all have the same configuration."""
    task = STOCK_TASKS.get(type(envs[0]))
    return OneByOne(envs) if task is None or envs[0].render_mode == "human" else task(envs)


class OneByOne:
    """Each environment by its own `step`."""

    def __init__(self, envs: Sequence[gymnasium.Env[Any, Any]]) -> None:
        self._envs = envs

    def __call__(self, indices: Sequence[int], actions: np.ndarray) -> Outcome:
        steps = [self._envs[i].step(action)[:4] for i, action in zip(indices, actions, strict=True)]
        observations, rewards, terminated, truncated = zip(*steps, strict=True)
        return Outcome(
            np.stack(observations, dtype=float),
            np.array(rewards, dtype=float).reshape(len(steps)),  # some environments give arrays of shape (1,)
            np.array(terminated, dtype=bool).reshape(len(steps)),
            np.array(truncated, dtype=bool).reshape(len(steps)),
        )


class StockTask:
    """Physics one by one, the rest together: the formulas of gymnasium.envs.mujoco, in the same order."""

    max_velocity: float | None = None  # beyond which observed velocities are clipped
    hidden_positions = 1  # how many the observation leaves out if the task excludes the current position

    def __init__(self, envs: Sequence[Any]) -> None:
        self.task = envs[0].unwrapped
        self._physics = [(env.unwrapped.model, env.unwrapped.data) for env in envs]
        # Views of what the simulation changes in place: to ask for one at every step takes longer than to read it.
        self._views = [(data.ctrl, data.qpos, data.qvel) for _, data in self._physics]
        self._x = [self.x_position(data) for _, data in self._physics]
        self._dt = self.task.dt
        self._skipped = self.hidden_positions * self.task._exclude_current_positions_from_observation

    def __call__(self, indices: Sequence[int], actions: np.ndarray) -> Outcome:
        n, model = len(indices), self.task.model
        qpos, qvel = np.empty((n, model.nq)), np.empty((n, model.nv))
        x = [self._x[i] for i in indices]
        before = np.concatenate(x)
        for row, i in enumerate(indices):
            ctrl, position, velocity = self._views[i]
            ctrl[:] = actions[row]
            self.simulate(*self._physics[i])
            qpos[row], qvel[row] = position, velocity
        x_velocity = (np.concatenate(x) - before) / self._dt
        health, ends = self.survival(qpos, qvel)
        rewards = self.task._forward_reward_weight * x_velocity + health
        costs = self.task._ctrl_cost_weight * np.add.reduce(np.square(actions), axis=1)
        observed = [qpos[:, self._skipped :], qvel]
        if self.max_velocity is not None:
            observed[1] = np.minimum(np.maximum(qvel, -self.max_velocity), self.max_velocity)
        costs, observed = self.with_contacts(indices, costs, observed)
        return Outcome(np.concatenate(observed, axis=1), rewards - costs, ends, np.zeros(n, dtype=bool))

    def x_position(self, data: Any) -> np.ndarray:
        """(1,), a view of what the task wants to move."""
        return data.qpos[:1]

    def simulate(self, model: Any, data: Any) -> None:
        mujoco.mj_step(model, data, nstep=self.task.frame_skip)

    def survival(self, qpos: np.ndarray, qvel: np.ndarray) -> tuple[np.ndarray | float, np.ndarray]:
        """Return the reward for being healthy, and whether the episode ends, (n,) bool."""
        healthy = self.healthy(qpos, qvel)
        return healthy * self.task._healthy_reward, ~healthy & bool(self.task._terminate_when_unhealthy)

    def healthy(self, qpos: np.ndarray, qvel: np.ndarray) -> np.ndarray:
        """(n,) bool"""
        raise NotImplementedError

    def with_contacts(
        self, indices: Sequence[int], costs: np.ndarray, observed: list[np.ndarray]
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Add the forces of contacts to the costs and to the observation: nothing here."""
        return costs, observed


class Walker2d(StockTask):
    max_velocity = 10.0

    def __init__(self, envs: Sequence[Any]) -> None:
        super().__init__(envs)
        self._low, self._high = np.array([self.task._healthy_z_range, self.task._healthy_angle_range]).T

    def healthy(self, qpos: np.ndarray, qvel: np.ndarray) -> np.ndarray:
        return _inside(qpos[:, 1:3], self._low, self._high)


class Hopper(Walker2d):
    def __init__(self, envs: Sequence[Any]) -> None:
        super().__init__(envs)
        low, high = self.task._healthy_state_range  # of everything but x and z, so of the angle too
        others = self.task.model.nq + self.task.model.nv - 3
        self._low = np.array([self._low[0], max(low, self._low[1]), *[low] * others])
        self._high = np.array([self._high[0], min(high, self._high[1]), *[high] * others])

    def healthy(self, qpos: np.ndarray, qvel: np.ndarray) -> np.ndarray:
        return _inside(np.concatenate([qpos[:, 1:], qvel], axis=1), self._low, self._high)


class HalfCheetah(StockTask):
    def survival(self, qpos: np.ndarray, qvel: np.ndarray) -> tuple[np.ndarray | float, np.ndarray]:
        return 0.0, np.zeros(len(qpos), dtype=bool)


class Ant(StockTask):
    hidden_positions = 2

    def __init__(self, envs: Sequence[Any]) -> None:
        super().__init__(envs)
        self._forces = [data.cfrc_ext for _, data in self._physics]

    def x_position(self, data: Any) -> np.ndarray:
        return data.body(self.task._main_body).xpos[:1]

    def simulate(self, model: Any, data: Any) -> None:
        super().simulate(model, data)
        mujoco.mj_rnePostConstraint(model, data)  # the forces of contacts, which only this task reads

    def healthy(self, qpos: np.ndarray, qvel: np.ndarray) -> np.ndarray:
        low, high = self.task._healthy_z_range
        finite = np.isfinite(qpos).all(axis=1) & np.isfinite(qvel).all(axis=1)
        return finite & (low <= qpos[:, 2]) & (qpos[:, 2] <= high)

    def with_contacts(
        self, indices: Sequence[int], costs: np.ndarray, observed: list[np.ndarray]
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        task, n = self.task, len(indices)
        forces = np.stack([self._forces[i] for i in indices]).clip(*task._contact_force_range)
        if task._include_cfrc_ext_in_observation:
            observed = [*observed, forces[:, 1:].reshape(n, -1)]
        return costs + task._contact_cost_weight * np.square(forces).reshape(n, -1).sum(axis=1), observed


STOCK_TASKS: dict[type, type[StockTask]] = {
    HopperEnv: Hopper,
    Walker2dEnv: Walker2d,
    HalfCheetahEnv: HalfCheetah,
    AntEnv: Ant,
}


def _inside(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return whether all of a row lies between `low` and `high`: (n, k), (k,), (k,) → (n,) bool."""
    return np.logical_and.reduce((low < x) & (x < high), axis=1)
