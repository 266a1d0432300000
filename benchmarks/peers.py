"""`python -m benchmarks.peers` compares speed with other codebases, each in a separate virtual environment.

  part=gail     environment steps a second while imitating: imitation (TRPO of sb3-contrib) and TorchRL
  part=ppo      seconds of learning until the expert's mean action returns 2500 (Hopper) or 4000 (HalfCheetah):
                Stable-Baselines3 with the hyperparameters of RL Baselines3 Zoo
  part=imitate  seconds of learning and environment steps until the mean action returns 80% of the expert, all from
                the same demonstrations: imitation's GAIL with its authors' tuned settings, TorchRL's with those of
                its example. Hours: each may take max_seconds a task and seed, evaluations not counted

Each uses one thread. Measurements are made one at a time, in interleaved rounds, so that a busy minute of the
machine affects all codebases; use the machine for nothing else meanwhile. Each is at once a line of
<out>/peers.jsonl, and <out>/peers.md is written at the end. The same command continues an interrupted comparison;
measurements of another commit or processor are made again. The last line is JSON: the results of part=imitate, an
object for each task and codebase.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.command import FOLDER, YES_OR_NO, run
from benchmarks.measurements import Point, make_missing, missing, origin, read_rows
from benchmarks.peer_inputs import expert_return, export_demonstrations, make_venv, our_config, run_peer
from benchmarks.peer_table import page, records
from gailfe.config.arguments import argument, each_of
from gailfe.config.keys import AT_LEAST_ONE, POSITIVE, Valid
from gailfe.storage.files import write_text

PEERS = {  # of each part, in the order of a round
    "gail": ("gailfe", "imitation", "torchrl"),
    "ppo": ("gailfe", "sb3"),
    "imitate": ("gailfe", "imitation", "torchrl"),
}
TARGETS = {"hopper": 2500.0, "halfcheetah": 4000.0}  # returns of the mean action that end part=ppo
SHARE = 0.8  # of the pretrained expert's return, which ends part=imitate
IMITATE_STEPS = 3_000_000  # its cap of environment steps
IMITATE_INTERVAL = 20_480  # environment steps between its evaluations: whole iterations of 1024, 2048 and 4096
IMITATE_EPISODES = 10  # of an evaluation

EXAMPLES = """\
Examples:
  python -m benchmarks.peers
  python -m benchmarks.peers part=gail env=hopper rounds=3
  python -m benchmarks.peers part=ppo seeds=0,1,2,3,4
  python -m benchmarks.peers part=imitate
  python -m benchmarks.peers iterations=2 rounds=1 seeds=0 max_steps=50000 out=artifacts/trial   # does it run?"""


@dataclass
class PeersArguments:
    part: list[str] = argument(["gail", "ppo"], "what to compare", each_of(*PEERS))
    env: list[str] = argument(list(TARGETS), "on which tasks", each_of(*TARGETS))
    rounds: int = argument(5, "part=gail: measurements of each codebase", AT_LEAST_ONE)
    iterations: int = argument(
        100,
        "part=gail: timed iterations of a measurement; before them, a fifth of that number isn't timed. With "
        "hundreds, ours has the same share of evaluations and checkpoints as in a whole run",
        AT_LEAST_ONE,
    )
    seeds: list[str] = argument(
        ["0", "1", "2"],
        "part=ppo and part=imitate",
        Valid(lambda seeds: seeds and all(map(str.isdecimal, seeds)), "whole numbers from 0, with commas"),
    )
    max_steps: int | None = argument(
        None,
        "part=ppo and part=imitate: environment steps after which a codebase hasn't reached the return; our PPO's "
        "learning rate and TorchRL's in part=imitate fall to 0 until then. null: as many as our training of the "
        f"expert has, and {IMITATE_STEPS:,}",
        Valid(AT_LEAST_ONE.check, "a whole number from 1, or null"),
    )
    max_seconds: float = argument(
        1800.0,
        "seconds of learning after which a codebase hasn't reached the return; in part=ppo of others than ours",
        POSITIVE,
    )
    measure: bool = argument(
        True,
        "false: only write peers.md again, from the measurements that are there",
        YES_OR_NO,
    )
    out: str = argument("results/speed", "where to write", FOLDER)
    cache: str = argument(
        "artifacts/peers", "where virtual environments (4 GB), demonstrations and logs are kept", FOLDER
    )


