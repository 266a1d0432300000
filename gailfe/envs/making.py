"""Makes environments, and refuses those that can't be learned from before any work starts.

An environment can be learned from if Gymnasium knows it, or if a module of the user registers it
(`env.id=my_module:MyEnv-v0`, by import path or by class), and it has

* observations: a flat Box of numbers; Gymnasium's FlattenObservation, in `env.wrappers`, makes one of others;
* actions: a Discrete, or a flat Box of floats. Policies act in float32; a Box of another type gets its own type,
  inside its own bounds. A dimension whose bounds coincide is a constant. A Box of integers is refused: a Gaussian
  draws none;
* a reward of one number, as a scalar or of shape (1,), and a time limit (`env.max_episode_steps` or registered);
* finite numbers, none of them absurd: `check_env` looks at the first step, `Episodes` at all later ones.
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

from gailfe.config.extras import install
from gailfe.config.keys import ConfigError
from gailfe.config.schema import EnvConfig
from gailfe.envs.actions import ActionSpace, Float32Actions, action_space, box, default_action
from gailfe.envs.state import offered_problem
from gailfe.envs.trajectory import SANE, absurd
from gailfe.envs.wrapping import FLATTEN, wrap

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Spaces:
    """What a policy sees of an environment."""

    observation: Box
    action: ActionSpace

    @classmethod
    def of(cls, env: gymnasium.Env) -> Spaces:
        """Return the spaces of `env`. Raises TypeError if a policy can't observe or act in one of them."""
        try:
            observation = box(env.observation_space)
        except TypeError as error:
            flat = f"; env.wrappers=[{FLATTEN}] makes one of it" if env.observation_space.is_np_flattenable else ""
            raise TypeError(f"the observation space {error}{flat}") from error
        try:
            return cls(observation, action_space(env.action_space))
        except TypeError as error:
            raise TypeError(f"the action space {error}; a wrapper in env.wrappers can make one of it") from error

    @property
    def observation_dim(self) -> int:
        return self.observation.shape[0]


def env_spec(config: EnvConfig) -> EnvSpec:
    """Return a copy of the spec of `config.id`; with `module:id`, first import the module that registers it.

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
    """Make one environment in its wrappers, without Gymnasium's checkers and time limit: `VectorEnv` counts steps.

    Raises:
        ConfigError: if it can't be made, or a policy can't observe or act in its spaces.
    """
    spec = env_spec(config)
    spec.order_enforce = False
    try:
        env = gymnasium.make(spec, max_episode_steps=-1, disable_env_checker=True, **{**config.kwargs, **kwargs})
    except Exception as error:  # making runs code of the environment's own
        hint = f"; here, {install('box2d')} does it" if "box2d" in str(error).lower() else ""
        raise ConfigError(
            f"env.id={config.id} with env.kwargs={dict(config.kwargs)} can't be made: {_told(error)}{hint}"
        ) from error
    env = wrap(env, config)
    try:
        spaces = Spaces.of(env)
    except TypeError as error:
        raise ConfigError(f"env.id={config.id}: {error}") from error
    return Float32Actions(env) if isinstance(spaces.action, Box) and spaces.action.dtype != np.float32 else env


def episode_limit(config: EnvConfig) -> int:
    """Return the time limit in steps: the configured one, else the registered one.

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
    """Return the spaces of the configured environment. Raises ConfigError as `make_env` does."""
    with contextlib.closing(make_env(config)) as env:
        return Spaces.of(env)


def check_env(config: EnvConfig) -> Spaces:
    """Refuse an environment that can't be learned from (see the top of this module), by trying one step.

    Raises:
        ConfigError: naming the environment and what is wrong with it.
    """
    named = f"env.id={config.id}"
    with contextlib.closing(make_env(config)) as env:
        spaces = Spaces.of(env)
        try:
            first, _ = env.reset(seed=0)
            second, reward, terminated, truncated, _ = env.step(default_action(spaces.action))
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
    if absurd(array).any():
        raise ConfigError(f"{what} must be {SANE}, got {value}")


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
