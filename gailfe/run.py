"""The command line: `python -m gailfe.run algo=gailfe env=hopper seed=0`; see `--help`."""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from gailfe.checks import prepare
from gailfe.sweep import report_errors


@hydra.main(config_path="pkg://conf", config_name="config", version_base="1.3")
def main(cfg: DictConfig) -> None:
    with report_errors() as folder:
        config = prepare(cfg)
        from gailfe.pipeline import run  # only now: --help and a refused config don't wait for torch

        run(config, folder)


if __name__ == "__main__":
    main()
