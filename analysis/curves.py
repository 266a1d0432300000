"""The tidy table of learning curves: made from run folders, saved as CSV and Parquet, loaded again.

One row a value: `env, algo, seed, iteration, env_steps, metric, value`; `seed`, `iteration` and `env_steps`
are plain int64, `value` is float64 and never NaN. Iterations count from 1. Rows at iteration 0 are facts
rather than measurements: a run's budget (`num_iterations`), whether its algorithm finished before that
(`stopped_early`), whether it was a quick demonstration (`quick_demonstration`), its Z_F (`z_f`), the evaluated
return of the expert that it imitated (`expert_return`), and, as algo `expert` with seed 0, the expert's
evaluated return (`eval_return_mean`, `eval_return_std`; one row an environment and distinct value). With
contaminated demonstrations the expert is the clean one.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from analysis.runs import COLUMNS, EXPERT, Run, RunsError, expert_rows, find_run_folders, read_run, run_rows
from gailfe.storage.files import atomic

log = logging.getLogger(__name__)

RESULTS_FILES = ("curves.parquet", "curves.csv")
VALID_SOURCES = (
    "valid: a folder with run folders below it (each with config.yaml and metrics.csv), a results folder "
    "with curves.parquet in it, or a results file (.parquet, .csv)"
)


def load_curves(*sources: Path, seeds: Sequence[int] = ()) -> pd.DataFrame:
    """Return the tidy table behind `sources`: run folders, results files, or folders that hold one.

    Run folders win over a `curves.parquet` beside them, which an earlier, half-done drawing may have left.

    Args:
        seeds: the runs to take; none: all of them.

    Raises:
        RunsError: nothing usable is there, a run is in two places, or not all of the seeds are there; the message
            says what would be valid.
    """
    curves = _together({source: _load_all(source) for source in sources})
    if not seeds:
        return curves
    of_runs = curves["algo"] != EXPERT
    there = sorted(int(seed) for seed in curves.loc[of_runs, "seed"].unique())
    if not set(seeds) <= set(there):
        raise RunsError(f"seeds={list(seeds)}: the runs in {', '.join(map(str, sources))} have the seeds {there}")
    return curves[~of_runs | curves["seed"].isin(seeds)].reset_index(drop=True)


def _together(tables: dict[Path, pd.DataFrame]) -> pd.DataFrame:
    seen: dict[tuple[str, str, int], Path] = {}
    for source, table in tables.items():
        runs = table.loc[table["algo"] != EXPERT, ["env", "algo", "seed"]].drop_duplicates()
        for run in runs.itertuples(index=False, name=None):
            if seen.setdefault(run, source) is not source:
                raise RunsError(
                    f"runs={seen[run]} and {source} both hold {run[0]}/{run[1]}/seed={run[2]}; "
                    "valid: each run once"
                )
    return tidy(pd.concat(tables.values())).drop_duplicates(ignore_index=True)


def _load_all(source: Path) -> pd.DataFrame:
    if not source.exists():
        raise RunsError(f"runs={source} does not exist; {VALID_SOURCES}")
    if source.is_file():
        return read_results_file(source)
    folders = find_run_folders(source)
    if folders:
        return read_run_folders(folders)
    for name in RESULTS_FILES:
        if (source / name).is_file():
            return read_results_file(source / name)
    raise RunsError(f"runs={source} holds no run folder and no results file; {VALID_SOURCES}")


def read_run_folders(folders: list[Path]) -> pd.DataFrame:
    """Return the tidy table of these run folders; one that is no imitation run or is damaged is skipped and named.

    Raises:
        RunsError: none of them is a whole run, or two of them are the same run (env, algo, seed).
    """
    runs = [run for run in map(read_run, folders) if run is not None]
    if not runs:
        raise RunsError(
            f"none of the {len(folders)} folders such as {folders[0]} is an imitation run; "
            "valid: config.yaml has env.name, algo.name and seed"
        )
    refuse_twins(runs)
    frames, damaged = [], []
    for run in runs:
        try:
            frames += [run_rows(run), expert_rows(run)]  # runs that share an expert each have a copy of its return
        except RunsError as error:
            log.warning("skipped %s", error)
            damaged.append(error)
    if len(damaged) == len(runs):
        raise damaged[0]
    filled = [frame for frame in frames if len(frame)]
    table = pd.concat(filled) if filled else pd.DataFrame(columns=COLUMNS)
    return tidy(table).drop_duplicates(ignore_index=True)


def refuse_twins(runs: list[Run]) -> None:
    """Raise RunsError where two folders claim the same env, algo and seed, to be averaged silently."""
    seen: dict[tuple[str, str, int], Run] = {}
    for run in runs:
        twin = seen.setdefault((run.env, run.algo, run.seed), run)
        if twin is not run:
            raise RunsError(
                f"{twin.folder} and {run.folder} are both {run.env}/{run.algo}/seed={run.seed}; "
                "valid: the folder of one experiment, with one folder for each env, algo and seed"
            )


def read_results_file(path: Path) -> pd.DataFrame:
    """Return the tidy table saved at `path` (.parquet or .csv).

    Raises:
        RunsError: another suffix, an unreadable file, or a table that is not the tidy one.
    """
    readers: dict[str, Callable[[Path], pd.DataFrame]] = {".parquet": pd.read_parquet, ".csv": pd.read_csv}
    if path.suffix not in readers:
        raise RunsError(f"runs={path} is neither a folder nor a .parquet or .csv file; {VALID_SOURCES}")
    try:
        table = readers[path.suffix](path)
    except (OSError, ValueError) as error:  # the readers' own errors are ValueErrors
        raise RunsError(f"runs={path} is not readable as {path.suffix}: {error}") from None
    absent = [name for name in COLUMNS if name not in table]
    if absent:
        raise RunsError(
            f"runs={path} has no column {', '.join(absent)}; valid: the long form {', '.join(COLUMNS)}"
        )
    try:
        curves = tidy(table)
    except (ValueError, TypeError) as error:
        raise RunsError(f"runs={path}: a value has the wrong type: {error}") from None
    _check_values(curves, table, path)
    return curves


def _check_values(curves: pd.DataFrame, table: pd.DataFrame, path: Path) -> None:
    """Check the values of a results file.

    Args:
        curves: the tidy form of `table`, which is as it was read from `path`.

    Raises:
        RunsError: a seed, iteration or number of steps that is not whole, or two values of the same thing.
    """
    for name in ("seed", "iteration", "env_steps"):
        values = pd.to_numeric(table[name])
        if (values % 1 != 0).any():
            raise RunsError(f"runs={path}: {name}={values[values % 1 != 0].iloc[0]} must be a whole number")
    of_runs = curves[curves["algo"] != EXPERT].drop_duplicates()
    twice = of_runs[of_runs.duplicated(["env", "algo", "seed", "metric", "iteration"])]
    if len(twice):
        row = twice.iloc[0]
        raise RunsError(
            f"runs={path} has two values of {row['metric']} in iteration {row['iteration']} of "
            f"{row['env']}/{row['algo']}/seed={row['seed']}; valid: each run once"
        )


def tidy(table: pd.DataFrame) -> pd.DataFrame:
    """Return the same rows in the one order and the dtypes that the module's docstring promises."""
    whole = dict.fromkeys(("seed", "iteration", "env_steps"), "int64")
    text = dict.fromkeys(("env", "algo", "metric"), "str")
    typed = table[COLUMNS].astype({**text, **whole, "value": "float64"}).dropna(subset=["value"])
    order = ["env", "algo", "seed", "metric", "iteration", "value"]
    return typed.sort_values(order, ignore_index=True)


def save_curves(curves: pd.DataFrame, folder: Path) -> list[Path]:
    """Writes `curves.csv` and `curves.parquet` into `folder`, each of them whole or not at all."""
    csv, parquet = folder / "curves.csv", folder / "curves.parquet"
    with atomic(csv) as partial:
        curves.to_csv(partial, index=False)
    with atomic(parquet) as partial:
        # Two thirds of the size that the defaults give.
        repeated = [name for name in COLUMNS if name != "value"]
        curves.to_parquet(
            partial, index=False, compression="zstd", use_dictionary=repeated, use_byte_stream_split=["value"]
        )
    return [csv, parquet]


def measurements(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that a run measured: neither facts about it nor the expert's return."""
    return curves[(curves["iteration"] >= 1) & (curves["algo"] != EXPERT)]
