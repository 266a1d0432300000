"""What a sweep still lacks: runs without a folder, without rows, or short of their budget of iterations."""

import itertools
import logging
import re
from pathlib import Path

import pandas as pd
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from analysis.curves import measurements
from analysis.runs import EXPERT, IDENTITY_KEYS, NUM_ITERATIONS, algo_label

log = logging.getLogger(__name__)

RunKey = tuple[str, str, int]  # env, algo (label), seed

# How gailfe/folders.py names run folders: these leave no trace in a name, odd characters become `_`.
UNNAMED_KEYS = frozenset({*IDENTITY_KEYS, "device", "checkpoint_every"})
UNNAMED_GROUPS = frozenset({"paths", "tracking", "hydra"})
ODD_CHARACTERS = re.compile(r"[^\w.=,-]")


def announced_runs(folder: Path) -> set[RunKey]:
    """The runs that the last sweep into `folder` was asked for, from the `multirun.yaml` Hydra left there.

    Takes the name of a file in conf/env or conf/algo for the environment's or algorithm's own name. A
    missing file announces nothing; one that cannot be understood neither, and is logged.
    """
    path = folder / "multirun.yaml"
    if not path.is_file():
        return set()
    try:
        config = OmegaConf.load(path)
        params = OmegaConf.select(config, "hydra.sweeper.params") or {}
        lines = [f"{key}={value}" for key, value in params.items()]
        lines += list(OmegaConf.select(config, "hydra.overrides.task") or [])
        # The command line comes last and wins over the experiment file, as in the jobs themselves.
        overrides = {item.key_or_group: item for item in OverridesParser.create().parse_overrides(lines)}
        choices = {key: values_of(item) for key, item in overrides.items()}
        for key in ("env", "algo"):
            choices.setdefault(key, [str(OmegaConf.select(config, f"hydra.runtime.choices.{key}"))])
        choices.setdefault("seed", [str(OmegaConf.select(config, "seed"))])
        others = [key for key in choices if is_in_folder_name(key)]
        return {
            (env, label_of(algo, others, settings), int(seed))
            for env, algo, seed, *settings in itertools.product(
                *(choices[key] for key in ("env", "algo", "seed", *others))
            )
        }
    # Whatever is odd about a file that only adds to a note must not cost the figure.
    except Exception as error:
        log.warning("%s announces no runs: %s", path, str(error).splitlines()[0] if str(error) else error)
        return set()


def values_of(override: Override) -> list[str]:
    """`seed=0,1,2` and `seed=range(0,3)` → `["0", "1", "2"]`; a single value → itself."""
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    return [override.get_value_element_as_str()]


def is_in_folder_name(key: str) -> bool:
    """Whether an override of `key` is part of a run folder's name, and so of its algorithm's label."""
    return key not in UNNAMED_KEYS and re.split(r"[./@]", key)[0] not in UNNAMED_GROUPS


def label_of(algo: str, keys: list[str], values: list[str]) -> str:
    """The label that `runs.read_run` gives to a run with these overrides."""
    written = [f"{key}={value}" for key, value in zip(keys, values, strict=True)]
    return algo_label(algo, [ODD_CHARACTERS.sub("_", item) for item in written])


def missing_runs(curves: pd.DataFrame, announced: set[RunKey]) -> list[str]:
    """One line a run that the sweep lacks in part or whole: `hopper/gail/seed=2: 310 of 1000 iterations`.

    The sweep's extent is every combination of the envs, algos and seeds seen, and the runs `announced`.
    """
    keys = ["env", "algo", "seed"]
    runs = curves[curves["algo"] != EXPERT]
    seen = set(runs[keys].itertuples(index=False, name=None))
    extent = set(itertools.product(*(runs[key].unique().tolist() for key in keys))) | announced
    reached = measurements(curves).groupby(keys)["iteration"].max().to_dict()
    budgets = runs[runs["metric"] == NUM_ITERATIONS].set_index(keys)["value"].to_dict()
    lines = []
    for run in sorted(extent):
        name = f"{run[0]}/{run[1]}/seed={run[2]}"
        done, budget = reached.get(run, 0), budgets.get(run)
        if run not in seen:
            lines.append(f"{name}: no run folder")
        elif not done:
            lines.append(f"{name}: no rows yet")
        elif budget is not None and done < budget:
            lines.append(f"{name}: {done:.0f} of {budget:.0f} iterations")
    return lines
