"""Stage 2: `python -m expert.collect env=hopper` rolls the expert out and splits the failures off."""

from __future__ import annotations

import itertools
import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from expert.annotators import Reference, check_annotator, make_annotator
from expert.checkpoints import earlier_checkpoints
from expert.contamination import Source, contaminate, contamination_recipe, log_records, weaker_policies
from expert.demonstrations import EXPERT, FAILED, save_demonstrations
from expert.experts import env_recipe, expert_of, make_expert
from gailfe.commands import command
from gailfe.config.keys import ConfigError, Refusal
from gailfe.config.schema import CollectConfig, Config
from gailfe.envs.episodes import Episodes, Transitions
from gailfe.envs.evaluation import Evaluator
from gailfe.envs.trajectory import Demonstrations, Trajectory
from gailfe.envs.vector import VectorEnv
from gailfe.nn.acting import Act
from gailfe.nn.policy_file import load_policy
from gailfe.processes.stopping import check_asked
from gailfe.storage.files import write_json
from gailfe.storage.progress import Progress
from gailfe.storage.store import Store, artifact_key

log = logging.getLogger(__name__)

SUMMARY = "summary.json"  # how many episodes were tried, kept and split off, and their mean returns
CONTAMINATION = ("contamination", "weaker_policies", "weaker_returns")
CLEAN = [f.name for f in fields(CollectConfig) if f.name not in CONTAMINATION]  # keys of the expert's own episodes


class NotEnoughDemonstrations(Refusal, RuntimeError):
    """The expert fails too often to give as many trajectories as were asked for."""


def make_demonstrations(config: Config, store: Store, expert_folder: Path) -> Path:
    """Return the folder of the configured demonstrations, collected if the store lacks them."""
    return store.get(
        "demonstrations",
        config.env.name,
        demonstrations_recipe(config),
        lambda folder: _collect_into(config, expert_folder, folder),
        check_asked,
    )


def demonstrations_recipe(config: Config) -> dict[str, Any]:
    """Return everything that decides the demonstrations, as JSON values."""
    return {
        # In version 1, all earlier checkpoints started from the initial states of the expert's episodes.
        "version": 2 if config.demonstrations.earlier_checkpoints else 1,
        "env": env_recipe(config.env),
        "expert": artifact_key(expert_of(config).recipe()),
        "annotator": asdict(config.annotator),
        "demonstrations": {name: getattr(config.demonstrations, name) for name in CLEAN},
        **contamination_recipe(config),
    }


def collect(config: Config, expert_folder: Path) -> tuple[Demonstrations, dict[str, Any]]:
    """Roll the expert out until `num_trajectories` episodes succeed; the failed ones are returned separately.

    This uses one environment, episode after episode: of several, the short episodes would come first.

    With contamination, episodes of weaker policies follow (see contamination.py).

    Returns:
        The demonstrations, and how many episodes were tried, kept and split off, and their mean returns.

    Raises:
        NotEnoughDemonstrations: if `max_attempts` episodes don't hold that many.
    """
    settings = config.demonstrations
    env = VectorEnv(config.env, 1, settings.seed)
    policy = expert_of(config).load(expert_folder)
    generator = None if settings.deterministic else torch.Generator().manual_seed(settings.seed)
    evaluation = Evaluator(config.env, config.expert.eval_episodes, settings.seed)(policy)
    annotator = make_annotator(config.annotator, Reference.of(evaluation.trajectories))
    expert: list[Trajectory] = []
    failed: list[Trajectory] = []
    label = f"{config.env.name}: demonstrations"
    progress = Progress(label, settings.num_trajectories, unit="trajectories", stage="demonstrations")
    for trajectory in _episodes(env, policy.acting(generator)):
        (failed if annotator(trajectory) else expert).append(trajectory)
        progress.update(len(expert), f"{len(failed)} failed ones split off")
        if len(expert) == settings.num_trajectories:
            break
        if len(expert) + len(failed) == settings.max_attempts:
            raise NotEnoughDemonstrations(
                f"demonstrations.max_attempts={settings.max_attempts} episodes were tried, and only {len(expert)} "
                f"succeeded by annotator={config.annotator.name}; demonstrations.num_trajectories="
                f"{settings.num_trajectories} must succeed: train a better expert, allow more attempts, or take "
                "its mean action (demonstrations.deterministic=true)"
            )
    summary: dict[str, Any] = {"tried": len(expert) + len(failed), "kept": len(expert), "failed": len(failed)}
    seeds = initial_state_seeds(settings)[1:]
    for path, seed in zip(earlier_checkpoints(expert_folder, settings.earlier_checkpoints), seeds, strict=False):
        earlier = load_policy(path, env.observation_dim, env.action_space)
        env = VectorEnv(config.env, 1, seed)
        episodes = itertools.islice(_episodes(env, earlier.acting(generator)), settings.earlier_episodes)
        failed += [trajectory for trajectory in episodes if annotator(trajectory)]
        summary["earlier_tried"] = summary.get("earlier_tried", 0) + settings.earlier_episodes
        summary["earlier_failed"] = len(failed) - summary["failed"]
    summary["expert_return_mean"] = _mean_return(expert)
    demonstrations = Demonstrations(expert, failed)
    if settings.contamination > 0:
        sources = []
        for i, (name, weaker) in enumerate(weaker_policies(config, expert_folder).items()):
            seed = np.random.SeedSequence([settings.seed, i]).generate_state(1)[0]
            its_env = VectorEnv(config.env, 1, int(seed))  # other initial states than the expert's
            sources.append(Source(name, _episodes(its_env, weaker.acting(generator))))
        demonstrations, summary["contamination"] = contaminate(demonstrations, sources, settings.contamination)
    summary["failed_return_mean"] = _mean_return(demonstrations.failed)
    return demonstrations, summary


