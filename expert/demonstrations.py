"""Reads and writes demonstrations as Minari datasets (HDF5)."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import minari
import numpy as np
from gymnasium.envs.registration import EnvSpec
from minari import MinariDataset
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage

from gailfe.config.schema import EnvConfig
from gailfe.envs.making import env_spec, episode_limit, spaces_of
from gailfe.envs.trajectory import Demonstrations, Trajectory
from gailfe.envs.wrapping import wrapper_specs
from gailfe.storage.files import DiskFull

log = logging.getLogger(__name__)

EXPERT, FAILED = "expert-v0", "failed-v0"


def save_demonstrations(
    folder: Path, demonstrations: Demonstrations, env: EnvConfig, algorithm: str, metadata: dict[str, Any]
) -> None:
    """Write both datasets below `folder`; with MINARI_DATASETS_PATH set to it, `minari.load_dataset("expert-v0")`
    and `minari.load_dataset("failed-v0")` find them.

    Args:
        folder: must not hold datasets yet.
        demonstrations: raw observations, actions as the environment received them.
        env: where they were collected.
        algorithm: who collected them.
        metadata: plain values, kept beside Minari's own.
    """
    for dataset_id, trajectories in ((EXPERT, demonstrations.expert), (FAILED, demonstrations.failed)):
        save_dataset(folder / dataset_id, dataset_id, trajectories, env, algorithm, metadata)


def load_demonstrations(folder: Path) -> Demonstrations:
    """Read what `save_demonstrations` wrote below `folder`."""
    return Demonstrations(*(load_trajectories(folder / name) for name in (EXPERT, FAILED)))


def load_trajectories(dataset: Path) -> list[Trajectory]:
    """Return all episodes of the Minari dataset in the folder `dataset`.

    Raises:
        ValueError: if an episode has not ended (see `Trajectory`).
    """
    return [
        Trajectory(
            np.asarray(episode.observations),
            np.asarray(episode.actions),
            np.asarray(episode.rewards),
            terminated=bool(episode.terminations[-1]),
            truncated=bool(episode.truncations[-1]),
        )
        for episode in MinariDataset(dataset / "data")
    ]


def save_dataset(
    folder: Path,
    dataset_id: str,
    trajectories: Sequence[Trajectory],
    env: EnvConfig,
    algorithm: str,
    metadata: dict[str, Any],
) -> None:
    """Write one Minari dataset into `folder`, which must not hold one yet; see `save_demonstrations`.

    Raises:
        DiskFull: if there is no room for it.
    """
    spaces = spaces_of(env)
    data = folder.resolve() / "data"  # Minari joins a relative path to itself
    data.mkdir(parents=True)
    needed = sum(t.observations.nbytes + t.actions.nbytes + t.rewards.nbytes for t in trajectories)
    if shutil.disk_usage(data).free < needed:  # asked first: HDF5 fills the terminal when it finds out by itself
        raise DiskFull(f"the disk is full: there is no room for {data}, which needs {needed / 1e6:.0f} MB")
    storage = MinariStorage.new(
        data,
        env_spec=_plain_spec(env),
        observation_space=spaces.observation,
        action_space=spaces.action,
        data_format="hdf5",
    )
    storage.update_metadata(
        {
            "dataset_id": dataset_id,
            "algorithm_name": algorithm,
            "minari_version": minari.__version__,
            **metadata,
        }
    )
    storage.update_episodes(_buffer(i, trajectory) for i, trajectory in enumerate(trajectories))


def _plain_spec(env: EnvConfig) -> EnvSpec | None:
    """Return the environment's spec in a form that Minari can write, classes by import path; None if it can't.

    Only Minari's `recover_environment` needs it, which makes the environment again.
    """
    spec = env_spec(env)
    spec.max_episode_steps = episode_limit(env)
    spec.kwargs.update(env.kwargs)
    spec.additional_wrappers += wrapper_specs(env)
    entry: Any = spec.entry_point
    if callable(entry):
        module, name = entry.__module__, getattr(entry, "__name__", "")
        if module != "__main__" and getattr(sys.modules.get(module), name, None) is entry:
            spec.entry_point = f"{module}:{name}"
    try:
        spec.to_json()
    except (TypeError, ValueError) as error:
        log.info("the demonstrations' metadata go without the spec of env.id=%s: %s", env.id, error)
        return None
    return spec


def _buffer(index: int, trajectory: Trajectory) -> EpisodeBuffer:
    last = np.arange(len(trajectory)) == len(trajectory) - 1
    return EpisodeBuffer(
        id=index,
        observations=trajectory.observations,
        actions=trajectory.actions,
        rewards=trajectory.rewards,
        terminations=last & trajectory.terminated,
        truncations=last & trajectory.truncated,
    )
