"""Synthetic run folders, and what a figure shows of them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from analysis.panels import draw_panels
from analysis.summary import summarise

STEPS = 1024  # environment steps an iteration

Values = dict[int, float]  # iteration → evaluated return


def make_run(
    root: Path,
    env: str = "hopper",
    algo: str = "gail",
    seed: int = 0,
    evaluated: Values | None = None,
    training: Values | None = None,
    iterations: int = 4,
    budget: int = 4,
    folder_name: str | None = None,
    experiment: str = "figure1",
    expert: float | None = 2000.0,
) -> Path:
    """A run folder as the training loop leaves it, with `iterations` rows and these returns in them."""
    folder = root / env / algo / (folder_name or f"seed={seed}")
    folder.mkdir(parents=True)
    OmegaConf.save(
        {
            "env": {"name": env, "num_iterations": budget},
            "algo": {"name": algo},
            "seed": seed,
            "experiment": experiment,
        },
        folder / "config.yaml",
    )
    if evaluated is None:
        evaluated = {2: 100.0, 4: 200.0}
    rows = pd.DataFrame({"iteration": range(1, iterations + 1)})
    rows["env_steps"] = STEPS * rows["iteration"]
    rows["return_mean"] = rows["iteration"].map(training or {})
    rows["eval_return_mean"] = rows["iteration"].map(evaluated)
    rows["lambda_f"] = float("nan")
    rows["kl"] = 0.01
    rows.to_csv(folder / "metrics.csv", index=False)
    if expert is not None:
        (folder / "expert.json").write_text(json.dumps({"eval_return_mean": expert, "eval_return_std": 5.0}))
    return folder


def make_runs(
    root: Path, algo: str, finals: list[float], others: str = "", first_seed: int = 0, **keys
) -> list[Path]:
    """Folders of runs that return `final / 2` at iteration 2 and `final` at 4, a seed for each of `finals`."""
    return [
        make_run(
            root,
            algo=algo,
            seed=seed,
            evaluated={2: final / 2, 4: final},
            folder_name=f"seed={seed}{others}",
            **keys,
        )
        for seed, final in enumerate(finals, first_seed)
    ]


def records(root: Path, baseline: str = "gail") -> dict[str, dict]:
    """The JSON records by the label of the algorithm."""
    return {record["algo"]: record for record in summarise([root], baseline)[1]}


def make_sweep(root: Path) -> Path:
    """Two envs × two algos × two seeds, all of them done."""
    for env in ("hopper", "halfcheetah"):
        for algo in ("gail", "gailfe"):
            for seed in (0, 1):
                offset = 10.0 * seed + (100.0 if algo == "gailfe" else 0.0)
                make_run(root, env, algo, seed, {2: 100.0 + offset, 4: 200.0 + offset})
    return root


def write_hydras(folder: Path, overrides: list[str], params: dict[str, str] | None) -> None:
    """What Hydra leaves in a run's folder: its overrides, and what the experiment sweeps over or fixes."""
    (folder / ".hydra").mkdir()
    OmegaConf.save(overrides, folder / ".hydra" / "overrides.yaml")
    OmegaConf.save({"hydra": {"sweeper": {"params": params}}}, folder / ".hydra" / "hydra.yaml")


def announce(folder: Path, *jobs: tuple[str, str, int], others: str = "") -> None:
    """What a sweep leaves in its folder about the jobs that it was asked for."""
    listed = {
        f"{env}/{algo}/seed={seed}{others}": {"env": env, "algo": algo, "seed": seed} for env, algo, seed in jobs
    }
    folder.mkdir(exist_ok=True)
    (folder / "jobs.json").write_text(json.dumps(listed))


def drawn_lines(curves: pd.DataFrame, metric: str = "eval_return_mean") -> list[tuple[str, list, list]]:
    """(panel, iterations, values) of every line in the figure."""
    figure = draw_panels(curves, metric, None, [])
    return [
        (axis.get_title(), np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist())
        for axis in figure.axes
        for line in axis.lines
    ]
