"""A vector of Gymnasium environments whose exact state can be saved and restored.

It adds two things to Gymnasium's own vector environments: the state of the environments that they wrap, and the
final observation of an episode in the arrays of a step.
"""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import mujoco
import numpy as np

from gailfe.config.schema import EnvConfig
from gailfe.envs.actions import action_space, box
from gailfe.envs.making import episode_limit, make_env
from gailfe.envs.state import get_state, is_restorable, set_state
from gailfe.envs.stepping import make_stepper

log = logging.getLogger(__name__)

# Without this, MuJoCo writes a warning to standard error and to a file of the working directory for every
# environment. The stock tasks only cause warnings about deprecated attributes in Gymnasium's own model files.
mujoco.set_mju_user_warning(lambda message: log.debug("MuJoCo: %s", str(message).strip()))


class Step(NamedTuple):
    """What one step of n environments returns.

    `next_observations` are the true successors, `observations` those to act on next: they differ in the rows
    where an episode ended and a new one began in the same step.
    """

    observations: np.ndarray  # (n, obs_dim)
    next_observations: np.ndarray  # (n, obs_dim)
    rewards: np.ndarray  # (n,)
    terminated: np.ndarray  # (n,) bool
    truncated: np.ndarray  # (n,) bool


def env_seeds(seed: int, num_envs: int) -> list[int]:
    """Return the seeds that `VectorEnv` gives its environments; the i-th is the same for every `num_envs`."""
    return [int(s.generate_state(1)[0]) for s in np.random.SeedSequence(seed).spawn(num_envs)]


class VectorEnv:
    """`num_envs` copies of an environment with same-step autoreset.

    Args:
        config: which environment.
        num_envs: how many.
        seed: of the initial states. The i-th environment gets the same states for every `num_envs`.
    """

    def __init__(self, config: EnvConfig, num_envs: int, seed: int) -> None:
        self.id = config.id
        self.num_envs = num_envs
        self._envs = [make_env(config) for _ in range(num_envs)]
        self._step = make_stepper(self._envs)
        self._seeds = env_seeds(seed, num_envs)
        self._limit = episode_limit(config)
        self._elapsed = np.zeros(num_envs, dtype=np.int64)
        self.observation_space = box(self._envs[0].observation_space)
        self.action_space = action_space(self._envs[0].action_space)
        self.observation_dim = self.observation_space.shape[0]

    def reset(self) -> np.ndarray:
        """Start new episodes from the seed. Returns observations (num_envs, obs_dim)."""
        self._elapsed[:] = 0
        pairs = zip(self._envs, self._seeds, strict=True)
        return np.stack([env.reset(seed=seed)[0] for env, seed in pairs])

    def step(self, actions: np.ndarray) -> Step:
        """Step every environment once.

        Args:
            actions: (num_envs, action_dim), or (num_envs,) of a Discrete; within the action space.
        """
        outcome = self._step(range(self.num_envs), actions)
        self._elapsed += 1
        truncated = outcome.truncated | (self._elapsed >= self._limit)
        observations = outcome.observations
        done = outcome.terminated | truncated
        if done.any():
            observations = observations.copy()
            for i in np.flatnonzero(done):
                observations[i], _ = self._envs[i].reset()
            self._elapsed[done] = 0
        return Step(observations, outcome.observations, outcome.rewards, outcome.terminated, truncated)

    def close(self) -> None:
        for env in self._envs:
            env.close()

    @property
    def restorable(self) -> bool:
        """Return whether the environments' exact state can be saved."""
        return all(is_restorable(env) for env in self._envs)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next step depends on. Raises TypeError unless `restorable`."""
        return {"elapsed": self._elapsed.copy(), "envs": [get_state(env) for env in self._envs]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self._elapsed = np.asarray(state["elapsed"]).copy()
        for env, seed, env_state in zip(self._envs, self._seeds, state["envs"], strict=True):
            env.reset(seed=seed)  # the wrappers insist on a reset before the first step
            set_state(env, env_state)
