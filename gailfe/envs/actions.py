"""The action spaces that policies act in: a flat Box of floats, or a Discrete.

Actions of a Box are float32 here, those of a Discrete int64; `Float32Actions` hands the former on in the
environment's own float type.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

ActionSpace: TypeAlias = Box | Discrete


def box(space: gymnasium.Space) -> Box:
    """Return `space` if it is a flat Box with at least one dimension; raise TypeError otherwise."""
    if not isinstance(space, Box) or len(space.shape) != 1 or space.shape[0] == 0:
        raise TypeError(f"must be a flat Box, got {space}")
    return space


def action_space(space: gymnasium.Space) -> ActionSpace:
    """Return `space` if a policy can act in it; raise TypeError otherwise."""
    if isinstance(space, Discrete):
        return space
    if not isinstance(space, Box) or len(space.shape) != 1 or not np.issubdtype(space.dtype, np.floating):
        raise TypeError(f"must be a flat Box of floats or a Discrete, got {space}")
    return box(space)


def action_shape(space: ActionSpace) -> tuple[int, ...]:
    """Return the shape of one action: (action_dim,), or () of a Discrete."""
    return () if isinstance(space, Discrete) else space.shape


def same_kind(space: gymnasium.Space, theirs: gymnasium.Space) -> bool:
    """Return whether actions of `theirs` are of the form of those of `space`; a Box's bounds may differ."""
    if isinstance(space, Discrete):
        return isinstance(theirs, Discrete) and (theirs.n, theirs.start) == (space.n, space.start)
    return isinstance(theirs, Box) and theirs.shape == space.shape


def same_actions(space: gymnasium.Space, theirs: gymnasium.Space) -> bool:
    """Return whether an action means the same in both: a policy's actions are scaled by the bounds of its Box."""
    if not same_kind(space, theirs):
        return False
    if not (isinstance(space, Box) and isinstance(theirs, Box)):
        return True
    return np.allclose(space.low, theirs.low) and np.allclose(space.high, theirs.high)


def described(space: gymnasium.Space) -> str:
    """Return what `same_kind` compares, for messages."""
    return f"a Box of shape {space.shape}" if isinstance(space, Box) else str(space)


def as_actions(array: np.ndarray, space: ActionSpace) -> np.ndarray:
    """Return numbers in the type that actions of `space` have here; for one that `outside` refuses, any number."""
    with np.errstate(invalid="ignore", over="ignore"):
        return array.astype(np.int64 if isinstance(space, Discrete) else np.float32)


def outside(actions: np.ndarray, space: ActionSpace) -> np.ndarray:
    """Return where actions, (T, action_dim) or (T,) of a Discrete, are not in their space: bool of that shape.

    A bound of a float64 Box may lie between two float32: an action at it is rounded, and not beyond it.
    """
    if isinstance(space, Discrete):
        inside = (actions >= space.start) & (actions < space.start + space.n)
        return ~(inside & (actions == np.floor(actions)))
    low, high = (bound.astype(np.float32) for bound in (space.low, space.high))
    actions = actions.astype(np.float32)
    return (actions < np.nextafter(low, np.float32(-np.inf))) | (actions > np.nextafter(high, np.float32(np.inf)))


def clipped(actions: np.ndarray, space: ActionSpace) -> np.ndarray:
    """Return actions that `outside` passes, the rounded ones at their bounds."""
    return actions if isinstance(space, Discrete) else np.clip(actions, space.low, space.high)


def refusal(space: ActionSpace, action: np.ndarray, place: str) -> str:
    """Return the message for an action that is outside of its space."""
    if isinstance(space, Discrete):
        last = space.start + space.n - 1
        return f"actions must be integers from {space.start} to {last}, got {action} in {place}"
    return (
        f"actions must be within the environment's bounds, got {action} in {place}; clip them, if the environment "
        "did"
    )


def default_action(space: ActionSpace) -> Any:
    """Return an action to try: of a Box 0, or the bound nearest to it; of a Discrete the first."""
    if isinstance(space, Discrete):
        return space.start
    return np.zeros(space.shape, dtype=np.float32).clip(space.low, space.high)


def some_actions(space: ActionSpace, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return actions in the shape of an episode's, of a Box between -1 and 1."""
    if isinstance(space, Discrete):
        return rng.integers(space.start, space.start + space.n, size=count)
    return rng.uniform(-1, 1, size=(count, *space.shape)).astype(np.float32)


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
