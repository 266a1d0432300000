"""Selects the part of the expert's data that stage 3 learns from: some trajectories, and some pairs of each."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np

from gailfe.config.keys import ConfigError
from gailfe.config.schema import DemonstrationsConfig
from gailfe.envs.trajectory import Trajectory

log = logging.getLogger(__name__)


def choose_pairs(expert: Sequence[Trajectory], settings: DemonstrationsConfig, seed: int) -> Sequence[Trajectory]:
    """Select `use_trajectories` of the trajectories, and of each of them one state-action pair in `subsample`.

    As Ho & Ermon do, each trajectory starts from a random offset below `subsample` (and below its length, so that
    every trajectory keeps a pair). With the same seed, fewer trajectories are a part of more of them, and a
    trajectory's offset doesn't depend on how many are used.

    Args:
        expert: τ_E.
        settings: with null and 1, `expert` is returned as it is.
        seed: the run's.

    Returns:
        In the order of `expert`. The rows of a subsampled one are pairs, no longer successors of one another.

    Raises:
        ConfigError: if there are fewer trajectories than are to be used.
    """
    wanted = len(expert) if settings.use_trajectories is None else settings.use_trajectories
    if wanted > len(expert):
        raise ConfigError(
            f"demonstrations.use_trajectories={wanted} must be at most {len(expert)}, "
            "the number of the expert's trajectories"
        )
    if wanted == len(expert) and settings.subsample == 1:
        return expert
    rng = np.random.default_rng(seed)
    chosen = sorted(rng.permutation(len(expert))[:wanted])
    starts = rng.random(len(expert))
    kept = [_every(expert[i], settings.subsample, starts[i]) for i in chosen]
    log.info(
        "demonstrations: %d of %d trajectories, %d of %d state-action pairs",
        *(len(kept), len(expert), sum(map(len, kept)), sum(map(len, expert))),
    )
    if settings.subsample > 1 and all(len(trajectory) == 1 for trajectory in kept):
        log.warning(
            "demonstrations.subsample=%d leaves one state-action pair of each trajectory", settings.subsample
        )
    return kept


def _every(trajectory: Trajectory, step: int, start: float) -> Trajectory:
    """Keep one pair in `step`; `start`, in [0, 1), chooses the first of them."""
    rows = np.arange(int(start * min(step, len(trajectory))), len(trajectory), step)
    return dataclasses.replace(
        trajectory,
        observations=trajectory.observations[[*rows, -1]],
        actions=trajectory.actions[rows],
        rewards=trajectory.rewards[rows],
    )
