"""Stage 1: `python -m expert.train env=hopper` trains an expert with PPO and keeps its best checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

from expert.experts import make_expert
from gailfe.commands import command
from gailfe.config.schema import Config
from gailfe.storage.names import EVALUATION
from gailfe.storage.store import Store

USAGE = """\
python -m expert.train [key=value ...]

Trains an expert with PPO on the environment's own reward, unless it is there already, and prints its folder.

  python -m expert.train env=hopper
  python -m expert.train experiment=tune_expert env=hopper   an Optuna study of PPO's settings
"""


@command(USAGE)
def main(config: Config) -> float | None:
    """Returns what a study of stage 1 maximises: the expert's mean return in the final evaluation."""
    folder = make_expert(config, Store(Path(config.paths.artifacts)))
    print(folder)
    return float(json.loads((folder / EVALUATION).read_text())["eval_return_mean"])


if __name__ == "__main__":
    main()
