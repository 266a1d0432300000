"""The checkpoints of an expert's training: the choice of the best one, and earlier ones for failures."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterable
from pathlib import Path

from gailfe.config.schema import Config
from gailfe.envs.evaluation import Evaluator
from gailfe.envs.vector import VectorEnv
from gailfe.nn.policy_file import ARCHITECTURE, WEIGHTS, load_policy
from gailfe.processes.stopping import check_asked
from gailfe.storage.names import EVALUATION

log = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"  # in the expert's folder: a policy for every evaluation, by its iteration
SELECTION_SEED = 1  # beside the seed of the evaluations along the way
FINAL_SEED = 2


def checkpoint_folder(folder: Path, iteration: int) -> Path:
    """Return the path of the policy after `iteration`."""
    path = folder / CHECKPOINTS / f"{iteration:06d}"
    path.mkdir(parents=True, exist_ok=True)
    return path


def choose_expert(config: Config, env: VectorEnv, folder: Path, curve: list[dict[str, float]]) -> dict[str, float]:
    """Make the best policy of a training its expert: policy.safetensors and policy.json in `folder`.

    The evaluations along the way are of few episodes and partly luck: a policy that falls once in ten episodes may
    not fall in these. So the best of them meet again, in more episodes from initial states of their own. What
    counts, then and before, is the mean less the standard deviation: a demonstrator should not fall now and then.

    Returns:
        What the expert achieves in fresh episodes, from initial states that chose nothing, and its iteration.

    Raises:
        Stopped: if this process was asked to stop.
    """
    settings = config.expert
    finalists = sorted((row for row in curve if "eval_return_mean" in row), key=_reliable_return, reverse=True)
    evaluator = Evaluator(config.env, settings.finalist_episodes, settings.seed + SELECTION_SEED)
    scores = {}
    for row in finalists[: settings.finalists]:
        check_asked("compares the finalists again")
        iteration = int(row["iteration"])
        policy = load_policy(checkpoint_folder(folder, iteration), env.observation_dim, env.action_space)
        scores[iteration] = _reliable_return(evaluator(policy).metrics)
    best = max(scores, key=lambda iteration: scores[iteration])
    log.info("expert: the checkpoint of iteration %d is the best of %d finalists", best, len(scores))
    for name in (WEIGHTS, ARCHITECTURE):
        shutil.copyfile(checkpoint_folder(folder, best) / name, folder / name)
    policy = load_policy(folder, env.observation_dim, env.action_space)
    final = Evaluator(config.env, settings.final_eval_episodes, settings.seed + FINAL_SEED)(policy)
    return {"episodes": settings.final_eval_episodes, "iteration": best, **final.metrics}


def _reliable_return(metrics: dict[str, float]) -> float:
    return metrics["eval_return_mean"] - metrics["eval_return_std"]


def earlier_checkpoints(folder: Path, count: int) -> list[Path]:
    """Return the folders of `count` checkpoints, evenly spaced in an expert's training, the earliest first."""
    paths = sorted((folder / CHECKPOINTS).glob("*"))
    count = min(count, len(paths))
    return [paths[int((i + 0.5) * len(paths) / count)] for i in range(count)]


def evaluated_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of an expert whose evaluation lies beside them, the earliest first."""
    return [path.parent for path in sorted((folder / CHECKPOINTS).glob(f"*/{EVALUATION}"))]


def weaker_checkpoints(folder: Path, returns: Iterable[float]) -> list[Path]:
    """For each number the checkpoint whose evaluated return is closest to it, in units of the expert's return.

    Args:
        folder: of an expert.
        returns: in (0, 1); two of them may choose the same checkpoint, which is then there once.

    Returns:
        Folders; none if no checkpoint has an evaluation.
    """
    if not evaluated_checkpoints(folder):
        return []
    expert = _evaluated_return(folder)
    shares = {path: _evaluated_return(path) / expert for path in evaluated_checkpoints(folder)}
    closest = (min(shares, key=lambda path: abs(shares[path] - wanted)) for wanted in returns)
    return list(dict.fromkeys(closest))


def _evaluated_return(folder: Path) -> float:
    return float(json.loads((folder / EVALUATION).read_text())["eval_return_mean"])
