"""`python -m benchmarks.peers` without the peers: what it plans, what it has already, and the table."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import asdict
from typing import Any

import pytest

from benchmarks import peer_inputs, peers
from benchmarks.peer_gailfe import read_curve
from benchmarks.peer_inputs import PeerError, make_venv, our_config, run_peer
from benchmarks.peer_report import IterationClock, first_reaching
from benchmarks.peer_table import Measurement, append_row, measured, read_rows, write_table
from benchmarks.peers import PeersArguments, main, plan, settings_of

HERE = {"commit": "abc1234", "processor": "A Processor"}


def row(part: str, peer: str, repeat: int, **result: Any) -> dict[str, Any]:
    length = 100 if part == "gail" else 1_000_000
    result = {"name": peer, "env_id": "Hopper-v5", "versions": {"torch": "2"}, "command": "a command"} | result
    return {**asdict(Measurement(part, "hopper", peer, repeat, length)), "load_before": 0.0, **HERE, **result}


@pytest.fixture
def fake(monkeypatch):
    """Peers that are never installed nor run; how often each was."""
    runs: Counter[str] = Counter()

    def run(python, peer, settings, log):
        runs[peer] += 1
        if peer == "torchrl" and runs[peer] == 1:
            raise PeerError("exit status 1")
        rates = {"steps_per_s": 1000.0 * (2 if peer == "gailfe" else 1), "learning_steps_per_s": 2500.0}
        return {"name": peer, "env_id": settings["env_id"], "versions": {}, **rates}

    monkeypatch.setattr(peers, "make_venv", lambda peer, cache: cache / peer)
    monkeypatch.setattr(peers, "export_demonstrations", lambda env, cache: cache / f"{env}.npz")
    monkeypatch.setattr(peers, "run_peer", run)
    monkeypatch.setattr(peers, "origin", lambda: HERE)
    return runs


def test_same_command_makes_only_the_measurements_that_are_missing(tmp_path, fake, capsys):
    command = ["part=gail", "env=hopper", "rounds=2", f"out={tmp_path}/out", f"cache={tmp_path}/cache"]
    assert main(command) == 1  # TorchRL failed once; the others were measured nevertheless
    assert "gail hopper torchrl round 0: exit status 1" in capsys.readouterr().err
    assert fake == {"gailfe": 2, "imitation": 2, "torchrl": 2}
    assert main(command) == 0
    assert fake == {"gailfe": 2, "imitation": 2, "torchrl": 3}
    assert main(command) == 0
    assert fake.total() == 7
    assert len(read_rows(tmp_path / "out/peers.jsonl")) == 6
    table = capsys.readouterr().out
    assert "| imitation | 1,000 (1,000–1,000) | 2.00 (2.00–2.00) | 2.50 (2.50–2.50) | 100 | 2 |" in table


def test_rounds_are_interleaved():
    planned = plan(PeersArguments(env="hopper", rounds=2, seeds="3"), lambda env: 500)
    order = [(m.part, m.peer, m.repeat, m.length) for m in planned]
    gail = [("gail", peer, r, 100) for r in (0, 1) for peer in ("gailfe", "imitation", "torchrl")]
    assert order == [*gail, ("ppo", "gailfe", 3, 500), ("ppo", "sb3", 3, 500)]


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("part=trpo", "gail, ppo"),
        ("env=ant", "hopper, halfcheetah"),
        ("rounds=0", "whole number from 1"),
        ("iterations=many", "whole number from 1"),
        ("max_steps=0", "or null"),
        ("seeds=0,x", "whole numbers from 0"),
        ("runs=3", "valid keys: part, env"),
    ],
)
def test_wrong_argument_is_told_with_what_is_valid(argument, words, capsys):
    assert main([argument]) == 2
    told = capsys.readouterr().err
    assert argument in told
    assert words in told


def test_help_names_every_key(capsys):
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(f"  {key}=" in told for key in PeersArguments.__dataclass_fields__)


def test_measurement_counts_only_where_it_was_made(tmp_path):
    path = tmp_path / "peers.jsonl"
    append_row(path, row("gail", "gailfe", 0))
    with path.open("a") as file:
        file.write('{"part": "ga')  # the power went
    append_row(path, row("gail", "gailfe", 1) | {"commit": "def5678"})
    assert len(read_rows(path)) == 2
    assert measured(read_rows(path), HERE) == {Measurement("gail", "hopper", "gailfe", 0, 100)}


def test_ratio_is_taken_within_a_round(tmp_path):
    rates = {0: (1000.0, 100.0), 1: (500.0, 50.0), 2: (900.0, 30.0)}  # a busy machine slowed round 1 down
    rows = [row("gail", "gailfe", r, steps_per_s=a, learning_steps_per_s=2 * a) for r, (a, _) in rates.items()]
    rows += [row("gail", "imitation", r, steps_per_s=b, env_id="Hopper-v4") for r, (_, b) in rates.items()]
    rows.insert(0, row("gail", "imitation", 0, steps_per_s=1.0) | {"commit": "of another time"})
    write_table(tmp_path / "peers.md", rows)
    table = (tmp_path / "peers.md").read_text()
    assert "| Hopper-v5 | gailfe | 900 (500–1,000) |  |  | 100 | 3 |" in table
    assert "| Hopper-v5 | gailfe, learning alone | 1,800 (1,000–2,000) |" in table
    assert "| Hopper-v4 | imitation | 50 (30–100) | 10.00 (10.00–30.00) | 20.00 (20.00–60.00) | 100 | 3 |" in table
    assert "Commit abc1234; A Processor" in table
    assert "part=ppo" not in table


def test_return_that_was_not_reached_took_forever(tmp_path):
    rows = [row("ppo", "gailfe", s, reached=s < 3, seconds=10.0 + s, env_steps=1000) for s in range(4)]
    rows += [row("ppo", "sb3", s, reached=s == 0, seconds=30.0, env_steps=9000) for s in range(4)]
    write_table(tmp_path / "peers.md", rows)
    table = (tmp_path / "peers.md").read_text()
    assert "| gailfe | 3 of 4 | 12 (10–∞) |  | 1,000 (1,000–∞) | 1,000,000 |" in table
    assert "| sb3 | 1 of 4 | ∞ (30–∞) | ∞ (3.00–∞) | ∞ (9,000–∞) | 1,000,000 |" in table


def test_seconds_until_the_return_leave_evaluations_out(tmp_path):
    curve = tmp_path / "curve.csv"
    curve.write_text(
        "iteration,env_steps,steps_per_s,eval_return_mean,wall_time_s\n"
        "1,2000,1000,,2\n2,4000,500,1500,99\n3,6000,1000,,101\n4,8000,1000,2600,199\n"
    )
    evaluations = read_curve(curve)
    assert evaluations == [(4000, 6.0, 1500.0), (8000, 10.0, 2600.0)]
    assert first_reaching(evaluations, 2500) == {
        "reached": True,
        "env_steps": 8000,
        "seconds": 10.0,
        "return": 2600,
    }
    assert not first_reaching(evaluations, 3000)["reached"]


def test_clock_leaves_the_first_iterations_out(monkeypatch):
    times = iter([100.0, 101.0, 103.0, 105.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(times))
    clock = IterationClock(warmup=2)
    for _ in range(4):
        clock.tick()
    assert clock.result(1024) == {"iterations": 2, "env_steps": 2048, "seconds": 4.0, "steps_per_s": 512.0}


def test_peers_get_our_sizes(tmp_path):
    config = our_config("hopper")
    gail = settings_of(Measurement("gail", "hopper", "imitation", 1, 100), config, tmp_path)
    assert (gail["warmup"], gail["seed"], gail["algo"]["discriminator"]["updates"]) == (20, 1, 3)
    ppo = settings_of(Measurement("ppo", "hopper", "sb3", 0, 1000), config, tmp_path)
    expert = config["expert"]
    assert ppo["interval"] == expert["eval_every"] * expert["steps_per_iteration"]
    json.dumps([gail, ppo])  # they travel as JSON


def test_failing_peer_is_told_with_its_last_words(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho starting\necho 'no such environment' >&2\nexit 3\n")
    python.chmod(0o755)
    with pytest.raises(PeerError, match="exit status 3: no such environment"):
        run_peer(python, "imitation", {}, tmp_path / "log")
    assert (tmp_path / "log").read_text().startswith("starting")


def test_measurement_is_found_among_what_a_peer_prints(tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho \'{"name": "A peer", "seconds": 2.5}\'\necho bye >&2\n')
    python.chmod(0o755)
    assert run_peer(python, "imitation", {}, tmp_path / "log") == {"name": "A peer", "seconds": 2.5}


def test_installed_peer_is_installed_once(tmp_path, monkeypatch):
    commands = []

    def run(command, **_):
        commands.append(list(map(str, command)))
        (tmp_path / "sb3").mkdir(exist_ok=True)
        return type("Done", (), {"returncode": 0})

    monkeypatch.setattr(peer_inputs.subprocess, "run", run)
    assert make_venv("sb3", tmp_path) == make_venv("sb3", tmp_path)
    assert len(commands) == 2  # venv, pip


@pytest.mark.parametrize("name", ["imitation", "sb3", "torchrl"])
def test_no_peer_brings_cuda_along(name):
    lines = (peer_inputs.REQUIREMENTS / f"{name}.txt").read_text().splitlines()
    assert 'torch==2.13.0+cpu; sys_platform == "linux"' in lines
    assert not any(line.startswith("nvidia") or "cuda" in line.lower() for line in lines if line[0] != "#")
    assert all("==" in line for line in lines if line[0] != "#")  # pinned, since pip looks at no dependencies


def test_table_has_no_infinity_of_nothing(tmp_path):
    rows = [row("ppo", peer, 0, reached=False, seconds=9.0, env_steps=10) for peer in ("gailfe", "sb3")]
    write_table(tmp_path / "peers.md", rows)
    table = (tmp_path / "peers.md").read_text()
    assert "| sb3 | 0 of 1 | ∞ |  | ∞ |" in table
    assert str(math.inf) not in table
