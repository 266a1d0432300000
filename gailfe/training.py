"""A training: iterations of a learner with resume, evaluation, checkpoints and tracking around them.

`iterate` is the loop, which stage 1's experts share; `train` is stage 3.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from gailfe.algorithms.learner import Learner, Watched, make_learner
from gailfe.config.schema import Config
from gailfe.envs.evaluation import Evaluator
from gailfe.envs.trajectory import Annotator, Demonstrations
from gailfe.nn.policy_file import save_policy
from gailfe.processes.stopping import asked, check_asked, listening
from gailfe.reporting import Film, Reporter
from gailfe.soundness import Watch, check_finite
from gailfe.storage.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from gailfe.storage.files import atomic, write_json
from gailfe.storage.finished import write_summary
from gailfe.storage.names import CONFIG, METRICS, RECIPE, SUMMARY
from gailfe.storage.origin import run_origin
from gailfe.storage.progress import Progress
from gailfe.storage.recipe import CHECKPOINT, differences
from gailfe.storage.store import ArtifactError, artifact_key, check_files, checksums
from gailfe.storage.tracking import MetricsFile, Row, columns, read_rows, rows_checksum
from gailfe.storage.wandb_artifacts import Input

log = logging.getLogger(__name__)

RETURNS = {"return_mean": "return", "eval_return_mean": "evaluated"}  # what every progress line shows


@dataclass(frozen=True)
class Schedule:
    """When the loop does what, in iterations; it evaluates and saves a checkpoint after the last one as well."""

    total: int
    evaluate_at: Container[int]
    checkpoint_at: Container[int]


class Done(NamedTuple):
    """What a training has done since its beginning, in all its processes."""

    iterations: int
    wall_time_s: float


@listening()
def iterate(
    learner: Learner,
    schedule: Schedule,
    evaluate: Callable[[int], Row],
    label: str,
    rows: Path,
    checkpoint: Path,
    recipe: dict[str, Any],
    begin: Callable[[], None] = lambda: None,
    report: Callable[[Row], None] = lambda row: None,
    files: Callable[[], Iterable[Path]] = tuple,
    keep: Callable[[int], None] = lambda iteration: None,
    stage: str = "imitation",
) -> Done:
    """Train until `schedule.total`, or until `learner` has finished; from the checkpoint if there is one.

    A damaged checkpoint, or one whose rows are no longer there, gives way to the one before it.

    Args:
        evaluate: from the number of an iteration, the metrics of `learner.policy` after it.
        label: of the training, in the log.
        rows: a CSV file that gets a row an iteration. steps_per_s is of `learner.iterate` alone; wall_time_s also
            counts evaluations, and the earlier processes of this training.
        checkpoint: what a later process goes on from.
        recipe: what decides the training's numbers, as JSON values; a checkpoint of another one is refused.
        begin: is called before the first iteration, once it is certain that a checkpoint can be gone on from.
        report: gets every row once it is on disk.
        files: those beside `rows` that `evaluate` has written and that are needed at the end. Where one is not as
            a checkpoint has it, that one can't be gone on from.
        keep: is called after every checkpoint, with the number of its iteration.
        stage: the name of the stage, for the live table.

    Returns:
        What has been done: more than `schedule.total` if an earlier process had a larger budget.

    Raises:
        CheckpointError: if there are checkpoints, and none is whole, or the latest is of another recipe.
        Diverged: if a metric or a network is no longer finite. The last checkpoint stays as it was.
        Stopped: if a signal asked the process to stop, once the iteration is done and saved.
    """
    check_asked()
    done, wall_time = _resume(learner, checkpoint, rows, recipe, label)
    metrics = MetricsFile(rows, columns(learner.METRICS), keep=done)
    begin()
    steps = learner.steps_per_iteration
    scale, unit = (steps, "steps") if steps else (1, "iterations")
    progress = Progress(label, schedule.total * scale, done * scale, unit, stage=stage, scale=scale)
    note: Mapping[str, str] = learner.NOTE if isinstance(learner, Watched) else {}
    watch = Watch(label, learner.STANDSTILLS if isinstance(learner, Watched) else ())
    saved = done
    while done < schedule.total and not learner.finished:
        started = time.perf_counter()
        done += 1
        row: Row = {"iteration": done, "env_steps": done * steps} | learner.iterate()
        if steps:
            row["steps_per_s"] = steps / (time.perf_counter() - started)
        check_finite(learner, row, saved)
        last = done == schedule.total or learner.finished
        if last or done in schedule.evaluate_at:
            row |= evaluate(done)
            check_finite(learner, row, saved)
        wall_time += time.perf_counter() - started
        row["wall_time_s"] = wall_time
        metrics.log(row)
        report(row)
        watch.warn_of_standstill(row)
        stop = asked() is not None
        if last or stop or done in schedule.checkpoint_at:
            written = metrics.sync(done)  # the checkpoint says that these rows are there
            state = {"recipe": recipe, "iteration": done, "rows": written, "wall_time_s": wall_time}
            state["files"] = checksums(rows.parent, files())
            save_checkpoint(checkpoint, state | {"learner": learner.state_dict()})
            keep(done)
            saved = done
        progress.evaluated = row.get("eval_return_mean", progress.evaluated)
        progress.update(done * scale, _note(row, RETURNS | dict(note)))
        if stop:
            check_asked()
    metrics.close()
    return Done(done, wall_time)


def _resume(learner: Learner, checkpoint: Path, rows: Path, recipe: dict[str, Any], label: str) -> Done:
    def has_its_files(state: dict[str, Any]) -> bool:
        differing = differences(state["recipe"], recipe)
        if differing:
            raise CheckpointError(
                f"{checkpoint} is of another training ({'; '.join(differing)}): delete it, and the same command "
                "starts this one again"
            )
        if rows_checksum(rows, state["iteration"]) != state["rows"]:
            log.warning("%s no longer has the rows of iterations 1 to %d as they were", rows, state["iteration"])
            return False
        try:
            check_files(rows.parent, state.get("files", {}), checkpoint.name)
        except ArtifactError as error:
            log.warning("%s", error)
            return False
        return True

    state = load_checkpoint(checkpoint, has_its_files)
    if state is None:
        return Done(0, 0.0)
    exact = learner.load_state_dict(state["learner"])
    log.info(
        "%s: resumed after iteration %d%s",
        label,
        state["iteration"],
        "" if exact else "; not exactly: this environment's state can't be saved, so new episodes begin",
    )
    return Done(state["iteration"], state["wall_time_s"])


def _note(row: Row, names: Mapping[str, str]) -> str:
    return "  ".join(f"{name} {row[key]:.4g}" for key, name in names.items() if key in row)


def train(
    config: Config,
    folder: Path,
    demonstrations: Demonstrations,
    annotator: Annotator,
    recipe: dict[str, Any],
    inputs: Sequence[Input] = (),
    film: Film | None = None,
) -> None:
    """Imitate for `config.env.num_iterations`, from the last checkpoint in `folder` if there is one.

    Writes config.yaml, metrics.csv (a row an iteration), checkpoint/, policy.safetensors at each checkpoint, and
    summary.json.

    Args:
        inputs, film: what W&B gets to know of the files behind `demonstrations`, and what films the policy for it.
    """
    write_json(folder / RECIPE, recipe)
    learner = make_learner(config, demonstrations, annotator)
    evaluator = Evaluator(config.env, config.evaluation.episodes, config.seed)
    run_id = artifact_key({"experiment": config.study, **recipe})[:16]
    reporter = Reporter(config, folder, learner, run_id, inputs, film)
    total = config.env.num_iterations

    def begin() -> None:
        with atomic(folder / CONFIG) as partial:
            OmegaConf.save(OmegaConf.create(asdict(config)), partial)
        (folder / SUMMARY).unlink(missing_ok=True)  # a run that goes on is not what its summary says

    try:
        done = iterate(
            learner,
            Schedule(
                total,
                evaluate_at={1, *range(0, total, config.evaluation.every)},
                checkpoint_at=range(0, total, config.checkpoint_every),
            ),
            lambda iteration: evaluator(learner.policy, iteration).metrics,
            f"{config.env.name}/{config.algo.name}/{folder.name}",
            folder / METRICS,
            folder / CHECKPOINT,
            recipe,
            begin,
            reporter.row,
            keep=lambda iteration: save_policy(folder, learner.policy, iteration),
        )
        save_policy(folder, learner.policy, done.iterations)  # again, for a process that was killed before it did
    except BaseException:
        reporter.abort()
        raise
    reporter.finish(done.iterations)
    last_row = read_rows(folder / METRICS)[-1]
    ended = {**done._asdict(), "stopped_early": learner.finished, "last_row": last_row}
    write_summary(folder, {**ended, **run_origin()})
