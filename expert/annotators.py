"""Annotators: pure functions that decide whether a finished trajectory is a failure, from prior knowledge.

The docstring of each names that knowledge. To add one, write a function `(trajectory, **arguments) -> bool`
anywhere on the import path and name it in a file of conf/annotator/. A parameter called `reference` receives a
`Reference`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hydra.utils import get_method

from gailfe.config.keys import ConfigError
from gailfe.config.schema import AnnotatorConfig, EnvConfig, is_annotator
from gailfe.envs.actions import some_actions
from gailfe.envs.making import episode_limit, spaces_of
from gailfe.envs.trajectory import Annotator, Trajectory

LONGEST_TRIAL = 10_000  # steps of noise that an annotator is tried on


@dataclass(frozen=True)
class Reference:
    """Good behaviour to compare with: the expert's evaluation in stage 2, the demonstrations in stage 3."""

    return_mean: float
    observation_mean: np.ndarray  # (obs_dim,), over all steps

    @classmethod
    def of(cls, trajectories: Sequence[Trajectory]) -> Reference:
        observations = np.concatenate([trajectory.observations[1:] for trajectory in trajectories])
        returns = [trajectory.total_reward for trajectory in trajectories]
        return cls(float(np.mean(returns)), observations.mean(axis=0))


def make_annotator(config: AnnotatorConfig, reference: Reference | None) -> Annotator:
    """Bind the arguments of the configured function.

    Raises:
        ConfigError: if the function can't be imported or does not take the arguments.
    """
    return _bind("annotator", {"function": config.function, "arguments": config.arguments}, reference)


def check_annotator(config: AnnotatorConfig, env: EnvConfig) -> None:
    """Try the configured annotator, and those that it is made of, on noise in the shape of an episode of `env`.

    Raises:
        ConfigError: if one can't be imported or called, or does not answer true or false.
    """
    spaces, steps, rng = spaces_of(env), min(episode_limit(env), LONGEST_TRIAL), np.random.default_rng(0)
    noise = Trajectory(
        rng.normal(size=(steps + 1, spaces.observation_dim)),
        some_actions(spaces.action, steps, rng),
        rng.normal(size=steps),
        terminated=False,
        truncated=True,
    )

    def attempt(key: str, annotator: Annotator) -> None:
        try:
            verdict: Any = annotator(noise)
        except (Exception, SystemExit) as error:
            told = f"{type(error).__name__}: {error}"
            raise ConfigError(f"{key} can't be called on an episode of {steps} steps: {told}") from error
        if not isinstance(verdict, bool | np.bool_):
            raise ConfigError(f"{key} must return True or False of an episode, got {verdict!r}")

    whole = {"function": config.function, "arguments": config.arguments}
    _bind("annotator", whole, Reference.of([noise]), attempt)


def _bind(
    key: str,
    config: dict[str, Any],
    reference: Reference | None,
    attempt: Callable[[str, Annotator], None] = lambda key, annotator: None,
) -> Annotator:
    try:
        function = get_method(config["function"])
    except Exception as error:
        raise ConfigError(f"{key}.function={config['function']} can't be imported: {error}") from error
    arguments = config.get("arguments", {})
    if not isinstance(arguments, dict):
        raise ConfigError(f"{key}.arguments={arguments} must be arguments of {config['function']}, by name")
    bound = {
        str(name): _bind(f"{key}.arguments.{name}", value, reference, attempt) if is_annotator(value) else value
        for name, value in arguments.items()
    }
    try:
        signature = inspect.signature(function)
        if "reference" in signature.parameters:
            bound["reference"] = reference
        signature.bind(None, **bound)
    except (TypeError, ValueError) as error:  # some functions of C have no signature
        raise ConfigError(f"{key}.arguments={bound} don't fit {config['function']}: {error}") from error
    annotator = functools.partial(function, **bound)
    attempt(f"{key}.function={config['function']}", annotator)
    return annotator


def terminated(trajectory: Trajectory) -> bool:
    """It fell: the environment itself ended the episode before the time limit."""
    return trajectory.terminated


def upside_down(
    trajectory: Trajectory, torso_angle: int, max_angle: float = np.pi / 2, max_steps: int = 50
) -> bool:
    """It fell on its back: the torso was tilted too far for longer than in a stumble.

    Args:
        trajectory: of any length.
        torso_angle: index of the torso's pitch [rad] in the observation.
        max_angle: tilt beyond which it lies on its back [rad]; full turns count as upright.
        max_steps: it is a failure after more consecutive steps on its back than these.
    """
    pitch = trajectory.observations[:, torso_angle]
    tilted = np.abs((pitch + np.pi) % (2 * np.pi) - np.pi) > max_angle
    return _longest_run(tilted) > max_steps


def no_progress(
    trajectory: Trajectory, reference: Reference, forward_velocity: int, fraction: float = 0.3
) -> bool:
    """It went nowhere: its mean forward velocity stayed below a fraction of the demonstrations'.

    Args:
        trajectory: of any length.
        reference: the demonstrations.
        forward_velocity: index of the forward velocity [m/s] in the observation.
        fraction: of the reference's mean velocity.
    """
    speed = trajectory.observations[1:, forward_velocity].mean()
    return bool(speed < fraction * reference.observation_mean[forward_velocity])


def low_return(trajectory: Trajectory, reference: Reference, fraction: float = 0.5) -> bool:
    """It had a low return, in the environment's reward: below a fraction of the expert's return.

    A fraction of a negative return would be more than the return itself. There the threshold is as far below the
    expert's return as it would be for the positive return of the same size.
    """
    threshold = reference.return_mean - (1 - fraction) * abs(reference.return_mean)
    return trajectory.total_reward < threshold


def any_of(trajectory: Trajectory, **annotators: Annotator) -> bool:
    """At least one of several annotators calls it a failure."""
    return any(annotator(trajectory) for annotator in annotators.values())


def _longest_run(flags: np.ndarray) -> int:
    """Length of the longest run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))
