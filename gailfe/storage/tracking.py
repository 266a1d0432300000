"""Writes metrics to disk and to W&B."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gailfe.config.schema import Config, ConfigError
from gailfe.storage.files import atomic

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
    """metrics.csv: a row for each iteration. A cell is empty where a quantity does not exist.

    Args:
        path: of the file. Rows that are there already stay, up to iteration `keep`.
        keep: the iteration of the checkpoint that the run goes on from, or 0. Later rows are made again.
    """

    def __init__(self, path: Path, keep: int) -> None:
        kept = _complete_rows(path, keep)
        with atomic(path) as partial, partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(kept)
        self._file = path.open("a", newline="")
        self._writer = csv.DictWriter(self._file, COLUMNS)

    def log(self, row: dict[str, float]) -> None:
        """Append a row; other processes can read it at once. Raises ValueError for a key outside COLUMNS."""
        self._writer.writerow(row)
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _complete_rows(path: Path, last: int) -> list[dict[str, str]]:
    """Read the rows up to iteration `last`, without a half-written line at the end."""
    if not path.exists():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    return [row for row in csv.DictReader(io.StringIO(whole)) if int(row["iteration"]) <= last]


def check_tracking(config: Config) -> None:
    """Refuse a tracking that would fail later, or would wait for an answer in the terminal.

    Raises:
        ConfigError: if online tracking has no API key.
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
    """Start a W&B run whose files are in `folder`; None if W&B is switched off.

    Runs are grouped by environment and algorithm, and plotted against env_steps. An interrupted run goes on when
    it is started with the same `run_id`.
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
