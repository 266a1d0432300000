"""What a user of the library gives in Python, an environment and demonstrations, as the pipeline wants it."""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import gymnasium
import hydra
import numpy as np
from gymnasium.envs.registration import EnvSpec
from hydra.errors import HydraException
from minari import MinariDataset
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from expert.arrays import check_arrays, cut_episodes
from expert.own_data import load_dataset, read_dataset
from gailfe.commands import prepare
from gailfe.config.folders import CONF
from gailfe.config.keys import ConfigError
from gailfe.config.schema import Config
from gailfe.envs.making import spaces_of
from gailfe.envs.trajectory import Trajectory

Environment = str | gymnasium.Env | Callable[[], gymnasium.Env]
Given: TypeAlias = str | Path | MinariDataset | Mapping[str, np.ndarray] | Sequence[Trajectory]

# What may be changed; other keys have no effect on demonstrations that are given, or are arguments of their own.
OVERRIDES = (
    *("algo.", "env.", "evaluation.", "checkpoint_every", "device"),
    *("demonstrations.use_trajectories", "demonstrations.subsample", "annotator.arguments."),
)


@contextlib.contextmanager
def environment(given: Environment) -> Iterator[dict[str, Any]]:
    """While this lasts, `given` can be made by an id.

    Args:
        given: an id, an environment, or a function that makes one. An environment that isn't made of an id alone
            gets one of its own, `gailfe/<class>-v0`; it is itself never stepped.

    Yields:
        The keys of env.* that say which environment it is: id; where they are known, kwargs and max_episode_steps.

    Raises:
        ConfigError: if more environments like this one can't be made.
    """
    if isinstance(given, str):
        yield {"id": given}
        return
    if isinstance(given, gymnasium.Env):
        spec = _spec_of(given)
        if spec.id in gymnasium.registry and not spec.additional_wrappers:
            yield {"id": spec.id, "kwargs": spec.kwargs, "max_episode_steps": spec.max_episode_steps}
            return
        make: Callable[[], gymnasium.Env] = functools.partial(gymnasium.make, spec)
    elif callable(given):
        make = given
    else:
        raise ConfigError(
            f"env={given!r} must be an id of Gymnasium, a gymnasium.Env, or a function without arguments that "
            "makes one"
        )
    made = make()
    if not isinstance(made, gymnasium.Env):
        raise ConfigError(f"env={given!r} must make a gymnasium.Env, got {made!r}")
    with contextlib.closing(made):
        limit = made.spec.max_episode_steps if made.spec else None
        name = f"gailfe/{re.sub(r'[^A-Za-z0-9_]', '_', type(made.unwrapped).__name__)}-v0"
    gymnasium.register(name, lambda **kwargs: make(**kwargs), max_episode_steps=limit)
    try:
        yield {"id": name}
    finally:
        gymnasium.registry.pop(name, None)


def _spec_of(env: gymnasium.Env) -> EnvSpec:
    """Return a copy of how `env` was made, without frames. Raises ConfigError if that isn't known."""
    spec = copy.deepcopy(env.spec)
    forgotten = [wrapper.name for wrapper in spec.additional_wrappers if wrapper.kwargs is None] if spec else []
    if spec is None or forgotten:
        why = f"its wrapper {forgotten[0]} doesn't record its arguments" if forgotten else "it has no spec"
        raise ConfigError(
            f"env={env}: several environments like this one are needed, and {why}; give a function that makes "
            "one: lambda: MyEnv()"
        )
    spec.kwargs.pop("render_mode", None)
    return spec


