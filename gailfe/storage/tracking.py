"""Metrics to disk and to W&B."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gailfe.config.keys import ConfigError
from gailfe.config.schema import Config

COLUMNS = [
    "iteration",
    "env_steps",
    "wall_time_s",
    "return_mean",
    "return_std",
    "episode_length_mean",
    "episodes",
    "eval_return_mean",
    "eval_return_std",
    "eval_episode_length_mean",
    "d_policy",
    "d_expert",
    "d_failed",
    "log_d_failed",
    "lambda_f",
    "failure_buffer_trajectories",
    "failed_episodes",
    "kl",
    "entropy",
    "surrogate_improvement",
    "backtracks",
    "value_loss",
    "discriminator_loss",
    "reward_mean",
    "steps_per_s",
]


class MetricsFile:
    """metrics.csv: one row an iteration, on disk when `log` returns; an empty cell where a quantity doesn't exist.

    Args:
        path: of the file.
        keep: rows after this iteration are dropped: a run that goes on from a checkpoint makes them again.
    """

    def __init__(self, path: Path, keep: int) -> None:
        kept = _complete_rows(path, keep)
        partial = path.with_suffix(".partial")
        with partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(kept)
        partial.replace(path)
        self._file = path.open("a", newline="")
        self._writer = csv.DictWriter(self._file, COLUMNS)

    def log(self, row: dict[str, float]) -> None:
        """Append a row; its keys must be among COLUMNS."""
        self._writer.writerow(row)
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _complete_rows(path: Path, last: int) -> list[dict[str, str]]:
    """Rows up to iteration `last`, less a half-written line at the end."""
    if not path.exists():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    return [row for row in csv.DictReader(io.StringIO(whole)) if int(row["iteration"]) <= last]


def check_tracking(config: Config) -> None:
    """Refuse what would fail, or wait for an answer, only after hours of work.

    Raises:
        ConfigError: for online tracking without an API key.
    """
    if config.tracking.wandb and config.tracking.mode == "online":
        import wandb

        wandb.setup(wandb.Settings(silent=True))  # else it also asks the server who we are
        if not wandb.login(prompt=False, verify=False):
            raise ConfigError(
                "tracking.mode=online needs a W&B API key: run `wandb login` or set WANDB_API_KEY; "
                "tracking.mode=offline needs none, and `wandb sync` uploads it later"
            )


def start_wandb(config: Config, folder: Path, run_id: str) -> Any:
    """A W&B run in `folder`, grouped by environment and algorithm, plotted against env_steps; None without.

    The same `run_id` goes on where an interrupted run stopped.
    """
    if not config.tracking.wandb:
        return None
    import wandb

    group = f"{config.env.name}/{config.algo.name}"
    run = wandb.init(
        project=config.tracking.project,
        entity=config.tracking.entity,
        mode=config.tracking.mode,  # type: ignore[arg-type]  # see checks.py
        dir=folder,
        id=run_id,
        resume="allow",
        group=group,
        job_type=config.algo.name,
        name=f"{group}/{folder.name}",
        tags=[config.experiment, config.env.name, config.algo.name],
        config=asdict(config),
        settings=wandb.Settings(console="off", silent=True),
    )
    run.define_metric("env_steps")
    run.define_metric("*", step_metric="env_steps")
    return run
