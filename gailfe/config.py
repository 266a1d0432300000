"""The typed schema of conf/, and the checks that run before any work starts.

OmegaConf refuses unknown keys and wrong types by itself; `check` refuses values out of range and combinations
that make no sense. Every message names the key, the value and what would be valid.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gailfe.folders import register_resolvers


class ConfigError(ValueError):
    """A configuration that names no experiment: which key, which value, and what is valid."""


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
    min_return: float | None = None  # an episode below it was no success


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
    eval_every: int = 10  # iterations
    eval_episodes: int = 10
    final_eval_episodes: int = 20


@dataclass
class CollectConfig:
    name: str = MISSING
    seed: int = 0
    num_trajectories: int = 30
    deterministic: bool = False
    max_attempts: int = 300


@dataclass
class AnnotatorConfig:
    name: str = MISSING
    function: str = MISSING  # import path of trajectory, **arguments → bool
    arguments: dict[str, Any] = field(default_factory=dict)
    needs: list[str] = field(default_factory=list)  # config keys that the environment must fill


@dataclass
class TRPOConfig:
    max_kl: float = 0.01
    cg_iterations: int = 10
    cg_damping: float = 0.1
    max_backtracks: int = 10
    backtrack_ratio: float = 0.7


@dataclass
class PolicyConfig:
    hidden_sizes: list[int] = field(default_factory=lambda: [100, 100])
    log_std_init: float = -0.5


@dataclass
class ValueConfig:
    hidden_sizes: list[int] = field(default_factory=lambda: [100, 100])
    learning_rate: float = 1e-3
    epochs: int = 5
    minibatch_size: int = 256


@dataclass
class DiscriminatorConfig:
    hidden_sizes: list[int] = field(default_factory=lambda: [100, 100])
    learning_rate: float = 3e-4
    updates: int = 3  # gradient steps an iteration
    batch_size: int = 1024  # pairs from each source a step
    logit_entropy: float = 1e-3
    gradient_penalty: float = 1.0


@dataclass
class FailuresConfig:
    capacity: int = 1500  # N, trajectories
    z_f: float = MISSING  # Z_F, a log-probability
    lambda_init: float = 1.0
    lambda_learning_rate: float = 0.05
    lambda_max: float = 10.0


@dataclass
class AlgoConfig:
    name: str = MISSING
    num_envs: int = 8
    steps_per_iteration: int = 1024
    gamma: float = 0.99
    gae_lambda: float = 0.97
    lambda_h: float = 0.0
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    value: ValueConfig = field(default_factory=ValueConfig)
    trpo: TRPOConfig = field(default_factory=TRPOConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    failures: FailuresConfig | None = None  # null: GAIL


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
    experiment: str = MISSING
    device: str = "cpu"
    checkpoint_every: int = 50  # iterations
    episodes: int = 20  # of `python -m expert.evaluate`
    env: EnvConfig = field(default_factory=EnvConfig)
    expert: PPOConfig = field(default_factory=PPOConfig)
    demonstrations: CollectConfig = field(default_factory=CollectConfig)
    annotator: AnnotatorConfig = field(default_factory=AnnotatorConfig)
    algo: AlgoConfig = field(default_factory=AlgoConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)


ConfigStore.instance().store(name="schema", node=Config)
register_resolvers()


def parse(cfg: DictConfig) -> Config:
    """The composed configuration as typed dataclasses, checked.

    Raises:
        ConfigError: naming the key, the value and what is valid.
    """
    try:
        config = OmegaConf.to_object(cfg)
    except OmegaConfBaseException as error:
        raise ConfigError(str(error)) from error
    assert isinstance(config, Config)
    check(config)
    return config


def prepare(cfg: DictConfig) -> Config:
    """`parse`, a look at whether the environment can be made, and one torch thread for this process: these
    networks are too small for more, and the jobs of a sweep would fight over the cores."""
    config = parse(cfg)
    import torch  # here, so that --help and the checks of a sweep don't wait for it

    from gailfe.envs import episode_limit, make_env

    torch.set_num_threads(1)
    make_env(config.env).close()
    episode_limit(config.env)
    return config


def check(config: Config) -> None:
    """Refuse values out of range and combinations that make no sense.

    Raises:
        ConfigError: naming the key, the value and what is valid.
    """
    for keys, valid, words in RANGES:
        for key in keys.split():
            value = _select(config, key)
            if value is not None and not valid(value):
                raise ConfigError(f"{key}={value} must be {words}")
    _check_divides(config, "algo.num_envs", "algo.steps_per_iteration")
    _check_divides(config, "expert.num_envs", "expert.steps_per_iteration")
    for need in config.annotator.needs:
        if _select(config, need) in (None, False):
            raise ConfigError(
                f"annotator={config.annotator.name} needs {need}, which env={config.env.name} does not have; "
                f"choose another annotator, or set {need} if the environment does provide it"
            )
    for name in ("experiment", "env.name", "algo.name"):
        value = _select(config, name)
        if value is not None and not re.fullmatch(r"[\w.-]+", value):
            raise ConfigError(f"{name}={value} becomes a folder: letters, digits, '_', '-' and '.' only")


def _check_divides(config: Config, small: str, large: str) -> None:
    envs, steps = _select(config, small), _select(config, large)
    if steps % envs:
        raise ConfigError(f"{small}={envs} must divide {large}={steps}")


def _select(config: Config, key: str) -> Any:
    """The value at a dotted key; None where a part of the path is None."""
    value: Any = config
    for part in key.split("."):
        value = None if value is None else getattr(value, part)
    return value


def _one_of(*names: str) -> tuple[Callable[[Any], bool], str]:
    return (lambda value: value in names), "one of " + ", ".join(names)


AT_LEAST_ONE = (lambda value: value >= 1), "at least 1"
NOT_NEGATIVE = (lambda value: value >= 0), "at least 0"
POSITIVE = (lambda value: value > 0), "greater than 0"
PROBABILITY = (lambda value: 0 <= value <= 1), "between 0 and 1"
SIZES = (lambda value: len(value) >= 1 and min(value) >= 1), "a list of layer sizes, each at least 1"

# Keys, what is valid, and the words for it; null is left to the schema.
RANGES: list[tuple[str, Callable[[Any], bool], str]] = [
    (
        "checkpoint_every episodes evaluation.every evaluation.episodes env.num_iterations env.max_episode_steps "
        "env.ppo.total_steps expert.num_envs expert.steps_per_iteration expert.total_steps expert.epochs "
        "expert.eval_every expert.eval_episodes expert.final_eval_episodes demonstrations.num_trajectories "
        "demonstrations.max_attempts algo.num_envs algo.steps_per_iteration algo.value.epochs "
        "algo.value.minibatch_size algo.trpo.cg_iterations algo.trpo.max_backtracks algo.discriminator.updates "
        "algo.discriminator.batch_size algo.failures.capacity",
        *AT_LEAST_ONE,
    ),
    ("expert.minibatch_size", lambda value: value >= 2, "at least 2, to standardise advantages"),
    (
        "seed expert.seed demonstrations.seed algo.lambda_h algo.trpo.cg_damping expert.entropy_coefficient "
        "algo.discriminator.logit_entropy algo.discriminator.gradient_penalty algo.failures.lambda_init "
        "algo.failures.lambda_learning_rate algo.failures.lambda_max",
        *NOT_NEGATIVE,
    ),
    (
        "expert.learning_rate expert.clip expert.max_grad_norm expert.target_kl algo.value.learning_rate "
        "algo.discriminator.learning_rate algo.trpo.max_kl",
        *POSITIVE,
    ),
    ("expert.gamma expert.gae_lambda algo.gamma algo.gae_lambda", *PROBABILITY),
    ("algo.trpo.backtrack_ratio", lambda value: 0 < value < 1, "between 0 and 1, both excluded"),
    ("algo.failures.z_f", lambda value: value <= 0, "a log-probability (at most 0)"),
    (
        "expert.hidden_sizes algo.policy.hidden_sizes algo.value.hidden_sizes algo.discriminator.hidden_sizes",
        *SIZES,
    ),
    ("expert.activation", *_one_of("tanh", "relu")),
    ("tracking.mode", *_one_of("offline", "online")),
    ("device", *_one_of("cpu")),
]
