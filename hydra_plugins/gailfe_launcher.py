"""Hydra's launcher `workers`: the jobs of a sweep side by side on this machine, each in a process for itself.

It is Hydra's joblib launcher, but for one thing. When the system kills a worker of joblib's pool, as it does where
memory runs out, joblib kills all the others. Here every worker is a pool of its own: only its job ends with it.
(Hydra takes launchers only from the package `hydra_plugins`.)
"""

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from hydra_plugins.hydra_joblib_launcher.joblib_launcher import JoblibLauncher

from gailfe.processes.following import tell
from gailfe.processes.stopping import asked

log = logging.getLogger(__name__)

ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
)  # else jobs fight over the cores


@dataclass
class WorkersConfig:
    """What `hydra.launcher` holds."""

    _target_: str = "hydra_plugins.gailfe_launcher.WorkersLauncher"
    n_jobs: int = -1  # at work at the same time; -1: one a core


ConfigStore.instance().store(group="hydra/launcher", name="workers", node=WorkersConfig, provider="gailfe")


class WorkersLauncher(JoblibLauncher):
    """See the top of this file.

    Args:
        n_jobs: jobs at work at the same time, counted as joblib counts them.
    """

    def __init__(self, n_jobs: int) -> None:
        super().__init__(n_jobs=n_jobs)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run all jobs; of one that was killed the report of the sweep says so, and the others go on."""
        from hydra_plugins.hydra_joblib_launcher._core import execute_job  # now: it imports joblib
        from joblib import effective_n_jobs  # type: ignore[import-untyped]
        from joblib.externals.loky import ProcessPoolExecutor  # type: ignore[import-untyped]

        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        Path(self.config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
        count = min(effective_n_jobs(self.joblib["n_jobs"]), len(job_overrides))
        log.info("%d jobs, %d at a time, into %s", len(job_overrides), count, self.config.hydra.sweep.dir)
        state = Singleton.get_state()

        def new_worker() -> Any:
            return ProcessPoolExecutor(1, env={name: os.environ.get(name, "1") for name in ONE_THREAD})

        workers: SimpleQueue[Any] = SimpleQueue()
        for _ in range(count):
            workers.put(new_worker())

        def run(number: int, overrides: Sequence[str]) -> JobReturn:
            ended = JobReturn(status=JobStatus.COMPLETED)
            if asked() is not None:
                return ended
            worker = workers.get()
            try:
                arguments = (number, overrides, self.hydra_context, self.config, self.task_function, state)
                return worker.submit(execute_job, *arguments).result()
            except BrokenProcessPool:
                tell(number, "its process was killed, as the system does where memory runs out")
                worker = new_worker()
            except Exception as error:  # before or after the job's own work, in Hydra's
                log.exception("job %d: %s", number, " ".join(overrides))
                tell(number, f"{type(error).__name__}: {error}")
            finally:
                workers.put(worker)
            return ended

        numbers = range(initial_job_idx, initial_job_idx + len(job_overrides))
        with ThreadPoolExecutor(count) as threads:
            results = list(threads.map(run, numbers, job_overrides))
        for _ in range(count):
            workers.get().shutdown()
        return results
