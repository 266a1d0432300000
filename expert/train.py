"""Stage 1: `python -m expert.train env=hopper` trains an expert with PPO and keeps its best checkpoint."""

from __future__ import annotations

import contextlib
import csv
import json
import logging
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from expert.checkpoints import checkpoint_folder, choose_expert
from expert.sb3 import load_sb3, sb3_recipe
from gailfe.algorithms.ppo import PPO
from gailfe.config.checks import prepare
from gailfe.config.schema import Config, ConfigError, EnvConfig
from gailfe.envs.evaluation import FRESH_SEED, Evaluator
from gailfe.envs.rollout import Collector
from gailfe.envs.vector import VectorEnv, box, make_env
from gailfe.nn.acting import CanAct
from gailfe.nn.policy_file import ARCHITECTURE, WEIGHTS, load_policy, save_policy
from gailfe.storage.checkpoint import load_checkpoint, save_checkpoint
from gailfe.storage.files import write_json
from gailfe.storage.names import CURVE, EVALUATION, MANIFEST
from gailfe.storage.progress import Progress
from gailfe.storage.store import ArtifactError, Store, verify
from gailfe.sweep import report_errors

log = logging.getLogger(__name__)

PRETRAINED = Path(__file__).parent / "pretrained"  # made by expert/publish.py


def make_expert(config: Config, store: Store) -> Path:
    """The folder of the configured expert, with its evaluation; a PPO expert is trained if the store lacks it.

    Raises:
        ConfigError: if an expert from elsewhere is not there or doesn't fit the environment; nothing is made then.
    """
    if config.expert.name == "pretrained":
        return pretrained_folder(config)
    check_expert(config)
    make = _evaluate_sb3 if config.expert.name == "sb3" else train_expert
    return store.get("experts", config.env.name, expert_recipe(config), lambda folder: make(config, folder))


def load_expert(config: Config, folder: Path) -> CanAct:
    """The policy of the expert whose folder `make_expert` returned."""
    if config.expert.name == "sb3":
        return load_sb3(config)  # from where it is: its folder holds what it achieves
    with contextlib.closing(make_env(config.env)) as env:
        return load_policy(folder, box(env.observation_space).shape[0], box(env.action_space))


def check_expert(config: Config) -> None:
    """Whether an expert from elsewhere, if one is configured, is there and fits the environment.

    Raises:
        ConfigError: if it is not or doesn't.
    """
    if config.expert.name == "pretrained":
        pretrained_folder(config)
    elif config.expert.name == "sb3":
        load_sb3(config)


def expert_recipe(config: Config) -> dict[str, Any]:
    """Everything that decides what the expert is."""
    if config.expert.name == "pretrained":
        files = verify(pretrained_folder(config))["files"]
        made_from = {name: files[name] for name in (WEIGHTS, ARCHITECTURE)}
        made_from["eval_episodes"] = config.expert.eval_episodes  # the reference of annotators in stage 2
    elif config.expert.name == "sb3":
        made_from = sb3_recipe(config.expert)
    else:
        made_from = asdict(config.expert)
    return {"version": 1, "env": env_recipe(config.env), "expert": made_from}


def pretrained_folder(config: Config) -> Path:
    """Where a trained expert lies.

    Raises:
        ConfigError: if there is none, or its files are not what its manifest says.
    """
    folder = Path(config.expert.folder or PRETRAINED / config.env.name)
    try:
        verify(folder)
    except ArtifactError as error:
        known = ", ".join(sorted(path.parent.name for path in PRETRAINED.glob(f"*/{MANIFEST}")))
        raise ConfigError(
            f"expert=pretrained expert.folder={config.expert.folder}: no expert for env={config.env.name} "
            f"({error}); the package has some for {known}, and expert.folder takes another expert's folder"
        ) from error
    return folder


def env_recipe(env: EnvConfig) -> dict[str, Any]:
    """What of an environment's config decides how it behaves."""
    return {"id": env.id, "kwargs": dict(env.kwargs), "max_episode_steps": env.max_episode_steps}


