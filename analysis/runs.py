"""Finds run folders, reads their configuration, and makes tidy rows of their metrics.

A run folder is any folder that holds `config.yaml` and `metrics.csv`. Its name carries the overrides that
set it apart from the plain run (`seed=0,algo.z_f=-0.1`): they become part of its algorithm's label, so that
a mean over seeds never mixes two settings.
"""

import io
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from gailfe.config.arguments import CommandError
from gailfe.storage.finished import check_finished, read_summary
from gailfe.storage.names import CONFIG, EXPERT_RECORD, METRICS
from gailfe.storage.records import EVALUATED, read_record
from gailfe.storage.run_names import overrides_of
from gailfe.storage.store import ArtifactError

log = logging.getLogger(__name__)

COLUMNS = ["env", "algo", "seed", "iteration", "env_steps", "metric", "value"]
EXPERT = "expert"

# Facts about a run are rows at iteration 0; its measurements begin at iteration 1. So a results file has the same
# information about a half-done sweep as the run folders that it was made from.
NUM_ITERATIONS = "num_iterations"
STOPPED_EARLY = "stopped_early"
QUICK = "quick_demonstration"
Z_F = "z_f"
EXPERT_RETURN = "expert_return"


# These have a column, a folder level or a key of their own: they are no part of an algorithm's label.
IDENTITY_KEYS = frozenset({"env", "algo", "seed"})


class RunsError(CommandError):
    """A source of curves that cannot be used; the message names the path and what would be valid."""


@dataclass(frozen=True)
class Run:
    """A run, from its folder; `algo` is the label, overrides included."""

    folder: Path
    env: str
    algo: str
    seed: int
    num_iterations: int | None  # its budget
    stopped_early: bool  # its algorithm finished before that
    quick: bool
    z_f: float | None


def find_run_folders(root: Path) -> list[Path]:
    """Find all run folders at or below `root`, sorted; hidden folders and those inside a run are not searched."""
    found = []
    for folder, subfolders, files in os.walk(root):
        if CONFIG in files and METRICS in files:
            found.append(Path(folder))
            subfolders.clear()
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
    return sorted(found)


def algo_label(algo: str, overrides: Iterable[str]) -> str:
    """`gailfe` and `["algo.z_f=-0.1"]` → `gailfe (algo.z_f=-0.1)`."""
    others = sorted(item for item in overrides if item.split("=")[0] not in IDENTITY_KEYS)
    return f"{algo} ({', '.join(others)})" if others else algo


def parse_label(label: str) -> tuple[str, frozenset[str]]:
    """`gailfe (algo.z_f=-0.1)` → `gailfe` and `{"algo.z_f=-0.1"}`: what `algo_label` was made from."""
    algo, _, others = label.removesuffix(")").partition(" (")
    return algo, frozenset(others.split(", ")) if others else frozenset()


def read_run(folder: Path) -> Run | None:
    """Return the run in `folder`, or None, with a warning, where `config.yaml` is not that of an imitation run."""
    path = folder / CONFIG
    try:
        config = OmegaConf.load(path)
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        log.warning("skipped %s: not readable as YAML (%s)", path, str(error).splitlines()[0])
        return None
    if not isinstance(config, DictConfig):
        config = OmegaConf.create({})
    try:
        found = {key: OmegaConf.select(config, key) for key in ("env.name", "algo.name", "seed")}
        budget = OmegaConf.select(config, "env.num_iterations")
        experiment = OmegaConf.select(config, "experiment")
        z_f = OmegaConf.select(config, "algo.failures.z_f") if _uses_z_f(config) else None
    except OmegaConfBaseException as error:
        log.warning("skipped %s: not a resolved config (%s)", path, str(error).splitlines()[0])
        return None
    absent = [key for key, value in found.items() if value is None]
    if absent:
        log.warning("skipped %s: it has no %s; a run's resolved config has them", path, ", ".join(absent))
        return None
    try:
        return Run(
            folder=folder,
            env=str(found["env.name"]),
            algo=algo_label(str(found["algo.name"]), overrides_of(folder)),
            seed=int(found["seed"]),
            num_iterations=None if budget is None else int(budget),
            stopped_early=_stopped_early(folder),
            quick=experiment == "quick",
            z_f=None if z_f is None else float(z_f),
        )
    except (ValueError, TypeError) as error:
        log.warning("skipped %s: its seed, num_iterations or z_f is no number (%s)", path, error)
        return None


