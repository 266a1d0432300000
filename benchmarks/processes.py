"""Work in fresh processes, which no earlier measurement can influence."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from multiprocessing import get_context
from typing import Any

from benchmarks.command import MeasurementError


def side_by_side(jobs: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What `function(*arguments, wait)` returns in each of `jobs` fresh processes, which run at the same time.

    Args:
        function: of a module's top level. Its last argument, `wait`, returns when all processes have called it.

    Raises:
        MeasurementError: if one of them fails or dies.
    """
    context = get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(jobs, mp_context=context) as pool:
        barrier = manager.Barrier(jobs)
        futures = [pool.submit(function, *arguments, barrier.wait) for _ in range(jobs)]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        barrier.abort()  # processes that wait for one that has failed then fail, too
        for error in filter(None, (future.exception() for future in done)):
            raise MeasurementError(f"{function.__name__} in a separate process: {error!r}") from error
        return [future.result() for future in futures]
