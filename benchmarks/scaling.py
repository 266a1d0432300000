"""How speed scales: with environments, threads and jobs side by side, and what larger sizes cost.

    python -m benchmarks.scaling

In interleaved rounds, so that a busy minute of the machine meets all values of a part. Every measurement is a line
of scaling.jsonl as soon as it is made; the same command goes on there.
"""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from benchmarks.peer_inputs import origin
from benchmarks.peer_table import append_row, read_rows
from gailfe.config.arguments import ArgumentError, help_text, parse_arguments

ENVS = ("hopper", "halfcheetah", "walker2d", "ant")  # those with a pretrained expert
WIDE = 400  # units a layer, for which more threads may have something to do
SWEEP_JOBS = 4

SUMMARY = """\
python -m benchmarks.scaling [key=value ...]

Measures GAILFE with the pretrained expert, without evaluation, checkpoints and tracking:
  num_envs, threads, wide_threads   steps/s against environments and torch threads (also with networks 400 wide)
  jobs                              steps/s of trainings side by side, up to twice as many as there are cores
  sweep                             wall time of a real sweep of four short runs, with all that belongs to one
  buffer, batch, width              what an iteration costs with a larger β_F, larger batches, wider networks
Appends every measurement to <out>/scaling.jsonl and draws scaling.png and scaling.md from it at the end. An
interrupted benchmark goes on with the same command; what was measured at another commit or on another machine is
measured again. Leave the machine alone meanwhile."""

EXAMPLES = """\
Examples:
  python -m benchmarks.scaling
  python -m benchmarks.scaling part=[jobs,sweep] rounds=5
  python -m benchmarks.scaling rounds=1 seconds=0.1 sweep_iterations=2 out=artifacts/trial   # does it run?"""


def up_to(limit: int) -> list[int]:
    """1, 2, 3, … `limit`; from 9 on only powers of two and `limit` itself."""
    powers = [2**k for k in range(limit.bit_length())]
    return list(range(1, limit + 1)) if limit <= 8 else sorted({*powers, limit})


def values(cores: int) -> dict[str, list[int]]:
    """What each part goes through on a machine with so many cores."""
    return {
        "num_envs": [1, 2, 4, 8, 16, 32, 64],
        "threads": up_to(cores),
        "wide_threads": up_to(cores),
        "jobs": up_to(2 * cores),
        "sweep": up_to(min(cores, SWEEP_JOBS)),
        "buffer": [10_000, 100_000, 500_000, 1_500_000],  # the last is full: 1500 failures of 1000 steps
        "batch": [256, 512, 1024, 2048, 4096, 8192],
        "width": [25, 50, 100, 200, 400, 800],
    }


PARTS = tuple(values(1))
ONE_ENV = ("sweep", "buffer", "batch")  # where the task makes no difference worth the time: the first one only


@dataclass
class ScalingArguments:
    part: list[str] = field(
        default_factory=lambda: list(PARTS),
        metadata={"help": "what to measure", "valid": f"a list of {', '.join(PARTS)}", "choices": PARTS},
    )
    env: list[str] = field(
        default_factory=lambda: ["hopper", "halfcheetah"],
        metadata={
            "help": f"tasks; {', '.join(ONE_ENV)} are measured on the first one",
            "valid": f"a list of {', '.join(ENVS)}",
            "choices": ENVS,
        },
    )
    rounds: int = field(
        default=3, metadata={"help": "how often each is measured", "valid": "a whole number from 1"}
    )
    seconds: float = field(
        default=1.0,
        metadata={"help": "of training, a measurement; a fifth as long before it", "valid": "greater than 0"},
    )
    sweep_iterations: int = field(
        default=50, metadata={"help": "of each of the sweep's four runs", "valid": "a whole number from 1"}
    )
    out: str = field(
        default="results/speed",
        metadata={"help": "where to write", "valid": "a folder, made where it doesn't exist"},
    )
    artifacts: str = field(
        default="artifacts",
        metadata={
            "help": "where demonstrations are, or will be",
            "valid": "a folder, made where it doesn't exist",
        },
    )


@dataclass(frozen=True)
class Measurement:
    """What is measured once.

    Attributes:
        value: of what the part varies.
        repeat: the round, and the seed of every random number.
        length: seconds of training; iterations of each run, where part is sweep.
    """

    part: str
    env: str
    value: int
    repeat: int
    length: float


