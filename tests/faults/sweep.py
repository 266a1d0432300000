"""The sweep that is disturbed: its command, its processes, which stage it is in, and how it is killed."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

MARK = "GAILFE_FAULTS"  # environment variable that all processes of one start have, also those without a parent
TARGETS = ("parent", "tree", "worker")
SIGNALS = (signal.SIGKILL, signal.SIGTERM)
STAGES = {"experts": 2.0, "demonstrations": 0.6, "runs": 3.0}  # and about how long each lasts [s]


@dataclass(frozen=True)
class Size:
    """Which sweep: algorithms in some environments, on experts that are trained for it."""

    algos: tuple[str, ...]
    envs: tuple[str, ...]
    iterations: int  # of an expert's training, and of imitation
    trajectories: int  # to collect
    options: tuple[str, ...] = ()


LONG = Size(("gail", "gailfe", "bc"), ("halfcheetah", "hopper", "cartpole"), 24, 40, ("tracking=wandb",))
SHORT = Size(("gail", "gailfe"), ("halfcheetah",), 10, 8, ("tracking=none",))


def command(folder: Path, size: Size) -> list[str]:
    """The command of the sweep, all of whose files are below `folder`."""
    return [
        *(sys.executable, "-W", "ignore", "-m", "gailfe.run", "-m", "hydra.launcher.n_jobs=2"),
        *("algo=" + ",".join(size.algos), "env=" + ",".join(size.envs), "annotator=low_return"),
        *(f"env.num_iterations={size.iterations}", "env.max_episode_steps=100", "checkpoint_every=3"),
        *("algo.steps_per_iteration=512", "evaluation.every=5", "evaluation.episodes=1"),
        *(f"env.ppo.total_steps={size.iterations * 512}", "expert.steps_per_iteration=512", "expert.epochs=2"),
        *("expert.eval_every=2", "expert.eval_episodes=2", "expert.finalists=2", "expert.finalist_episodes=2"),
        *("expert.final_eval_episodes=2", f"demonstrations.num_trajectories={size.trajectories}"),
        *("demonstrations.contamination=0.25", "demonstrations.max_attempts=2000", *size.options),
        *(f"paths.runs={folder / 'runs'}", f"paths.artifacts={folder / 'artifacts'}"),
    ]


def underway(folder: Path, since: float = 0.0) -> set[str]:
    """The stages that jobs of the sweep are in; with `since`, by what they have written after that time [s]."""
    rows = [path for path in _below(folder / "runs", "metrics.csv") if not (path.parent / "summary.json").exists()]
    written = {
        "experts": [*folder.glob("artifacts/experts/*.partial/curve.csv")],
        "demonstrations": [
            # Nothing is written there before the end: then jobs that have begun stand for it.
            holder
            for holder in _below(folder / "runs", ".holder")
            if list(folder.glob("artifacts/demonstrations/*.partial"))
        ],
        "runs": rows,
    }
    return {stage for stage, paths in written.items() if any(_changed(path) >= since for path in paths)}


def _below(folder: Path, name: str) -> list[Path]:
    """Return the files of that name below `folder`; glob would not bear that folders go meanwhile."""
    return [Path(place, name) for place, _, files in os.walk(folder) if name in files]


class Blow(NamedTuple):
    """How and when a sweep is killed."""

    stage: str  # it waits until a job is in this one; "start": for nothing
    delay: float  # and then this long [s]
    target: str
    signal: signal.Signals

    @classmethod
    def drawn(cls, rng: random.Random, stages: list[str]) -> Blow:
        stage = rng.choice(["start", *stages * 3])
        return cls(stage, rng.uniform(0, STAGES.get(stage, 6.0)), rng.choice(TARGETS), rng.choice(SIGNALS))

    def __str__(self) -> str:
        return f"{self.signal.name} to the {self.target} in stage {self.stage}"


class Sweep:
    """One start of the sweep's command; its output is in `log`."""

    def __init__(self, folder: Path, size: Size, log: Path) -> None:
        self.folder, self.log = folder, log
        self._mark, self._started = secrets.token_hex(8), time.time()
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command(folder, size),
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, MARK: self._mark},
            )

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def processes(self) -> list[int]:
        """All that live, the sweep's own and those that it began."""
        wanted = f"{MARK}={self._mark}".encode()
        return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if wanted in _read(path)]

    def workers(self) -> list[int]:
        return [number for number in self.processes() if b"popen_loky" in _read(Path(f"/proc/{number}/cmdline"))]

    def ended(self) -> bool:
        return self.process.poll() is not None

    def strike(self, blow: Blow, rng: random.Random) -> set[str] | None:
        """Wait for the moment, and send the signal.

        Returns:
            The stages that jobs were in; None if the sweep, or the worker, was not there any more.
        """
        wait(lambda: self.ended() or blow.stage in ("start", *underway(self.folder, self._started)))
        wait(self.ended, blow.delay)
        stages = underway(self.folder, self._started)
        if blow.target == "worker":
            wait(lambda: self.ended() or bool(self.workers()))
        targets = {"parent": lambda: [self.process.pid], "tree": self.processes, "worker": self.workers}[
            blow.target
        ]()
        if self.ended() or not targets:
            return None
        for number in [rng.choice(targets)] if blow.target == "worker" else targets:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, blow.signal)
        return stages

    def left_behind(self, patience: float = 15) -> list[str]:
        """What still lives `patience` seconds after the sweep's own process has ended, and is killed now."""
        wait(lambda: not self.processes(), patience)
        left = self.processes()
        names = [_read(Path(f"/proc/{number}/cmdline")).replace(b"\0", b" ").decode()[-200:] for number in left]
        for number in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        return names


def wait(condition: Callable[[], bool], seconds: float = 300) -> bool:
    """Whether a condition came true within some seconds."""
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return met


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # by now
        return -1.0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # the process has ended, or is another user's
        return b""
