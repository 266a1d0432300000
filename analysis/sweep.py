"""What a sweep still lacks: runs without a folder, without rows, or short of their budget of iterations."""

import itertools
import json
import logging
from pathlib import Path, PurePosixPath

import pandas as pd

from analysis.curves import measurements
from analysis.runs import EXPERT, NUM_ITERATIONS, algo_label, overrides_in_name
from gailfe.storage.names import JOBS

log = logging.getLogger(__name__)

RunKey = tuple[str, str, int]  # env, algo (label), seed


def announced_runs(folder: Path) -> set[RunKey]:
    """The runs that sweeps into `folder` were asked for, from the `jobs.json` that they left there.

    A missing file announces nothing; one that cannot be understood neither, and is logged.
    """
    path = folder / JOBS
    try:
        jobs = json.loads(path.read_text())
        return {
            (job["env"], algo_label(job["algo"], overrides_in_name(PurePosixPath(subfolder).name)), job["seed"])
            for subfolder, job in jobs.items()
        }
    except FileNotFoundError:
        return set()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("%s announces no runs: %s", path, error)
        return set()


def missing_runs(curves: pd.DataFrame, announced: set[RunKey]) -> list[str]:
    """One line a run that the sweep lacks in part or whole: `hopper/gail/seed=2: 310 of 1000 iterations`.

    The sweep's extent is the runs `announced`; where none are, every combination of those seen.
    """
    keys = ["env", "algo", "seed"]
    runs = curves[curves["algo"] != EXPERT]
    seen = set(runs[keys].itertuples(index=False, name=None))
    extent = announced or set(itertools.product(*(runs[key].unique().tolist() for key in keys)))
    reached = measurements(curves).groupby(keys)["iteration"].max().to_dict()
    budgets = runs[runs["metric"] == NUM_ITERATIONS].set_index(keys)["value"].to_dict()
    lines = []
    for run in sorted(extent | seen):
        name = f"{run[0]}/{run[1]}/seed={run[2]}"
        done, budget = reached.get(run, 0), budgets.get(run)
        if run not in seen:
            lines.append(f"{name}: no run folder")
        elif not done:
            lines.append(f"{name}: no rows yet")
        elif budget is not None and done < budget:
            lines.append(f"{name}: {done:.0f} of {budget:.0f} iterations")
    return lines
