"""The user's demonstrations: any local Minari dataset instead of stages 1 and 2."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from minari import MinariDataset
from minari.dataset.episode_data import EpisodeData
from minari.dataset.minari_storage import METADATA_FILE_NAME

from expert.annotators import Reference, make_annotator
from expert.arrays import first_row
from expert.contamination import contamination_recipe
from gailfe.config.keys import ConfigError
from gailfe.config.schema import Config
from gailfe.envs.actions import action_shape, as_actions, clipped, described, outside, refusal, same_kind
from gailfe.envs.making import Spaces, spaces_of
from gailfe.envs.trajectory import Demonstrations, Trajectory

log = logging.getLogger(__name__)

KEYS = ("dataset", "failed_dataset")


def check_own_data(config: Config) -> None:
    """Check, by their metadata, that the configured datasets are there and fit the environment.

    Raises:
        ConfigError: if there is no such dataset, or its spaces are not the environment's, naming both shapes.
    """
    for key, path in _configured(config).items():
        _open(config, key, path)


def own_data_recipe(config: Config) -> dict[str, Any]:
    """Return everything that decides these demonstrations: the content of the files, not their place."""
    settings = config.demonstrations
    return {
        "version": 1,
        **{key: _checksum(_data_folder(key, path)) for key, path in _configured(config).items()},
        "annotator": asdict(config.annotator) if settings.split else None,
        **contamination_recipe(config),
    }


def load_own_data(config: Config) -> Demonstrations:
    """Return the trajectories of the configured datasets.

    With `demonstrations.split` the annotator splits `demonstrations.dataset`; its reference is the whole of it,
    failures included, since nothing else is known.

    Args:
        config: with `demonstrations.dataset`.

    Raises:
        ConfigError: if a dataset doesn't fit the environment, or no expert trajectory is in them.
    """
    settings = config.demonstrations
    found = {key: load_dataset(config, key, path) for key, path in _configured(config).items()}
    expert, failed = found["dataset"], found.get("failed_dataset", [])
    if not expert:
        raise ConfigError(f"demonstrations.dataset={settings.dataset} holds no episode: at least one is needed")
    if settings.split:
        annotator = make_annotator(config.annotator, Reference.of(expert))
        verdicts = [annotator(trajectory) for trajectory in expert]
        failed = [t for t, is_failure in zip(expert, verdicts, strict=True) if is_failure] + failed
        expert = [t for t, is_failure in zip(expert, verdicts, strict=True) if not is_failure]
        if not expert:
            raise ConfigError(
                f"demonstrations.split=true leaves none of the {len(verdicts)} episodes of demonstrations.dataset="
                f"{settings.dataset}: all are failures by annotator={config.annotator.name}; choose another one"
            )
    log.info(
        "demonstrations: %d expert trajectories, %d failed ones%s",
        *(len(expert), len(failed), "" if failed else ": β_F will begin empty"),
    )
    return Demonstrations(expert, failed)


def own_expert_record(expert: Sequence[Trajectory]) -> dict[str, float | int | None]:
    """Return what stage 1 would record: the expert's return is the mean of its trajectories', None if unknown."""
    returns = np.array([trajectory.total_reward for trajectory in expert])
    known = bool(np.isfinite(returns).all())
    return {
        "episodes": len(expert),
        "eval_return_mean": float(returns.mean()) if known else None,
        "eval_return_std": float(returns.std()) if known else None,
        "eval_episode_length_mean": float(np.mean([len(trajectory) for trajectory in expert])),
    }


def dataset_folders(config: Config) -> dict[str, Path]:
    """Return the folders that hold the files of the configured datasets, by key."""
    return {key: _data_folder(key, path) for key, path in _configured(config).items()}


def _configured(config: Config) -> dict[str, str]:
    """Return the datasets that the configuration names, by key."""
    found = {key: getattr(config.demonstrations, key) for key in KEYS}
    return {key: path for key, path in found.items() if path is not None}


def _data_folder(key: str, path: str) -> Path:
    """Find the files of a dataset: `path` is its folder, that folder's `data`, or an id that Minari knows."""
    home = Path(os.environ.get("MINARI_DATASETS_PATH") or Path.home() / ".minari" / "datasets")
    for folder in (Path(path, "data"), Path(path), home / path / "data"):
        if (folder / METADATA_FILE_NAME).is_file():
            return folder.resolve()  # Minari joins a relative path to itself
    raise ConfigError(
        f"demonstrations.{key}={path} must be the folder of a Minari dataset, one with data/{METADATA_FILE_NAME} "
        f"and data/main_data.hdf5, or the id of one in {home} (MINARI_DATASETS_PATH); "
        "python -m expert.import_demonstrations makes one of arrays"
    )


