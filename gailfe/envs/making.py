"""Makes environments, and refuses those that can't be learned from before any work starts.

An environment can be learned from if Gymnasium knows it, or if a module of the user registers it
(`env.id=my_module:MyEnv-v0`, by import path or by class), and it has

* observations: a flat Box of numbers;
* actions: a flat Box of floats. Policies act in float32; a space of another type gets its own type, inside its
  own bounds. A dimension whose bounds coincide is a constant. Integers are refused: a Gaussian draws none;
* a reward of one number, as a scalar or of shape (1,), and a time limit (`env.max_episode_steps` or registered);
* finite numbers: `check_env` refuses NaN and infinity in the first step, `Episodes` in any later one.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import logging
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box

from gailfe.config.keys import ConfigError
from gailfe.config.schema import EnvConfig
from gailfe.envs.actions import Float32Actions, box
from gailfe.envs.state import offered_problem

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Spaces:
    """What a policy sees of an environment."""

    observation: Box
    action: Box

    @property
    def observation_dim(self) -> int:
        return self.observation.shape[0]

    @property
    def action_dim(self) -> int:
        return self.action.shape[0]


def env_spec(config: EnvConfig) -> EnvSpec:
    """A copy of what is registered for `config.id`; `module:id` imports the module first, which registers it.

    Raises:
        ConfigError: if the module can't be imported, or Gymnasium doesn't know the id.
    """
    module, _, registered = config.id.rpartition(":")
    try:
        if module:
            importlib.import_module(module)
        return copy.deepcopy(gymnasium.spec(registered))
    except Exception as error:  # importing runs code of a user's own
        hint = "; PYTHONPATH can name the folder of your module" if isinstance(error, ImportError) else ""
        raise ConfigError(f"env.id={config.id}: {_told(error)}{hint}") from error


def make_env(config: EnvConfig, **kwargs: Any) -> gymnasium.Env:
    """Make one environment, without Gymnasium's checkers and time limit: `VectorEnv` counts the steps.

    Raises:
        ConfigError: if it can't be made, or its spaces are not flat Boxes, of floats for actions.
    """
    spec = env_spec(config)
    spec.order_enforce = False
    try:
        env = gymnasium.make(spec, max_episode_steps=-1, disable_env_checker=True, **{**config.kwargs, **kwargs})
    except Exception as error:  # making runs code of the environment's own
        raise ConfigError(
            f"env.id={config.id} with env.kwargs={dict(config.kwargs)} can't be made: {_told(error)}"
        ) from error
    for name, space in (("observation", env.observation_space), ("action", env.action_space)):
        try:
            box(space)
        except TypeError as error:
            raise ConfigError(f"env.id={config.id}: the {name} space {error}") from error
    if not np.issubdtype(env.action_space.dtype, np.floating):
        raise ConfigError(
            f"env.id={config.id}: the action space must be a Box of floats, since a policy draws them from a "
            f"Gaussian, got {env.action_space}; an environment that takes floats can round them by itself"
        )
    return env if env.action_space.dtype == np.float32 else Float32Actions(env)


def episode_limit(config: EnvConfig) -> int:
    """The time limit in steps: the configured one, else the registered one.

    Raises:
        ConfigError: if neither exists; without a limit a good policy's episode never ends.
    """
    limit = config.max_episode_steps or env_spec(config).max_episode_steps
    if limit is None or limit < 1:  # -1 is Gymnasium's for none
        raise ConfigError(
            f"env.max_episode_steps=null: {config.id} is registered without a limit; give one, in steps"
        )
    return limit


def spaces_of(config: EnvConfig) -> Spaces:
    """The spaces of the configured environment. Raises ConfigError as `make_env` does."""
    with contextlib.closing(make_env(config)) as env:
        return Spaces(box(env.observation_space), box(env.action_space))


def check_env(config: EnvConfig) -> Spaces:
    """Refuse an environment that can't be learned from (see the top of this module), by trying one step.

    Raises:
        ConfigError: naming the environment and what is wrong with it.
    """
    named = f"env.id={config.id}"
    with contextlib.closing(make_env(config)) as env:
        spaces = Spaces(box(env.observation_space), box(env.action_space))
        zero = np.zeros(spaces.action_dim, dtype=np.float32)
        try:
            first, _ = env.reset(seed=0)
            second, reward, terminated, truncated, _ = env.step(zero.clip(spaces.action.low, spaces.action.high))
        except Exception as error:  # code of the environment's own
            raise ConfigError(f"{named}: its first step fails: {_told(error)}") from error
        _check_number(f"{named}: the observation of its reset", first, spaces.observation.shape)
        _check_number(f"{named}: the observation of its first step", second, spaces.observation.shape)
        for name, value in (("reward", reward), ("terminated", terminated), ("truncated", truncated)):
            _check_number(f"{named}: {name} of its first step", value, (), (1,))
        problem = offered_problem(env)
        if problem is not None:
            log.warning("%s: %s; until then, a run that is resumed begins new episodes", named, problem)
    episode_limit(config)
    return spaces


def _check_number(what: str, value: Any, *shapes: tuple[int, ...]) -> None:
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{what} must be numbers, got {value!r}") from error
    if array.shape not in shapes:
        raise ConfigError(f"{what} must have shape {' or '.join(map(str, shapes))}, got {array.shape}")
    if not np.isfinite(array).all():
        raise ConfigError(f"{what} must be finite, got {value}")


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
