"""`python -m benchmarks.scaling`: what it plans, that it goes on where it stopped, and what its page says."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from helpers import make_trajectory

from benchmarks import scaling, scaling_measure
from benchmarks.peer_table import read_rows
from benchmarks.scaling import Measurement, ScalingArguments, main, plan, up_to, values
from benchmarks.scaling_measure import MeasurementError, Workers, make_imitator
from benchmarks.scaling_report import report, write_report
from gailfe.envs.trajectory import Demonstrations

PLACE = {"commit": "abc1234", "processor": "A Processor", "cores": 2}
ITERATION = {"environment_ms": 30.0, "acting_ms": 20.0, "learning_ms": 50.0, "steps_per_s": 10_000.0}


def row(part: str, value: int, repeat: int = 0, **result: Any) -> dict[str, Any]:
    measurement = asdict(Measurement(part, "hopper", value, repeat, 1.0))
    return {**measurement, **ITERATION, **PLACE, "load_before": 0.0, "command": "a command", **result}


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Two values of two parts, and demonstrations that nobody has to collect."""
    given = Demonstrations([make_trajectory(50, seed) for seed in range(3)], [make_trajectory(20)])
    monkeypatch.setattr(scaling_measure, "demonstrations", lambda env, artifacts: given)
    monkeypatch.setattr(scaling, "values", lambda cores: {"buffer": [1000, 3000], "width": [4, 8]})
    monkeypatch.setattr(scaling, "here", lambda cores: PLACE)
    return tmp_path


def test_interrupted_benchmark_goes_on_with_the_same_command(small, monkeypatch, capsys):
    command = ["part=[buffer,width]", "env=[hopper]", "rounds=1", "seconds=0.001", f"out={small}"]
    real, made = scaling.Bench.measure, []

    def interrupted(bench, measurement):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(measurement)
        return real(bench, measurement)

    monkeypatch.setattr(scaling.Bench, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        main(command)
    assert [(m.part, m.value) for m in made] == [("buffer", 1000), ("buffer", 3000)]
    monkeypatch.setattr(scaling.Bench, "measure", real)
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
    imitator = make_imitator("hopper", small, 0, ["algo.num_envs=2", *scaling.widths(6)], buffer_pairs=3000)
    assert imitator.collector.env.num_envs == 2
    assert imitator.failures is not None
    assert (imitator.failures.num_pairs, imitator.failures.num_trajectories) == (3000, 3)
    for network in (imitator.policy.mean, imitator.discriminator.logit):
        assert [p.shape[0] for p in network.parameters()][:4] == [6, 6, 6, 6]


WORKER = """
import json, sys
while request := sys.stdin.readline():
    print("a warning", flush=True)
    print("{}", flush=True)
    sys.stdin.readline()
    print(json.dumps({"steps_per_s": 100.0 * (1 + json.loads(request)["seed"])}), flush=True)
"""


def test_trainings_side_by_side_are_started_once_and_added_up(small):
    with Workers("hopper", small) as workers:
        workers.command = [sys.executable, "-c", WORKER]
        assert workers.train(2, seed=0, seconds=1.0)["steps_per_s"] == 200
        assert workers.train(1, seed=1, seconds=1.0)["job_steps_per_s"] == [200]
        assert len(workers.processes) == 2
    assert all(process.poll() is not None for process in workers.processes)


def test_training_that_dies_is_told(small):
    with Workers("hopper", small) as workers:
        workers.command = [sys.executable, "-c", "import sys; sys.stdin.readline(); sys.exit(3)"]
        with pytest.raises(MeasurementError, match="exit status 3"):
            workers.train(2, seed=0, seconds=1.0)


def test_rounds_are_interleaved_and_some_parts_need_one_task():
    planned = plan(ScalingArguments(part=["threads", "batch"], rounds=2), cores=2)
    assert [(m.env, m.repeat, m.value) for m in planned[:4]] == [("hopper", r, n) for r in (0, 1) for n in (1, 2)]
    assert {m.env for m in planned if m.part == "threads"} == {"hopper", "halfcheetah"}
    assert {m.env for m in planned if m.part == "batch"} == {"hopper"}


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


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("part=[memory]", "num_envs, threads"),
        ("env=[pendulum]", "hopper, halfcheetah"),
        ("rounds=0", "whole number from 1"),
        ("seconds=-1", "greater than 0"),
    ],
)
def test_wrong_argument_is_told_with_what_is_valid(argument, words, capsys):
    assert main([argument]) == 2
    told = capsys.readouterr().err
    assert argument.split("=")[0] in told
    assert words in told
