"""`python -m benchmarks.memory` tells how much memory a run takes at the most, however long it is.

What grows in a run is β_F, up to its capacity. So each task gets a process of its own, in which a default GAILFE
run is given a β_F full of failures as long as an episode can be, adds some more, trains on, saves a checkpoint,
and goes on from it as a resumed run does.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from benchmarks.machine import machine, table
from gailfe.envs.evaluation import Evaluator
from gailfe.storage.checkpoint import load_checkpoint, save_checkpoint
from gailfe.storage.files import write_text

TASKS = ("hopper", "halfcheetah", "walker2d", "ant")
OUT = Path("results", "speed")


def measure(env: str, artifacts: Path) -> dict[str, int | str]:
    """The largest resident memory of this process [MB]: before β_F was filled, with it full, after a resume."""
    from benchmarks.scaling_measure import FAILURE_LENGTH, configure, filled, make_imitator

    peaks = [0, 0, 0]
    config = configure(env, artifacts)
    imitator = make_imitator(env, artifacts, seed=0)
    evaluator = Evaluator(config.env, config.evaluation.episodes, config.seed)
    imitator.iterate()
    evaluator(imitator.policy)
    peaks[0] = peak()
    assert imitator.failures is not None
    capacity, width = imitator.failures.capacity, imitator.expert_pairs.shape[1]
    imitator.failures = filled(imitator.expert_pairs, capacity * FAILURE_LENGTH, seed=0)
    for _ in range(10):  # each in the place of an older one
        imitator.failures.add(torch.zeros(FAILURE_LENGTH, width))
    imitator.iterate()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "state.pt")
        save_checkpoint(path, imitator.state_dict())
        peaks[1] = peak()
        del imitator
        state = load_checkpoint(path)
        assert state is not None
        resumed = make_imitator(env, artifacts, seed=0)
        resumed.load_state_dict(state)
        resumed.iterate()
        peaks[2] = peak()
    return dict(zip(("env", "start", "full", "resumed"), (env, *peaks), strict=True))


def peak() -> int:
    """The largest resident memory of this process until now [MB]."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(kilobytes * 1024 / 1e6)


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1], Path("artifacts"))))
        return
    rows = []
    for env in TASKS:
        command = [sys.executable, "-m", "benchmarks.memory", env]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        rows.append(list(json.loads(output.splitlines()[-1]).values()))
        print(f"{env}: {rows[-1][1:]} MB", flush=True)
    head = ["env", "GAILFE's first iteration [MB]", "with β_F full, saved [MB]", "after resuming too [MB]"]
    text = f"# How much memory a run takes\n\n    python -m benchmarks.memory\n\n{machine()}. "
    text += "The largest resident memory until then, of one process; full is 1500 trajectories of 1000 pairs.\n\n"
    text += table(head, rows)
    write_text(OUT / "memory.md", text)


if __name__ == "__main__":
    main()
