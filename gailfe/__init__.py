"""Generative adversarial imitation learning from failed experiences: the algorithms and the pipeline.

`__all__` is public, for use from Python; everything else may change. `import gailfe` alone loads nothing of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gailfe.envs.trajectory import Trajectory
    from gailfe.library import Policy, imitate, load_expert, load_policy
    from gailfe.rollouts import film, rollout

__all__ = ["Policy", "Trajectory", "film", "imitate", "load_expert", "load_policy", "rollout"]
MODULES = {"Trajectory": "envs.trajectory", "film": "rollouts", "rollout": "rollouts"}  # the others: library


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"gailfe.{MODULES.get(name, 'library')}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
