"""What the benchmarks rest on: a replay of the very same work, and time that is counted once."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from helpers import HOPPER

from benchmarks.measurements import table
from benchmarks.parts import Parts
from benchmarks.recording import Episode, recording, replay
from benchmarks.trainer import Trainer, configure
from gailfe.envs.vector import VectorEnv


def record(steps: int, seed: int = 0) -> list[Episode]:
    env = VectorEnv(HOPPER, 3, seed)
    env.reset()
    generator = np.random.default_rng(seed)

    def act() -> None:
        env.step(generator.uniform(-1, 1, (3, 3)).astype(np.float32))

    for _ in range(7):
        act()  # before the recording: it must begin in the middle of episodes
    with recording() as episodes:
        for _ in range(steps):
            act()
    act()  # after it
    return episodes


def test_a_replay_goes_through_every_recorded_step_to_the_same_states() -> None:
    episodes = record(100)
    assert sum(len(episode.actions) for episode in episodes) == 300
    assert len(episodes) > 6  # random Hoppers fall
    assert replay(episodes) > 0


def test_a_replay_that_is_not_the_same_work_is_no_measurement() -> None:
    episodes = record(40)
    episodes[1].actions[0] = episodes[1].actions[0] + np.float32(0.1)
    with pytest.raises(RuntimeError, match="another state"):
        replay(episodes)


def test_a_part_does_not_count_the_time_of_the_parts_that_it_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def work(seconds: float) -> None:
        nonlocal now
        now += seconds

    class Work:
        @staticmethod
        def inner() -> None:
            work(3)

        @staticmethod
        def outer() -> None:
            work(1)
            Work.inner()
            Work.inner()

    monkeypatch.setattr("time.perf_counter", lambda: now)
    parts, original = Parts(), Work.outer
    with parts.measuring([(Work, "inner", "inner"), (Work, "outer", "outer")]):
        Work.outer()
    assert Work.outer is original
    assert parts.seconds == {"inner": 6, "outer": 1}


def test_a_table_is_markdown() -> None:
    assert table(["a", "b"], [[1, "x"]]) == "| a | b |\n| --- | --- |\n| 1 | x |\n"


def test_a_rehearsal_simulates_what_the_training_then_does_and_leaves_the_run_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trainer = Trainer(configure("gailfe", "hopper", Path("artifacts")), Path("run"))
    for done in range(2):
        episodes = trainer.rehearse(1)
        assert sum(len(episode.actions) for episode in episodes) >= trainer.steps_per_iteration
        assert trainer.advance(1) > 0
        trainer.check()
        with Path("run", "metrics.csv").open() as file:
            assert len(list(csv.DictReader(file))) == done + 1
    trainer.advance(1)
    with pytest.raises(RuntimeError, match="rehearsal"):
        trainer.check()
