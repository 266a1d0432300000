"""Saves and restores the exact state of an environment: all that its next steps depend on.

Exact are

* the tasks that are named here, exactly as Gymnasium defines them. A subclass may hold state of its own in Python,
  and so may a wrapper, unless it is one of those named here;
* environments that offer `get_state()` and `set_state(state)`, on themselves or on a wrapper. The state is made of
  plain values and NumPy arrays, in dicts, lists and tuples; it stands for its layer and for all that it wraps.
  MuJoCo's physics, its positions of bodies and the environment's `np_random` are saved beside it in any case.

Gymnasium's MujocoEnv has a `set_state(qpos, qvel)`, which its resets use. It is not meant here: a MujocoEnv with
state of its own offers it on a wrapper.
"""

from __future__ import annotations

import inspect
from typing import Any

import gymnasium
import mujoco
import numpy as np
import torch
from gymnasium.envs.classic_control import (
    AcrobotEnv,
    CartPoleEnv,
    Continuous_MountainCarEnv,
    MountainCarEnv,
    PendulumEnv,
)
from gymnasium.envs.mujoco import MujocoEnv
from gymnasium.wrappers import (
    ClipAction,
    ClipReward,
    DtypeObservation,
    FilterObservation,
    FlattenObservation,
    OrderEnforcing,
    PassiveEnvChecker,
    RescaleAction,
    RescaleObservation,
    ReshapeObservation,
)

from gailfe.envs.actions import Float32Actions

MUJOCO_TASKS = [
    *("ant", "half_cheetah", "hopper", "humanoid", "humanoidstandup", "inverted_double_pendulum"),
    *("inverted_pendulum", "pusher", "reacher", "swimmer", "walker2d"),
]
MUJOCO_MODULES = {f"gymnasium.envs.mujoco.{task}_v{version}" for task in MUJOCO_TASKS for version in (4, 5)}
PYTHON_TASKS: dict[type, tuple[str, ...]] = {  # and the attributes that hold their state
    PendulumEnv: ("state", "last_u"),
    Continuous_MountainCarEnv: ("state",),
    CartPoleEnv: ("state", "steps_beyond_terminated"),
    AcrobotEnv: ("state",),
    MountainCarEnv: ("state",),
}
STATELESS_WRAPPERS = {
    *(OrderEnforcing, PassiveEnvChecker, ClipAction, RescaleAction, ClipReward),
    *(FlattenObservation, FilterObservation, DtypeObservation, RescaleObservation, ReshapeObservation),
    Float32Actions,
}


def is_restorable(env: gymnasium.Env) -> bool:
    """Return whether the exact state of `env`, which has been reset, can be saved (see the top of this module)."""
    for layer in _layers(env):
        if _offers_state(layer):
            return offered_problem(env) is None
        if isinstance(layer, gymnasium.Wrapper) and type(layer) not in STATELESS_WRAPPERS:
            return False
    core = type(env.unwrapped)
    return core in PYTHON_TASKS or core.__module__ in MUJOCO_MODULES


def offered_problem(env: gymnasium.Env) -> str | None:
    """Why the state that `env` offers can't be kept in a checkpoint; None if it can, or if it offers none."""
    for layer in _offering(env):
        try:
            _packed(layer.get_state())
        except TypeError as error:
            return f"{type(layer).__name__}.get_state() {error}"
    return None


def get_state(env: gymnasium.Env) -> dict[str, Any]:
    """Return a copy of the state of `env`, as plain values and arrays.

    Raises:
        TypeError: unless `is_restorable`.
    """
    if not is_restorable(env):
        raise TypeError(
            f"{env} has no state to save: it isn't a known task, and offers no get_state and set_state"
        )
    core = env.unwrapped
    state: dict[str, Any] = {
        "offered": [_packed(layer.get_state()) for layer in _offering(env)],
        "attributes": {name: _packed(getattr(core, name)) for name in PYTHON_TASKS.get(type(core), ())},
    }
    if isinstance(core.np_random, np.random.Generator):
        state["random"] = _packed(core.np_random.bit_generator.state)
    if isinstance(core, MujocoEnv):
        kind = mujoco.mjtState.mjSTATE_INTEGRATION
        state["physics"] = np.empty(mujoco.mj_stateSize(core.model, kind))
        mujoco.mj_getState(core.model, core.data, state["physics"], kind)
        # The rewards of Ant and Humanoid also read the body positions that the last step left behind.
        state["xpos"], state["xipos"] = core.data.xpos.copy(), core.data.xipos.copy()
    return state


def set_state(env: gymnasium.Env, state: dict[str, Any]) -> None:
    """Let `env` continue exactly where `get_state` was called; it must have been reset before."""
    core = env.unwrapped
    offered = list(zip(_offering(env), state["offered"], strict=True))
    for layer, value in reversed(offered):  # from inside out
        layer.set_state(_unpacked(value))
    for name, value in state["attributes"].items():
        setattr(core, name, _unpacked(value))
    if isinstance(core, MujocoEnv):
        physics = np.asarray(state["physics"])
        mujoco.mj_setState(core.model, core.data, physics, mujoco.mjtState.mjSTATE_INTEGRATION)
        core.data.xpos[:] = np.asarray(state["xpos"])
        core.data.xipos[:] = np.asarray(state["xipos"])
    if "random" in state:
        core.np_random.bit_generator.state = _unpacked(state["random"])


def _layers(env: gymnasium.Env) -> list[gymnasium.Env]:
    """Return the wrappers from the outermost inwards, and the environment itself."""
    layers = [env]
    while isinstance(layers[-1], gymnasium.Wrapper):
        layers.append(layers[-1].env)
    return layers


def _offering(env: gymnasium.Env) -> list[Any]:
    """Return the layers that offer their state, from the outermost inwards."""
    return [layer for layer in _layers(env) if _offers_state(layer)]


def _offers_state(layer: gymnasium.Env) -> bool:
    """Return whether it has `get_state()` and `set_state(state)`."""
    for name, arguments in (("get_state", ()), ("set_state", (None,))):
        method = getattr(type(layer), name, None)
        if method is None:
            return False
        try:
            inspect.signature(method).bind(layer, *arguments)
        except TypeError:
            return False
    return True


def _packed(value: Any) -> Any:
    """Return a copy for a checkpoint, which keeps arrays and Python's numbers; one of NumPy's becomes an array."""
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufc":
        return np.array(value)
    if type(value) is dict and all(isinstance(key, str | int) for key in value):
        return {key: _packed(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_packed(item) for item in value)
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise TypeError(
        f"holds a {type(value).__name__}: it must be made of plain values and NumPy arrays of numbers, in dicts, "
        "lists and tuples"
    )


def _unpacked(value: Any) -> Any:
    """Undo `_packed`, with new arrays; in a checkpoint they have become tensors."""
    if isinstance(value, torch.Tensor):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        return value.copy() if value.shape else value[()]
    if isinstance(value, dict):
        return {key: _unpacked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_unpacked(item) for item in value)
    return value
