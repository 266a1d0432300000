"""The policy that a run has learned so far: one that is still going, or was killed, has its last checkpoint's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from safetensors import SafetensorError
from yaml import YAMLError

from gailfe.config.checks import parse
from gailfe.config.keys import ConfigError
from gailfe.config.schema import Config, EnvConfig
from gailfe.envs.making import check_env
from gailfe.nn.policy_file import load_policy, saved_iteration
from gailfe.nn.stochastic import StochasticPolicy
from gailfe.storage.finished import read_summary
from gailfe.storage.names import CONFIG, EXPERT_RECORD, POLICY_FILES, SUMMARY
from gailfe.storage.store import ArtifactError, check_files


@dataclass(frozen=True)
class Learned:
    """A run, as far as it has come."""

    folder: Path
    env: EnvConfig
    algo: str  # the option's name
    policy: StochasticPolicy
    iteration: int | None  # after which it is this policy; None in runs from before that was written
    expert_return: float | None  # mean, of the mean action; None where it isn't known

    @property
    def progress(self) -> str:
        """How far it has come, for people."""
        return f"iteration {'unknown' if self.iteration is None else self.iteration} of {self.env.num_iterations}"


def load_learned(folder: Path) -> Learned:
    """Load the policy of the run in `folder`. Of the configuration only the environment's is needed.

    Raises:
        ConfigError: if it is no run's folder, the run has no policy yet, or its environment can't be made.
        ArtifactError: if a file is damaged, or the policy doesn't fit the environment.
    """
    config = _config_of(folder)
    try:
        env = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(EnvConfig), config.env))
    except OmegaConfBaseException as error:
        raise ConfigError(f"{folder / CONFIG}: {error}") from error
    assert isinstance(env, EnvConfig)
    if not (folder / POLICY_FILES[0]).exists():
        raise ConfigError(
            f"{folder} has no {POLICY_FILES[0]} yet: a run writes it at every checkpoint, the first one after "
            f"{config.checkpoint_every} iterations"
        )
    spaces = check_env(env)
    try:
        iteration = saved_iteration(folder)
        _check_policy(folder, iteration)
        policy = load_policy(folder, spaces.observation_dim, spaces.action)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(
            f"the policy in {folder} can't be loaded: it is damaged, or not of env.id={env.id} ({error})"
        ) from error
    return Learned(folder, env, config.algo.name, policy, iteration, _expert_return(folder))


def config_of(folder: Path) -> Config:
    """Return the whole configuration of the run in `folder`.

    Raises:
        ConfigError: if there is none, or it can't be had any more, as after a change of its keys.
    """
    schema = OmegaConf.structured(Config)
    try:
        return parse(cast(DictConfig, OmegaConf.merge(schema, _config_of(folder))))
    except OmegaConfBaseException as error:
        raise ConfigError(f"{folder / CONFIG}: {error}") from error


def _config_of(folder: Path) -> Any:
    try:
        config = OmegaConf.load(folder / CONFIG)
    except (OSError, YAMLError) as error:
        raise ConfigError(
            f"{folder} must be the folder of a run, such as runs/figure1/hopper/gail/seed=0: {error}"
        ) from error
    return config


def _check_policy(folder: Path, iteration: int | None) -> None:
    """Raise ArtifactError if a finished run's policy isn't the one that it finished with.

    A run that goes on with a larger budget has a newer one, and passes.
    """
    summary = read_summary(folder)
    if summary is not None and iteration in (None, summary["iterations"]):
        files = summary.get("files", {})
        check_files(folder, {name: files[name] for name in POLICY_FILES if name in files}, SUMMARY)


def _expert_return(folder: Path) -> float | None:
    try:
        found = json.loads((folder / EXPERT_RECORD).read_text()).get("eval_return_mean")
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ArtifactError(f"{folder / EXPERT_RECORD} can't be read: {error}") from error
    return None if found is None else float(found)
