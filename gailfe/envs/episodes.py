"""Cuts the steps of several environments into finished episodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from gailfe.config.keys import Refusal
from gailfe.envs.trajectory import SANE, Trajectory, absurd


class NotFinite(Refusal, RuntimeError):
    """An environment gave NaN, infinity or an absurd number: which one, what, and at which step of an episode."""


class Transitions(NamedTuple):
    """T steps of n environments, in time order."""

    observations: np.ndarray  # (T, n, obs_dim), raw
    actions: np.ndarray  # (T, n, action_dim), or (T, n) of discrete ones, as the environment received them
    rewards: np.ndarray  # (T, n), the environment's own
    next_observations: np.ndarray  # (T, n, obs_dim), the true successors, before any reset
    terminated: np.ndarray  # (T, n) bool
    truncated: np.ndarray  # (T, n) bool

    @classmethod
    def stack(cls, steps: Iterable[Sequence[np.ndarray]]) -> Transitions:
        """Stack T steps in time order; each is a sequence of these arrays without their first axis."""
        return cls(*(np.stack(arrays) for arrays in zip(*steps, strict=True)))


class Episodes:
    """Assembles the episodes of `num_envs` environments; one that has not ended waits for the steps to come.

    Args:
        num_envs: how many.
        env_id: Gymnasium's, for messages.
    """

    def __init__(self, num_envs: int, env_id: str) -> None:
        self._env_id = env_id
        # Of each environment the pieces of its unfinished episode: observations, actions, rewards.
        self._pieces: list[list[tuple[np.ndarray, ...]]] = [[] for _ in range(num_envs)]

    def add(self, steps: Transitions, indices: Sequence[int] | None = None) -> list[tuple[int, Trajectory]]:
        """Add steps; return the episodes that end in them, in that order, each with its environment's index.

        Args:
            steps: that follow those added before.
            indices: the environments that they are of, (n,); None: of all.

        Raises:
            NotFinite: if an environment's own numbers are `absurd`. What follows from an action that is not
                finite is the policy's fault, and is left to the checks of its learner.
        """
        indices = range(len(self._pieces)) if indices is None else indices
        numbers = (steps.observations, steps.next_observations, steps.rewards)
        if any(absurd(array).any() for array in numbers):
            self._blame(steps, indices)
        finished: list[tuple[int, int, Trajectory]] = []
        ended = steps.terminated | steps.truncated
        for column, i in enumerate(indices):
            start = 0
            for end in np.flatnonzero(ended[:, column]).tolist():
                self._keep(i, steps, slice(start, end + 1), column)
                observations, actions, rewards = (np.concatenate(p) for p in zip(*self._pieces[i], strict=True))
                trajectory = Trajectory(
                    np.concatenate([observations, steps.next_observations[end, column][None]]),
                    actions,
                    rewards,
                    terminated=bool(steps.terminated[end, column]),
                    truncated=bool(steps.truncated[end, column]),
                )
                finished.append((end, i, trajectory))
                self._pieces[i] = []
                start = end + 1
            if start < len(ended):
                self._keep(i, steps, slice(start, None), column)
        return [(i, trajectory) for _, i, trajectory in sorted(finished, key=lambda f: f[:2])]

    def _keep(self, i: int, steps: Transitions, rows: slice, column: int) -> None:
        arrays = (steps.observations, steps.actions, steps.rewards)
        self._pieces[i].append(tuple(array[rows, column].copy() for array in arrays))

    def _blame(self, steps: Transitions, indices: Sequence[int]) -> None:
        """Raise NotFinite for the first absurd number, unless the policy's action before it is not finite."""
        before, after = (absurd(array) for array in (steps.observations, steps.next_observations))
        reward = absurd(steps.rewards)
        t, column = np.argwhere(before.any(-1) | after.any(-1) | reward)[0]
        i = indices[column]
        ends = np.flatnonzero((steps.terminated | steps.truncated)[:t, column])
        begun = sum(len(actions) for _, actions, _ in self._pieces[i])
        step = t - ends[-1] - 1 if len(ends) else begun + t  # of its episode, from 0
        if before[t, column].any():
            if step > 0:  # the next observation of an earlier step, which was the policy's own fault
                return
            what = f"its reset gave {_wrong('observation', steps.observations[t, column])}"
        elif not np.isfinite(steps.actions[t, column]).all():
            return
        else:
            wrong = [_wrong("reward", steps.rewards[t, column])] if reward[t, column] else []
            wrong += [_wrong("observation", steps.next_observations[t, column])] if after[t, column].any() else []
            action = np.array2string(steps.actions[t, column], precision=4, threshold=50)
            what = f"step {step + 1} of an episode gave {' and '.join(wrong)}, after the action {action}"
        raise NotFinite(f"env.id={self._env_id}, environment {i}: {what}; an environment's numbers must be {SANE}")

    def state(self) -> list[list[tuple[np.ndarray, ...]]]:
        """Return the unfinished episodes."""
        return [list(pieces) for pieces in self._pieces]

    def load_state(self, state: list[list[Any]]) -> None:
        """Continue with what `state` returned; arrays may have become tensors."""
        self._pieces = [[tuple(np.asarray(part) for part in piece) for piece in pieces] for pieces in state]


def _wrong(name: str, value: np.ndarray) -> str:
    """Return the first entry that is absurd."""
    index = tuple(np.argwhere(absurd(value))[0])
    return f"{name}{''.join(f'[{i}]' for i in index)}={value[index]}"
