"""Our own side of `python -m benchmarks.peers`."""

from __future__ import annotations

import csv
import itertools
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.peer_report import first_reaching, measure, rate_of, read_settings, report
from gailfe.storage.names import CURVE, METRICS

PACKAGES = ("torch", "gymnasium", "mujoco", "numpy")


def main() -> None:
    settings = read_settings()
    folder = Path(settings["folder"])
    shutil.rmtree(folder, ignore_errors=True)  # of an interrupted measurement: begin anew
    part = {"gail": measure_gail, "ppo": measure_ppo, "imitate": measure_imitate}[settings["part"]]
    result = part(settings, folder)
    shutil.rmtree(folder, ignore_errors=True)
    report("gailfe", settings["env_id"], PACKAGES, result)


def measure_gail(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Measure a default run of GAIL, only shorter: evaluated, tracked by W&B offline, with checkpoints.

    learning_steps_per_s leaves out what the peers don't do: evaluation, checkpoints and tracking.
    """
    from benchmarks.trainer import Trainer

    trainer, iterations = Trainer(configure(settings), folder / "run"), settings["iterations"]
    trainer.advance(settings["warmup"])
    seconds = trainer.advance(iterations)
    steps = trainer.steps_per_iteration
    with (folder / "run" / METRICS).open(newline="") as file:
        measured = list(csv.DictReader(file))[-iterations:]
    learning = sum(steps / float(row["steps_per_s"]) for row in measured)
    env_steps = iterations * steps
    return {**rate_of(iterations, env_steps, seconds), "learning_steps_per_s": env_steps / learning}


def measure_imitate(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Measure the learner of a default run of GAIL, without the run's evaluation, checkpoints and tracking."""
    from benchmarks.trainer import make_learner

    learner = make_learner(configure(settings))
    steps = settings["algo"]["steps_per_iteration"]

    def iterations() -> Iterator[int]:
        for number in itertools.count(1):
            learner.iterate()
            yield number * steps

    return measure(settings, iterations(), lambda observations: learner.policy.acting()(observations))


def configure(settings: dict[str, Any]) -> Any:
    """Compose the configuration of `python -m gailfe.run algo=gail expert=pretrained`.

    part=gail has TRPO as its policy update, which imitation is measured with too.
    """
    from benchmarks.trainer import configure

    overrides = [f"seed={settings['seed']}", *(["algo.policy_update=trpo"] if settings["part"] == "gail" else [])]
    return configure("gail", settings["env"], Path(settings["artifacts"]), overrides)


def measure_ppo(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Measure a default training of the expert. The seconds are of collecting and learning, not of evaluations."""
    command = [
        *(sys.executable, "-m", "expert.train", f"env={settings['env']}", f"expert.seed={settings['seed']}"),
        *(f"expert.total_steps={settings['max_steps']}", f"paths.artifacts={folder}", f"paths.runs={folder}"),
    ]
    subprocess.run(command, check=True)
    curve = read_curve(next(folder.glob(f"experts/*/{CURVE}")))
    return {**first_reaching(curve, settings["target"]), "curve": curve}


def read_curve(path: Path) -> list[tuple[int, float, float]]:
    """Read the evaluations in an expert's curve.csv: environment steps, seconds of learning until then, return."""
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
