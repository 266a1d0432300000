"""The recipe of a run: what decides its numbers; and whether a folder holds a finished run of it."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gailfe.config.keys import ConfigError
from gailfe.config.schema import Config
from gailfe.storage.checkpoint import is_there
from gailfe.storage.finished import check_finished, read_summary
from gailfe.storage.names import RECIPE
from gailfe.storage.store import ArtifactError

log = logging.getLogger(__name__)

CHECKPOINT = Path("checkpoint", "state.pt")  # in a run's folder


def run_recipe(config: Config, demonstrations_key: str) -> dict[str, Any]:
    """Return what decides the numbers of a run's iterations; not how many there are, or where they are written."""
    recipe = asdict(config)
    inputs = ("expert", "demonstrations")  # demonstrations_key stands for both
    used = {key: recipe["demonstrations"][key] for key in ("use_trajectories", "subsample")}
    for key in (*inputs, "tracking", "paths", "checkpoint_every", "episodes", "experiment", "study", "device"):
        del recipe[key]
    del recipe["env"]["num_iterations"], recipe["env"]["ppo"], recipe["env"]["gradient_penalty"]
    if not recipe["env"]["wrappers"]:  # as in runs from before there were wrappers
        del recipe["env"]["wrappers"]
    if used != {"use_trajectories": None, "subsample": 1}:  # all: as in runs from before there was a choice
        recipe["demonstrations"] = used
    return {"version": 1, "demonstrations_key": demonstrations_key, **recipe}


def is_finished(folder: Path, recipe: dict[str, Any], num_iterations: int) -> bool:
    """Return whether the run in `folder` is whole, and has all its iterations or an algorithm that finished early.

    Where a file is damaged, the log says which one, and the run's checkpoint makes it again.

    Raises:
        ConfigError: if `folder` holds a run of another recipe, naming the keys that differ.
        ArtifactError: if a file is damaged, and there is no checkpoint.
    """
    differing = differences(_recipe_of(folder) or recipe, recipe)
    if differing:
        raise ConfigError(
            f"{folder} holds a run of another configuration by its {RECIPE} ({'; '.join(differing)}): "
            "choose another study or paths.runs, or move that folder away"
        )
    try:
        summary = read_summary(folder)
        if summary is None or (summary["iterations"] < num_iterations and not summary["stopped_early"]):
            return False
        check_finished(folder, summary)
    except ArtifactError as error:
        if not is_there(folder / CHECKPOINT):
            raise ArtifactError(
                f"{error}, and there is no checkpoint to make the run's files from: move {folder} away, and the "
                "same command makes the run again"
            ) from error
        log.warning("%s: the run's files are made again from its checkpoint", error)
        return False
    return True


def _recipe_of(folder: Path) -> Any:
    """None if there is none that can be read: the checkpoint has it too, and is asked when the run goes on."""
    try:
        return json.loads((folder / RECIPE).read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        log.warning("%s can't be read (%s): the checkpoint's is used", folder / RECIPE, error)
        return None


def differences(old: Any, new: Any, prefix: str = "") -> list[str]:
    """The keys at which two recipes differ, each with both values. A list equals a tuple, as in JSON."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = dict.fromkeys([*old, *new])
        return [d for key in keys for d in differences(old.get(key), new.get(key), f"{prefix}.{key}")]
    return [] if json.dumps(old) == json.dumps(new) else [f"{prefix[1:]} was {old}, now {new}"]
