"""Evaluates policies: the returns of whole episodes with the mean action, in separate environments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gailfe.config.schema import EnvConfig
from gailfe.envs.episodes import Episodes, Transitions
from gailfe.envs.making import episode_limit, make_env
from gailfe.envs.stepping import make_stepper
from gailfe.envs.trajectory import Trajectory
from gailfe.nn.acting import CanAct

FRESH_SEED = 1000  # of initial states that chose no checkpoint: trainings have smaller seeds


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
        """Return the metrics, as columns of metrics.csv."""
        return {
            "eval_return_mean": float(self.returns.mean()),
            "eval_return_std": float(self.returns.std()),
            "eval_episode_length_mean": float(self.lengths.mean()),
        }


def episode_seeds(seed: int, index: int, episodes: int) -> list[int]:
    """Return the seeds with which an `Evaluator` of that seed resets its environments, an episode each."""
    return [int(s) for s in np.random.SeedSequence([seed, index]).generate_state(episodes)]


class Evaluator:
    """Runs `episodes` episodes side by side. The same seed and index always give the same initial states."""

    def __init__(self, config: EnvConfig, episodes: int, seed: int) -> None:
        self._envs = [make_env(config) for _ in range(episodes)]
        self._step = make_stepper(self._envs)
        self._limit = episode_limit(config)
        self._id = config.id
        self._seed = seed

    def __call__(self, policy: CanAct, index: int = 0) -> Evaluation:
        """Evaluate the mean action of `policy`; `index` chooses the initial states.

        Raises:
            NotFinite: if the environment gives NaN, infinity or an absurd number.
        """
        seeds = episode_seeds(self._seed, index, len(self._envs))
        pairs = zip(self._envs, seeds, strict=True)
        latest = np.stack([np.asarray(env.reset(seed=seed)[0], dtype=float) for env, seed in pairs])
        active = list(range(len(self._envs)))
        episodes = Episodes(len(self._envs), self._id)
        found: dict[int, Trajectory] = {}
        steps: list[tuple[np.ndarray, ...]] = []  # since an episode last ended: of all that go on, a row each
        act = policy.acting()
        for t in range(self._limit):
            actions = act(latest)
            outcome = self._step(active, actions)
            rows = (outcome.rewards, outcome.observations, outcome.terminated, outcome.truncated)
            steps.append((latest, actions, *rows))
            latest = outcome.observations
            ended = outcome.terminated | outcome.truncated
            is_last = t == self._limit - 1
            if is_last or ended.any():
                block = Transitions.stack(steps)
                block.truncated[-1] = (outcome.truncated | is_last) & ~outcome.terminated
                found |= episodes.add(block, active)
                steps = []
                active = [i for i, end in zip(active, ended | is_last, strict=True) if not end]
                latest = latest[~ended]
            if not active:
                break
        return Evaluation([found[i] for i in range(len(self._envs))])
