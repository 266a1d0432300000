"""Runs the three stages, expert → demonstrations → imitation; a stage that is finished is not repeated.

A dataset of the user can replace the first two stages.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock, Timeout
from omegaconf import OmegaConf

from expert.annotators import Reference, make_annotator
from expert.collect import demonstrations_recipe, make_demonstrations
from expert.contamination import check_contamination, contaminate_own
from expert.demonstrations import load_demonstrations
from expert.experts import expert_of, make_expert
from expert.own_data import check_own_data, load_own_data, own_data_recipe, own_expert_record
from expert.subsampling import choose_pairs
from gailfe.config.schema import Config
from gailfe.envs.trajectory import Demonstrations
from gailfe.storage.files import atomic, remove_partials, write_json
from gailfe.storage.names import CONFIG, EVALUATION, EXPERT_RECORD
from gailfe.storage.store import Store, artifact_key
from gailfe.storage.tracking import check_tracking
from gailfe.training import is_finished, run_recipe, train

log = logging.getLogger(__name__)


class RunIsBusy(RuntimeError):
    """Another process is at work in this run's folder."""


def run(config: Config, folder: Path) -> None:
    """Run the stages that are missing, the last one in `folder`.

    Raises:
        ConfigError: if `folder` holds a run of another configuration, tracking can't work, or a dataset or an
            expert from elsewhere is not there or doesn't fit the environment.
        RunIsBusy: if another process is training in `folder`.
    """
    check_tracking(config)
    # An annotator that can't be called is refused now, not after the expert's training.
    make_annotator(config.annotator, reference=None)
    check_own_data(config)
    if config.demonstrations.dataset is None:
        expert_of(config).check()
    check_contamination(config)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            _run(config, folder)
    except Timeout as error:
        raise RunIsBusy(f"{folder}: another process is at work there") from error


def _run(config: Config, folder: Path) -> None:
    own = config.demonstrations.dataset is not None
    inputs = own_data_recipe(config) if own else demonstrations_recipe(config)
    recipe = run_recipe(config, artifact_key(inputs))
    if is_finished(folder, recipe, config.env.num_iterations):
        log.info("%s is finished: skipped", folder)
        return
    remove_partials(folder)
    if own:
        expert, failed = load_own_data(config)
        write_json(folder / EXPERT_RECORD, own_expert_record(expert))
        if config.demonstrations.contamination > 0:
            expert, failed = contaminate_own(Demonstrations(expert, failed), config.demonstrations)
    else:
        store = Store(Path(config.paths.artifacts))
        expert_folder = make_expert(config, store)
        expert, failed = load_demonstrations(make_demonstrations(config, store, expert_folder))
        with atomic(folder / EXPERT_RECORD) as partial:
            shutil.copyfile(expert_folder / EVALUATION, partial)
    with atomic(folder / CONFIG) as partial:
        OmegaConf.save(OmegaConf.create(asdict(config)), partial)
    annotator = make_annotator(config.annotator, Reference.of(expert))
    chosen = list(choose_pairs(expert, config.demonstrations, config.seed))
    train(config, folder, Demonstrations(chosen, failed), annotator, recipe)
    log.info("%s: done", folder)
