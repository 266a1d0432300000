"""What all sides of the comparison share: settings in, a clock, one line of JSON out.

The standard library alone, since every peer runs this in a virtual environment of its own.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

RESULT = '{"name": '  # how the line begins that holds a measurement
Curve = Sequence[Sequence[float]]  # rows of environment steps, seconds of learning, evaluated return


def read_settings() -> dict[str, Any]:
    """The settings of this measurement: the command line's one argument, as JSON."""
    settings: dict[str, Any] = json.loads(sys.argv[1])
    return settings


class IterationClock:
    """Seconds from the end of iteration `warmup` to the end of the last one.

    The first iterations pay for what happens once: compiled kernels, filled caches, the first episodes.
    """

    def __init__(self, warmup: int) -> None:
        self.warmup = warmup
        self.iterations = 0
        self._started = self._latest = 0.0

    def tick(self) -> None:
        """An iteration has ended."""
        self.iterations += 1
        self._latest = time.perf_counter()
        if self.iterations == self.warmup:
            self._started = self._latest

    def result(self, steps_per_iteration: int) -> dict[str, Any]:
        """iterations, env_steps, seconds and steps_per_s of what came after the warm-up."""
        iterations, seconds = self.iterations - self.warmup, self._latest - self._started
        env_steps = iterations * steps_per_iteration
        return {
            "iterations": iterations,
            "env_steps": env_steps,
            "seconds": seconds,
            "steps_per_s": env_steps / seconds,
        }


def first_reaching(curve: Curve, target: float) -> dict[str, Any]:
    """The first evaluation of at least `target`, or the last one, and whether it was reached."""
    reached = [row for row in curve if row[2] >= target]
    env_steps, seconds, evaluated = reached[0] if reached else curve[-1]
    return {"reached": bool(reached), "env_steps": env_steps, "seconds": seconds, "return": evaluated}


def report(name: str, env: str, packages: Sequence[str], result: dict[str, Any]) -> None:
    """Print the measurement as a line of JSON that begins with RESULT."""
    versions = {"python": platform.python_version(), **{package: version(package) for package in packages}}
    print(json.dumps({"name": name, "env_id": env, **result, "versions": versions}), flush=True)
