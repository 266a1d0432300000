"""`python -m benchmarks.peers` without the peers: what it plans, what it has, its clocks and its tables."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

import gymnasium
import numpy as np
import pytest

from benchmarks import peer_inputs, peers
from benchmarks.command import MeasurementError
from benchmarks.measurements import append_row, between, missing, read_rows
from benchmarks.peer_gailfe import read_curve
from benchmarks.peer_inputs import expert_return, make_venv, our_config, run_peer
from benchmarks.peer_report import first_reaching, mean_return, rate, time_to_target
from benchmarks.peer_table import page, records
from benchmarks.peers import PeersArguments, main, plan, settings_of

HERE = {"commit": "abc1234", "processor": "A Processor"}


def point(part: str, peer: str, repeat: int) -> dict[str, Any]:
    length = 100 if part == "gail" else 1_000_000
    return {"part": part, "env": "hopper", "peer": peer, "repeat": repeat, "length": length}


def row(part: str, peer: str, repeat: int, **result: Any) -> dict[str, Any]:
    result = {"name": peer, "env_id": "Hopper-v5", "versions": {"torch": "2"}, "command": "a command"} | result
    return {**point(part, peer, repeat), "load_before": 0.0, **HERE, **result}


@pytest.fixture
def fake(monkeypatch):
    """Peers that are never installed nor run; how often each was."""
    runs: Counter[str] = Counter()

    def run(python, peer, settings, log):
        runs[peer] += 1
        if peer == "torchrl" and runs[peer] == 1:
            raise MeasurementError("exit status 1")
        rates = {"steps_per_s": 1000.0 * (2 if peer == "gailfe" else 1), "learning_steps_per_s": 2500.0}
        return {"name": peer, "env_id": settings["env_id"], "versions": {}, **rates}

    monkeypatch.setattr(peers, "make_venv", lambda peer, cache: cache / peer)
    monkeypatch.setattr(peers, "export_demonstrations", lambda env, cache: cache / f"{env}.npz")
    monkeypatch.setattr(peers, "run_peer", run)
    monkeypatch.setattr(peers, "origin", lambda *_: HERE)
    return runs


def test_same_command_makes_only_the_measurements_that_are_missing(tmp_path, fake, capsys):
    command = ["part=gail", "env=hopper", "rounds=2", f"out={tmp_path}/out", f"cache={tmp_path}/cache"]
    assert main(command) == 1  # TorchRL failed once; the others were measured nevertheless
    assert "part=gail env=hopper peer=torchrl repeat=0 length=100: exit status 1" in capsys.readouterr().err
    assert fake == {"gailfe": 2, "imitation": 2, "torchrl": 2}
    assert main(command) == 0
    assert fake == {"gailfe": 2, "imitation": 2, "torchrl": 3}
    assert main(command) == 0
    assert fake.total() == 7
    assert len(read_rows(tmp_path / "out/peers.jsonl")) == 6
    table = capsys.readouterr().out
    assert "| imitation | 1,000 (1,000–1,000) | 2.00 (2.00–2.00) | 2.50 (2.50–2.50) | 100 | 2 |" in table


def test_rounds_are_interleaved() -> None:
    planned = plan(PeersArguments(env=["hopper"], rounds=2, seeds=["3"]), {"hopper": 500})
    order = [(p["part"], p["peer"], p["repeat"], p["length"]) for p in planned]
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
    append_row(path, row("gail", "gailfe", 1) | {"commit": "def5678"})  # another one, after it
    assert len(read_rows(path)) == 2
    both = [point("gail", "gailfe", repeat) for repeat in (0, 1)]
    assert missing(read_rows(path), [*both, *both], HERE) == both[1:]


def test_ratio_is_taken_within_a_round() -> None:
    rates = {0: (1000.0, 100.0), 1: (500.0, 50.0), 2: (900.0, 30.0)}  # a busy machine slowed round 1 down
    rows = [row("gail", "gailfe", r, steps_per_s=a, learning_steps_per_s=2 * a) for r, (a, _) in rates.items()]
    rows += [row("gail", "imitation", r, steps_per_s=b, env_id="Hopper-v4") for r, (_, b) in rates.items()]
    rows.insert(0, row("gail", "imitation", 0, steps_per_s=1.0) | {"commit": "of another time"})
    table = page(rows)
    assert "| Hopper-v5 | gailfe | 900 (500–1,000) |  |  | 100 | 3 |" in table
    assert "| Hopper-v5 | gailfe, learning alone | 1,800 (1,000–2,000) |" in table
    assert "| Hopper-v4 | imitation | 50 (30–100) | 10.00 (10.00–30.00) | 20.00 (20.00–60.00) | 100 | 3 |" in table
    assert "Commit abc1234; A Processor" in table
    assert "part=ppo" not in table


def test_return_that_was_not_reached_took_forever() -> None:
    rows = [row("ppo", "gailfe", s, reached=s < 3, seconds=10.0 + s, env_steps=1000) for s in range(4)]
    rows += [row("ppo", "sb3", s, reached=s == 0, seconds=30.0, env_steps=9000) for s in range(4)]
    table = page(rows)
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


def test_rate_leaves_the_first_iterations_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.perf_counter", iter([101.0, 105.0]).__next__)
    result = rate(iter([1024, 2048, 3072, 4096]), warmup=2, number=2)
    assert result == {"iterations": 2, "env_steps": 2048, "seconds": 4.0, "steps_per_s": 512.0}


def test_evaluations_come_at_the_same_steps_whatever_an_iteration_takes_and_are_not_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    def learn(steps: int):
        for done in range(steps, 100_000, steps):
            now[0] += steps / 100
            yield done

    def evaluate() -> float:
        now[0] += 1000
        return now[0] / 1000

    settings = {"target": 3, "interval": 400, "max_steps": 10_000, "max_seconds": 100}
    for steps in (100, 200, 400):
        now[0] = 0.0
        result = time_to_target(learn(steps), evaluate, settings)
        assert [row[:2] for row in result["curve"]] == [(400, 4.0), (800, 8.0), (1200, 12.0)]
        assert result["reached"]
        assert (result["env_steps"], result["seconds"]) == (1200, 12.0)


@pytest.mark.parametrize(("cap", "value"), [("max_steps", 600), ("max_seconds", 6)])
def test_codebase_is_stopped_at_a_cap_and_that_is_told(
    monkeypatch: pytest.MonkeyPatch, cap: str, value: int
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    def learn():
        for done in range(100, 100_000, 100):
            now[0] += 1
            yield done

    settings = {"target": 3, "interval": 400, "max_steps": 10_000, "max_seconds": 1000} | {cap: value}
    result = time_to_target(learn(), lambda: 2.0, settings)
    assert [row[0] for row in result["curve"]] == [400, 600]  # evaluated at the cap too
    assert not result["reached"]
    assert result["seconds"] == 6


def test_evaluation_is_of_whole_episodes_in_the_environments_own_reward_with_actions_within_bounds() -> None:
    returns = []
    for seed in (1, 2):
        env = gymnasium.make("Hopper-v5")
        env.reset(seed=seed)
        total, over = 0.0, False
        while not over:
            _, reward, terminated, truncated, _ = env.step(np.ones(3))
            total, over = total + float(reward), terminated or truncated
        returns.append(total)
    assert returns[0] != returns[1]

    def act(observations: np.ndarray) -> np.ndarray:
        return np.full((len(observations), 3), 7.0)

    assert mean_return(act, "Hopper-v5", episodes=2) == pytest.approx(np.mean(returns))


def imitated(peer: str, seconds: list[float], reached: list[bool]) -> list[dict[str, Any]]:
    results = zip(seconds, reached, strict=True)
    return [row("imitate", peer, i, seconds=s, reached=r, env_steps=1000 * s) for i, (s, r) in enumerate(results)]


def test_seed_that_was_stopped_bounds_what_is_told() -> None:
    rows = imitated("gailfe", [10.0, 20.0, 30.0], [True] * 3)
    rows += imitated("imitation", [90.0, 80.0, 70.0], [True, False, False])
    rows += imitated("torchrl", [50.0, 60.0, 900.0], [True, True, False])
    table = page(rows)
    assert "| gailfe | 3 of 3 | 20 (10–30) |  | 20,000 (10,000–30,000) | 1,000,000 |" in table
    assert "| imitation | 1 of 3 | > 80 (> 70–> 90) | > 4.00 (> 2.33–> 9.00) |" in table
    assert "| torchrl | 2 of 3 | 60 (50–> 900) | 5.00 (3.00–> 30.00) |" in table
    _, imitation, torchrl = records(rows)
    assert (imitation["n_seeds"], imitation["n_censored"], imitation["ratio_of_medians"]) == (3, 2, 4.0)
    assert (torchrl["seconds_median"], torchrl["seconds_max"]) == (60.0, 900.0)


def test_bounds_are_shown_only_where_they_matter() -> None:
    assert between([(1, 1), (2, math.inf), (9, 9)], ".0f") == "> 2 (1–> 9)"
    assert between([(1, 1), (2, 2), (9, math.inf)], ".0f") == "2 (1–> 9)"
    assert between([(0, 4.0)], ".0f") == "< 4"


def test_last_line_is_the_summary_as_json(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for line in imitated("gailfe", [10.0, 20.0], [True] * 2) + imitated("torchrl", [50.0, 90.0], [True] * 2):
        append_row(tmp_path / "peers.jsonl", line)
    assert main(["measure=false", f"out={tmp_path}"]) == 0
    ours, theirs = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (ours["env"], ours["codebase"], ours["seconds_median"]) == ("hopper", "gailfe", 15.0)
    assert theirs["ratio_of_medians"] == pytest.approx(70 / 15)
    assert "| torchrl | 2 of 2 | 70 (50–90) |" in (tmp_path / "peers.md").read_text()


def test_raised_cap_of_seconds_measures_anew() -> None:
    short, long = (
        plan(PeersArguments(part=["imitate"], env=["hopper"], seeds=["0"], max_seconds=seconds), {"hopper": 1})
        for seconds in (60.0, 900.0)
    )
    assert missing([short[0] | HERE], long, HERE) == long


def test_peers_get_our_sizes(tmp_path) -> None:
    config = our_config("hopper")
    gail = settings_of(point("gail", "imitation", 1), config, tmp_path)
    assert (gail["warmup"], gail["seed"], gail["algo"]["discriminator"]["updates"]) == (20, 1, 3)
    ppo = settings_of(point("ppo", "sb3", 0), config, tmp_path)
    expert = config["expert"]
    assert ppo["interval"] == expert["eval_every"] * expert["steps_per_iteration"]
    imitate = settings_of(point("imitate", "torchrl", 0), config, tmp_path)
    assert imitate["target"] == pytest.approx(0.8 * expert_return("hopper"))
    json.dumps([gail, ppo, imitate])  # they travel as JSON


def test_failing_peer_is_told_with_its_last_words(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho starting\necho 'no such environment' >&2\nexit 3\n")
    python.chmod(0o755)
    with pytest.raises(MeasurementError, match="exit status 3: no such environment"):
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


def test_table_has_no_infinity_of_nothing() -> None:
    rows = [row("ppo", peer, 0, reached=False, seconds=9.0, env_steps=10) for peer in ("gailfe", "sb3")]
    table = page(rows)
    assert "| sb3 | 0 of 1 | ∞ |  | ∞ |" in table
    assert str(math.inf) not in table
