"""One finished episode, as annotators, buffers and datasets see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

# The largest number that is taken from an environment or a dataset. Squares of larger ones, summed over an
# iteration, are infinite in float32; and once there was one, normalisation shows all others as the same.
LARGEST = 1e15
SANE = "finite, and at most 1e15 in size"


@dataclass(frozen=True)
class Trajectory:
    """An episode of T steps.

    Attributes:
        observations: (T + 1, obs_dim), raw; the last row is the one that the episode ended in.
        actions: (T, action_dim) float32, or (T,) int64 of discrete ones; as the environment received them.
        rewards: (T,), the environment's own; for annotators and reports, never for a learner.
        terminated: the episode ended by itself (fell, reached a goal).
        truncated: the episode ended by its time limit.

    Raises:
        ValueError: if the lengths disagree or the episode has not ended.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: bool
    truncated: bool

    def __post_init__(self) -> None:
        steps = len(self.actions)
        if steps == 0 or len(self.observations) != steps + 1 or len(self.rewards) != steps:
            raise ValueError(
                f"a trajectory of T ≥ 1 actions has T + 1 observations and T rewards, got {steps} actions, "
                f"{len(self.observations)} observations, {len(self.rewards)} rewards"
            )
        if not (self.terminated or self.truncated):
            raise ValueError("a trajectory is a finished episode: terminated or truncated must be set")

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def total_reward(self) -> float:
        """The episode's return, undiscounted."""
        return float(self.rewards.sum())


def absurd(numbers: np.ndarray) -> np.ndarray:
    """Return which of some numbers are NaN, infinite or beyond `LARGEST`: nothing can be learned from them."""
    return ~(np.abs(np.asarray(numbers, dtype=float)) <= LARGEST)


Annotator = Callable[[Trajectory], bool]  # says of a finished trajectory whether it failed


class Demonstrations(NamedTuple):
    """What stage 2 hands to stage 3."""

    expert: list[Trajectory]  # τ_E
    failed: list[Trajectory]  # what β_F begins with; may be empty
