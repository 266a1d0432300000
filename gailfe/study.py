"""A sweep whose sweeper decides as it goes, as in an Optuna study of the expert: what it needs, what it found."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, Transformer
from omegaconf import DictConfig, OmegaConf

from gailfe.config.keys import ConfigError

RESULTS = "optimization_results.yaml"  # Optuna's sweeper leaves it in the sweep's folder


def check_study(config: DictConfig) -> None:
    """Refuse what can't be a study.

    Args:
        config: of the sweep, with Hydra's own part.

    Raises:
        ConfigError: if the command has no objective, or the trials would not be of one environment.
    """
    if config.hydra.job.name != "train":
        raise ConfigError(
            f"hydra.sweeper={config.hydra.sweeper._target_} needs an objective, and only python -m expert.train "
            "has one: what its expert achieves"
        )
    for override in _overrides(config.hydra.overrides.task):
        if override.key_or_group == "env" and override.is_sweep_override():
            raise ConfigError(f"{override.input_line}: a study is of one environment, since returns don't compare")


def trials_to_check(config: DictConfig) -> Iterator[list[str]]:
    """The overrides of trials that stand for all: each searched key at each of its choices, or at its two ends."""
    overrides = {override.key_or_group: override for override in _overrides(sweep_arguments(config))}
    fixed = [str(override.input_line) for override in overrides.values() if not override.is_sweep_override()]
    yield fixed
    for key, override in overrides.items():
        if override.is_sweep_override():
            yield from ([*fixed, f"{key}={value}"] for value in _choices_or_ends(override))


def sweep_arguments(config: DictConfig) -> list[str]:
    """What is swept over and what is fixed, the command line last."""
    params = OmegaConf.to_container(config.hydra.sweeper.params or OmegaConf.create()) or {}
    assert isinstance(params, dict)
    return [f"{key!s}={value}" for key, value in params.items()] + list(config.hydra.overrides.task)


def winner(config: DictConfig) -> str | None:
    """The best trial so far and the command that gives its expert; None if the sweeper left no such result."""
    path = Path(config.hydra.sweep.dir, RESULTS)
    results = OmegaConf.load(path) if path.exists() else OmegaConf.create()
    if not isinstance(results, DictConfig) or "best_value" not in results:
        return None
    # Not the experiment: it would be the study again.
    fixed = [o for o in _overrides(config.hydra.overrides.task) if o.key_or_group != "experiment"]
    overrides = [str(o.input_line) for o in fixed if not o.is_sweep_override()]
    overrides += [f"{key}={value}" for key, value in results.best_params.items()]
    return f"return {results.best_value:.0f} by\n  python -m expert.train {shlex.join(overrides)}"


def _overrides(arguments: list[str]) -> list[Override]:
    return OverridesParser.create().parse_overrides(list(arguments))


def _choices_or_ends(override: Override) -> list[Any]:
    value = override.value()
    if isinstance(value, IntervalSweep):
        return [value.start, value.end]
    values = list(override.sweep_iterator(transformer=Transformer.encode))
    return values if override.is_choice_sweep() else [values[0], values[-1]]
