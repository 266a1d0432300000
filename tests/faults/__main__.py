"""`python -m tests.faults kills=50 out=results/reliability`"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from gailfe.config.arguments import argument, run_command
from gailfe.config.keys import AT_LEAST_ONE

from .harness import Harness
from .report import write_report
from .sweep import LONG


@dataclass
class FaultsArguments:
    kills: int = argument(50, "how many times a sweep is killed", AT_LEAST_ONE)
    seed: int = argument(0, "of the moments, the signals and the damages", "a whole number")
    out: str = argument("results/reliability", "where faults.json, faults.md and faults.log go", "a folder")
    work: str | None = argument(None, "where the sweeps write; null: a temporary folder", "a folder")


def work(chosen: FaultsArguments) -> int:
    folder = Path(chosen.work or tempfile.mkdtemp(prefix="gailfe-faults-")).absolute()
    lines: list[str] = []

    def say(line: str) -> None:
        line = line.replace(f"{folder}/", "")
        lines.append(f"{time.perf_counter() - started:6.0f} s  {line}")
        print(lines[-1], flush=True)

    started = time.perf_counter()
    harness = Harness(folder, LONG, chosen.seed, say)
    try:
        harness.run(chosen.kills)
    finally:
        command = f"python -m tests.faults kills={chosen.kills} seed={chosen.seed}"
        write_report(Path(chosen.out), harness.record, command, lines, folder)
    for problem in (*harness.record.differences, *harness.record.left_behind, *harness.record.unexplained):
        print(f"problem: {problem}")
    if not harness.record.passed:
        print(f"all files are in {folder}")
        return 1
    if chosen.work is None:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    summary = "Kills a real sweep at random moments, damages its files in between, and compares the end."
    sys.exit(run_command(FaultsArguments, summary, "Needs /proc (Linux).", work))
