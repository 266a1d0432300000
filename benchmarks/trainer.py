"""The learner of a default run, a default run, and their parts, for benchmarks."""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import gymnasium.envs.mujoco
import hydra
import mujoco
import torch
import wandb

import gailfe.algorithms.imitation
import gailfe.algorithms.learner
import gailfe.training
from benchmarks.recording import Episode, recording
from expert.annotators import Reference, make_annotator
from expert.collect import make_demonstrations
from expert.demonstrations import load_demonstrations
from expert.experts import make_expert
from gailfe.algorithms.clipped import ClippedUpdate
from gailfe.algorithms.failures import FailureBuffer
from gailfe.algorithms.imitation import Imitator
from gailfe.commands import prepare
from gailfe.config.schema import Config
from gailfe.envs.rollout import Collector
from gailfe.envs.trajectory import Demonstrations
from gailfe.envs.vector import VectorEnv
from gailfe.nn.policy_file import WEIGHTS
from gailfe.nn.value import ValueFunction
from gailfe.pipeline import run
from gailfe.storage.store import Store
from gailfe.storage.tracking import MetricsFile

Place = tuple[Any, str, str]  # a module or class, an attribute of it, the part that its time counts as
PARTS_OF_AN_ITERATION: list[Place] = [(VectorEnv, "step", "environment"), (Collector, "collect", "acting")]
PARTS_OF_A_RUN: list[Place] = [
    (mujoco, "mj_step", "physics"),
    (gymnasium.envs.mujoco.MujocoEnv, "reset", "Gymnasium around it"),
    (VectorEnv, "step", "Gymnasium around it"),
    (Collector, "collect", "policy"),
    (Imitator, "_update_discriminator", "discriminator"),
    (FailureBuffer, "add", "failure buffer"),
    (FailureBuffer, "sample", "failure buffer"),
    (ClippedUpdate, "__call__", "PPO"),
    (ValueFunction, "fit", "value function"),
    (gailfe.training.Evaluator, "__call__", "evaluation"),  # without its physics
    (MetricsFile, "log", "tracking"),
    (wandb.Run, "log", "tracking"),
    (MetricsFile, "sync", "checkpoints"),
    (gailfe.training, "save_checkpoint", "checkpoints"),
]
FAILURE_LENGTH = 1000  # pairs of a synthetic failure: an episode of these tasks that nothing ends early


def configure(algo: str, env: str, artifacts: Path, overrides: Sequence[str] = ()) -> Config:
    """Compose the default configuration with the pretrained expert and `overrides`; torch then has one thread.

    Raises:
        ConfigError: if overrides make no sense, such as an algo.num_envs that does not divide the steps.
    """
    with hydra.initialize_config_module("conf", version_base="1.3"):
        chosen = [f"algo={algo}", f"env={env}", "expert=pretrained", f"paths.artifacts={artifacts}", *overrides]
        return prepare(hydra.compose("config", chosen))


@functools.cache
def demonstrations(env: str, artifacts: Path) -> Demonstrations:
    """Return the demonstrations of the pretrained expert with the defaults, made if they are missing."""
    config, store = configure("gail", env, artifacts), Store(artifacts)
    return load_demonstrations(make_demonstrations(config, store, make_expert(config, store)))


def make_learner(config: Config) -> Any:
    """Return the learner of a run before its first iteration; an Imitator, with GAIL and GAILFE."""
    expert, failed = demonstrations(config.env.name, Path(config.paths.artifacts))
    annotator = make_annotator(config.annotator, Reference.of(expert))
    return gailfe.algorithms.learner.make_learner(config, Demonstrations(expert, failed), annotator)


def fill_failures(learner: Imitator, pairs: int) -> None:
    """Replace the content of β_F by `pairs` random pairs, in failures of 1000."""
    width, generator = learner.expert_pairs.shape[1], torch.Generator().manual_seed(0)
    assert learner.failed is not None
    learner.failed.buffer = FailureBuffer(pairs // FAILURE_LENGTH, width)
    for _ in range(pairs // FAILURE_LENGTH):
        learner.failed.buffer.add(torch.randn(FAILURE_LENGTH, width, generator=generator))


class Trainer:
    """A default run in `folder`, which is continued for some iterations at a time."""

    def __init__(self, config: Config, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self.config, self.folder = config, folder
        self.config.env.num_iterations = 0
        demonstrations(config.env.name, Path(config.paths.artifacts))  # not to be timed or recorded
        self.steps_per_iteration = config.algo.steps_per_iteration

    def advance(self, iterations: int) -> float:
        """Train on; seconds from the first iteration's start to the last one's checkpoint, so without start-up."""
        marks: list[float] = []
        iterate, save = Imitator.iterate, gailfe.training.save_checkpoint

        def marked_iterate(learner: Imitator) -> dict[str, float]:
            if not marks:
                marks.append(time.perf_counter())
            return iterate(learner)

        def marked_save(*args: Any) -> None:
            save(*args)
            marks.append(time.perf_counter())

        self.config.env.num_iterations += iterations
        with (
            patch.object(Imitator, "iterate", marked_iterate),
            patch.object(gailfe.training, "save_checkpoint", marked_save),
        ):
            run(self.config, self.folder)
        return marks[-1] - marks[0]

    def rehearse(self, iterations: int) -> list[Episode]:
        """Return the episodes that the next `advance` will simulate; the run itself is not changed."""
        before = self.folder.with_name(f"{self.folder.name} before")
        shutil.rmtree(before, ignore_errors=True)
        if self.folder.exists():
            shutil.copytree(self.folder, before, symlinks=True)  # some of W&B's point nowhere
        with recording() as episodes:
            self.advance(iterations)
        self.config.env.num_iterations -= iterations
        self._rehearsed = self._policy()
        shutil.rmtree(self.folder)
        if before.exists():
            before.rename(self.folder)
        return episodes

    def check(self) -> None:
        """Raise RuntimeError unless the training and its rehearsal gave the same policy."""
        if self._policy() != self._rehearsed:
            raise RuntimeError(
                f"{self.folder}: the training and its rehearsal did not do the same work, so their times can't be "
                "compared; only a task that resumes bit for bit can be measured"
            )

    def _policy(self) -> bytes:
        return (self.folder / WEIGHTS).read_bytes()
