"""Finds what a sweep still lacks: runs without a folder, without rows, or with fewer iterations than planned."""

import itertools
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.arguments import folder_of
from analysis.curves import measurements
from analysis.layout import Wording
from analysis.runs import EXPERT, NUM_ITERATIONS, STOPPED_EARLY, algo_label
from gailfe.storage.names import JOBS
from gailfe.storage.run_names import HYDRAS, overrides_in_name, overrides_of

log = logging.getLogger(__name__)

RunKey = tuple[str, str, int]  # env, algo (label), seed


def announced_runs(*sources: Path) -> set[RunKey]:
    """Read which runs the sweeps into some folders had, from the `jobs.json` that they wrote there.

    Args:
        sources: these folders, or files in them.

    Returns:
        The runs. None of a folder without such a file, and, with a warning, where it can't be understood.
    """
    return set().union(*map(_announced_in, sources))


def _announced_in(source: Path) -> set[RunKey]:
    path = folder_of(source) / JOBS
    try:
        jobs = json.loads(path.read_text())
        return {
            (job["env"], algo_label(job["algo"], _overrides(path.parent / subfolder)), job["seed"])
            for subfolder, job in jobs.items()
        }
    except FileNotFoundError:
        return set()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("%s is not a list of a sweep's jobs, so runs may be missing unnoticed: %s", path, error)
        return set()


def _overrides(folder: Path) -> list[str]:
    """Return the overrides of a job that may have no folder yet."""
    return overrides_of(folder) if (folder / HYDRAS).exists() else overrides_in_name(folder.name)


def missing_runs(curves: pd.DataFrame, announced: set[RunKey], seeds: Sequence[int] = ()) -> list[str]:
    """Describe each run that is missing or not complete: `hopper/gail/seed=2: 310 of 1000 iterations`.

    Args:
        curves: the tidy table.
        announced: the runs that the sweep should have; if empty, all combinations of the env, algo and seed that
            `curves` has.
        seeds: of the announced runs that count; none: all of them.
    """
    announced = {run for run in announced if not seeds or run[2] in seeds}
    keys = ["env", "algo", "seed"]
    runs = curves[curves["algo"] != EXPERT]
    seen = set(runs[keys].itertuples(index=False, name=None))
    extent = announced or set(itertools.product(*(runs[key].unique().tolist() for key in keys)))
    reached = measurements(curves).groupby(keys)["iteration"].max().to_dict()
    budgets = runs[runs["metric"] == NUM_ITERATIONS].set_index(keys)["value"].to_dict()
    finished = set(runs.loc[runs["metric"] == STOPPED_EARLY, keys].itertuples(index=False, name=None))
    wording = Wording.of({run[1] for run in extent | seen})
    lines = []
    for run in sorted(extent | seen):
        name = f"{run[0]}/{wording.label(run[1])}/seed={run[2]}"
        done, budget = reached.get(run, 0), budgets.get(run)
        if run not in seen:
            lines.append(f"{name}: no run folder")
        elif not done:
            lines.append(f"{name}: no rows yet")
        elif budget is not None and done < budget and run not in finished:
            lines.append(f"{name}: {done:.0f} of {budget:.0f} iterations")
    return lines


def missing_text(missing: list[str]) -> str:
    """Return what a command prints about missing runs; empty if the sweep is complete.

    Args:
        missing: from `missing_runs`.
    """
    if not missing:
        return ""
    return "\n".join([f"Not complete, {len(missing)} of the sweep's runs:", *(f"  {line}" for line in missing)])
