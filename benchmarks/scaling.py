"""`python -m benchmarks.scaling` measures GAILFE with the pretrained expert at several sizes and on several cores.

  num_envs, threads, wide_threads   steps/s against environments and torch threads (also with networks 400 wide)
  jobs                              steps/s of trainings side by side, up to twice as many as there are cores
  sweep                             wall time of a real sweep of four short runs, with all that belongs to one
  buffer, batch, width              what an iteration costs with a larger β_F, larger batches, wider networks

All but the sweep leave evaluation, checkpoints and tracking out. Measurements are made in interleaved rounds, so
that a busy minute of the machine affects all values of a part; use the machine for nothing else meanwhile. Each is
at once a line of <out>/scaling.jsonl, from which scaling.png and scaling.md are made at the end. The same command
continues an interrupted benchmark; measurements of another commit or machine are made again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.command import FOLDER, YES_OR_NO, run
from benchmarks.measurements import Point, Row, make_missing, origin, read_rows
from gailfe.config.arguments import argument, each_of
from gailfe.config.keys import AT_LEAST_ONE, POSITIVE
from gailfe.storage.origin import versions

ENVS = ("hopper", "halfcheetah", "walker2d", "ant")  # those with a pretrained expert
SWEEP_JOBS = 4

EXAMPLES = """\
Examples:
  python -m benchmarks.scaling
  python -m benchmarks.scaling part=jobs,sweep rounds=5
  python -m benchmarks.scaling rounds=1 seconds=0.1 sweep_iterations=2 out=artifacts/trial   # does it run?"""


def up_to(limit: int) -> list[int]:
    """1, 2, 3, … `limit`; from 9 on only powers of two and `limit` itself."""
    powers = [2**k for k in range(limit.bit_length())]
    return list(range(1, limit + 1)) if limit <= 8 else sorted({*powers, limit})


def values(cores: int) -> dict[str, list[int]]:
    """Return the values that each part measures, on a machine with `cores` cores."""
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
ONE_ENV = ("sweep", "buffer", "batch")  # measured on the first task only: the others would hardly differ


@dataclass
class ScalingArguments:
    part: list[str] = argument(list(PARTS), "what to measure", each_of(*PARTS))
    env: list[str] = argument(
        ["hopper", "halfcheetah"], f"tasks; {', '.join(ONE_ENV)} are measured on the first one", each_of(*ENVS)
    )
    rounds: int = argument(3, "how often each is measured", AT_LEAST_ONE)
    seconds: float = argument(1.0, "of training, a measurement; a fifth as long before it", POSITIVE)
    sweep_iterations: int = argument(50, "of each of the sweep's four runs", AT_LEAST_ONE)
    measure: bool = argument(
        True,
        "false: only draw figure and page again, from the measurements that are there",
        YES_OR_NO,
    )
    out: str = argument("results/speed", "where to write", FOLDER)
    artifacts: str = argument("artifacts", "where demonstrations are, or will be", FOLDER)


def plan(arguments: ScalingArguments, cores: int) -> list[Point]:
    """Return all measurements, in order.

    Returns:
        part, env; value: of what the part varies; repeat: the round, and the seed of every random number;
        length: seconds of training, or iterations of each run, where part is sweep.
    """
    return [
        {
            "part": part,
            "env": env,
            "value": value,
            "repeat": repeat,
            "length": float(arguments.sweep_iterations) if part == "sweep" else arguments.seconds,
        }
        for part in arguments.part
        for env in (arguments.env[:1] if part in ONE_ENV else arguments.env)
        for repeat in range(arguments.rounds)
        for value in values(cores)[part]
    ]


def here(cores: int) -> Row:
    """Return the origin of a measurement; only measurements of the same origin count."""
    measuring = [f"benchmarks/{name}.py" for name in ("scaling_measure", "trainer", "parts", "processes")]
    return {**origin(*measuring), "versions": versions(), "cores": cores}


def scale(arguments: ScalingArguments, command: str) -> list[str]:
    """Make the measurements that are missing, then tables and figure; returns what went wrong with some."""
    from joblib import cpu_count  # type: ignore[import-untyped]  # now: --help waits for neither it nor torch

    from benchmarks.scaling_report import write_report

    path, failures = Path(arguments.out, "scaling.jsonl"), []
    if arguments.measure:
        from benchmarks.scaling_measure import measure

        artifacts, cores = Path(arguments.artifacts).resolve(), cpu_count()
        failures = make_missing(
            path, plan(arguments, cores), here(cores), command, lambda point: measure(point, artifacts)
        )
    print(write_report(path.parent, read_rows(path)))
    return failures


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    return run("benchmarks.scaling", ScalingArguments, __doc__ or "", EXAMPLES, scale, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
