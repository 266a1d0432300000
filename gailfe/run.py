"""The command line: `python -m gailfe.run algo=gailfe env=hopper seed=0`; see `--help`."""

from __future__ import annotations

import sys

import hydra
from omegaconf import DictConfig

from gailfe.config.checks import prepare
from gailfe.config.help import help_page
from gailfe.sweep import report_errors


@hydra.main(config_path="pkg://conf", config_name="config", version_base="1.3")
def job(cfg: DictConfig) -> None:
    """One run."""
    with report_errors() as folder:
        config = prepare(cfg)
        from gailfe.pipeline import run  # only now: a refused configuration doesn't wait for torch

        run(config, folder)


def main() -> None:
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(help_page())  # Hydra composes every group for its own, which takes longer than all the rest
    else:
        job()


if __name__ == "__main__":
    main()
