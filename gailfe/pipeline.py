"""Expert → demonstrations → imitation: whatever of the three stages is missing."""

from __future__ import annotations

import logging
import shutil
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock, Timeout
from omegaconf import OmegaConf

from expert.annotators import Reference, make_annotator
from expert.collect import demonstrations_recipe, make_demonstrations
from expert.demonstrations import load_demonstrations
from expert.train import EVALUATION, make_expert
from gailfe.config import Config
from gailfe.store import Store, artifact_key
from gailfe.tracking import check_tracking
from gailfe.training import is_finished, run_recipe, train

log = logging.getLogger(__name__)


class RunIsBusy(RuntimeError):
    """Another process is at work in this run's folder."""


def run(config: Config, folder: Path) -> None:
    """Run what is missing of the three stages, the last one in `folder`.

    Raises:
        ConfigError: if `folder` holds a run of another configuration, or tracking can't work.
        RunIsBusy: if another process is training in `folder`.
    """
    check_tracking(config)
    # An annotator that can't be called is refused now, not after the expert's training.
    make_annotator(config.annotator, reference=None)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            _run(config, folder)
    except Timeout as error:
        raise RunIsBusy(f"{folder}: another process is at work there") from error


def _run(config: Config, folder: Path) -> None:
    recipe = run_recipe(config, artifact_key(demonstrations_recipe(config)))
    if is_finished(folder, recipe, config.env.num_iterations):
        log.info("%s is finished: skipped", folder)
        return
    store = Store(Path(config.paths.artifacts))
    expert_folder = make_expert(config, store)
    demonstrations_folder = make_demonstrations(config, store, expert_folder)
    OmegaConf.save(OmegaConf.create(asdict(config)), folder / "config.yaml")
    shutil.copyfile(expert_folder / EVALUATION, folder / "expert.json")
    expert, failed = load_demonstrations(demonstrations_folder)
    annotator = make_annotator(config.annotator, Reference.of(expert))
    train(config, folder, expert, failed, annotator, recipe)
    log.info("%s: done", folder)
