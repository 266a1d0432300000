"""An expert that is trained with PPO on the environment's own reward: `expert=ppo`."""

from __future__ import annotations

import csv
import logging
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from expert.checkpoints import checkpoint_folder, choose_expert
from expert.experts import Expert, ExpertConfig, record_evaluation
from gailfe.algorithms.ppo import AT_LEAST_TWO, PPO, PPOConfig
from gailfe.config.keys import AT_LEAST_ONE, ConfigError, key
from gailfe.config.schema import Config
from gailfe.envs.evaluation import Evaluator
from gailfe.envs.rollout import Collector
from gailfe.envs.vector import VectorEnv
from gailfe.nn.policy_file import save_policy
from gailfe.storage.checkpoint import load_checkpoint, save_checkpoint
from gailfe.storage.progress import Progress

log = logging.getLogger(__name__)


@dataclass
class PPOExpertConfig(PPOConfig, ExpertConfig):
    """The keys of expert=ppo: those of PPO, how long it trains, and how the expert is chosen."""

    steps_per_iteration: int = key("environment steps in an iteration, a multiple of num_envs", AT_LEAST_TWO)
    total_steps: int = key("environment steps of the training", AT_LEAST_ONE)
    eval_every: int = key("iterations between evaluations", AT_LEAST_ONE)
    finalists: int = key("evaluated checkpoints that are compared again at the end", AT_LEAST_ONE)
    finalist_episodes: int = key("episodes of this comparison, of each finalist", AT_LEAST_ONE)
    final_eval_episodes: int = key("episodes of the chosen expert's evaluation", AT_LEAST_ONE)

    def check(self) -> None:
        """Raises ConfigError where keys don't go together."""
        if self.steps_per_iteration % self.num_envs:
            raise ConfigError(
                f"expert.num_envs={self.num_envs} must divide "
                f"expert.steps_per_iteration={self.steps_per_iteration}"
            )
        if self.steps_per_iteration % self.minibatch_size == 1:
            raise ConfigError(
                f"expert.minibatch_size={self.minibatch_size} leaves a minibatch of one step of "
                f"expert.steps_per_iteration={self.steps_per_iteration}, whose advantage can't be standardised; "
                "choose a divisor"
            )


class PPOExpert(Expert):
    """An expert that is trained here, if the store lacks it."""

    Config = PPOExpertConfig
    trained_here = True

    def made_from(self) -> dict[str, Any]:
        keys = asdict(self.config.expert)
        del keys["_target_"]  # where the class stands; `name` says which it is
        return keys

    def fill(self, folder: Path) -> None:
        train_expert(self.config, folder)


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

    _write_curve(folder / "curve.csv", curve)
    record_evaluation(folder, choose_expert(config, env, folder, curve))
    checkpoint.unlink(missing_ok=True)


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
