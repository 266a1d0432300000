"""Our own side of `python -m benchmarks.peers`: the command lines that a user gives, watched from outside."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.peer_report import IterationClock, first_reaching, read_settings, report
from gailfe.storage.names import CURVE, METRICS

PACKAGES = ("torch", "gymnasium", "mujoco", "numpy")
POLL = 0.02  # s


def main() -> None:
    settings = read_settings()
    folder = Path(settings["folder"])
    shutil.rmtree(folder, ignore_errors=True)  # of an interrupted measurement: begin anew
    measure = {"gail": measure_gail, "ppo": measure_ppo}[settings["part"]]
    result = measure(settings, folder)
    shutil.rmtree(folder)
    report("gailfe", settings["env_id"], PACKAGES, result)


def measure_gail(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A default run of GAIL, only shorter: evaluated, tracked by W&B offline, with checkpoints.

    The seconds are between two rows of metrics.csv reaching the disk, so all that lies between them counts.
    learning_steps_per_s leaves out what the peers don't do: evaluation, checkpoints and tracking.
    """
    iterations = settings["warmup"] + settings["iterations"]
    command = [
        *(sys.executable, "-m", "gailfe.run", "algo=gail", f"env={settings['env']}", "expert=pretrained"),
        *(f"seed={settings['seed']}", f"env.num_iterations={iterations}"),
        *(f"paths.runs={folder}", f"paths.artifacts={settings['artifacts']}"),
    ]
    clock = IterationClock(settings["warmup"])
    process = subprocess.Popen(command)
    try:
        while clock.iterations < iterations:
            running = process.poll() is None
            rows = _rows_on_disk(folder)
            while clock.iterations < min(rows, iterations):
                clock.tick()
            if not running and clock.iterations < iterations:
                raise RuntimeError(f"exit status {process.returncode} after {rows} of {iterations} iterations")
            time.sleep(POLL)
    finally:
        if clock.iterations < iterations:
            process.terminate()
        process.wait()
    if process.returncode:
        raise RuntimeError(f"exit status {process.returncode} of {' '.join(command)}")
    steps = settings["algo"]["steps_per_iteration"]
    with _metrics(folder).open(newline="") as file:
        measured = list(csv.DictReader(file))[settings["warmup"] :]
    learning = sum(steps / float(row["steps_per_s"]) for row in measured)
    return {**clock.result(steps), "learning_steps_per_s": len(measured) * steps / learning}


def _metrics(folder: Path) -> Path:
    """metrics.csv of the one run below `folder`; a path that isn't there before the run has begun."""
    return next(folder.glob(f"*/*/*/*/{METRICS}"), folder / METRICS)


def _rows_on_disk(folder: Path) -> int:
    path = _metrics(folder)
    return max(0, path.read_bytes().count(b"\n") - 1) if path.exists() else 0


def measure_ppo(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A default training of the expert. The seconds are of collecting and learning, without evaluations."""
    command = [
        *(sys.executable, "-m", "expert.train", f"env={settings['env']}", f"expert.seed={settings['seed']}"),
        *(f"expert.total_steps={settings['max_steps']}", f"paths.artifacts={folder}", f"paths.runs={folder}"),
    ]
    subprocess.run(command, check=True)
    curve = read_curve(next(folder.glob(f"experts/*/{CURVE}")))
    return {**first_reaching(curve, settings["target"]), "curve": curve}


def read_curve(path: Path) -> list[tuple[int, float, float]]:
    """The evaluations in an expert's curve.csv: environment steps, seconds of learning until then, return."""
    evaluations, seconds, before = [], 0.0, 0
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            env_steps = int(row["env_steps"])
            seconds += (env_steps - before) / float(row["steps_per_s"])
            before = env_steps
            if row["eval_return_mean"]:
                evaluations.append((env_steps, seconds, float(row["eval_return_mean"])))
    return evaluations


if __name__ == "__main__":
    main()
