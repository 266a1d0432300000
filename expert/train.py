"""Stage 1: `python -m expert.train env=hopper` trains an expert with PPO and keeps its best checkpoint."""

from __future__ import annotations

import contextlib
import json
import logging
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
from gailfe.envs.vector import box, make_env
from gailfe.nn.acting import CanAct
from gailfe.nn.policy_file import ARCHITECTURE, WEIGHTS, load_policy, save_policy
from gailfe.storage.store import MANIFEST, ArtifactError, Store, verify
from gailfe.storage.tracking import Row, read_rows
from gailfe.sweep import report_errors
from gailfe.training import Schedule, iterate

log = logging.getLogger(__name__)

CURVE = "curve.csv"
EVALUATION = "evaluation.json"
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

    curve.csv has a row an iteration, as a run's metrics.csv does.

    PPO often loses its best policy late in training, so the expert is the best evaluated checkpoint, not the last.
    """
    settings = config.expert
    ppo = PPO(settings, config.env)
    evaluator = Evaluator(config.env, settings.eval_episodes, settings.seed)

    def evaluate(iteration: int) -> Row:
        save_policy(checkpoint_folder(folder, iteration), ppo.policy)
        return evaluator(ppo.policy).metrics

    evaluations = range(0, ppo.num_iterations, settings.eval_every)
    checkpoint = folder / "checkpoint.pt"
    iterate(
        ppo,
        Schedule(ppo.num_iterations, evaluate_at=evaluations, checkpoint_at=evaluations),
        evaluate,
        f"{config.env.name}: expert",
        folder / CURVE,
        checkpoint,
    )
    _record(folder, choose_expert(config, ppo.collector.env, folder, read_rows(folder / CURVE)))
    checkpoint.unlink(missing_ok=True)


def _evaluate_sb3(config: Config, folder: Path) -> None:
    episodes = config.expert.final_eval_episodes
    evaluation = Evaluator(config.env, episodes, FRESH_SEED)(load_sb3(config))
    _record(folder, {"episodes": episodes, **evaluation.metrics})


def _record(folder: Path, achieved: dict[str, float]) -> None:
    (folder / EVALUATION).write_text(json.dumps(achieved, indent=2) + "\n")
    log.info("expert: return %(eval_return_mean).0f ± %(eval_return_std).0f (mean action)", achieved)


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
