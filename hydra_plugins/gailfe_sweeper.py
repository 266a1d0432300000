"""Hydra's own sweeper, but for keys that some jobs' options lack: see gailfe/config/combinations.py.

`gailfe.sweep` puts it in the place of Hydra's own when a sweep begins. (Hydra takes sweepers only from the package
`hydra_plugins`.)
"""

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import Override

from gailfe.config.combinations import meaningful


class JobsSweeper(BasicSweeper):
    """Each meaningful combination of the arguments is one job."""

    @staticmethod
    def split_arguments(overrides: list[Override], max_batch_size: int | None) -> list[list[list[str]]]:
        """Return the jobs' overrides, in batches."""
        (combinations,) = BasicSweeper.split_arguments(overrides, None)
        jobs = [list(job) for job in meaningful(combinations)[0]]
        return list(BasicSweeper.split_overrides_to_chunks(jobs, max_batch_size))
