"""`python -m benchmarks.throughput` compares the rate of training with that of its physics alone.

In one process and on one thread, in rounds: some iterations of GAIL, the same episodes through mujoco.rollout
with nothing around them, then GAILFE and its physics. A round of training is all that a default run does: W&B
(offline), evaluation and checkpoints included; the physics is all that it simulated, evaluation included. What it
simulates is recorded in a rehearsal, from the same checkpoint, so that the recording costs the training nothing.
A last round, not counted in the rates, tells which part the time goes to.
"""

from __future__ import annotations

import json
import statistics
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import gymnasium.envs.mujoco
import mujoco
import wandb

import gailfe.training
from benchmarks.machine import machine, table
from benchmarks.parts import Parts
from benchmarks.recording import replay
from benchmarks.trainer import Trainer
from gailfe.algorithms.failures import FailureBuffer
from gailfe.algorithms.imitation import Imitator
from gailfe.algorithms.trpo import TRPOUpdate
from gailfe.config.arguments import ArgumentError, help_text, parse_arguments
from gailfe.envs.rollout import Collector
from gailfe.envs.vector import VectorEnv
from gailfe.nn.value import ValueFunction
from gailfe.storage.tracking import MetricsFile

ALGOS = ("gail", "gailfe")
PARTS: list[tuple[Any, str, str]] = [
    (mujoco, "mj_step", "physics"),
    (gymnasium.envs.mujoco.MujocoEnv, "reset", "Gymnasium around it"),
    (VectorEnv, "step", "Gymnasium around it"),
    (Collector, "collect", "policy"),
    (Imitator, "_update_discriminator", "discriminator"),
    (FailureBuffer, "add", "failure buffer"),
    (FailureBuffer, "sample", "failure buffer"),
    (TRPOUpdate, "__call__", "TRPO"),
    (ValueFunction, "fit", "value function"),
    (gailfe.training.Evaluator, "__call__", "evaluation"),  # without its physics
    (MetricsFile, "log", "tracking"),
    (wandb.Run, "log", "tracking"),
    (gailfe.training, "save_checkpoint", "checkpoints"),
]


@dataclass
class Arguments:
    env: list[str] = field(
        default_factory=lambda: ["hopper", "halfcheetah"],
        metadata={"help": "tasks, files of conf/env with a pretrained expert", "valid": "a list, [hopper]"},
    )
    rounds: int = field(default=5, metadata={"help": "how often", "valid": "at least 1"})
    iterations: int = field(
        default=100,
        metadata={"help": "of training, a round; 20 make an evaluation, 50 a checkpoint", "valid": "at least 1"},
    )
    out: str = field(
        default="results/speed", metadata={"help": "folder of throughput.json and .md", "valid": "a path"}
    )


@dataclass
class Round:
    """Seconds that the same work took."""

    training: float
    physics: float


def measure(env: str, arguments: Arguments) -> list[dict[str, Any]]:
    """One record an algorithm: rates [environment steps / s], their ratio, and the share of every part."""
    trainers = {algo: Trainer(env, algo, Path("artifacts", "benchmarks", env, algo)) for algo in ALGOS}
    rounds: dict[str, list[Round]] = {algo: [] for algo in ALGOS}
    for index in range(arguments.rounds):
        for algo, trainer in trainers.items():
            episodes = trainer.rehearse(arguments.iterations)
            training = trainer.advance(arguments.iterations)
            trainer.check()
            rounds[algo].append(Round(training, replay(episodes)))
            print(f"{env} {algo} round {index + 1}: {rounds[algo][-1]}", file=sys.stderr)
    records = []
    for algo, trainer in trainers.items():
        parts = Parts()
        with parts.measuring(PARTS):
            total = trainer.advance(arguments.iterations)
        steps = arguments.iterations * trainer.steps_per_iteration
        shares = {part: round(seconds / total, 4) for part, seconds in parts.largest_first()}
        records.append(
            {
                "env": env,
                "algo": algo,
                "train_steps_per_s": round(statistics.median(steps / r.training for r in rounds[algo])),
                "physics_steps_per_s": round(statistics.median(steps / r.physics for r in rounds[algo])),
                "ratio": round(statistics.median(r.training / r.physics for r in rounds[algo]), 3),
                "ratios": [round(r.training / r.physics, 3) for r in rounds[algo]],
                "shares": shares | {"other": round(1 - sum(shares.values()), 4)},
            }
        )
    gail, gailfe_ = (rounds[algo] for algo in ALGOS)
    slowdowns = [b.training / a.training for a, b in zip(gail, gailfe_, strict=True)]
    records[1]["time_of_gail"] = round(statistics.median(slowdowns), 3)
    return records


def report(records: list[dict[str, Any]], arguments: Arguments) -> str:
    """The Markdown page of the records."""
    rates = table(
        ["env", "algo", "training [steps/s]", "its physics alone [steps/s]", "training / physics, time (rounds)"],
        [
            [
                r["env"],
                r["algo"],
                r["train_steps_per_s"],
                r["physics_steps_per_s"],
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
    overrides = " ".join(f"{key}={value}" for key, value in asdict(arguments).items() if key != "out")
    return "\n".join(
        [
            "# How fast training is, and what it is made of",
            "",
            f"    python -m benchmarks.throughput {overrides}",
            "",
            f"{machine()}. Medians of {arguments.rounds} rounds of {arguments.iterations} iterations, one thread.",
            "",
            rates,
            f"GAILFE's time, in units of GAIL's: {slower}.",
            "",
            shares,
        ]
    )


def main() -> None:
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(
            help_text(__doc__ or "", Arguments, "Example: python -m benchmarks.throughput env=[hopper] rounds=3")
        )
        return
    try:
        arguments = parse_arguments(Arguments, sys.argv[1:])
    except ArgumentError as error:
        raise SystemExit(f"error: {error}") from error
    records = [record for env in arguments.env for record in measure(env, arguments)]
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "throughput.json").write_text(json.dumps(records, indent=2) + "\n")
    (out / "throughput.md").write_text(report(records, arguments))
    print(report(records, arguments))
    for record in records:
        print(json.dumps(record))


if __name__ == "__main__":
    main()
