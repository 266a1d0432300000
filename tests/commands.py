"""Starts the project's commands as a user does, on the smallest experiment; a signal comes at a chosen moment."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

CONF = Path(__file__).parent / "conf"
PATIENCE = 1800  # seconds until a process that does not end is a fault; a busy machine makes them slow

# Run as `python -c`, with two numbers before the module's name and its arguments. At the checkpoint of the first
# one the signal of the second one comes: the state has been written then, but lacks the checkpoint's name yet.
WITH_SIGNAL = """
import os, runpy, sys
import torch

left, signal, save = int(sys.argv.pop(1)), int(sys.argv.pop(1)), torch.save

def save_and_signal(state, file):
    global left
    left -= 1
    save(state, file)
    if left == 0:
        os.kill(os.getpid(), signal)

torch.save = save_and_signal
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""

Found = TypeVar("Found")


def start(
    module: str, folder: Path, *arguments: str, runs: str = "runs", signal_at: tuple[int, int] | None = None
) -> subprocess.Popen[str]:
    """The process of `python -m <module>` with the tiny experiment, whose files are all below `folder`.

    Args:
        signal_at: the number of a checkpoint of this process, and the signal that comes then.
    """
    command = [sys.executable, "-m", module]
    if signal_at is not None:
        checkpoint, number = signal_at
        command[1:] = ["-c", WITH_SIGNAL, str(checkpoint), str(int(number)), module]
    command += ["--config-dir", str(CONF)]
    command += [argument for argument in arguments if argument.startswith("-")]
    command += ["experiment=tiny", "env=halfcheetah"]
    command += [f"paths.runs={folder / runs}", f"paths.artifacts={folder / 'artifacts'}"]
    command += [argument for argument in arguments if not argument.startswith("-")]
    environment = {key: value for key, value in os.environ.items() if key != "WANDB_API_KEY"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def run(
    module: str, folder: Path, *arguments: str, runs: str = "runs", signal_at: tuple[int, int] | None = None
) -> tuple[int, str]:
    """Exit status and output of the command that `start` starts."""
    process = start(module, folder, *arguments, runs=runs, signal_at=signal_at)
    output, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, output


def run_own(folder: Path, *overrides: str) -> tuple[int, str]:
    """Exit status and output of the smallest run of all stages, which finds the modules of this folder."""
    command = [sys.executable, "-m", "gailfe.run", "--config-dir", str(CONF), "experiment=tiny", "tracking=none"]
    command += ["demonstrations.max_attempts=200", *overrides]
    command += [f"paths.runs={folder / 'runs'}", f"paths.artifacts={folder / 'artifacts'}"]
    path = os.pathsep.join([str(CONF.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def wait_for(process: subprocess.Popen[str], condition: Callable[[], Sequence[Found]]) -> Sequence[Found]:
    """What `condition` finds, once it finds something; fails if the process ends before."""
    while not (found := condition()):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    return found
