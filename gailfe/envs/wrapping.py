"""The wrappers of `env.wrappers`: import paths, or mappings with `_target_`, an import path, and arguments."""

from __future__ import annotations

import pkgutil
from typing import Any

import gymnasium
from gymnasium.envs.registration import WrapperSpec

from gailfe.config.keys import ConfigError
from gailfe.config.schema import EnvConfig

FLATTEN = "gymnasium.wrappers.FlattenObservation"


def wrap(env: gymnasium.Env, config: EnvConfig) -> gymnasium.Env:
    """Return `env` in the configured wrappers, the first one innermost.

    Raises:
        ConfigError: naming the wrapper that can't be imported, or can't wrap what it is given.
    """
    for i, entry in enumerate(config.wrappers):
        named, (path, arguments) = f"env.wrappers[{i}]={entry}", _parts(entry)
        try:
            wrapper: Any = pkgutil.resolve_name(path)
        except Exception as error:  # importing runs code of a user's own
            raise ConfigError(
                f"{named} can't be imported: {type(error).__name__}: {error}; valid is the import path of a "
                f"wrapper, such as {FLATTEN}; PYTHONPATH can name the folder of your module"
            ) from error
        try:
            wrapped = wrapper(env, **arguments)
        except (Exception, SystemExit) as error:
            raise ConfigError(f"{named} can't wrap {env}: {type(error).__name__}: {error}") from error
        if not isinstance(wrapped, gymnasium.Env):
            raise ConfigError(f"{named} must make a gymnasium.Env of {env}, got {wrapped!r}")
        env = wrapped
    return env


def wrapper_specs(config: EnvConfig) -> tuple[WrapperSpec, ...]:
    """Return the wrappers as Gymnasium writes them down, for `gymnasium.make` to apply again."""
    specs = []
    for path, arguments in map(_parts, config.wrappers):
        wrapper: Any = pkgutil.resolve_name(path)
        name = getattr(wrapper, "__name__", path)
        specs.append(WrapperSpec(name, f"{getattr(wrapper, '__module__', '')}:{name}", arguments))
    return tuple(specs)


def _parts(entry: Any) -> tuple[str, dict[str, Any]]:
    """Return the import path and the arguments."""
    if isinstance(entry, str):
        return entry, {}
    return entry["_target_"], {name: value for name, value in entry.items() if name != "_target_"}
