"""Brings float32 actions into an action space of another float type."""

from __future__ import annotations

import gymnasium
import numpy as np
from gymnasium.spaces import Box


def box(space: gymnasium.Space) -> Box:
    """Return `space` if it is a flat Box with at least one dimension; raise TypeError otherwise."""
    if not isinstance(space, Box) or len(space.shape) != 1 or space.shape[0] == 0:
        raise TypeError(f"must be a flat Box, got {space}")
    return space


class Float32Actions(gymnasium.ActionWrapper):
    """Takes float32 actions and hands them on in the environment's own float type, inside its own bounds.

    A bound such as 0.3 lies between two float32 numbers: `action_space` has the one inside. Between bounds that
    coincide there may be none: it has the nearest one, and the environment receives its own bound.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self._inner = box(env.action_space)
        low, high = (bound.astype(np.float32) for bound in (self._inner.low, self._inner.high))
        up = np.where(low < self._inner.low, np.nextafter(low, np.float32(np.inf)), low)
        down = np.where(high > self._inner.high, np.nextafter(high, np.float32(-np.inf)), high)
        inside = up <= down
        self.action_space = Box(np.where(inside, up, low), np.where(inside, down, high), dtype=np.float32)

    def action(self, action: np.ndarray) -> np.ndarray:
        """(action_dim,) float32 → (action_dim,) of the environment's type."""
        return np.clip(action.astype(self._inner.dtype), self._inner.low, self._inner.high)
