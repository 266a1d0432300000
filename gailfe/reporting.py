"""What W&B gets of a training as it goes: rows, histograms, videos, and at the end a summary and the policy."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gailfe.algorithms.learner import Learner, Sampled, Sectioned
from gailfe.config.keys import Refusal
from gailfe.config.schema import Config
from gailfe.nn.stochastic import StochasticPolicy
from gailfe.processes.stopping import Stopped, check_asked
from gailfe.storage.names import METRICS
from gailfe.storage.records import EVALUATED, expert_return
from gailfe.storage.tracking import Row, read_rows
from gailfe.storage.wandb_artifacts import Input, log_inputs, log_policy
from gailfe.storage.wandb_run import (
    EXPERT,
    VIDEO,
    Sections,
    TrackingError,
    histogram,
    start_wandb,
    summary_of,
)

log = logging.getLogger(__name__)

SIGNALS_APART = 1.0  # seconds between the ends of two processes that the same signal was sent to

Film = Callable[[StochasticPolicy, str, Path], bool]
"""Films a policy: from a title to the file of a video; returns whether there is one."""


@contextlib.contextmanager
def told_to_wandb() -> Iterator[None]:
    """Turn any error of W&B into a sentence: its own process has ended, or it refuses.

    A signal to all processes of a job, as Slurm's, ends W&B's process at once, perhaps before it comes here.

    Raises:
        Stopped: if a signal asked this process to stop.
        TrackingError: else.
    """
    try:
        yield
    except Refusal:  # which says more
        raise
    except Exception as error:  # W&B's are of many kinds, those of its connection too
        _let_go()
        time.sleep(SIGNALS_APART)
        check_asked()
        raise TrackingError(
            f"W&B has stopped to take what it is told ({type(error).__name__}: {error}). The same command goes on "
            "from the last checkpoint; tracking=none switches W&B off"
        ) from error


def _let_go() -> None:
    """Forget W&B's process, which has ended; else W&B fails again at the end of this one, with a traceback."""
    import wandb

    with contextlib.suppress(Exception):
        wandb.teardown(exit_code=1)


class Reporter:
    """Tells W&B of the training in `folder`; nothing, if W&B is switched off. It changes nothing in `learner`.

    Args:
        run_id: W&B's, the same for every process that works on this training.
        inputs: what it learns from.
        film: what films the policy at the start, in the middle and at the end; None: no videos.
    """

    def __init__(
        self,
        config: Config,
        folder: Path,
        learner: Learner,
        run_id: str,
        inputs: Sequence[Input] = (),
        film: Film | None = None,
    ) -> None:
        self._sections = Sections(learner.SECTIONS if isinstance(learner, Sectioned) else {})
        self._folder, self._learner, self._film = folder, learner, film
        self._total = config.env.num_iterations
        with told_to_wandb():
            self._run = start_wandb(config, folder, run_id, self._sections)
            if self._run is not None:
                self._expert = expert_return(folder)
                log_inputs(self._run, config, inputs)

    def row(self, row: Row) -> None:
        """Report an iteration, whose row is in metrics.csv now.

        After a signal that ended W&B's process, it says so and returns: the training saves a checkpoint and stops.
        """
        if self._run is None:
            return
        try:
            with told_to_wandb():
                self._tell(row)
        except Stopped:
            log.warning("W&B's process has ended: it does not get the row of iteration %d", row["iteration"])

    def _tell(self, row: Row) -> None:
        entry: dict[str, Any] = self._sections.row(row)
        if self._expert is not None:
            entry[EXPERT] = self._expert
        if EVALUATED in row:
            entry |= self._histograms()
        video = Path(self._run.settings.sync_dir, "video.mp4")
        entry |= self._video(row, video)
        # By number, so that rows that are made again after a resume coincide with the first ones.
        self._run.log(entry, step=row["iteration"], commit=True)  # now, or a kill would lose it
        video.unlink(missing_ok=True)  # W&B has a copy
        if EVALUATED in row:
            self._run.summary.update(self._summary(row["iteration"]))

    def finish(self, iterations: int) -> None:
        """End the W&B run of a training that has come to its end; its policy is saved."""
        if self._run is None:
            return
        with told_to_wandb():
            summary = self._summary(iterations)
            self._run.summary.update(summary)
            log_policy(self._run, self._folder, iterations, summary)
            self._run.finish()

    def abort(self) -> None:
        """End the W&B run of a training that has ended with an error, or the next one in this process would be
        written into it. A training that goes on continues it."""
        if self._run is not None:
            try:
                self._run.finish(exit_code=1)
            except Exception:  # its process has ended, too; the error is told, and not this one
                _let_go()

    def _summary(self, iteration: int | float) -> dict[str, float]:
        rows = [row for row in read_rows(self._folder / METRICS) if row["iteration"] <= iteration]
        return summary_of(rows, self._expert)

    def _histograms(self) -> dict[str, Any]:
        samples = self._learner.samples() if isinstance(self._learner, Sampled) else {}
        return {f"{self._sections.key(name)}_histogram": histogram(values) for name, values in samples.items()}

    def _video(self, row: Row, path: Path) -> dict[str, Any]:
        iteration = int(row["iteration"])
        last = iteration == self._total or self._learner.finished
        if self._film is None or not (last or iteration in (1, (self._total + 1) // 2)):
            return {}
        title = f"after {iteration} of {self._total} iterations"
        if not self._film(self._learner.policy, title, path):
            self._film = None  # it has said why
            return {}
        import wandb

        return {VIDEO: wandb.Video(str(path), caption=title, format="mp4")}
