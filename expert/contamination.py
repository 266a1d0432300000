"""Contaminated demonstrations: episodes of weaker policies are added to the expert's, without a label.

This is the setting of the paper's introduction, in which perfect demonstrations are hard to get. Other episodes of
the same policies are labelled failures. GAILFE learns from these; GAIL does not use them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from expert.checkpoints import CHECKPOINTS, evaluated_checkpoints, weaker_checkpoints
from expert.experts import expert_of
from gailfe.config.keys import ConfigError
from gailfe.config.schema import Config, DemonstrationsConfig
from gailfe.envs.making import spaces_of
from gailfe.envs.trajectory import Demonstrations, Trajectory
from gailfe.nn.policy_file import WEIGHTS, load_policy
from gailfe.nn.stochastic import StochasticPolicy
from gailfe.storage.store import file_checksum

log = logging.getLogger(__name__)

TOLERANCE = 0.1  # relative: how far the share of weaker pairs may exceed the one asked for without a warning
Record = dict[str, Any]  # what one source of weaker episodes gave, for the dataset's metadata and the log


class Source(NamedTuple):
    """A source of weaker episodes."""

    name: str
    episodes: Iterator[Trajectory]  # those of a policy never end


def contaminate(
    demonstrations: Demonstrations, sources: Sequence[Source], share: float
) -> tuple[Demonstrations, list[Record]]:
    """Add weaker episodes to the expert's, and other episodes of the same sources to the failures.

    The episodes of a source go to the expert's and to the failures in turn, so both have the same distribution.
    This goes on until weaker episodes make up `share` of the state-action pairs to imitate; each source gives the
    same number of pairs. All of the expert's trajectories stay.

    Args:
        demonstrations: clean ones, and the failures that were split off them.
        sources: endless.
        share: in (0, 1).

    Returns:
        The contaminated demonstrations, the weaker episodes last, and a record of each source.
    """
    expert, failed = list(demonstrations.expert), list(demonstrations.failed)
    pairs = pairs_beside(sum(map(len, expert)), share) / len(sources)
    records = []
    for source in sources:
        unlabelled: list[Trajectory] = []
        labelled: list[Trajectory] = []
        while sum(map(len, unlabelled)) < pairs:
            unlabelled.append(next(source.episodes))
            labelled.append(next(source.episodes))
        expert += unlabelled
        failed += labelled
        records.append(_record(source.name, unlabelled, labelled))
    return Demonstrations(expert, failed), records


def contaminate_own(demonstrations: Demonstrations, settings: DemonstrationsConfig) -> Demonstrations:
    """Contaminate the user's dataset: weaker episodes are drawn from its failures; the other failures stay.

    Args:
        demonstrations: whose `failed` hold enough pairs, and at least one episode more.
        settings: with `contamination` above 0; `seed` draws the episodes.

    Raises:
        ConfigError: if there are too few failures.
    """
    pool, share = list(demonstrations.failed), settings.contamination
    order = np.random.default_rng(settings.seed).permutation(len(pool))
    pairs = pairs_beside(sum(map(len, demonstrations.expert)), share)
    lengths = np.cumsum([len(pool[i]) for i in order])
    count = int(np.searchsorted(lengths, pairs)) + 1  # episodes that hold that many pairs
    if count >= len(pool):
        held = int(lengths[-1]) if len(pool) else 0
        raise ConfigError(
            f"demonstrations.contamination={share} needs {pairs} state-action pairs of failed trajectories "
            f"beside the expert's, and at least one more trajectory that stays a failure; there are {len(pool)} "
            f"failed trajectories with {held} pairs. Lower it, or give a larger demonstrations.failed_dataset"
        )
    unlabelled, labelled = ([pool[i] for i in part] for part in (order[:count], order[count:]))
    contaminated = Demonstrations([*demonstrations.expert, *unlabelled], labelled)
    log_records([_record("failed trajectories of the dataset", unlabelled, labelled)], contaminated, share)
    return contaminated


def pairs_beside(pairs: int, share: float) -> int:
    """Return how many weaker pairs make up `share` of all, beside this many of the expert's."""
    return math.ceil(round(share * pairs / (1 - share), 6))  # 0.4 / 0.6 · 30,000 is 20,000, in floats a bit more


