"""What `python -m benchmarks.scaling` measures: one training, several side by side, a sweep.

Run as a module it is one of the trainings side by side: told so on standard input, it makes itself ready, waits
until all of them are, and trains.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
import torch

from benchmarks.parts import Parts
from expert.annotators import Reference, make_annotator
from expert.collect import make_demonstrations
from expert.demonstrations import load_demonstrations
from expert.experts import make_expert
from gailfe.algorithms.failures import FailureBuffer
from gailfe.algorithms.imitation import Imitator
from gailfe.commands import prepare
from gailfe.config.schema import Config
from gailfe.envs.rollout import Collector
from gailfe.envs.trajectory import Demonstrations
from gailfe.envs.vector import VectorEnv
from gailfe.storage.store import Store

WARMUP = 0.2  # of the time that is measured: the first iterations pay for filled caches and the first episodes
FAILURE_LENGTH = 1000  # pairs of a synthetic failure: an episode of these tasks that nothing ends early
PARTS: list[tuple[Any, str, str]] = [(VectorEnv, "step", "environment"), (Collector, "collect", "acting")]
Result = dict[str, Any]


class MeasurementError(RuntimeError):
    """A process that ended before it had measured anything; the message has its last words."""


def configure(env: str, artifacts: Path, overrides: Sequence[str] = ()) -> Config:
    """GAILFE's default configuration on `env`, with `overrides`; one torch thread from here on.

    Raises:
        ConfigError: overrides that make no sense, as algo.num_envs that does not divide the steps.
    """
    with hydra.initialize_config_module("conf", version_base="1.3"):
        chosen = ["algo=gailfe", f"env={env}", "expert=pretrained", f"paths.artifacts={artifacts}", *overrides]
        return prepare(hydra.compose("config", chosen))


@functools.cache
def demonstrations(env: str, artifacts: Path) -> Demonstrations:
    """What stage 2 makes of the pretrained expert with the defaults, made where it isn't there yet."""
    config, store = configure(env, artifacts), Store(artifacts)
    return load_demonstrations(make_demonstrations(config, store, make_expert(config, store)))


def make_imitator(
    env: str, artifacts: Path, seed: int, overrides: Sequence[str] = (), buffer_pairs: int | None = None
) -> Imitator:
    """The learner of a default run before its first iteration.

    Args:
        buffer_pairs: how many synthetic pairs β_F begins with, a multiple of 1000, in the place of the
            demonstrations' failures; None leaves it as it is.
    """
    expert, failed = demonstrations(env, artifacts)
    config = configure(env, artifacts, overrides)
    annotator = make_annotator(config.annotator, Reference.of(expert))
    imitator = Imitator(config.algo, config.env, Demonstrations(expert, failed), annotator, seed)
    if buffer_pairs is not None:
        imitator.failures = filled(imitator.expert_pairs, buffer_pairs, seed)
    return imitator


def filled(like: torch.Tensor, pairs: int, seed: int) -> FailureBuffer:
    """β_F with `pairs` random rows, each as wide as those of `like`, in failures of 1000."""
    generator = torch.Generator().manual_seed(seed)
    buffer = FailureBuffer(pairs // FAILURE_LENGTH, like.shape[1])
    for _ in range(pairs // FAILURE_LENGTH):
        buffer.add(torch.randn(FAILURE_LENGTH, like.shape[1], generator=generator))
    return buffer


def train(imitator: Imitator, seconds: float) -> Result:
    """Iterate for `seconds`, to the end of the last iteration and at least once.

    Returns:
        iterations, seconds, steps_per_s, and the milliseconds of an iteration: environment_ms (physics and
        Gymnasium), acting_ms (the policy and whatever else collecting takes), learning_ms (all the rest).
    """
    parts, iterations = Parts(), 0
    with parts.measuring(PARTS):
        started = time.perf_counter()
        while iterations == 0 or time.perf_counter() - started < seconds:
            imitator.iterate()
            iterations += 1
        elapsed = time.perf_counter() - started
    learning = elapsed - sum(parts.seconds.values())
    spent = {"environment": parts.seconds["environment"], "acting": parts.seconds["acting"], "learning": learning}
    return {
        "iterations": iterations,
        "elapsed": elapsed,
        "steps_per_s": iterations * imitator.config.steps_per_iteration / elapsed,
        **{f"{part}_ms": 1000 * total / iterations for part, total in spent.items()},
    }


def train_alone(imitator: Imitator, seconds: float, threads: int = 1) -> Result:
    """`train` after a warm-up, with so many torch threads."""
    torch.set_num_threads(threads)
    try:
        train(imitator, WARMUP * seconds)
        return train(imitator, seconds)
    finally:
        torch.set_num_threads(1)
        imitator.collector.env.close()


class Workers:
    """Trainings in processes of their own, started when they are first needed; a context manager."""

    def __init__(self, env: str, artifacts: Path) -> None:
        demonstrations(env, artifacts)  # now: not by all of them at once
        self.command = [sys.executable, "-m", "benchmarks.scaling_measure", env, str(artifacts)]
        self.processes: list[subprocess.Popen[str]] = []

    def train(self, jobs: int, seed: int, seconds: float) -> Result:
        """So many default runs side by side, which begin together.

        Returns:
            steps_per_s of all together, and of each: job_steps_per_s.

        Raises:
            MeasurementError: if one of them ends.
        """
        while len(self.processes) < jobs:
            self.processes.append(
                subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
        chosen = self.processes[:jobs]
        for process in chosen:
            _tell(process, json.dumps({"seed": seed, "seconds": seconds}))
        for process in chosen:
            _hear(process)
        for process in chosen:
            _tell(process, "go")
        rates = [_hear(process)["steps_per_s"] for process in chosen]
        return {"steps_per_s": sum(rates), "job_steps_per_s": rates}

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.terminate()
            process.communicate()


def _tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    except BrokenPipeError as error:
        raise MeasurementError(f"a training ended with exit status {process.wait()}; see above") from error


def _hear(process: subprocess.Popen[str]) -> Result:
    """The next line of JSON from a worker; what else it prints is passed over."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            result: Result = json.loads(line)
            return result
    raise MeasurementError(f"a training ended with exit status {process.wait()}; see above")


def work(env: str, artifacts: Path) -> None:
    """A worker: a request comes in, {} goes out when it is ready; a line to begin comes in, the result goes out.

    Again and again, until standard input ends.
    """
    while request := sys.stdin.readline():
        settings = json.loads(request)
        imitator = make_imitator(env, artifacts, settings["seed"])
        train(imitator, WARMUP * settings["seconds"])
        print("{}", flush=True)
        sys.stdin.readline()
        print(json.dumps(train(imitator, settings["seconds"])), flush=True)


def time_sweep(env: str, artifacts: Path, n_jobs: int, iterations: int, seed: int) -> Result:
    """Wall time of the command with which a user begins four short runs, `n_jobs` at a time.

    Raises:
        MeasurementError: if it fails.
    """
    demonstrations(env, artifacts)
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


if __name__ == "__main__":
    work(sys.argv[1], Path(sys.argv[2]))
