"""Finds, checks and opens the files of demonstrations.dataset and demonstrations.failed_dataset."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import gymnasium
import h5py
from minari import MinariDataset
from minari.dataset.minari_storage import METADATA_FILE_NAME

from gailfe.config.keys import ConfigError
from gailfe.config.schema import Config
from gailfe.envs.actions import described, same_kind
from gailfe.envs.making import spaces_of

KEYS = ("dataset", "failed_dataset")


def dataset_folders(config: Config) -> dict[str, Path]:
    """Return the folders that hold the files of the configured datasets, by key."""
    return {key: data_folder(key, path) for key, path in configured(config).items()}


def configured(config: Config) -> dict[str, str]:
    """Return the datasets that the configuration names, by key."""
    found = {key: getattr(config.demonstrations, key) for key in KEYS}
    return {key: path for key, path in found.items() if path is not None}


def data_folder(key: str, path: str) -> Path:
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


def checksum(folder: Path) -> str:
    """Return the SHA-256 of a dataset's data; metadata such as an author's name change nothing."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != METADATA_FILE_NAME:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def open_dataset(config: Config, key: str, path: str) -> MinariDataset:
    """Open the dataset `path` of demonstrations.<key>.

    Raises:
        ConfigError: if there is none, it is damaged as far as its metadata show, or doesn't fit the environment.
    """
    folder = data_folder(key, path)
    try:
        dataset = MinariDataset(folder)
        _ = dataset.observation_space, dataset.action_space, len(dataset)  # what is damaged shows itself now
    except Exception as error:  # Minari asserts, and raises what its formats raise
        raise ConfigError(f"demonstrations.{key}={path} can't be opened by Minari: {error}") from error
    check_spaces(config, key, path, dataset)
    _check_count(key, path, folder, len(dataset))
    return dataset


def _check_count(key: str, path: str, folder: Path, told: int) -> None:
    """Refuse metadata that tell of other episodes than there are: Minari would leave some out without a word."""
    data = folder / "main_data.hdf5"
    try:
        if not data.exists():  # of Minari's other format, Arrow: a folder an episode
            found = sum(entry.is_dir() and entry.name.isdigit() for entry in folder.iterdir())
        elif data.stat().st_size == 0:  # nothing was added yet
            found = 0
        else:
            with h5py.File(data) as file:
                found = len(file)
    except Exception as error:  # HDF5 raises more than OSError where a file is damaged
        raise ConfigError(f"demonstrations.{key}={path}: {data} can't be read: {error}") from error
    if told != found:
        raise ConfigError(
            f"demonstrations.{key}={path}: {folder / METADATA_FILE_NAME} has total_episodes={told}, which must be "
            f"{found}, the number of episodes beside it: one of these files is damaged, so get the dataset again"
        )


def check_spaces(config: Config, key: str, name: str, dataset: MinariDataset) -> None:
    """Refuse a dataset whose spaces are not the environment's. Raises ConfigError, naming both."""
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