def configure(
    env: dict[str, Any],
    algo: str,
    annotator: str | None,
    num_iterations: int | None,
    seed: int,
    values: Mapping[str, Any],
) -> Config:
    """Return the configuration that the command line would have, and check it and the environment.

    Args:
        env: as `environment` gives it. A file of conf/env/ with the same id gives the other keys.
        algo: the name of a file of conf/algo/.
        annotator: the name of a file of conf/annotator/; None: the environment's.
        num_iterations: None: that of the environment's file.
        values: of other keys, by their dotted names.

    Raises:
        ConfigError: naming the key, the value and what is valid.
    """
    option = next((path.stem for path in CONF.glob("env/*.yaml") if OmegaConf.load(path).id == env["id"]), None)
    if option is None:
        if num_iterations is None:
            raise ConfigError(f"num_iterations must be given, since no file of conf/env/ has id: {env['id']}")
        env = {"name": re.sub(r"[^\w.-]", "_", env["id"]), **env}
    for key in values:
        if not any(key == known or (known[-1] == "." and key.startswith(known)) for known in OVERRIDES):
            raise ConfigError(f"{key}={values[key]}: can't be set here; valid are {', '.join(OVERRIDES)}")
    chosen = [f"algo={algo}", f"env={option}" if option else "~env", "demonstrations=minari", "tracking=none"]
    chosen += [] if annotator is None else [f"annotator={annotator}"]
    given = {f"env.{key}": value for key, value in env.items()}
    given |= {} if num_iterations is None else {"env.num_iterations": num_iterations}
    given |= {"demonstrations.dataset": "given in Python", "experiment": "library", "seed": seed, **values}
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            config = hydra.compose("config", chosen)
        for key, value in given.items():
            OmegaConf.update(config, key, value, merge=False)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(str(error)) from error
    return prepare(config)


def trajectories(given: Given, key: str, config: Config) -> list[Trajectory]:
    """Return demonstrations as trajectories that were checked against the environment.

    Args:
        given: the folder or the id of a Minari dataset, or one that was loaded; arrays by name, in the layout of
            expert/arrays.py; or trajectories.
        key: of demonstrations.*, for messages.

    Raises:
        ConfigError: if there is no such dataset, it doesn't fit the environment, or there are no episodes.
        LayoutError: if the arrays don't fit the layout or the environment; it is a ValueError.
    """
    if isinstance(given, MinariDataset):  # perhaps with some of its episodes only
        found = read_dataset(config, key, str(given.id), given)
    elif isinstance(given, str | Path):
        found = load_dataset(config, key, str(given))
    else:
        arrays = dict(given) if isinstance(given, Mapping) else _arrays(given)
        spaces = spaces_of(config.env)
        arrays = {name: np.asarray(array) for name, array in arrays.items()}
        check_arrays(arrays, spaces.observation, spaces.action)
        found = cut_episodes(arrays, spaces.action)
    if not found:
        raise ConfigError(f"demonstrations.{key}: at least one episode is needed")
    return found


def _arrays(given: Sequence[Trajectory]) -> dict[str, np.ndarray]:
    """Return trajectories in the flat layout."""
    if not given or not all(isinstance(trajectory, Trajectory) for trajectory in given):
        raise ConfigError(
            "demonstrations must be a Minari dataset or its folder or id, a dict of arrays, or a list of "
            f"gailfe.Trajectory with at least one; got {type(given).__name__} {given!r:.80}"
        )
    rewards = np.concatenate([trajectory.rewards for trajectory in given])
    last = [np.arange(1, len(trajectory) + 1) == len(trajectory) for trajectory in given]
    return {
        "observations": np.concatenate([trajectory.observations[:-1] for trajectory in given]),
        "next_observations": np.concatenate([trajectory.observations[1:] for trajectory in given]),
        "actions": np.concatenate([trajectory.actions for trajectory in given]),
        "terminated": np.concatenate([end & t.terminated for end, t in zip(last, given, strict=True)]),
        "truncated": np.concatenate([end & t.truncated for end, t in zip(last, given, strict=True)]),
        **({"rewards": rewards} if np.isfinite(rewards).all() else {}),
    }


def digest(found: Sequence[Trajectory]) -> str:
    """SHA-256 of the content of trajectories."""
    content = hashlib.sha256()
    for trajectory in found:
        for array in (trajectory.observations, trajectory.actions, trajectory.rewards):
            content.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
        content.update(bytes([trajectory.terminated, trajectory.truncated]))
    return content.hexdigest()
