"""The user's demonstrations: any local Minari dataset instead of stages 1 and 2."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from minari import MinariDataset
from minari.dataset.episode_data import EpisodeData

from expert.annotators import Reference, make_annotator
from expert.arrays import first_row
from expert.contamination import contamination_recipe
from expert.own_files import check_spaces, checksum, configured, data_folder, open_dataset
from gailfe.config.keys import ConfigError
from gailfe.config.schema import Config
from gailfe.envs.actions import action_shape, as_actions, clipped, outside, refusal
from gailfe.envs.making import Spaces, spaces_of
from gailfe.envs.trajectory import SANE, Demonstrations, Trajectory, absurd

log = logging.getLogger(__name__)


def check_own_data(config: Config) -> None:
    """Check, by their metadata, that the configured datasets are there and fit the environment.

    Raises:
        ConfigError: if there is no such dataset, or its spaces are not the environment's, naming both shapes.
    """
    for key, path in configured(config).items():
        open_dataset(config, key, path)


def own_data_recipe(config: Config) -> dict[str, Any]:
    """Return everything that decides these demonstrations: the content of the files, not their place."""
    settings = config.demonstrations
    return {
        "version": 1,
        **{key: checksum(data_folder(key, path)) for key, path in configured(config).items()},
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
    found = {key: load_dataset(config, key, path) for key, path in configured(config).items()}
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


def load_dataset(config: Config, key: str, path: str) -> list[Trajectory]:
    """Return all episodes of the dataset `path`; the log has its checksum.

    Args:
        key: of demonstrations.*, for messages.

    Raises:
        ConfigError: if there is no such dataset, or it doesn't fit the environment.
    """
    trajectories = read_dataset(config, key, path, open_dataset(config, key, path))
    log.info(
        "demonstrations.%s=%s: %d episodes, SHA-256 %s",
        *(key, path, len(trajectories), checksum(data_folder(key, path))),
    )
    return trajectories


def read_dataset(config: Config, key: str, name: str, dataset: MinariDataset) -> list[Trajectory]:
    """Return the episodes of a dataset that is loaded; the log says what had to be assumed about them.

    Args:
        key: of demonstrations.*, for messages, as `name` is.

    Raises:
        ConfigError: if it doesn't fit the environment.
    """
    check_spaces(config, key, name, dataset)
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
        _check_sane(name, array)
    if 0 < len(observations) == len(actions):
        notes["lack the observation that they ended in: the last one is repeated"] += 1
        observations = np.concatenate([observations, observations[-1:]])
    beyond = outside(np.asarray(episode.actions), spaces.action)
    if beyond.any():
        step = first_row(beyond)
        raise ValueError(refusal(spaces.action, episode.actions[step], f"step {step}"))
    actions = clipped(actions, spaces.action)
    if np.isfinite(rewards).all():
        _check_sane("rewards", rewards)
    else:
        notes["have unknown rewards: there is no expert line, and annotators can't go by return"] += 1
    if np.any(episode.terminations[:-1]) or np.any(episode.truncations[:-1]):
        notes["go on after a step that is marked as their end: taken as one episode"] += 1
    terminated = bool(np.any(episode.terminations[-1:]))
    truncated = bool(np.any(episode.truncations[-1:]))
    if not (terminated or truncated):
        notes["are cut off, neither terminated nor truncated: taken as truncated"] += 1
        truncated = True
    return Trajectory(observations, actions, rewards, terminated=terminated, truncated=truncated)


def _check_sane(name: str, array: np.ndarray) -> None:
    """Raise ValueError for the first step that has an absurd number."""
    wrong = absurd(array)
    if wrong.any():
        step = first_row(wrong)
        raise ValueError(f"{name} must be {SANE}, got {array[step][wrong[step]].flat[0]} in step {step}")
