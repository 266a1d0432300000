"""What the page says of single runs: their configuration, where they came from, and their files."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from analysis.layout import conditions
from analysis.runs import NUM_ITERATIONS, algo_label, find_run_folders, parse_label
from gailfe.storage.files import read_object
from gailfe.storage.names import CONFIG, RECIPE, SUMMARY
from gailfe.storage.run_names import overrides_of

ABSENT = "–"  # a key that a configuration doesn't have
IDENTITY = ("seed", "env.name", "algo.name")  # the tables' own columns
# Where a run's files would say what made it.
ORIGIN_WORDS = ("commit", "processor", "version", "versions")


@dataclass(frozen=True)
class RunFiles:
    """A run's folder; `algo` is the label, overrides included; `config` by dotted key, as text."""

    folder: Path
    env: str
    algo: str
    seed: int
    config: dict[str, str]
    recorded: dict[str, Any] = field(repr=False)  # recipe.json and summary.json in one

    @property
    def finished(self) -> bool:
        return "iterations" in self.recorded


def read_runs(sources: Sequence[Path], seeds: Sequence[int]) -> list[RunFiles]:
    """Return the runs below some folders, in the order of their names; none for a results file.

    Folders that `curves.load_curves` skips with a warning are skipped here too.

    Args:
        seeds: the runs that count; none: all of them.
    """
    runs = [read_files(folder) for source in sources if source.is_dir() for folder in find_run_folders(source)]
    there = [run for run in runs if run is not None and (not seeds or run.seed in seeds)]
    return sorted(there, key=lambda run: (run.env, run.algo, run.seed))


def read_files(folder: Path) -> RunFiles | None:
    """Return what the files of a run say; None where config.yaml is not that of an imitation run."""
    try:
        config = OmegaConf.load(folder / CONFIG)
        content = OmegaConf.to_container(config, resolve=True) if isinstance(config, DictConfig) else {}
    except (OSError, YAMLError, OmegaConfBaseException, UnicodeDecodeError):
        return None
    flat = flattened(content)
    if not all(flat.get(name) not in (None, "null") for name in IDENTITY):
        return None
    try:
        seed = int(flat["seed"])
    except ValueError:
        return None
    algo = algo_label(flat["algo.name"], overrides_of(folder))
    recorded = read_object(folder / RECIPE) | read_object(folder / SUMMARY)
    return RunFiles(folder, flat["env.name"], algo, seed, flat, recorded)


def flattened(content: Any, prefix: str = "") -> dict[str, str]:
    """`{"algo": {"gamma": 0.9}}` → `{"algo.gamma": "0.9"}`; values as YAML would have them."""
    if isinstance(content, dict) and (content or not prefix):
        parts = (flattened(value, f"{prefix}.{key}" if prefix else str(key)) for key, value in content.items())
        return {key: value for part in parts for key, value in part.items()}
    return {prefix: content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, default=str)}


@dataclass(frozen=True)
class Differences:
    """Keys that differ with one property of a run, and only with it: a row a key, a column a value of it."""

    title: str
    columns: list[str]
    rows: list[tuple[str, list[str]]]


def shared_and_different(
    runs: Sequence[RunFiles], name: Callable[[str], str]
) -> tuple[dict[str, str], list[Differences]]:
    """Return the configuration that all runs share, and what differs, by the simplest property that settles it.

    Args:
        name: what the page calls a label.
    """
    properties: dict[str, Callable[[RunFiles], str]] = {
        "environment": lambda run: run.env,
        "algorithm": lambda run: parse_label(run.algo)[0],
        "other settings": lambda run: ", ".join(sorted(conditions(run.algo))) or "none",
        "algorithm and its settings": lambda run: name(run.algo),
        "environment, algorithm and its settings": lambda run: f"{run.env}, {name(run.algo)}",
        "run": lambda run: f"{run.env}, {name(run.algo)}, seed {run.seed}",
    }
    keys = sorted({key for run in runs for key in run.config} - set(IDENTITY))
    shared, rows = {}, {title: [] for title in properties}  # type: ignore[var-annotated]
    for key in keys:
        found = [run.config.get(key, ABSENT) for run in runs]
        if len(set(found)) == 1:
            shared[key] = found[0]
            continue
        for title, of in properties.items():
            by = dict(zip(map(of, runs), found, strict=True))
            if all(by[of(run)] == value for run, value in zip(runs, found, strict=True)):
                rows[title].append((key, by))
                break
    tables = []
    for title, entries in rows.items():
        columns = list(dict.fromkeys(map(properties[title], runs)))
        if entries:
            cells = [(key, [by[column] for column in columns]) for key, by in entries]
            tables.append(Differences(title, columns, cells))
    return shared, tables


def origins(runs: Sequence[RunFiles]) -> list[tuple[str, str]]:
    """Return what the runs' files record of the code that made them: what it is, and its values with counts.

    The recipe's own version counts as such; whatever else has a name of `ORIGIN_WORDS` is taken as it is.
    """
    found: dict[str, Counter[str]] = {}
    for run in runs:
        for key, value in flattened(run.recorded).items():
            # Not those of a network or an environment, which are below other keys.
            if key.split(".")[0] in ORIGIN_WORDS:
                label = "recipe's version" if key == "version" else key
                found.setdefault(label, Counter())[value] += 1
    return [
        (key, ", ".join(f"{value} ({count} of {len(runs)} runs)" for value, count in counts.most_common()))
        for key, counts in sorted(found.items())
    ]


def states(runs: Sequence[RunFiles], reached: dict[tuple[str, str, int], int]) -> list[str]:
    """Return how far each run is: `500 of 500 iterations, finished`.

    Args:
        reached: the last iteration by env, label and seed.
    """
    lines = []
    for run in runs:
        budget = run.config.get(f"env.{NUM_ITERATIONS}")
        done = f"{reached.get((run.env, run.algo, run.seed), 0):,}"
        end = ", finished early" if run.recorded.get("stopped_early") else ", finished" if run.finished else ""
        lines.append(f"{done} of {int(budget):,}{end}" if budget and budget.isdigit() else done + end)
    return lines


def sha256(path: Path) -> str:
    """Return the checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
