"""`python -m benchmarks.scaling`: what it plans, that it goes on where it stopped, and what its page says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from helpers import make_trajectory
from spawned import die, fail_in_one, meet

from benchmarks import scaling, scaling_measure, trainer
from benchmarks.command import MeasurementError
from benchmarks.measurements import Row, read_rows
from benchmarks.processes import side_by_side
from benchmarks.scaling import ScalingArguments, main, plan, up_to, values
from benchmarks.scaling_report import report, write_report
from benchmarks.trainer import configure, fill_failures, make_learner
from gailfe.envs.trajectory import Demonstrations

PLACE = {"commit": "abc1234", "processor": "A Processor", "versions": {"torch": "2"}, "cores": 2}
ITERATION = {"environment_ms": 30.0, "acting_ms": 20.0, "learning_ms": 50.0, "steps_per_s": 10_000.0}


def row(part: str, value: int, repeat: int = 0, **result: Any) -> dict[str, Any]:
    point = {"part": part, "env": "hopper", "value": value, "repeat": repeat, "length": 1.0}
    return {**point, **ITERATION, **PLACE, "load_before": 0.0, "command": "a command", **result}


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Two values of two parts, and demonstrations that nobody has to collect."""
    given = Demonstrations([make_trajectory(50, seed) for seed in range(3)], [make_trajectory(20)])
    for module in (scaling_measure, trainer):
        monkeypatch.setattr(module, "demonstrations", lambda env, artifacts: given)
    monkeypatch.setattr(scaling, "values", lambda cores: {"buffer": [1000, 3000], "width": [4, 8]})
    monkeypatch.setattr(scaling, "here", lambda cores: PLACE)
    return tmp_path