def initial_state_seeds(settings: CollectConfig) -> list[int]:
    """Return the seed of the expert's initial states, then a seed for each earlier checkpoint's, all different."""
    earlier = np.random.SeedSequence(settings.seed).generate_state(settings.earlier_checkpoints)
    return [settings.seed, *earlier.tolist()]


def _episodes(env: VectorEnv, act: Act) -> Iterator[Trajectory]:
    """Yield episodes without end, from a single environment that resets itself.

    Raises:
        Stopped: if this process was asked to stop.
    """
    episodes = Episodes(1, env.id)
    latest = env.reset()
    while True:
        check_asked("collects the demonstrations again")
        steps: list[tuple[np.ndarray, ...]] = []
        ended = False
        while not ended:
            actions = act(latest)
            step = env.step(actions)
            rows = (step.rewards, step.next_observations, step.terminated, step.truncated)
            steps.append((latest, actions, *rows))
            latest, ended = step.observations, bool(step.terminated[0] or step.truncated[0])
        yield from (trajectory for _, trajectory in episodes.add(Transitions.stack(steps)))


def _mean_return(trajectories: Sequence[Trajectory]) -> float | None:
    return float(np.mean([t.total_reward for t in trajectories])) if trajectories else None


def _collect_into(config: Config, expert_folder: Path, folder: Path) -> None:
    demonstrations, summary = collect(config, expert_folder)
    for name in (EXPERT, FAILED):
        shutil.rmtree(folder / name, ignore_errors=True)  # what an interrupted attempt left
    metadata = {"seed": config.demonstrations.seed, "annotator": config.annotator.name, **summary}
    save_demonstrations(folder, demonstrations, config.env, config.expert.name, metadata)
    log_records(summary.get("contamination", []), demonstrations, config.demonstrations.contamination)
    write_json(folder / SUMMARY, summary)
    if "earlier_tried" in summary:
        log.info(
            "demonstrations: %(earlier_failed)d of %(earlier_tried)d episodes of earlier checkpoints failed",
            summary,
        )
    log.info(
        "demonstrations: tried %d episodes, kept %d (mean return %.0f), split off %d failed by %s%s",
        summary["tried"],
        summary["kept"],
        summary["expert_return_mean"],
        summary["failed"],
        config.annotator.name,
        "" if demonstrations.failed else ": β_F will begin empty",
    )


USAGE = """\
python -m expert.collect [key=value ...]

Rolls the expert out, splits the failed trajectories off, and prints the folder of both.

  python -m expert.collect env=hopper
"""


@command(USAGE)
def main(config: Config) -> None:
    if config.demonstrations.dataset is not None:
        raise ConfigError(
            f"demonstrations.dataset={config.demonstrations.dataset} leaves nothing to collect: "
            "choose demonstrations=collect"
        )
    check_annotator(config.annotator, config.env)
    store = Store(Path(config.paths.artifacts))
    folder = make_demonstrations(config, store, make_expert(config, store))
    print(folder)


if __name__ == "__main__":
    main()