def _uses_z_f(config: DictConfig) -> bool:
    """Return whether the rule for λ_F has Z_F as a threshold; it is in every configuration of GAILFE."""
    rule, reach = (OmegaConf.select(config, f"algo.failures.{key}") for key in ("rule", "reach"))
    return rule != "fixed" and (rule != "relative" or reach is not None)


def _stopped_early(folder: Path) -> bool:
    """Return whether a run has ended because its algorithm finished before the budget did.

    If a file of a finished run is damaged, the log names it: what is drawn may not be what the run was.
    """
    stopped_early = False
    try:
        summary = read_summary(folder)
        if summary is not None:
            stopped_early = summary["stopped_early"]
            check_finished(folder, summary)
    except ArtifactError as error:
        log.warning("%s: this run is drawn as it is", error)
    return stopped_early


def read_metrics(path: Path) -> pd.DataFrame:
    """`metrics.csv` as `(iterations, metrics)`, without a line that is being written just now.

    Raises:
        RunsError: the file is no UTF-8, has no `iteration` or `env_steps` column, or a line with too many cells.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RunsError(f"{path} is damaged: {error}") from None
    # A line without its newline is half-written: even where every cell is there, the last one may be cut.
    complete = text[: text.rfind("\n") + 1]
    if not complete.strip():
        return pd.DataFrame(columns=["iteration", "env_steps"], dtype="float64")
    try:
        rows = pd.read_csv(io.StringIO(complete), index_col=False)
    except pd.errors.ParserError as error:
        raise RunsError(f"{path} is not a table of one row an iteration: {error}") from None
    absent = [name for name in ("iteration", "env_steps") if name not in rows]
    if absent:
        raise RunsError(f"{path} has no column {', '.join(absent)}; it has: {', '.join(rows.columns)}")
    rows = rows.apply(pd.to_numeric, errors="coerce").dropna(subset=["iteration", "env_steps"])
    # A run that resumed may have repeated iterations: the later row is the one that it went on from.
    return rows.drop_duplicates("iteration", keep="last")


def run_rows(run: Run) -> pd.DataFrame:
    """Return a run's measurements and facts in long form (`COLUMNS`), cells without a value left out."""
    metrics = read_metrics(run.folder / METRICS).melt(["iteration", "env_steps"], var_name="metric")
    facts = {
        NUM_ITERATIONS: run.num_iterations,
        STOPPED_EARLY: 1 if run.stopped_early else None,
        QUICK: 1 if run.quick else None,
        Z_F: run.z_f,
    }
    about = pd.DataFrame(
        [(0, 0, name, value) for name, value in facts.items()],
        columns=["iteration", "env_steps", "metric", "value"],
    )
    rows = pd.concat([frame.dropna(subset=["value"]) for frame in (metrics, about)], ignore_index=True)
    return rows.assign(env=run.env, algo=run.algo, seed=run.seed)[COLUMNS]


def expert_rows(run: Run) -> pd.DataFrame:
    """Return the expert's evaluated return twice: as one of the env's experts, and as a fact of this run.

    No rows where `expert.json` is not there or, with a warning, is damaged.
    """
    try:
        expert = read_record(run.folder / EXPERT_RECORD)
    except ArtifactError as error:
        log.warning("no expert's return: %s", error)
        return pd.DataFrame(columns=COLUMNS)
    rows = [(run.env, EXPERT, 0, 0, 0, name, value) for name, value in expert.items()]
    if EVALUATED in expert:
        rows.append((run.env, run.algo, run.seed, 0, 0, EXPERT_RETURN, expert[EVALUATED]))
    return pd.DataFrame(rows, columns=COLUMNS)
