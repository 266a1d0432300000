"""The checks of a configuration, before any work starts.

Every message names the key, the value and what would be valid. What a single key allows is said where the key is
declared; here are the checks of keys that must go together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gailfe.config.keys import ConfigError, check_keys
from gailfe.config.nearest import did_you_mean, keys_of
from gailfe.config.schema import Config, is_annotator
from gailfe.config.targets import target_class, typed


def parse(cfg: DictConfig) -> Config:
    """Return the composed configuration as typed dataclasses, checked.

    Raises:
        ConfigError: naming the key, the value and what is valid.
    """
    try:
        config = OmegaConf.to_object(cfg)
        expert, algo = cfg.expert, cfg.algo
    except OmegaConfBaseException as error:
        raise ConfigError(str(error)) from error
    assert isinstance(config, Config)
    check_keys(config)  # before the keys of expert.*, whose values may come from env.*
    config.expert, config.algo = typed("expert", expert), typed("algo", algo)
    for unknown in _unknown_keys(config):
        near = did_you_mean(unknown, (key for key in keys_of(cfg) if key != unknown))
        raise ConfigError(f"{unknown}: there is no such key{near or '; --cfg job shows those that there are'}")
    check(config)
    return config


def check(config: Config) -> None:
    """Refuse values out of range and combinations that make no sense.

    Raises:
        ConfigError: naming the key, the value and what is valid.
    """
    check_keys(config)
    _check_order(config, "demonstrations.num_trajectories", "demonstrations.max_attempts")
    _check_demonstrations(config)
    for key, need in _needs(asdict(config.annotator)):
        if _select(config, need) in (None, False):
            raise ConfigError(
                f"{key}: annotator={config.annotator.name} needs {need}, which env={config.env.name} does not "
                f"have; choose another annotator, or set {need} if the environment does provide it"
            )


def _needs(annotator: dict[str, Any], key: str = "annotator") -> Iterator[tuple[str, str]]:
    """The keys that an annotator needs, and those within it, each after the key that says so."""
    needs, arguments = annotator.get("needs", []), annotator.get("arguments", {})
    for name, value, kind, words in (
        ("needs", needs, list, "a list of keys of env.*"),
        ("arguments", arguments, dict, "arguments by name"),
    ):
        if not isinstance(value, kind):  # of an annotator within another one: the outer one's have their types
            raise ConfigError(f"{key}.{name}={value} must be {words}")
    yield from ((f"{key}.needs", str(need)) for need in needs)
    for name, argument in arguments.items():
        if is_annotator(argument):
            yield from _needs(argument, f"{key}.arguments.{name}")


def _check_demonstrations(config: Config) -> None:
    if config.demonstrations.dataset is not None:
        return
    if config.demonstrations.name == "minari":
        raise ConfigError("demonstrations.dataset=None must be the folder of a Minari dataset, or its id")
    _check_order(config, "demonstrations.use_trajectories", "demonstrations.num_trajectories")
    earlier = config.demonstrations.earlier_checkpoints
    if earlier > 0 and not getattr(target_class("expert", config.expert._target_), "trained_here", False):
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


def _select(config: Config, key: str) -> Any:
    """Return the value at a dotted key; None where the chosen options don't have it."""
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part, None)
    return value
