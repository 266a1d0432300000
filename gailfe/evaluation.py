"""What a policy is worth: whole episodes with its mean action, in environments of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from gailfe.config import EnvConfig
from gailfe.envs import episode_limit, make_env
from gailfe.networks import GaussianPolicy


@dataclass(frozen=True)
class Evaluation:
    """Undiscounted returns in the environment's own reward, and lengths in steps, (episodes,) each."""

    returns: np.ndarray
    lengths: np.ndarray

    @property
    def return_mean(self) -> float:
        return float(self.returns.mean())

    @property
    def return_std(self) -> float:
        return float(self.returns.std())


class Evaluator:
    """Runs `episodes` episodes side by side; the same (seed, index) always starts from the same states."""

    def __init__(self, config: EnvConfig, episodes: int, seed: int) -> None:
        self._envs = [make_env(config) for _ in range(episodes)]
        self._limit = episode_limit(config)
        self._seed = seed

    @torch.no_grad()
    def __call__(self, policy: GaussianPolicy, index: int = 0) -> Evaluation:
        """Evaluate the mean action of `policy`; `index` chooses the initial states."""
        seeds = np.random.SeedSequence([self._seed, index]).generate_state(len(self._envs))
        observations = np.stack(
            [env.reset(seed=int(seed))[0] for env, seed in zip(self._envs, seeds, strict=True)]
        )
        returns = np.zeros(len(self._envs))
        lengths = np.zeros(len(self._envs), dtype=np.int64)
        active = np.arange(len(self._envs))
        while active.size:
            mean = policy.mean(policy.normalizer(torch.from_numpy(observations[active])))
            actions = policy.to_env(mean).numpy()
            going = np.zeros(active.size, dtype=bool)
            for row, i in enumerate(active):
                observations[i], reward, terminated, truncated, _ = self._envs[i].step(actions[row])
                returns[i] += float(reward)
                lengths[i] += 1
                going[row] = not (terminated or truncated or lengths[i] >= self._limit)
            active = active[going]
        return Evaluation(returns, lengths)
