"""The prior knowledge of which trajectory is a failure: pure functions of a finished trajectory.

Each says in its docstring what common sense it stands for. To add one, write a function
`(trajectory, **arguments) -> bool` anywhere on the import path and name it in a file of conf/annotator/.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable

import numpy as np
from hydra.utils import get_method
from omegaconf import OmegaConf

from gailfe.config import AnnotatorConfig, ConfigError
from gailfe.trajectory import Trajectory


def make_annotator(config: AnnotatorConfig) -> Callable[[Trajectory], bool]:
    """The configured function with its arguments bound."""
    arguments = OmegaConf.to_container(OmegaConf.create(config.arguments), resolve=True)
    assert isinstance(arguments, dict)
    try:
        function = get_method(config.function)
    except Exception as error:
        raise ConfigError(f"annotator.function={config.function} can't be imported: {error}") from error
    bound = {str(k): v for k, v in arguments.items()}
    try:
        inspect.signature(function).bind(None, **bound)
    except TypeError as error:
        raise ConfigError(f"annotator.arguments={bound} don't fit {config.function}: {error}") from error
    return functools.partial(function, **bound)


def terminated(trajectory: Trajectory) -> bool:
    """It fell: the environment itself ended the episode before the time limit."""
    return trajectory.terminated


def upside_down(
    trajectory: Trajectory, torso_angle: int, max_angle: float = np.pi / 2, max_steps: int = 50
) -> bool:
    """It ended up on its back: the torso was tilted too far for longer than a stumble takes.

    Args:
        trajectory: of any length.
        torso_angle: index of the torso's pitch [rad] in the observation.
        max_angle: tilt beyond which it lies on its back [rad]; full turns count as upright.
        max_steps: so many steps in a row are forgiven.
    """
    pitch = trajectory.observations[:, torso_angle]
    tilted = np.abs((pitch + np.pi) % (2 * np.pi) - np.pi) > max_angle
    return _longest_run(tilted) > max_steps


def no_progress(trajectory: Trajectory, forward_velocity: int, min_speed: float) -> bool:
    """It went nowhere: its mean forward velocity stayed below `min_speed`.

    Args:
        trajectory: of any length.
        forward_velocity: index of the forward velocity [m/s] in the observation.
        min_speed: [m/s].
    """
    return bool(trajectory.observations[1:, forward_velocity].mean() < min_speed)


def low_return(trajectory: Trajectory, min_return: float) -> bool:
    """It did badly by the environment's own account: its return stayed below `min_return`."""
    return trajectory.total_reward < min_return


def _longest_run(flags: np.ndarray) -> int:
    """Length of the longest run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))