def _checksum(folder: Path) -> str:
    """SHA-256 of a dataset's data; metadata such as an author's name change nothing."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != METADATA_FILE_NAME:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _open(config: Config, key: str, path: str) -> MinariDataset:
    folder = _data_folder(key, path)
    try:
        dataset = MinariDataset(folder)
        _ = dataset.observation_space, dataset.action_space, len(dataset)  # what is damaged shows itself now
    except Exception as error:  # Minari asserts, and raises what its formats raise
        raise ConfigError(f"demonstrations.{key}={path} can't be opened by Minari: {error}") from error
    _check_spaces(config, key, path, dataset)
    return dataset


def _check_spaces(config: Config, key: str, name: str, dataset: MinariDataset) -> None:
    spaces = spaces_of(config.env)
    for what, theirs, ours in (
        ("observation", dataset.observation_space, spaces.observation),
        ("action", dataset.action_space, spaces.action),
    ):
        if not same_kind(ours, theirs):
            raise ConfigError(
                f"demonstrations.{key}={name}: the {what}s of env.id={config.env.id} are {described(ours)}, and "
                f"the dataset's must be too, got {_shape(theirs)}"
            )


def _shape(space: gymnasium.Space[Any]) -> str:
    return f"shape {space.shape}" if isinstance(space, gymnasium.spaces.Box) else str(space)


def load_dataset(config: Config, key: str, path: str) -> list[Trajectory]:
    """Return all episodes of the dataset `path`; the log has its checksum.

    Args:
        key: of demonstrations.*, for messages.

    Raises:
        ConfigError: if there is no such dataset, or it doesn't fit the environment.
    """
    trajectories = read_dataset(config, key, path, _open(config, key, path))
    log.info(
        "demonstrations.%s=%s: %d episodes, SHA-256 %s",
        *(key, path, len(trajectories), _checksum(_data_folder(key, path))),
    )
    return trajectories


def read_dataset(config: Config, key: str, name: str, dataset: MinariDataset) -> list[Trajectory]:
    """Return the episodes of a dataset that is loaded; the log says what had to be assumed about them.

    Args:
        key: of demonstrations.*, for messages, as `name` is.

    Raises:
        ConfigError: if it doesn't fit the environment.
    """
    _check_spaces(config, key, name, dataset)
    spaces = spaces_of(config.env)
    notes: Counter[str] = Counter()
    trajectories = []
    for number in range(len(dataset)):
        try:
            trajectories.append(_trajectory(dataset[number], spaces, notes))
        except Exception as error:  # of damaged data, Minari and HDF5 each raise their own
            told = error if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            raise ConfigError(f"demonstrations.{key}={name}, episode {number}: {told}") from error
    for note, count in notes.items():
        log.info("demonstrations.%s: %d of %d episodes %s", key, count, len(trajectories), note)
    return trajectories


def _trajectory(episode: EpisodeData, spaces: Spaces, notes: Counter[str]) -> Trajectory:
    for name in ("observations", "actions", "rewards", "terminations", "truncations"):
        kind = np.asarray(getattr(episode, name)).dtype
        if kind.kind not in "biuf":
            raise ValueError(f"{name} have dtype {kind}, must be numbers")
    observations = np.asarray(episode.observations, dtype=np.float64)
    actions = as_actions(np.asarray(episode.actions), spaces.action)
    rewards = np.asarray(episode.rewards, dtype=np.float64)
    for name in ("rewards", "terminations", "truncations"):
        shape = np.shape(getattr(episode, name))
        if shape != (len(actions),):
            raise ValueError(f"{name} have shape {shape}, must be ({len(actions)},), one for each action")
    for name, array, shape in (
        ("observations", observations, spaces.observation.shape),
        ("actions", actions, action_shape(spaces.action)),
    ):
        if array.shape[1:] != shape:
            must = f"(T, {shape[0]})" if shape else "(T,)"
            raise ValueError(f"{name} have shape {array.shape}, must be {must}")
        if not np.isfinite(array).all():
            raise ValueError(
                f"{name} must be finite, got NaN or infinity in step {first_row(~np.isfinite(array))}"
            )
    if 0 < len(observations) == len(actions):
        notes["lack the observation that they ended in: the last one is repeated"] += 1
        observations = np.concatenate([observations, observations[-1:]])
    beyond = outside(np.asarray(episode.actions), spaces.action)
    if beyond.any():
        step = first_row(beyond)
        raise ValueError(refusal(spaces.action, episode.actions[step], f"step {step}"))
    actions = clipped(actions, spaces.action)
    if not np.isfinite(rewards).all():
        notes["have unknown rewards: there is no expert line, and annotators can't go by return"] += 1
    if np.any(episode.terminations[:-1]) or np.any(episode.truncations[:-1]):
        notes["go on after a step that is marked as their end: taken as one episode"] += 1
    terminated = bool(np.any(episode.terminations[-1:]))
    truncated = bool(np.any(episode.truncations[-1:]))
    if not (terminated or truncated):
        notes["are cut off, neither terminated nor truncated: taken as truncated"] += 1
        truncated = True
    return Trajectory(observations, actions, rewards, terminated=terminated, truncated=truncated)
