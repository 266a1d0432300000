"""Speed side by side with other codebases, each in a virtual environment of its own.

    python -m benchmarks.peers part=gail

One thread each, one measurement at a time, in interleaved rounds, so that a busy minute of the machine meets all
of them. Every measurement is a line of peers.jsonl as soon as it is made; the same command goes on there.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peer_inputs import PeerError, export_demonstrations, make_venv, origin, our_config, run_peer
from benchmarks.peer_table import Measurement, append_row, measured, read_rows, write_table
from gailfe.config.arguments import ArgumentError, help_text, parse_arguments

PEERS = {  # of each part, in the order of a round
    "gail": ("gailfe", "imitation", "torchrl"),
    "ppo": ("gailfe", "sb3"),
}
TARGETS = {
    "hopper": 2500.0,
    "halfcheetah": 4000.0,
}  # returns of the mean action that end a measurement of part=ppo

SUMMARY = """\
python -m benchmarks.peers [key=value ...]

Compares speed with other codebases, one thread each.
  part=gail  environment steps a second while imitating: imitation (TRPO of sb3-contrib) and TorchRL
  part=ppo   seconds of learning until the expert's mean action returns 2500 (Hopper) or 4000 (HalfCheetah):
             Stable-Baselines3 with the hyperparameters of RL Baselines3 Zoo
Appends every measurement to <out>/peers.jsonl and writes <out>/peers.md after each one. An interrupted
comparison goes on with the same command; what was measured at another commit or on another processor is measured
again. Leave the machine alone meanwhile."""

EXAMPLES = """\
Examples:
  python -m benchmarks.peers
  python -m benchmarks.peers part=gail env=hopper rounds=3
  python -m benchmarks.peers part=ppo seeds=0,1,2,3,4
  python -m benchmarks.peers iterations=2 rounds=1 seeds=0 max_steps=50000 out=artifacts/trial   # does it run?"""


@dataclass
class PeersArguments:
    part: str = field(
        default="gail,ppo",
        metadata={"help": "what to compare", "valid": f"one or more of {', '.join(PEERS)}, with commas"},
    )
    env: str = field(
        default="hopper,halfcheetah",
        metadata={"help": "on which tasks", "valid": f"one or more of {', '.join(TARGETS)}, with commas"},
    )
    rounds: int = field(
        default=5, metadata={"help": "part=gail: measurements of each codebase", "valid": "a whole number from 1"}
    )
    iterations: int = field(
        default=100,
        metadata={
            "help": "part=gail: iterations of a measurement, after a fifth as many that aren't timed. Hundreds "
            "hold as many evaluations and checkpoints of ours as a whole run does",
            "valid": "a whole number from 1",
        },
    )
    seeds: str = field(
        default="0,1,2", metadata={"help": "part=ppo: seeds", "valid": "whole numbers from 0, with commas"}
    )
    max_steps: int | None = field(
        default=None,
        metadata={
            "help": "part=ppo: environment steps after which a codebase hasn't reached the return; our learning "
            "rate falls to 0 until then. null: as many as our training has",
            "valid": "a whole number from 1, or null",
        },
    )
    max_seconds: float = field(
        default=1800.0,
        metadata={
            "help": "part=ppo: seconds of learning after which another codebase hasn't reached the return",
            "valid": "greater than 0",
        },
    )
    out: str = field(
        default="results/speed",
        metadata={"help": "where to write", "valid": "a folder, made where it does not exist"},
    )
    cache: str = field(
        default="artifacts/peers",
        metadata={
            "help": "where virtual environments (4 GB), demonstrations and logs are kept",
            "valid": "a folder, made where it does not exist",
        },
    )


def plan(arguments: PeersArguments, max_steps: Callable[[str], int]) -> list[Measurement]:
    """All measurements, in order. `max_steps` gives an environment's, for where the arguments leave it open.

    Raises:
        ArgumentError: a value that its key cannot have.
    """
    for key, least in (("rounds", 1), ("iterations", 1), ("max_steps", 1), ("max_seconds", 1e-9)):
        value = getattr(arguments, key)
        if value is not None and value < least:
            raise ArgumentError(f"{key}={value}: valid is {_valid(key)}")
    parts, envs = _chosen(arguments, "part", tuple(PEERS)), _chosen(arguments, "env", tuple(TARGETS))
    seeds = arguments.seeds.split(",")
    if not all(seed.isdecimal() for seed in seeds):
        raise ArgumentError(f"seeds={arguments.seeds}: valid is {_valid('seeds')}")
    planned = []
    for part in parts:
        repeats = range(arguments.rounds) if part == "gail" else [int(seed) for seed in seeds]
        for env in envs:
            length = arguments.iterations if part == "gail" else arguments.max_steps or max_steps(env)
            planned += [Measurement(part, env, peer, repeat, length) for repeat in repeats for peer in PEERS[part]]
    return list(dict.fromkeys(planned))


