"""The replay buffer β_F of failed trajectories, which GAILFE adds to GAIL."""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gailfe.algorithms.multiplier import MultiplierConfig
from gailfe.algorithms.ring import TrajectoryRing
from gailfe.config.keys import AT_LEAST_ONE, key, one_of

SOURCE = one_of("demonstrations", "own", "both")
SAMPLING = one_of("pairs", "trajectories")


@dataclass
class FailuresConfig(MultiplierConfig):
    """Keys of `algo.failures`: those of λ_F, and what fills β_F."""

    capacity: int = key("N, trajectories that β_F holds", AT_LEAST_ONE)
    source: str = key("which failures β_F takes: the demonstrations', the agent's own, or both", SOURCE)
    sampling: str = key("uniform over pairs, or a trajectory uniformly and then a pair of it", SAMPLING)
    window: int | None = key("steps before the end that count as failed; null: the whole trajectory", AT_LEAST_ONE)
    max_age: int | None = key("iterations for which an own failure is used; null: no limit", AT_LEAST_ONE)


class FailedPairs(NamedTuple):
    """A draw from β_F."""

    pairs: Tensor  # (batch_size, obs_dim + action_dim)
    own: Tensor  # (batch_size,) bool, on the CPU: whether of the agent's own failures, else of the demonstrations'


class FailureBuffer:
    """β_F: the last `capacity` failed trajectories, first in first out.

    The demonstrations' failures never age. They came first, so that they are also the first to go when more than
    `capacity` trajectories arrive.

    Args:
        capacity: N, in trajectories.
        pair_dim: obs_dim + action_dim.
        sampling: `pairs` draws uniformly over all stored pairs, `trajectories` a trajectory uniformly and then a
            pair of it: short failures then count as much as long ones.
        window: how many steps before its end are kept of a trajectory; None: all of it, as in the paper.
        max_age: iterations for which an own failure is used, the one in which it arrives included.
    """

    def __init__(
        self,
        capacity: int,
        pair_dim: int,
        sampling: str = "pairs",
        window: int | None = None,
        max_age: int | None = None,
    ) -> None:
        self.capacity = capacity
        self.sampling = sampling
        self.window = window
        self.max_age = max_age
        self._demonstrations = TrajectoryRing(pair_dim)
        self._own = TrajectoryRing(pair_dim)
        self._births: deque[int] = deque()  # iterations in which the own failures arrived
        self._iteration = 0

    @property
    def num_trajectories(self) -> int:
        return len(self._demonstrations) + len(self._own)

    @property
    def num_pairs(self) -> int:
        return self._demonstrations.num_pairs + self._own.num_pairs

    def next_iteration(self) -> None:
        """Count an iteration; forget the own failures that are `max_age` iterations old."""
        self._iteration += 1
        while self.max_age is not None and self._births and self._iteration - self._births[0] >= self.max_age:
            self._forget_own()

    def add(self, pairs: Tensor, *, own: bool = True) -> None:
        """Store one trajectory, (T, pair_dim), or its window; forget the oldest if there are `capacity` already.

        Args:
            own: whether it is the agent's, else the demonstrations'.
        """
        if self.num_trajectories == self.capacity:
            if len(self._demonstrations) > 0:
                self._demonstrations.forget_oldest()
            else:
                self._forget_own()
        if self.window is not None:
            pairs = pairs[-self.window :]
        if own:
            self._own.add(pairs)
            self._births.append(self._iteration)
        else:
            self._demonstrations.add(pairs)

    def sample(self, batch_size: int, generator: torch.Generator) -> FailedPairs:
        """Draw pairs with replacement. Raises ValueError when empty."""
        if self.num_pairs == 0:
            raise ValueError("β_F is empty: there is nothing to sample")
        if self.sampling == "trajectories":
            return self._gather(self._draw_trajectories(batch_size, generator))
        return self._gather(torch.randint(self.num_pairs, (batch_size,), generator=generator))

    def pairs(self, index: Tensor | None = None) -> Tensor:
        """Return stored pairs by their number, 0 the oldest, or all of them: (n, pair_dim)."""
        return self._gather(torch.arange(self.num_pairs) if index is None else index).pairs

    def _draw_trajectories(self, batch_size: int, generator: torch.Generator) -> Tensor:
        """Draw the numbers of pairs, each of a trajectory that was drawn uniformly: (batch_size,)."""
        stored = itertools.chain(self._demonstrations.lengths, self._own.lengths)
        lengths = torch.from_numpy(np.fromiter(stored, dtype=np.int64))  # several times as fast as torch.tensor
        chosen = torch.randint(len(lengths), (batch_size,), generator=generator)
        position = torch.rand(
            batch_size, generator=generator, dtype=torch.float64
        )  # in float32 it could round to 1
        return (lengths.cumsum(0) - lengths)[chosen] + (position * lengths[chosen]).long()

    def _gather(self, index: Tensor) -> FailedPairs:
        """Look pairs up by their number, 0 the oldest: the demonstrations' come first."""
        own = index >= self._demonstrations.num_pairs
        if not own.any():
            return FailedPairs(self._demonstrations.pairs(index), own)
        pairs = self._own.pairs(index - self._demonstrations.num_pairs)
        pairs[~own] = self._demonstrations.pairs(index[~own])
        return FailedPairs(pairs, own)

    def _forget_own(self) -> None:
        self._own.forget_oldest()
        self._births.popleft()

    def state_dict(self) -> dict[str, Any]:
        """Return the memory itself, not a copy: it can be hundreds of MB."""
        return {
            "demonstrations": self._demonstrations.state_dict(),
            "own": self._own.state_dict(),
            "births": list(self._births),
            "iteration": self._iteration,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the memory of `state`, without a copy: its former owner must not use it any more."""
        self._demonstrations.load_state_dict(state["demonstrations"])
        self._own.load_state_dict(state["own"])
        self._births = deque(state["births"])
        self._iteration = state["iteration"]
