"""Groups whose options are classes: `_target_` names one, by import path, and the class names its keys.

An algorithm or an expert is a class with a dataclass `Config`, a `Target` whose fields are keys (see keys.py). So
a user's class is found like those of the package: `_target_: my_package.MyLearner`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from gailfe.config.keys import FOLDER_NAME, ConfigError, check_keys, key
from gailfe.config.nearest import did_you_mean


@dataclass
class Target:
    """The keys that every option of such a group has."""

    _target_: str = key("import path of the class")
    name: str = key("of the option, in the names of folders, in tables and figures", FOLDER_NAME)

    def check(self) -> None:
        """Refuse combinations of keys that make no sense; raises ConfigError, which names them in full."""


def target_class(group: str, target: Any) -> type[Any]:
    """Return the class at an import path, whose `Config` is a `Target`.

    Args:
        group: of conf/, for messages.

    Raises:
        ConfigError: if there is no such class.
    """
    try:
        found = get_class(target)
    except Exception as error:  # importing runs code of a user's own
        raise ConfigError(f"{group}._target_={target} can't be imported: {error}") from error
    config = getattr(found, "Config", None)
    if not (isinstance(config, type) and issubclass(config, Target)):
        raise ConfigError(
            f"{group}._target_={target} must be a class with a dataclass `Config`, which derives from "
            f"{__name__}.Target and names its keys"
        )
    return found


def typed(group: str, node: Any) -> Any:
    """Return the option `node` of a group as an instance of its class's `Config`, checked.

    Raises:
        ConfigError: naming the key, the value and what is valid.
    """
    if not isinstance(node, DictConfig):
        raise ConfigError(f"{group}={node} must be one of the files of conf/{group}/")
    schema = target_class(group, node.get("_target_")).Config
    values = OmegaConf.to_container(node, resolve=True)
    assert isinstance(values, dict)
    merged, key = OmegaConf.structured(schema), ""
    try:
        for key, value in ((str(key), value) for key, value in values.items()):
            merged = OmegaConf.merge(merged, {key: value})  # one by one: not all of its errors name their key
        config = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        what, at = str(error).splitlines()[0], error.full_key or key  # the other lines are OmegaConf's types
        if isinstance(error, ConfigKeyError | ConfigAttributeError):  # not a value: the key itself
            holder = error.object_type if is_dataclass(error.object_type) else schema
            path = f"{group}.{at}".rpartition(".")[0]
            names = [f"{path}.{entry.name}" for entry in fields(holder)]
            what = f"there is no such key{did_you_mean(f'{group}.{at}', names)}"
        raise ConfigError(f"{group}.{at}: {what}") from error
    assert isinstance(config, Target)
    check_keys(config, f"{group}.")
    config.check()
    return config
