"""The policy that a run has learned so far: one that is still going, or was killed, has its last checkpoint's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from omegaconf import DictConfig, OmegaConf

from gailfe.config.checks import parse
from gailfe.config.keys import ConfigError
from gailfe.config.schema import Config, EnvConfig
from gailfe.envs.making import check_env
from gailfe.nn.policy_file import load_policy, saved_iteration
from gailfe.nn.stochastic import StochasticPolicy
from gailfe.storage.finished import read_summary
from gailfe.storage.names import CONFIG, POLICY_FILES, SUMMARY
from gailfe.storage.records import expert_return
from gailfe.storage.store import ArtifactError, check_files

Taken = TypeVar("Taken")


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
    env, algo, every = _of_config(folder, _parts)
    if not (folder / POLICY_FILES[0]).exists():
        raise ConfigError(
            f"{folder} has no {POLICY_FILES[0]} yet: a run writes it at every checkpoint, the first one after "
            f"{every} iterations"
        )
    spaces = check_env(env)
    iteration = saved_iteration(folder)
    check_policy(folder, iteration)
    policy = load_policy(folder, spaces.observation_dim, spaces.action)
    return Learned(folder, env, algo, policy, iteration, expert_return(folder))


def config_of(folder: Path) -> Config:
    """Return the whole configuration of the run in `folder`.

    Raises:
        ConfigError: if there is none, or it can't be had any more, as after a change of its keys.
        ArtifactError: if its file is damaged.
    """
    schema = OmegaConf.structured(Config)
    return _of_config(folder, lambda config: parse(cast(DictConfig, OmegaConf.merge(schema, config))))


def _of_config(folder: Path, take: Callable[[Any], Taken]) -> Taken:
    """Return what `take` takes of a run's configuration. Raises as `config_of`."""
    path = folder / CONFIG
    try:
        return take(OmegaConf.load(path))
    except OSError as error:
        raise ConfigError(
            f"{folder} must be the folder of a run, such as runs/figure1/hopper/gail/seed=0: {error}"
        ) from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    except Exception as error:  # UTF-8, YAML and OmegaConf each have errors of their own
        told = str(error).partition("\n")[0]
        raise ArtifactError(f"{path} can't be read: {type(error).__name__}: {told}") from error


def _parts(config: Any) -> tuple[EnvConfig, str, int]:
    """The environment, the algorithm's name, and the iterations between checkpoints."""
    env = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(EnvConfig), config.env))
    assert isinstance(env, EnvConfig)
    return env, str(config.algo.name), int(config.checkpoint_every)


def check_policy(folder: Path, iteration: int | None) -> None:
    """Raise ArtifactError if a finished run's policy isn't the one that it finished with.

    A run that goes on with a larger budget has a newer one, and passes.
    """
    summary = read_summary(folder)
    if summary is not None and iteration in (None, summary["iterations"]):
        files = summary.get("files", {})
        check_files(folder, {name: files[name] for name in POLICY_FILES if name in files}, SUMMARY)
