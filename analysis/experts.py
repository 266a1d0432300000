"""The experts' learning curves: return of the mean action against environment steps, one panel a task.

    python -m analysis.experts artifacts=artifacts

Draws every PPO expert of an artefact store, and says in a table what each of them achieves.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gailfe.config.arguments import CommandError, run_command

SUMMARY = """\
python -m analysis.experts [key=value ...]

Draws the learning curves of the PPO experts in an artefact store: the evaluated return of the mean action, a line
a seed, and the checkpoint that became the expert. Prints a table of what they
achieve and writes experts.png, experts.pdf and curves.csv."""

EXAMPLES = "Example:\n  python -m analysis.experts artifacts=artifacts out=results/experts"


@dataclass
class ExpertsArguments:
    artifacts: str = field(
        default="artifacts",
        metadata={"help": "where the experts are", "valid": "a folder with experts/<env>-<key>/ in it"},
    )
    out: str | None = field(
        default=None,
        metadata={"help": "where to write; null: <artifacts>/experts", "valid": "a folder, or null"},
    )


@dataclass(frozen=True)
class Expert:
    """A finished training: its configuration, evaluated returns, and what its best policy achieves."""

    env_id: str
    settings: dict[str, Any]  # expert.* of its recipe
    curve: Any  # DataFrame: iteration, env_steps, eval_return_mean, eval_return_std, wall_time_s
    evaluation: dict[str, float]

    @property
    def chosen(self) -> Any:
        """The row of its curve that became the expert."""
        return self.curve[self.curve["iteration"] == self.evaluation["iteration"]].iloc[0]


def load_experts(artifacts: Path) -> list[Expert]:
    """The finished PPO experts below `artifacts`, by task and seed.

    Raises:
        FileNotFoundError: if there is none.
    """
    import pandas as pd

    columns = ["iteration", "env_steps", "eval_return_mean", "eval_return_std", "wall_time_s"]
    experts = []
    for manifest in sorted(artifacts.glob("experts/*/manifest.json")):
        recipe = json.loads(manifest.read_text())["recipe"]
        curve = pd.read_csv(manifest.parent / "curve.csv")[columns].dropna()
        evaluation = json.loads((manifest.parent / "evaluation.json").read_text())
        experts.append(Expert(recipe["env"]["id"], recipe["expert"], curve, evaluation))
    if not experts:
        raise FileNotFoundError(f"artifacts={artifacts} holds no finished expert (experts/*/manifest.json)")
    return sorted(experts, key=lambda expert: (expert.env_id, expert.settings["seed"]))


def draw_experts(experts: list[Expert]) -> Any:
    """The figure: a panel a task, a line a training, a dot where its expert was found."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    from analysis.panels import COLOURS, PAPER_WIDTH, STYLE

    tasks = sorted({expert.env_id for expert in experts})
    columns = min(len(tasks), 2)
    rows = -(-len(tasks) // columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(PAPER_WIDTH, 2.4 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis in axes[len(tasks) :]:
            axis.remove()
        for axis, task in zip(axes, tasks, strict=False):
            for index, expert in enumerate(e for e in experts if e.env_id == task):
                colour, row = COLOURS[index % len(COLOURS)], expert.chosen
                label = f"seed {expert.settings['seed']}: {expert.evaluation['eval_return_mean']:,.0f}"
                axis.plot(
                    expert.curve["env_steps"],
                    expert.curve["eval_return_mean"],
                    color=colour,
                    linewidth=1,
                    label=label,
                )
                axis.plot(row["env_steps"], row["eval_return_mean"], "o", color=colour, markersize=4)
            axis.set_title(task)
            axis.xaxis.set_major_locator(MaxNLocator(5))
            axis.xaxis.set_major_formatter(lambda x, _: f"{x / 1e6:g} M" if x else "0")
            axis.yaxis.set_major_formatter("{x:,.0f}")
            axis.legend(frameon=False, loc="lower right")
        figure.supxlabel("Environment steps", fontsize=8)
        figure.supylabel("Return of the mean action, 10 episodes" if _ten(experts) else "Return", fontsize=8)
    return figure


def _ten(experts: list[Expert]) -> bool:
    return all(expert.settings["eval_episodes"] == 10 for expert in experts)


def page(experts: list[Expert]) -> str:
    """The table of what they achieve, in Markdown."""
    lines = [
        "| task | seed | return, mean action | episodes | found after [steps] | training [steps] | time [s] |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for expert in experts:
        result, last = expert.evaluation, expert.curve.iloc[-1]
        lines.append(
            f"| {expert.env_id} | {expert.settings['seed']} "
            f"| {result['eval_return_mean']:.0f} ± {result['eval_return_std']:.0f} | {result['episodes']:.0f} "
            f"| {expert.chosen['env_steps']:,.0f} | {last['env_steps']:,.0f} | {last['wall_time_s']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def work(chosen: ExpertsArguments) -> None:
    try:
        experts = load_experts(Path(chosen.artifacts))
    except FileNotFoundError as error:
        raise CommandError(str(error)) from error
    import pandas as pd

    from analysis.curves import write_atomically
    from analysis.panels import save_figure

    out = Path(chosen.out or Path(chosen.artifacts, "experts"))
    curves = pd.concat([e.curve.assign(env=e.env_id, seed=e.settings["seed"]) for e in experts])
    write_atomically(out / "curves.csv", lambda path: curves.to_csv(path, index=False, float_format="%.6g"))
    paths = [*save_figure(draw_experts(experts), out, "experts", ["png", "pdf"]), out / "curves.csv"]
    print(page(experts))
    print("\n".join(["Wrote:", *(f"  {path}" for path in paths)]))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status: 0, 1 for a store without experts, 2 for a wrong argument."""
    return run_command(ExpertsArguments, SUMMARY, EXAMPLES, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