def test_interrupted_benchmark_goes_on_with_the_same_command(small, monkeypatch, capsys):
    command = ["part=[buffer,width]", "env=[hopper]", "rounds=1", "seconds=0.001", f"out={small}"]
    real = scaling_measure.measure
    made: list[tuple[str, int]] = []

    def interrupted(point: Row, artifacts: Path) -> Row:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append((point["part"], point["value"]))
        return real(point, artifacts)

    monkeypatch.setattr(scaling_measure, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        main(command)
    assert made == [("buffer", 1000), ("buffer", 3000)]
    monkeypatch.setattr(scaling_measure, "measure", real)
    assert main(command) == 0
    assert "2 of 4 measurements are there" in capsys.readouterr().out
    rows = read_rows(small / "scaling.jsonl")
    assert [(r["part"], r["value"]) for r in rows] == [
        *(("buffer", 1000), ("buffer", 3000)),
        *(("width", 4), ("width", 8)),
    ]
    for r in rows:
        parts = r["environment_ms"] + r["acting_ms"] + r["learning_ms"]
        assert parts == pytest.approx(1000 * r["elapsed"] / r["iterations"])
        assert min(r["environment_ms"], r["acting_ms"], r["learning_ms"]) > 0
    assert (small / "scaling.png").stat().st_size > 0
    page = (small / "scaling.md").read_text()
    assert "## Pairs in β_F" in page
    assert "## Torch threads" not in page  # nothing was measured of it


def test_overrides_reach_the_learner(small):
    chosen = ["algo.num_envs=2", *scaling_measure.overrides("width", 6)]
    learner = make_learner(configure("gailfe", "hopper", small, chosen))
    fill_failures(learner, 3000)
    assert learner.collector.env.num_envs == 2
    assert learner.failed is not None
    assert (learner.failed.buffer.num_pairs, learner.failed.buffer.num_trajectories) == (3000, 3)
    for network in (learner.policy.mean, learner.discriminator.logit):
        assert [p.shape[0] for p in network.parameters()][:4] == [6, 6, 6, 6]


def test_trainings_side_by_side_begin_together_in_processes_of_their_own(tmp_path):
    assert side_by_side(2, meet, tmp_path) == [2, 2]
    assert str(os.getpid()) not in {path.name for path in tmp_path.iterdir()}


def test_training_that_fails_is_told_and_the_others_do_not_wait_for_it(tmp_path):
    with pytest.raises(MeasurementError, match="no such task"):
        side_by_side(2, fail_in_one, tmp_path)
    with pytest.raises(MeasurementError, match="die"):
        side_by_side(1, die)


def test_rates_of_trainings_side_by_side_are_added_up(small, monkeypatch):
    result = {"steps_per_s": 100.0}
    monkeypatch.setattr(scaling_measure, "side_by_side", lambda jobs, *_: [result] * jobs)
    measured = scaling_measure.measure(row("jobs", 3), small)
    assert measured == {"steps_per_s": 300.0, "job_steps_per_s": [100.0] * 3}


def test_rounds_are_interleaved_and_some_parts_need_one_task():
    planned = plan(ScalingArguments(part=["threads", "batch"], rounds=2), cores=2)
    first = [(p["env"], p["repeat"], p["value"]) for p in planned[:4]]
    assert first == [("hopper", r, n) for r in (0, 1) for n in (1, 2)]
    assert {p["env"] for p in planned if p["part"] == "threads"} == {"hopper", "halfcheetah"}
    assert {p["env"] for p in planned if p["part"] == "batch"} == {"hopper"}


def test_values_fit_the_machine():
    assert up_to(4) == [1, 2, 3, 4]
    assert up_to(48) == [1, 2, 4, 8, 16, 32, 48]
    assert values(64)["jobs"][-1] == 128
    assert values(64)["sweep"] == [1, 2, 3, 4]  # four jobs have no use for more
    assert all(1024 % n == 0 for n in values(1)["num_envs"])  # steps of an iteration


def test_efficiency_is_taken_within_a_round():
    rates = {(1, 0): 100.0, (2, 0): 180.0, (1, 1): 50.0, (2, 1): 80.0, (1, 2): 100.0, (2, 2): 190.0}
    page = report([row("jobs", n, r, steps_per_s=rate) for (n, r), rate in rates.items()])
    assert "| 2 | hopper | 180 (80–190) | 1.80 (1.60–1.90) | 90 (80–95) |" in page
    assert "2 trainings at once do 1.80 times the steps of one" in page
    assert "Extrapolated, not measured: at the same 90% of a core's own rate, 64 cores do 5,760 steps/s" in page


def test_machine_of_64_cores_is_not_extrapolated_to():
    page = report([row("jobs", n, steps_per_s=100.0 * n, cores=64) for n in (1, 64)])
    assert "64 trainings at once do 64.00 times" in page
    assert "Extrapolated" not in page


def test_bound_on_an_accelerator_comes_from_what_it_would_leave():
    rows = [row("width", 100), row("width", 800, learning_ms=450.0)]
    page = report(rows)
    assert "2.00 × as fast" in page  # 100 ms, of which 50 are collecting
    assert "2.0 at 100, 10.0 at 800. Learning is more than half of it from width 800 on" in page


def test_sweep_is_compared_with_one_job_at_a_time(tmp_path: Path):
    rows = [row("sweep", n, elapsed=seconds) for n, seconds in ((1, 30.0), (2, 20.0))]
    page = write_report(tmp_path, rows)
    assert "| 2 | hopper | 20.0 | 1.50 |" in page
    assert (tmp_path / "scaling.md").read_text() == page


def test_page_can_be_made_again_without_measuring_and_leaves_out_what_was_measured_elsewhere(tmp_path, capsys):
    with (tmp_path / "scaling.jsonl").open("w") as file:
        for r in (row("threads", 1, steps_per_s=1.0, commit="older"), row("threads", 1), row("threads", 2)):
            file.write(json.dumps(r) + "\n")
    assert main(["measure=false", f"out={tmp_path}"]) == 0
    assert "| 1 | hopper | 10,000 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("part=[memory]", "num_envs, threads"),
        ("env=[pendulum]", "hopper, halfcheetah"),
        ("rounds=0", "at least 1"),
        ("seconds=-1", "greater than 0"),
    ],
)
def test_wrong_argument_is_told_with_what_is_valid(argument, words, capsys):
    assert main([argument]) == 2
    told = capsys.readouterr().err
    assert argument.split("=")[0] in told
    assert words in told
