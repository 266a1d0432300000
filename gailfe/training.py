"""The run of stage 3: iterations with resume, evaluation, checkpoints and tracking around them."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gailfe.algorithms.imitation import Imitator
from gailfe.config.schema import Config, ConfigError
from gailfe.envs.evaluation import Evaluator
from gailfe.envs.trajectory import Annotator, Trajectory
from gailfe.envs.vector import VectorEnv
from gailfe.nn.policy_file import save_policy
from gailfe.storage.checkpoint import load_checkpoint, save_checkpoint
from gailfe.storage.files import write_json
from gailfe.storage.names import METRICS, RECIPE, SUMMARY
from gailfe.storage.progress import Progress
from gailfe.storage.store import artifact_key
from gailfe.storage.tracking import MetricsFile, start_wandb

log = logging.getLogger(__name__)

CHECKPOINT = Path("checkpoint", "state.pt")


def run_recipe(config: Config, demonstrations_key: str) -> dict[str, Any]:
    """What decides a run's numbers up to any iteration; so not how many there are, nor where they go."""
    recipe = asdict(config)
    inputs = ("expert", "demonstrations")  # demonstrations_key stands for both
    used = {key: recipe["demonstrations"][key] for key in ("use_trajectories", "subsample")}
    for key in (*inputs, "tracking", "paths", "checkpoint_every", "episodes", "experiment", "device"):
        del recipe[key]
    del recipe["env"]["num_iterations"], recipe["env"]["ppo"]
    if used != {"use_trajectories": None, "subsample": 1}:  # all: as in runs from before there was a choice
        recipe["demonstrations"] = used
    return {"version": 1, "demonstrations_key": demonstrations_key, **recipe}


def is_finished(folder: Path, recipe: dict[str, Any], num_iterations: int) -> bool:
    """Whether the run in `folder` has all its iterations.

    Raises:
        ConfigError: if `folder` holds a run of another recipe, naming the keys that differ.
    """
    path = folder / RECIPE
    if path.exists():
        differing = _differences(json.loads(path.read_text()), json.loads(json.dumps(recipe)))
        if differing:
            raise ConfigError(
                f"{folder} holds a run of another configuration ({'; '.join(differing)}): "
                "choose another experiment or paths.runs, or move that folder away"
            )
    if not (folder / SUMMARY).exists():
        return False
    return json.loads((folder / SUMMARY).read_text())["iterations"] >= num_iterations


def train(
    config: Config,
    folder: Path,
    expert: Sequence[Trajectory],
    failed: Sequence[Trajectory],
    annotator: Annotator,
    recipe: dict[str, Any],
) -> None:
    """Imitate for `config.env.num_iterations`, from the last checkpoint in `folder` if there is one.

    Writes metrics.csv (a row an iteration), checkpoint/, policy.safetensors and summary.json.
    """
    write_json(folder / RECIPE, recipe)
    algo, total = config.algo, config.env.num_iterations
    env = VectorEnv(config.env, algo.num_envs, config.seed)
    imitator = Imitator(algo, env, expert, failed, annotator, config.seed, config.device)
    evaluator = Evaluator(config.env, config.evaluation.episodes, config.seed)
    done, wall_time = _resume(imitator, folder)
    metrics = MetricsFile(folder / METRICS, keep=done)
    wandb_run = start_wandb(config, folder, artifact_key({"experiment": config.experiment, **recipe})[:16])
    label = f"{config.env.name}/{algo.name}/{folder.name}"
    steps = algo.steps_per_iteration
    progress = Progress(label, total * steps, done * steps)
    row: dict[str, float] = {}
    for iteration in range(done + 1, total + 1):
        started = time.perf_counter()
        row = {"iteration": iteration, "env_steps": iteration * steps} | imitator.iterate()
        row["steps_per_s"] = steps / (time.perf_counter() - started)
        if iteration % config.evaluation.every == 0 or iteration in (1, total):
            row |= evaluator(imitator.policy, iteration).metrics
        wall_time += time.perf_counter() - started
        row["wall_time_s"] = wall_time
        metrics.log(row)
        if wandb_run is not None:
            wandb_run.log(row, step=iteration)  # so that rows made again after a resume coincide
        if iteration % config.checkpoint_every == 0 or iteration == total:
            state = {"imitator": imitator.state_dict(), "iteration": iteration, "wall_time_s": wall_time}
            save_checkpoint(folder / CHECKPOINT, state)
        progress.update(iteration * steps, _note(row))
    metrics.close()
    if wandb_run is not None:
        wandb_run.finish()
    save_policy(folder, imitator.policy, {"hidden_sizes": list(algo.policy.hidden_sizes), "activation": "tanh"})
    write_json(folder / SUMMARY, {"iterations": total, "wall_time_s": wall_time, "last_row": row})


def _resume(imitator: Imitator, folder: Path) -> tuple[int, float]:
    """Iterations and seconds behind us."""
    state = load_checkpoint(folder / CHECKPOINT)
    if state is None:
        return 0, 0.0
    exact = imitator.load_state_dict(state["imitator"])
    log.info(
        "resumed %s after iteration %d%s",
        folder,
        state["iteration"],
        "" if exact else "; not exactly: this environment's state can't be saved, so new episodes begin",
    )
    return state["iteration"], state["wall_time_s"]


def _note(row: dict[str, float]) -> str:
    names = {"return_mean": "return", "lambda_f": "λ_F", "d_policy": "D(π)"}
    return "  ".join(f"{name} {row[key]:.4g}" for key, name in names.items() if key in row)


def _differences(old: Any, new: Any, prefix: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = dict.fromkeys([*old, *new])
        return [d for key in keys for d in _differences(old.get(key), new.get(key), f"{prefix}.{key}")]
    return [] if old == new else [f"{prefix[1:]} was {old}, now {new}"]
