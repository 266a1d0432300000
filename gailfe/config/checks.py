"""The checks of a configuration, before any work starts.

Every message names the key, the value and what would be valid.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gailfe.config.schema import Config, ConfigError, is_annotator


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
    unknown = list(_unknown_keys(config))
    if unknown:
        raise ConfigError(f"{', '.join(unknown)}: there is no such key; --cfg job shows those that there are")
    check(config)
    return config


def prepare(cfg: DictConfig) -> Config:
    """`parse`, a look at whether the environment can be made, and one torch thread for this process: these
    networks are too small for more, and the jobs of a sweep would fight over the cores."""
    config = parse(cfg)
    import torch  # here, so that --help and the checks of a sweep don't wait for it

    from gailfe.envs.making import check_env

    torch.set_num_threads(1)
    index = int(config.device.partition(":")[2] or 0)
    if config.device != "cpu" and index >= torch.cuda.device_count():
        raise ConfigError(
            f"device={config.device}: torch {torch.__version__} sees {torch.cuda.device_count()} CUDA devices; "
            "valid is cpu" + "".join(f", cuda:{i}" for i in range(torch.cuda.device_count()))
        )
    dim = check_env(config.env).observation_dim
    for key in ("env.torso_angle", "env.forward_velocity"):
        index = _select(config, key)
        if index is not None and not 0 <= index < dim:
            raise ConfigError(f"{key}={index} must index an observation of {config.env.id}: 0 to {dim - 1}")
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
    steps, size = _select(config, "expert.steps_per_iteration"), _select(config, "expert.minibatch_size")
    if size is not None and steps % size == 1:
        raise ConfigError(
            f"expert.minibatch_size={size} leaves a minibatch of one step of expert.steps_per_iteration={steps}, "
            "whose advantage can't be standardised; choose a divisor"
        )
    _check_order(config, "algo.failures.lambda_init", "algo.failures.lambda_max")
    _check_order(config, "demonstrations.num_trajectories", "demonstrations.max_attempts")
    _check_demonstrations(config)
    _check_sb3(config)
    for need in _needs(asdict(config.annotator)):
        if _select(config, need) in (None, False):
            raise ConfigError(
                f"annotator={config.annotator.name} needs {need}, which env={config.env.name} does not have; "
                f"choose another annotator, or set {need} if the environment does provide it"
            )
    for name in ("experiment", "env.name", "algo.name"):
        value = _select(config, name)
        if value is not None and (not re.fullmatch(r"[\w.-]+", value) or not value.strip(".")):
            raise ConfigError(f"{name}={value} becomes a folder: letters, digits, '_', '-' and '.' only")


def _needs(annotator: dict[str, Any]) -> Iterator[str]:
    yield from annotator.get("needs", [])
    for argument in annotator.get("arguments", {}).values():
        if is_annotator(argument):
            yield from _needs(argument)


def _check_demonstrations(config: Config) -> None:
    if config.demonstrations.dataset is not None:
        return
    if config.demonstrations.name == "minari":
        raise ConfigError("demonstrations.dataset=None must be the folder of a Minari dataset, or its id")
    _check_order(config, "demonstrations.use_trajectories", "demonstrations.num_trajectories")
    earlier = config.demonstrations.earlier_checkpoints
    if earlier > 0 and config.expert.name != "ppo":
        raise ConfigError(
            f"demonstrations.earlier_checkpoints={earlier} needs expert=ppo, whose training keeps them, "
            f"not expert={config.expert.name}"
        )
    for key in ("demonstrations.failed_dataset", "demonstrations.split"):
        value = _select(config, key)
        if value not in (None, False):
            raise ConfigError(
                f"{key}={value} goes with demonstrations=minari and demonstrations.dataset=<folder>, "
                f"not with demonstrations={config.demonstrations.name}"
            )


SB3_ALGORITHMS = ("a2c", "ars", "crossq", "ddpg", "ppo", "sac", "td3", "tqc", "trpo")  # those for Box actions


def _check_sb3(config: Config) -> None:
    if _select(config, "expert.name") != "sb3":
        return
    if config.expert.file is None:
        raise ConfigError("expert.file=None must be the .zip that Stable-Baselines3's model.save wrote")
    is_known, known = _one_of(*SB3_ALGORITHMS)
    if not is_known(config.expert.algo):
        raise ConfigError(f"expert.algo={config.expert.algo} must be {known}")
    if not config.expert.allow_pickle:
        raise ConfigError(
            f"expert.allow_pickle=false: expert.file={config.expert.file} holds pickles, which can run any code "
            "when they are loaded; expert.allow_pickle=true says that you trust where it comes from"
        )


def _check_order(config: Config, small: str, large: str) -> None:
    low, high = _select(config, small), _select(config, large)
    if low is not None and high is not None and low > high:
        raise ConfigError(f"{small}={low} must be at most {large}={high}")


def _unknown_keys(node: Any, prefix: str = "") -> Iterator[str]:
    """Keys that a `+key=value` added to the schema: OmegaConf lets them in."""
    names = {f.name for f in fields(node)}
    for name, value in vars(node).items():
        if name not in names:
            yield prefix + name
        elif is_dataclass(value):
            yield from _unknown_keys(value, f"{prefix}{name}.")


def _check_divides(config: Config, small: str, large: str) -> None:
    envs, steps = _select(config, small), _select(config, large)
    if envs is not None and steps % envs:
        raise ConfigError(f"{small}={envs} must divide {large}={steps}")


def _select(config: Config, key: str) -> Any:
    """The value at a dotted key; None where the chosen options don't have it."""
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part, None)
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
        "expert.eval_every expert.eval_episodes expert.finalists expert.finalist_episodes "
        "expert.final_eval_episodes demonstrations.num_trajectories demonstrations.earlier_episodes "
        "demonstrations.max_attempts demonstrations.use_trajectories demonstrations.subsample "
        "algo.num_envs algo.steps_per_iteration algo.value.epochs algo.value.minibatch_size "
        "algo.trpo.cg_iterations algo.trpo.max_backtracks algo.discriminator.updates "
        "algo.discriminator.batch_size algo.failures.capacity algo.failures.window",
        *AT_LEAST_ONE,
    ),
    ("expert.minibatch_size", lambda value: value >= 2, "at least 2, to standardise advantages"),
    (
        "seed expert.seed demonstrations.seed demonstrations.earlier_checkpoints algo.lambda_h "
        "algo.trpo.cg_damping expert.entropy_coefficient "
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
    ("device", lambda value: re.fullmatch(r"cpu|cuda(:\d+)?", value) is not None, "cpu, cuda, or cuda:<number>"),
]
