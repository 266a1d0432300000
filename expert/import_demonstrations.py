"""`python -m expert.import_demonstrations source=my.npz env=hopper out=my_dataset`: arrays → a Minari dataset."""

from __future__ import annotations

import logging
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import hydra
from hydra.errors import HydraException

from expert import arrays
from gailfe.config.arguments import ArgumentError, argument, run_command
from gailfe.config.checks import parse
from gailfe.config.folders import CONF
from gailfe.config.keys import ConfigError
from gailfe.config.schema import EnvConfig
from gailfe.config.writable import check_folder
from gailfe.storage.files import room_for

SUMMARY = """python -m expert.import_demonstrations source=my.npz env=hopper out=my_dataset

Writes a Minari dataset that demonstrations=minari takes, from an .npz or an HDF5 file with these arrays (of an
HDF5 file, datasets at its root); rows are steps in time order, episode after episode:"""


@dataclass
class ImportArguments:
    source: str | None = argument(None, "the arrays", "an .npz, .h5 or .hdf5 file")
    out: str | None = argument(None, "the dataset", "a folder that isn't there yet")
    env: str = argument("hopper", "where they come from", "a file of conf/env/")
    config_dir: str | None = argument(None, "a folder with env/*.yaml of yours", "a folder")


def import_demonstrations(source: Path, out: Path, env: EnvConfig) -> str:
    """Write the arrays of `source` as a Minari dataset into `out`; returns what was written, in a line.

    Raises:
        LayoutError: if the arrays are not in the layout or don't fit `env`; nothing is written then.
        ConfigError: if `out` exists or can't be written, or `env` can't be made.
    """
    from expert.demonstrations import save_dataset  # --help and a mistyped key don't wait for torch and Minari
    from gailfe.envs.making import check_env

    check_folder("out", out)
    if out.exists():
        raise ConfigError(f"out={out} must be a folder that isn't there yet")
    spaces = check_env(env)
    try:
        found = arrays.read_arrays(source)
        arrays.check_arrays(found, spaces.observation, spaces.action)
        trajectories = arrays.cut_episodes(found, spaces.action)
    except arrays.LayoutError as error:
        raise arrays.LayoutError(f"source={source}: {error}") from error
    name = re.sub(r"\W", "_", out.name)
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    with room_for(out):
        save_dataset(partial, f"{name}-v0", trajectories, env, "imported", {"source": source.name})
        partial.rename(out)
    return (
        f"{out}: {len(trajectories)} episodes, {sum(map(len, trajectories))} steps, "
        f"{sum(t.terminated for t in trajectories)} episodes terminated"
    )


def work(chosen: ImportArguments) -> None:
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stdout)
    if not chosen.source or not chosen.out:
        raise ArgumentError("source=<file> and out=<folder> must be given (--help explains them)")
    try:
        env = _environment(chosen.env, chosen.config_dir)
    except (ConfigError, HydraException) as error:
        raise ArgumentError(str(error)) from error
    print(import_demonstrations(Path(chosen.source), Path(chosen.out), env))
    print(
        f"python -m gailfe.run env={chosen.env} demonstrations=minari demonstrations.dataset={chosen.out}"
        + (f" --config-dir {chosen.config_dir}" if chosen.config_dir else "")
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 for arrays that can't be imported, 2 for a wrong argument."""
    layout = str(arrays.__doc__).split("\n", 2)[2]
    examples = "Then: demonstrations=minari, as it prints."
    return run_command(ImportArguments, f"{SUMMARY}\n\n{layout}", examples, work, arguments)


def _environment(name: str, config_dir: str | None) -> EnvConfig:
    """Return the environment as the other commands see it with env=`name`."""
    overrides = [f"env={name}"]
    if config_dir is not None:
        overrides.append(f"hydra.searchpath=[file://{Path(config_dir).resolve()}]")
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return parse(hydra.compose("config", overrides)).env


if __name__ == "__main__":
    sys.exit(main())
