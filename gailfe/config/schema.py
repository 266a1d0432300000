"""The typed schema of conf/.

OmegaConf refuses unknown keys and wrong types by itself; gailfe/config/checks.py refuses values that make no
sense. The numbers are in conf/: what stands here serves tests and scripts that compose no configuration.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from gailfe.config.folders import register_resolvers
from gailfe.config.keys import ConfigError as ConfigError


@dataclass
class PPOTask:
    """What of PPO depends on the task."""

    total_steps: int = 1_000_000  # environment steps
    gamma: float = 0.99
    gae_lambda: float = 0.95
    log_std_init: float = 0.0


@dataclass
class EnvConfig:
    name: str = MISSING  # in folder names, tables and figures
    id: str = MISSING  # Gymnasium's
    kwargs: dict[str, Any] = field(default_factory=dict)  # to gymnasium.make
    max_episode_steps: int | None = None  # null: as the environment is registered
    num_iterations: int = MISSING  # imitation budget, shared by all algorithms
    ppo: PPOTask = field(default_factory=PPOTask)
    # What annotators can read: null or false where the environment doesn't have it.
    terminates: bool = True  # can an episode end before its time limit?
    torso_angle: int | None = None  # index of the torso's pitch [rad] in the observation
    forward_velocity: int | None = None  # index of the forward velocity [m/s] in the observation


@dataclass
class PPOConfig:
    name: str = MISSING
    seed: int = 0
    num_envs: int = 8
    steps_per_iteration: int = 2048
    total_steps: int = MISSING
    gamma: float = MISSING
    gae_lambda: float = MISSING
    hidden_sizes: list[int] = field(default_factory=lambda: [64, 64])
    activation: str = "tanh"
    log_std_init: float = MISSING
    learning_rate: float = 3e-4
    anneal: bool = True
    epochs: int = 10
    minibatch_size: int = 64
    clip: float = 0.2
    entropy_coefficient: float = 0.0
    max_grad_norm: float = 0.5
    target_kl: float | None = None
    eval_every: int = 20  # iterations
    eval_episodes: int = 10
    finalists: int = 10
    finalist_episodes: int = 50
    final_eval_episodes: int = 20


@dataclass
class PretrainedConfig:
    name: str = MISSING
    folder: str | None = None  # null: the one that comes with the package for this environment
    eval_episodes: int = 10


@dataclass
class SB3Config:
    name: str = MISSING
    file: str | None = None  # the .zip that a model of Stable-Baselines3 was saved to
    algo: str | None = None  # the class that saved it, in lower case
    vecnormalize: str | None = None  # the statistics of its observations, if they were normalised
    allow_pickle: bool = False  # both files run code when they are loaded
    eval_episodes: int = 10
    final_eval_episodes: int = 20


@dataclass
class CollectConfig:
    """What decides which trajectories stage 2 collects."""

    name: str = MISSING
    seed: int = 0
    num_trajectories: int = 30
    deterministic: bool = False
    max_attempts: int = 300
    earlier_checkpoints: int = 0
    earlier_episodes: int = 10  # of each


@dataclass
class DemonstrationsConfig(CollectConfig):
    """Those keys, and what decides where trajectories come from instead and how much of them is learned from."""

    dataset: str | None = None  # folder or id of a Minari dataset that takes the place of stages 1 and 2
    failed_dataset: str | None = None  # of another one, of failed trajectories
    split: bool = False  # split the failures of `dataset` off with the annotator
    use_trajectories: int | None = None  # so many of the expert's; null: all
    subsample: int = 1  # every so many-th state-action pair of each of them


@dataclass
class AnnotatorConfig:
    name: str = MISSING
    function: str = MISSING  # import path of trajectory, **arguments → bool
    arguments: dict[str, Any] = field(default_factory=dict)
    needs: list[str] = field(default_factory=list)  # config keys that the environment must fill


def is_annotator(value: Any) -> bool:
    """Whether an annotator's argument is an annotator itself, as those of any_of are."""
    return isinstance(value, dict) and "function" in value


@dataclass
class EvaluationConfig:
    every: int = 20  # iterations
    episodes: int = 5


@dataclass
class TrackingConfig:
    name: str = MISSING
    wandb: bool = True
    mode: str = "offline"
    project: str = "gailfe"
    entity: str | None = None


@dataclass
class PathsConfig:
    runs: str = "runs"
    artifacts: str = "artifacts"


@dataclass
class Config:
    seed: int = 0
    device: str = "cpu"
    experiment: str = MISSING
    checkpoint_every: int = 50  # iterations
    episodes: int = 20  # of `python -m expert.evaluate`
    env: EnvConfig = field(default_factory=EnvConfig)
    expert: Any = MISSING  # PPOConfig, PretrainedConfig or SB3Config, as the group's file says
    demonstrations: DemonstrationsConfig = field(default_factory=DemonstrationsConfig)
    annotator: AnnotatorConfig = field(default_factory=AnnotatorConfig)
    algo: Any = MISSING  # the `Config` of the class that the group's file names, see targets.py
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)


ConfigStore.instance().store(name="schema", node=Config)
ConfigStore.instance().store(group="expert", name="_ppo", node=PPOConfig)
ConfigStore.instance().store(group="expert", name="_pretrained", node=PretrainedConfig)
ConfigStore.instance().store(group="expert", name="_sb3", node=SB3Config)
register_resolvers()
