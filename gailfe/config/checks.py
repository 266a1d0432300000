"""The checks of a configuration, before any work starts.

Every message names the key, the value and what would be valid. What a single key allows is said where the key is
declared; here are the checks of keys that must go together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gailfe.config.keys import FOLDER_NAME, ConfigError, check_keys
from gailfe.config.schema import Config, is_annotator
from gailfe.config.targets import target_class, typed


def parse(cfg: DictConfig) -> Config:
    """The composed configuration as typed dataclasses, checked.

    Raises:
        ConfigError: naming the key, the value and what is valid.
    """
    try:
        config = OmegaConf.to_object(cfg)
        expert = cfg.expert
    except OmegaConfBaseException as error:
        raise ConfigError(str(error)) from error
    assert isinstance(config, Config)
    config.expert = typed("expert", expert)
    unknown = list(_unknown_keys(config))
    if unknown:
        raise ConfigError(f"{', '.join(unknown)}: there is no such key; --cfg job shows those that there are")
    check(config)
    return config


def check(config: Config) -> None:
    """Refuse values out of range and combinations that make no sense.

    Raises:
        ConfigError: naming the key, the value and what is valid.
    """
    check_keys(config)
    for keys, valid, words in RANGES:
        for key in keys.split():
            value = _select(config, key)
            if value is not None and not valid(value):
                raise ConfigError(f"{key}={value} must be {words}")
    _check_divides(config, "algo.num_envs", "algo.steps_per_iteration")
    _check_order(config, "algo.failures.lambda_init", "algo.failures.lambda_max")
    config.expert.check()
    _check_order(config, "demonstrations.num_trajectories", "demonstrations.max_attempts")
    _check_demonstrations(config)
    for need in _needs(asdict(config.annotator)):
        if _select(config, need) in (None, False):
            raise ConfigError(
                f"annotator={config.annotator.name} needs {need}, which env={config.env.name} does not have; "
                f"choose another annotator, or set {need} if the environment does provide it"
            )


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
    if earlier > 0 and not target_class("expert", config.expert._target_).trained_here:
        raise ConfigError(
            f"demonstrations.earlier_checkpoints={earlier} needs an expert that is trained here and keeps its "
            f"checkpoints, as expert=ppo does, not expert={config.expert.name}"
        )
    for key in ("demonstrations.failed_dataset", "demonstrations.split"):
        value = _select(config, key)
        if value not in (None, False):
            raise ConfigError(
                f"{key}={value} goes with demonstrations=minari and demonstrations.dataset=<folder>, "
                f"not with demonstrations={config.demonstrations.name}"
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


AT_LEAST_ONE = (lambda value: value >= 1), "at least 1"
NOT_NEGATIVE = (lambda value: value >= 0), "at least 0"
POSITIVE = (lambda value: value > 0), "greater than 0"
PROBABILITY = (lambda value: 0 <= value <= 1), "between 0 and 1"
SIZES = (lambda value: len(value) >= 1 and min(value) >= 1), "a list of layer sizes, each at least 1"

# Keys of algo.*, what is valid, and the words for it; null is left to the schema.
RANGES: list[tuple[str, Callable[[Any], bool], str]] = [
    (
        "algo.num_envs algo.steps_per_iteration algo.value.epochs algo.value.minibatch_size "
        "algo.trpo.cg_iterations algo.trpo.max_backtracks algo.discriminator.updates "
        "algo.discriminator.batch_size algo.failures.capacity algo.failures.window",
        *AT_LEAST_ONE,
    ),
    (
        "algo.lambda_h algo.trpo.cg_damping algo.discriminator.logit_entropy algo.discriminator.gradient_penalty "
        "algo.failures.lambda_init algo.failures.lambda_learning_rate algo.failures.lambda_max",
        *NOT_NEGATIVE,
    ),
    ("algo.value.learning_rate algo.discriminator.learning_rate algo.trpo.max_kl", *POSITIVE),
    ("algo.gamma algo.gae_lambda", *PROBABILITY),
    ("algo.trpo.backtrack_ratio", lambda value: 0 < value < 1, "between 0 and 1, both excluded"),
    ("algo.failures.z_f", lambda value: value <= 0, "a log-probability (at most 0)"),
    ("algo.policy.hidden_sizes algo.value.hidden_sizes algo.discriminator.hidden_sizes", *SIZES),
    ("algo.name", FOLDER_NAME.check, FOLDER_NAME.words),
]
