"""`python -m gailfe.watch run=[<folder>,<folder>]` films what runs have learned beside their expert."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gailfe.config.arguments import ArgumentError, argument, run_command
from gailfe.config.keys import ENVIRONMENTS, SEED, Refusal
from gailfe.config.writable import check_folder

if TYPE_CHECKING:  # --help doesn't wait for torch
    from gailfe.nn.acting import CanAct

HELP = """\
python -m gailfe.watch run=runs/figure1/hopper/gail/seed=0
python -m gailfe.watch run=[runs/figure1/hopper/gail/seed=0,runs/figure1/hopper/gailfe/seed=0]

Films the policies that runs of one environment have learned, and the first run's expert where it is there, side
by side, with their mean actions. All of them begin in the same initial states; of each, the episode of median
return is shown. It also films a run that is still going. Needs the extra `video`, and OpenGL for MuJoCo's tasks.
The last line is the path of the video."""

EXAMPLES = "Example:\n  python -m gailfe.watch run=runs/quick/halfcheetah/gail/seed=0 out=gail.mp4"


@dataclass
class WatchArguments:
    run: list[str] = argument([], "the runs, from left to right", "folders; at least one must be given")
    episodes: int = argument(5, "episodes of each, of which the one of median return is shown", ENVIRONMENTS)
    seed: int = argument(0, "of the initial states", SEED)
    artifacts: str | None = argument(
        None, "where the expert is; null: the run's paths.artifacts, from the working directory", "a folder"
    )
    out: str | None = argument(
        None,
        "the video; null: video.mp4 in the run's folder, or of several runs in the one that holds them all",
        "a path of an .mp4 file",
    )


def work(chosen: WatchArguments) -> None:
    if not chosen.run:
        raise ArgumentError("run=<folder> must be given (--help explains it)")
    given = [folder.absolute() for folder in folders(chosen.run)]
    out = Path(chosen.out or os.path.join(os.path.commonpath(given), "video.mp4"))
    if out.suffix != ".mp4":
        raise ArgumentError(f"out={out} must end in .mp4")
    check_folder("out" if chosen.out else "run", out.parent)
    if out.is_dir():
        raise ArgumentError(f"out={out} must be a file, and is a folder")
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stdout)
    import torch

    from gailfe.commands import refuse_shadowed_packages

    refuse_shadowed_packages()
    from expert.experts import env_recipe
    from expert.video import encoder
    from expert.watch import film_policies
    from gailfe.learned import load_learned

    torch.set_num_threads(1)
    runs = [load_learned(folder) for folder in folders(chosen.run)]
    env = runs[0].env
    for run in runs:
        if env_recipe(run.env) != env_recipe(env):
            raise ArgumentError(
                f"run={run.folder} is of {env_recipe(run.env)}, and must be of {env_recipe(env)}, as "
                f"{runs[0].folder} is"
            )
    encoder()  # before the work
    policies: list[tuple[str, CanAct]] = [
        (f"{run.algo} {run.folder.name}, {run.progress}", run.policy) for run in runs
    ]
    try:
        policies.append(("expert", find_expert(runs[0].folder, chosen.artifacts)))
    except Refusal as reason:
        print(f"without the expert: {reason}")
    film_policies(env, policies, chosen.episodes, chosen.seed, out)
    print(out)


def folders(given: Sequence[str]) -> list[Path]:
    """Return the folders that a list names. Overrides in a run's name are separated by commas, as the list is:
    parts that name a folder together belong together."""
    parts, found = list(given), []
    while parts:
        joined = [",".join(parts[:count]) for count in range(len(parts), 0, -1)]
        name = next((name for name in joined if Path(name).is_dir()), parts[0])
        found.append(Path(name))
        del parts[: name.count(",") + 1]
    return found


def find_expert(run: Path, artifacts: str | None) -> CanAct:
    """Return the expert that a run learned from.

    Raises:
        Refusal: if there is none, with the reason.
    """
    from expert.experts import expert_of
    from gailfe.config.keys import ConfigError
    from gailfe.learned import config_of
    from gailfe.storage.store import Store

    config = config_of(run)
    if config.demonstrations.dataset is not None:
        raise ConfigError(f"{run} learned from demonstrations.dataset={config.demonstrations.dataset}")
    expert, store = expert_of(config), Store(Path(artifacts or config.paths.artifacts))
    folder = expert.existing(store)
    if folder is None:
        raise ConfigError(f"{store.root} doesn't have it (artifacts=<folder> says where it is)")
    return expert.load(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 for what can't be filmed, 2 for a wrong argument."""
    return run_command(WatchArguments, HELP, EXAMPLES, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
