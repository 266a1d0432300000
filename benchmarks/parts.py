"""Measures how much time each part of the program takes."""

from __future__ import annotations

import contextlib
import functools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch


class Parts:
    """Seconds spent in each of several parts; a part that calls another does not count the other's time."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._inner: list[float] = []  # of the parts that are running: what the parts they called took

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, whose time counts as `part`'s."""

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self._inner.append(0.0)
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                elapsed = time.perf_counter() - started
                self.seconds[part] += elapsed - self._inner.pop()
                if self._inner:
                    self._inner[-1] += elapsed

        return wrapper

    @contextlib.contextmanager
    def measuring(self, places: list[tuple[Any, str, str]]) -> Iterator[None]:
        """Time (owner, attribute, part)s inside the block; an owner is a module or a class."""
        with contextlib.ExitStack() as stack:
            for owner, attribute, part in places:
                stack.enter_context(patch.object(owner, attribute, self.timed(part, getattr(owner, attribute))))
            yield

    def largest_first(self) -> list[tuple[str, float]]:
        """(part, seconds), the largest first."""
        return sorted(self.seconds.items(), key=lambda item: -item[1])
