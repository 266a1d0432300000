"""A default training, some iterations at a time."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import hydra

import gailfe.training
from benchmarks.recording import Episode, recording
from expert.collect import make_demonstrations
from expert.experts import make_expert
from gailfe.algorithms.imitation import Imitator
from gailfe.commands import prepare
from gailfe.config.schema import Config
from gailfe.nn.policy_file import WEIGHTS
from gailfe.pipeline import run
from gailfe.storage.store import Store


class Trainer:
    """A default run that goes on for some iterations at a time."""

    def __init__(self, env: str, algo: str, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self.folder = folder
        with hydra.initialize_config_module("conf", version_base="1.3"):
            overrides = [f"env={env}", f"algo={algo}", "expert=pretrained", "experiment=figure1"]
            self.config: Config = prepare(hydra.compose("config", overrides))
        self.config.env.num_iterations = 0
        store = Store(Path(self.config.paths.artifacts))
        make_demonstrations(self.config, store, make_expert(self.config, store))  # not to be recorded

    def advance(self, iterations: int) -> float:
        """Train on; seconds from the first iteration's start to the last one's checkpoint, so without start-up."""
        marks: list[float] = []
        iterate, save = Imitator.iterate, gailfe.training.save_checkpoint

        def marked_iterate(imitator: Imitator) -> dict[str, float]:
            if not marks:
                marks.append(time.perf_counter())
            return iterate(imitator)

        def marked_save(*args: Any) -> None:
            save(*args)
            marks.append(time.perf_counter())

        self.config.env.num_iterations += iterations
        with ExitStack() as stack:
            stack.enter_context(patch.object(Imitator, "iterate", marked_iterate))
            stack.enter_context(patch.object(gailfe.training, "save_checkpoint", marked_save))
            run(self.config, self.folder)
        return marks[-1] - marks[0]

    def rehearse(self, iterations: int) -> list[Episode]:
        """What the next `advance` will simulate; the run itself stays where it is."""
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
        """Raises RuntimeError unless the training has come to where its rehearsal had come."""
        if self._policy() != self._rehearsed:
            raise RuntimeError(
                f"{self.folder}: the rehearsal was not the same work, so its physics is none to compare with; "
                "only a task that resumes bit for bit can be measured"
            )

    def _policy(self) -> bytes:
        return (self.folder / WEIGHTS).read_bytes()

    @property
    def steps_per_iteration(self) -> int:
        return self.config.algo.steps_per_iteration
