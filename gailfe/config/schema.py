"""The keys of conf/ that every run has: types, what they are for, what may stand there.

OmegaConf refuses unknown keys and wrong types by itself; gailfe/config/checks.py refuses other values that make no
sense. The values are in conf/: a default stands here only where a file of conf/ may leave a key out. The keys of
expert.* are with the classes that conf/expert/ names (see targets.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from gailfe.config.folders import register_resolvers
from gailfe.config.keys import (
    AT_LEAST_ONE,
    ENVIRONMENTS,
    FOLDER_NAME,
    IN_MEMORY,
    LOG_STD,
    NOT_NEGATIVE,
    PROBABILITY,
    SEED,
    Valid,
    key,
    one_of,
)

CHECKPOINTS = Valid(lambda value: 0 <= value <= 10_000, "at least 0, and at most 10000")
FOLDERS = Valid(lambda value: len(value) >= 1, "null, or a list of at least one folder")
SHARE = Valid(lambda value: 0 <= value < 1, "at least 0 and below 1")
SHARES = Valid(
    lambda value: len(value) >= 1 and all(0 < v < 1 for v in value), "a list of numbers between 0 and 1"
)
WRAPPERS = Valid(
    lambda value: all(_is_wrapper(wrapper) for wrapper in value),
    "a list of import paths, or of mappings with _target_, an import path, and the wrapper's arguments by name",
)
PROJECT = Valid(
    lambda value: re.fullmatch(r"[^/\\#?%:]{1,128}", value) is not None,
    "1 to 128 characters, none of them / \\ # ? % :",
)
DEVICE = Valid(lambda value: re.fullmatch(r"cpu|cuda(:\d+)?", value) is not None, "cpu, cuda, or cuda:<number>")


@dataclass
class PPOTask:
    """The settings of PPO that depend on the environment; conf/expert/ppo.yaml takes them from here."""

    total_steps: int = key("environment steps of the expert's training", AT_LEAST_ONE)
    gamma: float = key("γ, the discount", PROBABILITY)
    gae_lambda: float = key("λ of generalised advantage estimation", PROBABILITY)
    log_std_init: float = key("log of the policy's standard deviation at the start", LOG_STD)


@dataclass
class EnvConfig:
    """One environment. Annotators read the last three keys."""

    name: str = key("in names of folders, in tables and figures", FOLDER_NAME)
    id: str = key("Gymnasium's id")
    kwargs: dict[str, Any] = key("arguments of gymnasium.make", default={})
    wrappers: list[Any] = key("wrappers, the first one innermost", WRAPPERS, default=[])
    max_episode_steps: int | None = key("time limit [steps]; null: the registered one", AT_LEAST_ONE, None)
    num_iterations: int = key("iterations of imitation, the same for all algorithms", AT_LEAST_ONE)
    ppo: PPOTask = field(default_factory=PPOTask)
    gradient_penalty: float = key(
        "weight of the gradient penalty on D; conf/algo/_shared.yaml takes it", NOT_NEGATIVE
    )
    terminates: bool = key("whether an episode can end before its time limit", default=True)
    torso_angle: int | None = key("index of the torso's pitch [rad] in the observation", NOT_NEGATIVE, None)
    forward_velocity: int | None = key(
        "index of the forward velocity [m/s] in the observation", NOT_NEGATIVE, None
    )


def _is_wrapper(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(name, str) for name in value) and _is_wrapper(value.get("_target_"))
    return isinstance(value, str) and value.strip() != ""


@dataclass
class CollectConfig:
    """The keys that decide which trajectories stage 2 collects."""

    name: str = key("the option of conf/demonstrations/")
    seed: int = key("of the initial states and of the expert's noise", SEED)
    num_trajectories: int = key("trajectories of the expert to collect", IN_MEMORY)
    deterministic: bool = key("take the expert's mean action instead of sampling")
    max_attempts: int = key("episodes to try at most, failed ones included", IN_MEMORY)
    earlier_checkpoints: int = key("earlier checkpoints of the expert that are rolled out too", CHECKPOINTS)
    earlier_episodes: int = key("episodes of each earlier checkpoint", IN_MEMORY)
    contamination: float = key("share of the state-action pairs to imitate that comes from weaker policies", SHARE)
    weaker_policies: list[str] | None = key(
        "folders of these policies; null: the expert's earlier checkpoints", FOLDERS
    )
    weaker_returns: list[float] = key("returns of these checkpoints, in units of the expert's", SHARES)


@dataclass
class DemonstrationsConfig(CollectConfig):
    """The keys of `CollectConfig`, which data replace stages 1 and 2, and what part of the data is used."""

    dataset: str | None = key("folder or id of a Minari dataset that replaces stages 1 and 2", default=None)
    failed_dataset: str | None = key("folder or id of a Minari dataset of failed trajectories", default=None)
    split: bool = key("split the failures off `dataset` with the annotator", default=False)
    use_trajectories: int | None = key("number of expert trajectories to learn from; null: all", AT_LEAST_ONE)
    subsample: int = key("n: keep every n-th pair of each trajectory, from a random start", AT_LEAST_ONE)


@dataclass
class AnnotatorConfig:
    """The function that says which trajectory is a failure."""

    name: str = key("in tables and messages")
    function: str = key("import path of a function (trajectory, **arguments) -> bool")
    arguments: dict[str, Any] = key("arguments of the function", default={})
    needs: list[str] = key("keys of env.* that the environment must set", default=[])


def is_annotator(value: Any) -> bool:
    """Return whether an annotator's argument is an annotator itself, as those of any_of are."""
    return isinstance(value, dict) and "function" in value