def check_contamination(config: Config) -> None:
    """Check that the weaker policies are there and fit the environment, except those that are still to be trained.

    Raises:
        ConfigError: naming the key, the value and what is valid.
    """
    settings = config.demonstrations
    if settings.contamination == 0:
        return
    if settings.dataset is not None:
        if settings.failed_dataset is None and not settings.split:
            raise ConfigError(
                f"demonstrations.contamination={settings.contamination} takes its weaker episodes from the "
                "failures of the dataset: give demonstrations.failed_dataset, or demonstrations.split=true"
            )
        return
    if settings.weaker_policies is not None:
        for path in settings.weaker_policies:
            _load(config, Path(path), f"demonstrations.weaker_policies={path}")
        return
    expert = expert_of(config)
    if expert.trained_here:
        return
    folder = expert.folder()
    if folder is None or not evaluated_checkpoints(folder):
        raise ConfigError(
            f"demonstrations.contamination={settings.contamination}: expert={config.expert.name} has no earlier "
            f"checkpoints for env={config.env.name}; give demonstrations.weaker_policies=[folder,…], each with a "
            "policy.safetensors and a policy.json, or take expert=ppo"
        )


def contamination_recipe(config: Config) -> dict[str, Any]:
    """Return everything that decides the weaker episodes; nothing without contamination."""
    settings = config.demonstrations
    if settings.contamination == 0:
        return {}
    recipe: dict[str, Any] = {"contamination": settings.contamination}
    if settings.dataset is not None:
        return {**recipe, "seed": settings.seed}
    if settings.weaker_policies is not None:
        return {**recipe, "policies": [file_checksum(Path(path, WEIGHTS)) for path in settings.weaker_policies]}
    recipe["weaker_returns"] = list(settings.weaker_returns)
    expert = expert_of(config)
    folder = None if expert.trained_here else expert.folder()
    if folder is not None:  # the key of an expert that is trained here stands for its checkpoints too
        recipe["policies"] = [file_checksum(path / WEIGHTS) for path in evaluated_checkpoints(folder)]
    return recipe


def weaker_policies(config: Config, expert_folder: Path) -> dict[str, StochasticPolicy]:
    """Load the configured weaker policies, by name: the user's folders, or earlier checkpoints of the expert.

    Those checkpoints are used whose evaluated returns are closest to `weaker_returns` times the expert's.
    """
    settings = config.demonstrations
    if settings.weaker_policies is not None:
        return {path: _load(config, Path(path), path) for path in settings.weaker_policies}
    chosen = weaker_checkpoints(expert_folder, settings.weaker_returns)
    if not chosen:
        raise ConfigError(
            f"demonstrations.contamination={settings.contamination}: the checkpoints of {expert_folder} have no "
            "evaluation.json, as in a training by an earlier version; move that folder away to train it again, or "
            "give demonstrations.weaker_policies=[folder,…]"
        )
    return {f"{CHECKPOINTS}/{path.name}": _load(config, path, path.name) for path in chosen}


def log_records(records: Sequence[Record], demonstrations: Demonstrations, share: float) -> None:
    """Log what each source gave, and which share of all pairs that makes; warn where it is not the one asked for.

    Args:
        demonstrations: with the weaker episodes in it.
        share: `demonstrations.contamination`.
    """
    for record in records:
        log.info(
            "demonstrations: contaminated by %(policy)s: %(unlabelled_episodes)d episodes (%(unlabelled_pairs)d "
            "pairs, mean return %(unlabelled_return_mean).0f) are among the expert's, without a label; "
            "%(failed_episodes)d others (%(failed_pairs)d pairs) are failures",
            record,
        )
    weaker, pairs = sum(record["unlabelled_pairs"] for record in records), sum(map(len, demonstrations.expert))
    if records:
        level = logging.INFO if weaker <= (1 + TOLERANCE) * share * pairs else logging.WARNING
        log.log(
            level,
            "demonstrations: %.1f%% of the pairs to imitate are weaker ones (demonstrations.contamination=%s); "
            "episodes are added whole",
            100 * weaker / pairs,
            share,
        )


def _record(name: str, unlabelled: Sequence[Trajectory], labelled: Sequence[Trajectory]) -> Record:
    return {
        "policy": name,
        "unlabelled_episodes": len(unlabelled),
        "unlabelled_pairs": sum(map(len, unlabelled)),
        "unlabelled_return_mean": float(np.mean([t.total_reward for t in unlabelled])),
        "failed_episodes": len(labelled),
        "failed_pairs": sum(map(len, labelled)),
        "failed_return_mean": float(np.mean([t.total_reward for t in labelled])),
    }


def _load(config: Config, folder: Path, name: str) -> StochasticPolicy:
    spaces = spaces_of(config.env)
    try:
        return load_policy(folder, spaces.observation_dim, spaces.action)
    except Exception as error:  # a missing file, another format, other shapes
        raise ConfigError(f"{name} must be the folder of a policy for env={config.env.name}: {error}") from error
