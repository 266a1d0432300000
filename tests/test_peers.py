"""`python -m benchmarks.peers` without the peers: what it plans, what it lacks, and what a peer gets."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from peer_rows import HERE, imitated, point, row

from benchmarks import peer_inputs, peers
from benchmarks.command import MeasurementError
from benchmarks.measurements import append_row, missing, read_rows
from benchmarks.peer_inputs import expert_return, make_venv, our_config, run_peer
from benchmarks.peers import PeersArguments, main, plan, settings_of


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
        ("rounds=0", "at least 1"),
        ("iterations=many", "at least 1"),
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
    assert (gail["warmup"], gail["seed"], gail["algo"]["discriminator"]["updates"]) == (20, 1, 10)
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
