"""`python -m expert.evaluate env=hopper episodes=20` rolls the expert out with its mean action.

The last line is JSON: env, episodes, return_mean, return_std, length_mean, failures (by the annotator).
"""

from __future__ import annotations

import json
from pathlib import Path

import hydra
from omegaconf import DictConfig

from expert.annotators import Reference, make_annotator
from expert.train import load_expert, make_expert
from gailfe.config.checks import prepare
from gailfe.envs.evaluation import FRESH_SEED, Evaluator
from gailfe.storage.store import Store
from gailfe.sweep import report_errors


@hydra.main(config_path="pkg://conf", config_name="config", version_base="1.3")
def main(cfg: DictConfig) -> None:
    with report_errors():
        config = prepare(cfg)
        folder = make_expert(config, Store(Path(config.paths.artifacts)))
        policy = load_expert(config, folder)
        evaluation = Evaluator(config.env, config.episodes, FRESH_SEED + config.seed)(policy)
        annotator = make_annotator(config.annotator, Reference.of(evaluation.trajectories))
        record = {
            "env": config.env.id,
            "episodes": config.episodes,
            "return_mean": evaluation.metrics["eval_return_mean"],
            "return_std": evaluation.metrics["eval_return_std"],
            "length_mean": evaluation.metrics["eval_episode_length_mean"],
            "failures": sum(map(annotator, evaluation.trajectories)),
        }
        print(json.dumps(record))


if __name__ == "__main__":
    main()
