"""Collects a batch of transitions; the one place that knows about autoreset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gailfe.envs.actions import action_shape
from gailfe.envs.episodes import Episodes, Transitions
from gailfe.envs.trajectory import Trajectory
from gailfe.envs.vector import VectorEnv
from gailfe.nn.stochastic import StochasticPolicy


@dataclass(frozen=True)
class Batch:
    """num_steps × num_envs transitions, and the episodes that ended among them."""

    observations: Tensor  # (num_steps, num_envs, obs_dim), raw
    next_observations: Tensor  # the true successors, before any reset
    samples: Tensor  # (num_steps, num_envs, action_dim): the policy's own, in unit actions, unclipped
    actions: Tensor  # (num_steps, num_envs, …): as the environment received them
    rewards: Tensor  # (num_steps, num_envs): the environment's
    terminated: Tensor  # (num_steps, num_envs) bool
    truncated: Tensor  # (num_steps, num_envs) bool
    finished: list[Trajectory]  # in the order in which they ended

    @property
    def ended(self) -> Tensor:
        """Return whether a transition was its episode's last, (num_steps, num_envs) bool."""
        return self.terminated | self.truncated

    def to(self, device: torch.device) -> Batch:
        """Return the same with its tensors on `device`."""
        tensors = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return Batch(**tensors, finished=self.finished)


class Collector:
    """Steps a vector of environments with a policy; episodes carry on from one batch to the next."""

    def __init__(self, env: VectorEnv) -> None:
        self.env = env
        self.observations = env.reset()
        self._episodes = Episodes(env.num_envs, env.id)

    @torch.no_grad()
    def collect(
        self,
        policy: StochasticPolicy,
        num_steps: int,
        generator: torch.Generator | None,
    ) -> Batch:
        """Roll out `num_steps` steps in every environment.

        Args:
            policy: who acts.
            num_steps: per environment.
            generator: of the policy's noise; None acts with the mean or the mode.

        Raises:
            NotFinite: if the environment gives NaN, infinity or an absurd number.
        """
        n, obs_dim, space = self.env.num_envs, self.env.observation_dim, self.env.action_space
        observations = np.empty((num_steps, n, obs_dim))
        next_observations = np.empty_like(observations)
        samples = np.empty((num_steps, n, policy.action_dim), dtype=np.float32)
        actions = np.empty((num_steps, n, *action_shape(space)), dtype=space.dtype)
        rewards = np.empty((num_steps, n))
        terminated = np.empty((num_steps, n), dtype=bool)
        truncated = np.empty((num_steps, n), dtype=bool)
        noise = None if generator is None else policy.noise(generator)(num_steps, n)

        outputs = policy.actor()
        for t in range(num_steps):
            observations[t] = self.observations
            samples[t] = policy.sample(outputs(self.observations), None if noise is None else noise[t])
            actions[t] = policy.to_env(samples[t])
            step = self.env.step(actions[t])
            self.observations = step.observations
            next_observations[t], rewards[t] = step.next_observations, step.rewards
            terminated[t], truncated[t] = step.terminated, step.truncated

        steps = Transitions(observations, actions, rewards, next_observations, terminated, truncated)
        finished = self._episodes.add(steps)
        return Batch(
            torch.from_numpy(observations),
            torch.from_numpy(next_observations),
            torch.from_numpy(samples),
            torch.from_numpy(actions),
            torch.from_numpy(rewards).float(),
            torch.from_numpy(terminated),
            torch.from_numpy(truncated),
            [trajectory for _, trajectory in finished],
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the in-flight episodes, and the environments' states where they can be saved (else None)."""
        if not self.env.restorable:
            return {"env": None}
        return {
            "env": self.env.state_dict(),
            "observations": self.observations,
            "in_flight": self._episodes.state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Go on from `state`. Returns whether that is exact: without saved states, new episodes begin."""
        if state["env"] is None or not self.env.restorable:
            return False
        self.env.load_state_dict(state["env"])
        self.observations = np.asarray(state["observations"])
        self._episodes.load_state(state["in_flight"])
        return True
