"""What is wrong with a command line that Hydra can't compose, in one line: the key, its value, what is valid."""

from __future__ import annotations

import re
from collections.abc import Sequence

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gailfe.config.keys import Refusal
from gailfe.config.nearest import did_you_mean, keys_of
from gailfe.config.overrides import key_of


def explain(error: BaseException, overrides: Sequence[str]) -> str:
    """Say in a line why these overrides can't be composed. Hydra must be initialised.

    Args:
        error: what composing them raised, or the check of what was composed.
        overrides: as on the command line, those that sweep too.
    """
    if isinstance(error, Refusal):
        return str(error)
    if isinstance(error, OverrideParseException):
        return f"{error.override} can't be read: {first_line(error)}; quotes may help: 'key=\"value\"'"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, option = error.missing_cfg_file.rpartition("/")
        valid = sorted(name for name in error.options if not name.startswith("_"))
        return f"{group}={option}: there is no such option; valid: {', '.join(valid)}{did_you_mean(option, valid)}"
    absent = absent_key(error)
    if absent is not None:
        return no_such_key(absent, overrides)
    cause = error.__cause__
    if isinstance(error, HydraException) and isinstance(cause, OmegaConfBaseException):
        at = re.sub("^Error merging override ", "", first_line(error))
        return f"{at}: {first_line(cause)}"
    return f"{first_line(error)}: {first_line(cause)}" if cause else str(error)


def absent_key(error: BaseException) -> str | None:
    """Return the key that Hydra's error says there is not; None for an error of another kind."""
    absent = re.match(r"Could not (?:override|delete from config\.) '(.+?)'", str(error))
    return absent and absent[1]


def swept_as_well(error: BaseException, overrides: Sequence[str], multirun: bool) -> dict[str, str]:
    """Make a sweep's argument of a fixed key that the default option lacks, where the sweep varies the option.

    Args:
        error: what composing the overrides of a sweep or of a single job raised.
        overrides: as on the command line.
        multirun: whether that has -m; an experiment may make a sweep without.

    Returns:
        The override and what takes its place, `algo.patience=3` and `algo.patience=choice(3)`; empty where the
        error is of another kind, or the option is not swept over.
    """
    absent = absent_key(error)
    fixed = [item for item in overrides if key_of(item) == absent and item[:1] not in "+~" and "=" in item]
    config = composed(choices(overrides)) if fixed else None
    if absent is None or config is None or not (multirun or config.hydra.mode is RunMode.MULTIRUN):
        return {}
    arguments = [*(f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()), *overrides]
    swept = {item.key_or_group for item in parsed(arguments) if item.is_sweep_override()}
    if absent.partition(".")[0] not in swept or absent in swept:
        return {}
    return {item: f"{absent}=choice({item.partition('=')[2]})" for item in fixed}


def parsed(overrides: Sequence[str]) -> list[Override]:
    """Return overrides as Hydra understands them."""
    return OverridesParser.create().parse_overrides(list(overrides))


def no_such_key(key: str, overrides: Sequence[str]) -> str:
    """Say that there is no `key` in the options that `overrides` choose, and which ones are near."""
    config = composed(choices(overrides))
    given = next((item for item in overrides if key_of(item) == key), key)
    there = None if config is None else OmegaConf.select(config, key)
    if config is not None and isinstance(there, DictConfig):
        return _no_such_key_in(there, key, given, config)
    group = key.partition(".")[0]
    of_group = None if config is None else OmegaConf.select(config, f"{group}.name")
    what = f"{group}={of_group} has no key {key}" if "." in key and of_group else f"there is no key or group {key}"
    near = "" if config is None else did_you_mean(key, keys_of(config))
    return f"{given}: {what}{near or '; --cfg job shows the keys that there are'}"


def _no_such_key_in(there: DictConfig, key: str, given: str, config: DictConfig) -> str:
    """Say the same of a key in the mapping that `given` sets, `env.kwargs={x: 1}`; `there` is what `key` holds."""
    mapping = parsed([given])[0].value()
    absent = [str(name) for name in mapping if name not in there] if isinstance(mapping, dict) else []
    if not absent:  # but one further down
        return f"{given}: it sets a key that is not there; --cfg job shows the keys that there are"
    near = did_you_mean(f"{key}.{absent[0]}", keys_of(config))
    return f"{given}: {key} has no key {absent[0]}{near or f'; + adds one: +{given}'}"


def choices(overrides: Sequence[str]) -> list[str]:
    """Return those of a job's overrides that choose an option of a group, `algo=gail`, or say where it is."""
    named = [item for item in overrides if not item.partition("=")[2].startswith("{")]
    return [item for item in named if key_of(item) == "hydra.searchpath" or is_group(key_of(item))]


def is_group(key: str) -> bool:
    """Return whether a key of the command line is a group of configuration files, here or in --config-dir."""
    if "/" in key or "@" in key:
        return True
    loader = GlobalHydra.instance().config_loader()
    return bool(loader.get_group_options(key, results_filter=ObjectType.CONFIG))


def composed(overrides: Sequence[str]) -> DictConfig | None:
    """Compose these overrides but those that sweep over several values; None if they can't be composed."""
    try:
        return hydra.compose("config", [item for item in overrides if "," not in item], return_hydra_config=True)
    except (HydraException, OmegaConfBaseException):
        return None


def first_line(error: BaseException | None) -> str:
    """Return the first line of an error's message; OmegaConf's others are about its own types."""
    return next(iter(str(error).splitlines()), "")
