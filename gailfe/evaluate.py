"""`python -m gailfe.evaluate run=runs/figure1/hopper/gail/seed=0` evaluates what a run has learned.

The last line is JSON: run, env, algo, iteration, episodes, return_mean, return_std, length_mean, expert_return.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gailfe.config.arguments import ArgumentError, argument, run_command
from gailfe.config.keys import ENVIRONMENTS, SEED
from gailfe.config.writable import check_folder

if TYPE_CHECKING:  # --help doesn't wait for torch
    from gailfe.envs.evaluation import Evaluation
    from gailfe.learned import Learned

HELP = """\
python -m gailfe.evaluate run=runs/figure1/hopper/gail/seed=0

Evaluates the policy that a run has learned, with its mean action, in fresh episodes; also of a run that is still
going or was killed, whose policy is the last checkpoint's. The last line is JSON: run, env, algo, iteration,
episodes, return_mean, return_std, length_mean, expert_return (null where the run doesn't know it)."""

EXAMPLES = """\
An expert of one's own, for what comes after:
  python -m gailfe.evaluate run=runs/figure1/hopper/gail/seed=0 publish=my_expert
  python -m gailfe.run env=hopper expert=pretrained expert.folder=my_expert"""


@dataclass
class EvaluateArguments:
    run: str | None = argument(None, "the run", "its folder, which must be given")
    episodes: int = argument(20, "how many", ENVIRONMENTS)
    seed: int = argument(0, "of the initial states", SEED)
    publish: str | None = argument(
        None,
        "also writes the policy as an expert: expert=pretrained expert.folder=<it>",
        "a folder that isn't there",
    )


def work(chosen: EvaluateArguments) -> None:
    if chosen.run is None:
        raise ArgumentError("run=<folder> must be given (--help explains it)")
    if chosen.publish is not None:
        check_folder("publish", chosen.publish)
        if Path(chosen.publish).exists():
            raise ArgumentError(f"publish={chosen.publish} must be a folder that isn't there yet")
    import torch

    from gailfe.commands import refuse_shadowed_packages
    from gailfe.envs.evaluation import FRESH_SEED, Evaluator
    from gailfe.learned import load_learned

    refuse_shadowed_packages()
    torch.set_num_threads(1)
    run = load_learned(Path(chosen.run))
    evaluation = Evaluator(run.env, chosen.episodes, FRESH_SEED + chosen.seed)(run.policy)
    print(_line(run, evaluation))
    if chosen.publish is not None:
        publish(run, evaluation, Path(chosen.publish))
        print(f"written as an expert: expert=pretrained expert.folder={chosen.publish}")
    record = {
        "run": str(run.folder),
        "env": run.env.id,
        "algo": run.algo,
        "iteration": run.iteration,
        "episodes": chosen.episodes,
        "return_mean": evaluation.metrics["eval_return_mean"],
        "return_std": evaluation.metrics["eval_return_std"],
        "length_mean": evaluation.metrics["eval_episode_length_mean"],
        "expert_return": run.expert_return,
    }
    print(json.dumps(record))


def publish(run: Learned, evaluation: Evaluation, folder: Path) -> None:
    """Write the policy of a run to `folder` as an expert, which expert=pretrained takes."""
    from expert.experts import env_recipe
    from gailfe.nn.policy_file import save_policy
    from gailfe.storage.files import write_json
    from gailfe.storage.names import EVALUATION, RECIPE
    from gailfe.storage.store import artifact_key, write_manifest

    learned = json.loads((run.folder / RECIPE).read_text())
    recipe = {
        "version": 1,
        "env": env_recipe(run.env),
        "expert": {"learned_by": learned, "iteration": run.iteration},
    }
    save_policy(folder, run.policy, run.iteration)
    write_json(folder / EVALUATION, {"episodes": len(evaluation.trajectories), **evaluation.metrics})
    write_manifest(folder, artifact_key(recipe), recipe)


def _line(run: Learned, evaluation: Evaluation) -> str:
    mean, expert = evaluation.returns.mean(), run.expert_return
    told = (
        f"{run.algo} on {run.env.id}, {run.progress}: return {mean:,.1f} ± {evaluation.returns.std():,.1f} over "
        f"{len(evaluation.returns)} episodes of {evaluation.lengths.mean():,.0f} steps (mean action); "
    )
    if expert is None:
        return f"{told}the expert's return isn't known"
    return f"{told}expert {expert:,.1f}" + (f", {mean / expert:.0%} of it" if expert > 0 else "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 for a run that can't be evaluated, 2 for a wrong argument."""
    return run_command(EvaluateArguments, HELP, EXAMPLES, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