def train_expert(config: Config, folder: Path) -> None:
    """Train into `folder`: policy.safetensors and policy.json, checkpoints/, curve.csv, evaluation.json.

    In curve.csv, as in a run's metrics.csv, steps_per_s is of collecting and learning alone and wall_time_s [s]
    counts evaluations too, and goes on where an interrupted training's checkpoint left it.

    PPO often loses its best policy late in training, so the expert is the best evaluated checkpoint, not the last.
    """
    ppo_config = config.expert
    env = VectorEnv(config.env, ppo_config.num_envs, ppo_config.seed)
    ppo = PPO.create(ppo_config, env.observation_dim, env.action_space)
    collector = Collector(env)
    evaluator = Evaluator(config.env, ppo_config.eval_episodes, ppo_config.seed)
    steps_per_iteration = ppo_config.steps_per_iteration
    num_iterations = max(1, ppo_config.total_steps // steps_per_iteration)
    curve: list[dict[str, float]] = []

    checkpoint = folder / "checkpoint.pt"
    state = load_checkpoint(checkpoint)
    if state is not None:
        ppo.load_state_dict(state["ppo"])
        exact = collector.load_state_dict(state["collector"])
        curve = state["curve"]
        log.info("expert: resumed after %d iterations%s", len(curve), "" if exact else ", not bit-exact")

    progress = Progress(
        f"{config.env.name}: expert", num_iterations * steps_per_iteration, len(curve) * steps_per_iteration
    )
    wall_time = curve[-1].get("wall_time_s", 0.0) if curve else 0.0  # a checkpoint of earlier code has none
    for iteration in range(len(curve) + 1, num_iterations + 1):
        started = time.perf_counter()
        batch = collector.collect(ppo.policy, steps_per_iteration // env.num_envs, ppo.generator)
        row: dict[str, float] = {"iteration": iteration, "env_steps": iteration * steps_per_iteration}
        row |= ppo.update(batch, progress=(iteration - 1) / num_iterations)
        row["steps_per_s"] = steps_per_iteration / (time.perf_counter() - started)
        if batch.finished:
            row["return_mean"] = sum(t.total_reward for t in batch.finished) / len(batch.finished)
            row["episode_length_mean"] = sum(map(len, batch.finished)) / len(batch.finished)
        evaluate = iteration % ppo_config.eval_every == 0 or iteration == num_iterations
        if evaluate:
            evaluation = evaluator(ppo.policy)
            row |= evaluation.metrics
            if not math.isfinite(row["eval_return_mean"]):
                raise FloatingPointError(
                    f"the expert diverged by iteration {iteration}: lower expert.learning_rate"
                    f"={ppo_config.learning_rate}"
                )
            save_policy(checkpoint_folder(folder, iteration), ppo.policy, _architecture(config))
        wall_time += time.perf_counter() - started
        row["wall_time_s"] = wall_time
        curve.append(row)
        if evaluate:
            save_checkpoint(
                checkpoint, {"ppo": ppo.state_dict(), "collector": collector.state_dict(), "curve": curve}
            )
        progress.update(iteration * steps_per_iteration, f"best return {_best(curve):,.0f}")

    _write_curve(folder / CURVE, curve)
    _record(folder, choose_expert(config, env, folder, curve))
    checkpoint.unlink(missing_ok=True)


def _evaluate_sb3(config: Config, folder: Path) -> None:
    episodes = config.expert.final_eval_episodes
    evaluation = Evaluator(config.env, episodes, FRESH_SEED)(load_sb3(config))
    _record(folder, {"episodes": episodes, **evaluation.metrics})


def _record(folder: Path, achieved: dict[str, float]) -> None:
    write_json(folder / EVALUATION, achieved)
    log.info("expert: return %(eval_return_mean).0f ± %(eval_return_std).0f (mean action)", achieved)


def _best(curve: list[dict[str, float]]) -> float:
    return max((row["eval_return_mean"] for row in curve if "eval_return_mean" in row), default=float("-inf"))


def _architecture(config: Config) -> dict[str, Any]:
    return {"hidden_sizes": list(config.expert.hidden_sizes), "activation": config.expert.activation}


def _write_curve(path: Path, curve: list[dict[str, float]]) -> None:
    columns = list(dict.fromkeys(key for row in curve for key in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(curve)


@hydra.main(config_path="pkg://conf", config_name="config", version_base="1.3")
def main(cfg: DictConfig) -> float | None:
    """Returns what a study of stage 1 maximises: the expert's mean return in the final evaluation."""
    with report_errors():
        config = prepare(cfg)
        folder = make_expert(config, Store(Path(config.paths.artifacts)))
        print(folder)
        return float(json.loads((folder / EVALUATION).read_text())["eval_return_mean"])
    return None


if __name__ == "__main__":
    main()
