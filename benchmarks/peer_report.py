"""What all sides of `python -m benchmarks.peers` share: settings in, clocks, evaluation, one line of JSON out.

It imports only Gymnasium, numpy and the standard library, since each peer runs it in a separate virtual
environment. A peer gives an iterator, which learns for an iteration whenever it is advanced and yields the
environment steps that it has taken, and a function that acts with the mean action: raw observations (n, obs_dim) →
(n, action_dim).
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from typing import Any

import gymnasium
import numpy as np

RESULT = '{"name": '  # how the line begins that holds a measurement
Act = Callable[[np.ndarray], np.ndarray]
Curve = Sequence[Sequence[float]]  # rows of environment steps, seconds of learning, evaluated return


def read_settings() -> dict[str, Any]:
    """The settings of this measurement: the command line's one argument, as JSON."""
    settings: dict[str, Any] = json.loads(sys.argv[1])
    return settings


def measure(settings: dict[str, Any], iterations: Iterator[int], act: Act) -> dict[str, Any]:
    """Measure what the settings ask for: the rate of learning, or the time until a return."""
    if settings["part"] == "gail":
        return rate(iterations, settings["warmup"], settings["iterations"])
    return time_to_target(iterations, lambda: mean_return(act, settings["env_id"], settings["episodes"]), settings)


def rate(iterations: Iterator[int], warmup: int, number: int) -> dict[str, Any]:
    """Environment steps a second of `number` iterations.

    Those of the warm-up pay for what happens once: compiled kernels, filled caches, the first episodes.
    """
    for _ in range(warmup):
        before = next(iterations)
    started = time.perf_counter()
    for _ in range(number):
        after = next(iterations)
    return rate_of(number, after - before, time.perf_counter() - started)


def rate_of(iterations: int, env_steps: int, seconds: float) -> dict[str, Any]:
    return {
        "iterations": iterations,
        "env_steps": env_steps,
        "seconds": seconds,
        "steps_per_s": env_steps / seconds,
    }


def time_to_target(
    iterations: Iterator[int], evaluate: Callable[[], float], settings: dict[str, Any]
) -> dict[str, Any]:
    """Learn until an evaluation reaches the target, or to a cap of steps or seconds; evaluations aren't timed.

    Args:
        settings: target, a return; interval of evaluations and max_steps [environment steps]; max_seconds [s].

    Returns:
        `first_reaching`, and the curve of all evaluations.
    """
    curve: list[tuple[int, float, float]] = []
    seconds, due, capped = 0.0, settings["interval"], False
    while not capped and not (curve and curve[-1][2] >= settings["target"]):
        started = time.perf_counter()
        env_steps = next(iterations)
        seconds += time.perf_counter() - started
        capped = env_steps >= settings["max_steps"] or seconds >= settings["max_seconds"]
        if env_steps >= due or capped:
            due = settings["interval"] * (env_steps // settings["interval"] + 1)
            curve.append((env_steps, seconds, evaluate()))
            print(f"{env_steps} steps, {seconds:.0f} s: return {curve[-1][2]:.0f}", flush=True)
    return {**first_reaching(curve, settings["target"]), "curve": curve}


def first_reaching(curve: Curve, target: float) -> dict[str, Any]:
    """The first evaluation of at least `target`, or the last one, and whether it was reached."""
    reached = [row for row in curve if row[2] >= target]
    env_steps, seconds, evaluated = reached[0] if reached else curve[-1]
    return {"reached": bool(reached), "env_steps": env_steps, "seconds": seconds, "return": evaluated}


def mean_return(act: Act, env_id: str, episodes: int) -> float:
    """Mean undiscounted return of whole episodes from always the same initial states, in the task's own reward."""
    envs = [gymnasium.make(env_id) for _ in range(episodes)]
    space = envs[0].action_space
    active = {env: env.reset(seed=seed)[0] for seed, env in enumerate(envs, start=1)}
    total = 0.0
    while active:
        actions = np.clip(act(np.stack(list(active.values()))), space.low, space.high)  # type: ignore[attr-defined]
        for env, action in zip(list(active), actions, strict=True):
            active[env], reward, terminated, truncated, _ = env.step(action)
            total += float(reward)
            if terminated or truncated:
                del active[env]
    return total / episodes


def report(name: str, env: str, packages: Sequence[str], result: dict[str, Any]) -> None:
    """Print the measurement as a line of JSON that begins with RESULT."""
    versions = {"python": platform.python_version(), **{package: version(package) for package in packages}}
    print(json.dumps({"name": name, "env_id": env, **result, "versions": versions}), flush=True)
