"""`python -m benchmarks.memory` measures the most memory that a run of any length takes.

Only β_F grows during a run, up to its capacity. So for each task, in a separate process, β_F of a default GAILFE
run is filled with failures of the maximal episode length. The run adds some more, continues to train, saves a
checkpoint and is resumed from it.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.command import FOLDER, run
from benchmarks.measurements import machine, origin, table
from benchmarks.processes import side_by_side
from gailfe.config.arguments import argument, each_of
from gailfe.storage.files import write_text
from gailfe.storage.origin import versions

ENVS = ["hopper", "halfcheetah", "walker2d", "ant"]


@dataclass
class Arguments:
    env: list[str] = argument(ENVS, "tasks", each_of(*ENVS))
    out: str = argument("results/speed", "where to write memory.md", FOLDER)


def measure(env: str, artifacts: Path, *unused: Any) -> list[int]:
    """Measure the largest resident memory [MB]: before β_F is filled, with it full, and after a resume."""
    import torch

    from benchmarks.trainer import FAILURE_LENGTH, configure, fill_failures, make_learner
    from gailfe.envs.evaluation import Evaluator
    from gailfe.storage.checkpoint import load_checkpoint, save_checkpoint

    config = configure("gailfe", env, artifacts)
    learner = make_learner(config)
    learner.iterate()
    Evaluator(config.env, config.evaluation.episodes, config.seed)(learner.policy)
    peaks = [peak()]
    assert learner.failed is not None
    fill_failures(learner, learner.failed.buffer.capacity * FAILURE_LENGTH)
    for _ in range(10):  # each replaces an older one
        learner.failed.buffer.add(torch.zeros(FAILURE_LENGTH, learner.expert_pairs.shape[1]))
    learner.iterate()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "state.pt")
        save_checkpoint(path, learner.state_dict())
        peaks.append(peak())
        del learner
        state = load_checkpoint(path)
        assert state is not None
        resumed = make_learner(config)
        resumed.load_state_dict(state)
        resumed.iterate()
    return [*peaks, peak()]


def peak() -> int:
    """Return the largest resident memory of this process until now [MB]."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(kilobytes * 1024 / 1e6)


def work(arguments: Arguments, command: str) -> list[str]:
    rows: list[list[Any]] = []
    for env in arguments.env:
        rows.append([env, *side_by_side(1, measure, env, Path("artifacts"))[0]])
        print(f"{env}: {rows[-1][1:]} MB", flush=True)
    head = ["env", "GAILFE's first iteration [MB]", "with β_F full, saved [MB]", "after resuming too [MB]"]
    where = machine({**origin("benchmarks"), "versions": versions()})
    text = f"# How much memory a run takes\n\n    {command}\n\n{where}. "
    text += "The largest resident memory until then, of one process; full is 1500 trajectories of 1000 pairs.\n\n"
    write_text(Path(arguments.out, "memory.md"), text + table(head, rows))
    return []


def main(arguments: Sequence[str]) -> int:
    examples = "Example: python -m benchmarks.memory env=hopper"
    return run("benchmarks.memory", Arguments, __doc__ or "", examples, work, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
