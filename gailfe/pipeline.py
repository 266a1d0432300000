"""Runs the three stages, expert → demonstrations → imitation; a stage that is finished is not repeated.

A dataset of the user can replace the first two stages.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from expert.annotators import Reference, check_annotator, make_annotator
from expert.collect import demonstrations_recipe, make_demonstrations
from expert.contamination import check_contamination, contaminate_own
from expert.demonstrations import load_demonstrations
from expert.experts import expert_of, make_expert
from expert.own_data import check_own_data, load_own_data, own_data_recipe, own_expert_record
from expert.own_files import KEYS as DATASETS
from expert.own_files import dataset_folders
from expert.policy_video import PolicyFilm
from expert.subsampling import choose_pairs
from gailfe.config.keys import Refusal
from gailfe.config.schema import Config
from gailfe.envs.trajectory import Annotator, Demonstrations
from gailfe.processes.stopping import check_asked
from gailfe.reporting import told_to_wandb
from gailfe.storage.files import atomic, remove_partials, write_json, write_text
from gailfe.storage.locks import run_lock
from gailfe.storage.names import EVALUATION, EXPERT_RECORD
from gailfe.storage.recipe import is_finished, run_recipe
from gailfe.storage.store import Store, artifact_key
from gailfe.storage.wandb_artifacts import Input, demonstrations_input, expert_input, log_collection
from gailfe.storage.wandb_run import check_tracking
from gailfe.training import train

log = logging.getLogger(__name__)


HOLDER = ".holder"  # in a run's folder: which process has its lock


class RunIsBusy(Refusal, RuntimeError):
    """Another process is at work in this run's folder."""


def run(config: Config, folder: Path, wait: bool = False) -> None:
    """Run the stages that are missing, the last one in `folder`.

    Args:
        wait: for another process that is training in `folder`, as a job of a sweep does.

    Raises:
        ConfigError: if `folder` holds a run of another configuration, tracking can't work, or a dataset or an
            expert from elsewhere is not there or doesn't fit the environment.
        RunIsBusy: if another process is training in `folder`, unless this one waits for it.
    """
    check_tracking(config)
    check_annotator(config.annotator, config.env)
    check_own_data(config)
    if config.demonstrations.dataset is None:
        expert_of(config).check()
    check_contamination(config)
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder, wait):
        _run(config, folder)


@contextlib.contextmanager
def held(folder: Path, wait: bool) -> Iterator[None]:
    """Hold the lock of a run's folder, which ends with its process. Raises RunIsBusy, or waits."""
    lock, holder = FileLock(run_lock(folder)), folder / HOLDER
    waiting = False
    while not lock.is_locked:
        try:
            # Not 0, for others may look whether it is held; not long, for a signal to stop ends the waiting.
            lock.acquire(timeout=1 if waiting else 0.2)
        except Timeout as error:
            try:
                other = holder.read_text()
            except (OSError, ValueError):  # it has ended just now, or the file is damaged
                other = "of unknown number"
            busy = f"{folder}: another process is at work there, process {other}"
            if not wait:
                raise RunIsBusy(busy) from error
            if not waiting:
                log.info("%s: waiting for it", busy)
            waiting = True
            check_asked()
    try:
        write_text(holder, f"{os.getpid()} on {socket.gethostname()}")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _run(config: Config, folder: Path) -> None:
    own = config.demonstrations.dataset is not None
    inputs = own_data_recipe(config) if own else demonstrations_recipe(config)
    recipe = run_recipe(config, artifact_key(inputs))
    if own:
        recipe["datasets"] = {key: inputs[key] for key in DATASETS if key in inputs}  # their checksums
    if is_finished(folder, recipe, config.env.num_iterations):
        log.info("%s is finished: skipped", folder)
        return
    remove_partials(folder)
    if own:
        expert, failed = load_own_data(config)
        tracked = [
            demonstrations_input(inputs[key], found, {"dataset": key})
            for key, found in dataset_folders(config).items()
        ]
        write_json(folder / EXPERT_RECORD, own_expert_record(expert))
        if config.demonstrations.contamination > 0:
            expert, failed = contaminate_own(Demonstrations(expert, failed), config.demonstrations)
    else:
        store = Store(Path(config.paths.artifacts))
        expert_folder = make_expert(config, store)
        demonstrations_folder = make_demonstrations(config, store, expert_folder)
        expert, failed = load_demonstrations(demonstrations_folder)
        tracked = _stages_for_wandb(config, expert_folder, demonstrations_folder, inputs)
        with atomic(folder / EXPERT_RECORD) as partial:
            shutil.copyfile(expert_folder / EVALUATION, partial)
    imitate(config, folder, Demonstrations(expert, failed), recipe, inputs=tracked)


def _stages_for_wandb(
    config: Config, expert_folder: Path, demonstrations_folder: Path, recipe: dict[str, Any]
) -> list[Input]:
    """Describe the results of stages 1 and 2 to W&B, which also gets to know that one came from the other."""
    if not config.tracking.wandb:
        return []
    evaluation = json.loads((expert_folder / EVALUATION).read_text())
    expert = expert_input(recipe["expert"], expert_folder, {"expert": config.expert.name, **evaluation})
    demonstrations = demonstrations_input(artifact_key(recipe), demonstrations_folder, recipe)
    with told_to_wandb():
        log_collection(config, expert, demonstrations)
    return [expert, demonstrations]


def imitate(
    config: Config,
    folder: Path,
    demonstrations: Demonstrations,
    recipe: dict[str, Any],
    annotator: Annotator | None = None,
    inputs: Sequence[Input] = (),
) -> None:
    """Run stage 3 in `folder`.

    Args:
        annotator: of the agent's own episodes; None: the configured one.
        inputs: the files behind `demonstrations`, for W&B.
    """
    expert, failed = demonstrations
    annotator = annotator or make_annotator(config.annotator, Reference.of(expert))
    chosen = list(choose_pairs(expert, config.demonstrations, config.seed))
    film = PolicyFilm(config.env) if config.tracking.wandb and config.tracking.videos else None
    train(config, folder, Demonstrations(chosen, failed), annotator, recipe, inputs, film)
    log.info("%s: done", folder)
