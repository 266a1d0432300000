"""The command line: `python -m gailfe.run algo=gailfe env=hopper seed=0`; see `--help`."""

from __future__ import annotations

from gailfe.commands import command, in_sweep, output_folder
from gailfe.config.schema import Config

USAGE = """\
python -m gailfe.run [key=value ...]          one run: expert, demonstrations, imitation; finished stages are kept
python -m gailfe.run -m [key=value,value ...] a sweep over all combinations, on all cores, and its figure

  python -m gailfe.run algo=gailfe env=hopper seed=0
  python -m gailfe.run -m algo=gail,gailfe env=hopper,halfcheetah seed=0,1,2
"""


@command(USAGE)
def main(config: Config) -> None:
    from gailfe.pipeline import run  # only now: --help and a refused configuration don't wait for it

    run(config, output_folder(), wait=in_sweep())


if __name__ == "__main__":
    main()
