"""What is wrong with a command line that Hydra can't compose, in one line: the key, its value, what is valid."""

from __future__ import annotations

import re
from collections.abc import Sequence

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gailfe.config.keys import Refusal
from gailfe.config.nearest import did_you_mean, keys_of


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
    absent = re.match(r"Could not (?:override|delete from config\.) '(.+?)'", str(error))
    if absent:
        return no_such_key(absent[1], overrides)
    cause = error.__cause__
    if isinstance(error, HydraException) and isinstance(cause, OmegaConfBaseException):
        at = re.sub("^Error merging override ", "", first_line(error))
        return f"{at}: {first_line(cause)}"
    return f"{first_line(error)}: {first_line(cause)}" if cause else str(error)


def no_such_key(key: str, overrides: Sequence[str]) -> str:
    """Say that there is no `key` in the options that `overrides` choose, and which ones are near."""
    config = composed(choices(overrides))
    given = next((item for item in overrides if item.lstrip("+~").partition("=")[0] == key), key)
    group = key.partition(".")[0]
    of_group = None if config is None else OmegaConf.select(config, f"{group}.name")
    what = f"{group}={of_group} has no key {key}" if "." in key and of_group else f"there is no key or group {key}"
    near = "" if config is None else did_you_mean(key, keys_of(config))
    return f"{given}: {what}{near or '; --cfg job shows the keys that there are'}"


def choices(overrides: Sequence[str]) -> list[str]:
    """Return those of a job's overrides that choose an option of a group, `algo=gail`, or say where it is."""
    names = {item: item.lstrip("+~").partition("=")[0] for item in overrides}
    return [item for item in overrides if names[item] == "hydra.searchpath" or is_group(names[item])]


def is_group(key: str) -> bool:
    """Whether a key of the command line is a group of configuration files, here or in --config-dir."""
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
