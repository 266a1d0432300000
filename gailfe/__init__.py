"""Generative adversarial imitation learning from failed experiences: the algorithms and the pipeline.

`__all__` is public, for use from Python; everything else may change. `import gailfe` alone loads nothing of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gailfe.envs.trajectory import Trajectory
    from gailfe.library import Policy, imitate, load_policy, rollout

__all__ = ["Policy", "Trajectory", "imitate", "load_policy", "rollout"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "gailfe.envs.trajectory" if name == "Trajectory" else "gailfe.library"
    return getattr(importlib.import_module(module), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