def plan(arguments: ScalingArguments, cores: int) -> list[Measurement]:
    """All measurements, in order.

    Raises:
        ArgumentError: a value that its key cannot have.
    """
    for key in ("rounds", "seconds", "sweep_iterations"):
        value = getattr(arguments, key)
        if value <= 0:
            valid = ScalingArguments.__dataclass_fields__[key].metadata["valid"]
            raise ArgumentError(f"{key}={value}: valid is {valid}")
    planned = [
        Measurement(part, env, value, repeat, length_of(part, arguments))
        for part in arguments.part
        for env in (arguments.env[:1] if part in ONE_ENV else arguments.env)
        for repeat in range(arguments.rounds)
        for value in values(cores)[part]
    ]
    return list(dict.fromkeys(planned))


def length_of(part: str, arguments: ScalingArguments) -> float:
    return float(arguments.sweep_iterations) if part == "sweep" else arguments.seconds


def widths(width: int) -> list[str]:
    """Overrides that make policy, value function and discriminator so wide."""
    return [f"algo.{network}.hidden_sizes=[{width},{width}]" for network in ("policy", "value", "discriminator")]


class Bench:
    """Makes measurements; holds the processes that some of them need. A context manager."""

    def __init__(self, artifacts: Path) -> None:
        self.artifacts = artifacts
        self._workers: tuple[str, Any] | None = None
        self._stack = ExitStack()

    def measure(self, m: Measurement) -> dict[str, Any]:
        """Raises MeasurementError if a process ends before it has measured anything."""
        from benchmarks import scaling_measure as how  # now: --help and mistakes don't wait for torch

        if m.part == "sweep":
            return how.time_sweep(m.env, self.artifacts, m.value, int(m.length), m.repeat)
        if m.part == "jobs":
            return self._side_by_side(m.env).train(m.value, m.repeat, m.length)
        overrides = {
            "num_envs": [f"algo.num_envs={m.value}"],
            "wide_threads": widths(WIDE),
            "batch": [f"algo.discriminator.batch_size={m.value}"],
            "width": widths(m.value),
        }
        pairs = m.value if m.part == "buffer" else None
        imitator = how.make_imitator(m.env, self.artifacts, m.repeat, overrides.get(m.part, []), pairs)
        return how.train_alone(imitator, m.length, m.value if m.part in ("threads", "wide_threads") else 1)

    def _side_by_side(self, env: str) -> Any:
        """The workers of `env`; those of another one end."""
        from benchmarks.scaling_measure import Workers

        if self._workers is None or self._workers[0] != env:
            self._stack.close()
            self._workers = (env, self._stack.enter_context(Workers(env, self.artifacts)))
        return self._workers[1]

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def here(cores: int) -> dict[str, Any]:
    """Where a measurement comes from; what was measured elsewhere does not count."""
    return {**origin("benchmarks/scaling_measure.py"), "cores": cores}


def measurement_of(row: dict[str, Any]) -> Measurement:
    return Measurement(**{f.name: row[f.name] for f in fields(Measurement)})


def scale(arguments: ScalingArguments, command: str, cores: int) -> None:
    """Make the measurements that are missing, then tables and figure of all that were made here."""
    planned, place = plan(arguments, cores), here(cores)
    out = Path(arguments.out)
    path = out / "scaling.jsonl"
    out.mkdir(parents=True, exist_ok=True)

    def current() -> list[dict[str, Any]]:
        rows = [row for row in read_rows(path) if place.items() <= row.items()]
        return [row for row in rows if row["length"] == length_of(row["part"], arguments)]

    done = {measurement_of(row) for row in current()}
    missing = [m for m in planned if m not in done]
    print(f"{len(planned) - len(missing)} of {len(planned)} measurements are there", flush=True)
    with Bench(Path(arguments.artifacts).resolve()) as bench:
        for number, m in enumerate(missing, start=1):
            load = os.getloadavg()[0]
            result = bench.measure(m)
            append_row(path, {**asdict(m), **result, **place, "load_before": load, "command": command})
            print(f"{number} of {len(missing)}: {m.part}={m.value} {m.env}, round {m.repeat + 1}", flush=True)

    from benchmarks.scaling_report import write_report

    print(write_report(out, current()))


def main(arguments: list[str]) -> int:
    """The command; returns its exit status: 0, 1 if a measurement failed, 2 for a wrong argument."""
    if {"-h", "--help"} & set(arguments):
        print(help_text(SUMMARY, ScalingArguments, EXAMPLES))
        return 0
    try:
        chosen = parse_arguments(ScalingArguments, arguments)
        plan(chosen, cores=1)  # a mistake is told before anything is loaded
    except ArgumentError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    from joblib import cpu_count  # type: ignore[import-untyped]

    from benchmarks.scaling_measure import MeasurementError

    try:
        scale(chosen, shlex.join(["python", "-m", "benchmarks.scaling", *arguments]), cpu_count())
    except MeasurementError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