def plan(arguments: PeersArguments, expert_steps: dict[str, int]) -> list[Point]:
    """Return all measurements, in order.

    Args:
        expert_steps: by task, environment steps of our training of the expert.

    Returns:
        part, env, peer; repeat: the round of part=gail, else the seed; length: timed iterations of part=gail, else
        the cap of environment steps. part=imitate has max_seconds too.
    """
    planned: list[Point] = []
    for part in arguments.part:
        for env in arguments.env:
            repeats, extra = [int(seed) for seed in arguments.seeds], {}
            if part == "gail":
                repeats, length = list(range(arguments.rounds)), arguments.iterations
            elif part == "ppo":
                length = arguments.max_steps or expert_steps[env]
            else:
                length, extra = arguments.max_steps or IMITATE_STEPS, {"max_seconds": arguments.max_seconds}
            planned += [
                {"part": part, "env": env, "peer": peer, "repeat": repeat, "length": length, **extra}
                for repeat in repeats
                for peer in PEERS[part]
            ]
    return planned


def compare(arguments: PeersArguments, command: str) -> list[str]:
    """Make the measurements that are missing, then the page; returns what went wrong with some, a message each.

    Raises:
        MeasurementError: a peer that can't be installed.
    """
    out = Path(arguments.out)
    failures = measure(arguments, command, out / "peers.jsonl") if arguments.measure else []
    rows = read_rows(out / "peers.jsonl")
    if rows:
        write_text(out / "peers.md", page(rows))
        print(page(rows))
    print(json.dumps(records(rows)))
    return failures


def measure(arguments: PeersArguments, command: str, path: Path) -> list[str]:
    configs = {env: our_config(env) for env in arguments.env}
    planned = plan(arguments, {env: int(config["expert"]["total_steps"]) for env, config in configs.items()})
    cache, here = Path(arguments.cache).resolve(), origin("benchmarks/peer*", "benchmarks/requirements")
    (cache / "logs").mkdir(parents=True, exist_ok=True)
    to_do = missing(read_rows(path), planned, here)
    pythons = {"gailfe": Path(sys.executable)}
    pythons |= {peer: make_venv(peer, cache) for peer in sorted({p["peer"] for p in to_do} - {"gailfe"})}
    imitated = {p["env"] for p in to_do if p["part"] != "ppo"}
    demonstrations = {env: export_demonstrations(env, cache) for env in sorted(imitated)}

    def run(point: Point) -> dict[str, Any]:
        settings = settings_of(point, configs[point["env"]], cache)
        settings["max_seconds"] = arguments.max_seconds
        settings["demonstrations"] = str(demonstrations.get(point["env"]))
        log = cache / "logs" / f"{'-'.join(map(str, point.values()))}.log"
        return run_peer(pythons[point["peer"]], point["peer"], settings, log)

    return make_missing(path, planned, here, command, run)


def settings_of(point: Point, config: dict[str, Any], cache: Path) -> dict[str, Any]:
    """Make the settings for the command line of the peer's process, from our own configuration."""
    part, env = point["part"], point["env"]
    settings = {
        "part": part,
        "env": env,
        "env_id": config["env"]["id"],
        "seed": point["repeat"],
        "folder": str(cache / "runs" / part),
        "artifacts": str(cache / "artifacts"),
        "algo": config["algo"],
    }
    if part == "gail":
        return settings | {"warmup": max(1, point["length"] // 5), "iterations": point["length"]}
    settings["max_steps"] = point["length"]
    if part == "imitate":
        target = SHARE * expert_return(env)
        return settings | {"target": target, "interval": IMITATE_INTERVAL, "episodes": IMITATE_EPISODES}
    expert = config["expert"]
    interval = expert["eval_every"] * expert["steps_per_iteration"]  # environment steps between evaluations
    return settings | {"target": TARGETS[env], "interval": interval, "episodes": expert["eval_episodes"]}


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    return run("benchmarks.peers", PeersArguments, __doc__ or "", EXAMPLES, compare, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
