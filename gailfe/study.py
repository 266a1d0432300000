"""Checks a study before it starts, and reads its result: a sweep that chooses its next jobs from earlier results.

The one there is: an Optuna study of the expert, `python -m expert.train experiment=tune_expert`.
"""

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
    """Refuse a sweep that can't be a study.

    Args:
        config: of the sweep, with Hydra's own part.

    Raises:
        ConfigError: if the command has no objective, or the trials would be in several environments.
    """
    if config.hydra.job.name != "train":
        raise ConfigError(
            f"hydra.sweeper={config.hydra.sweeper._target_} needs an objective, and only python -m expert.train "
            "has one: the return of its expert"
        )
    for override in _overrides(config.hydra.overrides.task):
        if override.key_or_group == "env" and override.is_sweep_override():
            raise ConfigError(
                f"{override.input_line}: a study must have one environment: returns of two can't be compared"
            )


def trials_to_check(config: DictConfig) -> Iterator[list[str]]:
    """Yield the overrides of the trials to check before a study.

    Each searched key takes each of its choices, or the two ends of its range; the others have their defaults.
    """
    overrides = {override.key_or_group: override for override in _overrides(sweep_arguments(config))}
    fixed = [str(override.input_line) for override in overrides.values() if not override.is_sweep_override()]
    yield fixed
    for key, override in overrides.items():
        if override.is_sweep_override():
            yield from ([*fixed, f"{key}={value}"] for value in _choices_or_ends(override))


def sweep_arguments(config: DictConfig) -> list[str]:
    """Return a sweep's arguments, swept over or fixed: those of its configuration, then the command line's."""
    params = OmegaConf.to_container(config.hydra.sweeper.params or OmegaConf.create()) or {}
    assert isinstance(params, dict)
    return [f"{key!s}={value}" for key, value in params.items()] + list(config.hydra.overrides.task)


def winner(config: DictConfig) -> str | None:
    """Return the best trial's return and the command that trains its expert again; None if there is no result."""
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
