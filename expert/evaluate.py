"""`python -m expert.evaluate env=hopper episodes=20` rolls the expert out with its mean action.

The last line is JSON: env, episodes, return_mean, return_std, length_mean, failures (by the annotator).
"""

from __future__ import annotations

import json
from pathlib import Path

from expert.annotators import Reference, check_annotator, make_annotator
from expert.experts import expert_of, make_expert
from gailfe.commands import command
from gailfe.config.schema import Config
from gailfe.envs.evaluation import FRESH_SEED, Evaluator
from gailfe.storage.store import Store

USAGE = """\
python -m expert.evaluate [key=value ...]

Rolls the expert out with its mean action; the last line is JSON: env, episodes, return_mean, return_std,
length_mean, failures (by the annotator).

  python -m expert.evaluate env=hopper episodes=20
"""


@command(USAGE, listens=False)
def main(config: Config) -> None:
    check_annotator(config.annotator, config.env)
    folder = make_expert(config, Store(Path(config.paths.artifacts)))
    policy = expert_of(config).load(folder)
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
