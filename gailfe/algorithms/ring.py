"""The memory of β_F: trajectories' pairs in one block of rows, first in first out."""

from __future__ import annotations

from collections import deque
from typing import Any

import torch
from torch import Tensor


class TrajectoryRing:
    """State-action pairs of trajectories, oldest first.

    All pairs lie in one ring of rows that doubles when it is full, so that reading any of them is a single gather
    and the memory follows what is stored, not what passed through.

    Args:
        pair_dim: obs_dim + action_dim.
    """

    def __init__(self, pair_dim: int) -> None:
        self._rows = torch.empty(1024, pair_dim)
        self._first = 0  # row of the oldest pair
        self.lengths: deque[int] = deque()  # of the trajectories, in pairs
        self.num_pairs = 0

    def __len__(self) -> int:
        """Number of trajectories."""
        return len(self.lengths)

    def add(self, pairs: Tensor) -> None:
        """Store a copy of one trajectory's pairs, (T, pair_dim)."""
        if self.num_pairs + len(pairs) > len(self._rows):
            self._grow(self.num_pairs + len(pairs))
        self._rows[self._row(self.num_pairs + torch.arange(len(pairs)))] = pairs
        self.lengths.append(len(pairs))
        self.num_pairs += len(pairs)

    def forget_oldest(self) -> None:
        """Forget the trajectory that was stored first."""
        oldest = self.lengths.popleft()
        self._first = (self._first + oldest) % len(self._rows)
        self.num_pairs -= oldest

    def pairs(self, index: Tensor) -> Tensor:
        """Gather pairs by their number, 0 the oldest: (n,) → (n, pair_dim)."""
        return self._rows[self._row(index)]

    def _row(self, index: Tensor) -> Tensor:
        return (self._first + index) % len(self._rows)

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
        """Return the ring itself, not a copy: it can be hundreds of MB."""
        return {"rows": self._rows, "first": self._first, "lengths": list(self.lengths)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the ring of `state`, without a copy: its former owner must not use it any more."""
        self._rows, self._first = state["rows"], state["first"]
        self.lengths = deque(state["lengths"])
        self.num_pairs = sum(state["lengths"])