@dataclass
class EvaluationConfig:
    """Evaluation of the learned policy, with its mean action."""

    every: int = key("iterations between evaluations", AT_LEAST_ONE)
    episodes: int = key("episodes of an evaluation", ENVIRONMENTS)


@dataclass
class TrackingConfig:
    """Weights & Biases, beside metrics.csv."""

    name: str = key("the option of conf/tracking/")
    wandb: bool = key("whether a W&B run is written")
    mode: str = key("where it goes: to the run's folder, or to W&B's server at once", one_of("offline", "online"))
    project: str = key("W&B project", PROJECT)
    entity: str | None = key("W&B team or user; null: your default")
    videos: bool = key("whether the policy is filmed at the start, in the middle and at the end")
    artifact_mb: float = key("largest expert or dataset that is uploaded as files [MB]", NOT_NEGATIVE)


@dataclass
class PathsConfig:
    """The folders of results."""

    runs: str = key("folder of all runs")
    artifacts: str = key("folder of experts and demonstrations, shared by all runs")


@dataclass
class Config:
    """The whole configuration of a run."""

    seed: int = key("of the imitation (stage 3); the expert and the demonstrations have seeds of their own", SEED)
    device: str = key("where the networks of stage 3 learn", DEVICE)
    experiment: str = key("name of the file of conf/experiment/ behind this run, and a tag in W&B", FOLDER_NAME)
    study: str = key("name of the folder of these runs, and a tag in W&B", FOLDER_NAME, "${experiment}")
    checkpoint_every: int = key("iterations between checkpoints", AT_LEAST_ONE)
    episodes: int = key("episodes of expert.evaluate and expert.publish", ENVIRONMENTS)
    env: EnvConfig = field(default_factory=EnvConfig)
    expert: Any = MISSING  # the `Config` of the class that the group's file names, see targets.py
    demonstrations: DemonstrationsConfig = field(default_factory=DemonstrationsConfig)
    annotator: AnnotatorConfig = field(default_factory=AnnotatorConfig)
    algo: Any = MISSING  # the `Config` of the class that the group's file names, see targets.py
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)


ConfigStore.instance().store(name="schema", node=Config)
register_resolvers()
