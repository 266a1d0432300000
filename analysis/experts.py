"""Draws the experts' learning curves: return of the mean action against environment steps, a panel for each task.

    python -m analysis.experts artifacts=artifacts

Also prints a table of what each expert in the store achieves.
"""

import json
import logging
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gailfe.config.arguments import CommandError, argument, run_command
from gailfe.config.writable import check_folder
from gailfe.storage.files import atomic
from gailfe.storage.names import CURVE, EVALUATION, MANIFEST
from gailfe.storage.store import finished

SUMMARY = """\
python -m analysis.experts [key=value ...]

Draws the learning curves of the experts that were trained here: the evaluated return of the mean action, one line
for each seed, with a dot at the checkpoint that became the expert. Writes experts.png, experts.pdf and curves.csv.
Prints a table of what every expert in the store achieves. Those trained elsewhere (expert=sb3) are in the table
only: they have no learning curve."""

EXAMPLES = "Example:\n  python -m analysis.experts artifacts=artifacts out=results/experts"


log = logging.getLogger(__name__)


@dataclass
class ExpertsArguments:
    artifacts: str = argument("artifacts", "where the experts are", "a folder with experts/<env>-<key>/ in it")
    out: str | None = argument(None, "where to write; null: <artifacts>/experts", "a folder, or null")


COLUMNS = ["iteration", "env_steps", "eval_return_mean", "eval_return_std", "wall_time_s"]


@dataclass(frozen=True)
class Expert:
    """An expert of the store: how it was made, its evaluations during the training, and what it achieves."""

    env_id: str
    settings: dict[str, Any]  # expert.* of its recipe
    curve: Any  # DataFrame with COLUMNS, a row for each evaluation; no rows for an expert trained elsewhere
    evaluation: dict[str, float]

    @property
    def chosen(self) -> Any:
        """The row of the curve that became the expert."""
        return self.curve[self.curve["iteration"] == self.evaluation["iteration"]].iloc[0]


def load_experts(artifacts: Path) -> list[Expert]:
    """Read the finished experts below `artifacts`, sorted by task and seed; those trained elsewhere come last.

    One with a damaged file is skipped with a warning.

    Raises:
        FileNotFoundError: if there is none.
    """
    experts = []
    for folder in finished(artifacts, "experts"):
        try:
            experts.append(_read_expert(folder))
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            log.warning("skipped %s: a file is damaged (%s: %s)", folder, type(error).__name__, error)
    if not experts:
        raise FileNotFoundError(f"artifacts={artifacts} holds no finished expert (experts/*/{MANIFEST})")
    return sorted(experts, key=lambda expert: (expert.env_id, expert.settings.get("seed", math.inf)))


def _read_expert(folder: Path) -> Expert:
    import pandas as pd

    recipe = json.loads((folder / MANIFEST).read_text())["recipe"]
    path = folder / CURVE
    curve = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=COLUMNS)
    curve = curve[COLUMNS].dropna().apply(pd.to_numeric)
    evaluation = json.loads((folder / EVALUATION).read_text())
    numbers = {name: float(value) for name, value in evaluation.items()}
    expert = Expert(str(recipe["env"]["id"]), dict(recipe["expert"]), curve, numbers)
    page([expert])  # so that what is damaged is found here
    return expert


def draw_experts(experts: list[Expert]) -> Any:
    """Draw the learning curves: a panel for each task, a line for each training, a dot at the chosen checkpoint.

    Args:
        experts: at least one, each with a curve.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    from analysis.panels import COLOURS, EXACT, PAPER_WIDTH, STYLE

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
            axis.yaxis.set_major_formatter(EXACT)
            axis.legend(frameon=False, loc="lower right")
        figure.supxlabel("Environment steps", fontsize=8)
        figure.supylabel("Return of the mean action, 10 episodes" if _ten(experts) else "Return", fontsize=8)
    return figure


def _ten(experts: list[Expert]) -> bool:
    return all(expert.settings["eval_episodes"] == 10 for expert in experts)


def page(experts: list[Expert]) -> str:
    """Return the table of what the experts achieve, in Markdown; a dash where an expert has no such number."""
    lines = [
        "| task | seed | return, mean action | episodes | found after [steps] | training [steps] | time [s] |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for expert in experts:
        result, training = expert.evaluation, ["–"] * 3
        if len(expert.curve):
            last = expert.curve.iloc[-1]
            steps = [f"{row['env_steps']:,.0f}" for row in (expert.chosen, last)]
            training = [*steps, f"{last['wall_time_s']:.0f}"]
        lines.append(
            f"| {expert.env_id} | {expert.settings.get('seed', '–')} "
            f"| {result['eval_return_mean']:.0f} ± {result['eval_return_std']:.0f} | {result['episodes']:.0f} "
            f"| {' | '.join(training)} |"
        )
    return "\n".join(lines) + "\n"


def work(chosen: ExpertsArguments) -> None:
    out = Path(chosen.out or Path(chosen.artifacts, "experts"))
    check_folder("out" if chosen.out else "artifacts", out)
    logging.basicConfig(format="%(levelname)s: %(message)s")
    try:
        experts = load_experts(Path(chosen.artifacts))
    except FileNotFoundError as error:
        raise CommandError(str(error)) from error
    print(page(experts))
    trained = [expert for expert in experts if len(expert.curve)]
    if not trained:
        print(
            "Every expert here was trained elsewhere: there is no learning curve to draw, and no file is written."
        )
        return
    paths = write_curves(trained, out)
    print("\n".join(["Wrote:", *(f"  {path}" for path in paths)]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 for a store without experts, 2 for a wrong argument."""
    return run_command(ExpertsArguments, SUMMARY, EXAMPLES, work, arguments)


def write_curves(experts: list[Expert], out: Path) -> list[Path]:
    """Write experts.png, experts.pdf and curves.csv into `out`; return their paths."""
    import pandas as pd

    from analysis.panels import save_figure

    curves = pd.concat([e.curve.assign(env=e.env_id, seed=e.settings["seed"]) for e in experts])
    with atomic(out / "curves.csv") as partial:
        curves.to_csv(partial, index=False, float_format="%.6g")
    return [*save_figure(draw_experts(experts), out, "experts", ["png", "pdf"]), out / "curves.csv"]


if __name__ == "__main__":
    sys.exit(main())
