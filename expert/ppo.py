"""An expert that is trained with PPO on the environment's own reward: `expert=ppo`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from expert.checkpoints import CHECKPOINTS, checkpoint_folder, choose_expert
from expert.experts import Expert, ExpertConfig, expert_of, record_evaluation
from gailfe.algorithms.clipped import check_minibatches
from gailfe.algorithms.ppo import PPO, PPOConfig
from gailfe.config.keys import AT_LEAST_ONE, ENVIRONMENTS, check_multiple, key
from gailfe.config.schema import Config
from gailfe.envs.evaluation import Evaluator
from gailfe.nn.policy_file import save_policy
from gailfe.storage.checkpoint import remove_checkpoints
from gailfe.storage.files import write_json
from gailfe.storage.names import CURVE, EVALUATION
from gailfe.storage.tracking import Row, read_rows
from gailfe.training import Schedule, iterate


@dataclass
class PPOExpertConfig(PPOConfig, ExpertConfig):
    """The keys of expert=ppo: those of PPO, and how the expert is chosen."""

    eval_every: int = key("iterations between evaluations", AT_LEAST_ONE)
    finalists: int = key("evaluated checkpoints that are compared again at the end", AT_LEAST_ONE)
    finalist_episodes: int = key("episodes of this comparison, of each finalist", ENVIRONMENTS)
    final_eval_episodes: int = key("episodes of the chosen expert's evaluation", ENVIRONMENTS)

    def check(self) -> None:
        """Raise ConfigError where keys don't go together."""
        check_multiple(self, "expert.", "steps_per_iteration", "num_envs")
        size, steps = self.minibatch_size, self.steps_per_iteration
        check_minibatches("expert.minibatch_size", size, "expert.steps_per_iteration", steps)


class PPOExpert(Expert):
    """An expert that is trained here, if the store lacks it."""

    Config = PPOExpertConfig
    trained_here = True

    def made_from(self) -> dict[str, Any]:
        keys = asdict(self.config.expert)
        del keys["_target_"]  # the class may move; `name` identifies it
        return keys

    def fill(self, folder: Path) -> None:
        train_expert(self.config, folder)


def train_expert(config: Config, folder: Path) -> None:
    """Train into `folder`: policy.safetensors and policy.json, checkpoints/, curve.csv, evaluation.json.

    curve.csv has a row an iteration, as a run's metrics.csv does.

    PPO often loses its best policy late in training, so the expert is the best evaluated checkpoint, not the last.
    """
    settings = config.expert
    ppo = PPO(settings, config.env)
    evaluator = Evaluator(config.env, settings.eval_episodes, settings.seed)

    def evaluate(iteration: int) -> Row:
        at = checkpoint_folder(folder, iteration)
        save_policy(at, ppo.policy)
        metrics = evaluator(ppo.policy).metrics
        write_json(at / EVALUATION, {"episodes": settings.eval_episodes, **metrics})
        return metrics

    evaluations = range(0, ppo.num_iterations, settings.eval_every)
    checkpoint = folder / "checkpoint.pt"
    iterate(
        ppo,
        Schedule(ppo.num_iterations, evaluate_at=evaluations, checkpoint_at=evaluations),
        evaluate,
        f"{config.env.name}: expert",
        folder / CURVE,
        checkpoint,
        expert_of(config).recipe(),
        files=lambda: sorted(path for path in folder.glob(f"{CHECKPOINTS}/*/*") if not path.name.startswith(".")),
        stage="expert",
    )
    record_evaluation(folder, choose_expert(config, ppo.collector.env, folder, read_rows(folder / CURVE)))
    remove_checkpoints(checkpoint)
