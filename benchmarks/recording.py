"""What a training asked of MuJoCo, recorded, and the same done again with nothing around it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from unittest.mock import patch

import mujoco
import numpy as np
from mujoco import rollout


@dataclass
class Episode:
    """An episode, or as much of it as fell into the recording."""

    model: mujoco.MjModel
    data: mujoco.MjData
    frame_skip: int
    start: np.ndarray = field(init=False)
    warmstart: np.ndarray = field(init=False)
    actions: list[np.ndarray] = field(default_factory=list)
    end: np.ndarray = field(init=False)  # its last state, once it is over

    def __post_init__(self) -> None:
        self.start, self.warmstart = self._state(), self.data.qacc_warmstart.copy()

    def finish(self) -> None:
        self.end = self._state()

    def _state(self) -> np.ndarray:
        kind = mujoco.mjtState.mjSTATE_FULLPHYSICS
        state = np.empty(mujoco.mj_stateSize(self.model, kind))
        mujoco.mj_getState(self.model, self.data, state, kind)
        return state


@contextlib.contextmanager
def recording() -> Iterator[list[Episode]]:
    """Everything that is simulated inside the block, in any environment; costs a dictionary lookup a step."""
    step, reset = mujoco.mj_step, mujoco.mj_resetData
    episodes: list[Episode] = []
    current: dict[mujoco.MjData, Episode] = {}

    def recorded_step(model: mujoco.MjModel, data: mujoco.MjData, nstep: int) -> None:
        episode = current.get(data)
        if episode is None:
            episode = current[data] = Episode(model, data, nstep)
            episodes.append(episode)
        episode.actions.append(data.ctrl.copy())
        step(model, data, nstep=nstep)

    def recorded_reset(model: mujoco.MjModel, data: mujoco.MjData) -> None:
        if data in current:
            current.pop(data).finish()
        reset(model, data)

    with patch.multiple(mujoco, mj_step=recorded_step, mj_resetData=recorded_reset):
        yield episodes
    for episode in current.values():
        episode.finish()


def replay(episodes: list[Episode]) -> float:
    """Seconds that MuJoCo takes for `episodes` alone, on one thread.

    Raises:
        RuntimeError: if an episode doesn't end, to the last bit, in the state where it ended in the recording.
    """
    model = episodes[0].model
    data = mujoco.MjData(model)
    frame_skip = episodes[0].frame_skip
    inputs = [(e, np.repeat(np.stack(e.actions).astype(float), frame_skip, axis=0)[None]) for e in episodes]
    elapsed = 0.0
    for episode, control in inputs:
        started = time.perf_counter()
        states, _ = rollout.rollout(
            model, data, episode.start[None], control, initial_warmstart=episode.warmstart[None]
        )
        elapsed += time.perf_counter() - started
        if not np.array_equal(states[0, -1], episode.end):
            raise RuntimeError("the replay of an episode ended in another state: it was not the same work")
    return elapsed
