"""Experts, which give the demonstrations. `expert._target_` names a class that does all that depends on the kind.

PPO (ppo.py) is trained here. The others were trained before: they are in the package (pretrained.py) or from
Stable-Baselines3 (sb3.py). Your own derives from `Expert`; a file like those of conf/expert/ names it.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from gailfe.config import schema
from gailfe.config.keys import ENVIRONMENTS, ConfigError, key
from gailfe.config.targets import Target, target_class
from gailfe.envs.making import spaces_of
from gailfe.nn.acting import CanAct
from gailfe.nn.policy_file import load_policy
from gailfe.processes.stopping import check_asked
from gailfe.storage.files import write_json
from gailfe.storage.names import EVALUATION
from gailfe.storage.store import Store

log = logging.getLogger(__name__)


@dataclass
class ExpertConfig(Target):
    """The keys that every expert has."""

    eval_episodes: int = key("episodes of an evaluation, in training and before stage 2", ENVIRONMENTS)


class Expert(ABC):
    """One expert of one configuration.

    Args:
        config: whose `expert` is a `Config` of the class.
    """

    Config: ClassVar[type[ExpertConfig]]  # its keys, those of expert.*
    trained_here: ClassVar[bool] = False  # its folder holds checkpoints/ and curve.csv

    def __init__(self, config: schema.Config) -> None:
        self.config = config

    def check(self) -> None:  # noqa: B027 (most experts need no check)
        """Check that what the configuration refers to, such as a file, is there and fits the environment.

        Raises:
            ConfigError: if it is not there or doesn't fit.
        """

    def folder(self) -> Path | None:
        """Return the folder of an expert that exists outside the store; None if the store keeps it."""
        return None

    @abstractmethod
    def made_from(self) -> dict[str, Any]:
        """Return everything that decides the expert beside the environment, as JSON values."""

    def recipe(self) -> dict[str, Any]:
        """Return everything that decides the expert, as JSON values."""
        return {"version": 1, "env": env_recipe(self.config.env), "expert": self.made_from()}

    def make(self, store: Store) -> Path:
        """Return the expert's folder, with its evaluation; make it now if the store lacks it."""
        return store.get("experts", self.config.env.name, self.recipe(), self.fill, check_asked)

    def existing(self, store: Store) -> Path | None:
        """Return the expert's folder as `make` does, but only if it is there; None otherwise."""
        return self.folder() or store.find("experts", self.config.env.name, self.recipe())

    def fill(self, folder: Path) -> None:
        """Write evaluation.json into `folder`, and what `load` needs. Only `make` calls this."""
        raise NotImplementedError(f"{type(self).__name__} is not made here")

    def load(self, folder: Path) -> CanAct:
        """Return the policy of the expert whose folder is `folder`, as `make` returned it."""
        spaces = spaces_of(self.config.env)
        return load_policy(folder, spaces.observation_dim, spaces.action)


def expert_of(config: schema.Config) -> Expert:
    """Return the configured expert.

    Raises:
        ConfigError: if its class can't be imported or isn't an `Expert`.
    """
    target = config.expert._target_
    found = target_class("expert", target)
    if not issubclass(found, Expert):
        raise ConfigError(f"expert._target_={target} must derive from {__name__}.Expert")
    return found(config)


def make_expert(config: schema.Config, store: Store) -> Path:
    """Return the folder of the configured expert, with its evaluation; trained first if the store lacks it.

    Raises:
        ConfigError: if an expert from elsewhere is not there or doesn't fit the environment; nothing is made then.
    """
    expert = expert_of(config)
    expert.check()
    return expert.make(store)


def env_recipe(env: schema.EnvConfig) -> dict[str, Any]:
    """Return the keys of an environment that decide how it behaves."""
    recipe: dict[str, Any] = {
        "id": env.id,
        "kwargs": dict(env.kwargs),
        "max_episode_steps": env.max_episode_steps,
    }
    return (
        {**recipe, "wrappers": list(env.wrappers)} if env.wrappers else recipe
    )  # none: as before there were some


def record_evaluation(folder: Path, achieved: dict[str, float]) -> None:
    """Write an expert's evaluation to its folder and to the log."""
    write_json(folder / EVALUATION, achieved)
    log.info("expert: return %(eval_return_mean).0f ± %(eval_return_std).0f (mean action)", achieved)
