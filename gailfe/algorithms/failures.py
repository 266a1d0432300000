"""What GAILFE adds to GAIL: the replay buffer β_F of failed trajectories, and the multiplier λ_F."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gailfe.config.keys import AT_LEAST_ONE, NOT_NEGATIVE, ConfigError, Valid, key

LOG_PROBABILITY = Valid(lambda value: -math.inf < value <= 0, "a log-probability (at most 0)")


@dataclass
class FailuresConfig:
    """Keys of `algo.failures`."""

    capacity: int = key("N, trajectories that β_F holds", AT_LEAST_ONE)
    window: int | None = key("steps before the end that count as failed; null: the whole trajectory", AT_LEAST_ONE)
    z_f: float = key("Z_F of the constraint E_βF[log D] > Z_F", LOG_PROBABILITY)
    lambda_init: float = key("λ_F at the start", NOT_NEGATIVE)
    lambda_learning_rate: float = key("η, the step size of λ_F; 0 holds λ_F at lambda_init", NOT_NEGATIVE)
    lambda_max: float = key("λ_F's upper bound", NOT_NEGATIVE)

    def check(self) -> None:
        """Raises ConfigError where λ_F would begin above its upper bound."""
        if self.lambda_init > self.lambda_max:
            raise ConfigError(
                f"algo.failures.lambda_init={self.lambda_init} must be at most "
                f"algo.failures.lambda_max={self.lambda_max}"
            )


class FailureBuffer:
    """β_F: the last `capacity` failed trajectories, first in first out, sampled by state-action pair.

    All pairs lie in one ring of rows that doubles when it is full, so that a draw is a single gather and
    the memory follows what is stored, not what passed through.

    Args:
        capacity: N, in trajectories.
        pair_dim: obs_dim + action_dim.
    """

    def __init__(self, capacity: int, pair_dim: int) -> None:
        self.capacity = capacity
        self._rows = torch.empty(1024, pair_dim)
        self._first = 0  # row of the oldest pair
        self._lengths: deque[int] = deque()
        self.num_pairs = 0

    @property
    def num_trajectories(self) -> int:
        return len(self._lengths)

    def add(self, pairs: Tensor) -> None:
        """Store one trajectory, (T, pair_dim); forget the oldest if there are `capacity` already."""
        if len(self._lengths) == self.capacity:
            oldest = self._lengths.popleft()
            self._first = (self._first + oldest) % len(self._rows)
            self.num_pairs -= oldest
        if self.num_pairs + len(pairs) > len(self._rows):
            self._grow(self.num_pairs + len(pairs))
        index = (self._first + self.num_pairs + torch.arange(len(pairs))) % len(self._rows)
        self._rows[index] = pairs
        self._lengths.append(len(pairs))
        self.num_pairs += len(pairs)

    def sample(self, batch_size: int, generator: torch.Generator) -> Tensor:
        """Draw pairs uniformly, with replacement: (batch_size, pair_dim). Raises ValueError when empty."""
        if self.num_pairs == 0:
            raise ValueError("β_F is empty: there is nothing to sample")
        index = torch.randint(self.num_pairs, (batch_size,), generator=generator)
        return self._rows[(self._first + index) % len(self._rows)]

    def pairs(self) -> Tensor:
        """All stored pairs, oldest first: (num_pairs, pair_dim)."""
        return self._rows[(self._first + torch.arange(self.num_pairs)) % len(self._rows)]

    def _grow(self, needed: int) -> None:
        size = len(self._rows)
        while size < needed:
            size *= 2
        rows = torch.empty(size, self._rows.shape[1])
        older = self._rows[self._first : self._first + self.num_pairs]  # the others begin at the ring's first row
        rows[: len(older)] = older
        rows[len(older) : self.num_pairs] = self._rows[: self.num_pairs - len(older)]
        self._rows, self._first = rows, 0

    def state_dict(self) -> dict[str, Any]:
        """The ring itself, not a copy: it can be hundreds of MB."""
        return {"rows": self._rows, "first": self._first, "lengths": list(self._lengths)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the ring of `state`: whoever it came from must not go on with it."""
        self._rows, self._first = state["rows"], state["first"]
        self._lengths = deque(state["lengths"])
        self.num_pairs = sum(state["lengths"])


class Multiplier:
    """λ_F ≥ 0 of the constraint E_βF[log D] > Z_F, moved by projected dual descent.

    L is affine in λ_F with slope E_βF[log D] − Z_F, and λ_F minimises it: it falls while the constraint holds
    and rises while it is violated,

        λ_F ← clip(λ_F − η·(E_βF[log D] − Z_F), 0, λ_max).

    With η = 0 it is a constant weight; Z_F then drops out of every gradient.
    """

    def __init__(self, config: FailuresConfig) -> None:
        self.config = config
        self.value = config.lambda_init

    def update(self, log_d_failed: float) -> None:
        """Move λ_F by the constraint's slack, `log_d_failed` = E_βF[log D]."""
        slack = log_d_failed - self.config.z_f
        moved = self.value - self.config.lambda_learning_rate * slack
        self.value = min(max(moved, 0.0), self.config.lambda_max)
