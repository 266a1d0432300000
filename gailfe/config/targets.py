"""Groups whose options are classes: `_target_` names one, by import path, and the class names its keys.

An algorithm or an expert is a class with a dataclass `Config` (see keys.py), so that one of a user's own is found
like those that come with the package: `_target_: my_package.MyLearner`.
"""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import Any

from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gailfe.config.keys import ConfigError, check_keys


def target_class(group: str, target: Any) -> type[Any]:
    """The class at an import path, with its dataclass `Config`.

    Args:
        group: of conf/, for messages.

    Raises:
        ConfigError: if there is no such class.
    """
    try:
        found = get_class(target)
    except Exception as error:  # importing runs code of a user's own
        raise ConfigError(f"{group}._target_={target} can't be imported: {error}") from error
    if not is_dataclass(getattr(found, "Config", None)):
        raise ConfigError(
            f"{group}._target_={target} must be a class with a dataclass `Config`, which names its keys"
        )
    return found


def typed(group: str, node: DictConfig) -> Any:
    """The option `node` of a group as an instance of its class's `Config`, checked.

    Raises:
        ConfigError: naming the key, the value and what is valid.
    """
    schema = target_class(group, node.get("_target_")).Config
    values = OmegaConf.to_container(node, resolve=True)
    assert isinstance(values, dict)
    try:
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), values))
    except OmegaConfBaseException as error:
        raise ConfigError(
            f"{group}.{error.full_key}: {error}" if error.full_key else f"{group}: {error}"
        ) from error
    check_keys(config, f"{group}.")
    return config
