"""What a policy is worth: whole episodes with its mean action, in environments of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gailfe.config.schema import EnvConfig
from gailfe.envs.stepping import make_stepper
from gailfe.envs.trajectory import Trajectory
from gailfe.envs.vector import episode_limit, make_env
from gailfe.nn.acting import CanAct

Piece = tuple[np.ndarray, np.ndarray, np.ndarray]  # observations after each action, actions, rewards

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
        latest = np.stack([np.asarray(env.reset(seed=int(seed))[0], dtype=float) for env, seed in pairs])
        first, active = latest, list(range(len(self._envs)))
        pieces: list[list[Piece]] = [[] for _ in self._envs]
        terminated = [False] * len(self._envs)
        steps: list[Piece] = []  # since an episode last ended: of all that go on, a row each
        act = policy.acting()
        for t in range(self._limit):
            actions = act(latest)
            outcome = self._step(active, actions)
            latest = outcome.observations
            steps.append((latest, actions, outcome.rewards))
            ended = outcome.terminated | outcome.truncated
            if t == self._limit - 1 or ended.any():
                since = [np.stack(arrays, axis=1) for arrays in zip(*steps, strict=True)]
                for row, i in enumerate(active):
                    pieces[i].append((since[0][row], since[1][row], since[2][row]))
                    terminated[i] = bool(outcome.terminated[row])
                steps = []
                active = [i for i, end in zip(active, ended, strict=True) if not end]
                latest = latest[~ended]
            if not active:
                break
        return Evaluation([_join(*episode) for episode in zip(first, pieces, terminated, strict=True)])


def _join(start: np.ndarray, pieces: list[Piece], terminated: bool) -> Trajectory:
    observations, actions, rewards = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    return Trajectory(
        np.concatenate([start[None], observations]),
        actions,
        rewards,
        terminated=terminated,
        truncated=not terminated,
    )