def _chosen(arguments: PeersArguments, key: str, valid: tuple[str, ...]) -> list[str]:
    values: list[str] = getattr(arguments, key).split(",")
    if not set(values) <= set(valid):
        raise ArgumentError(f"{key}={','.join(values)}: valid is {_valid(key)}")
    return values


def _valid(key: str) -> str:
    return str(PeersArguments.__dataclass_fields__[key].metadata["valid"])


def compare(arguments: PeersArguments, command: str) -> list[str]:
    """Make the measurements that are missing; returns what went wrong with some, a message each.

    Raises:
        ArgumentError: a value that its key cannot have.
        PeerError: a peer that can't be installed.
    """
    plan(arguments, max_steps=lambda env: 1)  # a mistake is told before anything is loaded
    envs = arguments.env.split(",")
    configs = {env: our_config(env) for env in envs}
    planned = plan(arguments, max_steps=lambda env: int(configs[env]["expert"]["total_steps"]))
    out, cache = Path(arguments.out), Path(arguments.cache).resolve()
    rows, here = out / "peers.jsonl", origin()
    done = measured(read_rows(rows), here)
    missing = [measurement for measurement in planned if measurement not in done]
    print(f"{len(planned) - len(missing)} of {len(planned)} measurements are there", flush=True)

    out.mkdir(parents=True, exist_ok=True)
    (cache / "logs").mkdir(parents=True, exist_ok=True)
    pythons = {"gailfe": Path(sys.executable)}
    pythons |= {peer: make_venv(peer, cache) for peer in sorted({m.peer for m in missing} - {"gailfe"})}
    demonstrations = {
        env: export_demonstrations(env, cache) for env in {m.env for m in missing if m.part == "gail"}
    }
    failures = []
    for number, measurement in enumerate(missing, start=1):
        settings = settings_of(measurement, configs[measurement.env], cache)
        settings["max_seconds"] = arguments.max_seconds
        settings["demonstrations"] = str(demonstrations.get(measurement.env))
        log = cache / "logs" / f"{'-'.join(map(str, asdict(measurement).values()))}.log"
        print(f"{number} of {len(missing)}: {measurement}, log in {log}", flush=True)
        load = os.getloadavg()[0]  # before; more than a little says that the machine had other work
        try:
            result = run_peer(pythons[measurement.peer], measurement.peer, settings, log)
        except PeerError as error:
            failures.append(f"{measurement}: {error}")
            print(f"  failed: {error}", flush=True)
            continue
        append_row(rows, {**asdict(measurement), **result, **here, "load_before": load, "command": command})
        write_table(out / "peers.md", read_rows(rows))
    if read_rows(rows):
        write_table(out / "peers.md", read_rows(rows))
        print((out / "peers.md").read_text())
    return failures


def settings_of(measurement: Measurement, config: dict[str, Any], cache: Path) -> dict[str, Any]:
    """What the peer's process gets on its command line, from our own configuration."""
    common = {
        "part": measurement.part,
        "env": measurement.env,
        "env_id": config["env"]["id"],
        "seed": measurement.repeat,
        "folder": str(cache / "runs" / measurement.part),
        "artifacts": str(cache / "artifacts"),
    }
    if measurement.part == "gail":
        warmup = max(1, measurement.length // 5)
        return {**common, "algo": config["algo"], "warmup": warmup, "iterations": measurement.length}
    expert = config["expert"]
    return {
        **common,
        "target": TARGETS[measurement.env],
        "max_steps": measurement.length,
        "interval": expert["eval_every"] * expert["steps_per_iteration"],  # environment steps between evaluations
        "episodes": expert["eval_episodes"],
    }


def main(arguments: list[str]) -> int:
    """The command; returns its exit status: 0, 1 if a measurement failed, 2 for a wrong argument."""
    if {"-h", "--help"} & set(arguments):
        print(help_text(SUMMARY, PeersArguments, EXAMPLES))
        return 0
    try:
        failures = compare(
            parse_arguments(PeersArguments, arguments),
            shlex.join(["python", "-m", "benchmarks.peers", *arguments]),
        )
    except ArgumentError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except PeerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
