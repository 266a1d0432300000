"""What a policy is worth: whole episodes with its mean action, in environments of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gailfe.acting import CanAct
from gailfe.config import EnvConfig
from gailfe.envs import episode_limit, make_env
from gailfe.stepping import make_stepper
from gailfe.trajectory import Trajectory

FRESH_SEED = 1000  # of initial states by which no checkpoint with a smaller seed was chosen


@dataclass(frozen=True)
class Evaluation:
    """Finished episodes; returns are undiscounted, in the environment's own reward."""

    trajectories: list[Trajectory]

    @property
    def returns(self) -> np.ndarray:
        """(episodes,)"""
        return np.array([trajectory.total_reward for trajectory in self.trajectories])

    @property
    def lengths(self) -> np.ndarray:
        """(episodes,), in steps"""
        return np.array([len(trajectory) for trajectory in self.trajectories])

    @property
    def metrics(self) -> dict[str, float]:
        """As columns of metrics.csv."""
        return {
            "eval_return_mean": float(self.returns.mean()),
            "eval_return_std": float(self.returns.std()),
            "eval_episode_length_mean": float(self.lengths.mean()),
        }


class Evaluator:
    """Runs `episodes` episodes side by side; the same (seed, index) always starts from the same states."""

    def __init__(self, config: EnvConfig, episodes: int, seed: int) -> None:
        self._envs = [make_env(config) for _ in range(episodes)]
        self._step = make_stepper(self._envs)
        self._limit = episode_limit(config)
        self._seed = seed

    def __call__(self, policy: CanAct, index: int = 0) -> Evaluation:
        """Evaluate the mean action of `policy`; `index` chooses the initial states."""
        seeds = np.random.SeedSequence([self._seed, index]).generate_state(len(self._envs))
        pairs = zip(self._envs, seeds, strict=True)
        observations = [[np.asarray(env.reset(seed=int(seed))[0])] for env, seed in pairs]
        actions: list[list[np.ndarray]] = [[] for _ in self._envs]
        rewards: list[list[float]] = [[] for _ in self._envs]
        terminated = [False] * len(self._envs)
        active = list(range(len(self._envs)))
        act = policy.acting()
        while active:
            latest = np.stack([observations[i][-1] for i in active])
            chosen = act(latest)
            outcome = self._step(active, chosen)
            ended = outcome.terminated | outcome.truncated
            for row, i in enumerate(active):
                observations[i].append(outcome.observations[row])
                actions[i].append(chosen[row])
                rewards[i].append(outcome.rewards[row])
                terminated[i] = outcome.terminated[row]
            active = [i for i, end in zip(active, ended, strict=True) if not end and len(actions[i]) < self._limit]
        return Evaluation(
            [
                Trajectory(
                    np.stack(observations[i]),
                    np.stack(actions[i]),
                    np.array(rewards[i]),
                    terminated=bool(terminated[i]),
                    truncated=not terminated[i],
                )
                for i in range(len(self._envs))
            ]
        )
