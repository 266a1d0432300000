"""`python -m benchmarks.throughput` compares the rate of training with that of its physics alone.

It uses one process and one thread. A round is some iterations of GAIL, then the same episodes by mujoco.rollout
alone, then the same for GAILFE. The training is a complete default run with W&B (offline), evaluation and
checkpoints; the physics includes that of the evaluation. It is recorded in a rehearsal from the same checkpoint,
so that the recording takes no time of the training. A last round, not counted in the rates, measures the time of
each part.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.command import FOLDER, run
from benchmarks.measurements import Row, machine, origin, table
from gailfe.config.arguments import argument, each_of
from gailfe.config.keys import AT_LEAST_ONE
from gailfe.storage.files import write_json, write_text
from gailfe.storage.origin import versions

ALGOS = ("gail", "gailfe")
ARTIFACTS = Path("artifacts")


@dataclass
class Arguments:
    env: list[str] = argument(
        ["hopper", "halfcheetah"], "tasks", each_of("hopper", "halfcheetah", "walker2d", "ant")
    )
    rounds: int = argument(5, "how often", AT_LEAST_ONE)
    iterations: int = argument(100, "of training, a round; 20 make an evaluation, 50 a checkpoint", AT_LEAST_ONE)
    out: str = argument("results/speed", "where to write throughput.json and .md", FOLDER)


def measure(env: str, num_rounds: int, iterations: int) -> list[Row]:
    """Measure each algorithm: rates [environment steps / s], their ratio, and the share of every part."""
    from benchmarks.parts import Parts  # now: --help and mistakes don't wait for torch
    from benchmarks.recording import replay
    from benchmarks.trainer import PARTS_OF_A_RUN, Trainer, configure

    folder = ARTIFACTS / "benchmarks" / env
    trainers = {algo: Trainer(configure(algo, env, ARTIFACTS), folder / algo) for algo in ALGOS}
    training: dict[str, list[float]] = {algo: [] for algo in ALGOS}  # seconds, of each round
    physics: dict[str, list[float]] = {algo: [] for algo in ALGOS}
    for index in range(num_rounds):
        for algo, trainer in trainers.items():
            episodes = trainer.rehearse(iterations)
            training[algo].append(trainer.advance(iterations))
            trainer.check()
            physics[algo].append(replay(episodes))
            seconds = f"training {training[algo][-1]:.2f} s, its physics alone {physics[algo][-1]:.2f} s"
            print(f"{env} {algo} round {index + 1}: {seconds}", file=sys.stderr)
    records = []
    for algo, trainer in trainers.items():
        parts = Parts()
        with parts.measuring(PARTS_OF_A_RUN):
            total = trainer.advance(iterations)
        steps = iterations * trainer.steps_per_iteration
        ratios = _ratios(training[algo], physics[algo])
        shares = {part: round(seconds / total, 4) for part, seconds in parts.largest_first()}
        records.append(
            {
                "env": env,
                "algo": algo,
                "train_steps_per_s": round(statistics.median(steps / seconds for seconds in training[algo])),
                "physics_steps_per_s": round(statistics.median(steps / seconds for seconds in physics[algo])),
                "ratio": round(statistics.median(ratios), 3),
                "ratios": [round(ratio, 3) for ratio in ratios],
                "shares": shares | {"other": round(1 - sum(shares.values()), 4)},
                "iterations": iterations,
            }
        )
    records[1]["time_of_gail"] = round(statistics.median(_ratios(training["gailfe"], training["gail"])), 3)
    return records


def _ratios(seconds: Sequence[float], others: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(seconds, others, strict=True)]


def report(records: Sequence[Row]) -> str:
    """Return the Markdown page of the records."""
    rates = table(
        ["env", "algo", "training [steps/s]", "its physics alone [steps/s]", "training / physics, time (rounds)"],
        [
            [
                *(r[key] for key in ("env", "algo", "train_steps_per_s", "physics_steps_per_s")),
                f"{r['ratio']} ({min(r['ratios'])}–{max(r['ratios'])})",
            ]
            for r in records
        ],
    )
    parts = list(dict.fromkeys(part for r in records for part in r["shares"]))
    shares = table(
        ["% of the time", *(f"{r['env']} {r['algo']}" for r in records)],
        [[part, *(f"{100 * r['shares'].get(part, 0):.1f}" for r in records)] for part in parts],
    )
    slower = ", ".join(f"{r['env']} {r['time_of_gail']}" for r in records if "time_of_gail" in r)
    first = records[0]
    rounds = f"Medians of {len(first['ratios'])} rounds of {first['iterations']} iterations, one thread."
    return "\n".join(
        [
            "# How fast training is, and what it is made of",
            "",
            f"    {first['command']}",
            "",
            f"{machine(first)}. {rounds}",
            "",
            rates,
            f"GAILFE's time, in units of GAIL's: {slower}.",
            "",
            shares,
        ]
    )


def work(arguments: Arguments, command: str) -> list[str]:
    place = {"command": command, **origin("benchmarks"), "versions": versions()}
    records = [
        record | place for env in arguments.env for record in measure(env, arguments.rounds, arguments.iterations)
    ]
    out = Path(arguments.out)
    write_json(out / "throughput.json", records)
    write_text(out / "throughput.md", report(records))
    print(report(records))
    for record in records:
        print(json.dumps(record))
    return []


def main(arguments: Sequence[str]) -> int:
    examples = "Example: python -m benchmarks.throughput env=hopper rounds=3"
    return run("benchmarks.throughput", Arguments, __doc__ or "", examples, work, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
