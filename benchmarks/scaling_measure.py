"""What `python -m benchmarks.scaling` measures: one training, several side by side, a sweep."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.command import MeasurementError
from benchmarks.measurements import Point, Row
from benchmarks.parts import Parts
from benchmarks.processes import side_by_side
from benchmarks.trainer import PARTS_OF_AN_ITERATION, configure, demonstrations, fill_failures, make_learner

WARMUP = 0.2  # of the time that is measured: the first iterations pay for filled caches and the first episodes
WIDE = 400  # units a layer, for which more threads may have something to do


def measure(point: Point, artifacts: Path) -> Row:
    """Make one measurement of `scaling.plan`.

    Raises:
        MeasurementError: if a process fails that it needs.
    """
    part, env, value, length = (point[key] for key in ("part", "env", "value", "length"))
    demonstrations(env, artifacts)  # before the timing, and by one process only
    if part == "sweep":
        return time_sweep(env, artifacts, value, int(length), point["repeat"])
    if part == "jobs":
        rows = side_by_side(value, train_alone, point, artifacts)
        rates = [row["steps_per_s"] for row in rows]
        return {"steps_per_s": sum(rates), "job_steps_per_s": rates}
    return train_alone(point, artifacts)


def overrides(part: str, value: int) -> list[str]:
    """What makes a default run the one that a part measures."""
    width = {"wide_threads": WIDE, "width": value}.get(part)
    networks = ("policy", "value", "discriminator")
    chosen = [f"algo.{network}.hidden_sizes=[{width},{width}]" for network in networks if width]
    chosen += [f"algo.num_envs={value}"] if part == "num_envs" else []
    return chosen + ([f"algo.discriminator.batch_size={value}"] if part == "batch" else [])


def train_alone(point: Point, artifacts: Path, begin: Callable[[], Any] = lambda: None) -> Row:
    """Train for a while after a warm-up.

    Args:
        begin: called between the two; it returns when it is time to train.

    Returns:
        iterations, elapsed [s], steps_per_s, and the milliseconds of an iteration: environment_ms (physics and
        Gymnasium), acting_ms (the policy and the rest of collecting), learning_ms (the rest of the iteration).
    """
    part, value = point["part"], point["value"]
    chosen = [f"seed={point['repeat']}", *overrides(part, value)]
    learner = make_learner(configure("gailfe", point["env"], artifacts, chosen))
    if part == "buffer":
        fill_failures(learner, value)
    torch.set_num_threads(value if part in ("threads", "wide_threads") else 1)
    try:
        iterate(learner, WARMUP * point["length"])
        begin()
        return iterate(learner, point["length"])
    finally:
        torch.set_num_threads(1)
        learner.collector.env.close()


def iterate(learner: Any, seconds: float) -> Row:
    """Train for `seconds`, to the end of the last iteration and at least once."""
    parts, iterations = Parts(), 0
    with parts.measuring(PARTS_OF_AN_ITERATION):
        started = time.perf_counter()
        while iterations == 0 or time.perf_counter() - started < seconds:
            learner.iterate()
            iterations += 1
        elapsed = time.perf_counter() - started
    spent = {part: parts.seconds[part] for part in ("environment", "acting")}
    spent["learning"] = elapsed - sum(spent.values())
    return {
        "iterations": iterations,
        "elapsed": elapsed,
        "steps_per_s": iterations * learner.config.steps_per_iteration / elapsed,
        **{f"{part}_ms": 1000 * total / iterations for part, total in spent.items()},
    }


def time_sweep(env: str, artifacts: Path, n_jobs: int, iterations: int, seed: int) -> Row:
    """Wall time of the command with which a user begins four short runs, `n_jobs` at a time.

    Raises:
        MeasurementError: if it fails.
    """
    with tempfile.TemporaryDirectory() as runs:
        command = [
            *(sys.executable, "-m", "gailfe.run", "-m", "algo=gail,gailfe", f"env={env}"),
            *(f"seed={2 * seed},{2 * seed + 1}", "expert=pretrained", f"env.num_iterations={iterations}"),
            *(f"hydra.launcher.n_jobs={n_jobs}", f"paths.runs={runs}", f"paths.artifacts={artifacts}"),
        ]
        started = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        elapsed = time.perf_counter() - started
    if done.returncode:
        raise MeasurementError(f"exit status {done.returncode} of {' '.join(command)}:\n{done.stdout[-2000:]}")
    return {"elapsed": elapsed}
